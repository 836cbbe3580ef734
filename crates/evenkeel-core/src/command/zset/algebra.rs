//! Sorted sets and sets combined with each other, wherever their keys live: in rounds of commands on one key each.
//!
//! What travels follows the smaller ones: an intersection asks the others about the members of the smallest, a
//! difference asks the others about the members of the first. Only a union needs all.

use std::collections::BTreeMap;

use bytes::Bytes;
use evenkeel_resp::{Reply, format_double};

use super::bounds::parse_float;
use super::range::pair;
use crate::command::algebra::{Answers, call, counts, done, only, refused, unexpected};
use crate::command::keyspace::Keyspace;
use crate::command::number::{integer, positive};
use crate::command::spec::Round;
use crate::command::{Args, Outcome, count, syntax_error};
use crate::types::{Kind, Score};

/// What is done with the inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Union,
    Inter,
    Diff,
}

/// What becomes of the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    Show,
    Store,
    Count,
}

/// How scores of one member in several inputs become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

/// The options behind the keys.
#[derive(Debug)]
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    scores: bool,
    /// 0: none.
    limit: usize,
}

/// Members with their scores.
pub(in crate::command) type Scored = Vec<(Bytes, f64)>;

/// What a computation does next; an error ends it.
type Step = Result<Next, Reply>;

enum Next {
    Ask(Vec<Vec<Bytes>>),
    Found(Scored),
}

/// A command of this family: `[destination] numkeys key… options…`.
pub(super) fn combine(
    (operation, purpose): (Operation, Purpose),
    args: Args<'_>,
    answers: Answers<'_>,
) -> Round {
    done(step((operation, purpose), args, answers))
}

fn step(
    (operation, purpose): (Operation, Purpose),
    args: Args<'_>,
    answers: Answers<'_>,
) -> Result<Round, Reply> {
    let counted_at = if purpose == Purpose::Store { 2 } else { 1 };
    let (keys, rest) = split_keys(args, counted_at)?;
    let Some((cards, answers)) = answers.split_first() else {
        // Also tells what is no set of either kind, before the options are looked at.
        let asked = keys.iter().map(|key| call(&[b"EK.ZSET", key, b"CARD"]));
        return Ok(Round::Calls(asked.collect()));
    };
    let cards = counts(cards)?;
    let options = Options::parse(rest, keys.len(), (operation, purpose))?;
    let inputs = Inputs {
        keys,
        cards: &cards,
        options: &options,
    };
    let work = |answers| match operation {
        Operation::Union => inputs.union(answers),
        Operation::Inter => inputs.inter(answers),
        Operation::Diff => inputs.diff(answers),
    };
    if purpose == Purpose::Store
        && let Some((last, before)) = answers.split_last()
        && let Ok(Next::Found(_)) = work(before)
    {
        return Ok(Round::Done(only(last)));
    }
    let mut found = match work(answers)? {
        Next::Ask(calls) => return Ok(Round::Calls(calls)),
        Next::Found(found) => found,
    };
    Ok(match purpose {
        Purpose::Count if options.limit > 0 => Round::Done(count(found.len().min(options.limit))),
        Purpose::Count => Round::Done(count(found.len())),
        Purpose::Show => {
            found.sort_by(|a, b| by_score(a).cmp(&by_score(b)));
            Round::Done(shown(found, options.scores))
        }
        Purpose::Store => Round::Calls(vec![store(args[1], found)]),
    })
}

fn by_score((member, score): &(Bytes, f64)) -> (Score, &Bytes) {
    (Score::new(*score).unwrap_or(Score::ZERO), member)
}

fn split_keys<'a>(args: Args<'a>, counted_at: usize) -> Result<(Args<'a>, Args<'a>), Reply> {
    let wanted = integer(args[counted_at])?;
    if wanted < 1 {
        let name = String::from_utf8_lossy(args[0]).to_ascii_lowercase();
        return Err(Reply::error(format!(
            "ERR at least 1 input key is needed for '{name}' command"
        )));
    }
    let keys = usize::try_from(wanted).unwrap_or(usize::MAX);
    let behind = args.get(counted_at + 1..).unwrap_or_default();
    behind.split_at_checked(keys).ok_or_else(syntax_error)
}

fn shown(found: Scored, with_scores: bool) -> Reply {
    if with_scores {
        let pairs = found
            .into_iter()
            .map(|(member, score)| (Reply::Bulk(member), Reply::Double(score)));
        return Reply::Pairs(pairs.collect());
    }
    Reply::Array(
        found
            .into_iter()
            .map(|(member, _)| Reply::Bulk(member))
            .collect(),
    )
}

