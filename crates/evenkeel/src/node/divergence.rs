//! How far the nodes are apart: events, bytes, ages, and the keys that differ. Exact, from contexts and content.
//!
//! First every node says what it holds, all asked side by side; then each node says what it takes to bring what it
//! has more. Figures of one pair are of the moment at which its two nodes were asked first. A node that cannot be
//! asked has no figures; what others have last been told by it is shown apart from them.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_core::causality::Context;
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_core::partition::{held_by_one, held_by_some};
use evenkeel_core::types::{Key, Range};

use super::compare::{Digests, Gap, Lacks, Question, decode_digests, decode_gaps, decode_ranges};
use super::convergence::{ASK_TIMEOUT, Contexts, join_all};
use super::{Node, Topology};

/// Partitions whose keys are compared at a time.
const PARTITIONS_AT_A_TIME: usize = 16;

/// What one node lacks of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PairGap {
    /// The node that has more.
    pub(crate) from: NodeId,
    /// The node that lacks it.
    pub(crate) to: NodeId,
    /// `None` when one of the two is not reachable and nothing exact can be said.
    pub(crate) gap: Option<Gap>,
    /// Where only the second one is not reachable: what it lacks by what it told the first one last.
    pub(crate) told: Option<Gap>,
}

/// How far the nodes are apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Divergence {
    /// Every ordered pair of nodes.
    pub(crate) pairs: Vec<PairGap>,
    /// The partitions in which something is missing, with the pairs that it is about.
    pub(crate) partitions: BTreeMap<PartitionId, Vec<PairGap>>,
    /// For each node that is reachable, the events that no other reachable replica holds.
    pub(crate) alone: Vec<(NodeId, u64)>,
}

/// A key that is not the same everywhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DifferingKey {
    pub(crate) partition: PartitionId,
    pub(crate) key: Key,
    /// The nodes in groups that hold the same.
    pub(crate) groups: Vec<Vec<NodeId>>,
}

/// The keys that differ.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct DifferingKeys {
    pub(crate) keys: Vec<DifferingKey>,
    /// How many more there are.
    pub(crate) left_out: u64,
    /// Partitions that were not compared: too many keys may differ there, or a node did not answer.
    pub(crate) partitions_left_out: u64,
    /// Nodes that could not be asked.
    pub(crate) unreachable: Vec<NodeId>,
}

/// One thing to ask: the pair and partition that it is about.
type Ask = (NodeId, PartitionId, Lacks);

impl Node {
    /// For each ordered pair of nodes, what the second one lacks in the partitions that both hold.
    pub(crate) async fn divergence(&self, only: Option<PartitionId>) -> Divergence {
        let all = self.all_contexts(ASK_TIMEOUT).await;
        let wanted: Vec<PartitionId> = match only {
            Some(only) => vec![only],
            None => Topology::partitions().collect(),
        };
        let reached: Vec<NodeId> = all.keys().copied().collect();
        let asked: Vec<Vec<Ask>> = reached
            .iter()
            .map(|from| self.to_ask(*from, &all, &wanted))
            .collect();
        let answers = reached
            .iter()
            .zip(&asked)
            .map(|(from, asked)| self.gaps_of(*from, asked));
        let answers = join_all(answers.collect()).await;
        let mut divergence = Divergence {
            pairs: self.pairs(&all),
            partitions: BTreeMap::new(),
            alone: alone(&all, &wanted),
        };
        for ((from, asked), gaps) in reached.iter().zip(asked).zip(answers) {
            for ((to, partition, lacks), gap) in asked.into_iter().zip(gaps) {
                divergence.add((*from, to, partition), &lacks, gap);
            }
        }
        divergence
    }

    fn to_ask(
        &self,
        from: NodeId,
        all: &BTreeMap<NodeId, Contexts>,
        wanted: &[PartitionId],
    ) -> Vec<Ask> {
        let mut asks = Vec::new();
        let Some(has) = all.get(&from) else {
            return asks;
        };
        for to in self.topology().nodes().filter(|to| *to != from) {
            for id in wanted {
                let Some(context) = has.get(id).filter(|_| self.topology().holds(to, *id)) else {
                    continue;
                };
                let lacks = match all.get(&to).map(|theirs| theirs.get(id)) {
                    None => Lacks::Untold(to),
                    Some(theirs) => {
                        let missing = theirs.map(|theirs| context.difference(theirs));
                        Lacks::Events(missing.unwrap_or_default())
                    }
                };
                if !matches!(&lacks, Lacks::Events(dots) if dots.is_empty()) {
                    asks.push((to, *id, lacks));
                }
            }
        }
        asks
    }

