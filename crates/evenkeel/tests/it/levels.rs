//! Read and write levels: how many members take part, and what is said when there are fewer.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::five::foreign_key;
use crate::support::{eventually, say};

const SOON: Duration = Duration::from_secs(5);

fn is_unmet(answer: &str, reached: &str) {
    let expected = format!("-UNMET {reached} ");
    assert!(answer.starts_with(&expected), "{answer}");
}

#[test]
fn a_write_that_too_few_members_hold_is_unmet_and_spreads_all_the_same() {
    let cluster = Cluster::start(3, &[]);
    let mut client = cluster.client(0);
    assert_eq!(client.run("EK.CONSISTENCY WRITE quorum TIMEOUT 300"), "OK");
    assert_eq!(client.run("SET k 1"), "OK");
    assert_eq!(cluster.run(2, "EK.FAULT CUT *"), "OK");
    assert_eq!(client.run("SET k 2"), "OK", "two of three hold it");
    assert_eq!(client.run("EK.CONSISTENCY WRITE all"), "OK");
    is_unmet(&client.run("SET k 3"), "2 of 3");
    assert_eq!(client.run("EK.CONSISTENCY WRITE quorum"), "OK");
    assert_eq!(cluster.run(0, "EK.FAULT CUT *"), "OK");
    is_unmet(&client.run("INCR n"), "1 of 2");
    is_unmet(&client.run("RPUSH list a b"), "1 of 2");
    assert_eq!(client.run("GET k"), "3");
    assert_eq!(client.run("MULTI"), "OK");
    assert_eq!(client.run("INCR n"), "QUEUED");
    is_unmet(&client.run("EXEC"), "1 of 2");
    assert!(
        cluster
            .run(0, "INFO errorstats")
            .contains("errorstat_UNMET:count=4")
    );
    for node in [0, 2] {
        assert_eq!(cluster.run(node, "EK.FAULT HEAL *"), "OK");
    }
    cluster.await_converged();
    for node in 0..3 {
        assert_eq!(cluster.run(node, "GET n"), "2");
        assert_eq!(cluster.run(node, "GET k"), "3");
        assert_eq!(cluster.run(node, "LRANGE list 0 -1"), "[a b]");
    }
    assert_eq!(client.run("INCR n"), "3");
}

#[test]
fn each_write_of_a_pipeline_is_acknowledged_by_itself() {
    let cluster = Cluster::start(3, &[]);
    assert_eq!(cluster.run(0, "SET known 1"), "OK");
    let mut client = cluster.client(0);
    assert_eq!(client.run("EK.CONSISTENCY WRITE 2 TIMEOUT 300"), "OK");
    assert_eq!(cluster.run(0, "EK.FAULT CUT *"), "OK");
    let sent = ["SET a 1", "GET known", "SADD s x", "LPUSH known x", "GET a"];
    for command in sent {
        client
            .send(&command.split(' ').collect::<Vec<_>>())
            .unwrap();
    }
    let mut answer = || crate::client::show(&client.receive().unwrap());
    is_unmet(&answer(), "1 of 2");
    assert_eq!(answer(), "1");
    is_unmet(&answer(), "1 of 2");
    assert!(answer().starts_with("-WRONGTYPE"));
    assert_eq!(answer(), "1");
}

#[test]
fn a_quorum_read_finds_what_a_quorum_has_acknowledged() {
    let cluster = Cluster::start(3, &[]);
    let mut writer = cluster.client(0);
    let mut reader = cluster.client(2);
    assert_eq!(writer.run("EK.CONSISTENCY WRITE quorum"), "OK");
    assert_eq!(reader.run("EK.CONSISTENCY READ quorum TIMEOUT 5000"), "OK");
    // C hears of what B holds by anti-entropy only, and by asking.
    assert_eq!(cluster.run(0, "EK.FAULT CUT C"), "OK");
    assert_eq!(cluster.run(2, "EK.FAULT CUT A"), "OK");
    for n in 0..40 {
        assert_eq!(writer.run(&format!("SET string {n}")), "OK");
        assert_eq!(reader.run("GET string"), n.to_string());
        assert_eq!(writer.run(&format!("HSET hash f{n} {n}")), "1");
        assert_eq!(reader.run("HLEN hash"), (n + 1).to_string());
        assert_eq!(writer.run(&format!("RPUSH list {n}")), (n + 1).to_string());
        assert_eq!(reader.run("MULTI"), "OK");
        assert_eq!(reader.run("LRANGE list -1 -1"), "QUEUED");
        assert_eq!(reader.run("EXEC"), format!("[[{n}]]"));
    }
    assert_eq!(reader.run("EK.CONSISTENCY READ all TIMEOUT 200"), "OK");
    is_unmet(&reader.run("GET string"), "2 of 3");
    is_unmet(&reader.run("DBSIZE"), "2 of 3");
    assert_eq!(reader.run("SET written 1"), "OK", "a write reads nothing");
    assert_eq!(cluster.run(2, "EK.FAULT CUT B"), "OK");
    assert_eq!(reader.run("EK.CONSISTENCY READ quorum"), "OK");
    is_unmet(&reader.run("GET string"), "1 of 2");
    assert_eq!(reader.run("EK.CONSISTENCY READ one"), "OK");
    assert_eq!(reader.run("GET string"), "39");
}

