//! Commands that wait for keys: who is woken, when, and what becomes of those who go.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::client::{Client, show};
use crate::cluster::Cluster;
use crate::homes::{key_at_home, members_of};
use crate::support::eventually;

const LIMIT: Duration = Duration::from_secs(15);

/// Sends a blocking command and waits until the node counts `waiting` blocked clients.
fn block(cluster: &Cluster, node: usize, command: &str, waiting: usize) -> Client {
    let mut client = cluster.client(node);
    let words: Vec<&str> = command.split(' ').collect();
    client.send(&words).unwrap();
    await_blocked(cluster, node, waiting);
    client
}

fn await_blocked(cluster: &Cluster, node: usize, waiting: usize) {
    let mut client = cluster.client(node);
    let wanted = format!("blocked_clients:{waiting}\r");
    eventually(LIMIT, "clients are blocked", || {
        client.run("INFO clients").contains(&wanted).then_some(())
    });
}

fn answer(client: &mut Client) -> String {
    show(&client.receive().unwrap())
}

#[test]
fn a_waiter_at_any_node_is_woken_by_a_push_at_any_other() {
    let cluster = Cluster::start(3, &[]);
    for home in 0..3 {
        let key = key_at_home(&cluster, home);
        for waits in 0..3 {
            for pushes in 0..3 {
                let command = format!("BLPOP nosuch {key} 0");
                let mut waiter = block(&cluster, waits, &command, 1);
                assert_eq!(cluster.run(pushes, &format!("RPUSH {key} v")), "1");
                assert_eq!(answer(&mut waiter), format!("[{key} v]"));
                await_blocked(&cluster, waits, 0);
                cluster.await_converged();
                assert_eq!(cluster.run(pushes, &format!("EXISTS {key}")), "0");
            }
        }
    }
}

#[test]
fn a_waiter_whose_node_does_not_hold_the_key_is_woken_too() {
    let cluster = Cluster::start(5, &[]);
    let mut keys = (0..).map(|n| format!("key:{n}"));
    let key = keys
        .find(|key| !members_of(&cluster, key).contains(&0))
        .unwrap();
    let pushes = members_of(&cluster, &key)[1];
    for _ in 0..2 {
        let mut waiter = block(&cluster, 0, &format!("BRPOP {key} 0"), 1);
        assert_eq!(cluster.run(pushes, &format!("RPUSH {key} v")), "1");
        assert_eq!(answer(&mut waiter), format!("[{key} v]"));
        cluster.await_converged();
    }
    let since = Instant::now();
    assert_eq!(cluster.run(0, &format!("BLPOP {key} 0.2")), "(nil)");
    assert!(since.elapsed() >= Duration::from_millis(200));
}

#[test]
fn what_anti_entropy_brings_wakes_waiters() {
    let cluster = Cluster::start(3, &[]);
    let key = key_at_home(&cluster, 2);
    assert_eq!(cluster.run(2, "EK.FAULT CUT *"), "OK");
    let mut waiter = block(&cluster, 2, &format!("BLPOP {key} 0"), 1);
    assert_eq!(cluster.run(0, &format!("RPUSH {key} v")), "1");
    assert_eq!(cluster.run(2, &format!("EXISTS {key}")), "0");
    assert_eq!(cluster.run(2, "EK.FAULT HEAL *"), "OK");
    assert_eq!(answer(&mut waiter), format!("[{key} v]"));
}

#[test]
fn clients_of_one_node_are_served_in_the_order_in_which_they_came() {
    let cluster = Cluster::start(1, &[]);
    let mut waiters: Vec<Client> = (1..=5)
        .map(|n| block(&cluster, 0, "BLPOP queue 0", n))
        .collect();
    assert_eq!(cluster.run(0, "RPUSH queue 1 2 3"), "3");
    for (n, waiter) in waiters.iter_mut().enumerate().take(3) {
        assert_eq!(answer(waiter), format!("[queue {}]", n + 1));
    }
    assert_eq!(cluster.run(0, "RPUSH queue 4 5 6"), "3");
    assert_eq!(answer(&mut waiters[3]), "[queue 4]");
    assert_eq!(answer(&mut waiters[4]), "[queue 5]");
    eventually(LIMIT, "one is left", || {
        (cluster.run(0, "LRANGE queue 0 -1") == "[6]").then_some(())
    });
}

#[test]
fn a_time_out_is_kept_and_answered_by_null() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    for command in [
        "BLPOP a b 0.1",
        "BRPOP a 0.1",
        "BLMOVE a b LEFT LEFT 0.1",
        "BRPOPLPUSH a b 0.1",
        "BLMPOP 0.1 2 a b LEFT",
    ] {
        let since = Instant::now();
        assert_eq!(client.run(command), "(nil)", "{command}");
        let took = since.elapsed();
        assert!((100..5_000).contains(&took.as_millis()), "{took:?}");
    }
    for (command, error) in [
        ("BLPOP a x", "-ERR timeout is not a float or out of range"),
        ("BLPOP a -1", "-ERR timeout is negative"),
        ("BLMOVE a b LEFT LEFT 1e30", "-ERR timeout is out of range"),
        (
            "BLMPOP x 1 a LEFT",
            "-ERR timeout is not a float or out of range",
        ),
        ("BLMOVE a b UP LEFT x", "-ERR syntax error"),
    ] {
        assert_eq!(client.run(command), error, "{command}");
    }
}

