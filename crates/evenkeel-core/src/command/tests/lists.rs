//! Lists.

use super::*;

/// A list of the elements given, `1 2 3`.
fn node(elements: &str) -> Node {
    let mut node = Node::alone();
    node.run(&format!("RPUSH l {elements}"));
    node
}

#[test]
fn elements_are_pushed_to_either_end_each_beyond_the_one_before() {
    Node::alone().check(&[
        ("RPUSH l a b", "2"),
        ("LPUSH l x y z", "5"),
        ("LRANGE l 0 -1", "['z' 'y' 'x' 'a' 'b']"),
        ("LLEN l", "5"),
        ("TYPE l", "+list"),
        ("LLEN nosuch", "0"),
        ("LPUSHX nosuch a", "0"),
        ("RPUSHX nosuch a b", "0"),
        ("EXISTS nosuch", "0"),
        ("RPUSHX l c d", "7"),
        ("LPUSHX l w", "8"),
        ("LRANGE l 0 -1", "['w' 'z' 'y' 'x' 'a' 'b' 'c' 'd']"),
    ]);
}

#[test]
fn pops_take_from_an_end_and_the_key_goes_with_the_last_element() {
    let mut node = node("a b c d e f");
    node.check(&[
        ("EXPIRE l 100", "1"),
        ("LPOP l", "'a'"),
        ("RPOP l", "'f'"),
        ("LPOP l 2", "['b' 'c']"),
        ("LPOP l 0", "[]"),
        ("RPOP l 10", "['e' 'd']"),
        ("EXISTS l", "0"),
        ("LPOP l", "nil"),
        ("LPOP l 0", "NullArray"),
        ("RPOP l 3", "NullArray"),
        ("LPOP l -1", "ERR value is out of range, must be positive"),
        ("RPOP l x", "ERR value is out of range, must be positive"),
        (
            "LPOP l 1 2",
            "ERR wrong number of arguments for 'lpop' command",
        ),
        ("RPUSH l a", "1"),
        ("TTL l", "-1"),
    ]);
    node.run("DEL l");
    assert_eq!(node.partition.replica().cells().count(), 0);
}

#[test]
fn a_range_is_read_from_either_end() {
    node("0 1 2 3 4").check(&[
        ("LRANGE l 0 0", "['0']"),
        ("LRANGE l 1 3", "['1' '2' '3']"),
        ("LRANGE l -2 -1", "['3' '4']"),
        ("LRANGE l -100 1", "['0' '1']"),
        ("LRANGE l 3 100", "['3' '4']"),
        ("LRANGE l 3 2", "[]"),
        ("LRANGE l 5 9", "[]"),
        ("LRANGE l 0 -6", "[]"),
        (
            "LRANGE l -9223372036854775808 9223372036854775807",
            "['0' '1' '2' '3' '4']",
        ),
        ("LRANGE nosuch 0 -1", "[]"),
        (
            "LRANGE nosuch x 1",
            "ERR value is not an integer or out of range",
        ),
    ]);
}

#[test]
fn an_element_is_found_and_set_by_its_index() {
    node("a b c d e").check(&[
        ("LINDEX l 0", "'a'"),
        ("LINDEX l 3", "'d'"),
        ("LINDEX l -1", "'e'"),
        ("LINDEX l -5", "'a'"),
        ("LINDEX l 5", "nil"),
        ("LINDEX l -6", "nil"),
        ("LINDEX l -9223372036854775808", "nil"),
        ("LINDEX l x", "ERR value is not an integer or out of range"),
        ("LINDEX nosuch x", "nil"),
        ("LSET l 1 B", "+OK"),
        ("LSET l -1 E", "+OK"),
        ("LSET l 5 z", "ERR index out of range"),
        ("LSET l -6 z", "ERR index out of range"),
        ("LSET l x z", "ERR value is not an integer or out of range"),
        ("LSET nosuch x z", "ERR no such key"),
        ("LRANGE l 0 -1", "['a' 'B' 'c' 'd' 'E']"),
    ]);
}

