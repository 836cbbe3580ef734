//! What goes into a partition and what comes out of it.

use bytes::Bytes;

use crate::bug::Switches;
use crate::causality::Context;
use crate::id::{NodeId, PartitionId, Ticket};
use crate::limits;
use crate::membership::Member;
use crate::observation::Observation;
use crate::time::{Instant, WallMs};
use crate::types::{Cell, CellId, Deadline, Key, Range, Total, Value};

/// What a replica of a partition is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The partition.
    pub partition: PartitionId,
    /// This node.
    pub me: NodeId,
    /// The members of the replica set. A replica whose node is not among them holds what the members have to fetch.
    /// Until [`Input::Members`] brings another list.
    pub members: Vec<Member>,
    /// The epoch of that list; goes into every frame.
    pub epoch: u64,
    /// By what the hashes of keys are varied: random and secret in a node, or clients can choose keys that collide.
    pub hash_seed: u64,
    /// See [`limits::INDEX_ENTRIES_MAX`].
    pub index_entries_max: usize,
    /// See [`limits::GUEST_CHAINS_MAX`].
    pub guest_chains_max: usize,
    /// See [`limits::SYNC_ANSWER_BYTES`].
    pub sync_answer_bytes: usize,
    /// See [`limits::SNAPSHOT_CHUNK_BYTES`].
    pub snapshot_chunk_bytes: usize,
    /// Broken rules; none in a product build.
    pub switches: Switches,
}

impl Settings {
    /// The settings of `me` in a set of `members`, all of them active, everything else by default.
    #[must_use]
    pub fn new(partition: PartitionId, me: NodeId, members: Vec<NodeId>) -> Self {
        Self {
            partition,
            me,
            members: members.into_iter().map(Member::active).collect(),
            epoch: 0,
            hash_seed: 0,
            index_entries_max: limits::INDEX_ENTRIES_MAX,
            guest_chains_max: limits::GUEST_CHAINS_MAX,
            sync_answer_bytes: limits::SYNC_ANSWER_BYTES,
            snapshot_chunk_bytes: limits::SNAPSHOT_CHUNK_BYTES,
            switches: Switches::default(),
        }
    }
}

/// One change that a client asks for, at the level of cells.
#[derive(Clone, PartialEq, Debug)]
pub enum Write {
    /// Sets a register, or adds a set member (empty value); overrides the counter increments seen here.
    Set {
        /// The cell.
        cell: CellId,
        /// The bytes.
        value: Value,
        /// The key's deadline as seen here.
        deadline: Deadline,
    },
    /// Removes what is seen of a cell here; no event when that is nothing.
    Remove {
        /// The cell.
        cell: CellId,
    },
    /// Removes of a cell the versions and chains that have expired at a time under the deadline that they carry; no
    /// event when there are none. The others stay what they are, stamps included.
    Expire {
        /// The cell.
        cell: CellId,
        /// The time.
        at: WallMs,
    },
    /// Adds to a counter.
    Add {
        /// The cell.
        cell: CellId,
        /// How much; its kind of number is the chain's.
        amount: Total,
        /// The key's deadline as seen here.
        deadline: Deadline,
    },
    /// Removes what is seen of a range here, as one event; no event when that is nothing.
    Clear {
        /// The cells.
        range: Range,
    },
}

/// How many members must hold a write before it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acks {
    /// Active members, the receiving one included. 1: the receiving replica alone, whatever its part.
    pub members: usize,
    /// Whether an fsync must cover it on each of them.
    pub durable: bool,
}

impl Acks {
    /// Applied here and handed to the log: the default.
    pub const ONE: Self = Self {
        members: 1,
        durable: false,
    };
}

/// What happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client writes: one batch, applied whole. Always accepted; only the acknowledgement may stay out.
    Write {
        /// Names the reply.
        ticket: Ticket,
        /// The changes, in order; each sees the ones before.
        writes: Vec<Write>,
        /// When it counts as done.
        acks: Acks,
        /// When to answer at the latest.
        deadline: Instant,
    },
    /// A client reads a cell.
    Read {
        /// Names the reply.
        ticket: Ticket,
        /// The cell.
        cell: CellId,
        /// How many replicas to join, this one included; 1: this one alone.
        replicas: usize,
        /// What the answer must include: the session's token for this partition.
        after: Context,
        /// When to answer at the latest.
        deadline: Instant,
    },
    /// A client waits until members hold the given dots (WAIT, WAITAOF).
    Await {
        /// Names the reply.
        ticket: Ticket,
        /// The dots.
        dots: Context,
        /// Where they must be.
        acks: Acks,
        /// When to answer at the latest.
        deadline: Instant,
    },
    /// The list of members has changed. One that is not newer than the list known is ignored.
    Members {
        /// The epoch of the list.
        epoch: u64,
        /// The members.
        members: Vec<Member>,
    },
    /// A frame arrived on the link of a node.
    Frame {
        /// The node.
        from: NodeId,
        /// The bytes.
        frame: Bytes,
    },
    /// An fsync covered the log records of these dots. Each `Persist` effect named its dots.
    Durable(Context),
    /// A link to a node is up, be it a member or not. The handshake proved the incarnation of its process.
    PeerUp {
        /// The node.
        peer: NodeId,
        /// The actor it announced.
        incarnation: crate::id::ActorId,
    },
    /// The link to a node is down.
    PeerDown {
        /// The node.
        peer: NodeId,
    },
    /// The time of [`super::Partition::deadline`] has come.
    Tick,
}

/// An answer to a client.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The write is applied, logged and held by as many members as asked for.
    Written {
        /// Its dots; none when there was nothing to do.
        dots: Context,
    },
    /// The deadline came first. The write is kept and will spread.
    Unmet {
        /// Its dots.
        dots: Context,
        /// How many members hold it, as far as known here.
        reached: usize,
    },
    /// The cell, as joined from the replicas asked for.
    Value {
        /// Versions and chains.
        cell: Cell,
        /// All that the answer includes: what the session's token takes up.
        context: Context,
    },
    /// The deadline came before enough replicas answered or before the token was reached. Nothing was read.
    Behind {
        /// What of the token is still missing here.
        missing: Context,
        /// How many replicas answered.
        reached: usize,
    },
    /// The dots are held by so many members; fewer than asked for when the deadline came first.
    Reached {
        /// Members, this one included.
        members: usize,
    },
    /// Too many requests wait already; a write was still applied and is in `dots`.
    Overloaded {
        /// The dots of the write; none for other requests.
        dots: Context,
    },
}

/// What the shell has to do, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Append a record to the log. When an fsync has covered it, say so with [`Input::Durable`].
    Persist {
        /// The bytes to hand to [`super::Partition::replay`] after a restart.
        record: Bytes,
        /// The dots that become durable with it; may be empty.
        dots: Context,
    },
    /// Send a frame to a member; drop it if its queue is full or its link is down: anti-entropy repairs.
    Send {
        /// The member.
        to: NodeId,
        /// The bytes.
        frame: Bytes,
    },
    /// Answer a client.
    Reply {
        /// The request.
        ticket: Ticket,
        /// The answer.
        reply: Reply,
    },
    /// A key that somebody waits for ([`super::Partition::await_key`]) has changed and is not empty.
    Changed {
        /// The key.
        key: Key,
    },
    /// Drop it where nobody waits for it: that takes long.
    Discard(super::Garbage),
    /// Count, log, show.
    Observe(Observation),
}
