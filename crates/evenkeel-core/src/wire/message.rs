//! Bytes of whole frames and records.

use super::VERSION;
use super::cell::{
    Actors, get_cell, get_cell_id, get_key, get_range, put_cell, put_cell_id, put_key, put_range,
};
use super::event::{BatchEncoder, get_batch, put_batch};
use crate::causality::{Context, Dot, Hlc};
use crate::codec::{DecodeError, Reader, put_varint};
use crate::event::{Batch, Event, Op};
use crate::id::{ActorId, PartitionId};
use crate::message::{
    Advert, Head, Message, Nonce, Note, SnapshotChunk, SnapshotId, SyncAnswer, Unit,
};
use crate::types::Cell;

const DELTA: u8 = 1;
const ADVERT: u8 = 2;
const ADVERT_REQUEST: u8 = 3;
const SYNC_REQUEST: u8 = 4;
const SYNC_ANSWER: u8 = 5;
const NEED_SNAPSHOT: u8 = 6;
const SNAPSHOT_REQUEST: u8 = 7;
const SNAPSHOT_CHUNK: u8 = 8;
const SNAPSHOT_REFUSED: u8 = 9;
const READ_REQUEST: u8 = 10;
const READ_ANSWER: u8 = 11;
const ADVERT_OF_MINTER: u8 = 12;
// Numbers 13 to 31 are kept for closing actors (replication.md 4.4).
const NOTE_INSTALLED: u8 = 0x81;
const NOTE_CLOCK_BOUND: u8 = 0x82;
const NOTE_FENCED: u8 = 0x83;
const NOTE_DROPPED: u8 = 0x84;

/// What a log record holds.
#[derive(Clone, Debug)]
pub enum Record {
    /// A frame that changed the replica.
    Frame(Message),
    /// What only the log knows.
    Note(Note),
}

/// The longest head of a frame.
const HEAD_BYTES_MAX: usize = 23;

fn put_head(out: &mut Vec<u8>, head: Head, kind: u8) {
    out.push(VERSION);
    out.push(kind);
    put_varint(out, u64::from(head.partition.0));
    put_varint(out, head.epoch);
    out.extend_from_slice(&head.sender.0.to_le_bytes());
}

fn get_head(input: &mut Reader<'_>) -> Result<(Head, u8), DecodeError> {
    const WHAT: &str = "frame head";
    if input.byte(WHAT)? != VERSION {
        return Err(input.error(WHAT, "a format version that this build does not read"));
    }
    let kind = input.byte(WHAT)?;
    let partition =
        u16::try_from(input.varint(WHAT)?).map_err(|_| input.error(WHAT, "no such partition"))?;
    let epoch = input.varint(WHAT)?;
    let sender = ActorId(input.u64(WHAT)?);
    Ok((
        Head {
            partition: PartitionId(partition),
            epoch,
            sender,
        },
        kind,
    ))
}

impl BatchEncoder {
    /// The frame of the batch: what goes to the log and to every other member.
    #[must_use]
    pub fn into_frame(self, head: Head) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES_MAX + self.bytes_max());
        put_head(&mut out, head, DELTA);
        self.finish(&mut out);
        out
    }
}

/// The frame of a message. A delta's batch must be of `head.sender`, which the frame names only once.
#[must_use]
pub fn encode(head: Head, message: &Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let kind = match message {
        Message::Delta(_) => DELTA,
        Message::Advert(Advert { minter: None, .. }) => ADVERT,
        Message::Advert(_) => ADVERT_OF_MINTER,
        Message::AdvertRequest => ADVERT_REQUEST,
        Message::SyncRequest { .. } => SYNC_REQUEST,
        Message::SyncAnswer(_) => SYNC_ANSWER,
        Message::NeedSnapshot { .. } => NEED_SNAPSHOT,
        Message::SnapshotRequest { .. } => SNAPSHOT_REQUEST,
        Message::SnapshotChunk(_) => SNAPSHOT_CHUNK,
        Message::SnapshotRefused { .. } => SNAPSHOT_REFUSED,
        Message::ReadRequest { .. } => READ_REQUEST,
        Message::ReadAnswer { .. } => READ_ANSWER,
    };
    put_head(&mut out, head, kind);
    put_body(&mut out, head, message);
    out
}

