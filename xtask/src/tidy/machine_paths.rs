//! No absolute path of somebody's machine: it is wrong everywhere else.

use super::Finding;
use crate::repo::Repo;

/// Top folders that exist on developers' machines. Written without their slashes, so that this
/// file passes its own rule.
const TOP_FOLDERS: &[&str] = &["work", "home", "Users"];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repo.texts() {
        for (index, line) in text.lines().enumerate() {
            for folder in TOP_FOLDERS {
                let absolute = format!("/{folder}/");
                if line
                    .match_indices(&absolute)
                    .any(|(at, _)| starts_path(&line[..at]))
                {
                    let message =
                        format!("absolute path `{absolute}`; write it relative to the root");
                    findings.push(Finding::new("machine-path", path, index + 1, message));
                }
            }
        }
    }
    findings
}

/// Whether a path may begin after `before`: not in the middle of a relative path or an address.
fn starts_path(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_alphanumeric() || "_-.~*/})]>".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(line: &str) -> usize {
        check(&Repo::of(&[("a.txt", line)])).len()
    }

    #[test]
    fn absolute_paths_are_found_and_parts_of_other_paths_are_not() {
        let home = format!("/{}/", "home");
        assert_eq!(count(&format!("DIR={home}me/x")), 1);
        assert_eq!(count(&format!("{home}me")), 1);
        assert_eq!(count(&format!("(\"{home}me\")")), 1);
        assert_eq!(count(&format!("https://example.org{home}index")), 0);
        assert_eq!(count(&format!("target{home}x")), 0);
    }
}
