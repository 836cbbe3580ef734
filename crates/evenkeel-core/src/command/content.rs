//! What a cell that holds a value shows: its newest version, plus what counters add.
//!
//! The value of a counter is the newest version as a number, or 0, plus the sum of the live chains. A version that
//! is no number hides the chains (replication.md 5). Sums are kept in 128 bits and shown clamped to 64.

use std::borrow::Cow;

use super::number::{Sum, parse_float, parse_integer};
use crate::time::WallMs;
use crate::types::{CellRef, Chain, Deadline, Total, VersionRef};

/// What of a cell is visible.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    winner: Option<VersionRef<'a>>,
    integers: Option<i128>,
    floats: Option<Sum>,
}

/// Its value.
enum Value<'a> {
    Bytes(&'a [u8]),
    Integer(i128),
    Float(Sum),
}

impl<'a> Content<'a> {
    /// What a cell shows; `judged_at` is there when the deadlines count that its versions and chains carry.
    pub(super) fn of(cell: impl Into<CellRef<'a>>, judged_at: Option<WallMs>) -> Option<Self> {
        let cell = cell.into();
        let winner = match judged_at {
            None => cell.winner(),
            Some(at) => cell
                .versions()
                .filter(|version| !version.deadline.has_passed(at))
                .max_by_key(|version| (version.hlc, version.dot)),
        };
        let mut content = Self {
            winner,
            integers: None,
            floats: None,
        };
        for chain in visible_chains(cell, judged_at) {
            content.add(chain.value());
        }
        let shows = winner.is_some() || content.integers.is_some() || content.floats.is_some();
        shows.then_some(content)
    }

    fn add(&mut self, total: Total) {
        match total {
            Total::Int(n) => self.integers = Some(self.integers.unwrap_or(0).saturating_add(n)),
            Total::Float(x) => {
                self.floats = Some(self.floats.map_or_else(|| Sum::new(x), |sum| sum.plus(x)));
            }
        }
    }

    fn value(&self) -> Value<'a> {
        let stored = self.winner.map(|version| version.value);
        if let (None, None, Some(bytes)) = (self.integers, self.floats, stored) {
            return Value::Bytes(bytes);
        }
        let integer = stored.map_or(Some(0), parse_integer).map(i128::from);
        let added = self.integers.unwrap_or(0);
        match (self.floats, integer, stored) {
            (None, Some(base), _) => Value::Integer(base.saturating_add(added)),
            (Some(floats), Some(base), _) => {
                Value::Float(floats.plus(to_float(base.saturating_add(added))))
            }
            // Of whatever kind the numbers are that are added: what one increment hides, the next must not show.
            (floats, None, Some(bytes))
                if let Some(base) = parse_float(bytes).filter(|base| base.is_finite()) =>
            {
                let sum = floats.map_or_else(|| Sum::new(base), |floats| floats.plus(base));
                Value::Float(sum.plus(to_float(added)))
            }
            (_, None, bytes) => Value::Bytes(bytes.unwrap_or_default()),
        }
    }

    /// The bytes that a reader gets.
    pub(super) fn text(&self) -> Cow<'a, [u8]> {
        match self.value() {
            Value::Bytes(bytes) => Cow::Borrowed(bytes),
            Value::Integer(n) => Cow::Owned(clamp(n).to_string().into_bytes()),
            Value::Float(sum) => Cow::Owned(sum.text().into_bytes()),
        }
    }

    /// The value as an integer, not clamped, if it is one.
    pub(super) fn integer(&self) -> Option<i128> {
        match self.value() {
            Value::Bytes(bytes) => parse_integer(bytes).map(i128::from),
            Value::Integer(n) => Some(n),
            Value::Float(sum) => parse_integer(sum.text().as_bytes()).map(i128::from),
        }
    }

    /// The value as a float, if it is one.
    pub(super) fn float(&self) -> Option<f64> {
        match self.value() {
            Value::Bytes(bytes) => parse_float(bytes),
            Value::Integer(n) => Some(to_float(n)),
            Value::Float(sum) => Some(sum.value),
        }
    }

    /// Whether the value is shown clamped.
    pub(super) fn is_clamped(&self) -> bool {
        self.integers.is_some()
            && matches!(self.value(), Value::Integer(n) if i64::try_from(n).is_err())
    }
}

/// The chains that add to what is shown.
fn visible_chains(cell: CellRef<'_>, judged_at: Option<WallMs>) -> impl Iterator<Item = &Chain> {
    cell.chains().iter().filter(move |chain| {
        !chain.is_dead() && judged_at.is_none_or(|at| !chain.deadline.has_passed(at))
    })
}

/// Whether a reader sees anything of a cell.
pub(super) fn is_visible<'a>(cell: impl Into<CellRef<'a>>, judged_at: Option<WallMs>) -> bool {
    let cell = cell.into();
    match judged_at {
        None => cell.is_live(),
        Some(at) => {
            let mut versions = cell.versions();
            versions.any(|version| !version.deadline.has_passed(at))
                || visible_chains(cell, judged_at).next().is_some()
        }
    }
}

/// The latest deadline that the visible part of a cell carries.
pub(super) fn latest_carried<'a>(
    cell: impl Into<CellRef<'a>>,
    judged_at: Option<WallMs>,
) -> Option<Deadline> {
    let cell = cell.into();
    let versions = cell.versions().map(|version| version.deadline);
    let chains = visible_chains(cell, judged_at).map(|chain| chain.deadline);
    let visible = |deadline: &Deadline| judged_at.is_none_or(|at| !deadline.has_passed(at));
    versions.chain(chains).filter(visible).max()
}

/// As near as 64 bits come.
pub(super) fn clamp(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX })
}

fn to_float(n: i128) -> f64 {
    n as f64
}
