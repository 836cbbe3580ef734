//! G2, G4, G5; (1), (3), I1, I4: every cell is what the applied events make of it, and equal contexts mean equal states.

use evenkeel_core::partition::{Partition, Replica};
use evenkeel_core::types::CellRef;

use super::{Checker, Step, Verdict, Violation, violated};
use crate::coverage::{Coverage, Mark};
use crate::node::Node;
use crate::oracle::{differs, render};
use crate::universe::{CellNo, CellSet};

/// Steps between two comparisons of a whole replica.
const FULL_EVERY: u64 = 64;
/// Steps between two comparisons, cell by cell, of replicas with equal contexts; digests are compared each time.
const PAIR_EVERY: u64 = 8;
/// Steps between two joins of a random cell of two replicas.
const JOIN_EVERY: u64 = 16;

impl Checker {
    /// All checks of one step.
    pub(crate) fn after_step(
        &mut self,
        step: Step<'_>,
        nodes: &[Node],
        coverage: &mut Coverage,
    ) -> Verdict {
        let Some(partition) = &nodes[step.at].partition else {
            return Ok(());
        };
        self.steps += 1;
        self.unseen.clear();
        let grown = self.advance(step, partition)?;
        let mut touched = step.written;
        touched.join(&grown.unwrap_or_default());
        for cell in touched.iter() {
            self.check_cell(step.at, partition, cell)?;
            notice(
                partition.replica().cell(self.history.universe.id(cell)),
                coverage,
            );
        }
        let digest = partition.replica().digest();
        if grown.is_none() && digest != self.seen[step.at].digest {
            return violated(
                "3.3 state without event",
                "the digest changed and the context did not",
            );
        }
        self.seen[step.at].digest = digest;
        if let Some(changed) = grown {
            self.check_equals(step.at, nodes, coverage)?;
            self.compare_views(step.at, nodes.len(), changed);
        }
        self.check_apart(step.at, nodes, (step.now, grown.is_some()), coverage)?;
        if self.steps.is_multiple_of(FULL_EVERY) {
            self.check_all_cells(step.at, partition)?;
            self.check_bounds(step.at, partition)?;
            if !partition.count().is_sound() {
                return violated(
                    "11 kept digest",
                    "the digest that was kept up to date is not that of the cells",
                );
            }
        }
        if self.steps.is_multiple_of(JOIN_EVERY) {
            self.check_join(nodes, coverage)?;
        }
        Ok(())
    }

    /// (1): one cell against the oracle.
    pub(super) fn check_cell(&mut self, at: usize, partition: &Partition, cell: CellNo) -> Verdict {
        let have = partition.replica().cell(self.history.universe.id(cell));
        let view = self
            .evaluator
            .view(&self.history, cell, &self.seen[at].events);
        match differs(&self.history, view, have) {
            None => Ok(()),
            Some(how) => Err(Box::new(Violation {
                check: "(1) cell == F(E)",
                what: format!("{how}; wanted {}", render(&self.history, view)),
                cell: Some(cell),
            })),
        }
    }

    /// (1): every cell, and no others.
    pub(super) fn check_all_cells(&mut self, at: usize, partition: &Partition) -> Verdict {
        for cell in 0..self.history.universe.cells().len() {
            self.check_cell(at, partition, cell)?;
        }
        for (id, _) in partition.replica().cells() {
            if self.history.universe.find(&id).is_none() {
                return violated("I7 unknown cell", format!("nobody writes to {id}"));
            }
        }
        Ok(())
    }

    /// I13: overlays hold only dots that were minted and are not applied; the product claims no more durable dots
    /// than it has.
    fn check_bounds(&self, at: usize, partition: &Partition) -> Verdict {
        let replica = partition.replica();
        let overlays = replica.cells().filter_map(|(_, cell)| cell.pre().cloned());
        let masks = replica.masks().map(|(_, dots)| dots.clone());
        for overlay in overlays.chain(masks) {
            for event in self.events_of(&overlay)? {
                if self.seen[at].events.contains(event) {
                    let what = format!("{overlay} holds an applied dot");
                    return violated("I13 overlay not stripped", what);
                }
            }
        }
        for event in self.events_of(partition.durable())? {
            if self.durable[event as usize] & (1 << at) == 0 {
                let event = self.history.event(event);
                let what = format!(
                    "{:04x}:{} was never synced here",
                    event.actor >> 48,
                    event.n
                );
                return violated("I17 durable without fsync", what);
            }
        }
        Ok(())
    }

