//! What can be changed in a document, and the rules that protect data.
//!
//! Rules: a member goes from a list only when it was Leaving and reports that others hold all it had, or when its
//! node is forgotten; it becomes Active only when it was Joining and reports that it has joined; reports name the
//! epoch since which they hold, so that a late one changes nothing else; a partition keeps as many Active members as
//! it should have, and its last one goes only with the operator's word that data may be lost. A change that is
//! already done is accepted and changes nothing, not even the epoch, so proposals may be repeated.

use thiserror::Error;

use super::document::{ClusterSettings, Document, NodeEntry, NodeState};
use crate::id::{NodeId, PartitionId};
use crate::limits::{
    CLUSTER_NODES_MAX, CLUSTER_REPLICAS_MAX, CLUSTER_TEXT_BYTES_MAX, CLUSTER_VOTERS_MAX,
    CLUSTER_WEIGHT_MAX, PARTITIONS,
};
use crate::membership::{Member, MemberState};

/// A proposal: one step from a document to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A node comes. It gets a number and holds nothing yet. The same name at the same address: it is known already,
    /// and what it says of itself is taken over.
    Admit(NodeSpec),
    /// A node is dialled at another address.
    SetPeer {
        /// Which.
        node: NodeId,
        /// host:port.
        peer: String,
    },
    /// Where the data is to go: nodes in preference order, by partition.
    Adopt {
        /// One list for every partition.
        target: Vec<Vec<NodeId>>,
    },
    /// Nodes begin to fetch partitions that the target gives them.
    Begin {
        /// Who, and which partition.
        moves: Vec<Move>,
    },
    /// A node holds all that was written before it became Joining.
    Joined {
        /// Who.
        node: NodeId,
        /// Which partitions, and since when it has been Joining there.
        partitions: Vec<MemberRef>,
    },
    /// Members that the target no longer names begin to hand over.
    Leave {
        /// Who, and which partition.
        moves: Vec<Move>,
    },
    /// All current members hold what a Leaving one has, on disk.
    Drained {
        /// Who leaves.
        node: NodeId,
        /// Which partitions, and since when it has been Leaving there.
        partitions: Vec<MemberRef>,
    },
    /// A node is to give all its data away.
    Drain {
        /// Which.
        node: NodeId,
    },
    /// A node that drains stays after all.
    Cancel {
        /// Which.
        node: NodeId,
    },
    /// A node is lost or no longer needed: it is removed from every list.
    Forget {
        /// Which.
        node: NodeId,
        /// The operator's word that what only this node held may be lost.
        accept_loss: bool,
    },
    /// A node that holds nothing takes every place of another, which drains.
    Replace {
        /// Who goes.
        old: NodeId,
        /// Who comes.
        new: NodeId,
    },
    /// Settings of the cluster.
    Settings(ClusterSettings),
    /// How many replicas each datacentre is to have.
    Replicas {
        /// At least 1.
        count: u8,
    },
    /// Who votes from the next epoch on: the whole list. It ends one configuration of the voters and begins the next,
    /// even if they are the same. Only the voters propose it, by themselves.
    Voters {
        /// The configuration that it ends.
        config: u32,
        /// At least one.
        seats: Vec<Seat>,
    },
}

/// What a node says of itself when it comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSpec {
    /// Its name.
    pub name: String,
    /// Where peers dial it: host:port.
    pub peer: String,
    /// What it fails together with; may be empty.
    pub zone: String,
    /// Its datacentre; may be empty.
    pub dc: String,
    /// Its share of the data relative to others.
    pub weight: u32,
}

impl NodeSpec {
    /// The weight of a node that says nothing of it.
    pub const WEIGHT: u32 = 100;
}

/// A place in a partition that a node takes or gives up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    /// The partition.
    pub partition: PartitionId,
    /// The node.
    pub node: NodeId,
}

/// A membership of which a node reports something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberRef {
    /// The partition.
    pub partition: PartitionId,
    /// [`Member::since`] of the state that is reported on.
    pub since: u64,
}

