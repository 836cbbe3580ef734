//! What came of the requests of one phase: counts and latencies per command.
//!
//! Invariant: a request sent is answered (well, by null or by an error) or lost; so the lost
//! ones need no counting of their own.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::command::Command;
use super::limits::{ERROR_KINDS_MAX, ERROR_WORD_BYTES_MAX, LATENCY_FIGURES, LATENCY_NS_MAX};

/// Where errors beyond [`ERROR_KINDS_MAX`] kinds are counted.
const OTHER: &str = "other";

/// Counts and latencies of one command, or of all together.
#[derive(Clone, Debug)]
pub(super) struct Count {
    pub(super) sent: u64,
    /// Answered without an error; null among them.
    pub(super) ok: u64,
    /// Answered with null: a GET of a key that is not there.
    pub(super) null: u64,
    /// Errors by their first word.
    pub(super) errors: BTreeMap<String, u64>,
    /// Of the requests in `ok`, in nanoseconds.
    pub(super) latency_ns: Histogram<u64>,
}

impl Count {
    pub(super) fn new() -> Self {
        let latency_ns = Histogram::new_with_bounds(1, LATENCY_NS_MAX, LATENCY_FIGURES);
        Self {
            sent: 0,
            ok: 0,
            null: 0,
            errors: BTreeMap::new(),
            latency_ns: latency_ns.expect("1 <= 2 * 1 <= maximum, and 0 to 5 figures"),
        }
    }

    pub(super) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    pub(super) fn answered(&self) -> u64 {
        self.ok + self.error_count()
    }

    pub(super) fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.answered())
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.ok += other.ok;
        self.null += other.null;
        for (word, count) in &other.errors {
            self.count_errors(word, *count);
        }
        self.latency_ns
            .add(&other.latency_ns)
            .expect("all histograms have the same bounds");
    }

    fn count_errors(&mut self, word: &str, count: u64) {
        let known = self.errors.len() < ERROR_KINDS_MAX || self.errors.contains_key(word);
        let word = if known { word } else { OTHER };
        *self.errors.entry(word.to_owned()).or_default() += count;
    }
}

/// What a reply said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Ok,
    Null,
    /// The first word of an error.
    Error(String),
}

/// The first word of an error, made fit to be shown.
pub(super) fn error_word(text: &[u8]) -> String {
    let word = text.iter().take_while(|byte| byte.is_ascii_graphic());
    let word: String = word
        .take(ERROR_WORD_BYTES_MAX)
        .map(|&byte| char::from(byte))
        .collect();
    if word.is_empty() {
        OTHER.to_owned()
    } else {
        word
    }
}

/// The counts of a phase, one thread's or all.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    counts: Vec<Count>,
    /// Nanoseconds from the start of the phase to the last answer.
    pub(super) last_answer_ns: u64,
    pub(super) connections_lost: u64,
    /// Why the first of them was lost.
    pub(super) first_loss: Option<String>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            counts: Command::ALL.map(|_| Count::new()).into(),
            last_answer_ns: 0,
            connections_lost: 0,
            first_loss: None,
        }
    }

    pub(super) fn of(&self, command: Command) -> &Count {
        &self.counts[command.index()]
    }

    pub(super) fn sent(&mut self, command: Command) {
        self.counts[command.index()].sent += 1;
    }

    pub(super) fn answered(&mut self, command: Command, answer: &Answer, latency_ns: u64) {
        let count = &mut self.counts[command.index()];
        if let Answer::Error(word) = answer {
            count.count_errors(word, 1);
            return;
        }
        count.ok += 1;
        count.null += u64::from(*answer == Answer::Null);
        count.latency_ns.saturating_record(latency_ns);
    }

    pub(super) fn connection_lost(&mut self, reason: impl FnOnce() -> String) {
        self.connections_lost += 1;
        self.first_loss.get_or_insert_with(reason);
    }

    /// Answers and lost connections: grows whenever something happened.
    pub(super) fn events(&self) -> u64 {
        let answered: u64 = self.counts.iter().map(Count::answered).sum();
        answered + self.connections_lost
    }

    pub(super) fn total(&self) -> Count {
        let mut total = Count::new();
        for count in &self.counts {
            total.add(count);
        }
        total
    }

    pub(super) fn add(&mut self, other: Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            mine.add(theirs);
        }
        self.last_answer_ns = self.last_answer_ns.max(other.last_answer_ns);
        self.connections_lost += other.connections_lost;
        self.first_loss = self.first_loss.take().or(other.first_loss);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(word: &str) -> Answer {
        Answer::Error(word.to_owned())
    }

    #[test]
    fn what_was_sent_and_not_answered_is_lost() {
        let mut tally = Tally::new();
        for _ in 0..5 {
            tally.sent(Command::Get);
        }
        tally.answered(Command::Get, &Answer::Ok, 10);
        tally.answered(Command::Get, &Answer::Null, 20);
        tally.answered(Command::Get, &error("ERR"), 30);
        let count = tally.of(Command::Get);
        assert_eq!(
            (count.ok, count.null, count.error_count(), count.lost()),
            (2, 1, 1, 2)
        );
        assert_eq!(count.latency_ns.max(), 20);
    }

    #[test]
    fn tallies_of_threads_add_up() {
        let mut left = Tally::new();
        left.sent(Command::Set);
        left.answered(Command::Set, &error("ERR"), 10);
        left.connection_lost(|| "first".to_owned());
        let mut right = left.clone();
        right.last_answer_ns = 7;
        right.sent(Command::Incr);
        right.answered(Command::Incr, &Answer::Ok, 10);
        left.add(right);
        assert_eq!(left.of(Command::Set).errors["ERR"], 2);
        assert_eq!((left.total().sent, left.total().ok), (3, 1));
        assert_eq!((left.connections_lost, left.last_answer_ns), (2, 7));
        assert_eq!(left.first_loss.as_deref(), Some("first"));
    }

    #[test]
    fn a_server_that_makes_up_error_words_fills_no_memory() {
        let mut tally = Tally::new();
        for number in 0..1000 {
            tally.answered(Command::Set, &error(&format!("E{number}")), 1);
        }
        let errors = &tally.of(Command::Set).errors;
        assert_eq!(errors.len(), ERROR_KINDS_MAX + 1);
        assert_eq!(errors.values().sum::<u64>(), 1000);
        assert_eq!(error_word(&[b'A'; 999]).len(), ERROR_WORD_BYTES_MAX);
    }

    #[test]
    fn an_error_word_is_fit_for_a_terminal() {
        assert_eq!(error_word(b"WRONGTYPE Operation against"), "WRONGTYPE");
        assert_eq!(error_word(b"\x1b[2J ERR"), "other");
        assert_eq!(error_word(b""), "other");
    }
}
