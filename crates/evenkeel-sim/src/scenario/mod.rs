//! Hand-made interleavings: replicas without a network, where a test says which frame arrives when.
//!
//! Links are up all the time, but nothing travels by itself: every frame waits in a queue until it is delivered or
//! lost. Disks sync only when told to. Time passes only in [`Bench::run`].

mod actions;

use bytes::Bytes;
use evenkeel_core::causality::Context;
use evenkeel_core::id::{ActorId, NodeId, PartitionId, Ticket};
use evenkeel_core::message::Message;
use evenkeel_core::observation::Observation;
use evenkeel_core::partition::{Effect, Input, Partition, Reply, Settings};
use evenkeel_core::time::{Instant, Now, WallMs};
use evenkeel_core::wire::decode;

pub use actions::{add, clear, int, remove, set, values};

/// A frame on its way.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The sender.
    pub from: usize,
    /// The receiver.
    pub to: usize,
    /// The bytes.
    pub frame: Bytes,
}

impl Parcel {
    /// What it says; `None` when it is unreadable.
    #[must_use]
    pub fn message(&self) -> Option<Message> {
        decode(&self.frame).ok().map(|(_, message)| message)
    }

    /// Whether it carries new events of its sender.
    #[must_use]
    pub fn is_delta(&self) -> bool {
        matches!(self.message(), Some(Message::Delta(_)))
    }
}

/// One node of the bench.
#[derive(Debug)]
struct Seat {
    partition: Partition,
    log: Vec<(Bytes, Context)>,
    synced: usize,
    /// How wrong its wall clock is.
    skew_ms: u64,
    gone: bool,
}

/// Replicas of one partition on a bench.
#[derive(Debug)]
pub struct Bench {
    seats: Vec<Seat>,
    queue: Vec<Parcel>,
    now_us: u64,
    actors: u64,
    tickets: u64,
    replies: Vec<(Ticket, Reply)>,
    observed: Vec<Observation>,
    adjust: fn(&mut Settings),
}

