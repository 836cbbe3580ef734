//! Bytes of events and batches.
//!
//! A batch is `[first dot number][count][base stamp, 8 bytes]` and its events, each
//! `[flags][cell or range][stamp - base][deadline][observed dots][resets][value or total or context]`.

use std::ops::Range;

use super::cell::{
    Actors, Numbers, get_cell_id, get_deadline, get_name, get_range, get_value, number,
    put_cell_id, put_name, put_range, put_total,
};
use crate::causality::{Context, Dot, DotRun, Hlc};
use crate::codec::{DecodeError, Reader, put_bytes, put_signed, put_varint};
use crate::event::{Batch, Inc, Observed, Op, Put, RangeDel, Rem};
use crate::id::ActorId;
use crate::limits::{BATCH_EVENTS_MAX, FIELD_BYTES_MAX, KEY_BYTES_MAX};
use crate::types::{CellId, ChainId, Deadline, Mark, Reset};

const KIND: u8 = 0b11;
const KIND_PUT: u8 = 0;
const KIND_REM: u8 = 1;
const KIND_INC: u8 = 2;
const KIND_RANGE: u8 = 3;
const HAS_DEADLINE: u8 = 1 << 2;
const HAS_REM: u8 = 1 << 3;
/// Of a range delete, which observes no single dots.
const HAS_MASKS: u8 = 1 << 3;
const HAS_RESETS: u8 = 1 << 4;
/// The cell's key is the one of the event before, and is left out.
const SAME_KEY: u8 = 1 << 5;
const IS_FLOAT: u8 = 1 << 6;

/// A longer key is written again in each event. A repeated key costs its reader a copy and its writer nothing, so
/// without this bound a frame of one long key and a million small events would grow a thousandfold when it is read.
const SAME_KEY_BYTES_MAX: usize = 255;

/// The longest numbers in front of a batch's events.
const BODY_HEAD_BYTES_MAX: usize = 28;
/// What a write takes besides its names and its value, mostly.
const PUT_FIXED_BYTES: usize = 48;

/// The greatest number of bytes one listed reset of a range delete can take.
pub const RESET_BYTES_MAX: usize = KEY_BYTES_MAX + FIELD_BYTES_MAX + 64;

/// Encodes events one by one as they are applied, so that no event needs to be kept or cloned.
#[derive(Debug)]
pub struct BatchEncoder {
    actor: ActorId,
    first: u64,
    count: u64,
    /// The first stamp of the batch; the others are written as differences to it.
    base: Option<Hlc>,
    ops: Vec<u8>,
    /// Where in `ops` the key of the event before is; empty before the first one.
    key: Range<usize>,
}

impl BatchEncoder {
    /// A batch whose first event gets the dot `first` of `actor`.
    #[must_use]
    pub const fn new(actor: ActorId, first: u64) -> Self {
        Self {
            actor,
            first,
            count: 0,
            base: None,
            ops: Vec::new(),
            key: 0..0,
        }
    }

    /// How many events were pushed.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The dot that the next event gets.
    #[must_use]
    pub const fn next_dot(&self) -> Dot {
        Dot::new(self.actor, self.first + self.count)
    }

    /// The dots of the events pushed, if there are any.
    #[must_use]
    pub const fn run(&self) -> Option<DotRun> {
        if self.count == 0 {
            return None;
        }
        Some(DotRun {
            actor: self.actor,
            first: self.first,
            last: self.first + self.count - 1,
        })
    }

    /// Appends an event.
    pub fn push(&mut self, op: &Op) {
        self.base = self.base.or_else(|| op.hlc());
        self.count += 1;
        let actors = Actors::only(self.actor);
        match op {
            Op::Put(put) => self.push_put(&actors, put),
            Op::Rem(rem) => {
                self.push_cell(
                    flags(KIND_REM, Deadline::NEVER, &rem.rem, &rem.resets),
                    &rem.cell,
                );
                push_observed(&mut self.ops, &actors, &rem.rem, &rem.resets);
            }
            Op::Inc(inc) => self.push_inc(inc),
            Op::RangeDel(del) => self.push_range(&actors, del),
        }
    }

