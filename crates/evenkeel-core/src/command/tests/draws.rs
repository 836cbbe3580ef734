//! Elements drawn at random.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// The words of an array or a set.
fn words(reply: &str) -> Vec<String> {
    let inner = &reply[1..reply.len() - 1];
    let words = inner.split(' ').filter(|word| !word.is_empty());
    words.map(ToOwned::to_owned).collect()
}

#[test]
fn every_member_is_drawn_about_as_often_as_the_others() {
    let mut node = Node::alone();
    node.run("SADD s a b c d e");
    let mut drawn: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..1000 {
        *drawn.entry(node.run("SRANDMEMBER s")).or_default() += 1;
    }
    for member in words(&node.run("SRANDMEMBER s -1000")) {
        *drawn.entry(member).or_default() += 1;
    }
    for _ in 0..500 {
        for member in words(&node.run("SRANDMEMBER s 2")) {
            *drawn.entry(member).or_default() += 1;
        }
    }
    assert_eq!(drawn.len(), 5);
    let counts = drawn.values();
    assert!(counts.clone().all(|n| (500..700).contains(n)), "{drawn:?}");
}

#[test]
fn a_positive_count_draws_different_members_and_a_negative_one_any() {
    let mut node = Node::alone();
    node.run("SADD s a b c");
    for wanted in 1..5 {
        let drawn = words(&node.run(&format!("SRANDMEMBER s {wanted}")));
        let different: BTreeSet<&String> = drawn.iter().collect();
        assert_eq!(
            (drawn.len(), different.len()),
            (wanted.min(3), wanted.min(3))
        );
        assert_eq!(
            words(&node.run(&format!("SRANDMEMBER s -{wanted}"))).len(),
            wanted
        );
    }
    node.check(&[
        ("SRANDMEMBER s 0", "[]"),
        ("SRANDMEMBER s 3", "['a' 'b' 'c']"),
        ("SRANDMEMBER nosuch", "nil"),
        ("SRANDMEMBER nosuch 3", "[]"),
        ("SRANDMEMBER nosuch -3", "[]"),
        ("SRANDMEMBER s 1 2", "ERR syntax error"),
        ("SRANDMEMBER s x", "ERR value is not an integer or out of range"),
        (
            "SRANDMEMBER s -9223372036854775808",
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ),
        (
            "SRANDMEMBER s -1048577",
            "ERR value is out of range, at most 1048576 elements are drawn with repetition",
        ),
        ("SCARD s", "3"),
    ]);
}

#[test]
fn fields_are_drawn_with_or_without_their_values() {
    let mut node = Node::alone();
    node.check(&[
        ("HSET h a 1 b 2", "2"),
        ("HINCRBY h n 7", "7"),
        (
            "HRANDFIELD h 5 WITHVALUES",
            "[['a' '1'] ['b' '2'] ['n' '7']]",
        ),
        ("HRANDFIELD h 9223372036854775807", "['a' 'b' 'n']"),
        ("HRANDFIELD h 0", "[]"),
        ("HRANDFIELD nosuch", "nil"),
        ("HRANDFIELD nosuch 1", "[]"),
        ("HRANDFIELD nosuch 1 WITHVALUES", "[]"),
        ("HRANDFIELD h 1 NOSUCH", "ERR syntax error"),
        ("HRANDFIELD h 1 WITHVALUES x", "ERR syntax error"),
        (
            "HRANDFIELD h x",
            "ERR value is not an integer or out of range",
        ),
        (
            "HRANDFIELD h 9223372036854775807 WITHVALUES",
            "ERR value is out of range",
        ),
        ("HDEL h a b", "2"),
        ("HRANDFIELD h", "'n'"),
        ("HRANDFIELD h -2 withvalues", "[['n' '7'] ['n' '7']]"),
    ]);
}

#[test]
fn popping_takes_each_member_once_and_the_key_with_the_last() {
    let mut node = Node::alone();
    node.run("SADD s a b c d e");
    node.run("EXPIRE s 100");
    let mut popped: Vec<String> = vec![node.run("SPOP s")];
    popped.extend(words(&node.run("SPOP s 2")));
    assert_eq!(node.run("SCARD s"), "2");
    assert_eq!(node.run("TTL s"), "100");
    popped.extend(words(&node.run("SPOP s 10")));
    popped.sort();
    assert_eq!(popped, ["'a'", "'b'", "'c'", "'d'", "'e'"]);
    assert_eq!(node.partition.replica().cells().count(), 0);
    node.check(&[
        ("SPOP s", "nil"),
        ("SPOP s 3", "{}"),
        ("SPOP s x", "ERR value is out of range, must be positive"),
        ("SPOP s -1", "ERR value is out of range, must be positive"),
        ("SPOP s 1 2", "ERR syntax error"),
    ]);
}

#[test]
fn popping_nothing_writes_nothing() {
    let mut node = Node::alone();
    node.run("SADD s a");
    assert_eq!(node.batches_of("SPOP s 0"), 0);
    assert_eq!(node.batches_of("SPOP nosuch"), 0);
    assert_eq!(node.batches_of("SRANDMEMBER s"), 0);
    assert_eq!(node.batches_of("SPOP s 5"), 1);
}

#[test]
fn a_popped_member_that_was_added_again_elsewhere_survives() {
    let mut pair = Pair::after(&["SADD s m"]);
    assert_eq!(pair.a.run("SPOP s"), "'m'");
    pair.b.run("SADD s m");
    pair.agree(&[("SMEMBERS s", "{'m'}")]);
}

#[test]
fn two_cut_homes_may_pop_the_same_member_and_then_it_is_gone_everywhere() {
    let mut pair = Pair::after(&["SADD s m"]);
    assert_eq!(pair.a.run("SPOP s"), "'m'");
    assert_eq!(pair.b.run("SPOP s"), "'m'");
    pair.agree(&[("EXISTS s", "0")]);
}
