//! Running one command: find where its keys live, run it there, put the replies together.

mod inner;
mod place;
mod scan;
mod several;

pub(crate) use inner::{run_here, run_parts_here};
pub(super) use place::{Access, Caller, End, Piece, Route};
pub(super) use scan::{forward_read, on_partition};
pub(super) use several::{call_for, only_partition, rounds, rounds_apart, rounds_for};

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_core::command::{
    Flag, KeySpec, Keyspace, Run, Spec, check_arity, keys_of, lookup_id, needs_home, slot, unknown,
};
use evenkeel_core::id::PartitionId;
use evenkeel_resp::Reply;

use self::several::{on_each_key, on_every_partition, whole};
use super::block::{self, Blocked};
use super::session::Session;
use super::transaction::Exec;
use super::watch::Running;
use super::{acks, ek, fence, pubsub, server};
use crate::node::{Node, Topology};

/// Arguments of a command, borrowed from wherever they are.
pub(super) type Args<'a> = &'a [&'a [u8]];
/// What a command that must wait becomes.
pub(super) type Later = std::pin::Pin<Box<dyn Future<Output = Reply>>>;

/// What came of a command.
pub(super) enum Outcome {
    /// Its reply.
    Now(Reply),
    /// It has to wait.
    Later(Later),
    /// A transaction that has to wait.
    Exec(Box<Exec>),
    /// It waits for keys.
    Blocked(Box<Blocked>),
    /// What answers it is among the connection's messages, in its place.
    Posted,
    /// Its reply, and the end of the connection.
    Close(Reply),
}

/// Runs a command of a client, or queues it.
pub(super) fn run(session: &mut Session, args: Args<'_>) -> Outcome {
    let running = match admit(session, args) {
        Ok(running) => running,
        Err(refusal) => {
            session.transaction.spoil();
            return Outcome::Now(refusal);
        }
    };
    let spec = running.id.spec();
    if session.transaction.takes(spec) {
        return Outcome::Now(session.transaction.queue(spec, args));
    }
    session.wrote_in_turn |= spec.is(Flag::Write);
    session.running = Some(running.begun());
    match spec.run {
        Run::Shell if spec.name.starts_with("ek.") => ek::run(session, spec.name, args),
        Run::Shell => server::run(session, spec.name, args),
        Run::Scan => scan::scan(&session.node, args),
        Run::OnKey(work) => on_key(session, spec, args, work),
        Run::OnEachKey { each, fold } => on_each_key(session, spec, args, (each, fold)),
        Run::OnEveryPartition { each, fold } => {
            on_every_partition(session, spec, args, (each, fold))
        }
        Run::Rounds(step) => rounds(session, spec, args, step),
        Run::Blocking(blocking) => block::run(session, spec, args, blocking),
    }
}

/// The command that a client asks for, where it may be run.
fn admit(session: &mut Session, args: Args<'_>) -> Result<Running, Reply> {
    let id = args.first().and_then(|name| lookup_id(name));
    let id = id.ok_or_else(|| unknown(args))?;
    let spec = id.spec();
    if spec.is(Flag::Inner) {
        return Err(inner(spec));
    }
    let running = Running::new(id, args);
    session.running = Some(running);
    session.connected.note_command(running.counted);
    check_arity(spec, args)?;
    if let Some(refusal) = pubsub::refuse(session, spec, args) {
        return Err(refusal);
    }
    let wal = &session.node.wal;
    let refusal = if spec.is(Flag::Denyoom) {
        wal.refusal_to_grow()
    } else {
        wal.refusal()
    };
    match refusal {
        Some(refusal) if spec.is(Flag::Write) => Err(Reply::error(refusal.text())),
        _ => Ok(running),
    }
}

/// The refusal of what only other commands and nodes may run.
fn inner(spec: &Spec) -> Reply {
    Reply::error(format!(
        "UNSUPPORTED {} is a part of other commands and not for clients ; see COMMAND LIST for those that are",
        spec.name.to_uppercase()
    ))
}

/// A command's work on one partition.
type Work = fn(&mut Keyspace<'_>, Args<'_>) -> Reply;

pub(super) fn partition_of(key: &[u8]) -> PartitionId {
    Topology::partition_of_slot(slot(key))
}

fn on_key(session: &mut Session, spec: &'static Spec, args: Args<'_>, work: Work) -> Outcome {
    let first = if spec.keys == KeySpec::ONE {
        Some(1)
    } else {
        match keys_of(spec, args) {
            Ok(keys) => keys.first().copied(),
            Err(reply) => return Outcome::Now(reply),
        }
    };
    let Some(key) = first.and_then(|at| args.get(at)) else {
        return Outcome::Now(unknown(args));
    };
    let partition = partition_of(key);
    let route = session.caller.route(spec, args);
    if session.caller.is_here(partition, route) {
        let decides = needs_home(spec, args);
        let reply = session.run_here(partition, decides.into(), |keys| work(keys, args));
        return Outcome::Now(reply.unwrap_or_else(|| unknown(args)));
    }
    let caller = session.caller.clone();
    let access = Access::of(spec);
    let args = owned(args);
    Outcome::Later(Box::pin(async move {
        whole(&caller, partition, (route, access), args).await
    }))
}

/// Runs one command without a connection, as the HTTP face does: behind what a token stands for, where one is given.
/// Gives the reply and the token of what it depends on.
pub(crate) async fn run_once(
    node: &Arc<Node>,
    args: &[Bytes],
    after: Option<&[u8]>,
) -> (Reply, String) {
    let mut session = Session::new(Arc::clone(node), None, None);
    if let Some(token) = after
        && let refusal @ Reply::Error(_) = fence::after_token(&session, token).await
    {
        return (refusal, fence::token_of(&session));
    }
    let reply = run_alone(&mut session, args).await;
    (reply, fence::token_of(&session))
}

async fn run_alone(session: &mut Session, args: &[Bytes]) -> Reply {
    let node = Arc::clone(&session.node);
    let borrowed: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
    let fenced = fence::partitions_read(session, &borrowed);
    if !fenced.is_empty()
        && let refusal @ Reply::Error(_) = fence::fence(&session.caller, fenced).await
    {
        return refusal;
    }
    let reply = match run(session, &borrowed) {
        Outcome::Now(reply) | Outcome::Close(reply) => reply,
        Outcome::Later(later) => later.await,
        Outcome::Exec(mut exec) => exec.run(session).await,
        // Who has no connection does not wait, as in MULTI.
        Outcome::Blocked(blocked) => blocked.at_once().await,
        // Nobody is there to hear what would follow; the session ends here and its subscriptions with it.
        Outcome::Posted => Reply::error(
            "UNSUPPORTED subscribing needs a connection that stays ; use a Redis client for it",
        ),
    };
    if !session.wrote_in_turn {
        node.end_turn();
        return reply;
    }
    match node.settle_turn().await {
        Ok(()) => acks::settled(session, reply).await,
        Err(refusal) => Reply::error(refusal.text()),
    }
}

/// A future that waits for nothing, run at once.
fn ready(future: impl Future<Output = Reply> + 'static) -> Outcome {
    let mut future: Later = Box::pin(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(reply) => Outcome::Now(reply),
        std::task::Poll::Pending => Outcome::Later(future),
    }
}

pub(super) fn owned(args: Args<'_>) -> Vec<Bytes> {
    args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect()
}
