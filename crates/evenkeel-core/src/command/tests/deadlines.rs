//! Deadlines and the removal of what has expired.

use smallvec::smallvec;

use super::*;
use crate::partition::Write;
use crate::types::{CellId, Deadline, Kind, Total};

#[test]
fn a_key_is_hidden_from_its_deadline_on() {
    let mut node = Node::alone();
    node.check(&[
        ("SET k v PX 1000", "+OK"),
        ("SADD s a", "1"),
        ("PEXPIRE s 1000", "1"),
    ]);
    node.pass(999);
    node.check(&[
        ("GET k", "'v'"),
        ("PTTL k", "1"),
        ("TTL k", "0"),
        ("DBSIZE", "2"),
    ]);
    node.pass(1);
    node.check(&[
        ("GET k", "nil"),
        ("SMEMBERS s", "{}"),
        ("EXISTS k s", "0"),
        ("TYPE s", "+none"),
        ("TTL k", "-2"),
        ("DBSIZE", "0"),
        ("KEYS *", "[]"),
        ("RANDOMKEY", "nil"),
        ("DEL k", "0"),
        ("PERSIST k", "0"),
        ("EXPIRE k 100", "0"),
        ("SET k v XX", "nil"),
    ]);
}

#[test]
fn times_read_as_redis_rounds_them() {
    Node::alone().check(&[
        ("SET k v", "+OK"),
        ("TTL k", "-1"),
        ("PTTL nosuch", "-2"),
        ("EXPIRETIME k", "-1"),
        ("PEXPIRETIME nosuch", "-2"),
        ("PEXPIRE k 1499", "1"),
        ("TTL k", "1"),
        ("PEXPIRE k 1500", "1"),
        ("TTL k", "2"),
        ("PEXPIREAT k 2000499", "1"),
        ("EXPIRETIME k", "2000"),
        ("PEXPIRETIME k", "2000499"),
        ("EXPIREAT k 3000", "1"),
        ("TTL k", "2000"),
        ("PERSIST k", "1"),
        ("PERSIST k", "0"),
        ("TTL k", "-1"),
    ]);
}

#[test]
fn conditions_compare_with_the_deadline_that_is_there() {
    Node::alone().check(&[
        ("SET k v", "+OK"),
        ("EXPIRE k 100 XX", "0"),
        ("EXPIRE k 100 GT", "0"),
        ("EXPIRE k 100 NX", "1"),
        ("EXPIRE k 50 NX", "0"),
        ("EXPIRE k 50 GT", "0"),
        ("EXPIRE k 200 gt", "1"),
        ("EXPIRE k 300 LT", "0"),
        ("EXPIRE k 60 XX LT", "1"),
        ("TTL k", "60"),
        ("PERSIST k", "1"),
        ("EXPIRE k 70 LT", "1"),
        (
            "EXPIRE k 1 NX GT",
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        ),
        (
            "EXPIRE k 1 GT LT",
            "ERR GT and LT options at the same time are not compatible",
        ),
        ("EXPIRE k 1 soon", "ERR Unsupported option soon"),
        (
            "EXPIRE k soon",
            "ERR value is not an integer or out of range",
        ),
        (
            "EXPIRE k 9223372036854775807",
            "ERR invalid expire time in 'expire' command",
        ),
        (
            "PEXPIRE k 9223372036854775807",
            "ERR invalid expire time in 'pexpire' command",
        ),
        ("TTL k", "70"),
    ]);
}

#[test]
fn a_deadline_in_the_past_removes_the_key_at_once() {
    let mut node = Node::alone();
    for command in [
        "EXPIRE k 0",
        "EXPIRE k -1",
        "PEXPIREAT k -9223372036854775808",
        "EXPIREAT k 1",
    ] {
        node.run("SET k v EX 100");
        assert_eq!(node.run(command), "1", "{command}");
        assert_eq!(node.partition.replica().cells().count(), 0, "{command}");
    }
}

#[test]
fn a_write_to_an_expired_key_starts_anew() {
    let mut node = Node::alone();
    for (command, then) in [
        ("SADD k c", ("SMEMBERS k", "{'c'}")),
        ("HSET k f v", ("HGETALL k", "{'f'='v'}")),
        ("SET k v", ("GET k", "'v'")),
        ("INCR k", ("GET k", "'1'")),
        ("APPEND k x", ("GET k", "'x'")),
        ("SET k v KEEPTTL", ("GET k", "'v'")),
    ] {
        for before in ["SADD k a b", "HINCRBY k f 5", "SET k 41", "INCRBY k 5"] {
            node.check(&[("FLUSHALL", "+OK")]);
            node.run(before);
            node.run("PEXPIRE k 10");
            node.pass(10);
            assert_eq!(node.batches_of(command), 1, "{before}, {command}");
            node.check(&[then, ("TTL k", "-1")]);
        }
    }
}

