//! Sets: a cell per member, add wins.
//!
//! Adding a member that is there already is an event too: it must survive a removal that runs elsewhere and has not
//! seen it.

use std::collections::BTreeSet;

use evenkeel_resp::Reply;

use super::keyspace::Keyspace;
use super::spec::{Flag, Group, KeySpec, Run, Spec};
use super::{Args, Outcome, count, reply};
use crate::partition::Write;
use crate::types::{CellId, Kind, Value};

const ADD_WINS: &str = "Add wins: a member stays unless the removal saw this very addition.";
const OBSERVED: &str = "Removes what it saw; concurrent writes survive.";

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "sadd",
        -3,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(sadd(keys, args))),
    )
    .in_group(Group::Set, &["set"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of members added",
        "Add one or more members to a set",
    )
    .merges(ADD_WINS),
    Spec::new(
        "srem",
        -3,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(srem(keys, args))),
    )
    .in_group(Group::Set, &["set"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of members to be removed",
        "Remove one or more members from a set",
    )
    .merges(OBSERVED),
    Spec::new(
        "smembers",
        2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(smembers(keys, args))),
    )
    .in_group(Group::Set, &["set"])
    .docs(
        "1.0.0",
        "O(N) where N is the set cardinality",
        "Get all the members in a set",
    ),
    Spec::new(
        "sismember",
        3,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(sismember(keys, args))),
    )
    .in_group(Group::Set, &["set"])
    .docs("1.0.0", "O(1)", "Determine if a value is a member of a set"),
    Spec::new(
        "smismember",
        -3,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(smismember(keys, args))),
    )
    .in_group(Group::Set, &["set"])
    .docs(
        "6.2.0",
        "O(N) where N is the number of members asked for",
        "Tell of each value whether it is a member of a set",
    ),
    Spec::new(
        "scard",
        2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(scard(keys, args))),
    )
    .in_group(Group::Set, &["set"])
    .docs("1.0.0", "O(1)", "Get the number of members in a set"),
];

/// The arguments without those that came before.
pub(super) fn distinct<'a>(args: &'a [&'a [u8]]) -> impl Iterator<Item = &'a [u8]> {
    let mut seen = BTreeSet::new();
    args.iter()
        .copied()
        .filter(move |arg| args.len() == 1 || seen.insert(*arg))
}

/// Removes fields of a collection and, with the last of them, the key; gives how many there were.
pub(super) fn remove_fields(keys: &mut Keyspace<'_>, args: Args<'_>, kind: Kind) -> Outcome {
    let key = args[1];
    let view = keys.view(key).expect(kind)?;
    let found: Vec<&[u8]> = distinct(&args[2..])
        .filter(|field| view.has(kind, field))
        .collect();
    if found.is_empty() {
        return Ok(Reply::Integer(0));
    }
    let mut writes = view.ground(key, kind);
    let removed = found.iter().map(|field| CellId::new(key, kind, field));
    writes.extend(removed.map(|cell| Write::Remove { cell }));
    if found.len() == view.count(kind) {
        writes.extend(view.register_removal(key));
    }
    view.hold_deadline(key, &mut writes);
    keys.commit(writes)?;
    Ok(count(found.len()))
}

fn sadd(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let key = args[1];
    let view = keys.view(key).expect(Kind::Set)?;
    let deadline = view.deadline();
    let mut writes = view.ground(key, Kind::Set);
    let mut added = 0;
    for member in distinct(&args[2..]) {
        added += usize::from(!view.has(Kind::Set, member));
        writes.push(Write::Set {
            cell: CellId::new(key, Kind::Set, member),
            value: Value::default(),
            deadline,
        });
    }
    keys.commit(writes)?;
    Ok(count(added))
}

fn srem(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    remove_fields(keys, args, Kind::Set)
}

fn smembers(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::Set)?;
    let members = view.cells(Kind::Set);
    Ok(Reply::Set(
        members
            .map(|(member, _)| Reply::bulk(member.to_vec()))
            .collect(),
    ))
}

fn sismember(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::Set)?;
    Ok(Reply::Integer(i64::from(view.has(Kind::Set, args[2]))))
}

fn smismember(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::Set)?;
    let members = args[2..].iter();
    let found = members.map(|member| Reply::Integer(i64::from(view.has(Kind::Set, member))));
    Ok(Reply::Array(found.collect()))
}

fn scard(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::Set)?;
    Ok(count(view.count(Kind::Set)))
}
