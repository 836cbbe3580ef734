//! The table of conflicts: what two replicas show after both wrote without having heard of each other.

use super::*;

#[test]
fn of_two_concurrent_sets_the_newest_stamp_is_shown_and_the_next_write_settles_it() {
    let mut pair = Pair::new();
    pair.b.pass(1);
    pair.b.run("SET k b");
    pair.a.run("SET k a");
    pair.agree(&[("GET k", "'b'")]);
    pair.a.run("SET k c");
    pair.agree(&[("GET k", "'c'")]);
    assert_eq!(pair.b.partition.replica().cells().count(), 1);
}

#[test]
fn a_set_survives_a_concurrent_removal_and_an_old_value_does_not_return() {
    let mut pair = Pair::after(&["SET k old"]);
    pair.a.run("DEL k");
    pair.b.run("SET k new");
    pair.agree(&[("GET k", "'new'")]);
    pair.b.run("DEL k");
    pair.agree(&[("GET k", "nil"), ("DBSIZE", "0")]);
}

#[test]
fn concurrent_increments_add_up() {
    let mut pair = Pair::after(&["SET n 10"]);
    for _ in 0..5 {
        pair.a.run("INCR n");
        pair.b.run("INCRBY n 10");
    }
    assert_eq!(pair.a.run("GET n"), "'15'");
    pair.agree(&[("GET n", "'65'")]);
}

#[test]
fn an_increment_that_a_removal_had_not_seen_survives_alone() {
    let mut pair = Pair::after(&["INCRBY n 100"]);
    pair.a.run("DEL n");
    pair.b.run("INCRBY n 7");
    assert_eq!(pair.b.run("GET n"), "'107'");
    pair.agree(&[("GET n", "'7'")]);
}

#[test]
fn an_increment_that_a_set_had_not_seen_adds_to_it() {
    let mut pair = Pair::after(&["INCRBY n 100"]);
    pair.a.run("SET n 1000");
    pair.b.run("INCRBY n 7");
    pair.agree(&[("GET n", "'1007'")]);
    pair.b.run("SET n 1");
    pair.agree(&[("GET n", "'1'")]);
}

#[test]
fn a_set_to_no_number_hides_concurrent_increments() {
    let mut pair = Pair::after(&["SET n 1"]);
    pair.a.run("SET n words");
    pair.b.run("INCR n");
    pair.agree(&[("GET n", "'words'")]);
    let error = "ERR value is not an integer or out of range";
    pair.agree(&[("INCR n", error), ("GET n", "'words'")]);
}

#[test]
fn increments_that_a_set_to_a_fraction_had_not_seen_add_to_it_whatever_comes_after() {
    let mut pair = Pair::after(&["SET n 1"]);
    pair.a.run("SET n -0.5");
    pair.b.run("INCRBY n -26");
    pair.agree(&[("GET n", "'-26.5'")]);
    assert_eq!(pair.a.run("INCRBYFLOAT n 3.25"), "'-23.25'");
    pair.agree(&[("GET n", "'-23.25'")]);
}

#[test]
fn a_merged_counter_beyond_64_bits_reads_clamped_and_goes_on_exactly() {
    let mut pair = Pair::after(&["SET n 9223372036854775800"]);
    pair.a.run("INCRBY n 5");
    pair.b.run("INCRBY n 6");
    pair.agree(&[
        ("GET n", "'9223372036854775807'"),
        ("INCR n", "ERR increment or decrement would overflow"),
    ]);
    // The true sum is 4 above the limit.
    assert_eq!(pair.a.run("DECRBY n 3"), "9223372036854775807");
    assert_eq!(pair.a.run("DECRBY n 3"), "9223372036854775805");
    pair.agree(&[("GET n", "'9223372036854775805'")]);
}

#[test]
fn concurrent_float_increments_add_up_in_the_same_order_everywhere() {
    let mut pair = Pair::after(&["SET f 1.5"]);
    pair.a.run("INCRBYFLOAT f 0.1");
    pair.b.run("INCRBYFLOAT f 0.2");
    pair.agree(&[("GET f", "'1.8'")]);
}

