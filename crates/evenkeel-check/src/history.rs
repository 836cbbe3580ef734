//! What clients did: one JSON object per line, the operations of each session in the order in which it did them.
//!
//! ```
//! let line = r#"{"session":3,"op":"write","key":"k","value":"3.17","outcome":"ok","node":"B"}"#;
//! let operation = evenkeel_check::history::parse(line.as_bytes())?.remove(0);
//! assert_eq!(operation.session, 3);
//! # Ok::<(), evenkeel_check::history::BadLine>(())
//! ```

use std::io::BufRead;

use serde::{Deserialize, Serialize};

/// Reads or writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Found a value.
    Read,
    /// Put a value, as the only one that is ever written like that.
    Write,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It was not done.
    Failed,
    /// It may have been done, at any time from then on.
    Unknown,
}

/// One operation of one session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// Who did it.
    pub session: u64,
    /// What it was.
    pub op: Kind,
    /// On which key.
    pub key: String,
    /// What was written or found; none: nothing was there.
    pub value: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// The node that it was sent to, for the report.
    #[serde(default)]
    pub node: String,
}

/// A line that is no operation.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// Reads a whole history; empty lines are left out.
///
/// # Errors
/// For the first line that is no operation.
pub fn parse(input: impl BufRead) -> Result<Vec<Operation>, BadLine> {
    let mut operations = Vec::new();
    for (at, line) in input.lines().enumerate() {
        let bad = |why: String| BadLine { line: at + 1, why };
        let line = line.map_err(|error| bad(error.to_string()))?;
        if !line.trim().is_empty() {
            operations.push(serde_json::from_str(&line).map_err(|error| bad(error.to_string()))?);
        }
    }
    Ok(operations)
}
