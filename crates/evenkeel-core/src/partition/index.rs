//! The dot index: for each event that some member may still lack, the cell it changed, or the range delete itself.
//!
//! Invariants: an entry's dot is in the replica's context; an entry goes only when every member holds its dot
//! durably, or, over the cap, oldest first: then whoever lacks it is sent a snapshot (replication.md 2.5 and 9).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::causality::{Context, Dot, DotRun};
use crate::event::RangeDel;
use crate::id::ActorId;
use crate::limits::INDEX_ENTRIES_MAX;
use crate::types::{CellId, Key};

/// What an event was about.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// One cell: its present state is sent, never the old event.
    Cell(CellId),
    /// A range delete: sent as the event it is.
    Range(Box<RangeDel>),
}

/// After a collection there may be room for this many times what is left.
const SPARE_MAX: usize = 4;

/// Targets by dot.
#[derive(Clone, Default, Debug)]
pub(super) struct DotIndex {
    /// Per actor ascending by number: events come nearly in order, so both ends are where the work is.
    actors: BTreeMap<ActorId, VecDeque<(u64, Target)>>,
    len: usize,
}

impl DotIndex {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Indexes one dot.
    pub(super) fn insert(&mut self, dot: Dot, target: Target) {
        let entries = self.actors.entry(dot.actor).or_default();
        if entries.back().is_none_or(|last| last.0 < dot.n) {
            entries.push_back((dot.n, target));
            self.len += 1;
        } else if let Err(at) = entries.binary_search_by_key(&dot.n, |entry| entry.0) {
            entries.insert(at, (dot.n, target));
            self.len += 1;
        }
    }

    /// Indexes all dots of one target. More than the index may ever hold are left out: whoever lacks them is sent
    /// a snapshot.
    pub(super) fn insert_all(&mut self, dots: &Context, target: &Target) {
        if dots.count() <= INDEX_ENTRIES_MAX as u64 {
            for dot in dots.dots() {
                self.insert(dot, target.clone());
            }
        }
    }

    /// The keys of the cells that the dots are about; `None` when one is not indexed.
    pub(super) fn keys_of(&self, dots: &Context) -> Option<BTreeSet<Key>> {
        if dots.count() > self.len as u64 {
            return None;
        }
        let mut keys = BTreeSet::new();
        for run in dots.runs() {
            for (_, target) in self.run(run)? {
                if let Target::Cell(id) = target
                    && !keys.contains(&id.key)
                {
                    keys.insert(id.key.clone());
                }
            }
        }
        Some(keys)
    }

    /// The targets of a run of dots, ascending; `None` when one is not indexed.
    pub(super) fn run(&self, run: DotRun) -> Option<impl Iterator<Item = (Dot, &Target)>> {
        let entries = self.actors.get(&run.actor)?;
        let from = entries.partition_point(|entry| entry.0 < run.first);
        let to = entries.partition_point(|entry| entry.0 <= run.last);
        let whole = (to - from) as u64 == run.last - run.first + 1;
        let found = entries.range(from..to);
        whole.then(|| found.map(move |(n, target)| (Dot::new(run.actor, *n), target)))
    }

    /// The targets that there are for a run of dots: only for the bug that forgets to ask whether it is whole.
    #[cfg(feature = "bugs")]
    pub(super) fn run_as_far_as_known(&self, run: DotRun) -> impl Iterator<Item = (Dot, &Target)> {
        let entries = self.actors.get(&run.actor).into_iter().flatten();
        entries
            .filter(move |entry| (run.first..=run.last).contains(&entry.0))
            .map(move |(n, target)| (Dot::new(run.actor, *n), target))
    }

    /// Drops the entries of `dots`; tells how many went.
    pub(super) fn drop_all(&mut self, dots: &Context) -> usize {
        let before = self.len;
        self.actors.retain(|actor, entries| {
            let Some(numbers) = dots.of(*actor) else {
                return true;
            };
            while entries
                .front()
                .is_some_and(|entry| numbers.contains(entry.0))
            {
                entries.pop_front();
                self.len -= 1;
            }
            if entries
                .front()
                .is_some_and(|entry| numbers.max().is_some_and(|max| entry.0 < max))
            {
                let held = entries.len();
                entries.retain(|entry| !numbers.contains(entry.0));
                self.len -= held - entries.len();
            }
            // What a burst took is given back, but not what the next second needs again.
            if entries.len() < entries.capacity() / SPARE_MAX {
                entries.shrink_to(entries.len() * 2);
            }
            !entries.is_empty()
        });
        before - self.len
    }

    /// Drops the oldest entries of whoever has most until at most `max` are left; tells how many went.
    pub(super) fn trim(&mut self, max: usize) -> usize {
        let before = self.len;
        while self.len > max {
            let Some(entries) = self.actors.values_mut().max_by_key(|entries| entries.len()) else {
                break;
            };
            let excess = (self.len - max).min(entries.len().div_ceil(8));
            entries.drain(..excess);
            self.len -= excess;
        }
        before - self.len
    }
}
