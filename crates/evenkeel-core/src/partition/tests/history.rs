//! The specification: what a partition shows, as a function of the set of events alone (replication.md 3.3).
//!
//! Written without any of the replica's code: removals and resets are looked up in the whole history.

use std::collections::BTreeMap;

use crate::causality::{Context, Dot};
use crate::event::{Inc, Op, RangeDel};
use crate::types::{CellId, CellRef, ChainId, Reset, Total, Version, VersionRef};

/// Every event that was ever minted.
#[derive(Clone, Default, Debug)]
pub(super) struct History {
    events: BTreeMap<Dot, Op>,
}

/// What a reader can see of a cell: versions by dot, and what each live chain adds.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Shown {
    pub(super) versions: Vec<Version>,
    pub(super) chains: BTreeMap<ChainId, f64>,
}

impl History {
    pub(super) fn note(&mut self, dot: Dot, op: Op) {
        self.events.insert(dot, op);
    }

    /// Every cell that any event names.
    pub(super) fn cells(&self) -> Vec<CellId> {
        let mut cells: Vec<CellId> = self
            .events
            .values()
            .filter_map(|op| target(op).cloned())
            .collect();
        cells.sort();
        cells.dedup();
        cells
    }

    /// What the events of `context` amount to at `cell`.
    pub(super) fn shown(&self, cell: &CellId, context: &Context) -> Shown {
        let applied: Vec<(Dot, &Op)> = self
            .events
            .iter()
            .filter(|(dot, _)| context.contains(**dot))
            .map(|(dot, op)| (*dot, op))
            .collect();
        let mut shown = Shown::default();
        for (dot, op) in &applied {
            match op {
                Op::Put(put) if put.cell == *cell && !removed(&applied, cell, *dot) => {
                    shown.versions.push(Version {
                        dot: *dot,
                        hlc: put.hlc,
                        deadline: put.deadline,
                        value: put.value.clone(),
                    });
                }
                Op::Inc(inc) if inc.cell == *cell => {
                    let chain = ChainId {
                        actor: dot.actor,
                        birth: inc.birth,
                    };
                    let seen = self.seen_upto(&applied, cell, chain);
                    // Dots ascend: the last increment applied decides.
                    if dot.n > seen {
                        let sum = self.sum(chain, cell, seen, dot.n);
                        shown.chains.insert(chain, sum);
                    }
                }
                _ => {}
            }
        }
        shown
    }

    /// The farthest increment of `chain` that an applied removal had seen; 0 when none.
    fn seen_upto(&self, applied: &[(Dot, &Op)], cell: &CellId, chain: ChainId) -> u64 {
        let mut seen = 0;
        let listed = |resets: &[Reset]| {
            let of_chain = resets.iter().filter(|reset| reset.chain == chain);
            of_chain.map(|reset| reset.upto.n).max().unwrap_or(0)
        };
        for (_, op) in applied {
            match op {
                Op::Put(put) if put.cell == *cell => seen = seen.max(listed(&put.resets)),
                Op::Rem(rem) if rem.cell == *cell => seen = seen.max(listed(&rem.resets)),
                Op::RangeDel(del) if del.range.contains(cell) => {
                    let increments = self.increments(chain, cell);
                    let known = increments
                        .map(|(n, _)| n)
                        .filter(|n| saw(del, cell, Dot::new(chain.actor, *n)));
                    seen = seen.max(known.max().unwrap_or(0));
                    // It also passes on resets of increments that its issuer has not applied itself.
                    let of_chain =
                        |(id, reset): &&(CellId, Reset)| id == cell && reset.chain == chain;
                    let passed_on = del.resets.iter().filter(of_chain);
                    seen = seen.max(passed_on.map(|(_, reset)| reset.upto.n).max().unwrap_or(0));
                }
                _ => {}
            }
        }
        seen
    }

    fn increments<'a>(
        &'a self,
        chain: ChainId,
        cell: &'a CellId,
    ) -> impl Iterator<Item = (u64, &'a Inc)> {
        self.events.iter().filter_map(move |(dot, op)| match op {
            Op::Inc(inc)
                if dot.actor == chain.actor && inc.birth == chain.birth && inc.cell == *cell =>
            {
                Some((dot.n, inc))
            }
            _ => None,
        })
    }

    /// The single amounts of the increments `after < n <= upto`, added up one by one.
    fn sum(&self, chain: ChainId, cell: &CellId, after: u64, upto: u64) -> f64 {
        let mut before = 0.0;
        let mut sum = 0.0;
        for (n, inc) in self.increments(chain, cell) {
            let amount = number(inc.total) - before;
            before = number(inc.total);
            if after < n && n <= upto {
                sum += amount;
            }
        }
        sum
    }
}

fn target(op: &Op) -> Option<&CellId> {
    match op {
        Op::Put(put) => Some(&put.cell),
        Op::Rem(rem) => Some(&rem.cell),
        Op::Inc(inc) => Some(&inc.cell),
        Op::RangeDel(_) => None,
    }
}

/// What the issuer of a range delete had seen of a cell in it, or knew to be dead.
fn saw(del: &RangeDel, cell: &CellId, dot: Dot) -> bool {
    let masks = del.masks.iter().filter(|(range, _)| range.contains(cell));
    masks
        .map(|(_, dots)| dots)
        .chain([&del.context])
        .any(|dots| dots.contains(dot))
}

fn removed(applied: &[(Dot, &Op)], cell: &CellId, dot: Dot) -> bool {
    applied.iter().any(|(_, op)| match op {
        Op::Put(put) => put.cell == *cell && put.rem.contains(&dot),
        Op::Rem(rem) => rem.cell == *cell && rem.rem.contains(&dot),
        Op::RangeDel(del) => del.range.contains(cell) && saw(del, cell, dot),
        Op::Inc(_) => false,
    })
}

/// A total as a float: exact for the small numbers and quarters of the tests.
pub(super) fn number(total: Total) -> f64 {
    match total {
        Total::Int(value) => i32::try_from(value).map_or(f64::NAN, f64::from),
        Total::Float(value) => value,
    }
}

/// What a replica's cell shows.
pub(super) fn shown_by<'a>(cell: impl Into<CellRef<'a>>) -> Shown {
    let cell = cell.into();
    Shown {
        versions: cell.versions().map(VersionRef::to_version).collect(),
        chains: cell
            .chains()
            .iter()
            .filter(|chain| !chain.is_dead())
            .map(|chain| (chain.id, number(chain.value())))
            .collect(),
    }
}
