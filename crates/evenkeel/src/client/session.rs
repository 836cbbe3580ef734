//! What a node knows of one client connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use evenkeel_core::causality::{Context, Dot};
use evenkeel_core::command::Keyspace;
use evenkeel_core::id::PartitionId;
use evenkeel_resp::{Protocol, Reply};

use super::acks::Owing;
use super::connected::Connected;
use super::consistency::Consistency;
use super::pubsub::{self, Subscriptions};
use super::run::{Args, Caller};
use super::slowlog::Entry;
use super::stats::Shard;
use super::trail::{Owed, SharedTrail, Writer};
use super::transaction::Transaction;
use super::watch::Running;
use crate::node::Node;

/// One connection.
pub(super) struct Session {
    pub(super) node: Arc<Node>,
    /// What others see of it.
    pub(super) connected: Arc<Connected>,
    pub(super) subscriptions: Subscriptions,
    /// What its commands need to know of it, also those that still run.
    pub(super) caller: Caller,
    pub(super) transaction: Transaction,
    pub(super) id: u64,
    pub(super) protocol: Protocol,
    pub(super) reply: ReplyMode,
    /// Which of the node's two faces it came to.
    pub(super) face: Face,
    pub(super) running: Option<Running>,
    /// The last command, when it was slow and is not answered yet.
    pub(super) slow: Option<Entry>,
    /// Where its commands are counted.
    pub(super) shard: Option<Arc<Shard>>,
    /// Bytes that were read and not run when the running command began.
    pub(super) query_bytes: usize,
    /// Whether a command of this turn may have written: its replies must not leave before the log has it.
    pub(super) wrote_in_turn: bool,
    /// Per partition, the newest dot that this connection wrote there: WAIT is about these and all before.
    written: Written,
    /// Replies that wait for members to hold what they acknowledge.
    pub(super) owing: Owing,
    /// What came of the fence in front of the next command: null, or the error in its place.
    pub(super) fence: Option<Reply>,
}

/// Whether what is run decides by what it reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Decides {
    Nothing,
    /// It is a conditional command.
    ByReading,
}

impl From<bool> for Decides {
    fn from(conditional: bool) -> Self {
        if conditional {
            Self::ByReading
        } else {
            Self::Nothing
        }
    }
}

/// Whether replies are sent (`CLIENT REPLY`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReplyMode {
    On,
    Off,
    /// This reply and the next one are left out.
    Skip,
    /// This reply is left out.
    SkipNext,
}

/// The two faces of a node (`listen` and `cluster-listen`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Face {
    /// As a single Redis: any keys together.
    Standalone,
    /// As a node of a Redis cluster.
    Cluster,
}

impl ReplyMode {
    /// A command was answered, or left unanswered as it was to be.
    pub(super) const fn step(&mut self) {
        *self = match *self {
            Self::Skip => Self::SkipNext,
            Self::SkipNext => Self::On,
            mode @ (Self::On | Self::Off) => mode,
        };
    }
}

impl Session {
    pub(super) fn new(
        node: Arc<Node>,
        peer: Option<SocketAddr>,
        local: Option<SocketAddr>,
    ) -> Self {
        let id = node.next_id();
        let caller = Caller {
            node: Arc::clone(&node),
            trail: SharedTrail::default(),
            consistency: Consistency::of(&node.config),
        };
        let mut session = Self {
            node,
            connected: Arc::new(Connected::new(id, peer, local)),
            subscriptions: Subscriptions::default(),
            caller,
            transaction: Transaction::default(),
            id,
            protocol: Protocol::Resp2,
            reply: ReplyMode::On,
            face: Face::Standalone,
            running: None,
            slow: None,
            shard: None,
            query_bytes: 0,
            wrote_in_turn: false,
            written: Written::default(),
            owing: Owing::default(),
            fence: None,
        };
        session.follow_consistency();
        session
    }

