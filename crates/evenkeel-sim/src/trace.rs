//! What happened, step by step: as a hash for the determinism check, as aligned lines for people.

use std::fmt::Write as _;

use evenkeel_core::id::NodeId;

use crate::rng::mix;

/// A record of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: Option<String>,
    /// Whether frames count byte by byte in the hash.
    whole_frames: bool,
}

impl Trace {
    pub(crate) fn new(print: bool, whole_frames: bool) -> Self {
        Self {
            hash: 0,
            lines: print.then(String::new),
            whole_frames,
        }
    }

    /// Takes a number into the hash.
    pub(crate) const fn fold(&mut self, number: u64) {
        self.hash = mix(self.hash, number);
    }

    /// Takes a frame into the hash.
    pub(crate) fn fold_bytes(&mut self, bytes: &[u8]) {
        self.fold(bytes.len() as u64);
        if self.whole_frames {
            for part in bytes.chunks(8) {
                self.fold(part.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
            }
        }
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether somebody reads: only then lines are worth formatting.
    pub(crate) const fn is_read(&self) -> bool {
        self.lines.is_some()
    }

    /// Adds a line: virtual time, step, node, event, what it is about and what came of it.
    pub(crate) fn line(
        &mut self,
        (at_us, step): (u64, u64),
        node: Option<NodeId>,
        columns: [&str; 3],
    ) {
        let Some(lines) = &mut self.lines else {
            return;
        };
        let node = node.map_or_else(|| "-".to_owned(), |node| node.to_string());
        let [event, about, effects] = columns;
        let _ = writeln!(
            lines,
            "{:>4}.{:06} {step:>6} {node:<2} {event:<14} {about:<44} {effects}",
            at_us / 1_000_000,
            at_us % 1_000_000,
        );
    }

    /// The lines so far.
    pub(crate) fn into_lines(self) -> String {
        self.lines.unwrap_or_default()
    }
}
