//! Deadlines of keys.
//!
//! A key's deadline is a register of its own, so EXPIRE neither beats a concurrent SET nor swallows increments.
//! PERSIST sets it to never, which is later than any other (replication.md 5).

use evenkeel_resp::Reply;

use super::keyspace::Keyspace;
use super::number::{integer, not_an_integer};
use super::spec::{Conditional, Flag, Group, KeySpec, Run, Spec};
use super::view::set_deadline;
use super::{Args, Outcome, reply};
use crate::time::Now;
use crate::types::Deadline;

const LATER: &str = "A later EXPIRE or PERSIST that saw this one replaces it; of concurrent ones the later \
    deadline holds.";
const LATER_NEVER: &str = "A later EXPIRE or PERSIST that saw this one replaces it; of concurrent ones the later \
    deadline holds. Never is the latest.";

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "expire",
        -3,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(expire(keys, args))),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs("1.0.0", "O(1)", "Set a key's time to live in seconds")
    .merges(LATER)
    .conditional(Conditional::With(3, &["NX", "XX", "GT", "LT"])),
    Spec::new(
        "pexpire",
        -3,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(pexpire(keys, args))),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs("2.6.0", "O(1)", "Set a key's time to live in milliseconds")
    .merges(LATER)
    .conditional(Conditional::With(3, &["NX", "XX", "GT", "LT"])),
    Spec::new(
        "expireat",
        -3,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(expireat(keys, args))),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "1.2.0",
        "O(1)",
        "Set the expiration for a key as a UNIX timestamp",
    )
    .merges(LATER)
    .conditional(Conditional::With(3, &["NX", "XX", "GT", "LT"])),
    Spec::new(
        "pexpireat",
        -3,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(pexpireat(keys, args))),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "2.6.0",
        "O(1)",
        "Set the expiration for a key as a UNIX timestamp in ms",
    )
    .merges(LATER)
    .conditional(Conditional::With(3, &["NX", "XX", "GT", "LT"])),
    Spec::new(
        "ttl",
        2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(ttl(keys, args))),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs("1.0.0", "O(1)", "Get the time to live for a key in seconds"),
    Spec::new(
        "pttl",
        2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(pttl(keys, args))),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "2.6.0",
        "O(1)",
        "Get the time to live for a key in milliseconds",
    ),
    Spec::new(
        "expiretime",
        2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(expiretime(keys, args))),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "7.0.0",
        "O(1)",
        "Get the expiration Unix timestamp for a key",
    ),
    Spec::new(
        "pexpiretime",
        2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(pexpiretime(keys, args))),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "7.0.0",
        "O(1)",
        "Get the expiration Unix timestamp for a key in ms",
    ),
    Spec::new(
        "persist",
        2,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(persist(keys, args))),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs("2.2.0", "O(1)", "Remove the expiration from a key")
    .merges(LATER_NEVER),
];

/// How a time is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TimeOption {
    /// Seconds from now.
    Ex,
    /// Milliseconds from now.
    Px,
    /// Seconds since the epoch.
    ExAt,
    /// Milliseconds since the epoch.
    PxAt,
}

impl TimeOption {
    pub(super) fn parse(option: &[u8]) -> Option<Self> {
        let options = [
            ("EX", Self::Ex),
            ("PX", Self::Px),
            ("EXAT", Self::ExAt),
            ("PXAT", Self::PxAt),
        ];
        options
            .into_iter()
            .find(|(name, _)| option.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, option)| option)
    }

    /// The milliseconds since the epoch that a number of this kind means; `None` out of range.
    fn absolute(self, number: i64, now: Now) -> Option<i64> {
        let ms = match self {
            Self::Ex | Self::ExAt => number.checked_mul(1000)?,
            Self::Px | Self::PxAt => number,
        };
        match self {
            Self::Ex | Self::Px => ms.checked_add(i64::try_from(now.wall.0).ok()?),
            Self::ExAt | Self::PxAt => Some(ms),
        }
    }
}

/// The deadline that SET and its like are given, which must be a time above 0.
pub(super) fn deadline_after(
    text: &[u8],
    option: TimeOption,
    now: Now,
    command: &str,
) -> Result<Deadline, Reply> {
    let number = integer(text)?;
    let absolute = option.absolute(number, now).filter(|_| number > 0);
    let absolute = absolute.and_then(|ms| u64::try_from(ms).ok());
    absolute.map(Deadline).ok_or_else(|| invalid_time(command))
}

