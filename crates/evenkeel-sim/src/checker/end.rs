//! G2, G3, G7; (4) to (7), I2, I9, I13: what must hold once the cluster has healed.

use std::collections::BTreeSet;

use evenkeel_core::causality::Dot;
use evenkeel_core::id::NodeId;
use evenkeel_core::membership::MemberState;
use evenkeel_core::partition::Partition;

use super::{Checker, Verdict, violated};
use crate::coverage::{Coverage, Mark};
use crate::node::{List, Node};

impl Checker {
    /// Whether the healed cluster has come to rest where it must; else what is missing yet.
    pub(crate) fn check_settled(
        &mut self,
        list: &List,
        nodes: &[Node],
        coverage: &mut Coverage,
    ) -> Verdict {
        check_members(list, nodes)?;
        let (members, others): (Vec<_>, Vec<_>) = nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| !node.lost)
            .partition(|(at, _)| list.role(*at).is_member());
        let members: Vec<&Node> = members.into_iter().map(|(_, node)| node).collect();
        self.check_converged(&members)?;
        let whole = list.members.len() == members.len();
        for node in &members {
            let at = node.id.0 as usize;
            if let Some(partition) = &node.partition {
                self.check_all_cells(at, partition)?;
                self.check_quiet(at, partition, &members)?;
                if whole && partition.replica().index_len() > 0 {
                    let what =
                        format!("{} entries at {}", partition.replica().index_len(), node.id);
                    return violated("(7) index not collected", what);
                }
                self.check_garbage(at, partition, &members, coverage)?;
                self.check_siblings(at, partition)?;
            }
        }
        for (at, node) in others {
            self.check_outside(at, node)?;
        }
        for (at, node) in nodes.iter().enumerate().filter(|(_, node)| !node.lost) {
            // I2: what survived on a disk must be known. A disk that was replaced counts as it is now.
            for event in node.disk.promised().iter() {
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
        self.check_all_equal(&members)
    }

    /// Who is no member holds nothing any more that a member had to fetch.
    fn check_outside(&self, at: usize, node: &Node) -> Verdict {
        let Some(partition) = &node.partition else {
            return violated("(4) all nodes run", format!("{} is down", node.id));
        };
        let replica = partition.replica();
        if !replica.context().is_empty() || replica.key_count() > 0 || replica.index_len() > 0 {
            let what = format!("{} holds {}", node.id, replica.context());
            return violated("I12 left outside the members", what);
        }
        if !self.requests[at].is_empty() || partition.pending() > 0 {
            let what = format!("requests wait at {}", node.id);
            return violated("I15 answered in time", what);
        }
        match partition.deadline() {
            None => Ok(()),
            Some(_) => violated("a guest rests", format!("{} waits for something", node.id)),
        }
    }

    /// (4): equal contexts.
    fn check_converged(&self, members: &[&Node]) -> Verdict {
        let mut first: Option<(&Node, &Partition)> = None;
        for node in members {
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
    fn check_quiet(&self, at: usize, partition: &Partition, members: &[&Node]) -> Verdict {
        let id = NodeId(u32::try_from(at).unwrap_or(u32::MAX));
        if !self.requests[at].is_empty() || partition.pending() > 0 {
            return violated("I15 answered in time", format!("requests wait at {id}"));
        }
        if partition.durable() != partition.replica().context() {
            let what = format!("{id} has synced only {}", partition.durable());
            return violated("I17 all durable", what);
        }
        for peer in members {
            if peer.id != id && partition.lag(peer.id) > 0 {
                let what = format!(
                    "{} says that {} lacks {}",
                    id,
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
        members: &[&Node],
        coverage: &mut Coverage,
    ) -> Verdict {
        let replica = partition.replica();
        let id = NodeId(u32::try_from(at).unwrap_or(u32::MAX));
        // Who mints now has not dropped what it has minted, so everybody has it by now.
        let minters = members.iter().filter_map(|node| node.partition.as_ref());
        let minters: BTreeSet<u64> = minters.map(|partition| partition.actor().0).collect();
        for (cell, state) in replica.cells() {
            for chain in state.chains().iter().filter(|chain| chain.is_dead()) {
                let birth = Dot::new(chain.id.actor, chain.id.birth);
                let whole = chain.id.actor.is_guest() && replica.context().contains(birth);
                if minters.contains(&chain.id.actor.0) || whole {
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
                if self.seen[at].events.contains(event) || minters.contains(&actor) {
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

/// Nobody joins or leaves any more, and everybody knows.
fn check_members(list: &List, nodes: &[Node]) -> Verdict {
    let on_the_way = list.members.iter();
    let mut on_the_way = on_the_way.filter(|member| member.state != MemberState::Active);
    if let Some(member) = on_the_way.next() {
        return violated("members settle", format!("{member:?}"));
    }
    let mut running = nodes.iter().filter(|node| !node.lost);
    match running.find(|node| node.list.epoch < list.epoch) {
        Some(node) => violated("members settle", format!("{} has an old list", node.id)),
        None => Ok(()),
    }
}
