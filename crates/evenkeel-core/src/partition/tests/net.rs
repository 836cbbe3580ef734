//! A few replicas, their links and logs, driven by hand: a test says which frame arrives when.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::history::{History, Shown, shown_by};
use crate::causality::{Context, Dot};
use crate::id::{ActorId, NodeId, PartitionId, Ticket};
use crate::message::{Head, Message};
use crate::observation::Observation;
use crate::partition::{Acks, Effect, Input, Partition, Reply, Settings, Write};
use crate::time::{Duration, Instant, Now, WallMs};
use crate::types::{CellId, Deadline, Kind, Range, Total};
use crate::wire::{decode, encode};

/// Kinds of frames, as their second byte says.
pub(super) mod kind {
    pub(in super::super) const DELTA: u8 = 1;
    pub(in super::super) const ADVERT: u8 = 2;
    pub(in super::super) const SYNC_REQUEST: u8 = 4;
    pub(in super::super) const SYNC_ANSWER: u8 = 5;
    pub(in super::super) const NEED_SNAPSHOT: u8 = 6;
    pub(in super::super) const SNAPSHOT_REQUEST: u8 = 7;
    pub(in super::super) const SNAPSHOT_CHUNK: u8 = 8;
}

/// A frame that was sent and has not arrived.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) frame: Bytes,
}

impl Flight {
    pub(super) fn kind(&self) -> u8 {
        self.frame[1]
    }
}

/// A replica set.
pub(super) struct Net {
    pub(super) parts: Vec<Partition>,
    pub(super) flights: Vec<Flight>,
    /// What each replica wrote to its log, all of it durable unless `manual_fsync`.
    pub(super) logs: Vec<Vec<(Bytes, Context)>>,
    pub(super) replies: BTreeMap<Ticket, Reply>,
    pub(super) observed: Vec<(usize, Observation)>,
    pub(super) history: History,
    pub(super) now: Now,
    pub(super) manual_fsync: bool,
    settings: Vec<Settings>,
    starts: u64,
    tickets: u64,
}

/// How many frames one exchange may take before a test gives up: well above any honest one.
const FRAMES_MAX: usize = 2_000;

impl Net {
    pub(super) fn new(members: usize) -> Self {
        Self::with(members, |_| {})
    }

    pub(super) fn with(members: usize, adjust: impl Fn(&mut Settings)) -> Self {
        let nodes: Vec<NodeId> = (0..members).map(node).collect();
        let settings: Vec<Settings> = nodes
            .iter()
            .map(|me| {
                let mut settings = Settings::new(PartitionId(7), *me, nodes.clone());
                adjust(&mut settings);
                settings
            })
            .collect();
        let mut net = Self {
            parts: Vec::new(),
            flights: Vec::new(),
            logs: vec![Vec::new(); members],
            replies: BTreeMap::new(),
            observed: Vec::new(),
            history: History::default(),
            now: Now {
                instant: Instant(1_000_000),
                wall: WallMs(1_700_000_000_000),
            },
            manual_fsync: false,
            settings,
            starts: 0,
            tickets: 0,
        };
        for at in 0..members {
            let fresh = net.fresh(at);
            net.parts.push(fresh);
        }
        for at in 0..members {
            net.start(at);
        }
        net.flights.clear();
        net
    }

    /// A replica under an actor that was never used: the node in the upper half, the start in the lower.
    fn fresh(&mut self, at: usize) -> Partition {
        self.starts += 1;
        let actor = ActorId(((at as u64 + 2) << 56) | self.starts);
        Partition::new(self.settings[at].clone(), actor)
    }

    fn start(&mut self, at: usize) {
        let mut effects = Vec::new();
        self.parts[at].start(self.now, &mut effects);
        self.carry_out(at, effects);
        for other in (0..self.parts.len()).filter(|other| *other != at) {
            self.connect(at, other);
            self.connect(other, at);
        }
    }

    fn connect(&mut self, at: usize, other: usize) {
        let incarnation = self.parts[other].incarnation();
        let peer = node(other);
        self.input(at, Input::PeerUp { peer, incarnation });
    }

    /// Kills a replica and starts it anew from its log, of which the last `lost` records are gone.
    pub(super) fn restart(&mut self, at: usize, lost: usize) {
        let kept = self.logs[at].len() - lost;
        self.logs[at].truncate(kept);
        self.parts[at] = self.replayed(at, 1);
        self.start(at);
    }

