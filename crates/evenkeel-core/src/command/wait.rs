//! What a blocking command waits for: keys that show something of a kind, for so long.
//!
//! The waiting itself is the shell's: it runs the command's rounds, and while their reply is null, waits and runs
//! them again for the keys that have something ([`Wait::narrowed`]). Where nothing may block, in MULTI and in
//! scripts, the null is the reply. What was taken for a client that has gone meanwhile is given back.

use std::ops::Range;

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::Args;
use super::keyspace::Keyspace;
use super::number::parse_float;
use super::spec::Round;
use crate::types::Kind;

/// A command that may wait.
#[derive(Clone, Copy, Debug)]
pub struct Blocking {
    /// Its rounds. A null as their reply: nothing is there.
    pub step: fn(Args<'_>, &[Vec<Reply>]) -> Round,
    /// What it waits for; an error when its arguments are wrong.
    pub wait: fn(Args<'_>) -> Result<Wait, Reply>,
    /// The command that puts back what a reply would have handed over; `None`: nothing would be lost.
    pub undo: fn(Args<'_>, &Reply) -> Option<Vec<Bytes>>,
}

/// What a blocking command waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wait {
    /// The type of key that can end it.
    pub kind: Kind,
    /// Where the keys are among the arguments.
    pub keys: Range<usize>,
    /// Where the number of keys is, if it is told.
    pub counted_at: Option<usize>,
    /// For how many milliseconds; `None`: for ever.
    pub timeout_ms: Option<u64>,
}

impl Wait {
    /// The command for some of its keys alone, given by their places.
    #[must_use]
    pub fn narrowed(&self, args: Args<'_>, keys: &[usize]) -> Vec<Bytes> {
        let own = |at: usize| match self.counted_at {
            Some(counted) if counted == at => Bytes::from(keys.len().to_string()),
            _ => Bytes::copy_from_slice(args[at]),
        };
        let head = (0..self.keys.start).map(own);
        let kept = keys.iter().map(|at| Bytes::copy_from_slice(args[*at]));
        let tail = (self.keys.end..args.len()).map(own);
        head.chain(kept).chain(tail).collect()
    }
}

impl Keyspace<'_> {
    /// Whether a key shows something of a kind: what a blocking command waits for.
    #[must_use]
    pub fn shows(&self, key: &[u8], kind: Kind) -> bool {
        self.view(key).kind() == Some(kind)
    }
}

/// Reads a time-out in seconds, with a fraction; 0 is for ever.
pub(super) fn timeout_ms(seconds: &[u8]) -> Result<Option<u64>, Reply> {
    let seconds = parse_float(seconds)
        .ok_or_else(|| Reply::error("ERR timeout is not a float or out of range"))?;
    let ms = (seconds * 1000.0).ceil();
    if ms < 0.0 {
        return Err(Reply::error("ERR timeout is negative"));
    }
    if ms >= i64::MAX as f64 {
        return Err(Reply::error("ERR timeout is out of range"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above: a whole number from 0 up to the greatest i64"
    )]
    let ms = ms as u64;
    Ok((ms > 0).then_some(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_seconds_with_a_fraction_rounded_up_to_a_millisecond() {
        assert_eq!(timeout_ms(b"0"), Ok(None));
        assert_eq!(timeout_ms(b"1"), Ok(Some(1000)));
        assert_eq!(timeout_ms(b"0.1"), Ok(Some(100)));
        assert_eq!(timeout_ms(b"0.00001"), Ok(Some(1)));
        assert_eq!(timeout_ms(b"-0.0"), Ok(None));
        for (text, error) in [
            ("abc", "ERR timeout is not a float or out of range"),
            ("", "ERR timeout is not a float or out of range"),
            ("nan", "ERR timeout is not a float or out of range"),
            ("-1", "ERR timeout is negative"),
            ("1e30", "ERR timeout is out of range"),
            ("inf", "ERR timeout is out of range"),
        ] {
            assert_eq!(timeout_ms(text.as_bytes()), Err(Reply::error(error)));
        }
    }

    #[test]
    fn a_command_is_narrowed_to_the_keys_that_have_something() {
        let args: Args<'_> = &[b"BLMPOP", b"0", b"3", b"a", b"b", b"c", b"LEFT"];
        let wait = Wait {
            kind: Kind::List,
            keys: 3..6,
            counted_at: Some(2),
            timeout_ms: None,
        };
        let narrowed = wait.narrowed(args, &[4, 5]);
        assert_eq!(narrowed, ["BLMPOP", "0", "2", "b", "c", "LEFT"]);
    }
}
