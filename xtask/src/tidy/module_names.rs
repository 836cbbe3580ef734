//! A module is named after its one job, not after being used by many.

use super::{Finding, words};
use crate::repo::Repo;

const REFUSED: &[&str] = &["util", "utils", "helper", "helpers", "manager", "common"];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in repo.rust() {
        let stem = path.trim_end_matches(".rs");
        for name in stem.split('/').filter(|part| REFUSED.contains(part)) {
            findings.push(finding(path, 1, name));
        }
        for (line, code) in source.code_lines() {
            findings.extend(inline(code).map(|name| finding(path, line, name)));
        }
    }
    findings
}

/// The refused name of a module with a body on this line (`mod util {`).
fn inline(code: &str) -> Option<&str> {
    let mut words = words(code)
        .map(|(_, word)| word)
        .skip_while(|word| *word != "mod");
    let name = words.nth(1)?;
    (code.contains('{') && REFUSED.contains(&name)).then_some(name)
}

fn finding(path: &str, line: usize, name: &str) -> Finding {
    let message = format!("a module named `{name}` has no one job; name it after what it does");
    Finding::new("module-name", path, line, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Repo::of(&[(path, text)])).len()
    }

    #[test]
    fn names_without_a_job_are_refused_for_files_folders_and_inline_modules() {
        assert_eq!(count("crates/a/src/util.rs", ""), 1);
        assert_eq!(count("crates/a/src/common/x.rs", ""), 1);
        assert_eq!(
            count("crates/a/src/b.rs", "pub(crate) mod helpers {\n}\n"),
            1
        );
        assert_eq!(
            count("crates/a/src/b.rs", "mod clock {\n}\n// mod util {\n"),
            0
        );
    }
}