fn put_body(out: &mut Vec<u8>, head: Head, message: &Message) {
    match message {
        Message::Delta(batch) => {
            debug_assert_eq!(
                batch.actor, head.sender,
                "a delta carries its sender's own events"
            );
            put_batch(out, batch);
        }
        Message::Advert(advert) => {
            advert.durable.encode(out);
            advert.tail.encode(out);
            out.extend_from_slice(&advert.digest.to_le_bytes());
            let minter = advert.minter.iter();
            minter.for_each(|minter| out.extend_from_slice(&minter.0.to_le_bytes()));
        }
        Message::AdvertRequest => {}
        Message::SyncRequest { nonce, context } => {
            put_nonce(out, *nonce);
            context.encode(out);
        }
        Message::SyncAnswer(answer) => put_answer(out, answer),
        Message::NeedSnapshot { nonce } | Message::SnapshotRefused { nonce } => {
            put_nonce(out, *nonce)
        }
        Message::SnapshotRequest { nonce, id, index } => {
            put_nonce(out, *nonce);
            out.push(u8::from(id.is_some()));
            id.iter()
                .for_each(|id| out.extend_from_slice(&id.0.to_le_bytes()));
            put_varint(out, u64::from(*index));
        }
        Message::SnapshotChunk(chunk) => put_chunk(out, chunk),
        Message::ReadRequest { nonce, cell } => {
            put_nonce(out, *nonce);
            put_cell_id(out, cell);
        }
        Message::ReadAnswer {
            nonce,
            context,
            unit,
        } => {
            put_nonce(out, *nonce);
            context.encode(out);
            put_unit(out, &Actors::of(context), unit);
        }
    }
}

/// Reads a frame from a member.
///
/// # Errors
/// On every frame that [`encode`] would not have written, notes of the log included.
pub fn decode(frame: &[u8]) -> Result<(Head, Message), DecodeError> {
    let mut input = Reader::new(frame);
    let (head, kind) = get_head(&mut input)?;
    let message = get_message(&mut input, head, kind)?;
    input.finish("frame")?;
    Ok((head, message))
}

fn get_message(input: &mut Reader<'_>, head: Head, kind: u8) -> Result<Message, DecodeError> {
    Ok(match kind {
        DELTA => Message::Delta(get_batch(input, head.sender)?),
        ADVERT | ADVERT_OF_MINTER => Message::Advert(Advert {
            durable: Context::decode(input)?,
            tail: Context::decode(input)?,
            digest: input.u128("digest")?,
            minter: match kind {
                ADVERT_OF_MINTER => Some(ActorId(input.u64("minter")?)),
                _ => None,
            },
        }),
        ADVERT_REQUEST => Message::AdvertRequest,
        SYNC_REQUEST => Message::SyncRequest {
            nonce: get_nonce(input)?,
            context: Context::decode(input)?,
        },
        SYNC_ANSWER => Message::SyncAnswer(get_answer(input)?),
        NEED_SNAPSHOT => Message::NeedSnapshot {
            nonce: get_nonce(input)?,
        },
        SNAPSHOT_REQUEST => Message::SnapshotRequest {
            nonce: get_nonce(input)?,
            id: get_option(input, |input| Ok(SnapshotId(input.u64("snapshot")?)))?,
            index: get_index(input)?,
        },
        SNAPSHOT_CHUNK => Message::SnapshotChunk(get_chunk(input)?),
        SNAPSHOT_REFUSED => Message::SnapshotRefused {
            nonce: get_nonce(input)?,
        },
        READ_REQUEST => Message::ReadRequest {
            nonce: get_nonce(input)?,
            cell: get_cell_id(input)?,
        },
        READ_ANSWER => {
            let nonce = get_nonce(input)?;
            let context = Context::decode(input)?;
            let unit = Box::new(get_unit(input, &Actors::of(&context))?);
            check_held(input, &unit.state, &context)?;
            Message::ReadAnswer {
                nonce,
                context,
                unit,
            }
        }
        _ => return Err(input.error("frame head", "this version knows no such kind of frame")),
    })
}

/// What a frame or record is about, without reading its body: for whoever has to hand it on.
///
/// # Errors
/// When the head cannot be read.
pub fn head(frame: &[u8]) -> Result<Head, DecodeError> {
    Ok(get_head(&mut Reader::new(frame))?.0)
}

/// Whether a frame asks for what its sender lacks: answering it may take long.
#[must_use]
pub fn asks_for_repair(frame: &[u8]) -> bool {
    matches!(frame, [VERSION, SYNC_REQUEST | SNAPSHOT_REQUEST, ..])
}

