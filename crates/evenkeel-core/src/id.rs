//! Identities: nodes, actors, partitions, tickets. Newtypes, so that two numbers are never confused.

use std::fmt;

/// A node of the cluster, as the topology document numbers it. Stable over restarts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    /// The first 26 nodes read as letters, as people speak of them: A, B, C.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u8::try_from(self.0) {
            Ok(n) if n < 26 => write!(f, "{}", char::from(b'A' + n)),
            _ => write!(f, "n{}", self.0),
        }
    }
}

/// One incarnation of a replica: random, drawn at every start, never resumed (replication.md 4.2).
///
/// Only its owner mints dots under it, so a dot names one event for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ActorId(pub u64);

/// The bit of an actor's number that says whether it is a guest's.
const GUEST: u64 = 1 << 63;

impl ActorId {
    /// The actor of an incarnation, from a random number.
    #[must_use]
    pub const fn ordinary(random: u64) -> Self {
        Self(random & !GUEST)
    }

    /// The actor of a replica outside its replica set, from a random number.
    ///
    /// Each increment of a guest is a chain of its own, so a chain's first event is all that there is of it: what is
    /// collected by that, everybody must be able to see from the number alone (replication.md 2.5 and 8).
    #[must_use]
    pub const fn guest(random: u64) -> Self {
        Self(random | GUEST)
    }

    /// Whether it is a guest's.
    #[must_use]
    pub const fn is_guest(self) -> bool {
        self.0 & GUEST != 0
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0 >> 48)
    }
}

/// A partition of the key space: a fixed set of hash slots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PartitionId(pub u16);

/// Names one request of the local shell until its reply; chosen by the shell, never reused within a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ticket(pub u64);
