//! The HTTP face.

use crate::cluster::Cluster;

#[test]
fn the_health_checks_and_metrics_answer_and_show_a_peer_that_is_down() {
    let cluster = Cluster::start(3, &[]);
    let node = &cluster.nodes[0];
    assert_eq!(node.http("/livez"), (200, "ok\n".to_owned()));
    let (status, ready) = node.http("/readyz");
    assert_eq!(status, 200);
    assert!(
        ready.starts_with("ready\n") && ready.contains("peer B: link up"),
        "{ready}"
    );
    let (status, metrics) = node.http("/metrics");
    assert_eq!(status, 200);
    for line in [
        "evenkeel_link_up{peer=\"B\"} 1",
        "evenkeel_lag_events{peer=\"C\"} 0",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} is not in\n{metrics}"
        );
    }
    assert_eq!(node.http("/nowhere").0, 404);
    cluster.nodes[1].kill();
    crate::support::eventually(
        std::time::Duration::from_secs(5),
        "B is seen to be down",
        || {
            node.http("/readyz")
                .1
                .contains("peer B: link down")
                .then_some(())
        },
    );
    assert_eq!(
        node.http("/readyz").0,
        200,
        "a peer that is down makes no node unready"
    );
}