    fn push_put(&mut self, actors: &Actors, put: &Put) {
        let (key, value) = (put.cell.key.len(), put.value.len());
        self.ops
            .reserve(key + put.cell.name.field.len() + value + PUT_FIXED_BYTES);
        self.push_cell(
            flags(KIND_PUT, put.deadline, &put.rem, &put.resets),
            &put.cell,
        );
        self.push_stamp(put.hlc, put.deadline);
        push_observed(&mut self.ops, actors, &put.rem, &put.resets);
        put_bytes(&mut self.ops, &put.value);
    }

    fn push_inc(&mut self, inc: &Inc) {
        let float = if Numbers::of(inc.total) == Numbers::Float {
            IS_FLOAT
        } else {
            0
        };
        self.push_cell(flags(KIND_INC, inc.deadline, &[], &[]) | float, &inc.cell);
        self.push_stamp(inc.hlc, inc.deadline);
        put_varint(&mut self.ops, inc.birth);
        put_total(&mut self.ops, inc.total);
    }

    fn push_range(&mut self, actors: &Actors, del: &RangeDel) {
        let resets = if del.resets.is_empty() { 0 } else { HAS_RESETS };
        let masks = if del.masks.is_empty() { 0 } else { HAS_MASKS };
        self.ops.push(KIND_RANGE | resets | masks);
        put_range(&mut self.ops, &del.range);
        del.context.encode(&mut self.ops);
        if !del.masks.is_empty() {
            put_varint(&mut self.ops, del.masks.len() as u64);
            for (range, dots) in &del.masks {
                put_range(&mut self.ops, range);
                dots.encode(&mut self.ops);
            }
        }
        if !del.resets.is_empty() {
            put_varint(&mut self.ops, del.resets.len() as u64);
            for (cell, reset) in &del.resets {
                put_cell_id(&mut self.ops, cell);
                put_reset(&mut self.ops, actors, reset);
            }
        }
    }

    fn push_cell(&mut self, flags: u8, cell: &CellId) {
        let before = (self.key.end > 0).then(|| &self.ops[self.key.clone()]);
        let same = cell.key.len() <= SAME_KEY_BYTES_MAX && before == Some(&*cell.key);
        self.ops.push(flags | if same { SAME_KEY } else { 0 });
        if !same {
            put_bytes(&mut self.ops, &cell.key);
            let end = self.ops.len();
            self.key = end - cell.key.len()..end;
        }
        put_name(&mut self.ops, &cell.name);
    }

    fn push_stamp(&mut self, hlc: Hlc, deadline: Deadline) {
        put_signed(
            &mut self.ops,
            hlc.0
                .wrapping_sub(self.base.unwrap_or_default().0)
                .cast_signed(),
        );
        if deadline != Deadline::NEVER {
            put_varint(&mut self.ops, deadline.0);
        }
    }

    /// How long the body of the batch is, at most.
    pub(crate) const fn bytes_max(&self) -> usize {
        BODY_HEAD_BYTES_MAX + self.ops.len()
    }

    /// Appends the body of the batch.
    pub fn finish(self, out: &mut Vec<u8>) {
        put_varint(out, self.first);
        put_varint(out, self.count);
        out.extend_from_slice(&self.base.unwrap_or_default().0.to_le_bytes());
        out.extend_from_slice(&self.ops);
    }
}

fn flags(kind: u8, deadline: Deadline, rem: &[Dot], resets: &[Reset]) -> u8 {
    let mut flags = kind;
    flags |= if deadline == Deadline::NEVER {
        0
    } else {
        HAS_DEADLINE
    };
    flags |= if rem.is_empty() { 0 } else { HAS_REM };
    flags | if resets.is_empty() { 0 } else { HAS_RESETS }
}

