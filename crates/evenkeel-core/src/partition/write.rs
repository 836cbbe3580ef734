//! A client's write: mint dots, apply, log, send.
//!
//! Invariants: every change takes its own dot, consecutive within a batch; an event lists all that its writer saw
//! of its cell; the batch is one record and one frame, so it is applied whole or not at all. Between opening and
//! closing a batch nothing else happens to the partition: whoever opens one owns it and closes it on every path.

use bytes::Bytes;

#[cfg(doc)]
use super::Replica;
use super::store::kinds_of;
use super::{Effect, Partition, Write};
use crate::bug::Bug;
use crate::causality::{Context, Dot, Hlc};
use crate::event::{Batch, Inc, Observed, Op, Put, RangeDel, Rem};
use crate::id::ActorId;
use crate::limits::RANGE_RESETS_BYTES_MAX;
use crate::message::{Head, Message, Note};
use crate::time::{Now, WallMs};
use crate::types::{CellId, CellRef, Chain, ChainId, Deadline, Key, Range, Reset, Total};
use crate::wire::{BatchEncoder, decode, encode, encode_note};

/// What an entry of a range delete's list takes on the wire beside its cell's name, at most.
const RESET_FIXED_BYTES: usize = 64;

impl Partition {
    /// Begins a batch, empty. What is put into it is applied here and known to nobody else before
    /// [`Self::close_batch`].
    pub(crate) const fn open_batch(&self) -> BatchEncoder {
        BatchEncoder::new(self.minter.actor(), self.minter.next())
    }

    /// Applies changes as a part of an open batch, in order, each seeing the ones before.
    pub(crate) fn extend_batch(
        &mut self,
        now: Now,
        batch: &mut BatchEncoder,
        writes: impl IntoIterator<Item = Write>,
    ) {
        for write in writes {
            match write {
                Write::Set {
                    cell,
                    value,
                    deadline,
                } => {
                    let op = self.put(now.wall, cell, value, deadline);
                    self.mint_one(batch, op);
                }
                Write::Add {
                    cell,
                    amount,
                    deadline,
                } => {
                    let op = self.inc(now.wall, (cell, amount, deadline), batch.next_dot());
                    self.mint_one(batch, op);
                }
                Write::Remove { cell } => {
                    if let Some(op) = self.rem(cell) {
                        self.mint_one(batch, op);
                    }
                }
                Write::Expire { cell, at }
                    if self.settings.switches.breaks(Bug::ExpiredRestamped) =>
                {
                    if let Some(op) = self.written_anew(now.wall, cell, at) {
                        self.mint_one(batch, op);
                    }
                }
                Write::Expire { cell, at } => {
                    if let Some(op) = self.expired(cell, at) {
                        self.mint_one(batch, op);
                    }
                }
                Write::Clear { range } => {
                    for part in self.split(range) {
                        if let Some(op) = self.range_del(part) {
                            self.mint_one(batch, op);
                        }
                    }
                }
            }
        }
    }

    /// Files a key under the earliest deadline of what it holds: [`Replica::expiring`] may have it too early.
    pub fn refile_deadline(&mut self, key: &Key) {
        self.replica.store.refile(key);
    }

    /// Applies a batch; gives its dots, none when there was nothing to do.
    pub(super) fn mint(
        &mut self,
        now: Now,
        writes: impl IntoIterator<Item = Write>,
        effects: &mut Vec<Effect>,
    ) -> Context {
        let mut batch = self.open_batch();
        self.extend_batch(now, &mut batch, writes);
        self.close_batch(now, batch, effects)
    }

    fn mint_one(&mut self, batch: &mut BatchEncoder, op: Op) {
        let dot = batch.next_dot();
        batch.push(&op);
        let new = self.replica.apply(dot, op);
        assert!(
            new,
            "dot {dot} minted twice: the incarnation was not drawn anew at the start"
        );
    }

    /// Ends a batch: hands it to the log and to every member whose link is up; gives its dots, none when there was
    /// nothing to do. What an acknowledgement needs beyond that is asked for with [`super::Input::Await`].
    pub(crate) fn close_batch(
        &mut self,
        now: Now,
        batch: BatchEncoder,
        effects: &mut Vec<Effect>,
    ) -> Context {
        let mut dots = Context::default();
        let Some(run) = batch.run() else {
            return dots;
        };
        assert_eq!(
            run.first,
            self.minter.next(),
            "two batches were open at once, or one was not closed"
        );
        dots.insert_run(run);
        self.minter.go_on_with(run.last + 1);
        self.arrived(now, &dots);
        if let Some(bound) = self.clock.reserve(now.wall) {
            let record = encode_note(self.head(), &Note::ClockBound { bound });
            effects.push(Effect::Persist {
                record: record.into(),
                dots: Context::default(),
            });
        }
        let head = Head {
            sender: self.actor(),
            ..self.head()
        };
        let frame = Bytes::from(batch.into_frame(head));
        effects.push(Effect::Persist {
            record: frame.clone(),
            dots: dots.clone(),
        });
        if self.settings.switches.breaks(Bug::BatchTorn) {
            for half in halves_of(&frame) {
                self.send_to_all(&half, effects);
            }
        } else {
            self.send_to_all(&frame, effects);
        }
        self.changed(now);
        self.turn_minter();
        self.tell_changed(effects);
        self.discard(effects);
        dots
    }

