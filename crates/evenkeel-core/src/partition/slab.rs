//! Short byte strings, packed by length.
//!
//! Invariant: the strings of a class fill its places from the first on. Whoever removes one is told which other one has
//! moved into its place, so removals leave no holes, and no list of free places is kept.

/// Classes are this many bytes apart: what a string wastes at most.
const STEP: usize = 8;
const CLASS_BITS: u32 = 6;
/// The class of places that lie elsewhere.
const ELSEWHERE: u8 = (1 << CLASS_BITS) - 1;
/// The longest string.
const BYTES_MAX: usize = ELSEWHERE as usize * STEP;
/// A class grows by chunks of this size. Not measured: large beside a string, small beside what a partition holds.
const CHUNK_BYTES: usize = 16 << 10;
const INDEX_MAX: u32 = u32::MAX >> CLASS_BITS;

/// Where something lies, in the four bytes that a hash table keeps of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(u32);

impl Place {
    fn new(class: u8, index: usize) -> Self {
        let index = u32::try_from(index)
            .ok()
            .filter(|index| *index <= INDEX_MAX);
        let index = index.expect("a partition holds no 67 million keys of one length");
        Self(index << CLASS_BITS | u32::from(class))
    }

    /// A place that is not the slab's business.
    pub(super) fn elsewhere(index: usize) -> Self {
        Self::new(ELSEWHERE, index)
    }

    /// The index of a place made by [`Self::elsewhere`].
    pub(super) fn index_elsewhere(self) -> Option<usize> {
        (self.class() == ELSEWHERE).then(|| self.index())
    }

    /// As a number, for whoever keeps many of them.
    pub(super) const fn to_bits(self) -> u32 {
        self.0
    }

    /// The place of which [`Self::to_bits`] gave the number.
    pub(super) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    const fn class(self) -> u8 {
        self.0.to_le_bytes()[0] & ELSEWHERE
    }

    const fn index(self) -> usize {
        (self.0 >> CLASS_BITS) as usize
    }
}

/// Strings by place.
#[derive(Clone, Default, Debug)]
pub(super) struct Slab {
    classes: Vec<Class>,
}

/// Strings of one length, rounded up.
#[derive(Clone, Default, Debug)]
struct Class {
    /// All full but the last, which is not empty.
    chunks: Vec<Vec<u8>>,
    len: usize,
}

impl Slab {
    /// Whether a string of this length is one for the slab.
    pub(super) const fn is_short(bytes: usize) -> bool {
        bytes <= BYTES_MAX
    }

    /// The class of a string of this length, where it is one for the slab.
    fn class_of(bytes: usize) -> Option<u8> {
        let class = bytes.div_ceil(STEP).max(1) - 1;
        u8::try_from(class).ok().filter(|_| Self::is_short(bytes))
    }

    /// Whether a string of this length can lie at `place`.
    pub(super) fn fits(place: Place, bytes: usize) -> bool {
        Self::class_of(bytes) == Some(place.class())
    }

    /// Adds a string, given in parts; `None` when it is too long.
    pub(super) fn push(&mut self, parts: &[&[u8]]) -> Option<Place> {
        let bytes = parts.iter().map(|part| part.len()).sum();
        let class = Self::class_of(bytes)?;
        let at = usize::from(class);
        if self.classes.len() <= at {
            self.classes.resize_with(at + 1, Class::default);
        }
        let index = self.classes[at].push(slot_bytes(class), parts);
        Some(Place::new(class, index))
    }

    /// The string, and up to seven bytes behind it.
    pub(super) fn get(&self, place: Place) -> &[u8] {
        let slot = slot_bytes(place.class());
        let (chunk, at) = position(slot, place.index());
        &self.classes[usize::from(place.class())].chunks[chunk][at..at + slot]
    }

    /// As [`Self::get`], to be overwritten.
    pub(super) fn get_mut(&mut self, place: Place) -> &mut [u8] {
        let slot = slot_bytes(place.class());
        let (chunk, at) = position(slot, place.index());
        &mut self.classes[usize::from(place.class())].chunks[chunk][at..at + slot]
    }

