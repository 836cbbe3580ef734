//! What holds after any commands on two replicas, whatever each had heard of the other.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::types::{Deadline, Kind, Score};

#[derive(Clone, Debug)]
enum Step {
    OnA(String),
    OnB(String),
    Pass(u64),
    ExpireOnA,
    Exchange,
}

fn command() -> impl Strategy<Value = String> {
    const TEMPLATES: &[&str] = &[
        "SET k v",
        "SET k 5 PX 40",
        "SET k 7 KEEPTTL",
        "INCRBY k 3",
        "INCRBYFLOAT k 0.5",
        "APPEND k x",
        "GETSET k 1",
        "DEL k",
        "SADD k a b",
        "SADD k c",
        "SREM k a b",
        "HSET k f 1 g 2",
        "HINCRBY k f 2",
        "HDEL k f g",
        "ZADD k 3 a 1 b",
        "ZADD k 2 c 2 a",
        "ZADD k GT 5 a",
        "ZINCRBY k 1.5 a",
        "ZINCRBY k -2 c",
        "ZREM k a b",
        "ZREMRANGEBYRANK k 0 0",
        "PEXPIRE k 30",
        "PEXPIRE k 3000",
        "PERSIST k",
        "FLUSHALL",
    ];
    (select(TEMPLATES), select(&["k1", "k2"][..]))
        .prop_map(|(template, key)| template.replacen(" k", &format!(" {key}"), 1))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => command().prop_map(Step::OnA),
        5 => command().prop_map(Step::OnB),
        2 => (1..40_u64).prop_map(Step::Pass),
        1 => Just(Step::Pass(EXPIRY_GRACE.as_millis())),
        1 => Just(Step::ExpireOnA),
        2 => Just(Step::Exchange),
    ]
}

/// What a client of one node sees, and whether the counts agree with what they count.
fn observe(node: &mut Node) -> Vec<String> {
    let mut seen = Vec::new();
    let mut visible = 0;
    for key in ["k1", "k2"] {
        let kind = node.run(&format!("TYPE {key}"));
        visible += usize::from(kind != "+none");
        seen.push(node.run(&format!("PEXPIRETIME {key}")));
        match kind.as_str() {
            "+set" => {
                let members = node.run(&format!("SMEMBERS {key}"));
                let count = members.split(' ').count();
                assert_eq!(node.run(&format!("SCARD {key}")), count.to_string());
                seen.push(members);
            }
            "+hash" => {
                let fields = node.run(&format!("HGETALL {key}"));
                let count = fields.split(' ').count();
                assert_eq!(node.run(&format!("HLEN {key}")), count.to_string());
                seen.push(fields);
            }
            "+zset" => {
                let members = node.run(&format!("ZRANGE {key} 0 -1 WITHSCORES"));
                let count = members.split("] [").count();
                assert_eq!(node.run(&format!("ZCARD {key}")), count.to_string());
                seen.push(members);
            }
            _ => seen.push(node.run(&format!("GET {key}"))),
        }
        seen.push(kind);
    }
    assert_eq!(node.run("DBSIZE"), visible.to_string());
    seen.push(node.run("KEYS *"));
    seen
}

/// The order of expiry names each key that may expire, once, and never too late.
fn check_expiring(node: &Node) {
    let replica = node.partition.replica();
    let order: Vec<_> = replica.expiring().cloned().collect();
    let filed: BTreeMap<_, _> = order.iter().map(|(due, key)| (key.clone(), *due)).collect();
    assert_eq!(order.len(), filed.len(), "a key is filed twice");
    assert!(order.iter().all(|(_, key)| replica.key(key).is_some()));
    for (key, cells) in replica.keys() {
        let carried = cells
            .all()
            .filter(|(kind, ..)| *kind != Kind::Deadline)
            .map(|(_, _, cell)| cell.earliest_carried())
            .min();
        let due = filed.get(key).copied().unwrap_or(Deadline::NEVER);
        match cells.deadline() {
            Some(deadline) => assert_eq!(due, deadline),
            None => assert!(due <= carried.unwrap_or(Deadline::NEVER)),
        }
    }
}

/// The order of a sorted set holds its live members and no others, under the scores they show.
fn check_rankings(node: &Node) {
    for (key, cells) in node.partition.replica().keys() {
        let scored = cells
            .fields(Kind::SortedSet)
            .filter_map(|(member, cell)| Some((Score::of(cell, None)?, member)));
        let sorted: BTreeSet<_> = scored.collect();
        let Some(ranking) = cells.ranking() else {
            assert!(sorted.len() <= 1, "{}", key.escape_ascii());
            continue;
        };
        assert!(
            ranking
                .iter()
                .map(|(member, score)| (score, member))
                .eq(sorted)
        );
    }
}

proptest! {
    #[test]
    fn replicas_that_heard_the_same_show_the_same_and_every_count_is_exact(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let mut pair = Pair::new();
        for step in steps {
            match step {
                Step::OnA(command) => {
                    pair.a.run(&command);
                }
                Step::OnB(command) => {
                    pair.b.run(&command);
                }
                Step::Pass(ms) => pair.pass(ms),
                Step::ExpireOnA => {
                    let before = observe(&mut pair.a);
                    pair.a.with(|keys| keys.expire_due(10));
                    prop_assert_eq!(observe(&mut pair.a), before);
                }
                Step::Exchange => {
                    pair.exchange();
                    prop_assert_eq!(observe(&mut pair.a), observe(&mut pair.b));
                }
            }
            observe(&mut pair.a);
            observe(&mut pair.b);
            check_expiring(&pair.a);
            check_expiring(&pair.b);
            check_rankings(&pair.a);
            check_rankings(&pair.b);
        }
    }

    #[test]
    fn after_a_removal_that_saw_all_nothing_is_shown_and_nothing_is_left(
        steps in proptest::collection::vec((command(), any::<bool>()), 1..40)
    ) {
        let mut pair = Pair::new();
        for (command, on_a) in steps {
            if on_a { pair.a.run(&command) } else { pair.b.run(&command) };
        }
        pair.exchange();
        pair.a.run("FLUSHALL");
        pair.exchange();
        for node in [&pair.a, &pair.b] {
            prop_assert!(node.partition.replica().cells().all(|(_, cell)| !cell.is_live()));
            prop_assert_eq!(node.partition.replica().live_keys(), 0);
            prop_assert_eq!(node.partition.replica().expiring().count(), 0);
        }
    }
}
