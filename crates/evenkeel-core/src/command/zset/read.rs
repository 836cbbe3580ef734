//! Reading single members of a sorted set.

use evenkeel_resp::Reply;

use super::bounds::Direction;
use crate::command::keyspace::Keyspace;
use crate::command::view::View;
use crate::command::{Args, Outcome, count};
use crate::types::Kind;

fn score_of(view: View<'_>, member: &[u8]) -> Reply {
    let score = view.score(member);
    score.map_or(Reply::Null, |score| Reply::Double(score.number()))
}

pub(super) fn zscore(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::SortedSet)?;
    Ok(score_of(view, args[2]))
}

pub(super) fn zmscore(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::SortedSet)?;
    let members = args[2..].iter();
    Ok(Reply::Array(
        members.map(|member| score_of(view, member)).collect(),
    ))
}

pub(super) fn zcard(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::SortedSet)?;
    Ok(count(view.count(Kind::SortedSet)))
}

/// ZRANK and ZREVRANK.
pub(super) fn rank(keys: &mut Keyspace<'_>, args: Args<'_>, direction: Direction) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::SortedSet)?;
    let Some(score) = view.score(args[2]) else {
        return Ok(Reply::Null);
    };
    let ranking = view.ranking();
    let rank = ranking.rank(score, args[2]);
    Ok(rank.map_or(Reply::Null, |rank| match direction {
        Direction::Up => count(rank),
        Direction::Down => count(ranking.len() - 1 - rank),
    }))
}
