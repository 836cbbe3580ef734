//! EK.DIVERGENCE against what was written where, with links that carry no data.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use evenkeel_core::causality::Context;
use evenkeel_core::id::{ActorId, PartitionId};
use evenkeel_core::message::{Advert, Head, Message};
use evenkeel_resp::Reply;

use crate::client::{Client, show};
use crate::cluster::Cluster;
use crate::node::Plan;
use crate::peers::{LINK_PROTOCOL, frame};
use crate::support::eventually;

/// A field of a map, whichever protocol brought it.
pub(crate) fn field<'a>(reply: &'a Reply, name: &str) -> &'a Reply {
    let named = |key: &Reply| matches!(key, Reply::Bulk(bytes) if bytes == name.as_bytes());
    match reply {
        Reply::Map(pairs) => pairs
            .iter()
            .find(|(key, _)| named(key))
            .map_or(&Reply::Null, |(_, value)| value),
        other => panic!("no map with {name}: {other:?}"),
    }
}

pub(crate) fn items(reply: &Reply) -> &[Reply] {
    match reply {
        Reply::Array(items) => items,
        other => panic!("no list: {other:?}"),
    }
}

pub(crate) fn number(reply: &Reply) -> i64 {
    match reply {
        Reply::Integer(number) => *number,
        other => panic!("no number: {other:?}"),
    }
}

/// A client that is answered with maps.
pub(crate) fn client(cluster: &Cluster, node: usize) -> Client {
    let mut client = cluster.client(node);
    client.raw(&["HELLO", "3"]);
    client
}

fn divergence(client: &mut Client, words: &[&str]) -> Reply {
    let command: Vec<&str> = ["EK.DIVERGENCE"].iter().chain(words).copied().collect();
    client.raw(&command)
}

/// From, to and events of the pairs with something missing.
fn missing(reply: &Reply) -> Vec<(String, String, i64)> {
    let pairs = items(field(reply, "pairs")).iter();
    let rows = pairs.map(|pair| {
        let events = number(field(pair, "missing-events"));
        (show(field(pair, "from")), show(field(pair, "to")), events)
    });
    rows.filter(|row| row.2 > 0).collect()
}

fn pair<'a>(reply: &'a Reply, from: &str, to: &str) -> &'a Reply {
    let mut pairs = items(field(reply, "pairs")).iter();
    let named = |pair: &&Reply| show(field(pair, "from")) == from && show(field(pair, "to")) == to;
    pairs.find(named).unwrap()
}

/// Lets nodes talk of everything again.
pub(crate) fn heal(cluster: &Cluster) {
    for node in 0..cluster.nodes.len() {
        // A link that was cut is made anew, and a new link tells what each side holds.
        assert_eq!(cluster.run(node, "EK.FAULT CUT *"), "OK");
        assert_eq!(cluster.run(node, "EK.FAULT HEAL *"), "OK");
    }
    cluster.wait_until_linked();
    cluster.await_converged();
}

