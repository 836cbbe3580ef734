//! Client requests that wait: for acknowledgements, for other replicas' answers, for a token to be reached.
//!
//! Invariant: every request is answered exactly once, at its deadline at the latest.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Acks, Effect, Partition, Reply};
use crate::causality::Context;
use crate::id::{NodeId, Ticket};
use crate::limits::PENDING_MAX;
use crate::membership::Role;
use crate::message::{Message, Nonce, Unit};
use crate::time::{Instant, Now};
use crate::types::{Cell, CellId, CellRef};
use crate::wire::encode;

/// A request that waits.
#[derive(Clone, Debug)]
struct Waiting {
    deadline: Instant,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// A write, for its acknowledgements.
    Write { dots: Context, acks: Acks },
    /// WAIT or WAITAOF.
    Await { dots: Context, acks: Acks },
    /// A read, for its token and for other replicas.
    Read(Box<Read>),
}

#[derive(Clone, Debug)]
struct Read {
    cell: CellId,
    replicas: usize,
    after: Context,
    nonce: Nonce,
    answers: BTreeMap<NodeId, (Unit, Context)>,
}

/// The requests that wait, by ticket.
#[derive(Clone, Default, Debug)]
pub(super) struct Pending {
    waiting: BTreeMap<Ticket, Waiting>,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.deadline).min()
    }

    /// Whether a read waits for dots that are not here.
    pub(super) fn wants_more_than(&self, context: &Context) -> bool {
        let read = |what: &What| matches!(what, What::Read(read) if !read.after.is_subset(context));
        self.waiting.values().any(|waiting| read(&waiting.what))
    }
}

/// A request as it comes in: who asks and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) ticket: Ticket,
    pub(super) deadline: Instant,
}

impl Partition {
    /// Answers a write that is applied already, now or when enough members hold it.
    pub(super) fn await_write(
        &mut self,
        asked: Asked,
        dots: Context,
        acks: Acks,
        effects: &mut Vec<Effect>,
    ) {
        if dots.is_empty() || (acks.members <= 1 && !acks.durable) {
            effects.push(Effect::Reply {
                ticket: asked.ticket,
                reply: Reply::Written { dots },
            });
            return;
        }
        self.enqueue(asked, What::Write { dots, acks }, effects);
    }

    /// Answers WAIT or WAITAOF, now or when enough members hold the dots.
    pub(super) fn await_dots(
        &mut self,
        asked: Asked,
        dots: Context,
        acks: Acks,
        effects: &mut Vec<Effect>,
    ) {
        self.enqueue(asked, What::Await { dots, acks }, effects);
    }

    /// Answers a read, now or when its token and enough replicas are there.
    pub(super) fn read(
        &mut self,
        asked: Asked,
        (cell, replicas): (CellId, usize),
        after: Context,
        effects: &mut Vec<Effect>,
    ) {
        let nonce = self.draw_nonce();
        if replicas > 1 {
            let message = Message::ReadRequest {
                nonce,
                cell: cell.clone(),
            };
            let frame = Bytes::from(encode(self.head(), &message));
            let up = self.peers.active().filter(|(_, peer)| peer.up);
            effects.extend(up.map(|(to, _)| Effect::Send {
                to,
                frame: frame.clone(),
            }));
        }
        let read = Read {
            cell,
            replicas,
            after,
            nonce,
            answers: BTreeMap::new(),
        };
        self.enqueue(asked, What::Read(Box::new(read)), effects);
    }

    fn enqueue(&mut self, asked: Asked, what: What, effects: &mut Vec<Effect>) {
        let waiting = Waiting {
            deadline: asked.deadline,
            what,
        };
        if let Some(reply) = self.answer(&waiting.what) {
            effects.push(Effect::Reply {
                ticket: asked.ticket,
                reply,
            });
            return;
        }
        if self.pending.len() >= PENDING_MAX {
            let dots = if let What::Write { dots, .. } = waiting.what {
                dots
            } else {
                Context::default()
            };
            effects.push(Effect::Reply {
                ticket: asked.ticket,
                reply: Reply::Overloaded { dots },
            });
            return;
        }
        // What others hold decides when it can be answered, and from whom the missing is fetched.
        let asks = match &waiting.what {
            What::Write { .. } | What::Await { .. } => true,
            What::Read(read) => !read.after.is_subset(self.replica.context()),
        };
        if asks {
            let frame = Bytes::from(encode(self.head(), &Message::AdvertRequest));
            effects.extend(self.peers.up().map(|to| Effect::Send {
                to,
                frame: frame.clone(),
            }));
        }
        self.pending.waiting.insert(asked.ticket, waiting);
    }

