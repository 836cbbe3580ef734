//! ZADD and ZINCRBY: scores are registers with counter chains.
//!
//! A member that is there already is written again all the same: it must survive a removal that runs elsewhere and has
//! not seen it. Infinite results are written, not added: chains hold finite totals only.

use std::collections::BTreeMap;

use evenkeel_resp::Reply;

use super::bounds::parse_score;
use crate::command::keyspace::Keyspace;
use crate::command::{Args, Outcome, count, syntax_error};
use crate::partition::Write;
use crate::types::{CellId, Kind, Score, Total};

/// The options of ZADD.
#[derive(Clone, Copy, Default, Debug)]
pub(in crate::command) struct Options {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
    ch: bool,
    incr: bool,
}

impl Options {
    /// Takes the options of these names off the front.
    pub(in crate::command) fn parse<'a>(mut args: Args<'a>, names: &[&str]) -> (Self, Args<'a>) {
        let mut options = Self::default();
        while let [first, rest @ ..] = args {
            let named = |name: &&str| first.eq_ignore_ascii_case(name.as_bytes());
            if !names.iter().any(named) {
                break;
            }
            let option = match first.to_ascii_lowercase().as_slice() {
                b"nx" => &mut options.nx,
                b"xx" => &mut options.xx,
                b"gt" => &mut options.gt,
                b"lt" => &mut options.lt,
                b"ch" => &mut options.ch,
                b"incr" => &mut options.incr,
                _ => break,
            };
            *option = true;
            args = rest;
        }
        (options, args)
    }

    /// Whether a member would have to be there and not be there.
    pub(in crate::command) const fn contradicts(self) -> bool {
        self.nx && self.xx
    }

    /// Refuses what does not go together.
    fn check(self, pairs: usize) -> Result<(), Reply> {
        let error = |text: &'static str| Err(Reply::error(text));
        if self.contradicts() {
            return error("ERR XX and NX options at the same time are not compatible");
        }
        if (self.nx && (self.gt || self.lt)) || (self.gt && self.lt) {
            return error("ERR GT, LT, and/or NX options at the same time are not compatible");
        }
        if self.incr && pairs > 1 {
            return error("ERR INCR option supports a single increment-element pair");
        }
        Ok(())
    }

    /// Whether a member with this score, or none, gets that one.
    fn allow(self, current: Option<Score>, wanted: Score) -> bool {
        match current {
            None => !self.xx,
            Some(current) => {
                let not_greater = self.gt && wanted <= current;
                let not_less = self.lt && wanted >= current;
                !(self.nx || not_greater || not_less)
            }
        }
    }
}

pub(super) fn zadd(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (options, rest) = Options::parse(&args[2..], &["nx", "xx", "gt", "lt", "ch", "incr"]);
    if rest.is_empty() || !rest.len().is_multiple_of(2) {
        return Err(syntax_error());
    }
    options.check(rest.len() / 2)?;
    let pairs: Vec<(Score, &[u8])> = rest
        .chunks_exact(2)
        .map(|pair| Ok((parse_score(pair[0])?, pair[1])))
        .collect::<Result<_, Reply>>()?;
    match pairs[..] {
        [pair] if options.incr => increment(keys, args[1], pair, options),
        _ => add_scores(keys, args[1], &pairs, options),
    }
}

pub(super) fn zincrby(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let pair = (parse_score(args[2])?, args[3]);
    increment(keys, args[1], pair, Options::default())
}

/// Writes the scores that the options allow; gives how many members are new, or how many have changed.
pub(in crate::command) fn add_scores(
    keys: &mut Keyspace<'_>,
    key: &[u8],
    pairs: &[(Score, &[u8])],
    options: Options,
) -> Outcome {
    let view = keys.view(key).expect(Kind::SortedSet)?;
    let (mut added, mut changed) = (0, 0);
    // What members have after the pairs so far; a later pair sees the ones before.
    let mut written: BTreeMap<&[u8], Score> = BTreeMap::new();
    for &(score, member) in pairs {
        let current = written.get(member).copied().or_else(|| view.score(member));
        if !options.allow(current, score) {
            continue;
        }
        added += usize::from(current.is_none());
        let stays = current.filter(|current| *current == score);
        changed += usize::from(current.is_some() && stays.is_none());
        written.insert(member, stays.unwrap_or(score));
    }
    let reply = count(if options.ch { added + changed } else { added });
    if written.is_empty() {
        return Ok(reply);
    }
    let deadline = view.deadline();
    let mut writes = view.ground(key, Kind::SortedSet);
    writes.extend(written.into_iter().map(|(member, score)| Write::Set {
        cell: CellId::new(key, Kind::SortedSet, member),
        value: score.to_value(),
        deadline,
    }));
    keys.commit(writes)?;
    Ok(reply)
}

/// Adds to a member's score; gives the sum, null when an option forbids it.
fn increment(
    keys: &mut Keyspace<'_>,
    key: &[u8],
    (amount, member): (Score, &[u8]),
    options: Options,
) -> Outcome {
    let view = keys.view(key).expect(Kind::SortedSet)?;
    let current = view.score(member);
    if current.is_none() && options.xx {
        return Ok(Reply::Null);
    }
    let sum = current.unwrap_or(Score::ZERO).number() + amount.number();
    let sum =
        Score::new(sum).ok_or_else(|| Reply::error("ERR resulting score is not a number (NaN)"))?;
    if !options.allow(current, sum) {
        return Ok(Reply::Null);
    }
    let cell = CellId::new(key, Kind::SortedSet, member);
    let deadline = view.deadline();
    let mut writes = view.ground(key, Kind::SortedSet);
    writes.push(if sum.number().is_finite() {
        Write::Add {
            cell,
            amount: Total::Float(amount.number()),
            deadline,
        }
    } else {
        Write::Set {
            cell,
            value: sum.to_value(),
            deadline,
        }
    });
    keys.commit(writes)?;
    let score = keys.view(key).score(member);
    Ok(score.map_or(Reply::Null, |score| Reply::Double(score.number())))
}
