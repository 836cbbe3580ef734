//! `EK.TOPOLOGY`: who belongs to the cluster, who holds what, and changing it.
//!
//! A change is agreed by the voters; the reply comes when it is, or says why it is not. What follows from it (data that
//! moves) goes on by itself and shows in the next `EK.TOPOLOGY`.

mod plan;

use std::sync::Arc;

use evenkeel_core::cluster::{
    Change, ClusterSettings, Document, NodeState, lies_as_planned, plan as plan_of,
};
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_core::membership::MemberState;
use evenkeel_resp::Reply;

use super::run::{Args, Outcome};
use super::server::text;
use crate::node::{Node, Topology};

pub(super) fn run(node: Arc<Node>, args: Args<'_>) -> Outcome {
    let words: Vec<String> = args[1..]
        .iter()
        .map(|arg| String::from_utf8_lossy(arg).into_owned())
        .collect();
    let command = words.first().map(|word| word.to_ascii_lowercase());
    let operands: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    let document = Arc::clone(&node.topology().document);
    let named = |name: &str| {
        document.by_name(name).ok_or_else(|| {
            let names: Vec<&str> = document
                .present()
                .map(|(_, entry)| entry.name.as_str())
                .collect();
            Reply::error(format!(
                "NONODE '{}' is no node of this cluster ; nodes: {}",
                name.escape_debug(),
                names.join(", ")
            ))
        })
    };
    let change = match (command.as_deref(), &operands[..]) {
        (None, _) => return Outcome::Now(describe(&node)),
        (Some("plan"), []) => {
            return Outcome::Now(plan::show(&node));
        }
        (Some("apply"), []) => Ok(Change::Adopt {
            target: plan_of(&document),
        }),
        (Some("drain"), [name]) => named(name).map(|node| Change::Drain { node }),
        (Some("cancel"), [name]) => named(name).map(|node| Change::Cancel { node }),
        (Some("forget"), [name]) => named(name).map(|node| Change::Forget {
            node,
            accept_loss: false,
        }),
        (Some("forget"), [name, word]) if word.eq_ignore_ascii_case("accept-loss") => named(name)
            .map(|node| Change::Forget {
                node,
                accept_loss: true,
            }),
        (Some("replace"), [old, new]) => named(old).and_then(|old| {
            Ok(Change::Replace {
                old,
                new: named(new)?,
            })
        }),
        (Some("set"), [setting, value]) => set(setting, value),
        _ => Err(usage()),
    };
    match change {
        Ok(change) => Outcome::Later(Box::pin(async move {
            let drain = match &change {
                Change::Replace { old, .. } => Some(Change::Drain { node: *old }),
                _ => None,
            };
            let mut agreed = node.control.propose(change).await;
            // The new node has begun to get its share already: the old one's goes wherever there is room.
            let has_begun = |refused: &String| {
                refused.contains("holds data already") || refused.contains("does not fit")
            };
            if let (Err(refused), Some(drain)) = (&agreed, drain)
                && has_begun(refused)
            {
                agreed = node.control.propose(drain).await;
            }
            match agreed {
                Ok(epoch) => integer(epoch),
                Err(error) => Reply::error(error),
            }
        })),
        Err(reply) => Outcome::Now(reply),
    }
}

fn set(setting: &str, value: &str) -> Result<Change, Reply> {
    let value = value.to_ascii_lowercase();
    match (setting.to_ascii_lowercase().as_str(), value.as_str()) {
        ("auto-rebalance", "yes" | "no") => Ok(Change::Settings(ClusterSettings {
            auto_rebalance: value == "yes",
        })),
        ("replicas", count) => {
            let count = count.parse().map_err(|_| usage())?;
            Ok(Change::Replicas { count })
        }
        _ => Err(usage()),
    }
}

fn usage() -> Reply {
    Reply::error(
        "ERR syntax error ; write EK.TOPOLOGY [PLAN | APPLY | DRAIN node | CANCEL node | REPLACE old new | FORGET node [ACCEPT-LOSS] | SET auto-rebalance yes|no | SET replicas n]",
    )
}

