//! The commands on sorted sets that wait until there is something: the rounds of the ones that do not, and what they
//! wait for.

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::pop::{PopRequest, zmpop};
use super::tables::POPS;
use crate::command::Args;
use crate::command::algebra::{Answers, call, done, only};
use crate::command::spec::{Conditional, Flag, Group, KeySpec, Round, Run, Spec};
use crate::command::wait::{Blocking, Wait, timeout_ms};
use crate::types::Kind;

const fn waiting(
    name: &'static str,
    flags: &'static [Flag],
    keys: KeySpec,
    blocking: Blocking,
) -> Spec {
    let arity = if keys.counted_at > 0 { -5 } else { -3 };
    Spec::new(name, arity, flags, keys, Run::Blocking(blocking))
        .in_group(Group::SortedSet, &["sortedset"])
        .merges(POPS)
        .conditional(Conditional::Always)
}

const POP: &[Flag] = &[Flag::Write, Flag::Noscript, Flag::Fast, Flag::Blocking];

/// This family's part of the table.
pub(in crate::command) const COMMANDS: &[Spec] = &[
    waiting(
        "bzpopmin",
        POP,
        KeySpec::ALL_BUT_LAST,
        Blocking {
            step: |args, answers| pop(args, answers, b"ZPOPMIN"),
            wait: any_key,
            undo: |_, reply| added_back(reply),
        },
    )
    .docs(
        "5.0.0",
        "O(log(N)) with N being the number of elements in the sorted set.",
        "Remove and return the member with the lowest score from one or more sorted sets, or block until one is available",
    ),
    waiting(
        "bzpopmax",
        POP,
        KeySpec::ALL_BUT_LAST,
        Blocking {
            step: |args, answers| pop(args, answers, b"ZPOPMAX"),
            wait: any_key,
            undo: |_, reply| added_back(reply),
        },
    )
    .docs(
        "5.0.0",
        "O(log(N)) with N being the number of elements in the sorted set.",
        "Remove and return the member with the highest score from one or more sorted sets, or block until one is available",
    ),
    waiting(
        "bzmpop",
        &[Flag::Write, Flag::Blocking, Flag::Movablekeys],
        KeySpec::counted(2),
        Blocking {
            step: bzmpop,
            wait: counted_keys,
            undo: |_, reply| added_back(reply),
        },
    )
    .docs(
        "7.0.0",
        "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.",
        "Remove and return members with scores in a sorted set or block until one is available",
    ),
];

/// BZPOPMIN, BZPOPMAX: the first of the keys that has something.
fn pop(args: Args<'_>, answers: Answers<'_>, command: &[u8]) -> Round {
    let (keys, timeout) = (&args[1..args.len() - 1], args[args.len() - 1]);
    let step = || {
        timeout_ms(timeout)?;
        match answers.last().map(|last| only(last)) {
            Some(Reply::Array(popped)) if !popped.is_empty() => {
                let key = Reply::bulk(keys[answers.len() - 1].to_vec());
                let reply = std::iter::once(key).chain(popped).collect();
                return Ok(Round::Done(Reply::Array(reply)));
            }
            Some(error @ Reply::Error(_)) => return Err(error),
            _ => {}
        }
        Ok(match keys.get(answers.len()) {
            Some(key) => Round::Calls(vec![call(&[command, key])]),
            None => Round::Done(Reply::NullArray),
        })
    };
    done(step())
}

fn any_key(args: Args<'_>) -> Result<Wait, Reply> {
    let last = args.len() - 1;
    Ok(Wait {
        kind: Kind::SortedSet,
        keys: 1..last,
        counted_at: None,
        timeout_ms: timeout_ms(args[last])?,
    })
}

/// BZMPOP. Like Redis it looks at the time-out last.
fn bzmpop(args: Args<'_>, answers: Answers<'_>) -> Round {
    match counted_keys(args) {
        Ok(_) => zmpop(&args[1..], answers),
        Err(error) => Round::Done(error),
    }
}

fn counted_keys(args: Args<'_>) -> Result<Wait, Reply> {
    let request = PopRequest::parse(&args[2..])?;
    Ok(Wait {
        kind: Kind::SortedSet,
        keys: 3..3 + request.keys.len(),
        counted_at: Some(2),
        timeout_ms: timeout_ms(args[1])?,
    })
}

/// The ZADD that puts popped members back with the scores that they had.
fn added_back(reply: &Reply) -> Option<Vec<Bytes>> {
    let Reply::Array(parts) = reply else {
        return None;
    };
    let (key, pairs): (&Reply, Vec<(&Reply, &Reply)>) = match &parts[..] {
        [key, member, score] => (key, vec![(member, score)]),
        [key, Reply::Array(pairs)] => (key, pairs.iter().filter_map(pair_of).collect()),
        _ => return None,
    };
    let text = |reply: &Reply| match reply {
        Reply::Bulk(bytes) => Some(bytes.clone()),
        Reply::Double(score) => Some(Bytes::from(score.to_string())),
        _ => None,
    };
    let mut command = vec![Bytes::from_static(b"ZADD"), text(key)?];
    for (member, score) in pairs {
        command.extend([text(score)?, text(member)?]);
    }
    Some(command)
}

fn pair_of(reply: &Reply) -> Option<(&Reply, &Reply)> {
    match reply {
        Reply::Array(pair) => Some((pair.first()?, pair.get(1)?)),
        _ => None,
    }
}