    /// A checkpoint takes the place of the whole log, and gives back just what the replica is.
    pub(super) fn checkpoint(&mut self, at: usize) {
        let dots = self.parts[at].replica().context().clone();
        let records = self.parts[at].checkpoint();
        self.logs[at] = records
            .into_iter()
            .map(|record| (record, Context::default()))
            .collect();
        if let Some(last) = self.logs[at].last_mut() {
            last.1 = dots;
        }
        let replayed = self.replayed(at, 1);
        let (now, then) = (self.parts[at].replica(), replayed.replica());
        assert_eq!(then.context(), now.context());
        assert_eq!(then.digest(), now.digest());
        assert!(then.masks().eq(now.masks()), "other masks");
        let overlays = |replica: &crate::partition::Replica| -> Vec<_> {
            let cells = replica.cells().map(|(id, cell)| (id, cell.pre().cloned()));
            cells.collect()
        };
        assert_eq!(overlays(then), overlays(now));
    }

    /// Kills a replica; what its log began with is lost, and it starts anew from the rest.
    pub(super) fn restart_after_loss(&mut self, at: usize, lost: usize) {
        self.logs[at].drain(..lost);
        let mut fresh = self.fresh(at);
        for (record, _) in &self.logs[at] {
            fresh.replay_after_loss(record).unwrap();
        }
        self.parts[at] = fresh;
        // From now on the log is what it says: what was passed over would build on what is not there.
        self.checkpoint(at);
        self.start(at);
    }

    /// A fresh replica that has read `at`'s log, `times` over.
    pub(super) fn replayed(&mut self, at: usize, times: usize) -> Partition {
        let mut fresh = self.fresh(at);
        for _ in 0..times {
            for (record, _) in &self.logs[at] {
                fresh.replay(record).unwrap();
            }
        }
        fresh
    }

    pub(super) fn input(&mut self, at: usize, input: Input) {
        let mut effects = Vec::new();
        self.parts[at].handle(self.now, input, &mut effects);
        self.carry_out(at, effects);
    }

    fn carry_out(&mut self, at: usize, effects: Vec<Effect>) {
        let mut synced = Context::default();
        for effect in effects {
            match effect {
                Effect::Persist { record, dots } => {
                    self.take_down(&record);
                    synced.join(&dots);
                    self.logs[at].push((record, dots));
                }
                Effect::Send { to, frame } => self.flights.push(Flight {
                    from: at,
                    to: index(to),
                    frame,
                }),
                Effect::Reply { ticket, reply } => {
                    let before = self.replies.insert(ticket, reply);
                    assert!(before.is_none(), "{ticket:?} was answered twice");
                }
                Effect::Changed { .. } | Effect::Discard(_) => {}
                Effect::Observe(observation) => self.observed.push((at, observation)),
            }
        }
        if !self.manual_fsync && !synced.is_empty() {
            self.input(at, Input::Durable(synced));
        }
    }