    /// (3): replicas with the same context.
    fn check_equals(&self, at: usize, nodes: &[Node], coverage: &mut Coverage) -> Verdict {
        let Some(mine) = &nodes[at].partition else {
            return Ok(());
        };
        for (other, node) in nodes.iter().enumerate() {
            let Some(theirs) = node.partition.as_ref().filter(|_| other != at) else {
                continue;
            };
            if self.seen[at].events == self.seen[other].events {
                coverage.mark(Mark::EqualContexts);
                check_digests(mine.replica(), theirs.replica())?;
                if self.steps.is_multiple_of(PAIR_EVERY) {
                    self.check_pair(mine.replica(), theirs.replica())?;
                }
            }
        }
        Ok(())
    }

    fn check_pair(&self, mine: &Replica, theirs: &Replica) -> Verdict {
        check_digests(mine, theirs)?;
        for (cell, id) in self.history.universe.cells().iter().enumerate() {
            if !looks_equal(mine.cell(id), theirs.cell(id)) {
                return Err(Box::new(Violation {
                    check: "(3) state at equal contexts",
                    what: format!("{id} differs"),
                    cell: Some(cell),
                }));
            }
        }
        Ok(())
    }

    /// (3) for all that live.
    pub(super) fn check_all_equal(&self, nodes: &[&Node]) -> Verdict {
        let mut replicas = nodes
            .iter()
            .filter_map(|node| node.partition.as_ref())
            .map(Partition::replica);
        let Some(first) = replicas.next() else {
            return Ok(());
        };
        replicas.try_for_each(|other| self.check_pair(first, other))
    }

    /// The cells that a client's writes name.
    pub(crate) fn cells_named(&self, writes: &[evenkeel_core::partition::Write]) -> CellSet {
        use evenkeel_core::partition::Write;
        let universe = &self.history.universe;
        let one = |id| universe.find(id).map(CellSet::one).unwrap_or_default();
        let mut named = CellSet::default();
        for write in writes {
            named.join(&match write {
                Write::Set { cell, .. }
                | Write::Remove { cell }
                | Write::Expire { cell, .. }
                | Write::Add { cell, .. } => one(cell),
                Write::Clear { range } => universe.covered(range),
            });
        }
        named
    }
}

fn check_digests(mine: &Replica, theirs: &Replica) -> Verdict {
    if mine.digest() == theirs.digest() {
        Ok(())
    } else {
        violated("(3) digest at equal contexts", "the digests differ")
    }
}

/// Whether readers see the same in both: versions and live chains.
fn looks_equal(mine: Option<CellRef<'_>>, theirs: Option<CellRef<'_>>) -> bool {
    let theirs_held = theirs.into_iter().flat_map(CellRef::versions);
    if !mine.into_iter().flat_map(CellRef::versions).eq(theirs_held) {
        return false;
    }
    fn live(cell: Option<CellRef<'_>>) -> impl Iterator<Item = &evenkeel_core::types::Chain> {
        cell.into_iter()
            .flat_map(CellRef::chains)
            .filter(|chain| !chain.is_dead())
    }
    live(mine)
        .map(|chain| {
            (
                chain.id,
                chain.top,
                chain.hlc,
                chain.deadline,
                chain.value(),
            )
        })
        .eq(live(theirs).map(|chain| {
            (
                chain.id,
                chain.top,
                chain.hlc,
                chain.deadline,
                chain.value(),
            )
        }))
}

fn notice(cell: Option<CellRef<'_>>, coverage: &mut Coverage) {
    let Some(cell) = cell else { return };
    if cell.pre().is_some() {
        coverage.mark(Mark::Overlay);
    }
    if cell.versions().count() > 1 {
        coverage.mark(Mark::Siblings);
    }
    if cell
        .chains()
        .iter()
        .filter(|chain| !chain.is_dead())
        .count()
        > 1
    {
        coverage.mark(Mark::Chains);
    }
}
