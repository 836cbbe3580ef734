//! Strings.
//!
//! One cell per key. SET writes the cell and, in the same batch, sets or removes the key's deadline register.
//! APPEND and SETRANGE read, change and write the whole value: run at the home.

use std::borrow::Cow;

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::expire::{TimeOption, deadline_after};
use super::hyperloglog;
use super::keyspace::{Keyspace, Writes};
use super::number::integer;
use super::spec::{Conditional, Flag, Fold, Group, KeySpec, Round, Run, Spec, wrong_arity};
use super::view::{View, set_deadline};
use super::{Args, Outcome, count, ok, reply, syntax_error};
use crate::limits::VALUE_BYTES_MAX;
use crate::observation::Observation;
use crate::partition::Write;
use crate::types::{CellId, Deadline, Kind, Range};

const NEWEST: &str = "Concurrent writes are all kept; the newest stamp is shown, and the next write replaces \
    all it saw.";
const NEWEST_AT_HOME: &str = "Concurrent writes are all kept; the newest stamp is shown, and the next write replaces \
    all it saw. Decided at the home; two homes under a partition may both decide.";
const OBSERVED: &str = "Removes what it saw; concurrent writes survive.";
const LATER: &str = "A later EXPIRE or PERSIST that saw this one replaces it; of concurrent ones the later \
    deadline holds.";
const NEWEST_EACH: &str = "Concurrent writes are all kept; the newest stamp is shown, and the next write replaces \
    all it saw. Atomic within a partition, not across.";
