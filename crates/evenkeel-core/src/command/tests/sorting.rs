//! SORT, OBJECT, and what is refused by name.

use super::strings::{NOT_AN_INTEGER, SYNTAX, WRONG_TYPE};
use super::*;

#[test]
fn elements_are_sorted_as_numbers_or_as_text() {
    Node::alone().check(&[
        ("RPUSH l 3 1.5 -2 10", "4"),
        ("SORT l", "['-2' '1.5' '3' '10']"),
        ("SORT l DESC", "['10' '3' '1.5' '-2']"),
        ("SORT l ALPHA", "['-2' '1.5' '10' '3']"),
        ("SORT l LIMIT 1 2", "['1.5' '3']"),
        ("SORT l LIMIT -5 2", "['-2' '1.5']"),
        ("SORT l LIMIT 9 2", "[]"),
        ("SORT l LIMIT 1 -1", "['1.5' '3' '10']"),
        ("SORT nosuch", "[]"),
        ("SADD s b a", "2"),
        (
            "SORT s",
            "ERR One or more scores can't be converted into double",
        ),
        ("SORT s ALPHA DESC", "['b' 'a']"),
        ("ZADD z 2 1 1 2 3 0", "3"),
        ("SORT z", "['0' '1' '2']"),
        ("SORT z BY nosort", "['2' '1' '0']"),
        ("SORT z BY nosort DESC LIMIT 0 1", "['0']"),
        ("SORT l BY nosort", "['3' '1.5' '-2' '10']"),
        ("SORT_RO l LIMIT 0 1", "['-2']"),
        ("SORT_RO l STORE d", SYNTAX),
        ("SORT l STORE", SYNTAX),
        ("SORT l LIMIT x 1", NOT_AN_INTEGER),
        ("SET k v", "+OK"),
        ("SORT k", WRONG_TYPE),
    ]);
}

#[test]
fn elements_are_weighed_and_shown_by_other_keys() {
    Node::alone().check(&[
        ("RPUSH l 1 2 3", "3"),
        ("MSET w_1 30 w_2 10 w_3 20 t_1 one t_3 three", "+OK"),
        ("HSET h_1 f x w 3", "2"),
        ("HSET h_2 f y w 2", "2"),
        ("HSET h_3 w 1", "1"),
        ("SORT l BY w_*", "['2' '3' '1']"),
        (
            "SORT l BY w_* GET # GET t_*",
            "['2' nil '3' 'three' '1' 'one']",
        ),
        ("SORT l BY h_*->w GET h_*->f", "[nil 'y' 'x']"),
        ("SORT l GET const", "[nil nil nil]"),
        ("SORT l GET t_*->", "[nil nil nil]"),
        ("SORT l BY nosuch_* DESC", "['3' '2' '1']"),
        (
            "SORT l BY t_*",
            "ERR One or more scores can't be converted into double",
        ),
        ("SORT l BY t_* ALPHA", "['2' '1' '3']"),
    ]);
}

#[test]
fn a_sorted_list_is_stored_in_the_place_of_what_was_there() {
    Node::alone().check(&[
        ("RPUSH l 3 1 2", "3"),
        ("SET d v EX 100", "+OK"),
        ("SORT l STORE d", "3"),
        ("LRANGE d 0 -1", "['1' '2' '3']"),
        ("TTL d", "-1"),
        ("SORT l GET t_* STORE d", "3"),
        ("LRANGE d 0 -1", "['' '' '']"),
        ("SORT nosuch STORE d", "0"),
        ("EXISTS d", "0"),
        ("SADD s c a b", "3"),
        ("SORT s BY nosort STORE d", "3"),
        ("LRANGE d 0 -1", "['a' 'b' 'c']"),
    ]);
}

