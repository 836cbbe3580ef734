//! WAIT, EK.AWAIT, and what time does to keys.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::support::eventually;

#[test]
fn wait_counts_the_members_that_hold_a_write_and_ends_in_time_when_one_is_cut_off() {
    let cluster = Cluster::start(3, &[]);
    let mut client = cluster.client(0);
    client.run("SET key 1");
    assert_eq!(client.run("WAIT 2 5000"), "2");
    assert_eq!(cluster.run(2, "EK.FAULT CUT *"), "OK");
    client.run("SET key 2");
    let since = Instant::now();
    assert_eq!(client.run("WAIT 2 300"), "1");
    let took = since.elapsed();
    assert!(
        (300..2_000).contains(&took.as_millis()),
        "WAIT took {took:?}"
    );
    assert_eq!(cluster.run(2, "EK.FAULT HEAL *"), "OK");
    assert_eq!(client.run("WAIT 2 10000"), "2");
}

#[test]
fn await_says_who_is_behind_when_a_node_is_down_and_never_takes_longer_than_asked() {
    let mut cluster = Cluster::start(3, &[]);
    cluster.nodes[2].kill();
    cluster.run(0, "SET key 1");
    let since = Instant::now();
    let answer = cluster.run(0, "EK.AWAIT CONVERGED 300");
    assert!(
        answer.starts_with("-BEHIND") && answer.contains('C'),
        "{answer}"
    );
    assert!(
        since.elapsed() < Duration::from_secs(2),
        "{:?}",
        since.elapsed()
    );
    cluster.restart(2);
    assert_eq!(
        cluster.run(0, "EK.AWAIT CONVERGED 18446744073709551615"),
        "OK"
    );
}

#[test]
fn a_client_that_leaves_while_it_waits_is_let_go() {
    let cluster = Cluster::start(3, &[]);
    assert_eq!(cluster.run(0, "EK.FAULT CUT *"), "OK");
    let mut client = cluster.client(0);
    client.run("SET key 1");
    client.send(&["WAIT", "2", "0"]).unwrap();
    drop(client);
    let mut other = cluster.client(0);
    eventually(Duration::from_secs(15), "its connection is closed", || {
        other
            .run("INFO clients")
            .contains("connected_clients:1\r")
            .then_some(())
    });
}

#[test]
fn a_client_that_has_sent_everything_still_gets_the_reply_it_waits_for() {
    let cluster = Cluster::start(3, &[]);
    let mut client = cluster.client(0);
    client
        .stream
        .write_all(b"SET key 1\r\nWAIT 2 5000\r\n")
        .unwrap();
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(crate::client::show(&client.receive().unwrap()), "OK");
    assert_eq!(crate::client::show(&client.receive().unwrap()), "2");
}

#[test]
fn a_node_that_is_told_to_stop_ends_within_two_seconds_whatever_its_clients_wait_for() {
    let cluster = Cluster::start(3, &[]);
    assert_eq!(cluster.run(0, "EK.FAULT CUT *"), "OK");
    let _idle = cluster.client(0);
    let mut waiting = cluster.client(0);
    waiting.run("SET key 1");
    waiting.send(&["WAIT", "2", "0"]).unwrap();
    let mut half = cluster.client(0);
    half.stream.write_all(b"*3\r\n$3\r\nSET\r\n").unwrap();
    let since = Instant::now();
    let status = cluster.nodes[0].terminate();
    assert!(status.success(), "{status}");
    assert!(
        since.elapsed() < Duration::from_secs(2),
        "{:?}",
        since.elapsed()
    );
    assert!(waiting.is_closed(), "its clients are let go");
}

#[test]
fn a_deadline_is_the_same_at_every_node_and_what_expired_is_gone_everywhere() {
    let cluster = Cluster::start(3, &[]);
    let mut clients = cluster.clients();
    clients[0].run("SET short 1 PX 600");
    clients[0].run("SET long 1 EX 1000");
    clients[1].run("SET kept 1");
    cluster.await_converged();
    for client in &mut clients {
        let left: i64 = client.run("TTL long").parse().unwrap();
        assert!((990..=1000).contains(&left), "{left}");
        assert_eq!(client.run("TTL kept"), "-1");
    }
    assert_eq!(clients[2].run("PERSIST long"), "1");
    assert_eq!(clients[1].run("EXPIRE kept 500"), "1");
    cluster.await_converged();
    for client in &mut clients {
        assert_eq!(client.run("TTL long"), "-1");
        let left: i64 = client.run("TTL kept").parse().unwrap();
        assert!((490..=500).contains(&left), "{left}");
        eventually(Duration::from_secs(3), "the deadline passes", || {
            (client.run("EXISTS short") == "0").then_some(())
        });
        assert_eq!(client.run("GET short"), "(nil)");
        assert_eq!(client.list("KEYS *"), ["kept", "long"]);
    }
}
