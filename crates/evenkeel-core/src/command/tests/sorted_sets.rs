//! Sorted sets on one replica.

use super::*;

#[test]
fn members_come_in_the_order_of_their_scores_and_then_of_their_names() {
    Node::alone().check(&[
        ("ZADD z 2 b 1 a 3 c", "3"),
        ("ZADD z 2 a", "0"),
        ("ZRANGE z 0 -1", "['a' 'b' 'c']"),
        ("ZRANGE z 0 -1 WITHSCORES", "[['a' 2] ['b' 2] ['c' 3]]"),
        ("ZRANGE z 0 0 REV WITHSCORES", "[['c' 3]]"),
        ("ZREVRANGE z 0 1", "['c' 'b']"),
        ("ZRANGE z -2 -1", "['b' 'c']"),
        ("ZRANGE z 5 9", "[]"),
        ("ZRANGE none 0 -1", "[]"),
        ("ZCARD z", "3"),
        ("ZCARD none", "0"),
        ("ZSCORE z a", "2"),
        ("ZSCORE z none", "nil"),
        ("ZSCORE none a", "nil"),
        ("ZMSCORE z a none c", "[2 nil 3]"),
        ("ZRANK z b", "1"),
        ("ZREVRANK z b", "1"),
        ("ZRANK z none", "nil"),
        ("TYPE z", "+zset"),
        ("ZREM z a none", "1"),
        ("ZREM z b c", "2"),
        ("EXISTS z", "0"),
    ]);
}

#[test]
fn ranges_by_score_take_borders_in_or_leave_them_out() {
    let mut node = Node::alone();
    node.run("ZADD z -inf a 1 b 2 c 2 d 3 e inf f");
    node.check(&[
        ("ZRANGEBYSCORE z -inf +inf", "['a' 'b' 'c' 'd' 'e' 'f']"),
        ("ZRANGEBYSCORE z 1 2", "['b' 'c' 'd']"),
        ("ZRANGEBYSCORE z (1 (3", "['c' 'd']"),
        ("ZREVRANGEBYSCORE z 3 1", "['e' 'd' 'c' 'b']"),
        ("ZREVRANGEBYSCORE z 3 1 LIMIT 1 2", "['d' 'c']"),
        ("ZRANGE z 3 1 BYSCORE REV LIMIT 1 2", "['d' 'c']"),
        ("ZRANGEBYSCORE z 1 2 LIMIT 1 -1", "['c' 'd']"),
        ("ZRANGEBYSCORE z 1 2 LIMIT -1 2", "[]"),
        ("ZRANGEBYSCORE z 1 2 LIMIT 9 2", "[]"),
        ("ZRANGEBYSCORE z (inf inf WITHSCORES", "[]"),
        ("ZRANGEBYSCORE z 2 1", "[]"),
        ("ZCOUNT z 1 2", "3"),
        ("ZCOUNT z (1 inf", "4"),
        ("ZCOUNT none 0 1", "0"),
        ("ZRANGEBYSCORE z str 1", "ERR min or max is not a float"),
        ("ZCOUNT z 1 nan", "ERR min or max is not a float"),
        ("ZREMRANGEBYSCORE z (2 inf", "2"),
        ("ZREMRANGEBYRANK z 0 0", "1"),
        ("ZRANGE z 0 -1", "['b' 'c' 'd']"),
        ("ZREMRANGEBYRANK z 1 100", "2"),
        ("ZREMRANGEBYSCORE z 1 1", "1"),
        ("EXISTS z", "0"),
    ]);
}

#[test]
fn ranges_by_name_are_for_members_of_one_score() {
    let mut node = Node::alone();
    node.run("ZADD z 0 a 0 b 0 c 0 d 0 e");
    node.check(&[
        ("ZRANGEBYLEX z - +", "['a' 'b' 'c' 'd' 'e']"),
        ("ZRANGEBYLEX z [b (d", "['b' 'c']"),
        ("ZREVRANGEBYLEX z [d (b", "['d' 'c']"),
        ("ZRANGE z [d (b BYLEX REV LIMIT 1 1", "['c']"),
        ("ZRANGEBYLEX z + -", "[]"),
        ("ZRANGEBYLEX z (b [b", "[]"),
        ("ZLEXCOUNT z [b +", "4"),
        ("ZLEXCOUNT z (b (c", "0"),
        (
            "ZRANGEBYLEX z b +",
            "ERR min or max not valid string range item",
        ),
        ("ZREMRANGEBYLEX z - (c", "2"),
        ("ZRANGE z 0 -1", "['c' 'd' 'e']"),
    ]);
}

