//! The global history: every event ever minted, in plain form.
//!
//! Invariants: a dot names one event for ever (I3); numbers of an actor are consecutive; what an event names was
//! minted before it.

use evenkeel_core::causality::{Context, Dot};
use evenkeel_core::event::{Batch, Op};
use evenkeel_core::partition::Write;
use evenkeel_core::types::{CellId, Reset as CoreReset, Total};

use super::event_set::EventSet;
use crate::universe::{CellNo, CellSet, Universe};

/// An event, numbered in the order of minting.
pub(crate) type EventNo = u32;

/// What a client added to a counter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Amount {
    Int(i128),
    /// Clients add only multiples of a quarter, so sums are exact in any order.
    Float(f64),
}

/// "I saw this chain up to here."
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Reset {
    pub(crate) actor: u64,
    pub(crate) birth: u64,
    pub(crate) upto: u64,
}

/// What an event does.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Put {
        cell: CellNo,
        stamp: u64,
        deadline: u64,
        value: Box<[u8]>,
        rem: Vec<EventNo>,
        resets: Vec<Reset>,
    },
    Rem {
        cell: CellNo,
        rem: Vec<EventNo>,
        resets: Vec<Reset>,
    },
    Inc {
        cell: CellNo,
        stamp: u64,
        deadline: u64,
        birth: u64,
        amount: Amount,
    },
    Range {
        cells: CellSet,
        /// Its issuer's context.
        seen: EventSet,
        /// What had not reached its issuer and was known there to be dead by earlier range deletes.
        masked: EventSet,
        resets: Vec<(CellNo, Reset)>,
    },
}

impl Deed {
    /// The cells it targets.
    pub(crate) const fn cells(&self) -> CellSet {
        match self {
            Self::Put { cell, .. } | Self::Rem { cell, .. } | Self::Inc { cell, .. } => {
                CellSet::one(*cell)
            }
            Self::Range { cells, .. } => *cells,
        }
    }

    /// Whether it targets one of `cells`.
    pub(crate) fn meets(&self, cells: &CellSet) -> bool {
        match self {
            Self::Put { cell, .. } | Self::Rem { cell, .. } | Self::Inc { cell, .. } => {
                cells.contains(*cell)
            }
            Self::Range { cells: own, .. } => own.meets(cells),
        }
    }
}

/// An event under its dot.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) actor: u64,
    pub(crate) n: u64,
    pub(crate) deed: Deed,
    /// The first event of its batch.
    first: EventNo,
}

/// An increment of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Increment {
    pub(crate) n: u64,
    pub(crate) event: EventNo,
    pub(crate) amount: Amount,
    /// The sum of the chain's amounts so far, as its owner wrote it.
    total: Amount,
}

/// A chain of one cell: its owner, its birth, its increments in the order of minting.
#[derive(Clone, Debug)]
pub(crate) struct ChainLog {
    pub(crate) actor: u64,
    pub(crate) birth: u64,
    pub(crate) increments: Vec<Increment>,
}

/// What ever happened to one cell.
#[derive(Clone, Default, Debug)]
pub(crate) struct CellLog {
    pub(crate) events: Vec<EventNo>,
    pub(crate) chains: Vec<ChainLog>,
}

/// Everything that ever happened.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) universe: Universe,
    events: Vec<Event>,
    /// The first event of the batch that is being learned.
    first: EventNo,
    /// Per actor, ascending: its events, the one numbered `n` at `n - 1`.
    actors: Vec<(u64, Vec<EventNo>)>,
    cells: Vec<CellLog>,
}

impl History {
    /// Nothing happened yet.
    pub(crate) fn new(universe: Universe) -> Self {
        let cells = vec![CellLog::default(); universe.cells().len()];
        Self {
            universe,
            events: Vec::new(),
            first: 0,
            actors: Vec::new(),
            cells,
        }
    }

    /// The event with this number.
    pub(crate) fn event(&self, event: EventNo) -> &Event {
        &self.events[event as usize]
    }

    /// The events that were minted in one batch with this one.
    pub(crate) fn batch_of(&self, event: EventNo) -> impl Iterator<Item = EventNo> {
        let first = self.event(event).first;
        let same = move |other: &EventNo| self.events[*other as usize].first == first;
        let end = EventNo::try_from(self.events.len()).unwrap_or(EventNo::MAX);
        (first..end).take_while(same)
    }

    /// How many events were minted.
    pub(crate) const fn len(&self) -> usize {
        self.events.len()
    }

    /// What happened to a cell.
    pub(crate) fn cell(&self, cell: CellNo) -> &CellLog {
        &self.cells[cell]
    }

