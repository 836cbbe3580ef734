//! BITFIELD: integers of any width within a string.

use evenkeel_resp::Reply;

use super::bits::{byte_of, offset};
use super::keyspace::Keyspace;
use super::number::{integer, parse_integer};
use super::spec::{Conditional, Flag, Group, KeySpec, Run, Spec};
use super::string::{check_length, replace, text_of};
use super::{Args, Outcome, reply, syntax_error};
use crate::types::Kind;

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "bitfield",
        -2,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(bitfield(keys, args, Access::ReadWrite))),
    )
    .in_group(Group::Bitmap, &["bitmap"])
    .docs(
        "3.2.0",
        "O(N) where N is the length of the string when it is changed, else O(1) for each subcommand",
        "Perform arbitrary bitfield integer operations on strings",
    )
    .merges("Writes the whole value: of two homes under a partition, the newest is shown.")
    .conditional(Conditional::With(2, &["SET", "INCRBY"])),
    Spec::new(
        "bitfield_ro",
        -2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(bitfield(keys, args, Access::Read))),
    )
    .in_group(Group::Bitmap, &["bitmap"])
    .docs(
        "6.0.0",
        "O(1) for each subcommand specified",
        "Perform arbitrary bitfield integer operations on strings. Read-only variant of BITFIELD",
    ),
];

/// What the command may do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    ReadWrite,
}

/// What a sum or a value that does not fit becomes.
#[derive(Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// Where an integer is, and how it is written there.
#[derive(Clone, Copy)]
struct Field {
    signed: bool,
    bits: u32,
    offset: u64,
}

#[derive(Clone, Copy)]
enum Change {
    Set(i64),
    Add(i64),
}

/// One subcommand.
struct Step {
    field: Field,
    change: Option<(Change, Overflow)>,
}

impl Field {
    fn parse(kind: &[u8], place: &[u8]) -> Result<Self, Reply> {
        let wrong = || {
            Reply::error(
                "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
            )
        };
        let (signed, max, width) = match kind {
            [b'i', width @ ..] => (true, 64, width),
            [b'u', width @ ..] => (false, 63, width),
            _ => return Err(wrong()),
        };
        let bits = parse_integer(width).and_then(|bits| u32::try_from(bits).ok());
        let bits = bits
            .filter(|bits| (1..=max).contains(bits))
            .ok_or_else(wrong)?;
        let offset = offset(place, Some(bits))?;
        Ok(Self {
            signed,
            bits,
            offset,
        })
    }

    /// The integer that a string has here; behind its end are zeros.
    fn read(self, text: &[u8]) -> i128 {
        let first = byte_of(self.offset);
        let mut wide = [0; 16];
        let part = text.get(first..).unwrap_or_default();
        for (into, byte) in wide[..9].iter_mut().zip(part) {
            *into = *byte;
        }
        let raw = u128::from_be_bytes(wide) << (self.offset & 7) >> (128 - self.bits);
        self.extend(raw)
    }

    /// The value of so many bits.
    const fn extend(self, raw: u128) -> i128 {
        let unused = 128 - self.bits;
        if self.signed {
            (raw << unused).cast_signed() >> unused
        } else {
            (raw << unused >> unused).cast_signed()
        }
    }

    /// Writes an integer into a string that is long enough.
    fn write(self, text: &mut [u8], value: i128) {
        let first = byte_of(self.offset);
        let shift = 128 - self.bits - u32::from(self.offset.to_le_bytes()[0] & 7);
        let mask = (u128::MAX >> (128 - self.bits)) << shift;
        let set = (value.cast_unsigned() << shift) & mask;
        let bytes = mask.to_be_bytes().into_iter().zip(set.to_be_bytes());
        for (byte, (mask, set)) in text[first..].iter_mut().zip(bytes) {
            *byte = (*byte & !mask) | set;
        }
    }

