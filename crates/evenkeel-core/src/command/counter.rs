//! Counters: strings that are added to.
//!
//! Whole numbers are exact. Floats have 64 bits where Redis has 80: from 2^53 on a fraction may be lost.
//! An increment is an event of its own that adds to the chain of this replica, so concurrent ones add up. The reply
//! is the value as merged here.

use evenkeel_resp::Reply;

use super::content::{Content, clamp};
use super::keyspace::Keyspace;
use super::number::{float, integer, not_an_integer, parse_integer};
use super::spec::{Flag, Group, KeySpec, Run, Spec};
use super::string::bulk;
use super::view::View;
use super::{Args, Outcome, reply};
use crate::partition::Write;
use crate::types::{CellId, Kind, Total};

const ADDS_UP: &str =
    "Concurrent increments add up; a write or removal takes away those that it saw.";

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "incr",
        2,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(incr(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "1.0.0",
        "O(1)",
        "Increment the integer value of a key by one",
    )
    .merges(ADDS_UP),
    Spec::new(
        "incrby",
        3,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(incrby(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "1.0.0",
        "O(1)",
        "Increment the integer value of a key by the given amount",
    )
    .merges(ADDS_UP),
    Spec::new(
        "decr",
        2,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(decr(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "1.0.0",
        "O(1)",
        "Decrement the integer value of a key by one",
    )
    .merges(ADDS_UP),
    Spec::new(
        "decrby",
        3,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(decrby(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "1.0.0",
        "O(1)",
        "Decrement the integer value of a key by the given number",
    )
    .merges(ADDS_UP),
    Spec::new(
        "incrbyfloat",
        3,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(incrbyfloat(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "2.6.0",
        "O(1)",
        "Increment the float value of a key by the given amount",
    )
    .merges(ADDS_UP),
];

/// A number within a key: the cell, and the errors for what is no number there.
#[derive(Clone, Copy)]
pub(super) struct Counter<'a> {
    pub(super) key: &'a [u8],
    pub(super) kind: Kind,
    pub(super) field: &'a [u8],
}

impl Counter<'_> {
    fn content<'v>(self, view: &View<'v>) -> Option<Content<'v>> {
        view.content(self.kind, self.field)
    }

    /// Adds a whole number; gives the sum.
    pub(super) fn add(self, keys: &mut Keyspace<'_>, amount: i64) -> Outcome {
        let view = keys.view(self.key).expect(self.kind)?;
        let value = match self.content(&view) {
            Some(content) => content.integer().ok_or_else(|| self.not_an_integer())?,
            None if is_sketch(&view) => return Err(self.not_an_integer()),
            None => 0,
        };
        // What is shown must not overflow; behind a clamped value the true sum goes on.
        if clamp(value).checked_add(amount).is_none() {
            return Err(Reply::error("ERR increment or decrement would overflow"));
        }
        self.write(keys, Total::Int(amount.into()))?;
        Ok(Reply::Integer(clamp(value + i128::from(amount))))
    }

    /// Adds a float; gives the sum as it is shown.
    pub(super) fn add_float(self, keys: &mut Keyspace<'_>, amount: &[u8]) -> Outcome {
        if self.kind == Kind::String {
            // Redis looks at the value first here, and at the amount first in a hash.
            self.float_value(keys)?;
        }
        // A whole number may have more digits than a float.
        let exact = parse_integer(amount);
        let amount = float(amount)?;
        if self.kind == Kind::Hash && amount.is_infinite() {
            return Err(Reply::error("ERR value is NaN or Infinity"));
        }
        let value = self.float_value(keys)?;
        if !(value + amount).is_finite() {
            return Err(Reply::error("ERR increment would produce NaN or Infinity"));
        }
        let whole = exact.or_else(|| whole(amount));
        let whole = whole.filter(|amount| self.stays_whole(keys, *amount));
        // Whole numbers add up exactly.
        self.write(
            keys,
            whole.map_or(Total::Float(amount), |n| Total::Int(n.into())),
        )?;
        let view = keys.view(self.key);
        let shown = self.content(&view).map(|content| bulk(content.text()));
        Ok(shown.unwrap_or(Reply::Null))
    }

    /// Whether the value is a whole number, and still one of 64 bits with `amount` added.
    fn stays_whole(self, keys: &Keyspace<'_>, amount: i64) -> bool {
        let content = self.content(&keys.view(self.key));
        let value = content.map_or(Some(0), |content| content.integer());
        value.is_some_and(|value| i64::try_from(value + i128::from(amount)).is_ok())
    }

    fn float_value(self, keys: &Keyspace<'_>) -> Result<f64, Reply> {
        let view = keys.view(self.key).expect(self.kind)?;
        let Some(content) = self.content(&view) else {
            return if is_sketch(&view) {
                Err(self.not_a_float())
            } else {
                Ok(0.0)
            };
        };
        content.float().ok_or_else(|| self.not_a_float())
    }

    fn write(self, keys: &mut Keyspace<'_>, amount: Total) -> Result<(), Reply> {
        let view = keys.view(self.key);
        let mut writes = view.ground(self.key, self.kind);
        writes.push(Write::Add {
            cell: CellId::new(self.key, self.kind, self.field),
            amount,
            deadline: view.deadline(),
        });
        keys.commit(writes)
    }

    fn not_an_integer(self) -> Reply {
        match self.kind {
            Kind::Hash => Reply::error("ERR hash value is not an integer"),
            _ => not_an_integer(),
        }
    }

    fn not_a_float(self) -> Reply {
        Reply::error(match self.kind {
            Kind::Hash => "ERR hash value is not a float",
            _ => "ERR value is not a valid float",
        })
    }
}

/// Whether a key shows a HyperLogLog: a string to clients, but no number.
fn is_sketch(view: &View<'_>) -> bool {
    view.kind() == Some(Kind::HyperLogLog)
}

/// A float as the whole number that it is, where floats hold each of them exactly.
fn whole(amount: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if amount.abs() > EXACT || amount.fract() != 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "integral and at most 2^53")]
    Some(amount as i64)
}

const fn string(key: &[u8]) -> Counter<'_> {
    Counter {
        key,
        kind: Kind::String,
        field: b"",
    }
}

fn incr(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    string(args[1]).add(keys, 1)
}

fn decr(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    string(args[1]).add(keys, -1)
}

fn incrby(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    string(args[1]).add(keys, integer(args[2])?)
}

fn decrby(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let amount = integer(args[2])?.checked_neg();
    let amount = amount.ok_or_else(|| Reply::error("ERR decrement would overflow"))?;
    string(args[1]).add(keys, amount)
}

fn incrbyfloat(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    string(args[1]).add_float(keys, args[2])
}
