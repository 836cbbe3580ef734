//! Five nodes, three replicas of each key: every node serves every key.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Client, show};
use crate::cluster::Cluster;
use crate::support::eventually;

const KEYS: usize = 200;

/// A key of which the first node holds no replica, and the nodes that do.
pub(crate) fn foreign_key(cluster: &Cluster) -> (String, Vec<usize>) {
    let mut client = cluster.client(0);
    for n in 0.. {
        let key = format!("foreign:{n}");
        let seen = format!("{:?}", client.raw(&["EK.INSPECT", &key]));
        let holds = |node: &usize| {
            let name = &cluster.nodes[*node].plan.name;
            seen.contains(&format!("Bulk(b\"node\"), Bulk(b\"{name}\")"))
        };
        let members: Vec<usize> = (0..cluster.nodes.len()).filter(holds).collect();
        assert_eq!(members.len(), 3, "{seen}");
        if !members.contains(&0) {
            return (key, members);
        }
    }
    unreachable!("two keys of five are held elsewhere")
}

fn scan_all(client: &mut Client) -> Vec<String> {
    let mut cursor = "0".to_owned();
    let mut found = Vec::new();
    loop {
        let reply = client.raw(&["SCAN", &cursor, "COUNT", "37"]);
        let evenkeel_resp::Reply::Array(parts) = &reply else {
            panic!("SCAN answered {reply:?}");
        };
        let evenkeel_resp::Reply::Array(keys) = &parts[1] else {
            panic!("SCAN answered {reply:?}");
        };
        found.extend(keys.iter().map(show));
        cursor = show(&parts[0]);
        if cursor == "0" {
            found.sort();
            return found;
        }
    }
}

#[test]
fn any_of_five_nodes_serves_any_key() {
    let cluster = Cluster::start(5, &[]);
    let mut clients = cluster.clients();
    let mut keys: Vec<String> = (0..KEYS).map(|n| format!("key:{n}")).collect();
    keys.sort();
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(clients[n % 5].run(&format!("SET {key} {n}")), "OK");
    }
    cluster.await_converged();
    for client in &mut clients {
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(client.run(&format!("GET {key}")), n.to_string());
        }
        let all = client.run(&format!("MGET {}", keys.join(" ")));
        let wanted: Vec<String> = (0..KEYS).map(|n| n.to_string()).collect();
        assert_eq!(all, format!("[{}]", wanted.join(" ")));
        assert_eq!(client.run("DBSIZE"), KEYS.to_string());
        assert_eq!(client.list("KEYS *"), keys);
        assert_eq!(scan_all(client), keys);
    }
    let pairs: Vec<String> = keys.iter().map(|key| format!("{key} new")).collect();
    assert_eq!(clients[3].run(&format!("MSET {}", pairs.join(" "))), "OK");
    assert_eq!(
        clients[4].run(&format!("DEL {}", keys[..100].join(" "))),
        "100"
    );
    cluster.await_converged();
    for client in &mut clients {
        assert_eq!(client.run("DBSIZE"), "100");
        assert_eq!(client.run(&format!("GET {}", keys[150])), "new");
        assert_eq!(client.run(&format!("GET {}", keys[50])), "(nil)");
    }
    assert_eq!(clients[2].run("FLUSHALL"), "OK");
    cluster.await_converged();
    for client in &mut clients {
        assert_eq!(client.run("DBSIZE"), "0");
    }
}

#[test]
fn counters_written_through_five_nodes_are_exact() {
    let cluster = Cluster::start(5, &[]);
    std::thread::scope(|scope| {
        for node in 0..5 {
            let cluster = &cluster;
            scope.spawn(move || {
                let mut client = cluster.client(node);
                for n in 0..200 {
                    let reply = client.run(&format!("INCR count:{}", n % 10));
                    assert!(!reply.starts_with('-'), "{reply}");
                }
            });
        }
    });
    cluster.await_converged();
    for mut client in cluster.clients() {
        for n in 0..10 {
            assert_eq!(client.run(&format!("GET count:{n}")), "100");
        }
    }
}

