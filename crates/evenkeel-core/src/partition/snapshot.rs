//! Snapshots: for a member that has been away longer than the index reaches back.
//!
//! Invariants (replication.md 2.4): the source pins one instant; the receiver spools every chunk and installs them
//! as one step, so that a source that vanishes half-way leaves nothing behind; a change of source starts anew.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::sync::Exchange;
use super::{Effect, Partition};
use crate::bug::Bug;
use crate::id::NodeId;
use crate::limits::{SNAPSHOT_IDLE, SNAPSHOTS_SERVED_MAX, SYNC_GRACE};
use crate::message::{Message, Nonce, Note, SnapshotChunk, SnapshotId};
use crate::observation::Observation;
use crate::time::{Instant, Now};
use crate::types::{Cell, CellId, CellRef, Key};
use crate::wire::encode_note;

/// A snapshot on its way in.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    id: Option<SnapshotId>,
    /// The chunks as they came: what goes to the log at the installation.
    frames: Vec<Bytes>,
    chunks: Vec<SnapshotChunk>,
}

impl Spool {
    /// Whether a chunk is the next one of the same instant: together the chunks cover every key, once.
    fn continues_with(&self, chunk: &SnapshotChunk) -> bool {
        let number = usize::try_from(chunk.index).is_ok_and(|index| index == self.chunks.len());
        let ascends = chunk.to.as_ref().is_none_or(|to| chunk.from < *to);
        let fits = match self.chunks.last() {
            None => chunk.from.is_empty(),
            Some(last) => {
                last.id == chunk.id
                    && last.context == chunk.context
                    && last.to.as_ref() == Some(&chunk.from)
            }
        };
        number && ascends && fits
    }
}

/// A snapshot being served.
#[derive(Clone, Debug)]
struct Pinned {
    to: NodeId,
    chunks: Vec<SnapshotChunk>,
    used: Instant,
}

/// The snapshots that this replica serves, and the spools that its log holds.
#[derive(Clone, Default, Debug)]
pub(super) struct Snapshots {
    pinned: BTreeMap<SnapshotId, Pinned>,
    /// During replay: chunks whose installation has not been read yet.
    replayed: Vec<SnapshotChunk>,
}

impl Snapshots {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pinned
            .values()
            .map(|pinned| pinned.used + SNAPSHOT_IDLE)
            .min()
    }

    pub(super) fn drop_idle(&mut self, now: Now) {
        self.pinned
            .retain(|_, pinned| pinned.used + SNAPSHOT_IDLE > now.instant);
    }
}

impl Partition {
    pub(super) fn ask_for_snapshot(&mut self, now: Now, peer: NodeId, effects: &mut Vec<Effect>) {
        let spool = Spool {
            id: None,
            frames: Vec::new(),
            chunks: Vec::new(),
        };
        self.ask_for_chunk(now, peer, spool, effects);
    }

    fn ask_for_chunk(&mut self, now: Now, peer: NodeId, spool: Spool, effects: &mut Vec<Effect>) {
        let nonce = self.draw_nonce();
        let index = u32::try_from(spool.chunks.len()).unwrap_or(u32::MAX);
        let id = spool.id;
        let deadline = now.instant + self.sync.timeout();
        self.sync.exchange = Some(Exchange {
            peer,
            nonce,
            deadline,
            spool: Some(spool),
        });
        self.send(
            peer,
            &Message::SnapshotRequest { nonce, id, index },
            effects,
        );
    }

    /// A member says that its index does not reach back far enough; others are asked first.
    pub(super) fn needs_snapshot(
        &mut self,
        now: Now,
        from: NodeId,
        nonce: Nonce,
        effects: &mut Vec<Effect>,
    ) {
        if self.is_open(from, nonce) {
            self.exchange_done(now);
            self.sync.needs_snapshot.insert(from);
            effects.push(Effect::Observe(Observation::SnapshotNeeded { peer: from }));
        }
    }

