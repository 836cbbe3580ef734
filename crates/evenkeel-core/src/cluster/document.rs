//! The topology document: nodes, the member table of the partitions, the target of a rebalance.
//!
//! Invariants: every partition has at least one Active member; members of a partition are distinct and not Gone; a
//! node's number is never given to another node; names of nodes that are not Gone are unique. Fields change only in
//! [`Document::apply`](super::Document::apply) and decoding checks them again.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{NodeSpec, Refused};
use crate::id::{NodeId, PartitionId};
use crate::limits::{CLUSTER_NODES_MAX, PARTITIONS, REPLICAS};
use crate::membership::{Member, MemberState};

/// The topology of one epoch. Documents of equal epoch are equal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    pub(super) cluster: u64,
    pub(super) epoch: u64,
    /// Number of the voters' configuration in which this epoch was agreed; 0 before there is one.
    pub(super) config: u32,
    /// How many decisions of that configuration this epoch rests on: who holds the document goes on from there.
    pub(super) position: u64,
    pub(super) replicas: u8,
    pub(super) settings: ClusterSettings,
    pub(super) next_node: u32,
    pub(super) nodes: BTreeMap<NodeId, NodeEntry>,
    pub(super) partitions: Vec<Vec<Member>>,
    /// By partition: the epoch of its list.
    pub(super) changed: Vec<u64>,
    pub(super) target: Option<Vec<Vec<NodeId>>>,
}

/// What holds for the cluster as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClusterSettings {
    /// The leader plans and moves by itself when nodes come. Moving away from nodes that drain, and replacing what
    /// lost nodes held, happens in any case.
    pub auto_rebalance: bool,
}

/// A node as the document knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeEntry {
    /// Unique among the nodes that are not Gone.
    pub name: String,
    /// Where peers dial it: host:port.
    pub peer: String,
    /// Fails together with its zone: power, rack, availability zone. Empty: one zone for all.
    pub zone: String,
    /// The datacentre; each holds its own replicas. Empty: one for all.
    pub dc: String,
    /// Its share of the data relative to others.
    pub weight: u32,
    /// Whether it takes new data.
    pub state: NodeState,
    /// The key of its seat among the voters, when it has one. A node whose voting state was lost has a new key and no
    /// longer fits its seat: it must not vote, for it may have voted already.
    pub seat: Option<u64>,
}

impl NodeEntry {
    /// Whether it has a seat among the voters.
    #[must_use]
    pub const fn is_voter(&self) -> bool {
        self.seat.is_some()
    }
}

/// The life of a node in the cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum NodeState {
    /// Holds data or may get some.
    Active,
    /// Gives its data away. When it holds none it may be forgotten.
    Draining,
    /// Forgotten. Kept so that its number and its data are recognised should it come back.
    Gone,
}

/// How many members of each kind a replica set has, and over how many places its Active ones are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReplicaCounts {
    /// Members that serve and acknowledge.
    pub active: usize,
    /// Members that are fetching the data.
    pub joining: usize,
    /// Members that are handing over.
    pub leaving: usize,
    /// Distinct zones of the Active members.
    pub zones: usize,
    /// Distinct datacentres of the Active members.
    pub dcs: usize,
}

impl Document {
    /// The document of epoch 0 for nodes known from the start, in the given order: partition `p` on the members `p`,
    /// `p+1`, `p+2` modulo their number.
    ///
    /// # Errors
    /// When there is no node, there are too many, a name stands twice or a field cannot be.
    pub fn initial(members: &[NodeSpec], cluster: u64) -> Result<Self, Refused> {
        if members.is_empty() || members.len() > CLUSTER_NODES_MAX {
            return Err(Refused::TooManyNodes {
                nodes: members.len(),
            });
        }
        let mut nodes = BTreeMap::new();
        for (number, spec) in (0u32..).zip(members) {
            spec.check()?;
            if let Some(twice) = members[..number as usize]
                .iter()
                .find(|other| other.name.eq_ignore_ascii_case(&spec.name))
            {
                return Err(Refused::NameTaken {
                    name: twice.name.clone(),
                    peer: twice.peer.clone(),
                });
            }
            nodes.insert(NodeId(number), NodeEntry::of(spec));
        }
        let ids: Vec<NodeId> = nodes.keys().copied().collect();
        let held = ids.len().min(usize::from(REPLICAS));
        let partitions: Vec<_> = (0..usize::from(PARTITIONS))
            .map(|partition| {
                let of = |offset| Member::active(ids[(partition + offset) % ids.len()]);
                (0..held).map(of).collect()
            })
            .collect();
        Ok(Self {
            cluster,
            epoch: 0,
            config: 0,
            position: 0,
            replicas: REPLICAS,
            settings: ClusterSettings {
                auto_rebalance: true,
            },
            next_node: u32::try_from(ids.len()).unwrap_or(u32::MAX),
            nodes,
            changed: vec![0; partitions.len()],
            partitions,
            target: None,
        })
    }

