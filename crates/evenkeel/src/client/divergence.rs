//! EK.DIVERGENCE: how far the nodes are apart, in total, per partition, and by key.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_core::command::slot;
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_resp::Reply;

use super::run::{Args, Outcome};
use super::server::{number, text};
use crate::node::{DifferingKey, Divergence, Gap, Node, PairGap, Topology};

/// Keys that are told unless another count is asked for.
const KEYS_DEFAULT: usize = 100;
/// Keys that are told at most.
const KEYS_MAX: usize = 100_000;

const USAGE: &str = "ERR syntax error ; write EK.DIVERGENCE [key], EK.DIVERGENCE KEY key, EK.DIVERGENCE PARTITIONS, or EK.DIVERGENCE KEYS [count]";

/// `EK.DIVERGENCE [key | KEY key | PARTITIONS | KEYS [count]]`.
pub(super) fn run(node: Arc<Node>, args: Args<'_>) -> Outcome {
    let word = args.get(1).map(|word| word.to_ascii_lowercase());
    match (word.as_deref(), args.len()) {
        (None, _) => whole(node, None, false),
        (Some(b"partitions"), 2) => whole(node, None, true),
        (Some(b"keys"), 2) => keys(node, KEYS_DEFAULT),
        (Some(b"keys"), 3) => match count(args[2]) {
            Some(count) => keys(node, count),
            None => Outcome::Now(Reply::error(format!(
                "ERR count is a number from 1 to {KEYS_MAX} ; see EK.DIVERGENCE PARTITIONS for how much differs where"
            ))),
        },
        (Some(b"key"), 3) => of_key(node, args[2]),
        (Some(_), 2) => of_key(node, args[1]),
        _ => Outcome::Now(Reply::error(USAGE)),
    }
}

fn count(arg: &[u8]) -> Option<usize> {
    let count: usize = std::str::from_utf8(arg).ok()?.parse().ok()?;
    (1..=KEYS_MAX).contains(&count).then_some(count)
}

fn of_key(node: Arc<Node>, key: &[u8]) -> Outcome {
    whole(node, Some(Topology::partition_of_slot(slot(key))), false)
}

fn whole(node: Arc<Node>, only: Option<PartitionId>, by_partition: bool) -> Outcome {
    Outcome::Later(Box::pin(async move {
        let divergence = node.divergence(only).await;
        let mut fields = total(&node, &divergence);
        if by_partition {
            let rows = divergence.partitions.iter();
            let rows = rows.map(|(id, pairs)| partition(&node, *id, pairs));
            fields.push((text("partitions"), Reply::Array(rows.collect())));
        }
        Reply::Map(fields)
    }))
}

fn total(node: &Node, divergence: &Divergence) -> Vec<(Reply, Reply)> {
    let total = divergence.total();
    let unknown = divergence.is_unknown();
    let pairs = divergence.pairs.iter().map(|gap| pair(node, gap));
    let alone = divergence.alone.iter().map(|(at, events)| {
        Reply::Map(vec![
            (text("node"), text(node.topology().name(*at))),
            (text("events"), number(*events)),
        ])
    });
    let mut fields = vec![
        (
            text("converged"),
            Reply::Boolean(total.events == 0 && !unknown),
        ),
        (text("missing-events"), number(total.events)),
        (text("unreachable"), Reply::Boolean(unknown)),
        (text("pairs"), Reply::Array(pairs.collect())),
    ];
    fields.extend(weight(&total));
    fields.extend([
        (text("held-by-one"), Reply::Array(alone.collect())),
        (text("visible"), visible(node)),
        (text("digest-mismatches"), mismatches(node)),
    ]);
    fields
}

/// Bytes and age of what is missing.
fn weight(gap: &Gap) -> [(Reply, Reply); 3] {
    [
        (text("missing-bytes"), gap.bytes.map_or(Reply::Null, number)),
        (
            text("oldest-missing-ms"),
            gap.oldest_ms.map_or(Reply::Null, number),
        ),
        (text("need-snapshots"), number(gap.snapshots)),
    ]
}

