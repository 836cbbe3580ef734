//! Writing a value: the plain form of its type.

use super::crc64::crc64;
use super::{FOOTER_BYTES, Object, VERSION, kind};

/// What DUMP gives for a value.
#[must_use]
pub fn dump(object: &Object) -> Vec<u8> {
    let mut out = Vec::with_capacity(size_hint(object) + FOOTER_BYTES);
    match object {
        Object::String(bytes) => {
            out.push(kind::STRING);
            put_string(&mut out, bytes);
        }
        Object::List(elements) => put_strings(&mut out, kind::LIST, elements),
        Object::Set(members) => put_strings(&mut out, kind::SET, members),
        Object::Hash(pairs) => {
            out.push(kind::HASH);
            put_length(&mut out, pairs.len());
            for (field, value) in pairs {
                put_string(&mut out, field);
                put_string(&mut out, value);
            }
        }
        Object::SortedSet(members) => {
            out.push(kind::SORTED_SET);
            put_length(&mut out, members.len());
            for (member, score) in members {
                put_string(&mut out, member);
                out.extend_from_slice(&score.to_le_bytes());
            }
        }
    }
    out.extend_from_slice(&VERSION.to_le_bytes());
    let checksum = crc64(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// About how many bytes it takes: enough to seldom move a large value while it grows.
fn size_hint(object: &Object) -> usize {
    const PER_ITEM: usize = 5;
    let sum = |bytes: &[Vec<u8>]| bytes.iter().map(|item| item.len() + PER_ITEM).sum();
    PER_ITEM
        + 1
        + match object {
            Object::String(bytes) => bytes.len(),
            Object::List(items) | Object::Set(items) => sum(items),
            Object::Hash(pairs) => pairs
                .iter()
                .map(|(field, value)| field.len() + value.len() + 2 * PER_ITEM)
                .sum(),
            Object::SortedSet(members) => members
                .iter()
                .map(|(member, _)| member.len() + PER_ITEM + 8)
                .sum(),
        }
}

fn put_strings(out: &mut Vec<u8>, kind: u8, strings: &[Vec<u8>]) {
    out.push(kind);
    put_length(out, strings.len());
    for string in strings {
        put_string(out, string);
    }
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// The number of bits is in the first two; big-endian.
fn put_length(out: &mut Vec<u8>, length: usize) {
    if let Ok(short) = u8::try_from(length)
        && short < 1 << 6
    {
        out.push(short);
    } else if let Ok(middle) = u16::try_from(length)
        && middle < 1 << 14
    {
        out.extend_from_slice(&(middle | 0x4000).to_be_bytes());
    } else if let Ok(long) = u32::try_from(length) {
        out.push(0x80);
        out.extend_from_slice(&long.to_be_bytes());
    } else {
        out.push(0x81);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}
