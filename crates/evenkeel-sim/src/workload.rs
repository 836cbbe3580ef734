//! What clients do: sessions that hop between nodes, on few cells, in bursts.

use evenkeel_core::causality::Context;
use evenkeel_core::partition::{Acks, Write};
use evenkeel_core::types::{CellId, Deadline, Kind, Range, Total};

use crate::rng::{Rng, Stream};
use crate::swarm::{MS, OPERATIONS_MIN, Plan, SECOND, WorkPlan};
use crate::universe::{CellNo, Universe, value};

/// How many sessions there are.
const SESSIONS: usize = 6;

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Write {
        writes: Vec<Write>,
        acks: Acks,
    },
    Read {
        cell: CellNo,
        replicas: usize,
        after: Context,
    },
    Await {
        dots: Context,
        acks: Acks,
    },
}

/// A request of a session.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) session: usize,
    pub(crate) request: Request,
    /// How long the client waits.
    pub(crate) patience_us: u64,
}

/// The clients.
#[derive(Debug)]
pub(crate) struct Workload {
    plan: WorkPlan,
    /// How many members there are at the start.
    nodes: usize,
    /// When the last operation should be on its way.
    until_us: u64,
    /// Of how many operations the pace is.
    paced: u64,
    rng: Rng,
    tokens: Vec<Context>,
    issued: usize,
    burst_left: u64,
    serial: u64,
}