fn push_observed(out: &mut Vec<u8>, actors: &Actors, rem: &[Dot], resets: &[Reset]) {
    if !rem.is_empty() {
        put_varint(out, rem.len() as u64);
        rem.iter().for_each(|dot| actors.put_dot(out, *dot));
    }
    if !resets.is_empty() {
        put_varint(out, resets.len() as u64);
        resets
            .iter()
            .for_each(|reset| put_reset(out, actors, reset));
    }
}

fn put_reset(out: &mut Vec<u8>, actors: &Actors, reset: &Reset) {
    let float = Numbers::of(reset.upto.total) == Numbers::Float;
    out.push(u8::from(float));
    actors.put(out, reset.chain.actor);
    put_varint(out, reset.chain.birth);
    put_varint(out, reset.upto.n);
    put_total(out, reset.upto.total);
}

fn get_reset(input: &mut Reader<'_>, actors: &Actors) -> Result<Reset, DecodeError> {
    let numbers = match input.byte("reset")? {
        0 => Numbers::Int,
        1 => Numbers::Float,
        _ => return Err(input.error("reset", "this version knows no such kind of number")),
    };
    let chain = ChainId {
        actor: actors.get(input)?,
        birth: input.varint("chain birth")?,
    };
    let upto = Mark {
        n: number(input)?,
        total: numbers.get_total(input)?,
    };
    Ok(Reset { chain, upto })
}

/// Appends a whole batch.
pub(super) fn put_batch(out: &mut Vec<u8>, batch: &Batch) {
    let mut encoder = BatchEncoder::new(batch.actor, batch.first);
    batch.ops.iter().for_each(|op| encoder.push(op));
    encoder.finish(out);
}

/// Reads a batch of `actor`.
pub(super) fn get_batch(input: &mut Reader<'_>, actor: ActorId) -> Result<Batch, DecodeError> {
    const WHAT: &str = "batch";
    let first = number(input)?;
    let count = input.varint(WHAT)?;
    let base = Hlc(input.u64("base stamp")?);
    let fits = usize::try_from(count)
        .is_ok_and(|n| (1..=BATCH_EVENTS_MAX).contains(&n) && n <= input.remaining());
    if !fits || first.checked_add(count).is_none() {
        return Err(input.error(WHAT, "no events, or more than the input can hold"));
    }
    let mut decoder = OpDecoder {
        actors: Actors::only(actor),
        base,
        key: None,
    };
    let mut ops = Vec::new();
    for _ in 0..count {
        ops.push(decoder.op(input)?);
    }
    let first_stamp = ops.iter().find_map(Op::hlc);
    if first_stamp.unwrap_or_default() != base {
        return Err(input.error("base stamp", "it is not the first stamp of the batch"));
    }
    Ok(Batch { actor, first, ops })
}

/// The count of a list that is left out when it is empty.
fn some(
    input: &mut Reader<'_>,
    item_bytes_min: usize,
    what: &'static str,
) -> Result<usize, DecodeError> {
    match input.count(item_bytes_min, what)? {
        0 => Err(input.error(what, "an empty list is written by leaving it out")),
        count => Ok(count),
    }
}

struct OpDecoder<'a> {
    actors: Actors,
    base: Hlc,
    key: Option<&'a [u8]>,
}

impl<'a> OpDecoder<'a> {
    fn op(&mut self, input: &mut Reader<'a>) -> Result<Op, DecodeError> {
        const WHAT: &str = "event flags";
        let flags = input.byte(WHAT)?;
        let allowed = match flags & KIND {
            KIND_PUT => HAS_DEADLINE | HAS_REM | HAS_RESETS | SAME_KEY,
            KIND_REM => HAS_REM | HAS_RESETS | SAME_KEY,
            KIND_INC => HAS_DEADLINE | SAME_KEY | IS_FLOAT,
            _ => HAS_RESETS | HAS_MASKS,
        };
        if flags & !(KIND | allowed) != 0 {
            return Err(input.error(WHAT, "this version knows no such flag"));
        }
        match flags & KIND {
            KIND_PUT => self.put(input, flags),
            KIND_REM => {
                let cell = self.cell(input, flags)?;
                let (rem, resets) = self.observed(input, flags)?;
                Ok(Op::Rem(Rem { cell, rem, resets }))
            }
            KIND_INC => self.inc(input, flags),
            _ => self.range(input, flags),
        }
    }