    /// Back to how a connection starts (RESET).
    pub(super) fn reset(&mut self) {
        pubsub::end_all(self);
        self.set_protocol(Protocol::Resp2);
        self.connected.shown().name.clear();
        self.end_monitor();
        self.reply = ReplyMode::On;
        self.caller.consistency = Consistency::of(&self.node.config);
        self.follow_consistency();
        self.transaction.discard();
    }

    /// Works on a partition held here; `None` where it is not.
    pub(super) fn work_here<R>(
        &mut self,
        partition: PartitionId,
        work: impl FnOnce(&mut Keyspace<'_>) -> R,
    ) -> Option<R> {
        self.run_here(partition, Decides::Nothing, work)
    }

    /// The same for what may be a conditional command.
    pub(super) fn run_here<R>(
        &mut self,
        partition: PartitionId,
        decides: Decides,
        work: impl FnOnce(&mut Keyspace<'_>) -> R,
    ) -> Option<R> {
        let done = self.node.with(partition, |replica, now, effects| {
            let mut keys = Keyspace::new(replica, now, crate::entropy::chance(), effects);
            let result = work(&mut keys);
            (result, keys.dots().clone())
        });
        let (result, dots) = done?;
        if decides == Decides::ByReading {
            self.node.decided(partition, &dots);
        }
        self.wrote(partition, &dots);
        Some(result)
    }

    /// Shows what is only known here, for CLIENT INFO and CLIENT LIST.
    pub(super) fn show(&self) {
        self.connected
            .query_bytes
            .store(self.query_bytes, Ordering::Relaxed);
    }

    /// No longer watches what others run.
    pub(super) fn end_monitor(&self) {
        if self.connected.is_monitor() {
            self.connected.set_monitor(false);
            self.node.front.monitors.end(&self.connected);
        }
    }

    /// From the next reply or message on.
    pub(super) fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        self.connected.set_protocol(protocol);
    }

    /// Notes what this connection has written.
    pub(super) fn wrote(&mut self, partition: PartitionId, dots: &Context) {
        for run in dots.runs() {
            let newest = Dot::new(run.actor, run.last);
            let mut trail = self.caller.trail.borrow_mut();
            if run.actor == self.node.incarnation {
                self.written.note(partition, newest.n);
                trail.owe(partition, Writer::Here(newest));
            } else {
                trail.wrote_here(partition, newest);
            }
        }
    }

    /// Everything that this connection wrote, as dots of this node or by the member that took it: for WAIT.
    pub(super) fn written(&self) -> Vec<Owed> {
        let trail = self.caller.trail.borrow();
        let incarnation = self.node.incarnation;
        let here = self.written.iter();
        let here = here.map(|(partition, newest)| (partition, Dot::new(incarnation, newest)));
        let here = here.chain(trail.written());
        let here = here.map(|(partition, newest)| Owed {
            partition,
            by: Writer::Here(newest),
        });
        let forwarded = trail.forwarded();
        let there = forwarded.map(|(partition, member)| Owed {
            partition,
            by: Writer::Member(member),
        });
        here.chain(there).collect()
    }

    /// `EK.CONSISTENCY`.
    pub(super) fn set_consistency(&mut self, args: Args<'_>) -> Reply {
        let topology = &self.node.topology();
        let reply = self.caller.consistency.command(topology, args);
        self.follow_consistency();
        reply
    }

    /// What is noted of writes depends on what is wanted of them.
    fn follow_consistency(&mut self) {
        let mut trail = self.caller.trail.borrow_mut();
        trail.note_owed(!self.caller.consistency.write.is_one());
        trail.end_fence();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        pubsub::end_all(self);
        self.end_monitor();
    }
}

/// A number per partition, by place: noted with each write. Takes no room before the first.
#[derive(Default)]
struct Written(Vec<u64>);

impl Written {
    fn note(&mut self, partition: PartitionId, newest: u64) {
        let at = usize::from(partition.0);
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        self.0[at] = newest;
    }

    fn iter(&self) -> impl Iterator<Item = (PartitionId, u64)> {
        let numbers = (0..).map(PartitionId).zip(self.0.iter().copied());
        // Dots count from 1.
        numbers.filter(|(_, newest)| *newest > 0)
    }
}
