//! The checks: after every step, and once more when the cluster has healed.
//!
//! One file per group. Names of checks are those of the design: numbers (1) to (7) of the model, I1 to I21 of the
//! invariants.

mod context;
mod database;
mod divergence;
mod end;
mod joined;
mod members;
mod mint;
mod request;
mod state;

use std::collections::BTreeMap;

use evenkeel_core::causality::{Context, Dot};
use evenkeel_core::time::Now;

use crate::oracle::{Evaluator, EventNo, EventSet, History};
use crate::rng::{Rng, Stream};
use crate::universe::{CellNo, CellSet, Universe};

pub(crate) use request::{Ask, Open};

/// A check that failed.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) check: &'static str,
    pub(crate) what: String,
    /// The cell it is about.
    pub(crate) cell: Option<CellNo>,
}

/// Whether a check holds.
pub(crate) type Verdict<T = ()> = Result<T, Box<Violation>>;

/// A failed check.
pub(crate) fn violated<T>(check: &'static str, what: impl Into<String>) -> Verdict<T> {
    Err(Box::new(Violation {
        check,
        what: what.into(),
        cell: None,
    }))
}

/// What a replica looked like after the step before.
#[derive(Clone, Default, Debug)]
struct Seen {
    context: Context,
    events: EventSet,
    digest: u128,
}

/// All that the checks remember.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) history: History,
    evaluator: Evaluator,
    /// By node.
    seen: Vec<Seen>,
    /// By node.
    apart: Vec<divergence::Apart>,
    /// By event: the nodes that ever had it applied, one bit each.
    applied: Vec<u8>,
    /// By event: the nodes whose disk ever had it synced, one bit each.
    durable: Vec<u8>,
    /// By node: the active members that it knows of, one bit each.
    active: Vec<u8>,
    held: Vec<members::Held>,
    /// Whether the members change in this run.
    pub(crate) members_change: bool,
    /// By node and ticket: the requests that wait for an answer.
    pub(crate) requests: Vec<BTreeMap<u64, Open>>,
    /// The events that the call that is being looked at has minted so far.
    unseen: Vec<EventNo>,
    rng: Rng,
    steps: u64,
}

/// What one step did, as far as the checks need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    /// The node.
    pub(crate) at: usize,
    /// The cells that the client's writes named.
    pub(crate) written: CellSet,
    /// The events that the step's log records named.
    pub(crate) logged: &'a [EventNo],
    /// When.
    pub(crate) now: Now,
}

impl Checker {
    pub(crate) fn new(universe: Universe, nodes: usize, seed: u64) -> Self {
        Self {
            history: History::new(universe),
            evaluator: Evaluator::default(),
            seen: vec![Seen::default(); nodes],
            apart: vec![divergence::Apart::default(); nodes],
            applied: Vec::new(),
            durable: Vec::new(),
            active: vec![0; nodes],
            held: Vec::new(),
            members_change: false,
            requests: vec![BTreeMap::new(); nodes],
            unseen: Vec::new(),
            rng: Rng::new(seed, Stream::Checks),
            steps: 0,
        }
    }

    /// A product context as events of the history (I5).
    pub(crate) fn events_of(&self, context: &Context) -> Verdict<Vec<EventNo>> {
        let mut events = Vec::new();
        match self.history.each_of(context, |event| events.push(event)) {
            Ok(()) => Ok(events),
            Err(dot) => unminted(dot),
        }
    }

    /// A sync covered these events on a node's disk.
    pub(crate) fn synced(&mut self, at: usize, events: impl Iterator<Item = EventNo>) {
        for event in events {
            self.durable[event as usize] |= 1 << at;
        }
    }

    /// What a cell must show on a node, for people.
    pub(crate) fn wanted(&mut self, at: usize, cell: CellNo) -> String {
        let view = self
            .evaluator
            .view(&self.history, cell, &self.seen[at].events);
        crate::oracle::render(&self.history, view)
    }
}

fn unminted<T>(dot: Dot) -> Verdict<T> {
    violated("I5 unissued dot", format!("nobody minted {dot}"))
}
