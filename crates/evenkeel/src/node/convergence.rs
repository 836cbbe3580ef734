//! What every node holds, and waiting until all hold the same.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use evenkeel_core::causality::Context;
use evenkeel_core::id::{NodeId, PartitionId};

use super::{Node, Topology};

/// The contexts of one node, by partition.
pub(super) type Contexts = BTreeMap<PartitionId, Context>;

/// How long a node may take to say what it holds: longer than a link may be silent before it counts as down, so that
/// a slow link is waited for and a dead one is not.
pub(super) const ASK_TIMEOUT: Duration = Duration::from_millis(2_500);
/// The same near the end of a wait: even a wait of no time asks once.
const ASK_TIMEOUT_MIN: Duration = Duration::from_millis(500);
/// How often a wait looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Node {
    fn own_contexts(&self) -> Contexts {
        self.held()
            .filter_map(|id| Some((id, self.context(id)?)))
            .collect()
    }

    async fn contexts_of(&self, node: NodeId, limit: Duration) -> Option<Contexts> {
        if node == self.me {
            return Some(self.own_contexts());
        }
        self.ask_contexts(node, &[], limit)
            .await
            .ok()
            .map(|contexts| contexts.into_iter().collect())
    }

    /// What every node holds, as far as it can be reached now.
    pub(super) async fn all_contexts(&self, limit: Duration) -> BTreeMap<NodeId, Contexts> {
        let mut all = BTreeMap::new();
        let nodes: Vec<NodeId> = self.topology().nodes().collect();
        let asked: Vec<_> = nodes
            .iter()
            .map(|node| self.contexts_of(*node, limit))
            .collect();
        for (node, contexts) in nodes.into_iter().zip(join_all(asked).await) {
            all.extend(contexts.map(|contexts| (node, contexts)));
        }
        all
    }

    /// Waits until every member, also one that cannot be reached now, holds at least all that any member held when
    /// it was first asked. Gives the nodes that are behind when the time is up.
    pub(crate) async fn await_converged(&self, timeout: Duration) -> Result<(), Vec<NodeId>> {
        let until = Instant::now() + timeout;
        let mut target = Contexts::new();
        let mut heard: Vec<NodeId> = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let all = self
                .all_contexts(left.clamp(ASK_TIMEOUT_MIN, ASK_TIMEOUT))
                .await;
            for (node, contexts) in &all {
                if !heard.contains(node) {
                    heard.push(*node);
                    contexts
                        .iter()
                        .for_each(|(id, context)| target.entry(*id).or_default().join(context));
                }
            }
            let behind: Vec<NodeId> = self
                .topology()
                .nodes()
                .filter(|node| !self.has_all(*node, all.get(node), &target))
                .collect();
            if behind.is_empty() {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(behind);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn has_all(&self, node: NodeId, contexts: Option<&Contexts>, target: &Contexts) -> bool {
        contexts.is_some_and(|contexts| {
            Topology::partitions()
                .filter(|id| self.topology().holds(node, *id))
                .all(|id| {
                    target.get(&id).is_none_or(|wanted| {
                        contexts.get(&id).is_some_and(|has| wanted.is_subset(has))
                    })
                })
        })
    }
}

/// Runs futures side by side and gives their results in order.
pub(crate) async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, result) in running.iter_mut().zip(&mut results) {
            if result.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *result = Some(output);
            }
        }
        if results.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    results.into_iter().flatten().collect()
}
