//! Read levels and tokens: what a replica must hold before a command is run.
//!
//! A read of several members is a read of one that holds at least what all of them hold: their contexts are asked for,
//! joined, and what this replica lacks of the join is fetched by anti-entropy, which sends exactly that. So every
//! command reads at a level, over any type, and the repair is nothing of its own (replication.md, section 6).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::causality::Context;
use evenkeel_core::command::{Flag, KeySpec, Run, check_arity, keys_of, lookup, needs_home};
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_resp::Reply;
use tokio::task::JoinSet;

use super::run::{Args, Caller, Later, Outcome, partition_of};
use super::server::{ok, text};
use super::session::Session;
use super::token::{self, Seen};
use crate::config::LEVEL_TIMEOUT_MS_MAX;
use crate::metrics::bump;
use crate::node::{Node, Topology, join_all};

/// How long `EK.AFTER` waits when it is not told.
const AFTER_DEFAULT: Duration = Duration::from_millis(1_000);

/// The partitions that a request reads, where its connection asks for more than one member.
pub(super) fn partitions_read(session: &Session, args: Args<'_>) -> Vec<PartitionId> {
    if session.caller.consistency.read.is_one() {
        return Vec::new();
    }
    let spec = args.first().and_then(|name| lookup(name));
    let Some(spec) = spec.filter(|spec| check_arity(spec, args).is_ok()) else {
        return Vec::new();
    };
    if session.transaction.takes(spec) || spec.name.starts_with("ek.") {
        return Vec::new();
    }
    let mut partitions: Vec<PartitionId> = match spec.run {
        Run::Shell if spec.name == "exec" => session.transaction.partitions(),
        Run::Scan | Run::OnEveryPartition { .. } if spec.is(Flag::Readonly) => {
            Topology::partitions().collect()
        }
        _ if spec.keys == KeySpec::NONE => Vec::new(),
        _ if spec.is(Flag::Readonly) || spec.name == "watch" || needs_home(spec, args) => {
            let places = keys_of(spec, args).unwrap_or_default();
            places
                .into_iter()
                .map(|at| partition_of(args[at]))
                .collect()
        }
        _ => Vec::new(),
    };
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}

/// Waits until what is run next on these partitions finds what enough members hold; null, or why it cannot.
pub(super) fn fence(caller: &Caller, partitions: Vec<PartitionId>) -> Later {
    let caller = caller.clone();
    Box::pin(async move {
        match raised(&caller, &partitions).await {
            Ok(()) => Reply::Null,
            Err(refusal) => {
                bump(&caller.node.metrics.unmet_reads);
                refusal
            }
        }
    })
}

async fn raised(caller: &Caller, partitions: &[PartitionId]) -> Result<(), Reply> {
    let node = &caller.node;
    let topology = Arc::clone(&node.topology());
    let wanted = |partition| topology.read_by(caller.consistency.read, partition);
    let until = Instant::now() + caller.consistency.timeout;
    caller.trail.borrow_mut().end_fence();
    let heard = heard_of(node, partitions, wanted, until).await;
    let short = partitions
        .iter()
        .map(|partition| {
            let answered = heard.get(partition).map_or(0, |(members, _)| *members);
            (answered, wanted(*partition))
        })
        .find(|(answered, wanted)| answered < wanted);
    if let Some((answered, wanted)) = short {
        return Err(Reply::error(format!(
            "UNMET {answered} of {wanted} members answered within {} ms ; nothing was read, ask again or read at a lower level",
            caller.consistency.timeout.as_millis()
        )));
    }
    let seen = heard
        .into_iter()
        .map(|(partition, (_, context))| (partition, context));
    let behind = reached(caller, &seen.collect(), until).await;
    if behind.is_empty() {
        return Ok(());
    }
    Err(Reply::error(format!(
        "UNMET enough members answered, and what they hold did not arrive here within {} ms ; nothing was read, ask again or read at a lower level",
        caller.consistency.timeout.as_millis()
    )))
}