    /// Names the cluster; drawn or computed once, never changed.
    #[must_use]
    pub const fn cluster(&self) -> u64 {
        self.cluster
    }

    /// The number of this version; greater is newer.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number of the voters' configuration in which it was agreed; 0 in a document nobody has voted on.
    #[must_use]
    pub const fn config(&self) -> u32 {
        self.config
    }

    /// How many replicas each datacentre is to have, where it has as many nodes.
    #[must_use]
    pub const fn replicas(&self) -> u8 {
        self.replicas
    }

    /// What holds for the cluster as a whole.
    #[must_use]
    pub const fn settings(&self) -> ClusterSettings {
        self.settings
    }

    /// All nodes ever admitted, those that are Gone too.
    #[must_use]
    pub const fn nodes(&self) -> &BTreeMap<NodeId, NodeEntry> {
        &self.nodes
    }

    /// One node.
    #[must_use]
    pub fn node(&self, node: NodeId) -> Option<&NodeEntry> {
        self.nodes.get(&node)
    }

    /// Whether the node belongs to the cluster: known and not Gone.
    #[must_use]
    pub fn belongs(&self, node: NodeId) -> bool {
        self.state(node)
            .is_some_and(|state| state != NodeState::Gone)
    }

    /// The nodes that belong to the cluster.
    pub fn present(&self) -> impl Iterator<Item = (NodeId, &NodeEntry)> {
        self.in_state(|state| state != NodeState::Gone)
    }

    /// The nodes that may get data.
    pub fn active(&self) -> impl Iterator<Item = (NodeId, &NodeEntry)> {
        self.in_state(|state| state == NodeState::Active)
    }

    fn in_state(
        &self,
        wanted: impl Fn(NodeState) -> bool,
    ) -> impl Iterator<Item = (NodeId, &NodeEntry)> {
        let known = self.nodes.iter().map(|(node, entry)| (*node, entry));
        known.filter(move |(_, entry)| wanted(entry.state))
    }

    /// The state of a node, if it is known.
    #[must_use]
    pub fn state(&self, node: NodeId) -> Option<NodeState> {
        self.nodes.get(&node).map(|entry| entry.state)
    }

