//! One step: an input goes into a replica, its effects are carried out, the checks look.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use evenkeel_core::id::Ticket;
use evenkeel_core::message::Message;
use evenkeel_core::observation::Observation;
use evenkeel_core::partition::{Effect, Input, Reply, Write};
use evenkeel_core::time::{Instant, Now};
use evenkeel_core::wire::{Record as Decoded, decode_record};

use super::{Due, World};
use crate::checker::{Ask, Open, Step, Verdict, violated};
use crate::coverage::Mark;
use crate::disk::Record;
use crate::faults::Fault;
use crate::oracle::EventNo;
use crate::swarm::{MS, SECOND};
use crate::workload::{Operation, Request};

/// Kinds of frames that ambushes wait for: the second byte of a frame.
const SYNC_REQUEST: u8 = 4;
const SYNC_ANSWER: u8 = 5;
const SNAPSHOT_CHUNK: u8 = 8;

/// Frames of one run: many times what a busy run sends, far below what a storm does.
const MESSAGES_MAX: u64 = 300_000;

/// Ticks of a node, with nothing else in between, that are still no endless loop.
const TICKS_MAX: usize = 100;

/// Why the product was called.
#[derive(Clone, Copy, Default)]
pub(super) struct Cause<'a> {
    pub(super) ticket: Option<u64>,
    pub(super) asked: Asked<'a>,
    /// Whether it was for anti-entropy or a snapshot, which bring cells one by one.
    pub(super) repair: bool,
}

/// What may be minted in a call.
#[derive(Clone, Copy, Default)]
pub(super) enum Asked<'a> {
    #[default]
    Nothing,
    Writes(&'a [Write]),
    /// Whatever a command does: it is judged by what it shows.
    Commands,
}

/// What one call of the product gave, sorted.
#[derive(Default)]
struct Results {
    logged: Vec<EventNo>,
    replies: Vec<(u64, Reply)>,
    received: bool,
    /// Batches minted.
    batches: usize,
}

impl World {
    pub(super) fn clocks(&self, at: usize) -> Now {
        Now {
            instant: Instant(self.now),
            wall: self.nodes[at].clock.read(self.now),
        }
    }

    /// Something reaches a node: now, or when it goes on.
    pub(super) fn input(&mut self, at: usize, input: Input) -> Verdict {
        let node = &mut self.nodes[at];
        if node.partition.is_none() {
            return Ok(());
        }
        if node.paused {
            node.backlog.push_back(input);
            return Ok(());
        }
        node.ticks = 0;
        if node.disk.has_failed() && matches!(input, Input::Frame { .. } | Input::Write { .. }) {
            // What it cannot keep, it must not take: others bring it when the process has started again.
            if let Input::Write { ticket, .. } = &input {
                self.coverage.mark(Mark::WriteRefused);
                self.checker.requests[at].remove(&ticket.0);
            }
            return Ok(());
        }
        self.handle(at, input)
    }

    pub(super) fn tick(&mut self, at: usize, boot: u32) -> Verdict {
        let now = self.now;
        let node = &mut self.nodes[at];
        if node.boot != boot || node.tick_at != Some(now) || node.partition.is_none() {
            return Ok(());
        }
        node.tick_at = None;
        if node.paused {
            node.backlog.push_back(Input::Tick);
            return Ok(());
        }
        node.ticks += 1;
        // Each read that waits has a deadline of its own.
        let ticks_max = TICKS_MAX * (1 + self.plan.work.hops);
        if node.ticks > ticks_max {
            return violated(
                "I15 deadline",
                "the deadline stays in the past after a tick",
            );
        }
        self.handle(at, Input::Tick)
    }

