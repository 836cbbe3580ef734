//! Plans of clusters as they come, grow, shrink and are spread over zones.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::cluster::{MemberRef, NodeSpec};

fn spec(name: usize, dc: usize, zone: usize, weight: u32) -> NodeSpec {
    NodeSpec {
        name: format!("n{name}"),
        peer: format!("10.0.0.1:{}", 1000 + name),
        zone: format!("z{zone}"),
        dc: format!("d{dc}"),
        weight,
    }
}

fn document(specs: &[NodeSpec]) -> Document {
    Document::initial(specs, 1).unwrap()
}

/// Goes all the way to where the plan leads, each node reporting at once; gives how many places were begun.
fn settle(document: &mut Document) -> usize {
    let target = plan(document);
    document.apply(&Change::Adopt { target }).unwrap();
    let mut begun = 0;
    for _ in 0..10_000 {
        if document.target().is_none() {
            return begun;
        }
        for change in next_steps(document) {
            if let Change::Begin { moves } = &change {
                begun += moves.len();
            }
            document.apply(&change).unwrap();
            safe(document);
        }
        report(document);
        safe(document);
    }
    panic!("the target is not reached");
}

fn report(document: &mut Document) {
    let nodes: Vec<NodeId> = document.present().map(|(node, _)| node).collect();
    for node in nodes {
        let of = |document: &Document, state| {
            let held = document.held_by(node);
            held.filter(|(_, member)| member.state == state)
                .map(|(partition, member)| MemberRef {
                    partition,
                    since: member.since,
                })
                .collect()
        };
        let partitions = of(document, MemberState::Joining);
        document
            .apply(&Change::Joined { node, partitions })
            .unwrap();
        let partitions = of(document, MemberState::Leaving);
        document
            .apply(&Change::Drained { node, partitions })
            .unwrap();
    }
}

fn safe(document: &Document) {
    for partition in Document::partitions() {
        assert!(document.active_members(partition).next().is_some());
    }
}

/// What every plan has.
fn check(document: &Document, rows: &[Vec<NodeId>]) {
    let wanted = document.replicas_wanted();
    for row in rows {
        let nodes: BTreeSet<NodeId> = row.iter().copied().collect();
        assert_eq!((row.len(), nodes.len()), (wanted, wanted));
        let mut dcs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for node in row {
            let entry = document.node(*node).unwrap();
            assert_eq!(
                document.state(*node),
                Some(crate::cluster::NodeState::Active)
            );
            dcs.entry(&entry.dc).or_default().push(&entry.zone);
        }
        for (dc, zones) in dcs {
            let all: BTreeSet<&str> = (document.active())
                .filter(|(_, entry)| entry.dc == dc)
                .map(|(_, entry)| &*entry.zone)
                .collect();
            let spread: BTreeSet<&str> = zones.iter().copied().collect();
            assert_eq!(spread.len(), zones.len().min(all.len()), "zones of {row:?}");
        }
    }
}

fn loads(rows: &[Vec<NodeId>]) -> BTreeMap<NodeId, usize> {
    let mut loads = BTreeMap::new();
    rows.iter()
        .flatten()
        .for_each(|node| *loads.entry(*node).or_default() += 1);
    loads
}

/// Places that are in the one table and not in the other.
fn moved(from: &[Vec<NodeId>], to: &[Vec<NodeId>]) -> usize {
    let rows = from.iter().zip(to);
    rows.map(|(from, to)| to.iter().filter(|node| !from.contains(node)).count())
        .sum()
}

#[test]
fn equal_nodes_hold_equal_amounts_and_are_homes_of_equal_amounts() {
    for count in [2, 3, 4, 5, 7, 10, 30, 100] {
        let specs: Vec<NodeSpec> = (0..count).map(|n| spec(n, 0, n, 100)).collect();
        let document = document(&specs);
        let rows = plan(&document);
        check(&document, &rows);
        let loads = loads(&rows);
        let (least, most) = (loads.values().min().unwrap(), loads.values().max().unwrap());
        assert!(most - least <= 3, "{count} nodes: {least} to {most}");
        let mut homes: BTreeMap<NodeId, usize> = BTreeMap::new();
        rows.iter()
            .for_each(|row| *homes.entry(row[0]).or_default() += 1);
        let most = homes.values().max().unwrap();
        assert!(
            *most <= 256usize.div_ceil(count),
            "{count} nodes: {most} homes"
        );
    }
}