const WHOLE_VALUE: &str =
    "Writes the whole value: of two homes under a partition, the newest is shown.";

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "get",
        2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(get(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs("1.0.0", "O(1)", "Get the value of a key"),
    Spec::new(
        "set",
        -3,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(set(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs("1.0.0", "O(1)", "Set the string value of a key")
    .merges(NEWEST)
    .conditional(Conditional::With(3, &["NX", "XX", "GET"])),
    Spec::new(
        "setnx",
        3,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(setnx(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "1.0.0",
        "O(1)",
        "Set the value of a key, only if the key does not exist",
    )
    .merges(NEWEST_AT_HOME)
    .conditional(Conditional::Always),
    Spec::new(
        "setex",
        4,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(setex(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs("2.0.0", "O(1)", "Set the value and expiration of a key")
    .merges(NEWEST),
    Spec::new(
        "psetex",
        4,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(psetex(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "2.6.0",
        "O(1)",
        "Set the value and expiration in milliseconds of a key",
    )
    .merges(NEWEST),
    Spec::new(
        "getset",
        3,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(getset(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "1.0.0",
        "O(1)",
        "Set the string value of a key and return its old value",
    )
    .merges(NEWEST_AT_HOME)
    .conditional(Conditional::Always),
    Spec::new(
        "getdel",
        2,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(getdel(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs("6.2.0", "O(1)", "Get the value of a key and delete the key")
    .merges(OBSERVED)
    .conditional(Conditional::Always),
    Spec::new(
        "getex",
        -2,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(getex(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "6.2.0",
        "O(1)",
        "Get the value of a key and optionally set its expiration",
    )
    .merges(LATER),
    Spec::new(
        "mget",
        -2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ALL,
        Run::OnEachKey {
            each: |keys, args| reply(mget(keys, args)),
            fold: Fold::Array,
        },
    )
    .in_group(Group::String, &["string"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of keys to retrieve",
        "Get the values of all the given keys",
    ),
    Spec::new(
        "mset",
        -3,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::PAIRS,
        Run::OnEachKey {
            each: |keys, args| reply(mset(keys, args)),
            fold: Fold::Ok,
        },
    )
    .in_group(Group::String, &["string"])
    .docs(
        "1.0.1",
        "O(N) where N is the number of keys to set",
        "Set multiple keys to multiple values",
    )
    .merges(NEWEST_EACH),
    Spec::new(
        "msetnx",
        -3,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::PAIRS,
        Run::Rounds(msetnx),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "1.0.1",
        "O(N) where N is the number of keys to set",
        "Set multiple keys to multiple values, only if none of the keys exist",
    )
    .merges(NEWEST_EACH)
    .conditional(Conditional::Always),
    Spec::new(
        "strlen",
        2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(strlen(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "2.2.0",
        "O(1)",
        "Get the length of the value stored in a key",
    ),
    Spec::new(
        "append",
        3,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(append(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs("2.0.0", "O(1)", "Append a value to a key")
    .merges(WHOLE_VALUE)
    .conditional(Conditional::Always),
    Spec::new(
        "setrange",
        4,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(setrange(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "2.2.0",
        "O(N) where N is the length of the string",
        "Overwrite part of a string from an offset on",
    )
    .merges(WHOLE_VALUE)
    .conditional(Conditional::Always),
    Spec::new(
        "getrange",
        4,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(getrange(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "2.4.0",
        "O(N) where N is the length of the returned string",
        "Get a substring of the string stored at a key",
    ),
    Spec::new(
        "substr",
        4,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(getrange(keys, args))),
    )
    .in_group(Group::String, &["string"])
    .docs(
        "1.0.0",
        "O(N) where N is the length of the returned string",
        "Get a substring of the string stored at a key",
    ),
];

/// A value as a bulk string.
pub(super) fn bulk(text: Cow<'_, [u8]>) -> Reply {
    Reply::Bulk(match text {
        Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
        Cow::Owned(bytes) => bytes.into(),
    })
}

/// What GET replies.
fn read(keys: &mut Keyspace<'_>, key: &[u8]) -> Outcome {
    let view = keys.view(key).expect(Kind::String)?;
    let Some(content) = view.content(Kind::String, b"") else {
        return Ok(match view.kind() {
            Some(_) => bulk(text_of(&view)),
            None => Reply::Null,
        });
    };
    let clamped = content.is_clamped();
    let found = bulk(content.text());
    if clamped {
        keys.observe(Observation::CounterClamped);
    }
    Ok(found)
}

/// What a string key shows; empty when there is none. A sketch is a string.
pub(super) fn text_of<'a>(view: &View<'a>) -> Cow<'a, [u8]> {
    if view.kind() == Some(Kind::HyperLogLog) {
        return Cow::Owned(hyperloglog::text(view));
    }
    let content = view.content(Kind::String, b"");
    content.map_or(Cow::Borrowed(b""), |content| content.text())
}

/// How long a written value lives.
pub(super) enum Lifetime {
    Unlimited,
    AsBefore,
    Until(Deadline),
}

/// Writes a string over whatever the key held.
pub(super) fn overwrite(view: View<'_>, key: &[u8], value: &[u8], lifetime: Lifetime) -> Writes {
    let deadline = match lifetime {
        Lifetime::Unlimited => Deadline::NEVER,
        Lifetime::AsBefore => view.deadline(),
        Lifetime::Until(deadline) if deadline.has_passed(view.wall()) => return view.removal(key),
        Lifetime::Until(deadline) => deadline,
    };
    let mut writes = Writes::new();
    let clears = view.holds_others(Kind::String);
    if clears {
        writes.push(Write::Clear {
            range: Range::Key(key.into()),
        });
    }
    writes.push(Write::Set {
        cell: CellId::string(key),
        value: value.into(),
        deadline,
    });
    let keeps = matches!(lifetime, Lifetime::AsBefore) && view.exists();
    if matches!(lifetime, Lifetime::Until(_)) || (keeps && clears && deadline != Deadline::NEVER) {
        writes.push(set_deadline(key, deadline));
    } else if !keeps && !clears {
        writes.extend(view.register_removal(key));
    }
    writes
}

/// Writes a string in the place of the one that is seen; its deadline stays.
pub(super) fn replace(view: View<'_>, key: &[u8], value: Vec<u8>) -> Writes {
    let mut writes = view.ground(key, Kind::String);
    writes.push(Write::Set {
        cell: CellId::string(key),
        value: value.into(),
        deadline: view.deadline(),
    });
    writes
}

fn get(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    read(keys, args[1])
}

fn mget(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    Ok(read(keys, args[1]).unwrap_or(Reply::Null))
}

fn strlen(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::String)?;
    Ok(count(text_of(&view).len()))
}

/// The options behind a value (SET) or a key (GETEX).
#[derive(Default)]
struct Options<'a> {
    absent: bool,
    present: bool,
    get: bool,
    keep: bool,
    persist: bool,
    time: Option<(TimeOption, &'a [u8])>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OptionsOf {
    Set,
    Getex,
}

impl<'a> Options<'a> {
    fn parse(of: OptionsOf, args: &[&'a [u8]]) -> Result<Self, Reply> {
        let mut options = Self::default();
        let set = of == OptionsOf::Set;
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let is = |name: &str| arg.eq_ignore_ascii_case(name.as_bytes());
            if set && is("NX") && !options.present {
                options.absent = true;
            } else if set && is("XX") && !options.absent {
                options.present = true;
            } else if set && is("GET") {
                options.get = true;
            } else if set && is("KEEPTTL") && options.time.is_none() {
                options.keep = true;
            } else if !set && is("PERSIST") && options.time.is_none() {
                options.persist = true;
            } else {
                let time = TimeOption::parse(arg).ok_or_else(syntax_error)?;
                let other = options.time.is_some_and(|(before, _)| before != time);
                let value = rest.next().filter(|_| !options.keep && !options.persist);
                let value = value.filter(|_| !other).ok_or_else(syntax_error)?;
                options.time = Some((time, value));
            }
        }
        Ok(options)
    }
}

fn set(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (key, value) = (args[1], args[2]);
    let options = Options::parse(OptionsOf::Set, &args[3..])?;
    let lifetime = match options.time {
        Some((time, text)) => Lifetime::Until(deadline_after(text, time, keys.now(), "set")?),
        None if options.keep => Lifetime::AsBefore,
        None => Lifetime::Unlimited,
    };
    let before = if options.get {
        Some(read(keys, key)?)
    } else {
        None
    };
    let view = keys.view(key);
    let refused = (options.absent && view.exists()) || (options.present && !view.exists());
    if !refused {
        let writes = overwrite(view, key, value, lifetime);
        keys.commit(writes)?;
    }
    Ok(before.unwrap_or_else(|| if refused { Reply::Null } else { ok() }))
}

fn setnx(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]);
    if view.exists() {
        return Ok(Reply::Integer(0));
    }
    let writes = overwrite(view, args[1], args[2], Lifetime::Unlimited);
    keys.commit(writes)?;
    Ok(Reply::Integer(1))
}

fn setex(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    set_until(keys, args, TimeOption::Ex, "setex")
}

fn psetex(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    set_until(keys, args, TimeOption::Px, "psetex")
}

fn set_until(keys: &mut Keyspace<'_>, args: Args<'_>, time: TimeOption, name: &str) -> Outcome {
    let deadline = deadline_after(args[2], time, keys.now(), name)?;
    let view = keys.view(args[1]);
    let writes = overwrite(view, args[1], args[3], Lifetime::Until(deadline));
    keys.commit(writes)?;
    Ok(ok())
}

fn getset(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let before = read(keys, args[1])?;
    let writes = overwrite(keys.view(args[1]), args[1], args[2], Lifetime::Unlimited);
    keys.commit(writes)?;
    Ok(before)
}

fn getdel(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let before = read(keys, args[1])?;
    if before != Reply::Null {
        let writes = keys.view(args[1]).removal(args[1]);
        keys.commit(writes)?;
    }
    Ok(before)
}

fn getex(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let key = args[1];
    let options = Options::parse(OptionsOf::Getex, &args[2..])?;
    let before = read(keys, key)?;
    if before == Reply::Null {
        return Ok(before);
    }
    let deadline = match options.time {
        Some((time, text)) => deadline_after(text, time, keys.now(), "getex")?,
        None if options.persist && keys.view(key).deadline() != Deadline::NEVER => Deadline::NEVER,
        None => return Ok(before),
    };
    let view = keys.view(key);
    let writes = if deadline.has_passed(view.wall()) {
        view.removal(key)
    } else {
        let mut writes = view.settled(key);
        writes.push(set_deadline(key, deadline));
        writes
    };
    keys.commit(writes)?;
    Ok(before)
}

fn mset(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let writes = overwrite(keys.view(args[1]), args[1], args[2], Lifetime::Unlimited);
    keys.commit(writes)?;
    Ok(ok())
}

/// Asks for every key, then sets all of them when there was none.
fn msetnx(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    if args.len().is_multiple_of(2) {
        return Round::Done(wrong_arity("msetnx"));
    }
    let pairs = args[1..].chunks_exact(2);
    let call = |words: &[&[u8]]| {
        words
            .iter()
            .map(|word| Bytes::copy_from_slice(word))
            .collect()
    };
    match answers {
        [] => Round::Calls(pairs.map(|pair| call(&[b"TYPE", pair[0]])).collect()),
        [types] => match types.iter().find(|reply| **reply != Reply::simple("none")) {
            None => Round::Calls(
                pairs
                    .map(|pair| call(&[b"SET", pair[0], pair[1]]))
                    .collect(),
            ),
            Some(error @ Reply::Error(_)) => Round::Done(error.clone()),
            Some(_) => Round::Done(Reply::Integer(0)),
        },
        [_, set, ..] => {
            let failed = set.iter().find(|reply| matches!(reply, Reply::Error(_)));
            Round::Done(failed.map_or(Reply::Integer(1), Reply::clone))
        }
    }
}

fn append(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (key, suffix) = (args[1], args[2]);
    let view = keys.view(key).expect(Kind::String)?;
    let mut text = text_of(&view).into_owned();
    check_length(text.len() + suffix.len())?;
    text.extend_from_slice(suffix);
    let length = text.len();
    if !(suffix.is_empty() && view.exists()) {
        let writes = replace(view, key, text);
        keys.commit(writes)?;
    }
    Ok(count(length))
}

fn setrange(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (key, patch) = (args[1], args[3]);
    let offset = integer(args[2])?;
    let offset = usize::try_from(offset).map_err(|_| Reply::error("ERR offset is out of range"))?;
    let view = keys.view(key).expect(Kind::String)?;
    if patch.is_empty() {
        return Ok(count(text_of(&view).len()));
    }
    let end = offset.saturating_add(patch.len());
    check_length(end)?;
    let mut text = text_of(&view).into_owned();
    text.resize(text.len().max(end), 0);
    text[offset..end].copy_from_slice(patch);
    let length = text.len();
    let writes = replace(view, key, text);
    keys.commit(writes)?;
    Ok(count(length))
}

pub(super) fn check_length(length: usize) -> Result<(), Reply> {
    if length > VALUE_BYTES_MAX {
        return Err(Reply::error(
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        ));
    }
    Ok(())
}

fn getrange(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (first, last) = (integer(args[2])?, integer(args[3])?);
    let view = keys.view(args[1]).expect(Kind::String)?;
    let text = text_of(&view);
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    // A position counts from the end when it is negative; one before the start is the start.
    let place = |at: i64| {
        if at < 0 {
            length.saturating_add(at).max(0)
        } else {
            at
        }
    };
    let reversed = first < 0 && last < 0 && first > last;
    let (from, to) = (place(first), place(last).min(length - 1));
    if reversed || from > to {
        return Ok(Reply::bulk(&b""[..]));
    }
    let index = |at: i64| usize::try_from(at).unwrap_or(0);
    let part = &text[index(from)..=index(to)];
    Ok(Reply::Bulk(Bytes::copy_from_slice(part)))
}
