//! F(E): the state of a cell as a function of the set of applied events (replication.md 3.3).
//!
//! Versions: the Puts in E, without those that an event in E observed. Counters: from the amounts that clients
//! asked for, one by one; a reset in E takes away what it saw.

use std::fmt::Write as _;

use evenkeel_core::types::{CellRef, Chain, Total};

use super::event_set::EventSet;
use super::history::{Amount, ChainLog, Deed, EventNo, History, Reset};
use crate::universe::CellNo;

/// A live chain.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct ChainView {
    pub(crate) actor: u64,
    pub(crate) birth: u64,
    pub(crate) value: Amount,
    /// The newest increment.
    pub(crate) top: EventNo,
    /// Up to which number increments were taken away. Two chains may show the same and differ here: what was taken
    /// away added up to nothing.
    seen: u64,
}

/// What a reader of a cell must see.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct CellView {
    /// Live versions, ascending by dot.
    pub(crate) versions: Vec<EventNo>,
    /// Live chains, ascending by actor and birth.
    pub(crate) chains: Vec<ChainView>,
}

/// Computes F(E); keeps its scratch memory.
#[derive(Default, Debug)]
pub(crate) struct Evaluator {
    /// Per event: the round in which it was found removed.
    removed: Vec<u32>,
    round: u32,
    ranges: Vec<EventNo>,
    resets: Vec<Reset>,
    view: CellView,
}

impl Evaluator {
    /// The state of `cell` where exactly the events of `set` were applied.
    pub(crate) fn view(&mut self, history: &History, cell: CellNo, set: &EventSet) -> &CellView {
        self.round += 1;
        self.removed.resize(history.len(), 0);
        self.ranges.clear();
        self.resets.clear();
        self.view.versions.clear();
        self.view.chains.clear();
        for &no in &history.cell(cell).events {
            if set.contains(no) {
                self.note(history, cell, no);
            }
        }
        let (removed, round, ranges) = (&self.removed, self.round, &self.ranges);
        self.view.versions.retain(|&no| {
            removed[no as usize] != round && !ranges.iter().any(|range| saw(history, *range, no))
        });
        self.view.versions.sort_unstable_by_key(|no| {
            let event = history.event(*no);
            (event.actor, event.n)
        });
        for chain in &history.cell(cell).chains {
            self.add_chain(history, chain, set);
        }
        self.view
            .chains
            .sort_unstable_by_key(|chain| (chain.actor, chain.birth));
        &self.view
    }

    fn note(&mut self, history: &History, cell: CellNo, no: EventNo) {
        match &history.event(no).deed {
            Deed::Put { rem, resets, .. } => {
                self.view.versions.push(no);
                self.remove(rem);
                self.resets.extend_from_slice(resets);
            }
            Deed::Rem { rem, resets, .. } => {
                self.remove(rem);
                self.resets.extend_from_slice(resets);
            }
            Deed::Inc { .. } => {}
            Deed::Range { resets, .. } => {
                self.ranges.push(no);
                let here = resets.iter().filter(|(target, _)| *target == cell);
                self.resets.extend(here.map(|(_, reset)| *reset));
            }
        }
    }

    fn remove(&mut self, dots: &[EventNo]) {
        for &no in dots {
            self.removed[no as usize] = self.round;
        }
    }

    fn add_chain(&mut self, history: &History, chain: &ChainLog, set: &EventSet) {
        let known = chain.increments.iter().rev();
        let Some(top) = known.into_iter().find(|inc| set.contains(inc.event)) else {
            return;
        };
        let mut seen = 0;
        for reset in &self.resets {
            if reset.actor == chain.actor && reset.birth == chain.birth {
                seen = seen.max(reset.upto);
            }
        }
        for range in &self.ranges {
            let upto = chain
                .increments
                .iter()
                .rev()
                .find(|inc| saw(history, *range, inc.event));
            seen = seen.max(upto.map_or(0, |inc| inc.n));
        }
        if top.n <= seen {
            return;
        }
        let unseen = chain
            .increments
            .iter()
            .filter(|inc| inc.n > seen && inc.n <= top.n);
        let Some(value) = unseen.map(|inc| inc.amount).reduce(plus) else {
            return;
        };
        self.view.chains.push(ChainView {
            actor: chain.actor,
            birth: chain.birth,
            value,
            top: top.event,
            seen,
        });
    }
}