#[test]
fn the_keys_of_sort_are_its_source_and_its_last_target() {
    let keys = |command: &str| {
        let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        keys_of(lookup(args[0]).unwrap(), &args).unwrap()
    };
    assert_eq!(keys("SORT abc STORE def"), [1, 3]);
    assert_eq!(
        keys("SORT abc STORE invalid STORE stillbad STORE def"),
        [1, 7]
    );
    assert_eq!(keys("SORT abc STORE"), [1]);
    assert_eq!(keys("SORT_RO foo GET x"), [1]);
    let more = |command: &str| {
        let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        lookup(args[0]).unwrap().keys.finds_more(&args)
    };
    assert!(more("SORT l BY w_*") && more("SORT_RO l get x*"));
    assert!(!more("SORT l DESC") && !more("SORT get") && !more("LRANGE l 0 get"));
}

#[test]
fn the_form_of_a_value_is_named_as_redis_would_hold_it() {
    let mut node = Node::alone();
    let long = "x".repeat(65);
    for (write, form) in [
        ("SET k 12345".to_owned(), "int"),
        ("INCR k".to_owned(), "int"),
        ("SET k 1.5".to_owned(), "embstr"),
        (format!("SET k {}", "x".repeat(44)), "embstr"),
        (format!("SET k {}", "x".repeat(45)), "raw"),
        ("PFADD k a".to_owned(), "raw"),
        ("RPUSH k a".to_owned(), "quicklist"),
        ("SADD k 1 2".to_owned(), "intset"),
        ("SADD k 1 a".to_owned(), "hashtable"),
        ("HSET k f v".to_owned(), "listpack"),
        (format!("HSET k f {long}"), "hashtable"),
        (format!("HSET k {long} v"), "hashtable"),
        ("ZADD k 1 a".to_owned(), "listpack"),
        (format!("ZADD k 1 {long}"), "skiplist"),
    ] {
        node.run("DEL k");
        node.run(&write);
        assert_eq!(
            node.run("OBJECT ENCODING k"),
            format!("'{form}'"),
            "{write}"
        );
    }
    node.run("DEL k");
    for n in 0..129 {
        node.run(&format!("HSET k {n} v"));
    }
    assert_eq!(node.run("OBJECT ENCODING k"), "'hashtable'");
}

#[test]
fn facts_about_a_key_are_told_and_wrong_questions_refused() {
    let mut node = Node::alone();
    node.run("SET k v");
    node.pass(5_000);
    node.check(&[
        ("OBJECT REFCOUNT k", "1"),
        ("OBJECT IDLETIME k", "5"),
        ("OBJECT ENCODING nosuch", "nil"),
        (
            "OBJECT WHAT k",
            "ERR unknown subcommand 'WHAT'. Try OBJECT HELP.",
        ),
        (
            "OBJECT ENCODING",
            "ERR wrong number of arguments for 'object|encoding' command",
        ),
    ]);
    assert!(
        node.run("OBJECT FREQ k")
            .starts_with("ERR An LFU maxmemory policy is not selected")
    );
    assert!(node.run("OBJECT HELP").contains("ENCODING"));
}

#[test]
fn what_has_no_meaning_here_is_refused_with_what_to_use_instead() {
    let mut node = Node::alone();
    for command in [
        "REPLICAOF NO ONE",
        "SLAVEOF NO ONE",
        "PSYNC ? -1",
        "SYNC",
        "REPLCONF ack 0",
        "MIGRATE h 1 k 0 10",
        "MODULE LIST",
        "FAILOVER",
        "MOVE k 1",
        "SWAPDB 0 1",
    ] {
        let reply = node.run(command);
        let name = command.split(' ').next().unwrap();
        assert!(reply.starts_with(&format!("UNSUPPORTED {name}")), "{reply}");
        assert!(reply.contains(" ; "), "{reply}");
    }
}

#[test]
fn a_rename_and_a_deadline_of_the_old_key_do_not_meet_and_the_later_deadline_holds() {
    let mut pair = Pair::after(&["SET a v EX 100"]);
    pair.a.run("RENAME a b");
    pair.b.run("EXPIRE a 50");
    pair.agree(&[("TTL b", "100"), ("EXISTS a", "0")]);
    let mut pair = Pair::after(&["SET b v"]);
    pair.a.run("EXPIRE b 10");
    pair.b.run("PERSIST b");
    pair.agree(&[("TTL b", "10")]);
}