    /// What it takes, as the node that has more says; what it does not say is left open.
    async fn gaps_of(&self, from: NodeId, asks: &[Ask]) -> Vec<Gap> {
        let open = |(_, _, lacks): &Ask| Gap {
            events: match lacks {
                Lacks::Events(dots) => dots.count(),
                Lacks::Untold(_) => 0,
            },
            bytes: None,
            ..Gap::NONE
        };
        if asks.is_empty() {
            return Vec::new();
        }
        let asked: Vec<(PartitionId, Lacks)> = asks
            .iter()
            .map(|(_, id, lacks)| (*id, lacks.clone()))
            .collect();
        let told = if from == self.me {
            Some(self.gaps_here(&asked))
        } else {
            let question = Question::Repairs(asked);
            let body = self.ask_to_compare(from, question, ASK_TIMEOUT).await;
            body.ok().and_then(|body| decode_gaps(&body, asks.len()))
        };
        told.unwrap_or_else(|| asks.iter().map(open).collect())
    }

    fn pairs(&self, all: &BTreeMap<NodeId, Contexts>) -> Vec<PairGap> {
        let mut pairs = Vec::new();
        for from in self.topology().nodes() {
            for to in self.topology().nodes().filter(|to| *to != from) {
                let (has, lacks) = (all.contains_key(&from), all.contains_key(&to));
                pairs.push(PairGap {
                    from,
                    to,
                    gap: (has && lacks).then_some(Gap::NONE),
                    told: (has && !lacks).then_some(Gap::NONE),
                });
            }
        }
        pairs
    }

    /// The keys that differ between the nodes that can be reached: the first `count` of each partition's, in order,
    /// until there are enough.
    pub(crate) async fn differing_keys(&self, count: usize) -> DifferingKeys {
        let all = self.all_contexts(ASK_TIMEOUT).await;
        let mut found = DifferingKeys {
            unreachable: self
                .topology()
                .nodes()
                .filter(|node| !all.contains_key(node))
                .collect(),
            ..DifferingKeys::default()
        };
        let apart: Vec<(PartitionId, Context)> = Topology::partitions()
            .filter_map(|id| {
                let contexts: Vec<&Context> = all
                    .values()
                    .filter_map(|contexts| contexts.get(&id))
                    .collect();
                Some((id, held_by_some(&contexts))).filter(|(_, some)| !some.is_empty())
            })
            .collect();
        for several in apart.chunks(PARTITIONS_AT_A_TIME) {
            let compared = several.iter().map(|(id, some)| {
                let holders = all.iter().filter(|(_, contexts)| contexts.contains_key(id));
                let holders: Vec<NodeId> = holders.map(|(node, _)| *node).collect();
                self.compare_keys(*id, some, holders)
            });
            for keys in join_all(compared.collect()).await {
                match keys {
                    None => found.partitions_left_out += 1,
                    Some(keys) => {
                        let room = count - found.keys.len();
                        found.left_out += keys.len().saturating_sub(room) as u64;
                        found.keys.extend(keys.into_iter().take(room));
                    }
                }
            }
        }
        found
    }

    async fn compare_keys(
        &self,
        id: PartitionId,
        some: &Context,
        holders: Vec<NodeId>,
    ) -> Option<Vec<DifferingKey>> {
        let touched = holders.iter().map(|node| self.touched_of(*node, id, some));
        let mut ranges: Vec<Range> = Vec::new();
        let mut keys: BTreeSet<Key> = BTreeSet::new();
        for told in join_all(touched.collect()).await {
            for range in told? {
                match range {
                    Range::Key(key) => {
                        keys.insert(key);
                    }
                    range if !ranges.contains(&range) => ranges.push(range),
                    _ => {}
                }
            }
        }
        ranges.extend(keys.into_iter().map(Range::Key));
        let digests = holders
            .iter()
            .map(|node| self.digests_of(*node, id, ranges.clone()));
        let digests: Option<Vec<Digests>> = join_all(digests.collect()).await.into_iter().collect();
        let digests: Vec<(NodeId, Digests)> = holders.into_iter().zip(digests?).collect();
        Some(differing(id, &digests))
    }

