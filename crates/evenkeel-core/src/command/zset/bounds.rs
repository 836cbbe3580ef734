//! What a client means by a range of a sorted set: by rank, by score, by name.

use std::ops::Range;

use evenkeel_resp::Reply;

use crate::command::number::integer;
use crate::partition::Ranking;
use crate::types::Score;

/// The longest text that is tried as a score.
const SCORE_BYTES_MAX: usize = 5 * 1024;

/// A range as parsed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bounds<'a> {
    /// First and last rank, both included, from the end when negative.
    Rank(i64, i64),
    /// Least and greatest score.
    Score(Border, Border),
    /// Least and greatest name. Means something only where all scores are equal.
    Lex(Limit<'a>, Limit<'a>),
}

/// What the two arguments of a range are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    Rank,
    Score,
    Lex,
}

/// One end of a range of scores.
#[derive(Clone, Copy, Debug)]
pub(super) struct Border {
    score: f64,
    excluded: bool,
}

/// One end of a range of names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit<'a> {
    /// Before all names.
    First,
    /// After all names.
    Last,
    Included(&'a [u8]),
    Excluded(&'a [u8]),
}

impl<'a> Bounds<'a> {
    /// Parses the least and the greatest.
    pub(super) fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self, Reply> {
        match by {
            By::Rank => Ok(Self::Rank(integer(min)?, integer(max)?)),
            By::Score => {
                let borders = Border::parse(min).zip(Border::parse(max));
                let (min, max) =
                    borders.ok_or_else(|| Reply::error("ERR min or max is not a float"))?;
                Ok(Self::Score(min, max))
            }
            By::Lex => {
                let limits = Limit::parse(min).zip(Limit::parse(max));
                let (min, max) = limits
                    .ok_or_else(|| Reply::error("ERR min or max not valid string range item"))?;
                Ok(Self::Lex(min, max))
            }
        }
    }

    /// The ranks that it covers, counted from the lowest. When `reversed`, it gives ranks from the highest.
    pub(super) fn ranks(self, ranking: &Ranking, reversed: Direction) -> Range<usize> {
        let (from, to) = match self {
            Self::Rank(first, last) => {
                let ranks = absolute(first, last, ranking.len());
                return match reversed {
                    Direction::Up => ranks,
                    Direction::Down => ranking.len() - ranks.end..ranking.len() - ranks.start,
                };
            }
            Self::Score(min, max) => (
                ranking.partition_point(|score, _| min.is_above(score.number())),
                ranking.partition_point(|score, _| !max.is_below(score.number())),
            ),
            Self::Lex(min, max) => (
                ranking.partition_point(|_, member| min.is_above(member)),
                ranking.partition_point(|_, member| !max.is_below(member)),
            ),
        };
        from..to.max(from)
    }
}

/// Which end comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Up,
    Down,
}

/// Ranks that may count from the end, cut to what is there.
fn absolute(first: i64, last: i64, len: usize) -> Range<usize> {
    let signed = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |rank: i64| {
        if rank < 0 {
            rank.saturating_add(signed)
        } else {
            rank
        }
    };
    let first = usize::try_from(from_end(first)).unwrap_or(0);
    let end = usize::try_from(from_end(last).saturating_add(1))
        .unwrap_or(0)
        .min(len);
    if first < end { first..end } else { 0..0 }
}

impl Border {
    fn parse(text: &[u8]) -> Option<Self> {
        let (excluded, number) = match text {
            [b'(', number @ ..] => (true, number),
            number => (false, number),
        };
        let score = border_number(number)?;
        Some(Self { score, excluded })
    }

    /// As the lower end: whether a score is outside.
    fn is_above(self, score: f64) -> bool {
        score < self.score || (self.excluded && score == self.score)
    }

    /// As the upper end: whether a score is outside.
    fn is_below(self, score: f64) -> bool {
        score > self.score || (self.excluded && score == self.score)
    }
}

/// Reads a border as C does: nothing is 0, leading white space is skipped, too much is infinite.
fn border_number(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace());
    let Some(text) = start.and_then(|start| text.get(start..)) else {
        return text.is_empty().then_some(0.0);
    };
    if text.len() > SCORE_BYTES_MAX {
        return None;
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

impl<'a> Limit<'a> {
    const fn parse(text: &'a [u8]) -> Option<Self> {
        match text {
            b"-" => Some(Self::First),
            b"+" => Some(Self::Last),
            [b'[', name @ ..] => Some(Self::Included(name)),
            [b'(', name @ ..] => Some(Self::Excluded(name)),
            _ => None,
        }
    }

    /// As the lower end: whether a name is outside.
    fn is_above(self, name: &[u8]) -> bool {
        match self {
            Self::First => false,
            Self::Last => true,
            Self::Included(limit) => name < limit,
            Self::Excluded(limit) => name <= limit,
        }
    }

    /// As the upper end: whether a name is outside.
    fn is_below(self, name: &[u8]) -> bool {
        match self {
            Self::First => true,
            Self::Last => false,
            Self::Included(limit) => name > limit,
            Self::Excluded(limit) => name >= limit,
        }
    }
}

/// Reads a score or a weight: any float but NaN, whose magnitude 64 bits can hold.
pub(in crate::command) fn parse_float(text: &[u8]) -> Option<f64> {
    if text.len() > SCORE_BYTES_MAX {
        return None;
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let spelled = text.iter().any(|byte| byte.eq_ignore_ascii_case(&b'i'));
    let mantissa = text.split(|byte| byte.eq_ignore_ascii_case(&b'e')).next();
    let is_zero = || {
        let mut digits = mantissa.unwrap_or_default().iter();
        !digits.any(|byte| matches!(byte, b'1'..=b'9'))
    };
    let lost = (number.is_infinite() && !spelled) || (number == 0.0 && !is_zero());
    (!number.is_nan() && !lost).then_some(number)
}

/// Reads a score argument.
pub(in crate::command) fn parse_score(text: &[u8]) -> Result<Score, Reply> {
    let number = parse_float(text).and_then(Score::new);
    number.ok_or_else(|| Reply::error("ERR value is not a valid float"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_any_float_that_fits_and_a_border_may_be_sloppier() {
        for (text, number) in [
            ("0", 0.0),
            ("-0", -0.0),
            ("1.5", 1.5),
            ("+1e3", 1000.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("0e-999", 0.0),
            ("inf", f64::INFINITY),
            ("+Infinity", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_float(text.as_bytes()), Some(number), "{text}");
            assert_eq!(border_number(text.as_bytes()), Some(number), "{text}");
        }
        for text in [
            "", " 1", "1 ", "nan", "-nan", "1e999", "1e-999", "abc", "1e", "0x10",
        ] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text:?}");
        }
        for (text, number) in [
            ("", Some(0.0)),
            (" 1", Some(1.0)),
            ("1e999", Some(f64::INFINITY)),
            ("1\0x", Some(1.0)),
            ("1 ", None),
            (" ", None),
            ("nan", None),
            ("x", None),
        ] {
            assert_eq!(border_number(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn ranks_count_from_either_end_and_are_cut_to_what_is_there() {
        for (first, last, ranks) in [
            (0, -1, 0..5),
            (1, 3, 1..4),
            (-2, -1, 3..5),
            (-100, 1, 0..2),
            (3, 100, 3..5),
            (3, 2, 0..0),
            (5, 9, 0..0),
            (0, -6, 0..0),
            (i64::MIN, i64::MAX, 0..5),
            (i64::MAX, i64::MIN, 0..0),
        ] {
            assert_eq!(absolute(first, last, 5), ranks, "{first} {last}");
        }
    }
}