fn plus(a: Amount, b: Amount) -> Amount {
    match (a, b) {
        (Amount::Int(a), Amount::Int(b)) => Amount::Int(a + b),
        (Amount::Float(a), Amount::Float(b)) => Amount::Float(a + b),
        (other, _) => other,
    }
}

/// Whether the issuer of a range delete had seen an event, or knew it to be dead.
pub(crate) fn saw(history: &History, range: EventNo, event: EventNo) -> bool {
    match &history.event(range).deed {
        Deed::Range { seen, masked, .. } => seen.contains(event) || masked.contains(event),
        _ => false,
    }
}

/// How a cell of the product differs from what it must be; `None` when it does not.
pub(crate) fn differs(
    history: &History,
    want: &CellView,
    have: Option<CellRef<'_>>,
) -> Option<String> {
    let versions = have.into_iter().flat_map(CellRef::versions);
    let held = versions.clone().count();
    if held != want.versions.len() {
        return Some(format!(
            "{held} versions instead of {}",
            want.versions.len()
        ));
    }
    for (version, no) in versions.zip(&want.versions) {
        let event = history.event(*no);
        if (version.dot.actor.0, version.dot.n) != (event.actor, event.n) {
            return Some(format!("the version {} is not live", version.dot));
        }
        let same = matches!(&event.deed, Deed::Put { stamp, deadline, value, .. }
            if version.hlc.0 == *stamp && version.deadline.0 == *deadline && *version.value == **value);
        if !same {
            return Some(format!("the version {} was written otherwise", version.dot));
        }
    }
    let chains = have.map_or(&[][..], CellRef::chains);
    let mut live = chains.iter().filter(|chain| !chain.is_dead());
    for want in &want.chains {
        let Some(chain) = live.next() else {
            return Some("a live chain is missing".to_owned());
        };
        if let Some(how) = chain_differs(history, want, chain) {
            return Some(how);
        }
    }
    live.next()
        .map(|chain| format!("the chain {:?} is not live", chain.id))
}

fn chain_differs(history: &History, want: &ChainView, chain: &Chain) -> Option<String> {
    if (chain.id.actor.0, chain.id.birth) != (want.actor, want.birth) {
        return Some(format!("the chain {:?} is not the one wanted", chain.id));
    }
    let same = match (chain.value(), want.value) {
        (Total::Int(have), Amount::Int(want)) => have == want,
        (Total::Float(have), Amount::Float(want)) => have.to_bits() == want.to_bits(),
        _ => false,
    };
    if !same {
        return Some(format!(
            "the chain {:?} counts {:?} instead of {:?}",
            chain.id,
            chain.value(),
            want.value
        ));
    }
    let top = history.event(want.top);
    let newest = matches!(top.deed, Deed::Inc { stamp, deadline, .. }
        if chain.top.n == top.n && chain.hlc.0 == stamp && chain.deadline.0 == deadline);
    (!newest).then(|| format!("the chain {:?} has another newest increment", chain.id))
}

/// What must be seen, for people.
pub(crate) fn render(history: &History, view: &CellView) -> String {
    let mut out = String::from("versions [");
    for no in &view.versions {
        let event = history.event(*no);
        let _ = write!(out, " {:04x}:{}", event.actor >> 48, event.n);
    }
    out.push_str(" ] chains [");
    for chain in &view.chains {
        let _ = write!(
            out,
            " {:04x}/{}={:?}",
            chain.actor >> 48,
            chain.birth,
            chain.value
        );
    }
    out.push_str(" ]");
    out
}
