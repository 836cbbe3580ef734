//! Publish and subscribe, at one node and over a cluster.

use std::io::Write as _;
use std::time::Duration;

use evenkeel_resp::Reply;

use crate::client::{Client, show};
use crate::cluster::Cluster;
use crate::support::eventually;

const LIMIT: Duration = Duration::from_secs(15);

/// Sends a command that is answered by so many messages.
fn told(client: &mut Client, command: &str, answers: usize) -> Vec<String> {
    let words: Vec<&str> = command.split(' ').collect();
    client.send(&words).unwrap();
    next(client, answers)
}

fn next(client: &mut Client, messages: usize) -> Vec<String> {
    let mut next = || show(&client.receive().unwrap());
    (0..messages).map(|_| next()).collect()
}

#[test]
fn a_message_reaches_the_subscribers_at_every_node_in_its_publishers_order() {
    let cluster = Cluster::start(3, &[]);
    let mut listeners = cluster.clients();
    for listener in &mut listeners {
        assert_eq!(
            told(listener, "SUBSCRIBE news sport", 2),
            ["[subscribe news 1]", "[subscribe sport 2]"]
        );
        assert_eq!(told(listener, "PSUBSCRIBE n*s", 1), ["[psubscribe n*s 3]"]);
    }
    let mut publisher = cluster.client(1);
    eventually(LIMIT, "the peers have told who listens", || {
        (publisher.run("PUBLISH nights 0") == "3").then_some(())
    });
    for number in 1..=500 {
        assert_eq!(publisher.run(&format!("PUBLISH news {number}")), "6");
    }
    for listener in &mut listeners {
        let heard: Vec<String> = std::iter::from_fn(|| Some(next(listener, 1).remove(0)))
            .filter(|message| !message.contains("nights"))
            .take(1000)
            .collect();
        let sent = (1..=500).flat_map(|n| {
            [
                format!("[message news {n}]"),
                format!("[pmessage n*s news {n}]"),
            ]
        });
        assert_eq!(heard, sent.collect::<Vec<_>>());
    }
}

#[test]
fn shard_channels_are_a_world_of_their_own() {
    let cluster = Cluster::start(3, &[]);
    let mut listener = cluster.client(2);
    assert_eq!(
        told(&mut listener, "SSUBSCRIBE news", 1),
        ["[ssubscribe news 1]"]
    );
    let mut publisher = cluster.client(0);
    assert_eq!(publisher.run("PUBLISH news no"), "0");
    eventually(LIMIT, "the peer has told who listens", || {
        (publisher.run("SPUBLISH news yes") == "1").then_some(())
    });
    assert_eq!(next(&mut listener, 1), ["[smessage news yes]"]);
    assert_eq!(publisher.run("PUBSUB SHARDCHANNELS"), "[news]");
    assert_eq!(publisher.run("PUBSUB CHANNELS"), "[]");
}

#[test]
fn pubsub_counts_over_the_cluster_and_forgets_who_has_gone() {
    let cluster = Cluster::start(3, &[]);
    let mut asking = cluster.client(0);
    let mut listeners = cluster.clients();
    for listener in &mut listeners {
        told(listener, "SUBSCRIBE news", 1);
        told(listener, "PSUBSCRIBE p* q*", 2);
    }
    assert_eq!(asking.run("PUBSUB NUMSUB news none"), "[news 3 none 0]");
    assert_eq!(asking.run("PUBSUB CHANNELS n*"), "[news]");
    assert_eq!(asking.run("PUBSUB CHANNELS x*"), "[]");
    assert_eq!(asking.run("PUBSUB NUMPAT"), "2");
    listeners.truncate(1);
    eventually(LIMIT, "those who have left do not count", || {
        (asking.run("PUBSUB NUMSUB news") == "[news 1]").then_some(())
    });
    eventually(LIMIT, "and get nothing", || {
        (asking.run("PUBLISH news x") == "1").then_some(())
    });
}

#[test]
fn a_subscriber_hears_again_after_its_node_was_cut_off() {
    let cluster = Cluster::start(3, &[]);
    let mut listener = cluster.client(2);
    told(&mut listener, "SUBSCRIBE news", 1);
    let mut publisher = cluster.client(0);
    eventually(LIMIT, "the peer has told who listens", || {
        (publisher.run("PUBLISH news before") == "1").then_some(())
    });
    assert_eq!(cluster.run(2, "EK.FAULT CUT *"), "OK");
    eventually(LIMIT, "who cannot be reached does not count", || {
        (publisher.run("PUBLISH news lost") == "0").then_some(())
    });
    assert_eq!(cluster.run(2, "EK.FAULT HEAL *"), "OK");
    eventually(LIMIT, "it counts again", || {
        (publisher.run("PUBLISH news after") == "1").then_some(())
    });
    eventually(LIMIT, "it hears again", || {
        (next(&mut listener, 1) == ["[message news after]"]).then_some(())
    });
}