#[test]
fn an_element_is_inserted_next_to_the_first_that_equals_the_pivot() {
    node("a b a").check(&[
        ("LINSERT l BEFORE a x", "4"),
        ("LINSERT l after b y", "5"),
        ("LINSERT l AFTER nosuch z", "-1"),
        ("LINSERT nosuch BEFORE a z", "0"),
        ("LINSERT l BESIDE a z", "ERR syntax error"),
        ("LRANGE l 0 -1", "['x' 'a' 'b' 'y' 'a']"),
        ("RPUSH l end", "6"),
        ("LINSERT l AFTER end last", "7"),
        ("LINDEX l -1", "'last'"),
        ("LINSERT l BEFORE x first", "8"),
        ("LINDEX l 0", "'first'"),
    ]);
}

#[test]
fn equal_elements_are_removed_from_the_end_that_the_count_says() {
    node("a b a c a d a").check(&[
        ("LREM l 1 a", "1"),
        ("LRANGE l 0 -1", "['b' 'a' 'c' 'a' 'd' 'a']"),
        ("LREM l -2 a", "2"),
        ("LRANGE l 0 -1", "['b' 'a' 'c' 'd']"),
        ("LREM l 0 nosuch", "0"),
        ("LREM l x a", "ERR value is not an integer or out of range"),
        ("LREM nosuch 0 a", "0"),
        ("RPUSH l a a", "6"),
        ("LREM l 0 a", "3"),
        ("LRANGE l 0 -1", "['b' 'c' 'd']"),
    ]);
    let mut same = node("a a a");
    same.check(&[("LREM l 0 a", "3"), ("EXISTS l", "0")]);
}

#[test]
fn a_list_is_trimmed_to_a_range() {
    for (range, left) in [
        ("1 3", "['1' '2' '3']"),
        ("0 -1", "['0' '1' '2' '3' '4']"),
        ("-2 -1", "['3' '4']"),
        ("0 0", "['0']"),
        ("3 100", "['3' '4']"),
        ("5 9", "[]"),
        ("3 1", "[]"),
        ("0 -9", "[]"),
    ] {
        let mut node = node("0 1 2 3 4");
        assert_eq!(node.run(&format!("LTRIM l {range}")), "+OK");
        assert_eq!(node.run("LRANGE l 0 -1"), left, "{range}");
        assert_eq!(node.run("EXISTS l"), if left == "[]" { "0" } else { "1" });
    }
    Node::alone().check(&[
        ("LTRIM nosuch 0 1", "+OK"),
        (
            "LTRIM nosuch x 1",
            "ERR value is not an integer or out of range",
        ),
    ]);
}

#[test]
fn long_runs_are_trimmed_as_ranges_and_leave_exactly_the_rest() {
    let elements: Vec<String> = (0..2000).map(|n| n.to_string()).collect();
    let mut node = node(&elements.join(" "));
    node.run("LINSERT l AFTER 700 x");
    node.check(&[
        ("LTRIM l 700 1700", "+OK"),
        ("LLEN l", "1001"),
        ("LINDEX l 0", "'700'"),
        ("LINDEX l 1", "'x'"),
        ("LINDEX l -1", "'1699'"),
        ("RPUSH l z", "1002"),
        ("LINDEX l -1", "'z'"),
    ]);
}