fn invalid_time(command: &str) -> Reply {
    Reply::error(format!("ERR invalid expire time in '{command}' command"))
}

/// When EXPIRE and its like take effect.
#[derive(Default)]
struct Conditions {
    without: bool,
    with: bool,
    later: bool,
    sooner: bool,
}

impl Conditions {
    fn parse(args: &[&[u8]]) -> Result<Self, Reply> {
        let mut conditions = Self::default();
        for arg in args {
            let is = |name: &str| arg.eq_ignore_ascii_case(name.as_bytes());
            if is("NX") {
                conditions.without = true;
            } else if is("XX") {
                conditions.with = true;
            } else if is("GT") {
                conditions.later = true;
            } else if is("LT") {
                conditions.sooner = true;
            } else {
                let mut text = b"ERR Unsupported option ".to_vec();
                text.extend(arg.iter().take_while(|byte| **byte != 0));
                return Err(Reply::error(text));
            }
        }
        let Self {
            without,
            with,
            later,
            sooner,
        } = conditions;
        if without && (with || later || sooner) {
            return Err(Reply::error(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if later && sooner {
            return Err(Reply::error(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(conditions)
    }

    fn hold(&self, current: Deadline, next: Deadline) -> bool {
        let has = current != Deadline::NEVER;
        let refused = (self.without && has)
            || (self.with && !has)
            || (self.later && next <= current)
            || (self.sooner && next >= current);
        !refused
    }
}

fn expire_with(keys: &mut Keyspace<'_>, args: Args<'_>, option: TimeOption, name: &str) -> Outcome {
    let key = args[1];
    let conditions = Conditions::parse(&args[3..])?;
    let number = integer(args[2])?;
    let absolute = option.absolute(number, keys.now());
    let absolute = absolute.ok_or_else(|| invalid_time(name))?;
    // A time before the epoch has passed as surely as its first millisecond.
    let deadline = Deadline(u64::try_from(absolute).unwrap_or(0));
    let view = keys.view(key);
    if !view.exists() || !conditions.hold(view.deadline(), deadline) {
        return Ok(Reply::Integer(0));
    }
    let writes = if deadline.has_passed(view.wall()) {
        view.removal(key)
    } else {
        let mut writes = view.settled(key);
        writes.push(set_deadline(key, deadline));
        writes
    };
    keys.commit(writes)?;
    Ok(Reply::Integer(1))
}

fn expire(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    expire_with(keys, args, TimeOption::Ex, "expire")
}

fn pexpire(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    expire_with(keys, args, TimeOption::Px, "pexpire")
}

fn expireat(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    expire_with(keys, args, TimeOption::ExAt, "expireat")
}

fn pexpireat(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    expire_with(keys, args, TimeOption::PxAt, "pexpireat")
}

fn persist(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let key = args[1];
    let view = keys.view(key);
    if view.deadline() == Deadline::NEVER {
        return Ok(Reply::Integer(0));
    }
    let mut writes = view.settled(key);
    writes.push(set_deadline(key, Deadline::NEVER));
    keys.commit(writes)?;
    Ok(Reply::Integer(1))
}

/// What a key's deadline reads as: -2 without the key, -1 without a deadline.
fn lifetime(keys: &Keyspace<'_>, key: &[u8], render: impl FnOnce(u64) -> u64) -> Outcome {
    let view = keys.view(key);
    if !view.exists() {
        return Ok(Reply::Integer(-2));
    }
    let Deadline(ms) = match view.deadline() {
        Deadline::NEVER => return Ok(Reply::Integer(-1)),
        deadline => deadline,
    };
    let shown = i64::try_from(render(ms));
    shown.map(Reply::Integer).map_err(|_| not_an_integer())
}

const fn rounded_seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1000
}

fn ttl(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let wall = keys.now().wall.0;
    lifetime(keys, args[1], |ms| rounded_seconds(ms.saturating_sub(wall)))
}

fn pttl(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let wall = keys.now().wall.0;
    lifetime(keys, args[1], |ms| ms.saturating_sub(wall))
}

fn expiretime(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    lifetime(keys, args[1], rounded_seconds)
}

fn pexpiretime(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    lifetime(keys, args[1], |ms| ms)
}
