//! What a state machine noticed: the one source of logs, metrics, dashboard and simulator traces.

use crate::causality::Hlc;
use crate::codec::DecodeError;
use crate::id::NodeId;

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
}