    fn cell(&mut self, input: &mut Reader<'a>, flags: u8) -> Result<CellId, DecodeError> {
        if flags & SAME_KEY == 0 {
            let key = input.bytes(KEY_BYTES_MAX, "key")?;
            if key.len() <= SAME_KEY_BYTES_MAX && self.key == Some(key) {
                return Err(input.error(
                    "key",
                    "it is the key of the event before, and was written again",
                ));
            }
            self.key = Some(key);
        }
        let Some(key) = self.key else {
            return Err(input.error(
                "key",
                "the first event cannot have the key of the one before",
            ));
        };
        if flags & SAME_KEY != 0 && key.len() > SAME_KEY_BYTES_MAX {
            return Err(input.error("key", "so long a key is written in each event"));
        }
        Ok(CellId {
            key: key.into(),
            name: get_name(input)?,
        })
    }

    fn stamp(&self, input: &mut Reader<'_>, flags: u8) -> Result<(Hlc, Deadline), DecodeError> {
        let hlc = Hlc(self
            .base
            .0
            .wrapping_add(input.signed("stamp")?.cast_unsigned()));
        let deadline = if flags & HAS_DEADLINE == 0 {
            Deadline::NEVER
        } else {
            get_deadline(input)?
        };
        Ok((hlc, deadline))
    }

    fn observed(
        &self,
        input: &mut Reader<'_>,
        flags: u8,
    ) -> Result<(Observed, Vec<Reset>), DecodeError> {
        let mut rem = Observed::new();
        if flags & HAS_REM != 0 {
            for _ in 0..some(input, 2, "observed dots")? {
                rem.push(self.actors.get_dot(input)?);
            }
        }
        let mut resets = Vec::new();
        if flags & HAS_RESETS != 0 {
            for _ in 0..some(input, 5, "resets")? {
                resets.push(get_reset(input, &self.actors)?);
            }
        }
        Ok((rem, resets))
    }

    fn put(&mut self, input: &mut Reader<'a>, flags: u8) -> Result<Op, DecodeError> {
        let cell = self.cell(input, flags)?;
        let (hlc, deadline) = self.stamp(input, flags)?;
        let (rem, resets) = self.observed(input, flags)?;
        Ok(Op::Put(Put {
            cell,
            hlc,
            value: get_value(input)?,
            deadline,
            rem,
            resets,
        }))
    }

    fn inc(&mut self, input: &mut Reader<'a>, flags: u8) -> Result<Op, DecodeError> {
        let cell = self.cell(input, flags)?;
        let (hlc, deadline) = self.stamp(input, flags)?;
        let birth = input.varint("chain birth")?;
        let numbers = if flags & IS_FLOAT == 0 {
            Numbers::Int
        } else {
            Numbers::Float
        };
        let total = numbers.get_total(input)?;
        Ok(Op::Inc(Inc {
            cell,
            hlc,
            birth,
            total,
            deadline,
        }))
    }

    fn range(&self, input: &mut Reader<'_>, flags: u8) -> Result<Op, DecodeError> {
        let range = get_range(input)?;
        let context = Context::decode(input)?;
        let mut masks = Vec::new();
        if flags & HAS_MASKS != 0 {
            for _ in 0..some(input, 3, "masks of a range delete")? {
                masks.push((get_range(input)?, Context::decode(input)?));
            }
        }
        let mut resets = Vec::new();
        if flags & HAS_RESETS != 0 {
            for _ in 0..some(input, 7, "resets of a range delete")? {
                resets.push((get_cell_id(input)?, get_reset(input, &self.actors)?));
            }
        }
        Ok(Op::RangeDel(RangeDel {
            range,
            context,
            masks,
            resets,
        }))
    }
}