#[test]
fn a_table_that_lies_as_planned_is_its_own_plan() {
    for count in 1..=12 {
        let specs: Vec<NodeSpec> = (0..count).map(|n| spec(n, 0, 0, 100)).collect();
        let mut document = document(&specs);
        assert_eq!(
            plan(&document),
            document.table(),
            "{count} nodes as founded"
        );
        document.apply(&Change::Admit(spec(99, 0, 0, 100))).unwrap();
        settle(&mut document);
        assert!(plan(&document) == document.table(), "{count} nodes and one");
        assert!(document.is_settled());
    }
}

#[test]
fn a_node_that_comes_takes_its_share_and_nothing_else_moves() {
    for count in 3..=20 {
        let specs: Vec<NodeSpec> = (0..count).map(|n| spec(n, 0, 0, 100)).collect();
        let mut document = document(&specs);
        document.apply(&Change::Admit(spec(99, 0, 0, 100))).unwrap();
        let share = (256 * 3usize).div_ceil(count + 1);
        let rows = plan(&document);
        check(&document, &rows);
        let moves = moved(&document.table(), &rows);
        assert!(
            moves <= share,
            "{count} nodes: {moves} moves for a share of {share}"
        );
        assert_eq!(settle(&mut document), moves);
    }
}

#[test]
fn from_one_node_the_replicas_grow_to_three_and_then_spread() {
    let mut document = document(&[spec(0, 0, 0, 100)]);
    for n in 1..6 {
        document.apply(&Change::Admit(spec(n, 0, 0, 100))).unwrap();
        settle(&mut document);
        check(&document, &document.table());
        assert_eq!(document.replicas_wanted(), 3.min(n + 1));
    }
}

#[test]
fn a_node_that_drains_ends_with_nothing() {
    let specs: Vec<NodeSpec> = (0..5).map(|n| spec(n, 0, n % 3, 100)).collect();
    let mut document = document(&specs);
    document.apply(&Change::Drain { node: NodeId(1) }).unwrap();
    settle(&mut document);
    assert!(document.holds_nothing(NodeId(1)));
    check(&document, &document.table());
}

