//! Links cut between nodes that all go on serving clients.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::load::Load;
use crate::support::{eventually, long, say};

/// Equal again this soon after the heal; a binary without optimisation on a busy machine gets longer.
const EQUAL_WITHIN: Duration =
    Duration::from_millis(if cfg!(debug_assertions) { 8_000 } else { 1_000 });

/// Cuts, writes on both sides for a while, heals, and checks everything.
pub(crate) fn cut_write_heal(
    cluster: &Cluster,
    cut_for: Duration,
    cut: impl FnOnce(),
    heal: impl FnOnce(),
) {
    let load = Load::start(cluster);
    load.advance(&[0, 1, 2], 200);
    cut();
    let since = Instant::now();
    load.advance(&[0, 1, 2], 500);
    eventually(cut_for * 2, "the cut lasts", || {
        (since.elapsed() >= cut_for).then_some(())
    });
    let before: Vec<u64> = (0..3).map(|worker| load.done(worker)).collect();
    let expected = load.stop();
    expected.none_refused(&[]);
    heal();
    let healed = Instant::now();
    assert_eq!(cluster.run(0, "EK.AWAIT CONVERGED 30000"), "OK");
    let took = healed.elapsed();
    say(&format!(
        "cut for {:?}, {before:?} requests: equal {took:?} after the heal; {}",
        cut_for,
        expected.summary()
    ));
    assert!(took < EQUAL_WITHIN, "equal only {took:?} after the heal");
    cluster.await_converged();
    expected.holds_everywhere(cluster);
}

fn with_fault(cut_for: Duration) {
    let cluster = Cluster::start(3, &[]);
    cut_write_heal(
        &cluster,
        cut_for,
        || assert_eq!(cluster.run(2, "EK.FAULT CUT *"), "OK"),
        || assert_eq!(cluster.run(2, "EK.FAULT HEAL *"), "OK"),
    );
}

#[test]
fn both_sides_of_a_cut_link_take_writes_and_are_equal_soon_after_the_heal() {
    with_fault(Duration::from_secs(2));
    if long() {
        with_fault(Duration::from_secs(20));
        with_fault(Duration::from_secs(70));
    }
}

#[test]
fn a_link_that_carries_nothing_in_one_direction_is_gone_round_by_the_third_node() {
    let cluster = Cluster::start(3, &[]);
    assert_eq!(cluster.run(0, "EK.FAULT CUT B OUT"), "OK");
    assert_eq!(cluster.run(0, "SET key past"), "OK");
    let mut other = cluster.client(1);
    eventually(
        Duration::from_secs(5),
        "C passes on what A cannot tell B",
        || (other.run("GET key") == "past").then_some(()),
    );
    assert_eq!(cluster.run(0, "EK.FAULT HEAL B"), "OK");
    cluster.await_converged();
}

#[test]
fn slow_and_lossy_links_still_bring_everything_over() {
    let cluster = Cluster::start(3, &[]);
    assert_eq!(cluster.run(0, "EK.FAULT DELAY * 5 50"), "OK");
    assert_eq!(cluster.run(1, "EK.FAULT DROP * 30"), "OK");
    let load = Load::start(&cluster);
    load.advance(&[0, 1, 2], 500);
    let expected = load.stop();
    expected.none_refused(&[]);
    cluster.await_converged();
    expected.holds_everywhere(&cluster);
}

#[test]
fn a_key_written_at_three_nodes_in_the_same_moment_ends_equal_everywhere() {
    let keys = if long() { 5_000 } else { 500 };
    let cluster = Cluster::start(3, &[]);
    let start = std::sync::Barrier::new(3);
    std::thread::scope(|scope| {
        for node in 0..3 {
            let (cluster, start) = (&cluster, &start);
            scope.spawn(move || {
                let mut client = cluster.client(node);
                for key in 0..keys {
                    start.wait();
                    assert_eq!(client.run(&format!("SET key:{key} {node}")), "OK");
                }
            });
        }
    });
    cluster.await_converged();
    let mut clients = cluster.clients();
    let mut winners = [0; 3];
    for key in 0..keys {
        let values: Vec<String> = clients
            .iter_mut()
            .map(|client| client.run(&format!("GET key:{key}")))
            .collect();
        assert!(
            values.iter().all(|value| *value == values[0]),
            "key:{key} is {values:?}"
        );
        winners[values[0].parse::<usize>().unwrap()] += 1;
    }
    say(&format!(
        "{keys} keys written at three nodes at once; winners by node: {winners:?}"
    ));
}

#[test]
fn a_value_as_large_as_a_client_may_send_reaches_every_node() {
    let cluster = Cluster::start(3, &[]);
    let value = vec![b'x'; 40 << 20];
    let mut client = cluster.client(0);
    let reply = client.raw(&[&b"SET"[..], b"large", &value]);
    assert_eq!(crate::client::show(&reply), "OK");
    cluster.await_converged();
    for node in 0..3 {
        assert_eq!(cluster.run(node, "STRLEN large"), value.len().to_string());
    }
}
