//! Keys as payloads, and keys that move.

use super::strings::{NOT_AN_INTEGER, SYNTAX};
use super::*;

const BUSY: &str = "BUSYKEY Target key name already exists.";

impl Node {
    fn payload(&mut self, key: &str) -> Vec<u8> {
        match self.request(&[b"DUMP", key.as_bytes()]) {
            Reply::Bulk(payload) => payload.to_vec(),
            other => panic!("no payload: {other:?}"),
        }
    }

    fn restore(&mut self, key: &str, ttl: &str, payload: &[u8], options: &[&str]) -> String {
        let mut args: Vec<&[u8]> = vec![b"RESTORE", key.as_bytes(), ttl.as_bytes(), payload];
        args.extend(options.iter().map(|option| option.as_bytes()));
        short(&self.request(&args))
    }
}

#[test]
fn a_dumped_key_is_restored_with_all_that_it_shows() {
    let mut node = Node::alone();
    for (write, read) in [
        ("SET k text", "GET k"),
        ("INCRBY k 7", "GET k"),
        ("SADD k a b ''", "SMEMBERS k"),
        ("HSET k f 1 g ''", "HGETALL k"),
        ("RPUSH k c a b a", "LRANGE k 0 -1"),
        ("ZADD k 1.5 a -inf b 1e300 ''", "ZRANGE k 0 -1 WITHSCORES"),
        ("ZINCRBY k 0.1 a", "ZRANGE k 0 -1 WITHSCORES"),
    ] {
        node.run("DEL k");
        node.run(write);
        let shown = node.run(read);
        let payload = node.payload("k");
        node.run("DEL k");
        assert_eq!(node.restore("k", "0", &payload, &[]), "+OK");
        assert_eq!(node.run(read), shown, "{write}");
        assert_eq!(node.run("TTL k"), "-1");
    }
    assert_eq!(node.run("DUMP nosuch"), "nil");
}

#[test]
fn restore_sets_the_deadline_it_is_given() {
    let mut node = Node::alone();
    node.run("SADD k a");
    let payload = node.payload("k");
    let absolute = (START_MS + 3000).to_string();
    assert_eq!(node.restore("r", "5000", &payload, &[]), "+OK");
    assert_eq!(node.run("PTTL r"), "5000");
    assert_eq!(node.restore("a", &absolute, &payload, &["absttl"]), "+OK");
    assert_eq!(node.run("PTTL a"), "3000");
    assert_eq!(node.restore("a", "0", &payload, &["REPLACE"]), "+OK");
    assert_eq!(node.run("TTL a"), "-1");
    // A deadline that has passed removes what was there.
    assert_eq!(
        node.restore("a", "1", &payload, &["REPLACE", "ABSTTL"]),
        "+OK"
    );
    assert_eq!(node.run("EXISTS a"), "0");
}

#[test]
fn restore_refuses_what_it_cannot_do_and_writes_nothing() {
    let mut node = Node::alone();
    node.run("SET k v");
    let payload = node.payload("k");
    let mut damaged = payload.clone();
    damaged[1] ^= 1;
    let footer = "ERR DUMP payload version or checksum are wrong";
    let ttl = "ERR Invalid TTL value, must be >= 0";
    let idle = "ERR Invalid IDLETIME value, must be >= 0";
    let frequency = "ERR Invalid FREQ value, must be >= 0 and <= 255";
    for (key, time, bytes, options, error) in [
        ("k", "0", &payload, &[][..], BUSY),
        ("k", "x", &payload, &[], BUSY),
        ("n", "0", &damaged, &[], footer),
        ("n", "-1", &damaged, &[], ttl),
        ("n", "x", &payload, &[], NOT_AN_INTEGER),
        ("n", "0", &payload, &["what"], SYNTAX),
        ("n", "0", &payload, &["IDLETIME"], SYNTAX),
        ("n", "0", &payload, &["IDLETIME", "1", "FREQ", "1"], SYNTAX),
        ("n", "0", &payload, &["IDLETIME", "-1"], idle),
        ("n", "0", &payload, &["FREQ", "256"], frequency),
        ("n", "0", &Vec::new(), &[], footer),
    ] {
        assert_eq!(
            node.restore(key, time, bytes, options),
            error,
            "{key} {time} {options:?}"
        );
    }
    node.check(&[("EXISTS n", "0"), ("GET k", "'v'")]);
    assert_eq!(node.restore("n", "0", &payload, &["IDLETIME", "5"]), "+OK");
    assert_eq!(
        node.restore("n", "0", &payload, &["FREQ", "5", "REPLACE"]),
        "+OK"
    );
}

