//! Each promise of `docs/guarantees.md` is named by code under `crates/`, and each named id is
//! a promise: `## G4 ...` there, the word `G4` in a test or checker here.

use std::collections::BTreeMap;

use super::{Finding, words};
use crate::repo::Repo;

const PATH: &str = "docs/guarantees.md";

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let Some(document) = repo.text(PATH) else {
        return Vec::new();
    };
    let promised = promised(document);
    let named = named(repo);
    let mut findings = Vec::new();
    for (id, line) in &promised {
        if !named.contains_key(id) {
            let message = format!(
                "no code under crates/ names {id}; name it in the test or checker that would fail"
            );
            findings.push(Finding::new("guarantee-ids", PATH, *line, message));
        }
    }
    for (id, (path, line)) in named {
        if !promised.contains_key(id) {
            let message = format!("{id} is no heading of {PATH}; correct the id or promise it");
            findings.push(Finding::new("guarantee-ids", path, line, message));
        }
    }
    findings
}

fn is_id(word: &str) -> bool {
    let digits = word.strip_prefix('G').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn promised(document: &str) -> BTreeMap<&str, usize> {
    let mut ids = BTreeMap::new();
    for (index, line) in document.lines().enumerate() {
        let title = line
            .strip_prefix("## ")
            .and_then(|title| words(title).next());
        if let Some((0, id)) = title
            && is_id(id)
        {
            ids.insert(id, index + 1);
        }
    }
    ids
}

/// Where each id is named first. Names in comments and literals count: a checker names the
/// promise in what it prints.
fn named(repo: &Repo) -> BTreeMap<&str, (&str, usize)> {
    let mut ids = BTreeMap::new();
    for (path, text) in repo.with_extension("rs") {
        if !path.starts_with("crates/") {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            for (_, word) in words(line).filter(|(_, word)| is_id(word)) {
                ids.entry(word).or_insert((path, index + 1));
            }
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# Guarantees\n\n## G1 Always writable\n\n## G2: Convergence\n";

    fn findings(code: &str) -> Vec<String> {
        let repo = Repo::of(&[(PATH, DOCUMENT), ("crates/a/src/b.rs", code)]);
        check(&repo).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_promise_named_once_is_in_order() {
        assert!(findings("/// Checks G1.\nconst ID: &str = \"G2\";\n").is_empty());
    }

    #[test]
    fn a_promise_without_a_checker_is_found_at_its_heading() {
        let found = findings("// G1 and G22 and xG2\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("docs/guarantees.md:5: guarantee-ids: "));
        assert!(found[1].starts_with("crates/a/src/b.rs:1: guarantee-ids: G22 "));
    }

    #[test]
    fn without_the_document_there_is_nothing_to_compare() {
        assert!(check(&Repo::of(&[("crates/a/src/b.rs", "// G9\n")])).is_empty());
    }
}
