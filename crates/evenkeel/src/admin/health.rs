//! Is it ready, what does it count: for load balancers and monitoring.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use evenkeel_core::id::NodeId;
use evenkeel_core::membership::MemberState;

use super::Admin;
use crate::node::Node;

/// Ready means: takes writes. How far peers are behind is told, and never a reason to refuse clients.
pub(super) async fn ready(State(admin): State<Admin>) -> Response {
    let node = &admin.node;
    let mut text = String::new();
    for peer in node.topology().others() {
        let link = if node.is_linked(peer) { "up" } else { "down" };
        let name = node.topology().name(peer);
        text.push_str(&format!(
            "peer {name}: link {link}, lacks {} events\n",
            lag(node, peer)
        ));
    }
    match node.wal.refusal_to_grow() {
        None => (StatusCode::OK, format!("ready\n{text}")).into_response(),
        Some(refusal) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{}\n{text}", refusal.text()),
        )
            .into_response(),
    }
}

/// Events that a peer lacks, by its last advert.
pub(super) fn lag(node: &Node, peer: NodeId) -> u64 {
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
        (
            "evenkeel_log_appended_bytes_total",
            "counter",
            "Bytes handed to the commit log. High: clients write much, or many large values; the disk must keep up.",
        ),
        &[(
            String::new(),
            node.wal.appended_bytes.load(Ordering::Relaxed),
        )],
    );
    topology(node, &mut out);
    for (head, value) in PER_PEER {
        let peers = node.topology().others();
        let values: Vec<(String, u64)> = peers
            .map(|peer| {
                let label = format!("{{peer=\"{}\"}}", node.topology().name(peer));
                (label, value(node, peer))
            })
            .collect();
        gauge(&mut out, head, &values);
    }
    node.visibility
        .render(&mut out, |peer| node.topology().name(peer).to_owned());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], out)
}

/// What this node is in the topology, and whether the topology can change.
fn topology(node: &Node, out: &mut String) {
    let topology = std::sync::Arc::clone(&node.topology());
    let document = &topology.document;
    gauge(
        out,
        (
            "evenkeel_topology_epoch",
            "gauge",
            "The number of the topology that this node knows. Not growing while it does at other nodes: this one reaches none of them.",
        ),
        &[(String::new(), document.epoch())],
    );
    gauge(
        out,
        (
            "evenkeel_topology_can_change",
            "gauge",
            "Whether enough voters answer for a topology change. 0 for long: voters are down or cut off, see evenkeel cluster status; reads and writes are not affected.",
        ),
        &[(String::new(), u64::from(node.control.status().quorum))],
    );
    let count = |wanted: Option<MemberState>| {
        let held = node.held().filter(|id| topology.mine(*id) == wanted);
        held.count() as u64
    };
    let states = [
        ("active", Some(MemberState::Active)),
        ("joining", Some(MemberState::Joining)),
        ("leaving", Some(MemberState::Leaving)),
        ("guest", None),
    ];
    gauge(
        out,
        (
            "evenkeel_partitions",
            "gauge",
            "Partitions held here, by what this node is to them; guest: it keeps something for their members. Above zero for long in the states joining, leaving or guest: a member that must take over is down, see evenkeel cluster status.",
        ),
        &states.map(|(name, state)| (format!("{{state=\"{name}\"}}"), count(state))),
    );
}

/// Name, kind and help.
type Head = (&'static str, &'static str, &'static str);

/// A figure of a node about a peer.
type OfPeer = fn(&Node, NodeId) -> u64;

/// What is told of each peer.
const PER_PEER: [(Head, OfPeer); 5] = [
    (
        (
            "evenkeel_link_up",
            "gauge",
            "Whether there is a link to the peer. 0: the peer or the network is down.",
        ),
        |node, peer| u64::from(node.is_linked(peer)),
    ),
    (
        (
            "evenkeel_lag_events",
            "gauge",
            "Events that the peer lacks, by its last advert. High for long: the link is down or too slow.",
        ),
        lag,
    ),
    (
        (
            "evenkeel_lag_age_ms",
            "gauge",
            "How long the oldest event that the peer lacks, by its last advert, has been held here, in milliseconds. Growing: nothing reaches the peer, see evenkeel_link_up and the peer's log.",
        ),
        |node, peer| node.lag_age(peer).map_or(0, |age| age.as_millis()),
    ),
    (
        (
            "evenkeel_link_sent_bytes_total",
            "counter",
            "Bytes sent to the peer. High without as many writes: repairs, see evenkeel_sync_units_total at the peer.",
        ),
        |node, peer| {
            let outbox = node.outbox(peer);
            outbox.map_or(0, |outbox| outbox.sent_bytes.load(Ordering::Relaxed))
        },
    ),
    (
        (
            "evenkeel_link_overflow_total",
            "counter",
            "Frames dropped because too many waited for the peer; anti-entropy repairs. Growing: the peer or the link is too slow.",
        ),
        |node, peer| {
            let outbox = node.outbox(peer);
            outbox.map_or(0, |outbox| outbox.overflowed.load(Ordering::Relaxed))
        },
    ),
];

fn gauge(out: &mut String, (name, kind, help): Head, values: &[(String, u64)]) {
    out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    for (labels, value) in values {
        out.push_str(&format!("{name}{labels} {value}\n"));
    }
}
