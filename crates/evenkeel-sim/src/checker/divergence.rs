//! I21: how far replicas are apart, as the product tells it, against the history.
//!
//! Events missing and events that one holds alone: equal, for each pair and each node, whenever a context has
//! changed. Keys that differ: equal, from views that are kept up to date cell by cell. Ages: never too young, and
//! exact within the product's resolution as long as no member has lost what all had.

use std::collections::BTreeSet;

use evenkeel_core::causality::Context;
use evenkeel_core::limits::{ARRIVAL_RESOLUTION, ARRIVAL_SPANS_MAX};
use evenkeel_core::partition::{Partition, Repair, held_by_one, held_by_some};
use evenkeel_core::time::Now;
use evenkeel_core::types::Key;

use super::{Checker, Verdict, violated};
use crate::coverage::{Coverage, Mark};
use crate::node::Node;
use crate::oracle::EventNo;
use crate::universe::CellSet;

/// Steps between two comparisons of the keys when no context has changed: the index may have.
const KEYS_EVERY: u64 = 16;

/// What the checks of divergence remember.
#[derive(Clone, Default, Debug)]
pub(super) struct Apart {
    /// By event: when the node's present process got it; 0 when it was there before.
    arrived: Vec<u64>,
    /// When the present process began.
    started: u64,
    /// By other node: the cells that show something else there.
    differing: Vec<CellSet>,
}

impl Checker {
    /// A node's present process got an event.
    pub(super) fn note_arrival(&mut self, at: usize, event: EventNo, now: u64) {
        let arrived = &mut self.apart[at].arrived;
        if arrived.len() <= event as usize {
            arrived.resize(event as usize + 1, 0);
        }
        arrived[event as usize] = now;
    }

    /// A node has begun anew.
    pub(super) fn apart_restarted(&mut self, at: usize, nodes: &[Node], now: u64) {
        self.apart[at].arrived.clear();
        self.apart[at].started = now;
        let mut all = CellSet::default();
        (0..self.history.universe.cells().len()).for_each(|cell| all.insert(cell));
        self.compare_views(at, nodes.len(), all);
    }

    /// A node holds nothing any more.
    pub(super) fn apart_dropped(&mut self, at: usize) {
        let nodes = self.apart.len();
        self.apart[at].arrived.clear();
        let mut all = CellSet::default();
        (0..self.history.universe.cells().len()).for_each(|cell| all.insert(cell));
        self.compare_views(at, nodes, all);
    }

    /// Looks at the cells that have changed on a node, and at every other node.
    pub(super) fn compare_views(&mut self, at: usize, nodes: usize, touched: CellSet) {
        for cell in touched.iter() {
            let mine = self
                .evaluator
                .view(&self.history, cell, &self.seen[at].events)
                .clone();
            for other in (0..nodes).filter(|other| *other != at) {
                let theirs = self
                    .evaluator
                    .view(&self.history, cell, &self.seen[other].events);
                let differs = mine != *theirs;
                for (one, two) in [(at, other), (other, at)] {
                    let differing = &mut self.apart[one].differing;
                    differing.resize(nodes, CellSet::default());
                    differing[two].set(cell, differs);
                }
            }
        }
    }

    /// Everything that the product tells of how far a node and the others are apart.
    pub(super) fn check_apart(
        &mut self,
        at: usize,
        nodes: &[Node],
        (now, grown): (Now, bool),
        coverage: &mut Coverage,
    ) -> Verdict {
        if !grown && !self.steps.is_multiple_of(KEYS_EVERY) {
            return Ok(());
        }
        let live: Vec<(usize, &Partition)> = nodes
            .iter()
            .enumerate()
            .filter_map(|(at, node)| Some((at, node.partition.as_ref()?)))
            .collect();
        let Some(mine) = nodes[at].partition.as_ref() else {
            return Ok(());
        };
        self.check_alone(&live)?;
        for (other, theirs) in live.iter().filter(|(other, _)| *other != at) {
            self.check_missing((at, mine), (*other, theirs), now)?;
            self.check_missing((*other, theirs), (at, mine), now)?;
            self.check_keys((at, mine), (*other, theirs), coverage)?;
        }
        Ok(())
    }