    /// A member has no room for us, or the snapshot is gone: look elsewhere, or here again, a little later.
    pub(super) fn snapshot_refused(&mut self, now: Now, from: NodeId, nonce: Nonce) {
        if self.is_open(from, nonce) {
            self.exchange_done(now);
            self.sync.avoid = Some(from);
            self.sync.look_at = Some(now.instant + SYNC_GRACE);
        }
    }

    /// A member asks for a chunk.
    pub(super) fn serve_snapshot(
        &mut self,
        now: Now,
        (from, nonce): (NodeId, Nonce),
        (id, index): (Option<SnapshotId>, u32),
        effects: &mut Vec<Effect>,
    ) {
        let id = id.or_else(|| self.pin(now, from));
        let chunk = id
            .and_then(|id| self.snapshots.pinned.get_mut(&id))
            .filter(|pinned| pinned.to == from);
        let chunk = chunk.and_then(|pinned| {
            pinned.used = now.instant;
            pinned.chunks.get(usize::try_from(index).ok()?).cloned()
        });
        let message = match chunk {
            Some(chunk) => {
                if chunk.to.is_none() {
                    // The last one: if it gets lost, the asker starts anew, which costs but never harms.
                    self.snapshots.pinned.remove(&chunk.id);
                }
                Message::SnapshotChunk(SnapshotChunk { nonce, ..chunk })
            }
            None => Message::SnapshotRefused { nonce },
        };
        self.send(from, &message, effects);
    }

    /// Pins the present instant for a member; an earlier snapshot for the same member goes.
    fn pin(&mut self, now: Now, to: NodeId) -> Option<SnapshotId> {
        self.snapshots.pinned.retain(|_, pinned| pinned.to != to);
        if self.snapshots.pinned.len() >= SNAPSHOTS_SERVED_MAX {
            return None;
        }
        let id = SnapshotId(self.draw_nonce().0);
        let chunks = self.cut(id);
        self.snapshots.pinned.insert(
            id,
            Pinned {
                to,
                chunks,
                used: now.instant,
            },
        );
        Some(id)
    }

    /// About what a snapshot of this instant takes.
    pub(super) fn snapshot_bytes(&self) -> u64 {
        let cells = self.replica.cells();
        let bytes: usize = cells.map(|(id, cell)| sent_bytes(&id, cell)).sum();
        bytes as u64
    }

    /// Everything, in chunks of whole keys.
    pub(super) fn cut(&self, id: SnapshotId) -> Vec<SnapshotChunk> {
        let mut parts: Vec<(Key, Vec<(CellId, Cell)>)> = vec![(Key::default(), Vec::new())];
        let mut room = self.settings.snapshot_chunk_bytes;
        for (cell_id, cell) in self.replica.cells() {
            let bytes = sent_bytes(&cell_id, cell);
            let last = parts.last_mut().map(|(_, cells)| cells);
            let starts_key = last
                .as_ref()
                .is_none_or(|cells| cells.last().is_none_or(|prior| prior.0.key != cell_id.key));
            let full = bytes > room && last.as_ref().is_some_and(|cells| !cells.is_empty());
            if full && starts_key {
                room = self.settings.snapshot_chunk_bytes;
                parts.push((cell_id.key.clone(), Vec::new()));
            }
            room = room.saturating_sub(bytes);
            parts
                .last_mut()
                .into_iter()
                .for_each(|(_, cells)| cells.push((cell_id.clone(), cell.to_cell().into_owned())));
        }
        let ends: Vec<Option<Key>> = parts
            .iter()
            .skip(1)
            .map(|(from, _)| Some(from.clone()))
            .chain([None])
            .collect();
        let masks: Vec<_> = self
            .replica
            .masks()
            .map(|(range, dots)| (range.clone(), dots.clone()))
            .collect();
        let fences: Vec<_> = self
            .replica
            .fences
            .iter()
            .map(|(actor, upto, keep)| (actor, upto, keep.clone()))
            .collect();
        let chunks = parts.into_iter().zip(ends).zip(0u32..);
        chunks
            .map(|(((from, cells), to), index)| SnapshotChunk {
                nonce: Nonce(0),
                id,
                index,
                context: self.replica.context().clone(),
                from,
                to,
                cells,
                masks: masks.clone(),
                fences: fences.clone(),
            })
            .collect()
    }

