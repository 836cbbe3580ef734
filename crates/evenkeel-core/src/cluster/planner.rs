//! Where the data is to lie, and the next steps towards it.
//!
//! Each datacentre holds its own replicas of every partition. Within one, how much each node is to hold comes first, by
//! weight, as far as zones and the number of partitions allow; then places are moved along shortest chains until every
//! node holds just that: the table that is nearest to the present one up to what a greedy choice costs. Augmenting
//! paths in the flow network partition → zone → node reach every amount that can be reached at all (Ford and Fulkerson,
//! Flows in Networks, chapter 1). Deterministic: the same document gives the same plan everywhere.

mod flow;

use std::collections::BTreeMap;

use super::change::{Change, Move};
use super::document::{Document, NodeEntry};
use crate::id::{NodeId, PartitionId};
use crate::limits::PARTITIONS;
use crate::membership::MemberState;

use flow::Table;

/// So many partitions of one node are fetched at once: a node that enters must not slow the others down.
const JOINING_PER_NODE_MAX: usize = 32;
/// So many in the whole cluster.
const JOINING_MAX: usize = 128;

/// Where the data is to lie: for every partition the nodes in preference order, the home first.
///
/// As many members as [`Document::replicas_wanted`], on Active nodes only; a plan of a document that lies as its plan
/// says is the table itself.
#[must_use]
pub fn plan(document: &Document) -> Vec<Vec<NodeId>> {
    let mut rows = vec![Vec::new(); usize::from(PARTITIONS)];
    let present = document.table();
    let mut by_dc: BTreeMap<&str, Vec<(NodeId, &NodeEntry)>> = BTreeMap::new();
    for (node, entry) in document.active() {
        by_dc.entry(&entry.dc).or_default().push((node, entry));
    }
    for nodes in by_dc.values() {
        let replicas = usize::from(document.replicas()).min(nodes.len());
        let table = place(nodes, replicas, &present);
        for (row, placed) in rows.iter_mut().zip(table) {
            row.extend(placed);
        }
    }
    let weights: BTreeMap<NodeId, u64> = document
        .active()
        .map(|(node, entry)| (node, u64::from(entry.weight)))
        .collect();
    order(&mut rows, &present, &weights);
    rows
}

/// The members of one datacentre.
fn place(
    nodes: &[(NodeId, &NodeEntry)],
    replicas: usize,
    present: &[Vec<NodeId>],
) -> Vec<Vec<NodeId>> {
    let zones: BTreeMap<&str, usize> = nodes
        .iter()
        .map(|(_, entry)| &*entry.zone)
        .zip(0..)
        .collect();
    // Numbered anew without gaps.
    let numbers: BTreeMap<&str, usize> = zones.keys().copied().zip(0..).collect();
    let zone_of: Vec<usize> = nodes
        .iter()
        .map(|(_, entry)| numbers.get(&*entry.zone).copied().unwrap_or_default())
        .collect();
    let zone_sizes: Vec<usize> = (0..numbers.len())
        .map(|zone| zone_of.iter().filter(|of| **of == zone).count())
        .collect();
    let per_zone = members_per_zone(&zone_sizes, replicas);
    let index: BTreeMap<NodeId, usize> = nodes.iter().map(|(node, _)| *node).zip(0..).collect();
    let held: Vec<Vec<usize>> = present
        .iter()
        .map(|row| {
            row.iter()
                .filter_map(|node| index.get(node).copied())
                .collect()
        })
        .collect();
    let mut loads = vec![0; nodes.len()];
    held.iter().flatten().for_each(|node| loads[*node] += 1);
    let weights: Vec<u64> = nodes
        .iter()
        .map(|(_, entry)| u64::from(entry.weight))
        .collect();
    let shares = Shares {
        zone_of: &zone_of,
        zone_caps: zone_sizes
            .iter()
            .map(|size| present.len() * per_zone.min(*size))
            .collect(),
        node_cap: present.len(),
    };
    let places = present.len() * replicas;
    let is_even = shares.are_met(&weights, places, &loads);
    let quotas = shares.of(&weights, places, &loads);
    let mut table = Table::new(held, replicas, per_zone, zone_of.clone(), quotas);
    if !(is_even && table.is_full()) {
        table.fit();
    }
    let rows = table.into_rows().into_iter();
    rows.map(|row| row.into_iter().map(|node| nodes[node].0).collect())
        .collect()
}

/// The fewest members of one partition that a zone must be able to hold so that all replicas find a place.
fn members_per_zone(zone_sizes: &[usize], replicas: usize) -> usize {
    let fits = |limit: &usize| {
        let places: usize = zone_sizes.iter().map(|size| (*size).min(*limit)).sum();
        places >= replicas
    };
    (1..=replicas).find(fits).unwrap_or_else(|| replicas.max(1))
}

