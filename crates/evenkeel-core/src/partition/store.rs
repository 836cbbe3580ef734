//! The cells of one replica, by key, with the content digest and the order of expiry kept up to date.
//!
//! Invariants: no empty cell is stored; `digest` is the sum of the digests of all cells, each key's subtotal
//! included; `overlaid` and `residue` name exactly the cells with an overlay or a dead chain; `live` counts the
//! keys with a live cell other than the deadline register; `expiring` names each key of which something may expire,
//! under a deadline that is never too late.

use std::collections::BTreeSet;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::entry::{Entry, Facts, KeyCells, Marks};
use crate::types::{Cell, CellId, Deadline, Key, Kind, Range};

/// Keys up to this length need no allocation of their own. Not more than a key's own allocation would take.
const KEY_BYTES_INLINE: usize = 24;
/// After a range delete the table may have room for this many times what it holds.
const SPARE_MAX: usize = 8;

/// All cells of a replica.
///
/// Keys are hashed, because commands name them and a tree of a million keys costs a cache miss per comparison. The
/// few exchanges that need an order sort what they found: the table's order depends on its history.
#[derive(Clone, Default, Debug)]
pub(super) struct Store {
    keys: HashTable<Box<Held>>,
    /// Another one in each incarnation, so that keys chosen to collide in one run do not in the next. The actor it is
    /// made from is shown to operators: it is no secret.
    seed: u64,
    digest: u128,
    overlaid: BTreeSet<CellId>,
    residue: BTreeSet<CellId>,
    live: usize,
    expiring: BTreeSet<(Deadline, Key)>,
    /// Whether a change has brought a kind to life in a key where another one lives.
    types_met: bool,
}

/// A key and what is held of it. One allocation, so that the table's empty places cost a pointer each.
#[derive(Clone, Debug)]
struct Held {
    /// In place when it is short: a miss of the cache less for each look-up.
    key: SmallVec<[u8; KEY_BYTES_INLINE]>,
    entry: Entry,
}