#[test]
fn range_options_that_do_not_go_together_are_refused() {
    Node::alone().check(&[
        (
            "ZRANGE z 0 1 LIMIT 0 1",
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ),
        (
            "ZRANGE z - + BYLEX WITHSCORES",
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        ),
        ("ZRANGE z 0 1 BYLEX BYSCORE", "ERR syntax error"),
        ("ZRANGE z 0 1 REV REV", "ERR syntax error"),
        ("ZREVRANGE z 0 1 REV", "ERR syntax error"),
        ("ZRANGEBYSCORE z 0 1 LIMIT 1", "ERR syntax error"),
        (
            "ZRANGEBYSCORE z 0 1 LIMIT a 1",
            "ERR value is not an integer or out of range",
        ),
        (
            "ZRANGE z 1.5 2",
            "ERR value is not an integer or out of range",
        ),
    ]);
}

#[test]
fn adding_obeys_its_options() {
    Node::alone().check(&[
        ("ZADD z XX 1 a", "0"),
        ("ZADD z NX 1 a 2 b 5 a", "2"),
        ("ZADD z NX 9 a", "0"),
        ("ZADD z XX CH 3 a 4 c", "1"),
        ("ZADD z CH 3 a 7 d 8 d", "2"),
        ("ZADD z GT 1 a 20 b 1 e", "1"),
        ("ZADD z LT 1 a 30 b", "0"),
        (
            "ZRANGE z 0 -1 WITHSCORES",
            "[['a' 1] ['e' 1] ['d' 8] ['b' 20]]",
        ),
        ("ZADD z GT CH 2 a 3 b", "1"),
        ("ZADD z INCR 5 a", "7"),
        ("ZADD z XX INCR 5 none", "nil"),
        ("ZADD z NX INCR 5 a", "nil"),
        ("ZADD z NX INCR 5 n", "5"),
        ("ZADD z GT INCR -5 a", "nil"),
        ("ZADD z LT INCR -5 a", "2"),
        (
            "ZADD z nx xx 1 a",
            "ERR XX and NX options at the same time are not compatible",
        ),
        (
            "ZADD z NX GT 1 a",
            "ERR GT, LT, and/or NX options at the same time are not compatible",
        ),
        (
            "ZADD z GT LT 1 a",
            "ERR GT, LT, and/or NX options at the same time are not compatible",
        ),
        (
            "ZADD z INCR 1 a 2 b",
            "ERR INCR option supports a single increment-element pair",
        ),
        ("ZADD z 1 a 2", "ERR syntax error"),
        ("ZADD z NX CH", "ERR syntax error"),
        ("ZADD z 1 a nan b", "ERR value is not a valid float"),
        ("ZADD z 1e999 a", "ERR value is not a valid float"),
        ("ZCARD z", "5"),
    ]);
}

#[test]
fn increments_add_to_the_score_and_never_make_it_no_number() {
    Node::alone().check(&[
        ("ZINCRBY z 1.5 a", "1.5"),
        ("ZINCRBY z -0.5 a", "1"),
        ("ZADD z 10 a", "0"),
        ("ZINCRBY z 1 a", "11"),
        ("ZINCRBY z inf a", "inf"),
        ("ZINCRBY z 5 a", "inf"),
        (
            "ZINCRBY z -inf a",
            "ERR resulting score is not a number (NaN)",
        ),
        (
            "ZADD z INCR -inf a",
            "ERR resulting score is not a number (NaN)",
        ),
        ("ZSCORE z a", "inf"),
        ("ZADD z 1e308 b", "1"),
        ("ZINCRBY z 1e308 b", "inf"),
        ("ZINCRBY z -1e308 b", "inf"),
        ("ZINCRBY z x b", "ERR value is not a valid float"),
        ("ZADD z -0 c", "1"),
        ("ZSCORE z c", "0"),
    ]);
}

#[test]
fn other_types_are_refused_and_nothing_is_written() {
    let mut node = Node::alone();
    node.run("SET s v");
    node.run("ZADD z 1 a");
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    for command in [
        "ZADD s 1 a",
        "ZINCRBY s 1 a",
        "ZREM s a",
        "ZSCORE s a",
        "ZMSCORE s a",
        "ZCARD s",
        "ZCOUNT s 0 1",
        "ZLEXCOUNT s - +",
        "ZRANK s a",
        "ZREVRANK s a",
        "ZRANGE s 0 -1",
        "ZREMRANGEBYRANK s 0 1",
        "SADD z a",
        "GET z",
        "HGET z a",
    ] {
        assert_eq!(node.run(command), wrong, "{command}");
        assert_eq!(node.batches_of(command), 0, "{command}");
    }
}