    fn check_alone(&self, live: &[(usize, &Partition)]) -> Verdict {
        let contexts: Vec<&Context> = live
            .iter()
            .map(|(_, partition)| partition.replica().context())
            .collect();
        for (place, (at, _)) in live.iter().enumerate() {
            let others = || live.iter().filter(|(other, _)| other != at);
            let elsewhere = |event: EventNo| {
                others().any(|(other, _)| self.seen[*other].events.contains(event))
            };
            let events = self.seen[*at].events.iter();
            let want = events.filter(|event| !elsewhere(*event)).count() as u64;
            let told = held_by_one(&contexts, place);
            if told != want {
                let what = format!("node {at} holds {want} alone, told as {told}");
                return violated("I21 held by one", what);
            }
        }
        Ok(())
    }

    fn check_missing(
        &self,
        (at, has): (usize, &Partition),
        (to, lacks): (usize, &Partition),
        now: Now,
    ) -> Verdict {
        let missing = has
            .replica()
            .context()
            .difference(lacks.replica().context());
        let want: Vec<EventNo> = self.seen[at]
            .events
            .iter()
            .filter(|event| !self.seen[to].events.contains(*event))
            .collect();
        let repair = has.repair(&missing, now);
        if missing.count() != want.len() as u64 || repair.events != want.len() as u64 {
            let what = format!(
                "node {to} lacks {} of node {at}, told as {} and {}",
                want.len(),
                missing.count(),
                repair.events
            );
            return violated("I21 events missing", what);
        }
        if repair.events > 0 && !repair.needs_snapshot && repair.bytes == 0 {
            return violated("I21 bytes missing", format!("{repair:?}"));
        }
        self.check_age(at, &want, repair, now)
    }

    fn check_age(&self, at: usize, want: &[EventNo], repair: Repair, now: Now) -> Verdict {
        let apart = &self.apart[at];
        let came = |event: &EventNo| {
            let known = apart.arrived.get(*event as usize).copied();
            known.filter(|at| *at > 0).unwrap_or(apart.started)
        };
        let Some(first) = want.iter().map(came).min() else {
            return match repair.oldest {
                None => Ok(()),
                Some(_) => violated("I21 age", "of nothing"),
            };
        };
        let true_age = now.instant.0.saturating_sub(first);
        let told = repair.oldest.unwrap_or_default().0;
        let everybody = u8::MAX >> (8 - self.apart.len());
        // What every member had on its disk once is forgotten here; where there is no room, times are coarse.
        let exact = !self.members_change
            && want.len() < ARRIVAL_SPANS_MAX / 2
            && want
                .iter()
                .all(|event| self.applied[*event as usize] != everybody);
        let late = told > true_age + ARRIVAL_RESOLUTION.0;
        if told < true_age || exact && late {
            let what = format!("node {at} has held it for {true_age} us, told as {told}");
            return violated("I21 age", what);
        }
        Ok(())
    }

    fn check_keys(
        &self,
        (at, mine): (usize, &Partition),
        (other, theirs): (usize, &Partition),
        coverage: &mut Coverage,
    ) -> Verdict {
        let apart = held_by_some(&[mine.replica().context(), theirs.replica().context()]);
        let mut ranges = mine.touched(&apart);
        ranges.extend(theirs.touched(&apart));
        let digests = |partition: &Partition| partition.key_digests(&ranges, usize::MAX);
        let (Some(here), Some(there)) = (digests(mine), digests(theirs)) else {
            return violated("I21 keys", "more than there can be");
        };
        let keys: BTreeSet<&Key> = here.keys().chain(there.keys()).collect();
        let told: BTreeSet<&Key> = keys
            .into_iter()
            .filter(|key| here.get(*key) != there.get(*key))
            .collect();
        let differing = self.apart[at].differing.get(other).copied();
        let want: BTreeSet<&Key> = differing
            .unwrap_or_default()
            .iter()
            .map(|cell| &self.history.universe.id(cell).key)
            .collect();
        if told != want {
            let what = format!("between nodes {at} and {other} {want:?} differ, told: {told:?}");
            return violated("I21 keys", what);
        }
        if !want.is_empty() {
            coverage.mark(Mark::KeysDiffer);
        }
        Ok(())
    }
}
