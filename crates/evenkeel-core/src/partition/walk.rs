//! The order in which a scan walks the keys: by a hash that every member computes alike, so that a cursor is a number
//! with which any of them can go on.
//!
//! Invariant: it names each key of the table once, under the key's hash and its present place. Eight bytes per key and
//! a tree's slack; a page costs what it looks at.

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64;

use super::slab::Place;

/// Bits of a cursor; the other 8 are the shell's, for the partition.
const CURSOR_BITS: u32 = 56;
/// Bits of the hash by which keys are ordered. So few that keys share one now and then: those come together.
const HASH_BITS: u32 = 32;

/// Keys by hash.
#[derive(Clone, Default, Debug)]
pub(super) struct Walk {
    /// Hash and place. Who chooses keys of one hash gets a long page, and not a slow table.
    entries: BTreeSet<u64>,
}

impl Walk {
    pub(super) fn enter(&mut self, key: &[u8], place: Place) {
        self.entries.insert(entry(key, place));
    }

    pub(super) fn leave(&mut self, key: &[u8], place: Place) {
        let was_there = self.entries.remove(&entry(key, place));
        debug_assert!(was_there, "a key of the table is in the walk");
    }

    /// The places of the next `wanted` keys from the cursor on, or of more where their hashes are the same; and the
    /// next cursor, where there are more.
    pub(super) fn page(&self, cursor: u64, wanted: usize) -> (Vec<Place>, Option<u64>) {
        let from = cursor >> (CURSOR_BITS - HASH_BITS) << HASH_BITS;
        let mut places = Vec::new();
        let mut last = None;
        for entry in self.entries.range(from..) {
            let hash = hash_of(*entry);
            if places.len() >= wanted.max(1) && last != Some(hash) {
                return (places, Some(hash << (CURSOR_BITS - HASH_BITS)));
            }
            last = Some(hash);
            places.push(place_of(*entry));
        }
        (places, None)
    }
}

fn entry(key: &[u8], place: Place) -> u64 {
    let hash = xxh3_64(key) >> (u64::BITS - HASH_BITS);
    hash << HASH_BITS | u64::from(place.to_bits())
}

const fn hash_of(entry: u64) -> u64 {
    entry >> HASH_BITS
}

fn place_of(entry: u64) -> Place {
    let bits = u32::try_from(entry & u64::from(u32::MAX));
    Place::from_bits(bits.expect("the lower half of a number"))
}