/// What bounds how much a node can hold.
struct Shares<'a> {
    zone_of: &'a [usize],
    /// Places that each zone can have.
    zone_caps: Vec<usize>,
    /// Places that each node can have: one in every partition.
    node_cap: usize,
}

/// Who holds so little more or less than its share is left alone, in parts of the share; and always for one place.
const TOLERANCE: u128 = 25;

impl Shares<'_> {
    /// Whether what nodes hold is near enough to their shares.
    fn are_met(&self, weights: &[u64], places: usize, loads: &[usize]) -> bool {
        let shares = self.exact(weights, places);
        let mut both = shares.iter().zip(loads);
        both.all(|(share, load)| {
            share.0.abs_diff(*load as u128 * ONE) <= ONE.max(share.0 / TOLERANCE)
        })
    }

    /// How many places each node is to have: by weight, whole numbers that sum up to `places`. Who holds more now gets
    /// what is left over from rounding, so that nothing moves for it.
    fn of(&self, weights: &[u64], places: usize, loads: &[usize]) -> Vec<usize> {
        let exact = self.exact(weights, places);
        let mut quotas: Vec<usize> = exact.iter().map(|share| share.floor_places()).collect();
        let mut left = places - quotas.iter().sum::<usize>().min(places);
        let mut by_need: Vec<usize> = (0..quotas.len()).collect();
        // Over its share already by less than one place: it keeps it.
        by_need.sort_by_key(|node| {
            let keeps = loads[*node] > quotas[*node] && exact[*node].has_rest();
            (!keeps, std::cmp::Reverse(exact[*node].rest()), *node)
        });
        while left > 0 {
            let before = left;
            for node in &by_need {
                let zone = self.zone_of[*node];
                let in_zone: usize = (0..quotas.len())
                    .filter(|other| self.zone_of[*other] == zone)
                    .map(|other| quotas[other])
                    .sum();
                if left > 0 && quotas[*node] < self.node_cap && in_zone < self.zone_caps[zone] {
                    quotas[*node] += 1;
                    left -= 1;
                }
            }
            if left == before {
                break;
            }
        }
        quotas
    }

    /// The shares by weight, as fractions of a common denominator; whoever would get more than there is room for gets
    /// that, and the others share the rest.
    fn exact(&self, weights: &[u64], places: usize) -> Vec<Share> {
        let mut fixed: Vec<Option<Share>> = vec![None; weights.len()];
        loop {
            let taken: u128 = fixed.iter().flatten().map(|share| share.0).sum();
            let free: u128 = (weights.iter().zip(&fixed))
                .filter(|(_, fixed)| fixed.is_none())
                .map(|(weight, _)| u128::from(*weight))
                .sum();
            let rest = (places as u128 * ONE).saturating_sub(taken);
            let share = |node: usize| {
                fixed[node].unwrap_or_else(|| Share(rest * u128::from(weights[node]) / free.max(1)))
            };
            let shares: Vec<Share> = (0..weights.len()).map(share).collect();
            let over_node = (0..weights.len()).find(|node| {
                fixed[*node].is_none() && shares[*node].0 > self.node_cap as u128 * ONE
            });
            if let Some(node) = over_node {
                fixed[node] = Some(Share(self.node_cap as u128 * ONE));
                continue;
            }
            let over_zone = (0..self.zone_caps.len()).find(|zone| {
                let nodes = || (0..weights.len()).filter(|node| self.zone_of[*node] == *zone);
                let sum: u128 = nodes().map(|node| shares[node].0).sum();
                nodes().any(|node| fixed[node].is_none())
                    && sum > self.zone_caps[*zone] as u128 * ONE
            });
            let Some(zone) = over_zone else {
                return shares;
            };
            self.fix_zone(zone, weights, &mut fixed);
        }
    }

    /// The nodes of a full zone share what it can hold.
    fn fix_zone(&self, zone: usize, weights: &[u64], fixed: &mut [Option<Share>]) {
        let nodes: Vec<usize> = (0..weights.len())
            .filter(|node| self.zone_of[*node] == zone)
            .collect();
        let cap = self.node_cap as u128 * ONE;
        let mut rest = self.zone_caps[zone] as u128 * ONE;
        let mut open: Vec<usize> = nodes;
        loop {
            let free: u128 = open.iter().map(|node| u128::from(weights[*node])).sum();
            let share = |node: &usize| rest * u128::from(weights[*node]) / free.max(1);
            let full = open.iter().position(|node| share(node) > cap);
            let Some(at) = full else {
                for node in &open {
                    fixed[*node] = Some(Share(share(node)));
                }
                return;
            };
            let node = open.swap_remove(at);
            fixed[node] = Some(Share(cap));
            rest = rest.saturating_sub(cap);
        }
    }
}

/// One place in fractions of it.
const ONE: u128 = 1 << 64;

