//! Reading ziplists and sets of integers: how Redis before 7 stores small collections.
//!
//! A ziplist is its total bytes (4, little-endian), the offset of its last entry (4), the number of entries (2), the
//! entries, 255. An entry is the size of the one before, its own encoding with the length, and the content.

use std::borrow::Cow;

use crate::codec::{DecodeError, Reader};

const WHAT: &str = "ziplist";
const HEADER_BYTES: usize = 10;
const END: u8 = 0xff;
/// The size of the entry before is in the four bytes behind this one.
const LONG_BEFORE: u8 = 0xfe;
/// The count when it does not fit.
const COUNT_UNKNOWN: u16 = u16::MAX;

/// The entries, numbers as text.
pub(super) fn entries(bytes: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, DecodeError> {
    let mut input = Reader::new(bytes);
    let total = u32::from_le_bytes(array(&mut input)?);
    if usize::try_from(total) != Ok(bytes.len()) {
        return Err(input.error(WHAT, "it is not as long as it says"));
    }
    let tail = u32::from_le_bytes(array(&mut input)?);
    let counted = u16::from_le_bytes(array(&mut input)?);
    let mut entries = Vec::new();
    let mut before = 0;
    let mut last = HEADER_BYTES;
    loop {
        let at = bytes.len() - input.remaining();
        let first = input.byte(WHAT)?;
        if first == END {
            break;
        }
        let said = match first {
            LONG_BEFORE => u32::from_le_bytes(array(&mut input)?),
            short => u32::from(short),
        };
        if usize::try_from(said) != Ok(before) {
            return Err(input.error(WHAT, "an entry's size is wrong"));
        }
        entries.push(entry(&mut input)?);
        last = at;
        before = bytes.len() - input.remaining() - at;
    }
    if usize::try_from(tail) != Ok(last) {
        return Err(input.error(WHAT, "the last entry is not where it says"));
    }
    if counted != COUNT_UNKNOWN && usize::from(counted) != entries.len() {
        return Err(input.error(WHAT, "the number of entries is wrong"));
    }
    input.finish(WHAT)?;
    Ok(entries)
}

fn array<const N: usize>(input: &mut Reader<'_>) -> Result<[u8; N], DecodeError> {
    let bytes = input.take(N, WHAT)?;
    bytes
        .try_into()
        .map_err(|_| input.error(WHAT, "the input ends before it"))
}

fn entry<'a>(input: &mut Reader<'a>) -> Result<Cow<'a, [u8]>, DecodeError> {
    let first = input.byte(WHAT)?;
    let number = match first {
        0..=0x3f => return string(input, u32::from(first)),
        0x40..=0x7f => {
            let low = input.byte(WHAT)?;
            let length = u16::from_be_bytes([first & 0x3f, low]);
            return string(input, u32::from(length));
        }
        0x80 => {
            let length = u32::from_be_bytes(array(input)?);
            return string(input, length);
        }
        0xc0 => i64::from(i16::from_le_bytes(array(input)?)),
        0xd0 => i64::from(i32::from_le_bytes(array(input)?)),
        0xe0 => i64::from_le_bytes(array(input)?),
        0xf0 => {
            let [a, b, c] = array(input)?;
            i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)
        }
        0xf1..=0xfd => i64::from(first & 0x0f) - 1,
        0xfe => i64::from(i8::from_le_bytes(array(input)?)),
        _ => return Err(input.error(WHAT, "no such encoding")),
    };
    Ok(Cow::Owned(number.to_string().into_bytes()))
}

fn string<'a>(input: &mut Reader<'a>, length: u32) -> Result<Cow<'a, [u8]>, DecodeError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    input.take(length, WHAT).map(Cow::Borrowed)
}

/// The members of a set of integers, as text: the bytes of one (4), their number (4), the integers.
pub(super) fn integers(bytes: &[u8]) -> Result<Vec<Vec<u8>>, DecodeError> {
    const SET: &str = "set of integers";
    let mut input = Reader::new(bytes);
    let width = u32::from_le_bytes(array(&mut input)?);
    let count = u32::from_le_bytes(array(&mut input)?);
    let width = match width {
        2 | 4 | 8 => usize::try_from(width).unwrap_or(8),
        _ => return Err(input.error(SET, "no such width")),
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count.checked_mul(width) != Some(input.remaining()) {
        return Err(input.error(SET, "it is not as long as it says"));
    }
    let all = input.take(input.remaining(), SET)?;
    let integer = |bytes: &[u8]| -> i64 {
        let mut wide = [0; 8];
        wide[8 - width..].copy_from_slice(bytes);
        i64::from_le_bytes(wide) >> (64 - 8 * width)
    };
    Ok(all
        .chunks_exact(width)
        .map(|bytes| integer(bytes).to_string().into_bytes())
        .collect())
}
