//! SCAN: one partition after the other, in the order of the keys' hashes within each.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_core::command::ScanRequest;
use evenkeel_core::id::PartitionId;
use evenkeel_resp::Reply;

use super::place::FORWARD_TIMEOUT;
use super::{Args, Outcome, owned, ready};
use crate::client::ek;
use crate::metrics::bump;
use crate::node::Node;

pub(super) fn scan(node: &Arc<Node>, args: Args<'_>) -> Outcome {
    let node = Arc::clone(node);
    let args = owned(args);
    ready(async move {
        let borrowed: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
        let request = match ScanRequest::parse(&borrowed) {
            Ok(request) => request,
            Err(reply) => return reply,
        };
        let Some(cursor) = ek::Cursor::of(request.cursor) else {
            return Reply::error("ERR invalid cursor");
        };
        let mut left = request.count;
        let mut found = Vec::new();
        let mut at = Some(cursor);
        // What was looked at counts, and not what passed the filter: a filter that nothing passes costs no more.
        while let Some(cursor) = at.filter(|_| left > 0) {
            match ek::scan_step(&node, cursor, left, &borrowed).await {
                Ok(step) => {
                    found.extend(step.keys);
                    left = left.saturating_sub(step.looked_at);
                    at = step.next;
                }
                Err(reply) => return reply,
            }
        }
        let next = at.map_or(0, ek::Cursor::number);
        Reply::Array(vec![Reply::bulk(next.to_string()), Reply::Array(found)])
    })
}

/// The inner request for one partition: `EK.PARTITION number command…`, between nodes only.
pub(in crate::client) fn on_partition(partition: PartitionId, args: &[Bytes]) -> Vec<Bytes> {
    let head = [
        Bytes::from_static(b"EK.PARTITION"),
        Bytes::from(partition.0.to_string()),
    ];
    head.into_iter().chain(args.iter().cloned()).collect()
}

/// Asks the members of a partition that is not held here for a page, one after the other until one answers.
pub(in crate::client) async fn forward_read(
    node: &Arc<Node>,
    partition: PartitionId,
    args: Vec<Bytes>,
) -> Reply {
    bump(&node.metrics.forwarded);
    let (live, rest): (Vec<_>, Vec<_>) = node
        .topology()
        .replicas(partition)
        .into_iter()
        .partition(|member| node.is_live(*member));
    for member in live.into_iter().chain(rest) {
        let answer = node.ask_command(member, args.clone(), FORWARD_TIMEOUT);
        if let Ok(reply) = answer.await {
            return reply;
        }
    }
    Reply::error(
        "NOHOME no member that holds this partition can be reached from this node ; try another node",
    )
}