#[test]
fn reads_of_one_member_are_stale_at_times_and_those_of_a_quorum_never() {
    const WRITES: u32 = 30;
    let cluster = Cluster::start(3, &[]);
    let mut writer = cluster.client(0);
    let mut readers: Vec<_> = (1..3).map(|node| cluster.client(node)).collect();
    assert_eq!(writer.run("EK.CONSISTENCY WRITE quorum TIMEOUT 5000"), "OK");
    for reader in &mut readers {
        assert_eq!(reader.run("EK.CONSISTENCY TIMEOUT 5000"), "OK");
    }
    // What goes from A to C takes long: a quorum is A and B.
    assert_eq!(cluster.run(0, "EK.FAULT DELAY C 200 300"), "OK");
    let mut stale = [0, 0];
    for n in 0..WRITES {
        assert_eq!(writer.run(&format!("SET key {n}")), "OK");
        for reader in &mut readers {
            for (at, level) in ["one", "quorum"].into_iter().enumerate() {
                assert_eq!(reader.run(&format!("EK.CONSISTENCY READ {level}")), "OK");
                stale[at] += u32::from(reader.run("GET key") != n.to_string());
            }
        }
    }
    let reads = 2 * WRITES;
    say(&format!(
        "of {reads} reads behind an acknowledged write: {} stale of one member, {} of a quorum",
        stale[0], stale[1]
    ));
    assert!(stale[0] > 0, "nothing was there to guard against");
    assert_eq!(stale[1], 0);
}

#[test]
fn a_node_that_holds_no_replica_asks_enough_of_those_that_do() {
    let cluster = Cluster::start(5, &[]);
    let (key, members) = foreign_key(&cluster);
    let mut client = cluster.client(0);
    assert_eq!(
        client.run("EK.CONSISTENCY READ quorum WRITE all TIMEOUT 2000"),
        "OK"
    );
    assert_eq!(client.run(&format!("SET {key} 1")), "OK");
    assert_eq!(client.run(&format!("GET {key}")), "1");
    assert_eq!(client.run("EK.CONSISTENCY TIMEOUT 300"), "OK");
    for member in &members[1..] {
        assert_eq!(cluster.run(*member, "EK.FAULT CUT *"), "OK");
    }
    is_unmet(&client.run(&format!("SET {key} 2")), "1 of 3");
    is_unmet(&client.run(&format!("GET {key}")), "1 of 2");
    assert_eq!(client.run("EK.CONSISTENCY READ one"), "OK");
    assert_eq!(client.run(&format!("GET {key}")), "2");
}

#[test]
fn levels_can_be_set_for_all_connections_of_a_node() {
    let flags = [
        "--write-level",
        "all",
        "--read-level",
        "quorum",
        "--level-timeout-ms",
        "250",
    ];
    let cluster = Cluster::start(3, &flags);
    let mut client = cluster.client(0);
    assert!(
        client
            .run("EK.CONSISTENCY")
            .starts_with("[read quorum write all ")
    );
    assert_eq!(client.run("SET k 1"), "OK");
    assert_eq!(client.run("GET k"), "1");
    assert_eq!(cluster.run(0, "EK.FAULT CUT *"), "OK");
    eventually(SOON, "the cut shows", || {
        client
            .run("SET k 2")
            .starts_with("-UNMET 1 of 3")
            .then_some(())
    });
    is_unmet(&client.run("GET k"), "1 of 2");
}

#[test]
fn waitaof_counts_the_disks_that_hold_what_was_written() {
    let cluster = Cluster::start(3, &["--sync", "always"]);
    let mut client = cluster.client(0);
    assert_eq!(client.run("SET k 1"), "OK");
    assert_eq!(client.run("WAITAOF 1 2 5000"), "[1 2]");
    assert_eq!(cluster.run(2, "EK.FAULT CUT *"), "OK");
    assert_eq!(client.run("SET k 2"), "OK");
    assert_eq!(client.run("WAITAOF 1 1 5000"), "[1 1]");
    assert_eq!(client.run("WAITAOF 1 2 100"), "[1 1]");
    assert!(
        client
            .run("WAITAOF 2 0 0")
            .starts_with("-ERR value is out of range")
    );
    assert!(
        client
            .run("WAITAOF 1 x 0")
            .starts_with("-ERR value is not an integer")
    );
    assert!(
        client
            .run("WAITAOF 1 0 -1")
            .starts_with("-ERR timeout is negative")
    );
}
