//! The concurrent versions of a key's cells: EK.SIBLINGS.

use super::inspect::{InspectedCell, inspect_cell};
use super::keyspace::Keyspace;
use crate::types::{CellId, Kind};

/// Cells that one reply shows.
const CELLS_MAX: usize = 64;

impl Keyspace<'_> {
    /// The cells of a key in which there is more than one version, and its string; with a field, the cells of that
    /// name whatever they hold. Of a type that the key does not show, every cell: all of it has lost.
    #[must_use]
    pub fn siblings(&self, key: &[u8], field: Option<&[u8]>) -> Vec<InspectedCell> {
        let view = self.view(key);
        let cells = view.held().into_iter().flat_map(|cells| cells.all());
        let live = cells.filter(|(_, _, cell)| cell.is_live());
        let asked = live.filter(|(kind, name, cell)| match field {
            Some(field) => field == *name && *kind != Kind::Deadline,
            None => {
                let hidden = *kind != Kind::Deadline && view.kind() != Some(*kind);
                *kind == Kind::String || hidden || cell.versions().count() > 1
            }
        });
        let inspected = asked.take(CELLS_MAX).map(|(kind, name, cell)| {
            let id = CellId::new(key, kind, name);
            let mut inspected = inspect_cell(&id, cell, view.judged_at());
            if kind != Kind::Deadline && view.kind() != Some(kind) {
                inspected.winner = None;
            }
            inspected
        });
        inspected.collect()
    }
}
