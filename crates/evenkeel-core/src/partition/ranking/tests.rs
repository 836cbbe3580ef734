//! The tree against a sorted list.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// The members, found the slow way.
#[derive(Default)]
struct Naive(BTreeMap<Vec<u8>, Score>);

impl Naive {
    fn sorted(&self) -> Vec<(&[u8], Score)> {
        let by_score: BTreeSet<(Score, &[u8])> = self
            .0
            .iter()
            .map(|(member, score)| (*score, &**member))
            .collect();
        by_score
            .into_iter()
            .map(|(score, member)| (member, score))
            .collect()
    }
}

fn set(ranking: &mut Ranking, naive: &mut Naive, member: &[u8], score: Option<Score>) {
    let before = match score {
        Some(score) => naive.0.insert(member.to_vec(), score),
        None => naive.0.remove(member),
    };
    if let Some(before) = before {
        ranking.remove(before, member);
    }
    if let Some(score) = score {
        ranking.insert(score, member);
    }
}

fn check_node(node: &Node, low: Option<&Entry>, high: Option<&Entry>, is_root: bool) -> usize {
    assert!(node.width() <= WIDTH_MAX);
    assert!(is_root || node.width() > 0, "an empty node");
    match node {
        Node::Leaf(entries) => {
            assert!(entries.is_sorted_by(|a, b| a.name() < b.name()));
            assert!(
                entries
                    .iter()
                    .all(|entry| low.is_none_or(|low| low.name() <= entry.name()))
            );
            assert!(
                entries
                    .iter()
                    .all(|entry| high.is_none_or(|high| entry.name() < high.name()))
            );
            1
        }
        Node::Inner(inner) => {
            assert!(inner.children.len() > 1 || !is_root);
            let mut heights = BTreeSet::new();
            for (at, child) in inner.children.iter().enumerate() {
                assert_eq!(inner.counts[at], child.count());
                let low = if at == 0 {
                    low
                } else {
                    Some(&inner.separators[at])
                };
                let high = inner.separators.get(at + 1).or(high);
                heights.insert(check_node(child, low, high, false));
            }
            assert_eq!(heights.len(), 1, "all leaves are equally deep");
            heights.first().unwrap() + 1
        }
    }
}

fn check(ranking: &Ranking, naive: &Naive) {
    check_node(&ranking.root, None, None, true);
    let sorted = naive.sorted();
    assert_eq!(ranking.len(), sorted.len());
    assert!(ranking.iter().eq(sorted.iter().copied()));
    assert!(ranking.iter().rev().eq(sorted.iter().rev().copied()));
    for (rank, (member, score)) in sorted.iter().enumerate() {
        assert_eq!(ranking.rank(*score, member), Some(rank));
    }
}

fn score(number: i16) -> Score {
    Score::new(f64::from(number)).unwrap()
}

#[test]
fn a_tree_of_several_levels_stays_in_order_while_it_grows_and_shrinks() {
    for order in [1_usize, 7919, 9_999] {
        let mut ranking = Ranking::default();
        let mut naive = Naive::default();
        let member = |n: usize| format!("{:06}", n * order % 10_000).into_bytes();
        for n in 0..10_000 {
            let points = i16::try_from(n * 31 % 977).unwrap();
            set(&mut ranking, &mut naive, &member(n), Some(score(points)));
            if n % 2_500 == 0 {
                check(&ranking, &naive);
            }
        }
        check(&ranking, &naive);
        for n in 0..10_000 {
            set(&mut ranking, &mut naive, &member(n * 3 % 10_000), None);
            if n % 2_500 == 0 {
                check(&ranking, &naive);
            }
        }
        check(&ranking, &naive);
        assert!(matches!(&ranking.root, Node::Leaf(entries) if entries.is_empty()));
    }
}

#[test]
fn a_run_of_ranks_is_read_from_both_ends_at_once() {
    let mut ranking = Ranking::default();
    for n in 0..500 {
        ranking.insert(score(n), b"m");
    }
    let scores = |range: Ranked<'_>| range.map(|(_, score)| score.number()).collect::<Vec<_>>();
    assert_eq!(scores(ranking.range(498..1000)), [498.0, 499.0]);
    assert_eq!(scores(ranking.range(500..600)), [0.0; 0]);
    assert_eq!(scores(ranking.range(10..10)), [0.0; 0]);
    let mut both = ranking.range(60..70);
    assert_eq!(both.len(), 10);
    let mut seen = Vec::new();
    while let Some((_, low)) = both.next() {
        seen.push(low.number());
        seen.extend(both.next_back().map(|(_, high)| high.number()));
    }
    assert_eq!(
        seen,
        [60.0, 69.0, 61.0, 68.0, 62.0, 67.0, 63.0, 66.0, 64.0, 65.0]
    );
    let mut skipped = ranking.range(3..400);
    assert_eq!(skipped.next().unwrap().1, score(3));
    assert_eq!(skipped.nth(200).unwrap().1, score(204));
    assert!(skipped.nth(400).is_none());
}

proptest! {
    #[test]
    fn ranks_and_borders_are_those_of_a_sorted_list(
        changes in proptest::collection::vec((0..120_u8, proptest::option::weighted(0.7, -4..4_i16)), 1..400),
        border in -5..5_i16,
        name in 0..120_u8,
    ) {
        let mut ranking = Ranking::default();
        let mut naive = Naive::default();
        for (member, points) in changes {
            // Long names as well as short ones.
            let member = vec![member; 1 + usize::from(member % 20)];
            set(&mut ranking, &mut naive, &member, points.map(score));
        }
        check(&ranking, &naive);
        let border = (score(border), &[name][..]);
        let before = naive.sorted().iter().filter(|(member, score)| (*score, *member) < border).count();
        prop_assert_eq!(ranking.partition_point(|score, member| (score, member) < border), before);
        let found = naive.0.get(border.1) == Some(&border.0);
        prop_assert_eq!(ranking.rank(border.0, border.1), found.then_some(before));
    }
}
