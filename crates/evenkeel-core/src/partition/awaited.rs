//! Keys that somebody waits for, and which of them have changed: what wakes blocked clients.
//!
//! The same for every way in: a write here, another member's events, anti-entropy, a snapshot. While nobody waits it
//! costs a look at an empty map for each change. Plain strings written over each other are not told: nobody waits for
//! a string.

use std::collections::{BTreeMap, BTreeSet};

use super::{Effect, Partition};
use crate::types::Key;

/// The keys that are waited for.
#[derive(Clone, Default, Debug)]
pub(super) struct Awaited {
    /// How many wait for each.
    keys: BTreeMap<Key, usize>,
    /// Those that have changed since it was told last.
    changed: BTreeSet<Key>,
}

impl Awaited {
    /// A key has changed and is not empty.
    pub(super) fn note(&mut self, key: &Key) {
        if !self.keys.is_empty() && self.keys.contains_key(key) {
            self.changed.insert(key.clone());
        }
    }
}

impl Partition {
    /// From now on, says with [`Effect::Changed`] when a key changes; as often asked, as often to be told to stop.
    pub fn await_key(&mut self, key: &[u8]) {
        *self
            .replica
            .store
            .awaited
            .keys
            .entry(key.into())
            .or_default() += 1;
    }

    /// One waits for the key less.
    pub fn forget_key(&mut self, key: &[u8]) {
        let keys = &mut self.replica.store.awaited.keys;
        if let Some(waiting) = keys.get_mut(key) {
            *waiting -= 1;
            if *waiting == 0 {
                keys.remove(key);
            }
        }
    }

    pub(super) fn tell_changed(&mut self, effects: &mut Vec<Effect>) {
        let changed = &mut self.replica.store.awaited.changed;
        while let Some(key) = changed.pop_first() {
            effects.push(Effect::Changed { key });
        }
    }
}
