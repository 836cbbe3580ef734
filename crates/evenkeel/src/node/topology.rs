//! Who holds what, as this node knows it: one version of the topology document, with what is asked of it often.
//!
//! Immutable: a new document makes a new one, and whoever looks at one sees one version.

use std::sync::Arc;

use evenkeel_core::cluster::Document;
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_core::membership::{Member, MemberState};
use smallvec::SmallVec;

use crate::config::PARTITIONS;
use crate::level::Level;

/// Nodes in an order; few enough to stand inline.
pub(crate) type Nodes = SmallVec<[NodeId; 4]>;

/// One version of the topology, as one node sees it.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    pub(crate) document: Arc<Document>,
    pub(crate) me: NodeId,
    /// By partition: the members that serve, in preference order.
    active: Vec<Nodes>,
    /// By partition: what this node is there.
    mine: Vec<Option<MemberState>>,
}

impl Topology {
    pub(crate) fn of(document: Arc<Document>, me: NodeId) -> Self {
        let active = Self::partitions().map(|id| document.active_members(id).collect());
        let mine = Self::partitions().map(|id| document.member(id, me).map(|member| member.state));
        Self {
            active: active.collect(),
            mine: mine.collect(),
            document,
            me,
        }
    }

    /// The nodes of the cluster, this one included.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        let nodes = self.document.present().map(|(node, _)| node);
        nodes.collect::<Vec<_>>().into_iter()
    }

    pub(crate) fn others(&self) -> impl Iterator<Item = NodeId> + use<> {
        let me = self.me;
        self.nodes().filter(move |node| *node != me)
    }

    /// How many nodes there are.
    pub(crate) fn size(&self) -> usize {
        self.document.present().count()
    }

    pub(crate) fn name(&self, node: NodeId) -> String {
        self.document.name(node)
    }

    /// Where peers dial a node.
    pub(crate) fn peer(&self, node: NodeId) -> String {
        let entry = self.document.node(node);
        entry.map_or_else(String::new, |entry| entry.peer.clone())
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<NodeId> {
        self.document.by_name(name)
    }

    /// The members of a partition that serve, in preference order: the first one that lives is its home.
    pub(crate) fn replicas(&self, partition: PartitionId) -> Nodes {
        let nodes = self.active.get(usize::from(partition.0));
        nodes.cloned().unwrap_or_default()
    }

    /// All members of a partition, those too that come or go.
    pub(crate) fn members(&self, partition: PartitionId) -> &[Member] {
        self.document.members(partition)
    }

    /// How far a node stands from this one: 0 in the same zone, 1 in the same datacentre, 2 elsewhere.
    pub(crate) fn distance(&self, node: NodeId) -> u8 {
        let place = |node| {
            self.document
                .node(node)
                .map(|entry| (&entry.dc, &entry.zone))
        };
        match (place(self.me), place(node)) {
            (Some(here), Some(there)) if here == there => 0,
            (Some(here), Some(there)) if here.0 == there.0 => 1,
            _ => 2,
        }
    }

    /// How many members serve a partition.
    pub(crate) fn replica_count(&self, partition: PartitionId) -> usize {
        let nodes = self.active.get(usize::from(partition.0));
        nodes.map_or(0, SmallVec::len)
    }

    /// How many members must take part in a read of a partition.
    pub(crate) fn read_by(&self, level: Level, partition: PartitionId) -> usize {
        level.of(self.replica_count(partition))
    }

    /// How many of the members that serve a partition must hold a write. One more for each that is about to: the write
    /// must still be held by enough of those who serve when one of today's has left for it (replication.md 10).
    pub(crate) fn written_by(&self, level: Level, partition: PartitionId) -> usize {
        let serving = self.replica_count(partition);
        let wanted = level.of(serving);
        if wanted <= 1 {
            return wanted;
        }
        let joining = (self.members(partition).iter())
            .filter(|member| member.state == MemberState::Joining)
            .count();
        // A level beyond all of them stays out of reach, and is answered so.
        (wanted + joining).min(serving.max(wanted))
    }

    /// How many members a partition has when nothing is moving.
    pub(crate) fn replicas_wanted(&self) -> usize {
        self.document.replicas_wanted()
    }

    /// Whether a node is a member of a partition, in whatever state.
    pub(crate) fn holds(&self, node: NodeId, partition: PartitionId) -> bool {
        self.document.member(partition, node).is_some()
    }

    /// What this node is in a partition, if it is a member.
    pub(crate) fn mine(&self, partition: PartitionId) -> Option<MemberState> {
        let mine = self.mine.get(usize::from(partition.0));
        mine.copied().flatten()
    }

    /// Whether this node serves a partition: clients' commands run on its replica.
    pub(crate) fn serves(&self, partition: PartitionId) -> bool {
        self.mine(partition) == Some(MemberState::Active)
    }

    pub(crate) fn partition_of_slot(slot: u16) -> PartitionId {
        PartitionId(slot / (16384 / PARTITIONS))
    }

    pub(crate) fn partitions() -> impl Iterator<Item = PartitionId> {
        (0..PARTITIONS).map(PartitionId)
    }
}
