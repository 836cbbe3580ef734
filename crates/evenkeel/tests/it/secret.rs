//! The cluster's secret: who does not know it neither links to nodes nor joins.

use std::time::Duration;

use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::growing::settled;
use crate::node::Plan;
use crate::support::eventually;

/// The words of a flag that names a file with this secret.
fn flag(dir: &TempDir, name: &str, secret: &str) -> [String; 2] {
    let file = dir.path().join(name);
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    [
        "--cluster-secret-file".to_owned(),
        file.display().to_string(),
    ]
}

#[test]
fn only_who_knows_the_secret_links_and_joins() {
    let dir = TempDir::new().unwrap();
    let right = flag(
        &dir,
        "right",
        "a secret of the cluster".replace(' ', "-").as_str(),
    );
    let wrong = flag(&dir, "wrong", "another-secret-altogether");
    let right: Vec<&str> = right.iter().map(String::as_str).collect();
    let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
    let mut cluster = Cluster::start(2, &right);
    assert_eq!(cluster.run(0, "SET key 1"), "OK");
    cluster.await_converged();
    let first = &cluster.nodes[0].plan;
    let address = format!("{}:{}", first.host, first.peer_port);
    let stranger = Plan::new("C", dir.path()).with(&["--join", &address]);
    for (plan, why) in [
        (
            stranger.clone().with(&wrong),
            "does not know this cluster's secret",
        ),
        (stranger.clone(), "the cluster has a secret"),
    ] {
        let (status, said) = if why.contains("has a secret") {
            continue_without(&plan)
        } else {
            let (status, said) = plan.refused();
            (status.code(), said)
        };
        assert!(said.contains(why), "{said}");
        assert_ne!(status, Some(0));
    }
    let node = stranger.with(&right).start();
    cluster.nodes.push(node);
    settled(&cluster.nodes[0], 3);
    assert_eq!(cluster.run(2, "GET key"), "1");

    // A member that has lost the secret is not heard.
    assert!(cluster.nodes[1].terminate().success());
    let plan = cluster.nodes[1].plan.clone();
    let mut bare = plan.clone();
    bare.flags.retain(|word| !right.contains(&word.as_str()));
    cluster.nodes[1] = bare.start();
    eventually(
        Duration::from_secs(10),
        "it says why it has no link",
        || {
            let said = cluster.nodes[1].log();
            said.contains("the cluster has a secret").then_some(())
        },
    );
    assert!(cluster.run(0, "INFO evenkeel").contains("peer_B:link=down"));
    drop(cluster.nodes.remove(1));
    cluster.nodes.push(plan.start());
    cluster.wait_until_linked();
    cluster.await_converged();
}

/// Asks on for a minute: its log tells why before that.
fn continue_without(plan: &Plan) -> (Option<i32>, String) {
    let node = plan.spawn();
    let said = eventually(Duration::from_secs(20), "it says what is missing", || {
        let said = node.log();
        said.contains("the cluster has a secret").then_some(said)
    });
    (None, said)
}
