//! Sets of positive numbers as sorted intervals: one actor's part of a context.
//!
//! Invariants: runs are sorted, disjoint and never adjacent (adjacent runs are one run), numbers are at least 1.
//! Holes are normal: the fast paths of two members interleave.

use smallvec::SmallVec;

/// An interval of numbers, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// The least number; at least 1.
    pub first: u64,
    /// The greatest number; at least `first`.
    pub last: u64,
}

/// A set of numbers from 1 on. One run, the normal case, needs no allocation.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct IntervalSet {
    runs: SmallVec<[Run; 1]>,
}

impl IntervalSet {
    /// The numbers `first..=last`; empty when `first > last`.
    #[must_use]
    pub fn from_run(first: u64, last: u64) -> Self {
        let mut set = Self::default();
        set.insert_run(first, last);
        set
    }

    /// The runs, ascending.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Whether no number is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many numbers are in it.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.runs.iter().fold(0, |sum, run| {
            sum.saturating_add((run.last - run.first).saturating_add(1))
        })
    }

    /// The greatest number, if any.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        self.runs.last().map(|run| run.last)
    }

    /// Whether `n` is in it. O(log runs), O(1) for the newest run.
    #[must_use]
    pub fn contains(&self, n: u64) -> bool {
        match self.runs.last() {
            None => false,
            Some(run) if n >= run.first => n <= run.last,
            Some(_) => {
                let after = self.runs.partition_point(|run| run.first <= n);
                after > 0 && self.runs[after - 1].last >= n
            }
        }
    }

    /// Adds `n`; tells whether it was new. Zero is no number of the set.
    pub fn insert(&mut self, n: u64) -> bool {
        // The usual case: the next number of the newest run.
        if let Some(run) = self.runs.last_mut()
            && n.checked_sub(1) == Some(run.last)
        {
            run.last = n;
            return true;
        }
        if n == 0 || self.contains(n) {
            return false;
        }
        self.insert_run(n, n);
        true
    }

    /// Adds `first..=last`; nothing when `first > last`. Zero is no number of the set and is left out.
    pub fn insert_run(&mut self, first: u64, last: u64) {
        let first = first.max(1);
        if first > last {
            return;
        }
        // All runs that touch or overlap first..=last melt into one.
        let from = self.runs.partition_point(|run| run.last < first - 1);
        let to = self
            .runs
            .partition_point(|run| run.first <= last.saturating_add(1));
        if from == to {
            self.runs.insert(from, Run { first, last });
            return;
        }
        let melted = Run {
            first: first.min(self.runs[from].first),
            last: last.max(self.runs[to - 1].last),
        };
        self.runs[from] = melted;
        self.runs.drain(from + 1..to);
    }

    /// Adds every number of `other`.
    pub fn join(&mut self, other: &Self) {
        if let [run] = other.runs[..] {
            return self.insert_run(run.first, run.last);
        }
        // Not run by run, which moves all behind each of them: a peer may send millions.
        let mut all: Vec<Run> = self.runs.iter().chain(&other.runs).copied().collect();
        all.sort_by_key(|run| run.first);
        self.runs.clear();
        for run in all {
            match self.runs.last_mut() {
                Some(last) if run.first <= last.last.saturating_add(1) => {
                    last.last = last.last.max(run.last);
                }
                _ => self.runs.push(run),
            }
        }
    }

    /// The numbers that are here and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut left = Self::default();
        let mut others = other.runs.iter().peekable();
        for run in &self.runs {
            let mut next = run.first;
            while others.next_if(|o| o.last < next).is_some() {}
            let mut cuts = others.clone();
            while let Some(cut) = cuts.next_if(|o| o.first <= run.last) {
                if cut.first > next {
                    left.runs.push(Run {
                        first: next,
                        last: cut.first - 1,
                    });
                }
                next = cut.last.saturating_add(1).max(next);
                if cut.last == u64::MAX {
                    return left;
                }
            }
            if next <= run.last {
                left.runs.push(Run {
                    first: next,
                    last: run.last,
                });
            }
        }
        left
    }

    /// Whether every number here is also in `other`. Allocates nothing.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.runs.iter().all(|run| {
            let after = other.runs.partition_point(|o| o.first <= run.first);
            after > 0 && other.runs[after - 1].last >= run.last
        })
    }
}
