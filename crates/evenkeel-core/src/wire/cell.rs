//! Bytes of dots, names, totals and cells.
//!
//! Dots name their actor by its place in a table that both sides know (the context in the same frame, or the
//! batch's own actor), counted from 1; 0 is followed by the 8 bytes of an actor outside the table.

use smallvec::{SmallVec, smallvec};

use crate::causality::{Context, Dot, Hlc};
use crate::codec::{DecodeError, Reader, put_bytes, put_varint};
use crate::id::ActorId;
use crate::limits::{FIELD_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::types::{
    Cell, CellId, CellName, Chain, ChainId, Deadline, Kind, Mark, Range, Total, Value, Version,
};

/// The actors that a frame can name by number.
pub(super) struct Actors(SmallVec<[ActorId; 1]>);

impl Actors {
    pub(super) fn of(context: &Context) -> Self {
        Self(context.actors().map(|(actor, _)| actor).collect())
    }

    pub(super) fn only(actor: ActorId) -> Self {
        Self(smallvec![actor])
    }

    pub(super) fn put(&self, out: &mut Vec<u8>, actor: ActorId) {
        match self.0.binary_search(&actor) {
            Ok(at) => put_varint(out, at as u64 + 1),
            Err(_) => {
                out.push(0);
                out.extend_from_slice(&actor.0.to_le_bytes());
            }
        }
    }

    pub(super) fn get(&self, input: &mut Reader<'_>) -> Result<ActorId, DecodeError> {
        const WHAT: &str = "actor";
        let Some(at) = input.varint(WHAT)?.checked_sub(1) else {
            let actor = ActorId(input.u64(WHAT)?);
            return match self.0.binary_search(&actor) {
                Ok(_) => Err(input.error(WHAT, "it is in the frame's table, and was written out")),
                Err(_) => Ok(actor),
            };
        };
        let known = usize::try_from(at).ok().and_then(|at| self.0.get(at));
        known
            .copied()
            .ok_or_else(|| input.error(WHAT, "it is not in the frame's table"))
    }

    pub(super) fn put_dot(&self, out: &mut Vec<u8>, dot: Dot) {
        self.put(out, dot.actor);
        put_varint(out, dot.n);
    }

    pub(super) fn get_dot(&self, input: &mut Reader<'_>) -> Result<Dot, DecodeError> {
        let actor = self.get(input)?;
        Ok(Dot::new(actor, number(input)?))
    }
}

/// A dot's number: at least 1.
pub(super) fn number(input: &mut Reader<'_>) -> Result<u64, DecodeError> {
    match input.varint("dot number")? {
        0 => Err(input.error("dot number", "dots count from 1")),
        n => Ok(n),
    }
}

pub(super) fn put_key(out: &mut Vec<u8>, key: &[u8]) {
    put_bytes(out, key);
}

pub(super) fn get_key(input: &mut Reader<'_>) -> Result<Box<[u8]>, DecodeError> {
    Ok(input.bytes(KEY_BYTES_MAX, "key")?.into())
}

pub(super) fn get_field(input: &mut Reader<'_>) -> Result<Box<[u8]>, DecodeError> {
    Ok(input.bytes(FIELD_BYTES_MAX, "field")?.into())
}

pub(super) fn get_kind(input: &mut Reader<'_>) -> Result<Kind, DecodeError> {
    let code = input.byte("kind of cell")?;
    Kind::from_code(code)
        .ok_or_else(|| input.error("kind of cell", "this version knows no such kind"))
}

pub(super) fn put_name(out: &mut Vec<u8>, name: &CellName) {
    out.push(name.kind.code());
    if name.kind.has_fields() {
        put_bytes(out, &name.field);
    }
}

pub(super) fn get_name(input: &mut Reader<'_>) -> Result<CellName, DecodeError> {
    let kind = get_kind(input)?;
    let field = if kind.has_fields() {
        get_field(input)?
    } else {
        Box::default()
    };
    Ok(CellName { kind, field })
}

pub(super) fn put_cell_id(out: &mut Vec<u8>, cell: &CellId) {
    put_key(out, &cell.key);
    put_name(out, &cell.name);
}

pub(super) fn get_cell_id(input: &mut Reader<'_>) -> Result<CellId, DecodeError> {
    Ok(CellId {
        key: get_key(input)?,
        name: get_name(input)?,
    })
}

pub(super) fn get_value(input: &mut Reader<'_>) -> Result<Value, DecodeError> {
    Ok(input.bytes(VALUE_BYTES_MAX, "value")?.into())
}

pub(super) fn put_hlc(out: &mut Vec<u8>, hlc: Hlc) {
    out.extend_from_slice(&hlc.0.to_le_bytes());
}

pub(super) fn get_hlc(input: &mut Reader<'_>) -> Result<Hlc, DecodeError> {
    Ok(Hlc(input.u64("stamp")?))
}

pub(super) fn get_deadline(input: &mut Reader<'_>) -> Result<Deadline, DecodeError> {
    match input.varint("deadline")? {
        u64::MAX => Err(input.error("deadline", "never is written by leaving it out")),
        ms => Ok(Deadline(ms)),
    }
}

/// Zigzag varint of 128 bits for whole totals, 8 bytes for floats; `float` is known from flags.
pub(super) fn put_total(out: &mut Vec<u8>, total: Total) {
    match total {
        Total::Float(value) => out.extend_from_slice(&value.to_bits().to_le_bytes()),
        Total::Int(value) => {
            let mut folded = (value.cast_unsigned() << 1) ^ (value >> 127).cast_unsigned();
            while folded >= 0x80 {
                out.push(u8::try_from(folded & 0x7f).unwrap_or(0) | 0x80);
                folded >>= 7;
            }
            out.push(u8::try_from(folded).unwrap_or(0));
        }
    }
}

/// What kind of number a chain counts in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    Int,
    Float,
}