#[test]
fn a_subscriber_in_the_older_protocol_may_only_listen() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    assert_eq!(client.run("UNSUBSCRIBE"), "[unsubscribe (nil) 0]");
    assert_eq!(
        told(&mut client, "UNSUBSCRIBE a b", 2),
        ["[unsubscribe a 0]", "[unsubscribe b 0]"]
    );
    assert_eq!(client.run("PUNSUBSCRIBE"), "[punsubscribe (nil) 0]");
    told(&mut client, "SUBSCRIBE a b", 2);
    assert_eq!(
        client.run("GET k"),
        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
    );
    assert!(
        client
            .run("CLIENT ID")
            .starts_with("-ERR Can't execute 'client|id':")
    );
    assert_eq!(client.run("PING"), "[pong ]");
    assert_eq!(client.run("PING hello"), "[pong hello]");
    assert_eq!(
        told(&mut client, "UNSUBSCRIBE", 2),
        ["[unsubscribe a 1]", "[unsubscribe b 0]"]
    );
    assert_eq!(client.run("PING"), "PONG");
    told(&mut client, "SUBSCRIBE a", 1);
    assert_eq!(client.run("RESET"), "RESET");
    assert_eq!(client.run("GET k"), "(nil)");
    assert_eq!(client.run("PUBLISH a x"), "0");
    told(&mut client, "SUBSCRIBE a", 1);
    assert_eq!(client.run("QUIT"), "OK");
    assert!(client.is_closed());
}

#[test]
fn in_the_newer_protocol_messages_come_between_replies_in_their_order() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    client.run("HELLO 3");
    client
        .stream
        .write_all(b"SUBSCRIBE a\r\nPUBLISH a 1\r\nSET k v\r\nPUBLISH a 2\r\nGET k\r\n")
        .unwrap();
    let bulk = |text: &'static str| Reply::bulk(text);
    let message = |text| Reply::Push(vec![bulk("message"), bulk("a"), bulk(text)]);
    let expected = [
        Reply::Push(vec![bulk("subscribe"), bulk("a"), Reply::Integer(1)]),
        message("1"),
        Reply::Integer(1),
        Reply::simple("OK"),
        message("2"),
        Reply::Integer(1),
        bulk("v"),
    ];
    for reply in expected {
        assert_eq!(client.receive().unwrap(), reply);
    }
    assert_eq!(client.run("PING"), "PONG");
}

#[test]
fn messages_come_while_a_command_waits() {
    let cluster = Cluster::start(2, &[]);
    let mut client = cluster.client(0);
    client.run("HELLO 3");
    told(&mut client, "SUBSCRIBE a", 1);
    assert_eq!(cluster.run(1, "EK.FAULT CUT *"), "OK");
    client.run("SET k v");
    client.send(&["WAIT", "1", "20000"]).unwrap();
    let mut publisher = cluster.client(0);
    assert_eq!(publisher.run("PUBLISH a now"), "1");
    let now = Reply::Push(vec![
        Reply::bulk("message"),
        Reply::bulk("a"),
        Reply::bulk("now"),
    ]);
    assert_eq!(client.receive().unwrap(), now);
    assert_eq!(cluster.run(1, "EK.FAULT HEAL *"), "OK");
    assert_eq!(client.receive().unwrap(), Reply::Integer(1));
}

#[test]
fn silenced_replies_silence_no_messages() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    client.send(&["CLIENT", "REPLY", "OFF"]).unwrap();
    assert_eq!(told(&mut client, "SUBSCRIBE a", 1), ["[subscribe a 1]"]);
    assert_eq!(cluster.run(0, "PUBLISH a x"), "1");
    assert_eq!(next(&mut client, 1), ["[message a x]"]);
}

#[test]
fn a_subscriber_that_does_not_read_is_closed_and_the_others_hear_everything() {
    let cluster = Cluster::start(1, &[]);
    let mut slow = cluster.client(0);
    told(&mut slow, "SUBSCRIBE a", 1);
    let mut quick = cluster.client(0);
    told(&mut quick, "SUBSCRIBE a", 1);
    let mut publisher = cluster.client(0);
    let message = vec![b'x'; 1 << 20];
    // More than its sockets and the limit of 32 MB hold together.
    eventually(Duration::from_secs(60), "the slow one is closed", || {
        publisher.raw(&[b"PUBLISH", &b"a"[..], &message]);
        let heard = next(&mut quick, 1).remove(0);
        assert_eq!(heard.len(), "[message a ]".len() + message.len());
        (publisher.run("PUBSUB NUMSUB a") == "[a 1]").then_some(())
    });
    let (_, metrics) = cluster.nodes[0].http("/metrics");
    assert!(
        metrics.contains("\nevenkeel_slow_clients_closed_total 1\n"),
        "{metrics}"
    );
    assert!(slow.is_closed());
}
