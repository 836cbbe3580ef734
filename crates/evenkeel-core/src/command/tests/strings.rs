//! Strings.

use super::*;

pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
pub(super) const SYNTAX: &str = "ERR syntax error";
pub(super) const WRONG_TYPE: &str =
    "WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn set_writes_under_its_conditions_and_get_reads_it() {
    Node::alone().check(&[
        ("GET k", "nil"),
        ("SET k 1 XX", "nil"),
        ("SET k 1 nx", "+OK"),
        ("SET k 2 NX", "nil"),
        ("GET k", "'1'"),
        ("SET k 3 GET", "'1'"),
        ("SET k 4 NX GET", "'3'"),
        ("SET k 4 XX GET", "'3'"),
        ("SET other 1 GET", "nil"),
        ("SET third 1 XX GET", "nil"),
        ("EXISTS third", "0"),
        ("STRLEN k", "1"),
        ("STRLEN nosuch", "0"),
        ("SET empty ''", "+OK"),
        ("GET empty", "''"),
    ]);
}

#[test]
fn set_refuses_options_that_contradict_each_other() {
    let mut node = Node::alone();
    for options in [
        "NX XX",
        "EX 10 PX 10",
        "EX",
        "EX 10 KEEPTTL",
        "KEEPTTL EX 10",
        "PERSIST",
        "what",
    ] {
        assert_eq!(node.run(&format!("SET k v {options}")), SYNTAX, "{options}");
    }
    assert_eq!(node.run("SET k v EX 10 EX 20"), "+OK");
    assert_eq!(node.run("TTL k"), "20");
}

#[test]
fn expire_times_must_be_integers_above_zero_that_do_not_overflow() {
    let mut node = Node::alone();
    for (command, name) in [
        ("SET k v EX 0", "set"),
        ("SET k v PX -1", "set"),
        ("SET k v EX 9223372036854775807", "set"),
        ("SET k v PX 9223372036854775807", "set"),
        ("SET k v EXAT 9223372036854775807", "set"),
        ("SETEX k 0 v", "setex"),
        ("PSETEX k -5 v", "psetex"),
    ] {
        let error = format!("ERR invalid expire time in '{name}' command");
        assert_eq!(node.run(command), error, "{command}");
    }
    node.check(&[
        ("SET k v EX ten", NOT_AN_INTEGER),
        ("SETEX k ten v", NOT_AN_INTEGER),
        ("EXISTS k", "0"),
        ("SET k v PXAT 9223372036854775807", "+OK"),
        ("PEXPIRETIME k", "9223372036854775807"),
    ]);
}

#[test]
fn a_set_drops_the_deadline_unless_it_keeps_it() {
    Node::alone().check(&[
        ("SET k 1 EX 100", "+OK"),
        ("SET k 2 KEEPTTL", "+OK"),
        ("TTL k", "100"),
        ("SET k 3", "+OK"),
        ("TTL k", "-1"),
        ("SETEX k 7 v", "+OK"),
        ("TTL k", "7"),
        ("GETSET k w", "'v'"),
        ("TTL k", "-1"),
        ("PSETEX k 1500 v", "+OK"),
        ("PTTL k", "1500"),
        ("SET k v EXAT 1", "+OK"),
        ("EXISTS k", "0"),
    ]);
}

#[test]
fn getex_and_getdel_read_and_then_change_the_key() {
    Node::alone().check(&[
        ("GETEX nosuch EX 0", "nil"),
        ("SET k v", "+OK"),
        ("GETEX k", "'v'"),
        ("TTL k", "-1"),
        ("GETEX k EX 100", "'v'"),
        ("TTL k", "100"),
        ("GETEX k PERSIST", "'v'"),
        ("TTL k", "-1"),
        ("GETEX k EX 0", "ERR invalid expire time in 'getex' command"),
        ("GETEX k NX", SYNTAX),
        ("GETEX k EX 10 PERSIST", SYNTAX),
        ("GETEX k PXAT 1", "'v'"),
        ("EXISTS k", "0"),
        ("SET k v", "+OK"),
        ("GETDEL k", "'v'"),
        ("GETDEL k", "nil"),
    ]);
}

