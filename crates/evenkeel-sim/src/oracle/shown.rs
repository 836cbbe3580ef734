//! What a client of a replica must see: a function of the events applied there and the time alone.
//!
//! The rules of replication.md 5, written down once more and naively. A key shows the type of its newest live write.
//! A live deadline register rules the key, the latest of concurrent ones; without one each write expires under the
//! deadline that it carries. A value is the newest write plus all increments that no write took away.

use std::collections::BTreeMap;

use evenkeel_core::types::Kind;

use super::event_set::EventSet;
use super::function::Evaluator;
use super::history::{Amount, Deed, History};
use crate::commands::{Bytes, NEVER, Shown, Value, real_number, sketch_registers, whole_number};

/// What the string of a sketch begins with; clients write no such text on their own.
const SKETCH_HEAD: &[u8] = b"HYLL";

/// A live version or chain of a cell.
#[derive(Clone, Debug)]
struct Live<'a> {
    /// What decides among concurrent ones.
    rank: (u64, u64, u64),
    deadline: u64,
    what: What<'a>,
}

#[derive(Clone, Copy, Debug)]
enum What<'a> {
    Written(&'a [u8]),
    Added(Amount),
}

/// The key as seen at `wall_ms` where exactly the events of `set` were applied.
pub(crate) fn shown(
    evaluator: &mut Evaluator,
    history: &History,
    (key, set): (&[u8], &EventSet),
    wall_ms: u64,
) -> Option<Shown> {
    let mut register: Option<u64> = None;
    let mut cells: BTreeMap<(Kind, &[u8]), Vec<Live<'_>>> = BTreeMap::new();
    for &cell in history.universe.of_key(key) {
        let name = &history.universe.id(cell).name;
        let lives = live_of(evaluator, history, (cell, set));
        if name.kind == Kind::Deadline {
            let deadlines = lives.iter().map(|live| deadline_of(&live.what));
            register = register.max(deadlines.max());
        } else if !lives.is_empty() {
            cells.insert((name.kind, &name.field), lives);
        }
    }
    let mut hidden = false;
    let passed = |deadline: u64| deadline != NEVER && wall_ms >= deadline;
    match register {
        Some(deadline) if passed(deadline) => return None,
        Some(_) => {}
        None => {
            for lives in cells.values_mut() {
                let all = lives.len();
                lives.retain(|live| !passed(live.deadline));
                hidden |= lives.len() < all;
            }
            cells.retain(|_, lives| !lives.is_empty());
        }
    }
    let newest = |lives: &Vec<Live<'_>>| lives.iter().map(|live| live.rank).max();
    let (&(kind, _), _) = cells.iter().max_by_key(|(_, lives)| newest(lives))?;
    cells.retain(|(other, _), _| *other == kind);
    let carried = cells.values().flatten().map(|live| live.deadline);
    let deadline = register.or_else(|| carried.max()).unwrap_or(NEVER);
    let (value, clamped) = value_of(kind, &cells);
    Some(Shown {
        value,
        deadline,
        carried: register.is_none() && (deadline != NEVER || hidden),
        clamped,
    })
}

fn live_of<'a>(
    evaluator: &mut Evaluator,
    history: &'a History,
    (cell, set): (usize, &EventSet),
) -> Vec<Live<'a>> {
    let view = evaluator.view(history, cell, set);
    let mut lives = Vec::with_capacity(view.versions.len() + view.chains.len());
    for &no in &view.versions {
        let event = history.event(no);
        if let Deed::Put {
            stamp,
            deadline,
            value,
            ..
        } = &event.deed
        {
            lives.push(Live {
                rank: (*stamp, event.actor, event.n),
                deadline: *deadline,
                what: What::Written(value),
            });
        }
    }
    for chain in &view.chains {
        let top = history.event(chain.top);
        if let Deed::Inc {
            stamp, deadline, ..
        } = top.deed
        {
            lives.push(Live {
                rank: (stamp, top.actor, top.n),
                deadline,
                what: What::Added(chain.value),
            });
        }
    }
    lives
}

