//! The cells that clients touch: few, so that they collide.
//!
//! Every written value encodes its cell, the operation that wrote it and a check, so that a read can be judged
//! alone.

use evenkeel_core::types::{CellId, Kind, Range};

use crate::rng::mix;

/// A cell, by its number in the universe. At most 64, so that sets of cells are one word.
pub(crate) type CellNo = usize;

/// A set of cells, one bit each.
pub(crate) type CellMask = u64;

const KEYS: [(&str, &[(Kind, &str)]); 8] = [
    ("cnt0", &[(Kind::String, "")]),
    (
        "hash0",
        &[
            (Kind::Hash, "a"),
            (Kind::Hash, "b"),
            (Kind::Hash, "c"),
            (Kind::Hash, "d"),
        ],
    ),
    (
        "set0",
        &[
            (Kind::Set, "a"),
            (Kind::Set, "b"),
            (Kind::Set, "c"),
            (Kind::Set, "d"),
        ],
    ),
    ("str0", &[(Kind::Deadline, ""), (Kind::String, "")]),
    ("flt0", &[(Kind::String, "")]),
    (
        "hash1",
        &[
            (Kind::Deadline, ""),
            (Kind::Hash, "a"),
            (Kind::Hash, "b"),
            (Kind::Hash, "c"),
            (Kind::Hash, "d"),
        ],
    ),
    ("cnt1", &[(Kind::String, "")]),
    ("str1", &[(Kind::String, "")]),
];

/// The fewest keys a run can have.
pub(crate) const KEYS_MIN: usize = 5;
/// The most keys a run can have.
pub(crate) const KEYS_MAX: usize = KEYS.len();

/// The cells of one run.
#[derive(Clone, Debug)]
pub(crate) struct Universe {
    cells: Vec<CellId>,
}

impl Universe {
    /// The cells of the first `keys` keys.
    pub(crate) fn new(keys: usize) -> Self {
        let cells: Vec<CellId> = KEYS
            .iter()
            .take(keys)
            .flat_map(|(key, cells)| {
                cells
                    .iter()
                    .map(|(kind, field)| CellId::new(key.as_bytes(), *kind, field.as_bytes()))
            })
            .collect();
        assert!(cells.len() <= 64, "a mask of cells is one word");
        Self { cells }
    }

    /// Every cell.
    pub(crate) fn cells(&self) -> &[CellId] {
        &self.cells
    }

    /// The cell with this number.
    pub(crate) fn id(&self, cell: CellNo) -> &CellId {
        &self.cells[cell]
    }

    /// The number of a cell, if clients touch it.
    pub(crate) fn find(&self, id: &CellId) -> Option<CellNo> {
        self.cells.iter().position(|cell| cell == id)
    }

    /// The cells of a range, judged without the product's own matching.
    pub(crate) fn covered(&self, range: &Range) -> CellMask {
        let inside = |id: &CellId| match range {
            Range::Key(key) => id.key == *key,
            Range::Fields {
                key,
                kind,
                from,
                to,
            } => {
                let field = &id.name.field;
                let below = to.as_ref().is_none_or(|to| field < to);
                id.key == *key && id.name.kind == *kind && field >= from && below
            }
            Range::Keys { from, to } => {
                id.key >= *from && to.as_ref().is_none_or(|to| id.key < *to)
            }
        };
        let numbered = self.cells.iter().enumerate();
        numbered.fold(0, |mask, (at, id)| mask | u64::from(inside(id)) << at)
    }
}

/// The cells of a mask, ascending.
pub(crate) fn cells_of(mask: CellMask) -> impl Iterator<Item = CellNo> {
    (0..64usize).filter(move |cell| mask & (1 << cell) != 0)
}

/// The bytes that operation `op` writes to `cell`.
pub(crate) fn value(cell: CellNo, op: u64) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(24);
    bytes.extend_from_slice(&(cell as u64).to_le_bytes());
    bytes.extend_from_slice(&op.to_le_bytes());
    bytes.extend_from_slice(&mix(cell as u64, op).to_le_bytes());
    bytes.into()
}

/// Whether some operation could have written these bytes to `cell`. A set member has no bytes.
pub(crate) fn is_value_of(cell: CellNo, bytes: &[u8]) -> bool {
    let word = |at: usize| {
        let part = bytes.get(at..at + 8)?;
        Some(u64::from_le_bytes(part.try_into().ok()?))
    };
    bytes.is_empty()
        || (bytes.len() == 24
            && word(0) == Some(cell as u64)
            && word(8).is_some_and(|op| word(16) == Some(mix(cell as u64, op))))
}
