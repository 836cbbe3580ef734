//! A cluster that grows, shrinks and is repaired under load: no request fails, nothing is lost, nothing deleted returns.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::load::Load;
use crate::node::{Node, Plan};
use crate::support::{eventually, long, say};

/// Data has to have moved within this time.
const MOVED_WITHIN: Duration = Duration::from_secs(90);

/// A node that enters through another one.
pub(crate) fn joining(name: &str, through: &Node) -> Node {
    let dir = through.plan.dir.parent().unwrap();
    let address = format!("{}:{}", through.plan.host, through.plan.peer_port);
    let plan = Plan::new(name, dir).with(&["--fault-injection", "--join", &address]);
    plan.start()
}

/// A field of `EK.TOPOLOGY`, as text.
fn topology(node: &Node) -> String {
    node.client().run("EK.TOPOLOGY")
}

/// Waits until a node says that nothing moves and that there are so many nodes.
pub(crate) fn settled(node: &Node, nodes: usize) {
    eventually(MOVED_WITHIN, "the data lies as it should", || {
        let seen = topology(node);
        let all = seen.matches("voter").count() == nodes + 1;
        (all && seen.contains("settled 1")).then_some(())
    });
}

/// Runs the command line against a node; gives what it printed.
pub(crate) fn cluster_command(node: &Node, words: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.arg("cluster").args(words);
    command.args(["--node", &node.plan.client_address()]);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "evenkeel cluster {words:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn a_cluster_grows_drains_replaces_and_restarts_under_load_and_no_request_fails() {
    let rounds = if long() { 4_000 } else { 100 };
    let mut cluster = Cluster::start(1, &[]);
    let mut load = Load::start(&cluster);
    load.advance(&[0], rounds);
    for (name, nodes) in [("B", 2), ("C", 3), ("D", 4), ("E", 5)] {
        let node = joining(name, &cluster.nodes[0]);
        load.add(&node);
        cluster.nodes.push(node);
        if nodes != 2 && nodes != 4 {
            // Two come at once.
            settled(&cluster.nodes[0], nodes);
        }
        load.advance(&(0..nodes).collect::<Vec<_>>(), rounds);
    }
    cluster_command(&cluster.nodes[0], &["drain", "B", "--timeout", "90"]);
    load.advance(&[0, 1, 2, 3, 4], rounds);

    cluster.nodes[2].kill();
    load.advance(&[0, 1, 3, 4], rounds);
    let new = joining("F", &cluster.nodes[3]);
    load.add(&new);
    cluster.nodes.push(new);
    cluster_command(&cluster.nodes[3], &["replace", "C", "F", "--timeout", "90"]);
    cluster_command(&cluster.nodes[3], &["forget", "C"]);
    load.advance(&[0, 1, 3, 4, 5], rounds);

    for place in [0, 1, 3, 4, 5] {
        assert!(cluster.nodes[place].terminate().success());
        cluster.restart(place);
        load.advance(&[0, 1, 3, 4, 5], rounds);
    }
    let expected = load.stop();
    cluster.nodes.remove(2);
    cluster.await_converged();
    say(&format!(
        "{}, {} in doubt",
        expected.summary(),
        expected.in_doubt()
    ));
    expected.none_refused(&["A", "B", "C", "D", "E", "F"]);
    expected.holds_everywhere(&cluster);
}

#[test]
fn with_the_voters_lost_topology_changes_wait_and_reads_and_writes_do_not() {
    let cluster = Cluster::start(3, &[]);
    eventually(MOVED_WITHIN, "three nodes vote", || {
        let seen = topology(&cluster.nodes[0]);
        seen.contains("can-change 1").then_some(())
    });
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    let mut client = cluster.client(0);
    for n in 0..200 {
        assert_eq!(client.run(&format!("SET key:{n} {n}")), "OK");
        assert_eq!(
            client.run(&format!("INCR count:{}", n % 7)),
            (n / 7 + 1).to_string()
        );
        assert_eq!(client.run(&format!("GET key:{n}")), n.to_string());
    }
    eventually(MOVED_WITHIN, "too few voters answer", || {
        let status = cluster_command(&cluster.nodes[0], &["status"]);
        status.contains("NOQUORUM").then_some(())
    });
    let refused = client.run("EK.TOPOLOGY DRAIN B");
    assert!(refused.starts_with("-NOQUORUM"), "{refused}");
    assert_eq!(client.run("SET after 1"), "OK");
}

#[test]
fn a_forgotten_node_is_refused_and_what_only_it_held_can_be_recovered() {
    let mut cluster = Cluster::start(1, &[]);
    for name in ["B", "C", "D"] {
        let node = joining(name, &cluster.nodes[0]);
        cluster.nodes.push(node);
    }
    settled(&cluster.nodes[0], 4);
    cluster.await_converged();
    // D writes alone, and is lost before anybody hears of it.
    assert_eq!(cluster.run(3, "EK.FAULT CUT *"), "OK");
    let mut client = cluster.client(3);
    for n in 0..50 {
        assert_eq!(client.run(&format!("SET alone:{n} {n}")), "OK");
        assert_eq!(
            client.run(&format!("INCR alone:count:{}", n % 5)),
            (n / 5 + 1).to_string()
        );
    }
    assert!(cluster.nodes[3].terminate().success());
    cluster_command(&cluster.nodes[0], &["forget", "D"]);
    settled(&cluster.nodes[0], 3);

    cluster.restart(3);
    let mut client = cluster.client(3);
    eventually(MOVED_WITHIN, "it hears that it was forgotten", || {
        client
            .run("SET lost 1")
            .starts_with("-FORGOTTEN")
            .then_some(())
    });
    assert!(cluster.nodes[3].terminate().success());
    cluster.nodes[3].plan = cluster.nodes[3].plan.clone().with(&["--recover"]);
    cluster.restart(3);
    settled(&cluster.nodes[0], 4);
    cluster.await_converged();
    for mut client in cluster.clients() {
        for n in 0..50 {
            assert_eq!(client.run(&format!("GET alone:{n}")), n.to_string());
        }
        for n in 0..5 {
            assert_eq!(client.run(&format!("GET alone:count:{n}")), "10");
        }
    }
}

