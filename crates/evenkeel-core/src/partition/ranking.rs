//! The members of a sorted set in order of (score, member), each found by its rank and its rank by it, in O(log n).
//!
//! Derived from the cells, kept on each replica for itself and never replicated. A B+ tree whose inner nodes count
//! what is below them. Invariants: every entry below a child is at least its separator and less than the next one's;
//! the first separator of a node is never looked at; no node but the root is empty.

use std::ops::Range;

use smallvec::SmallVec;

use crate::types::Score;

/// Members up to this length need no allocation of their own here.
const MEMBER_BYTES_INLINE: usize = 16;
/// Entries of a leaf, children of an inner node. Not tuned beyond one try each of 32, 64 and 128.
const WIDTH_MAX: usize = 64;
/// A node with fewer is put together with a neighbour.
const WIDTH_MIN: usize = WIDTH_MAX / 4;

/// Members in order.
#[derive(Clone, Default, Debug)]
pub struct Ranking {
    root: Node,
    len: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    score: Score,
    member: SmallVec<[u8; MEMBER_BYTES_INLINE]>,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Vec<Entry>),
    Inner(Inner),
}

/// Three columns of equal length.
#[derive(Clone, Debug, Default)]
struct Inner {
    separators: Vec<Entry>,
    counts: Vec<usize>,
    children: Vec<Node>,
}

/// The upper half of a node that was too wide, and its separator.
type Split = Option<(Entry, Node)>;

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Vec::new())
    }
}

impl Entry {
    fn new(score: Score, member: &[u8]) -> Self {
        Self {
            score,
            member: SmallVec::from_slice(member),
        }
    }

    fn name(&self) -> (Score, &[u8]) {
        (self.score, &self.member)
    }
}

impl Node {
    fn width(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(inner) => inner.children.len(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(inner) => inner.counts.iter().sum(),
        }
    }

    fn insert(&mut self, entry: Entry) -> Split {
        match self {
            Self::Leaf(entries) => {
                let at = entries.partition_point(|held| held.name() < entry.name());
                entries.insert(at, entry);
            }
            Self::Inner(inner) => {
                let at = inner.child_of(|separator| separator.name() <= entry.name());
                let split = inner.children[at].insert(entry);
                inner.replace(at, split);
            }
        }
        self.split()
    }

    fn remove(&mut self, name: (Score, &[u8])) -> bool {
        match self {
            Self::Leaf(entries) => {
                let at = entries.partition_point(|held| held.name() < name);
                let found = entries.get(at).is_some_and(|held| held.name() == name);
                if found {
                    entries.remove(at);
                }
                found
            }
            Self::Inner(inner) => {
                let at = inner.child_of(|separator| separator.name() <= name);
                let found = inner.children[at].remove(name);
                if found {
                    inner.replace(at, None);
                    inner.widen(at);
                }
                found
            }
        }
    }

    fn split(&mut self) -> Split {
        if self.width() <= WIDTH_MAX {
            return None;
        }
        let at = self.width() / 2;
        match self {
            Self::Leaf(entries) => {
                let upper = entries.split_off(at);
                Some((upper.first()?.clone(), Self::Leaf(upper)))
            }
            Self::Inner(inner) => {
                let upper = Inner {
                    separators: inner.separators.split_off(at),
                    counts: inner.counts.split_off(at),
                    children: inner.children.split_off(at),
                };
                Some((upper.separators.first()?.clone(), Self::Inner(upper)))
            }
        }
    }

    /// Takes in the next node of the same height.
    fn append(&mut self, separator: Entry, next: Self) {
        match (self, next) {
            (Self::Leaf(entries), Self::Leaf(more)) => entries.extend(more),
            (Self::Inner(inner), Self::Inner(more)) => {
                let separators = more.separators.into_iter().skip(1);
                inner
                    .separators
                    .extend(std::iter::once(separator).chain(separators));
                inner.counts.extend(more.counts);
                inner.children.extend(more.children);
            }
            _ => unreachable!("neighbours have the same height"),
        }
    }
}

impl Inner {
    /// The child where what `is_below` says of separators changes.
    fn child_of(&self, is_below: impl Fn(&Entry) -> bool) -> usize {
        let rest = self.separators.get(1..).unwrap_or_default();
        rest.partition_point(is_below)
    }

    /// Counts a changed child anew and takes in what it was split off.
    fn replace(&mut self, at: usize, split: Split) {
        self.counts[at] = self.children[at].count();
        if let Some((separator, upper)) = split {
            self.separators.insert(at + 1, separator);
            self.counts.insert(at + 1, upper.count());
            self.children.insert(at + 1, upper);
        }
    }

    /// Puts a child that has become narrow together with a neighbour, and halves both when that is too much.
    fn widen(&mut self, at: usize) {
        if self.children[at].width() >= WIDTH_MIN || self.children.len() == 1 {
            return;
        }
        let left = at.saturating_sub(1);
        let separator = self.separators.remove(left + 1);
        self.counts.remove(left + 1);
        let right = self.children.remove(left + 1);
        self.children[left].append(separator, right);
        let split = self.children[left].split();
        self.replace(left, split);
    }
}

