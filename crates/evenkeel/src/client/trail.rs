//! What a connection has written and seen elsewhere, as far as its next commands depend on it.
//!
//! A command that ran on another node has seen that node's events, and has left some of its own there. What follows
//! on the same connection must not be behind that, wherever it runs: else a client would not find what it has just
//! written, or remove it without seeing it (product.md, promise 6).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use evenkeel_core::causality::{Context, DotRun};
use evenkeel_core::id::{ActorId, NodeId, PartitionId};

/// The trail of one connection, shared with what of it still runs.
pub(super) type SharedTrail = Rc<RefCell<Trail>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Where writes were done that this node did not do itself: for WAIT.
    forwarded: BTreeSet<(PartitionId, NodeId)>,
    /// The newest dot that this node minted for it outside of its turns: for WAIT.
    written: BTreeMap<PartitionId, u64>,
    /// What the members held that answered it. Dropped once this node holds as much.
    seen: BTreeMap<PartitionId, Context>,
}

impl Trail {
    /// A member has answered; `context` is what it then held.
    pub(super) fn answered(&mut self, partition: PartitionId, context: &Context) {
        self.seen.entry(partition).or_default().join(context);
    }

    /// A member may have written.
    pub(super) fn wrote_at(&mut self, partition: PartitionId, member: NodeId) {
        self.forwarded.insert((partition, member));
    }

    /// This node has written.
    pub(super) fn wrote_here(&mut self, partition: PartitionId, newest: u64) {
        self.written.insert(partition, newest);
    }

    /// What the next command on a partition must find.
    pub(super) fn seen(&self, partition: PartitionId) -> Option<&Context> {
        // Nearly always there is nothing at all.
        self.seen.get(&partition)
    }

    /// This node holds it, or it is given up.
    pub(super) fn forget(&mut self, partition: PartitionId) {
        self.seen.remove(&partition);
    }

    pub(super) fn forwarded(&self) -> Vec<(PartitionId, NodeId)> {
        self.forwarded.iter().copied().collect()
    }

    /// Per partition, everything this node wrote there up to the connection's newest write.
    pub(super) fn written(&self, actor: ActorId) -> impl Iterator<Item = (PartitionId, Context)> {
        let upto = move |newest: u64| {
            let mut dots = Context::default();
            dots.insert_run(DotRun {
                actor,
                first: 1,
                last: newest,
            });
            dots
        };
        self.written
            .iter()
            .map(move |(partition, newest)| (*partition, upto(*newest)))
    }
}
