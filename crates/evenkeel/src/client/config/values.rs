//! What a parameter accepts, and how it is shown again: as Redis 7.0.15 reads and writes its configuration.

use std::fmt::Write as _;

/// The kind of a parameter's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `yes` or `no`.
    Flag,
    /// Any text.
    Text,
    /// A number in this range.
    Number(i64, i64),
    /// A number of bytes in this range, with or without a unit.
    Memory(i64, i64),
    /// The same, or a share of the memory limit.
    MemoryOrPercent,
    /// File permissions.
    Octal,
    /// One of these words.
    One(&'static [&'static str]),
    /// Several of these words.
    Words(&'static [&'static str]),
}

impl Kind {
    /// The value as it is stored and shown.
    pub(super) fn normal(self, name: &str, value: &str) -> Result<String, String> {
        match self {
            Self::Flag => flag(value),
            Self::Text => text(name, value),
            Self::Number(least, most) => {
                let number = value
                    .parse::<i64>()
                    .map_err(|_| "argument couldn't be parsed into an integer".to_owned())?;
                within(number, least, most)
            }
            Self::Memory(least, most) => {
                let bytes = memory(value).ok_or("argument must be a memory value")?;
                within(bytes, least, most)
            }
            Self::MemoryOrPercent => memory_or_percent(value),
            Self::Octal => i64::from_str_radix(value, 8)
                .map(|_| value.to_owned())
                .map_err(|_| "argument couldn't be parsed as an octal number".to_owned()),
            Self::One(words) => one(words, value),
            Self::Words(words) => {
                let chosen: Result<Vec<String>, String> =
                    value.split(' ').map(|word| one(words, word)).collect();
                Ok(chosen?.join(" "))
            }
        }
    }
}

fn flag(value: &str) -> Result<String, String> {
    let value = value.to_ascii_lowercase();
    if value == "yes" || value == "no" {
        Ok(value)
    } else {
        Err("argument must be 'yes' or 'no'".to_owned())
    }
}

fn within(number: i64, least: i64, most: i64) -> Result<String, String> {
    if (least..=most).contains(&number) {
        Ok(number.to_string())
    } else {
        Err(format!(
            "argument must be between {least} and {most} inclusive"
        ))
    }
}

fn one(words: &[&str], value: &str) -> Result<String, String> {
    words
        .iter()
        .find(|word| word.eq_ignore_ascii_case(value))
        .map(|word| (*word).to_owned())
        .ok_or_else(|| {
            format!(
                "argument(s) must be one of the following: {}",
                words.join(", ")
            )
        })
}

/// Bytes: `100`, `1k` (1000), `1kb` (1024), and so on to `gb`.
pub(super) fn memory(value: &str) -> Option<i64> {
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = value.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

fn memory_or_percent(value: &str) -> Result<String, String> {
    let Some(percent) = value.strip_suffix('%') else {
        let bytes = memory(value).ok_or("argument must be a memory or percent value")?;
        return Ok(bytes.to_string());
    };
    match percent.parse::<i64>() {
        Ok(percent) if percent > 100 => {
            Err("percentage argument must be less or equal to 100".to_owned())
        }
        Ok(percent) if percent >= 0 => Ok(format!("{percent}%")),
        _ => Err("argument must be a memory or percent value".to_owned()),
    }
}

/// Texts that have a form of their own.
fn text(name: &str, value: &str) -> Result<String, String> {
    match name {
        "notify-keyspace-events" => keyspace_events(value),
        "save" => save(value),
        "latency-tracking-info-percentiles" => {
            let percentiles = percentiles(value)?;
            let shown: Vec<String> = percentiles.iter().map(f64::to_string).collect();
            Ok(shown.join(" "))
        }
        _ => Ok(value.to_owned()),
    }
}

/// The classes in the order that Redis shows them in; `A` for all that it stands for.
fn keyspace_events(value: &str) -> Result<String, String> {
    const ALL: &str = "g$lshzxetd";
    const ORDER: &str = "g$lshzxetdnKEm";
    if value
        .chars()
        .any(|class| class != 'A' && !ORDER.contains(class))
    {
        return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned());
    }
    let all = value.contains('A') || ALL.chars().all(|class| value.contains(class));
    let mut shown = String::new();
    if all {
        shown.push('A');
    }
    for class in ORDER.chars() {
        // Redis leaves `n` out behind `A`: its listing takes one or the other.
        let listed = all && (ALL.contains(class) || class == 'n');
        if value.contains(class) && !listed {
            shown.push(class);
        }
    }
    Ok(shown)
}

