//! HyperLogLogs, by their registers; with the few elements that clients add, the estimate is the number of them.
//!
//! Source of the hash: Austin Appleby, MurmurHash64A, public domain; of its use: hyperloglog.c's description.

use std::collections::BTreeMap;

use evenkeel_resp::Reply;

use super::{Model, Outcome, Value, count, ok, truth, wrong_type};
use crate::commands::Bytes;

type Registers = BTreeMap<u16, u8>;

pub(super) fn run(model: &mut Model<'_>, name: &str, args: &[Bytes]) -> Option<Outcome> {
    Some(match name {
        "pfadd" => registers(model, &args[1]).map(|held| {
            let mut after = held.clone().unwrap_or_default();
            for element in &args[2..] {
                let (index, run) = place(element);
                let register = after.entry(index).or_default();
                *register = run.max(*register);
            }
            let changed = held.is_none_or(|held| held != after);
            if changed {
                model.store(&args[1], Value::Sketch(after));
            }
            truth(changed)
        }),
        "pfcount" => union(model, &args[1..]).map(|all| count(all.len())),
        "pfmerge" => union(model, &args[1..]).map(|all| {
            model.store(&args[1], Value::Sketch(all));
            ok()
        }),
        _ => return None,
    })
}

fn registers(model: &Model<'_>, key: &[u8]) -> Result<Option<Registers>, Reply> {
    match model.value(key) {
        None => Ok(None),
        Some(Value::Sketch(registers)) => Ok(Some(registers.clone())),
        Some(Value::Text(_)) => Err(Reply::error(
            "WRONGTYPE Key is not a valid HyperLogLog string value.",
        )),
        Some(_) => Err(wrong_type()),
    }
}

fn union(model: &Model<'_>, keys: &[Bytes]) -> Result<Registers, Reply> {
    let mut all = Registers::new();
    for key in keys {
        for (index, run) in registers(model, key)?.unwrap_or_default() {
            let register = all.entry(index).or_default();
            *register = run.max(*register);
        }
    }
    Ok(all)
}

/// Which register an element is counted in, and how far it raises it.
fn place(element: &[u8]) -> (u16, u8) {
    let hash = murmur(element, 0xadc8_3b19);
    let index = u16::try_from(hash & 0x3fff).unwrap_or(0);
    let run = (hash >> 14 | 1 << 50).trailing_zeros() + 1;
    (index, u8::try_from(run).unwrap_or(0))
}

fn murmur(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word).wrapping_mul(M);
        hash = (hash ^ (word ^ word >> 47).wrapping_mul(M)).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev();
        hash ^= tail.fold(0, |tail, byte| tail << 8 | u64::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ hash >> 47).wrapping_mul(M);
    hash ^ hash >> 47
}

/// The registers of a sketch in the form in which Redis stores it.
pub(crate) fn decode(text: &[u8]) -> Registers {
    let mut registers = Registers::new();
    let Some((header, body)) = text.split_at_checked(16) else {
        return registers;
    };
    let mut set = |index: usize, value: u8| {
        if value > 0 {
            registers.insert(u16::try_from(index).unwrap_or(0), value);
        }
    };
    if header[4] == 0 {
        for index in 0..16_384 {
            let bit = index * 6;
            let pair = [body[bit / 8], *body.get(bit / 8 + 1).unwrap_or(&0)];
            let value = u16::from_le_bytes(pair) >> (bit % 8) & 0x3f;
            set(index, u8::try_from(value).unwrap_or(0));
        }
        return registers;
    }
    let (mut index, mut rest) = (0, body.iter());
    while let Some(&op) = rest.next() {
        match op >> 6 {
            0 => index += usize::from(op & 0x3f) + 1,
            1 => {
                let low = usize::from(rest.next().copied().unwrap_or(0));
                index += (usize::from(op & 0x3f) << 8 | low) + 1;
            }
            _ => {
                for _ in 0..=op & 3 {
                    set(index, (op >> 2 & 0x1f) + 1);
                    index += 1;
                }
            }
        }
    }
    registers
}
