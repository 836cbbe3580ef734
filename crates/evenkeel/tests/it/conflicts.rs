//! What three nodes show after writes on both sides of a cut, and what they tell of what lost.

use std::time::Duration;

use evenkeel_resp::Reply;

use crate::client::show;
use crate::cluster::Cluster;
use crate::support::eventually;

/// Runs commands on A while B and C are cut off from it, others on B, heals, and waits until all are equal.
fn apart(cluster: &Cluster, on_a: &[&str], on_b: &[&str]) {
    assert_eq!(cluster.run(0, "EK.FAULT CUT *"), "OK");
    wait_until_alone(cluster);
    for (node, commands) in [(0, on_a), (1, on_b)] {
        let mut client = cluster.client(node);
        for command in commands {
            let reply = client.run(command);
            assert!(!reply.starts_with('-'), "{command} on node {node}: {reply}");
        }
    }
    assert_eq!(cluster.run(0, "EK.FAULT HEAL *"), "OK");
    cluster.await_converged();
}

/// Waits until A and B have both noticed that they have lost each other: each then is a home of its own.
fn wait_until_alone(cluster: &Cluster) {
    for (node, gone) in [(0, "peer_B:link=down"), (1, "peer_A:link=down")] {
        let mut client = cluster.client(node);
        eventually(Duration::from_secs(15), "the link is down", || {
            client.run("INFO evenkeel").contains(gone).then_some(())
        });
    }
}

/// Asks every node; each must answer the same.
fn agree(cluster: &Cluster, cases: &[(&str, &str)]) {
    for node in 0..cluster.nodes.len() {
        let mut client = cluster.client(node);
        for (command, reply) in cases {
            assert_eq!(client.run(command), *reply, "{command} on node {node}");
        }
    }
}

/// The value behind a name in a map that came as a flat array.
fn field<'a>(reply: &'a Reply, name: &str) -> &'a Reply {
    let Reply::Array(parts) = reply else {
        panic!("{reply:?} is no map");
    };
    let mut pairs = parts.chunks(2);
    let found = pairs.find(|pair| show(&pair[0]) == name);
    &found.unwrap_or_else(|| panic!("no {name} in {reply:?}"))[1]
}

#[test]
fn strings_and_counters_written_on_both_sides_of_a_cut_end_as_the_table_says() {
    let cluster = Cluster::start(3, &[]);
    cluster.run(0, "MSET gone old both old n 100 reset 50 alive v");
    cluster.await_converged();
    apart(
        &cluster,
        &[
            "SET both a",
            "DEL gone",
            "INCRBY n 1",
            "DEL reset",
            "EXPIRE alive 1000",
        ],
        &[
            "SET both b",
            "SET gone new",
            "INCRBY n 10",
            "INCRBY reset 7",
            "EXPIRE alive 5000",
        ],
    );
    agree(
        &cluster,
        &[("GET gone", "new"), ("GET n", "111"), ("GET reset", "7")],
    );
    let shown = cluster.run(0, "GET both");
    assert!(shown == "a" || shown == "b", "{shown}");
    agree(&cluster, &[("GET both", &shown)]);
    let left: u64 = cluster.run(2, "TTL alive").parse().unwrap();
    assert!(left > 4000, "the later deadline holds: {left}");
}

#[test]
fn sets_written_on_both_sides_of_a_cut_end_as_the_table_says() {
    let cluster = Cluster::start(3, &[]);
    for command in ["SADD s m other", "SADD gone x y", "SADD popped m"] {
        cluster.run(0, command);
    }
    cluster.await_converged();
    apart(
        &cluster,
        &[
            "SREM s m",
            "SADD s a",
            "DEL gone",
            "SPOP popped",
            "SINTERSTORE stored s gone",
        ],
        &[
            "SADD s m b",
            "SADD gone y",
            "SPOP popped",
            "SADD stored new",
        ],
    );
    agree(
        &cluster,
        &[
            ("SCARD s", "4"),
            ("SMISMEMBER s m other a b", "[1 1 1 1]"),
            ("EXISTS popped", "0"),
        ],
    );
    agree(
        &cluster,
        &[("SMEMBERS gone", "[y]"), ("SMEMBERS stored", "[new]")],
    );
}

