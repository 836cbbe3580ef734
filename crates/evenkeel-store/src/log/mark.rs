//! The synced mark: how far the log is known durable, and where it begins.
//!
//! The file `synced` has two slots, 4 KiB apart. The mark is evidence for
//! recovery, not a condition of durability, so it is written after each fsync
//! of the log and itself synced only now and then (see [`super`]).
//!
//! Invariants: both slots say only what is true (the fsync returned before the
//! slot was written, floors are raised before segments go); and at any time at
//! most one slot has unsynced bytes, so a power cut leaves at least one whole.
//! That is why the slots do not alternate with every write but with every sync.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::format::{MARK_FILE, SLOT_BYTES, Slot};
use super::{Damage, LogError, LogId, Segment, Sequence};
use crate::disk::{Disk, DiskError, DiskFile};

/// Far enough apart that one torn block does not hold both.
const SLOT_OFFSETS: [u64; 2] = [0, 4096];

/// The open mark.
pub(super) struct Mark<D: Disk> {
    file: D::File,
    id: LogId,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    slot: Slot,
    /// Index of the slot that is written next; the other one is synced.
    volatile: usize,
    /// Whether the volatile slot has unsynced bytes.
    dirty: bool,
}

impl<D: Disk> Mark<D> {
    /// Writes the mark of a new log and syncs the file; the name is not synced.
    pub(super) fn create(disk: &D, id: LogId, floor: Segment) -> Result<Self, DiskError> {
        let slot = Slot {
            durable: Sequence::NONE,
            floor: floor.number,
            floor_first: floor.first,
        };
        let file = disk.create(MARK_FILE)?;
        for offset in SLOT_OFFSETS {
            file.write_at(offset, &slot.encode(id))?;
        }
        file.sync()?;
        Ok(Self::with(file, id, slot, 0))
    }

    /// Reads the mark and makes what it says durable.
    pub(super) fn open(disk: &D, id: LogId) -> Result<Self, LogError> {
        let damaged = || LogError::Damaged {
            file: MARK_FILE.to_owned(),
            offset: 0,
            why: Damage::Mark,
        };
        let (file, slots) = read(disk, id)?.ok_or_else(damaged)?;
        let (index, slot) = newest(&slots).ok_or_else(damaged)?;
        // The newest slot may be unsynced; it must be whole on the disk before
        // the other one is touched. Writing it again makes the sync a real one
        // even if an earlier sync of the same bytes failed.
        file.write_at(SLOT_OFFSETS[index], &slot.encode(id))?;
        file.sync()?;
        Ok(Self::with(file, id, slot, 1 - index))
    }

    /// What the mark says, and how many of its slots are readable; nothing if none is. Changes nothing.
    pub(super) fn peek(disk: &D, id: LogId) -> Result<Option<(Slot, usize)>, DiskError> {
        let slots = match read(disk, id) {
            Ok(Some((_, slots))) => slots,
            Ok(None) => return Ok(None),
            Err(error) if error.is_bad_medium() => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(newest(&slots).map(|(_, slot)| (slot, slots.len())))
    }

    fn with(file: D::File, id: LogId, slot: Slot, volatile: usize) -> Self {
        let state = State {
            slot,
            volatile,
            dirty: false,
        };
        Self {
            file,
            id,
            state: Mutex::new(state),
        }
    }

    /// What the mark says.
    pub(super) fn slot(&self) -> Slot {
        self.lock().slot
    }

    /// Notes that everything up to `durable` is durable, without syncing.
    ///
    /// A disk too full for it leaves an older, still true mark.
    pub(super) fn advance(&self, durable: Sequence) -> Result<(), DiskError> {
        let mut state = self.lock();
        if durable <= state.slot.durable {
            return Ok(());
        }
        state.slot.durable = durable;
        match self.write(&mut state) {
            Err(error) if error.is_full() => Ok(()),
            other => other,
        }
    }

    /// Makes the mark itself durable.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.sync_locked(&mut self.lock())
    }

    /// Notes, durably and in both slots, that the log begins with `floor`.
    pub(super) fn raise_floor(&self, floor: Segment) -> Result<(), DiskError> {
        let mut state = self.lock();
        if floor.number <= state.slot.floor {
            return Ok(());
        }
        state.slot.floor = floor.number;
        state.slot.floor_first = floor.first;
        // Twice: an older floor in the other slot would, if ever needed, demand
        // segments that were rightly removed.
        self.write(&mut state)?;
        self.sync_locked(&mut state)?;
        self.write(&mut state)?;
        self.sync_locked(&mut state)
    }

    fn write(&self, state: &mut State) -> Result<(), DiskError> {
        state.dirty = true;
        let bytes = state.slot.encode(self.id);
        self.file.write_at(SLOT_OFFSETS[state.volatile], &bytes)
    }

    fn sync_locked(&self, state: &mut State) -> Result<(), DiskError> {
        if state.dirty {
            self.file.sync()?;
            state.dirty = false;
            state.volatile = 1 - state.volatile;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whatever a panic left in it, a slot only ever says what is true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The readable slots, each with its place; nothing if there is no file.
#[expect(clippy::type_complexity, reason = "two callers, both here")]
fn read<D: Disk>(disk: &D, id: LogId) -> Result<Option<(D::File, Vec<(usize, Slot)>)>, DiskError> {
    let file = match disk.open(MARK_FILE) {
        Err(error) if error.is_missing() => return Ok(None),
        other => other?,
    };
    let mut slots = Vec::new();
    for (index, offset) in SLOT_OFFSETS.into_iter().enumerate() {
        let mut bytes = [0; SLOT_BYTES];
        let read = file.read_at(offset, &mut bytes)?;
        let slot = bytes.get(..read).and_then(|bytes| Slot::decode(bytes, id));
        slots.extend(slot.map(|slot| (index, slot)));
    }
    Ok(Some((file, slots)))
}

fn newest(slots: &[(usize, Slot)]) -> Option<(usize, Slot)> {
    // Of equals the first, as it has always been.
    slots
        .iter()
        .rev()
        .copied()
        .max_by_key(|(_, slot)| rank(slot))
}

fn rank(slot: &Slot) -> (Sequence, u64) {
    (slot.durable, slot.floor.0)
}
