//! One replica of one partition: the data plane's state machine.
//!
//! The one job of this file is to route: each exchange between members has a file of its own. Driven by
//! [`Partition::handle`] with everything that happens and by [`Partition::deadline`] for the time; it gives back
//! effects in the order in which they must be done. After a start: [`Partition::new`] with a fresh actor,
//! [`Partition::replay`] for each log record, [`Partition::start`], and from then on `handle`.

mod advert;
mod arrivals;
mod awaited;
mod checkpoint;
mod collect;
mod conflicts;
mod cost;
mod divergence;
mod entry;
mod held;
mod index;
mod interface;
mod overlay;
mod peers;
mod pending;
mod ranking;
mod replica;
mod roles;
mod scrub;
mod slab;
mod snapshot;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod walk;
mod write;

pub use divergence::{Repair, held_by_one, held_by_some};
pub use entry::{Garbage, KeyCells};
pub use interface::{Acks, Effect, Input, Reply, Settings, Write};
pub use ranking::{Ranked, Ranking};
pub use replica::Replica;
pub use scrub::{BUCKETS, Count, Unsettled};

use bytes::Bytes;

use crate::bug::Bug;
use crate::causality::{Clock, Context, DotRun, Observed};
use crate::codec::DecodeError;
use crate::event::Batch;
use crate::id::{ActorId, NodeId};
use crate::limits::ADVERT_INTERVAL;
use crate::membership::Role;
use crate::message::{Head, Message, Nonce, Note};
use crate::observation::Observation;
use crate::time::{Duration, Instant, Now};
use crate::wire::{Record, decode, decode_record, encode};

/// A replica and its exchanges with the other members.
#[derive(Clone, Debug)]
pub struct Partition {
    settings: Settings,
    /// Under whom it mints; fresh at every start.
    minter: roles::Minter,
    clock: Clock,
    replica: Replica,
    /// The dots of log records whose fsync has returned: never a copy of the context.
    durable: Context,
    peers: peers::Peers,
    /// What it held when it began to leave.
    leaving_with: Context,
    pending: pending::Pending,
    sync: sync::Sync,
    snapshots: snapshot::Snapshots,
    arrivals: arrivals::Arrivals,
    nonces: u64,
    advert_due: Instant,
    /// How long the next advert waits when nothing changes: doubled from one to the next.
    advert_interval: Duration,
    collect_due: Option<Instant>,
}

impl Partition {
    /// An empty replica. `incarnation` must be drawn at random for this start: a dot names one event for ever.
    #[must_use]
    pub fn new(settings: Settings, incarnation: ActorId) -> Self {
        let role = Role::of(&settings.members, settings.me);
        Self {
            minter: roles::Minter::new(incarnation, role),
            clock: Clock::default(),
            replica: Replica::new(settings.switches, settings.hash_seed),
            durable: Context::default(),
            peers: peers::Peers::new(
                settings.me,
                (settings.epoch, &settings.members),
                settings.switches,
            ),
            leaving_with: Context::default(),
            pending: pending::Pending::default(),
            sync: sync::Sync::default(),
            snapshots: snapshot::Snapshots::default(),
            arrivals: arrivals::Arrivals::default(),
            nonces: 0,
            advert_due: Instant::default(),
            advert_interval: ADVERT_INTERVAL,
            collect_due: None,
            settings,
        }
    }

    /// Applies one record of the log, in the log's order. Idempotent.
    ///
    /// # Errors
    /// When the record cannot be read: the log is damaged, the replica must be quarantined.
    pub fn replay(&mut self, record: &[u8]) -> Result<(), DecodeError> {
        match decode_record(record)?.1 {
            Record::Frame(Message::Delta(batch)) => {
                batch
                    .ops
                    .iter()
                    .filter_map(crate::event::Op::hlc)
                    .for_each(|hlc| self.clock.replay(hlc));
                self.apply_batch(batch);
            }
            Record::Frame(Message::SyncAnswer(answer)) => self.take_answer(answer),
            Record::Frame(Message::SnapshotChunk(chunk)) => self.replay_chunk(chunk),
            Record::Frame(_) => {}
            Record::Note(Note::Installed { id }) => self.replay_install(id),
            Record::Note(Note::ClockBound { bound }) => self.clock.restore(bound),
            Record::Note(Note::Dropped) => self.empty(),
            Record::Note(Note::Fenced { actor, upto, keep }) => {
                self.replica.fence(actor, upto, keep)
            }
        }
        // Nobody waits yet.
        self.replica.store.garbage = Garbage::default();
        Ok(())
    }

