//! Sets combined with each other, wherever their keys live: in rounds of commands on one key each.
//!
//! What travels follows the smaller sets: an intersection asks the others about the members of the smallest, a
//! difference asks sets larger than the first about what is left of it. Only a union needs all.

use std::collections::BTreeSet;

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::number::{parse_integer, positive};
use super::spec::{Conditional, Flag, Group, KeySpec, Round, Run, Spec};
use super::{Args, count, syntax_error};

const STORED: &str = "Replaces what it saw of the destination; members added there meanwhile stay.";
const INTER: &str =
    "O(N*M) where N is the cardinality of the smallest set and M is the number of sets";
const ALL_MEMBERS: &str = "O(N) where N is the number of members in all sets";

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    reading("sinter", Run::Rounds(|args, answers| shown(inter, args, answers)))
        .docs("1.0.0", INTER, "Intersect multiple sets"),
    reading("sunion", Run::Rounds(|args, answers| shown(union, args, answers)))
        .docs("1.0.0", ALL_MEMBERS, "Add multiple sets"),
    reading("sdiff", Run::Rounds(|args, answers| shown(difference, args, answers)))
        .docs("1.0.0", ALL_MEMBERS, "Subtract multiple sets"),
    storing(
        "sinterstore",
        Run::Rounds(|args, answers| stored(inter, args, answers)),
    )
    .docs(
        "1.0.0",
        INTER,
        "Intersect multiple sets and store the resulting set in a key",
    ),
    storing(
        "sunionstore",
        Run::Rounds(|args, answers| stored(union, args, answers)),
    )
    .docs(
        "1.0.0",
        ALL_MEMBERS,
        "Add multiple sets and store the resulting set in a key",
    ),
    storing(
        "sdiffstore",
        Run::Rounds(|args, answers| stored(difference, args, answers)),
    )
    .docs(
        "1.0.0",
        ALL_MEMBERS,
        "Subtract multiple sets and store the resulting set in a key",
    ),
    Spec::new(
        "sintercard",
        -3,
        &[Flag::Readonly, Flag::Movablekeys],
        KeySpec::counted(1),
        Run::Rounds(|args, answers| done(intercard(args, answers))),
    )
    .in_group(Group::Set, &["set"])
    .docs(
        "7.0.0",
        INTER,
        "Intersect multiple sets and return the cardinality of the result",
    ),
    Spec::new(
        "smove",
        4,
        &[Flag::Write, Flag::Fast],
        KeySpec::TWO,
        Run::Rounds(|args, answers| done(smove(args, answers))),
    )
    .in_group(Group::Set, &["set"])
    .docs("1.0.0", "O(1)", "Move a member from one set to another")
    .merges(
        "Adds, then removes what it saw, as SADD and SREM. Moved to two sets at once, a member may end up in both.",
    )
    .conditional(Conditional::Always),
];

const fn reading(name: &'static str, run: Run) -> Spec {
    Spec::new(name, -2, &[Flag::Readonly], KeySpec::ALL, run).in_group(Group::Set, &["set"])
}

const fn storing(name: &'static str, run: Run) -> Spec {
    Spec::new(name, -3, &[Flag::Write, Flag::Denyoom], KeySpec::ALL, run)
        .in_group(Group::Set, &["set"])
        .merges(STORED)
}

/// The replies of all rounds so far.
pub(super) type Answers<'a> = &'a [Vec<Reply>];

/// What a computation over sets does next; an error ends it.
type Step = Result<Next, Reply>;

enum Next {
    Ask(Vec<Vec<Bytes>>),
    Found(Vec<Bytes>),
}

/// A computation over the sets of some keys.
type Work = fn(Args<'_>, Answers<'_>) -> Step;

pub(super) fn done(round: Result<Round, Reply>) -> Round {
    round.unwrap_or_else(Round::Done)
}

/// Answers with the members found.
fn shown(work: Work, args: Args<'_>, answers: Answers<'_>) -> Round {
    done(work(&args[1..], answers).map(|next| match next {
        Next::Ask(calls) => Round::Calls(calls),
        Next::Found(members) => {
            let members = members.into_iter().map(Reply::Bulk);
            Round::Done(Reply::Set(members.collect()))
        }
    }))
}

