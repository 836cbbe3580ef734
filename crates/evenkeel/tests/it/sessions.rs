//! Sessions that go from node to node: what one connection has seen, the next one finds, by tokens.

use std::process::{Child, Command};
use std::time::Duration;

use evenkeel_resp::Reply;

use crate::client::{Client, show};
use crate::cluster::Cluster;
use crate::five::foreign_key;
use crate::support::{eventually, free_port, http, python_with_redis};

const SOON: Duration = Duration::from_secs(10);

fn after(client: &mut Client, token: &str, ms: u32) -> String {
    client.run(&format!("EK.AFTER {token} {ms}"))
}

#[test]
fn a_session_that_hops_over_slow_links_reads_its_own_writes_and_what_it_has_read() {
    let cluster = Cluster::start(3, &[]);
    for node in 0..3 {
        assert_eq!(cluster.run(node, "EK.FAULT DELAY * 50 200"), "OK");
    }
    let mut token = cluster.run(0, "EK.TOKEN");
    for n in 0..12 {
        let mut client = cluster.client(n % 3);
        assert_eq!(after(&mut client, &token, 10_000), "OK");
        if n > 0 {
            assert_eq!(client.run("GET last"), (n - 1).to_string());
        }
        // What another client has written and this one has seen goes along as well.
        assert_eq!(client.run("SCARD seen"), n.to_string());
        assert_eq!(cluster.run(n % 3, &format!("SADD seen {n}")), "1");
        assert_eq!(client.run("SCARD seen"), (n + 1).to_string());
        assert_eq!(client.run(&format!("SET last {n}")), "OK");
        token = client.run("EK.TOKEN");
    }
}

#[test]
fn a_node_that_cannot_catch_up_says_that_it_is_behind() {
    let cluster = Cluster::start(3, &[]);
    let mut client = cluster.client(0);
    assert_eq!(cluster.run(2, "EK.FAULT CUT *"), "OK");
    client.run("SET k v");
    let token = client.run("EK.TOKEN");
    assert_eq!(after(&mut cluster.client(1), &token, 5_000), "OK");
    let mut cut_off = cluster.client(2);
    let answer = after(&mut cut_off, &token, 100);
    assert!(answer.starts_with("-BEHIND after 100 ms"), "{answer}");
    assert_eq!(cluster.run(2, "EK.FAULT HEAL *"), "OK");
    assert_eq!(after(&mut cut_off, &token, 10_000), "OK");
    assert_eq!(cut_off.run("GET k"), "v");
}

#[test]
fn a_session_that_has_done_nothing_has_a_token_that_asks_for_nothing() {
    let cluster = Cluster::start(2, &[]);
    let token = cluster.run(0, "EK.TOKEN");
    assert_eq!(cluster.run(0, "EK.FAULT CUT *"), "OK");
    assert_eq!(after(&mut cluster.client(1), &token, 0), "OK");
}

#[test]
fn a_token_covers_keys_that_the_node_holds_no_replica_of() {
    let cluster = Cluster::start(5, &[]);
    let (key, members) = foreign_key(&cluster);
    let holder = members[0];
    for member in &members[1..] {
        assert_eq!(cluster.run(*member, "EK.FAULT CUT *"), "OK");
    }
    let mut writer = cluster.client(holder);
    assert_eq!(writer.run(&format!("SET {key} new")), "OK");
    let token = writer.run("EK.TOKEN");
    let mut reader = cluster.client(0);
    assert_eq!(after(&mut reader, &token, 1_000), "OK");
    assert_eq!(reader.run(&format!("GET {key}")), "new");
    let second = reader.run("EK.TOKEN");
    // Now only members can be reached that lack it: to answer from them would go back in time.
    assert_eq!(cluster.run(holder, "EK.FAULT CUT *"), "OK");
    for member in &members[1..] {
        for other in (0..5).filter(|other| *other != holder && other != member) {
            let name = &cluster.nodes[other].plan.name;
            assert_eq!(cluster.run(*member, &format!("EK.FAULT HEAL {name}")), "OK");
        }
    }
    eventually(SOON, "the others are reached again", || {
        (cluster.run(0, &format!("GET {key}")) == "(nil)").then_some(())
    });
    let mut other = cluster.client(0);
    assert_eq!(after(&mut other, &second, 1_000), "OK");
    let answer = other.run(&format!("GET {key}"));
    assert!(answer.starts_with("-BEHIND "), "{answer}");
}

