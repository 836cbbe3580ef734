//! The score of a sorted set's member: the newest version's number, plus what its counter chains add.
//!
//! A version's value is the number as 8 bytes: IEEE 754 binary64, big endian. A peer can send any bytes and chains can
//! add up to anything, so every cell has a reading: bytes that are no number count 0, and a sum that is no number
//! reads 0.

use std::cmp::Ordering;

use super::cell::{Cell, Value};
use super::counter::Total;
use crate::time::WallMs;

/// A score: any float but NaN, and one zero only, so that equal scores are the same bit for bit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Score(f64);

impl Score {
    /// The score of a member that has only been incremented, before the first increment.
    pub const ZERO: Self = Self(0.0);

    /// A float as a score, unless it is NaN.
    #[must_use]
    pub const fn new(number: f64) -> Option<Self> {
        if number.is_nan() {
            None
        } else {
            // Minus zero becomes zero.
            Some(Self(number + 0.0))
        }
    }

    /// The float.
    #[must_use]
    pub const fn number(self) -> f64 {
        self.0
    }

    /// The value of a version.
    #[must_use]
    pub fn to_value(self) -> Value {
        Box::new(self.0.to_bits().to_be_bytes())
    }

    /// Reads [`Self::to_value`]. Anything else, which only a faulty peer can send, is 0.
    #[must_use]
    pub fn from_value(value: &[u8]) -> Self {
        let bytes = value.try_into().ok();
        let number = bytes.map(|bytes| f64::from_bits(u64::from_be_bytes(bytes)));
        number.and_then(Self::new).unwrap_or(Self::ZERO)
    }

    /// What a cell shows; `judged_at` is there when the deadlines count that its versions and chains carry. Chains
    /// are added in the order of their actors, so that replicas round alike.
    #[must_use]
    pub fn of(cell: &Cell, judged_at: Option<WallMs>) -> Option<Self> {
        let hidden =
            |deadline: super::Deadline| judged_at.is_some_and(|at| deadline.has_passed(at));
        let winner = match cell.versions() {
            [only] => (!hidden(only.deadline)).then_some(only),
            versions => versions
                .iter()
                .filter(|version| !hidden(version.deadline))
                .max_by_key(|version| (version.hlc, version.dot)),
        };
        let mut chains = cell
            .chains()
            .iter()
            .filter(|chain| !chain.is_dead() && !hidden(chain.deadline))
            .peekable();
        if winner.is_none() && chains.peek().is_none() {
            return None;
        }
        let stored = winner.map_or(Self::ZERO, |version| Self::from_value(&version.value));
        let sum = chains.fold(stored.0, |sum, chain| sum + number(chain.value()));
        Some(Self::new(sum).unwrap_or(Self::ZERO))
    }
}

fn number(total: Total) -> f64 {
    match total {
        Total::Int(whole) => whole as f64,
        Total::Float(float) => float,
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        // None is NaN alone, which no score is.
        self.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causality::{Dot, Hlc};
    use crate::id::ActorId;
    use crate::types::{ChainId, Deadline, Mark, Version};

    fn version(n: u64, value: Value) -> Version {
        Version {
            dot: Dot::new(ActorId(1), n),
            hlc: Hlc(n),
            deadline: Deadline::NEVER,
            value,
        }
    }

    fn add(cell: &mut Cell, actor: u64, total: Total) {
        let id = ChainId {
            actor: ActorId(actor),
            birth: 1,
        };
        cell.change_chain(id, |chain| {
            chain.extend(Mark { n: 1, total }, Hlc(1), Deadline::NEVER);
        });
    }

    #[test]
    fn a_score_is_the_newest_version_and_what_live_chains_add() {
        let mut cell = Cell::default();
        assert_eq!(Score::of(&cell, None), None);
        cell.insert_version(version(1, Score(5.0).to_value()));
        cell.insert_version(version(2, Score(1.5).to_value()));
        add(&mut cell, 1, Total::Float(0.25));
        add(&mut cell, 2, Total::Int(-4));
        assert_eq!(Score::of(&cell, None), Some(Score(-2.25)));
    }

    #[test]
    fn whatever_a_peer_sends_has_a_reading() {
        for bytes in [
            &b""[..],
            b"1234567",
            b"123456789",
            &f64::NAN.to_be_bytes(),
            &(-f64::NAN).to_be_bytes(),
        ] {
            assert_eq!(Score::from_value(bytes), Score::ZERO);
        }
        for infinite in [f64::INFINITY, f64::NEG_INFINITY] {
            let mut cell = Cell::default();
            cell.insert_version(version(1, Score(infinite).to_value()));
            assert_eq!(Score::of(&cell, None), Some(Score(infinite)));
            add(&mut cell, 1, Total::Float(-infinite));
            assert_eq!(Score::of(&cell, None), Some(Score::ZERO));
        }
        let mut cell = Cell::default();
        add(&mut cell, 1, Total::Float(f64::NAN));
        assert_eq!(Score::of(&cell, None), Some(Score::ZERO));
    }

    #[test]
    fn scores_sort_by_number_and_there_is_one_zero() {
        let ascending = [f64::NEG_INFINITY, -1.5, 0.0, 1e-300, 2.0, f64::INFINITY];
        for pair in ascending.windows(2) {
            assert!(Score(pair[0]) < Score(pair[1]));
        }
        let zero = |score: Option<Score>| score.map(|score| score.number().to_bits());
        assert_eq!(zero(Score::new(-0.0)), Some(0));
        assert_eq!(
            zero(Some(Score::from_value(&Score(-0.0).to_value()))),
            Some(0)
        );
    }
}
