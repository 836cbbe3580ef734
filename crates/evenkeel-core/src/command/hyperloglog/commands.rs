//! PFADD, PFCOUNT, PFMERGE and what tests of them use.

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::selftest::selftest;
use super::sketch::{Sketch, place, runs};
use super::{held, text, unreadable, write};
use crate::command::keyspace::Keyspace;
use crate::command::spec::{Flag, Group, KeySpec, Round, Run, Spec};
use crate::command::string::text_of;
use crate::command::{Args, Outcome, ok, reply};
use crate::types::Kind;

const MAX: &str = "Concurrent additions are all counted. A removal takes away what it saw; the sketch of a replica \
    that added meanwhile survives whole.";

/// This family's part of the table.
pub(in crate::command) const COMMANDS: &[Spec] = &[
    Spec::new(
        "pfadd",
        -2,
        &[Flag::Write, Flag::Denyoom, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(pfadd(keys, args))),
    )
    .in_group(Group::HyperLogLog, &["hyperloglog"])
    .docs(
        "2.8.9",
        "O(1) to add every element",
        "Adds the specified elements to the specified HyperLogLog",
    )
    .merges(MAX),
    Spec::new(
        "pfcount",
        -2,
        &[Flag::Readonly],
        KeySpec::ALL,
        Run::Rounds(pfcount),
    )
    .in_group(Group::HyperLogLog, &["hyperloglog"])
    .docs(
        "2.8.9",
        "O(N) where N is the number of keys, with a large constant",
        "Return the approximated cardinality of the set(s) observed by the HyperLogLog at key(s)",
    ),
    Spec::new(
        "pfmerge",
        -2,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::ALL,
        Run::Rounds(pfmerge),
    )
    .in_group(Group::HyperLogLog, &["hyperloglog"])
    .docs(
        "2.8.9",
        "O(N) where N is the number of keys, with a large constant",
        "Merge N different HyperLogLogs into a single one",
    )
    .merges(MAX),
    Spec::new(
        "pfdebug",
        3,
        &[Flag::Write, Flag::Denyoom, Flag::Admin],
        KeySpec::SECOND,
        Run::OnKey(|keys, args| reply(pfdebug(keys, args))),
    )
    .in_group(Group::HyperLogLog, &["hyperloglog"])
    .docs(
        "2.8.9",
        "N/A",
        "Show and convert the inside of a HyperLogLog",
    )
    .merges(MAX),
    Spec::new(
        "pfselftest",
        1,
        &[Flag::Admin],
        KeySpec::NONE,
        Run::Rounds(|_, _| Round::Done(selftest())),
    )
    .in_group(Group::HyperLogLog, &["hyperloglog"])
    .docs(
        "2.8.9",
        "N/A",
        "Test the registers and the estimates of HyperLogLogs",
    ),
    Spec::new(
        "ek.sketch",
        2,
        &[Flag::Readonly, Flag::Inner],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(sketch_of(keys, args))),
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(1)",
        "A key's HyperLogLog; what PFCOUNT and PFMERGE read",
    ),
    Spec::new(
        "ek.absorb",
        3,
        &[Flag::Write, Flag::Denyoom, Flag::Inner],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(absorb(keys, args))),
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(1)",
        "Merge a HyperLogLog into a key; what PFMERGE writes",
    )
    .merges(MAX),
];

fn pfadd(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let key = args[1];
    let mut held = held(keys, key)?;
    let mut changed = held.shown.is_none();
    let mut shown = held.shown.take().unwrap_or_else(Sketch::empty);
    for element in &args[2..] {
        let (index, run) = place(element);
        // What another actor has counted already needs no event.
        if shown.raise(index, run) {
            held.own.raise(index, run);
            changed = true;
        }
    }
    if changed {
        write(keys, key, &held.own)?;
    }
    Ok(Reply::Integer(i64::from(changed)))
}

/// A key's sketch as a string; null without the key.
fn sketch_of(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let shown = held(keys, args[1])?.shown;
    Ok(shown.map_or(Reply::Null, |sketch| Reply::bulk(sketch.encode())))
}

fn absorb(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let key = args[1];
    let merged = Sketch::parse(args[2]).map_err(unreadable)?;
    let mut held = held(keys, key)?;
    let changed = held.shown.is_none_or(|mut shown| shown.merge(&merged));
    if changed {
        held.own.merge(&merged);
        write(keys, key, &held.own)?;
    }
    Ok(ok())
}

fn read_all(args: Args<'_>) -> Round {
    let read = |key: &&[u8]| {
        vec![
            Bytes::from_static(b"EK.SKETCH"),
            Bytes::copy_from_slice(key),
        ]
    };
    Round::Calls(args[1..].iter().map(read).collect())
}

/// The greatest of each register of all keys; the first error there was.
fn union(read: &[Reply]) -> Result<Sketch, Reply> {
    let mut all = Sketch::empty();
    for reply in read {
        match reply {
            Reply::Bulk(text) => {
                all.merge(&Sketch::parse(text).map_err(unreadable)?);
            }
            Reply::Error(_) => return Err(reply.clone()),
            _ => {}
        }
    }
    Ok(all)
}

fn pfcount(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    let Some(read) = answers.first() else {
        return read_all(args);
    };
    Round::Done(match union(read) {
        Ok(all) => Reply::Integer(i64::try_from(all.count()).unwrap_or(i64::MAX)),
        Err(error) => error,
    })
}

fn pfmerge(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    match answers {
        [] => read_all(args),
        [read] => match union(read) {
            Ok(all) => Round::Calls(vec![vec![
                Bytes::from_static(b"EK.ABSORB"),
                Bytes::copy_from_slice(args[1]),
                all.encode().into(),
            ]]),
            Err(error) => Round::Done(error),
        },
        [_, absorbed, ..] => Round::Done(absorbed[0].clone()),
    }
}

fn pfdebug(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (subcommand, key) = (args[1], args[2]);
    let view = keys.view(key).expect(Kind::String)?;
    if !view.exists() {
        return Err(Reply::error("ERR The specified key does not exist"));
    }
    let shown = match view.kind() {
        Some(Kind::HyperLogLog) => text(&view),
        _ => text_of(&view).into_owned(),
    };
    let sketch = Sketch::parse(&shown).map_err(unreadable)?;
    let opcodes = runs(&shown);
    match subcommand.to_ascii_lowercase().as_slice() {
        b"getreg" => {
            let registers = sketch.registers().iter();
            let values = registers.map(|value| Reply::Integer(i64::from(*value)));
            Ok(Reply::Array(values.collect()))
        }
        b"encoding" => Ok(Reply::simple(if opcodes.is_some() {
            "sparse"
        } else {
            "dense"
        })),
        b"decode" => {
            let opcodes = opcodes.ok_or_else(|| Reply::error("ERR HLL encoding is not sparse"))?;
            let words = opcodes.iter().map(|run| match (run.value, run.wide) {
                (0, true) => format!("Z:{}", run.length),
                (0, false) => format!("z:{}", run.length),
                (value, _) => format!("v:{value},{}", run.length),
            });
            Ok(Reply::bulk(words.collect::<Vec<_>>().join(" ")))
        }
        b"todense" if opcodes.is_none() => Ok(Reply::Integer(0)),
        b"todense" => {
            let mut own = held(keys, key)?.own;
            own.make_dense();
            write(keys, key, &own)?;
            Ok(Reply::Integer(1))
        }
        _ => Err(Reply::error(format!(
            "ERR Unknown PFDEBUG subcommand '{}'",
            subcommand.escape_ascii()
        ))),
    }
}
