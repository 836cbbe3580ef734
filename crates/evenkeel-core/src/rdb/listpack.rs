//! Reading listpacks: how Redis 7 stores small collections.
//!
//! Total bytes (4, little-endian), number of entries (2), entries, 255. An entry is a number or a string with its
//! length, then the entry's own size backwards.

use std::borrow::Cow;

use crate::codec::{DecodeError, Reader};

const WHAT: &str = "listpack";
const END: u8 = 0xff;
/// The count when it does not fit.
const COUNT_UNKNOWN: u16 = u16::MAX;

/// The entries, numbers as text.
pub(super) fn entries(bytes: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, DecodeError> {
    let mut input = Reader::new(bytes);
    let total = u32::from_le_bytes(array(&mut input)?);
    if usize::try_from(total) != Ok(bytes.len()) {
        return Err(input.error(WHAT, "it is not as long as it says"));
    }
    let counted = u16::from_le_bytes(array(&mut input)?);
    let mut entries = Vec::new();
    loop {
        let before = input.remaining();
        let first = input.byte(WHAT)?;
        if first == END {
            break;
        }
        entries.push(entry(&mut input, first)?);
        let size = before - input.remaining();
        if input.take(size_bytes(size), WHAT)? != backwards(size) {
            return Err(input.error(WHAT, "an entry's size is wrong"));
        }
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

fn entry<'a>(input: &mut Reader<'a>, first: u8) -> Result<Cow<'a, [u8]>, DecodeError> {
    let number = match first {
        0..=0x7f => i64::from(first),
        0x80..=0xbf => return string(input, u32::from(first & 0x3f)),
        0xc0..=0xdf => {
            let low = input.byte(WHAT)?;
            // 13 bits with sign.
            let raw = i16::from_be_bytes([first & 0x1f, low]);
            i64::from(raw << 3 >> 3)
        }
        0xe0..=0xef => {
            let low = input.byte(WHAT)?;
            let length = u16::from_be_bytes([first & 0x0f, low]);
            return string(input, u32::from(length));
        }
        0xf0 => {
            let length = u32::from_le_bytes(array(input)?);
            return string(input, length);
        }
        0xf1 => i64::from(i16::from_le_bytes(array(input)?)),
        0xf2 => {
            let [a, b, c] = array(input)?;
            i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)
        }
        0xf3 => i64::from(i32::from_le_bytes(array(input)?)),
        0xf4 => i64::from_le_bytes(array(input)?),
        _ => return Err(input.error(WHAT, "no such encoding")),
    };
    Ok(Cow::Owned(number.to_string().into_bytes()))
}

fn string<'a>(input: &mut Reader<'a>, length: u32) -> Result<Cow<'a, [u8]>, DecodeError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    input.take(length, WHAT).map(Cow::Borrowed)
}

/// How many bytes an entry's size takes behind it.
const fn size_bytes(size: usize) -> usize {
    match size {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// A size as it stands behind an entry: seven bits a byte, to be read from the end, which has no top bit set before it.
pub(super) fn backwards(size: usize) -> Vec<u8> {
    let groups = size_bytes(size);
    let group = |at: usize| {
        let bits = u8::try_from((size >> (7 * at)) & 0x7f).unwrap_or(0);
        bits | if at + 1 == groups { 0 } else { 0x80 }
    };
    (0..groups).rev().map(group).collect()
}