    /// Keeps every event for the specification.
    fn take_down(&mut self, record: &[u8]) {
        if let Ok((_, Message::Delta(batch))) = decode(record) {
            for (n, op) in (batch.first..).zip(batch.ops) {
                self.history.note(Dot::new(batch.actor, n), op);
            }
        }
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub(super) fn in_ms(&self, ms: u64) -> Instant {
        self.now.instant + Duration::from_millis(ms)
    }

    pub(super) fn write_all(&mut self, at: usize, writes: Vec<Write>) -> Context {
        let ticket = self.ticket();
        let deadline = self.in_ms(1_000);
        self.input(
            at,
            Input::Write {
                ticket,
                writes,
                acks: Acks::ONE,
                deadline,
            },
        );
        match &self.replies[&ticket] {
            Reply::Written { dots } => dots.clone(),
            other => panic!("a write with one acknowledgement is answered at once, not {other:?}"),
        }
    }

    pub(super) fn write(&mut self, at: usize, write: Write) -> Dot {
        let dots = self.write_all(at, vec![write]);
        dots.dots().next().unwrap()
    }

    /// Moves the clocks and wakes every replica that is due.
    pub(super) fn wait(&mut self, ms: u64) {
        self.now.instant = self.in_ms(ms);
        self.now.wall.0 += ms;
        for at in 0..self.parts.len() {
            self.wake(at);
        }
    }

    fn wake(&mut self, at: usize) {
        if self.parts[at]
            .deadline()
            .is_some_and(|due| due <= self.now.instant)
        {
            self.input(at, Input::Tick);
            let due = self.parts[at].deadline();
            assert!(
                due.is_none_or(|due| due > self.now.instant),
                "a handled tick leaves no deadline in the past: the shell would spin"
            );
        }
    }

    /// Takes the oldest frame of a kind from a link.
    pub(super) fn take(&mut self, from: usize, to: usize, kind: u8) -> Bytes {
        let at = self
            .flights
            .iter()
            .position(|flight| flight.from == from && flight.to == to && flight.kind() == kind);
        let at = at.unwrap_or_else(|| panic!("no frame of kind {kind} on its way"));
        self.flights.remove(at).frame
    }

    pub(super) fn arrive(&mut self, from: usize, to: usize, frame: Bytes) {
        let from = node(from);
        self.input(to, Input::Frame { from, frame });
    }

    /// Delivers a message as if `from` had sent it.
    pub(super) fn forge(&mut self, from: usize, to: usize, message: &Message) {
        let frame = self.frame_of(from, message);
        self.arrive(from, to, frame);
    }

    pub(super) fn frame_of(&self, from: usize, message: &Message) -> Bytes {
        let head = Head {
            partition: PartitionId(7),
            epoch: 0,
            sender: match message {
                Message::Delta(batch) => batch.actor,
                _ => self.parts[from].incarnation(),
            },
        };
        encode(head, message).into()
    }

    /// Delivers every delta on its way from `from` to `to`.
    pub(super) fn deltas(&mut self, from: usize, to: usize) {
        while let Some(at) = self.flights.iter().position(|flight| {
            flight.from == from && flight.to == to && flight.kind() == kind::DELTA
        }) {
            let frame = self.flights.remove(at).frame;
            self.arrive(from, to, frame);
        }
    }

    /// Delivers every delta on its way from `from`.
    pub(super) fn spread(&mut self, from: usize) {
        for to in 0..self.parts.len() {
            self.deltas(from, to);
        }
    }

    /// Loses everything on its way.
    pub(super) fn lose_all(&mut self) {
        self.flights.clear();
    }

    /// Loses everything on its way to one replica.
    pub(super) fn lose_to(&mut self, to: usize) {
        self.flights.retain(|flight| flight.to != to);
    }

    /// `source` tells `asker` what it holds, and `asker` asks it for what it lacks: leaves the request on its way.
    pub(super) fn provoke(&mut self, asker: usize, source: usize) {
        self.flights
            .retain(|flight| flight.from != asker || flight.to != source);
        self.flights
            .retain(|flight| flight.from != source || flight.to != asker);
        self.connect(source, asker);
        let advert = self.take(source, asker, 2);
        self.arrive(source, asker, advert);
        self.now.instant = self.in_ms(100);
        self.wake(asker);
    }

    /// One loss-free exchange: `asker` fetches from `source` whatever it lacks.
    pub(super) fn repair(&mut self, asker: usize, source: usize) {
        self.provoke(asker, source);
        self.finish(asker, source);
    }

    /// Delivers everything between two replicas until nothing is on its way.
    pub(super) fn finish(&mut self, one: usize, other: usize) {
        for _ in 0..FRAMES_MAX {
            let between = |flight: &Flight| {
                (flight.from, flight.to) == (one, other) || (flight.from, flight.to) == (other, one)
            };
            let Some(at) = self.flights.iter().position(between) else {
                return;
            };
            let Flight { from, to, frame } = self.flights.remove(at);
            self.arrive(from, to, frame);
        }
        panic!("two replicas talk for ever");
    }

    /// Delivers everything until nothing is on its way.
    pub(super) fn deliver_all(&mut self) {
        for _ in 0..FRAMES_MAX {
            if self.flights.is_empty() {
                return;
            }
            let Flight { from, to, frame } = self.flights.remove(0);
            self.arrive(from, to, frame);
        }
        panic!(
            "the replicas talk for ever: {} frames on their way",
            self.flights.len()
        );
    }

    /// Lets time pass and delivers everything, until every replica holds the same; then checks that they do.
    pub(super) fn converge(&mut self) {
        for _ in 0..40 {
            self.wait(300);
            self.deliver_all();
            let first = self.parts[0].replica().context();
            if self
                .parts
                .iter()
                .all(|part| part.replica().context() == first)
            {
                break;
            }
        }
        self.check_equal();
    }

    /// Every replica holds the same events and shows the same, which is what the specification says.
    pub(super) fn check_equal(&self) {
        let first = self.parts[0].replica();
        for part in &self.parts {
            assert_eq!(part.replica().context(), first.context(), "contexts differ");
            assert_eq!(part.replica().digest(), first.digest(), "digests differ");
        }
        self.check();
    }

    /// Every replica shows what the specification says about its own context.
    pub(super) fn check(&self) {
        for (at, part) in self.parts.iter().enumerate() {
            check_one(part, &self.history, &format!("replica {at}"));
            assert!(
                part.count().is_sound(),
                "replica {at}: a digest that was kept is not that of the cells"
            );
        }
        let mismatch = |(_, seen): &&(usize, Observation)| {
            matches!(
                seen,
                Observation::DigestMismatch { .. } | Observation::BadFrame { .. }
            )
        };
        assert_eq!(self.observed.iter().find(mismatch), None);
    }

    /// Overlays hold only what has not arrived.
    pub(super) fn check_overlays(&self) {
        for part in &self.parts {
            let applied = part.replica().context();
            for (range, dots) in part.replica().masks() {
                assert_eq!(
                    dots.intersection(applied),
                    Context::default(),
                    "mask {range}"
                );
            }
            for (id, cell) in part.replica().cells() {
                let pre = cell.pre().cloned().unwrap_or_default();
                assert_eq!(
                    pre.intersection(applied),
                    Context::default(),
                    "overlay of {id}"
                );
            }
        }
    }

    /// No overlay is left anywhere.
    pub(super) fn check_no_overlay(&self) {
        for part in &self.parts {
            assert_eq!(part.replica().masks().count(), 0, "a mask is left");
            for (id, cell) in part.replica().cells() {
                assert_eq!(cell.pre(), None, "{id} still waits for removed dots");
            }
        }
    }

    /// The value that a string key shows.
    pub(super) fn get(&self, at: usize, key: &str) -> Option<String> {
        let cell = self.parts[at].replica().cell(&string(key))?;
        let winner = cell.winner()?;
        Some(String::from_utf8(winner.value.to_vec()).unwrap())
    }

    /// The members that a set shows.
    pub(super) fn members(&self, at: usize, key: &str) -> Vec<String> {
        let cells = self.parts[at].replica().cells();
        cells
            .filter(|(id, cell)| *id.key == *key.as_bytes() && cell.is_live())
            .map(|(id, _)| String::from_utf8(id.name.field.to_vec()).unwrap())
            .collect()
    }

    /// The sum of a counter's chains.
    pub(super) fn count(&self, at: usize, key: &str) -> f64 {
        let cell = self.parts[at].replica().cell(&string(key));
        cell.map(|cell| shown_by(cell).chains.values().sum())
            .unwrap_or_default()
    }

    pub(super) fn observed(&self, at: usize, is: impl Fn(&Observation) -> bool) -> usize {
        self.observed
            .iter()
            .filter(|(node, observation)| *node == at && is(observation))
            .count()
    }
}

/// A replica shows exactly what the specification says about its context.
pub(super) fn check_one(part: &Partition, history: &History, who: &str) {
    let replica = part.replica();
    for id in history.cells() {
        let expected = history.shown(&id, replica.context());
        let shown = replica.cell(&id).map_or_else(Shown::default, shown_by);
        assert_eq!(
            shown,
            expected,
            "{who} at {id}, context {}",
            replica.context()
        );
    }
}

pub(super) fn node(at: usize) -> NodeId {
    NodeId(u32::try_from(at).unwrap())
}

fn index(node: NodeId) -> usize {
    usize::try_from(node.0).unwrap()
}

pub(super) fn string(key: &str) -> CellId {
    CellId::string(key.as_bytes())
}

pub(super) fn member(key: &str, field: &str) -> CellId {
    CellId::new(key.as_bytes(), Kind::Set, field.as_bytes())
}

pub(super) fn set(key: &str, value: &str) -> Write {
    Write::Set {
        cell: string(key),
        value: value.as_bytes().into(),
        deadline: Deadline::NEVER,
    }
}

pub(super) fn sadd(key: &str, field: &str) -> Write {
    Write::Set {
        cell: member(key, field),
        value: Box::default(),
        deadline: Deadline::NEVER,
    }
}

pub(super) fn srem(key: &str, field: &str) -> Write {
    Write::Remove {
        cell: member(key, field),
    }
}

pub(super) fn remove(key: &str) -> Write {
    Write::Remove { cell: string(key) }
}

pub(super) fn del(key: &str) -> Write {
    Write::Clear {
        range: Range::Key(key.as_bytes().into()),
    }
}

pub(super) fn incr(key: &str, amount: i128) -> Write {
    Write::Add {
        cell: string(key),
        amount: Total::Int(amount),
        deadline: Deadline::NEVER,
    }
}
