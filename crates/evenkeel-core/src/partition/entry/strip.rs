//! Taking all that a range delete leaves nothing of out of a key at once: cells with versions alone, whose issuer saw
//! every one of them.
//!
//! Dropping a collection cell by cell costs a look at its ranking and four hashes for each, which nobody sees any more;
//! and to free its memory takes tens of milliseconds per million cells, so what is taken out is handed on as
//! [`Garbage`].

use std::ops::Bound;

use super::super::store::Store;
use super::{Collection, Entry, Marks, Ranking, cell_digest};
use crate::types::{Cell, CellId, CellName, Field, Key, Kind, Score};

/// Collections of fewer cells are freed on the spot.
const CELLS_MIN: usize = 4096;

/// Cells that were dropped and not freed yet: many. Whoever gets it frees it where nobody waits.
#[derive(Clone, Default, Debug)]
pub struct Garbage {
    entries: Vec<Entry>,
    cells: Vec<(Field, Cell)>,
    /// All that a replica held.
    whole: Option<Box<Store>>,
}

impl Garbage {
    /// All that a replica held.
    pub(in crate::partition) fn of(store: Store) -> Self {
        Self {
            whole: Some(Box::new(store)),
            ..Self::default()
        }
    }

    /// Takes in an entry that is dropped.
    pub(in crate::partition) fn add(&mut self, entry: Entry) {
        if entry.cells_held() >= CELLS_MIN {
            self.entries.push(entry);
        }
    }

    /// Takes in what [`Entry::strip_fields`] has given.
    pub(in crate::partition) fn add_cells(&mut self, mut cells: Vec<(Field, Cell)>) {
        if cells.len() >= CELLS_MIN {
            self.cells.append(&mut cells);
        }
    }

    /// Whether there is nothing to free.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.cells.is_empty() && self.whole.is_none()
    }
}

fn has_versions_alone(cell: &Cell) -> bool {
    cell.chains().is_empty() && cell.pre().is_none()
}

impl Entry {
    fn cells_held(&self) -> usize {
        match self {
            Self::String(_) | Self::One(_) => 1,
            Self::Many(collection) => collection.len,
        }
    }

    /// What is left of the entry without the cells that hold versions alone; `None` where that is all of it.
    pub(in crate::partition) fn intricate_part(&self, key: &Key) -> Option<Self> {
        match self {
            Self::Many(collection) if collection.intricate < collection.len => {}
            _ => return None,
        }
        let kept = self.cells().filter(|(.., cell)| !has_versions_alone(cell));
        let mut left = Self::default();
        for (kind, field, cell) in kept {
            let name = CellName {
                kind,
                field: field.into(),
            };
            if left.is_empty() {
                left = Self::new(name, cell.clone());
            } else {
                let id = CellId {
                    key: key.clone(),
                    name,
                };
                let marks = Marks::of(&id, cell);
                left.grow(key).insert(id.name, cell.clone(), marks);
            }
        }
        Some(left)
    }

    /// Takes out the cells of a kind that lie in `from..to` and hold versions alone.
    pub(in crate::partition) fn strip_fields(
        &mut self,
        key: &Key,
        kind: Kind,
        (from, to): (&Field, Option<&Field>),
    ) -> Vec<(Field, Cell)> {
        let Self::Many(collection) = self else {
            return Vec::new();
        };
        let bounds = (
            Bound::Included(from.clone()),
            to.map_or(Bound::Unbounded, |to| Bound::Excluded(to.clone())),
        );
        let taken = collection.strip(key, kind, bounds);
        if collection.len == 1
            && let Some((name, cell)) = collection.take_last()
        {
            *self = Self::new(name, cell);
        }
        taken
    }
}

impl Collection {
    fn strip(
        &mut self,
        key: &Key,
        kind: Kind,
        bounds: (Bound<Field>, Bound<Field>),
    ) -> Vec<(Field, Cell)> {
        let Some(part) = self.parts.iter_mut().find(|part| part.kind == kind) else {
            return Vec::new();
        };
        let taken: Vec<(Field, Cell)> = part
            .cells
            .extract_if(bounds, |_, cell| has_versions_alone(cell))
            .collect();
        self.len -= taken.len();
        let digest = |(field, cell): &(Field, Cell)| cell_digest(key, (kind, field), cell.into());
        let gone = taken.iter().map(digest).fold(0, u128::wrapping_add);
        self.digest = self.digest.wrapping_sub(gone);
        part.live -= taken.iter().filter(|(_, cell)| cell.is_live()).count();
        if let Some(ranking) = &mut part.ranking {
            // Whichever is less work.
            if taken.len() > part.cells.len() {
                **ranking = Ranking::default();
                for (field, cell) in &part.cells {
                    if let Some(score) = Score::of(cell, None) {
                        ranking.insert(score, field);
                    }
                }
            } else {
                for (field, cell) in &taken {
                    if let Some(score) = Score::of(cell, None) {
                        ranking.remove(score, field);
                    }
                }
            }
        }
        self.parts.retain(|part| !part.cells.is_empty());
        taken
    }
}