#[test]
fn several_keys_are_read_and_written_in_order() {
    Node::alone().check(&[
        ("MSET a 1 b 2 a 3", "+OK"),
        ("SADD s x", "1"),
        ("MGET a s nosuch b", "['3' nil nil '2']"),
        (
            "MSET a 1 b",
            "ERR wrong number of arguments for 'mset' command",
        ),
        ("GET a", "'3'"),
        ("SETNX a 9", "0"),
        ("SETNX c 9", "1"),
    ]);
}

#[test]
fn parts_of_strings_are_read_and_written() {
    Node::alone().check(&[
        ("APPEND k Hello", "5"),
        ("APPEND k !", "6"),
        ("GETRANGE k 0 -1", "'Hello!'"),
        ("GETRANGE k -3 -2", "'lo'"),
        ("GETRANGE k -1 -3", "''"),
        ("GETRANGE k 4 100", "'o!'"),
        ("GETRANGE k 9 12", "''"),
        ("GETRANGE k -100 1", "'He'"),
        ("GETRANGE nosuch 0 -1", "''"),
        ("GETRANGE k x 1", NOT_AN_INTEGER),
        ("SUBSTR k 0 0", "'H'"),
        ("SETRANGE k 1 a", "6"),
        ("GET k", "'Hallo!'"),
        ("SETRANGE pad 2 x", "3"),
        ("GET pad", "'\\x00\\x00x'"),
        ("SETRANGE nosuch 5 ''", "0"),
        ("EXISTS nosuch", "0"),
        ("SETRANGE k -1 x", "ERR offset is out of range"),
        (
            "SETRANGE k 536870912 x",
            "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        ),
        ("APPEND made ''", "0"),
        ("EXISTS made", "1"),
    ]);
}

#[test]
fn appending_and_patching_keep_the_deadline() {
    Node::alone().check(&[
        ("SET k v EX 50", "+OK"),
        ("APPEND k w", "2"),
        ("SETRANGE k 0 x", "2"),
        ("TTL k", "50"),
    ]);
}

#[test]
fn string_commands_refuse_other_types_and_set_replaces_them() {
    let mut node = Node::alone();
    node.run("SADD s x");
    for command in [
        "GET s",
        "GETSET s v",
        "GETDEL s",
        "GETEX s",
        "APPEND s v",
        "STRLEN s",
        "GETRANGE s 0 1",
        "SETRANGE s 0 v",
        "SET s v GET",
        "INCR s",
        "INCRBYFLOAT s 1",
    ] {
        assert_eq!(node.run(command), WRONG_TYPE, "{command}");
    }
    node.check(&[
        ("SETNX s v", "0"),
        ("EXPIRE s 100", "1"),
        ("SET s v KEEPTTL", "+OK"),
        ("TYPE s", "+string"),
        ("TTL s", "100"),
    ]);
}

#[test]
fn a_set_is_one_batch_with_all_it_replaces() {
    let mut node = Node::alone();
    node.run("SADD s a b c");
    node.run("EXPIRE s 100");
    assert_eq!(node.batches_of("SET s v"), 1);
    assert_eq!(node.run("TTL s"), "-1");
    assert_eq!(node.partition.replica().cells().count(), 1);
}

#[test]
fn names_and_values_too_long_for_members_are_refused_whole() {
    let mut node = Node::alone();
    let long = vec![b'x'; crate::limits::KEY_BYTES_MAX + 1];
    let reply = short(&node.request(&[b"SET", &long, b"v"]));
    assert!(
        reply.starts_with("ERR too many bytes of the key, at most 65536"),
        "{reply}"
    );
    let long = vec![b'x'; crate::limits::FIELD_BYTES_MAX + 1];
    let reply = short(&node.request(&[b"SADD", b"s", b"fits", &long]));
    assert!(
        reply.starts_with("ERR too many bytes of a field"),
        "{reply}"
    );
    assert_eq!(node.run("DBSIZE"), "0");
}
