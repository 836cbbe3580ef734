//! WAIT: how many other members hold what a connection has written, exactly, from contexts.
//!
//! A write that was forwarded has dots that this node does not know; the member that took it answers for it, with all
//! that it holds of the partition: a superset, so that no member is counted that may lack the write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use evenkeel_core::causality::Context;
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_core::partition::{Acks, Input, Reply as CoreReply};
use evenkeel_resp::Reply;

use super::run::{Args, Outcome, on_partition};
use super::session::Session;
use crate::node::Node;

/// WAIT without a time-out waits this long at most: a client that is gone must not hold a place for ever.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// How much longer than the wait itself a member's answer may be under way.
const ANSWER_GRACE: Duration = Duration::from_millis(200);

/// What is waited for: so many other members, until then.
#[derive(Clone, Copy)]
struct Wanted {
    others: usize,
    until: Instant,
}

impl Wanted {
    fn parse(args: Args<'_>) -> Result<Self, Reply> {
        let number = |at: usize| {
            let text = args.get(at).and_then(|arg| std::str::from_utf8(arg).ok());
            text.and_then(|text| text.parse::<i64>().ok())
        };
        let (Some(others), Some(timeout)) = (number(1), number(2)) else {
            return Err(Reply::error("ERR value is not an integer or out of range"));
        };
        let limit = match u64::try_from(timeout) {
            Err(_) => return Err(Reply::error("ERR timeout is negative")),
            Ok(0) => WAIT_MAX,
            Ok(ms) => Duration::from_millis(ms).min(WAIT_MAX),
        };
        Ok(Self {
            others: usize::try_from(others).unwrap_or(0),
            until: Instant::now() + limit,
        })
    }

    fn left(self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// `WAIT members timeout-ms`.
pub(super) fn run(session: &Session, args: Args<'_>) -> Outcome {
    let wanted = match Wanted::parse(args) {
        Ok(wanted) => wanted,
        Err(reply) => return Outcome::Now(reply),
    };
    let node = Arc::clone(&session.node);
    let written = session.written();
    let forwarded = session.caller.trail.borrow().forwarded();
    Outcome::Later(Box::pin(async move {
        let mut least = node.topology.replicas(PartitionId(0)).len() - 1;
        for (partition, dots) in written {
            least = least.min(held_by_others(&node, partition, dots, wanted).await);
        }
        for (partition, member) in forwarded {
            least = least.min(ask(&node, partition, member, wanted).await);
        }
        count(least)
    }))
}

/// `EK.PARTITION number WAIT members timeout-ms`: the same for all that this node holds of a partition.
pub(super) async fn run_inner(node: &Arc<Node>, partition: PartitionId, args: Args<'_>) -> Reply {
    let wanted = match Wanted::parse(args) {
        Ok(wanted) => wanted,
        Err(reply) => return reply,
    };
    let dots = node.context(partition).unwrap_or_default();
    count(held_by_others(node, partition, dots, wanted).await)
}

fn count(others: usize) -> Reply {
    Reply::Integer(i64::try_from(others).unwrap_or(i64::MAX))
}

async fn held_by_others(
    node: &Node,
    partition: PartitionId,
    dots: Context,
    wanted: Wanted,
) -> usize {
    let left = u64::try_from(wanted.left().as_millis()).unwrap_or(u64::MAX);
    let left = evenkeel_core::time::Duration::from_millis(left);
    let acks = Acks {
        members: wanted.others.saturating_add(1),
        durable: false,
    };
    let reached = node.request(partition, left, |ticket, deadline| Input::Await {
        ticket,
        dots,
        acks,
        deadline,
    });
    match reached.await {
        Some(CoreReply::Reached { members }) => members.saturating_sub(1),
        _ => 0,
    }
}

/// Asks the member that took a forwarded write. When it does not answer, nobody is known to hold the write.
async fn ask(node: &Node, partition: PartitionId, member: NodeId, wanted: Wanted) -> usize {
    let left = wanted.left();
    let command = [
        "WAIT".to_owned(),
        wanted.others.to_string(),
        left.as_millis().max(1).to_string(),
    ];
    let command = on_partition(partition, &command.map(Bytes::from));
    match node.ask_command(member, command, left + ANSWER_GRACE).await {
        Ok(Reply::Integer(others)) => usize::try_from(others).unwrap_or(0),
        _ => 0,
    }
}
