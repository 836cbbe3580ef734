//! Running one command: find where its keys live, run it there, put the replies together.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::causality::Context;
use evenkeel_core::command::{
    Flag, Fold, KeySpec, Keyspace, Round, Run, ScanRequest, Spec, check_arity, keys_of, lookup,
    slot, unknown,
};
use evenkeel_core::id::PartitionId;
use evenkeel_resp::Reply;
use smallvec::SmallVec;

use super::session::{Forwarded, Session};
use super::{ek, pubsub, server};
use crate::metrics::bump;
use crate::node::{Node, Topology, Unanswered};

/// Arguments of a command, borrowed from wherever they are.
pub(super) type Args<'a> = &'a [&'a [u8]];
/// What a command that must wait becomes.
pub(super) type Later = std::pin::Pin<Box<dyn Future<Output = Reply>>>;

/// How long a forwarded command may take before its outcome is answered as unknown.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(5);
/// What came of a command.
pub(super) enum Outcome {
    /// Its reply.
    Now(Reply),
    /// It has to wait.
    Later(Later),
    /// What answers it is among the connection's messages, in its place.
    Posted,
    /// Its reply, and the end of the connection.
    Close(Reply),
}

/// Runs a command of a client.
pub(super) fn run(session: &mut Session, args: Args<'_>) -> Outcome {
    let Some(spec) = args.first().and_then(|name| lookup(name)) else {
        return Outcome::Now(unknown(args));
    };
    if spec.is(Flag::Inner) {
        return Outcome::Now(inner(spec));
    }
    session.last_command = spec.name;
    if let Err(reply) = check_arity(spec, args) {
        return Outcome::Now(reply);
    }
    if let Some(refusal) = pubsub::refuse(session, spec, args) {
        return Outcome::Now(refusal);
    }
    if spec.flags.contains(&Flag::Write) {
        if let Some(refusal) = session.node.wal.refusal() {
            return Outcome::Now(Reply::error(refusal.text()));
        }
        session.wrote_in_turn = true;
    }
    match spec.run {
        Run::Shell if spec.name.starts_with("ek.") => ek::run(session, spec.name, args),
        Run::Shell => server::run(session, spec.name, args),
        Run::Scan => scan(&session.node, args),
        Run::OnKey(work) => on_key(session, spec, args, work),
        Run::OnEachKey { each, fold } => on_each_key(session, spec, args, (each, fold)),
        Run::OnEveryPartition { each, fold } => {
            on_every_partition(session, spec, args, (each, fold))
        }
        Run::Rounds(step) => rounds(session, args, step),
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

fn partition_of(key: &[u8]) -> PartitionId {
    Topology::partition_of_slot(slot(key))
}

/// Runs on a partition held here; `None` where it is not. Gives the dots that were minted.
fn work_here(
    node: &Node,
    partition: PartitionId,
    args: Args<'_>,
    work: Work,
) -> Option<(Reply, Context)> {
    node.with(partition, |replica, now, effects| {
        let mut keyspace = Keyspace::new(replica, now, crate::entropy::chance(), effects);
        let reply = work(&mut keyspace, args);
        (reply, keyspace.dots().clone())
    })
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
    match work_here(&session.node, partition, args, work) {
        Some((reply, dots)) => {
            session.wrote(partition, &dots);
            Outcome::Now(reply)
        }
        None => Outcome::Later(Box::pin(forward(
            Arc::clone(&session.node),
            spec,
            (partition, Forwarded::clone(&session.forwarded)),
            owned(args),
        ))),
    }
}

fn on_each_key(
    session: &mut Session,
    spec: &'static Spec,
    args: Args<'_>,
    (each, fold): (Work, Fold),
) -> Outcome {
    let keys = match keys_of(spec, args) {
        Ok(keys) => keys,
        Err(reply) => return Outcome::Now(reply),
    };
    let stride = spec.keys.step.max(1);
    let mut replies = Vec::with_capacity(keys.len());
    let mut elsewhere = false;
    for at in &keys {
        let part: SmallVec<[&[u8]; 4]> = std::iter::once(&args[0])
            .chain(&args[*at..(at + stride).min(args.len())])
            .copied()
            .collect();
        let partition = partition_of(args[*at]);
        if let Some((reply, dots)) = work_here(&session.node, partition, &part, each) {
            session.wrote(partition, &dots);
            replies.push(Slot::Done(reply));
        } else {
            elsewhere = true;
            replies.push(Slot::Elsewhere(partition, owned(&part)));
        }
    }
    let node = Arc::clone(&session.node);
    let forwarded = Forwarded::clone(&session.forwarded);
    let all = async move {
        let mut done = Vec::with_capacity(replies.len());
        for slot in replies {
            done.push(match slot {
                Slot::Done(reply) => reply,
                Slot::Elsewhere(partition, args) => {
                    let place = (partition, Forwarded::clone(&forwarded));
                    forward(Arc::clone(&node), spec, place, args).await
                }
            });
        }
        folded(done, fold)
    };
    if elsewhere {
        Outcome::Later(Box::pin(all))
    } else {
        ready(all)
    }
}

/// What a command over several keys does next.
type Step = fn(Args<'_>, &[Vec<Reply>]) -> Round;

/// Runs a command in rounds of calls, each where its key lives.
fn rounds(session: &Session, args: Args<'_>, step: Step) -> Outcome {
    let node = Arc::clone(&session.node);
    let forwarded = Forwarded::clone(&session.forwarded);
    let args = owned(args);
    ready(async move {
        let borrowed: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
        let mut answers = Vec::new();
        loop {
            match step(&borrowed, &answers) {
                Round::Done(reply) => return reply,
                Round::Calls(calls) => {
                    let mut replies = Vec::with_capacity(calls.len());
                    for call in calls {
                        replies.push(call_one(&node, &forwarded, call).await);
                    }
                    answers.push(replies);
                }
            }
        }
    })
}

/// Runs one call of a command over several keys.
async fn call_one(node: &Arc<Node>, forwarded: &Forwarded, call: Vec<Bytes>) -> Reply {
    let borrowed: Vec<&[u8]> = call.iter().map(|arg| &arg[..]).collect();
    let Some(spec) = borrowed.first().and_then(|name| lookup(name)) else {
        return unknown(&borrowed);
    };
    if let Err(reply) = check_arity(spec, &borrowed) {
        return reply;
    }
    let keys = keys_of(spec, &borrowed).unwrap_or_default();
    let (Run::OnKey(work), [at, ..]) = (spec.run, &keys[..]) else {
        return unknown(&borrowed);
    };
    let partition = partition_of(borrowed[*at]);
    match work_here(node, partition, &borrowed, work) {
        Some((reply, _)) => reply,
        None => {
            let place = (partition, Forwarded::clone(forwarded));
            forward(Arc::clone(node), spec, place, call).await
        }
    }
}

/// A part of a command over several keys.
enum Slot {
    Done(Reply),
    Elsewhere(PartitionId, Vec<Bytes>),
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

fn on_every_partition(
    session: &mut Session,
    spec: &'static Spec,
    args: Args<'_>,
    (each, fold): (Work, Fold),
) -> Outcome {
    let mut replies = Vec::new();
    let mut elsewhere = Vec::new();
    for partition in Topology::partitions() {
        match work_here(&session.node, partition, args, each) {
            Some((reply, dots)) => {
                session.wrote(partition, &dots);
                replies.push(reply);
            }
            None => elsewhere.push(partition),
        }
    }
    if elsewhere.is_empty() {
        return Outcome::Now(folded(replies, fold));
    }
    let node = Arc::clone(&session.node);
    let args = owned(args);
    let forwarded = Forwarded::clone(&session.forwarded);
    Outcome::Later(Box::pin(async move {
        for partition in elsewhere {
            let asked = on_partition(partition, &args);
            let place = (partition, Forwarded::clone(&forwarded));
            replies.push(forward(Arc::clone(&node), spec, place, asked).await);
        }
        folded(replies, fold)
    }))
}

/// The inner request for one partition: `EK.PARTITION number command…`, between nodes only.
pub(super) fn on_partition(partition: PartitionId, args: &[Bytes]) -> Vec<Bytes> {
    let head = [
        Bytes::from_static(b"EK.PARTITION"),
        Bytes::from(partition.0.to_string()),
    ];
    head.into_iter().chain(args.iter().cloned()).collect()
}

/// Puts the replies of the parts together; the first error stands for all.
fn folded(replies: Vec<Reply>, fold: Fold) -> Reply {
    fold.fold(replies)
}

/// Runs a command on a member of a partition that is not held here. Writes are sent once: when no answer comes, the
/// outcome is unknown. Reads go on to the next member.
async fn forward(
    node: Arc<Node>,
    spec: &'static Spec,
    (partition, forwarded): (PartitionId, Forwarded),
    args: Vec<Bytes>,
) -> Reply {
    bump(&node.metrics.forwarded);
    let members = node.topology.replicas(partition);
    let (linked, unlinked): (Vec<_>, Vec<_>) = members
        .into_iter()
        .partition(|member| node.is_linked(*member));
    for member in linked.into_iter().chain(unlinked) {
        match node
            .ask_command(member, args.clone(), FORWARD_TIMEOUT)
            .await
        {
            Ok(reply) => {
                if spec.flags.contains(&Flag::Write) {
                    forwarded.lock().insert((partition, member));
                }
                return reply;
            }
            Err(Unanswered::NotSent) => {}
            Err(Unanswered::Unknown) if spec.flags.contains(&Flag::Write) => {
                bump(&node.metrics.in_doubt);
                return Reply::error(format!(
                    "INDOUBT the command was sent to {} and no answer came ; it may have been done, read before you repeat it",
                    node.topology.name(member)
                ));
            }
            Err(Unanswered::Unknown) => {}
        }
    }
    Reply::error(
        "NOHOME no member that holds this key can be reached from this node ; nothing was done, try another node",
    )
}

/// Runs a command that only reads on a member of a partition that is not held here.
pub(super) async fn forward_read(
    node: &Arc<Node>,
    partition: PartitionId,
    args: Vec<Bytes>,
) -> Reply {
    match lookup(b"scan") {
        Some(spec) => {
            let place = (partition, Forwarded::default());
            forward(Arc::clone(node), spec, place, args).await
        }
        None => Reply::error("ERR SCAN is not in the table"),
    }
}

/// Runs one command without a connection, as the HTTP face does.
pub(crate) async fn run_once(node: &Arc<Node>, args: &[Bytes]) -> Reply {
    let borrowed: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
    let mut session = Session::new(Arc::clone(node), None, None);
    let reply = match run(&mut session, &borrowed) {
        Outcome::Now(reply) | Outcome::Close(reply) => reply,
        Outcome::Later(later) => later.await,
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
        Ok(()) => reply,
        Err(refusal) => Reply::error(refusal.text()),
    }
}

/// Runs a command that another node has sent: here and nowhere else.
pub(crate) async fn run_here(node: &Arc<Node>, args: Vec<Bytes>) -> Reply {
    let borrowed: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
    let writes = borrowed.iter().take(3).any(|name| {
        // The name stands behind EK.PARTITION and its number, where that is there.
        lookup(name).is_some_and(|spec| spec.flags.contains(&Flag::Write))
    });
    let reply = run_local(node, &borrowed).await;
    if !writes {
        node.end_turn();
        return reply;
    }
    match node.settle_turn().await {
        Ok(()) => reply,
        Err(refusal) => Reply::error(refusal.text()),
    }
}

async fn run_local(node: &Arc<Node>, args: Args<'_>) -> Reply {
    let (partition, args) = match args {
        [name, number, rest @ ..] if name.eq_ignore_ascii_case(b"EK.PARTITION") => {
            let number = std::str::from_utf8(number)
                .ok()
                .and_then(|text| text.parse().ok());
            (number.map(PartitionId), rest)
        }
        _ => (None, args),
    };
    let Some(spec) = args.first().and_then(|name| lookup(name)) else {
        return unknown(args);
    };
    if spec.name == "pubsub" {
        return pubsub::run_inner(node, args);
    }
    if spec.flags.contains(&Flag::Write)
        && let Some(refusal) = node.wal.refusal()
    {
        return Reply::error(refusal.text());
    }
    let first_key = keys_of(spec, args)
        .ok()
        .and_then(|keys| keys.first().copied());
    let partition = partition.or_else(|| {
        first_key
            .and_then(|at| args.get(at))
            .map(|key| partition_of(key))
    });
    let Some(partition) = partition.filter(|partition| node.holds(*partition)) else {
        return Reply::error(
            "NOHOME this node holds no replica of the key ; the member lists differ",
        );
    };
    match spec.run {
        Run::OnKey(work)
        | Run::OnEachKey { each: work, .. }
        | Run::OnEveryPartition { each: work, .. } => {
            work_here(node, partition, args, work).map_or_else(|| unknown(args), |(reply, _)| reply)
        }
        // Its calls are what is forwarded.
        Run::Rounds(_) => unknown(args),
        Run::Scan => ek::scan_here(node, partition, args),
        Run::Shell if spec.name == "wait" => super::wait::run_inner(node, partition, args).await,
        Run::Shell => ek::run_inner(node, spec.name, args).await,
    }
}

/// SCAN: one partition after the other, in the order of the keys' hashes within each.
fn scan(node: &Arc<Node>, args: Args<'_>) -> Outcome {
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
        let wanted = request.count;
        let mut found = Vec::new();
        let mut at = Some(cursor);
        while let Some(cursor) = at {
            let page = ek::scan_page(&node, cursor, wanted - found.len(), &borrowed).await;
            match page {
                Ok((keys, next)) => {
                    found.extend(keys);
                    at = next;
                }
                Err(reply) => return reply,
            }
            if found.len() >= wanted {
                break;
            }
        }
        let next = at.map_or(0, ek::Cursor::number);
        Reply::Array(vec![Reply::bulk(next.to_string()), Reply::Array(found)])
    })
}

pub(super) fn owned(args: Args<'_>) -> Vec<Bytes> {
    args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect()
}
