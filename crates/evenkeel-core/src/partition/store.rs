//! The cells of one replica, by key, with the content digest and the order of expiry kept up to date.
//!
//! Invariants: no empty cell is stored; `digest` is the sum of the digests of all cells, each key's subtotal
//! included; `walk` names exactly the keys of the table; `overlaid` and `residue` name exactly the cells with an overlay or a dead chain; `live` counts the
//! keys with a live cell other than the deadline register; `expiring` names each key of which something may expire,
//! under a deadline that is never too late.

use std::collections::BTreeSet;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::awaited::Awaited;
use super::entry::{Entry, Facts, Garbage, KeyCells, Marks};
use super::held::{Held, Shelf};
use super::scrub::damaged;
use super::slab::Place;
use super::walk::Walk;
use crate::causality::Dot;
use crate::types::{Cell, CellId, CellRef, Deadline, Key, Kind, Range, VersionRef};

/// After a range delete the table may have room for this many times what it holds.
const SPARE_MAX: usize = 8;

/// All cells of a replica.
///
/// Keys are hashed, because commands name them and a tree of a million keys costs a cache miss per comparison. The
/// few exchanges that need an order sort what they found: the table's order depends on its history.
#[derive(Clone, Default, Debug)]
pub(super) struct Store {
    keys: HashTable<Place>,
    shelf: Shelf,
    walk: Walk,
    /// Secret, so that nobody can choose keys that collide.
    seed: u64,
    digest: u128,
    overlaid: BTreeSet<CellId>,
    residue: BTreeSet<CellId>,
    live: usize,
    expiring: BTreeSet<(Deadline, Key)>,
    /// Whether a change has brought a kind to life in a key where another one lives.
    types_met: bool,
    pub(super) awaited: Awaited,
    /// What was dropped and is not freed yet.
    pub(super) garbage: Garbage,
}

