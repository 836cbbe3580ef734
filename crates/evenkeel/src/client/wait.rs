//! WAIT and WAITAOF: how many members hold what a connection has written, exactly, from contexts.
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
use evenkeel_store::log::SyncPolicy;

use super::run::{Args, Outcome, on_partition};
use super::session::Session;
use super::trail::{Owed, Writer, up_to};
use crate::node::Node;

/// WAIT without a time-out waits this long at most: a client that is gone must not hold a place for ever.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// How much longer than the wait itself a member's answer may be under way.
const ANSWER_GRACE: Duration = Duration::from_millis(200);
/// How often WAITAOF looks again whether the local log is synced, when others are ahead of it.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What is waited for: so many members, the one that took the write included, until then.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) members: usize,
    /// Whether an fsync must cover it on each of them.
    pub(super) durable: bool,
    pub(super) until: Instant,
}

impl Wanted {
    /// The arguments from the number of members on.
    fn parse(args: Args<'_>) -> Result<Self, Reply> {
        let (Some(members), Some(timeout)) = (integer(args, 0), integer(args, 1)) else {
            return Err(Reply::error("ERR value is not an integer or out of range"));
        };
        let limit = match u64::try_from(timeout) {
            Err(_) => return Err(Reply::error("ERR timeout is negative")),
            Ok(0) => WAIT_MAX,
            Ok(ms) => Duration::from_millis(ms).min(WAIT_MAX),
        };
        Ok(Self {
            members: usize::try_from(members).unwrap_or(0),
            durable: args
                .get(2)
                .is_some_and(|how| how.eq_ignore_ascii_case(b"DURABLE")),
            until: Instant::now() + limit,
        })
    }

    fn left(self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

fn integer(args: Args<'_>, at: usize) -> Option<i64> {
    let text = std::str::from_utf8(args.get(at)?).ok()?;
    text.parse().ok()
}

/// `WAIT members timeout-ms`.
pub(super) fn run(session: &Session, args: Args<'_>) -> Outcome {
    let mut wanted = match Wanted::parse(&args[1..]) {
        Ok(wanted) => wanted,
        Err(reply) => return Outcome::Now(reply),
    };
    // A client counts the others.
    wanted.members = wanted.members.saturating_add(1);
    let node = Arc::clone(&session.node);
    let written = session.written();
    Outcome::Later(Box::pin(async move {
        let members = least_holders(&node, &written, wanted).await;
        Reply::Integer(whole(members.saturating_sub(1)))
    }))
}

/// `WAITAOF local members timeout-ms`: the same for what is synced to the disks, as in Redis 7.2.
pub(super) fn run_aof(session: &Session, args: Args<'_>) -> Outcome {
    let Some(local) = integer(args, 1) else {
        return Outcome::Now(Reply::error("ERR value is not an integer or out of range"));
    };
    if !(0..=1).contains(&local) {
        return Outcome::Now(Reply::error(
            "ERR value is out of range, must be between 0 and 1",
        ));
    }
    let mut wanted = match Wanted::parse(&args[2..]) {
        Ok(wanted) => wanted,
        Err(reply) => return Outcome::Now(reply),
    };
    let node = Arc::clone(&session.node);
    if local > 0 && node.config.sync == SyncPolicy::Never {
        return Outcome::Now(Reply::error(
            "ERR WAITAOF cannot be used when numlocal is set but the log is never synced ; start the node with --sync everysec or always",
        ));
    }
    wanted.durable = true;
    let others = wanted.members;
    let written = session.written();
    Outcome::Later(Box::pin(async move {
        loop {
            wanted.members = others + usize::from(local > 0 || is_synced(&node, &written));
            let members = least_holders(&node, &written, wanted).await;
            let here = is_synced(&node, &written);
            let there = members.saturating_sub(usize::from(here));
            let enough = there >= others && (here || local == 0);
            if enough || wanted.left().is_zero() {
                return Reply::Array(vec![
                    Reply::Integer(i64::from(here)),
                    Reply::Integer(whole(there)),
                ]);
            }
            tokio::time::sleep(LOOK_AGAIN.min(wanted.left())).await;
        }
    }))
}

/// Whether the log of this node is synced up to what it wrote itself.
fn is_synced(node: &Node, written: &[Owed]) -> bool {
    written.iter().all(|owed| match owed.by {
        Writer::Here(newest) => {
            let dots = up_to(newest);
            let synced = node.look(owed.partition, |replica| dots.is_subset(replica.durable()));
            synced.unwrap_or(false)
        }
        Writer::Member(_) => true,
    })
}

/// `EK.PARTITION number WAIT members timeout-ms [DURABLE]`: the same for all that this node holds of a partition,
/// itself counted.
pub(super) async fn run_inner(node: &Arc<Node>, partition: PartitionId, args: Args<'_>) -> Reply {
    let wanted = match Wanted::parse(&args[1..]) {
        Ok(wanted) => wanted,
        Err(reply) => return reply,
    };
    let dots = node.context(partition).unwrap_or_default();
    Reply::Integer(whole(holders(node, partition, dots, wanted).await))
}

fn whole(members: usize) -> i64 {
    i64::try_from(members).unwrap_or(i64::MAX)
}

/// How many members hold the one of these writes that fewest hold; all of them when there is no write.
async fn least_holders(node: &Node, written: &[Owed], wanted: Wanted) -> usize {
    let mut least = node.topology().replicas_wanted();
    for owed in written {
        least = least.min(holders_of(node, *owed, wanted).await);
    }
    least
}

/// How many members hold a write.
pub(super) async fn holders_of(node: &Node, owed: Owed, wanted: Wanted) -> usize {
    match owed.by {
        Writer::Here(newest) => {
            let dots = up_to(newest);
            holders(node, owed.partition, dots, wanted).await
        }
        Writer::Member(member) => ask(node, owed.partition, member, wanted).await,
    }
}

async fn holders(node: &Node, partition: PartitionId, dots: Context, wanted: Wanted) -> usize {
    let acks = Acks {
        members: wanted.members,
        durable: wanted.durable,
    };
    let reached = node.request(partition, wanted.left().into(), |ticket, deadline| {
        Input::Await {
            ticket,
            dots,
            acks,
            deadline,
        }
    });
    match reached.await {
        Some(CoreReply::Reached { members }) => members,
        _ => 0,
    }
}

/// Asks the member that took a forwarded write. When it does not answer, nobody is known to hold the write.
async fn ask(node: &Node, partition: PartitionId, member: NodeId, wanted: Wanted) -> usize {
    let left = wanted.left();
    let mut command = vec![
        "WAIT".to_owned(),
        wanted.members.to_string(),
        left.as_millis().max(1).to_string(),
    ];
    if wanted.durable {
        command.push("DURABLE".to_owned());
    }
    let command: Vec<Bytes> = command.into_iter().map(Bytes::from).collect();
    let command = on_partition(partition, &command);
    match node.ask_command(member, command, left + ANSWER_GRACE).await {
        Ok(Reply::Integer(members)) => usize::try_from(members).unwrap_or(0),
        _ => 0,
    }
}
