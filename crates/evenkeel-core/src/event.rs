//! Events: the only things that change replicated state. Each takes exactly one dot (replication.md 1, traps F1 and F7).

use smallvec::SmallVec;

use crate::causality::{Context, Dot, Hlc};
use crate::id::ActorId;
use crate::types::{CellId, Deadline, Range, Reset, Total, Value};

/// Dots of the versions that an event observed and removes; nearly always none or one.
pub type Observed = SmallVec<[Dot; 1]>;

/// Writes a cell: adds a version, removes all that the writer saw there.
#[derive(Clone, PartialEq, Debug)]
pub struct Put {
    /// The cell.
    pub cell: CellId,
    /// The stamp.
    pub hlc: Hlc,
    /// The bytes.
    pub value: Value,
    /// The deadline the writer saw on the key.
    pub deadline: Deadline,
    /// Every live version at the writer.
    pub rem: Observed,
    /// Every live chain at the writer.
    pub resets: Vec<Reset>,
}

/// Removes what its issuer saw of a cell: all of it, or what of it had expired.
#[derive(Clone, PartialEq, Debug)]
pub struct Rem {
    /// The cell.
    pub cell: CellId,
    /// Live versions at the issuer.
    pub rem: Observed,
    /// Live chains at the issuer.
    pub resets: Vec<Reset>,
}

/// Extends the issuer's chain of a counter.
#[derive(Clone, PartialEq, Debug)]
pub struct Inc {
    /// The cell.
    pub cell: CellId,
    /// The stamp.
    pub hlc: Hlc,
    /// The number of the dot that began the chain; the event's own number when it begins one.
    pub birth: u64,
    /// The chain's cumulative total after this increment.
    pub total: Total,
    /// The deadline the writer saw on the key.
    pub deadline: Deadline,
}

/// Removes all that its issuer saw of a range of cells: one event, however large the collection.
#[derive(Clone, PartialEq, Debug)]
pub struct RangeDel {
    /// The cells.
    pub range: Range,
    /// The issuer's context just before this event: what it had seen.
    pub context: Context,
    /// The issuer's own masks within the range: dots of earlier range deletes that had not reached it. It knows them
    /// to be dead, so it lists no chain of theirs; who hears of this event before those must know it too.
    pub masks: Vec<(Range, Context)>,
    /// Every chain entry the issuer held in the range, dead ones included (replication.md 7.3).
    pub resets: Vec<(CellId, Reset)>,
}

impl RangeDel {
    /// Whether the issuer had seen `dot` of a cell in the range, or knew it to be dead.
    #[must_use]
    pub fn saw(&self, cell: &CellId, dot: Dot) -> bool {
        let masked = |(range, dots): &(Range, Context)| dots.contains(dot) && range.contains(cell);
        self.context.contains(dot) || self.masks.iter().any(masked)
    }
}

/// What an event does.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// See [`Put`].
    Put(Put),
    /// See [`Rem`].
    Rem(Rem),
    /// See [`Inc`].
    Inc(Inc),
    /// See [`RangeDel`].
    RangeDel(RangeDel),
}

impl Op {
    /// The stamp, where the event has one.
    #[must_use]
    pub const fn hlc(&self) -> Option<Hlc> {
        match self {
            Self::Put(put) => Some(put.hlc),
            Self::Inc(inc) => Some(inc.hlc),
            Self::Rem(_) | Self::RangeDel(_) => None,
        }
    }
}

/// An event under its dot.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Its name.
    pub dot: Dot,
    /// What it does.
    pub op: Op,
}

/// Events of one command, minted together: the dots `first..` of `actor`, applied whole.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// Who minted them.
    pub actor: ActorId,
    /// The first dot's number.
    pub first: u64,
    /// What they do, in the order of their dots. Not empty.
    pub ops: Vec<Op>,
}
