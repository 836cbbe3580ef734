//! Clients that send what no client should: refused or closed, memory flat, nobody else harmed.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use tempfile::TempDir;

use crate::client::{Client, show};
use crate::node::{Node, Plan};
use crate::support::{eventually, say};

/// How much more memory one hostile connection may cost.
const GROWTH_MAX: u64 = 24 << 20;

/// So many looks in a row at a full socket mean that the other side does not read.
const BLOCKED_LOOKS: u32 = 30;

fn node() -> (TempDir, Node) {
    let dir = TempDir::new().unwrap();
    let node = Plan::new("A", dir.path()).start();
    (dir, node)
}

/// Sends bytes as long as the node takes them and gives what it answered before it closed the connection.
fn answer(node: &Node, bytes: &[u8]) -> String {
    let mut client = node.client();
    // A node that closes early is right to.
    let _ = client.stream.write_all(bytes);
    let reply = client
        .receive()
        .map_or_else(|error| error.kind().to_string(), |reply| show(&reply));
    assert!(client.is_closed(), "the connection goes on after {reply}");
    reply
}

#[test]
fn requests_that_announce_too_much_are_refused_before_anything_is_set_aside() {
    let (_dir, node) = node();
    let mut honest = node.client();
    honest.run("SET key 1");
    let before = node.resident();
    for (bytes, words) in [
        (&b"*2147483647\r\n"[..], "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\n$536870912\r\n", "invalid bulk length"),
        (b"*1\r\n$-5\r\n", "invalid bulk length"),
        (b"*1\r\n*1\r\n*1\r\n", "expected '$'"),
        (b"*2\r\n$3\r\nGET\r\n:1\r\n", "expected '$'"),
        (b"SET \"open\r\n", "unbalanced quotes"),
    ] {
        let reply = answer(&node, bytes);
        assert!(
            reply.starts_with("-ERR Protocol error") && reply.contains(words),
            "{reply}"
        );
    }
    let endless = vec![b'a'; 4 << 20];
    let reply = answer(&node, &endless);
    assert!(
        reply.contains("too big inline request") || reply.contains("reset"),
        "{reply}"
    );
    let nested = b"*1\r\n".repeat(200_000);
    answer(&node, &nested);
    let grown = node.resident().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
    assert_eq!(honest.run("GET key"), "1");
}

#[test]
fn browsers_and_garbage_get_no_further_than_an_error() {
    let (_dir, node) = node();
    let mut honest = node.client();
    let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\nSET evil 1\r\n";
    for request in [get, post] {
        let mut client = node.client();
        client.stream.write_all(request.as_bytes()).unwrap();
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(client.is_closed());
    }
    let garbage: Vec<u8> = (0..1u32 << 20)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    let mut client = node.client();
    let _ = client.stream.write_all(&garbage);
    let _ = client.stream.shutdown(std::net::Shutdown::Write);
    assert!(client.is_closed());
    assert_eq!(
        honest.run("GET evil"),
        "(nil)",
        "a web page could write here"
    );
    assert_eq!(honest.run("PING"), "PONG");
}

#[test]
fn half_a_command_holds_no_memory_and_nobody_up() {
    let (_dir, node) = node();
    let mut honest = node.client();
    let before = node.resident();
    let halves: Vec<Client> = (0..200)
        .map(|_| {
            let mut client = node.client();
            client.stream.write_all(b"*2\r\n$67108864\r\nhalf").unwrap();
            client
        })
        .collect();
    eventually(Duration::from_secs(10), "all of them are connected", || {
        honest
            .run("INFO clients")
            .contains("connected_clients:201\r")
            .then_some(())
    });
    let grown = node.resident().saturating_sub(before);
    assert!(grown < 200 * (64 << 10) + GROWTH_MAX, "{grown} bytes more");
    assert_eq!(honest.run("SET key 1"), "OK");
    drop(halves);
    eventually(Duration::from_secs(10), "they are let go", || {
        honest
            .run("INFO clients")
            .contains("connected_clients:1\r")
            .then_some(())
    });
}

#[test]
fn a_client_that_never_reads_its_replies_is_held_back_and_costs_little() {
    let (_dir, node) = node();
    let mut honest = node.client();
    let value = "v".repeat(1_000);
    assert_eq!(honest.run(&format!("SET key {value}")), "OK");
    let before = node.resident();
    let mut greedy = node.client();
    greedy.stream.set_nonblocking(true).unwrap();
    let request = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n".repeat(1_000);
    let (mut sent, mut blocked) = (0, 0);
    // Two million requests; the node stops reading long before, which is the point.
    while sent < 2_000 * request.len() && blocked < BLOCKED_LOOKS {
        match greedy.stream.write(&request[sent % request.len()..]) {
            Ok(bytes) => {
                sent += bytes;
                blocked = 0;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                blocked += 1;
                std::thread::park_timeout(Duration::from_millis(10));
                assert_eq!(honest.run("PING"), "PONG");
            }
            Err(error) => panic!("the connection broke: {error}"),
        }
    }
    assert_eq!(
        blocked, BLOCKED_LOOKS,
        "all requests were taken in without a reply read"
    );
    let requests = sent * 1_000 / request.len();
    let grown = node.resident().saturating_sub(before);
    say(&format!(
        "{requests} requests sent without a reply read, {grown} bytes more"
    ));
    assert!(requests >= 100_000, "held back after {requests} requests");
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
    assert_eq!(honest.run("GET key"), value);
}

#[test]
fn words_that_are_no_command_or_no_number_get_an_error_and_the_connection_goes_on() {
    let (_dir, node) = node();
    let mut client = node.client();
    for command in [
        "NOSUCH",
        "SET",
        "GET a b",
        "INCRBY key 99999999999999999999",
        "EXPIRE key x",
        "SET key 1 EX -1",
        "SCAN x",
        "WAIT -1 -1",
        "WAIT x 0",
        "SELECT 1",
        "EK.AWAIT NOTHING",
        "EK.FAULT CUT *",
        "EK.PARTITION 0 GET key",
        "EK.PARTITION 99999 GET key",
        "HELLO 4",
        "CONFIG SET dir /tmp",
        "CLIENT KILL 1",
        "DEBUG SEGFAULT",
    ] {
        let reply = client.run(command);
        assert!(reply.starts_with('-'), "{command} answered {reply}");
    }
    assert_eq!(client.run("WAIT 9223372036854775807 1"), "0");
    assert_eq!(client.run("PING"), "PONG");
}
