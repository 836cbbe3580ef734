//! Commands on keys of any type, and on all keys.

use evenkeel_resp::Reply;
use smallvec::smallvec;
use xxhash_rust::xxh3::xxh3_64;

use super::keyspace::Keyspace;
use super::spec::{Flag, Fold, Group, KeySpec, Run, Spec};
use super::view::{View, type_name};
use super::{Args, Outcome, count, glob_match, ok, reply, syntax_error};
use crate::partition::Write;
use crate::types::Range;

const OBSERVED: &str = "Removes what it saw; concurrent writes survive.";
const TYPES: &str = "Of concurrent writes of two types, the type with the newest stamp is shown; the next \
    write settles it.";

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "del",
        -2,
        &[Flag::Write],
        KeySpec::ALL,
        Run::OnEachKey {
            each: |keys, args| reply(del(keys, args)),
            fold: Fold::Sum,
        },
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of keys and their counters",
        "Delete a key",
    )
    .merges(OBSERVED),
    Spec::new(
        "unlink",
        -2,
        &[Flag::Write, Flag::Fast],
        KeySpec::ALL,
        Run::OnEachKey {
            each: |keys, args| reply(del(keys, args)),
            fold: Fold::Sum,
        },
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "4.0.0",
        "O(N) where N is the number of keys and their counters",
        "Delete a key; the same as DEL",
    )
    .merges(OBSERVED),
    Spec::new(
        "exists",
        -2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ALL,
        Run::OnEachKey {
            each: |keys, args| reply(exists(keys, args)),
            fold: Fold::Sum,
        },
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of keys to check",
        "Determine if a key exists",
    ),
    Spec::new(
        "touch",
        -2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ALL,
        Run::OnEachKey {
            each: |keys, args| reply(exists(keys, args)),
            fold: Fold::Sum,
        },
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "3.2.1",
        "O(N) where N is the number of keys that will be touched",
        "Count the keys that exist",
    ),
    Spec::new(
        "type",
        2,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(key_type(keys, args))),
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs("1.0.0", "O(1)", "Determine the type stored at key")
    .merges(TYPES),
    Spec::new(
        "keys",
        2,
        &[Flag::Readonly],
        KeySpec::NONE,
        Run::OnEveryPartition {
            each: |keys, args| reply(matching(keys, args)),
            fold: Fold::Concat,
        },
    )
    .in_group(Group::Generic, &["dangerous", "keyspace"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of keys",
        "Find all keys matching the given pattern",
    ),
    Spec::new(
        "randomkey",
        1,
        &[Flag::Readonly],
        KeySpec::NONE,
        Run::OnEveryPartition {
            each: |keys, args| reply(randomkey(keys, args)),
            fold: Fold::First,
        },
    )
    .in_group(Group::Generic, &["keyspace"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of keys of a partition",
        "Return a random key from the keyspace",
    ),
    Spec::new(
        "dbsize",
        1,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::NONE,
        Run::OnEveryPartition {
            each: |keys, args| reply(dbsize(keys, args)),
            fold: Fold::Sum,
        },
    )
    .in_group(Group::Server, &["keyspace"])
    .docs(
        "1.0.0",
        "O(1)",
        "Return the number of keys in the selected database",
    ),
    Spec::new(
        "flushall",
        -1,
        &[Flag::Write],
        KeySpec::NONE,
        Run::OnEveryPartition {
            each: |keys, args| reply(flush(keys, args)),
            fold: Fold::Ok,
        },
    )
    .in_group(Group::Server, &["dangerous", "keyspace"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of keys",
        "Remove all keys",
    )
    .merges(OBSERVED),
    Spec::new(
        "flushdb",
        -1,
        &[Flag::Write],
        KeySpec::NONE,
        Run::OnEveryPartition {
            each: |keys, args| reply(flush(keys, args)),
            fold: Fold::Ok,
        },
    )
    .in_group(Group::Server, &["dangerous", "keyspace"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of keys",
        "Remove all keys",
    )
    .merges(OBSERVED),
    Spec::new("scan", -2, &[Flag::Readonly], KeySpec::NONE, Run::Scan)
        .in_group(Group::Generic, &["keyspace"])
        .docs(
            "2.8.0",
            "O(COUNT) for every call. O(N) for a complete iteration, where N is the number of keys",
            "Incrementally iterate the keys space",
        ),
];

fn del(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let view = keys.view(args[1]);
    let found = view.exists();
    if found {
        let writes = view.removal(args[1]);
        keys.commit(writes)?;
    }
    Ok(Reply::Integer(i64::from(found)))
}

fn exists(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    Ok(Reply::Integer(i64::from(keys.view(args[1]).exists())))
}

fn key_type(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let kind = keys.view(args[1]).kind();
    Ok(Reply::simple(kind.map_or("none", type_name)))
}

fn matching(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let wall = keys.now().wall;
    let visible = keys
        .replica()
        .keys()
        .filter(|(key, cells)| glob_match(args[1], key) && View::of(Some(*cells), wall).exists());
    let mut keys: Vec<_> = visible.map(|(key, _)| key).collect();
    keys.sort_unstable();
    let replies = keys.into_iter().map(|key| Reply::bulk(key.to_vec()));
    Ok(Reply::Array(replies.collect()))
}

/// Counted as keys change; only what has expired and is not removed yet is looked at.
fn dbsize(keys: &mut Keyspace<'_>, _: Args<'_>) -> Outcome {
    let wall = keys.now().wall;
    let replica = keys.replica();
    let passed = replica
        .expiring()
        .take_while(|(deadline, _)| deadline.has_passed(wall));
    let hidden = passed.filter(|(_, key)| {
        let cells = replica.key(key);
        cells.is_some_and(|cells| cells.is_live() && !View::of(Some(cells), wall).exists())
    });
    Ok(count(replica.live_keys() - hidden.count()))
}

/// Any visible key. The clock is all the chance there is in a state machine, which is enough for a sample.
fn randomkey(keys: &mut Keyspace<'_>, _: Args<'_>) -> Outcome {
    let now = keys.now();
    let replica = keys.replica();
    let draw = xxh3_64(&now.instant.0.to_le_bytes());
    let held = u64::try_from(replica.key_count()).unwrap_or(u64::MAX);
    let Some(start) = draw.checked_rem(held) else {
        return Ok(Reply::Null);
    };
    let start = usize::try_from(start).unwrap_or(0);
    let from_there = replica.keys().skip(start).chain(replica.keys().take(start));
    let mut visible = from_there.filter(|(_, cells)| View::of(Some(*cells), now.wall).exists());
    let found = visible.next().map(|(key, _)| Reply::bulk(key.to_vec()));
    Ok(found.unwrap_or(Reply::Null))
}

fn flush(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    match args[1..] {
        [] => {}
        [how] if how.eq_ignore_ascii_case(b"ASYNC") || how.eq_ignore_ascii_case(b"SYNC") => {}
        _ => return Err(syntax_error()),
    }
    keys.commit(smallvec![Write::Clear {
        range: Range::all()
    }])?;
    Ok(ok())
}