/// What members hold of partitions: how many answered, and all of it joined. Ends when enough have answered.
async fn heard_of(
    node: &Arc<Node>,
    partitions: &[PartitionId],
    wanted: impl Fn(PartitionId) -> usize,
    until: Instant,
) -> BTreeMap<PartitionId, (usize, Context)> {
    let mut heard: BTreeMap<PartitionId, (usize, Context)> = BTreeMap::new();
    let topology = Arc::clone(&node.topology());
    let own = (partitions.iter())
        .filter(|id| topology.serves(**id))
        .filter_map(|id| Some((*id, node.context(*id)?)));
    heard.extend(own.map(|(id, context)| (id, (1, context))));
    let is_enough = |heard: &BTreeMap<PartitionId, (usize, Context)>| {
        let members = |id| heard.get(id).map_or(0, |(members, _)| *members);
        partitions.iter().all(|id| members(id) >= wanted(*id))
    };
    let mut asked = JoinSet::new();
    for peer in topology.others() {
        let shared = served_by(&topology, peer, partitions);
        if shared.is_empty() || is_enough(&heard) {
            continue;
        }
        let node = Arc::clone(node);
        let limit = until.saturating_duration_since(Instant::now());
        asked.spawn_local(async move { node.ask_contexts(peer, &shared, limit).await });
    }
    while !is_enough(&heard) {
        let Some(answer) = asked.join_next().await else {
            break;
        };
        for (id, context) in answer.ok().and_then(Result::ok).unwrap_or_default() {
            let (members, known) = heard.entry(id).or_default();
            *members += 1;
            known.join(&context);
        }
    }
    heard
}

fn served_by(topology: &Topology, peer: NodeId, partitions: &[PartitionId]) -> Vec<PartitionId> {
    let held = partitions.iter().copied();
    held.filter(|id| topology.replicas(*id).contains(&peer))
        .collect()
}

/// Waits until this node holds all of it; gives the partitions where it does not. For what it holds no replica of, the
/// next command of the connection must find it where it runs.
async fn reached(caller: &Caller, seen: &Seen, until: Instant) -> Vec<PartitionId> {
    let node = &caller.node;
    let mut waits = Vec::new();
    for (partition, context) in seen {
        if node.topology().serves(*partition) {
            waits.push(async move {
                let left = until.saturating_duration_since(Instant::now());
                let is_here = node.reach(*partition, context, left.into()).await;
                (!is_here).then_some(*partition)
            });
        } else {
            caller.trail.borrow_mut().fence(*partition, context);
        }
    }
    let behind = join_all(waits).await;
    behind.into_iter().flatten().collect()
}

/// `EK.TOKEN`: what the connection has read and written, for `EK.AFTER` at any node.
pub(super) fn token(session: &Session) -> Reply {
    text(token_of(session))
}

/// The text of the connection's token.
pub(super) fn token_of(session: &Session) -> String {
    let node = &session.node;
    let trail = session.caller.trail.borrow();
    let seen = trail.touched().filter_map(|partition| {
        let mut context = node.context(partition);
        if let Some(seen) = trail.seen(partition) {
            context.get_or_insert_default().join(seen);
        }
        Some((partition, context?))
    });
    token::encode(node.cluster, &seen.collect())
}

/// `EK.AFTER token [timeout-ms]`: from here on the connection finds at least what the token stands for.
pub(super) fn after(session: &Session, args: Args<'_>) -> Outcome {
    let limit = match args.get(2) {
        None => AFTER_DEFAULT,
        Some(arg) => {
            let ms = std::str::from_utf8(arg).ok().and_then(|ms| ms.parse().ok());
            match ms {
                Some(ms) if ms <= LEVEL_TIMEOUT_MS_MAX => Duration::from_millis(ms),
                _ => {
                    return Outcome::Now(Reply::error(
                        "ERR value is not an integer or out of range",
                    ));
                }
            }
        }
    };
    let seen = match token::decode(session.node.cluster, args[1]) {
        Ok(seen) => seen,
        Err(error) => return Outcome::Now(Reply::error(error.to_string())),
    };
    let caller = session.caller.clone();
    Outcome::Later(Box::pin(
        async move { come_after(&caller, &seen, limit).await },
    ))
}

/// The same without a connection.
pub(super) async fn after_token(session: &Session, token: &[u8]) -> Reply {
    match token::decode(session.node.cluster, token) {
        Ok(seen) => come_after(&session.caller, &seen, AFTER_DEFAULT).await,
        Err(error) => Reply::error(error.to_string()),
    }
}

async fn come_after(caller: &Caller, seen: &Seen, limit: Duration) -> Reply {
    let behind = reached(caller, seen, Instant::now() + limit).await;
    // Where it fails, the connection goes on as before.
    caller.trail.borrow_mut().end_fence();
    if !behind.is_empty() {
        return Reply::error(format!(
            "BEHIND after {} ms this node lacks events of {} of the token's {} partitions ; wait longer, or ask the node that gave the token",
            limit.as_millis(),
            behind.len(),
            seen.len()
        ));
    }
    let mut trail = caller.trail.borrow_mut();
    for (partition, context) in seen {
        if caller.node.topology().serves(*partition) {
            // This replica only grows: the connection's own tokens include it from now on.
            trail.touch(*partition);
        } else {
            trail.must_see(*partition, context);
        }
    }
    ok()
}
