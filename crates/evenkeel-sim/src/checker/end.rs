//! G2, G3, G7; (4) to (7), I2, I9, I13: what must hold once the cluster has healed.

use std::collections::BTreeSet;

use evenkeel_core::partition::Partition;

use super::{Checker, Verdict, violated};
use crate::coverage::{Coverage, Mark};
use crate::node::Node;

impl Checker {
    /// Whether the healed cluster has come to rest where it must; else what is missing yet.
    pub(crate) fn check_settled(&mut self, nodes: &[Node], coverage: &mut Coverage) -> Verdict {
        self.check_converged(nodes)?;
        for (at, node) in nodes.iter().enumerate().filter(|(_, node)| !node.lost) {
            if let Some(partition) = &node.partition {
                self.check_all_cells(at, partition)?;
                self.check_quiet(at, partition, nodes)?;
                self.check_garbage(at, partition, nodes, coverage)?;
                self.check_siblings(at, partition)?;
            }
            // I2: what survived on a disk must be known. A disk that was replaced counts as it is now.
            for event in node.disk.durable_events() {
                if !self.seen[at].events.contains(event) {
                    let event = self.history.event(event);
                    let what = format!(
                        "{:04x}:{} is on the disk of {}",
                        event.actor >> 48,
                        event.n,
                        node.id
                    );
                    return violated("(6) durable event lost", what);
                }
            }
        }
        self.check_all_equal(nodes)
    }

    /// (4): equal contexts.
    fn check_converged(&self, nodes: &[Node]) -> Verdict {
        let mut first: Option<(&Node, &Partition)> = None;
        for node in nodes.iter().filter(|node| !node.lost) {
            let Some(partition) = &node.partition else {
                return violated("(4) all nodes run", format!("{} is down", node.id));
            };
            let (other, theirs) = *first.get_or_insert((node, partition));
            let (have, want) = (partition.replica().context(), theirs.replica().context());
            if have != want {
                let what = format!(
                    "{} lacks {}, {} lacks {}",
                    node.id,
                    want.difference(have),
                    other.id,
                    have.difference(want)
                );
                return violated("(4) contexts differ", what);
            }
        }
        Ok(())
    }

    /// I15 and I21: nothing waits, nobody lags, everything is durable.
    fn check_quiet(&self, at: usize, partition: &Partition, nodes: &[Node]) -> Verdict {
        if !self.requests[at].is_empty() || partition.pending() > 0 {
            return violated(
                "I15 answered in time",
                format!("requests wait at {}", nodes[at].id),
            );
        }
        if partition.durable() != partition.replica().context() {
            let what = format!("{} has synced only {}", nodes[at].id, partition.durable());
            return violated("I17 all durable", what);
        }
        for peer in nodes.iter().filter(|peer| !peer.lost) {
            if peer.id != nodes[at].id && partition.lag(peer.id) > 0 {
                let what = format!(
                    "{} says that {} lacks {}",
                    nodes[at].id,
                    peer.id,
                    partition.lag(peer.id)
                );
                return violated("I21 lag", what);
            }
        }
        Ok(())
    }

    /// (7): index, overlays and residue are gone, as far as nobody who died keeps them.
    fn check_garbage(
        &self,
        at: usize,
        partition: &Partition,
        nodes: &[Node],
        coverage: &mut Coverage,
    ) -> Verdict {
        let replica = partition.replica();
        let id = nodes[at].id;
        if nodes.iter().all(|node| !node.lost) && replica.index_len() > 0 {
            let what = format!("{} entries at {id}", replica.index_len());
            return violated("(7) index not collected", what);
        }
        let living: BTreeSet<u64> = nodes
            .iter()
            .filter(|node| !node.lost)
            .map(|node| node.actor.0)
            .collect();
        for (cell, state) in replica.cells() {
            for chain in state.chains().iter().filter(|chain| chain.is_dead()) {
                if living.contains(&chain.id.actor.0) {
                    return violated(
                        "(7) residue not collected",
                        format!("{chain:?} of {cell} at {id}"),
                    );
                }
                coverage.mark(Mark::DanglingResidue);
            }
        }
        // Overlays may only name minted dots that died with a tail nobody else had: checked against the one
        // context that all survivors share.
        let pre = replica.cells().filter_map(|(_, cell)| cell.pre().cloned());
        let masks = replica.masks().map(|(_, dots)| dots.clone());
        for overlay in pre.chain(masks) {
            coverage.mark(Mark::DanglingOverlay);
            for event in self.events_of(&overlay)? {
                let actor = self.history.event(event).actor;
                if self.seen[at].events.contains(event) || living.contains(&actor) {
                    return violated("(7) overlay not emptied", format!("{overlay} at {id}"));
                }
            }
        }
        Ok(())
    }

    /// I13: an actor has one version of a cell at most, unless an event between its writes is lost.
    fn check_siblings(&self, at: usize, partition: &Partition) -> Verdict {
        for (id, cell) in partition.replica().cells() {
            let dots: Vec<_> = cell.versions().map(|version| version.dot).collect();
            for pair in dots.windows(2) {
                let actor = pair[1].actor;
                let whole = partition
                    .replica()
                    .context()
                    .of(actor)
                    .is_none_or(|numbers| numbers.runs().len() == 1 && numbers.contains(1));
                if pair[0].actor == actor && whole {
                    let what = format!("{id} has two versions of {actor} at node {at}");
                    return violated("I13 siblings", what);
                }
            }
        }
        Ok(())
    }
}
