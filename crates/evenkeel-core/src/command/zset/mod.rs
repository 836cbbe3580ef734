//! Sorted sets: a cell per member, whose version is its score, with counter chains for increments.
//!
//! Concurrent scores of one member: the newest by stamp holds, increments that it had not seen add to it. The order is
//! the replica's own [`crate::partition::Ranking`], so that ranks and ranges cost what they return.

mod add;
mod bounds;
mod range;
mod read;

pub(super) use bounds::parse_score;

use add::{zadd, zincrby};
use bounds::{By, Direction};
use range::{Form, Scores, count_within, range, remove_within};
use read::{rank, zcard, zmscore, zscore};

use super::reply;
use super::set::remove_fields;
use super::spec::{Conditional, Flag, Group, KeySpec, Run, Spec};
use crate::types::Kind;

const SCORES: &str = "The newest score of a member holds, and increments that it had not seen add to it; \
    a removal takes away only what it saw.";
const ADDS_UP: &str =
    "Concurrent increments add up; a write or removal takes away those that it saw.";
const OBSERVED: &str = "Removes what it saw; concurrent writes survive.";

const fn form(by: Option<By>, direction: Option<Direction>) -> Form {
    Form {
        by,
        direction,
        scores: Scores::Asked,
    }
}

/// The reading part of this family's table.
pub(super) const READS: &[Spec] = &[
    Spec::new(
        "zscore",
        3,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(zscore(keys, args))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "1.2.0",
        "O(1)",
        "Get the score associated with the given member in a sorted set",
    ),
    Spec::new(
        "zmscore",
        -3,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(zmscore(keys, args))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "6.2.0",
        "O(N) where N is the number of members being requested",
        "Get the score associated with the given members in a sorted set",
    ),
    Spec::new(
        "zcard",
        2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(zcard(keys, args))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "1.2.0",
        "O(1)",
        "Get the number of members in a sorted set",
    ),
    Spec::new(
        "zcount",
        4,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(count_within(keys, args, By::Score))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "2.0.0",
        "O(log(N)) with N being the number of elements in the sorted set",
        "Count the members in a sorted set with scores within the given values",
    ),
    Spec::new(
        "zlexcount",
        4,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(count_within(keys, args, By::Lex))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "2.8.9",
        "O(log(N)) with N being the number of elements in the sorted set",
        "Count the number of members in a sorted set between a given lexicographical range",
    ),
    Spec::new(
        "zrank",
        3,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(rank(keys, args, Direction::Up))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "2.0.0",
        "O(log(N))",
        "Determine the index of a member in a sorted set",
    ),
    Spec::new(
        "zrevrank",
        3,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(rank(keys, args, Direction::Down))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "2.0.0",
        "O(log(N))",
        "Determine the index of a member in a sorted set, with scores ordered from high to low",
    ),
    Spec::new(
        "zrange",
        -4,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(range(keys, args, form(None, None)))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "1.2.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned",
        "Return a range of members in a sorted set",
    ),
    Spec::new(
        "zrevrange",
        -4,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(range(keys, args, form(Some(By::Rank), Some(Direction::Down))))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "1.2.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned",
        "Return a range of members in a sorted set, by index, with scores ordered from high to low",
    ),
    Spec::new(
        "zrangebyscore",
        -4,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(range(keys, args, form(Some(By::Score), Some(Direction::Up))))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "1.0.5",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N))",
        "Return a range of members in a sorted set, by score",
    ),
    Spec::new(
        "zrevrangebyscore",
        -4,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(range(keys, args, form(Some(By::Score), Some(Direction::Down))))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "2.2.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N))",
        "Return a range of members in a sorted set, by score, with scores ordered from high to low",
    ),
    Spec::new(
        "zrangebylex",
        -4,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(range(keys, args, form(Some(By::Lex), Some(Direction::Up))))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "2.8.9",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N))",
        "Return a range of members in a sorted set, by lexicographical range",
    ),
    Spec::new(
        "zrevrangebylex",
        -4,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(range(keys, args, form(Some(By::Lex), Some(Direction::Down))))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "2.8.9",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N))",
        "Return a range of members in a sorted set, by lexicographical range, ordered from higher to lower strings",
    ),
];

/// The writing part of this family's table.
pub(super) const WRITES: &[Spec] = &[
    Spec::new(
        "zadd",
        -4,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(zadd(keys, args))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "1.2.0",
        "O(log(N)) for each item added, where N is the number of elements in the sorted set",
        "Add one or more members to a sorted set, or update its score if it already exists",
    )
    .merges(SCORES)
    .conditional(Conditional::With(2, &["NX", "XX", "GT", "LT"])),
    Spec::new(
        "zincrby",
        4,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(zincrby(keys, args))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "1.2.0",
        "O(log(N)) where N is the number of elements in the sorted set",
        "Increment the score of a member in a sorted set",
    )
    .merges(ADDS_UP),
    Spec::new(
        "zrem",
        -3,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(remove_fields(keys, args, Kind::SortedSet))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "1.2.0",
        "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed",
        "Remove one or more members from a sorted set",
    )
    .merges(OBSERVED),
    Spec::new(
        "zremrangebyrank",
        4,
        &[Flag::Write],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(remove_within(keys, args, By::Rank))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "2.0.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation",
        "Remove all members in a sorted set within the given indexes",
    )
    .merges(OBSERVED),
    Spec::new(
        "zremrangebyscore",
        4,
        &[Flag::Write],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(remove_within(keys, args, By::Score))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "1.2.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation",
        "Remove all members in a sorted set within the given scores",
    )
    .merges(OBSERVED),
    Spec::new(
        "zremrangebylex",
        4,
        &[Flag::Write],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(remove_within(keys, args, By::Lex))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "2.8.9",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation",
        "Remove all members in a sorted set between the given lexicographical range",
    )
    .merges(OBSERVED),
];