/// The call that puts members in a key's place.
pub(in crate::command) fn store(key: &[u8], found: Scored) -> Vec<Bytes> {
    let mut store = call(&[b"EK.STORE", key, b"ZSET"]);
    for (member, score) in found {
        store.push(Bytes::copy_from_slice(format_double(score).as_bytes()));
        store.push(member);
    }
    store
}

impl Options {
    fn parse(
        mut args: Args<'_>,
        keys: usize,
        (operation, purpose): (Operation, Purpose),
    ) -> Result<Self, Reply> {
        let mut options = Self {
            weights: vec![1.0; keys],
            aggregate: Aggregate::Sum,
            scores: false,
            limit: 0,
        };
        let weighs = operation != Operation::Diff && purpose != Purpose::Count;
        while let [name, rest @ ..] = args {
            let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
            args = match rest {
                _ if weighs && is("WEIGHTS") && rest.len() >= keys => {
                    let (weights, rest) = rest.split_at(keys);
                    options.weights = weights
                        .iter()
                        .map(|text| {
                            let weight = parse_float(text);
                            weight.ok_or_else(|| Reply::error("ERR weight value is not a float"))
                        })
                        .collect::<Result<_, _>>()?;
                    rest
                }
                [how, rest @ ..] if weighs && is("AGGREGATE") => {
                    options.aggregate = match how.to_ascii_lowercase().as_slice() {
                        b"sum" => Aggregate::Sum,
                        b"min" => Aggregate::Min,
                        b"max" => Aggregate::Max,
                        _ => return Err(syntax_error()),
                    };
                    rest
                }
                _ if purpose == Purpose::Show && is("WITHSCORES") => {
                    options.scores = true;
                    rest
                }
                [limit, rest @ ..] if purpose == Purpose::Count && is("LIMIT") => {
                    let limit = positive(limit);
                    options.limit =
                        limit.map_err(|_| Reply::error("ERR LIMIT can't be negative"))?;
                    rest
                }
                _ => return Err(syntax_error()),
            };
        }
        Ok(options)
    }
}

impl Aggregate {
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum => number(one + other),
            Self::Min if other < one => other,
            Self::Max if other > one => other,
            Self::Min | Self::Max => one,
        }
    }
}

/// What is no number counts 0: infinities that cancel each other out, or times zero.
const fn number(sum: f64) -> f64 {
    if sum.is_nan() { 0.0 } else { sum }
}

/// What is combined.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    keys: Args<'a>,
    cards: &'a [i64],
    options: &'a Options,
}

impl Inputs<'_> {
    /// The inputs from the smallest on: the order in which scores are added.
    fn by_size(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        order.sort_by_key(|at| self.cards[*at]);
        order
    }

    fn all(&self, at: usize) -> Vec<Bytes> {
        call(&[b"EK.ZSET", self.keys[at], b"ALL"])
    }

    fn scores_of(&self, at: usize, members: &Scored) -> Vec<Bytes> {
        let mut asked = call(&[b"EK.ZSET", self.keys[at], b"OF"]);
        asked.extend(members.iter().map(|(member, _)| member.clone()));
        asked
    }

    fn weighted(&self, at: usize, score: f64) -> f64 {
        self.options.weights[at] * score
    }

    fn union(&self, answers: Answers<'_>) -> Step {
        let order = self.by_size();
        let Some(inputs) = answers.first() else {
            let asked = order.iter().map(|at| self.all(*at));
            return Ok(Next::Ask(asked.collect()));
        };
        let mut found: BTreeMap<Bytes, f64> = BTreeMap::new();
        for (at, input) in order.into_iter().zip(inputs) {
            for (member, score) in scored(input)? {
                let score = number(self.weighted(at, score));
                let sum = found.get(&member).copied();
                let sum = sum.map_or(score, |sum| self.options.aggregate.of(sum, score));
                found.insert(member, sum);
            }
        }
        Ok(Next::Found(found.into_iter().collect()))
    }

    fn inter(&self, answers: Answers<'_>) -> Step {
        let order = self.by_size();
        let (smallest, others) = order.split_first().ok_or_else(unexpected)?;
        if self.cards[*smallest] == 0 {
            return Ok(Next::Found(Vec::new()));
        }
        let Some((first, rest)) = answers.split_first() else {
            return Ok(Next::Ask(vec![self.all(*smallest)]));
        };
        let candidates = scored(&only(first))?;
        let weighed = candidates
            .iter()
            .map(|(member, score)| (member.clone(), number(self.weighted(*smallest, *score))));
        let mut found: Vec<_> = weighed.map(Some).collect();
        if !others.is_empty() && !candidates.is_empty() {
            let Some(asked) = rest.first() else {
                let asked = others.iter().map(|at| self.scores_of(*at, &candidates));
                return Ok(Next::Ask(asked.collect()));
            };
            for (at, reply) in others.iter().zip(asked) {
                for (held, score) in found.iter_mut().zip(scores(reply)?) {
                    *held = held.take().zip(score).map(|((member, sum), score)| {
                        let score = self.weighted(*at, score);
                        (member, self.options.aggregate.of(sum, score))
                    });
                }
            }
        }
        Ok(Next::Found(found.into_iter().flatten().collect()))
    }

    fn diff(&self, answers: Answers<'_>) -> Step {
        if self.cards[0] == 0 {
            return Ok(Next::Found(Vec::new()));
        }
        let Some((first, rest)) = answers.split_first() else {
            return Ok(Next::Ask(vec![self.all(0)]));
        };
        let candidates = scored(&only(first))?;
        if self.keys.len() == 1 || candidates.is_empty() {
            return Ok(Next::Found(candidates));
        }
        let Some(asked) = rest.first() else {
            let asked = (1..self.keys.len()).map(|at| self.scores_of(at, &candidates));
            return Ok(Next::Ask(asked.collect()));
        };
        let mut left: Vec<_> = candidates.into_iter().map(Some).collect();
        for reply in asked {
            for (held, score) in left.iter_mut().zip(scores(reply)?) {
                if score.is_some() {
                    *held = None;
                }
            }
        }
        Ok(Next::Found(left.into_iter().flatten().collect()))
    }
}