    /// Removes a string; gives the former place of the one that now lies in its place, if another has moved.
    pub(super) fn remove(&mut self, place: Place) -> Option<Place> {
        let class = &mut self.classes[usize::from(place.class())];
        class.remove(slot_bytes(place.class()), place.index());
        let last = class.len;
        (last != place.index()).then(|| Place::new(place.class(), last))
    }

    /// Every string, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let classes = (0..).map(slot_bytes).zip(&self.classes);
        classes.flat_map(|(slot, class)| {
            let chunks = class.chunks.iter();
            chunks.flat_map(move |chunk| chunk.chunks_exact(slot))
        })
    }
}

impl Class {
    fn push(&mut self, slot: usize, parts: &[&[u8]]) -> usize {
        let (_, at) = position(slot, self.len);
        if at == 0 {
            self.chunks.push(Vec::new());
        }
        if let Some(chunk) = self.chunks.last_mut() {
            if chunk.len() == chunk.capacity() {
                // Doubled as long as it is small, but no larger than a whole chunk.
                let whole = CHUNK_BYTES / slot * slot;
                chunk.reserve_exact(chunk.len().max(slot).min(whole - chunk.len()));
            }
            parts.iter().for_each(|part| chunk.extend_from_slice(part));
            chunk.resize(at + slot, 0);
        }
        self.len += 1;
        self.len - 1
    }

    fn remove(&mut self, slot: usize, index: usize) {
        self.len -= 1;
        let (to, at) = position(slot, index);
        let (last, from) = position(slot, self.len);
        if to == last {
            self.chunks[to].copy_within(from..from + slot, at);
        } else {
            let (front, back) = self.chunks.split_at_mut(last);
            front[to][at..at + slot].copy_from_slice(&back[0][from..from + slot]);
        }
        self.chunks[last].truncate(from);
        if from == 0 {
            self.chunks.pop();
        }
    }
}

fn slot_bytes(class: u8) -> usize {
    (usize::from(class) + 1) * STEP
}

/// Chunk and offset.
const fn position(slot: usize, index: usize) -> (usize, usize) {
    let per_chunk = CHUNK_BYTES / slot;
    (index / per_chunk, index % per_chunk * slot)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A string whose beginning tells it from all others.
    fn text(number: u32, bytes: usize) -> Vec<u8> {
        let mut text = number.to_le_bytes().to_vec();
        text.resize(bytes.max(4), 7);
        text
    }

    #[test]
    fn strings_of_all_lengths_stay_what_they_are_while_others_come_and_go() {
        let mut slab = Slab::default();
        let mut held: BTreeMap<u32, (Place, Vec<u8>)> = BTreeMap::new();
        for number in 0..20_000u32 {
            let text = text(number, number as usize * 7 % 520);
            match slab.push(&[&text[..2], &text[2..]]) {
                Some(place) => held.insert(number, (place, text)),
                None => {
                    assert!(text.len() > BYTES_MAX);
                    None
                }
            };
            if number % 3 == 2 {
                let Some((place, _)) = held.remove(&(number / 2)) else {
                    continue;
                };
                if let Some(from) = slab.remove(place) {
                    let moved = held.values_mut().find(|entry| entry.0 == from).unwrap();
                    moved.0 = place;
                }
            }
        }
        for (place, text) in held.values() {
            assert!(slab.get(*place).starts_with(text));
            assert!(Slab::fits(*place, text.len()));
        }
        assert_eq!(slab.iter().count(), held.len());
    }

    #[test]
    fn a_slab_that_was_emptied_holds_no_chunks() {
        let mut slab = Slab::default();
        let mut places: Vec<Place> = (0..1_000)
            .filter_map(|number| slab.push(&[&text(number, 100)]))
            .collect();
        while let Some(place) = places.pop() {
            assert_eq!(slab.remove(place), None, "the last one leaves no hole");
        }
        assert!(slab.classes.iter().all(|class| class.chunks.is_empty()));
    }
}
