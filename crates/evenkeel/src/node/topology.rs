//! Who holds what, as this node knows it: one instant of the topology document, with what is asked of it often.
//!
//! Immutable: a new document makes a new one, and whoever looks at one sees one instant.

use evenkeel_core::id::{NodeId, PartitionId};
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::config::{Config, Member, PARTITIONS, REPLICAS};

/// Nodes in an order; few enough to stand inline.
pub(crate) type Nodes = SmallVec<[NodeId; 4]>;

/// The members and this node's place among them.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    members: Vec<Member>,
    pub(crate) me: NodeId,
    pub(crate) cluster: u64,
}

impl Topology {
    /// The topology of a configuration that was checked.
    pub(crate) fn of(config: &Config) -> Self {
        let members = config.sorted_members();
        let place = members.iter().position(|member| member.name == config.node);
        let list: Vec<String> = members.iter().map(ToString::to_string).collect();
        // A single node keeps its identity when its port changes.
        let text = if members.len() == 1 {
            members[0].name.clone()
        } else {
            list.join(",")
        };
        Self {
            me: node(place.unwrap_or_default()),
            cluster: xxh3_64(text.as_bytes()),
            members,
        }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.members.len()).map(node)
    }

    pub(crate) fn others(&self) -> impl Iterator<Item = NodeId> + use<> {
        let me = self.me;
        self.nodes().filter(move |node| *node != me)
    }

    /// How many nodes there are.
    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn name(&self, node: NodeId) -> String {
        let member = self.members.get(node.0 as usize);
        member.map_or_else(|| "?".to_owned(), |member| member.name.clone())
    }

    /// Where peers dial a node.
    pub(crate) fn peer(&self, node: NodeId) -> String {
        let member = self.members.get(node.0 as usize);
        member.map_or_else(String::new, |member| member.peer.clone())
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<NodeId> {
        self.members
            .iter()
            .position(|member| member.name.eq_ignore_ascii_case(name))
            .map(node)
    }

    /// The members of a partition, in preference order: the first one that lives is its home.
    pub(crate) fn replicas(&self, partition: PartitionId) -> Nodes {
        let count = self.members.len();
        (0..self.replica_count())
            .map(|offset| node((usize::from(partition.0) + offset) % count))
            .collect()
    }

    /// How many members each partition has.
    pub(crate) fn replica_count(&self) -> usize {
        REPLICAS.min(self.members.len())
    }

    pub(crate) fn holds(&self, node: NodeId, partition: PartitionId) -> bool {
        self.replicas(partition).contains(&node)
    }

    pub(crate) fn partition_of_slot(slot: u16) -> PartitionId {
        PartitionId(slot / (16384 / PARTITIONS))
    }

    pub(crate) fn partitions() -> impl Iterator<Item = PartitionId> {
        (0..PARTITIONS).map(PartitionId)
    }
}

fn node(place: usize) -> NodeId {
    NodeId(u32::try_from(place).unwrap_or(u32::MAX))
}