#[test]
fn the_matrix_tells_events_bytes_age_and_holders_exactly_and_zero_after_the_heal() {
    let cluster = Cluster::start(3, &[]);
    let mut asked = client(&cluster, 2);
    let mut a = client(&cluster, 0);
    assert_eq!(show(&a.raw(&["SET", "before", "x"])), "OK");
    cluster.await_converged();
    for node in 0..3 {
        assert_eq!(cluster.run(node, "EK.FAULT MUTE *"), "OK");
    }
    for n in 0..7 {
        assert_eq!(show(&a.raw(&["SET", &format!("a{n}"), "value"])), "OK");
    }
    let mut b = client(&cluster, 1);
    assert_eq!(show(&b.raw(&["SADD", "cart", "x", "y", "z"])), "3");

    let reply = divergence(&mut asked, &[]);
    let row = |from: &str, to: &str, events| (from.to_owned(), to.to_owned(), events);
    assert_eq!(
        missing(&reply),
        [
            row("A", "B", 7),
            row("A", "C", 7),
            row("B", "A", 3),
            row("B", "C", 3)
        ]
    );
    assert_eq!(number(field(&reply, "missing-events")), 20);
    assert_eq!(field(&reply, "converged"), &Reply::Boolean(false));
    assert_eq!(field(&reply, "unreachable"), &Reply::Boolean(false));
    let alone: Vec<(String, i64)> = items(field(&reply, "held-by-one"))
        .iter()
        .map(|row| (show(field(row, "node")), number(field(row, "events"))))
        .collect();
    let holds = |node: &str, events| (node.to_owned(), events);
    assert_eq!(alone, [holds("A", 7), holds("B", 3), holds("C", 0)]);
    let (ab, ba, ca) = (
        pair(&reply, "A", "B"),
        pair(&reply, "B", "A"),
        pair(&reply, "C", "A"),
    );
    let bytes = number(field(ab, "missing-bytes"));
    assert!((7 * 10..7 * 100).contains(&bytes), "{bytes}");
    assert!(number(field(ba, "missing-bytes")) > 0);
    assert_eq!(number(field(ca, "missing-bytes")), 0);
    assert_eq!(field(ca, "oldest-missing-ms"), &Reply::Null);
    assert_eq!(number(field(ab, "need-snapshots")), 0);
    let age = number(field(ab, "oldest-missing-ms"));
    eventually(Duration::from_secs(5), "the age grows", || {
        let again = divergence(&mut asked, &[]);
        let older = number(field(pair(&again, "A", "B"), "oldest-missing-ms"));
        (older > age + 20).then_some(())
    });

    let told = divergence(&mut asked, &["PARTITIONS"]);
    let mut sum = 0;
    for partition in items(field(&told, "partitions")) {
        for pair in items(field(partition, "pairs")) {
            sum += number(field(pair, "missing-events"));
        }
    }
    assert_eq!(sum, 20, "the partitions add up to the total");
    let of_key = divergence(&mut asked, &["cart"]);
    let b_alone = missing(&of_key);
    assert!(b_alone.contains(&row("B", "A", 3)), "{b_alone:?}");
    assert_eq!(missing(&divergence(&mut asked, &["KEY", "cart"])), b_alone);

    heal(&cluster);
    let reply = divergence(&mut asked, &["PARTITIONS"]);
    assert_eq!(missing(&reply), []);
    assert_eq!(field(&reply, "converged"), &Reply::Boolean(true));
    assert_eq!(number(field(&reply, "missing-bytes")), 0);
    assert_eq!(field(&reply, "oldest-missing-ms"), &Reply::Null);
    assert_eq!(items(field(&reply, "partitions")), []);
    assert_eq!(items(field(&reply, "digest-mismatches")), []);
}