    /// Another member asks for a cell.
    pub(super) fn serve_read(
        &self,
        from: NodeId,
        nonce: Nonce,
        cell: CellId,
        effects: &mut Vec<Effect>,
    ) {
        let state = self.replica.state_for_unit(&cell);
        let extra = self.replica.overlay(&cell);
        let unit = Box::new(Unit {
            cell,
            state,
            extra,
            covered: Context::default(),
        });
        let context = self.replica.context().clone();
        self.send(
            from,
            &Message::ReadAnswer {
                nonce,
                context,
                unit,
            },
            effects,
        );
    }

    /// Another member answers one of our reads. A stale nonce matches no read and changes nothing.
    pub(super) fn read_answered(
        &mut self,
        from: NodeId,
        nonce: Nonce,
        context: Context,
        unit: Unit,
    ) {
        for waiting in self.pending.waiting.values_mut() {
            if let What::Read(read) = &mut waiting.what
                && read.nonce == nonce
                && read.cell == unit.cell
            {
                read.answers.insert(from, (unit, context));
                return;
            }
        }
    }

    /// Answers whatever can be answered by now, and what is over its deadline.
    pub(super) fn settle_pending(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.pending.waiting.is_empty() {
            return;
        }
        let mut done = Vec::new();
        for (ticket, waiting) in &self.pending.waiting {
            let late = waiting.deadline <= now.instant;
            let reply = self
                .answer(&waiting.what)
                .or_else(|| late.then(|| self.give_up(&waiting.what)));
            done.extend(reply.map(|reply| (*ticket, reply)));
        }
        for (ticket, reply) in done {
            self.pending.waiting.remove(&ticket);
            effects.push(Effect::Reply { ticket, reply });
        }
    }

    fn answer(&self, what: &What) -> Option<Reply> {
        match what {
            What::Write { dots, acks } => (self.reached(dots, *acks) >= acks.members)
                .then(|| Reply::Written { dots: dots.clone() }),
            What::Await { dots, acks } => {
                let members = self.reached(dots, *acks);
                (members >= acks.members).then_some(Reply::Reached { members })
            }
            What::Read(read) => self.joined(read),
        }
    }

    fn give_up(&self, what: &What) -> Reply {
        match what {
            What::Write { dots, acks } => Reply::Unmet {
                dots: dots.clone(),
                reached: self.reached(dots, *acks),
            },
            What::Await { dots, acks } => Reply::Reached {
                members: self.reached(dots, *acks),
            },
            What::Read(read) => Reply::Behind {
                missing: read.after.difference(self.replica.context()),
                reached: 1 + self.answers(read).count(),
            },
        }
    }

    /// The answers of members that count, to a read.
    fn answers<'a>(&'a self, read: &'a Read) -> impl Iterator<Item = &'a (Unit, Context)> {
        let counts = |node| {
            self.peers
                .get(node)
                .is_some_and(super::peers::Peer::is_active)
        };
        let answers = read.answers.iter();
        answers.filter_map(move |(node, answer)| counts(*node).then_some(answer))
    }

    /// How many active members hold the dots, as their adverts prove; at least this replica, whatever its part.
    fn reached(&self, dots: &Context, acks: Acks) -> usize {
        let here = if acks.durable {
            &self.durable
        } else {
            self.replica.context()
        };
        let there = |peer: &super::peers::Peer| {
            dots.is_subset(if acks.durable {
                &peer.durable
            } else {
                &peer.applied
            })
        };
        let here = usize::from(dots.is_subset(here));
        let there = self.peers.active().filter(|(_, peer)| there(peer)).count();
        if self.role() == Role::Active {
            here + there
        } else {
            here.max(there)
        }
    }

    /// The join of this replica's cell with the answers: exactly the state of the united contexts (replication.md 2.3).
    fn joined(&self, read: &Read) -> Option<Reply> {
        if 1 + self.answers(read).count() < read.replicas {
            return None;
        }
        let mut context = self.replica.context().clone();
        self.answers(read)
            .for_each(|(_, theirs)| context.join(theirs));
        if !read.after.is_subset(&context) {
            return None;
        }
        let held = self.replica.cell(&read.cell).map(CellRef::to_cell);
        let mut cell = held.unwrap_or_default().into_owned();
        let mut known = Context::default();
        for (unit, theirs) in self.answers(read) {
            cell.join(
                &unit.state,
                |dot| theirs.contains(dot) || unit.extra.contains(dot),
                |dot| known.contains(dot) || self.replica.knows(&read.cell, dot),
            );
            known.join(theirs);
            known.join(&unit.extra);
        }
        Some(Reply::Value {
            cell: visible(cell),
            context,
        })
    }
}

/// What of a cell a client is shown: no overlay, no residue.
fn visible(mut cell: Cell) -> Cell {
    cell.clear_pre();
    cell.retain_chains(|chain| !chain.is_dead());
    cell
}
