//! Causal contexts: sets of dots.
//!
//! Invariants: actors ascend, no actor has an empty set. Equal sets are equal values and equal bytes.
//! Source: Almeida, Shoker, Baquero, "Delta state replicated data types" (2018), section 7; the encoding is own.

use std::fmt;

use smallvec::SmallVec;

use super::dot::{Dot, DotRun};
use super::interval_set::IntervalSet;
use crate::codec::{DecodeError, Reader, put_varint};
use crate::id::ActorId;

/// A set of dots, as intervals per actor.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Context {
    /// The dots of one event, or of one command, need no allocation.
    actors: SmallVec<[(ActorId, IntervalSet); 1]>,
}

impl Context {
    fn find(&self, actor: ActorId) -> Result<usize, usize> {
        self.actors.binary_search_by_key(&actor, |entry| entry.0)
    }

    /// Whether no dot is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actors.is_empty()
    }

    /// How many dots are in it.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.actors
            .iter()
            .fold(0, |sum, (_, set)| sum.saturating_add(set.count()))
    }

    /// How many actors have a dot in it.
    #[must_use]
    pub fn actor_count(&self) -> usize {
        self.actors.len()
    }

    /// How many intervals it needs: the actors plus the holes.
    #[must_use]
    pub fn run_count(&self) -> usize {
        self.actors.iter().map(|(_, set)| set.runs().len()).sum()
    }

    /// The numbers of one actor, if it has any.
    #[must_use]
    pub fn of(&self, actor: ActorId) -> Option<&IntervalSet> {
        self.find(actor).ok().map(|at| &self.actors[at].1)
    }

    /// The actors, ascending, with their numbers.
    pub fn actors(&self) -> impl Iterator<Item = (ActorId, &IntervalSet)> {
        self.actors.iter().map(|(actor, set)| (*actor, set))
    }

    /// The runs of dots, ascending.
    pub fn runs(&self) -> impl Iterator<Item = DotRun> + '_ {
        self.actors.iter().flat_map(|(actor, set)| {
            set.runs().iter().map(|run| DotRun {
                actor: *actor,
                first: run.first,
                last: run.last,
            })
        })
    }

    /// Every dot, ascending. As long as [`Self::count`], which a peer can make 2^64: bound it first.
    pub fn dots(&self) -> impl Iterator<Item = Dot> + '_ {
        self.runs().flat_map(DotRun::dots)
    }

    /// Whether `dot` is in it.
    #[must_use]
    pub fn contains(&self, dot: Dot) -> bool {
        self.of(dot.actor).is_some_and(|set| set.contains(dot.n))
    }

    fn entry(&mut self, actor: ActorId) -> &mut IntervalSet {
        let at = self.find(actor).unwrap_or_else(|at| {
            self.actors.insert(at, (actor, IntervalSet::default()));
            at
        });
        &mut self.actors[at].1
    }

    /// Adds `dot`; tells whether it was new.
    pub fn insert(&mut self, dot: Dot) -> bool {
        debug_assert!(dot.n > 0, "dots count from 1");
        self.entry(dot.actor).insert(dot.n)
    }

    /// Adds a run of dots.
    pub fn insert_run(&mut self, run: DotRun) {
        if run.first.max(1) <= run.last {
            self.entry(run.actor).insert_run(run.first, run.last);
        }
    }

    /// Adds every dot of `other`: the least upper bound.
    pub fn join(&mut self, other: &Self) {
        for (actor, set) in &other.actors {
            self.entry(*actor).join(set);
        }
    }

    /// The dots that are here and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut actors = SmallVec::new();
        for (actor, set) in &self.actors {
            let left = match other.of(*actor) {
                Some(taken) => set.difference(taken),
                None => set.clone(),
            };
            if !left.is_empty() {
                actors.push((*actor, left));
            }
        }
        Self { actors }
    }

    /// The dots that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.difference(&self.difference(other))
    }

    /// The dots of one actor.
    #[must_use]
    pub fn only(&self, actor: ActorId) -> Self {
        Self {
            actors: self
                .of(actor)
                .map(|set| (actor, set.clone()))
                .into_iter()
                .collect(),
        }
    }

    /// Whether every dot here is also in `other`. Allocates nothing.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.actors
            .iter()
            .all(|(actor, set)| other.of(*actor).is_some_and(|theirs| set.is_subset(theirs)))
    }

    /// Appends the encoding: actor count; per actor 8 bytes of id, run count, then gap and length of each run.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.actors.len() as u64);
        for (actor, set) in &self.actors {
            out.extend_from_slice(&actor.0.to_le_bytes());
            put_varint(out, set.runs().len() as u64);
            let mut after = 0;
            for run in set.runs() {
                put_varint(out, run.first - after - 1);
                put_varint(out, run.last - run.first);
                after = run.last;
            }
        }
    }

    /// Reads what [`Self::encode`] wrote; refuses every other form.
    ///
    /// # Errors
    /// On truncated, unordered, empty, adjacent or overflowing parts.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "causal context";
        let count = input.count(11, WHAT)?;
        let mut actors: SmallVec<[(ActorId, IntervalSet); 1]> = SmallVec::with_capacity(count);
        for _ in 0..count {
            let actor = ActorId(input.u64(WHAT)?);
            if actors.last().is_some_and(|(last, _)| *last >= actor) {
                return Err(input.error(WHAT, "actors do not ascend"));
            }
            actors.push((actor, decode_runs(input)?));
        }
        Ok(Self { actors })
    }
}

fn decode_runs(input: &mut Reader<'_>) -> Result<IntervalSet, DecodeError> {
    const WHAT: &str = "runs of a causal context";
    let count = input.count(2, WHAT)?;
    if count == 0 {
        return Err(input.error(WHAT, "an actor without dots"));
    }
    let mut set = IntervalSet::default();
    let mut after = 0u64;
    for at in 0..count {
        let gap = input.varint(WHAT)?;
        let length = input.varint(WHAT)?;
        if at > 0 && gap == 0 {
            return Err(input.error(WHAT, "adjacent runs"));
        }
        let first = after
            .checked_add(gap)
            .and_then(|before| before.checked_add(1));
        let last = first.and_then(|first| first.checked_add(length));
        let (Some(first), Some(last)) = (first, last) else {
            return Err(input.error(WHAT, "a dot above 64 bits"));
        };
        set.insert_run(first, last);
        after = last;
    }
    Ok(set)
}

impl FromIterator<Dot> for Context {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut context = Self::default();
        for dot in dots {
            context.insert(dot);
        }
        context
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "{";
        for run in self.runs() {
            write!(f, "{separator}{}:{}", run.actor, run.first)?;
            if run.last > run.first {
                write!(f, "-{}", run.last)?;
            }
            separator = " ";
        }
        if self.is_empty() {
            f.write_str("{}")
        } else {
            f.write_str("}")
        }
    }
}
