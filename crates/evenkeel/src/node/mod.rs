//! One running node: its partitions, its log, its links, and the way between them.
//!
//! Every partition is a state machine behind a lock of its own; [`Node::with`] is the only way to it, and hands its
//! effects on in their order: records to the log's staging area, frames to the peers, replies to who waits.

mod ask;
mod checkpoint;
mod compare;
mod conflicts;
mod control;
mod convergence;
mod decisions;
mod divergence;
mod files;
mod founding;
mod identity;
mod membership;
mod mismatches;
pub mod offline;
mod part;
mod recovery;
mod repairs;
mod replicas;
mod reserve;
mod scrub;
mod settling;
mod ticker;
mod topology;
mod waiters;
mod wal;

pub(crate) use ask::Unanswered;
pub(crate) use checkpoint::run as keep_log_short;
pub(crate) use compare::Gap;
pub(crate) use conflicts::{ConflictLog, Logged, Writers};
pub(crate) use control::{CHANGE_TIMEOUT, Control, run as keep_topology};
pub(crate) use convergence::join_all;
pub(crate) use divergence::{DifferingKey, Divergence, PairGap};
pub(crate) use mismatches::Mismatches;
pub(crate) use part::{Done, Part};
pub use recovery::StartError;
pub(crate) use recovery::open;
pub(crate) use repairs::answer_repairs;
pub(crate) use scrub::{answer as scrubbed_here, run as keep_scrubbed};
pub(crate) use ticker::{hear_durable, tick};
pub(crate) use topology::{Nodes, Topology};
pub(crate) use waiters::{Awaited, Call, Unblock, Waiter, Waiters};
pub(crate) use wal::{Note, Refusal};

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use arc_swap::{ArcSwap, Guard};
use bytes::{Buf, Bytes};
use evenkeel_core::causality::Context;
use evenkeel_core::id::{ActorId, NodeId, PartitionId, Ticket};
use evenkeel_core::observation::Observation;
use evenkeel_core::partition::{Effect, Garbage, Input, Partition, Reply};
use evenkeel_core::time::{Duration, Now, WallMs};
use evenkeel_core::types::CellId;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::client::Front;
use crate::config::{Config, Token};
use crate::link::compressed::compress;
use crate::link::fault::Faults;
use crate::link::frame::Kind;
use crate::link::{Announce, Outbox};
use crate::metrics::Metrics;
use crate::visibility::Visibility;

/// Everything that the parts of a node share.
pub(crate) struct Node {
    pub(crate) config: Config,
    /// This node.
    pub(crate) me: NodeId,
    /// The cluster's id: nodes of others are refused.
    pub(crate) cluster: u64,
    /// What all nodes of the cluster know, if there is such a secret.
    pub(crate) secret: Option<Token>,
    /// Where the others are to dial this node, if it knows better than the topology.
    dialled_at: Option<String>,
    topology: ArcSwap<Topology>,
    /// The epoch of the topology, told when it changes.
    pub(crate) changed: watch::Sender<u64>,
    /// The actor of this start.
    pub(crate) incarnation: ActorId,
    pub(crate) announce: Announce,
    pub(crate) metrics: Metrics,
    pub(crate) conflicts: ConflictLog,
    pub(crate) mismatches: Mismatches,
    pub(crate) visibility: Visibility,
    pub(crate) control: Control,
    reported: Mutex<membership::Reported>,
    repairs: repairs::Repairs,
    decisions: decisions::Decisions,
    settling: settling::Settling,
    pub(crate) writers: Writers,
    pub(crate) front: Front,
    pub(crate) faults: Faults,
    outboxes: ArcSwap<BTreeMap<NodeId, Arc<Outbox>>>,
    pub(crate) wal: wal::Wal,
    pub(crate) checkpoints: checkpoint::Checkpoints,
    pub(crate) scrubber: scrub::Scrubber,
    pub(crate) files: files::Files,
    /// By partition number: one each, also where this node is no member. It is the same one as long as the process runs,
    /// since it knows what it has minted.
    partitions: Vec<Held>,
    schedule: ticker::Schedule,
    announced: Mutex<BTreeMap<NodeId, Announce>>,
    pub(crate) waiters: Waiters,
    waiting: Mutex<HashMap<Ticket, oneshot::Sender<Reply>>>,
    asked: Mutex<HashMap<u64, (NodeId, oneshot::Sender<Bytes>)>>,
    next_id: AtomicU64,
    pub(crate) started: Instant,
    pub(crate) stop: watch::Sender<bool>,
    /// The node takes no commands any more, and hands over what it has before it stops.
    pub(crate) closing: watch::Sender<bool>,
}

