//! Sets of events as bits: the oracle's causal contexts.
//!
//! Invariant: the last word is not zero, so equal sets are equal values.

use super::history::EventNo;

/// A set of events.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct EventSet {
    words: Vec<u64>,
}

const fn place(event: EventNo) -> (usize, u64) {
    ((event >> 6) as usize, 1 << (event & 63))
}

impl EventSet {
    /// Adds an event; tells whether it was new.
    pub(crate) fn insert(&mut self, event: EventNo) -> bool {
        let (word, bit) = place(event);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }

    /// Whether the event is in it.
    pub(crate) fn contains(&self, event: EventNo) -> bool {
        let (word, bit) = place(event);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Adds every event of `other`.
    pub(crate) fn join(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// Whether every event here is also in `other`.
    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        self.words
            .iter()
            .enumerate()
            .all(|(at, bits)| bits & !other.words.get(at).unwrap_or(&0) == 0)
    }

    /// The events, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = EventNo> + '_ {
        (0u32..).zip(&self.words).flat_map(|(at, &word)| {
            (0..64u32)
                .filter(move |bit| word & (1 << bit) != 0)
                .map(move |bit| at * 64 + bit)
        })
    }
}

impl FromIterator<EventNo> for EventSet {
    fn from_iter<I: IntoIterator<Item = EventNo>>(events: I) -> Self {
        let mut set = Self::default();
        for event in events {
            set.insert(event);
        }
        set
    }
}