/// A place among the voters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Seat {
    /// Whose.
    pub node: NodeId,
    /// Drawn when the node's voting state was made.
    pub key: u64,
}

/// Why a change was refused. The document is as it was.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Refused {
    /// No such node was ever admitted, or it is gone.
    #[error("NONODE {node} is no node of this cluster; see evenkeel cluster status")]
    NoNode {
        /// Its number.
        node: NodeId,
    },
    /// The number is no partition.
    #[error("BADCHANGE there is no partition {}", partition.0)]
    NoPartition {
        /// The number.
        partition: PartitionId,
    },
    /// Another node has the name.
    #[error(
        "NAMETAKEN the node {name} at {peer} has this name; choose another one, or forget that node first"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// Where its owner is dialled.
        peer: String,
    },
    /// A field of a node is empty, too long or out of range.
    #[error("BADCHANGE the {field} '{value}' cannot be: {why}")]
    BadField {
        /// Which.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is wrong.
        why: &'static str,
    },
    /// No nodes, or more than a document can hold.
    #[error("BADCHANGE a cluster has between 1 and {CLUSTER_NODES_MAX} nodes; here are {nodes}")]
    TooManyNodes {
        /// How many there would be.
        nodes: usize,
    },
    /// The node does not take new data.
    #[error("BADCHANGE node {name} is draining; cancel that first")]
    IsDraining {
        /// Its name.
        name: String,
    },
    /// A target that cannot be.
    #[error("BADCHANGE the plan does not fit: {why}; make a new one with evenkeel cluster plan")]
    BadTarget {
        /// What is wrong.
        why: &'static str,
    },
    /// A move that the target does not ask for.
    #[error(
        "STALE the plan does not ask for this move of partition {} any more", partition.0
    )]
    NotPlanned {
        /// The partition.
        partition: PartitionId,
    },
    /// A report on a membership that has changed meanwhile.
    #[error(
        "STALE node {name} is not in that state in partition {} any more; nothing is lost, it reports again", partition.0
    )]
    Stale {
        /// Who reported.
        name: String,
        /// The partition.
        partition: PartitionId,
    },
    /// A partition would have fewer Active members than it should.
    #[error(
        "UNSAFE partition {} would have {left} full replicas and should have {wanted}; wait until the new ones have joined", partition.0
    )]
    TooFewReplicas {
        /// The partition.
        partition: PartitionId,
        /// How many would be left.
        left: usize,
        /// How many it should have.
        wanted: usize,
    },
    /// A node is the only one with a full replica of some partitions.
    #[error(
        "UNSAFE node {name} holds the only full replica of {partitions} partitions, the first is {}; drain it instead, or forget it with --accept-loss if it is lost for good", first.0
    )]
    LastReplica {
        /// Whose.
        name: String,
        /// Of how many partitions.
        partitions: usize,
        /// The lowest one.
        first: PartitionId,
    },
    /// No node would be left that takes data.
    #[error("UNSAFE no other node could take the data of {name}; add one first")]
    LastNode {
        /// Whose data.
        name: String,
    },
    /// The node that is to take over holds data already.
    #[error(
        "BADCHANGE node {name} holds data already and cannot take the place of another; drain the old node instead"
    )]
    NotEmpty {
        /// Who.
        name: String,
    },
    /// A list of voters that cannot be.
    #[error("BADCHANGE the voters cannot be set so: {why}")]
    BadVoters {
        /// What is wrong.
        why: &'static str,
    },
    /// A number of replicas that cannot be.
    #[error(
        "BADCHANGE a datacentre has between 1 and {CLUSTER_REPLICAS_MAX} replicas, not {count}"
    )]
    BadReplicas {
        /// What was given.
        count: u8,
    },
}