    /// Runs the product for one input, and the checks after it.
    pub(super) fn handle(&mut self, at: usize, input: Input) -> Verdict {
        self.steps += 1;
        let (writes, ticket) = match &input {
            Input::Write { ticket, writes, .. } => (writes.clone(), Some(ticket.0)),
            Input::Read { ticket, .. } => (Vec::new(), Some(ticket.0)),
            _ => (Vec::new(), None),
        };
        self.trace.fold(mix_input(self.now, at, &input));
        if let Input::Frame { frame, .. } = &input {
            self.trace.fold_bytes(frame);
        }
        let repair = matches!(&input, Input::Frame { frame, .. }
            if matches!(frame.get(1), Some(&(SYNC_ANSWER | SNAPSHOT_CHUNK))));
        let heard = match &input {
            Input::Frame { frame, .. } if self.plan.commands.is_some() => Some(frame.clone()),
            _ => None,
        };
        let shown = self.trace.is_read().then(|| super::show::input(&input));
        let now = self.clocks(at);
        let mut effects = std::mem::take(&mut self.effects);
        self.call(at, |partition| partition.handle(now, input, &mut effects))?;
        if let Some((event, about)) = shown {
            let effects = super::show::effects(&effects);
            let columns = [event.as_str(), about.as_str(), effects.as_str()];
            self.trace
                .line((self.now, self.steps), Some(self.nodes[at].id), columns);
        }
        self.show_watched(at);
        let cause = Cause {
            ticket,
            asked: Asked::Writes(&writes),
            repair,
        };
        let verdict = self.carry_out(at, &mut effects, cause);
        effects.clear();
        self.effects = effects;
        verdict?;
        if let Some(frame) = heard {
            self.check_whole(at, &frame)?;
            self.audit_sometimes(at)?;
        }
        Ok(())
    }

