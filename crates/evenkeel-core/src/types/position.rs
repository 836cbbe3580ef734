//! Positions of list elements: immutable names whose order as bytes is the order of the list, the same everywhere.
//!
//! Fugue as strings (Weidner, Kleppmann: The Art of the Fugue, section 3, and the package position-strings): a path
//! of steps, each `rank, actor, number`. What is inserted behind an element and before all it has seen is a child to
//! its right, what is inserted before it a child to its left, and a writer that goes on where it inserted last only
//! counts on: its run stays together, so the batches of two writers are never interleaved.
//!
//! One rule is added for queues, where writers take turns at an end and each turn would be one level deeper: a push
//! to an end that another writer holds takes the next rank of the first step instead, as a Lamport clock would. Ranks
//! from 0 on hold runs that grow to the right, ranks below 0 those that grow to the left. So a position at an end is
//! one step, 10 to 18 bytes; only LINSERT makes it longer, by one step for each turn of another writer at one place.
//!
//! Invariants: no two positions are equal (the number is one that its actor draws once); a new one lies strictly
//! between its neighbours; no code of a step is the beginning of another.

use super::cell_id::Field;
use crate::id::ActorId;

/// The bytes of an actor.
const ACTOR_BYTES: usize = 8;
/// The longest code of a rank: sign, length and number in as many bytes.
const RANK_BYTES_MAX: u32 = 7;
/// The longest code of a number whose length stands in its first byte.
const NUMBER_BYTES_MAX: u32 = 8;
/// Ranks above this, and below its negative, are not given out. Nobody gets there by taking turns.
const RANK_MAX: i64 = (1 << (7 * RANK_BYTES_MAX - 1)) - 1;

/// The source of one actor's positions.
#[derive(Clone, Debug)]
pub struct Positions {
    actor: ActorId,
    next: u64,
}

/// One step of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Step {
    rank: i64,
    actor: ActorId,
    number: u64,
    side: Side,
}

/// Which part of an element's place a step names. What is to its right begins with the element's own name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    /// Where its children to the left are.
    Left,
    /// The element itself.
    Own,
}

impl Positions {
    /// `next` and all numbers above it must be new to `actor`, and fewer than 2^62.
    #[must_use]
    pub const fn new(actor: ActorId, next: u64) -> Self {
        Self { actor, next }
    }

    /// A position at the right end, behind the last element if there is one.
    pub fn behind(&mut self, last: Option<&[u8]>) -> Field {
        let own = self.draw();
        last.map_or_else(|| own(0).appended(&[]), |last| behind(last, &own))
            .into()
    }

    /// A position at the left end, before the first element if there is one.
    pub fn before(&mut self, first: Option<&[u8]>) -> Field {
        let own = self.draw();
        first
            .map_or_else(|| own(-1).appended(&[]), |first| before(first, &own))
            .into()
    }

    /// A position strictly between two elements that follow each other; at an end where one is missing.
    pub fn between(&mut self, left: Option<&[u8]>, right: Option<&[u8]>) -> Field {
        match (left, right) {
            (Some(left), Some(right)) => inside((left, right), &self.draw()).into(),
            (None, Some(right)) => self.before(Some(right)),
            (left, None) => self.behind(left),
        }
    }

    /// A step of the given rank with a number that was not drawn before.
    fn draw(&mut self) -> impl Fn(i64) -> Step + use<> {
        let (actor, number) = (self.actor, self.next);
        self.next += 1;
        move |rank| Step {
            rank,
            actor,
            number,
            side: Side::Own,
        }
    }
}

/// At the right end: goes on with the own run, or takes the next rank.
fn behind(left: &[u8], own: &impl Fn(i64) -> Step) -> Vec<u8> {
    let first = Step::read(left).map(|(step, _)| step);
    let rank = first.and_then(|first| {
        let goes_on = first.rank >= 0 && own(0).follows(first);
        let rank = if goes_on { first.rank } else { first.rank + 1 };
        (rank <= RANK_MAX).then_some(rank.max(0))
    });
    // Not what this version writes, or no rank left: a child is right in any case.
    rank.map_or_else(|| own(0).appended(left), |rank| own(rank).appended(&[]))
}

/// At the left end, likewise.
fn before(right: &[u8], own: &impl Fn(i64) -> Step) -> Vec<u8> {
    let first = Step::read(right).map(|(step, _)| step);
    let rank = first.and_then(|first| {
        let goes_on = first.rank < 0 && own(-1).follows(first);
        let rank = if goes_on { first.rank } else { first.rank - 1 };
        (rank >= -RANK_MAX).then_some(rank.min(-1))
    });
    rank.map_or_else(|| child_before(right, own), |rank| own(rank).appended(&[]))
}

/// Between two elements: goes on with an own run that ends there, or begins one as a child of one of the two.
fn inside((left, right): (&[u8], &[u8]), own: &impl Fn(i64) -> Step) -> Vec<u8> {
    let fits = |position: &Vec<u8>| left < &position[..] && &position[..] < right;
    let run = |of: &[u8], grows_right: bool| {
        let (at, last) = last_step(of)?;
        let goes_on = (last.rank >= 0) == grows_right && own(last.rank).follows(last);
        goes_on.then(|| own(last.rank).appended(&of[..at]))
    };
    if let Some(position) = run(left, true).filter(fits) {
        return position;
    }
    if let Some(position) = run(right, false).filter(fits) {
        return position;
    }
    if right.starts_with(left) {
        child_before(right, own)
    } else {
        own(0).appended(left)
    }
}