    /// Members send events to all members. What is minted outside the list is fetched from there: it would not be seen
    /// to be missing where it got lost on the way.
    fn send_to_all(&self, frame: &Bytes, effects: &mut Vec<Effect>) {
        if !self.role().is_member() {
            return;
        }
        effects.extend(self.peers.up().map(|to| Effect::Send {
            to,
            frame: frame.clone(),
        }));
    }

    fn put(&mut self, wall: WallMs, cell: CellId, value: Box<[u8]>, deadline: Deadline) -> Op {
        let held = self.replica.cell(&cell);
        let observed = held.map(CellRef::newest_hlc).unwrap_or_default();
        let (rem, resets) = held.map(seen_of).unwrap_or_default();
        let hlc = self.clock.stamp(wall, observed);
        Op::Put(Put {
            cell,
            hlc,
            value,
            deadline,
            rem,
            resets,
        })
    }

    fn rem(&self, cell: CellId) -> Option<Op> {
        let (rem, resets) = seen_of(self.replica.cell(&cell)?);
        if rem.is_empty() && resets.is_empty() {
            return None;
        }
        Some(Op::Rem(Rem { cell, rem, resets }))
    }

    fn expired(&self, cell: CellId, at: WallMs) -> Option<Op> {
        let held = self.replica.cell(&cell)?;
        let versions = held.versions();
        let versions = versions.filter(|version| version.deadline.has_passed(at));
        let rem: Observed = versions.map(|version| version.dot).collect();
        let chains = held.chains().iter();
        let chains = chains.filter(|chain| !chain.is_dead() && chain.deadline.has_passed(at));
        let resets: Vec<Reset> = chains.map(Chain::reset).collect();
        if rem.is_empty() && resets.is_empty() {
            return None;
        }
        Some(Op::Rem(Rem { cell, rem, resets }))
    }

    /// What one of the bugs does with a cell that has expired in part.
    fn written_anew(&mut self, wall: WallMs, cell: CellId, at: WallMs) -> Option<Op> {
        let held = self.replica.cell(&cell)?;
        let left = held.versions();
        let left = left.filter(|version| !version.deadline.has_passed(at));
        let Some(shown) = left.max_by_key(|version| (version.hlc, version.dot)) else {
            return self.expired(cell, at);
        };
        let (value, deadline) = (shown.value.into(), shown.deadline);
        Some(self.put(wall, cell, value, deadline))
    }

    fn inc(
        &mut self,
        wall: WallMs,
        (cell, amount, deadline): (CellId, Total, Deadline),
        dot: Dot,
    ) -> Op {
        // A guest's chain may have been fetched and its increments been taken away and forgotten: what it says of
        // itself later would not be understood.
        let extends = !dot.actor.is_guest() || self.settings.switches.breaks(Bug::M15);
        let held = self.replica.cell(&cell);
        if !extends && held.is_some_and(|held| self.is_crowded(held, dot.actor)) {
            self.minter.note_crowded();
        }
        let held = held.filter(|_| extends);
        let own = held.and_then(|held| own_chain(held, dot, amount));
        let (birth, total) = match own {
            Some(chain) => (chain.id.birth, add(chain.top.total, amount)),
            None if self.settings.switches.breaks(Bug::M8) => (0, amount),
            None => (dot.n, amount),
        };
        let hlc = self.clock.stamp(wall, Hlc::default());
        Op::Inc(Inc {
            cell,
            hlc,
            birth,
            total,
            deadline,
        })
    }

    /// Whether a counter has as many chains of a guest as it may have, with the one to come.
    fn is_crowded(&self, cell: CellRef<'_>, guest: ActorId) -> bool {
        let own = cell.chains().iter().filter(|chain| chain.id.actor == guest);
        own.count() + 1 >= self.settings.guest_chains_max
    }

    fn range_del(&self, range: Range) -> Option<Op> {
        if !self.replica.store.any_live_in(&range) {
            return None;
        }
        let resets = if self.settings.switches.breaks(Bug::M23) {
            Vec::new()
        } else {
            self.resets_in(&self.replica.store.counters_in(&range))
        };
        let within =
            |(mask, dots): (&Range, &Context)| Some((mask.intersection(&range)?, dots.clone()));
        let masks = self.replica.masks().filter_map(within).collect();
        Some(Op::RangeDel(RangeDel {
            context: self.replica.context().clone(),
            masks,
            resets,
            range,
        }))
    }

