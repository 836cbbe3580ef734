//! Frames between datacentres: long ones are compressed, since what lies between is slower than a processor.
//!
//! `[kind, 1 byte][length, 4 bytes][LZ4 block]`. The length is checked before anything is allocated for it.

use bytes::{Buf as _, Bytes};
use evenkeel_core::limits::FRAME_BYTES_MAX;

use super::frame::{FrameError, Kind};

/// Shorter ones gain nothing.
const BYTES_MIN: usize = 512;

/// A frame's body in compressed form; `None` where that is no shorter.
pub(crate) fn compress(kind: Kind, body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < BYTES_MIN {
        return None;
    }
    let len = u32::try_from(body.len()).ok()?;
    let mut out = Vec::with_capacity(body.len() / 2);
    out.push(kind as u8);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&lz4_flex::block::compress(body));
    (out.len() < body.len()).then_some(out)
}

/// What was compressed.
pub(super) fn decompress(mut body: Bytes) -> Result<(Kind, Bytes), FrameError> {
    if body.len() < 5 {
        return Err(FrameError::Length(0));
    }
    let code = body.get_u8();
    let kind = Kind::from_code(code).ok_or(FrameError::Kind(code))?;
    let len = body.get_u32_le();
    let bytes = usize::try_from(len).unwrap_or(usize::MAX);
    if bytes > FRAME_BYTES_MAX {
        return Err(FrameError::Length(len));
    }
    let plain = lz4_flex::block::decompress(&body, bytes).map_err(|_| FrameError::Checksum)?;
    if plain.len() != bytes {
        return Err(FrameError::Length(len));
    }
    Ok((kind, plain.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_arrives_as_it_was_sent_and_what_is_short_is_left_alone() {
        let body: Vec<u8> = (0..5_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let short = compress(Kind::Partitions, &body).unwrap();
        assert!(short.len() < body.len() / 2);
        let (kind, plain) = decompress(short.into()).unwrap();
        assert_eq!((kind, &plain[..]), (Kind::Partitions, &body[..]));
        assert_eq!(compress(Kind::Partitions, &body[..100]), None);
    }

    #[test]
    fn what_is_damaged_or_claims_too_much_is_refused() {
        let body = vec![7; 10_000];
        let good = compress(Kind::Partitions, &body).unwrap();
        for cut in 0..good.len() {
            assert!(decompress(Bytes::copy_from_slice(&good[..cut])).is_err());
        }
        for at in 0..5 {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            assert!(decompress(bad.into()).is_err(), "byte {at}");
        }
    }
}