#[test]
fn a_topology_file_that_is_damaged_or_lost_is_learnt_anew() {
    let mut cluster = Cluster::start(3, &[]);
    let node = joining("D", &cluster.nodes[0]);
    cluster.nodes.push(node);
    settled(&cluster.nodes[0], 4);
    for n in 0..100 {
        assert_eq!(cluster.run(n % 4, &format!("SET key:{n} {n}")), "OK");
    }
    cluster.await_converged();
    for (place, flipped) in [(1, None), (1, Some(9)), (3, None), (3, Some(40))] {
        assert!(cluster.nodes[place].terminate().success());
        let file = cluster.nodes[place].plan.dir.join("topology");
        match flipped {
            None => std::fs::remove_file(&file).unwrap(),
            Some(at) => {
                let mut bytes = std::fs::read(&file).unwrap();
                bytes[at] ^= 1;
                std::fs::write(&file, bytes).unwrap();
            }
        }
        cluster.restart(place);
        settled(&cluster.nodes[place], 4);
        eventually(MOVED_WITHIN, "changes can be agreed", || {
            let seen = topology(&cluster.nodes[place]);
            seen.contains("can-change 1").then_some(())
        });
    }
    cluster.await_converged();
    for mut client in cluster.clients() {
        for n in 0..100 {
            assert_eq!(client.run(&format!("GET key:{n}")), n.to_string());
        }
    }
}

/// What a node has sent to another one, in bytes.
fn sent(node: &Node, peer: &str) -> u64 {
    let (_, metrics) = node.http("/metrics");
    let name = format!("evenkeel_link_sent_bytes_total{{peer=\"{peer}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap().parse().unwrap()
}

#[test]
fn each_datacentre_holds_all_data_and_what_goes_between_them_is_compressed() {
    let mut cluster = Cluster::start(1, &["--dc", "east"]);
    for (name, dc) in [("B", "east"), ("C", "west"), ("D", "west")] {
        let dir = cluster.nodes[0].plan.dir.parent().unwrap().to_owned();
        let first = &cluster.nodes[0].plan;
        let address = format!("{}:{}", first.host, first.peer_port);
        let flags = ["--fault-injection", "--join", &address, "--dc", dc];
        cluster
            .nodes
            .push(Plan::new(name, &dir).with(&flags).start());
    }
    settled(&cluster.nodes[0], 4);
    let holds_all = |node: &Node| topology(node).matches("partitions 256").count();
    assert_eq!(
        holds_all(&cluster.nodes[0]),
        5,
        "{}",
        topology(&cluster.nodes[0])
    );
    cluster.await_converged();
    let before = [sent(&cluster.nodes[0], "B"), sent(&cluster.nodes[0], "C")];
    let value = "all the same ".repeat(150).replace(' ', "-");
    let mut client = cluster.client(0);
    for n in 0..500 {
        assert_eq!(client.run(&format!("SET key:{n} {value}")), "OK");
    }
    cluster.await_converged();
    let near = sent(&cluster.nodes[0], "B") - before[0];
    let far = sent(&cluster.nodes[0], "C") - before[1];
    assert!(far * 3 < near, "{near} bytes within, {far} between");
    for mut client in cluster.clients() {
        assert_eq!(client.run("GET key:499"), value);
    }
}

#[test]
fn a_node_that_got_its_data_back_waits_for_others_as_before() {
    let mut cluster = Cluster::start(3, &[]);
    let node = joining("D", &cluster.nodes[0]);
    cluster.nodes.push(node);
    settled(&cluster.nodes[0], 4);
    // It drops all that it holds, and gets its share again in the same life: it mints under other actors then.
    cluster_command(&cluster.nodes[0], &["drain", "D", "--timeout", "90"]);
    eventually(MOVED_WITHIN, "all is dropped", || {
        let info = cluster.run(3, "INFO evenkeel");
        info.contains("guest_partitions:0").then_some(())
    });
    cluster_command(
        &cluster.nodes[0],
        &["drain", "D", "--cancel", "--timeout", "90"],
    );
    settled(&cluster.nodes[0], 4);
    cluster.await_converged();
    let mut client = cluster.client(3);
    assert_eq!(client.run("EK.CONSISTENCY WRITE quorum TIMEOUT 300"), "OK");
    assert_eq!(client.run("SET before 1"), "OK");
    assert_eq!(cluster.run(3, "EK.FAULT CUT *"), "OK");
    let (mut unmet, mut all) = (0, 0);
    for n in 0..60 {
        let answer = client.run(&format!("SET alone:{n} 1"));
        all += 1;
        unmet += usize::from(answer.starts_with("-UNMET"));
    }
    assert_eq!(unmet, all, "acknowledged although nobody else held them");
    assert_eq!(client.run("WAIT 1 100"), "0");
    assert_eq!(cluster.run(3, "EK.FAULT HEAL *"), "OK");
    assert_ne!(client.run("WAIT 1 20000"), "0");
}