#[test]
fn hashes_written_on_both_sides_of_a_cut_end_as_the_table_says() {
    let cluster = Cluster::start(3, &[]);
    cluster.run(0, "HSET h updated 1 removed 1 n 100");
    cluster.await_converged();
    apart(
        &cluster,
        &["HDEL h updated removed n", "HSET h a 1", "HSETNX h new A"],
        &[
            "HSET h updated 2",
            "HINCRBY h n 5",
            "HSET h b 1",
            "HSETNX h new B",
        ],
    );
    agree(
        &cluster,
        &[
            ("HMGET h updated removed n a b", "[2 (nil) 5 1 1]"),
            ("HLEN h", "5"),
        ],
    );
    let shown = cluster.run(0, "HGET h new");
    agree(&cluster, &[("HGET h new", &shown)]);
}

#[test]
fn sorted_sets_and_lists_written_on_both_sides_of_a_cut_end_as_the_table_says() {
    let cluster = Cluster::start(3, &[]);
    for command in [
        "ZADD z 1 scored 1 removed 100 counted 5 min",
        "RPUSH list mid",
        "RPUSH popped only",
        "RPUSH cut a b c",
    ] {
        cluster.run(0, command);
    }
    cluster.await_converged();
    apart(
        &cluster,
        &[
            "ZADD z 2 scored",
            "ZREM z removed",
            "ZREM z counted",
            "ZADD z 1 a",
            "LPUSH list a1 a2",
            "RPUSH list a3",
            "LPOP popped",
            "DEL cut",
        ],
        &[
            "ZADD z 3 scored",
            "ZADD z 7 removed",
            "ZINCRBY z 5 counted",
            "ZADD z 2 b",
            "LPUSH list b1 b2",
            "LINSERT list AFTER mid b3",
            "LPOP popped",
            "RPUSH cut d",
        ],
    );
    agree(
        &cluster,
        &[
            ("ZMSCORE z removed counted a b min", "[7 5 1 2 5]"),
            ("ZCARD z", "6"),
            ("ZRANGE z 0 0", "[a]"),
            ("LLEN list", "7"),
            ("EXISTS popped", "0"),
            ("LRANGE cut 0 -1", "[d]"),
        ],
    );
    let scored = cluster.run(0, "ZSCORE z scored");
    assert!(scored == "2" || scored == "3", "{scored}");
    let list = cluster.run(0, "LRANGE list 0 -1");
    let fits = [
        "[a2 a1 b2 b1 mid b3 a3]",
        "[b2 b1 a2 a1 mid b3 a3]",
        "[a2 a1 b2 b1 mid a3 b3]",
        "[b2 b1 a2 a1 mid a3 b3]",
    ];
    assert!(
        fits.contains(&&*list),
        "one command's elements stay together: {list}"
    );
    agree(
        &cluster,
        &[("ZSCORE z scored", &scored), ("LRANGE list 0 -1", &list)],
    );
}