/// The members and scores that a call gave.
pub(in crate::command) fn scored(reply: &Reply) -> Result<Scored, Reply> {
    let Reply::Pairs(pairs) = reply else {
        return Err(refused(reply));
    };
    let pair = |pair: &(Reply, Reply)| match pair {
        (Reply::Bulk(member), Reply::Double(score)) => Ok((member.clone(), *score)),
        _ => Err(unexpected()),
    };
    pairs.iter().map(pair).collect()
}

fn scores(reply: &Reply) -> Result<Vec<Option<f64>>, Reply> {
    let Reply::Array(scores) = reply else {
        return Err(refused(reply));
    };
    let score = |score: &Reply| match score {
        Reply::Double(score) => Ok(Some(*score)),
        Reply::Null => Ok(None),
        _ => Err(unexpected()),
    };
    scores.iter().map(score).collect()
}

/// `EK.ZSET key CARD`, `EK.ZSET key ALL`, `EK.ZSET key OF member…`: what these commands ask of one input. A set is a
/// sorted set whose scores are all 1.
pub(super) fn ek_zset(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    const ONE: f64 = 1.0;
    let view = keys.view(args[1]);
    let kind = match view.kind() {
        Some(Kind::Set) => Kind::Set,
        _ => Kind::SortedSet,
    };
    let view = view.expect(kind)?;
    match (args[2], kind) {
        (b"CARD", _) => Ok(count(view.count(kind))),
        (b"ALL", Kind::Set) => {
            let one = Score::new(ONE).unwrap_or(Score::ZERO);
            let members = view.cells(Kind::Set);
            Ok(Reply::Pairs(
                members.map(|(member, _)| pair(member, one)).collect(),
            ))
        }
        (b"ALL", _) => {
            let ranking = view.ranking();
            Ok(Reply::Pairs(
                ranking
                    .iter()
                    .map(|(member, score)| pair(member, score))
                    .collect(),
            ))
        }
        (b"OF", _) => {
            let score = |member: &&[u8]| match kind {
                Kind::Set => view.has(Kind::Set, member).then_some(ONE),
                _ => view.score(member).map(Score::number),
            };
            let members = args[3..].iter();
            Ok(Reply::Array(
                members
                    .map(|member| score(member).map_or(Reply::Null, Reply::Double))
                    .collect(),
            ))
        }
        _ => Err(syntax_error()),
    }
}

/// ZRANGESTORE: reads a range, and puts it in the place of the first key.
pub(super) fn zrangestore(args: Args<'_>, answers: Answers<'_>) -> Round {
    let step = || match answers {
        [] => {
            let mut asked = call(&[b"EK.RANGE"]);
            asked.extend(args[2..].iter().map(|arg| Bytes::copy_from_slice(arg)));
            Ok(Round::Calls(vec![asked]))
        }
        [found] => Ok(Round::Calls(vec![store(args[1], scored(&only(found))?)])),
        [_, stored, ..] => Ok(Round::Done(only(stored))),
    };
    done(step())
}
