//! Anti-entropy: ask a member for what it has and this replica lacks; answer the same.
//!
//! Invariants (replication.md 2.2): an answer is taken from one instant; a unit carries *all* dots of its cell that
//! the requester lacks; missing range deletes come before the units; an answer counts only for the request that is
//! open in this process, since it is right only for a context that has not shrunk. One exchange runs at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Target;
use super::peers::Peer;
use super::snapshot::Spool;
use super::{Effect, Partition};
use crate::bug::Bug;
use crate::causality::{Context, Dot};
use crate::event::{Event, Op};
use crate::id::{ActorId, NodeId};
use crate::limits::{SYNC_GRACE, SYNC_SMALL_MAX, SYNC_TIMEOUT, SYNC_TIMEOUT_MAX};
use crate::message::{Message, Nonce, SyncAnswer, Unit};
use crate::observation::Observation;
use crate::time::{Duration, Instant, Now};
use crate::types::CellId;

/// An open request.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) peer: NodeId,
    pub(super) nonce: Nonce,
    pub(super) deadline: Instant,
    /// Present while a snapshot is fetched.
    pub(super) spool: Option<Spool>,
}

/// The state of anti-entropy.
#[derive(Clone, Default, Debug)]
pub(super) struct Sync {
    pub(super) exchange: Option<Exchange>,
    /// When to see whether anything is missing.
    pub(super) look_at: Option<Instant>,
    /// Members that said their index does not reach back far enough.
    pub(super) needs_snapshot: BTreeSet<NodeId>,
    /// Requests in a row that were not answered.
    pub(super) failures: u32,
    /// The member that did not answer last: others are asked first.
    pub(super) avoid: Option<NodeId>,
    /// No new exchange begins: other partitions of the node have theirs.
    pub(super) waits_its_turn: bool,
}

impl Sync {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.exchange {
            Some(exchange) => Some(exchange.deadline),
            None => self.look_at,
        }
    }

    pub(super) fn look(&mut self, at: Instant) {
        self.look_at = Some(self.look_at.map_or(at, |known| known.min(at)));
    }

    pub(super) fn timeout(&self) -> Duration {
        let doubled = SYNC_TIMEOUT.0 << self.failures.min(8);
        Duration(doubled.min(SYNC_TIMEOUT_MAX.0))
    }
}

impl Partition {
    /// Whether it is asking another member for what it lacks.
    #[must_use]
    pub const fn is_syncing(&self) -> bool {
        self.sync.exchange.is_some()
    }

    /// Lets it begin costly exchanges or not. One that runs goes on; one that a client waits for, or that is small, begins
    /// all the same: over a slow link small ones one after the other would take minutes.
    pub const fn may_sync(&mut self, may: bool) {
        self.sync.waits_its_turn = !may;
    }

    /// An advert showed what a member holds. Its own events are overdue at once, since its deltas came before its
    /// advert on the same link; others may still be on their way here.
    pub(super) fn gap_shown(&mut self, now: Now, from: NodeId, sender: ActorId, theirs: &Context) {
        if theirs.is_subset(self.replica.context()) {
            self.sync.needs_snapshot.remove(&from);
            return;
        }
        let overdue = !theirs.only(sender).is_subset(self.replica.context());
        self.sync.look(if overdue {
            now.instant
        } else {
            now.instant + SYNC_GRACE
        });
    }

    /// An advert showed what a node outside the list holds. Nothing of it comes by itself.
    pub(super) fn guest_shown(&mut self, now: Now, theirs: &Context) {
        if self.role().is_member() && !theirs.is_subset(self.replica.context()) {
            self.sync.look(now.instant);
        }
    }