    /// Begins to serve. The shell has made sure that everything replayed is durable.
    pub fn start(&mut self, now: Now, effects: &mut Vec<Effect>) {
        // The context holds none of a fresh actor's dots; a reused one would have to go on behind its last.
        let own = self.replica.context().of(self.actor());
        let next = own.and_then(|set| set.max()).map_or(1, |max| max + 1);
        self.minter.go_on_with(next);
        self.durable = self.replica.context().clone();
        // They were told before the restart.
        self.replica.conflicts = conflicts::Conflicts::default();
        self.trim_index(effects);
        self.arrivals.start(now.instant);
        self.advert_due = now.instant;
        self.role_taken(now);
        self.collect_soon(now);
    }

    /// Handles one thing that happened.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Write {
                ticket,
                writes,
                acks,
                deadline,
            } => {
                let dots = self.mint(now, writes, effects);
                self.await_write(pending::Asked { ticket, deadline }, dots, acks, effects);
            }
            Input::Read {
                ticket,
                cell,
                replicas,
                after,
                deadline,
            } => {
                self.read(
                    pending::Asked { ticket, deadline },
                    (cell, replicas),
                    after,
                    effects,
                );
            }
            Input::Await {
                ticket,
                dots,
                acks,
                deadline,
            } => {
                self.await_dots(pending::Asked { ticket, deadline }, dots, acks, effects);
            }
            Input::Members { epoch, members } => {
                self.members_changed(now, (epoch, &members), effects);
            }
            Input::Frame { from, frame } => self.frame(now, from, frame, effects),
            Input::Durable(dots) => self.made_durable(now, &dots, effects),
            Input::PeerUp { peer, incarnation } => {
                self.peers.link_up(peer, incarnation);
                if self.advertises() && self.peers.up().any(|told| told == peer) {
                    self.greet(peer, effects);
                }
            }
            Input::PeerDown { peer } => {
                self.peers.link_down(peer);
                self.sync_link_down(now, peer);
            }
            Input::Tick => {}
        }
        self.tell_conflicts(effects);
        self.run_due(now, effects);
        self.tell_changed(effects);
        self.discard(effects);
    }

    /// Hands out what is to be freed where nobody waits.
    fn discard(&mut self, effects: &mut Vec<Effect>) {
        if !self.replica.store.garbage.is_empty() {
            let garbage = std::mem::take(&mut self.replica.store.garbage);
            effects.push(Effect::Discard(garbage));
        }
    }

    fn tell_conflicts(&mut self, effects: &mut Vec<Effect>) {
        if self.replica.conflicts.is_empty() {
            return;
        }
        let (conflicts, left_out) = self.replica.take_conflicts();
        let told = conflicts.into_iter().map(Box::new);
        effects.extend(told.map(|conflict| Effect::Observe(Observation::Conflict(conflict))));
        if left_out > 0 {
            let conflicts = left_out;
            effects.push(Effect::Observe(Observation::ConflictsLeftOut { conflicts }));
        }
    }

    /// When [`Input::Tick`] is due at the latest; `None` when there is nothing to wait for.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let times = [
            self.pending.deadline(),
            self.sync.deadline(),
            self.snapshots.deadline(),
            self.collect_due,
            self.advertises().then_some(self.advert_due),
        ];
        times.into_iter().flatten().min()
    }

    /// The replicated state.
    #[must_use]
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The dots that an fsync covers here.
    #[must_use]
    pub const fn durable(&self) -> &Context {
        &self.durable
    }

    /// The actor under which events are minted here now.
    #[must_use]
    pub const fn actor(&self) -> ActorId {
        self.minter.actor()
    }

    /// A number that, like all above it, no event of this actor has yet.
    pub(crate) const fn next_number(&self) -> u64 {
        self.minter.next()
    }

    /// How many events this process has minted here.
    #[must_use]
    pub fn minted(&self) -> u64 {
        self.minter.all().map(|(_, next)| next - 1).sum()
    }

    /// The rules that are broken; none in a product build.
    pub(crate) const fn switches(&self) -> crate::bug::Switches {
        self.settings.switches
    }

    /// Drops a key without an event: what one of the bugs does.
    #[cfg(feature = "bugs")]
    pub(crate) fn forget(&mut self, key: &crate::types::Key) {
        let held = self.replica.key(key);
        if held.is_some_and(KeyCells::has_versions_alone) {
            self.replica.store.drop_key(key);
        }
    }

    /// Client requests that wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    fn head(&self) -> Head {
        Head {
            partition: self.settings.partition,
            epoch: self.peers.epoch(),
            sender: self.incarnation(),
        }
    }

    fn send(&self, to: NodeId, message: &Message, effects: &mut Vec<Effect>) {
        effects.push(Effect::Send {
            to,
            frame: encode(self.head(), message).into(),
        });
    }

    fn send_all(&self, message: &Message, effects: &mut Vec<Effect>) {
        let frame = Bytes::from(encode(self.head(), message));
        effects.extend(self.peers.up().map(|to| Effect::Send {
            to,
            frame: frame.clone(),
        }));
    }

    /// A nonce that no other incarnation has used: answers to requests of an earlier run match nothing.
    fn draw_nonce(&mut self) -> Nonce {
        self.nonces += 1;
        let base = if self.settings.switches.breaks(Bug::UnfencedReply) {
            0
        } else {
            self.incarnation().0
        };
        Nonce(base.wrapping_add(self.nonces))
    }

    fn frame(&mut self, now: Now, from: NodeId, frame: Bytes, effects: &mut Vec<Effect>) {
        let decoded = decode(&frame).and_then(|(head, message)| {
            self.check(head, &message)?;
            Ok((head, message))
        });
        let (head, message) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => {
                effects.push(Effect::Observe(Observation::BadFrame { from, error }));
                return;
            }
        };
        self.peers.note_epoch(head.epoch);
        match message {
            // It comes again by anti-entropy, if this replica is a member and does not know it yet.
            Message::Delta(_) if !self.role().is_member() => {}
            Message::Delta(batch) => self.delta(now, (from, frame), batch, effects),
            Message::Advert(advert) => self.advert_heard(now, (from, head), &advert, effects),
            Message::AdvertRequest => self.advert_requested(now, from, effects),
            Message::SyncRequest { nonce, context } => {
                self.answer_sync(from, nonce, &context, effects)
            }
            Message::SyncAnswer(answer) => self.sync_answered(now, (from, frame), answer, effects),
            Message::NeedSnapshot { nonce } => self.needs_snapshot(now, from, nonce, effects),
            Message::SnapshotRequest { nonce, id, index } => {
                self.serve_snapshot(now, (from, nonce), (id, index), effects);
            }
            Message::SnapshotChunk(chunk) => self.chunk_arrived(now, (from, frame), chunk, effects),
            Message::SnapshotRefused { nonce } => self.snapshot_refused(now, from, nonce),
            Message::ReadRequest { nonce, cell } => self.serve_read(from, nonce, cell, effects),
            Message::ReadAnswer {
                nonce,
                context,
                unit,
            } => self.read_answered(from, nonce, context, *unit),
        }
    }

    /// Refuses what no member can rightly say. To take own dots in that were never minted here would make the next
    /// write an event that exists already, and a fence of this very actor would make it void.
    fn check(&self, head: Head, message: &Message) -> Result<(), DecodeError> {
        let refuse = |why| {
            Err(DecodeError {
                what: "frame",
                offset: 0,
                why,
            })
        };
        if head.partition != self.settings.partition {
            return refuse("it is about another partition");
        }
        let reused = [
            Bug::M5,
            Bug::ActorReused,
            Bug::ActorKept,
            Bug::CloneKeepsActor,
        ];
        if reused.iter().any(|bug| self.settings.switches.breaks(*bug)) {
            return Ok(());
        }
        let minted = |context: &Context| {
            let newest = |actor| context.of(actor).and_then(|set| set.max());
            let mut own = self.minter.all();
            own.all(|(actor, next)| newest(actor).is_none_or(|newest| newest < next))
        };
        let sound = match message {
            Message::Delta(batch) => {
                let next = self.minter.next_of(batch.actor);
                next.is_none_or(|next| batch.first + (batch.ops.len() as u64 - 1) < next)
            }
            Message::SyncAnswer(answer) => minted(&answer.context),
            Message::SnapshotChunk(chunk) => minted(&chunk.context),
            _ => true,
        };
        if !sound {
            return refuse("it has events of this replica that were never minted here");
        }
        let own = |actor| self.minter.next_of(actor).is_some();
        match message {
            Message::SnapshotChunk(chunk) if chunk.fences.iter().any(|fence| own(fence.0)) => {
                refuse("it closes the replica that receives it")
            }
            _ => Ok(()),
        }
    }

    /// New events of another member: the fast path.
    fn delta(
        &mut self,
        now: Now,
        (from, frame): (NodeId, Bytes),
        mut batch: Batch,
        effects: &mut Vec<Effect>,
    ) {
        if self.settings.switches.breaks(Bug::BatchInPart) {
            batch.ops.truncate(batch.ops.len().div_ceil(2));
        }
        for stamp in batch.ops.iter().filter_map(crate::event::Op::hlc) {
            if self.clock.observe(now.wall, stamp) == Observed::TooFarAhead {
                effects.push(Effect::Observe(Observation::ClockAhead { from, stamp }));
            }
        }
        let dots = self.apply_batch(batch);
        if !dots.is_empty() {
            self.arrived(now, &dots);
            effects.push(Effect::Persist {
                record: frame,
                dots,
            });
            self.changed(now);
            self.acknowledge(now, effects);
        }
    }

    /// Applies a batch; gives the dots that were new.
    fn apply_batch(&mut self, batch: Batch) -> Context {
        let mut new = Context::default();
        let dots = DotRun {
            actor: batch.actor,
            first: batch.first,
            last: u64::MAX,
        }
        .dots();
        for (dot, op) in dots.zip(batch.ops) {
            if self.replica.apply(dot, op) && self.replica.context().contains(dot) {
                new.insert(dot);
            }
        }
        new
    }

    fn made_durable(&mut self, now: Now, dots: &Context, effects: &mut Vec<Effect>) {
        debug_assert!(
            dots.is_subset(self.replica.context()),
            "only what was applied can become durable"
        );
        self.durable.join(dots);
        #[cfg(feature = "bugs")]
        if self.settings.switches.breaks(Bug::M14) {
            self.replica.stale = Some(Box::new(self.replica.store.clone()));
        }
        self.collect_soon(now);
        self.changed(now);
        self.acknowledge(now, effects);
    }

    /// Everything whose time has come, after every input: so nothing is late because a tick was.
    fn run_due(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.pending.wants_more_than(self.replica.context()) {
            self.sync.look(now.instant);
        }
        self.sync_tick(now, effects);
        self.settle_pending(now, effects);
        self.snapshots.drop_idle(now);
        self.trim_index(effects);
        if self.collect_due.is_some_and(|due| due <= now.instant) {
            self.collect_due = None;
            self.collect(effects);
        }
        if self.advert_due <= now.instant && self.advertises() {
            self.advertise(now, effects);
        }
    }

    fn trim_index(&mut self, effects: &mut Vec<Effect>) {
        let entries = self.replica.index.trim(self.settings.index_entries_max);
        if entries > 0 {
            effects.push(Effect::Observe(Observation::IndexTrimmed { entries }));
        }
    }
}