#[test]
fn an_element_is_not_taken_for_a_client_that_has_gone() {
    let cluster = Cluster::start(3, &[]);
    for home in 0..3 {
        let key = key_at_home(&cluster, home);
        let command = format!("BLPOP {key} 0");
        let gone = block(&cluster, 0, &command, 1);
        let half = block(&cluster, 0, &command, 2);
        let mut stays = block(&cluster, 0, &command, 3);
        drop(gone);
        half.stream.shutdown(Shutdown::Both).unwrap();
        assert_eq!(cluster.run(1, &format!("RPUSH {key} v")), "1");
        assert_eq!(answer(&mut stays), format!("[{key} v]"));
        await_blocked(&cluster, 0, 0);
        let mut client = cluster.client(0);
        client
            .send(&command.split(' ').collect::<Vec<_>>())
            .unwrap();
        await_blocked(&cluster, 0, 1);
        drop(client);
        await_blocked(&cluster, 0, 0);
        assert_eq!(cluster.run(1, &format!("RPUSH {key} kept")), "1");
        cluster.await_converged();
        assert_eq!(cluster.run(2, &format!("LRANGE {key} 0 -1")), "[kept]");
        cluster.run(0, "FLUSHALL");
        cluster.await_converged();
    }
}

#[test]
fn a_move_wakes_who_waits_for_its_destination() {
    let cluster = Cluster::start(1, &[]);
    let mut first = block(&cluster, 0, "BLMOVE a b LEFT RIGHT 0", 1);
    let mut second = block(&cluster, 0, "BRPOPLPUSH b c 0", 2);
    let mut third = block(&cluster, 0, "BLMPOP 0 2 x c RIGHT COUNT 5", 3);
    cluster.run(0, "RPUSH a v");
    assert_eq!(answer(&mut first), "v");
    assert_eq!(answer(&mut second), "v");
    assert_eq!(answer(&mut third), "[c [v]]");
    assert_eq!(cluster.run(0, "DBSIZE"), "0");
}

#[test]
fn a_wrong_destination_ends_the_wait_with_an_error_and_leaves_the_element() {
    let cluster = Cluster::start(1, &[]);
    let mut wrong = block(&cluster, 0, "BRPOPLPUSH a s 0", 1);
    let mut right = block(&cluster, 0, "BLPOP a 0", 2);
    cluster.run(0, "SET s v");
    cluster.run(0, "RPUSH a x");
    assert!(answer(&mut wrong).starts_with("-WRONGTYPE "));
    assert_eq!(answer(&mut right), "[a x]");
}

#[test]
fn a_key_of_another_type_ends_no_wait_and_refuses_to_begin_one() {
    let cluster = Cluster::start(1, &[]);
    let mut waiter = block(&cluster, 0, "BLPOP a b 0", 1);
    cluster.run(0, "SET a v");
    assert!(cluster.run(0, "BLPOP c a 0").starts_with("-WRONGTYPE "));
    cluster.run(0, "RPUSH b x");
    assert_eq!(answer(&mut waiter), "[b x]");
}

#[test]
fn a_blocked_client_is_unblocked_from_outside() {
    let cluster = Cluster::start(1, &[]);
    let mut other = cluster.client(0);
    for (how, reply) in [
        ("", "(nil)"),
        (" TIMEOUT", "(nil)"),
        (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK"),
    ] {
        let mut client = cluster.client(0);
        let id = client.run("CLIENT ID");
        client.send(&["BLPOP", "a", "0"]).unwrap();
        await_blocked(&cluster, 0, 1);
        assert_eq!(other.run(&format!("CLIENT UNBLOCK {id}{how}")), "1");
        assert_eq!(answer(&mut client), reply);
        assert_eq!(other.run(&format!("CLIENT UNBLOCK {id}")), "0");
    }
}

#[test]
fn what_a_blocked_client_sends_meanwhile_is_run_after_its_reply() {
    let cluster = Cluster::start(1, &[]);
    let mut client = block(&cluster, 0, "BLPOP a 0", 1);
    client.send(&["PING"]).unwrap();
    client.send(&["BLPOP", "a", "0"]).unwrap();
    cluster.run(0, "RPUSH a 1 2");
    assert_eq!(answer(&mut client), "[a 1]");
    assert_eq!(answer(&mut client), "PONG");
    assert_eq!(answer(&mut client), "[a 2]");
}

#[test]
fn every_element_of_a_queue_with_waiters_at_all_nodes_is_given_out_once() {
    let cluster = Cluster::start(3, &[]);
    let key = key_at_home(&cluster, 1);
    let mut waiters: Vec<Client> = (0..12)
        .map(|n| block(&cluster, n % 3, &format!("BLPOP {key} 0"), n / 3 + 1))
        .collect();
    let mut pushers = cluster.clients();
    for n in 0..12 {
        pushers[(n + 1) % 3].run(&format!("RPUSH {key} {n:02}"));
    }
    let mut given: Vec<String> = waiters.iter_mut().map(answer).collect();
    given.sort();
    let all: Vec<String> = (0..12).map(|n| format!("[{key} {n:02}]")).collect();
    assert_eq!(given, all);
    cluster.await_converged();
    assert_eq!(cluster.run(0, &format!("LLEN {key}")), "0");
}