#[test]
fn each_datacentre_holds_its_own_replicas() {
    let specs: Vec<NodeSpec> = (0..7).map(|n| spec(n, n % 2, n % 3, 100)).collect();
    let mut document = document(&specs);
    settle(&mut document);
    check(&document, &document.table());
    assert_eq!(document.replicas_wanted(), 6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_comes_and_goes_plans_are_even_spread_and_reached(
        nodes in prop::collection::vec((0usize..2, 0usize..4, 1u32..4), 1..14),
        steps in prop::collection::vec((any::<bool>(), 0usize..14, 0usize..2, 0usize..4, 1u32..4), 0..5),
    ) {
        let specs: Vec<NodeSpec> = nodes.iter().zip(0..)
            .map(|((dc, zone, weight), n)| spec(n, *dc, *zone, weight * 100))
            .collect();
        let mut document = document(&specs);
        settle(&mut document);
        check(&document, &document.table());
        for ((drains, which, dc, zone, weight), n) in steps.into_iter().zip(100..) {
            if drains {
                let active: Vec<NodeId> = document.active().map(|(node, _)| node).collect();
                let node = active[which % active.len()];
                if document.apply(&Change::Drain { node }).is_err() {
                    continue;
                }
                settle(&mut document);
                prop_assert!(document.holds_nothing(node));
                document.apply(&Change::Forget { node, accept_loss: false }).unwrap();
            } else {
                document.apply(&Change::Admit(spec(n, dc, zone, weight * 100))).unwrap();
                settle(&mut document);
            }
            check(&document, &document.table());
            prop_assert!(plan(&document) == document.table());
        }
    }

    #[test]
    fn no_node_is_more_than_a_twentieth_over_its_share(
        weights in prop::collection::vec(1u32..4, 4..40),
    ) {
        let specs: Vec<NodeSpec> = weights.iter().zip(0..)
            .map(|(weight, n)| spec(n, 0, n, weight * 100))
            .collect();
        let document = document(&specs);
        let rows = plan(&document);
        check(&document, &rows);
        let sum: u32 = weights.iter().sum();
        // Who would hold more than every partition once leaves the others more.
        prop_assume!(weights.iter().all(|weight| weight * 3 <= sum));
        for (node, load) in loads(&rows) {
            let weight = weights[node.0 as usize];
            let most = weight * 768 * 105 / (sum * 100) + 1;
            prop_assert!(load <= most as usize, "{load} of {most}");
        }
    }
}

#[test]
fn more_replicas_than_zones_still_leave_no_zone_without_one() {
    let specs: Vec<NodeSpec> = (0..7).map(|n| spec(n, 0, n % 3, 100)).collect();
    for count in 1..=6 {
        let mut document = document(&specs);
        document.apply(&Change::Replicas { count }).unwrap();
        settle(&mut document);
        check(&document, &document.table());
        assert!(
            plan(&document) == document.table(),
            "{count} replicas: a plan is left alone"
        );
    }
}

/// One round of a leader that moves data, and of nodes that report.
fn go_on(document: &mut Document) {
    if document.target().is_none() {
        let target = plan(document);
        document.apply(&Change::Adopt { target }).unwrap();
    }
    for change in next_steps(document) {
        // What the document refuses is not proposed.
        let _ = document.apply(&change);
    }
    report(document);
}

/// The document after each round, for as many as it may take.
fn reach(document: &mut Document) {
    for _ in 0..200 {
        go_on(document);
        if document.is_settled() && plan(document) == document.table() {
            return;
        }
    }
    panic!("data never comes to lie as planned");
}

#[test]
fn a_node_that_comes_while_data_moves_does_not_hold_the_move_up() {
    let mut document = document(&[spec(0, 0, 0, 100), spec(1, 0, 0, 100), spec(2, 0, 0, 100)]);
    document.apply(&Change::Drain { node: NodeId(2) }).unwrap();
    let target = plan(&document);
    document.apply(&Change::Adopt { target }).unwrap();
    // Two nodes are to hold everything. Now there are three again, and three replicas wanted.
    document.apply(&Change::Admit(spec(3, 0, 0, 100))).unwrap();
    reach(&mut document);
    assert!(document.holds_nothing(NodeId(2)));
    check(&document, &document.table());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_comes_while_data_moves_it_is_never_less_safe_and_comes_to_lie_as_planned(
        nodes in 1usize..6,
        steps in prop::collection::vec((0usize..6, any::<prop::sample::Index>(), 0usize..3), 1..14),
    ) {
        let specs: Vec<NodeSpec> = (0..nodes).map(|n| spec(n, 0, n % 3, 100)).collect();
        let mut document = document(&specs);
        for ((kind, which, rounds), n) in steps.into_iter().zip(100..) {
            let present: Vec<NodeId> = document.present().map(|(node, _)| node).collect();
            let node = *which.get(&present);
            let change = match kind {
                0 | 1 => Change::Admit(spec(n, 0, n % 3, 100)),
                2 => Change::Drain { node },
                3 => Change::Cancel { node },
                4 => Change::Forget { node, accept_loss: false },
                _ => Change::Replicas { count: u8::try_from(1 + n % 4).unwrap() },
            };
            let _ = document.apply(&change);
            for _ in 0..rounds {
                let counts = |document: &Document| -> Vec<usize> {
                    Document::partitions().map(|p| document.active_members(p).count()).collect()
                };
                let (before, wanted) = (counts(&document), document.replicas_wanted());
                go_on(&mut document);
                for (before, after) in before.iter().zip(counts(&document)) {
                    prop_assert!(after >= *before.min(&wanted), "{before} became {after} of {wanted}");
                }
            }
        }
        reach(&mut document);
        check(&document, &document.table());
    }
}