impl Numbers {
    pub(super) const fn of(total: Total) -> Self {
        match total {
            Total::Int(_) => Self::Int,
            Total::Float(_) => Self::Float,
        }
    }

    pub(super) fn get_total(self, input: &mut Reader<'_>) -> Result<Total, DecodeError> {
        const WHAT: &str = "counter total";
        if self == Self::Float {
            return Ok(Total::Float(f64::from_bits(input.u64(WHAT)?)));
        }
        let mut folded = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = input.byte(WHAT)?;
            if shift == 126 && byte > 3 {
                break;
            }
            folded |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    return Err(input.error(WHAT, "the number is padded"));
                }
                return Ok(Total::Int(
                    (folded >> 1).cast_signed() ^ -(folded & 1).cast_signed(),
                ));
            }
        }
        Err(input.error(WHAT, "the number has more than 128 bits"))
    }
}

const VERSION_HAS_DEADLINE: u8 = 1;

fn put_version(out: &mut Vec<u8>, actors: &Actors, version: &Version) {
    let timed = version.deadline != Deadline::NEVER;
    out.push(if timed { VERSION_HAS_DEADLINE } else { 0 });
    actors.put_dot(out, version.dot);
    put_hlc(out, version.hlc);
    if timed {
        put_varint(out, version.deadline.0);
    }
    put_bytes(out, &version.value);
}

fn get_version(input: &mut Reader<'_>, actors: &Actors) -> Result<Version, DecodeError> {
    let flags = input.byte("version flags")?;
    if flags & !VERSION_HAS_DEADLINE != 0 {
        return Err(input.error("version flags", "this version knows no such flag"));
    }
    let dot = actors.get_dot(input)?;
    let hlc = get_hlc(input)?;
    let deadline = if flags == 0 {
        Deadline::NEVER
    } else {
        get_deadline(input)?
    };
    Ok(Version {
        dot,
        hlc,
        deadline,
        value: get_value(input)?,
    })
}

const CHAIN_HAS_TOP: u8 = 1;
const CHAIN_HAS_BASE: u8 = 2;
const CHAIN_HAS_DEADLINE: u8 = 4;
const CHAIN_IS_FLOAT: u8 = 8;
const CHAIN_BASE_IS_FLOAT: u8 = 16;
const CHAIN_FLAGS: u8 = 31;

fn put_chain(out: &mut Vec<u8>, actors: &Actors, chain: &Chain) {
    let timed = chain.deadline != Deadline::NEVER;
    let base = chain.reset_by.filter(|_| chain.base.n > 0);
    let mut flags = 0;
    let float = |mark: Mark| Numbers::of(mark.total) == Numbers::Float;
    if chain.top.n > 0 {
        flags |= CHAIN_HAS_TOP | if float(chain.top) { CHAIN_IS_FLOAT } else { 0 };
    }
    if base.is_some() {
        // Of the same kind as the top unless a faulty peer sent the reset: even then this must stay readable.
        flags |= CHAIN_HAS_BASE
            | if float(chain.base) {
                CHAIN_BASE_IS_FLOAT
            } else {
                0
            };
    }
    flags |= if timed { CHAIN_HAS_DEADLINE } else { 0 };
    out.push(flags);
    actors.put(out, chain.id.actor);
    put_varint(out, chain.id.birth);
    if chain.top.n > 0 {
        put_varint(out, chain.top.n);
        put_total(out, chain.top.total);
        put_hlc(out, chain.hlc);
    }
    if let Some(by) = base {
        put_varint(out, chain.base.n);
        put_total(out, chain.base.total);
        actors.put_dot(out, by);
    }
    if timed {
        put_varint(out, chain.deadline.0);
    }
}