fn integer(number: u64) -> Reply {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn count(number: usize) -> Reply {
    integer(number as u64)
}

/// The nodes, where they are reached, who votes, and how the partitions lie.
fn describe(node: &Node) -> Reply {
    let topology = Arc::clone(&node.topology());
    let document = &topology.document;
    let status = node.control.status();
    let leader = status
        .leader
        .map_or(Reply::Null, |leader| text(document.name(leader)));
    let voters = document.voters().map(|voter| text(document.name(voter)));
    let (joining, leaving) = moving(document);
    let safety = Topology::partitions().map(|id| document.replica_counts(id));
    let least = safety.map(|counts| counts.active).min().unwrap_or(0);
    Reply::Map(vec![
        (text("cluster"), text(format!("{:016x}", node.cluster))),
        (text("me"), text(node.config.node.clone())),
        (text("epoch"), integer(document.epoch())),
        (
            text("partitions"),
            integer(u64::from(crate::config::PARTITIONS)),
        ),
        (text("replicas"), count(document.replicas_wanted())),
        (text("fewest-replicas"), count(least)),
        (
            text("auto-rebalance"),
            Reply::Boolean(document.settings().auto_rebalance),
        ),
        (text("settled"), Reply::Boolean(lies_as_planned(document))),
        (text("joining"), count(joining)),
        (text("leaving"), count(leaving)),
        (text("planned"), count(planned(document))),
        (text("voters"), Reply::Array(voters.collect())),
        (text("leader"), leader),
        (text("can-change"), Reply::Boolean(status.quorum)),
        (
            text("nodes"),
            Reply::Array(
                topology
                    .nodes()
                    .map(|id| one(node, &topology, id))
                    .collect(),
            ),
        ),
    ])
}

/// Memberships that are being made, and that end.
fn moving(document: &Document) -> (usize, usize) {
    let counts = Topology::partitions().map(|id| document.replica_counts(id));
    counts.fold((0, 0), |(joining, leaving), counts| {
        (joining + counts.joining, leaving + counts.leaving)
    })
}

/// Memberships that the target has and the table does not have yet, begun or not.
fn planned(document: &Document) -> usize {
    let Some(target) = document.target() else {
        return 0;
    };
    let serves = |id: PartitionId, node: NodeId| {
        let member = document.member(id, node);
        member.is_some_and(|member| member.state == MemberState::Active)
    };
    let rows = Topology::partitions().zip(target);
    rows.map(|(id, row)| row.iter().filter(|node| !serves(id, **node)).count())
        .sum()
}

fn one(node: &Node, topology: &Topology, id: NodeId) -> Reply {
    let document = &topology.document;
    let Some(entry) = document.node(id) else {
        return Reply::Null;
    };
    let reached = node.reached_at(id);
    let held = |state| {
        let held = document.held_by(id);
        count(held.filter(|(_, member)| member.state == state).count())
    };
    let homes = Topology::partitions()
        .filter(|partition| document.active_members(*partition).next() == Some(id))
        .count();
    let state = match entry.state {
        NodeState::Active => "active",
        NodeState::Draining => "draining",
        NodeState::Gone => "gone",
    };
    Reply::Map(vec![
        (text("id"), integer(u64::from(id.0))),
        (text("name"), text(entry.name.clone())),
        (text("state"), text(state)),
        (text("peer"), text(entry.peer.clone())),
        (text("client"), text(reached.client)),
        (text("http"), text(reached.http)),
        (text("zone"), text(entry.zone.clone())),
        (text("dc"), text(entry.dc.clone())),
        (text("weight"), integer(u64::from(entry.weight))),
        (text("voter"), Reply::Boolean(entry.is_voter())),
        (text("linked"), Reply::Boolean(node.is_linked(id))),
        (text("partitions"), held(MemberState::Active)),
        (text("joining"), held(MemberState::Joining)),
        (text("leaving"), held(MemberState::Leaving)),
        (text("homes"), count(homes)),
    ])
}