    /// A chunk arrived: spool it; ask for the next one, or install them all.
    pub(super) fn chunk_arrived(
        &mut self,
        now: Now,
        (from, frame): (NodeId, Bytes),
        chunk: SnapshotChunk,
        effects: &mut Vec<Effect>,
    ) {
        let open = self.is_open(from, chunk.nonce);
        let Some(mut spool) = self
            .sync
            .exchange
            .take_if(|_| open)
            .and_then(|exchange| exchange.spool)
        else {
            effects.push(Effect::Observe(Observation::StaleAnswer { from }));
            return;
        };
        if !spool.continues_with(&chunk) {
            // Only a confused source sends this; nothing was installed, so start anew, a little later.
            self.exchange_done(now);
            self.sync.avoid = Some(from);
            self.sync.look_at = Some(now.instant + SYNC_GRACE);
            return;
        }
        self.sync.failures = 0;
        spool.id = Some(chunk.id);
        spool.frames.push(frame);
        let last = chunk.to.is_none();
        if self.installs_in_place() {
            self.replica.install_range(&chunk);
        }
        spool.chunks.push(chunk);
        if last {
            self.install(now, from, spool, effects);
        } else {
            self.ask_for_chunk(now, from, spool, effects);
        }
    }

    fn installs_in_place(&self) -> bool {
        self.settings.switches.breaks(Bug::M12) || self.settings.switches.breaks(Bug::M22)
    }

    fn install(&mut self, now: Now, from: NodeId, spool: Spool, effects: &mut Vec<Effect>) {
        let Some(first) = spool.chunks.first() else {
            return;
        };
        let dots = first.context.difference(self.replica.context());
        let note = Note::Installed { id: first.id };
        if self.installs_in_place() {
            self.replica.take_masks(&first.masks);
            self.replica.finish_install(&first.context);
        } else {
            self.replica.install(&spool.chunks);
        }
        self.arrived(now, &dots);
        let none = crate::causality::Context::default;
        effects.extend(spool.frames.into_iter().map(|record| Effect::Persist {
            record,
            dots: none(),
        }));
        effects.push(Effect::Persist {
            record: encode_note(self.head(), &note).into(),
            dots,
        });
        effects.push(Effect::Observe(Observation::SnapshotInstalled {
            peer: from,
            chunks: spool.chunks.len(),
        }));
        self.exchange_done(now);
        self.sync.needs_snapshot.clear();
        self.changed(now);
        self.acknowledge(now, effects);
    }

    /// Reads a chunk back from the log: it waits for its installation.
    pub(super) fn replay_chunk(&mut self, chunk: SnapshotChunk) {
        if chunk.index == 0 {
            self.snapshots.replayed.clear();
        }
        self.snapshots.replayed.push(chunk);
    }

    /// Reads an installation back from the log.
    pub(super) fn replay_install(&mut self, id: SnapshotId) {
        let chunks = std::mem::take(&mut self.snapshots.replayed);
        // A log that has lost its beginning may begin between them: a part of a snapshot says nothing.
        let numbered = chunks.iter().zip(0..);
        let whole = numbered.fold(true, |whole, (chunk, index)| {
            whole && chunk.id == id && chunk.index == index
        });
        if whole && chunks.last().is_some_and(|last| last.to.is_none()) {
            self.replica.install(&chunks);
        }
    }
}

fn sent_bytes(id: &CellId, cell: CellRef<'_>) -> usize {
    id.key.len() + id.name.field.len() + 32 + cell_bytes(cell)
}

fn cell_bytes(cell: CellRef<'_>) -> usize {
    let versions: usize = cell
        .versions()
        .map(|version| 24 + version.value.len())
        .sum();
    versions + cell.chains().len() * 48 + cell.pre().map_or(0, |pre| pre.run_count() * 16)
}