thread_local! {
    /// What the clocks showed when the turn that this thread is in began: a thread serves one node.
    static TURN: Cell<Option<Now>> = const { Cell::new(None) };
}

/// A turn that this thread is in, until it is dropped. Not for `await`: other turns come between.
pub(crate) struct Turn(PhantomData<*const ()>);

impl Drop for Turn {
    fn drop(&mut self) {
        TURN.set(None);
    }
}

/// A replica.
struct Held {
    guarded: Mutex<Guarded>,
    /// Whether it may hold something although this node is no member: see [`Node::holds`].
    used: AtomicBool,
    /// When the partition is to be looked at, as it said last: read without the lock.
    due: AtomicU64,
}

struct Guarded {
    partition: Partition,
    /// Empty between two inputs; kept for its room.
    effects: Vec<Effect>,
}

/// Frees on a thread of its own: there are few and large ones, and tens of milliseconds are nobody's turn.
fn free(garbage: Garbage) {
    let name = std::thread::Builder::new().name("free".into());
    // Where no thread can be had, it is freed here.
    let _ = name.spawn(move || drop(garbage));
}

/// Effects over which their buffer is not kept.
const EFFECTS_KEPT_MAX: usize = 64;

impl Held {
    const fn new(partition: Partition) -> Self {
        let guarded = Guarded {
            partition,
            effects: Vec::new(),
        };
        Self {
            guarded: Mutex::new(guarded),
            used: AtomicBool::new(false),
            due: AtomicU64::new(0),
        }
    }
}

impl Node {
    /// Both clocks: now, or at the beginning of the turn.
    pub(crate) fn now(&self) -> Now {
        TURN.get().unwrap_or_else(|| self.read_clocks())
    }

    /// Begins a turn of this thread: the clocks are read once for all of it.
    pub(crate) fn turn(&self) -> Turn {
        TURN.set(Some(self.read_clocks()));
        Turn(PhantomData)
    }

    fn read_clocks(&self) -> Now {
        let since = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        // A start below zero lies before every deadline: the monotonic clock begins at one second.
        let instant = evenkeel_core::time::Instant(since + 1_000_000);
        let wall = SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(0, |since| since.as_millis());
        Now {
            instant,
            wall: WallMs(u64::try_from(wall).unwrap_or(u64::MAX)),
        }
    }

    /// A number that this process has not given before.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Who holds what, at this instant. Not for `await`: it is of one instant, and keeps it in memory.
    pub(crate) fn topology(&self) -> Guard<Arc<Topology>> {
        self.topology.load()
    }

    /// What waits to be sent to another node.
    pub(crate) fn outbox(&self, peer: NodeId) -> Option<Arc<Outbox>> {
        self.outboxes.load().get(&peer).cloned()
    }

    /// Whether there is no other node.
    pub(crate) fn is_alone(&self) -> bool {
        self.outboxes.load().is_empty()
    }

    /// Whether this node holds a replica of a partition: as a member, or because it has kept something that the members
    /// have not taken over yet.
    pub(crate) fn holds(&self, partition: PartitionId) -> bool {
        let replica = self.partitions.get(usize::from(partition.0));
        let used = |replica: &Held| replica.used.load(Ordering::Acquire);
        self.topology().mine(partition).is_some() || replica.is_some_and(used)
    }