fn save(value: &str) -> Result<String, String> {
    let invalid = || "Invalid save parameters".to_owned();
    let words: Vec<&str> = value.split_whitespace().collect();
    if !words.len().is_multiple_of(2) {
        return Err(invalid());
    }
    for pair in words.chunks(2) {
        let number = |at: usize| pair[at].parse::<i64>().ok();
        if number(0).is_none_or(|seconds| seconds < 1) || number(1).is_none_or(|count| count < 0) {
            return Err(invalid());
        }
    }
    Ok(words.join(" "))
}

pub(super) fn percentiles(value: &str) -> Result<Vec<f64>, String> {
    let mut percentiles = Vec::new();
    for word in value.split_whitespace() {
        let percentile = word
            .parse::<f64>()
            .map_err(|_| "Invalid latency-tracking-info-percentiles parameters".to_owned())?;
        if !(0.0..=100.0).contains(&percentile) {
            return Err(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                    .to_owned(),
            );
        }
        percentiles.push(percentile);
    }
    Ok(percentiles)
}

/// A class of clients in `client-output-buffer-limit`, with its hard and soft limit and seconds.
pub(super) type ClassLimit = (usize, [u64; 3]);

/// The classes' names in the order that they are shown in.
const CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];

/// Reads `class hard soft seconds …`.
pub(super) fn output_limits(value: &str) -> Result<Vec<ClassLimit>, String> {
    let words: Vec<&str> = value.split_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    }
    let mut limits = Vec::new();
    for words in words.chunks(4) {
        let class = CLASSES
            .iter()
            .position(|class| class.eq_ignore_ascii_case(words[0]));
        let class = class.or_else(|| words[0].eq_ignore_ascii_case("replica").then_some(1));
        let Some(class) = class else {
            return Err("Invalid client class specified in buffer limit configuration.".to_owned());
        };
        let bytes = |at: usize| memory(words[at]).and_then(|bytes| u64::try_from(bytes).ok());
        let (Some(hard), Some(soft), Ok(seconds)) = (bytes(1), bytes(2), words[3].parse()) else {
            return Err(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration."
                    .to_owned(),
            );
        };
        limits.push((class, [hard, soft, seconds]));
    }
    Ok(limits)
}

/// Shows the limits of all classes.
pub(super) fn show_output_limits(limits: &[[u64; 3]; 3]) -> String {
    let mut shown = String::new();
    for (class, [hard, soft, seconds]) in CLASSES.iter().zip(limits) {
        let space = if shown.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(shown, "{space}{class} {hard} {soft} {seconds}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_shown_as_redis_does() {
        for (kind, name, value, shown) in [
            (Kind::Flag, "x", "YES", "yes"),
            (Kind::Memory(0, i64::MAX), "x", "10mb", "10485760"),
            (Kind::Memory(0, i64::MAX), "x", "10m", "10000000"),
            (Kind::MemoryOrPercent, "x", "5%", "5%"),
            (Kind::Number(-1, 5), "x", "-1", "-1"),
            (Kind::One(&["a", "b"]), "x", "B", "b"),
            (Kind::Text, "notify-keyspace-events", "KA", "AK"),
            (Kind::Text, "notify-keyspace-events", "gKE", "gKE"),
            (
                Kind::Text,
                "notify-keyspace-events",
                "$lshzxeKE",
                "$lshzxeKE",
            ),
            (
                Kind::Text,
                "latency-tracking-info-percentiles",
                "0.0 50.0 99.9",
                "0 50 99.9",
            ),
            (Kind::Text, "save", "3600 1", "3600 1"),
        ] {
            assert_eq!(
                kind.normal(name, value).as_deref(),
                Ok(shown),
                "{name} {value}"
            );
        }
    }

    #[test]
    fn what_a_parameter_does_not_accept_is_refused_with_redis_text() {
        for (kind, name, value, error) in [
            (Kind::Flag, "x", "maybe", "argument must be 'yes' or 'no'"),
            (
                Kind::Number(0, 5),
                "x",
                "9",
                "argument must be between 0 and 5 inclusive",
            ),
            (
                Kind::Number(0, 5),
                "x",
                "a",
                "argument couldn't be parsed into an integer",
            ),
            (
                Kind::Memory(0, 5),
                "x",
                "1tb",
                "argument must be a memory value",
            ),
            (
                Kind::MemoryOrPercent,
                "x",
                "200%",
                "percentage argument must be less or equal to 100",
            ),
            (
                Kind::One(&["a", "b"]),
                "x",
                "c",
                "argument(s) must be one of the following: a, b",
            ),
        ] {
            assert_eq!(kind.normal(name, value), Err(error.to_owned()), "{value}");
        }
        assert!(output_limits("pubsub 1mb 2").is_err());
        assert!(output_limits("nobody 1 1 1").is_err());
        assert_eq!(output_limits("pubsub 1kb 2 3"), Ok(vec![(2, [1024, 2, 3])]));
    }
}
