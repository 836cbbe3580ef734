//! Counter chains: exact counting with observed resets.
//!
//! A chain belongs to one actor, which alone extends it, and holds *cumulative* totals; a reset says how far it
//! saw the chain. Everything the reset saw is gone, everything it did not see stays, in any order of arrival
//! (replication.md 3.6 and 7). A chain that is reset whole is dead; its owner starts a new one with a new birth.

use crate::causality::{Dot, Hlc};
use crate::id::ActorId;

use super::cell::Deadline;

/// Names a chain: its owner and the number of the dot that began it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChainId {
    /// The only actor that extends it.
    pub actor: ActorId,
    /// The number of the increment that began it.
    pub birth: u64,
}

/// A cumulative total. One chain holds one kind of number for ever.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Total {
    /// Whole numbers, wide enough that sums of 64-bit increments never overflow.
    Int(i128),
    /// Floating point, computed by the owner alone.
    Float(f64),
}

impl Total {
    /// `self - earlier`, both of one chain. A mix of kinds, which only a faulty peer can send, counts `self` whole.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        match (self, earlier) {
            (Self::Int(a), Self::Int(b)) => Self::Int(a.saturating_sub(b)),
            (Self::Float(a), Self::Float(b)) => Self::Float(a - b),
            (whole, _) => whole,
        }
    }

    /// The number zero of the same kind.
    #[must_use]
    pub const fn zero(self) -> Self {
        match self {
            Self::Int(_) => Self::Int(0),
            Self::Float(_) => Self::Float(0.0),
        }
    }

    /// Whether both are equal bit for bit: what digests and ties need, unlike `==` on floats.
    #[must_use]
    pub const fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            _ => false,
        }
    }
}

/// How far a chain has come: the dot number of an increment and the cumulative total after it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Mark {
    /// The increment's dot number; 0: none.
    pub n: u64,
    /// The total after it.
    pub total: Total,
}

impl Mark {
    /// Before the first increment.
    pub const NONE: Self = Self {
        n: 0,
        total: Total::Int(0),
    };
}

/// "I saw this chain up to here": what a Put, Rem or RangeDel takes away from a counter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reset {
    /// The chain.
    pub chain: ChainId,
    /// How far it was seen.
    pub upto: Mark,
}

/// One actor's part of a counter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Chain {
    /// Its name.
    pub id: ChainId,
    /// The newest increment known.
    pub top: Mark,
    /// The farthest reset known.
    pub base: Mark,
    /// The event that brought `base`; the least one where several did.
    pub reset_by: Option<Dot>,
    /// Stamp of the newest increment: decides the visible type of a key.
    pub hlc: Hlc,
    /// Deadline that the newest increment carried.
    pub deadline: Deadline,
}

impl Chain {
    /// A chain of which nothing is known yet.
    #[must_use]
    pub const fn unknown(id: ChainId) -> Self {
        Self {
            id,
            top: Mark::NONE,
            base: Mark::NONE,
            reset_by: None,
            hlc: Hlc(0),
            deadline: Deadline::NEVER,
        }
    }

    /// Whether every increment known has been reset. A dead chain is residue: it only waits for its collection.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.top.n <= self.base.n
    }

    /// What it adds to the counter's value.
    #[must_use]
    pub fn value(&self) -> Total {
        match (self.is_dead(), self.base.n) {
            (true, _) => self.top.total.zero(),
            (false, 0) => self.top.total,
            (false, _) => self.top.total.since(self.base.total),
        }
    }

    /// The dot that stands for the chain in a causal context: its newest increment, or the reset's mark.
    #[must_use]
    pub const fn witness(&self) -> Dot {
        Dot::new(
            self.id.actor,
            if self.top.n > 0 {
                self.top.n
            } else {
                self.base.n
            },
        )
    }

    /// The reset that takes away all that is known of it.
    #[must_use]
    pub const fn reset(&self) -> Reset {
        Reset {
            chain: self.id,
            upto: if self.is_dead() { self.base } else { self.top },
        }
    }

    /// Notes an increment.
    pub fn extend(&mut self, top: Mark, hlc: Hlc, deadline: Deadline) {
        if top.n > self.top.n {
            self.top = top;
            self.hlc = hlc;
            self.deadline = deadline;
        }
    }

    /// Notes a reset by event `by`.
    pub fn apply_reset(&mut self, upto: Mark, by: Dot) {
        if upto.n > self.base.n {
            self.base = upto;
            self.reset_by = Some(by);
        } else if upto.n == self.base.n && self.reset_by.is_none_or(|known| by < known) {
            self.reset_by = Some(by);
        }
    }

    /// The least upper bound with another state of the same chain: pointwise maximum.
    pub fn join(&mut self, other: &Self) {
        self.extend(other.top, other.hlc, other.deadline);
        if let Some(by) = other.reset_by {
            self.apply_reset(other.base, by);
        }
    }
}