impl Store {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    fn find(&self, key: &[u8]) -> Option<&Entry> {
        let hash = xxh3_64_with_seed(key, self.seed);
        let held = self.keys.find(hash, |held| *held.key == *key);
        held.map(|held| &held.entry)
    }

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
        self.find(&id.key)?.get(id.name.kind, &id.name.field)
    }

    pub(super) fn key(&self, key: &[u8]) -> Option<KeyCells<'_>> {
        self.find(key).map(KeyCells)
    }

    /// Every key, in no order that means anything.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&[u8], KeyCells<'_>)> {
        self.keys
            .iter()
            .map(|held| (&*held.key, KeyCells(&held.entry)))
    }

    pub(super) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Every cell, ascending.
    pub(super) fn cells(&self) -> impl Iterator<Item = (CellId, &Cell)> {
        let mut keys: Vec<&Held> = self.keys.iter().map(|held| &**held).collect();
        keys.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        keys.into_iter().flat_map(|held| {
            let cells = held.entry.cells();
            cells.map(|(kind, field, cell)| (CellId::new(&held.key, kind, field), cell))
        })
    }

    /// The names of the cells in `range`, ascending.
    pub(super) fn ids_in(&self, range: &Range) -> Vec<CellId> {
        let found = self.entries_in(range);
        sorted(found.flat_map(|held| ids_of(range, &held.key, &held.entry)))
    }

    /// The names of the cells in `range` that hold more than versions, and of some that do not, ascending.
    pub(super) fn intricate_in(&self, range: &Range) -> Vec<CellId> {
        let found = self.entries_in(range).filter(|held| !held.entry.is_plain());
        sorted(found.flat_map(|held| ids_of(range, &held.key, &held.entry)))
    }

    /// Whether a cell in `range` lives.
    pub(super) fn any_live_in(&self, range: &Range) -> bool {
        self.entries_in(range).any(|held| {
            let mut cells = held.entry.cells();
            cells.any(|(kind, field, cell)| cell.is_live() && range.covers(&held.key, kind, field))
        })
    }

    /// The keys that a range reaches into, in no order that means anything. A range of keys looks at every key:
    /// there are few such ranges, and they are mostly all keys.
    fn entries_in(&self, range: &Range) -> impl Iterator<Item = &Held> {
        let (one, many) = match range {
            Range::Key(key) | Range::Fields { key, .. } => {
                let hash = xxh3_64_with_seed(key, self.seed);
                (self.keys.find(hash, |held| *held.key == **key), None)
            }
            Range::Keys { from, to } => {
                let held = self.keys.iter().filter(move |held| {
                    *held.key >= **from && to.as_ref().is_none_or(|to| *held.key < **to)
                });
                (None, Some(held))
            }
        };
        one.into_iter()
            .chain(many.into_iter().flatten())
            .map(|held| &**held)
    }

    /// Changes one cell, creating and dropping it as needed, and keeps the digest and the marks right.
    pub(super) fn update<R>(&mut self, id: &CellId, change: impl FnOnce(&mut Cell) -> R) -> R {
        let seed = self.seed;
        let found = self.keys.entry(
            xxh3_64_with_seed(&id.key, seed),
            |held| *held.key == *id.key,
            |held| xxh3_64_with_seed(&held.key, seed),
        );
        let (result, marks, facts) = match found {
            TableEntry::Vacant(vacant) => {
                let mut cell = Cell::default();
                let result = change(&mut cell);
                let after = Marks::of(id, &cell);
                let mut known = Facts::NONE;
                if !cell.is_empty() {
                    let entry = Entry::new(id.name.clone(), cell);
                    known = entry.facts();
                    let key = SmallVec::from_slice(&id.key);
                    vacant.insert(Box::new(Held { key, entry }));
                }
                (result, (Marks::NONE, after), (Facts::NONE, known))
            }
            TableEntry::Occupied(mut occupied) => {
                let entry = &mut occupied.get_mut().entry;
                let known = entry.facts();
                let (result, before, after) = entry.update(id, change);
                self.types_met |= !before.live && after.live && entry.joins_others(id.name.kind);
                let now = if entry.is_empty() {
                    occupied.remove();
                    Facts::NONE
                } else {
                    entry.facts()
                };
                (result, (before, after), (known, now))
            }
        };
        self.account(id, marks.0, marks.1);
        self.account_key(&id.key, facts.0, facts.1);
        result
    }

    /// Whether a kind has come to life beside another one since the last call.
    pub(super) const fn take_types_met(&mut self) -> bool {
        std::mem::replace(&mut self.types_met, false)
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
        let hash = xxh3_64_with_seed(key, self.seed);
        if let Some(held) = self.keys.find_mut(hash, |held| *held.key == **key) {
            let before = held.entry.facts();
            held.entry.recount_carried();
            let after = held.entry.facts();
            self.account_key(key, before, after);
        }
    }

    /// Drops the whole keys in `range` that hold nothing but versions, without looking at their cells; the caller
    /// knows that all of them are dead. Gives the keys that need a closer look.
    pub(super) fn drop_plain_keys(&mut self, range: &Range) -> Vec<Key> {
        if matches!(range, Range::Fields { .. }) {
            let found = self.entries_in(range);
            return found.map(|held| Key::from(&*held.key)).collect();
        }
        let (plain, intricate): (Vec<_>, Vec<_>) = self
            .entries_in(range)
            .map(|held| (Key::from(&*held.key), held.entry.is_plain()))
            .partition(|entry| entry.1);
        let seed = self.seed;
        for (key, _) in plain {
            let hash = xxh3_64_with_seed(&key, seed);
            if let Ok(found) = self.keys.find_entry(hash, |held| *held.key == *key) {
                let (held, _) = found.remove();
                self.digest = self.digest.wrapping_sub(held.entry.digest(&key));
                self.account_key(&key, held.entry.facts(), Facts::NONE);
            }
        }
        if self.keys.len() < self.keys.capacity() / SPARE_MAX {
            self.keys
                .shrink_to_fit(|held| xxh3_64_with_seed(&held.key, seed));
        }
        intricate.into_iter().map(|entry| entry.0).collect()
    }
}

fn sorted(ids: impl Iterator<Item = CellId>) -> Vec<CellId> {
    let mut ids: Vec<CellId> = ids.collect();
    ids.sort_unstable();
    ids
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
    let cells = store.find(key).into_iter().flat_map(Entry::cells);
    cells.map(|(kind, ..)| kind).collect()
}
