//! No unfinished work in the code, and no test that does not run or passes by panicking.

use super::{Finding, words};
use crate::repo::Repo;

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in repo.rust() {
        for (line, prose) in source.prose_lines() {
            if words(prose).any(|(_, word)| word == "TODO") {
                let message = "TODO in the code; finish it, or open an issue and drop the comment";
                findings.push(Finding::new("no-todo", path, line, message));
            }
        }
        for (line, code) in source.code_lines() {
            findings.extend(attribute(path, line, code));
        }
    }
    findings
}

fn attribute(path: &str, line: usize, code: &str) -> Option<Finding> {
    if !code.contains("#[") {
        return None;
    }
    let has = |name: &str| words(code).any(|(_, word)| word == name);
    if has("ignore") {
        let message = "an ignored test proves nothing; repair it, or assert the wrong behaviour \
                       with a FIXME";
        return Some(Finding::new("no-ignore", path, line, message));
    }
    if has("should_panic") {
        let message = "any panic satisfies the test; return an error and assert on it";
        return Some(Finding::new("no-should-panic", path, line, message));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        let findings = check(&Repo::of(&[("crates/a/src/b.rs", text)]));
        findings.iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn unfinished_work_is_found_in_comments_and_not_in_literals() {
        assert_eq!(rules("// TODO: later\n"), ["no-todo"]);
        assert!(rules("let a = \"TODO\"; // TODOS\n").is_empty());
    }

    #[test]
    fn tests_that_prove_nothing_are_refused() {
        assert_eq!(rules("#[ignore]\n"), ["no-ignore"]);
        assert_eq!(rules("#[ignore = \"slow\"]\n"), ["no-ignore"]);
        assert_eq!(rules("#[cfg_attr(miri, ignore)]\n"), ["no-ignore"]);
        assert_eq!(
            rules("#[test] #[should_panic(expected = \"a\")]\n"),
            ["no-should-panic"]
        );
    }

    #[test]
    fn an_attribute_in_a_comment_or_a_plain_word_is_no_breach() {
        assert!(rules("// #[ignore] is refused\nlet ignore = 1;\n").is_empty());
    }
}
