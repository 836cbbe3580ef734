//! Several commands on one partition: one batch, each seeing the ones before, nothing lost on any path.

use super::*;
use crate::limits::JOINED_BYTES_MAX;

/// Runs commands through one keyspace, as a transaction does.
fn together(node: &mut Node, commands: &[&str]) -> Vec<String> {
    let split = |command: &&str| -> Vec<Bytes> {
        let words = command.split(' ');
        words
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect()
    };
    let commands: Vec<Vec<Bytes>> = commands.iter().map(split).collect();
    node.with(|keys| run_all(keys, &commands))
}

fn run_all(keys: &mut Keyspace<'_>, commands: &[Vec<Bytes>]) -> Vec<String> {
    let replies = commands.iter().map(|command| {
        let args: Vec<&[u8]> = command.iter().map(|arg| &arg[..]).collect();
        short(&keys.run(lookup(args[0]).unwrap(), &args))
    });
    replies.collect()
}

#[test]
fn commands_through_one_keyspace_are_one_batch_and_each_sees_the_ones_before() {
    let mut pair = Pair::new();
    let before = pair.a.records;
    let replies = together(
        &mut pair.a,
        &[
            "SET k 1",
            "INCRBY k 4",
            "GET k",
            "SADD s a b",
            "SREM s a",
            "DEL k",
            "INCR k",
        ],
    );
    assert_eq!(replies, ["+OK", "5", "'5'", "2", "1", "1", "1"]);
    assert_eq!(pair.a.records, before + 1);
    let frames = pair.a.outbox.len();
    assert_eq!(frames, 1, "one frame per peer");
    pair.agree(&[("GET k", "'1'"), ("SMEMBERS s", "{'b'}")]);
}

#[test]
fn a_range_delete_in_a_batch_takes_away_what_the_batch_wrote_before_it() {
    let mut pair = Pair::after(&["SADD s old"]);
    together(
        &mut pair.a,
        &[
            "SADD s a b",
            "HINCRBY h f 2",
            "DEL s h",
            "SADD s c",
            "HINCRBY h f 5",
        ],
    );
    pair.b.run("SADD s unseen");
    pair.agree(&[("SMEMBERS s", "{'c' 'unseen'}"), ("HGET h f", "'5'")]);
}

#[test]
fn an_error_within_a_batch_leaves_the_other_changes_whole() {
    let mut pair = Pair::new();
    let replies = together(
        &mut pair.a,
        &["SET k text", "INCR k", "SADD k a", "APPEND k !"],
    );
    assert_eq!(
        replies,
        [
            "+OK",
            "ERR value is not an integer or out of range",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "5",
        ]
    );
    pair.agree(&[("GET k", "'text!'")]);
}

#[test]
fn a_panic_between_two_commands_neither_loses_nor_halves_what_was_written() {
    let mut pair = Pair::new();
    let mut effects = Vec::new();
    let now = pair.a.now;
    let partition = &mut pair.a.partition;
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut keys = Keyspace::new(partition, now, Random::of(0), &mut effects);
        let set: [&[u8]; 3] = [b"SET", b"k", b"v"];
        keys.run(lookup(b"SET").unwrap(), &set);
        std::panic::resume_unwind(Box::new("in the next command"));
    }));
    assert!(broken.is_err());
    pair.a.take(effects);
    assert_eq!(pair.a.records, 1);
    pair.a.run("SET other v");
    pair.agree(&[("GET k", "'v'"), ("GET other", "'v'")]);
}

#[test]
fn commands_that_only_read_write_no_batch() {
    let mut node = Node::alone();
    node.run("SET k v");
    let before = node.records;
    together(
        &mut node,
        &["GET k", "SREM nothing a", "EXISTS k", "DEL nothing"],
    );
    assert_eq!(node.records, before);
}

#[test]
fn a_batch_over_the_limit_is_cut_between_commands() {
    let mut pair = Pair::new();
    let big = Bytes::from(vec![b'x'; JOINED_BYTES_MAX / 2 + 1]);
    let set = |key: &'static [u8], value: &Bytes| {
        vec![
            Bytes::from_static(b"SET"),
            Bytes::from_static(key),
            value.clone(),
        ]
    };
    let small = Bytes::from_static(b"v");
    let commands = [
        set(b"first", &small),
        set(b"big", &big),
        set(b"other", &big),
        set(b"last", &small),
    ];
    pair.a.with(|keys| run_all(keys, &commands));
    assert_eq!(pair.a.records, 2, "two parts");
    assert_eq!(pair.a.outbox.len(), 2);
    pair.agree(&[("STRLEN big", &big.len().to_string()), ("GET last", "'v'")]);
}

#[test]
fn a_command_with_several_keys_of_one_partition_is_one_batch() {
    let mut node = Node::alone();
    assert_eq!(node.batches_of("MSET a 1 b 2 a 3"), 1);
    node.check(&[("MGET a b", "['3' '2']")]);
    assert_eq!(node.batches_of("DEL a b c"), 1);
}

#[test]
fn the_watched_state_changes_with_every_change_and_only_then() {
    let mut node = Node::alone();
    let mut last = node.with(|keys| keys.watched_state(b"k"));
    assert_eq!(last, 0);
    for command in [
        "SET k 1",
        "SET k 1",
        "INCR k",
        "PEXPIRE k 9000",
        "PEXPIRE k 8000",
        "DEL k",
        "SADD k a",
        "SADD k b",
        "SREM k a",
        "HSET other f v",
        "GET k",
        "FLUSHALL",
    ] {
        node.run(command);
        let now = node.with(|keys| keys.watched_state(b"k"));
        let same = matches!(command, "HSET other f v" | "GET k");
        assert_eq!(now == last, same, "{command}");
        last = now;
    }
    assert_eq!(last, 0);
}

#[test]
fn a_key_that_expires_under_a_watch_changes_and_one_that_had_expired_before_does_not() {
    let mut node = Node::alone();
    node.run("SET k v PX 10");
    let alive = node.with(|keys| keys.watched_state(b"k"));
    node.pass(10);
    let expired = node.with(|keys| keys.watched_state(b"k"));
    assert_ne!(alive, 0);
    assert_eq!(expired, 0);
    node.pass(EXPIRY_GRACE.as_millis());
    node.with(|keys| keys.expire_due(10));
    assert_eq!(node.with(|keys| keys.watched_state(b"k")), 0);
}

#[test]
fn equal_states_are_watched_as_equal_on_every_replica() {
    let mut pair = Pair::after(&["SADD s a b", "SET k 1", "INCR k", "PEXPIRE k 5000"]);
    for key in [&b"s"[..], b"k"] {
        let a = pair.a.with(|keys| keys.watched_state(key));
        let b = pair.b.with(|keys| keys.watched_state(key));
        assert_eq!(a, b);
    }
}
