//! (2): the join of two replicas' states of a cell is what the united contexts make of it.

use evenkeel_core::partition::Partition;
use evenkeel_core::types::CellRef;

use super::{Checker, Verdict, Violation};
use crate::coverage::{Coverage, Mark};
use crate::node::Node;
use crate::oracle::{EventSet, differs, render};
use crate::universe::CellNo;

impl Checker {
    /// Joins one random cell of two random replicas.
    pub(super) fn check_join(&mut self, nodes: &[Node], coverage: &mut Coverage) -> Verdict {
        let (a, b) = (self.rng.index(nodes.len()), self.rng.index(nodes.len()));
        let cell = self.rng.index(self.history.universe.cells().len());
        let (Some(mine), Some(theirs)) = (&nodes[a].partition, &nodes[b].partition) else {
            return Ok(());
        };
        if a == b || self.history.universe.cells().is_empty() {
            return Ok(());
        }
        coverage.mark(Mark::JoinedReads);
        let id = self.history.universe.id(cell);
        let cell_at = |partition: &Partition| {
            let held = partition.replica().cell(id).map(CellRef::to_cell);
            held.unwrap_or_default().into_owned()
        };
        let (mut joined, remote) = (cell_at(mine), cell_at(theirs));
        joined.join(
            &remote,
            |dot| knows(theirs, &self.history.universe, cell, dot),
            |dot| knows(mine, &self.history.universe, cell, dot),
        );
        let mut events = self.seen[a].events.clone();
        events.join(&self.seen[b].events);
        self.check_view(cell, &events, &joined, "(2) joined read == F(E1 + E2)")
    }

    /// A cell that was put together from several replicas.
    pub(super) fn check_view(
        &mut self,
        cell: CellNo,
        events: &EventSet,
        have: &evenkeel_core::types::Cell,
        check: &'static str,
    ) -> Verdict {
        let view = self.evaluator.view(&self.history, cell, events);
        match differs(&self.history, view, Some(have.into())) {
            None => Ok(()),
            Some(how) => Err(Box::new(Violation {
                check,
                what: format!("{how}; wanted {}", render(&self.history, view)),
                cell: Some(cell),
            })),
        }
    }
}

/// The causal context of a replica's cell: its events, its overlay, the masks over it.
fn knows(
    partition: &Partition,
    universe: &crate::universe::Universe,
    cell: CellNo,
    dot: evenkeel_core::causality::Dot,
) -> bool {
    let replica = partition.replica();
    let id = universe.id(cell);
    replica.context().contains(dot)
        || replica
            .cell(id)
            .and_then(|cell| cell.pre())
            .is_some_and(|pre| pre.contains(dot))
        || replica
            .masks()
            .any(|(range, dots)| universe.covered(range).contains(cell) && dots.contains(dot))
}
