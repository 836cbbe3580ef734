//! HyperLogLogs: about how many different elements were added.
//!
//! A cell per actor, which only that actor raises; what is shown is the greatest of each register over all of them, so
//! concurrent additions are all counted. A removal takes away what it saw: the sketch of an actor that added meanwhile
//! survives whole, and what that actor had counted before with it (replication.md 5).
//!
//! To a client a sketch is a string, as in Redis: GET gives it in Redis' form, and a string of that form counts as one.

mod commands;
mod estimate;
mod selftest;
mod sketch;
#[cfg(test)]
mod tests;

pub(super) use commands::COMMANDS;

use evenkeel_resp::Reply;
use sketch::{Sketch, Unreadable};

use super::keyspace::{Keyspace, Writes};
use super::string::text_of;
use super::view::View;
use crate::bug::Bug;
use crate::partition::Write;
use crate::types::{Cell, CellId, Kind};

/// What a key of sketches shows, as Redis' string.
pub(super) fn text(view: &View<'_>) -> Vec<u8> {
    merged(view).encode()
}

/// The greatest of each register over all visible sketches.
fn merged(view: &View<'_>) -> Sketch {
    let mut all = Sketch::empty();
    for (_, cell) in view.cells(Kind::HyperLogLog) {
        merge_cell(&mut all, view, cell);
    }
    all
}

/// A sketch that cannot be read, which only a faulty peer can send, counts nothing.
fn merge_cell(into: &mut Sketch, view: &View<'_>, cell: &Cell) {
    let at = view.judged_at();
    let visible = cell
        .versions()
        .iter()
        .filter(|version| at.is_none_or(|at| !version.deadline.has_passed(at)));
    for version in visible {
        if let Ok(sketch) = Sketch::parse(&version.value) {
            into.merge(&sketch);
        }
    }
}

/// What a key holds, ready to be added to here.
struct Held {
    /// What it shows; `None` without the key.
    shown: Option<Sketch>,
    /// The part that this actor writes. All that is shown where that is a string: the write replaces it.
    own: Sketch,
}

fn held(keys: &Keyspace<'_>, key: &[u8]) -> Result<Held, Reply> {
    let view = keys.view(key).expect(Kind::String)?;
    match view.kind() {
        None => Ok(Held {
            shown: None,
            own: Sketch::empty(),
        }),
        Some(Kind::HyperLogLog) => {
            let mut own = Sketch::empty();
            let field = own_field(keys);
            let mut cells = view.cells(Kind::HyperLogLog);
            let forgets = keys.switches().breaks(Bug::SketchForgets);
            if let Some((_, cell)) = cells.find(|(name, _)| *name == field && !forgets) {
                merge_cell(&mut own, &view, cell);
            }
            let shown = Some(merged(&view));
            Ok(Held { shown, own })
        }
        Some(_) => {
            let sketch = Sketch::parse(&text_of(&view)).map_err(unreadable)?;
            Ok(Held {
                own: sketch.clone(),
                shown: Some(sketch),
            })
        }
    }
}

fn unreadable(why: Unreadable) -> Reply {
    Reply::error(match why {
        Unreadable::NoSketch => "WRONGTYPE Key is not a valid HyperLogLog string value.",
        Unreadable::Corrupt => "INVALIDOBJ Corrupted HLL object detected",
    })
}

/// The name of this actor's cell.
fn own_field(keys: &Keyspace<'_>) -> [u8; 8] {
    keys.actor().0.to_be_bytes()
}

/// Writes this actor's sketch, beside those of others.
fn write(keys: &mut Keyspace<'_>, key: &[u8], own: &Sketch) -> Result<(), Reply> {
    let view = keys.view(key);
    let mut writes: Writes = view.ground(key, Kind::HyperLogLog);
    writes.push(Write::Set {
        cell: CellId::new(key, Kind::HyperLogLog, &own_field(keys)),
        value: own.encode().into(),
        deadline: view.deadline(),
    });
    keys.commit(writes)
}