#[test]
fn the_keys_that_differ_are_named_with_who_holds_the_same() {
    let cluster = Cluster::start(3, &[]);
    let mut asked = client(&cluster, 2);
    let mut a = client(&cluster, 0);
    for key in ["same", "changed", "deleted"] {
        assert_eq!(show(&a.raw(&["SET", key, "1"])), "OK");
    }
    cluster.await_converged();
    let reply = divergence(&mut asked, &["KEYS"]);
    assert_eq!(items(field(&reply, "keys")), []);
    assert_eq!(cluster.run(0, "EK.FAULT MUTE *"), "OK");
    a.raw(&["SET", "changed", "2"]);
    a.raw(&["DEL", "deleted"]);
    a.raw(&["SET", "gone", "1"]);
    a.raw(&["DEL", "gone"]);
    a.raw(&["HSET", "new", "f", "v"]);

    let reply = divergence(&mut asked, &["KEYS"]);
    let mut keys: Vec<(String, String)> = items(field(&reply, "keys"))
        .iter()
        .map(|row| (show(field(row, "key")), show(field(row, "same-on"))))
        .collect();
    keys.sort();
    let differ = |key: &str| (key.to_owned(), "[[A] [B C]]".to_owned());
    assert_eq!(keys, [differ("changed"), differ("deleted"), differ("new")]);
    assert_eq!(number(field(&reply, "left-out")), 0);
    assert_eq!(number(field(&reply, "partitions-left-out")), 0);
    let some = divergence(&mut asked, &["KEYS", "2"]);
    assert_eq!(items(field(&some, "keys")).len(), 2);
    assert_eq!(number(field(&some, "left-out")), 1);
    for wrong in [&["KEYS", "0"][..], &["KEYS", "x"], &["KEYS", "1", "2"]] {
        assert!(show(&divergence(&mut asked, wrong)).starts_with("-ERR"));
    }

    a.raw(&["FLUSHALL"]);
    let reply = divergence(&mut asked, &["KEYS"]);
    let mut keys: Vec<String> = items(field(&reply, "keys"))
        .iter()
        .map(|row| show(field(row, "key")))
        .collect();
    keys.sort();
    assert_eq!(
        keys,
        ["changed", "deleted", "same"],
        "a range delete names what it removed"
    );
    heal(&cluster);
    let reply = divergence(&mut asked, &["KEYS"]);
    assert_eq!(items(field(&reply, "keys")), []);
}

#[test]
fn of_a_node_out_of_reach_only_what_it_told_last_is_said() {
    let cluster = Cluster::start(3, &[]);
    let mut a = client(&cluster, 0);
    a.raw(&["SET", "before", "x"]);
    cluster.await_converged();
    for node in 0..2 {
        eventually(Duration::from_secs(10), "C tells what it holds", || {
            let info = cluster.run(node, "INFO evenkeel");
            info.contains("peer_C:link=up,lacks_events=0,")
                .then_some(())
        });
    }
    assert_eq!(cluster.run(2, "EK.FAULT CUT *"), "OK");
    for n in 0..4 {
        a.raw(&["SET", &format!("k{n}"), "v"]);
    }
    let mut asked = client(&cluster, 0);
    let reply = eventually(Duration::from_secs(10), "C is out of reach", || {
        let reply = divergence(&mut asked, &[]);
        let settled = field(&reply, "unreachable") == &Reply::Boolean(true)
            && number(field(&reply, "missing-events")) == 0;
        settled.then_some(reply)
    });
    let (ac, ca, bc) = (
        pair(&reply, "A", "C"),
        pair(&reply, "C", "A"),
        pair(&reply, "B", "C"),
    );
    for pair in [ac, ca, bc] {
        assert_eq!(field(pair, "missing-events"), &Reply::Null);
        assert_eq!(field(pair, "missing-bytes"), &Reply::Null);
    }
    assert_eq!(field(ca, "by-last-advert"), &Reply::Null);
    for pair in [ac, bc] {
        let told = field(pair, "by-last-advert");
        assert_eq!(number(field(told, "events")), 4, "{reply:?}");
        assert!(number(field(told, "bytes")) > 0);
        assert!(number(field(told, "oldest-ms")) > 0);
    }
    let keys = divergence(&mut asked, &["KEYS"]);
    assert_eq!(show(field(&keys, "unreachable")), "[C]");
    assert!(
        cluster
            .run(0, "INFO evenkeel")
            .contains("peer_C:link=down,lacks_events=4")
    );
    assert_eq!(cluster.run(2, "EK.FAULT HEAL *"), "OK");
    cluster.await_converged();
    let reply = divergence(&mut asked, &[]);
    assert_eq!(field(&reply, "converged"), &Reply::Boolean(true));
}