#[test]
fn expired_keys_are_removed_a_grace_after_their_deadline() {
    let mut node = Node::alone();
    node.run("SADD s a b c");
    node.run("PEXPIRE s 1000");
    node.run("SET k v PX 2000");
    node.run("SET stays v");
    let grace = EXPIRY_GRACE.as_millis();
    assert_eq!(
        node.with(|keys| keys.expiry_due()),
        Some(WallMs(START_MS + 1000 + grace))
    );
    node.pass(1000 + grace - 1);
    assert_eq!(node.with(|keys| keys.expire_due(10)), 0);
    node.pass(1);
    assert_eq!(node.with(|keys| keys.expire_due(10)), 1);
    node.pass(1000);
    assert_eq!(node.with(|keys| keys.expire_due(10)), 1);
    let left: Vec<_> = node
        .partition
        .replica()
        .keys()
        .map(|(key, _)| key.to_vec())
        .collect();
    assert_eq!(left, [b"stays"]);
    assert_eq!(node.with(|keys| keys.expiry_due()), None);
}

#[test]
fn a_deadline_that_was_put_off_or_dropped_removes_nothing() {
    let mut node = Node::alone();
    node.run("SET k v PX 10");
    node.run("SET l v PX 10");
    node.run("SET m v PX 10");
    node.run("PEXPIRE k 100000");
    node.run("PERSIST l");
    node.run("SET m w");
    node.pass(10_000);
    assert_eq!(node.with(|keys| keys.expire_due(10)), 0);
    node.check(&[("MGET k l m", "['v' 'v' 'w']")]);
}

#[test]
fn the_order_of_expiry_survives_a_replay_of_the_log() {
    let mut node = Node::alone();
    let mut effects = Vec::new();
    let now = node.now;
    let mut keys = Keyspace::new(&mut node.partition, now, Random::of(0), &mut effects);
    for command in [
        &[&b"SET"[..], b"k", b"v", b"PX", b"10"][..],
        &[b"SADD", b"s", b"a"],
    ] {
        let Some(Run::OnKey(run)) = lookup(command[0]).map(|spec| spec.run) else {
            panic!("a command on one key");
        };
        run(&mut keys, command);
    }
    drop(keys);
    let mut again = Node::member(1, &[1]);
    for effect in effects {
        if let Effect::Persist { record, .. } = effect {
            again.partition.replay(&record).unwrap();
        }
    }
    again.pass(10);
    again.check(&[("EXISTS k", "0"), ("SCARD s", "1"), ("DBSIZE", "1")]);
    again.pass(EXPIRY_GRACE.as_millis());
    assert_eq!(again.with(|keys| keys.expire_due(10)), 1);
}

/// Writes a field of the hash `k` that carries a deadline, `ms` after the start.
fn write_until(node: &mut Node, value: &str, ms: u64) {
    let write = Write::Set {
        cell: CellId::new(b"k", Kind::Hash, b"f"),
        value: value.as_bytes().into(),
        deadline: Deadline(START_MS + ms),
    };
    node.with(|keys| keys.execute(smallvec![write]));
}

#[test]
fn what_an_expired_sibling_leaves_does_not_become_the_newest_of_the_key() {
    let mut pair = Pair::new();
    write_until(&mut pair.a, "1", 1_000);
    write_until(&mut pair.b, "2", 100_000);
    pair.pass(1);
    let write = Write::Set {
        cell: CellId::string(b"k"),
        value: b"v".as_slice().into(),
        deadline: Deadline::NEVER,
    };
    pair.a.with(|keys| keys.execute(smallvec![write]));
    pair.agree(&[("GET k", "'v'")]);
    pair.pass(1_000 + EXPIRY_GRACE.as_millis());
    assert_eq!(pair.a.with(|keys| keys.expire_due(10)), 1);
    pair.agree(&[("GET k", "'v'")]);
}

#[test]
fn what_an_expired_increment_leaves_does_not_live_longer_than_it_carries() {
    let mut pair = Pair::new();
    write_until(&mut pair.b, "2", 100_000);
    pair.pass(1);
    write_until(&mut pair.a, "1", 20_000);
    let write = Write::Add {
        cell: CellId::new(b"k", Kind::Hash, b"f"),
        amount: Total::Int(5),
        deadline: Deadline(START_MS + 1_000),
    };
    pair.a.with(|keys| keys.execute(smallvec![write]));
    pair.agree(&[("HGET k f", "'6'")]);
    pair.pass(1_000 + EXPIRY_GRACE.as_millis());
    pair.agree(&[("HGET k f", "'1'")]);
    assert_eq!(pair.a.with(|keys| keys.expire_due(10)), 1);
    pair.agree(&[("HGET k f", "'1'")]);
    pair.pass(20_000);
    pair.agree(&[("HGET k f", "'2'")]);
}
