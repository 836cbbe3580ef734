//! Strings as rows of bits: bit 0 is the highest of the first byte.
//!
//! SETBIT reads, changes and writes the whole value: run at the home.

use std::borrow::Cow;

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::keyspace::Keyspace;
use super::number::{integer, parse_integer};
use super::spec::{Conditional, Flag, Group, KeySpec, Round, Run, Spec};
use super::string::{replace, text_of};
use super::{Args, Outcome, count, reply, syntax_error};
use crate::limits::VALUE_BYTES_MAX;
use crate::types::Kind;

const WHOLE_VALUE: &str =
    "Writes the whole value: of two homes under a partition, the newest is shown.";
const NEWEST: &str = "Concurrent writes are all kept; the newest stamp is shown, and the next write replaces \
    all it saw.";

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "setbit",
        4,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(setbit(keys, args))),
    )
    .in_group(Group::Bitmap, &["bitmap"])
    .docs(
        "2.2.0",
        "O(N) where N is the length of the string",
        "Sets or clears the bit at offset in the string value stored at key",
    )
    .merges(WHOLE_VALUE)
    .conditional(Conditional::Always),
    Spec::new(
        "getbit",
        3,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(getbit(keys, args))),
    )
    .in_group(Group::Bitmap, &["bitmap"])
    .docs(
        "2.2.0",
        "O(1)",
        "Returns the bit value at offset in the string value stored at key",
    ),
    Spec::new(
        "bitcount",
        -2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(bitcount(keys, args))),
    )
    .in_group(Group::Bitmap, &["bitmap"])
    .docs("2.6.0", "O(N)", "Count set bits in a string"),
    Spec::new(
        "bitpos",
        -3,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(bitpos(keys, args))),
    )
    .in_group(Group::Bitmap, &["bitmap"])
    .docs("2.8.7", "O(N)", "Find first bit set or clear in a string"),
    Spec::new(
        "bitop",
        -4,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::FROM_SECOND,
        Run::Rounds(bitop),
    )
    .in_group(Group::Bitmap, &["bitmap"])
    .docs(
        "2.6.0",
        "O(N)",
        "Perform bitwise operations between strings",
    )
    .merges(NEWEST),
];

/// A bit's place, or that of a field so many bits wide: with `#` in front, counted in fields.
pub(super) fn offset(text: &[u8], field_bits: Option<u32>) -> Result<u64, Reply> {
    let parsed = match (text, field_bits) {
        ([b'#', number @ ..], Some(bits)) => {
            parse_integer(number).and_then(|number| number.checked_mul(i64::from(bits)))
        }
        _ => parse_integer(text),
    };
    let offset = parsed.and_then(|offset| u64::try_from(offset).ok());
    offset
        .filter(|offset| offset >> 3 < VALUE_BYTES_MAX as u64)
        .ok_or_else(|| Reply::error("ERR bit offset is not an integer or out of range"))
}

/// The byte that a bit is in. Fits for an [`offset`].
pub(super) fn byte_of(bit: u64) -> usize {
    usize::try_from(bit >> 3).unwrap_or(usize::MAX)
}

fn bit_at(text: &[u8], bit: u64) -> bool {
    let byte = text.get(byte_of(bit)).copied().unwrap_or(0);
    byte & (0x80 >> (bit & 7)) != 0
}

fn setbit(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (key, bit) = (args[1], offset(args[2], None)?);
    let on = match args[3] {
        b"0" => false,
        b"1" => true,
        _ => return Err(Reply::error("ERR bit is not an integer or out of range")),
    };
    let view = keys.view(key).expect(Kind::String)?;
    let text = text_of(&view);
    let before = bit_at(&text, bit);
    let byte = byte_of(bit);
    if before != on || text.len() <= byte {
        let mut text = text.into_owned();
        text.resize(text.len().max(byte + 1), 0);
        let mask = 0x80 >> (bit & 7);
        text[byte] = if on {
            text[byte] | mask
        } else {
            text[byte] & !mask
        };
        let writes = replace(view, key, text);
        keys.commit(writes)?;
    }
    Ok(Reply::Integer(i64::from(before)))
}

