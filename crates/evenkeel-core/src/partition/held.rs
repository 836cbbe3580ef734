//! Where keys lie, and what is held of them.
//!
//! Nearly every key is a string with one version and no deadline. Such a key is plain: key, version and value lie
//! together in the slab, as `[actor, 8][number, 8][stamp, 8][key length, 2][value length, 2][key][value]`. Every other
//! key has an [`Entry`] of its own, also one that is too long for the slab.

use super::entry::{Entry, KeyCells};
use super::slab::{Place, Slab};
use crate::causality::{Dot, Hlc};
use crate::id::ActorId;
use crate::types::{Deadline, Key, VersionRef};

/// Bytes in front of a plain key.
const HEAD_BYTES: usize = 28;

/// A key with cells other than one plain version.
#[derive(Clone, Debug)]
struct Full {
    key: Key,
    entry: Entry,
}

/// Keys by place.
#[derive(Clone, Default, Debug)]
pub(super) struct Shelf {
    plain: Slab,
    full: Vec<Full>,
}

/// A key and what is held of it.
pub(super) type Held<'a> = (&'a [u8], KeyCells<'a>);

impl Shelf {
    /// The key at a place.
    pub(super) fn key(&self, place: Place) -> &[u8] {
        match place.index_elsewhere() {
            None => parts(self.plain.get(place)).1,
            Some(at) => &self.full[at].key,
        }
    }

    pub(super) fn get(&self, place: Place) -> Held<'_> {
        match place.index_elsewhere() {
            None => plain(self.plain.get(place)),
            Some(at) => self.full[at].held(),
        }
    }

    /// The entry at a place, where there is one.
    pub(super) fn entry_mut(&mut self, place: Place) -> Option<&mut Entry> {
        place.index_elsewhere().map(|at| &mut self.full[at].entry)
    }

    /// The plain version at a place, where there is one.
    pub(super) fn plain(&self, place: Place) -> Option<VersionRef<'_>> {
        match place.index_elsewhere() {
            None => Some(version(parts(self.plain.get(place)))),
            Some(_) => None,
        }
    }

    /// Whether a key with this version alone is plain.
    fn is_plain(key: &[u8], version: VersionRef<'_>) -> bool {
        version.deadline == Deadline::NEVER
            && Slab::is_short(HEAD_BYTES + key.len() + version.value.len())
    }

    /// Whether the entry need not be one, because the key is plain.
    pub(super) fn takes_as_plain(key: &[u8], entry: &Entry) -> bool {
        entry
            .only()
            .is_some_and(|version| Self::is_plain(key, version.into()))
    }

    /// Adds a key with one version; `None` when it is not plain.
    pub(super) fn push_plain(&mut self, key: &[u8], version: VersionRef<'_>) -> Option<Place> {
        if !Self::is_plain(key, version) {
            return None;
        }
        let head = head(key, version);
        self.plain.push(&[&head, key, version.value])
    }

    /// Adds a key.
    pub(super) fn push(&mut self, key: &[u8], entry: Entry) -> Place {
        let plain = entry
            .only()
            .and_then(|version| self.push_plain(key, version.into()));
        plain.unwrap_or_else(|| {
            self.full.push(Full {
                key: key.into(),
                entry,
            });
            Place::elsewhere(self.full.len() - 1)
        })
    }

    /// Puts another plain version in the place of the one there; tells whether it has room there.
    pub(super) fn overwrite(&mut self, place: Place, key: &[u8], version: VersionRef<'_>) -> bool {
        let fits = Self::is_plain(key, version)
            && Slab::fits(place, HEAD_BYTES + key.len() + version.value.len());
        if fits {
            let bytes = self.plain.get_mut(place);
            let values = HEAD_BYTES + key.len();
            bytes[..HEAD_BYTES].copy_from_slice(&head(key, version));
            bytes[values..values + version.value.len()].copy_from_slice(version.value);
        }
        fits
    }

    /// Removes a key; gives the former place of the one that now lies in its place, if another has moved.
    pub(super) fn remove(&mut self, place: Place) -> Option<Place> {
        match place.index_elsewhere() {
            None => self.plain.remove(place),
            Some(at) => {
                self.full.swap_remove(at);
                (at < self.full.len()).then(|| Place::elsewhere(self.full.len()))
            }
        }
    }

    /// Every key, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = Held<'_>> {
        let full = self.full.iter().map(Full::held);
        self.plain.iter().map(plain).chain(full)
    }

    /// Every key that has an entry.
    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Entry)> {
        self.full
            .iter_mut()
            .map(|full| (&full.key, &mut full.entry))
    }

    /// The entries of all keys that are not plain.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.full.into_iter().map(|full| full.entry)
    }

    pub(super) fn shrink(&mut self) {
        self.full.shrink_to_fit();
    }
}

impl Full {
    fn held(&self) -> Held<'_> {
        (&self.key, KeyCells::of(&self.entry))
    }
}

fn head(key: &[u8], version: VersionRef<'_>) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let len = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    head[..8].copy_from_slice(&version.dot.actor.0.to_le_bytes());
    head[8..16].copy_from_slice(&version.dot.n.to_le_bytes());
    head[16..24].copy_from_slice(&version.hlc.0.to_le_bytes());
    head[24..26].copy_from_slice(&len(key).to_le_bytes());
    head[26..28].copy_from_slice(&len(version.value).to_le_bytes());
    head
}

/// The parts of a plain key: head, key, value.
type Parts<'a> = (&'a [u8; HEAD_BYTES], &'a [u8], &'a [u8]);

/// Takes apart what [`Shelf::push_plain`] has put together.
fn parts(bytes: &[u8]) -> Parts<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
        unreachable!("a plain key has a head")
    };
    let len = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let (key, rest) = rest.split_at(len(24));
    (head, key, &rest[..len(26)])
}

fn version<'a>((head, _, value): Parts<'a>) -> VersionRef<'a> {
    let number = |at: usize| {
        let bytes = head[at..at + 8].try_into();
        u64::from_le_bytes(bytes.expect("eight bytes"))
    };
    VersionRef {
        dot: Dot::new(ActorId(number(0)), number(8)),
        hlc: Hlc(number(16)),
        deadline: Deadline::NEVER,
        value,
    }
}

fn plain(bytes: &[u8]) -> Held<'_> {
    let parts = parts(bytes);
    (parts.1, KeyCells::plain(version(parts)))
}