impl NodeSpec {
    /// Whether a document can hold it.
    pub(super) fn check(&self) -> Result<(), Refused> {
        check_text("name", &self.name)?;
        check_peer(&self.peer)?;
        for (field, value) in [("zone", &self.zone), ("dc", &self.dc)] {
            if !value.is_empty() {
                check_text(field, value)?;
            }
        }
        if self.weight == 0 || self.weight > CLUSTER_WEIGHT_MAX {
            return Err(Refused::BadField {
                field: "weight",
                value: self.weight.to_string(),
                why: "it is between 1 and 10000; drain a node that is to hold nothing",
            });
        }
        Ok(())
    }
}

fn check_text(field: &'static str, value: &str) -> Result<(), Refused> {
    let why = if value.is_empty() {
        "it is empty"
    } else if value.len() > CLUSTER_TEXT_BYTES_MAX {
        "it is longer than 255 bytes"
    } else if value.chars().any(|c| c.is_control() || c.is_whitespace()) {
        "it holds a space or a control character"
    } else {
        return Ok(());
    };
    Err(Refused::BadField {
        field,
        value: value.chars().take(80).collect(),
        why,
    })
}

fn check_peer(peer: &str) -> Result<(), Refused> {
    check_text("peer address", peer)?;
    let port = peer.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if matches!(port, Some(Ok(_))) {
        return Ok(());
    }
    Err(Refused::BadField {
        field: "peer address",
        value: peer.to_owned(),
        why: "write HOST:PORT",
    })
}

impl Document {
    /// Makes one change, and the epoch one greater when anything has changed.
    ///
    /// # Errors
    /// When a rule forbids it; then nothing has changed.
    pub fn apply(&mut self, change: &Change) -> Result<(), Refused> {
        let mut next = self.clone();
        next.make(change)?;
        next.settle();
        if next != *self {
            next.epoch += 1;
            next.date_rows(self);
            *self = next;
        }
        Ok(())
    }

    /// Makes a change that the voters have decided as the so-manieth of their configuration.
    pub(super) fn apply_decided(&mut self, change: &Change, position: u64) -> Result<(), Refused> {
        let (epoch, config) = (self.epoch, self.config);
        self.apply(change)?;
        if self.epoch > epoch && self.config == config {
            self.position = position;
        }
        Ok(())
    }

    /// Notes which lists differ from those before, whatever their order.
    fn date_rows(&mut self, before: &Self) {
        let same = |row: &[Member], old: &[Member]| {
            row.len() == old.len() && row.iter().all(|member| old.contains(member))
        };
        let rows = self.partitions.iter().zip(&before.partitions);
        for (changed, (row, old)) in self.changed.iter_mut().zip(rows) {
            if !same(row, old) {
                *changed = self.epoch;
            }
        }
    }

    fn make(&mut self, change: &Change) -> Result<(), Refused> {
        match change {
            Change::Admit(spec) => self.admit(spec),
            Change::SetPeer { node, peer } => {
                check_peer(peer)?;
                self.present_entry(*node)?.peer.clone_from(peer);
                Ok(())
            }
            Change::Adopt { target } => self.adopt(target),
            Change::Begin { moves } => moves.iter().try_for_each(|place| self.begin(*place)),
            Change::Joined { node, partitions } => self.joined(*node, partitions),
            Change::Leave { moves } => moves.iter().try_for_each(|place| self.leave(*place)),
            Change::Drained { node, partitions } => self.drained(*node, partitions),
            Change::Drain { node } => self.drain(*node),
            Change::Cancel { node } => {
                let entry = self.present_entry(*node)?;
                if entry.state == NodeState::Draining {
                    entry.state = NodeState::Active;
                    // It was made without this node.
                    self.target = None;
                }
                Ok(())
            }
            Change::Forget { node, accept_loss } => self.forget(*node, *accept_loss),
            Change::Replace { old, new } => self.replace(*old, *new),
            Change::Settings(settings) => {
                self.settings = *settings;
                Ok(())
            }
            Change::Replicas { count } => {
                if *count == 0 || *count > CLUSTER_REPLICAS_MAX {
                    return Err(Refused::BadReplicas { count: *count });
                }
                if self.replicas != *count {
                    self.replicas = *count;
                    self.target = None;
                }
                Ok(())
            }
            Change::Voters { config, seats } => self.seat(*config, seats),
        }
    }

