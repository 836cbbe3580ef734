//! Dots: the names of events.

use std::fmt;

use crate::id::ActorId;

/// Names one event: the `n`-th (from 1) that `actor` minted. Never reused (replication.md 1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Dot {
    /// The incarnation that minted it.
    pub actor: ActorId,
    /// Its number there; at least 1.
    pub n: u64,
}

impl Dot {
    /// The dot `n` of `actor`.
    #[must_use]
    pub const fn new(actor: ActorId, n: u64) -> Self {
        Self { actor, n }
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.actor, self.n)
    }
}

/// Consecutive dots of one actor, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DotRun {
    /// The incarnation that minted them.
    pub actor: ActorId,
    /// The first number.
    pub first: u64,
    /// The last number; at least `first`.
    pub last: u64,
}

impl DotRun {
    /// Every dot of the run, ascending.
    pub fn dots(self) -> impl Iterator<Item = Dot> {
        (self.first..=self.last).map(move |n| Dot::new(self.actor, n))
    }
}