impl Ranking {
    /// How many members there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a member that is not there with any score.
    pub(super) fn insert(&mut self, score: Score, member: &[u8]) {
        let split = self.root.insert(Entry::new(score, member));
        if let Some((separator, upper)) = split {
            let lower = std::mem::take(&mut self.root);
            let mut root = Inner {
                // The first separator is never looked at.
                separators: vec![separator.clone()],
                counts: vec![lower.count()],
                children: vec![lower],
            };
            root.replace(0, Some((separator, upper)));
            self.root = Node::Inner(root);
        }
        self.len += 1;
    }

    /// Removes a member that has that score; nothing when it has not.
    pub(super) fn remove(&mut self, score: Score, member: &[u8]) {
        if !self.root.remove((score, member)) {
            debug_assert!(false, "a member was not where its score is");
            return;
        }
        self.len -= 1;
        if let Node::Inner(inner) = &mut self.root
            && inner.children.len() == 1
        {
            self.root = inner.children.pop().unwrap_or_default();
        }
    }

    /// How many members come first that `is_before` says yes to; it must say no to all that follow.
    pub fn partition_point(&self, is_before: impl Fn(Score, &[u8]) -> bool) -> usize {
        let is_before = |entry: &Entry| is_before(entry.score, &entry.member);
        let mut node = &self.root;
        let mut rank = 0;
        loop {
            match node {
                Node::Leaf(entries) => return rank + entries.partition_point(is_before),
                Node::Inner(inner) => {
                    let at = inner.child_of(is_before);
                    rank += inner.counts[..at].iter().sum::<usize>();
                    node = &inner.children[at];
                }
            }
        }
    }

    /// The rank of a member that has that score: how many come before it.
    #[must_use]
    pub fn rank(&self, score: Score, member: &[u8]) -> Option<usize> {
        let rank = self.partition_point(|held, name| (held, name) < (score, member));
        let found = self.range(rank..rank + 1).next()?;
        (found == (member, score)).then_some(rank)
    }

    /// The members of these ranks, as far as there are any, in order from either end.
    #[must_use]
    pub const fn range(&self, ranks: Range<usize>) -> Ranked<'_> {
        let end = if ranks.end < self.len {
            ranks.end
        } else {
            self.len
        };
        Ranked {
            ranking: self,
            next: ranks.start,
            end,
            front: &[],
            back: &[],
        }
    }

    /// Every member, in order.
    #[must_use]
    pub const fn iter(&self) -> Ranked<'_> {
        self.range(0..self.len)
    }

    /// The leaf that holds a rank, and the rank's place there.
    fn leaf(&self, rank: usize) -> Option<(&[Entry], usize)> {
        let mut node = &self.root;
        let mut left = rank;
        loop {
            match node {
                Node::Leaf(entries) => return Some((entries, left)),
                Node::Inner(inner) => {
                    let mut at = 0;
                    while left >= *inner.counts.get(at)? {
                        left -= inner.counts[at];
                        at += 1;
                    }
                    node = &inner.children[at];
                }
            }
        }
    }
}

impl<'a> FromIterator<(Score, &'a [u8])> for Ranking {
    fn from_iter<T: IntoIterator<Item = (Score, &'a [u8])>>(members: T) -> Self {
        let mut ranking = Self::default();
        for (score, member) in members {
            ranking.insert(score, member);
        }
        ranking
    }
}

impl<'a> IntoIterator for &'a Ranking {
    type Item = (&'a [u8], Score);
    type IntoIter = Ranked<'a>;

    fn into_iter(self) -> Ranked<'a> {
        self.iter()
    }
}

/// Members of a run of ranks.
#[derive(Clone, Debug)]
pub struct Ranked<'a> {
    ranking: &'a Ranking,
    next: usize,
    end: usize,
    /// What is left of the leaf at `next`; empty before the first look.
    front: &'a [Entry],
    /// What is left of the leaf at `end`.
    back: &'a [Entry],
}

impl<'a> Iterator for Ranked<'a> {
    type Item = (&'a [u8], Score);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        if self.front.is_empty() {
            let (leaf, at) = self.ranking.leaf(self.next)?;
            self.front = leaf.get(at..)?;
        }
        let (first, rest) = self.front.split_first()?;
        self.front = rest;
        self.next += 1;
        Some((&first.member, first.score))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.saturating_sub(self.next);
        (left, Some(left))
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.next = self.next.saturating_add(n);
        self.front = self.front.get(n..).unwrap_or_default();
        self.next()
    }
}

impl DoubleEndedIterator for Ranked<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        if self.back.is_empty() {
            let (leaf, at) = self.ranking.leaf(self.end - 1)?;
            self.back = leaf.get(..=at)?;
        }
        let (last, rest) = self.back.split_last()?;
        self.back = rest;
        self.end -= 1;
        Some((&last.member, last.score))
    }
}

impl ExactSizeIterator for Ranked<'_> {}

#[cfg(test)]
mod tests;
