//! The four session guarantees: read your writes, monotonic reads, monotonic writes, writes follow reads.
//!
//! Source: Terry, Demers, Petersen, Spreitzer, Theimer, Welch, "Session Guarantees for Weakly Consistent Replicated
//! Data", PDIS 1994, as what a client can see of them. On each key, a write comes after all that its session had
//! written and read there before; that is the causal order of the key's values. A session that has written or read a
//! value must never again find one that comes before it, nor find nothing. Which guarantee such a find breaks is told by
//! how the two values are related. Values that are concurrent may take turns.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use crate::history::{Kind, Operation, Outcome};

/// A guarantee that does not hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Guarantee {
    /// A session did not find what it had written.
    ReadYourWrites,
    /// A session found less than it had found before.
    MonotonicReads,
    /// A session found an earlier write of a session again after a later one of the same session.
    MonotonicWrites,
    /// A session found what a writer had read before it wrote again after what it wrote.
    WritesFollowReads,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadYourWrites => "read your writes",
            Self::MonotonicReads => "monotonic reads",
            Self::MonotonicWrites => "monotonic writes",
            Self::WritesFollowReads => "writes follow reads",
        })
    }
}

/// One find that breaks a guarantee.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anomaly {
    /// Which.
    pub guarantee: Guarantee,
    /// The place of the read in the history, from 0.
    pub at: usize,
    /// What had been written or found before.
    pub newer: String,
    /// What was found; none: nothing.
    pub found: Option<String>,
}

/// What a history came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Operations looked at.
    pub operations: usize,
    /// Reads with an answer.
    pub reads: usize,
    /// Writes that were done.
    pub writes: usize,
    /// Writes of which nobody knows.
    pub unknown: usize,
    /// Operations that were refused or failed.
    pub failed: usize,
    /// Reads that found a value of another session.
    pub reads_of_others: usize,
    /// What breaks a guarantee, in the order of the history.
    pub anomalies: Vec<Anomaly>,
}

/// Why a history cannot be checked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unusable {
    /// Two writes of one value.
    #[error("operation {at}: {value} was written before; each write needs a value of its own")]
    WrittenTwice {
        /// The place, from 1.
        at: usize,
        /// The value.
        value: String,
    },
    /// A read found what nobody wrote.
    #[error("operation {at}: {value} was found at {key} and nobody wrote it there")]
    OutOfThinAir {
        /// The place, from 1.
        at: usize,
        /// The value.
        value: String,
        /// The key.
        key: String,
    },
}

/// Writes by lane and number: how many of each come before something.
type Clock = BTreeMap<Lane, u64>;

/// Writes that are in an order: a session's. One of which nobody knows when it was done has a lane of its own: its
/// session, and its number.
type Lane = (u64, u64);

/// A write.
struct Written {
    key: String,
    lane: Lane,
    /// Its number among the session's writes, from 1.
    number: u64,
    /// What comes before it on its key, itself included; known when the session gets there.
    past: Option<Clock>,
}

impl Written {
    fn session(&self) -> u64 {
        self.lane.0
    }

    /// Whether it is, or comes before, what has this past.
    fn is_in(&self, past: &Clock) -> bool {
        past.get(&self.lane)
            .is_some_and(|last| *last >= self.number)
    }
}

/// What a session has seen of a key.
#[derive(Default)]
struct Seen {
    /// All that comes before what it has seen.
    past: Clock,
    /// The values that nothing else it has seen comes after, and whether it wrote them itself.
    newest: Vec<(String, bool)>,
    /// All that it has found.
    found: HashSet<String>,
}

/// Checks a history.
///
/// # Errors
/// When it is not one: values that were written twice or not at all.
pub fn check(history: &[Operation]) -> Result<Report, Unusable> {
    let mut checker = Checker::of(history)?;
    checker.run(history)?;
    Ok(checker.report)
}

struct Checker {
    writes: HashMap<String, Written>,
    seen: HashMap<(u64, String), Seen>,
    report: Report,
}

impl Checker {
    fn of(history: &[Operation]) -> Result<Self, Unusable> {
        let mut writes = HashMap::new();
        let mut numbers: HashMap<u64, u64> = HashMap::new();
        for (at, operation) in history.iter().enumerate() {
            if operation.op != Kind::Write || operation.outcome == Outcome::Failed {
                continue;
            }
            let number = numbers.entry(operation.session).or_default();
            *number += 1;
            let value = operation.value.clone().unwrap_or_default();
            let lane = match operation.outcome {
                Outcome::Unknown => *number,
                Outcome::Ok | Outcome::Failed => 0,
            };
            let written = Written {
                key: operation.key.clone(),
                lane: (operation.session, lane),
                number: *number,
                past: None,
            };
            if writes.insert(value.clone(), written).is_some() {
                return Err(Unusable::WrittenTwice { at: at + 1, value });
            }
        }
        Ok(Self {
            writes,
            seen: HashMap::new(),
            report: Report::default(),
        })
    }