#[test]
fn places_of_equal_elements_are_found() {
    node("a b c 1 2 3 c c").check(&[
        ("LPOS l c", "2"),
        ("LPOS l z", "nil"),
        ("LPOS l c RANK 2", "6"),
        ("LPOS l c RANK -1", "7"),
        ("LPOS l c RANK -3", "2"),
        ("LPOS l c RANK 4", "nil"),
        ("LPOS l c COUNT 0", "[2 6 7]"),
        ("LPOS l c COUNT 2", "[2 6]"),
        ("LPOS l c COUNT 1 RANK 2", "[6]"),
        ("LPOS l c RANK -1 COUNT 2", "[7 6]"),
        ("LPOS l z COUNT 0", "[]"),
        ("LPOS l c COUNT 0 MAXLEN 7", "[2 6]"),
        ("LPOS l c MAXLEN 2", "nil"),
        ("LPOS l c RANK -1 MAXLEN 1 COUNT 0", "[7]"),
        ("LPOS nosuch c", "nil"),
        ("LPOS nosuch c COUNT 5", "[]"),
        ("LPOS l c COUNT -1", "ERR COUNT can't be negative"),
        ("LPOS l c MAXLEN -1", "ERR MAXLEN can't be negative"),
        (
            "LPOS l c RANK x",
            "ERR value is not an integer or out of range",
        ),
        ("LPOS l c RANK", "ERR syntax error"),
        ("LPOS l c WHAT 1", "ERR syntax error"),
    ]);
    assert!(
        node("a")
            .run("LPOS l a RANK 0")
            .starts_with("ERR RANK can't be zero")
    );
    assert_eq!(node("a").run("LPOS l a RANK -9223372036854775808"), "nil");
}

#[test]
fn an_element_moves_from_list_to_list() {
    let mut node = node("a b c");
    node.check(&[
        ("LMOVE l m LEFT RIGHT", "'a'"),
        ("RPOPLPUSH l m", "'c'"),
        ("LRANGE m 0 -1", "['c' 'a']"),
        ("LMOVE l m RIGHT LEFT", "'b'"),
        ("EXISTS l", "0"),
        ("LMOVE l m LEFT LEFT", "nil"),
        ("RPOPLPUSH l m", "nil"),
        ("LRANGE m 0 -1", "['b' 'c' 'a']"),
        ("LMOVE m m UP LEFT", "ERR syntax error"),
    ]);
}

#[test]
fn an_element_moves_round_one_list_and_the_key_stays() {
    let mut node = node("a b c");
    node.check(&[
        ("EXPIRE l 100", "1"),
        ("RPOPLPUSH l l", "'c'"),
        ("LRANGE l 0 -1", "['c' 'a' 'b']"),
        ("LMOVE l l LEFT RIGHT", "'c'"),
        ("LRANGE l 0 -1", "['a' 'b' 'c']"),
        ("LMOVE l l LEFT LEFT", "'a'"),
        ("LTRIM l 0 0", "+OK"),
        ("RPOPLPUSH l l", "'a'"),
        ("TTL l", "100"),
        ("LMOVE nosuch nosuch LEFT LEFT", "nil"),
    ]);
}

#[test]
fn a_move_that_cannot_arrive_leaves_the_element_where_it_is() {
    let mut node = node("a b c");
    node.run("SET s v");
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    node.check(&[
        ("LMOVE l s LEFT RIGHT", wrong),
        ("RPOPLPUSH l s", wrong),
        ("LMOVE s l LEFT RIGHT", wrong),
        ("LMOVE nosuch s LEFT RIGHT", "nil"),
        ("LRANGE l 0 -1", "['a' 'b' 'c']"),
        ("GET s", "'v'"),
    ]);
}

#[test]
fn several_elements_are_popped_from_the_first_list_that_has_some() {
    let mut node = node("a b c d");
    node.run("SET s v");
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    node.check(&[
        ("LMPOP 2 nosuch l LEFT", "['l' ['a']]"),
        ("LMPOP 1 l right COUNT 2", "['l' ['d' 'c']]"),
        ("LMPOP 1 l LEFT COUNT 9", "['l' ['b']]"),
        ("LMPOP 2 l nosuch LEFT", "NullArray"),
        ("LMPOP 2 l s LEFT", wrong),
        ("LMPOP 0 l LEFT", "ERR numkeys should be greater than 0"),
        ("LMPOP x l LEFT", "ERR numkeys should be greater than 0"),
        ("LMPOP 2 l LEFT", "ERR syntax error"),
        ("LMPOP 1 l UP", "ERR syntax error"),
        (
            "LMPOP 1 l LEFT COUNT 0",
            "ERR count should be greater than 0",
        ),
        ("LMPOP 1 l LEFT COUNT", "ERR syntax error"),
        ("LMPOP 1 l LEFT COUNT 1 COUNT 2", "ERR syntax error"),
    ]);
}

