//! Counters.

use super::*;

const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
const OVERFLOW: &str = "ERR increment or decrement would overflow";
const NOT_A_FLOAT: &str = "ERR value is not a valid float";

#[test]
fn increments_add_to_what_was_set_and_a_set_replaces_them() {
    Node::alone().check(&[
        ("INCR n", "1"),
        ("INCRBY n 10", "11"),
        ("DECR n", "10"),
        ("DECRBY n 4", "6"),
        ("GET n", "'6'"),
        ("TYPE n", "+string"),
        ("STRLEN n", "1"),
        ("SET n 100", "+OK"),
        ("INCR n", "101"),
        ("GETSET n 0", "'101'"),
        ("INCR n", "1"),
        ("APPEND n 5", "2"),
        ("INCR n", "16"),
        ("DEL n", "1"),
        ("INCR n", "1"),
        ("INCRBY zero 0", "0"),
        ("GET zero", "'0'"),
    ]);
}

#[test]
fn only_canonical_integers_are_counted_on() {
    let mut node = Node::alone();
    for value in ["abc", "01", "+1", "1.0", "''", "9223372036854775808"] {
        node.run(&format!("SET n {value}"));
        assert_eq!(node.run("INCR n"), NOT_AN_INTEGER, "{value}");
    }
    node.check(&[
        ("INCRBY n x", NOT_AN_INTEGER),
        (
            "DECRBY n -9223372036854775808",
            "ERR decrement would overflow",
        ),
    ]);
}

#[test]
fn an_increment_that_would_overflow_writes_nothing() {
    let mut node = Node::alone();
    node.check(&[
        ("SET n 9223372036854775807", "+OK"),
        ("INCR n", OVERFLOW),
        ("INCRBY n 9223372036854775807", OVERFLOW),
        ("GET n", "'9223372036854775807'"),
        ("DECR n", "9223372036854775806"),
        ("SET n -9223372036854775808", "+OK"),
        ("DECR n", OVERFLOW),
        ("INCRBY n 9223372036854775807", "-1"),
    ]);
    node.run("SET n 9223372036854775807");
    assert_eq!(node.batches_of("INCR n"), 0);
}

#[test]
fn floats_add_up_and_read_as_redis_prints_them() {
    Node::alone().check(&[
        ("SET f 10.50", "+OK"),
        ("INCRBYFLOAT f 0.1", "'10.6'"),
        ("INCRBYFLOAT f -5", "'5.6'"),
        ("GET f", "'5.6'"),
        ("INCR f", NOT_AN_INTEGER),
        ("INCRBYFLOAT g 0.1", "'0.1'"),
        ("INCRBYFLOAT g 0.2", "'0.3'"),
        ("SET h 5.0e3", "+OK"),
        ("INCRBYFLOAT h 2.0e2", "'5200'"),
        ("INCR h", "5201"),
        ("SET whole 9007199254740993", "+OK"),
        ("INCRBYFLOAT whole 1", "'9007199254740994'"),
        ("SET t abc", "+OK"),
        ("INCRBYFLOAT t 1", NOT_A_FLOAT),
        ("INCRBYFLOAT f x", NOT_A_FLOAT),
        ("INCRBYFLOAT f nan", NOT_A_FLOAT),
        (
            "INCRBYFLOAT f inf",
            "ERR increment would produce NaN or Infinity",
        ),
    ]);
}

#[test]
fn an_increment_keeps_the_deadline() {
    Node::alone().check(&[
        ("SET n 1 EX 30", "+OK"),
        ("INCR n", "2"),
        ("INCRBYFLOAT n 0.5", "'2.5'"),
        ("TTL n", "30"),
    ]);
}
