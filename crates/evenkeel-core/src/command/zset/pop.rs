//! Taking members off either end, and drawing some at random.

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::bounds::Direction;
use super::range::{pair, removal};
use crate::command::algebra::{Answers, call, done, only};
use crate::command::draw::{Wanted, with_option};
use crate::command::keyspace::Keyspace;
use crate::command::number::{parse_integer, positive};
use crate::command::spec::Round;
use crate::command::{Args, Outcome, syntax_error};
use crate::types::Kind;

/// Takes members off the low end, or off the high one; gives them with their scores, in that order.
pub(in crate::command) fn pop(
    keys: &mut Keyspace<'_>,
    key: &[u8],
    from: Direction,
    wanted: usize,
) -> Result<Vec<(Reply, Reply)>, Reply> {
    let view = keys.view(key).expect(Kind::SortedSet)?;
    let ranking = view.ranking();
    let len = ranking.len();
    let popped = wanted.min(len);
    let (ranks, members) = match from {
        Direction::Up => {
            let members = ranking.range(0..popped);
            (0..popped, members.map(|(m, s)| pair(m, s)).collect())
        }
        Direction::Down => {
            let members = ranking.range(len - popped..len).rev();
            (
                len - popped..len,
                members.map(|(m, s)| pair(m, s)).collect(),
            )
        }
    };
    let writes = removal(view, key, ranking.range(ranks));
    keys.commit(writes)?;
    Ok(members)
}

/// ZPOPMIN and ZPOPMAX.
pub(super) fn zpop(keys: &mut Keyspace<'_>, args: Args<'_>, from: Direction) -> Outcome {
    match args {
        [_, key] => {
            let popped = pop(keys, key, from, 1)?.into_iter();
            Ok(Reply::Array(
                popped.flat_map(|(member, score)| [member, score]).collect(),
            ))
        }
        [_, key, wanted] => {
            let popped = pop(keys, key, from, positive(wanted)?)?;
            Ok(Reply::Pairs(popped))
        }
        _ => Err(syntax_error()),
    }
}

/// What ZMPOP and its blocking form are asked for.
pub(in crate::command) struct PopRequest<'a> {
    /// The keys, in the order in which they are tried.
    pub(in crate::command) keys: Args<'a>,
    /// The command for one key.
    command: &'static [u8],
    /// How many members, as text.
    wanted: &'a [u8],
}

impl<'a> PopRequest<'a> {
    /// Parses `numkeys key… MIN|MAX [COUNT count]`.
    pub(in crate::command) fn parse(args: Args<'a>) -> Result<Self, Reply> {
        let above_zero = |text: &[u8], what: &str| {
            let number = parse_integer(text).and_then(|number| usize::try_from(number).ok());
            let number = number.filter(|number| *number > 0);
            number.ok_or_else(|| Reply::error(format!("ERR {what} should be greater than 0")))
        };
        let numkeys = above_zero(args.first().copied().unwrap_or_default(), "numkeys")?;
        let behind = args.get(1..).unwrap_or_default().split_at_checked(numkeys);
        let Some((keys, [end, options @ ..])) = behind else {
            return Err(syntax_error());
        };
        let command: &[u8] = match end.to_ascii_uppercase().as_slice() {
            b"MIN" => b"ZPOPMIN",
            b"MAX" => b"ZPOPMAX",
            _ => return Err(syntax_error()),
        };
        let wanted: &[u8] = match options {
            [] => b"1",
            [name, wanted, rest @ ..] if name.eq_ignore_ascii_case(b"COUNT") => {
                above_zero(wanted, "count")?;
                if !rest.is_empty() {
                    return Err(syntax_error());
                }
                wanted
            }
            _ => return Err(syntax_error()),
        };
        Ok(Self {
            keys,
            command,
            wanted,
        })
    }

    /// The call that pops from one of the keys.
    pub(in crate::command) fn call(&self, key: &[u8]) -> Vec<Bytes> {
        call(&[self.command, key, self.wanted])
    }
}

/// ZMPOP's reply for what a key gave; `None` when that was nothing.
pub(in crate::command) fn popped(key: &[u8], reply: Reply) -> Option<Reply> {
    match reply {
        Reply::Pairs(pairs) if pairs.is_empty() => None,
        Reply::Pairs(pairs) => {
            let members = pairs
                .into_iter()
                .map(|(member, score)| Reply::Array(vec![member, score]));
            let members = Reply::Array(members.collect());
            Some(Reply::Array(vec![Reply::bulk(key.to_vec()), members]))
        }
        // An error, which ends it.
        other => Some(other),
    }
}

pub(super) fn zmpop(args: Args<'_>, answers: Answers<'_>) -> Round {
    let step = || {
        let request = PopRequest::parse(&args[1..])?;
        if let Some(last) = answers.last()
            && let Some(reply) = popped(request.keys[answers.len() - 1], only(last))
        {
            return Ok(Round::Done(reply));
        }
        Ok(match request.keys.get(answers.len()) {
            Some(key) => Round::Calls(vec![request.call(key)]),
            None => Round::Done(Reply::NullArray),
        })
    };
    done(step())
}

pub(super) fn zrandmember(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let wanted = match args {
        [_, _] => Wanted::Distinct(1),
        [_, _, wanted, ..] => Wanted::parse(wanted)?,
        _ => return Err(syntax_error()),
    };
    let with_scores = with_option(args, b"WITHSCORES")?;
    let mut random = keys.random();
    let view = keys.view(args[1]).expect(Kind::SortedSet)?;
    let ranking = view.ranking();
    let drawn = wanted.places(&mut random, ranking.len()).into_iter();
    let drawn = drawn.filter_map(|rank| ranking.range(rank..rank + 1).next());
    if with_scores {
        return Ok(Reply::Pairs(drawn.map(|(m, s)| pair(m, s)).collect()));
    }
    let mut members = drawn.map(|(member, _)| Reply::bulk(member.to_vec()));
    if args.len() == 2 {
        return Ok(members.next().unwrap_or(Reply::Null));
    }
    Ok(Reply::Array(members.collect()))
}
