//! The replicated state of one partition: what was applied, what it amounts to, and how both grow.
//!
//! Invariants (replication.md 3.2): the context holds an event only when its whole effect is in the store; what is
//! known dead and has not arrived is in an overlay, never in the context. The state is a function of the context.
//! Only [`Replica::apply`], [`Replica::join_unit`] and [`Replica::install`] change it: one way for data to get in. What
//! the scrub replaces is what they had made, before something else changed it.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;

use super::conflicts::Conflicts;
use super::entry::KeyCells;
use super::index::{DotIndex, Target};
use super::overlay::{Fences, Masks};
use super::store::Store;
use crate::bug::{Bug, Switches};
use crate::causality::{Context, Dot};
use crate::event::{Inc, Op, Put, RangeDel, Rem};
use crate::id::ActorId;
use crate::message::{SnapshotChunk, Unit};
use crate::types::{
    Cell, CellId, CellRef, ChainId, Deadline, Key, Kind, Mark, Range, Reset, Version, VersionRef,
};

/// One replica's data, context, overlays and index.
#[derive(Clone, Default, Debug)]
pub struct Replica {
    pub(super) context: Context,
    pub(super) store: Store,
    pub(super) masks: Masks,
    pub(super) fences: Fences,
    pub(super) index: DotIndex,
    pub(super) switches: Switches,
    pub(super) conflicts: Conflicts,
    /// What the store was at the last fsync: for the bug that answers from there.
    #[cfg(feature = "bugs")]
    pub(super) stale: Option<Box<Store>>,
}

/// What is known besides a cell's own overlay, borrowed apart from the store.
#[derive(Clone, Copy)]
struct Knowledge<'a> {
    context: &'a Context,
    masks: &'a Masks,
    fences: &'a Fences,
    switches: Switches,
}

/// What a remote state of a cell knows: its causal context.
#[derive(Clone, Copy)]
struct Sight<'a> {
    context: &'a Context,
    extra: &'a Context,
}

impl Knowledge<'_> {
    /// `pre` is the overlay of the cell.
    fn knows(&self, id: &CellId, pre: Option<&Context>, dot: Dot) -> bool {
        self.context.contains(dot)
            || pre.is_some_and(|pre| pre.contains(dot))
            || self.masks.cover(id, dot)
    }

    /// `dots` as far as an overlay needs them: neither applied nor void.
    fn strip(&self, dots: &Context) -> Context {
        self.fences.without_void(dots.difference(self.context))
    }

    fn remove_observed(&self, id: &CellId, cell: &mut Cell, rem: &[Dot]) {
        for dot in rem {
            let gone = cell.remove_version(*dot)
                || self.knows(id, cell.pre(), *dot)
                || self.fences.is_void(*dot);
            if !gone && !self.switches.breaks(Bug::M2) {
                cell.add_pre(&std::iter::once(*dot).collect());
            }
        }
    }

    /// Takes away all that the event `dot` saw of a cell; also when it is dead on arrival: its removals count all
    /// the same.
    fn remove_seen(
        &self,
        (id, dot): (&CellId, Dot),
        cell: &mut Cell,
        rem: &[Dot],
        resets: &[Reset],
    ) {
        if !(self.switches.breaks(Bug::M3) && self.knows(id, cell.pre(), dot)) {
            self.remove_observed(id, cell, rem);
        }
        for reset in resets {
            self.apply_reset(id, cell, *reset, dot);
        }
    }

    fn apply_reset(&self, id: &CellId, cell: &mut Cell, reset: Reset, by: Dot) {
        let witness = Dot::new(reset.chain.actor, reset.upto.n);
        // Absent and known: it was dead here and already collected. Absent and unknown: residue, the increment
        // is still on its way.
        if cell.chain(reset.chain).is_some() || !self.knows(id, cell.pre(), witness) {
            cell.change_chain(reset.chain, |chain| chain.apply_reset(reset.upto, by));
        }
        if self.switches.breaks(Bug::M9) {
            cell.retain_chains(|chain| !chain.is_dead());
        }
    }

    fn drop_losers(&self, cell: &mut Cell) {
        if self.switches.breaks(Bug::M7)
            && let Some(winner) = cell.winner().map(|version| version.dot)
        {
            cell.retain_versions(|version| version.dot == winner);
        }
    }
}

impl Replica {
    /// An empty replica; `seed` as [`Settings::hash_seed`](super::Settings::hash_seed).
    pub(super) fn new(switches: Switches, seed: u64) -> Self {
        Self {
            store: Store::new(seed),
            switches,
            ..Self::default()
        }
    }

