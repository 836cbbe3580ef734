//! The cells of one replica, by key, with the content digest and the order of expiry kept up to date.
//!
//! Invariants: no empty cell is stored; `digest` is the sum of the digests of all cells, each key's subtotal
//! included; `overlaid` and `residue` name exactly the cells with an overlay or a dead chain; `live` counts the
//! keys with a live cell other than the deadline register; `expiring` names each key of which something may expire,
//! under a deadline that is never too late.

use std::collections::btree_map::Entry as MapEntry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::entry::{Entry, Facts, KeyCells, Marks};
use crate::types::{Cell, CellId, Deadline, Key, Kind, Range};

/// All cells of a replica.
#[derive(Clone, Default, Debug)]
pub(super) struct Store {
    keys: BTreeMap<Key, Entry>,
    digest: u128,
    overlaid: BTreeSet<CellId>,
    residue: BTreeSet<CellId>,
    live: usize,
    expiring: BTreeSet<(Deadline, Key)>,
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

    /// How many keys have a live cell other than the deadline register.
    pub(super) const fn live(&self) -> usize {
        self.live
    }

    /// The keys of which something may expire, earliest first.
    pub(super) const fn expiring(&self) -> &BTreeSet<(Deadline, Key)> {
        &self.expiring
    }

    pub(super) fn get(&self, id: &CellId) -> Option<&Cell> {
        self.keys.get(&id.key)?.get(id.name.kind, &id.name.field)
    }

    pub(super) fn key(&self, key: &[u8]) -> Option<KeyCells<'_>> {
        self.keys.get(key).map(KeyCells)
    }

    /// Every key, ascending.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&Key, KeyCells<'_>)> {
        self.keys.iter().map(|(key, entry)| (key, KeyCells(entry)))
    }

    pub(super) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Every cell, ascending.
    pub(super) fn cells(&self) -> impl Iterator<Item = (CellId, &Cell)> {
        self.keys.iter().flat_map(|(key, entry)| {
            entry
                .cells()
                .map(|(kind, field, cell)| (CellId::new(key, kind, field), cell))
        })
    }

    /// The names of the cells in `range`, ascending.
    pub(super) fn ids_in(&self, range: &Range) -> Vec<CellId> {
        self.entries_in(range)
            .flat_map(|(key, entry)| ids_of(range, key, entry))
            .collect()
    }

    /// The names of the cells in `range` that hold more than versions, and of some that do not, ascending.
    pub(super) fn intricate_in(&self, range: &Range) -> Vec<CellId> {
        self.entries_in(range)
            .filter(|(_, entry)| !entry.is_plain())
            .flat_map(|(key, entry)| ids_of(range, key, entry))
            .collect()
    }

    /// Whether a cell in `range` lives.
    pub(super) fn any_live_in(&self, range: &Range) -> bool {
        self.entries_in(range).any(|(key, entry)| {
            entry
                .cells()
                .any(|(kind, field, cell)| cell.is_live() && range.covers(key, kind, field))
        })
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
        let (result, marks, facts) = match self.keys.entry(id.key.clone()) {
            MapEntry::Vacant(vacant) => {
                let mut cell = Cell::default();
                let result = change(&mut cell);
                let after = Marks::of(id, &cell);
                let mut known = Facts::NONE;
                if !cell.is_empty() {
                    known = vacant.insert(Entry::One(id.name.clone(), cell)).facts();
                }
                (result, (Marks::NONE, after), (Facts::NONE, known))
            }
            MapEntry::Occupied(mut occupied) => {
                let known = occupied.get().facts();
                let (result, before, after) = occupied.get_mut().update(id, change);
                let now = if occupied.get().is_empty() {
                    occupied.remove();
                    Facts::NONE
                } else {
                    occupied.get().facts()
                };
                (result, (before, after), (known, now))
            }
        };
        self.account(id, marks.0, marks.1);
        self.account_key(&id.key, facts.0, facts.1);
        result
    }

    fn account(&mut self, id: &CellId, before: Marks, after: Marks) {
        self.digest = self
            .digest
            .wrapping_sub(before.digest)
            .wrapping_add(after.digest);
        mark(&mut self.overlaid, id, before.overlaid, after.overlaid);
        mark(&mut self.residue, id, before.residue, after.residue);
    }

    fn account_key(&mut self, key: &Key, before: Facts, after: Facts) {
        self.live = self.live + usize::from(after.live) - usize::from(before.live);
        if before.due == after.due {
            return;
        }
        if before.due != Deadline::NEVER {
            self.expiring.remove(&(before.due, key.clone()));
        }
        if after.due != Deadline::NEVER {
            self.expiring.insert((after.due, key.clone()));
        }
    }

    /// Files a key under its true deadline: the one it stands under may be too early.
    pub(super) fn refile(&mut self, key: &Key) {
        if let Some(entry) = self.keys.get_mut(key) {
            let before = entry.facts();
            entry.recount_carried();
            let after = entry.facts();
            self.account_key(key, before, after);
        }
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
                self.account_key(&key, entry.facts(), Facts::NONE);
            }
        }
        intricate.into_iter().map(|entry| entry.0).collect()
    }
}

/// The names of the cells of one key in `range`, ascending.
fn ids_of<'a>(
    range: &'a Range,
    key: &'a [u8],
    entry: &'a Entry,
) -> impl Iterator<Item = CellId> + 'a {
    entry
        .cells()
        .filter(move |(kind, field, _)| range.covers(key, *kind, field))
        .map(move |(kind, field, _)| CellId::new(key, kind, field))
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

/// The kinds that `key` has cells of, ascending.
pub(super) fn kinds_of(store: &Store, key: &Key) -> BTreeSet<Kind> {
    let cells = store.keys.get(key).into_iter().flat_map(Entry::cells);
    cells.map(|(kind, ..)| kind).collect()
}
