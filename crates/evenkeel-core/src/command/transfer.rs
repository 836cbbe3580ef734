//! Keys as payloads: DUMP and RESTORE, and what moves a key by them: COPY, RENAME, RENAMENX.
//!
//! A key that moves is read, stored under its new name and only then removed under the old one, and the removal takes
//! away what was read and nothing else: a write that comes in between, on whatever node, is not lost. When the key has
//! changed at its own replica meanwhile, the move begins again.

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::keyspace::Keyspace;
use super::number::integer;
use super::spec::{Conditional, Flag, Group, KeySpec, Round, Run, Spec};
use super::whole::{NoForm, object_of, replace_whole};
use super::{Args, Outcome, ok, reply, syntax_error};
use crate::rdb::{self, RestoreError};
use crate::types::Deadline;

const NEWEST_AT_HOME: &str = "Concurrent writes are all kept; the newest stamp is shown, and the next write replaces \
    all it saw. Decided at the home; two homes under a partition may both decide.";
const MOVES: &str = "Writes the new key as SET does and removes of the old one what it saw: a concurrent write to the \
    old key stays there. Atomic when both keys are in one partition.";

/// How often a move begins again because its key has changed meanwhile. After that the key stays under both names, as
/// if its last change had come after the move.
const MOVES_MAX: usize = 4;

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "dump",
        2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(dump(keys, args))),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "2.6.0",
        "O(N) where N is the size of the value",
        "Return a serialized version of the value stored at the specified key",
    ),
    Spec::new(
        "restore",
        -4,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(restore(keys, args))),
    )
    .in_group(Group::Generic, &["dangerous", "keyspace"])
    .docs(
        "2.6.0",
        "O(N) where N is the size of the value",
        "Create a key using the provided serialized value, previously obtained using DUMP",
    )
    .merges(NEWEST_AT_HOME)
    .conditional(Conditional::Always),
    Spec::new(
        "copy",
        -3,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::TWO,
        Run::Rounds(copy),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "6.2.0",
        "O(N) where N is the size of the value",
        "Copy a key",
    )
    .merges(NEWEST_AT_HOME)
    .conditional(Conditional::Always),
    Spec::new(
        "rename",
        3,
        &[Flag::Write],
        KeySpec::TWO,
        Run::Rounds(rename),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "1.0.0",
        "O(N) where N is the size of the value",
        "Rename a key",
    )
    .merges(MOVES)
    .conditional(Conditional::Always),
    Spec::new(
        "renamenx",
        3,
        &[Flag::Write, Flag::Fast],
        KeySpec::TWO,
        Run::Rounds(renamenx),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "1.0.0",
        "O(N) where N is the size of the value",
        "Rename a key, only if the new key does not exist",
    )
    .merges(MOVES)
    .conditional(Conditional::Always),
    Spec::new(
        "ek.dump",
        2,
        &[Flag::Readonly, Flag::Inner],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(dump_with_deadline(keys, args))),
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(N) where N is the size of the value",
        "A key's payload and deadline; what COPY and RENAME send between nodes",
    ),
    Spec::new(
        "ek.drop",
        3,
        &[Flag::Write, Flag::Inner],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(drop_unchanged(keys, args))),
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(N) where N is the size of the value",
        "Remove a key that still has a payload; what RENAME sends between nodes",
    )
    .merges("Removes what it saw; concurrent writes survive.")
    .conditional(Conditional::Always),
];

/// A key's payload, or null without the key.
fn payload_of(keys: &Keyspace<'_>, key: &[u8]) -> Outcome {
    let object = object_of(keys.view(key)).map_err(no_form)?;
    Ok(object.map_or(Reply::Null, |object| Reply::bulk(rdb::dump(&object))))
}

fn no_form(_: NoForm) -> Reply {
    Reply::error(
        "UNSUPPORTED the type of this value cannot be dumped in this version ; \
         read it with the commands of its type and write it again",
    )
}

fn dump(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    payload_of(keys, args[1])
}