#[test]
fn a_key_is_copied_with_its_deadline_and_stays() {
    Node::alone().check(&[
        ("COPY nosuch k", "0"),
        ("HSET a f 1", "1"),
        ("EXPIRE a 100", "1"),
        ("COPY a b", "1"),
        ("COPY a b DB 0", "0"),
        ("HGETALL b", "{'f'='1'}"),
        ("TTL b", "100"),
        ("HSET b f 2", "0"),
        ("HGETALL a", "{'f'='1'}"),
        ("PERSIST a", "1"),
        ("COPY a b REPLACE", "1"),
        ("TTL b", "-1"),
        ("HGETALL b", "{'f'='1'}"),
        ("COPY a a", "ERR source and destination objects are the same"),
        ("COPY a b WHAT", SYNTAX),
        ("COPY a b DB", SYNTAX),
        ("COPY a b DB x", NOT_AN_INTEGER),
        (
            "COPY a b DB 1",
            "UNSUPPORTED COPY to a database above 0 ; use key prefixes, or one cluster per data set",
        ),
    ]);
}

#[test]
fn a_renamed_key_has_its_value_and_deadline_under_the_new_name_alone() {
    Node::alone().check(&[
        ("RENAME nosuch k", "ERR no such key"),
        ("RENAMENX nosuch k", "ERR no such key"),
        ("RENAME nosuch nosuch", "ERR no such key"),
        ("SADD a x", "1"),
        ("EXPIRE a 100", "1"),
        ("SET b v", "+OK"),
        ("RENAME a a", "+OK"),
        ("RENAMENX a a", "0"),
        ("RENAMENX a b", "0"),
        ("GET b", "'v'"),
        ("RENAME a b", "+OK"),
        ("SMEMBERS b", "{'x'}"),
        ("TTL b", "100"),
        ("EXISTS a", "0"),
        ("RENAMENX b c", "1"),
        ("KEYS *", "['c']"),
        ("SET d v", "+OK"),
        ("RENAME d c", "+OK"),
        ("TTL c", "-1"),
    ]);
}

#[test]
fn a_change_between_reading_and_removing_moves_the_key_again() {
    let mut node = Node::alone();
    node.run("SET a 1");
    let spec = lookup(b"RENAME").unwrap();
    let Run::Rounds(step) = spec.run else {
        panic!("RENAME runs in rounds");
    };
    let args: &[&[u8]] = &[b"RENAME", b"a", b"b"];
    let mut answers: Vec<Vec<Reply>> = Vec::new();
    let reply = loop {
        match step(args, &answers) {
            Round::Done(reply) => break reply,
            Round::Calls(calls) => {
                if answers.len() == 2 {
                    node.run("SET a 2");
                }
                let words: Vec<&[u8]> = calls[0].iter().map(|word| &word[..]).collect();
                answers.push(vec![node.request(&words)]);
            }
        }
    };
    assert_eq!(short(&reply), "+OK");
    node.check(&[("GET b", "'2'"), ("EXISTS a", "0")]);
}

#[test]
fn a_write_that_a_rename_had_not_seen_survives_under_the_old_name() {
    let mut pair = Pair::after(&["SET a old"]);
    pair.a.run("RENAME a b");
    pair.b.run("SET a new");
    pair.agree(&[("GET a", "'new'"), ("GET b", "'old'")]);
    let mut pair = Pair::after(&["HSET a f 1"]);
    pair.a.run("RENAME a b");
    pair.b.run("HSET a g 2");
    pair.agree(&[("HGETALL a", "{'g'='2'}"), ("HGETALL b", "{'f'='1'}")]);
}

#[test]
fn a_rename_onto_a_key_and_a_concurrent_set_of_it_keep_the_newest() {
    let mut pair = Pair::after(&["SET a moved"]);
    pair.a.run("RENAME a b");
    pair.b.pass(5);
    pair.b.run("SET b set");
    pair.agree(&[("GET b", "'set'"), ("EXISTS a", "0")]);
}