fn deadline_of(what: &What<'_>) -> u64 {
    match what {
        What::Written(bytes) => (*bytes).try_into().map_or(NEVER, u64::from_be_bytes),
        What::Added(_) => NEVER,
    }
}

fn value_of(kind: Kind, cells: &BTreeMap<(Kind, &[u8]), Vec<Live<'_>>>) -> (Value, bool) {
    let fields = cells
        .iter()
        .map(|((_, field), lives)| (field.to_vec(), lives));
    match kind {
        Kind::Set => (Value::Set(fields.map(|(field, _)| field).collect()), false),
        Kind::Hash => {
            let mut clamped = false;
            let texts = fields.map(|(field, lives)| {
                let (text, beyond) = text_of(lives);
                clamped |= beyond;
                (field, text)
            });
            (Value::Hash(texts.collect()), clamped)
        }
        Kind::SortedSet => {
            let scores = fields.map(|(member, lives)| (member, score_of(lives)));
            (Value::SortedSet(scores.collect()), false)
        }
        // In the order of their positions.
        Kind::List => {
            let texts = fields.map(|(_, lives)| text_of(lives).0);
            (Value::List(texts.collect()), false)
        }
        Kind::HyperLogLog => {
            let mut all = BTreeMap::new();
            for live in cells.values().flatten() {
                if let What::Written(sketch) = live.what {
                    for (index, run) in sketch_registers(sketch) {
                        let register = all.entry(index).or_default();
                        *register = run.max(*register);
                    }
                }
            }
            (Value::Sketch(all), false)
        }
        _ => {
            let mut texts = fields.map(|(_, lives)| text_of(lives));
            let (text, clamped) = texts.next().unwrap_or_default();
            // A sketch that was copied or renamed is written as the string that it is to a client.
            if text.starts_with(SKETCH_HEAD) {
                return (Value::Sketch(sketch_registers(&text)), clamped);
            }
            (Value::Text(text), clamped)
        }
    }
}

/// The newest score that was written, or 0, plus what was added.
fn score_of(lives: &[Live<'_>]) -> f64 {
    let written = lives.iter().filter_map(|live| match live.what {
        What::Written(bytes) => Some((live.rank, bytes)),
        What::Added(_) => None,
    });
    let newest = written.max().map(|(_, bytes)| bytes);
    let base = newest.and_then(|bytes| bytes.try_into().ok());
    let added = lives.iter().map(|live| match live.what {
        What::Added(Amount::Float(amount)) => amount,
        _ => 0.0,
    });
    base.map_or(0.0, f64::from_be_bytes) + added.sum::<f64>()
}

/// The newest write, or 0, plus what was added: a write that is no number hides what was added. Tells whether the sum
/// is beyond 64 bits.
fn text_of(lives: &[Live<'_>]) -> (Bytes, bool) {
    let written = lives.iter().filter_map(|live| match live.what {
        What::Written(bytes) => Some((live.rank, bytes)),
        What::Added(_) => None,
    });
    let newest = written.max().map(|(_, bytes)| bytes);
    let mut whole: Option<i128> = None;
    let mut parts: Option<f64> = None;
    for live in lives {
        match live.what {
            What::Added(Amount::Int(amount)) => whole = Some(whole.unwrap_or(0) + amount),
            What::Added(Amount::Float(amount)) => parts = Some(parts.unwrap_or(0.0) + amount),
            What::Written(_) => {}
        }
    }
    let base = newest.unwrap_or(b"0");
    match (whole, parts, whole_number(base), real_number(base)) {
        (None, None, ..) => (base.to_vec(), false),
        (whole, None, Some(number), _) => {
            let sum = i128::from(number) + whole.unwrap_or(0);
            let fits = i128::from(i64::MIN)..=i128::from(i64::MAX);
            let near = sum.clamp(*fits.start(), *fits.end());
            (near.to_string().into_bytes(), !fits.contains(&sum))
        }
        (whole, parts, _, Some(number)) => {
            #[expect(clippy::cast_precision_loss, reason = "clients add small numbers here")]
            let sum = number + whole.unwrap_or(0) as f64 + parts.unwrap_or(0.0);
            (sum.to_string().into_bytes(), false)
        }
        _ => (base.to_vec(), false),
    }
}
