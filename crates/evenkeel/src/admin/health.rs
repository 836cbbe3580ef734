//! Is it ready, what does it count: for load balancers and monitoring.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Admin;
use crate::node::Node;

/// Ready means: takes writes. How far peers are behind is told, and never a reason to refuse clients.
pub(super) async fn ready(State(admin): State<Admin>) -> Response {
    let node = &admin.node;
    let mut text = String::new();
    for peer in node.topology.others() {
        let link = if node.is_linked(peer) { "up" } else { "down" };
        let name = node.topology.name(peer);
        text.push_str(&format!(
            "peer {name}: link {link}, lacks {} events\n",
            lag(node, peer)
        ));
    }
    match node.wal.refusal() {
        None => (StatusCode::OK, format!("ready\n{text}")).into_response(),
        Some(refusal) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{}\n{text}", refusal.text()),
        )
            .into_response(),
    }
}

/// Events that a peer lacks, by its last advert.
pub(super) fn lag(node: &Node, peer: evenkeel_core::id::NodeId) -> u64 {
    node.held()
        .filter_map(|id| node.look(id, |partition| partition.lag(peer)))
        .sum()
}

pub(super) async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let node = &admin.node;
    let mut out = String::new();
    node.metrics.render(&mut out);
    gauge(
        &mut out,
        "evenkeel_log_appended_bytes_total",
        "counter",
        "Bytes handed to the commit log.",
        &[(
            String::new(),
            node.wal.appended_bytes.load(Ordering::Relaxed),
        )],
    );
    let peers: Vec<_> = node
        .topology
        .others()
        .map(|peer| (peer, format!("{{peer=\"{}\"}}", node.topology.name(peer))))
        .collect();
    let each = |value: &dyn Fn(evenkeel_core::id::NodeId) -> u64| -> Vec<(String, u64)> {
        peers
            .iter()
            .map(|(peer, label)| (label.clone(), value(*peer)))
            .collect()
    };
    gauge(
        &mut out,
        "evenkeel_link_up",
        "gauge",
        "Whether there is a link to the peer. 0: the peer or the network is down.",
        &each(&|peer| u64::from(node.is_linked(peer))),
    );
    gauge(
        &mut out,
        "evenkeel_lag_events",
        "gauge",
        "Events that the peer lacks, by its last advert. High for long: the link is down or too slow.",
        &each(&|peer| lag(node, peer)),
    );
    gauge(
        &mut out,
        "evenkeel_link_sent_bytes_total",
        "counter",
        "Bytes sent to the peer.",
        &each(&|peer| {
            node.outboxes
                .get(&peer)
                .map_or(0, |outbox| outbox.sent_bytes.load(Ordering::Relaxed))
        }),
    );
    gauge(
        &mut out,
        "evenkeel_link_overflow_total",
        "counter",
        "Frames dropped because too many waited for the peer; anti-entropy repairs. Growing: the peer or the link is too slow.",
        &each(&|peer| {
            node.outboxes
                .get(&peer)
                .map_or(0, |outbox| outbox.overflowed.load(Ordering::Relaxed))
        }),
    );
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], out)
}

fn gauge(out: &mut String, name: &str, kind: &str, help: &str, values: &[(String, u64)]) {
    out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    for (labels, value) in values {
        out.push_str(&format!("{name}{labels} {value}\n"));
    }
}