#[test]
fn of_concurrent_deadlines_the_later_holds_and_never_is_the_latest() {
    let mut pair = Pair::after(&["SET k v"]);
    pair.a.run("EXPIRE k 100");
    pair.b.run("EXPIRE k 50");
    pair.agree(&[("TTL k", "100")]);
    pair.a.run("EXPIRE k 10");
    pair.agree(&[("TTL k", "10")]);
    pair.a.run("EXPIRE k 1000");
    pair.b.run("PERSIST k");
    pair.agree(&[("TTL k", "-1")]);
    pair.b.run("EXPIRE k 5");
    pair.agree(&[("TTL k", "5")]);
}

#[test]
fn a_deadline_neither_beats_a_concurrent_set_nor_swallows_increments() {
    let mut pair = Pair::after(&["SET k v", "INCR n"]);
    pair.a.run("EXPIRE k 100");
    pair.b.run("SET k w");
    pair.a.run("EXPIRE n 100");
    pair.b.run("INCRBY n 5");
    pair.agree(&[("GET k", "'w'"), ("TTL k", "100"), ("GET n", "'6'")]);
}

#[test]
fn adding_a_member_wins_over_removing_it() {
    let mut pair = Pair::after(&["SADD s m other"]);
    pair.a.run("SREM s m");
    assert_eq!(pair.b.run("SADD s m"), "0");
    pair.agree(&[("SMEMBERS s", "{'m' 'other'}"), ("SCARD s", "2")]);
    pair.b.run("SREM s m");
    pair.agree(&[("SMEMBERS s", "{'other'}"), ("SCARD s", "1")]);
}

#[test]
fn writing_a_field_wins_over_removing_it_and_only_over_that() {
    let mut pair = Pair::after(&["HSET h f 1 g 1", "HINCRBY h n 10"]);
    pair.a.run("HDEL h f g n");
    pair.b.run("HSET h f 2");
    pair.b.run("HINCRBY h n 3");
    pair.agree(&[("HGETALL h", "{'f'='2' 'n'='3'}"), ("HLEN h", "2")]);
}