    fn present_entry(&mut self, node: NodeId) -> Result<&mut NodeEntry, Refused> {
        let entry = self.nodes.get_mut(&node);
        entry
            .filter(|entry| entry.state != NodeState::Gone)
            .ok_or(Refused::NoNode { node })
    }

    fn row(&mut self, partition: PartitionId) -> Result<&mut Vec<Member>, Refused> {
        let row = self.partitions.get_mut(usize::from(partition.0));
        row.ok_or(Refused::NoPartition { partition })
    }

    fn admit(&mut self, spec: &NodeSpec) -> Result<(), Refused> {
        spec.check()?;
        let wanted = self.replicas_wanted();
        if let Some(node) = self.by_name(&spec.name) {
            let entry = self.present_entry(node)?;
            if entry.peer != spec.peer {
                return Err(Refused::NameTaken {
                    name: entry.name.clone(),
                    peer: entry.peer.clone(),
                });
            }
            entry.zone.clone_from(&spec.zone);
            entry.dc.clone_from(&spec.dc);
            entry.weight = spec.weight;
            self.drop_outgrown_target(wanted);
            return Ok(());
        }
        if self.nodes.len() >= CLUSTER_NODES_MAX {
            let nodes = self.nodes.len() + 1;
            return Err(Refused::TooManyNodes { nodes });
        }
        let node = NodeId(self.next_node);
        self.next_node += 1;
        self.nodes.insert(node, NodeEntry::of(spec));
        self.drop_outgrown_target(wanted);
        Ok(())
    }

    /// A target with fewer replicas than are wanted by now cannot be reached: nobody could leave any more.
    fn drop_outgrown_target(&mut self, wanted_before: usize) {
        if self.replicas_wanted() != wanted_before {
            self.target = None;
        }
    }

    fn adopt(&mut self, target: &[Vec<NodeId>]) -> Result<(), Refused> {
        let bad = |why| Err(Refused::BadTarget { why });
        if target.len() != usize::from(PARTITIONS) {
            return bad("it does not name every partition");
        }
        let wanted = self.replicas_wanted();
        for row in target {
            if row.len() != wanted {
                return bad("a partition would not have as many replicas as it should");
            }
            for (at, node) in row.iter().enumerate() {
                if self.state(*node) != Some(NodeState::Active) {
                    return bad("it names a node that takes no data");
                }
                if row[..at].contains(node) {
                    return bad("it names a node twice in one partition");
                }
            }
        }
        self.target = Some(target.to_vec());
        Ok(())
    }

    fn begin(&mut self, Move { partition, node }: Move) -> Result<(), Refused> {
        let entry = self.present_entry(node)?;
        if entry.state == NodeState::Draining {
            return Err(Refused::IsDraining {
                name: entry.name.clone(),
            });
        }
        let since = self.epoch + 1;
        let planned = self.is_planned(partition, node);
        let row = self.row(partition)?;
        match row.iter_mut().find(|member| member.node == node) {
            Some(member) if member.state != MemberState::Leaving => Ok(()),
            _ if !planned => Err(Refused::NotPlanned { partition }),
            Some(member) => {
                // It has given nothing up yet, but may have missed what the others count on.
                member.state = MemberState::Joining;
                member.since = since;
                Ok(())
            }
            None => {
                row.push(Member {
                    node,
                    state: MemberState::Joining,
                    since,
                });
                Ok(())
            }
        }
    }

    fn is_planned(&self, partition: PartitionId, node: NodeId) -> bool {
        self.target
            .as_ref()
            .and_then(|target| target.get(usize::from(partition.0)))
            .is_some_and(|row| row.contains(&node))
    }