    /// The partitions that this node holds.
    pub(crate) fn held(&self) -> impl Iterator<Item = PartitionId> + '_ {
        Topology::partitions().filter(|partition| self.holds(*partition))
    }

    /// Works on a partition under its lock and hands its effects on; `None` where there is no replica here.
    pub(crate) fn with<R>(
        &self,
        id: PartitionId,
        work: impl FnOnce(&mut Partition, Now, &mut Vec<Effect>) -> R,
    ) -> Option<R> {
        self.holds(id).then(|| self.with_any(id, work))
    }

    /// The same, also where this node holds nothing.
    fn with_any<R>(
        &self,
        id: PartitionId,
        work: impl FnOnce(&mut Partition, Now, &mut Vec<Effect>) -> R,
    ) -> R {
        self.work(id, &self.partitions[usize::from(id.0)], work)
    }

    fn work<R>(
        &self,
        id: PartitionId,
        held: &Held,
        work: impl FnOnce(&mut Partition, Now, &mut Vec<Effect>) -> R,
    ) -> R {
        let mut guarded = held.guarded.lock();
        let Guarded { partition, effects } = &mut *guarded;
        let asking = &self.repairs.asking;
        let was_asking = partition.is_syncing();
        partition.may_sync(was_asking || asking.load(Ordering::Relaxed) < repairs::ASKING_MAX);
        let result = work(partition, self.now(), effects);
        match (was_asking, partition.is_syncing()) {
            (false, true) => asking.fetch_add(1, Ordering::Relaxed),
            (true, false) => asking.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
        if !effects.is_empty() {
            self.hand_on(id, effects);
            if effects.capacity() > EFFECTS_KEPT_MAX {
                *effects = Vec::new();
            }
        }
        if !held.used.load(Ordering::Relaxed) && !partition.replica().context().is_empty() {
            held.used.store(true, Ordering::Release);
        }
        let due = partition.deadline().map_or(u64::MAX, |due| due.0);
        // Written under the lock alone.
        let before = held.due.load(Ordering::Relaxed);
        if due != before {
            held.due.store(due, Ordering::Relaxed);
            if due < before {
                self.schedule.hasten(due);
            }
        }
        result
    }

    /// Works on a partition only when its deadline has come.
    fn with_if_due(&self, id: PartitionId, now: Now) {
        let held = &self.partitions[usize::from(id.0)];
        if held.due.load(Ordering::Relaxed) <= now.instant.0 {
            self.work(id, held, |partition, now, effects| {
                partition.handle(now, Input::Tick, effects);
            });
        }
        self.schedule.note(held.due.load(Ordering::Relaxed));
    }

    fn hand_on(&self, id: PartitionId, effects: &mut Vec<Effect>) {
        let mut staging = self.wal.stage();
        for effect in effects.drain(..) {
            match effect {
                Effect::Persist { record, dots } => staging.record(id, &record, &dots),
                Effect::Send { to, frame } => staging.send(to, &frame),
                Effect::Reply { ticket, reply } => {
                    if let Some(waiting) = self.waiting.lock().remove(&ticket) {
                        // Whoever waited may be gone; the reply is then of no use.
                        let _ = waiting.send(reply);
                    }
                }
                Effect::Changed { key } => self.waiters.changed(&key),
                Effect::Discard(garbage) => free(garbage),
                Effect::Observe(observation) => self.observe(id, &observation),
            }
        }
    }

    fn observe(&self, partition: PartitionId, observation: &Observation) {
        self.metrics.count(observation);
        match observation {
            Observation::DigestMismatch { peer, ours, theirs } => {
                tracing::error!(
                    partition = partition.0,
                    peer = self.topology().name(*peer),
                    node_digest = format!("{ours:032x}"),
                    peer_digest = format!("{theirs:032x}"),
                    "equal contexts, unequal content: a bug or damaged data, report it"
                );
                self.mismatches.add(mismatches::Mismatch {
                    partition,
                    peer: *peer,
                    ours: *ours,
                    theirs: *theirs,
                    at: self.now().wall,
                    times: 1,
                });
                self.scrub_soon(partition);
            }
            Observation::Visible { peer, delays } => self.visibility.record(*peer, delays),
            Observation::Conflict(conflict) => {
                self.count_conflicting(partition, [conflict.winner.dot, conflict.loser.dot]);
                tracing::debug!(partition = partition.0, ?conflict);
                self.conflicts.add(Logged {
                    at: self.now().wall,
                    partition,
                    conflict: (**conflict).clone(),
                });
            }
            Observation::BadFrame { .. } | Observation::ClockAhead { .. } => {
                tracing::warn!(partition = partition.0, ?observation);
            }
            _ => tracing::debug!(partition = partition.0, ?observation),
        }
    }

    /// Ends a turn: hands what is staged to the log and what may go out to the links. Gives the generation of the
    /// fsync that will cover it, for who must wait for it.
    pub(crate) fn flush_turn(&self) -> Result<u64, Refusal> {
        let flushed = self.wal.flush()?;
        self.send_all(&flushed.sends);
        Ok(flushed.generation)
    }

    pub(crate) fn send_all(&self, sends: &wal::Sends) {
        for (peer, group) in sends {
            let compressed = self
                .is_far(*peer)
                .then(|| compress(Kind::Partitions, group))
                .flatten();
            match compressed {
                Some(short) => self.push(*peer, Kind::Compressed, &short),
                None => self.push(*peer, Kind::Partitions, group),
            };
        }
    }

    /// Whether a node stands in another datacentre.
    fn is_far(&self, peer: NodeId) -> bool {
        self.topology().distance(peer) > 1
    }

    /// Sends a frame to every linked peer; one that cannot take it misses it.
    pub(crate) fn broadcast(&self, kind: Kind, body: &[u8]) {
        for (peer, outbox) in self.outboxes.load().iter() {
            outbox.push(kind, body, self.faults.of(*peer));
        }
    }

    pub(crate) fn push(&self, to: NodeId, kind: Kind, body: &[u8]) -> bool {
        self.outboxes
            .load()
            .get(&to)
            .is_some_and(|outbox| outbox.push(kind, body, self.faults.of(to)))
    }

    /// A peer's link is up and has proved its incarnation.
    pub(crate) fn link_up(&self, peer: NodeId, incarnation: ActorId) {
        self.writers.add(incarnation, peer);
        self.control.up(peer);
        for id in Topology::partitions() {
            self.with_any(id, |partition, now, effects| {
                partition.handle(now, Input::PeerUp { peer, incarnation }, effects);
            });
        }
        self.end_turn();
    }

    /// A peer has dialled anew while our link to it stayed up: answers that it owed us went with its former link.
    pub(crate) fn link_renewed(&self, peer: NodeId, incarnation: ActorId) {
        self.writers.add(incarnation, peer);
        for id in Topology::partitions() {
            self.with_any(id, |partition, now, effects| {
                partition.handle(now, Input::PeerDown { peer }, effects);
                partition.handle(now, Input::PeerUp { peer, incarnation }, effects);
            });
        }
        self.end_turn();
    }

    /// A peer's link is down.
    pub(crate) fn link_down(&self, peer: NodeId) {
        self.give_up_asking(peer);
        self.control.down(peer);
        for id in Topology::partitions() {
            self.with_any(id, |partition, now, effects| {
                partition.handle(now, Input::PeerDown { peer }, effects)
            });
        }
        self.end_turn();
    }

    /// Ends a turn in which a client has written: waits until the write may be acknowledged.
    pub(crate) async fn settle_turn(&self) -> Result<(), Refusal> {
        let generation = self.flush_turn()?;
        self.wal.acknowledged(generation).await
    }

    /// Ends a turn that no client waits for: a refusal is seen by the next write.
    pub(crate) fn end_turn(&self) {
        if let Err(refusal) = self.flush_turn() {
            tracing::debug!(?refusal, "a turn could not be logged");
        }
    }

    /// Frames of a peer for partitions, each behind its length: as they were gathered in [`wal::Sends`].
    pub(crate) fn partition_frames(&self, from: NodeId, mut group: Bytes) -> io::Result<()> {
        let _turn = self.turn();
        while !group.is_empty() {
            let cut = || io::Error::new(io::ErrorKind::InvalidData, "a group of frames is cut off");
            let len = group.try_get_u32_le().map_err(|_| cut())?;
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            if len > group.len() {
                return Err(cut());
            }
            self.partition_frame(from, group.split_to(len))?;
        }
        Ok(())
    }

    /// A peer's frame for a partition.
    fn partition_frame(&self, from: NodeId, frame: Bytes) -> io::Result<()> {
        let head = evenkeel_core::wire::head(&frame).map_err(io::Error::other)?;
        let known = usize::from(head.partition.0) < self.partitions.len();
        if known && self.takes_its_time(from, head.partition, &frame) {
            return Ok(());
        }
        if known && self.wal.refusal().is_none() {
            // A log that takes no records must not acknowledge what it cannot keep: anti-entropy brings it later.
            self.with_any(head.partition, |partition, now, effects| {
                partition.handle(now, Input::Frame { from, frame }, effects);
            });
        }
        Ok(())
    }

    /// Gives a request to a partition and waits for its reply. Also where nothing is held any more: what was written here
    /// as a guest may have been handed over and dropped, and who holds it is known all the same.
    pub(crate) async fn request(
        &self,
        id: PartitionId,
        timeout: Duration,
        input: impl FnOnce(Ticket, evenkeel_core::time::Instant) -> Input,
    ) -> Option<Reply> {
        let ticket = Ticket(self.next_id());
        let (tell, told) = oneshot::channel();
        self.waiting.lock().insert(ticket, tell);
        self.with_any(id, |partition, now, effects| {
            partition.handle(now, input(ticket, now.instant + timeout), effects);
        });
        self.end_turn();
        told.await.ok()
    }

    /// Where a node says that it is reached.
    pub(crate) fn announced(&self, peer: NodeId, announce: Announce) {
        self.announced.lock().insert(peer, announce);
    }

    /// Where a node is reached, as far as it has said.
    pub(crate) fn reached_at(&self, node: NodeId) -> Announce {
        if node == self.me {
            return self.announce.clone();
        }
        self.announced
            .lock()
            .get(&node)
            .cloned()
            .unwrap_or_default()
    }

    /// Whether there is a link to a node.
    pub(crate) fn is_linked(&self, node: NodeId) -> bool {
        node == self.me || self.outbox(node).is_some_and(|outbox| outbox.is_open())
    }

    /// Whether a node can be asked something and answer: there is a link in both directions, and it answered within
    /// the last second.
    pub(crate) fn is_live(&self, node: NodeId) -> bool {
        if node == self.me {
            return !self.wal.is_forgotten();
        }
        self.outbox(node).is_some_and(|outbox| outbox.is_live())
    }

    /// The first live member of a partition in preference order: where conditional commands run, and who removes what
    /// has expired.
    pub(crate) fn home(&self, partition: PartitionId) -> Option<NodeId> {
        self.topology()
            .replicas(partition)
            .into_iter()
            .find(|node| self.is_live(*node))
    }

    /// Waits until this node's replica of a partition holds at least `wanted`; tells whether it does.
    pub(crate) async fn reach(&self, id: PartitionId, wanted: &Context, limit: Duration) -> bool {
        let holds = |partition: &Partition| wanted.is_subset(partition.replica().context());
        match self.look(id, holds) {
            Some(true) => return true,
            Some(false) => {}
            None => return false,
        }
        let reply = self.request(id, limit, |ticket, deadline| Input::Read {
            ticket,
            cell: CellId::string(b""),
            replicas: 1,
            after: wanted.clone(),
            deadline,
        });
        matches!(reply.await, Some(Reply::Value { .. }))
    }

    /// How long the oldest event that a peer has not told to hold has been held here.
    pub(crate) fn lag_age(&self, peer: NodeId) -> Option<Duration> {
        let now = self.now();
        let ages = self
            .held()
            .filter_map(|id| self.look(id, |partition| partition.lag_age(peer, now)));
        ages.flatten().max()
    }

    /// This replica's context of a partition.
    pub(crate) fn context(&self, id: PartitionId) -> Option<Context> {
        self.look(id, |partition| partition.replica().context().clone())
    }

    /// Looks at a partition without changing it.
    pub(crate) fn look<R>(&self, id: PartitionId, look: impl FnOnce(&Partition) -> R) -> Option<R> {
        let replica = self.partitions.get(usize::from(id.0));
        let replica = replica.filter(|_| self.holds(id));
        replica.map(|held| look(&held.guarded.lock().partition))
    }

    /// Whether the linked members of each partition hold all that this node holds of it, as they have told.
    pub(crate) fn is_held_by_linked(&self) -> bool {
        let topology = Arc::clone(&self.topology());
        self.held().all(|id| {
            let replicas = topology.replicas(id).into_iter();
            let mut others = replicas.filter(|peer| *peer != self.me && self.is_linked(*peer));
            others.all(|peer| self.look(id, |partition| partition.lag(peer)).unwrap_or(0) == 0)
        })
    }

    /// Ends the node's loops.
    pub(crate) fn stop(self: &Arc<Self>) {
        self.stop.send_replace(true);
    }
}
