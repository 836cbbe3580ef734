//! Which commands are sent, and in what proportion.
//!
//! Invariant: a [`Mix`] names at least one command, each once, each with a weight above zero.

use std::fmt;
use std::str::FromStr;

/// A command that the generator can send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Set,
    Get,
    Incr,
    Sadd,
    Hset,
}

impl Command {
    pub(super) const ALL: [Self; 5] = [Self::Set, Self::Get, Self::Incr, Self::Sadd, Self::Hset];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Get => "get",
            Self::Incr => "incr",
            Self::Sadd => "sadd",
            Self::Hset => "hset",
        }
    }

    /// Its place in [`Self::ALL`].
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// Why a list of commands was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MixError {
    /// Nothing between two commas, or nothing at all.
    Empty,
    /// A command that cannot be sent.
    UnknownCommand(String),
    /// A weight that is no whole number from 1 to 2^32 - 1.
    Weight {
        command: &'static str,
        weight: String,
    },
    /// A command named twice.
    Twice(&'static str),
    /// A weight where commands run one after the other.
    WeightWithoutMix(String),
}

impl fmt::Display for MixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a command is missing; write a list such as set,get"),
            Self::UnknownCommand(name) => {
                let known = Command::ALL.map(Command::name).join(", ");
                write!(f, "unknown command '{name}'; known are {known}")
            }
            Self::Weight { command, weight } => write!(
                f,
                "weight '{weight}' of {command} is not a whole number above 0"
            ),
            Self::Twice(command) => write!(f, "{command} is named twice"),
            Self::WeightWithoutMix(part) => write!(
                f,
                "'{part}' has a weight, but tests run one after the other; \
                 use --commands for a mix"
            ),
        }
    }
}

impl std::error::Error for MixError {}

/// Commands sent at the same time, each as often as its weight says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix {
    /// Each with the sum of the weights up to and with its own.
    parts: Vec<(Command, u64)>,
}

impl Mix {
    pub(super) fn only(command: Command) -> Self {
        Self {
            parts: vec![(command, 1)],
        }
    }

    pub(super) fn commands(&self) -> impl Iterator<Item = Command> + '_ {
        self.parts.iter().map(|&(command, _)| command)
    }

    /// The sum of all weights.
    pub(super) fn weight(&self) -> u64 {
        self.parts.last().map_or(1, |&(_, sum)| sum)
    }

    /// The command for a number below [`Self::weight`].
    pub(super) fn at(&self, drawn: u64) -> Command {
        let found = self.parts.iter().find(|&&(_, sum)| drawn < sum);
        found.map_or(Command::Set, |&(command, _)| command)
    }
}

impl FromStr for Mix {
    type Err = MixError;

    /// Reads `set:1,get:9`; a weight left out is 1.
    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut parts: Vec<(Command, u64)> = Vec::new();
        let mut sum = 0;
        for part in text.split(',') {
            let (name, weight) = match part.split_once(':') {
                Some((name, weight)) => (name, Some(weight)),
                None => (part, None),
            };
            let command = known(name)?;
            if parts.iter().any(|&(other, _)| other == command) {
                return Err(MixError::Twice(command.name()));
            }
            sum += u64::from(weight.map_or(Ok(1), |weight| parse_weight(command, weight))?);
            parts.push((command, sum));
        }
        Ok(Self { parts })
    }
}

fn known(name: &str) -> Result<Command, MixError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(MixError::Empty);
    }
    Command::ALL
        .into_iter()
        .find(|command| command.name().eq_ignore_ascii_case(name))
        .ok_or_else(|| MixError::UnknownCommand(name.to_owned()))
}

fn parse_weight(command: Command, weight: &str) -> Result<u32, MixError> {
    let parsed = weight.trim().parse().ok().filter(|&weight| weight > 0);
    parsed.ok_or_else(|| MixError::Weight {
        command: command.name(),
        weight: weight.to_owned(),
    })
}

/// Commands that run one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    commands: Vec<Command>,
}

impl Series {
    /// Each command as a mix of its own.
    pub(super) fn phases(&self) -> Vec<Mix> {
        self.commands.iter().copied().map(Mix::only).collect()
    }
}

impl FromStr for Series {
    type Err = MixError;

    /// Reads `set,get`.
    fn from_str(text: &str) -> Result<Self, MixError> {
        if let Some(part) = text.split(',').find(|part| part.contains(':')) {
            return Err(MixError::WeightWithoutMix(part.to_owned()));
        }
        let mix: Mix = text.parse()?;
        Ok(Self {
            commands: mix.commands().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Mix::from_str(text).unwrap_err().to_string()
    }

    #[test]
    fn a_mix_deals_out_its_commands_by_weight() {
        let mix: Mix = "set:1,GET:9".parse().unwrap();
        assert_eq!(mix.weight(), 10);
        assert_eq!(mix.at(0), Command::Set);
        assert!((1..10).all(|drawn| mix.at(drawn) == Command::Get));
    }

    #[test]
    fn a_weight_left_out_is_one() {
        assert_eq!("set,get".parse::<Mix>(), "set:1,get:1".parse());
    }

    #[test]
    fn an_index_is_the_place_in_the_list_of_all() {
        for (place, command) in Command::ALL.into_iter().enumerate() {
            assert_eq!(command.index(), place);
        }
    }

    #[test]
    fn a_refused_mix_says_what_is_wrong_and_what_would_be_right() {
        assert_eq!(
            refusal("set:1,mget:2"),
            "unknown command 'mget'; known are set, get, incr, sadd, hset"
        );
        assert_eq!(
            refusal("set:0"),
            "weight '0' of set is not a whole number above 0"
        );
        assert_eq!(
            refusal("set:1.5"),
            "weight '1.5' of set is not a whole number above 0"
        );
        assert_eq!(
            refusal("get:99999999999"),
            "weight '99999999999' of get is not a whole number above 0"
        );
        assert_eq!(refusal("set,get,set"), "set is named twice");
        for empty in ["", "set,", ",get", ":3"] {
            assert_eq!(
                refusal(empty),
                "a command is missing; write a list such as set,get",
                "{empty:?}"
            );
        }
    }

    #[test]
    fn a_series_takes_no_weights() {
        let refused = "set,get:9".parse::<Series>().unwrap_err().to_string();
        assert_eq!(
            refused,
            "'get:9' has a weight, but tests run one after the other; use --commands for a mix"
        );
        let series: Series = "hset,incr".parse().unwrap();
        let phases = series.phases();
        assert_eq!(phases, [Mix::only(Command::Hset), Mix::only(Command::Incr)]);
    }
}