/// The payload and the deadline in milliseconds since the epoch, 0 for none; null without the key.
fn dump_with_deadline(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let payload = payload_of(keys, args[1])?;
    if payload == Reply::Null {
        return Ok(payload);
    }
    let ms = match keys.view(args[1]).deadline() {
        Deadline::NEVER => 0,
        Deadline(ms) => i64::try_from(ms).unwrap_or(i64::MAX),
    };
    Ok(Reply::Array(vec![payload, Reply::Integer(ms)]))
}

/// Removes a key if its payload still ends in this checksum.
fn drop_unchanged(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let Reply::Bulk(payload) = payload_of(keys, args[1])? else {
        return Ok(Reply::Integer(0));
    };
    if !payload.ends_with(args[2]) {
        return Ok(Reply::Integer(0));
    }
    let writes = keys.view(args[1]).removal(args[1]);
    keys.commit(writes)?;
    Ok(Reply::Integer(1))
}

/// How RESTORE is asked to do it.
#[derive(Default)]
struct RestoreOptions {
    replace: bool,
    absolute: bool,
    idle: bool,
    frequency: bool,
}

impl RestoreOptions {
    /// Idle time and frequency are checked and then not kept: nothing here is evicted by them.
    fn parse(args: &[&[u8]]) -> Result<Self, Reply> {
        let mut options = Self::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let is = |name: &str| arg.eq_ignore_ascii_case(name.as_bytes());
            if is("REPLACE") {
                options.replace = true;
            } else if is("ABSTTL") {
                options.absolute = true;
            } else if is("IDLETIME") && !options.frequency {
                let seconds = integer(rest.next().ok_or_else(syntax_error)?)?;
                if seconds < 0 {
                    return Err(Reply::error("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle = true;
            } else if is("FREQ") && !options.idle {
                let frequency = integer(rest.next().ok_or_else(syntax_error)?)?;
                if !(0..=255).contains(&frequency) {
                    let text = "ERR Invalid FREQ value, must be >= 0 and <= 255";
                    return Err(Reply::error(text));
                }
                options.frequency = true;
            } else {
                return Err(syntax_error());
            }
        }
        Ok(options)
    }
}

fn restore(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let key = args[1];
    let options = RestoreOptions::parse(&args[4..])?;
    if !options.replace && keys.view(key).exists() {
        return Err(busy());
    }
    let ttl = integer(args[2])?;
    let ttl =
        u64::try_from(ttl).map_err(|_| Reply::error("ERR Invalid TTL value, must be >= 0"))?;
    let object = rdb::restore(args[3]).map_err(|error| match error {
        RestoreError::Footer => Reply::error("ERR DUMP payload version or checksum are wrong"),
        RestoreError::Format(_) => Reply::error("ERR Bad data format"),
    })?;
    let deadline = match ttl {
        0 => Deadline::NEVER,
        ttl if options.absolute => Deadline(ttl),
        ttl => Deadline(keys.now().wall.0.saturating_add(ttl)),
    };
    let writes = replace_whole(keys, key, object, deadline);
    keys.commit(writes)?;
    Ok(ok())
}

fn busy() -> Reply {
    Reply::error("BUSYKEY Target key name already exists.")
}

fn no_such_key() -> Reply {
    Reply::error("ERR no such key")
}

/// What becomes of a key that is there already under the new name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Replaced,
    Kept,
}

fn call(words: &[&[u8]]) -> Vec<Bytes> {
    words
        .iter()
        .map(|word| Bytes::copy_from_slice(word))
        .collect()
}

/// The call that stores under a new name what `EK.DUMP` gave; `None` when that was no key.
fn store_call(key: &[u8], dumped: &Reply, target: Target) -> Option<Vec<Bytes>> {
    let Reply::Array(parts) = dumped else {
        return None;
    };
    let [Reply::Bulk(payload), Reply::Integer(deadline)] = &parts[..] else {
        return None;
    };
    let mut call = call(&[b"RESTORE", key, deadline.to_string().as_bytes()]);
    call.push(payload.clone());
    call.push(Bytes::from_static(b"ABSTTL"));
    if target == Target::Replaced {
        call.push(Bytes::from_static(b"REPLACE"));
    }
    Some(call)
}

/// The last bytes of a payload, by which it is known again.
fn checksum(dumped: &Reply) -> &[u8] {
    const BYTES: usize = 8;
    match dumped {
        Reply::Array(parts) => match parts.first() {
            Some(Reply::Bulk(payload)) => payload.last_chunk::<BYTES>().map_or(&[], |last| last),
            _ => &[],
        },
        _ => &[],
    }
}

fn is_busy(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(line) if line.as_bytes().starts_with(b"BUSYKEY"))
}

