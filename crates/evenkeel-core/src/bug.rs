//! Switches that break one rule each, so that the simulator can prove that it would notice.
//!
//! Only with the feature `bugs`; without it every question is answered `false` at compile time. The names M1 to
//! M26 are those of the design's mutation table.

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A rule to break.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Bug { $($(#[doc = $doc])+ $variant,)+ }

        impl Bug {
            /// Every switch.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The rule that is switched off, in words.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

bugs! {
    /// Removals take no dot.
    M1 = "M1",
    /// No overlay for removed dots that have not arrived.
    M2 = "M2",
    /// The removals of an event that is dead on arrival are skipped.
    M3 = "M3",
    /// A unit marks only one of the dots it covers.
    M4 = "M4",
    /// The actor and its numbers go on after a crash that lost the tail.
    M5 = "M5",
    /// Siblings that lose are dropped on merge.
    M7 = "M7",
    /// Chains have no birth.
    M8 = "M8",
    /// Dead chains are dropped at once.
    M9 = "M9",
    /// A snapshot's ranges are installed as they come, its context at the end.
    M12 = "M12",
    /// Answers to requests of an earlier run are accepted.
    M13 = "M13",
    /// A unit's cells are older than its context.
    M14 = "M14",
    /// Dead chains are collected without the owner's advert.
    M16 = "M16",
    /// A guest drops what a member has, when a crash may still take it from there.
    M10 = "M10",
    /// A guest extends a chain that it may have sent.
    M15 = "M15",
    /// The whole context is joined after a partial transfer.
    M17 = "M17",
    /// A range delete leaves no mask.
    M18 = "M18",
    /// Units come without the sender's overlay.
    M20 = "M20",
    /// Volatile acknowledgements let the index be collected, and no snapshot is offered.
    M21 = "M21",
    /// A snapshot is streamed into place, and its source may be lost half-way.
    M22 = "M22",
    /// A range delete lists no counter totals.
    M23 = "M23",
    /// Units come without the range deletes that are missing too.
    M24 = "M24",
    /// A range delete lists live chains only.
    M25 = "M25",
    /// A snapshot's overlays are not taken over.
    M26 = "M26",
    /// Overwritten dots are added to the context.
    OverwrittenDots = "overwritten-dots-in-context",
    /// Answers are matched by a counter that starts anew with the process.
    UnfencedReply = "unfenced-reply",
    /// The actor is reused after a crash lost the log's tail, numbered from what is left.
    ActorReused = "actor-reused-after-lost-tail",
    /// The actor is kept after an old copy of the disk came back.
    ActorKept = "restore-keeps-actor",
    /// The actor of the original goes on at a copy of its disk.
    CloneKeepsActor = "clone-keeps-actor",
    /// What has expired is dropped by the local clock, without an event.
    ExpirySilent = "expiry-deletes-silently",
    /// What has expired is removed at once, before an extension made elsewhere in time can arrive.
    ExpiryEarly = "expiry-without-grace",
    /// What an expired sibling leaves is written anew.
    ExpiredRestamped = "rest-of-expired-written-anew",
    /// Of several types a key shows the one that comes last by its name.
    TypeByName = "type-shown-by-name",
    /// New elements do not carry the deadline of their key.
    DeadlineNotCarried = "deadline-not-carried",
    /// Two writers draw the same positions for elements of a list.
    PositionReused = "list-position-reused",
    /// An addition to a sketch drops what its actor had counted before.
    SketchForgets = "sketch-forgets",
    /// A score takes away increments that its writer had not seen.
    IncrementsLost = "increments-lost-on-score",
    /// Only the first half of a batch is applied when it arrives.
    BatchInPart = "batch-applied-in-part",
    /// A batch travels as two frames, so that a receiver shows its first half before the other.
    BatchTorn = "batch-torn",
    /// A checkpoint takes the place of the log before all of it is on the disk.
    CheckpointNotAtomic = "checkpoint-not-atomic",
    /// The log loses records that the checkpoint does not hold.
    SegmentDroppedEarly = "segment-dropped-early",
    /// A replica is dropped before the members hold what it holds.
    DropUncovered = "drop-before-covered",
    /// Who joins serves before it has fetched what the members hold.
    JoinUnsynced = "join-without-anti-entropy",
    /// What a member told before it got its part counts.
    StaleMember = "told-before-it-joined",
    /// A replica that was dropped goes on under its actor.
    MinterKept = "actor-kept-after-drop",
    /// A log without its beginning is read as if nothing were missing.
    LossIgnored = "loss-ignored",
    /// Records behind a damaged one are read as if nothing were missing.
    DamagedRecordSkipped = "damaged-record-skipped",
    /// A record that a crash has torn is taken for one.
    TornTailAccepted = "torn-tail-accepted",
}

/// Which rule is broken, if any.
#[derive(Clone, Copy, Default, Debug)]
pub struct Switches {
    #[cfg(feature = "bugs")]
    on: Option<Bug>,
}

impl Switches {
    /// Breaks one rule.
    #[cfg(feature = "bugs")]
    #[must_use]
    pub const fn broken(bug: Option<Bug>) -> Self {
        Self { on: bug }
    }

    /// Whether this rule is broken.
    #[must_use]
    #[cfg(feature = "bugs")]
    pub fn breaks(self, bug: Bug) -> bool {
        self.on == Some(bug)
    }

    /// Whether this rule is broken: never, in a product build.
    #[must_use]
    #[cfg(not(feature = "bugs"))]
    pub const fn breaks(self, _bug: Bug) -> bool {
        false
    }
}