    /// The node of that name, upper or lower case, among those that belong to the cluster.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<NodeId> {
        self.present()
            .find(|(_, entry)| entry.name.eq_ignore_ascii_case(name))
            .map(|(node, _)| node)
    }

    /// The name of a node, or its number when it is not known.
    #[must_use]
    pub fn name(&self, node: NodeId) -> String {
        self.nodes
            .get(&node)
            .map_or_else(|| node.to_string(), |entry| entry.name.clone())
    }

    /// The members of a partition in preference order: its home is the first one that is Active and lives.
    ///
    /// Empty for a number that is no partition.
    #[must_use]
    pub fn members(&self, partition: PartitionId) -> &[Member] {
        self.partitions
            .get(usize::from(partition.0))
            .map_or(&[], Vec::as_slice)
    }

    /// The epoch in which the members of a partition or their states changed last: at most [`Self::epoch`], and at
    /// least [`Member::since`] of each of them. What goes on in a partition is of this epoch: it need not end because
    /// another partition changes.
    #[must_use]
    pub fn changed(&self, partition: PartitionId) -> u64 {
        let changed = self.changed.get(usize::from(partition.0));
        changed.copied().unwrap_or_default()
    }

    /// The Active members of a partition in preference order.
    pub fn active_members(&self, partition: PartitionId) -> impl Iterator<Item = NodeId> {
        let members = self.members(partition).iter();
        members
            .filter(|member| member.state == MemberState::Active)
            .map(|member| member.node)
    }

    /// What a node is in a partition, if it is a member.
    #[must_use]
    pub fn member(&self, partition: PartitionId, node: NodeId) -> Option<Member> {
        let members = self.members(partition).iter();
        members.copied().find(|member| member.node == node)
    }

    /// All partitions, lowest first.
    pub fn partitions() -> impl Iterator<Item = PartitionId> {
        (0..PARTITIONS).map(PartitionId)
    }

    /// The partitions of which a node is a member, and as what.
    pub fn held_by(&self, node: NodeId) -> impl Iterator<Item = (PartitionId, Member)> {
        Self::partitions()
            .filter_map(move |partition| Some((partition, self.member(partition, node)?)))
    }

    /// Whether a node is no member of any partition.
    #[must_use]
    pub fn holds_nothing(&self, node: NodeId) -> bool {
        self.held_by(node).next().is_none()
    }

    /// Where a rebalance is going, if one is under way: nodes in preference order, by partition.
    #[must_use]
    pub fn target(&self) -> Option<&[Vec<NodeId>]> {
        self.target.as_deref()
    }

    /// The nodes that have a seat among the voters.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> {
        self.nodes
            .iter()
            .filter(|(_, entry)| entry.is_voter())
            .map(|(node, _)| *node)
    }

    /// How many Active members each partition is to have: [`Self::replicas`] in each datacentre, or as many as it has
    /// Active nodes.
    #[must_use]
    pub fn replicas_wanted(&self) -> usize {
        let mut by_dc: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, entry) in self.active() {
            *by_dc.entry(&entry.dc).or_default() += 1;
        }
        let replicas = usize::from(self.replicas);
        by_dc.values().map(|nodes| replicas.min(*nodes)).sum()
    }

    /// How safe the data of a partition is.
    #[must_use]
    pub fn replica_counts(&self, partition: PartitionId) -> ReplicaCounts {
        let members = self.members(partition);
        let count = |state| members.iter().filter(|m| m.state == state).count();
        let places = |of: fn(&NodeEntry) -> (&str, &str)| {
            let entries = self
                .active_members(partition)
                .filter_map(|node| self.nodes.get(&node));
            entries.map(of).collect::<BTreeSet<_>>().len()
        };
        ReplicaCounts {
            active: count(MemberState::Active),
            joining: count(MemberState::Joining),
            leaving: count(MemberState::Leaving),
            zones: places(|entry| (&entry.dc, &entry.zone)),
            dcs: places(|entry| (&entry.dc, "")),
        }
    }

    /// The member table as lists of nodes, without those that are Leaving.
    #[must_use]
    pub fn table(&self) -> Vec<Vec<NodeId>> {
        let stays = |member: &&Member| member.state != MemberState::Leaving;
        self.partitions
            .iter()
            .map(|members| members.iter().filter(stays).map(|m| m.node).collect())
            .collect()
    }

    /// Whether data must move whatever the settings: a node that drains holds some, or a partition has too few members.
    #[must_use]
    pub fn must_move(&self) -> bool {
        let wanted = self.replicas_wanted();
        let stays = |member: &&Member| self.state(member.node) == Some(NodeState::Active);
        self.partitions
            .iter()
            .any(|row| row.iter().filter(stays).count() < wanted)
    }

    /// Whether every member is Active and every partition has as many as are wanted.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let wanted = self.replicas_wanted();
        let settled = |members: &Vec<Member>| {
            members.len() == wanted
                && members.iter().all(|member| {
                    member.state == MemberState::Active
                        && self.state(member.node) == Some(NodeState::Active)
                })
        };
        self.target.is_none() && self.partitions.iter().all(settled)
    }
}

impl NodeEntry {
    /// A new node: Active, without a seat.
    pub(super) fn of(spec: &NodeSpec) -> Self {
        Self {
            name: spec.name.clone(),
            peer: spec.peer.clone(),
            zone: spec.zone.clone(),
            dc: spec.dc.clone(),
            weight: spec.weight,
            state: NodeState::Active,
            seat: None,
        }
    }
}