/// The log record of a note.
#[must_use]
pub fn encode_note(head: Head, note: &Note) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    match note {
        Note::Installed { id } => {
            put_head(&mut out, head, NOTE_INSTALLED);
            out.extend_from_slice(&id.0.to_le_bytes());
        }
        Note::ClockBound { bound } => {
            put_head(&mut out, head, NOTE_CLOCK_BOUND);
            out.extend_from_slice(&bound.0.to_le_bytes());
        }
        Note::Dropped => put_head(&mut out, head, NOTE_DROPPED),
        Note::Fenced { actor, upto, keep } => {
            put_head(&mut out, head, NOTE_FENCED);
            out.extend_from_slice(&actor.0.to_le_bytes());
            put_varint(&mut out, *upto);
            keep.encode(&mut out);
        }
    }
    out
}

/// Reads a log record: a frame that was logged as it came, or a note.
///
/// # Errors
/// On every record that was not written by [`encode`] or [`encode_note`].
pub fn decode_record(record: &[u8]) -> Result<(Head, Record), DecodeError> {
    let mut input = Reader::new(record);
    let (head, kind) = get_head(&mut input)?;
    let record = match kind {
        NOTE_INSTALLED => Record::Note(Note::Installed {
            id: SnapshotId(input.u64("snapshot")?),
        }),
        NOTE_CLOCK_BOUND => Record::Note(Note::ClockBound {
            bound: Hlc(input.u64("clock bound")?),
        }),
        NOTE_DROPPED => Record::Note(Note::Dropped),
        NOTE_FENCED => Record::Note(Note::Fenced {
            actor: ActorId(input.u64("closed actor")?),
            upto: input.varint("closed actor")?,
            keep: Context::decode(&mut input)?,
        }),
        _ => Record::Frame(get_message(&mut input, head, kind)?),
    };
    input.finish("log record")?;
    Ok((head, record))
}

fn put_nonce(out: &mut Vec<u8>, nonce: Nonce) {
    out.extend_from_slice(&nonce.0.to_le_bytes());
}

fn get_nonce(input: &mut Reader<'_>) -> Result<Nonce, DecodeError> {
    Ok(Nonce(input.u64("nonce")?))
}

fn get_index(input: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let index = input.varint("chunk number")?;
    u32::try_from(index).map_err(|_| input.error("chunk number", "more than 32 bits"))
}

fn get_option<T>(
    input: &mut Reader<'_>,
    get: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    match input.byte("presence")? {
        0 => Ok(None),
        1 => get(input).map(Some),
        _ => Err(input.error("presence", "neither 0 nor 1")),
    }
}

fn put_unit(out: &mut Vec<u8>, actors: &Actors, unit: &Unit) {
    put_cell_id(out, &unit.cell);
    put_cell(out, actors, &unit.state);
    unit.extra.encode(out);
    unit.covered.encode(out);
}

fn get_unit(input: &mut Reader<'_>, actors: &Actors) -> Result<Unit, DecodeError> {
    Ok(Unit {
        cell: get_cell_id(input)?,
        state: get_cell(input, actors)?,
        extra: Context::decode(input)?,
        covered: Context::decode(input)?,
    })
}

fn put_answer(out: &mut Vec<u8>, answer: &SyncAnswer) {
    put_nonce(out, answer.nonce);
    answer.context.encode(out);
    put_varint(out, answer.ranges.len() as u64);
    answer
        .ranges
        .iter()
        .for_each(|event| put_range_event(out, event));
    put_varint(out, answer.units.len() as u64);
    let actors = Actors::of(&answer.context);
    answer
        .units
        .iter()
        .for_each(|unit| put_unit(out, &actors, unit));
}

fn put_range_event(out: &mut Vec<u8>, event: &Event) {
    out.extend_from_slice(&event.dot.actor.0.to_le_bytes());
    let mut encoder = BatchEncoder::new(event.dot.actor, event.dot.n);
    encoder.push(&event.op);
    encoder.finish(out);
}

/// What a unit takes in an answer from a replica with this context.
pub(crate) fn unit_bytes(context: &Context, unit: &Unit) -> usize {
    let mut out = Vec::new();
    put_unit(&mut out, &Actors::of(context), unit);
    out.len()
}

/// What a range delete takes in an answer.
pub(crate) fn range_delete_bytes(event: &Event) -> usize {
    let mut out = Vec::new();
    put_range_event(&mut out, event);
    out.len()
}

