//! What members of a partition say to each other, and what a replica writes to its log.

use crate::causality::{Context, Hlc};
use crate::event::{Batch, Event};
use crate::id::{ActorId, PartitionId};
use crate::types::{Cell, CellId, Key, Range};

/// Matches an answer to its request. Unguessable over restarts: its base is the incarnation's random actor id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Nonce(pub u64);

/// Names one pinned snapshot at its source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SnapshotId(pub u64);

/// What every frame and every record starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The partition it is about.
    pub partition: PartitionId,
    /// The topology epoch the sender is in.
    pub epoch: u64,
    /// The sender's incarnation.
    pub sender: ActorId,
}

/// A cell with all that is needed to merge it on its own (replication.md 2.2, trap F3).
#[derive(Clone, Debug)]
pub struct Unit {
    /// The cell.
    pub cell: CellId,
    /// Its state at the sender, without the overlay.
    pub state: Cell,
    /// The sender's overlay for this cell: removed dots that had not arrived there.
    pub extra: Context,
    /// Every dot of this cell that the requester lacked and the sender had.
    pub covered: Context,
}

/// "This is what I hold": the trigger of anti-entropy, the acknowledgement, and the proof of convergence.
#[derive(Clone, PartialEq, Debug)]
pub struct Advert {
    /// Dots whose log records an fsync covers: for collection, hand-off and durable acknowledgements.
    pub durable: Context,
    /// Dots applied and not durable yet: with `durable`, the sender's whole context.
    pub tail: Context,
    /// The sender's content digest: equal wherever whole contexts are equal (replication.md 11).
    pub digest: u128,
    /// The actor under which the sender mints, where it is not its incarnation.
    pub minter: Option<ActorId>,
}

/// Everything from one instant of the sender's state (replication.md 2.2).
#[derive(Clone, Debug)]
pub struct SyncAnswer {
    /// The request's nonce.
    pub nonce: Nonce,
    /// The sender's context.
    pub context: Context,
    /// Range deletes that the requester lacked: applied before the units (trap F5).
    pub ranges: Vec<Event>,
    /// Cells; none while range deletes are still missing.
    pub units: Vec<Unit>,
}

/// Part of a snapshot: all cells of the keys `from..to`.
#[derive(Clone, Debug)]
pub struct SnapshotChunk {
    /// The request's nonce.
    pub nonce: Nonce,
    /// The pinned snapshot it belongs to.
    pub id: SnapshotId,
    /// Its number, from 0.
    pub index: u32,
    /// The source's context at the instant of the snapshot; the same in every chunk.
    pub context: Context,
    /// The first key it covers.
    pub from: Key,
    /// The first key behind it; `None` in the last chunk.
    pub to: Option<Key>,
    /// The cells, overlays included.
    pub cells: Vec<(CellId, Cell)>,
    /// The source's range-delete overlays; the same in every chunk, since the cells of each are joined under them.
    pub masks: Vec<(Range, Context)>,
    /// The source's closed actors: (actor, last number it may have used, dots that stand); the same in every chunk.
    pub fences: Vec<(ActorId, u64, Context)>,
}

/// What one member says to another.
#[derive(Clone, Debug)]
pub enum Message {
    /// New events of the sender: the fast path.
    Delta(Batch),
    /// See [`Advert`].
    Advert(Advert),
    /// Asks for an advert at once: somebody waits for an acknowledgement.
    AdvertRequest,
    /// Asks for what the sender lacks.
    SyncRequest {
        /// To match the answer.
        nonce: Nonce,
        /// What the requester has.
        context: Context,
    },
    /// See [`SyncAnswer`].
    SyncAnswer(SyncAnswer),
    /// The dot index does not reach back far enough to answer.
    NeedSnapshot {
        /// The request's nonce.
        nonce: Nonce,
    },
    /// Asks for one chunk of a snapshot.
    SnapshotRequest {
        /// To match the answer.
        nonce: Nonce,
        /// The snapshot to go on with; `None` pins a new one.
        id: Option<SnapshotId>,
        /// Which chunk.
        index: u32,
    },
    /// See [`SnapshotChunk`].
    SnapshotChunk(SnapshotChunk),
    /// No snapshot to be had: too many are served already, or the one asked for is gone.
    SnapshotRefused {
        /// The request's nonce.
        nonce: Nonce,
    },
    /// Asks for a cell's state, for a read that joins several replicas.
    ReadRequest {
        /// To match the answer.
        nonce: Nonce,
        /// The cell.
        cell: CellId,
    },
    /// A cell's state and what it knows.
    ReadAnswer {
        /// The request's nonce.
        nonce: Nonce,
        /// The answering replica's context.
        context: Context,
        /// The cell as a unit that covers nothing.
        unit: Box<Unit>,
    },
}

/// What only the log holds. Deltas, answers and chunks are logged as the frames they came in.
#[derive(Clone, PartialEq, Debug)]
pub enum Note {
    /// The spooled chunks of this snapshot were installed.
    Installed {
        /// The snapshot.
        id: SnapshotId,
    },
    /// No stamp at or above this was given before a later note says so.
    ClockBound {
        /// The bound.
        bound: Hlc,
    },
    /// The replica was dropped: what follows is of an empty one. Closed actors stay closed.
    Dropped,
    /// An actor was closed: its dots up to `upto` that are not in `keep` are void (replication.md 4.4).
    Fenced {
        /// The closed actor.
        actor: ActorId,
        /// The last number it may have used.
        upto: u64,
        /// The dots that stand.
        keep: Context,
    },
}