/// A child to the left.
fn child_before(right: &[u8], own: &impl Fn(i64) -> Step) -> Vec<u8> {
    match last_step(right) {
        Some((at, last)) => {
            let place = Step {
                side: Side::Left,
                ..last
            };
            own(-1).appended(&place.appended(&right[..at]))
        }
        // Nothing that a version wrote; any place will do.
        None => own(-1).appended(&[]),
    }
}

/// The last step of a path and where it begins.
fn last_step(position: &[u8]) -> Option<(usize, Step)> {
    let mut at = 0;
    loop {
        let (step, length) = Step::read(&position[at..])?;
        if at + length == position.len() {
            return Some((at, step));
        }
        at += length;
    }
}

impl Step {
    /// Whether it goes on with the run of `before`: the same actor, a later number.
    fn follows(self, before: Self) -> bool {
        self.actor == before.actor && self.number > before.number
    }

    /// The path with this step at its end.
    fn appended(self, path: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(path.len() + 2 * ACTOR_BYTES);
        out.extend_from_slice(path);
        put_rank(&mut out, self.rank);
        out.extend_from_slice(&self.actor.0.to_be_bytes());
        let falls = self.rank < 0;
        // A place to the left comes just before its element in the order of the run.
        let own = u64::from((self.side == Side::Own) != falls);
        put_number(&mut out, self.number * 2 + own, falls);
        out
    }

    /// The first step of a path and its length; `None` when the bytes are none.
    fn read(path: &[u8]) -> Option<(Self, usize)> {
        let (rank, rank_bytes) = read_rank(path)?;
        let rest = &path[rank_bytes..];
        let actor = rest.get(..ACTOR_BYTES)?.try_into().ok()?;
        let (word, number_bytes) = read_number(&rest[ACTOR_BYTES..], rank < 0)?;
        let own = (word % 2 == 1) != (rank < 0);
        let step = Self {
            rank,
            actor: ActorId(u64::from_be_bytes(actor)),
            number: word / 2,
            side: if own { Side::Own } else { Side::Left },
        };
        Some((step, rank_bytes + ACTOR_BYTES + number_bytes))
    }
}

/// Bytes whose first ones say how many they are, so that longer codes sort behind shorter ones: `length - 1` ones
/// and a zero, below `spent` bits that are taken already.
fn put_counted(out: &mut Vec<u8>, value: u64, length: u32, spent: u32) {
    let ones = length - 1;
    let mark = (0xFF_u8.checked_shl(8 - ones).unwrap_or(0)) >> spent;
    let bytes = value.to_be_bytes();
    let from = bytes.len() - length as usize;
    out.extend_from_slice(&bytes[from..]);
    let first = out.len() - length as usize;
    out[first] |= mark;
}

/// A number, ascending; descending when it `falls`.
fn put_number(out: &mut Vec<u8>, value: u64, falls: bool) {
    let start = out.len();
    let bits = u64::BITS - value.leading_zeros();
    let length = bits.div_ceil(7).max(1);
    if length <= NUMBER_BYTES_MAX {
        put_counted(out, value, length, 0);
    } else {
        out.push(0xFF);
        out.extend_from_slice(&value.to_be_bytes());
    }
    invert(&mut out[start..], falls);
}

fn read_number(bytes: &[u8], falls: bool) -> Option<(u64, usize)> {
    let flip = if falls { 0xFF } else { 0 };
    let first = bytes.first()? ^ flip;
    let ones = first.leading_ones();
    let length = ones as usize + 1;
    let code = bytes.get(..length)?;
    let skipped = usize::from(length > NUMBER_BYTES_MAX as usize);
    let clean = 0xFF_u8.checked_shr(ones).unwrap_or(0);
    let mut value = 0;
    for (at, byte) in code.iter().enumerate().skip(skipped) {
        let byte = byte ^ flip;
        let byte = if at == 0 { byte & clean } else { byte };
        value = value << 8 | u64::from(byte);
    }
    Some((value, length))
}

/// A signed number: the sign, then the magnitude; all bits turned below zero.
fn put_rank(out: &mut Vec<u8>, rank: i64) {
    let start = out.len();
    let magnitude = if rank < 0 { -1 - rank } else { rank }.unsigned_abs();
    let bits = u64::BITS - magnitude.leading_zeros();
    let length = (bits + 1).div_ceil(7).clamp(1, RANK_BYTES_MAX);
    put_counted(out, magnitude, length, 1);
    out[start] |= 0x80;
    invert(&mut out[start..], rank < 0);
}

fn read_rank(bytes: &[u8]) -> Option<(i64, usize)> {
    let falls = bytes.first()? & 0x80 == 0;
    let flip = if falls { 0xFF } else { 0 };
    let first = (bytes[0] ^ flip) << 1;
    let ones = first.leading_ones();
    if ones >= RANK_BYTES_MAX {
        return None;
    }
    let length = ones as usize + 1;
    let code = bytes.get(..length)?;
    let mut magnitude = i64::from((first << ones) >> ones >> 1);
    for byte in &code[1..] {
        magnitude = magnitude << 8 | i64::from(byte ^ flip);
    }
    Some((if falls { -1 - magnitude } else { magnitude }, length))
}

fn invert(bytes: &mut [u8], all: bool) {
    if all {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
    }
}

#[cfg(test)]
mod tests;
