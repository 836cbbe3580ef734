//! Sets.

use super::*;

#[test]
fn members_are_added_once_and_found() {
    Node::alone().check(&[
        ("SADD s b a b", "2"),
        ("SADD s a c", "1"),
        ("SCARD s", "3"),
        ("SMEMBERS s", "{'a' 'b' 'c'}"),
        ("SISMEMBER s a", "1"),
        ("SISMEMBER s z", "0"),
        ("SMISMEMBER s a z b", "[1 0 1]"),
        ("SMISMEMBER nosuch a", "[0]"),
        ("SMEMBERS nosuch", "{}"),
        ("SCARD nosuch", "0"),
        ("TYPE s", "+set"),
    ]);
}

#[test]
fn a_set_goes_with_its_last_member_and_its_deadline_with_it() {
    let mut node = Node::alone();
    node.check(&[
        ("SADD s a b", "2"),
        ("EXPIRE s 100", "1"),
        ("SREM s a a z", "1"),
        ("TTL s", "100"),
        ("SREM s b", "1"),
        ("EXISTS s", "0"),
    ]);
    assert_eq!(node.partition.replica().cells().count(), 0);
    node.check(&[("SADD s a", "1"), ("TTL s", "-1")]);
}

#[test]
fn removing_what_is_not_there_writes_nothing() {
    let mut node = Node::alone();
    node.run("SADD s a");
    assert_eq!(node.batches_of("SREM s z"), 0);
    assert_eq!(node.batches_of("SREM nosuch z"), 0);
    assert_eq!(node.batches_of("DEL nosuch"), 0);
    assert_eq!(node.batches_of("PERSIST s"), 0);
}

#[test]
fn set_commands_refuse_other_types() {
    let mut node = Node::alone();
    node.run("SET k v");
    for command in [
        "SADD k a",
        "SREM k a",
        "SMEMBERS k",
        "SISMEMBER k a",
        "SMISMEMBER k a",
        "SCARD k",
    ] {
        assert!(node.run(command).starts_with("WRONGTYPE "), "{command}");
    }
}

#[test]
fn the_count_stays_exact_through_adding_removing_and_clearing() {
    let mut node = Node::alone();
    for n in 0..100 {
        node.run(&format!("SADD s m{n} m{}", n * 7 % 50));
        if n % 3 == 0 {
            node.run(&format!("SREM s m{}", n / 2));
        }
        let listed = node.request(&[b"SMEMBERS", b"s"]);
        let Reply::Set(members) = listed else {
            panic!("{listed:?}");
        };
        assert_eq!(node.run("SCARD s"), members.len().to_string());
    }
    node.check(&[("DEL s", "1"), ("SCARD s", "0"), ("DBSIZE", "0")]);
}