#[test]
fn what_is_no_token_of_this_cluster_is_refused() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    client.run("SET k v");
    let token = client.run("EK.TOKEN");
    assert_eq!(after(&mut client, &token, 0), "OK");
    for wrong in ["x", "", &token[1..], &format!("{token}AAAA")] {
        let reply = client.raw(&["EK.AFTER", wrong]);
        assert!(show(&reply).starts_with("-ERR this is no token"), "{wrong}");
    }
    let other = Cluster::start(2, &[]);
    let reply = after(&mut other.client(0), &token, 0);
    assert!(reply.starts_with("-ERR this is no token"), "{reply}");
    let reply = client.run(&format!("EK.AFTER {token} soon"));
    assert!(reply.starts_with("-ERR value is not an integer"), "{reply}");
}

#[test]
fn replies_carry_tokens_where_a_client_asks_for_them() {
    let cluster = Cluster::start(2, &[]);
    let mut client = cluster.client(0);
    client.run("HELLO 3");
    client.run("EK.CONSISTENCY TOKENS on");
    client.send(&["SET", "k", "v"]).unwrap();
    let Reply::Attribute { attributes, reply } = client.receive().unwrap() else {
        panic!("no attributes");
    };
    assert_eq!(*reply, Reply::simple("OK"));
    assert_eq!(show(&attributes[0].0), "ek-token");
    let mut other = cluster.client(1);
    assert_eq!(after(&mut other, &show(&attributes[0].1), 5_000), "OK");
    assert_eq!(other.run("GET k"), "v");
    client.run("HELLO 2");
    assert_eq!(client.run("GET k"), "v", "RESP2 has no place for them");
}

/// The example program, one instance.
struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start(python: &str, node_port: u16) -> Self {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/examples/web_session.py"
        );
        let port = free_port();
        let child = Command::new(python)
            .args([script, &port.to_string(), &node_port.to_string()])
            .spawn()
            .unwrap();
        Self {
            child,
            address: format!("127.0.0.1:{port}"),
        }
    }

    /// The status, the token and the body of an answer.
    fn ask(&self, line: &str, token: &str) -> (String, String, String) {
        let token = format!("Evenkeel-Token: {token}");
        let answer = eventually(SOON, "the service answers", || {
            http(&self.address, line, &[&token], "").ok()
        });
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let given = head
            .lines()
            .find_map(|line| line.strip_prefix("Evenkeel-Token: "));
        let status = head.split(' ').nth(1).unwrap();
        (
            status.to_owned(),
            given.unwrap_or_default().to_owned(),
            body.trim_end().to_owned(),
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_users_of_the_example_service_see_their_own_changes_at_every_instance() {
    let test = "the_users_of_the_example_service_see_their_own_changes_at_every_instance";
    let Some(python) = python_with_redis(test) else {
        return;
    };
    let cluster = Cluster::start(2, &[]);
    let services = [0, 1].map(|node| Service::start(python, cluster.nodes[node].plan.client_port));
    assert_eq!(cluster.run(0, "EK.FAULT DELAY * 100 300"), "OK");
    let (status, token, added) = services[0].ask("POST /cart?add=apple", "");
    assert_eq!((status.as_str(), added.as_str()), ("200", "1"));
    let (_, token, cart) = services[1].ask("GET /cart", &token);
    assert_eq!(cart, "apple");
    assert_eq!(cluster.run(0, "EK.FAULT CUT *"), "OK");
    let (_, newer, _) = services[0].ask("POST /cart?add=pear", &token);
    let (status, _, said) = services[1].ask("GET /cart", &newer);
    assert_eq!(status, "503");
    assert!(said.starts_with("BEHIND "), "{said}");
}