/// What COPY is asked for.
fn copy_target(args: Args<'_>) -> Result<Target, Reply> {
    let mut target = Target::Kept;
    let mut rest = args[3..].iter();
    while let Some(arg) = rest.next() {
        if arg.eq_ignore_ascii_case(b"REPLACE") {
            target = Target::Replaced;
        } else if arg.eq_ignore_ascii_case(b"DB") {
            let index = integer(rest.next().ok_or_else(syntax_error)?)?;
            if index != 0 {
                return Err(Reply::error(
                    "UNSUPPORTED COPY to a database above 0 ; use key prefixes, or one cluster per data set",
                ));
            }
        } else {
            return Err(syntax_error());
        }
    }
    if args[1] == args[2] {
        return Err(Reply::error(
            "ERR source and destination objects are the same",
        ));
    }
    Ok(target)
}

fn copy(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    let target = match copy_target(args) {
        Ok(target) => target,
        Err(error) => return Round::Done(error),
    };
    match answers {
        [] => Round::Calls(vec![call(&[b"EK.DUMP", args[1]])]),
        [dumped] => match (&dumped[0], store_call(args[2], &dumped[0], target)) {
            (_, Some(store)) => Round::Calls(vec![store]),
            (error @ Reply::Error(_), None) => Round::Done(error.clone()),
            (_, None) => Round::Done(Reply::Integer(0)),
        },
        [_, stored, ..] => Round::Done(match &stored[0] {
            reply if is_busy(reply) => Reply::Integer(0),
            error @ Reply::Error(_) => error.clone(),
            _ => Reply::Integer(1),
        }),
    }
}

fn rename(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    moved(args, answers, (Target::Replaced, ok(), ok()))
}

fn renamenx(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    let replies = (Target::Kept, Reply::Integer(1), Reply::Integer(0));
    moved(args, answers, replies)
}

/// Read, store, remove what was read; again when that had changed. Gives `done`, or `same` when both names are one.
fn moved(
    args: Args<'_>,
    answers: &[Vec<Reply>],
    (target, done, same): (Target, Reply, Reply),
) -> Round {
    let read = || Round::Calls(vec![call(&[b"EK.DUMP", args[1]])]);
    let (rounds, rest) = answers.as_chunks::<3>();
    // Once this move has stored the key, it is its own to replace.
    let target = if rounds.is_empty() {
        target
    } else {
        Target::Replaced
    };
    match (rest, rounds) {
        ([], [.., [_, _, dropped]]) if dropped[0] != Reply::Integer(0) => {
            Round::Done(match &dropped[0] {
                error @ Reply::Error(_) => error.clone(),
                _ => done,
            })
        }
        ([], rounds) if rounds.len() >= MOVES_MAX => Round::Done(done),
        ([], _) => read(),
        ([dumped], _) => match (&dumped[0], store_call(args[2], &dumped[0], target)) {
            (_, Some(_)) if args[1] == args[2] => Round::Done(same),
            (_, Some(store)) => Round::Calls(vec![store]),
            (error @ Reply::Error(_), None) => Round::Done(error.clone()),
            // Removed by somebody else after it was stored: the move has happened.
            (_, None) if !rounds.is_empty() => Round::Done(done),
            (_, None) => Round::Done(no_such_key()),
        },
        ([dumped, stored, ..], _) => match &stored[0] {
            reply if is_busy(reply) => Round::Done(Reply::Integer(0)),
            error @ Reply::Error(_) => Round::Done(error.clone()),
            _ => {
                let seen = checksum(&dumped[0]);
                Round::Calls(vec![call(&[b"EK.DROP", args[1], seen])])
            }
        },
    }
}