    /// Takes the operations in an order in which nothing is found before it was written: the sessions go on side by
    /// side, and one that found a value waits until its writer has got there.
    fn run(&mut self, history: &[Operation]) -> Result<(), Unusable> {
        let mut sessions: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (at, operation) in history.iter().enumerate() {
            sessions.entry(operation.session).or_default().push(at);
        }
        let mut queues: Vec<std::vec::IntoIter<usize>> =
            sessions.into_values().map(Vec::into_iter).collect();
        loop {
            let mut went_on = false;
            for queue in &mut queues {
                while let Some(at) = queue.as_slice().first().copied() {
                    if !self.is_ready(at, &history[at])? {
                        break;
                    }
                    queue.next();
                    went_on = true;
                    self.take(at, &history[at]);
                }
            }
            if !went_on {
                break;
            }
        }
        // Only reads from each other's future can be left, which no store could give.
        let left = queues.iter().find_map(|queue| queue.as_slice().first());
        if let Some(at) = left.copied() {
            let operation = &history[at];
            return Err(Unusable::OutOfThinAir {
                at: at + 1,
                value: operation.value.clone().unwrap_or_default(),
                key: operation.key.clone(),
            });
        }
        self.report.anomalies.sort_by_key(|anomaly| anomaly.at);
        Ok(())
    }

    fn is_ready(&self, at: usize, operation: &Operation) -> Result<bool, Unusable> {
        let (Kind::Read, Outcome::Ok, Some(value)) =
            (operation.op, operation.outcome, &operation.value)
        else {
            return Ok(true);
        };
        match self.writes.get(value) {
            Some(written) if written.key == operation.key => Ok(written.past.is_some()),
            _ => Err(Unusable::OutOfThinAir {
                at: at + 1,
                value: value.clone(),
                key: operation.key.clone(),
            }),
        }
    }

    fn take(&mut self, at: usize, operation: &Operation) {
        self.report.operations += 1;
        match (operation.op, operation.outcome) {
            (_, Outcome::Failed) | (Kind::Read, Outcome::Unknown) => self.report.failed += 1,
            (Kind::Write, outcome) => self.wrote(operation, outcome),
            (Kind::Read, Outcome::Ok) => self.read(at, operation),
        }
    }

    fn wrote(&mut self, operation: &Operation, outcome: Outcome) {
        let value = operation.value.clone().unwrap_or_default();
        let place = (operation.session, operation.key.clone());
        let seen = self.seen.entry(place).or_default();
        let Some(written) = self.writes.get_mut(&value) else {
            return;
        };
        let mut past = seen.past.clone();
        past.insert(written.lane, written.number);
        written.past = Some(past.clone());
        if outcome == Outcome::Unknown {
            // It may be done behind what the session does next: nothing comes after it for that.
            self.report.unknown += 1;
            return;
        }
        self.report.writes += 1;
        seen.past = past;
        seen.newest = vec![(value, true)];
    }

