//! A node killed under load.

use crate::cluster::Cluster;
use crate::load::Load;
use crate::support::{long, say};

#[test]
fn a_node_killed_twice_under_load_loses_nothing_and_no_other_node_refuses_a_request() {
    let mut cluster = Cluster::start(3, &[]);
    let load = Load::start(&cluster);
    let (kills, requests) = if long() { (10, 20_000) } else { (2, 1_500) };
    for kill in 0..kills {
        let victim = 1 + kill % 2;
        let living: Vec<usize> = (0..3).filter(|node| *node != victim).collect();
        load.advance(&[0, 1, 2], requests);
        cluster.nodes[victim].kill();
        load.advance(&living, requests);
        cluster.restart(victim);
        load.advance(&[victim], requests / 4);
    }
    let expected = load.stop();
    expected.none_refused(&["B", "C"]);
    cluster.await_converged();
    expected.holds_everywhere(&cluster);
    say(&format!("killed {kills} times: {}", expected.summary()));
}

#[test]
fn a_node_that_is_stopped_hands_over_what_it_has_before_it_ends() {
    let cluster = Cluster::start(3, &[]);
    assert_eq!(cluster.run(0, "EK.FAULT DELAY * 200 300"), "OK");
    let mut client = cluster.client(0);
    for n in 0..50 {
        assert_eq!(client.run(&format!("SET last:{n} {n}")), "OK");
    }
    assert!(cluster.nodes[0].terminate().success());
    for node in [1, 2] {
        for n in 0..50 {
            assert_eq!(cluster.run(node, &format!("GET last:{n}")), n.to_string());
        }
    }
}
