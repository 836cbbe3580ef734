//! Strings as bits and bit fields, and the longest common subsequence.

use super::strings::{NOT_AN_INTEGER, SYNTAX, WRONG_TYPE};
use super::*;

const OFFSET: &str = "ERR bit offset is not an integer or out of range";
const BIT: &str = "ERR bit is not an integer or out of range";

#[test]
fn bits_are_set_cleared_and_read() {
    let mut node = Node::alone();
    node.check(&[
        ("SETBIT k 1 1", "0"),
        ("GET k", "'@'"),
        ("SETBIT k 1 1", "1"),
        ("SETBIT k 15 1", "0"),
        ("GET k", "'@\\x01'"),
        ("SETBIT k 1 0", "1"),
        ("GETBIT k 15", "1"),
        ("GETBIT k 14", "0"),
        ("GETBIT k 99", "0"),
        ("GETBIT nosuch 0", "0"),
        ("SETBIT made 9 0", "0"),
        ("GET made", "'\\x00\\x00'"),
        ("SETBIT k -1 1", OFFSET),
        ("SETBIT k x 1", OFFSET),
        ("SETBIT k 4294967296 1", OFFSET),
        ("SETBIT k #1 1", OFFSET),
        ("SETBIT k 0 2", BIT),
        ("SETBIT k 0 x", BIT),
        ("GETBIT k -1", OFFSET),
        ("SADD s a", "1"),
        ("SETBIT s 0 1", WRONG_TYPE),
        ("GETBIT s 0", WRONG_TYPE),
        ("BITCOUNT s", WRONG_TYPE),
        ("BITPOS s 0", WRONG_TYPE),
    ]);
    assert_eq!(node.batches_of("SETBIT k 15 1"), 0);
    node.check(&[("SET n 1", "+OK"), ("SETBIT n 6 1", "0"), ("GET n", "'3'")]);
}

#[test]
fn set_bits_are_counted_in_ranges_of_bytes_and_of_bits() {
    Node::alone().check(&[
        ("SET k foobar", "+OK"),
        ("BITCOUNT k", "26"),
        ("BITCOUNT k 0 0", "4"),
        ("BITCOUNT k 1 1", "6"),
        ("BITCOUNT k 0 -5", "10"),
        ("BITCOUNT k 5 30 BIT", "17"),
        ("BITCOUNT k 9 9 BIT", "1"),
        ("BITCOUNT k 1 1 byte", "6"),
        ("BITCOUNT k -1 -2", "0"),
        ("BITCOUNT k -100 100 BIT", "26"),
        ("BITCOUNT k 40 30", "0"),
        ("BITCOUNT nosuch", "0"),
        ("BITCOUNT nosuch 0", "0"),
        ("BITCOUNT k 0", SYNTAX),
        ("BITCOUNT k 0 1 hello", SYNTAX),
        ("BITCOUNT k 0 1 BIT x", SYNTAX),
        ("BITCOUNT k x 1", NOT_AN_INTEGER),
    ]);
}

#[test]
fn the_first_bit_of_a_value_is_found() {
    let mut node = Node::alone();
    node.request(&[b"SET", b"k", b"\xff\xf0\x00"]);
    node.request(&[b"SET", b"full", b"\xff\xff"]);
    node.request(&[b"SET", b"zero", b"\x00\x00"]);
    node.check(&[
        ("BITPOS k 0", "12"),
        ("BITPOS k 1", "0"),
        ("BITPOS k 1 2", "-1"),
        ("BITPOS k 0 2", "16"),
        ("BITPOS k 1 1 -1", "8"),
        ("BITPOS k 0 0 0", "-1"),
        ("BITPOS k 0 4 20 BIT", "12"),
        ("BITPOS k 1 12 20 BIT", "-1"),
        ("BITPOS k 1 9 20 BIT", "9"),
        ("BITPOS k 0 3 11 BIT", "-1"),
        ("BITPOS full 0", "16"),
        ("BITPOS full 0 0", "16"),
        ("BITPOS full 0 0 -1", "-1"),
        ("BITPOS full 0 5", "-1"),
        ("BITPOS zero 1", "-1"),
        ("BITPOS nosuch 0", "0"),
        ("BITPOS nosuch 1", "-1"),
        ("BITPOS k 2", "ERR The bit argument must be 1 or 0."),
        ("BITPOS k x", NOT_AN_INTEGER),
        ("BITPOS k 0 0 1 what", SYNTAX),
    ]);
}

#[test]
fn strings_are_combined_bit_by_bit() {
    let mut node = Node::alone();
    node.request(&[b"SET", b"a", b"\x0f\xff"]);
    node.request(&[b"SET", b"b", b"\x35"]);
    node.check(&[
        ("BITOP AND d a b", "2"),
        ("GET d", "'\\x05\\x00'"),
        ("BITOP or d a b nosuch", "2"),
        ("GET d", "'?\\xff'"),
        ("BITOP XOR d a b", "2"),
        ("GET d", "':\\xff'"),
        ("BITOP NOT d a", "2"),
        ("GET d", "'\\xf0\\x00'"),
        ("EXPIRE d 100", "1"),
        ("BITOP NOT d d", "2"),
        ("GET d", "'\\x0f\\xff'"),
        ("TTL d", "-1"),
        ("BITOP AND d nosuch", "0"),
        ("EXISTS d", "0"),
        ("BITOP what d a", SYNTAX),
        (
            "BITOP NOT d a b",
            "ERR BITOP NOT must be called with a single source key.",
        ),
        ("SADD s x", "1"),
        ("BITOP AND d a s", WRONG_TYPE),
    ]);
}

