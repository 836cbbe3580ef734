//! Hashes: a cell per field, each a register with counter chains, as a string is.

use evenkeel_resp::Reply;

use super::counter::Counter;
use super::keyspace::Keyspace;
use super::number::integer;
use super::set::{distinct, remove_fields};
use super::spec::{Conditional, Flag, Group, KeySpec, Run, Spec, wrong_arity};
use super::string::bulk;
use super::view::View;
use super::{Args, Outcome, count, ok, reply};
use crate::partition::Write;
use crate::types::{Cell, CellId, Kind};

const PER_FIELD: &str = "As SET, per field: an update survives a removal that did not see it.";
const PER_FIELD_AT_HOME: &str = "As SET, per field: an update survives a removal that did not see it. Decided at the home; \
    two homes under a partition may both decide.";
const OBSERVED: &str = "Removes what it saw; concurrent writes survive.";
const ADDS_UP: &str =
    "Concurrent increments add up; a write or removal takes away those that it saw.";

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "hset",
        -4,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hset(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs(
        "2.0.0",
        "O(N) where N is the number of pairs",
        "Set the string value of a hash field",
    )
    .merges(PER_FIELD),
    Spec::new(
        "hmset",
        -4,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hmset(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields being set",
        "Set multiple hash fields to multiple values",
    )
    .merges(PER_FIELD),
    Spec::new(
        "hsetnx",
        4,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hsetnx(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs(
        "2.0.0",
        "O(1)",
        "Set a hash field, only if it does not exist",
    )
    .merges(PER_FIELD_AT_HOME)
    .conditional(Conditional::Always),
    Spec::new(
        "hget",
        3,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hget(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs("2.0.0", "O(1)", "Get the value of a hash field"),
    Spec::new(
        "hmget",
        -3,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hmget(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields",
        "Get the values of all the given hash fields",
    ),
    Spec::new(
        "hdel",
        -3,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hdel(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs(
        "2.0.0",
        "O(N) where N is the number of fields to be removed",
        "Delete one or more hash fields",
    )
    .merges(OBSERVED),
    Spec::new(
        "hgetall",
        2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hgetall(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs(
        "2.0.0",
        "O(N) where N is the size of the hash",
        "Get all the fields and values in a hash",
    ),
    Spec::new(
        "hkeys",
        2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hkeys(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs(
        "2.0.0",
        "O(N) where N is the size of the hash",
        "Get all the fields in a hash",
    ),
    Spec::new(
        "hvals",
        2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hvals(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs(
        "2.0.0",
        "O(N) where N is the size of the hash",
        "Get all the values in a hash",
    ),
    Spec::new(
        "hlen",
        2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hlen(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs("2.0.0", "O(1)", "Get the number of fields in a hash"),
    Spec::new(
        "hexists",
        3,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hexists(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs("2.0.0", "O(1)", "Determine if a hash field exists"),
    Spec::new(
        "hstrlen",
        3,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hstrlen(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs(
        "3.2.0",
        "O(1)",
        "Get the length of the value of a hash field",
    ),
    Spec::new(
        "hincrby",
        4,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hincrby(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs(
        "2.0.0",
        "O(1)",
        "Increment the integer value of a hash field",
    )
    .merges(ADDS_UP),
    Spec::new(
        "hincrbyfloat",
        4,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hincrbyfloat(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs("2.6.0", "O(1)", "Increment the float value of a hash field")
    .merges(ADDS_UP),
];

fn value_of(view: &View<'_>, field: &[u8]) -> Reply {
    let content = view.content(Kind::Hash, field);
    content.map_or(Reply::Null, |content| bulk(content.text()))
}

/// The value of a visible field.
pub(super) fn shown<'a>(view: View<'a>, cell: &'a Cell) -> Reply {
    let content = view.content_of(cell);
    content.map_or(Reply::Null, |content| bulk(content.text()))
}

/// Sets fields; gives how many are new.
fn write_fields(keys: &mut Keyspace<'_>, key: &[u8], pairs: &[&[u8]]) -> Result<usize, Reply> {
    let view = keys.view(key).expect(Kind::Hash)?;
    let fields: Vec<&[u8]> = pairs.iter().step_by(2).copied().collect();
    let new = distinct(&fields).filter(|field| !view.has(Kind::Hash, field));
    let new = new.count();
    let deadline = view.deadline();
    let mut writes = view.ground(key, Kind::Hash);
    writes.extend(pairs.chunks_exact(2).map(|pair| Write::Set {
        cell: CellId::new(key, Kind::Hash, pair[0]),
        value: pair[1].into(),
        deadline,
    }));
    keys.commit(writes)?;
    Ok(new)
}

fn hset(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    if !args.len().is_multiple_of(2) {
        return Err(wrong_arity("hset"));
    }
    write_fields(keys, args[1], &args[2..]).map(count)
}

fn hmset(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    if !args.len().is_multiple_of(2) {
        return Err(wrong_arity("hmset"));
    }
    write_fields(keys, args[1], &args[2..]).map(|_| ok())
}

fn hsetnx(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    if keys
        .view(args[1])
        .expect(Kind::Hash)?
        .has(Kind::Hash, args[2])
    {
        return Ok(Reply::Integer(0));
    }
    write_fields(keys, args[1], &args[2..]).map(count)
}

fn hget(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::Hash)?;
    Ok(value_of(&view, args[2]))
}

fn hmget(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::Hash)?;
    let fields = args[2..].iter();
    Ok(Reply::Array(
        fields.map(|field| value_of(&view, field)).collect(),
    ))
}

fn hdel(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    remove_fields(keys, args, Kind::Hash)
}

fn hgetall(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::Hash)?;
    let pairs = view.cells(Kind::Hash);
    Ok(Reply::Map(
        pairs
            .map(|(field, cell)| (Reply::bulk(field.to_vec()), shown(view, cell)))
            .collect(),
    ))
}

fn hkeys(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::Hash)?;
    let fields = view.cells(Kind::Hash);
    Ok(Reply::Array(
        fields
            .map(|(field, _)| Reply::bulk(field.to_vec()))
            .collect(),
    ))
}

fn hvals(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::Hash)?;
    let cells = view.cells(Kind::Hash);
    Ok(Reply::Array(
        cells.map(|(_, cell)| shown(view, cell)).collect(),
    ))
}

fn hlen(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::Hash)?;
    Ok(count(view.count(Kind::Hash)))
}

fn hexists(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::Hash)?;
    Ok(Reply::Integer(i64::from(view.has(Kind::Hash, args[2]))))
}

fn hstrlen(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]).expect(Kind::Hash)?;
    let content = view.content(Kind::Hash, args[2]);
    Ok(count(content.map_or(0, |content| content.text().len())))
}

fn hincrby(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    field(args).add(keys, integer(args[3])?)
}

fn hincrbyfloat(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    field(args).add_float(keys, args[3])
}

const fn field<'a>(args: Args<'a>) -> Counter<'a> {
    Counter {
        key: args[1],
        kind: Kind::Hash,
        field: args[2],
    }
}