    /// Calls into the product; a panic there is a violation.
    pub(super) fn call(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut evenkeel_core::partition::Partition),
    ) -> Verdict {
        let node = &mut self.nodes[at];
        let Some(partition) = &mut node.partition else {
            return Ok(());
        };
        node.minter = partition.actor();
        match catch_unwind(AssertUnwindSafe(|| act(partition))) {
            Ok(()) => Ok(()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                // What it held is unsound now: nothing may look at it.
                self.nodes[at].partition = None;
                violated("assertion in the core", text.unwrap_or_default())
            }
        }
    }

    /// Carries out the effects of one call and lets the checks look.
    pub(super) fn carry_out(
        &mut self,
        at: usize,
        effects: &mut Vec<Effect>,
        cause: Cause<'_>,
    ) -> Verdict {
        let mut results = Results::default();
        let mut sends = Vec::new();
        for effect in effects.drain(..) {
            match effect {
                Effect::Persist { record, dots } => {
                    if self.learn(at, &record, cause)? {
                        results.batches += 1;
                    }
                    let events = self.checker.events_of(&dots)?;
                    let recorded = (&events[..], cause.repair);
                    self.checker
                        .check_batches(at, recorded, &mut self.coverage)?;
                    results.logged.extend_from_slice(&events);
                    let bytes = record;
                    let record = Record {
                        bytes,
                        dots,
                        events,
                        drops: false,
                    };
                    if !self.nodes[at].disk.append(record) {
                        self.coverage.fault(Fault::FailingDisk);
                    }
                }
                Effect::Send { to, frame } => sends.push((to.0 as usize, frame)),
                Effect::Reply { ticket, reply } => results.replies.push((ticket.0, reply)),
                Effect::Changed { .. } | Effect::Discard(_) => {}
                Effect::Observe(observation) => self.observe(at, observation, &mut results)?,
            }
        }
        if self.nodes[at].disk.has_failed() {
            // What was not logged was not done: nobody is told, and the client gets an error.
            for (ticket, _) in results.replies.drain(..) {
                self.checker.requests[at].remove(&ticket);
            }
            return self.judge(
                at,
                results,
                Cause {
                    ticket: None,
                    ..cause
                },
            );
        }
        for (to, frame) in sends {
            self.send(at, to, frame);
        }
        if results.batches > 1 {
            let what = format!("{} batches in one call", results.batches);
            return violated("a batch leaves whole", what);
        }
        if self.totals.messages > MESSAGES_MAX {
            return violated("I14 traffic", format!("more than {MESSAGES_MAX} frames"));
        }
        if self.plan.disk.every_us.is_none() {
            self.start_sync(at);
        }
        self.judge(at, results, cause)?;
        self.plan_tick(at);
        Ok(())
    }

    fn judge(
        &mut self,
        at: usize,
        results: Results,
        Cause { ticket, asked, .. }: Cause<'_>,
    ) -> Verdict {
        let writes = match asked {
            Asked::Writes(writes) => writes,
            Asked::Nothing | Asked::Commands => &[],
        };
        let step = Step {
            at,
            written: self.checker.cells_named(writes),
            logged: &results.logged,
            now: self.clocks(at),
        };
        self.checker
            .after_step(step, &self.nodes, &mut self.coverage)?;
        for (ticket, reply) in &results.replies {
            self.trace.fold(*ticket);
            let learned =
                self.checker
                    .answered((at, *ticket), self.now, reply, &mut self.coverage)?;
            if let Some((session, dots)) = learned {
                self.workload.learned(session, &dots);
            }
        }
        if let Some(ticket) = ticket {
            self.checker.check_available(at, ticket)?;
        }
        let Some(partition) = &self.nodes[at].partition else {
            return Ok(());
        };
        if partition.replica().masks().next().is_some() {
            self.coverage.mark(Mark::Mask);
            if results.received {
                self.coverage.mark(Mark::MaskHit);
            }
        }
        // A command leaves the trimming to the next tick.
        let trimmed = !matches!(asked, Asked::Commands);
        if trimmed && partition.replica().index_len() > self.plan.index_entries_max {
            let what = format!("{} entries", partition.replica().index_len());
            return violated("I14 index cap", what);
        }
        // While the backlog of a pause is worked off, answers may be late.
        if self.nodes[at].backlog.is_empty() {
            self.checker
                .check_waiting(at, self.now, self.nodes[at].resumed_at, partition)?;
        }
        Ok(())
    }

    /// Learns what a client's write minted, from its log record.
    fn learn(
        &mut self,
        at: usize,
        record: &Bytes,
        Cause { ticket, asked, .. }: Cause<'_>,
    ) -> Verdict<bool> {
        let writes = match asked {
            Asked::Nothing | Asked::Writes([]) => return Ok(false),
            Asked::Writes(writes) => Some(writes),
            Asked::Commands => None,
        };
        let batch = match decode_record(record) {
            Ok((_, Decoded::Frame(Message::Delta(batch)))) => batch,
            Ok(_) => return Ok(false),
            Err(error) => return violated("I18 unreadable record", error.to_string()),
        };
        if batch.actor != self.nodes[at].minter {
            return violated(
                "I3 foreign actor",
                format!("{} mints for {}", self.nodes[at].id, batch.actor),
            );
        }
        let events = self.checker.minted(at, &batch, writes)?;
        let open = ticket.and_then(|ticket| self.checker.requests[at].get_mut(&ticket));
        if let Some(Open {
            ask: Ask::Write { minted, .. },
            ..
        }) = open
        {
            *minted = events;
        }
        Ok(true)
    }

    fn send(&mut self, from: usize, to: usize, frame: Bytes) {
        self.totals.messages += 1;
        let kind = frame.get(1).copied();
        if kind == Some(SNAPSHOT_CHUNK) {
            self.nodes[from].chunk_at = Some(self.now);
        }
        if !self.healed {
            self.ambush(from, to, kind);
        }
        let held = self.hold_back(from, to, kind);
        let arrivals = self.network.send(self.now, (from, to), &mut self.coverage);
        for at in arrivals.into_iter().flatten() {
            let bytes = frame.clone();
            self.schedule(at + held, Due::Frame { from, to, bytes });
        }
    }

    /// An answer to somebody who was ambushed comes late: into the next incarnation, if it can.
    fn hold_back(&mut self, from: usize, to: usize, kind: Option<u8>) -> u64 {
        let answer = matches!(kind, Some(SYNC_ANSWER | SNAPSHOT_CHUNK));
        if !answer || self.healed || self.nodes[to].held_from != Some(from) {
            return 0;
        }
        self.nodes[to].held_from = None;
        self.faults.spread(100 * MS, 3 * SECOND)
    }

    /// Crashes and losses aimed at open exchanges.
    fn ambush(&mut self, from: usize, to: usize, kind: Option<u8>) {
        let soon = self.now + 1 + self.faults.around(self.plan.network.delay_us);
        if kind == Some(SNAPSHOT_CHUNK) && self.loss_from.is_some_and(|from| from <= self.now) {
            if self.faults.chance(300) {
                self.schedule(soon, Due::Lose { at: from });
            }
            return;
        }
        if !self.plan.faults.has(Fault::Ambush) {
            return;
        }
        let victim = match kind {
            Some(SYNC_REQUEST) => {
                // Who was ambushed is likely to be ambushed again at its next request.
                let haunted = self.nodes[from].haunted_until > self.now;
                if !self.faults.chance(if haunted { 400 } else { 15 }) {
                    return;
                }
                self.nodes[from].held_from = Some(to);
                from
            }
            Some(SNAPSHOT_CHUNK) if self.faults.chance(60) => {
                if self.faults.chance(700) {
                    from
                } else {
                    to
                }
            }
            _ => return,
        };
        let boot = self.nodes[victim].boot;
        self.schedule(soon, Due::Crash { at: victim, boot });
    }

    fn observe(&mut self, at: usize, observation: Observation, results: &mut Results) -> Verdict {
        let mark = match observation {
            Observation::DigestMismatch { peer, .. } => {
                return violated(
                    "(3) digest at equal contexts",
                    format!("the product says so of {peer}"),
                );
            }
            Observation::BadFrame { from, error } => {
                return violated("I18 unreadable frame", format!("from {from}: {error}"));
            }
            Observation::SyncStarted { .. } => {
                self.nodes[at].asking = true;
                return Ok(());
            }
            Observation::SyncReceived { ranges, .. } => {
                self.nodes[at].asking = false;
                results.received = true;
                if ranges > 0 {
                    self.coverage.mark(Mark::SyncRanges);
                }
                Mark::SyncReceived
            }
            Observation::SyncTimedOut { .. } => {
                self.nodes[at].asking = false;
                Mark::SyncTimedOut
            }
            Observation::SnapshotInstalled { .. } => {
                self.nodes[at].asking = false;
                Mark::SnapshotInstalled
            }
            Observation::Collected { index, chains } => {
                if chains > 0 {
                    self.coverage.mark(Mark::ResidueCollected);
                }
                if index == 0 {
                    return Ok(());
                }
                Mark::IndexCollected
            }
            Observation::ClockAhead { .. } => Mark::ClockAhead,
            Observation::StaleAnswer { .. } => Mark::StaleAnswer,
            Observation::SnapshotNeeded { .. } => Mark::SnapshotNeeded,
            Observation::IndexTrimmed { .. } => Mark::IndexTrimmed,
            Observation::Conflict(_) => Mark::Conflict,
            Observation::Visible { peer: None, .. } => Mark::VisibleToAll,
            Observation::CounterClamped
            | Observation::ConflictsLeftOut { .. }
            | Observation::Visible { .. } => return Ok(()),
        };
        self.coverage.mark(mark);
        Ok(())
    }

    /// Sees to it that the product is ticked at its deadline.
    pub(super) fn plan_tick(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let Some(deadline) = node
            .partition
            .as_ref()
            .and_then(|partition| partition.deadline())
        else {
            return;
        };
        let due = deadline.0.max(self.now);
        if node.tick_at != Some(due) {
            node.tick_at = Some(due);
            let boot = node.boot;
            self.schedule(due, Due::Tick { at, boot });
        }
    }

    pub(super) fn start_sync(&mut self, at: usize) {
        if self.nodes[at].disk.start_sync() {
            let boot = self.nodes[at].boot;
            let latency = self.disks.around(self.plan.disk.latency_us);
            self.schedule(self.now + 1 + latency, Due::Synced { at, boot });
        }
    }

    /// An fsync is over.
    pub(super) fn synced(&mut self, at: usize, boot: u32) -> Verdict {
        if self.nodes[at].boot != boot || self.nodes[at].partition.is_none() {
            return Ok(());
        }
        let mut dots = evenkeel_core::causality::Context::default();
        for record in self.nodes[at].disk.end_sync() {
            dots.join(&record.dots);
            self.checker.synced(at, record.events.iter().copied());
        }
        if self.plan.disk.every_us.is_none() {
            self.start_sync(at);
        }
        self.input(at, Input::Durable(dots))
    }

    /// The next operation of a client.
    pub(super) fn client(&mut self) -> Verdict {
        let Some(pause) = self.workload.pause(self.now) else {
            return Ok(());
        };
        self.schedule(self.now + pause, Due::Client);
        let up: Vec<usize> = (0..self.nodes.len())
            .filter(|at| self.nodes[*at].partition.is_some())
            .collect();
        if up.is_empty() || self.healed {
            return Ok(());
        }
        if self.plan.commands.is_some() {
            self.client_command(&up)?;
        } else {
            let at = up[self.workload.choose_node(up.len())];
            let at = self.place(at);
            let operation = self.workload.draw(&self.checker.history.universe);
            self.ask(at, operation)?;
        }
        for hop in self.workload.draw_hops(&self.checker.history.universe) {
            let at = up[self.workload.choose_node(up.len())];
            if !self.nodes[at].paused && self.nodes[at].partition.is_some() {
                self.ask(at, hop)?;
            }
        }
        Ok(())
    }

    pub(super) fn ask(&mut self, at: usize, operation: Operation) -> Verdict {
        self.tickets += 1;
        self.totals.operations += 1;
        let ticket = Ticket(self.tickets);
        let due = self.now + operation.patience_us.max(MS);
        let deadline = Instant(due);
        let (ask, input) = match operation.request {
            Request::Write { writes, acks } => (
                Ask::Write {
                    acks,
                    minted: Vec::new(),
                },
                Input::Write {
                    ticket,
                    writes,
                    acks,
                    deadline,
                },
            ),
            Request::Read {
                cell,
                replicas,
                after,
            } => {
                let known = self.checker.set_of(&after)?;
                let seen = self.workload.token(operation.session);
                let seen = self.checker.set_of(seen)?;
                let id = self.checker.history.universe.id(cell).clone();
                (
                    Ask::Read {
                        cell,
                        replicas,
                        after: known,
                        seen,
                    },
                    Input::Read {
                        ticket,
                        cell: id,
                        replicas,
                        after,
                        deadline,
                    },
                )
            }
            Request::Await { dots, acks } => (
                Ask::Await {
                    events: self.checker.events_of(&dots)?,
                    acks,
                },
                Input::Await {
                    ticket,
                    dots,
                    acks,
                    deadline,
                },
            ),
        };
        let open = Open {
            session: operation.session,
            deadline: due,
            ask,
        };
        self.checker.requests[at].insert(ticket.0, open);
        self.input(at, input)
    }
}

fn mix_input(now: u64, at: usize, input: &Input) -> u64 {
    let kind = match input {
        Input::Write { ticket, .. } => ticket.0 << 3,
        Input::Read { ticket, .. } => ticket.0 << 3 | 1,
        Input::Await { ticket, .. } => ticket.0 << 3 | 2,
        Input::Members { epoch, .. } => epoch << 4 | 15,
        Input::Frame { from, .. } => u64::from(from.0) << 3 | 3,
        Input::Durable(dots) => dots.count() << 3 | 4,
        Input::PeerUp { incarnation, .. } => incarnation.0 << 3 | 5,
        Input::PeerDown { peer } => u64::from(peer.0) << 3 | 6,
        Input::Tick => 7,
    };
    crate::rng::mix(now << 3 | at as u64, kind)
}