    /// The event that a dot names, if it was minted.
    pub(crate) fn find(&self, dot: Dot) -> Option<EventNo> {
        let at = self
            .actors
            .binary_search_by_key(&dot.actor.0, |entry| entry.0)
            .ok()?;
        let index = usize::try_from(dot.n.checked_sub(1)?).ok()?;
        self.actors[at].1.get(index).copied()
    }

    /// A context of the product as a set of events; an error names a dot that nobody minted.
    pub(crate) fn set_of(&self, context: &Context) -> Result<EventSet, Dot> {
        let mut set = EventSet::default();
        self.each_of(context, |event| {
            set.insert(event);
        })?;
        Ok(set)
    }

    /// Calls `each` for the events of a context; an error names a dot that nobody minted.
    pub(crate) fn each_of(
        &self,
        context: &Context,
        mut each: impl FnMut(EventNo),
    ) -> Result<(), Dot> {
        for run in context.runs() {
            let last = Dot::new(run.actor, run.last);
            self.find(last).ok_or(last)?;
            for dot in run.dots() {
                each(self.find(dot).ok_or(dot)?);
            }
        }
        Ok(())
    }

    /// Learns the events of a batch, minted for the writes of a client.
    ///
    /// # Errors
    /// When the batch does not do what the client asked for, or breaks an invariant of this type.
    pub(crate) fn learn(
        &mut self,
        batch: &Batch,
        writes: &[Write],
    ) -> Result<Vec<EventNo>, String> {
        self.begin_batch()?;
        let mut asked = writes.iter();
        let mut minted = Vec::new();
        for (n, op) in (batch.first..).zip(&batch.ops) {
            let write = asked
                .by_ref()
                .find(|write| !may_do_nothing(write) || answers(write, op))
                .filter(|write| answers(write, op))
                .ok_or_else(|| format!("the event {op:?} was not asked for by {writes:?}"))?;
            let amount = match write {
                Write::Add { amount, .. } => Some(plain(*amount)),
                _ => None,
            };
            let deed = self.deed(batch.actor.0, op, amount)?;
            minted.push(self.mint(Dot::new(batch.actor, n), deed, op)?);
        }
        match asked.find(|write| !may_do_nothing(write)) {
            Some(write) => Err(format!("no event was minted for {write:?}")),
            None => Ok(minted),
        }
    }

    /// Learns the events of a batch that a command minted: what it had to do is judged by what it shows, and an
    /// amount is what it adds to its chain's total.
    ///
    /// # Errors
    /// When the batch breaks an invariant of this type.
    pub(crate) fn learn_command(&mut self, batch: &Batch) -> Result<Vec<EventNo>, String> {
        self.begin_batch()?;
        let mut minted = Vec::new();
        for (n, op) in (batch.first..).zip(&batch.ops) {
            let deed = self.deed(batch.actor.0, op, None)?;
            minted.push(self.mint(Dot::new(batch.actor, n), deed, op)?);
        }
        Ok(minted)
    }

    fn begin_batch(&mut self) -> Result<(), String> {
        let next = EventNo::try_from(self.events.len());
        self.first = next.map_err(|error| error.to_string())?;
        Ok(())
    }

    fn mint(&mut self, dot: Dot, deed: Deed, op: &Op) -> Result<EventNo, String> {
        let no = EventNo::try_from(self.events.len()).map_err(|error| error.to_string())?;
        let actor = dot.actor.0;
        let at = self
            .actors
            .binary_search_by_key(&actor, |entry| entry.0)
            .unwrap_or_else(|at| {
                self.actors.insert(at, (actor, Vec::new()));
                at
            });
        let numbers = &mut self.actors[at].1;
        let next = numbers.len() as u64 + 1;
        if dot.n < next {
            return Err(format!("dot {dot} was minted twice"));
        }
        if dot.n > next {
            return Err(format!("dot {dot} was minted, and {next} is next"));
        }
        numbers.push(no);
        for cell in deed.cells().iter() {
            self.cells[cell].events.push(no);
        }
        if let (
            Deed::Inc {
                cell,
                birth,
                amount,
                ..
            },
            Op::Inc(inc),
        ) = (&deed, op)
        {
            let increment = Increment {
                n: dot.n,
                event: no,
                amount: *amount,
                total: plain(inc.total),
            };
            self.extend(*cell, (actor, *birth), increment);
        }
        self.events.push(Event {
            actor,
            n: dot.n,
            deed,
            first: self.first,
        });
        Ok(no)
    }