#[test]
fn a_forwarded_write_whose_member_falls_silent_is_in_doubt_and_not_repeated() {
    let cluster = Cluster::start(5, &[]);
    let (key, members) = foreign_key(&cluster);
    let mut client = cluster.client(0);
    assert_eq!(client.run(&format!("INCR {key}")), "1");
    cluster.await_converged();
    // The first member in the table's order is asked; all are silenced, so that it is one of them.
    for member in &members {
        cluster.nodes[*member].freeze();
    }
    let since = Instant::now();
    let answer = client.run(&format!("INCR {key}"));
    for member in &members {
        cluster.nodes[*member].signal(Signal::CONT);
    }
    assert!(answer.starts_with("-INDOUBT"), "{answer}");
    assert!(
        since.elapsed() < Duration::from_secs(8),
        "{:?}",
        since.elapsed()
    );
    cluster.wait_until_linked();
    cluster.await_converged();
    let values: Vec<String> = members
        .iter()
        .map(|node| cluster.run(*node, &format!("GET {key}")))
        .collect();
    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
    assert!(
        ["1", "2"].contains(&values[0].as_str()),
        "done more than once: {values:?}"
    );
}

#[test]
fn reads_and_writes_go_on_while_members_die_and_when_none_is_left() {
    let mut cluster = Cluster::start(5, &[]);
    let (key, members) = foreign_key(&cluster);
    let mut client = cluster.client(0);
    assert_eq!(client.run(&format!("SET {key} first")), "OK");
    cluster.await_converged();
    for (dead, member) in members.iter().enumerate() {
        assert_eq!(
            client.run(&format!("GET {key}")),
            "first",
            "after {dead} of 3 members died"
        );
        let answer = client.run(&format!("SET {key} first"));
        assert!(answer == "OK" || answer.starts_with("-INDOUBT"), "{answer}");
        cluster.nodes[*member].kill();
    }
    // Nobody is left who holds it: this node keeps what is written, and answers by what it has.
    eventually(
        Duration::from_secs(5),
        "the links are seen to be down",
        || (client.run(&format!("GET {key}")) == "(nil)").then_some(()),
    );
    assert_eq!(client.run(&format!("SET {key} last")), "OK");
    assert_eq!(client.run(&format!("GET {key}")), "last");
    assert_eq!(client.run(&format!("SADD {{{key}}}:set guest")), "1");
    for _ in 0..3 {
        client.run(&format!("INCR {{{key}}}:count"));
    }
    assert_eq!(client.run(&format!("GET {{{key}}}:count")), "3");
    // A restart keeps what was taken for others.
    cluster.nodes[0].kill();
    cluster.restart(0);
    for member in &members {
        cluster.restart(*member);
    }
    cluster.wait_until_linked();
    cluster.await_converged();
    for mut client in cluster.clients() {
        assert_eq!(client.run(&format!("GET {key}")), "last");
        assert_eq!(client.run(&format!("GET {{{key}}}:count")), "3");
        assert_eq!(client.run(&format!("SMEMBERS {{{key}}}:set")), "[guest]");
    }
    eventually(Duration::from_secs(10), "the guest keeps nothing", || {
        let info = cluster.run(0, "INFO evenkeel");
        info.contains("guest_partitions:0").then_some(())
    });
}

#[test]
fn wait_counts_no_member_that_may_lack_a_forwarded_write() {
    let cluster = Cluster::start(5, &[]);
    let (key, members) = foreign_key(&cluster);
    let mut client = cluster.client(0);
    assert_eq!(client.run(&format!("SET {key} 1")), "OK");
    assert_eq!(client.run("WAIT 2 5000"), "2");
    // The members no longer hear each other; the first node still hears them.
    for member in &members {
        for other in members.iter().filter(|other| *other != member) {
            let name = &cluster.nodes[*other].plan.name;
            assert_eq!(cluster.run(*member, &format!("EK.FAULT CUT {name}")), "OK");
        }
    }
    assert_eq!(client.run(&format!("SET {key} 2")), "OK");
    assert_eq!(client.run("WAIT 2 300"), "0");
}