#[test]
fn the_time_until_others_hold_a_write_is_told_everywhere_alike() {
    let cluster = Cluster::start(3, &[]);
    let mut a = client(&cluster, 0);
    for n in 0..50 {
        a.raw(&["SET", &format!("k{n}"), "v"]);
    }
    let node = &cluster.nodes[0];
    let lines = eventually(Duration::from_secs(10), "all 50 are told of", || {
        let info = node.client().run("INFO evenkeel");
        let lines: Vec<String> = info
            .lines()
            .filter(|line| line.starts_with("visible_"))
            .map(str::to_owned)
            .collect();
        let all = lines.iter().all(|line| line.contains(":events=50,"));
        (lines.len() == 3 && all).then_some(lines)
    });
    assert!(lines[0].starts_with("visible_all:"), "{lines:?}");
    let metrics = node.http("/metrics").1;
    for peer in ["*", "B", "C"] {
        let line = format!("evenkeel_visibility_seconds_count{{peer=\"{peer}\"}} 50");
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}\n{metrics}"
        );
    }
    let reply = divergence(&mut a, &[]);
    for row in items(field(&reply, "visible")) {
        assert_eq!(number(field(row, "events")), 50);
        let Reply::Double(p99) = field(row, "p99-ms") else {
            panic!("{row:?}")
        };
        assert!(*p99 > 0.0 && *p99 < 60_000.0, "{row:?}");
    }
}

/// Where a node of the member list is played by the test: it introduces itself and says what it likes.
#[test]
fn the_same_events_with_other_content_raise_an_alarm_that_names_partition_and_peer() {
    let dir = tempfile::TempDir::new().unwrap();
    let fake = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let fake_port = fake.local_addr().unwrap().port();
    let plan = Plan::new("A", dir.path());
    let members = format!("{},B=127.0.0.1:{fake_port}", plan.member());
    let node = plan.with(&["--members", &members]).spawn();
    node.wait_until_serving();
    let info = node.client().run("INFO evenkeel");
    let cluster = info.lines().find_map(|line| line.strip_prefix("cluster:"));
    let cluster = u64::from_str_radix(cluster.unwrap(), 16).unwrap();
    let introduction = format!(
        r#"{{"version":{LINK_PROTOCOL},"cluster":{cluster},"node":"B","id":1,"incarnation":7,"announce":{{"client":"","http":""}}}}"#
    );
    // The node's own link proves the incarnation, ours carries the frame.
    let (mut accepted, _) = fake.accept().unwrap();
    accepted
        .write_all(&frame(2, introduction.as_bytes()))
        .unwrap();
    let mut dialled = TcpStream::connect(("127.0.0.1", node.plan.peer_port)).unwrap();
    dialled
        .write_all(&frame(1, introduction.as_bytes()))
        .unwrap();
    let head = Head {
        partition: PartitionId(5),
        epoch: 0,
        sender: ActorId(7),
    };
    let advert = Message::Advert(Advert {
        durable: Context::default(),
        tail: Context::default(),
        digest: 0xbad,
        minter: None,
    });
    let advert = evenkeel_core::wire::encode(head, &advert);
    let length = u32::try_from(advert.len()).unwrap().to_le_bytes();
    let group = [&length[..], &advert].concat();
    let alarm = eventually(Duration::from_secs(10), "the alarm", || {
        dialled.write_all(&frame(6, &group)).unwrap();
        let info = node.client().run("INFO evenkeel");
        let line = info
            .lines()
            .find(|line| line.starts_with("digest_mismatch_5_B:"));
        line.map(str::to_owned)
    });
    let digests = format!("node_digest={:032x},peer_digest={:032x}", 0, 0xbad);
    assert!(alarm.contains(&digests), "{alarm}");
    let mut asked = node.client();
    asked.raw(&["HELLO", "3"]);
    let reply = divergence(&mut asked, &[]);
    let alarms = items(field(&reply, "digest-mismatches"));
    assert_eq!(alarms.len(), 1);
    assert_eq!(number(field(&alarms[0], "partition")), 5);
    assert_eq!(show(field(&alarms[0], "peer")), "B");
    assert!(show(field(&alarms[0], "peer-digest")).ends_with("bad"));
    let log = node.log();
    assert!(log.contains("a bug or damaged data"), "{log}");
}
