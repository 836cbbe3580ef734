//! The conflict log of a node: the newest conflicts that its partitions have noticed.

use std::collections::{BTreeMap, VecDeque};

use evenkeel_core::id::{ActorId, NodeId, PartitionId};
use evenkeel_core::observation::Conflict;
use evenkeel_core::time::WallMs;
use parking_lot::Mutex;

/// Conflicts that are kept; each may take a kilobyte. The oldest goes first.
const KEPT_MAX: usize = 1024;
/// Starts of nodes that are remembered by name. An unknown one is shown by its actor.
const WRITERS_MAX: usize = 1024;

/// A conflict, and when and where it was noticed.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) at: WallMs,
    pub(crate) partition: PartitionId,
    pub(crate) conflict: Conflict,
}

#[derive(Default)]
pub(crate) struct ConflictLog {
    kept: Mutex<VecDeque<Logged>>,
}

impl ConflictLog {
    pub(super) fn add(&self, logged: Logged) {
        let mut kept = self.kept.lock();
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(logged);
    }

    /// The newest ones, the newest first.
    pub(crate) fn newest(&self, count: usize) -> Vec<Logged> {
        self.kept.lock().iter().rev().take(count).cloned().collect()
    }
}

/// Which node each actor is a start of, as far as this process has heard.
#[derive(Default)]
pub(crate) struct Writers(Mutex<BTreeMap<ActorId, NodeId>>);

impl Writers {
    pub(super) fn add(&self, actor: ActorId, node: NodeId) {
        let mut known = self.0.lock();
        if known.len() == WRITERS_MAX {
            known.pop_first();
        }
        known.insert(actor, node);
    }

    pub(crate) fn node(&self, actor: ActorId) -> Option<NodeId> {
        self.0.lock().get(&actor).copied()
    }
}