    fn joined(&mut self, node: NodeId, partitions: &[MemberRef]) -> Result<(), Refused> {
        let name = self.present_entry(node)?.name.clone();
        let since = self.epoch + 1;
        for report in partitions {
            let row = self.row(report.partition)?;
            let member = row.iter_mut().find(|member| member.node == node);
            match member {
                Some(member) if member.state == MemberState::Active => {}
                Some(member)
                    if member.state == MemberState::Joining && member.since == report.since =>
                {
                    member.state = MemberState::Active;
                    member.since = since;
                }
                _ => {
                    return Err(Refused::Stale {
                        name,
                        partition: report.partition,
                    });
                }
            }
        }
        Ok(())
    }

    fn leave(&mut self, Move { partition, node }: Move) -> Result<(), Refused> {
        let wanted = self.replicas_wanted().max(1);
        let since = self.epoch + 1;
        let planned = self.is_planned(partition, node);
        let has_target = self.target.is_some();
        let row = self.row(partition)?;
        let active = count_active(row);
        let Some(member) = row.iter_mut().find(|member| member.node == node) else {
            return Ok(());
        };
        match member.state {
            MemberState::Leaving => return Ok(()),
            _ if planned || !has_target => return Err(Refused::NotPlanned { partition }),
            MemberState::Active if active <= wanted => {
                let left = active - 1;
                return Err(Refused::TooFewReplicas {
                    partition,
                    left,
                    wanted,
                });
            }
            // It may have taken writes already: it hands them over like any other.
            MemberState::Active | MemberState::Joining => {}
        }
        member.state = MemberState::Leaving;
        member.since = since;
        Ok(())
    }

    fn drained(&mut self, node: NodeId, partitions: &[MemberRef]) -> Result<(), Refused> {
        let name = self.present_entry(node)?.name.clone();
        for report in partitions {
            let partition = report.partition;
            let row = self.row(partition)?;
            let Some(at) = row.iter().position(|member| member.node == node) else {
                continue;
            };
            let member = row[at];
            if member.state != MemberState::Leaving || member.since != report.since {
                return Err(Refused::Stale { name, partition });
            }
            if count_active(row) == 0 {
                let wanted = 1;
                return Err(Refused::TooFewReplicas {
                    partition,
                    left: 0,
                    wanted,
                });
            }
            row.remove(at);
        }
        Ok(())
    }

    fn drain(&mut self, node: NodeId) -> Result<(), Refused> {
        let others = self.active().any(|(other, _)| other != node);
        let entry = self.present_entry(node)?;
        if entry.state == NodeState::Draining {
            return Ok(());
        }
        if !others {
            return Err(Refused::LastNode {
                name: entry.name.clone(),
            });
        }
        entry.state = NodeState::Draining;
        // It may name this node.
        self.target = None;
        Ok(())
    }

    fn forget(&mut self, node: NodeId, accept_loss: bool) -> Result<(), Refused> {
        let Some(entry) = self.nodes.get(&node) else {
            return Err(Refused::NoNode { node });
        };
        if entry.state == NodeState::Gone {
            return Ok(());
        }
        let name = entry.name.clone();
        if !self.active().any(|(other, _)| other != node) {
            return Err(Refused::LastNode { name });
        }
        let only: Vec<PartitionId> = Self::partitions()
            .filter(|partition| self.active_members(*partition).eq([node]))
            .collect();
        if let (Some(first), false) = (only.first(), accept_loss) {
            return Err(Refused::LastReplica {
                name,
                partitions: only.len(),
                first: *first,
            });
        }
        self.present_entry(node)?.state = NodeState::Gone;
        for row in &mut self.partitions {
            row.retain(|member| member.node != node);
        }
        for partition in only {
            self.promote_rest(partition);
        }
        // It may name this node, and was made for another number of nodes.
        self.target = None;
        Ok(())
    }