/// Puts the members found in the place of the first key; answers with their number.
fn stored(work: Work, args: Args<'_>, answers: Answers<'_>) -> Round {
    if let Some((last, before)) = answers.split_last()
        && let Ok(Next::Found(_)) = work(&args[2..], before)
    {
        return Round::Done(only(last));
    }
    done(work(&args[2..], answers).map(|next| match next {
        Next::Ask(calls) => Round::Calls(calls),
        Next::Found(members) => {
            let mut store = call(&[b"EK.STORE", args[1], b"SET"]);
            store.extend(members);
            Round::Calls(vec![store])
        }
    }))
}

fn inter(keys: Args<'_>, answers: Answers<'_>) -> Step {
    let Some((cards, rest)) = answers.split_first() else {
        return Ok(Next::Ask(each(b"SCARD", keys)));
    };
    let cards = counts(cards)?;
    let smallest = (0..keys.len()).min_by_key(|at| cards[*at]).unwrap_or(0);
    let others = || (0..keys.len()).filter(move |at| keys[*at] != keys[smallest]);
    match rest {
        _ if cards.contains(&0) => Ok(Next::Found(Vec::new())),
        [] => Ok(Next::Ask(each(b"SMEMBERS", &keys[smallest..=smallest]))),
        [candidates, rest @ ..] => {
            let candidates = members(&only(candidates))?;
            if candidates.is_empty() || others().next().is_none() {
                return Ok(Next::Found(candidates));
            }
            let Some(found) = rest.first() else {
                let asked = others().map(|at| are_members(keys[at], &candidates));
                return Ok(Next::Ask(asked.collect()));
            };
            let mut found_in_all = vec![true; candidates.len()];
            for reply in found {
                let found = flags(reply)?;
                found_in_all
                    .iter_mut()
                    .zip(found)
                    .for_each(|(all, one)| *all &= one);
            }
            Ok(Next::Found(kept(candidates, &found_in_all)))
        }
    }
}

fn union(keys: Args<'_>, answers: Answers<'_>) -> Step {
    let Some(sets) = answers.first() else {
        return Ok(Next::Ask(each(b"SMEMBERS", keys)));
    };
    let mut all = BTreeSet::new();
    for set in sets {
        all.extend(members(set)?);
    }
    Ok(Next::Found(all.into_iter().collect()))
}

fn difference(keys: Args<'_>, answers: Answers<'_>) -> Step {
    let Some((cards, rest)) = answers.split_first() else {
        return Ok(Next::Ask(each(b"SCARD", keys)));
    };
    let cards = counts(cards)?;
    let small = (1..keys.len()).filter(|at| cards[*at] <= cards[0]);
    let large: Vec<usize> = (1..keys.len()).filter(|at| cards[*at] > cards[0]).collect();
    match rest {
        _ if cards[0] == 0 => Ok(Next::Found(Vec::new())),
        [] => {
            let fetched: Vec<&[u8]> = std::iter::once(0).chain(small).map(|at| keys[at]).collect();
            Ok(Next::Ask(each(b"SMEMBERS", &fetched)))
        }
        [sets, rest @ ..] => {
            let mut sets = sets.iter().map(members);
            let mut left = sets.next().unwrap_or_else(|| Ok(Vec::new()))?;
            let mut taken = BTreeSet::new();
            for set in sets {
                taken.extend(set?);
            }
            left.retain(|member| !taken.contains(member));
            if left.is_empty() || large.is_empty() {
                return Ok(Next::Found(left));
            }
            let Some(found) = rest.first() else {
                let asked = large.iter().map(|at| are_members(keys[*at], &left));
                return Ok(Next::Ask(asked.collect()));
            };
            let mut found_in_none = vec![true; left.len()];
            for reply in found {
                let found = flags(reply)?;
                found_in_none
                    .iter_mut()
                    .zip(found)
                    .for_each(|(none, one)| *none &= !one);
            }
            Ok(Next::Found(kept(left, &found_in_none)))
        }
    }
}