fn get_answer(input: &mut Reader<'_>) -> Result<SyncAnswer, DecodeError> {
    let nonce = get_nonce(input)?;
    let context = Context::decode(input)?;
    let mut ranges = Vec::new();
    for _ in 0..input.count(20, "range deletes")? {
        ranges.push(get_range_event(input, &context)?);
    }
    let mut units = Vec::new();
    let actors = Actors::of(&context);
    for _ in 0..input.count(6, "units")? {
        let unit = get_unit(input, &actors)?;
        if !unit.covered.is_subset(&context) {
            return Err(input.error("unit", "it covers events that its sender does not hold"));
        }
        check_held(input, &unit.state, &context)?;
        units.push(unit);
    }
    Ok(SyncAnswer {
        nonce,
        context,
        ranges,
        units,
    })
}

fn get_range_event(input: &mut Reader<'_>, context: &Context) -> Result<Event, DecodeError> {
    const WHAT: &str = "range delete";
    let actor = ActorId(input.u64("actor")?);
    let Batch { first, mut ops, .. } = get_batch(input, actor)?;
    let dot = Dot::new(actor, first);
    match (ops.pop(), ops.is_empty()) {
        (Some(op @ Op::RangeDel(_)), true) if context.contains(dot) => Ok(Event { dot, op }),
        (Some(Op::RangeDel(_)), true) => Err(input.error(WHAT, "its sender does not hold it")),
        _ => Err(input.error(WHAT, "another event, or several")),
    }
}

/// A state that shows an event its sender does not hold can be merged by nobody: it is no function of a context.
fn check_held(input: &Reader<'_>, cell: &Cell, context: &Context) -> Result<(), DecodeError> {
    let versions = cell.versions().iter().map(|version| version.dot);
    let increments = cell.chains().iter().filter(|chain| chain.top.n > 0);
    let mut shown = versions.chain(increments.map(|chain| Dot::new(chain.id.actor, chain.top.n)));
    if shown.all(|dot| context.contains(dot)) {
        Ok(())
    } else {
        Err(input.error(
            "state of a cell",
            "it shows events that its sender does not hold",
        ))
    }
}

fn put_chunk(out: &mut Vec<u8>, chunk: &SnapshotChunk) {
    put_nonce(out, chunk.nonce);
    out.extend_from_slice(&chunk.id.0.to_le_bytes());
    put_varint(out, u64::from(chunk.index));
    chunk.context.encode(out);
    put_key(out, &chunk.from);
    out.push(u8::from(chunk.to.is_some()));
    chunk.to.iter().for_each(|to| put_key(out, to));
    let actors = Actors::of(&chunk.context);
    put_varint(out, chunk.cells.len() as u64);
    for (id, cell) in &chunk.cells {
        put_cell_id(out, id);
        put_cell(out, &actors, cell);
        cell.pre().cloned().unwrap_or_default().encode(out);
    }
    put_varint(out, chunk.masks.len() as u64);
    for (range, context) in &chunk.masks {
        put_range(out, range);
        context.encode(out);
    }
    put_varint(out, chunk.fences.len() as u64);
    for (actor, upto, keep) in &chunk.fences {
        out.extend_from_slice(&actor.0.to_le_bytes());
        put_varint(out, *upto);
        keep.encode(out);
    }
}

fn get_chunk(input: &mut Reader<'_>) -> Result<SnapshotChunk, DecodeError> {
    let nonce = get_nonce(input)?;
    let id = SnapshotId(input.u64("snapshot")?);
    let index = get_index(input)?;
    let context = Context::decode(input)?;
    let from = get_key(input)?;
    let to = get_option(input, get_key)?;
    let actors = Actors::of(&context);
    let mut cells = Vec::new();
    for _ in 0..input.count(5, "cells of a snapshot")? {
        let id = get_cell_id(input)?;
        let mut cell = get_cell(input, &actors)?;
        check_held(input, &cell, &context)?;
        cell.add_pre(&Context::decode(input)?);
        cells.push((id, cell));
    }
    let mut masks = Vec::new();
    for _ in 0..input.count(3, "masks")? {
        masks.push((get_range(input)?, Context::decode(input)?));
    }
    let mut fences = Vec::new();
    for _ in 0..input.count(10, "fences")? {
        fences.push((
            ActorId(input.u64("closed actor")?),
            input.varint("closed actor")?,
            Context::decode(input)?,
        ));
    }
    Ok(SnapshotChunk {
        nonce,
        id,
        index,
        context,
        from,
        to,
        cells,
        masks,
        fences,
    })
}