impl Workload {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.work,
            nodes: plan.members,
            // A little before the phase ends, so that all operations fall into it.
            until_us: plan.duration_us * 9 / 10,
            // Fewer operations, which shrinking asks for, are the first ones at the same pace.
            paced: plan.work.operations.max(OPERATIONS_MIN) as u64,
            rng: Rng::new(plan.seed, Stream::Work),
            tokens: vec![Context::default(); SESSIONS],
            issued: 0,
            burst_left: 0,
            serial: 0,
        }
    }

    /// How long until the next operation; `None` when all were issued.
    pub(crate) fn pause(&mut self, now_us: u64) -> Option<u64> {
        if self.issued >= self.plan.operations {
            return None;
        }
        let left = self.paced.saturating_sub(self.issued as u64).max(1);
        self.issued += 1;
        if self.burst_left > 0 {
            self.burst_left -= 1;
            return Some(self.rng.below(30 * MS));
        }
        let burst = self.rng.between(1, 2 * self.plan.burst);
        self.burst_left = burst - 1;
        // What the burst saves in time, the gap before it takes: by what is left, since a few long gaps of large bursts
        // would else outlast the phase, and what comes after it is never sent.
        let time_left = self.until_us.saturating_sub(now_us);
        Some(
            self.rng
                .below((2 * burst * time_left / left).min(time_left) + 1),
        )
    }

    /// The node that the next client talks to: an index into the `up` nodes.
    pub(crate) fn choose_node(&mut self, up: usize) -> usize {
        self.rng.index(up)
    }

    /// A session has seen or written this.
    pub(crate) fn learned(&mut self, session: usize, dots: &Context) {
        self.tokens[session].join(dots);
    }

    /// What a session has seen or written.
    pub(crate) fn token(&self, session: usize) -> &Context {
        &self.tokens[session]
    }

    /// A session and how long it waits, for a command.
    pub(crate) fn session(&mut self) -> (usize, u64) {
        (
            self.rng.index(SESSIONS),
            self.rng.spread(20 * MS, 3 * SECOND),
        )
    }

    /// What of an operation is no command: a read of a cell, or a wait for what the session has written.
    pub(crate) fn draw_question(&mut self, universe: &Universe) -> Operation {
        let (session, patience_us) = self.session();
        let request = if self.rng.chance(600) && !universe.cells().is_empty() {
            self.read(session, universe)
        } else {
            Request::Await {
                dots: self.tokens[session].clone(),
                acks: self.acks(),
            }
        };
        Operation {
            session,
            request,
            patience_us,
        }
    }

    /// Reads of sessions that carry their tokens to the node that they go to, for one operation.
    pub(crate) fn draw_hops(&mut self, universe: &Universe) -> Vec<Operation> {
        let hops = if universe.cells().is_empty() {
            0
        } else {
            self.plan.hops
        };
        (0..hops)
            .map(|_| {
                let (session, patience_us) = self.session();
                let request = Request::Read {
                    cell: self.cell(universe),
                    replicas: 1,
                    after: self.tokens[session].clone(),
                };
                Operation {
                    session,
                    request,
                    patience_us,
                }
            })
            .collect()
    }

    fn read(&mut self, session: usize, universe: &Universe) -> Request {
        Request::Read {
            cell: self.cell(universe),
            replicas: if self.rng.chance(500) {
                1
            } else {
                1 + self.rng.index(self.nodes)
            },
            after: if self.rng.chance(500) {
                self.tokens[session].clone()
            } else {
                Context::default()
            },
        }
    }

    /// The next operation.
    pub(crate) fn draw(&mut self, universe: &Universe) -> Operation {
        let session = self.rng.index(SESSIONS);
        let request = match self.rng.below(100) {
            0..=79 => self.write(universe),
            80..=95 => self.read(session, universe),
            _ => Request::Await {
                dots: self.tokens[session].clone(),
                acks: self.acks(),
            },
        };
        Operation {
            session,
            request,
            patience_us: self.rng.spread(20 * MS, 3 * SECOND),
        }
    }

    pub(crate) fn acks(&mut self) -> Acks {
        Acks {
            members: 1 + self.rng.index(self.nodes),
            durable: self.rng.chance(500),
        }
    }

    fn write(&mut self, universe: &Universe) -> Request {
        let length = if self.rng.chance(700) {
            1
        } else {
            2 + self.rng.index(3)
        };
        let acks = if self.rng.chance(750) {
            Acks::ONE
        } else {
            self.acks()
        };
        Request::Write {
            writes: (0..length).map(|_| self.change(universe)).collect(),
            acks,
        }
    }

    /// Low numbers more often: the smaller of two draws.
    fn cell(&mut self, universe: &Universe) -> CellNo {
        let cells = universe.cells().len();
        self.rng.index(cells).min(self.rng.index(cells))
    }

    fn change(&mut self, universe: &Universe) -> Write {
        let cell = self.cell(universe);
        let id = universe.id(cell).clone();
        let deadline = self.deadline();
        let plan = self.plan;
        let draw = self
            .rng
            .below(plan.set + plan.add + plan.remove + plan.clear);
        self.serial += 1;
        // Deadlines are registers only; one key has nothing but a floating-point counter.
        if draw < plan.set || (id.name.kind == Kind::Deadline && draw < plan.set + plan.add) {
            let member = id.name.kind == Kind::Set && self.rng.chance(700);
            Write::Set {
                value: if member {
                    Box::default()
                } else {
                    value(cell, self.serial)
                },
                cell: id,
                deadline,
            }
        } else if draw < plan.set + plan.add {
            Write::Add {
                amount: self.amount(&id),
                cell: id,
                deadline,
            }
        } else if draw < plan.set + plan.add + plan.remove {
            Write::Remove { cell: id }
        } else {
            Write::Clear {
                range: self.range(&id, universe),
            }
        }
    }

    fn deadline(&mut self) -> Deadline {
        if self.rng.chance(900) {
            Deadline::NEVER
        } else {
            Deadline(1_790_000_000_000 + self.rng.below(100_000))
        }
    }

    fn amount(&mut self, id: &CellId) -> Total {
        let whole = i64::try_from(self.rng.between(1, 9)).unwrap_or(1);
        let signed = if self.rng.chance(300) { -whole } else { whole };
        if id.key.starts_with(b"flt") {
            // Quarters: sums are exact whatever the order.
            let quarters = i32::try_from(signed).unwrap_or(1);
            Total::Float(f64::from(quarters) / 4.0)
        } else {
            Total::Int(i128::from(signed))
        }
    }

    fn range(&mut self, id: &CellId, universe: &Universe) -> Range {
        match self.rng.below(100) {
            0..=74 => Range::Key(id.key.clone()),
            75..=91 => {
                let (low, high) = (self.rng.between(0, 3), self.rng.between(1, 4));
                let letter = |n: u64| Box::from([b'a' + u8::try_from(n).unwrap_or(0)]);
                Range::Fields {
                    key: id.key.clone(),
                    kind: id.name.kind,
                    from: if id.name.field.is_empty() {
                        Box::default()
                    } else {
                        letter(low)
                    },
                    to: (high > low && self.rng.chance(700)).then(|| letter(high)),
                }
            }
            92..=96 => {
                let other = &universe.id(self.cell(universe)).key;
                Range::Keys {
                    from: id.key.clone().min(other.clone()),
                    to: Some(id.key.clone().max(other.clone())),
                }
            }
            _ => Range::all(),
        }
    }
}