fn intercard(args: Args<'_>, answers: Answers<'_>) -> Result<Round, Reply> {
    let keys = parse_integer(args[1]).and_then(|keys| usize::try_from(keys).ok());
    let keys = keys.filter(|keys| *keys > 0);
    let keys = keys.ok_or_else(|| Reply::error("ERR numkeys should be greater than 0"))?;
    let (keys, mut options) = args[2..]
        .split_at_checked(keys)
        .ok_or_else(|| Reply::error("ERR Number of keys can't be greater than number of args"))?;
    let mut limit = 0;
    while let [name, value, rest @ ..] = options {
        if !name.eq_ignore_ascii_case(b"LIMIT") {
            return Err(syntax_error());
        }
        limit = positive(value).map_err(|_| Reply::error("ERR LIMIT can't be negative"))?;
        options = rest;
    }
    if !options.is_empty() {
        return Err(syntax_error());
    }
    Ok(match inter(keys, answers)? {
        Next::Ask(calls) => Round::Calls(calls),
        Next::Found(members) if limit > 0 => Round::Done(count(members.len().min(limit))),
        Next::Found(members) => Round::Done(count(members.len())),
    })
}

/// Adds before it removes: where only one of both can be done, the member is in two sets rather than in none.
fn smove(args: Args<'_>, answers: Answers<'_>) -> Result<Round, Reply> {
    let (from, to, member) = (args[1], args[2], args[3]);
    let Some((looked, moved)) = answers.split_first() else {
        return Ok(Round::Calls(vec![
            call(&[b"SCARD", from]),
            call(&[b"SCARD", to]),
            call(&[b"SISMEMBER", from, member]),
        ]));
    };
    let [from_card, to_card, is_member] = &looked[..] else {
        return Err(unexpected());
    };
    if number(from_card)? == 0 {
        return Ok(Round::Done(Reply::Integer(0)));
    }
    number(to_card)?;
    if number(is_member)? == 0 || from == to {
        return Ok(Round::Done(is_member.clone()));
    }
    match moved {
        [] => Ok(Round::Calls(vec![call(&[b"SADD", to, member])])),
        [added] => {
            number(&only(added))?;
            Ok(Round::Calls(vec![call(&[b"SREM", from, member])]))
        }
        [_, removed, ..] => {
            number(&only(removed))?;
            Ok(Round::Done(Reply::Integer(1)))
        }
    }
}

pub(super) fn call(words: &[&[u8]]) -> Vec<Bytes> {
    words
        .iter()
        .map(|word| Bytes::copy_from_slice(word))
        .collect()
}

/// The same command on each key.
pub(super) fn each(name: &[u8], keys: Args<'_>) -> Vec<Vec<Bytes>> {
    keys.iter().map(|key| call(&[name, key])).collect()
}

fn are_members(key: &[u8], members: &[Bytes]) -> Vec<Bytes> {
    let mut asked = call(&[b"SMISMEMBER", key]);
    asked.extend_from_slice(members);
    asked
}

fn kept(members: Vec<Bytes>, keep: &[bool]) -> Vec<Bytes> {
    let kept = members.into_iter().zip(keep).filter(|(_, keep)| **keep);
    kept.map(|(member, _)| member).collect()
}

/// The reply of a round of one call.
pub(super) fn only(replies: &[Reply]) -> Reply {
    replies.first().cloned().unwrap_or_else(unexpected)
}

/// A call's reply of another form than the command has: an error is handed on.
pub(super) fn refused(reply: &Reply) -> Reply {
    match reply {
        Reply::Error(_) => reply.clone(),
        _ => unexpected(),
    }
}

pub(super) fn unexpected() -> Reply {
    Reply::error("ERR a member answered in an unknown form")
}

pub(super) fn number(reply: &Reply) -> Result<i64, Reply> {
    match reply {
        Reply::Integer(n) => Ok(*n),
        other => Err(refused(other)),
    }
}

pub(super) fn counts(replies: &[Reply]) -> Result<Vec<i64>, Reply> {
    replies.iter().map(number).collect()
}

fn members(reply: &Reply) -> Result<Vec<Bytes>, Reply> {
    let (Reply::Set(members) | Reply::Array(members)) = reply else {
        return Err(refused(reply));
    };
    let bulk = |member: &Reply| match member {
        Reply::Bulk(bytes) => Ok(bytes.clone()),
        _ => Err(unexpected()),
    };
    members.iter().map(bulk).collect()
}

fn flags(reply: &Reply) -> Result<Vec<bool>, Reply> {
    let Reply::Array(flags) = reply else {
        return Err(refused(reply));
    };
    let flags = flags.iter().map(|flag| number(flag).map(|flag| flag == 1));
    flags.collect()
}
