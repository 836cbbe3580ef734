//! EK.INSPECT on several nodes.

use std::time::{Duration, SystemTime};

use evenkeel_resp::Reply;

use crate::client::show;
use crate::cluster::Cluster;
use crate::divergence::{client, field, heal, items, number};
use crate::support::eventually;

#[test]
fn concurrent_versions_are_told_with_their_writers_and_why_one_of_them_shows() {
    let cluster = Cluster::start(3, &[]);
    assert_eq!(cluster.run(0, "EK.FAULT MUTE *"), "OK");
    assert_eq!(cluster.run(1, "EK.FAULT MUTE *"), "OK");
    assert_eq!(cluster.run(0, "SET motto early"), "OK");
    // Stamps of one millisecond are equal, and then the greatest actor shows.
    let written = SystemTime::now();
    eventually(Duration::from_secs(5), "a later millisecond", || {
        let since = written.elapsed().ok()?;
        (since > Duration::from_millis(2)).then_some(())
    });
    assert_eq!(cluster.run(1, "SET motto late"), "OK");
    assert_eq!(cluster.run(1, "HSET hash f 1 g 2"), "2");
    heal(&cluster);
    let mut asked = client(&cluster, 2);
    let reply = asked.raw(&["EK.INSPECT", "motto"]);
    let replicas = items(field(&reply, "replicas"));
    assert_eq!(replicas.len(), 3);
    for replica in replicas {
        let cell = &items(field(replica, "cells"))[0];
        assert_eq!(show(field(cell, "value")), "late");
        assert_eq!(number(field(cell, "siblings")), 1);
        let mut writers: Vec<(String, String)> = items(field(cell, "versions"))
            .iter()
            .map(|version| {
                (
                    show(field(version, "writer")),
                    show(field(version, "value")),
                )
            })
            .collect();
        writers.sort();
        let wrote = |node: &str, value: &str| (node.to_owned(), value.to_owned());
        assert_eq!(writers, [wrote("A", "early"), wrote("B", "late")]);
        let because = show(field(cell, "because"));
        assert!(
            because.starts_with("B wrote it at 20")
                && because.ends_with("the newest of concurrent versions; the others are by A"),
            "{because}"
        );
        let time = show(field(&items(field(cell, "versions"))[0], "time"));
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }
    let one = asked.raw(&["EK.INSPECT", "hash", "g"]);
    for replica in items(field(&one, "replicas")) {
        let cells = items(field(replica, "cells"));
        assert_eq!(cells.len(), 1, "only the field asked for: {cells:?}");
        assert_eq!(show(field(&cells[0], "field")), "g");
        let because = show(field(&cells[0], "because"));
        assert!(because.contains("having seen all earlier"), "{because}");
    }
}

#[test]
fn a_counter_tells_what_each_node_has_added_and_a_silent_node_is_named() {
    let cluster = Cluster::start(3, &[]);
    cluster.run(0, "INCRBY visits 3");
    cluster.run(1, "INCRBY visits 4");
    cluster.await_converged();
    assert_eq!(cluster.run(2, "EK.FAULT CUT *"), "OK");
    let mut asked = client(&cluster, 0);
    let replicas = eventually(Duration::from_secs(10), "C does not answer", || {
        let reply = asked.raw(&["EK.INSPECT", "visits"]);
        let replicas = items(field(&reply, "replicas")).to_vec();
        let silent = |replica: &&Reply| field(replica, "reachable") == &Reply::Boolean(false);
        let silent: Vec<String> = replicas
            .iter()
            .filter(silent)
            .map(|replica| show(field(replica, "node")))
            .collect();
        (silent == ["C"]).then_some(replicas)
    });
    let a = replicas
        .iter()
        .find(|replica| show(field(replica, "node")) == "A");
    let cell = &items(field(a.unwrap(), "cells"))[0];
    let mut adds: Vec<(String, String)> = items(field(cell, "chains"))
        .iter()
        .map(|chain| (show(field(chain, "node")), show(field(chain, "adds"))))
        .collect();
    adds.sort();
    let added = |node: &str, value: &str| (node.to_owned(), value.to_owned());
    assert_eq!(adds, [added("A", "3"), added("B", "4")]);
    assert_eq!(show(field(cell, "value")), "7");
    assert_eq!(
        show(field(cell, "because")),
        "the sum of what 2 writers have added"
    );
}
