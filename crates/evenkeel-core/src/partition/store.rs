//! The cells of one replica, by key, with the content digest kept up to date.
//!
//! Invariants: no empty cell is stored; `digest` is the sum of [`cell_digest`] over all cells, each key's subtotal
//! included; `overlaid` and `residue` name exactly the cells with an overlay or a dead chain.

use std::collections::btree_map::Entry as MapEntry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use xxhash_rust::xxh3::xxh3_128;

use crate::codec::{put_bytes, put_varint};
use crate::types::{Cell, CellId, CellName, Key, Kind, Range, Total};

/// All cells of a replica.
#[derive(Clone, Default, Debug)]
pub(super) struct Store {
    keys: BTreeMap<Key, Entry>,
    digest: u128,
    overlaid: BTreeSet<CellId>,
    residue: BTreeSet<CellId>,
}

/// The cells of one key. Most keys have one cell and pay for no map.
#[derive(Clone, Debug)]
enum Entry {
    One(CellName, Cell),
    Many(Box<Collection>),
}

#[derive(Clone, Default, Debug)]
struct Collection {
    cells: BTreeMap<CellName, Cell>,
    digest: u128,
    /// Cells with chains or an overlay: while there are none, a range delete need not look inside.
    intricate: usize,
}

/// What of a cell's bookkeeping can change with its content.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Marks {
    digest: u128,
    overlaid: bool,
    residue: bool,
    intricate: bool,
}

impl Marks {
    fn of(id: &CellId, cell: &Cell) -> Self {
        Self {
            digest: cell_digest(&id.key, &id.name, cell),
            overlaid: cell.pre().is_some(),
            residue: cell.chains().iter().any(|chain| chain.is_dead()),
            intricate: !cell.chains().is_empty() || cell.pre().is_some(),
        }
    }
}

impl Store {
    pub(super) const fn digest(&self) -> u128 {
        self.digest
    }

    /// The cells that have an overlay.
    pub(super) const fn overlaid(&self) -> &BTreeSet<CellId> {
        &self.overlaid
    }

    /// The cells that have a dead chain.
    pub(super) const fn residue(&self) -> &BTreeSet<CellId> {
        &self.residue
    }

    pub(super) fn get(&self, id: &CellId) -> Option<&Cell> {
        match self.keys.get(&id.key)? {
            Entry::One(name, cell) => (*name == id.name).then_some(cell),
            Entry::Many(collection) => collection.cells.get(&id.name),
        }
    }

    /// Every cell, ascending.
    pub(super) fn cells(&self) -> impl Iterator<Item = (CellId, &Cell)> {
        self.keys.iter().flat_map(|(key, entry)| {
            entry.cells().map(|(name, cell)| {
                (
                    CellId {
                        key: key.clone(),
                        name: name.clone(),
                    },
                    cell,
                )
            })
        })
    }

    /// The names of the cells in `range`, ascending.
    pub(super) fn ids_in(&self, range: &Range) -> Vec<CellId> {
        let mut ids = Vec::new();
        for (key, entry) in self.entries_in(range) {
            for (name, _) in entry.cells() {
                let id = CellId {
                    key: key.clone(),
                    name: name.clone(),
                };
                if range.contains(&id) {
                    ids.push(id);
                }
            }
        }
        ids
    }

    fn entries_in(&self, range: &Range) -> impl Iterator<Item = (&Key, &Entry)> {
        let (from, to) = match range {
            Range::Key(key) | Range::Fields { key, .. } => (key, Bound::Included(key)),
            Range::Keys { from, to } => {
                (from, to.as_ref().map_or(Bound::Unbounded, Bound::Excluded))
            }
        };
        // An inverted range, which only a faulty peer can send, is empty instead of a panic.
        let sound = !matches!(to, Bound::Excluded(to) if from >= to);
        let bounds = if sound {
            (Bound::Included(from), to)
        } else {
            (Bound::Included(from), Bound::Included(from))
        };
        self.keys.range::<Key, _>(bounds).filter(move |_| sound)
    }

    /// Changes one cell, creating and dropping it as needed, and keeps the digest and the marks right.
    pub(super) fn update<R>(&mut self, id: &CellId, change: impl FnOnce(&mut Cell) -> R) -> R {
        match self.keys.entry(id.key.clone()) {
            MapEntry::Vacant(vacant) => {
                let mut cell = Cell::default();
                let result = change(&mut cell);
                let after = Marks::of(id, &cell);
                if !cell.is_empty() {
                    vacant.insert(Entry::One(id.name.clone(), cell));
                }
                self.account(id, Marks::default(), after);
                result
            }
            MapEntry::Occupied(mut occupied) => {
                let (result, before, after) = occupied.get_mut().update(id, change);
                if occupied.get().is_empty() {
                    occupied.remove();
                }
                self.account(id, before, after);
                result
            }
        }
    }

    fn account(&mut self, id: &CellId, before: Marks, after: Marks) {
        self.digest = self
            .digest
            .wrapping_sub(before.digest)
            .wrapping_add(after.digest);
        mark(&mut self.overlaid, id, before.overlaid, after.overlaid);
        mark(&mut self.residue, id, before.residue, after.residue);
    }

    /// Drops the whole keys in `range` that hold nothing but versions, without looking at their cells; the caller
    /// knows that all of them are dead. Gives the keys that need a closer look.
    pub(super) fn drop_plain_keys(&mut self, range: &Range) -> Vec<Key> {
        if matches!(range, Range::Fields { .. }) {
            return self.entries_in(range).map(|(key, _)| key.clone()).collect();
        }
        let (plain, intricate): (Vec<_>, Vec<_>) = self
            .entries_in(range)
            .map(|(key, entry)| (key.clone(), entry.is_plain()))
            .partition(|entry| entry.1);
        for (key, _) in plain {
            if let Some(entry) = self.keys.remove(&key) {
                self.digest = self.digest.wrapping_sub(entry.digest(&key));
            }
        }
        intricate.into_iter().map(|entry| entry.0).collect()
    }
}

