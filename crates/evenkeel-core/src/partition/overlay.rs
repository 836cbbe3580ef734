//! What a replica knows of events it has not applied: range-delete masks, and dots declared void.
//!
//! Invariants: a mask never holds a dot of the context; masks empty themselves as the context catches up; both
//! are normally empty (replication.md 0, trap F2).

use std::collections::BTreeMap;

use crate::causality::{Context, Dot, DotRun};
use crate::id::ActorId;
use crate::types::{CellId, Range};

/// Range deletes whose victims have not all arrived.
#[derive(Clone, Default, Debug)]
pub(super) struct Masks {
    masks: Vec<(Range, Context)>,
}

impl Masks {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Range, &Context)> {
        self.masks.iter().map(|(range, context)| (range, context))
    }

    /// Whether a mask over `cell` holds `dot`.
    pub(super) fn cover(&self, cell: &CellId, dot: Dot) -> bool {
        self.masks
            .iter()
            .any(|(range, context)| context.contains(dot) && range.contains(cell))
    }

    /// The join of all masks over `cell`.
    pub(super) fn at(&self, cell: &CellId) -> Context {
        let mut joined = Context::default();
        for (range, context) in &self.masks {
            if range.contains(cell) {
                joined.join(context);
            }
        }
        joined
    }

    /// Adds a mask; one without dots is left out, one over the same range is joined.
    pub(super) fn add(&mut self, range: &Range, context: Context) {
        if context.is_empty() {
            return;
        }
        match self.masks.iter_mut().find(|mask| mask.0 == *range) {
            Some(mask) => mask.1.join(&context),
            None => self.masks.push((range.clone(), context)),
        }
    }

    /// Takes out dots that were applied.
    pub(super) fn shrink(&mut self, applied: &Context) {
        self.masks.retain_mut(|(_, context)| {
            *context = context.difference(applied);
            !context.is_empty()
        });
    }

    /// Takes out dots that are void.
    pub(super) fn shrink_void(&mut self, fences: &Fences) {
        self.masks.retain_mut(|(_, context)| {
            *context = fences.without_void(std::mem::take(context));
            !context.is_empty()
        });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.masks.is_empty()
    }
}

/// Closed actors: their dots up to a number are void unless they are among those that stand (replication.md 4.4).
#[derive(Clone, Default, Debug)]
pub(super) struct Fences {
    fences: BTreeMap<ActorId, (u64, Context)>,
}

impl Fences {
    pub(super) fn iter(&self) -> impl Iterator<Item = (ActorId, u64, &Context)> {
        self.fences
            .iter()
            .map(|(actor, (upto, keep))| (*actor, *upto, keep))
    }

    pub(super) fn is_void(&self, dot: Dot) -> bool {
        self.fences
            .get(&dot.actor)
            .is_some_and(|(upto, keep)| dot.n <= *upto && !keep.contains(dot))
    }

    /// The dots that stand, where `actor` is closed for good.
    pub(super) fn closed(&self, actor: ActorId) -> Option<&Context> {
        self.fences
            .get(&actor)
            .filter(|fence| fence.0 == u64::MAX)
            .map(|fence| &fence.1)
    }

    pub(super) fn add(&mut self, actor: ActorId, upto: u64, keep: Context) {
        self.fences.insert(actor, (upto, keep));
    }

    /// The dots that are not void. Works on intervals: a mask may span millions of dots.
    pub(super) fn without_void(&self, mut dots: Context) -> Context {
        for (actor, (upto, keep)) in &self.fences {
            let mut void = Context::default();
            void.insert_run(DotRun {
                actor: *actor,
                first: 1,
                last: *upto,
            });
            dots = dots.difference(&void.difference(keep));
        }
        dots
    }
}