fn getbit(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let bit = offset(args[2], None)?;
    let view = keys.view(args[1]).expect(Kind::String)?;
    Ok(Reply::Integer(i64::from(bit_at(&text_of(&view), bit))))
}

/// What the numbers of a range count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(word: &[u8]) -> Result<Self, Reply> {
        if word.eq_ignore_ascii_case(b"BYTE") {
            Ok(Self::Byte)
        } else if word.eq_ignore_ascii_case(b"BIT") {
            Ok(Self::Bit)
        } else {
            Err(syntax_error())
        }
    }

    /// How many of them a string has.
    fn units(self, text: &[u8]) -> i64 {
        let bytes = i64::try_from(text.len()).unwrap_or(i64::MAX);
        match self {
            Self::Byte => bytes,
            Self::Bit => bytes.saturating_mul(8),
        }
    }

    /// The bits from the first one to the last one, as a range without its end; `None` when it is empty.
    fn bits(self, text: &[u8], first: i64, last: i64) -> Option<(u64, u64)> {
        let units = self.units(text);
        let place = |at: i64| {
            if at < 0 {
                units.saturating_add(at).max(0)
            } else {
                at
            }
        };
        let (first, last) = (place(first), place(last).min(units - 1));
        if first > last {
            return None;
        }
        let width = if self == Self::Byte { 8 } else { 1 };
        let bit = |unit: i64| u64::try_from(unit).unwrap_or(0) * width;
        Some((bit(first), bit(last + 1)))
    }
}

fn bitcount(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::String)?;
    if !view.exists() {
        return Ok(Reply::Integer(0));
    }
    let text = text_of(&view);
    let bits = match args[2..] {
        [] => Unit::Byte.bits(&text, 0, -1),
        [first, last, ref unit @ ..] if unit.len() <= 1 => {
            let (first, last) = (integer(first)?, integer(last)?);
            if first < 0 && last < 0 && first > last {
                return Ok(Reply::Integer(0));
            }
            let unit = unit
                .first()
                .map_or(Ok(Unit::Byte), |unit| Unit::parse(unit))?;
            unit.bits(&text, first, last)
        }
        _ => return Err(syntax_error()),
    };
    let Some((from, to)) = bits else {
        return Ok(Reply::Integer(0));
    };
    let set: u64 = masked(&text, from, to)
        .map(|byte| u64::from(byte.count_ones()))
        .sum();
    Ok(Reply::Integer(i64::try_from(set).unwrap_or(i64::MAX)))
}

/// The bytes that a range of bits lies in, with all bits outside of it cleared.
fn masked(text: &[u8], from: u64, to: u64) -> impl Iterator<Item = u8> {
    let (first, last) = (byte_of(from), byte_of(to - 1));
    let (head, tail) = (0xff >> (from & 7), 0xff << (7 - ((to - 1) & 7)));
    let bytes = text.iter().enumerate().take(last + 1).skip(first);
    bytes.map(move |(at, byte)| {
        let mut byte = *byte;
        if at == first {
            byte &= head;
        }
        if at == last {
            byte &= tail;
        }
        byte
    })
}

fn bitpos(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let wanted = match integer(args[2])? {
        0 => false,
        1 => true,
        _ => return Err(Reply::error("ERR The bit argument must be 1 or 0.")),
    };
    let view = keys.view(args[1]).expect(Kind::String)?;
    if !view.exists() {
        return Ok(Reply::Integer(if wanted { -1 } else { 0 }));
    }
    let text = text_of(&view);
    let (bits, open) = match args[3..] {
        [] => (Unit::Byte.bits(&text, 0, -1), true),
        [first] => (Unit::Byte.bits(&text, integer(first)?, -1), true),
        [first, last, ref unit @ ..] if unit.len() <= 1 => {
            let first = integer(first)?;
            let unit = unit
                .first()
                .map_or(Ok(Unit::Byte), |unit| Unit::parse(unit))?;
            (unit.bits(&text, first, integer(last)?), false)
        }
        _ => return Err(syntax_error()),
    };
    let Some((from, to)) = bits else {
        return Ok(Reply::Integer(-1));
    };
    let found = first_bit(&text, (from, to), wanted);
    // Behind an open end there are zeros without end.
    let found = found.or_else(|| (open && !wanted).then_some(to));
    let found = found.and_then(|bit| i64::try_from(bit).ok());
    Ok(Reply::Integer(found.unwrap_or(-1)))
}

