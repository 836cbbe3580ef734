//! Removing large collections: all at once, freed where nobody waits, and still exactly what the events say.

use super::*;

/// More than are freed on the spot.
const MEMBERS: usize = 4200;

fn add_members(node: &mut Node) {
    for first in (0..MEMBERS).step_by(100) {
        let members = (first..first + 100).map(|n| format!(" {n} m{n:05}"));
        node.run(&format!("ZADD z{}", members.collect::<String>()));
    }
}

fn with_members() -> Pair {
    let mut pair = Pair::new();
    add_members(&mut pair.a);
    pair.exchange();
    pair
}

#[test]
fn a_large_collection_is_handed_on_to_be_freed_at_each_replica() {
    let mut pair = with_members();
    pair.a.run("DEL z");
    pair.agree(&[("EXISTS z", "0"), ("ZCARD z", "0")]);
    assert_eq!((pair.a.discarded, pair.b.discarded), (1, 1));
    assert_eq!(pair.b.partition.replica().key_count(), 0);
}

#[test]
fn writes_to_other_keys_that_the_remover_had_not_seen_do_not_make_the_removal_slow() {
    let mut pair = with_members();
    pair.b.run("MSET other 1 another 2");
    pair.a.run("DEL z");
    pair.agree(&[("EXISTS z", "0"), ("MGET other another", "['1' '2']")]);
    assert_eq!((pair.a.discarded, pair.b.discarded), (1, 1));
}

#[test]
fn members_that_the_remover_had_not_seen_stay() {
    let mut pair = with_members();
    pair.b.run("ZADD z 7 m00001 8 new");
    pair.b.run("ZREM z m00002");
    pair.a.run("DEL z");
    pair.agree(&[
        ("ZRANGE z 0 -1 WITHSCORES", "[['m00001' 7] ['new' 8]]"),
        ("ZRANK z new", "1"),
    ]);
}

#[test]
fn what_was_counted_meanwhile_stays_and_the_rest_goes() {
    let mut pair = with_members();
    pair.a.run("ZINCRBY z 1 m00003");
    pair.a.run("ZINCRBY z 1 m00004");
    pair.exchange();
    pair.b.run("ZINCRBY z 5 m00004");
    pair.a.run("DEL z");
    pair.agree(&[("ZRANGE z 0 -1 WITHSCORES", "[['m00004' 5]]")]);
    assert_eq!(pair.a.discarded, 1, "all but the two that were counted");
    pair.a.run("DEL z");
    pair.agree(&[("EXISTS z", "0")]);
}

/// The field range that is taken out holds most of the elements, or few of them.
#[test]
fn trimming_a_long_list_takes_out_what_lies_outside() {
    for (keep, left) in [("LTRIM l 10 19", 10), ("LTRIM l 10 -11", 4180)] {
        let mut pair = Pair::new();
        for first in (0..MEMBERS).step_by(100) {
            let elements = (first..first + 100).map(|n| format!(" {n}"));
            let elements: String = elements.collect();
            pair.a.run(&format!("RPUSH l{elements}"));
        }
        pair.exchange();
        pair.a.run(keep);
        pair.agree(&[
            ("LLEN l", &left.to_string()),
            ("LRANGE l 0 1", "['10' '11']"),
        ]);
    }
}

/// So many members were counted that a removal takes several events, each over a part of the members.
#[test]
fn a_removal_in_parts_takes_out_members_counters_and_ranks() {
    let mut pair = Pair::new();
    let long = "x".repeat(8 << 10);
    for n in 0..300 {
        pair.a.run(&format!("ZADD z {n} {n:03}plain"));
        pair.a.run(&format!("ZINCRBY z {n} {n:03}{long}"));
    }
    pair.exchange();
    pair.b.run("ZADD z 1.5 150later");
    let before = pair.a.partition.next_number();
    pair.a.run("DEL z");
    assert!(pair.a.partition.next_number() - before > 1, "several parts");
    pair.agree(&[("ZRANGE z 0 -1 WITHSCORES", "[['150later' 1.5]]")]);
    assert_eq!(pair.a.run("ZADD z 1 one 2 two"), "2");
    pair.agree(&[("ZRANGE z 0 -1", "['one' '150later' 'two']")]);
}