fn get_chain(input: &mut Reader<'_>, actors: &Actors) -> Result<Chain, DecodeError> {
    const WHAT: &str = "chain flags";
    let flags = input.byte(WHAT)?;
    let (has_top, has_base) = (flags & CHAIN_HAS_TOP != 0, flags & CHAIN_HAS_BASE != 0);
    if flags & !CHAIN_FLAGS != 0 || !(has_top || has_base) {
        return Err(input.error(WHAT, "neither an increment nor a reset, or an unknown flag"));
    }
    if !has_top && flags & CHAIN_IS_FLOAT != 0 || !has_base && flags & CHAIN_BASE_IS_FLOAT != 0 {
        return Err(input.error(WHAT, "the kind of a number that is not there"));
    }
    let numbers = |flag: u8| {
        if flags & flag == 0 {
            Numbers::Int
        } else {
            Numbers::Float
        }
    };
    let actor = actors.get(input)?;
    let birth = input.varint("chain birth")?;
    let mut chain = Chain::unknown(ChainId { actor, birth });
    if has_top {
        chain.top = Mark {
            n: number(input)?,
            total: numbers(CHAIN_IS_FLOAT).get_total(input)?,
        };
        chain.hlc = get_hlc(input)?;
    }
    if has_base {
        chain.base = Mark {
            n: number(input)?,
            total: numbers(CHAIN_BASE_IS_FLOAT).get_total(input)?,
        };
        chain.reset_by = Some(actors.get_dot(input)?);
    }
    if flags & CHAIN_HAS_DEADLINE != 0 {
        chain.deadline = get_deadline(input)?;
    }
    Ok(chain)
}

/// Versions and chains; the overlay is written by whoever needs it.
pub(super) fn put_cell(out: &mut Vec<u8>, actors: &Actors, cell: &Cell) {
    put_varint(out, cell.versions().len() as u64);
    for version in cell.versions() {
        put_version(out, actors, version);
    }
    put_varint(out, cell.chains().len() as u64);
    for chain in cell.chains() {
        put_chain(out, actors, chain);
    }
}

pub(super) fn get_cell(input: &mut Reader<'_>, actors: &Actors) -> Result<Cell, DecodeError> {
    let mut cell = Cell::default();
    for _ in 0..input.count(12, "versions of a cell")? {
        let version = get_version(input, actors)?;
        if cell
            .versions()
            .last()
            .is_some_and(|last| last.dot >= version.dot)
        {
            return Err(input.error("versions of a cell", "dots do not ascend"));
        }
        cell.insert_version(version);
    }
    for _ in 0..input.count(4, "chains of a cell")? {
        let chain = get_chain(input, actors)?;
        if cell.chains().last().is_some_and(|last| last.id >= chain.id) {
            return Err(input.error("chains of a cell", "chains do not ascend"));
        }
        cell.change_chain(chain.id, |held| *held = chain);
    }
    Ok(cell)
}

pub(super) fn put_range(out: &mut Vec<u8>, range: &Range) {
    match range {
        Range::Key(key) => {
            out.push(0);
            put_key(out, key);
        }
        Range::Fields {
            key,
            kind,
            from,
            to,
        } => {
            out.push(if to.is_some() { 2 } else { 1 });
            put_key(out, key);
            out.push(kind.code());
            put_bytes(out, from);
            to.iter().for_each(|to| put_bytes(out, to));
        }
        Range::Keys { from, to } => {
            out.push(if to.is_some() { 4 } else { 3 });
            put_key(out, from);
            to.iter().for_each(|to| put_key(out, to));
        }
    }
}

pub(super) fn get_range(input: &mut Reader<'_>) -> Result<Range, DecodeError> {
    let form = input.byte("range")?;
    Ok(match form {
        0 => Range::Key(get_key(input)?),
        1 | 2 => Range::Fields {
            key: get_key(input)?,
            kind: get_kind(input)?,
            from: get_field(input)?,
            to: if form == 2 {
                Some(get_field(input)?)
            } else {
                None
            },
        },
        3 | 4 => Range::Keys {
            from: get_key(input)?,
            to: if form == 4 {
                Some(get_key(input)?)
            } else {
                None
            },
        },
        _ => return Err(input.error("range", "this version knows no such form")),
    })
}