/// The first bit of that value in a range that is not empty.
fn first_bit(text: &[u8], (from, to): (u64, u64), wanted: bool) -> Option<u64> {
    let flip = if wanted { 0 } else { 0xff };
    let bytes = text.iter().enumerate().skip(byte_of(from));
    for (at, byte) in bytes.take_while(|(at, _)| *at <= byte_of(to - 1)) {
        let start = at as u64 * 8;
        let mut bits = *byte ^ flip;
        if start < from {
            bits &= 0xff >> (from - start);
        }
        if bits != 0 {
            let bit = start + u64::from(bits.leading_zeros());
            return (bit < to).then_some(bit);
        }
    }
    None
}

/// A bitwise operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    And,
    Or,
    Xor,
    Not,
}

impl Operation {
    fn parse(args: Args<'_>) -> Result<Self, Reply> {
        let names = [
            ("AND", Self::And),
            ("OR", Self::Or),
            ("XOR", Self::Xor),
            ("NOT", Self::Not),
        ];
        let is = |name: &str| args[1].eq_ignore_ascii_case(name.as_bytes());
        let found = names.into_iter().find(|(name, _)| is(name));
        let (_, operation) = found.ok_or_else(syntax_error)?;
        if operation == Self::Not && args.len() != 4 {
            let text = "ERR BITOP NOT must be called with a single source key.";
            return Err(Reply::error(text));
        }
        Ok(operation)
    }

    /// All strings are as long as the longest, with zeros behind.
    fn of(self, strings: &[Cow<'_, [u8]>]) -> Vec<u8> {
        let longest = strings.iter().map(|string| string.len()).max();
        let Some((first, rest)) = strings.split_first() else {
            return Vec::new();
        };
        let mut result = first.to_vec();
        result.resize(longest.unwrap_or(0), 0);
        for string in rest {
            let padded = string.iter().copied().chain(std::iter::repeat(0));
            for (byte, other) in result.iter_mut().zip(padded) {
                match self {
                    Self::And => *byte &= other,
                    Self::Or => *byte |= other,
                    Self::Xor => *byte ^= other,
                    Self::Not => {}
                }
            }
        }
        if self == Self::Not {
            result.iter_mut().for_each(|byte| *byte = !*byte);
        }
        result
    }
}

/// Reads the sources, then writes or removes the target.
fn bitop(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    let operation = match Operation::parse(args) {
        Ok(operation) => operation,
        Err(error) => return Round::Done(error),
    };
    let call = |words: &[&[u8]]| {
        words
            .iter()
            .map(|word| Bytes::copy_from_slice(word))
            .collect()
    };
    match answers {
        [] => Round::Calls(args[3..].iter().map(|key| call(&[b"GET", key])).collect()),
        [read, stored @ ..] => {
            let mut strings = Vec::with_capacity(read.len());
            for reply in read {
                match reply {
                    Reply::Bulk(text) => strings.push(Cow::Borrowed(&text[..])),
                    Reply::Error(_) => return Round::Done(reply.clone()),
                    _ => strings.push(Cow::Borrowed(&b""[..])),
                }
            }
            if let [stored, ..] = stored {
                let length = strings.iter().map(|string| string.len()).max();
                return Round::Done(match &stored[0] {
                    error @ Reply::Error(_) => error.clone(),
                    _ => count(length.unwrap_or(0)),
                });
            }
            let result = operation.of(&strings);
            Round::Calls(vec![if result.is_empty() {
                // A collection without elements is no key.
                call(&[b"EK.STORE", args[2], b"SET"])
            } else {
                let mut set: Vec<Bytes> = call(&[b"SET", args[2]]);
                set.push(result.into());
                set
            }])
        }
    }
}
