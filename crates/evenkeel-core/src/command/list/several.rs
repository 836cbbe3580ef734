//! Commands over several lists, in rounds of pops and pushes of one.
//!
//! A move pops before it pushes, because a pop at the home gives an element to one taker only. When the push fails,
//! the element goes back to where it was. Between two partitions, a node that dies in between loses the element
//! unless both are held there: then both changes are one append to its log.

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::{Args, End};
use crate::command::number::parse_integer;
use crate::command::spec::Round;
use crate::command::syntax_error;

fn call(words: &[&[u8]]) -> Vec<Bytes> {
    words
        .iter()
        .map(|word| Bytes::copy_from_slice(word))
        .collect()
}

fn one(words: &[&[u8]]) -> Round {
    Round::Calls(vec![call(words)])
}

/// An element that moves from a list to another or to the other end.
pub(super) struct Move<'a> {
    from: (&'a [u8], End),
    to: (&'a [u8], End),
}

impl Move<'_> {
    /// The next round. Redis looks at the source first, and at the destination only when there is something to move.
    pub(super) fn step(&self, answers: &[Vec<Reply>]) -> Round {
        let ((source, from), (destination, to)) = (self.from, self.to);
        if source == destination {
            return match answers.first() {
                None => one(&[b"EK.LROTATE", source, from.word(), to.word()]),
                Some(rotated) => Round::Done(rotated[0].clone()),
            };
        }
        match answers {
            [] => one(&[b"LLEN", destination]),
            [held] => match &held[0] {
                Reply::Error(_) => one(&[b"LLEN", source]),
                _ => one(&[from.pop().as_bytes(), source]),
            },
            [held, length] if matches!(held[0], Reply::Error(_)) => match &length[0] {
                Reply::Integer(0) => Round::Done(Reply::Null),
                Reply::Integer(_) => Round::Done(held[0].clone()),
                other => Round::Done(other.clone()),
            },
            [_, popped] => match &popped[0] {
                Reply::Bulk(value) => one(&[to.push().as_bytes(), destination, value]),
                other => Round::Done(other.clone()),
            },
            [_, popped, pushed] => match (&popped[0], &pushed[0]) {
                (Reply::Bulk(value), Reply::Error(_)) => {
                    one(&[from.push().as_bytes(), source, value])
                }
                (value, _) => Round::Done(value.clone()),
            },
            [_, _, pushed, ..] => Round::Done(pushed[0].clone()),
        }
    }
}

impl End {
    const fn word(self) -> &'static [u8] {
        match self {
            Self::Left => b"LEFT",
            Self::Right => b"RIGHT",
        }
    }
}

/// The outcome of a step whose arguments may be wrong.
pub(super) fn round(outcome: Result<Round, Reply>) -> Round {
    outcome.unwrap_or_else(Round::Done)
}

/// LMOVE; BLMOVE's time-out is behind its arguments.
pub(super) fn lmove(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    round(parse_move(args).map(|step| step.step(answers)))
}

pub(super) fn parse_move<'a>(args: Args<'a>) -> Result<Move<'a>, Reply> {
    Ok(Move {
        from: (args[1], End::of(args[3])?),
        to: (args[2], End::of(args[4])?),
    })
}

/// RPOPLPUSH.
pub(super) fn rpoplpush(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    let step = Move {
        from: (args[1], End::Right),
        to: (args[2], End::Left),
    };
    step.step(answers)
}

/// The first of several lists that has something: what is popped from it.
pub(super) struct FirstOf<'a> {
    pub(super) keys: Args<'a>,
    pub(super) end: End,
    /// How many elements, as an array; `None`: one.
    pub(super) count: Option<&'a [u8]>,
}

impl FirstOf<'_> {
    pub(super) fn step(&self, answers: &[Vec<Reply>]) -> Round {
        if let Some(popped) = answers.last().map(|replies| &replies[0]) {
            match popped {
                Reply::Null | Reply::NullArray => {}
                Reply::Error(_) => return Round::Done(popped.clone()),
                _ => {
                    let key = Reply::bulk(self.keys[answers.len() - 1].to_vec());
                    return Round::Done(Reply::Array(vec![key, popped.clone()]));
                }
            }
        }
        let Some(key) = self.keys.get(answers.len()) else {
            return Round::Done(Reply::NullArray);
        };
        let pop = self.end.pop().as_bytes();
        match self.count {
            None => one(&[pop, key]),
            Some(count) => one(&[pop, key, count]),
        }
    }
}

/// `numkeys key… LEFT|RIGHT [COUNT count]`.
pub(super) fn parse_first_of(words: Args<'_>) -> Result<FirstOf<'_>, Reply> {
    let above_0 = |word: &[u8], refusal: &'static str| {
        let number = parse_integer(word).and_then(|number| usize::try_from(number).ok());
        number
            .filter(|number| *number > 0)
            .ok_or_else(|| Reply::error(refusal))
    };
    let numkeys = above_0(words[0], "ERR numkeys should be greater than 0")?;
    let rest = words.get(1..).unwrap_or_default();
    let (keys, rest) = rest.split_at_checked(numkeys).ok_or_else(syntax_error)?;
    let [end, options @ ..] = rest else {
        return Err(syntax_error());
    };
    let end = End::of(end)?;
    let count: &[u8] = match options {
        [] => b"1",
        [word, count, rest @ ..] if word.eq_ignore_ascii_case(b"COUNT") => {
            above_0(count, "ERR count should be greater than 0")?;
            if !rest.is_empty() {
                return Err(syntax_error());
            }
            count
        }
        _ => return Err(syntax_error()),
    };
    Ok(FirstOf {
        keys,
        end,
        count: Some(count),
    })
}

pub(super) fn lmpop(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    round(parse_first_of(&args[1..]).map(|first| first.step(answers)))
}