impl Store {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }

    fn place(&self, key: &[u8]) -> Option<Place> {
        let found = self
            .keys
            .find(self.hash(key), |place| self.shelf.key(*place) == key);
        found.copied()
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

    pub(super) fn get(&self, id: &CellId) -> Option<CellRef<'_>> {
        self.key(&id.key)?.cell(id.name.kind, &id.name.field)
    }

    pub(super) fn key(&self, key: &[u8]) -> Option<KeyCells<'_>> {
        self.place(key).map(|place| self.shelf.get(place).1)
    }

    /// Every key, in no order that means anything.
    pub(super) fn keys(&self) -> impl Iterator<Item = Held<'_>> {
        self.shelf.iter()
    }

    /// The next `wanted` keys of a walk from `cursor` on, or a few more, and where it goes on if it does. A key that
    /// is held throughout a walk is met, whatever else comes and goes.
    pub(super) fn walk(&self, cursor: u64, wanted: usize) -> (Vec<Held<'_>>, Option<u64>) {
        let (places, next) = self.walk.page(cursor, wanted);
        let held = places.into_iter().map(|place| self.shelf.get(place));
        (held.collect(), next)
    }

    pub(super) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Every cell, ascending.
    pub(super) fn cells(&self) -> impl Iterator<Item = (CellId, CellRef<'_>)> {
        let mut keys: Vec<Held<'_>> = self.keys().collect();
        keys.sort_unstable_by_key(|held| held.0);
        keys.into_iter().flat_map(|(key, cells)| {
            let cells = cells.all();
            cells.map(move |(kind, field, cell)| (CellId::new(key, kind, field), cell))
        })
    }

    /// The names of the cells in `range`, ascending.
    pub(super) fn ids_in(&self, range: &Range) -> Vec<CellId> {
        let found = self.keys_in(range);
        sorted(found.flat_map(|held| ids_of(range, held)))
    }

    /// The names of the cells in `range` that have chains, ascending.
    pub(super) fn counters_in(&self, range: &Range) -> Vec<CellId> {
        let found = self
            .keys_in(range)
            .filter(|held| !held.1.has_versions_alone());
        sorted(found.flat_map(|(key, cells)| {
            let counters = cells.all().filter(|(.., cell)| !cell.chains().is_empty());
            let within = counters.filter(move |(kind, field, _)| range.covers(key, *kind, field));
            within.map(move |(kind, field, _)| CellId::new(key, kind, field))
        }))
    }

    /// Whether a cell in `range` lives.
    pub(super) fn any_live_in(&self, range: &Range) -> bool {
        self.keys_in(range).any(|(key, cells)| {
            let mut cells = cells.all();
            cells.any(|(kind, field, cell)| cell.is_live() && range.covers(key, kind, field))
        })
    }

    /// The keys that a range reaches into, in no order that means anything. A range of keys looks at every key:
    /// there are few such ranges, and they are mostly all keys.
    pub(super) fn keys_in(&self, range: &Range) -> impl Iterator<Item = Held<'_>> {
        let (one, many) = match range {
            Range::Key(key) | Range::Fields { key, .. } => {
                (self.place(key).map(|place| self.shelf.get(place)), None)
            }
            Range::Keys { from, to } => {
                let within = move |held: &Held<'_>| {
                    *held.0 >= **from && to.as_ref().is_none_or(|to| *held.0 < **to)
                };
                (None, Some(self.keys().filter(within)))
            }
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Writes a string over the versions for which `replaces` holds, if that leaves nothing but the new version, and
    /// both are plain; tells whether it has done so. What nearly every write is: without a copy of what was there.
    pub(super) fn overwrite(
        &mut self,
        key: &[u8],
        version: VersionRef<'_>,
        replaces: impl FnOnce(Dot) -> bool,
    ) -> bool {
        let Some(place) = self.place(key) else {
            return self.add_plain(key, version);
        };
        let Some(former) = self
            .shelf
            .plain(place)
            .filter(|former| replaces(former.dot))
        else {
            return false;
        };
        let before = KeyCells::plain(former).digest(key);
        if !self.shelf.overwrite(place, key, version) {
            return false;
        }
        let after = KeyCells::plain(version).digest(key);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        true
    }

    fn add_plain(&mut self, key: &[u8], version: VersionRef<'_>) -> bool {
        let Some(place) = self.shelf.push_plain(key, version) else {
            return false;
        };
        self.enter(key, place);
        let digest = KeyCells::plain(version).digest(key);
        self.digest = self.digest.wrapping_add(digest);
        self.live += 1;
        true
    }

    fn enter(&mut self, key: &[u8], place: Place) {
        let (hash, seed) = (self.hash(key), self.seed);
        let shelf = &self.shelf;
        let rehash = |place: &Place| xxh3_64_with_seed(shelf.key(*place), seed);
        self.keys.insert_unique(hash, place, rehash);
        self.walk.enter(key, place);
    }

    /// Takes a key out, the bookkeeping left to the caller.
    fn take_out(&mut self, key: &[u8], place: Place) {
        let hash = self.hash(key);
        if let Ok(found) = self.keys.find_entry(hash, |held| *held == place) {
            found.remove();
        }
        self.walk.leave(key, place);
        if let Some(entry) = self.shelf.entry_mut(place) {
            self.garbage.add(std::mem::take(entry));
        }
        if let Some(former) = self.shelf.remove(place) {
            let moved = self.shelf.key(place);
            self.walk.leave(moved, former);
            self.walk.enter(moved, place);
            let hash = self.hash(moved);
            if let Some(held) = self.keys.find_mut(hash, |held| *held == former) {
                *held = place;
            }
        }
    }

    /// Changes one cell, creating and dropping it as needed, and keeps the digest and the marks right.
    pub(super) fn update<R>(&mut self, id: &CellId, change: impl FnOnce(&mut Cell) -> R) -> R {
        let Some(place) = self.place(&id.key) else {
            let mut cell = Cell::default();
            let result = change(&mut cell);
            let after = Marks::of(id, &cell);
            let entry = Entry::new(id.name.clone(), cell);
            let facts = entry.facts();
            self.put_in(&id.key, entry);
            self.account(id, Marks::NONE, after);
            self.account_key(&id.key, Facts::NONE, facts);
            return result;
        };
        let mut plain = self.shelf.plain(place).map(Entry::plain);
        let is_plain = plain.is_some();
        let Some(entry) = plain.as_mut().or_else(|| self.shelf.entry_mut(place)) else {
            unreachable!("what is not plain has an entry")
        };
        let known = entry.facts();
        let (result, before, after) = entry.update(id, change);
        self.types_met |= !before.live && after.live && entry.joins_others(id.name.kind);
        let facts = entry.facts();
        if is_plain || entry.is_empty() || Shelf::takes_as_plain(&id.key, entry) {
            let entry = std::mem::take(entry);
            self.take_out(&id.key, place);
            self.put_in(&id.key, entry);
        }
        self.account(id, before, after);
        self.account_key(&id.key, known, facts);
        result
    }

    /// Puts a key in, if anything is held of it.
    fn put_in(&mut self, key: &[u8], entry: Entry) {
        if !entry.is_empty() {
            let place = self.shelf.push(key, entry);
            self.enter(key, place);
        }
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
        if after.live {
            self.awaited.note(key);
        }
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
        let place = self.place(key);
        if let Some(entry) = place.and_then(|place| self.shelf.entry_mut(place)) {
            let before = entry.facts();
            entry.recount_carried();
            let after = entry.facts();
            self.account_key(key, before, after);
        }
    }

    /// Puts cells in the place of all that is held of a key; overlays stay. What was kept of the key may not fit what
    /// is held of it: [`Self::recount`] must follow.
    pub(super) fn replace(&mut self, key: &Key, cells: Vec<(CellId, Cell)>) {
        let mut overlays = Vec::new();
        if let Some(place) = self.place(key) {
            let held = self.shelf.get(place).1;
            for (kind, field, cell) in held.all() {
                let id = CellId::new(key, kind, field);
                overlays.extend(cell.pre().map(|pre| (id.clone(), pre.clone())));
                self.overlaid.remove(&id);
                self.residue.remove(&id);
            }
            let (digest, facts) = (held.digest(key), held.facts());
            self.digest = self.digest.wrapping_sub(digest);
            self.take_out(key, place);
            self.account_key(key, facts, Facts::NONE);
        }
        for (id, state) in cells {
            self.update(&id, |cell| *cell = state);
        }
        for (id, pre) in overlays {
            self.update(&id, |cell| cell.add_pre(&pre));
        }
    }

    /// Counts the digest again from all cells.
    pub(super) fn recount(&mut self) {
        self.shelf
            .entries_mut()
            .for_each(|(key, entry)| entry.recount(key));
        let all = self.keys().map(|(key, cells)| cells.count(key));
        self.digest = all.fold(0, u128::wrapping_add);
    }

    /// Changes something of a key and accounts for nothing.
    pub(super) fn damage(&mut self, key: &[u8]) -> bool {
        let Some(place) = self.place(key) else {
            return false;
        };
        if let Some(version) = self.shelf.plain(place) {
            let changed = damaged(&version.to_version().into());
            let changed = changed.as_ref().and_then(Cell::only);
            return changed.is_some_and(|changed| self.shelf.overwrite(place, key, changed.into()));
        }
        let cell = self.shelf.entry_mut(place).and_then(Entry::first_cell_mut);
        let changed = cell.and_then(|cell| damaged(cell).map(|changed| *cell = changed));
        changed.is_some()
    }

    /// Drops the cells in `range` that hold versions alone; the caller knows that all of them are dead, but in the keys
    /// of `aside`. Gives the cells that need a closer look, ascending.
    pub(super) fn drop_seen(&mut self, range: &Range, aside: &BTreeSet<Key>) -> Vec<CellId> {
        if aside.is_empty()
            && *range == Range::all()
            && self.keys().all(|held| held.1.has_versions_alone())
        {
            self.drop_everything();
            return Vec::new();
        }
        let keys: Vec<(Key, bool)> = self
            .keys_in(range)
            .map(|(key, cells)| (Key::from(key), cells.has_versions_alone()))
            .filter(|(key, _)| !aside.contains(key))
            .collect();
        for (key, versions_alone) in &keys {
            if let Range::Fields { kind, from, to, .. } = range {
                let mut taken = Vec::new();
                self.reshape(key, |entry| {
                    taken = entry.strip_fields(key, *kind, (from, to.as_ref()));
                });
                self.garbage.add_cells(taken);
            } else if *versions_alone {
                self.drop_key(key);
            } else {
                let mut whole = Entry::default();
                self.reshape(key, |entry| {
                    if let Some(left) = entry.intricate_part(key) {
                        whole = std::mem::replace(entry, left);
                    }
                });
                self.garbage.add(whole);
            }
        }
        self.give_back_room();
        self.ids_in(range)
    }

    /// Drops a key without a trace.
    pub(super) fn drop_key(&mut self, key: &Key) {
        if let Some(place) = self.place(key) {
            let (_, cells) = self.shelf.get(place);
            let (digest, facts) = (cells.digest(key), cells.facts());
            self.digest = self.digest.wrapping_sub(digest);
            self.take_out(key, place);
            self.account_key(key, facts, Facts::NONE);
        }
    }

    /// Changes an entry by taking cells out that have no marks, and keeps everything else right.
    fn reshape(&mut self, key: &Key, change: impl FnOnce(&mut Entry)) {
        let Some(place) = self.place(key) else {
            return;
        };
        let Some(entry) = self.shelf.entry_mut(place) else {
            return;
        };
        let of = |entry: &Entry| (KeyCells::of(entry).digest(key), entry.facts());
        let before = of(entry);
        change(entry);
        let after = of(entry);
        if entry.is_empty() || Shelf::takes_as_plain(key, entry) {
            let entry = std::mem::take(entry);
            self.take_out(key, place);
            self.put_in(key, entry);
        }
        self.digest = self.digest.wrapping_sub(before.0).wrapping_add(after.0);
        self.account_key(key, before.1, after.1);
    }

    /// After many keys have gone.
    fn give_back_room(&mut self) {
        if self.keys.len() < self.keys.capacity() / SPARE_MAX {
            let (shelf, seed) = (&self.shelf, self.seed);
            let rehash = |place: &Place| xxh3_64_with_seed(shelf.key(*place), seed);
            self.keys.shrink_to_fit(rehash);
            self.shelf.shrink();
        }
    }

    /// Drops all keys, which hold nothing but versions, at less cost than one after the other.
    fn drop_everything(&mut self) {
        debug_assert!(
            self.overlaid.is_empty() && self.residue.is_empty(),
            "versions alone leave no marks"
        );
        self.keys = HashTable::new();
        for entry in std::mem::take(&mut self.shelf).into_entries() {
            self.garbage.add(entry);
        }
        self.walk = Walk::default();
        self.expiring.clear();
        self.digest = 0;
        self.live = 0;
    }
}

fn sorted(ids: impl Iterator<Item = CellId>) -> Vec<CellId> {
    let mut ids: Vec<CellId> = ids.collect();
    ids.sort_unstable();
    ids
}

/// The names of the cells of one key in `range`, ascending.
fn ids_of<'a>(range: &'a Range, (key, cells): Held<'a>) -> impl Iterator<Item = CellId> + 'a {
    cells
        .all()
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
    let cells = store.key(key).into_iter().flat_map(KeyCells::all);
    cells.map(|(kind, ..)| kind).collect()
}