/// Places, in fractions of [`ONE`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Share(u128);

impl Share {
    fn floor_places(self) -> usize {
        // Rounding down what should be whole must not lose a place.
        usize::try_from((self.0 + (ONE >> 20)) / ONE).unwrap_or(usize::MAX)
    }

    fn rest(self) -> u128 {
        (self.0 + (ONE >> 20)) % ONE
    }

    fn has_rest(self) -> bool {
        self.rest() > ONE >> 19
    }
}

/// Puts each row into preference order: as it was, newcomers last, and homes spread by weight.
fn order(rows: &mut [Vec<NodeId>], present: &[Vec<NodeId>], weights: &BTreeMap<NodeId, u64>) {
    for (row, before) in rows.iter_mut().zip(present) {
        let place = |node: &NodeId| before.iter().position(|old| old == node);
        row.sort_by_key(|node| (place(node).unwrap_or(usize::MAX), *node));
    }
    let nodes: Vec<NodeId> = weights.keys().copied().collect();
    let index: BTreeMap<NodeId, usize> = nodes.iter().copied().zip(0..).collect();
    let number = |node: &NodeId| index.get(node).copied().unwrap_or_default();
    let homes: Vec<Vec<usize>> = rows
        .iter()
        .map(|row| row.first().map(number).into_iter().collect())
        .collect();
    let mut loads = vec![0; nodes.len()];
    homes.iter().flatten().for_each(|node| loads[*node] += 1);
    let all_in_one = vec![0; nodes.len()];
    let shares = Shares {
        zone_of: &all_in_one,
        zone_caps: vec![rows.len()],
        node_cap: rows.len(),
    };
    let by_weight: Vec<u64> = weights.values().copied().collect();
    let places = homes.iter().map(Vec::len).sum();
    if shares.are_met(&by_weight, places, &loads) {
        return;
    }
    let quotas = shares.of(&by_weight, places, &loads);
    let mut table = Table::new(homes, 1, 1, all_in_one.clone(), quotas);
    table.only_among(
        rows.iter()
            .map(|row| row.iter().map(number).collect())
            .collect(),
    );
    table.fit();
    for (row, home) in rows.iter_mut().zip(table.into_rows()) {
        let at = home.first().and_then(|home| {
            let home = nodes.get(*home)?;
            row.iter().position(|node| node == home)
        });
        if let Some(at) = at {
            row[..=at].rotate_right(1);
        }
    }
}

/// Whether nothing moves and nothing is about to: a node that has just come gets its share by a plan that is still to be
/// made.
#[must_use]
pub fn lies_as_planned(document: &Document) -> bool {
    document.is_settled() && plan(document) == document.table()
}

/// The next changes towards the target: first what makes data safer, then what gives it up. Few at a time, so that
/// what moves does not slow down what serves. None when there is no target, or all that can be begun is under way.
#[must_use]
pub fn next_steps(document: &Document) -> Vec<Change> {
    let Some(target) = document.target() else {
        return Vec::new();
    };
    let mut joining: BTreeMap<NodeId, usize> = BTreeMap::new();
    for partition in Document::partitions() {
        let members = document.members(partition).iter();
        for member in members.filter(|member| member.state == MemberState::Joining) {
            *joining.entry(member.node).or_default() += 1;
        }
    }
    let mut all: usize = joining.values().sum();
    let (mut begin, mut leave) = (Vec::new(), Vec::new());
    for (partition, row) in Document::partitions().zip(target) {
        let state = |node: NodeId| document.member(partition, node).map(|member| member.state);
        for node in row.iter().copied() {
            if matches!(
                state(node),
                Some(MemberState::Active | MemberState::Joining)
            ) {
                continue;
            }
            let of_node = joining.entry(node).or_default();
            if *of_node < JOINING_PER_NODE_MAX && all < JOINING_MAX {
                *of_node += 1;
                all += 1;
                begin.push(Move { partition, node });
            }
        }
        if row
            .iter()
            .all(|node| state(*node) == Some(MemberState::Active))
        {
            leave.extend(leavers(document, partition, row));
        }
    }
    let begin = (!begin.is_empty()).then_some(Change::Begin { moves: begin });
    let leave = (!leave.is_empty()).then_some(Change::Leave { moves: leave });
    begin.into_iter().chain(leave).collect()
}

/// The members of a partition that its target does not name and that have not begun to leave.
fn leavers<'a>(
    document: &'a Document,
    partition: PartitionId,
    row: &'a [NodeId],
) -> impl Iterator<Item = Move> + 'a {
    let members = document.members(partition).iter();
    members
        .filter(|member| member.state != MemberState::Leaving && !row.contains(&member.node))
        .map(move |member| Move {
            partition,
            node: member.node,
        })
}

#[cfg(test)]
mod tests;
