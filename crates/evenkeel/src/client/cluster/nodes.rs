//! The nodes as cluster clients see them: ids, addresses, and the slots of each.

use std::fmt::Write as _;
use std::net::IpAddr;

use evenkeel_core::command::SLOTS;
use evenkeel_core::id::NodeId;
use xxhash_rust::xxh3::xxh3_128;

use super::super::session::Session;
use crate::config::PARTITIONS;
use crate::node::{Node, Nodes, Topology};

/// Slots of one after the other that the same replicas hold.
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    /// In preference order, those that cannot be reached behind the others.
    pub(super) replicas: Nodes,
}

/// All slots in order.
pub(super) fn ranges(node: &Node) -> Vec<Range> {
    const WIDTH: u16 = SLOTS / PARTITIONS;
    let mut ranges: Vec<Range> = Vec::new();
    for partition in Topology::partitions() {
        let mut replicas = node.topology().replicas(partition);
        // A client that finds a node dead asks again: it must then be sent to one that lives.
        replicas.sort_by_key(|replica| !node.is_linked(*replica));
        let first = partition.0 * WIDTH;
        let last = first + (WIDTH - 1);
        match ranges.last_mut() {
            Some(range) if range.replicas == replicas => range.last = last,
            _ => ranges.push(Range {
                first,
                last,
                replicas,
            }),
        }
    }
    ranges
}

/// A node's id: the same in every start and at every node, since clients keep it.
pub(super) fn node_id(node: &Node, member: NodeId) -> String {
    let name = node.topology().name(member);
    let cluster = node.cluster;
    let id = xxh3_128(format!("{cluster:016x}/{name}").as_bytes());
    format!("{id:032x}{:08x}", cluster >> 32)
}

/// Where a client of the cluster face reaches a node.
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Where a node is reached; `None` when it has not said so yet, or has no cluster face.
pub(super) fn endpoint(session: &Session, member: NodeId) -> Option<Endpoint> {
    let node = &session.node;
    let address = node.reached_at(member).cluster?;
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']);
    let everywhere = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    let host = if !everywhere {
        host.to_owned()
    } else if member == node.me {
        // Bound to every address: the one that this client came to is right for it.
        session.connected.local?.ip().to_string()
    } else {
        let peer = node.topology().peer(member);
        let (host, _) = peer.rsplit_once(':')?;
        host.trim_matches(['[', ']']).to_owned()
    };
    Some(Endpoint {
        host,
        port: port.parse().ok()?,
    })
}

/// CLUSTER NODES: each node with the slots for which it is the first in preference order.
pub(super) fn table(session: &Session) -> String {
    let node = &session.node;
    let ranges = ranges(node);
    let mut table = String::new();
    for member in node.topology().nodes() {
        let Some(Endpoint { host, port }) = endpoint(session, member) else {
            continue;
        };
        let myself = if member == node.me { "myself," } else { "" };
        let linked = node.is_linked(member);
        let failed = if linked { "" } else { ",fail" };
        let state = if linked { "connected" } else { "disconnected" };
        let peer = node.topology().peer(member);
        let bus = peer.rsplit_once(':').map_or("0", |(_, port)| port);
        // Writing to a string cannot fail.
        let _ = write!(
            table,
            "{} {host}:{port}@{bus} {myself}master{failed} - 0 0 1 {state}",
            node_id(node, member)
        );
        for range in ranges
            .iter()
            .filter(|range| range.replicas.first() == Some(&member))
        {
            let _ = match range.first == range.last {
                true => write!(table, " {}", range.first),
                false => write!(table, " {}-{}", range.first, range.last),
            };
        }
        table.push('\n');
    }
    table
}