    fn extend(&mut self, cell: CellNo, (actor, birth): (u64, u64), increment: Increment) {
        let chains = &mut self.cells[cell].chains;
        let found = chains
            .iter()
            .position(|chain| chain.actor == actor && chain.birth == birth);
        let at = found.unwrap_or_else(|| {
            chains.push(ChainLog {
                actor,
                birth,
                increments: Vec::new(),
            });
            chains.len() - 1
        });
        chains[at].increments.push(increment);
    }

    /// The number of a cell, with its log.
    fn number(&mut self, id: &CellId) -> Result<CellNo, String> {
        let cell = self.universe.number(id);
        let cell =
            cell.ok_or_else(|| format!("an event for the cell {id}, which no client touches"))?;
        if self.cells.len() <= cell {
            self.cells.resize(cell + 1, CellLog::default());
        }
        Ok(cell)
    }

    fn deed(&mut self, actor: u64, op: &Op, amount: Option<Amount>) -> Result<Deed, String> {
        Ok(match op {
            Op::Put(put) => Deed::Put {
                cell: self.number(&put.cell)?,
                stamp: put.hlc.0,
                deadline: put.deadline.0,
                value: put.value.clone(),
                rem: self.observed(&put.rem)?,
                resets: put.resets.iter().map(reset).collect(),
            },
            Op::Rem(rem) => Deed::Rem {
                cell: self.number(&rem.cell)?,
                rem: self.observed(&rem.rem)?,
                resets: rem.resets.iter().map(reset).collect(),
            },
            Op::Inc(inc) => {
                let cell = self.number(&inc.cell)?;
                let total = plain(inc.total);
                let amount = amount.unwrap_or_else(|| {
                    let mut chains = self.cells[cell].chains.iter();
                    let chain = chains.find(|it| it.actor == actor && it.birth == inc.birth);
                    let before = chain.and_then(|chain| chain.increments.last());
                    before.map_or(total, |before| minus(total, before.total))
                });
                Deed::Inc {
                    cell,
                    stamp: inc.hlc.0,
                    deadline: inc.deadline.0,
                    birth: inc.birth,
                    amount,
                }
            }
            Op::RangeDel(del) => {
                let mut resets = Vec::with_capacity(del.resets.len());
                for (cell, mark) in &del.resets {
                    resets.push((self.number(cell)?, reset(mark)));
                }
                let mut masked = EventSet::default();
                for (range, dots) in &del.masks {
                    // A mask over a part of the range speaks of the cells in that part only.
                    let cells = self.universe.covered(range);
                    let dots = self.set_of(dots).map_err(unminted)?;
                    let inside = |event: &EventNo| match &self.event(*event).deed {
                        Deed::Range { .. } => false,
                        deed => deed.meets(&cells),
                    };
                    masked.join(&dots.iter().filter(inside).collect());
                }
                Deed::Range {
                    cells: self.universe.covered(&del.range),
                    seen: self.set_of(&del.context).map_err(unminted)?,
                    masked,
                    resets,
                }
            }
        })
    }

    fn observed(&self, dots: &[Dot]) -> Result<Vec<EventNo>, String> {
        dots.iter()
            .map(|dot| self.find(*dot).ok_or_else(|| unminted(*dot)))
            .collect()
    }
}

fn unminted(dot: Dot) -> String {
    format!("the event names the dot {dot}, which nobody minted")
}

const fn reset(mark: &CoreReset) -> Reset {
    Reset {
        actor: mark.chain.actor.0,
        birth: mark.chain.birth,
        upto: mark.upto.n,
    }
}

/// A number of the product.
const fn plain(total: Total) -> Amount {
    match total {
        Total::Int(number) => Amount::Int(number),
        Total::Float(number) => Amount::Float(number),
    }
}

fn minus(later: Amount, earlier: Amount) -> Amount {
    match (later, earlier) {
        (Amount::Int(a), Amount::Int(b)) => Amount::Int(a.saturating_sub(b)),
        (Amount::Float(a), Amount::Float(b)) => Amount::Float(a - b),
        (whole, _) => whole,
    }
}

const fn may_do_nothing(write: &Write) -> bool {
    matches!(
        write,
        Write::Remove { .. } | Write::Expire { .. } | Write::Clear { .. }
    )
}

fn answers(write: &Write, op: &Op) -> bool {
    match (write, op) {
        (
            Write::Set {
                cell,
                value,
                deadline,
            },
            Op::Put(put),
        ) => *cell == put.cell && *value == put.value && *deadline == put.deadline,
        (Write::Remove { cell } | Write::Expire { cell, .. }, Op::Rem(rem)) => *cell == rem.cell,
        (Write::Add { cell, deadline, .. }, Op::Inc(inc)) => {
            *cell == inc.cell && *deadline == inc.deadline
        }
        (Write::Clear { range }, Op::RangeDel(del)) => *range == del.range,
        _ => false,
    }
}
