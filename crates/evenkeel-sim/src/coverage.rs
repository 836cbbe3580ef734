//! How often each fault fired and each rare state of the protocol was reached: injectors must not rot.

use std::collections::BTreeMap;

use evenkeel_resp::Reply;

use crate::faults::Fault;

macro_rules! marks {
    ($($variant:ident = $name:literal,)+) => {
        /// A rare state of the protocol, or of a fault within it.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Mark { $(#[doc = $name] $variant,)+ }

        impl Mark {
            /// Every mark.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// What was reached, in words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

marks! {
    TailLost = "crash lost unsynced events",
    TailKept = "crash kept part of the unsynced log",
    LogAnew = "damaged log begun anew",
    CheckpointMissed = "start without the checkpoint",
    WriteRefused = "client refused by a node whose log failed",
    CrashInExchange = "crash between request and answer",
    CrashInSnapshot = "source crashed during a snapshot",
    LossInSnapshot = "source lost for good during a snapshot",
    HalfOpen = "half-open connection after a crash",
    StaleAnswer = "stale answer dropped",
    SyncReceived = "anti-entropy brought events",
    SyncRanges = "anti-entropy brought range deletes",
    SyncTimedOut = "anti-entropy timed out",
    SnapshotNeeded = "index too short, snapshot needed",
    SnapshotInstalled = "snapshot installed",
    Conflict = "concurrent versions met",
    KeysDiffer = "keys differ between replicas",
    VisibleToAll = "own events told to be held by all",
    IndexTrimmed = "index trimmed",
    IndexCollected = "index entries collected",
    ResidueCollected = "residue of a counter collected",
    ClockAhead = "stamp too far ahead",
    Overlay = "cell with an overlay",
    Mask = "range-delete mask not empty",
    MaskHit = "anti-entropy under a mask",
    Siblings = "cell with siblings",
    Chains = "counter with several live chains",
    EqualContexts = "equal contexts compared",
    JoinedReads = "read that joins replicas",
    TokenReads = "read after a token",
    WentBack = "read without its token that went back",
    Behind = "read answered behind",
    Unmet = "write answered unmet",
    DurableAcks = "write acknowledged as durable elsewhere",
    AwaitUnmet = "await not reached",
    RequestsLost = "requests lost in a crash",
    Transaction = "several commands as one batch",
    BatchOfMany = "several events as one record",
    BatchInPart = "batch brought in part by a repair",
    MovedWithin = "element moved within its list",
    AtHome = "conditional command at the home",
    Clamped = "number shown clamped",
    CarriedDeadline = "key that expires with its elements",
    ExpiredRemoved = "expired keys removed at the home",
    Joined = "member joined",
    Left = "member let go, drained",
    Removed = "living member removed without a drain",
    Replaced = "lost member removed",
    Abandoned = "join abandoned",
    Stayed = "member that was leaving stays",
    SeveralChanges = "two changes of members at once",
    OldList = "write under an old list of members",
    GuestWrote = "client served outside the members",
    GuestCrowded = "guest with all the chains it may have",
    GuestDelivered = "events of a guest fetched by a member",
    Dropped = "replica dropped",
    Returned = "former member joins again within a run of its process",
    DanglingOverlay = "dangling overlay at the end",
    DanglingResidue = "residue of a dead incarnation at the end",
}

/// Counters of faults and marks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coverage {
    faults: Vec<u64>,
    marks: Vec<u64>,
    /// By command: how often it was run, and how often it was refused.
    commands: BTreeMap<String, (u64, u64)>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self {
            faults: vec![0; Fault::ALL.len()],
            marks: vec![0; Mark::ALL.len()],
            commands: BTreeMap::new(),
        }
    }
}

impl Coverage {
    pub(crate) fn fault(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    pub(crate) fn mark(&mut self, mark: Mark) {
        self.marks[mark as usize] += 1;
    }

    pub(crate) fn command(&mut self, name: &[u8], reply: &Reply) {
        let name = name.to_ascii_lowercase().escape_ascii().to_string();
        let count = self.commands.entry(name).or_default();
        count.0 += 1;
        count.1 += u64::from(matches!(reply, Reply::Error(_)));
    }

    /// The commands of clients: how often each was run, and how often it was refused.
    pub fn commands(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        let counts = self.commands.iter();
        counts.map(|(name, (run, refused))| (&name[..], *run, *refused))
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        let sum = |mine: &mut Vec<u64>, theirs: &[u64]| {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        };
        sum(&mut self.faults, &other.faults);
        sum(&mut self.marks, &other.marks);
        for (name, (run, refused)) in &other.commands {
            let mine = self.commands.entry(name.clone()).or_default();
            *mine = (mine.0 + run, mine.1 + refused);
        }
    }

    /// The fault kinds with their counts.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::ALL.iter().copied().zip(self.faults.iter().copied())
    }

    /// The marks with their counts.
    pub fn marks(&self) -> impl Iterator<Item = (Mark, u64)> {
        Mark::ALL.iter().copied().zip(self.marks.iter().copied())
    }
}
