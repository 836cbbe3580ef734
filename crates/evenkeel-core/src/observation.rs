//! What a state machine noticed: the one source of logs, metrics, dashboard and simulator traces.

use crate::causality::{Dot, Hlc};
use crate::codec::DecodeError;
use crate::id::NodeId;
use crate::time::Duration;
use crate::types::{Field, Key, Kind, Value};

/// Something worth telling an operator or counting.
#[derive(Clone, PartialEq, Debug)]
pub enum Observation {
    /// A peer sent bytes that are no frame. The frame was dropped; nothing was applied. Close the link.
    BadFrame {
        /// Who sent it.
        from: NodeId,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// A peer's stamp is further ahead than the skew bound: somebody's clock is wrong. The event was applied.
    ClockAhead {
        /// Who sent it.
        from: NodeId,
        /// The stamp.
        stamp: Hlc,
    },
    /// Equal contexts with unequal digests: a bug or damaged data. The replica goes on; scrub both.
    DigestMismatch {
        /// The other replica.
        peer: NodeId,
        /// The digest here.
        ours: u128,
        /// The digest there.
        theirs: u128,
    },
    /// Own events are now known to be held elsewhere.
    Visible {
        /// Where; `None`: by every member.
        peer: Option<NodeId>,
        /// How long they took.
        delays: Box<[Delay]>,
    },
    /// An answer did not belong to any open request, and was dropped.
    StaleAnswer {
        /// Who sent it.
        from: NodeId,
    },
    /// Anti-entropy asked a member for what is missing.
    SyncStarted {
        /// The member asked.
        peer: NodeId,
        /// How many events it had more, as far as known.
        missing: u64,
    },
    /// Anti-entropy brought events.
    SyncReceived {
        /// The member that answered.
        peer: NodeId,
        /// Range deletes received.
        ranges: usize,
        /// Cells received.
        units: usize,
    },
    /// An open request was not answered in time; another member is asked.
    SyncTimedOut {
        /// The member that did not answer.
        peer: NodeId,
    },
    /// A member's index does not reach back far enough.
    SnapshotNeeded {
        /// The member.
        peer: NodeId,
    },
    /// A spooled snapshot was installed whole.
    SnapshotInstalled {
        /// The source.
        peer: NodeId,
        /// How many chunks it had.
        chunks: usize,
    },
    /// The index was over its cap and gave up its oldest entries: absent members will need a snapshot.
    IndexTrimmed {
        /// How many entries went.
        entries: usize,
    },
    /// Garbage was collected.
    Collected {
        /// Index entries that every member has durably.
        index: usize,
        /// Dead counter chains.
        chains: usize,
    },
    /// A counter's merged value left the 64-bit range and was shown clamped.
    CounterClamped,
    /// Concurrent writes have met here, and something written is not shown.
    Conflict(Box<Conflict>),
    /// So many more conflicts came with the same frame.
    ConflictsLeftOut {
        /// How many.
        conflicts: u64,
    },
}

/// How long some events took, all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delay {
    /// How many.
    pub events: u64,
    /// From the write until it was told here that they are held there.
    pub after: Duration,
}

/// Writes that had not seen each other, of which one is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The key.
    pub key: Key,
    /// What met.
    pub met: Met,
    /// What is shown.
    pub winner: Rival,
    /// What is not. It is held until a write that has seen it.
    pub loser: Rival,
}

/// What met in a conflict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Met {
    /// Values of one cell: the newest stamp is shown.
    Values,
    /// Deadlines of one key: the latest holds.
    Deadlines,
    /// Types of one key: that of the newest stamp is shown.
    Types,
}

impl Met {
    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Values => "value",
            Self::Deadlines => "deadline",
            Self::Types => "type",
        }
    }
}

/// One side of a conflict; of a type, its newest write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rival {
    /// What the cell is part of.
    pub kind: Kind,
    /// Which cell.
    pub field: Field,
    /// The event that wrote it: the newest increment of a counter.
    pub dot: Dot,
    /// Its stamp.
    pub hlc: Hlc,
    /// What it wrote, cut off at [`crate::limits::CONFLICT_VALUE_BYTES_MAX`]; what a counter adds, as text.
    pub value: Value,
    /// How long that is in full.
    pub bytes: usize,
}
