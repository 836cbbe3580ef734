//! Scrub: finding, locating and repairing content that is not what the events made of it (replication.md 11).
//!
//! The kept digest follows every change; counting all cells again shows whether they still are what was accounted
//! for. Where they are not, or where a member with the same context tells another digest, the keys that differ are
//! found by comparing sums with the members, and a damaged key is replaced by what a sound member holds of it.
//!
//! Members change while they are compared. A key counts only when no event that one of the two lacks can have touched
//! it: then its content is the same function of the same events at both, and to replace it by the other's is right.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::Partition;
use crate::causality::Context;
use crate::codec::DecodeError;
use crate::message::{Message, SnapshotChunk, SnapshotId};
use crate::types::{Cell, CellId, Key, Range};
use crate::wire::{decode, encode};

/// How many sums a replica is compared by.
pub const BUCKETS: usize = 256;

/// What counting all cells came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// The digest of what is held.
    pub counted: u128,
    /// The digest that was kept up to date with each change.
    pub kept: u128,
}

impl Count {
    /// Whether everything held is what it was when it was accounted for.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.counted == self.kept
    }
}

/// Keys whose content may rightly differ at two members, because one of them lacks events about them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsettled {
    /// These.
    Keys(BTreeSet<Key>),
    /// Any key may: events about ranges of keys are missing, or more than the index remembers.
    All,
}

impl Unsettled {
    /// Whether a key is among them.
    #[must_use]
    pub fn has(&self, key: &[u8]) -> bool {
        match self {
            Self::Keys(keys) => keys.contains(key),
            Self::All => true,
        }
    }
}

/// The bucket of a key.
fn bucket(key: &[u8]) -> u8 {
    xxh3_64(key).to_be_bytes()[0]
}

impl Partition {
    /// Counts every cell again.
    #[must_use]
    pub fn count(&self) -> Count {
        let all = self.replica.counted().map(|(_, digest)| digest);
        Count {
            counted: all.fold(0, u128::wrapping_add),
            kept: self.replica.digest(),
        }
    }

    /// The sums of what is held, by bucket.
    #[must_use]
    pub fn bucket_sums(&self) -> Vec<u128> {
        let mut sums = vec![0_u128; BUCKETS];
        for (key, digest) in self.replica.counted() {
            let sum = &mut sums[usize::from(bucket(key))];
            *sum = sum.wrapping_add(digest);
        }
        sums
    }

    /// What is held of each key of some buckets that shows anything.
    #[must_use]
    pub fn key_sums(&self, of: &[u8]) -> BTreeMap<Key, u128> {
        let held = self.replica.counted();
        held.filter(|(key, digest)| of.contains(&bucket(key)) && *digest != 0)
            .map(|(key, digest)| (Key::from(key), digest))
            .collect()
    }

    /// The keys that events are about which this replica has and one with the context `theirs` lacks.
    #[must_use]
    pub fn unsettled(&self, theirs: &Context) -> Unsettled {
        let mut keys = BTreeSet::new();
        for range in self.touched(&self.replica.context().difference(theirs)) {
            match range {
                Range::Key(key) | Range::Fields { key, .. } => {
                    keys.insert(key);
                }
                Range::Keys { .. } => return Unsettled::All,
            }
        }
        Unsettled::Keys(keys)
    }

    /// What is held of one key, for [`Self::replace_key`] of another member.
    #[must_use]
    pub fn key_frame(&self, key: &[u8]) -> Bytes {
        let cells = self.replica.key(key).into_iter().flat_map(|cells| {
            cells.all().map(|(kind, field, _)| {
                let id = CellId::new(key, kind, field);
                let state = self.replica.state_for_unit(&id);
                (id, state)
            })
        });
        let chunk = SnapshotChunk {
            nonce: crate::message::Nonce(0),
            id: SnapshotId(0),
            index: 0,
            context: self.replica.context().clone(),
            from: Key::from(key),
            to: Some(behind(key)),
            cells: cells.collect(),
            masks: Vec::new(),
            fences: Vec::new(),
        };
        encode(self.head(), &Message::SnapshotChunk(chunk)).into()
    }

    /// Puts what another member holds of a key in the place of what is held here, when no event about it is missing on
    /// either side: `theirs` is what the other one has more. Tells whether it did.
    ///
    /// # Errors
    /// When the frame cannot be read, or is no such frame.
    pub fn replace_key(
        &mut self,
        key: &[u8],
        frame: &[u8],
        theirs: &Unsettled,
    ) -> Result<bool, DecodeError> {
        let refuse = |why| DecodeError {
            what: "frame",
            offset: 0,
            why,
        };
        let (head, message) = decode(frame)?;
        let Message::SnapshotChunk(chunk) = message else {
            return Err(refuse("it holds no cells"));
        };
        if head.partition != self.settings.partition
            || chunk.cells.iter().any(|cell| *cell.0.key != *key)
        {
            return Err(refuse("it is about something else"));
        }
        if theirs.has(key) || self.unsettled(&chunk.context).has(key) {
            return Ok(false);
        }
        self.replica.replace(&Key::from(key), chunk.cells);
        Ok(true)
    }

    /// Takes what is held for what was accounted for: after everything that differed was replaced.
    pub fn recount(&mut self) {
        self.replica.recount();
    }

    /// Changes a byte of what is held of a key, as a broken memory would: for tests of all this. Tells whether there was
    /// one to change.
    pub fn damage(&mut self, key: &[u8]) -> bool {
        self.replica.damage(key)
    }
}

/// The first key behind a key.
fn behind(key: &[u8]) -> Key {
    let mut next = key.to_vec();
    next.push(0);
    next.into()
}

/// A cell with a byte of a value changed, or of its time where it has no value.
pub(super) fn damaged(cell: &Cell) -> Option<Cell> {
    let mut changed = cell.clone();
    let mut version = cell.versions().first()?.clone();
    changed.remove_version(version.dot);
    match version.value.last_mut() {
        Some(byte) => *byte ^= 1,
        None => version.hlc.0 ^= 1 << 20,
    }
    changed.insert_version(version);
    Some(changed)
}
