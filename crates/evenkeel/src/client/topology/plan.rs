//! `EK.TOPOLOGY PLAN`: what a rebalance would move, and how safe the data is before and after.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_core::cluster::{Document, plan};
use evenkeel_core::id::NodeId;
use evenkeel_core::partition::Partition;
use evenkeel_resp::Reply;

use super::{count, integer, text};
use crate::node::{Node, Topology};

/// Who holds each partition.
type Table = Vec<Vec<NodeId>>;

pub(super) fn show(node: &Node) -> Reply {
    let topology = std::sync::Arc::clone(&node.topology());
    let document = &topology.document;
    let before: Table = Topology::partitions()
        .map(|id| document.active_members(id).collect())
        .collect();
    let after = plan(document);
    let bytes = bytes_of_each(node);
    let is_known = bytes.is_some();
    let bytes = bytes.unwrap_or_else(|| vec![0; after.len()]);
    let told = |bytes| match is_known {
        true => integer(bytes),
        false => Reply::Null,
    };
    let mut moves: BTreeMap<(Option<NodeId>, NodeId), (u64, u64)> = BTreeMap::new();
    for ((old, new), bytes) in before.iter().zip(&after).zip(bytes) {
        let mut goes = old.iter().filter(|node| !new.contains(node));
        for comes in new.iter().filter(|node| !old.contains(node)) {
            let of = moves.entry((goes.next().copied(), *comes)).or_default();
            *of = (of.0 + 1, of.1 + bytes);
        }
    }
    let (replicas, total) = moves
        .values()
        .fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
    let rows = moves.iter().map(|((from, to), (replicas, bytes))| {
        let from = from.map_or(Reply::Null, |from| text(document.name(from)));
        Reply::Map(vec![
            (text("from"), from),
            (text("to"), text(document.name(*to))),
            (text("replicas"), integer(*replicas)),
            (text("bytes"), told(*bytes)),
        ])
    });
    Reply::Map(vec![
        (text("moves"), Reply::Array(rows.collect())),
        (text("replicas"), integer(replicas)),
        (text("bytes"), told(total)),
        (text("before"), safety(document, &before)),
        (text("after"), safety(document, &after)),
    ])
}

/// About how large each partition is: as it is here, and where it is not held here as the others are on average. A node
/// that holds nothing cannot tell.
fn bytes_of_each(node: &Node) -> Option<Vec<u64>> {
    let known: Vec<Option<u64>> = Topology::partitions()
        .map(|id| node.look(id, Partition::content_bytes))
        .collect();
    let held = known.iter().flatten().count() as u64;
    let average = known.iter().flatten().sum::<u64>().checked_div(held)?;
    let each = known.into_iter().map(|bytes| bytes.unwrap_or(average));
    Some(each.collect())
}

/// What the least safe partition has, and how far the fullest node is over an even share.
fn safety(document: &Document, table: &Table) -> Reply {
    let places = |of: fn(&evenkeel_core::cluster::NodeEntry) -> (&str, &str)| {
        let rows = table.iter().map(|row| {
            let entries = row.iter().filter_map(|node| document.node(*node));
            entries.map(of).collect::<BTreeSet<_>>().len()
        });
        rows.min().unwrap_or(0)
    };
    let fewest = table.iter().map(Vec::len).min().unwrap_or(0);
    let all: usize = table.iter().map(Vec::len).sum();
    let weights: u64 = document
        .active()
        .map(|(_, entry)| u64::from(entry.weight))
        .sum();
    // In thousandths of the share that the weight gives: whole numbers, so that nothing is rounded twice.
    let fullest = document.active().map(|(node, entry)| {
        let held = table
            .iter()
            .flatten()
            .filter(|holder| **holder == node)
            .count() as u64;
        held * weights * 1000 / (all as u64 * u64::from(entry.weight)).max(1)
    });
    let fullest = fullest.max().unwrap_or(0);
    Reply::Map(vec![
        (text("replicas"), count(fewest)),
        (
            text("zones"),
            count(places(|entry| (&entry.dc, &entry.zone))),
        ),
        (text("dcs"), count(places(|entry| (&entry.dc, "")))),
        (
            text("fullest"),
            text(format!("{}.{:03}", fullest / 1000, fullest % 1000)),
        ),
    ])
}