#[test]
fn sketches_types_deadlines_and_whole_deletes_on_both_sides_of_a_cut_end_as_the_table_says() {
    let cluster = Cluster::start(3, &[]);
    for command in [
        "PFADD sketch x y",
        "PFADD more 1 2 3",
        "SET set 100",
        "SET persisted v EX 1000",
        "SADD big a b c",
        "SET {t}a 0",
    ] {
        cluster.run(0, command);
    }
    cluster.await_converged();
    apart(
        &cluster,
        &[
            "PERSIST persisted",
            "PFMERGE merged more",
            "DEL flushed big",
            "PFADD sketch a b c",
            "SET set 10",
            "INCRBYFLOAT float 0.5",
            "SET {t}a 1",
            "SET typed v",
        ],
        &[
            "PFADD sketch d e f",
            "PFMERGE merged sketch",
            "PFADD flushed 4",
            "INCRBY set 7",
            "INCRBYFLOAT float 0.25",
            "EXPIRE persisted 5000",
            "SADD big d",
            "MSET {t}b 2 {t}c 3",
            "SADD typed m",
        ],
    );
    agree(
        &cluster,
        &[
            ("PFCOUNT sketch", "8"),
            ("PFCOUNT merged", "8"),
            ("PFCOUNT flushed", "1"),
            ("TTL persisted", "-1"),
            ("SMEMBERS big", "[d]"),
            ("GET set", "17"),
            ("GET float", "0.75"),
            ("MGET {t}a {t}b {t}c", "[1 2 3]"),
        ],
    );
    let kind = cluster.run(0, "TYPE typed");
    assert!(kind == "string" || kind == "set", "{kind}");
    agree(&cluster, &[("TYPE typed", &kind)]);
    cluster.run(1, "DEL typed");
    cluster.await_converged();
    agree(&cluster, &[("EXISTS typed", "0")]);
}

#[test]
fn a_value_that_lost_is_counted_and_can_be_looked_up_with_its_writer() {
    let cluster = Cluster::start(3, &[]);
    apart(
        &cluster,
        &["SET k from-a"],
        &["SET k from-b", "SADD typed m"],
    );
    let shown = cluster.run(0, "GET k");
    let lost = if shown == "from-a" {
        "from-b"
    } else {
        "from-a"
    };
    for node in 0..3 {
        let mut client = cluster.client(node);
        let info = client.run("INFO evenkeel");
        assert!(info.contains("\r\nconflicts:1\r\n"), "{info}");
        let Reply::Array(entries) = client.raw(&["EK.CONFLICTS"]) else {
            panic!("EK.CONFLICTS gives no array");
        };
        let [entry] = &entries[..] else {
            panic!("one conflict is known to node {node}, not {entries:?}");
        };
        assert_eq!(show(field(entry, "key")), "k");
        assert_eq!(show(field(entry, "conflict")), "value");
        let (winner, loser) = (field(entry, "winner"), field(entry, "loser"));
        for (side, value) in [(winner, &*shown), (loser, lost)] {
            assert_eq!(show(field(side, "value")), value);
            let writer = if value == "from-a" { "A" } else { "B" };
            assert_eq!(show(field(side, "writer")), writer);
        }
        let Reply::Array(cells) = client.raw(&["EK.SIBLINGS", "k"]) else {
            panic!("EK.SIBLINGS gives no array");
        };
        let Reply::Array(versions) = field(&cells[0], "versions") else {
            panic!("a cell without versions: {cells:?}");
        };
        assert_eq!(versions.len(), 2);
        for version in versions {
            let wins = show(field(version, "value")) == shown;
            assert_eq!(field(version, "shown"), &Reply::Integer(wins.into()));
        }
    }
    // The next write settles it everywhere; the log still knows.
    cluster.run(2, "SET k settled");
    cluster.await_converged();
    for node in 0..3 {
        let Reply::Array(cells) = cluster.client(node).raw(&["EK.SIBLINGS", "k"]) else {
            panic!("EK.SIBLINGS gives no array");
        };
        assert!(matches!(field(&cells[0], "versions"), Reply::Array(one) if one.len() == 1));
        assert!(cluster.run(node, "EK.CONFLICTS 5").contains("from-a"));
        assert_eq!(cluster.run(node, "EK.CONFLICTS 0"), "[]");
    }
    let refused = cluster.run(0, "EK.CONFLICTS x");
    assert!(
        refused.starts_with("-ERR value is out of range"),
        "{refused}"
    );
}