    /// No Active member is left, on the operator's word: whoever has a part of the data serves it, and if nobody has,
    /// the partition begins anew on the node that holds least.
    fn promote_rest(&mut self, partition: PartitionId) {
        let since = self.epoch + 1;
        let fresh = self.least_loaded();
        let Ok(row) = self.row(partition) else {
            return;
        };
        if row.is_empty() {
            row.extend(fresh.map(|node| Member {
                node,
                state: MemberState::Active,
                since,
            }));
            return;
        }
        for member in row {
            member.state = MemberState::Active;
            member.since = since;
        }
    }

    fn least_loaded(&self) -> Option<NodeId> {
        let load = |node: NodeId| self.held_by(node).count() as u64;
        self.active()
            .min_by_key(|(node, entry)| (load(*node) * 10_000 / u64::from(entry.weight), *node))
            .map(|(node, _)| node)
    }

    fn replace(&mut self, old: NodeId, new: NodeId) -> Result<(), Refused> {
        let entry = self.present_entry(new)?;
        let (name, draining) = (entry.name.clone(), entry.state == NodeState::Draining);
        let entry = self.present_entry(old)?;
        let begun = entry.state == NodeState::Draining;
        if old == new {
            return Err(Refused::LastNode { name });
        }
        if draining {
            return Err(Refused::IsDraining { name });
        }
        if !self.holds_nothing(new) {
            // Said again while the new node fills up.
            return if begun {
                Ok(())
            } else {
                Err(Refused::NotEmpty { name })
            };
        }
        // A target that has both in one row cannot have the one in the other's place.
        let has_both = |row: &Vec<NodeId>| row.contains(&old) && row.contains(&new);
        let target = self.target.as_ref();
        let target = target.filter(|target| !target.iter().any(has_both));
        let mut target = target.cloned().unwrap_or_else(|| self.table());
        for node in target.iter_mut().flatten().filter(|node| **node == old) {
            *node = new;
        }
        self.present_entry(old)?.state = NodeState::Draining;
        self.target = None;
        self.adopt(&target)
    }

    fn seat(&mut self, config: u32, seats: &[Seat]) -> Result<(), Refused> {
        let bad = |why| Err(Refused::BadVoters { why });
        let seated = |seat: &Seat| {
            let entry = self.nodes.get(&seat.node);
            entry.is_some_and(|entry| entry.seat == Some(seat.key))
        };
        if self.config != config {
            let done = self.voters().count() == seats.len() && seats.iter().all(seated);
            return if done && self.config == config + 1 {
                Ok(())
            } else {
                bad("another change of voters came first")
            };
        }
        if seats.is_empty() || seats.len() > CLUSTER_VOTERS_MAX {
            return bad("there are between 1 and 5 of them");
        }
        for (at, seat) in seats.iter().enumerate() {
            if !self.belongs(seat.node) {
                return Err(Refused::NoNode { node: seat.node });
            }
            if seats[..at].iter().any(|other| other.node == seat.node) {
                return bad("a node has one seat");
            }
        }
        for (node, entry) in &mut self.nodes {
            let seat = seats.iter().find(|seat| seat.node == *node);
            entry.seat = seat.map(|seat| seat.key);
        }
        self.config += 1;
        self.position = 0;
        Ok(())
    }

    /// Brings every list into the order of the target, and drops the target once it is reached.
    fn settle(&mut self) {
        let Some(target) = &self.target else {
            return;
        };
        for (row, aim) in self.partitions.iter_mut().zip(target) {
            let place = |member: &Member| aim.iter().position(|node| *node == member.node);
            row.sort_by_key(|member| place(member).unwrap_or(usize::MAX));
        }
        let reached = |(row, aim): (&Vec<Member>, &Vec<NodeId>)| {
            row.len() == aim.len()
                && row.iter().all(|member| member.state == MemberState::Active)
                && row.iter().map(|member| member.node).eq(aim.iter().copied())
        };
        if self.partitions.iter().zip(target).all(reached) {
            self.target = None;
        }
    }
}

fn count_active(row: &[Member]) -> usize {
    row.iter()
        .filter(|member| member.state == MemberState::Active)
        .count()
}