#[test]
fn of_concurrent_types_the_newest_is_shown_and_the_next_write_settles_it() {
    let mut pair = Pair::new();
    pair.a.run("SADD k m");
    pair.b.pass(1);
    pair.b.run("SET k v");
    pair.agree(&[
        ("TYPE k", "+string"),
        ("GET k", "'v'"),
        ("DBSIZE", "1"),
        (
            "SMEMBERS k",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ]);
    assert_eq!(pair.a.batches_of("APPEND k w"), 1);
    pair.agree(&[("GET k", "'vw'")]);
    assert_eq!(pair.a.partition.replica().cells().count(), 1);
}

#[test]
fn a_hidden_type_does_not_come_back_when_the_shown_one_goes() {
    for last in ["DEL k", "SREM k m"] {
        let mut pair = Pair::new();
        pair.a.run("SET k v");
        pair.b.pass(1);
        pair.b.run("SADD k m");
        pair.exchange();
        assert_eq!(pair.a.run(last), "1", "{last}");
        pair.agree(&[("EXISTS k", "0"), ("TYPE k", "+none"), ("DBSIZE", "0")]);
    }
}

#[test]
fn members_that_the_removal_of_a_huge_set_had_not_seen_survive() {
    let mut pair = Pair::new();
    for n in 0..50 {
        pair.a.run(&format!("SADD s {n}a {n}b {n}c"));
    }
    pair.exchange();
    let before = pair.a.partition.replica().context().count();
    pair.a.run("DEL s");
    assert_eq!(pair.a.partition.replica().context().count(), before + 1);
    pair.b.run("SADD s new 3a");
    pair.agree(&[("SMEMBERS s", "{'3a' 'new'}"), ("SCARD s", "2")]);
}

#[test]
fn keys_written_while_all_are_flushed_survive() {
    let mut pair = Pair::after(&["MSET a 1 b 2", "SADD s x y", "INCRBY n 5"]);
    pair.a.run("FLUSHALL");
    pair.b.run("SET b 3");
    pair.b.run("INCR n");
    pair.agree(&[
        ("KEYS *", "['b' 'n']"),
        ("MGET b n", "['3' '1']"),
        ("DBSIZE", "2"),
    ]);
}

#[test]
fn an_extension_made_in_time_wins_over_the_removal_of_what_expired() {
    let mut pair = Pair::after(&["SADD s a b", "PEXPIRE s 1000", "SET k v PX 1000"]);
    pair.pass(999);
    pair.b.run("EXPIRE s 1000");
    pair.b.run("SADD s c");
    pair.pass(1 + EXPIRY_GRACE.as_millis());
    assert_eq!(pair.a.run("EXISTS s k"), "0");
    assert_eq!(pair.a.with(|keys| keys.expire_due(10)), 2);
    // What the removal had seen is gone; the member and the deadline that it had not seen are there.
    pair.agree(&[("SMEMBERS s", "{'c'}"), ("EXISTS k", "0"), ("DBSIZE", "1")]);
    let mut pair = Pair::after(&["SADD s a b", "PEXPIRE s 1000"]);
    pair.pass(999);
    pair.b.run("EXPIRE s 1000");
    pair.exchange();
    pair.pass(1 + EXPIRY_GRACE.as_millis());
    assert_eq!(pair.a.with(|keys| keys.expire_due(10)), 0);
    pair.agree(&[("SMEMBERS s", "{'a' 'b'}")]);
}

#[test]
fn a_member_added_under_a_deadline_does_not_outlive_it_when_the_key_is_removed_elsewhere() {
    let mut pair = Pair::after(&["SADD s a b", "PEXPIRE s 1000"]);
    pair.a.run("DEL s");
    pair.b.run("SADD s c");
    pair.agree(&[("SMEMBERS s", "{'c'}"), ("PTTL s", "1000"), ("DBSIZE", "1")]);
    pair.pass(1000);
    pair.agree(&[("SMEMBERS s", "{}"), ("EXISTS s", "0"), ("DBSIZE", "0")]);
    pair.pass(EXPIRY_GRACE.as_millis());
    assert_eq!(pair.b.with(|keys| keys.expire_due(10)), 1);
    pair.exchange();
    assert_eq!(pair.a.partition.replica().cells().count(), 0);
}

#[test]
fn what_expired_under_a_carried_deadline_is_not_shown_again_by_a_later_one() {
    let mut pair = Pair::after(&["INCRBY n 5", "PEXPIRE n 1000"]);
    pair.a.run("SET n 100");
    pair.b.run("INCRBY n 7");
    pair.agree(&[("GET n", "'107'"), ("TTL n", "-1")]);
    pair.pass(1000);
    pair.agree(&[("GET n", "'100'")]);
    pair.b.run("EXPIRE n 50");
    pair.agree(&[("GET n", "'100'"), ("TTL n", "50"), ("INCR n", "101")]);
}

#[test]
fn a_deadline_left_without_members_neither_counts_as_a_key_nor_binds_the_next_one() {
    let mut pair = Pair::after(&["SADD s a"]);
    pair.a.run("EXPIRE s 100");
    pair.b.run("SREM s a");
    pair.agree(&[("EXISTS s", "0"), ("DBSIZE", "0"), ("TTL s", "-2")]);
    pair.a.run("SADD s b");
    pair.agree(&[("SMEMBERS s", "{'b'}"), ("TTL s", "-1")]);
}

#[test]
fn a_set_with_a_deadline_is_merged_whole_with_a_concurrent_one_without() {
    let mut pair = Pair::after(&["SET k v"]);
    pair.a.run("SET k a EX 100");
    pair.b.pass(1);
    pair.b.run("SET k b");
    // The deadline is a register of its own: only a write that saw it removes it.
    pair.agree(&[("GET k", "'b'"), ("EXISTS k", "1")]);
    pair.b.run("SET k c");
    pair.agree(&[("GET k", "'c'"), ("TTL k", "-1")]);
}

#[test]
fn of_concurrent_scores_of_a_member_the_newest_holds_on_every_replica() {
    let mut pair = Pair::after(&["ZADD z 1 m"]);
    pair.b.pass(1);
    pair.b.run("ZADD z 5 m");
    pair.a.run("ZADD z 9 m");
    pair.agree(&[("ZRANGE z 0 -1 WITHSCORES", "[['m' 5]]")]);
    pair.a.run("ZADD z 2 m");
    pair.agree(&[("ZSCORE z m", "2"), ("ZCARD z", "1")]);
}

#[test]
fn concurrent_increments_of_a_score_add_up_and_move_the_member() {
    let mut pair = Pair::after(&["ZADD z 1 m 4 n"]);
    for _ in 0..3 {
        pair.a.run("ZINCRBY z 1 m");
        pair.b.run("ZINCRBY z 0.5 m");
    }
    assert_eq!(pair.a.run("ZRANK z m"), "0");
    pair.agree(&[("ZSCORE z m", "5.5"), ("ZRANK z m", "1")]);
}

#[test]
fn an_increment_that_a_removal_of_the_member_had_not_seen_survives_alone() {
    for removal in ["ZREM z m", "ZREMRANGEBYSCORE z 5 5", "DEL z"] {
        let mut pair = Pair::after(&["ZADD z 1 m", "ZINCRBY z 4 m"]);
        pair.a.run(removal);
        pair.b.run("ZINCRBY z 2 m");
        pair.agree(&[("ZRANGE z 0 -1 WITHSCORES", "[['m' 2]]")]);
    }
}

#[test]
fn an_increment_that_a_score_had_not_seen_adds_to_it() {
    let mut pair = Pair::after(&["ZINCRBY z 100 m"]);
    pair.a.run("ZADD z 10 m");
    pair.b.run("ZINCRBY z 7 m");
    pair.agree(&[("ZSCORE z m", "17")]);
}

#[test]
fn a_score_survives_a_concurrent_removal_and_an_old_one_does_not_return() {
    for removal in ["ZREM z m", "ZREMRANGEBYRANK z 0 0", "DEL z"] {
        let mut pair = Pair::after(&["ZADD z 1 m"]);
        pair.a.run(removal);
        // The same score again: a removal that has not seen this very writing does not take it away.
        pair.b.run("ZADD z 1 m 2 n");
        pair.agree(&[
            ("ZRANGE z 0 -1 WITHSCORES", "[['m' 1] ['n' 2]]"),
            ("ZCARD z", "2"),
        ]);
        pair.b.run("ZREM z m n");
        pair.agree(&[("EXISTS z", "0"), ("DBSIZE", "0")]);
    }
}

#[test]
fn a_deadline_neither_beats_a_concurrent_score_nor_swallows_one() {
    let mut pair = Pair::after(&["ZADD z 1 m"]);
    pair.a.run("EXPIRE z 100");
    pair.b.run("ZADD z 2 m 3 n");
    pair.agree(&[
        ("ZRANGE z 0 -1 WITHSCORES", "[['m' 2] ['n' 3]]"),
        ("TTL z", "100"),
    ]);
}

#[test]
fn a_member_hidden_by_the_deadline_that_it_carries_has_no_rank() {
    let mut pair = Pair::after(&["ZADD z 1 a", "PEXPIRE z 1000"]);
    pair.a.run("DEL z");
    pair.b.run("ZADD z 2 b 5 c");
    pair.b.run("ZINCRBY z 1 b");
    pair.a.pass(1);
    pair.a.run("ZADD z 7 c");
    pair.agree(&[("ZRANGE z 0 -1 WITHSCORES", "[['b' 3] ['c' 7]]")]);
    pair.pass(1000);
    pair.agree(&[
        ("ZRANGE z 0 -1 WITHSCORES", "[['c' 7]]"),
        ("ZCARD z", "1"),
        ("ZRANK z c", "0"),
        ("ZSCORE z b", "nil"),
        ("ZCOUNT z -inf inf", "1"),
    ]);
    // What expired does not come back with a later deadline.
    pair.b.run("EXPIRE z 50");
    pair.agree(&[("ZRANGE z 0 -1 WITHSCORES", "[['c' 7]]"), ("TTL z", "50")]);
}

#[test]
fn of_a_concurrent_set_and_sorted_set_the_newest_is_shown_and_the_next_write_settles_it() {
    let mut pair = Pair::new();
    pair.a.run("SADD k m");
    pair.b.pass(1);
    pair.b.run("ZADD k 1 z");
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    pair.agree(&[("TYPE k", "+zset"), ("ZCARD k", "1"), ("SMEMBERS k", wrong)]);
    pair.a.run("ZADD k 2 y");
    pair.agree(&[("ZRANGE k 0 -1", "['z' 'y']")]);
    assert_eq!(pair.a.partition.replica().cells().count(), 2);
}

#[test]
fn concurrent_infinite_increments_have_one_reading_everywhere() {
    let mut pair = Pair::after(&["ZADD z 1 m"]);
    pair.b.pass(1);
    pair.a.run("ZINCRBY z inf m");
    pair.b.run("ZINCRBY z -inf m");
    pair.agree(&[("ZSCORE z m", "-inf")]);
    let mut pair = Pair::after(&["ZADD z 1e308 m"]);
    pair.a.run("ZINCRBY z 7e307 m");
    pair.b.run("ZINCRBY z 7e307 m");
    pair.agree(&[("ZSCORE z m", "inf")]);
}

#[test]
fn a_key_keeps_its_deadline_when_the_element_that_carried_it_goes() {
    for (first, elsewhere, here, removal) in [
        ("SADD k x", "SADD k y", "SADD k z", "SREM k z nosuch"),
        ("SADD k x", "SADD k y", "SADD k z", "SMOVE k other z"),
        ("HSET k x 0", "HSET k y 1", "HSET k z 2", "HDEL k z"),
        ("ZADD k 0 x", "ZADD k 1 y", "ZADD k 2 z", "ZREM k z"),
        ("ZADD k 0 x", "ZADD k 1 y", "ZADD k 2 z", "ZPOPMAX k"),
        (
            "ZADD k 0 x",
            "ZADD k 1 y",
            "ZADD k 2 z",
            "ZREMRANGEBYRANK k 1 1",
        ),
        ("RPUSH k x", "RPUSH k y", "RPUSH k z", "LREM k 0 z"),
        (
            "RPUSH k x",
            "RPUSH k y",
            "RPUSH k z",
            "LMOVE k other LEFT LEFT",
        ),
        ("RPUSH k x", "RPUSH k y", "RPUSH k z", "LTRIM k 1 1"),
    ] {
        let mut pair = Pair::after(&[first, "PEXPIRE k 1000"]);
        // What was written here after the removal has no deadline; what was written elsewhere, before the removal came
        // to be known there, carries the one of the key that is gone. The later one is shown.
        pair.a.run("DEL k");
        pair.a.run(here);
        pair.b.run(elsewhere);
        pair.agree(&[("TTL k", "-1")]);
        let shown = pair.a.run("LRANGE k 0 -1");
        assert!(
            shown.starts_with("WRONGTYPE") || shown == "['z' 'y']",
            "{shown}"
        );
        pair.a.run(removal);
        pair.agree(&[("EXISTS k", "1"), ("TTL k", "-1")]);
        pair.pass(1000);
        pair.agree(&[("EXISTS k", "1"), ("TTL k", "-1")]);
    }
}

#[test]
fn a_removal_of_an_element_leaves_the_deadline_alone_where_the_rest_carries_it() {
    let mut pair = Pair::after(&["SADD s a", "PEXPIRE s 1000"]);
    pair.a.run("DEL s");
    pair.b.run("SADD s b c");
    pair.agree(&[("PTTL s", "1000")]);
    pair.a.run("SREM s b");
    pair.b.run("PEXPIRE s 500");
    pair.agree(&[("SMEMBERS s", "{'c'}"), ("PTTL s", "500")]);
}