    async fn touched_of(
        &self,
        node: NodeId,
        id: PartitionId,
        some: &Context,
    ) -> Option<Vec<Range>> {
        if node == self.me {
            return Some(self.touched_here(id, some));
        }
        let question = Question::Touched(id, some.clone());
        let body = self
            .ask_to_compare(node, question, ASK_TIMEOUT)
            .await
            .ok()?;
        decode_ranges(&body)
    }

    async fn digests_of(
        &self,
        node: NodeId,
        id: PartitionId,
        ranges: Vec<Range>,
    ) -> Option<Digests> {
        if node == self.me {
            return self.digests_here(id, &ranges);
        }
        let question = Question::Digests(id, ranges);
        let body = self
            .ask_to_compare(node, question, ASK_TIMEOUT)
            .await
            .ok()?;
        decode_digests(&body)?
    }
}

impl Divergence {
    fn add(
        &mut self,
        (from, to, partition): (NodeId, NodeId, PartitionId),
        lacks: &Lacks,
        mut gap: Gap,
    ) {
        let (exact, told) = match lacks {
            Lacks::Events(dots) => {
                gap.events = dots.count();
                (Some(gap), None)
            }
            Lacks::Untold(_) => (None, Some(gap)),
        };
        let pair = self
            .pairs
            .iter_mut()
            .find(|pair| (pair.from, pair.to) == (from, to));
        if let Some(pair) = pair {
            for (sum, part) in [(&mut pair.gap, exact), (&mut pair.told, told)] {
                if let (Some(sum), Some(part)) = (sum, part) {
                    sum.add(&part);
                }
            }
        }
        if gap.events > 0 {
            let row = PairGap {
                from,
                to,
                gap: exact,
                told,
            };
            self.partitions.entry(partition).or_default().push(row);
        }
    }

    /// What is missing altogether, as far as it is known exactly.
    pub(crate) fn total(&self) -> Gap {
        let mut total = Gap::NONE;
        let known = self.pairs.iter().filter_map(|pair| pair.gap);
        known.for_each(|gap| total.add(&gap));
        total
    }

    /// Whether a node could not be asked.
    pub(crate) fn is_unknown(&self) -> bool {
        self.pairs.iter().any(|pair| pair.gap.is_none())
    }
}

fn alone(all: &BTreeMap<NodeId, Contexts>, wanted: &[PartitionId]) -> Vec<(NodeId, u64)> {
    let count = |node: &NodeId| -> u64 {
        let mut sum = 0;
        for id in wanted {
            let holders = all
                .iter()
                .filter_map(|(at, held)| Some((at, held.get(id)?)));
            let (nodes, contexts): (Vec<&NodeId>, Vec<&Context>) = holders.unzip();
            let at = nodes.iter().position(|at| *at == node);
            sum += at.map_or(0, |at| held_by_one(&contexts, at));
        }
        sum
    };
    all.keys().map(|node| (*node, count(node))).collect()
}

fn differing(partition: PartitionId, digests: &[(NodeId, Digests)]) -> Vec<DifferingKey> {
    let keys: BTreeSet<&Key> = digests.iter().flat_map(|(_, held)| held.keys()).collect();
    let mut found = Vec::new();
    for key in keys {
        let mut groups: BTreeMap<u128, Vec<NodeId>> = BTreeMap::new();
        for (node, held) in digests {
            let shown = held.get(key).copied().unwrap_or_default();
            groups.entry(shown).or_default().push(*node);
        }
        if groups.len() > 1 {
            let mut groups: Vec<Vec<NodeId>> = groups.into_values().collect();
            groups.sort_unstable();
            found.push(DifferingKey {
                partition,
                key: key.clone(),
                groups,
            });
        }
    }
    found
}
