//! How many members of a partition take part in a read, or hold a write before it is acknowledged.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many members of a partition must take part in a read or hold a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Level {
    /// So many; 1 is the default, and waits for nobody.
    Members(u8),
    /// More than half of them.
    Quorum,
    /// Every one.
    All,
}

impl Default for Level {
    fn default() -> Self {
        Self::Members(1)
    }
}

impl Level {
    /// The number for a partition of so many members.
    pub(crate) fn of(self, members: usize) -> usize {
        match self {
            Self::Members(number) => usize::from(number),
            Self::Quorum => members / 2 + 1,
            Self::All => members,
        }
    }

    /// Whether it waits for nobody.
    pub(crate) fn is_one(self) -> bool {
        self == Self::Members(1)
    }
}

/// Why a text is no level.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a level is one, a number of members from 1 on, quorum or all")]
pub struct NoLevel;

impl FromStr for Level {
    type Err = NoLevel;

    fn from_str(text: &str) -> Result<Self, NoLevel> {
        match text.to_ascii_lowercase().as_str() {
            "one" => Ok(Self::Members(1)),
            "quorum" => Ok(Self::Quorum),
            "all" => Ok(Self::All),
            number => number
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .map(Self::Members)
                .ok_or(NoLevel),
        }
    }
}

impl TryFrom<String> for Level {
    type Error = NoLevel;

    fn try_from(text: String) -> Result<Self, NoLevel> {
        text.parse()
    }
}

impl From<Level> for String {
    fn from(level: Level) -> Self {
        level.to_string()
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members(1) => f.write_str("one"),
            Self::Members(number) => number.fmt(f),
            Self::Quorum => f.write_str("quorum"),
            Self::All => f.write_str("all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_reads_as_it_is_written() {
        for text in ["one", "2", "quorum", "all", "255"] {
            assert_eq!(text.parse::<Level>().unwrap().to_string(), text);
        }
        for text in ["", "0", "256", "-1", "most"] {
            assert_eq!(text.parse::<Level>(), Err(NoLevel), "{text}");
        }
    }

    #[test]
    fn a_quorum_is_more_than_half() {
        let of = |members| Level::Quorum.of(members);
        assert_eq!([1, 2, 3, 4, 5].map(of), [1, 2, 2, 3, 3]);
    }
}