fn pair(node: &Node, pair: &PairGap) -> Reply {
    let mut fields = vec![
        (text("from"), text(node.topology().name(pair.from))),
        (text("to"), text(node.topology().name(pair.to))),
        (
            text("missing-events"),
            pair.gap.map_or(Reply::Null, |gap| number(gap.events)),
        ),
    ];
    match &pair.gap {
        Some(gap) => fields.extend(weight(gap)),
        None => fields.extend([
            (text("missing-bytes"), Reply::Null),
            (text("oldest-missing-ms"), Reply::Null),
            (text("need-snapshots"), Reply::Null),
        ]),
    }
    let told = pair.told.map_or(Reply::Null, |gap| {
        let mut told = vec![(text("events"), number(gap.events))];
        let [bytes, oldest, _] = weight(&gap);
        told.extend([(text("bytes"), bytes.1), (text("oldest-ms"), oldest.1)]);
        Reply::Map(told)
    });
    fields.push((text("by-last-advert"), told));
    Reply::Map(fields)
}

fn partition(node: &Node, id: PartitionId, pairs: &[PairGap]) -> Reply {
    let rows = pairs.iter().map(|gap| pair(node, gap));
    Reply::Map(vec![
        (text("partition"), number(id.0)),
        (text("pairs"), Reply::Array(rows.collect())),
    ])
}

/// How long this node's own writes took until others held them.
fn visible(node: &Node) -> Reply {
    let figures = node.visibility.figures();
    let rows = figures.iter().map(|figures| {
        let peer = figures
            .peer
            .map_or_else(|| "*".to_owned(), |peer| node.topology().name(peer));
        Reply::Map(vec![
            (text("peer"), text(peer)),
            (text("events"), number(figures.events)),
            (text("p50-ms"), Reply::Double(figures.p50_ms)),
            (text("p99-ms"), Reply::Double(figures.p99_ms)),
            (text("max-ms"), Reply::Double(figures.max_ms)),
        ])
    });
    Reply::Array(rows.collect())
}

fn mismatches(node: &Node) -> Reply {
    let alarms = node.mismatches.all();
    let rows = alarms.iter().map(|alarm| {
        Reply::Map(vec![
            (text("partition"), number(alarm.partition.0)),
            (text("node"), text(node.config.node.clone())),
            (text("peer"), text(node.topology().name(alarm.peer))),
            (text("node-digest"), text(format!("{:032x}", alarm.ours))),
            (text("peer-digest"), text(format!("{:032x}", alarm.theirs))),
            (text("seen-ms"), number(alarm.at.0)),
            (text("times"), number(alarm.times)),
        ])
    });
    Reply::Array(rows.collect())
}

fn keys(node: Arc<Node>, count: usize) -> Outcome {
    Outcome::Later(Box::pin(async move {
        let found = node.differing_keys(count).await;
        let names = |nodes: &[NodeId]| {
            let names = nodes.iter().map(|at| text(node.topology().name(*at)));
            Reply::Array(names.collect())
        };
        let row = |differing: &DifferingKey| {
            let groups = differing.groups.iter().map(|group| names(group));
            Reply::Map(vec![
                (
                    text("key"),
                    Reply::Bulk(Bytes::copy_from_slice(&differing.key)),
                ),
                (text("partition"), number(differing.partition.0)),
                (text("same-on"), Reply::Array(groups.collect())),
            ])
        };
        Reply::Map(vec![
            (
                text("keys"),
                Reply::Array(found.keys.iter().map(row).collect()),
            ),
            (text("left-out"), number(found.left_out)),
            (
                text("partitions-left-out"),
                number(found.partitions_left_out),
            ),
            (text("unreachable"), names(&found.unreachable)),
        ])
    }))
}
