//! Sorted sets in the table of commands.

use super::add::{zadd, zincrby};
use super::algebra::{Operation, Purpose, combine, ek_zset, zrangestore};
use super::bounds::{By, Direction};
use super::pop::{zmpop, zpop, zrandmember};
use super::range::{Form, Scores, count_within, range, remove_within};
use super::read::{rank, zcard, zmscore, zscore};
use crate::command::reply;
use crate::command::set::remove_fields;
use crate::command::spec::{Conditional, Flag, Group, KeySpec, Run, Spec};
use crate::types::Kind;

const SCORES: &str = "The newest score of a member holds, and increments that it had not seen add to it; \
    a removal takes away only what it saw.";
const ADDS_UP: &str =
    "Concurrent increments add up; a write or removal takes away those that it saw.";
const OBSERVED: &str = "Removes what it saw; concurrent writes survive.";
pub(super) const POPS: &str = "Removes what it saw. Decided at the home, so that a member is popped once; two homes under a \
    partition may pop the same one.";
const STORED: &str = "Replaces what it saw of the destination; members added there meanwhile stay.";

const fn form(by: Option<By>, direction: Option<Direction>) -> Form {
    Form {
        by,
        direction,
        scores: Scores::Asked,
    }
}

/// As ZRANGE, scores included.
const WITH_SCORES: Form = Form {
    by: None,
    direction: None,
    scores: Scores::Always,
};

/// What reads one sorted set.
pub(in crate::command) const READS: &[Spec] = &[
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
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned",
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
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned",
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
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned",
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
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned",
        "Return a range of members in a sorted set, by lexicographical range, ordered from higher to lower strings",
    ),
    Spec::new(
        "zrandmember",
        -2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(zrandmember(keys, args))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "6.2.0",
        "O(N) where N is the number of elements returned",
        "Get one or multiple random elements from a sorted set",
    ),
];

/// What writes one sorted set.
pub(in crate::command) const WRITES: &[Spec] = &[
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
    Spec::new(
        "zpopmin",
        -2,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(zpop(keys, args, Direction::Up))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "5.0.0",
        "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped",
        "Remove and return members with the lowest scores in a sorted set",
    )
    .merges(POPS)
    .conditional(Conditional::Always),
    Spec::new(
        "zpopmax",
        -2,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(zpop(keys, args, Direction::Down))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "5.0.0",
        "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped",
        "Remove and return members with the highest scores in a sorted set",
    )
    .merges(POPS)
    .conditional(Conditional::Always),
];

/// What is about several keys.
pub(in crate::command) const COMBINED: &[Spec] = &[
    Spec::new(
        "zunion",
        -3,
        &[Flag::Readonly, Flag::Movablekeys],
        KeySpec::counted(1),
        Run::Rounds(|args, answers| combine((Operation::Union, Purpose::Show), args, answers)),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "6.2.0",
        "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set",
        "Add multiple sorted sets",
    ),
    Spec::new(
        "zinter",
        -3,
        &[Flag::Readonly, Flag::Movablekeys],
        KeySpec::counted(1),
        Run::Rounds(|args, answers| combine((Operation::Inter, Purpose::Show), args, answers)),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "6.2.0",
        "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set",
        "Intersect multiple sorted sets",
    ),
    Spec::new(
        "zdiff",
        -3,
        &[Flag::Readonly, Flag::Movablekeys],
        KeySpec::counted(1),
        Run::Rounds(|args, answers| combine((Operation::Diff, Purpose::Show), args, answers)),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "6.2.0",
        "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set",
        "Subtract multiple sorted sets",
    ),
    Spec::new(
        "zunionstore",
        -4,
        &[Flag::Write, Flag::Denyoom, Flag::Movablekeys],
        KeySpec::one_and_counted(2),
        Run::Rounds(|args, answers| combine((Operation::Union, Purpose::Store), args, answers)),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "2.0.0",
        "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set",
        "Add multiple sorted sets and store the resulting sorted set in a new key",
    )
    .merges(STORED),
    Spec::new(
        "zinterstore",
        -4,
        &[Flag::Write, Flag::Denyoom, Flag::Movablekeys],
        KeySpec::one_and_counted(2),
        Run::Rounds(|args, answers| combine((Operation::Inter, Purpose::Store), args, answers)),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "2.0.0",
        "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set",
        "Intersect multiple sorted sets and store the resulting sorted set in a new key",
    )
    .merges(STORED),
    Spec::new(
        "zdiffstore",
        -4,
        &[Flag::Write, Flag::Denyoom, Flag::Movablekeys],
        KeySpec::one_and_counted(2),
        Run::Rounds(|args, answers| combine((Operation::Diff, Purpose::Store), args, answers)),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "6.2.0",
        "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set",
        "Subtract multiple sorted sets and store the resulting sorted set in a new key",
    )
    .merges(STORED),
    Spec::new(
        "zintercard",
        -3,
        &[Flag::Readonly, Flag::Movablekeys],
        KeySpec::counted(1),
        Run::Rounds(|args, answers| combine((Operation::Inter, Purpose::Count), args, answers)),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "7.0.0",
        "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets",
        "Intersect multiple sorted sets and return the cardinality of the result",
    ),
    Spec::new(
        "zrangestore",
        -5,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::TWO,
        Run::Rounds(zrangestore),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "6.2.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the destination key",
        "Store a range of members from sorted set into another key",
    )
    .merges(STORED),
    Spec::new(
        "zmpop",
        -4,
        &[Flag::Write, Flag::Movablekeys],
        KeySpec::counted(1),
        Run::Rounds(zmpop),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "7.0.0",
        "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped",
        "Remove and return members with scores in a sorted set",
    )
    .merges(POPS)
    .conditional(Conditional::Always),
    Spec::new(
        "ek.zset",
        -3,
        &[Flag::Readonly, Flag::Inner],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(ek_zset(keys, args))),
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(N) where N is the number of members asked for",
        "Members and scores of a sorted set, or of a set as one; what ZUNION and its like send between nodes",
    ),
    Spec::new(
        "ek.range",
        -4,
        &[Flag::Readonly, Flag::Inner],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(range(keys, args, WITH_SCORES))),
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned",
        "ZRANGE with scores, by name too; what ZRANGESTORE sends between nodes",
    ),
];
