//! The repository's own rules, those that no lint of the compiler or of clippy can state.
//!
//! One job: list every breach as `file:line: rule: fact; way out`.
//! Each rule is one file with one function over a [`Repo`]; it reads nothing else, so that its
//! tests are literals. A rule about a file that does not exist yet is silent, unless the rule is
//! that the file exists.

mod attributes;
mod changelog;
mod crate_order;
mod guarantees;
mod layers;
mod length;
mod links;
mod lock_file;
mod machine_paths;
mod module_names;

use std::fmt;

use crate::repo::Repo;

/// One breach of one rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    /// What is wrong, then the way out, parted by a semicolon.
    message: String,
}

impl Finding {
    fn new(rule: &'static str, path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            rule,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            rule,
            message,
        } = self;
        write!(f, "{path}:{line}: {rule}: {message}")
    }
}

type Rule = fn(&Repo) -> Vec<Finding>;

const RULES: &[Rule] = &[
    attributes::check,
    changelog::check,
    crate_order::check,
    guarantees::check,
    layers::check,
    length::check,
    links::check,
    lock_file::check,
    machine_paths::check,
    module_names::check,
];

/// Runs every rule and prints what it found; whether nothing was found.
pub(crate) fn run(repo: &Repo) -> bool {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(repo)).collect();
    findings.sort();
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => true,
        count => {
            eprintln!("tidy: {count} to repair");
            false
        }
    }
}

/// The words of a line: runs of letters, digits and `_`, with their byte offset.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr() as usize - line.as_ptr() as usize, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_file_line_rule_fact_way_out() {
        let finding = Finding::new("rule", "a/b.rs", 7, "fact; way out");
        assert_eq!(finding.to_string(), "a/b.rs:7: rule: fact; way out");
    }

    #[test]
    fn words_come_with_their_offset() {
        let found: Vec<_> = words("a-b1, (c_d)").collect();
        assert_eq!(found, [(0, "a"), (2, "b1"), (7, "c_d")]);
    }
}
