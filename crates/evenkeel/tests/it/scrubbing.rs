//! Content that was changed behind the node's back: found, located, repaired and reported.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::load::Load;
use crate::support::eventually;

const SOON: Duration = Duration::from_secs(20);

/// A command that writes a key, one that reads it, and the key.
const KEYS: [(&str, &str, &str); 5] = [
    ("SET string right", "GET string", "string"),
    ("HSET hash f right g right", "HVALS hash", "hash"),
    ("RPUSH list right right", "LRANGE list 0 -1", "list"),
    ("ZADD zset 1 a 2 b", "ZRANGE zset 0 -1 WITHSCORES", "zset"),
    ("SET long right EX 1000", "GET long", "long"),
];

fn metric(cluster: &Cluster, node: usize, name: &str) -> u64 {
    let (_, text) = cluster.nodes[node].http("/metrics");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap().parse().unwrap()
}

fn damaged(cluster: &Cluster, node: usize) -> String {
    cluster.run(node, "EK.SCRUB")
}

#[test]
fn a_corrupted_cell_of_one_replica_is_found_located_repaired_and_reported_in_one_round() {
    for nodes in [2, 3] {
        let cluster = Cluster::start(nodes, &[]);
        for n in 0..100 {
            cluster.run(n % nodes, &format!("SET other:{n} {n}"));
        }
        for (write, ..) in KEYS {
            cluster.run(0, write);
        }
        cluster.await_converged();
        assert_eq!(damaged(&cluster, 1), "[partitions 256 damaged []]");
        for (_, read, key) in KEYS {
            let right = cluster.run(0, read);
            assert_eq!(cluster.run(1, read), right);
            assert_eq!(cluster.run(1, &format!("EK.FAULT CORRUPT {key}")), "OK");
            let found = damaged(&cluster, 1);
            let repaired = format!("repaired [{key}] unresolved [] unreachable 0");
            assert!(found.contains(&repaired), "{key}: {found}");
            assert_eq!(cluster.run(1, read), right, "{key}");
            assert_eq!(damaged(&cluster, 1), "[partitions 256 damaged []]", "{key}");
            assert_eq!(damaged(&cluster, 0), "[partitions 256 damaged []]", "{key}");
        }
        assert_eq!(metric(&cluster, 1, "evenkeel_scrub_repaired_total"), 5);
        assert_eq!(metric(&cluster, 1, "evenkeel_digest_mismatch_total"), 0);
        assert!(
            cluster.nodes[1]
                .log()
                .contains("content was damaged here, and is repaired")
        );
        cluster.run(1, "APPEND string !");
        cluster.await_converged();
        assert_eq!(cluster.run(0, "GET string"), "right!");
    }
}

#[test]
fn damage_that_was_written_over_raises_an_alarm_and_is_settled_by_itself() {
    let cluster = Cluster::start(3, &[]);
    cluster.run(0, "SET key right");
    cluster.await_converged();
    assert_eq!(cluster.run(1, "EK.FAULT CORRUPT key"), "OK");
    cluster.run(0, "SET key newer");
    eventually(SOON, "the alarm is raised and looked into", || {
        (metric(&cluster, 1, "evenkeel_scrub_damaged_total") > 0).then_some(())
    });
    cluster.await_converged();
    for node in 0..3 {
        assert_eq!(damaged(&cluster, node), "[partitions 256 damaged []]");
        assert_eq!(cluster.run(node, "GET key"), "newer");
    }
}

#[test]
fn damage_in_a_key_that_cannot_be_compared_yet_stays_known_until_it_can() {
    let cluster = Cluster::start(2, &[]);
    cluster.run(0, "SET key right");
    cluster.await_converged();
    // From here on B lacks an event about the key: what A holds of it is no measure.
    assert_eq!(cluster.run(0, "EK.FAULT MUTE *"), "OK");
    assert_eq!(cluster.run(0, "SET key newer"), "OK");
    assert_eq!(cluster.run(1, "EK.FAULT CORRUPT key"), "OK");
    for _ in 0..2 {
        let found = damaged(&cluster, 1);
        assert!(found.contains("repaired [] unresolved []"), "{found}");
    }
    assert_eq!(cluster.run(0, "EK.FAULT CUT *"), "OK");
    assert_eq!(cluster.run(0, "EK.FAULT HEAL *"), "OK");
    cluster.await_converged();
    eventually(SOON, "nothing is damaged any more", || {
        (damaged(&cluster, 1) == "[partitions 256 damaged []]").then_some(())
    });
    assert_eq!(cluster.run(1, "GET key"), "newer");
}

#[test]
fn what_is_only_under_way_is_never_taken_for_damage() {
    let cluster = Cluster::start(3, &[]);
    let load = Load::start(&cluster);
    load.advance(&[0, 1, 2], 200);
    for round in 0..4 {
        let node = round % 3;
        if round == 2 {
            assert_eq!(cluster.run(node, "EK.FAULT DELAY * 50 150"), "OK");
        }
        let found = damaged(&cluster, node);
        assert_eq!(found, "[partitions 256 damaged []]");
    }
    let expected = load.stop();
    expected.none_refused(&[]);
    cluster.await_converged();
    expected.holds_everywhere(&cluster);
}

#[test]
fn a_replica_without_others_to_compare_with_says_that_it_is_damaged() {
    let cluster = Cluster::start(1, &[]);
    cluster.run(0, "SET key right");
    assert_eq!(cluster.run(0, "EK.FAULT CORRUPT key"), "OK");
    let found = damaged(&cluster, 0);
    assert!(found.contains("repaired [] unresolved []"), "{found}");
    assert!(
        cluster
            .run(0, "EK.FAULT CORRUPT nothing")
            .starts_with("-ERR the key has nothing")
    );
}