    /// The last byte that it reaches into.
    fn last_byte(self) -> usize {
        byte_of(self.offset + u64::from(self.bits) - 1)
    }

    /// A value made to fit; `None` where it must not be made to.
    fn fit(self, value: i128, overflow: Overflow) -> Option<i128> {
        let (min, max) = if self.signed {
            (-1 << (self.bits - 1), (1 << (self.bits - 1)) - 1)
        } else {
            (0, (1 << self.bits) - 1)
        };
        if (min..=max).contains(&value) {
            return Some(value);
        }
        match overflow {
            Overflow::Wrap => Some(self.extend(value.cast_unsigned())),
            Overflow::Saturate => Some(value.clamp(min, max)),
            Overflow::Fail => None,
        }
    }

    /// What a change makes of the old value before it is made to fit. An unsigned field takes the bits of a negative
    /// value for a large one.
    fn changed(self, old: i128, change: Change) -> i128 {
        match change {
            Change::Add(amount) => old + i128::from(amount),
            Change::Set(value) if self.signed => i128::from(value),
            Change::Set(value) => i128::from(value.cast_unsigned()),
        }
    }
}

fn parse(args: &[&[u8]]) -> Result<Vec<Step>, Reply> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut rest = args;
    while let [name, tail @ ..] = rest {
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        rest = match tail {
            [kind, place, tail @ ..] if is("GET") => {
                let field = Field::parse(kind, place)?;
                steps.push(Step {
                    field,
                    change: None,
                });
                tail
            }
            [kind, place, number, tail @ ..] if is("SET") || is("INCRBY") => {
                let field = Field::parse(kind, place)?;
                let number = integer(number)?;
                let change = if is("SET") {
                    Change::Set(number)
                } else {
                    Change::Add(number)
                };
                steps.push(Step {
                    field,
                    change: Some((change, overflow)),
                });
                tail
            }
            [how, tail @ ..] if is("OVERFLOW") => {
                overflow = match how.to_ascii_lowercase().as_slice() {
                    b"wrap" => Overflow::Wrap,
                    b"sat" => Overflow::Saturate,
                    b"fail" => Overflow::Fail,
                    _ => return Err(Reply::error("ERR Invalid OVERFLOW type specified")),
                };
                tail
            }
            _ => return Err(syntax_error()),
        };
    }
    Ok(steps)
}

fn bitfield(keys: &mut Keyspace<'_>, args: Args<'_>, access: Access) -> Outcome {
    let key = args[1];
    let steps = parse(&args[2..])?;
    let writes = steps.iter().filter(|step| step.change.is_some());
    let room = writes.map(|step| step.field.last_byte() + 1).max();
    if room.is_some() && access == Access::Read {
        let text = "ERR BITFIELD_RO only supports the GET subcommand";
        return Err(Reply::error(text));
    }
    let view = keys.view(key).expect(Kind::String)?;
    let mut text = text_of(&view);
    let room = room.filter(|room| *room > text.len());
    if let Some(room) = room {
        check_length(room)?;
        text.to_mut().resize(room, 0);
    }
    let mut changed = false;
    let mut replies = Vec::with_capacity(steps.len());
    for Step { field, change } in steps {
        let old = field.read(&text);
        let Some((change, overflow)) = change else {
            replies.push(number(old));
            continue;
        };
        let Some(new) = field.fit(field.changed(old, change), overflow) else {
            replies.push(Reply::Null);
            continue;
        };
        if new != old {
            field.write(text.to_mut(), new);
        }
        changed |= room.is_some() || new != old;
        replies.push(number(match change {
            Change::Set(_) => old,
            Change::Add(_) => new,
        }));
    }
    if changed {
        let writes = replace(view, key, text.into_owned());
        keys.commit(writes)?;
    }
    Ok(Reply::Array(replies))
}

/// Any value of a field fits.
fn number(value: i128) -> Reply {
    Reply::Integer(super::content::clamp(value))
}