#[test]
fn list_commands_refuse_other_types() {
    let mut node = Node::alone();
    node.run("SET k v");
    for command in [
        "LPUSH k a",
        "RPUSH k a",
        "LPUSHX k a",
        "RPUSHX k a",
        "LPOP k",
        "LPOP k 0",
        "RPOP k 2",
        "LLEN k",
        "LRANGE k 0 -1",
        "LINDEX k 0",
        "LSET k 0 a",
        "LINSERT k BEFORE a b",
        "LREM k 0 a",
        "LTRIM k 0 1",
        "LPOS k a",
        "RPOPLPUSH k l",
    ] {
        assert!(node.run(command).starts_with("WRONGTYPE "), "{command}");
    }
    node.run("DEL k");
    node.run("RPUSH k a");
    for command in ["GET k", "SADD k a", "HSET k f v", "INCR k"] {
        assert!(node.run(command).starts_with("WRONGTYPE "), "{command}");
    }
    assert_eq!(node.run("SET k v"), "+OK");
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let mut node = node("a b");
    for command in [
        "LPUSHX nosuch a",
        "LPOP nosuch",
        "LPOP l 0",
        "LREM l 0 z",
        "LTRIM l 0 -1",
        "LINSERT l BEFORE z y",
        "LSET l 9 z",
        "LMOVE l l LEFT LEFT",
        "LMOVE nosuch l LEFT LEFT",
    ] {
        assert_eq!(node.batches_of(command), 0, "{command}");
    }
}

#[test]
fn a_command_of_several_elements_is_one_batch() {
    let mut node = Node::alone();
    for command in [
        "RPUSH l a b c d",
        "LPOP l 2",
        "RPUSH l e",
        "LMOVE l l LEFT RIGHT",
        "LTRIM l 1 1",
        "LPOP l",
    ] {
        assert_eq!(node.batches_of(command), 1, "{command}");
    }
}

#[test]
fn elements_die_with_the_deadline_that_their_writer_saw() {
    let mut pair = Pair::after(&["RPUSH l a", "PEXPIRE l 50"]);
    pair.a.run("DEL l");
    pair.a.run("RPUSH l c");
    pair.b.run("RPUSH l b");
    pair.agree(&[("LLEN l", "2")]);
    pair.pass(100);
    pair.agree(&[("LRANGE l 0 -1", "['c']"), ("LLEN l", "1")]);
    pair.a.run("RPUSH l d");
    pair.agree(&[("LRANGE l 0 -1", "['c' 'd']")]);
}

#[test]
fn a_list_is_stored_whole() {
    let mut node = node("old elements");
    node.check(&[
        ("EXPIRE l 100", "1"),
        ("EK.STORE l LIST c a b a", "4"),
        ("LRANGE l 0 -1", "['c' 'a' 'b' 'a']"),
        ("TTL l", "-1"),
        ("EK.STORE l LIST", "0"),
        ("EXISTS l", "0"),
    ]);
}

#[test]
fn commands_of_one_batch_draw_no_position_twice() {
    let mut node = Node::alone();
    node.with(|keys| {
        let push: Args<'_> = &[b"RPUSH", b"l", b"a", b"b"];
        let mut drawn = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let mut positions = keys.positions();
            assert!(drawn.insert(positions.behind(None)));
            assert!(drawn.insert(positions.behind(None)));
            keys.run(lookup(b"rpush").unwrap(), push);
        }
    });
}