    fn read(&mut self, at: usize, operation: &Operation) {
        self.report.reads += 1;
        let place = (operation.session, operation.key.clone());
        let seen = self.seen.entry(place).or_default();
        let found = operation.value.as_ref();
        let found = found.and_then(|value| self.writes.get(value));
        self.report.reads_of_others +=
            usize::from(found.is_some_and(|found| found.session() != operation.session));
        let comes_before = |newer: &str| {
            let newer = self.writes.get(newer).and_then(|newer| newer.past.as_ref());
            found.is_none_or(|found| newer.is_some_and(|past| found.is_in(past)))
        };
        let mut newest = seen.newest.iter().rev();
        let newer = newest
            .find(|(newer, _)| operation.value.as_ref() != Some(newer) && comes_before(newer));
        if let Some((newer, is_own)) = newer {
            let had_found = |value: &String| seen.found.contains(value);
            let writer = self.writes.get(newer).map(Written::session);
            let guarantee = if *is_own {
                Guarantee::ReadYourWrites
            } else if operation.value.as_ref().is_none_or(had_found) {
                Guarantee::MonotonicReads
            } else if found.map(Written::session) == writer {
                Guarantee::MonotonicWrites
            } else {
                Guarantee::WritesFollowReads
            };
            self.report.anomalies.push(Anomaly {
                guarantee,
                at,
                newer: newer.clone(),
                found: operation.value.clone(),
            });
            return;
        }
        let past = found.and_then(|found| found.past.as_ref());
        let (Some(value), Some(past)) = (&operation.value, past) else {
            return;
        };
        for (lane, number) in past {
            let known = seen.past.entry(*lane).or_default();
            *known = (*known).max(*number);
        }
        // Whatever comes before a value that is left out here comes before the new one as well.
        let writes = &self.writes;
        seen.newest
            .retain(|(older, _)| writes.get(older).is_none_or(|older| !older.is_in(past)));
        seen.newest.push((value.clone(), false));
        seen.found.insert(value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `1 w k a`: session 1 writes a to k; `r`: it finds that, `-` for nothing; `u`: a write of which nobody knows.
    fn history(text: &str) -> Vec<Operation> {
        let operation = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (op, outcome) = match words[1] {
                "w" => (Kind::Write, Outcome::Ok),
                "u" => (Kind::Write, Outcome::Unknown),
                "f" => (Kind::Write, Outcome::Failed),
                _ => (Kind::Read, Outcome::Ok),
            };
            Operation {
                session: words[0].parse().unwrap(),
                op,
                key: words[2].to_owned(),
                value: Some(words[3].to_owned()).filter(|value| value != "-"),
                outcome,
                node: String::new(),
            }
        };
        text.split(',').map(operation).collect()
    }

    fn anomalies(text: &str) -> Vec<Guarantee> {
        let report = check(&history(text)).unwrap();
        report
            .anomalies
            .iter()
            .map(|found| found.guarantee)
            .collect()
    }

    #[test]
    fn a_session_that_finds_what_it_has_seen_is_fine() {
        assert_eq!(
            anomalies("1 r k -, 1 w k a, 1 r k a, 1 w k b, 1 r k b, 2 r k a, 2 r k b"),
            []
        );
    }

    #[test]
    fn a_session_that_does_not_find_its_own_write_is_found() {
        for text in ["1 w k a, 1 r k -", "1 w k a, 1 w k b, 1 r k a"] {
            assert_eq!(anomalies(text), [Guarantee::ReadYourWrites], "{text}");
        }
    }

    #[test]
    fn a_session_that_goes_back_is_found() {
        let text = "1 w k a, 2 r k a, 2 w k b, 3 r k a, 3 r k b, 3 r k a";
        assert_eq!(anomalies(text), [Guarantee::MonotonicReads]);
        assert_eq!(
            anomalies("1 w k a, 2 r k a, 2 r k -"),
            [Guarantee::MonotonicReads]
        );
    }

    #[test]
    fn writes_of_one_session_seen_in_the_wrong_order_are_found() {
        assert_eq!(
            anomalies("1 w k a, 1 w k b, 2 r k b, 2 r k a"),
            [Guarantee::MonotonicWrites]
        );
    }

    #[test]
    fn what_a_writer_had_read_seen_behind_its_write_is_found() {
        let text = "1 w k a, 2 r k a, 2 w k b, 3 r k b, 3 r k a";
        assert_eq!(anomalies(text), [Guarantee::WritesFollowReads]);
    }

    #[test]
    fn concurrent_values_may_take_turns() {
        assert_eq!(
            anomalies("1 w k a, 2 w k b, 3 r k a, 3 r k b, 3 r k a, 1 r k b, 1 r k a"),
            []
        );
    }

    #[test]
    fn a_write_that_nobody_knows_of_may_come_late_or_never() {
        assert_eq!(anomalies("1 u k a, 1 r k -, 1 w k b, 1 r k b, 1 r k a"), []);
        let text = "1 u k a, 1 r k a, 1 w k b, 1 r k a";
        assert_eq!(
            anomalies(text),
            [Guarantee::ReadYourWrites],
            "once it was read it has its place"
        );
    }

    #[test]
    fn keys_are_apart() {
        assert_eq!(anomalies("1 w k a, 2 r k a, 2 w j b, 3 r j b, 3 r k -"), []);
    }

    #[test]
    fn a_history_may_name_a_reader_before_its_writer() {
        assert_eq!(
            anomalies("1 r k a, 1 r k b, 2 w k a, 2 w k b, 1 r k a"),
            [Guarantee::MonotonicReads]
        );
    }

    #[test]
    fn what_is_no_history_is_refused() {
        for text in [
            "1 r k a",
            "1 w k a, 2 r j a",
            "1 f k a, 2 r k a",
            "1 r k b, 1 w k a, 2 r k a, 2 w k b",
        ] {
            let refusal = check(&history(text)).unwrap_err();
            assert!(matches!(refusal, Unusable::OutOfThinAir { .. }), "{text}");
        }
        let refusal = check(&history("1 w k a, 2 w k a")).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "operation 2: a was written before; each write needs a value of its own"
        );
    }
}
