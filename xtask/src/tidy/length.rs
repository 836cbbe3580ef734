//! A file stays small enough to be read: at most 800 lines before its unit tests.

use super::Finding;
use crate::repo::Repo;
use crate::rust_source::is_test_file;

const LINES_MAX: usize = 800;

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in repo.rust() {
        if is_test_file(path) {
            continue;
        }
        let lines = source.lines_outside_tests();
        if lines > LINES_MAX {
            let message = format!(
                "{lines} lines of non-test code, {LINES_MAX} allowed; split by job, one file each"
            );
            findings.push(Finding::new("file-length", path, LINES_MAX + 1, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, lines: usize, tail: &str) -> usize {
        let text = "a;\n".repeat(lines) + tail;
        check(&Repo::of(&[(path, &text)])).len()
    }

    #[test]
    fn eight_hundred_lines_pass_and_one_more_does_not() {
        assert_eq!(findings("crates/a/src/b.rs", LINES_MAX, ""), 0);
        assert_eq!(findings("crates/a/src/b.rs", LINES_MAX + 1, ""), 1);
    }

    #[test]
    fn tests_do_not_count() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "b;\n".repeat(900));
        assert_eq!(findings("crates/a/src/b.rs", LINES_MAX, &tests), 0);
        assert_eq!(findings("crates/a/src/tests.rs", 2000, ""), 0);
        assert_eq!(findings("crates/a/tests/it/b.rs", 2000, ""), 0);
    }
}
