//! What runs on this node and nowhere else: parts of commands, from its own clients and from other nodes.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_core::causality::Context;
use evenkeel_core::command::{
    Flag, Keyspace, Run, Spec, check_arity, keys_of, lookup, needs_home, unknown,
};
use evenkeel_core::id::PartitionId;
use evenkeel_resp::Reply;

use super::place::CATCH_UP;
use super::{Args, partition_of};
use crate::client::{ek, pubsub, wait};
use crate::node::{Done, Node, Part};

/// A part that was run here.
pub(super) enum Ran {
    Replies {
        replies: Vec<Reply>,
        /// What it wrote.
        dots: Context,
        /// What this replica then held.
        context: Context,
    },
    /// A watched key has another state: nothing was run.
    Changed,
}

/// Runs a part under the partition's lock, as one batch; `None` where there is no replica here.
pub(super) fn run_part(node: &Node, part: &Part) -> Option<Ran> {
    node.with(part.partition, |replica, now, effects| {
        let mut keys = Keyspace::new(replica, now, crate::entropy::chance(), effects);
        let mut watched = part.watched.iter();
        if watched.any(|(key, state)| keys.watched_state(key) != *state) {
            return Ran::Changed;
        }
        let mut decided = !part.watched.is_empty();
        let commands = part.commands.iter();
        let replies = commands.map(|command| {
            let args: Vec<&[u8]> = command.iter().map(|arg| &arg[..]).collect();
            let (reply, decides) = run_one(&mut keys, &args);
            decided |= decides;
            reply
        });
        let replies = replies.collect();
        let dots = keys.dots().clone();
        drop(keys);
        if decided {
            node.decided(part.partition, &dots);
        }
        let context = replica.replica().context().clone();
        Ran::Replies {
            replies,
            dots,
            context,
        }
    })
}

/// Runs one command; tells whether it decided by what it read.
fn run_one(keys: &mut Keyspace<'_>, args: Args<'_>) -> (Reply, bool) {
    let Some(spec) = args.first().and_then(|name| lookup(name)) else {
        return (unknown(args), false);
    };
    if let Err(reply) = check_arity(spec, args) {
        return (reply, false);
    }
    if spec.name == "watch" {
        return (watched_states(keys, args), false);
    }
    (keys.run(spec, args), needs_home(spec, args))
}

/// Between nodes WATCH answers what the keys now show, as text.
fn watched_states(keys: &Keyspace<'_>, args: Args<'_>) -> Reply {
    let states = args[1..].iter().map(|key| keys.watched_state(key));
    Reply::Array(
        states
            .map(|state| Reply::bulk(state.to_le_bytes().to_vec()))
            .collect(),
    )
}

/// Runs what another node has sent: parts on partitions held here.
pub(crate) async fn run_parts_here(node: &Arc<Node>, parts: &[Part]) -> Vec<Done> {
    let until =
        tokio::time::Instant::now() + std::time::Duration::from_millis(CATCH_UP.as_millis());
    let mut all = Vec::with_capacity(parts.len());
    let mut wrote = false;
    for part in parts {
        let writes = writes(part);
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        all.push(match refusal(node, part, writes) {
            Some(reply) => Done::Refused(reply),
            None if !node.reach(part.partition, &part.after, left.into()).await => Done::Behind,
            None => match run_part(node, part) {
                Some(Ran::Replies {
                    replies, context, ..
                }) => {
                    wrote |= writes;
                    Done::Ran(replies, context)
                }
                Some(Ran::Changed) => Done::Changed,
                None => Done::Refused(not_held()),
            },
        });
    }
    if !wrote {
        node.end_turn();
        return all;
    }
    if let Err(refusal) = node.settle_turn().await {
        for (done, part) in all.iter_mut().zip(parts) {
            if matches!(done, Done::Ran(..)) && writes(part) {
                *done = Done::Failed(Reply::error(refusal.text()));
            }
        }
    }
    all
}

fn writes(part: &Part) -> bool {
    has(part, Flag::Write)
}

/// Whether a part makes data grow.
fn grows(part: &Part) -> bool {
    has(part, Flag::Denyoom)
}

fn has(part: &Part, flag: Flag) -> bool {
    let mut commands = part.commands.iter();
    commands.any(|command| {
        let spec = command.first().and_then(|name| lookup(name));
        spec.is_some_and(|spec| spec.is(flag))
    })
}

fn refusal(node: &Node, part: &Part, writes: bool) -> Option<Reply> {
    if *node.closing.borrow() || !node.takes(part.partition) {
        return Some(not_held());
    }
    let refusal = if grows(part) {
        node.wal.refusal_to_grow()
    } else {
        node.wal.refusal()
    };
    let refusal = refusal.filter(|_| writes)?;
    Some(Reply::error(refusal.text()))
}

fn not_held() -> Reply {
    Reply::error(
        "NOHOME this node does not serve the key ; it stops, or the topology has just changed",
    )
}

/// Runs a command that another node has sent and that is about no partition, or that only the shell can run.
pub(crate) async fn run_here(node: &Arc<Node>, args: Vec<Bytes>) -> Reply {
    let borrowed: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
    let (partition, rest) = match &borrowed[..] {
        [name, number, rest @ ..] if name.eq_ignore_ascii_case(b"EK.PARTITION") => {
            let number = std::str::from_utf8(number).ok();
            let number = number.and_then(|text| text.parse().ok());
            (number.map(PartitionId), rest)
        }
        _ => (None, &borrowed[..]),
    };
    let Some(spec) = rest.first().and_then(|name| lookup(name)) else {
        return unknown(rest);
    };
    let reply = run_by_name(node, spec, partition, rest).await;
    node.end_turn();
    reply
}

async fn run_by_name(
    node: &Arc<Node>,
    spec: &'static Spec,
    partition: Option<PartitionId>,
    args: Args<'_>,
) -> Reply {
    if spec.name == "pubsub" {
        return pubsub::run_inner(node, args);
    }
    let first_key = keys_of(spec, args)
        .ok()
        .and_then(|keys| keys.first().copied())
        .and_then(|at| args.get(at));
    let partition = partition.or_else(|| first_key.map(|key| partition_of(key)));
    let Some(partition) = partition.filter(|partition| node.holds(*partition)) else {
        return not_held();
    };
    match spec.run {
        Run::Scan => ek::scan_here(node, partition, args),
        Run::Shell if spec.name == "wait" => wait::run_inner(node, partition, args).await,
        Run::Shell => ek::run_inner(node, spec.name, args).await,
        // These come as parts.
        Run::OnKey(_)
        | Run::OnEachKey { .. }
        | Run::OnEveryPartition { .. }
        | Run::Rounds(_)
        | Run::Blocking(_) => unknown(args),
    }
}