    /// Every chain entry in the cells, dead ones included: absent must mean collected (replication.md 7.3).
    fn resets_in(&self, ids: &[CellId]) -> Vec<(CellId, Reset)> {
        let live_only = self.settings.switches.breaks(Bug::M25);
        let cells = ids
            .iter()
            .filter_map(|id| self.replica.cell(id).map(|cell| (id, cell)));
        let chains =
            cells.flat_map(|(id, cell)| cell.chains().iter().map(move |chain| (id, chain)));
        chains
            .filter(|(_, chain)| !(live_only && chain.is_dead()))
            .map(|(id, chain)| (id.clone(), chain.reset()))
            .collect()
    }

    /// Cuts a range so that no part lists more resets than one event may carry (replication.md 7.4).
    fn split(&self, range: Range) -> Vec<Range> {
        let listed = self.resets_in(&self.replica.store.counters_in(&range));
        let bytes: usize = listed
            .iter()
            .map(|(id, _)| id.key.len() + id.name.field.len() + RESET_FIXED_BYTES)
            .sum();
        if bytes <= RANGE_RESETS_BYTES_MAX {
            return vec![range];
        }
        let middle = &listed[listed.len() / 2].0;
        let first = &listed[0].0;
        let parts = match range {
            Range::Key(key) => kinds_of(&self.replica.store, &key)
                .into_iter()
                .map(|kind| Range::Fields {
                    key: key.clone(),
                    kind,
                    from: Box::default(),
                    to: None,
                })
                .collect(),
            Range::Fields {
                key,
                kind,
                from,
                to,
            } if first.name < middle.name => {
                let cut = middle.name.field.clone();
                vec![
                    Range::Fields {
                        key: key.clone(),
                        kind,
                        from,
                        to: Some(cut.clone()),
                    },
                    Range::Fields {
                        key,
                        kind,
                        from: cut,
                        to,
                    },
                ]
            }
            // One cell alone is over the limit: its chains are as many as there were actors, so this is the end.
            Range::Fields { .. } => return vec![range],
            Range::Keys { from, to } if first.key < middle.key => {
                let cut = middle.key.clone();
                vec![
                    Range::Keys {
                        from,
                        to: Some(cut.clone()),
                    },
                    Range::Keys { from: cut, to },
                ]
            }
            Range::Keys { from, to } => {
                let key = first.key.clone();
                let after: Box<[u8]> = key.iter().copied().chain([0]).collect();
                vec![
                    Range::Keys {
                        from,
                        to: Some(key.clone()),
                    },
                    Range::Key(key),
                    Range::Keys { from: after, to },
                ]
            }
        };
        parts
            .into_iter()
            .flat_map(|part| self.split(part))
            .collect()
    }
}

/// A batch as the two frames that one of the bugs sends for it, or the frame alone where it holds one event.
fn halves_of(frame: &Bytes) -> Vec<Bytes> {
    let Ok((head, Message::Delta(mut batch))) = decode(frame) else {
        return vec![frame.clone()];
    };
    let rest = batch.ops.split_off(batch.ops.len().div_ceil(2));
    let rest = Batch {
        actor: batch.actor,
        first: batch.first + batch.ops.len() as u64,
        ops: rest,
    };
    let halves = [batch, rest].into_iter();
    halves
        .filter(|half| !half.ops.is_empty())
        .map(|half| encode(head, &Message::Delta(half)).into())
        .collect()
}

/// What a write to a cell observes there: its live versions, and how far its live chains have come.
fn seen_of(cell: CellRef<'_>) -> (Observed, Vec<Reset>) {
    let rem = cell.versions().map(|version| version.dot).collect();
    let resets = cell
        .chains()
        .iter()
        .filter(|chain| !chain.is_dead())
        .map(Chain::reset)
        .collect();
    (rem, resets)
}

/// The chain that this actor goes on with: its own, alive, in the same kind of number. A dead one is never
/// extended: another replica may have collected it. A sum of floats that overflows begins another chain: from an
/// infinite total nobody could tell any more what was added.
fn own_chain(cell: CellRef<'_>, dot: Dot, amount: Total) -> Option<&Chain> {
    let takes = |chain: &Chain| match (chain.top.total, amount) {
        (Total::Int(_), Total::Int(_)) => true,
        (Total::Float(total), Total::Float(more)) => (total + more).is_finite(),
        _ => false,
    };
    let mine = |id: ChainId| id.actor == dot.actor;
    let mut chains = cell.chains().iter();
    chains.rfind(|chain| mine(chain.id) && !chain.is_dead() && takes(chain))
}

fn add(total: Total, amount: Total) -> Total {
    match (total, amount) {
        (Total::Int(a), Total::Int(b)) => Total::Int(a.saturating_add(b)),
        (Total::Float(a), Total::Float(b)) => Total::Float(a + b),
        (_, other) => other,
    }
}
