//! EK.STORE: a collection put in a key's place.

use super::*;

#[test]
fn a_stored_collection_replaces_whatever_the_key_was_in_one_batch() {
    let mut node = Node::alone();
    for before in ["SADD k x y", "SET k v EX 100", "HSET k x 1 y 2", "DEL k"] {
        node.run(before);
        assert_eq!(node.batches_of("EK.STORE k SET a b a"), 1, "{before}");
        node.check(&[
            ("SMEMBERS k", "{'a' 'b'}"),
            ("TTL k", "-1"),
            ("EK.STORE k hash a 1 b 2", "2"),
            ("HGETALL k", "{'a'='1' 'b'='2'}"),
            ("EK.STORE k ZSET 2.5 a -inf b", "2"),
            ("ZRANGE k 0 -1 WITHSCORES", "[['b' -inf] ['a' 2.5]]"),
            ("DBSIZE", "1"),
        ]);
    }
}

#[test]
fn storing_nothing_removes_the_key() {
    let mut node = Node::alone();
    node.run("SADD k a b");
    node.check(&[("EK.STORE k SET", "0"), ("EXISTS k", "0")]);
    assert_eq!(node.batches_of("EK.STORE k SET"), 0);
    assert_eq!(node.partition.replica().cells().count(), 0);
}

#[test]
fn what_cannot_be_stored_leaves_the_key_as_it_was() {
    let mut node = Node::alone();
    node.check(&[
        ("SET k v", "+OK"),
        ("EK.STORE k HASH a", "ERR syntax error"),
        ("EK.STORE k NOSUCH a", "ERR syntax error"),
        ("EK.STORE k ZSET 1", "ERR syntax error"),
        (
            "EK.STORE k ZSET 1 a nan b",
            "ERR value is not a valid float",
        ),
        ("GET k", "'v'"),
    ]);
}

#[test]
fn members_added_meanwhile_survive_beside_what_was_stored() {
    let mut pair = Pair::after(&["SADD k old other"]);
    pair.a.run("EK.STORE k SET new");
    pair.b.run("SADD k old");
    pair.agree(&[("SMEMBERS k", "{'new' 'old'}")]);
}

#[test]
fn of_two_collections_stored_at_once_both_stay() {
    let mut pair = Pair::new();
    pair.a.run("EK.STORE k SET a both");
    pair.b.run("EK.STORE k SET b both");
    pair.agree(&[("SMEMBERS k", "{'a' 'b' 'both'}")]);
}
