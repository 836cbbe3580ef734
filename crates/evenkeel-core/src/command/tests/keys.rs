//! Commands on keys of any type.

use super::*;

#[test]
fn keys_are_counted_typed_matched_and_removed() {
    let mut node = Node::alone();
    node.run("MSET one 1 two 2");
    node.run("SADD set a b");
    node.run("HSET hash f v");
    node.check(&[
        ("EXISTS one one nosuch", "2"),
        ("TOUCH one nosuch", "1"),
        ("TYPE one", "+string"),
        ("TYPE set", "+set"),
        ("TYPE hash", "+hash"),
        ("TYPE nosuch", "+none"),
        ("DBSIZE", "4"),
        ("KEYS *", "['hash' 'one' 'set' 'two']"),
        ("KEYS ?[nw]?", "['one' 'two']"),
        ("DEL one set nosuch", "2"),
        ("UNLINK hash", "1"),
        ("KEYS *", "['two']"),
        ("RANDOMKEY", "'two'"),
        ("FLUSHALL now", "ERR syntax error"),
        ("FLUSHALL ASYNC now", "ERR syntax error"),
        ("FLUSHDB async", "+OK"),
        ("DBSIZE", "0"),
        ("RANDOMKEY", "nil"),
    ]);
    assert_eq!(node.partition.replica().cells().count(), 0);
}

#[test]
fn removing_a_key_is_one_batch_whatever_it_holds() {
    let mut node = Node::alone();
    for before in [
        "SET k v",
        "SET k v EX 10",
        "INCR k",
        "SADD k a",
        "SADD k a b c",
        "HINCRBY k f 1",
    ] {
        node.run(before);
        assert_eq!(node.batches_of("DEL k"), 1, "{before}");
        node.check(&[("EXISTS k", "0"), ("DBSIZE", "0")]);
    }
}

#[test]
fn random_keys_come_from_all_over_the_partition() {
    let mut node = Node::alone();
    for n in 0..20 {
        node.run(&format!("SET k{n} v"));
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..500 {
        node.pass(1);
        seen.insert(node.run("RANDOMKEY"));
    }
    assert_eq!(seen.len(), 20);
}
