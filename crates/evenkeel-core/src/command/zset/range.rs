//! Reading and removing ranges of a sorted set.

use evenkeel_resp::Reply;

use super::bounds::{Bounds, By, Direction};
use crate::command::keyspace::{Keyspace, Writes};
use crate::command::number::integer;
use crate::command::view::View;
use crate::command::{Args, Outcome, count, syntax_error};
use crate::partition::{Ranked, Write};
use crate::types::{CellId, Kind, Score};

/// What a command's name says of the range; what it does not say is an option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) by: Option<By>,
    pub(super) direction: Option<Direction>,
    pub(super) scores: Scores,
}

/// Whether scores are part of the reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scores {
    /// With the option WITHSCORES.
    Asked,
    /// Without being asked for.
    Always,
}

/// A range as asked for.
#[derive(Clone, Copy, Debug)]
struct Query<'a> {
    bounds: Bounds<'a>,
    direction: Direction,
    offset: i64,
    /// All when negative.
    limit: i64,
    scores: bool,
}

impl<'a> Query<'a> {
    /// Parses what follows the key. The order of the checks is Redis'.
    fn parse(args: Args<'a>, form: Form) -> Result<Self, Reply> {
        let Form {
            mut by,
            mut direction,
            ..
        } = form;
        let (mut offset, mut limit, mut scores) = (0, -1, false);
        let mut rest = args[2..].iter();
        while let Some(option) = rest.next() {
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            if is("WITHSCORES") && form.scores == Scores::Asked {
                scores = true;
            } else if is("LIMIT") && rest.len() >= 2 {
                let mut number = || integer(rest.next().copied().unwrap_or_default());
                offset = number()?;
                limit = number()?;
            } else if is("REV") && direction.is_none() {
                direction = Some(Direction::Down);
            } else if is("BYLEX") && by.is_none() {
                by = Some(By::Lex);
            } else if is("BYSCORE") && by.is_none() {
                by = Some(By::Score);
            } else {
                return Err(syntax_error());
            }
        }
        let by = by.unwrap_or(By::Rank);
        let direction = direction.unwrap_or(Direction::Up);
        if limit != -1 && by == By::Rank {
            return Err(Reply::error(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if by == By::Rank {
            offset = 0;
        }
        if scores && by == By::Lex {
            return Err(Reply::error(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (min, max) = match (by, direction) {
            (By::Rank, _) | (_, Direction::Up) => (args[0], args[1]),
            (_, Direction::Down) => (args[1], args[0]),
        };
        Ok(Self {
            bounds: Bounds::parse(by, min, max)?,
            direction,
            offset,
            limit,
            scores: scores || form.scores == Scores::Always,
        })
    }

    /// Hands over the members, in the order asked for.
    fn run(&self, view: View<'_>, mut take: impl FnMut(&[u8], Score)) {
        let ranking = view.ranking();
        let ranks = self.bounds.ranks(&ranking, self.direction);
        let skipped = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let skipped = skipped.min(ranks.len());
        let left = ranks.len() - skipped;
        let taken = usize::try_from(self.limit).map_or(left, |limit| limit.min(left));
        match self.direction {
            Direction::Up => {
                let start = ranks.start + skipped;
                let members = ranking.range(start..start + taken);
                members.for_each(|(member, score)| take(member, score));
            }
            Direction::Down => {
                let end = ranks.end - skipped;
                let members = ranking.range(end - taken..end).rev();
                members.for_each(|(member, score)| take(member, score));
            }
        }
    }
}

/// ZRANGE and its relatives.
pub(super) fn range(keys: &mut Keyspace<'_>, args: Args<'_>, form: Form) -> Outcome {
    let query = Query::parse(&args[2..], form)?;
    let view = keys.view(args[1]).expect(Kind::SortedSet)?;
    if query.scores {
        let mut pairs = Vec::new();
        query.run(view, |member, score| pairs.push(pair(member, score)));
        return Ok(Reply::Pairs(pairs));
    }
    let mut members = Vec::new();
    query.run(view, |member, _| members.push(Reply::bulk(member.to_vec())));
    Ok(Reply::Array(members))
}

/// A member and its score.
pub(super) fn pair(member: &[u8], score: Score) -> (Reply, Reply) {
    (Reply::bulk(member.to_vec()), Reply::Double(score.number()))
}

/// ZCOUNT and ZLEXCOUNT.
pub(super) fn count_within(keys: &mut Keyspace<'_>, args: Args<'_>, by: By) -> Outcome {
    let bounds = Bounds::parse(by, args[2], args[3])?;
    let view = keys.view(args[1]).expect(Kind::SortedSet)?;
    let ranks = bounds.ranks(&view.ranking(), Direction::Up);
    Ok(count(ranks.len()))
}

/// ZREMRANGEBYRANK, ZREMRANGEBYSCORE and ZREMRANGEBYLEX.
pub(super) fn remove_within(keys: &mut Keyspace<'_>, args: Args<'_>, by: By) -> Outcome {
    let bounds = Bounds::parse(by, args[2], args[3])?;
    let view = keys.view(args[1]).expect(Kind::SortedSet)?;
    let ranking = view.ranking();
    let ranks = bounds.ranks(&ranking, Direction::Up);
    let removed = ranks.len();
    let writes = removal(view, args[1], ranking.range(ranks));
    keys.commit(writes)?;
    Ok(count(removed))
}

/// The batch that removes members, and with the last of them the key.
pub(super) fn removal(view: View<'_>, key: &[u8], members: Ranked<'_>) -> Writes {
    if members.len() == 0 {
        return Writes::new();
    }
    if members.len() == view.count(Kind::SortedSet) {
        return view.removal(key);
    }
    let mut writes = view.ground(key, Kind::SortedSet);
    writes.extend(members.map(|(member, _)| Write::Remove {
        cell: CellId::new(key, Kind::SortedSet, member),
    }));
    view.hold_deadline(key, &mut writes);
    writes
}
