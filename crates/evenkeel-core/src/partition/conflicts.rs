//! Conflicts noticed: concurrent versions that meet in a cell, and types that meet in a key.
//!
//! Both are looked for where remote events get in, at the price of a comparison where there is none. Types are judged
//! when the whole input is in: in the middle of an answer one may still be there that the answer removes.

use super::Replica;
use super::entry::KeyCells;
use crate::causality::{Dot, Hlc};
use crate::limits::{CONFLICT_VALUE_BYTES_MAX, CONFLICTS_PER_INPUT_MAX};
use crate::observation::{Conflict, Met, Rival};
use crate::types::{Cell, CellId, Chain, Deadline, Key, Kind, Total, Version};

/// What was noticed since it was last told.
#[derive(Clone, Default, Debug)]
pub(super) struct Conflicts {
    versions: Vec<Conflict>,
    /// Keys in which a second type came to life.
    mixed: Vec<Key>,
    left_out: u64,
}

impl Conflicts {
    pub(super) const fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.mixed.is_empty() && self.left_out == 0
    }

    /// Notes a key in which a second type came to life.
    pub(super) fn note_mixed(&mut self, key: &Key) {
        if self.mixed.len() < CONFLICTS_PER_INPUT_MAX {
            self.mixed.push(key.clone());
        } else {
            self.left_out += 1;
        }
    }

    /// Notes a cell in which versions, of which `is_new` tells the new ones, have met others.
    pub(super) fn note_versions(&mut self, id: &CellId, cell: &Cell, is_new: impl Fn(Dot) -> bool) {
        let Some(winner) = winner(id.name.kind, cell) else {
            return;
        };
        let losers = cell.versions().iter().filter(|version| {
            version.dot != winner.dot
                && version.value != winner.value
                && (is_new(version.dot) || is_new(winner.dot))
        });
        for loser in losers {
            if self.versions.len() == CONFLICTS_PER_INPUT_MAX {
                self.left_out += 1;
                continue;
            }
            self.versions.push(Conflict {
                key: id.key.clone(),
                met: match id.name.kind {
                    Kind::Deadline => Met::Deadlines,
                    _ => Met::Values,
                },
                winner: rival(id.name.kind, &id.name.field, winner),
                loser: rival(id.name.kind, &id.name.field, loser),
            });
        }
    }
}

impl Replica {
    /// What was noticed since the last call, and how many conflicts more.
    pub(super) fn take_conflicts(&mut self) -> (Vec<Conflict>, u64) {
        let Conflicts {
            versions: mut all,
            mut mixed,
            left_out,
        } = std::mem::take(&mut self.conflicts);
        mixed.sort_unstable();
        mixed.dedup();
        all.extend(mixed.iter().filter_map(|key| {
            let cells = self.key(key)?;
            types_met(key, cells)
        }));
        (all, left_out)
    }
}

/// The version that the kind's rule shows, where it can lose a value at all: a member of a set is there or not, and
/// sketches are merged.
fn winner(kind: Kind, cell: &Cell) -> Option<&Version> {
    match kind {
        Kind::Set | Kind::HyperLogLog => None,
        Kind::Deadline => cell
            .versions()
            .iter()
            .max_by_key(|version| (Deadline::from_value(&version.value), version.dot)),
        _ => cell.winner(),
    }
}

/// The two types with the newest stamps, where there are two.
fn types_met(key: &Key, cells: KeyCells<'_>) -> Option<Conflict> {
    let newest = |kind: Kind| {
        let rivals = cells.cells(kind);
        let rivals =
            rivals.filter_map(move |(field, cell)| newest_of(kind, field, &cell.to_cell()));
        rivals.max_by_key(stamp)
    };
    let mut newest: Vec<Rival> = cells.live_kinds().filter_map(newest).collect();
    newest.sort_unstable_by_key(stamp);
    let (winner, loser) = (newest.pop()?, newest.pop()?);
    Some(Conflict {
        key: key.clone(),
        met: Met::Types,
        winner,
        loser,
    })
}

const fn stamp(rival: &Rival) -> (Hlc, Dot) {
    (rival.hlc, rival.dot)
}

/// The newest version or chain of a cell.
fn newest_of(kind: Kind, field: &[u8], cell: &Cell) -> Option<Rival> {
    let version = cell.winner().map(|winner| rival(kind, field, winner));
    let chains = cell.chains().iter().filter(|chain| !chain.is_dead());
    let chain = chains.map(|chain| added(kind, field, chain));
    version.into_iter().chain(chain).max_by_key(stamp)
}

fn rival(kind: Kind, field: &[u8], version: &Version) -> Rival {
    let bytes = version.value.len();
    Rival {
        kind,
        field: field.into(),
        dot: version.dot,
        hlc: version.hlc,
        value: version.value[..bytes.min(CONFLICT_VALUE_BYTES_MAX)].into(),
        bytes,
    }
}

fn added(kind: Kind, field: &[u8], chain: &Chain) -> Rival {
    let value = match chain.value() {
        Total::Int(n) => n.to_string(),
        Total::Float(x) => x.to_string(),
    };
    Rival {
        kind,
        field: field.into(),
        dot: Dot::new(chain.id.actor, chain.top.n),
        hlc: chain.hlc,
        bytes: value.len(),
        value: value.into_bytes().into(),
    }
}
