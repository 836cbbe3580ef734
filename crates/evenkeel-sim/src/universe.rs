//! The cells that clients touch: few, so that they collide.
//!
//! Every written value encodes its cell, the operation that wrote it and a check, so that a read can be judged
//! alone.

use std::collections::BTreeMap;

use evenkeel_core::types::{CellId, Key, Kind, Range};

use crate::rng::mix;

/// A cell, by its number in the universe.
pub(crate) type CellNo = usize;

/// The most cells of one run: lists and sketches have a new one for each element or actor.
pub(crate) const CELLS_MAX: usize = 512;

/// A set of cells, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct CellSet([u64; CELLS_MAX / 64]);

impl CellSet {
    /// One cell alone.
    pub(crate) const fn one(cell: CellNo) -> Self {
        let mut words = [0; CELLS_MAX / 64];
        words[cell / 64] = 1 << (cell % 64);
        Self(words)
    }

    pub(crate) const fn insert(&mut self, cell: CellNo) {
        self.0[cell / 64] |= 1 << (cell % 64);
    }

    pub(crate) const fn set(&mut self, cell: CellNo, inside: bool) {
        if inside {
            self.insert(cell);
        } else {
            self.0[cell / 64] &= !(1 << (cell % 64));
        }
    }

    pub(crate) const fn contains(&self, cell: CellNo) -> bool {
        self.0[cell / 64] & 1 << (cell % 64) != 0
    }

    /// Adds every cell of another set.
    pub(crate) fn join(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    /// Whether a cell is in both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    /// The cells, ascending.
    pub(crate) fn iter(self) -> impl Iterator<Item = CellNo> {
        self.0.into_iter().enumerate().flat_map(|(at, word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

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

/// The cells of one run: all from the start where clients write cells, and more as events name them where clients
/// run commands.
#[derive(Clone, Default, Debug)]
pub(crate) struct Universe {
    cells: Vec<CellId>,
    numbers: BTreeMap<CellId, CellNo>,
    keys: BTreeMap<Key, Vec<CellNo>>,
    grows: bool,
}

impl Universe {
    /// The cells of the first `keys` keys.
    pub(crate) fn new(keys: usize) -> Self {
        let mut universe = Self::default();
        for (key, cells) in KEYS.iter().take(keys) {
            for (kind, field) in *cells {
                universe.add(&CellId::new(key.as_bytes(), *kind, field.as_bytes()));
            }
        }
        universe
    }

    /// No cells yet.
    pub(crate) fn growing() -> Self {
        Self {
            grows: true,
            ..Self::default()
        }
    }

    fn add(&mut self, id: &CellId) -> CellNo {
        let number = self.cells.len();
        assert!(number < CELLS_MAX, "a set of cells has its fixed size");
        self.cells.push(id.clone());
        self.numbers.insert(id.clone(), number);
        self.keys.entry(id.key.clone()).or_default().push(number);
        number
    }

    /// The number of a cell, which is new where the universe grows.
    pub(crate) fn number(&mut self, id: &CellId) -> Option<CellNo> {
        match self.find(id) {
            None if self.grows => Some(self.add(id)),
            found => found,
        }
    }

    /// Whether clients run commands: then values are whatever they send.
    pub(crate) const fn grows(&self) -> bool {
        self.grows
    }

    /// Whether there is room for elements that are cells of their own.
    pub(crate) const fn has_room(&self) -> bool {
        self.cells.len() < CELLS_MAX * 3 / 4
    }

    /// The cells of a key.
    pub(crate) fn of_key(&self, key: &[u8]) -> &[CellNo] {
        self.keys.get(key).map_or(&[], |cells| cells)
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
        self.numbers.get(id).copied()
    }

    /// The cells of a range, judged without the product's own matching. Those that are new later hold nothing that
    /// an earlier range delete had seen.
    pub(crate) fn covered(&self, range: &Range) -> CellSet {
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
        let mut covered = CellSet::default();
        for (at, id) in self.cells.iter().enumerate() {
            if inside(id) {
                covered.insert(at);
            }
        }
        covered
    }
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