fn mark(set: &mut BTreeSet<CellId>, id: &CellId, before: bool, after: bool) {
    match (before, after) {
        (false, true) => {
            set.insert(id.clone());
        }
        (true, false) => {
            set.remove(id);
        }
        _ => {}
    }
}

impl Entry {
    fn cells(&self) -> impl Iterator<Item = (&CellName, &Cell)> {
        let (one, many) = match self {
            Self::One(name, cell) => (Some((name, cell)), None),
            Self::Many(collection) => (None, Some(collection.cells.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::One(_, cell) => cell.is_empty(),
            Self::Many(collection) => collection.cells.is_empty(),
        }
    }

    fn is_plain(&self) -> bool {
        match self {
            Self::One(_, cell) => cell.chains().is_empty() && cell.pre().is_none(),
            Self::Many(collection) => collection.intricate == 0,
        }
    }

    fn digest(&self, key: &[u8]) -> u128 {
        match self {
            Self::One(name, cell) => cell_digest(key, name, cell),
            Self::Many(collection) => collection.digest,
        }
    }

    fn update<R>(&mut self, id: &CellId, change: impl FnOnce(&mut Cell) -> R) -> (R, Marks, Marks) {
        match self {
            Self::One(name, cell) if *name == id.name => {
                let before = Marks::of(id, cell);
                let result = change(cell);
                (result, before, Marks::of(id, cell))
            }
            Self::One(..) => {
                let mut cell = Cell::default();
                let result = change(&mut cell);
                let after = Marks::of(id, &cell);
                if !cell.is_empty() {
                    self.grow(&id.key).insert(id.name.clone(), cell, after);
                }
                (result, Marks::default(), after)
            }
            Self::Many(collection) => {
                let changed = collection.update(id, change);
                if collection.cells.len() == 1
                    && let Some((name, cell)) = collection.cells.pop_first()
                {
                    *self = Self::One(name, cell);
                }
                changed
            }
        }
    }

    /// Turns a single cell into a collection that holds it.
    fn grow(&mut self, key: &Key) -> &mut Collection {
        if let Self::One(name, cell) = self {
            let id = CellId {
                key: key.clone(),
                name: name.clone(),
            };
            let mut collection = Box::<Collection>::default();
            let marks = Marks::of(&id, cell);
            collection.insert(id.name, std::mem::take(cell), marks);
            *self = Self::Many(collection);
        }
        match self {
            Self::Many(collection) => collection,
            Self::One(..) => unreachable!("it was just turned into a collection"),
        }
    }
}

impl Collection {
    fn insert(&mut self, name: CellName, cell: Cell, marks: Marks) {
        self.digest = self.digest.wrapping_add(marks.digest);
        self.intricate += usize::from(marks.intricate);
        self.cells.insert(name, cell);
    }

    fn update<R>(&mut self, id: &CellId, change: impl FnOnce(&mut Cell) -> R) -> (R, Marks, Marks) {
        let (before, result, after) = match self.cells.entry(id.name.clone()) {
            MapEntry::Vacant(vacant) => {
                let mut cell = Cell::default();
                let result = change(&mut cell);
                let after = Marks::of(id, &cell);
                if !cell.is_empty() {
                    vacant.insert(cell);
                }
                (Marks::default(), result, after)
            }
            MapEntry::Occupied(mut occupied) => {
                let before = Marks::of(id, occupied.get());
                let result = change(occupied.get_mut());
                let after = Marks::of(id, occupied.get());
                if occupied.get().is_empty() {
                    occupied.remove();
                }
                (before, result, after)
            }
        };
        self.digest = self
            .digest
            .wrapping_sub(before.digest)
            .wrapping_add(after.digest);
        self.intricate =
            self.intricate + usize::from(after.intricate) - usize::from(before.intricate);
        (result, before, after)
    }
}

/// The digest of a cell: of what a reader can see, so of versions and live chains, not of overlays and residue,
/// whose collection differs by replica (replication.md 11). Zero when nothing is to be seen.
pub(super) fn cell_digest(key: &[u8], name: &CellName, cell: &Cell) -> u128 {
    if !cell.is_live() {
        return 0;
    }
    let mut bytes = Vec::with_capacity(128);
    put_bytes(&mut bytes, key);
    bytes.push(name.kind.code());
    put_bytes(&mut bytes, &name.field);
    put_varint(&mut bytes, cell.versions().len() as u64);
    for version in cell.versions() {
        for word in [
            version.dot.actor.0,
            version.dot.n,
            version.hlc.0,
            version.deadline.0,
        ] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        put_bytes(&mut bytes, &version.value);
    }
    for chain in cell.chains().iter().filter(|chain| !chain.is_dead()) {
        for word in [
            chain.id.actor.0,
            chain.id.birth,
            chain.top.n,
            chain.base.n,
            chain.hlc.0,
            chain.deadline.0,
        ] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for total in [chain.top.total, chain.value()] {
            match total {
                Total::Int(value) => bytes.extend_from_slice(&value.to_le_bytes()),
                Total::Float(value) => bytes.extend_from_slice(&value.to_bits().to_le_bytes()),
            }
        }
    }
    xxh3_128(&bytes)
}

/// The kinds that `key` has cells of, ascending.
pub(super) fn kinds_of(store: &Store, key: &Key) -> BTreeSet<Kind> {
    store
        .keys
        .get(key)
        .into_iter()
        .flat_map(Entry::cells)
        .map(|(name, _)| name.kind)
        .collect()
}