    /// The events applied completely.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// The 128-bit content digest: equal wherever contexts are equal.
    #[must_use]
    pub const fn digest(&self) -> u128 {
        self.store.digest()
    }

    /// The state of one cell, if anything is held of it.
    #[must_use]
    pub fn cell(&self, id: &CellId) -> Option<CellRef<'_>> {
        self.store.get(id)
    }

    /// The cells of one key, if anything is held of it.
    #[must_use]
    pub fn key(&self, key: &[u8]) -> Option<KeyCells<'_>> {
        self.store.key(key)
    }

    /// The digest of what one key shows to a reader: its part of [`Self::digest`].
    #[must_use]
    pub fn key_digest(&self, key: &[u8]) -> u128 {
        self.store.key(key).map_or(0, |cells| cells.digest(key))
    }

    /// The same of every key that a range reaches into, in no order that means anything.
    pub(super) fn digests_in(&self, range: &Range) -> impl Iterator<Item = (&[u8], u128)> {
        self.store
            .keys_in(range)
            .map(|(key, cells)| (key, cells.digest(key)))
    }

    /// The digest of what is held of every key, counted again.
    pub(super) fn counted(&self) -> impl Iterator<Item = (&[u8], u128)> {
        let keys = self.store.keys();
        keys.map(|(key, cells)| (key, cells.count(key)))
    }

    /// Puts cells in the place of what is held of a key.
    pub(super) fn replace(&mut self, key: &Key, cells: Vec<(CellId, Cell)>) {
        self.store.replace(key, cells);
    }

    /// Takes what is held for what was accounted for.
    pub(super) fn recount(&mut self) {
        self.store.recount();
    }

    /// See [`super::Partition::damage`].
    pub(super) fn damage(&mut self, key: &[u8]) -> bool {
        self.store.damage(key)
    }

    /// Every key of which anything is held, in no order that means anything.
    pub fn keys(&self) -> impl Iterator<Item = (&[u8], KeyCells<'_>)> {
        self.store.keys()
    }

    /// The next `wanted` keys of a walk over all keys, or a few more, and the cursor to go on with; 0 begins. Cursors
    /// fit 56 bits and mean the same at every member. A key that is held throughout a walk is met.
    #[must_use]
    pub fn walk(&self, cursor: u64, wanted: usize) -> (Vec<(&[u8], KeyCells<'_>)>, Option<u64>) {
        self.store.walk(cursor, wanted)
    }

    /// How many keys there are of which anything is held.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.store.key_count()
    }

    /// How many keys have a live cell other than the deadline register.
    #[must_use]
    pub const fn live_keys(&self) -> usize {
        self.store.live()
    }

    /// The keys of which something may expire, earliest first; the deadline is never too late.
    pub fn expiring(&self) -> impl Iterator<Item = &(Deadline, Key)> {
        self.store.expiring().iter()
    }

    /// Every cell of which anything is held, ascending.
    pub fn cells(&self) -> impl Iterator<Item = (CellId, CellRef<'_>)> {
        self.store.cells()
    }

    /// Range deletes whose victims have not all arrived.
    pub fn masks(&self) -> impl Iterator<Item = (&Range, &Context)> {
        self.masks.iter()
    }

    /// Events that some member may still lack, as far as known.
    #[must_use]
    pub const fn index_len(&self) -> usize {
        self.index.len()
    }

    fn knowledge(&mut self) -> (&mut Store, Knowledge<'_>) {
        let Self {
            context,
            store,
            masks,
            fences,
            switches,
            ..
        } = self;
        (
            store,
            Knowledge {
                context,
                masks,
                fences,
                switches: *switches,
            },
        )
    }

    /// Whether `dot` is known for cell `id`: applied, or known dead.
    #[must_use]
    pub fn knows(&self, id: &CellId, dot: Dot) -> bool {
        let Self {
            context,
            masks,
            fences,
            switches,
            ..
        } = self;
        let knowledge = Knowledge {
            context,
            masks,
            fences,
            switches: *switches,
        };
        let pre = self.store.get(id).and_then(CellRef::pre);
        knowledge.knows(id, pre, dot)
    }

    /// The overlay of a cell: its own and that of range deletes.
    #[must_use]
    pub fn overlay(&self, id: &CellId) -> Context {
        let mut extra = self.masks.at(id);
        if let Some(pre) = self.store.get(id).and_then(CellRef::pre) {
            extra.join(pre);
        }
        extra
    }

    /// Applies one event (replication.md 2.1); tells whether it was new.
    pub(super) fn apply(&mut self, dot: Dot, op: Op) -> bool {
        if self.context.contains(dot) || self.fences.is_void(dot) {
            return false;
        }
        let dotless = self.switches.breaks(Bug::M1) && matches!(op, Op::Rem(_));
        let overwritten = self.overwritten(&op);
        let target = match op {
            Op::Put(put) => self.apply_put(dot, put),
            Op::Rem(rem) => self.apply_rem(dot, rem),
            Op::Inc(inc) => self.apply_inc(dot, inc),
            Op::RangeDel(del) => self.apply_range(dot, del),
        };
        if !dotless {
            self.settle_one(dot, target);
        }
        self.context.join(&overwritten);
        true
    }

    /// The dots that one of the bugs claims to have applied when they were only overwritten.
    fn overwritten(&self, op: &Op) -> Context {
        match op {
            Op::Put(Put { rem, .. }) | Op::Rem(Rem { rem, .. })
                if self.switches.breaks(Bug::OverwrittenDots) =>
            {
                rem.iter().copied().collect()
            }
            _ => Context::default(),
        }
    }

    fn apply_put(&mut self, dot: Dot, put: Put) -> Target {
        let Put {
            cell: id,
            hlc,
            value,
            deadline,
            rem,
            resets,
        } = put;
        let deaf = self.switches.breaks(Bug::IncrementsLost) && id.name.kind == Kind::SortedSet;
        let (store, knowledge) = self.knowledge();
        // The usual case: a string that replaces what its writer saw, all of which has arrived. No mask and no overlay
        // of a plain cell can know it, so it is not dead on arrival.
        let usual = id.name.kind == Kind::String
            && resets.is_empty()
            && knowledge.masks.is_empty()
            && rem.iter().all(|seen| knowledge.context.contains(*seen));
        let version = VersionRef {
            dot,
            hlc,
            deadline,
            value: &value,
        };
        if usual && store.overwrite(&id.key, version, |former| rem.contains(&former)) {
            return Target::Cell(id);
        }
        let have_met = store.update(&id, |cell| {
            let dead = knowledge.knows(&id, cell.pre(), dot);
            knowledge.remove_seen((&id, dot), cell, &rem, &resets);
            if deaf {
                cell.retain_chains(|_| false);
            }
            if !dead {
                cell.insert_version(Version {
                    dot,
                    hlc,
                    deadline,
                    value,
                });
            }
            knowledge.drop_losers(cell);
            !dead && cell.versions().len() > 1
        });
        if have_met && let Some(cell) = self.store.get(&id) {
            self.conflicts
                .note_versions(&id, &cell.to_cell(), |new| new == dot);
        }
        self.note_types(&id);
        Target::Cell(id)
    }

    /// Notes the key of a cell with which a second type came to life.
    fn note_types(&mut self, id: &CellId) {
        if self.store.take_types_met() {
            self.conflicts.note_mixed(&id.key);
        }
    }

    fn apply_rem(&mut self, dot: Dot, rem: Rem) -> Target {
        let Rem {
            cell: id,
            rem,
            resets,
        } = rem;
        let (store, knowledge) = self.knowledge();
        store.update(&id, |cell| {
            knowledge.remove_seen((&id, dot), cell, &rem, &resets);
        });
        Target::Cell(id)
    }

    fn apply_inc(&mut self, dot: Dot, inc: Inc) -> Target {
        let Inc {
            cell: id,
            hlc,
            birth,
            total,
            deadline,
        } = inc;
        let (store, knowledge) = self.knowledge();
        store.update(&id, |cell| {
            if !knowledge.knows(&id, cell.pre(), dot) {
                let chain = ChainId {
                    actor: dot.actor,
                    birth,
                };
                let mark = Mark { n: dot.n, total };
                cell.change_chain(chain, |chain| chain.extend(mark, hlc, deadline));
            }
        });
        self.note_types(&id);
        Target::Cell(id)
    }

    fn apply_range(&mut self, dot: Dot, del: RangeDel) -> Target {
        let listed: BTreeSet<(&CellId, ChainId)> = del
            .resets
            .iter()
            .map(|(id, reset)| (id, reset.chain))
            .collect();
        // What the issuer had not seen is about few keys: all others go without a look inside.
        let aside = self.index.keys_of(&self.context.difference(&del.context));
        let (store, knowledge) = self.knowledge();
        let ids = match aside {
            Some(aside) => store.drop_seen(&del.range, &aside),
            None => store.ids_in(&del.range),
        };
        for id in ids.iter().filter(|id| del.range.contains(id)) {
            store.update(id, |cell| {
                cell.retain_versions(|version| !del.saw(id, version.dot));
                // Not listed and seen: the issuer had collected the chain, so it is closed for ever.
                cell.retain_chains(|chain| {
                    listed.contains(&(id, chain.id)) || !del.saw(id, chain.witness())
                });
            });
        }
        for (id, reset) in &del.resets {
            store.update(id, |cell| knowledge.apply_reset(id, cell, *reset, dot));
        }
        let whole = std::iter::once((&del.range, &del.context));
        let parts = whole.chain(del.masks.iter().map(|(range, dots)| (range, dots)));
        let masks: Vec<_> = parts
            .map(|(range, dots)| (range, knowledge.strip(dots)))
            .collect();
        if !self.switches.breaks(Bug::M18) {
            masks
                .into_iter()
                .for_each(|(range, mask)| self.masks.add(range, mask));
        }
        Target::Range(Box::new(del))
    }

    /// Takes a dot into the context once its effect is in, and out of the overlays.
    fn settle_one(&mut self, dot: Dot, target: Target) {
        if self.store.overlaid().is_empty() && self.masks.is_empty() {
            self.context.insert(dot);
            self.index.insert(dot, target);
        } else {
            self.settle(&std::iter::once(dot).collect(), target);
        }
    }

    /// Takes dots into the context once their effect is in, and out of the overlays.
    fn settle(&mut self, dots: &Context, target: Target) {
        self.context.join(dots);
        if let Target::Cell(id) = &target
            && self.store.overlaid().contains(id)
        {
            // The dots have this cell as their only target, so no other overlay can hold them.
            self.store.update(id, |cell| cell.remove_pre(dots));
        }
        if !self.masks.is_empty() {
            self.masks.shrink(dots);
        }
        self.index.insert_all(dots, &target);
    }

    /// Joins a cell that came with all of its dots that were missing here (replication.md 2.2 and 2.3).
    /// `context` is the sender's at the same instant; missing range deletes were applied before.
    pub(super) fn join_unit(&mut self, unit: Unit, context: &Context) {
        let Unit {
            cell: id,
            state,
            extra,
            mut covered,
        } = unit;
        // The sender's masks are in `extra` too. Its range deletes were applied before, so they are masks here as
        // well; in the cell's own overlay dots of other cells would stay for ever, since nothing takes them out.
        let keep = extra.difference(&self.masks.at(&id));
        self.join_cell(
            &id,
            &state,
            Sight {
                context,
                extra: &extra,
            },
            &keep,
        );
        if self.switches.breaks(Bug::M4) {
            covered = covered.dots().take(1).collect();
        }
        let new = covered.difference(&self.context);
        self.settle(&new, Target::Cell(id));
    }

    /// `keep` is what of the remote overlay goes into the cell's own.
    fn join_cell(&mut self, id: &CellId, remote: &Cell, sight: Sight<'_>, keep: &Context) {
        let (store, knowledge) = self.knowledge();
        let held = store.update(id, |cell| {
            let held: SmallVec<[Dot; 1]> = cell.versions().iter().map(|v| v.dot).collect();
            let before = cell.pre().cloned().unwrap_or_default();
            cell.join(
                remote,
                |dot| sight.context.contains(dot) || sight.extra.contains(dot),
                |dot| {
                    knowledge.context.contains(dot)
                        || before.contains(dot)
                        || knowledge.masks.cover(id, dot)
                },
            );
            cell.add_pre(&knowledge.strip(keep));
            knowledge.drop_losers(cell);
            (cell.versions().len() > 1).then_some(held)
        });
        if let Some(held) = held
            && let Some(cell) = self.store.get(id)
        {
            let is_new = |dot| !held.contains(&dot);
            self.conflicts.note_versions(id, &cell.to_cell(), is_new);
        }
        self.note_types(id);
    }

    /// Installs a whole spooled snapshot in one logical step (replication.md 2.4).
    pub(super) fn install(&mut self, chunks: &[SnapshotChunk]) {
        // Into an empty replica every chunk brings keys of its own: there is nothing to look for before it. This is
        // how a checkpoint is read, where looking would take the square of the keys.
        let empty = self.context.is_empty() && self.store.key_count() == 0;
        for chunk in chunks {
            let local = if empty {
                Vec::new()
            } else {
                self.store.ids_in(&range_of(chunk))
            };
            self.join_range(chunk, &local);
        }
        // Not before all cells are joined: a mask taken over makes dots known here, and residue of a later chunk
        // would then look as if it had been collected here.
        if let Some(first) = chunks.first() {
            self.take_masks(&first.masks);
            self.finish_install(&first.context);
        }
    }

    pub(super) fn take_masks(&mut self, masks: &[(Range, Context)]) {
        if self.switches.breaks(Bug::M26) {
            return;
        }
        for (range, dots) in masks {
            let dots = self.knowledge().1.strip(dots);
            self.masks.add(range, dots);
        }
    }

    /// Joins every local and remote cell of a chunk's keys; a cell the source lacks is joined as empty.
    pub(super) fn install_range(&mut self, chunk: &SnapshotChunk) {
        let local = self.store.ids_in(&range_of(chunk));
        self.join_range(chunk, &local);
    }

    fn join_range(&mut self, chunk: &SnapshotChunk, local: &[CellId]) {
        for (actor, upto, keep) in &chunk.fences {
            self.fences.add(*actor, *upto, keep.clone());
        }
        let masks_at = |id: &CellId| {
            let mut joined = Context::default();
            chunk
                .masks
                .iter()
                .filter(|(range, _)| range.contains(id))
                .for_each(|(_, dots)| joined.join(dots));
            joined
        };
        let remote: BTreeMap<&CellId, &Cell> =
            chunk.cells.iter().map(|(id, cell)| (id, cell)).collect();
        let absent = Cell::default();
        for id in local.iter().filter(|id| !remote.contains_key(id)) {
            self.join_snapshot_cell(id, &absent, masks_at(id), &chunk.context);
        }
        for (id, cell) in remote {
            self.join_snapshot_cell(id, cell, masks_at(id), &chunk.context);
        }
        if self.switches.breaks(Bug::M22) {
            let claimed = self.knowledge().1.strip(&chunk.context);
            self.masks.add(&range_of(chunk), claimed);
        }
    }

    fn join_snapshot_cell(
        &mut self,
        id: &CellId,
        remote: &Cell,
        masks: Context,
        context: &Context,
    ) {
        let pre = remote.pre().cloned().unwrap_or_default();
        let mut extra = masks;
        extra.join(&pre);
        let keep = if self.switches.breaks(Bug::M26) {
            Context::default()
        } else {
            pre
        };
        self.join_cell(
            id,
            remote,
            Sight {
                context,
                extra: &extra,
            },
            &keep,
        );
    }

    /// The last step of an installation: now, and only now, the source's events count as applied.
    pub(super) fn finish_install(&mut self, context: &Context) {
        self.context.join(context);
        self.shrink_overlays();
    }

    /// Declares dots of a closed actor void (replication.md 4.4).
    pub(super) fn fence(&mut self, actor: ActorId, upto: u64, keep: Context) {
        self.fences.add(actor, upto, keep);
        self.shrink_overlays();
    }

    fn shrink_overlays(&mut self) {
        let overlaid: Vec<CellId> = self.store.overlaid().iter().cloned().collect();
        for id in overlaid {
            let Self {
                store,
                context,
                fences,
                ..
            } = self;
            store.update(&id, |cell| {
                cell.remove_pre(context);
                let pre = cell.pre().cloned().unwrap_or_default();
                cell.clear_pre();
                cell.add_pre(&fences.without_void(pre));
            });
        }
        let Self {
            masks,
            context,
            fences,
            ..
        } = self;
        masks.shrink(context);
        masks.shrink_void(fences);
    }

    /// The state of a cell for an answer, from the same instant as the context, without its overlay.
    pub(super) fn state_for_unit(&self, id: &CellId) -> Cell {
        #[cfg(feature = "bugs")]
        let store = if self.switches.breaks(Bug::M14) {
            self.stale.as_deref().unwrap_or(&self.store)
        } else {
            &self.store
        };
        #[cfg(not(feature = "bugs"))]
        let store = &self.store;
        let mut state = store
            .get(id)
            .map(CellRef::to_cell)
            .unwrap_or_default()
            .into_owned();
        state.clear_pre();
        state
    }
}

/// The keys that a chunk covers.
fn range_of(chunk: &SnapshotChunk) -> Range {
    Range::Keys {
        from: chunk.from.clone(),
        to: chunk.to.clone(),
    }
}
