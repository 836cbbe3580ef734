//! The peer port: what is no peer of this cluster is refused, and the node lives.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::node::{Node, Plan};
use crate::support::eventually;

/// What nodes of this build say.
pub(crate) const LINK_PROTOCOL: u32 = 4;

fn dial(node: &Node) -> TcpStream {
    let stream = TcpStream::connect((node.plan.host.as_str(), node.plan.peer_port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// A frame as the links send it.
pub(crate) fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let covered: Vec<u8> = [&[kind], body].concat();
    let length = u32::try_from(covered.len()).unwrap();
    [
        &length.to_le_bytes()[..],
        &crc32c::crc32c(&covered).to_le_bytes(),
        &covered,
    ]
    .concat()
}

/// Everything that comes until the node closes the connection.
fn said(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(
            error.kind(),
            std::io::ErrorKind::ConnectionReset,
            "not closed"
        ),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hello(cluster: &str, node: &str, version: u32) -> Vec<u8> {
    let text = format!(
        r#"{{"version":{version},"cluster":{cluster},"node":"{node}","id":1,"incarnation":7,"announce":{{"client":"","http":""}}}}"#
    );
    frame(1, text.as_bytes())
}

#[test]
fn hostile_bytes_on_the_peer_port_are_refused_and_the_node_lives() {
    let cluster = Cluster::start(3, &[]);
    let node = &cluster.nodes[0];
    cluster.run(0, "SET key 1");
    let before = node.resident();
    let info = cluster.run(0, "INFO evenkeel");
    let id = info
        .lines()
        .find_map(|line| line.strip_prefix("cluster:"))
        .unwrap()
        .to_owned();
    let id = u64::from_str_radix(&id, 16).unwrap().to_string();
    let mut broken = hello(&id, "B", LINK_PROTOCOL);
    *broken.last_mut().unwrap() ^= 1;
    for (bytes, answer) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), ""),
        (vec![0xff; 1 << 20], ""),
        (vec![0; 1 << 20], ""),
        (broken, ""),
        (
            frame(6, b"a partition's frame before any introduction"),
            "introduce yourself",
        ),
        (frame(1, b"not json"), "unreadable introduction"),
        (hello("1", "B", LINK_PROTOCOL), "another member list"),
        (hello(&id, "B", 99), "link protocol 99"),
        (hello(&id, "A", LINK_PROTOCOL), "two nodes are named A"),
        (
            hello(&id, "Z", LINK_PROTOCOL),
            "has the number of another node",
        ),
    ] {
        let mut stream = dial(node);
        // A node that closes early is right to.
        let _ = stream.write_all(&bytes);
        let got = said(stream);
        assert!(
            got.contains(answer) && (answer.is_empty() == got.is_empty()),
            "{got:?} instead of {answer:?}"
        );
    }
    let mut large = dial(node);
    let announced = [&(256u32 << 20).to_le_bytes()[..], &[0; 4], &[1]].concat();
    large.write_all(&announced).unwrap();
    let filler = vec![0; 1 << 20];
    let sent = (0..64)
        .take_while(|_| large.write_all(&filler).is_ok())
        .count();
    assert!(sent < 64, "an introduction of many megabytes was taken");
    let grown = node.resident().saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes more");
    assert_eq!(cluster.run(0, "GET key"), "1");
    cluster.await_converged();
}

#[test]
fn a_member_that_sends_nonsense_after_its_introduction_is_disconnected_and_the_rest_goes_on() {
    let cluster = Cluster::start(3, &[]);
    let info = cluster.run(0, "INFO evenkeel");
    let id = info
        .lines()
        .find_map(|line| line.strip_prefix("cluster:"))
        .unwrap()
        .to_owned();
    let id = u64::from_str_radix(&id, 16).unwrap().to_string();
    let nonsense: [(u8, &[u8]); 9] = [
        (6, b""),
        (6, &[0xff; 100]),
        (6, &[0; 100]),
        (7, b""),
        (7, &[0, 0, 0, 0, 0, 0, 0, 0, 1, b'*', b'9']),
        (7, &[0, 0, 0, 0, 0, 0, 0, 0, 77, 1]),
        (7, &[0, 0, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff, 0x7f]),
        (8, &[1]),
        (2, b"welcome"),
    ];
    for (kind, body) in nonsense {
        let mut stream = dial(&cluster.nodes[0]);
        stream.write_all(&hello(&id, "B", LINK_PROTOCOL)).unwrap();
        stream.write_all(&frame(kind, body)).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let welcome = said(stream);
        assert!(welcome.contains("incarnation"), "{welcome}");
    }
    assert_eq!(cluster.run(1, "SET key 1"), "OK");
    cluster.await_converged();
    assert_eq!(cluster.run(0, "GET key"), "1");
}

#[test]
fn nodes_with_different_member_lists_do_not_mix_and_say_why() {
    let dir = tempfile::TempDir::new().unwrap();
    let (first, second) = (Plan::new("A", dir.path()), Plan::new("B", dir.path()));
    let both = format!("{},{}", first.member(), second.member());
    let other = format!("{both},C=127.0.0.1:1");
    let first = first.with(&["--members", &both]).start();
    let second = second.with(&["--members", &other]).start();
    eventually(Duration::from_secs(10), "both say why", || {
        [&first, &second]
            .iter()
            .all(|node| node.log().contains("another member list"))
            .then_some(())
    });
    assert_eq!(first.client().run("SET key 1"), "OK");
    assert_eq!(second.client().run("GET key"), "(nil)");
}

#[test]
fn a_peer_that_is_down_for_long_costs_no_memory_beyond_the_data() {
    let mut cluster = Cluster::start(3, &[]);
    let mut client = cluster.client(0);
    let rounds = if crate::support::long() { 200 } else { 20 };
    let value = "v".repeat(500);
    let batch = |client: &mut crate::client::Client| {
        for n in 0..1_000 {
            client
                .send(&["SET", &format!("key:{}", n % 100), &value])
                .unwrap();
        }
        for _ in 0..1_000 {
            client.receive().unwrap();
        }
    };
    batch(&mut client);
    cluster.nodes[2].kill();
    batch(&mut client);
    let before = cluster.nodes[0].resident();
    for _ in 0..rounds {
        batch(&mut client);
    }
    let grown = cluster.nodes[0].resident().saturating_sub(before);
    crate::support::say(&format!(
        "{rounds}000 overwrites with a peer down: {grown} bytes more"
    ));
    assert!(grown < 64 << 20, "{grown} bytes more");
    cluster.restart(2);
    cluster.await_converged();
}
