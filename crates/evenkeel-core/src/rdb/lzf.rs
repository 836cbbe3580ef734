//! Unpacking of LZF, the compression of long strings in snapshots.

/// How many bytes one byte of packed input can at most become: three of them repeat up to 264.
const GROWTH_MAX: usize = 88;

/// Unpacks to exactly `length` bytes; `None` when the input is not that.
pub(super) fn unpack(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > packed.len().saturating_mul(GROWTH_MAX) {
        return None;
    }
    let mut out = Vec::with_capacity(length);
    let mut rest = packed.iter();
    while let Some(&control) = rest.next() {
        if control < 1 << 5 {
            let literal = rest.as_slice().get(..=usize::from(control))?;
            out.extend_from_slice(literal);
            rest = rest.as_slice().get(literal.len()..)?.iter();
            continue;
        }
        let mut run = usize::from(control >> 5);
        if run == 7 {
            run += usize::from(*rest.next()?);
        }
        run += 2;
        let back = (usize::from(control & 0x1f) << 8 | usize::from(*rest.next()?)) + 1;
        let from = out.len().checked_sub(back)?;
        if out.len() + run > length {
            return None;
        }
        // What is repeated may be what is being written.
        for at in from..from + run {
            out.push(out[at]);
        }
    }
    (out.len() == length).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_repeats_are_unpacked() {
        // Two literal bytes, then 2 + 1 bytes from 2 back; then 2 + 7 + 3 bytes from 1 back.
        assert_eq!(unpack(b"\x01ab\x20\x01", 5).unwrap(), b"ababa");
        assert_eq!(unpack(b"\x00x\xe0\x03\x00", 13).unwrap(), b"xxxxxxxxxxxxx");
    }

    #[test]
    fn what_is_not_packed_right_is_refused() {
        for (packed, length) in [
            (&b"\x01a"[..], 2),
            (b"\x01ab\x20\x02", 5),
            (b"\x01ab\x20\x01", 4),
            (b"\x01ab\x20\x01", 6),
            (b"\x20\x00", 3),
            (b"\x00x\xe0", 3),
            (b"\x00x\xe0\x03", 3),
            (b"", 1 << 40),
        ] {
            assert_eq!(unpack(packed, length), None, "{packed:?}");
        }
    }
}