    /// Runs whatever of anti-entropy is due.
    pub(super) fn sync_tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if let Some(exchange) = &self.sync.exchange {
            if exchange.deadline > now.instant {
                return;
            }
            let peer = exchange.peer;
            self.sync.exchange = None;
            self.sync.failures += 1;
            self.sync.avoid = Some(peer);
            self.sync.look(now.instant);
            effects.push(Effect::Observe(Observation::SyncTimedOut { peer }));
        }
        if self.sync.look_at.is_some_and(|at| at <= now.instant) {
            self.sync.look_at = None;
            self.ask_someone(now, effects);
        }
    }

    fn ask_someone(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.role().is_member() {
            return;
        }
        let context = self.replica.context();
        let ahead: Vec<(NodeId, u64)> = self
            .peers
            .all()
            .filter(|(_, peer)| peer.up && !peer.applied.is_subset(context))
            .map(|(node, peer)| (node, peer.applied.difference(context).count()))
            .collect();
        let rank = |(node, missing): &(NodeId, u64)| {
            (
                !self.sync.needs_snapshot.contains(node),
                self.sync.avoid != Some(*node),
                self.peers.get(*node).is_some_and(Peer::is_member),
                *missing,
            )
        };
        let Some((peer, missing)) = ahead
            .iter()
            .max_by_key(|candidate| rank(candidate))
            .copied()
        else {
            return;
        };
        let is_costly = missing > SYNC_SMALL_MAX || self.sync.needs_snapshot.contains(&peer);
        let is_waited_for = self.pending.wants_more_than(self.replica.context());
        if self.sync.waits_its_turn && is_costly && !is_waited_for {
            self.sync.look_at = Some(now.instant + SYNC_GRACE);
            return;
        }
        effects.push(Effect::Observe(Observation::SyncStarted { peer, missing }));
        if self.sync.needs_snapshot.contains(&peer) {
            self.ask_for_snapshot(now, peer, effects);
        } else {
            self.ask(now, peer, effects);
        }
    }

    fn ask(&mut self, now: Now, peer: NodeId, effects: &mut Vec<Effect>) {
        let nonce = self.draw_nonce();
        let deadline = now.instant + self.sync.timeout();
        self.sync.exchange = Some(Exchange {
            peer,
            nonce,
            deadline,
            spool: None,
        });
        let context = self.replica.context().clone();
        self.send(peer, &Message::SyncRequest { nonce, context }, effects);
    }

    /// The peer's link is gone, and with it every answer that was on its way.
    pub(super) fn sync_link_down(&mut self, now: Now, peer: NodeId) {
        self.end_exchange(now, |other| other == peer);
    }

    /// Ends the open exchange, if it is with a peer of these: no answer to it counts any more.
    pub(super) fn end_exchange(&mut self, now: Now, of: impl Fn(NodeId) -> bool) {
        let open = self.sync.exchange.as_ref();
        if open.is_some_and(|exchange| of(exchange.peer)) {
            self.sync.exchange = None;
            self.sync.look(now.instant);
        }
    }

    /// Whether an answer belongs to the open request.
    pub(super) fn is_open(&self, from: NodeId, nonce: Nonce) -> bool {
        let open = |exchange: &Exchange| exchange.peer == from && exchange.nonce == nonce;
        self.settings.switches.breaks(Bug::M13) || self.sync.exchange.as_ref().is_some_and(open)
    }

    /// The exchange brought something: the peer is alive, and there may be more.
    pub(super) fn exchange_done(&mut self, now: Now) {
        self.sync.exchange = None;
        self.sync.failures = 0;
        self.sync.avoid = None;
        self.sync.look(now.instant);
    }

    /// A member asks for what it lacks.
    pub(super) fn answer_sync(
        &self,
        from: NodeId,
        nonce: Nonce,
        theirs: &Context,
        effects: &mut Vec<Effect>,
    ) {
        let missing = self.replica.context().difference(theirs);
        let message = match self.gather(&missing) {
            Some((ranges, units)) => {
                let context = self.replica.context().clone();
                Message::SyncAnswer(SyncAnswer {
                    nonce,
                    context,
                    ranges,
                    units,
                })
            }
            None => Message::NeedSnapshot { nonce },
        };
        self.send(from, &message, effects);
    }

    /// What to send for the missing dots; `None` when one of them is not indexed any more: then its cell is not
    /// known, and no unit could be sure to cover all of its cell's dots.
    fn gather(&self, missing: &Context) -> Option<(Vec<Event>, Vec<Unit>)> {
        let mut ranges = Vec::new();
        let mut cells: BTreeMap<&CellId, Context> = BTreeMap::new();
        for (dot, target) in self.targets(missing)? {
            match target {
                Target::Range(del) => ranges.push(Event {
                    dot,
                    op: Op::RangeDel((**del).clone()),
                }),
                Target::Cell(id) => {
                    cells.entry(id).or_default().insert(dot);
                }
            }
        }
        if self.settings.switches.breaks(Bug::M24) && !cells.is_empty() {
            ranges.clear();
        }
        let mut room = self.settings.sync_answer_bytes;
        let wanted = ranges.len();
        ranges.truncate(
            ranges
                .iter()
                .take_while(|event| take(&mut room, range_bytes(event)))
                .count()
                .max(1),
        );
        if ranges.len() < wanted {
            // Units may only come when no range delete is missing: the next answer brings them.
            return Some((ranges, Vec::new()));
        }
        let mut units = Vec::new();
        for (id, covered) in cells {
            let unit = self.unit(id, covered);
            let first = units.is_empty() && ranges.is_empty();
            if !(take(&mut room, unit_bytes(&unit)) || first) {
                break;
            }
            units.push(unit);
        }
        Some((ranges, units))
    }

    pub(super) fn targets(&self, missing: &Context) -> Option<Vec<(Dot, &Target)>> {
        let mut targets = Vec::new();
        for run in missing.runs() {
            #[cfg(feature = "bugs")]
            if self.settings.switches.breaks(Bug::M21) {
                targets.extend(self.replica.index.run_as_far_as_known(run));
                continue;
            }
            targets.extend(self.replica.index.run(run)?);
        }
        Some(targets)
    }

    fn unit(&self, id: &CellId, covered: Context) -> Unit {
        let blind = self.settings.switches.breaks(Bug::M20);
        let extra = if blind {
            Context::default()
        } else {
            self.replica.overlay(id)
        };
        Unit {
            cell: id.clone(),
            state: self.replica.state_for_unit(id),
            extra,
            covered,
        }
    }

    /// An answer to our request.
    pub(super) fn sync_answered(
        &mut self,
        now: Now,
        (from, record): (NodeId, bytes::Bytes),
        answer: SyncAnswer,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_open(from, answer.nonce) {
            effects.push(Effect::Observe(Observation::StaleAnswer { from }));
            return;
        }
        let (ranges, units) = (answer.ranges.len(), answer.units.len());
        let before = self.replica.context().clone();
        self.take_answer(answer);
        let dots = self.replica.context().difference(&before);
        self.exchange_done(now);
        if dots.is_empty() {
            // Nothing new although the peer claims more: do not ask in a circle, wait for the next advert, and ask
            // another one then, if there is one.
            self.sync.look_at = None;
            self.sync.avoid = Some(from);
            if self.peers.forget_guest(from) {
                self.sync.look(now.instant);
            }
            return;
        }
        self.arrived(now, &dots);
        effects.push(Effect::Persist { record, dots });
        effects.push(Effect::Observe(Observation::SyncReceived {
            peer: from,
            ranges,
            units,
        }));
        self.changed(now);
        self.acknowledge(now, effects);
    }

    /// Range deletes first, then the units: from the network and from the log alike.
    pub(super) fn take_answer(&mut self, answer: SyncAnswer) {
        let SyncAnswer {
            context,
            ranges,
            units,
            ..
        } = answer;
        for event in ranges {
            self.replica.apply(event.dot, event.op);
        }
        for unit in units {
            self.replica.join_unit(unit, &context);
        }
        if self.settings.switches.breaks(Bug::M17) {
            self.replica.finish_install(&context);
        }
    }
}

fn take(room: &mut usize, bytes: usize) -> bool {
    let fits = bytes <= *room;
    *room = room.saturating_sub(bytes);
    fits
}

fn range_bytes(event: &Event) -> usize {
    let Op::RangeDel(del) = &event.op else {
        return 0;
    };
    let listed: usize = del
        .resets
        .iter()
        .map(|(id, _)| id.key.len() + id.name.field.len() + 64)
        .sum();
    let masks: usize = del
        .masks
        .iter()
        .map(|(_, dots)| 64 + dots.run_count() * 16)
        .sum();
    64 + del.context.run_count() * 16 + masks + listed
}

fn unit_bytes(unit: &Unit) -> usize {
    let versions: usize = unit
        .state
        .versions()
        .iter()
        .map(|version| 24 + version.value.len())
        .sum();
    unit.cell.key.len()
        + unit.cell.name.field.len()
        + versions
        + unit.state.chains().len() * 48
        + (unit.covered.run_count() + unit.extra.run_count()) * 16
}
