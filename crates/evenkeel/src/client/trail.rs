//! What a connection has written and seen, as far as its next commands, WAIT, its write level and its token depend on
//! it.
//!
//! A command that ran on another node has seen that node's events, and has left some of its own there. What follows
//! on the same connection must not be behind that, wherever it runs: else a client would not find what it has just
//! written, or remove it without seeing it (product.md, promise 6).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use evenkeel_core::causality::{Context, Dot, DotRun};
use evenkeel_core::id::{ActorId, NodeId, PartitionId};

use crate::config::PARTITIONS;

/// The trail of one connection, shared with what of it still runs.
pub(super) type SharedTrail = Rc<RefCell<Trail>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Where writes were done that this node did not do itself: for WAIT.
    forwarded: BTreeSet<(PartitionId, NodeId)>,
    /// The newest dots that this node minted for it outside of its turns, or under another actor than its incarnation: for
    /// WAIT. A replica that was dropped, or is a guest's, has an actor of its own.
    written: BTreeMap<(PartitionId, ActorId), u64>,
    /// What the members held that answered it. Dropped once this node holds as much.
    seen: BTreeMap<PartitionId, Context>,
    /// Where commands are refused rather than run on less than `seen`: a token said so.
    strict: BTreeSet<PartitionId>,
    /// The same for the next command alone: its read level said so.
    fenced: BTreeSet<PartitionId>,
    /// What it has read or written at all: for tokens.
    touched: Partitions,
    /// Writes that are not acknowledged yet; noted only while more than one member must hold them.
    owed: Option<Vec<Owed>>,
}

/// A write that members must come to hold before it is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Owed {
    pub(super) partition: PartitionId,
    pub(super) by: Writer,
}

/// Who has written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Writer {
    /// This node, with dots up to this one.
    Here(Dot),
    /// Another member, with dots that only it knows.
    Member(NodeId),
}

impl Trail {
    /// A member has answered; `context` is what it then held.
    pub(super) fn answered(&mut self, partition: PartitionId, context: &Context) {
        self.touched.insert(partition);
        self.seen.entry(partition).or_default().join(context);
    }

    /// A member may have written.
    pub(super) fn wrote_at(&mut self, partition: PartitionId, member: NodeId) {
        self.forwarded.insert((partition, member));
        self.owe(partition, Writer::Member(member));
    }

    /// This node has written.
    pub(super) fn wrote_here(&mut self, partition: PartitionId, newest: Dot) {
        self.written.insert((partition, newest.actor), newest.n);
        self.owe(partition, Writer::Here(newest));
    }

    /// Notes a write that is to be acknowledged.
    pub(super) fn owe(&mut self, partition: PartitionId, by: Writer) {
        if let Some(owed) = &mut self.owed {
            owed.push(Owed { partition, by });
        }
    }

    /// Whether acknowledgements are noted from now on.
    pub(super) fn note_owed(&mut self, wanted: bool) {
        self.owed = wanted.then(Vec::new);
    }

    /// The writes since this was asked last.
    pub(super) fn take_owed(&mut self) -> Vec<Owed> {
        self.owed.as_mut().map(std::mem::take).unwrap_or_default()
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

    /// From now on, nothing is run on a partition without all of `context`.
    pub(super) fn must_see(&mut self, partition: PartitionId, context: &Context) {
        self.answered(partition, context);
        self.strict.insert(partition);
    }

    /// The next command runs on nothing less than `context`.
    pub(super) fn fence(&mut self, partition: PartitionId, context: &Context) {
        self.answered(partition, context);
        self.fenced.insert(partition);
    }

    /// The command behind the fence has been run.
    pub(super) fn end_fence(&mut self) {
        self.fenced.clear();
    }

    /// Whether a command is refused rather than run on less than was seen.
    pub(super) fn is_strict(&self, partition: PartitionId) -> bool {
        self.strict.contains(&partition) || self.fenced.contains(&partition)
    }

    /// It reads or writes a partition on this node.
    pub(super) fn touch(&mut self, partition: PartitionId) {
        self.touched.insert(partition);
    }

    /// What it has read or written so far.
    pub(super) fn touched(&self) -> impl Iterator<Item = PartitionId> {
        self.touched.iter()
    }

    /// The members that have written.
    pub(super) fn forwarded(&self) -> impl Iterator<Item = (PartitionId, NodeId)> {
        self.forwarded.iter().copied()
    }

    /// Per partition and actor, the newest dot that this node wrote.
    pub(super) fn written(&self) -> impl Iterator<Item = (PartitionId, Dot)> {
        let written = self.written.iter();
        written.map(|((partition, actor), newest)| (*partition, Dot::new(*actor, *newest)))
    }
}

/// All that an actor has written up to a dot: a superset of one connection's writes that needs no list of them.
pub(super) fn up_to(newest: Dot) -> Context {
    let mut dots = Context::default();
    dots.insert_run(DotRun {
        actor: newest.actor,
        first: 1,
        last: newest.n,
    });
    dots
}

/// A set of partitions.
#[derive(Clone, Debug, Default)]
struct Partitions([u64; PARTITIONS as usize / 64]);

impl Partitions {
    fn insert(&mut self, partition: PartitionId) {
        let at = usize::from(partition.0);
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    fn iter(&self) -> impl Iterator<Item = PartitionId> {
        (0..PARTITIONS)
            .filter(|at| self.0[usize::from(*at) / 64] >> (at % 64) & 1 == 1)
            .map(PartitionId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_touched_partition_is_named_once_in_order() {
        let mut trail = Trail::default();
        for at in [255, 0, 63, 64, 0] {
            trail.touch(PartitionId(at));
        }
        let touched: Vec<u16> = trail.touched().map(|partition| partition.0).collect();
        assert_eq!(touched, [0, 63, 64, 255]);
    }

    #[test]
    fn writes_are_owed_only_while_that_is_wanted() {
        let mut trail = Trail::default();
        trail.wrote_here(PartitionId(1), Dot::new(ActorId(7), 5));
        trail.note_owed(true);
        trail.wrote_at(PartitionId(2), NodeId(1));
        let owed = Owed {
            partition: PartitionId(2),
            by: Writer::Member(NodeId(1)),
        };
        assert_eq!(trail.take_owed(), [owed]);
        assert_eq!(trail.take_owed(), []);
    }
}