#[test]
fn fields_of_any_width_are_read_written_and_added_to() {
    Node::alone().check(&[
        ("BITFIELD k", "[]"),
        ("BITFIELD k GET u8 0", "[0]"),
        ("EXISTS k", "0"),
        ("BITFIELD k SET i8 0 -1 GET u8 0 GET u4 #1", "[0 255 15]"),
        ("BITFIELD k INCRBY i5 100 1 GET u4 0", "[1 15]"),
        ("STRLEN k", "14"),
        (
            "BITFIELD k SET u63 #1 9223372036854775807 GET u63 63",
            "[2097152 9223372036854775807]",
        ),
        ("DEL k", "1"),
        (
            "BITFIELD k SET i64 3 -9223372036854775808 GET i64 3",
            "[0 -9223372036854775808]",
        ),
        ("BITFIELD_RO k GET i64 3", "[-9223372036854775808]"),
        (
            "BITFIELD_RO k SET u2 0 1",
            "ERR BITFIELD_RO only supports the GET subcommand",
        ),
        ("SADD s a", "1"),
        ("BITFIELD s GET u1 0", WRONG_TYPE),
        ("BITFIELD k GET u8", SYNTAX),
        ("BITFIELD k GET u8 -1", OFFSET),
        ("BITFIELD k SET u8 0 x", NOT_AN_INTEGER),
        (
            "BITFIELD k OVERFLOW what",
            "ERR Invalid OVERFLOW type specified",
        ),
    ]);
    for kind in ["u64", "i65", "u0", "x8", "i", "u-1"] {
        assert_eq!(
            Node::alone().run(&format!("BITFIELD k GET {kind} 0")),
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
        );
    }
}

#[test]
fn a_field_that_overflows_wraps_stops_at_its_bound_or_fails() {
    let mut node = Node::alone();
    node.check(&[
        ("BITFIELD k SET u8 0 250 INCRBY u8 0 10", "[0 4]"),
        (
            "BITFIELD k OVERFLOW SAT INCRBY u8 0 255 INCRBY u8 0 -300",
            "[255 0]",
        ),
        (
            "BITFIELD k OVERFLOW FAIL INCRBY u8 0 -1 OVERFLOW WRAP INCRBY u8 0 -1",
            "[nil 255]",
        ),
        ("BITFIELD k SET i8 8 127 INCRBY i8 8 1", "[0 -128]"),
        ("BITFIELD k OVERFLOW SAT INCRBY i8 8 -1", "[-128]"),
        (
            "BITFIELD k OVERFLOW SAT SET i8 8 200 GET i8 8",
            "[-128 127]",
        ),
        ("BITFIELD k OVERFLOW SAT SET u8 8 -1 GET u8 8", "[127 255]"),
        ("BITFIELD k SET u8 8 257 GET u8 8", "[255 1]"),
    ]);
    assert_eq!(node.batches_of("BITFIELD k OVERFLOW FAIL SET u2 0 9"), 0);
    assert_eq!(node.batches_of("BITFIELD k SET u8 8 1"), 0);
    assert_eq!(
        node.run("BITFIELD nosuch OVERFLOW FAIL SET u2 0 9"),
        "[nil]"
    );
    assert_eq!(node.run("EXISTS nosuch"), "0");
}

#[test]
fn the_longest_common_subsequence_is_found_with_its_ranges() {
    Node::alone().check(&[
        ("MSET a ohmytext b mynewtext", "+OK"),
        ("LCS a b", "'mytext'"),
        ("LCS a b LEN", "6"),
        (
            "LCS a b IDX",
            "{'matches'=[[[4 7] [5 8]] [[2 3] [0 1]]] 'len'=6}",
        ),
        (
            "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
            "{'matches'=[[[4 7] [5 8] 4]] 'len'=6}",
        ),
        ("LCS a nosuch", "''"),
        ("LCS nosuch b LEN", "0"),
        (
            "LCS a b LEN IDX",
            "ERR If you want both the length and indexes, please just use IDX.",
        ),
        ("LCS a b WHAT", SYNTAX),
        ("LCS a b MINMATCHLEN", SYNTAX),
        ("SADD s x", "1"),
        (
            "LCS a s",
            "ERR The specified keys must contain string values",
        ),
    ]);
}

#[test]
fn several_keys_are_set_only_if_none_of_them_exists() {
    Node::alone().check(&[
        ("MSETNX a 1 b 2 a 3", "1"),
        ("MGET a b", "['3' '2']"),
        ("MSETNX c 1 b 9", "0"),
        ("EXISTS c", "0"),
        ("SADD s x", "1"),
        ("MSETNX c 1 s 9", "0"),
        (
            "MSETNX c 1 d",
            "ERR wrong number of arguments for 'msetnx' command",
        ),
    ]);
}

#[test]
fn of_concurrent_whole_value_writes_the_newest_is_shown() {
    for (a, b, key) in [
        ("APPEND k a", "APPEND k b", "'vb'"),
        ("SETBIT k 7 1", "SETBIT k 6 0", "'t'"),
        ("SETRANGE k 0 a", "SETRANGE k 2 b", "'v\\x00b'"),
        ("BITFIELD k SET u8 0 1", "BITFIELD k SET u8 8 66", "'vB'"),
    ] {
        let mut pair = Pair::after(&["SET k v"]);
        pair.a.run(a);
        pair.b.pass(1);
        pair.b.run(b);
        pair.agree(&[("GET k", key)]);
        assert_eq!(
            pair.a.run("APPEND k !"),
            pair.b
                .run("STRLEN k")
                .parse::<usize>()
                .map(|n| n + 1)
                .unwrap()
                .to_string()
        );
    }
}