#[test]
fn a_removal_of_every_member_is_one_event_and_takes_the_deadline_along() {
    let mut node = Node::alone();
    for command in [
        "ZREM z a b c",
        "ZREMRANGEBYRANK z 0 -1",
        "ZREMRANGEBYSCORE z 0 9",
    ] {
        node.run("ZADD z 1 a 2 b 3 c");
        node.run("EXPIRE z 100");
        assert_eq!(node.batches_of(command), 1);
        node.check(&[
            ("EXISTS z", "0"),
            ("ZADD z 1 a", "1"),
            ("TTL z", "-1"),
            ("DEL z", "1"),
        ]);
    }
    for n in 0..500 {
        node.run(&format!("ZADD z {n} m{n}"));
    }
    let before = node.partition.replica().context().count();
    node.run("DEL z");
    assert_eq!(node.partition.replica().context().count(), before + 1);
    node.check(&[("ZCARD z", "0"), ("ZRANGE z 0 -1", "[]")]);
}

#[test]
fn pops_take_from_either_end() {
    let mut node = Node::alone();
    node.run("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f");
    node.check(&[
        ("ZPOPMIN z", "['a' 1]"),
        ("ZPOPMAX z", "['f' 6]"),
        ("ZPOPMIN z 2", "[['b' 2] ['c' 3]]"),
        ("ZPOPMAX z 0", "[]"),
        (
            "ZPOPMAX z -1",
            "ERR value is out of range, must be positive",
        ),
        ("ZPOPMAX z 1 2", "ERR syntax error"),
        ("ZPOPMAX z 9", "[['e' 5] ['d' 4]]"),
        ("EXISTS z", "0"),
        ("ZPOPMIN z", "[]"),
        ("ZPOPMIN z 3", "[]"),
    ]);
    node.run("ZADD y 1 a 2 b 3 c");
    node.run("SET s v");
    node.check(&[
        ("ZMPOP 2 x y MIN", "['y' [['a' 1]]]"),
        ("ZMPOP 2 x y max COUNT 5", "['y' [['c' 3] ['b' 2]]]"),
        ("ZMPOP 2 x y MIN", "NullArray"),
        (
            "ZMPOP 2 s y MIN",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("ZMPOP 0 y MIN", "ERR numkeys should be greater than 0"),
        ("ZMPOP a y MIN", "ERR numkeys should be greater than 0"),
        ("ZMPOP 1 y MID", "ERR syntax error"),
        ("ZMPOP 5 y MIN", "ERR syntax error"),
        (
            "ZMPOP 1 y MIN COUNT 0",
            "ERR count should be greater than 0",
        ),
        ("ZMPOP 1 y MIN COUNT 1 COUNT 1", "ERR syntax error"),
    ]);
}

#[test]
fn members_are_drawn_with_or_without_repetition() {
    let mut node = Node::alone();
    node.run("ZADD z 1 a 2 b 3 c");
    node.check(&[
        ("ZRANDMEMBER z 9", "['a' 'b' 'c']"),
        ("ZRANDMEMBER z 3 WITHSCORES", "[['a' 1] ['b' 2] ['c' 3]]"),
        ("ZRANDMEMBER z 0", "[]"),
        ("ZRANDMEMBER none", "nil"),
        ("ZRANDMEMBER none 2", "[]"),
        ("ZRANDMEMBER z 1 SCORES", "ERR syntax error"),
        (
            "ZRANDMEMBER z x",
            "ERR value is not an integer or out of range",
        ),
    ]);
    let Reply::Array(drawn) = node.request(&[b"ZRANDMEMBER", b"z", b"-50"]) else {
        panic!("no array");
    };
    assert_eq!(drawn.len(), 50);
    assert!(["'a'", "'b'", "'c'"].contains(&node.run("ZRANDMEMBER z").as_str()));
}

#[test]
fn a_scan_gives_every_member_with_its_score() {
    let mut node = Node::alone();
    node.run("ZADD z 1.5 a -inf b");
    node.check(&[
        ("ZSCAN z 0 MATCH a", "['0' ['a' '1.5']]"),
        ("ZSCAN z 0 MATCH b", "['0' ['b' '-inf']]"),
        ("ZSCAN none 0", "['0' []]"),
        ("ZSCAN z x", "ERR invalid cursor"),
    ]);
}

#[test]
fn a_scan_gives_a_small_sorted_set_in_the_order_of_its_scores() {
    let mut node = Node::alone();
    node.run("ZADD z 3 c 1 two 1 one 2 b -1 z");
    let ranked = "['0' ['z' '-1' 'one' '1' 'two' '1' 'b' '2' 'c' '3']]";
    node.check(&[("ZSCAN z 0", ranked), ("ZSCAN z 0 COUNT 1", ranked)]);
}

#[test]
fn sorted_sets_and_sets_are_combined_with_weights() {
    let mut node = Node::alone();
    node.run("ZADD x 1 a 2 b 3 c");
    node.run("ZADD y 10 b 20 c 30 d");
    node.run("SADD s c d");
    node.run("SET str v");
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    node.check(&[
        ("ZUNION 2 x y", "['a' 'b' 'c' 'd']"),
        (
            "ZUNION 2 x y WITHSCORES",
            "[['a' 1] ['b' 12] ['c' 23] ['d' 30]]",
        ),
        (
            "ZUNION 3 x y s WEIGHTS 2 0.5 100 AGGREGATE MAX WITHSCORES",
            "[['a' 2] ['b' 5] ['c' 100] ['d' 100]]",
        ),
        ("ZINTER 2 x y WITHSCORES", "[['b' 12] ['c' 23]]"),
        ("ZINTER 2 x y AGGREGATE min WITHSCORES", "[['b' 2] ['c' 3]]"),
        ("ZINTER 3 x s y", "['c']"),
        ("ZINTER 2 x none", "[]"),
        ("ZINTER 2 x x WITHSCORES", "[['a' 2] ['b' 4] ['c' 6]]"),
        ("ZDIFF 2 x y WITHSCORES", "[['a' 1]]"),
        ("ZDIFF 2 x x", "[]"),
        ("ZDIFF 1 s WITHSCORES", "[['c' 1] ['d' 1]]"),
        ("ZDIFF 2 none x", "[]"),
        ("ZINTERCARD 2 x y", "2"),
        ("ZINTERCARD 2 x y LIMIT 1", "1"),
        ("ZINTERCARD 2 x y LIMIT 0", "2"),
        ("ZUNION 2 x str", wrong),
        ("ZUNION 1 x WEIGHTS a", "ERR weight value is not a float"),
        ("ZUNION 1 x WEIGHTS", "ERR syntax error"),
        ("ZUNION 1 x AGGREGATE avg", "ERR syntax error"),
        ("ZUNION 3 x y", "ERR syntax error"),
        (
            "ZUNION 0 x",
            "ERR at least 1 input key is needed for 'zunion' command",
        ),
        ("ZDIFF 2 x y WEIGHTS 1 1", "ERR syntax error"),
        ("ZINTERCARD 1 x WITHSCORES", "ERR syntax error"),
        ("ZINTERCARD 1 x LIMIT -1", "ERR LIMIT can't be negative"),
    ]);
}

#[test]
fn combined_sets_are_stored_in_one_batch_in_the_place_of_what_was_there() {
    let mut node = Node::alone();
    node.run("ZADD x 1 a 2 b inf i");
    node.run("ZADD y 10 b -inf i");
    node.run("SET dst old");
    assert_eq!(node.batches_of("ZUNIONSTORE dst 2 x y WITHSCORES"), 0);
    assert_eq!(node.batches_of("ZUNIONSTORE dst 2 x y"), 1);
    node.check(&[
        ("ZRANGE dst 0 -1 WITHSCORES", "[['i' 0] ['a' 1] ['b' 12]]"),
        ("ZINTERSTORE x 2 x y WEIGHTS 0 1", "2"),
        ("ZRANGE x 0 -1 WITHSCORES", "[['i' 0] ['b' 10]]"),
        ("ZDIFFSTORE dst 2 x y", "0"),
        ("EXISTS dst", "0"),
        ("ZRANGESTORE dst y -inf +inf BYSCORE LIMIT 1 1", "1"),
        ("ZRANGE dst 0 -1 WITHSCORES", "[['b' 10]]"),
        ("ZRANGESTORE dst y 0 0 REV", "1"),
        ("ZRANGESTORE dst y - + BYLEX", "2"),
        ("ZRANGESTORE dst y 0 1 WITHSCORES", "ERR syntax error"),
        ("ZRANGESTORE dst none 0 1", "0"),
        ("EXISTS dst", "0"),
    ]);
}
