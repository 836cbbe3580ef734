//! The kinds of faults, and sets of them.

use std::fmt;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A kind of fault that a run can have.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Fault { $($(#[doc = $doc])+ $variant,)+ }

        impl Fault {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

faults! {
    /// Frames are lost.
    Drop = "drop",
    /// Frames arrive twice.
    Duplicate = "duplicate",
    /// Frames overtake each other, some are seconds late.
    Reorder = "reorder",
    /// Old frames arrive again up to a minute late, also after a restart of either side.
    Replay = "replay",
    /// One node is cut off.
    Isolate = "isolate",
    /// The nodes fall into two halves.
    Halves = "halves",
    /// Two halves that share one node.
    Bridge = "bridge",
    /// Every node reaches only its two neighbours.
    Ring = "ring",
    /// Random directed links are cut.
    Grudge = "grudge",
    /// One link is cut in one direction.
    OneWay = "one-way",
    /// A directed link holds its frames back.
    Clog = "clog",
    /// A connection is reset and formed again.
    Reset = "reset",
    /// A process dies; what was not synced is lost.
    Crash = "crash",
    /// A crash keeps some of the records that were not synced.
    Torn = "torn",
    /// Crashes aimed at open exchanges: a request just sent, a snapshot chunk on its way.
    Ambush = "ambush",
    /// A process handles nothing for a while.
    Pause = "pause",
    /// Wall clocks are up to an hour wrong.
    Offset = "offset",
    /// Wall clocks jump by up to ten years.
    Step = "step",
    /// Wall clocks run at 0.2 to 5 times their speed.
    Drift = "drift",
    /// A member is lost for good, disk and all.
    Loss = "loss",
    /// An old copy of a disk comes back at a restart.
    Restore = "restore",
    /// A node restarts with a copy of another node's disk.
    Clone = "clone",
    /// A node restarts with an empty disk.
    Wipe = "wipe",
    /// Checkpoints take the place of the log's beginning.
    Checkpoint = "checkpoint",
    /// A process dies, and a checkpoint, or the log's beginning, is lost with it.
    LostFront = "lost-front",
    /// Fsyncs take up to a second.
    SlowDisk = "slow-disk",
    /// The dot index is small.
    SmallIndex = "small-index",
    /// Anti-entropy answers are small.
    SmallAnswers = "small-answers",
    /// Snapshot chunks are small.
    SmallChunks = "small-chunks",
    /// The members of the replica set change.
    Members = "members",
    /// A write or an fsync of the log fails; later an operator starts the process again.
    FailingDisk = "failing-disk",
    /// A process dies, and bits of a file are flipped or a sector is wrong when it starts again.
    Rot = "rot",
    /// A process dies, and a file is gone or shorter when it starts again.
    LostFile = "lost-file",
}

impl Fault {
    /// Whether it came after the seeds that are kept: it is drawn apart, so that those do what they did.
    pub(crate) const fn is_drawn_apart(self) -> bool {
        matches!(self, Self::FailingDisk | Self::Rot | Self::LostFile)
    }
}

/// A set of fault kinds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FaultSet(u64);

impl FaultSet {
    /// Whether a kind is in it.
    #[must_use]
    pub const fn has(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u32) != 0
    }

    /// Adds a kind.
    pub const fn insert(&mut self, fault: Fault) {
        self.0 |= 1 << fault as u32;
    }

    /// Takes a kind out.
    pub const fn remove(&mut self, fault: Fault) {
        self.0 &= !(1 << fault as u32);
    }

    /// The kinds, in their order.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL
            .iter()
            .copied()
            .filter(move |fault| self.has(*fault))
    }
}

impl fmt::Display for FaultSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Fault::name).collect();
        f.write_str(&names.join(","))
    }
}