impl Bench {
    /// `nodes` empty members: A, B, C and so on are 0, 1, 2.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self::with(nodes, |_| ())
    }

    /// The same with other settings than the product's own.
    #[must_use]
    pub fn with(nodes: usize, adjust: fn(&mut Settings)) -> Self {
        let mut bench = Self {
            seats: Vec::new(),
            queue: Vec::new(),
            now_us: 1_000_000,
            actors: 0,
            tickets: 0,
            replies: Vec::new(),
            observed: Vec::new(),
            adjust,
        };
        for at in 0..nodes {
            let partition = bench.fresh(at, nodes);
            bench.seats.push(Seat {
                partition,
                log: Vec::new(),
                synced: 0,
                skew_ms: 0,
                gone: false,
            });
        }
        for at in 0..nodes {
            bench.boot(at);
        }
        for at in 0..nodes {
            bench.connect(at);
        }
        bench.lose_all();
        bench
    }

    fn fresh(&mut self, at: usize, nodes: usize) -> Partition {
        self.actors += 1;
        let members = (0..nodes).map(node_id).collect();
        let mut settings = Settings::new(PartitionId(1), node_id(at), members);
        (self.adjust)(&mut settings);
        // Ascending and far apart, so that traces are easy to read and nonces do not meet.
        Partition::new(settings, ActorId(self.actors << 48 | 1 << 32))
    }

    fn now(&self, at: usize) -> Now {
        Now {
            instant: Instant(self.now_us),
            wall: WallMs(1_790_000_000_000 + self.now_us / 1000 + self.seats[at].skew_ms),
        }
    }

    fn boot(&mut self, at: usize) {
        let now = self.now(at);
        let mut effects = Vec::new();
        let seat = &mut self.seats[at];
        for (record, _) in &seat.log {
            let replayed = seat.partition.replay(record);
            assert!(replayed.is_ok(), "the log holds what the replica wrote");
        }
        seat.partition.start(now, &mut effects);
        self.carry_out(at, effects);
    }

    fn connect(&mut self, at: usize) {
        for other in (0..self.seats.len()).filter(|other| *other != at) {
            if !self.seats[other].gone {
                for (me, peer) in [(at, other), (other, at)] {
                    let incarnation = self.seats[peer].partition.actor();
                    let peer = node_id(peer);
                    self.input(me, Input::PeerUp { peer, incarnation });
                }
            }
        }
    }

    /// Gives one input to a node; its frames wait in the queue.
    pub fn input(&mut self, at: usize, input: Input) {
        if self.seats[at].gone {
            return;
        }
        let now = self.now(at);
        let mut effects = Vec::new();
        self.seats[at].partition.handle(now, input, &mut effects);
        self.carry_out(at, effects);
    }

    fn carry_out(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist { record, dots } => self.seats[at].log.push((record, dots)),
                Effect::Send { to, frame } => self.queue.push(Parcel {
                    from: at,
                    to: to.0 as usize,
                    frame,
                }),
                Effect::Reply { ticket, reply } => self.replies.push((ticket, reply)),
                Effect::Changed { .. } | Effect::Discard(_) => {}
                Effect::Observe(observation) => self.observed.push(observation),
            }
        }
    }

    /// Takes every frame off the queue.
    pub fn take(&mut self) -> Vec<Parcel> {
        std::mem::take(&mut self.queue)
    }

    /// Loses every frame of the queue.
    pub fn lose_all(&mut self) {
        self.queue.clear();
    }

    /// A frame arrives, now or again.
    pub fn deliver(&mut self, parcel: &Parcel) {
        let (from, frame) = (node_id(parcel.from), parcel.frame.clone());
        self.input(parcel.to, Input::Frame { from, frame });
    }

    /// Delivers the frames of the queue that are for one node; the others are lost.
    pub fn deliver_to(&mut self, to: usize) {
        for parcel in self.take() {
            if parcel.to == to {
                self.deliver(&parcel);
            }
        }
    }

    /// The log of a node is synced.
    pub fn sync(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        let mut dots = Context::default();
        seat.log[seat.synced..]
            .iter()
            .for_each(|(_, new)| dots.join(new));
        seat.synced = seat.log.len();
        self.input(at, Input::Durable(dots));
    }

    /// The power of a node fails: it restarts as another incarnation with what was synced. Frames on their way stay.
    pub fn crash(&mut self, at: usize) {
        let nodes = self.seats.len();
        let partition = self.fresh(at, nodes);
        let seat = &mut self.seats[at];
        seat.log.truncate(seat.synced);
        seat.partition = partition;
        self.boot(at);
        for other in (0..nodes).filter(|other| *other != at) {
            self.input(other, Input::PeerDown { peer: node_id(at) });
        }
        self.connect(at);
    }

    /// A node is lost for good.
    pub fn kill(&mut self, at: usize) {
        self.seats[at].gone = true;
        for other in 0..self.seats.len() {
            self.input(other, Input::PeerDown { peer: node_id(at) });
        }
    }

    /// Sets a wall clock wrong.
    pub fn skew(&mut self, at: usize, ahead_ms: u64) {
        self.seats[at].skew_ms = ahead_ms;
    }

    /// Sets the time, which never goes back; nothing happens by itself.
    pub fn pass_to(&mut self, instant: Instant) {
        self.now_us = self.now_us.max(instant.0);
    }

    /// Lets time pass. Only frames between nodes for which `passes` holds arrive, at once and in order; the others
    /// are lost. Everything is synced as it is written when `syncing`.
    pub fn run(&mut self, millis: u64, syncing: Syncing, passes: impl Fn(usize, usize) -> bool) {
        let end = self.now_us + millis * 1000;
        loop {
            self.settle_queue(syncing, &passes);
            let due = self.seats.iter().enumerate().filter(|(_, seat)| !seat.gone);
            let due = due.filter_map(|(at, seat)| Some((seat.partition.deadline()?.0, at)));
            let Some((deadline, at)) = due.min() else {
                break;
            };
            if deadline > end {
                break;
            }
            self.now_us = self.now_us.max(deadline);
            self.input(at, Input::Tick);
        }
        self.now_us = end;
    }

    fn settle_queue(&mut self, syncing: Syncing, passes: &impl Fn(usize, usize) -> bool) {
        while !self.queue.is_empty() {
            let parcel = self.queue.remove(0);
            if passes(parcel.from, parcel.to) {
                self.deliver(&parcel);
            }
            for at in 0..self.seats.len() {
                if syncing == Syncing::Always && self.seats[at].synced < self.seats[at].log.len() {
                    self.sync(at);
                }
            }
        }
    }

    /// Two nodes talk for a while, the others hear nothing.
    pub fn exchange(&mut self, a: usize, b: usize) {
        self.run(8_000, Syncing::Never, |from, to| {
            (from, to) == (a, b) || (from, to) == (b, a)
        });
    }

    /// Everybody talks to everybody until all is repaired and collected.
    pub fn heal(&mut self) {
        for at in 0..self.seats.len() {
            self.sync(at);
        }
        self.run(40_000, Syncing::Always, |_, _| true);
    }

    /// A node's replica.
    #[must_use]
    pub fn at(&self, at: usize) -> &Partition {
        &self.seats[at].partition
    }

    /// A ticket that was not used yet.
    pub fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// A deadline after `millis`.
    #[must_use]
    pub fn deadline(&self, millis: u64) -> Instant {
        Instant(self.now_us + millis * 1000)
    }

    /// The answer to a request, if it has come.
    #[must_use]
    pub fn reply(&self, ticket: Ticket) -> Option<&Reply> {
        let found = self.replies.iter().find(|(asked, _)| *asked == ticket);
        found.map(|(_, reply)| reply)
    }

    /// Everything that was noticed so far.
    #[must_use]
    pub fn observed(&self) -> &[Observation] {
        &self.observed
    }

    /// Whether all living nodes have the same context and the same digest.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let mut living = self
            .seats
            .iter()
            .filter(|seat| !seat.gone)
            .map(|seat| seat.partition.replica());
        let Some(first) = living.next() else {
            return true;
        };
        living.all(|replica| {
            replica.context() == first.context() && replica.digest() == first.digest()
        })
    }
}

/// Whether disks sync what is written while time passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Syncing {
    /// Each record at once.
    Always,
    /// Only when told to.
    Never,
}

fn node_id(at: usize) -> NodeId {
    NodeId(u32::try_from(at).unwrap_or(u32::MAX))
}
