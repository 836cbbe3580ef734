//! The commands on lists that wait until there is something: the rounds of the ones that do not, and what they wait for.

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::several::{FirstOf, parse_first_of, parse_move, round, rpoplpush};
use super::table::{FIRST_OF, MOVED_AT_HOME, ONCE_AT_HOME, list, over};
use super::{Args, End, Kind};
use crate::command::spec::{Conditional, Flag, KeySpec, Round, Run, Spec};
use crate::command::wait::{Blocking, Wait, timeout_ms};

const WAIT: &[Flag] = &[Flag::Write, Flag::Noscript, Flag::Blocking];
const WAIT_GROW: &[Flag] = &[Flag::Write, Flag::Denyoom, Flag::Noscript, Flag::Blocking];

/// This family's part of the table.
pub(in crate::command) const COMMANDS: &[Spec] = &[
    over(
        list(
            "blpop",
            -3,
            WAIT,
            Run::Blocking(Blocking {
                step: |args, answers| blocking_pop(args, answers, End::Left),
                wait: any_key,
                undo: |_, reply| pushed_back(reply, End::Left),
            }),
        ),
        KeySpec::ALL_BUT_LAST,
    )
    .docs(
        "2.0.0",
        "O(N) where N is the number of provided keys.",
        "Remove and get the first element in a list, or block until one is available",
    )
    .merges(ONCE_AT_HOME)
    .conditional(Conditional::Always),
    over(
        list(
            "brpop",
            -3,
            WAIT,
            Run::Blocking(Blocking {
                step: |args, answers| blocking_pop(args, answers, End::Right),
                wait: any_key,
                undo: |_, reply| pushed_back(reply, End::Right),
            }),
        ),
        KeySpec::ALL_BUT_LAST,
    )
    .docs(
        "2.0.0",
        "O(N) where N is the number of provided keys.",
        "Remove and get the last element in a list, or block until one is available",
    )
    .merges(ONCE_AT_HOME)
    .conditional(Conditional::Always),
    over(
        list(
            "blmove",
            6,
            WAIT_GROW,
            Run::Blocking(Blocking {
                step: blmove,
                wait: |args| parse_move(args).and_then(|_| source(args)),
                undo: |_, _| None,
            }),
        ),
        KeySpec::TWO,
    )
    .docs(
        "6.2.0",
        "O(1)",
        "Pop an element from a list, push it to another list and return it; or block until one is available",
    )
    .merges(MOVED_AT_HOME)
    .conditional(Conditional::Always),
    over(
        list(
            "brpoplpush",
            4,
            WAIT_GROW,
            Run::Blocking(Blocking {
                step: brpoplpush,
                wait: source,
                undo: |_, _| None,
            }),
        ),
        KeySpec::TWO,
    )
    .docs(
        "2.2.0",
        "O(1)",
        "Pop an element from a list, push it to another list and return it; or block until one is available",
    )
    .merges(MOVED_AT_HOME)
    .conditional(Conditional::Always),
    over(
        list(
            "blmpop",
            -5,
            &[Flag::Write, Flag::Blocking, Flag::Movablekeys],
            Run::Blocking(Blocking {
                step: blmpop,
                wait: counted_keys,
                undo: |args, reply| pushed_back(reply, parse_first_of(&args[2..]).ok()?.end),
            }),
        ),
        KeySpec::counted(2),
    )
    .docs(
        "7.0.0",
        FIRST_OF,
        "Pop elements from a list, or block until one is available",
    )
    .merges(ONCE_AT_HOME)
    .conditional(Conditional::Always),
];

pub(super) fn blmove(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    round(parse_move(args).and_then(|step| {
        timeout_ms(args[5])?;
        Ok(step.step(answers))
    }))
}

pub(super) fn brpoplpush(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    round(timeout_ms(args[3]).map(|_| rpoplpush(args, answers)))
}

/// What BLMOVE and BRPOPLPUSH wait for: their source.
pub(super) fn source(args: Args<'_>) -> Result<Wait, Reply> {
    Ok(Wait {
        kind: Kind::List,
        keys: 1..2,
        counted_at: None,
        timeout_ms: timeout_ms(args[args.len() - 1])?,
    })
}

/// BLPOP, BRPOP.
pub(super) fn blocking_pop(args: Args<'_>, answers: &[Vec<Reply>], end: End) -> Round {
    let (keys, timeout) = (&args[1..args.len() - 1], args[args.len() - 1]);
    let first = FirstOf {
        keys,
        end,
        count: None,
    };
    round(timeout_ms(timeout).map(|_| first.step(answers)))
}

/// What BLPOP and BRPOP wait for.
pub(super) fn any_key(args: Args<'_>) -> Result<Wait, Reply> {
    let last = args.len() - 1;
    Ok(Wait {
        kind: Kind::List,
        keys: 1..last,
        counted_at: None,
        timeout_ms: timeout_ms(args[last])?,
    })
}

/// BLMPOP. Like Redis it looks at the time-out last.
pub(super) fn blmpop(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    round(parse_first_of(&args[2..]).and_then(|first| {
        timeout_ms(args[1])?;
        Ok(first.step(answers))
    }))
}

/// What BLMPOP waits for.
pub(super) fn counted_keys(args: Args<'_>) -> Result<Wait, Reply> {
    let first = parse_first_of(&args[2..])?;
    Ok(Wait {
        kind: Kind::List,
        keys: 3..3 + first.keys.len(),
        counted_at: Some(2),
        timeout_ms: timeout_ms(args[1])?,
    })
}

/// The push that puts popped elements back to the end that they are from.
fn pushed_back(reply: &Reply, end: End) -> Option<Vec<Bytes>> {
    let Reply::Array(parts) = reply else {
        return None;
    };
    let [Reply::Bulk(key), popped] = &parts[..] else {
        return None;
    };
    let popped = match popped {
        Reply::Array(elements) => &elements[..],
        one => std::slice::from_ref(one),
    };
    // The one popped last goes back first.
    let elements = popped.iter().rev().filter_map(|element| match element {
        Reply::Bulk(bytes) => Some(bytes.clone()),
        _ => None,
    });
    let head = [Bytes::from_static(end.push().as_bytes()), key.clone()];
    Some(head.into_iter().chain(elements).collect())
}
