//! The change log exists and has a place for what is not released yet.

use super::Finding;
use crate::repo::Repo;

const PATH: &str = "CHANGELOG.md";

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let complaint = match repo.text(PATH) {
        None => "missing; create it with a section `## Unreleased`",
        Some(text) if !text.lines().any(|line| line.trim_end() == "## Unreleased") => {
            "no section `## Unreleased`; add it on top, users look there for what comes"
        }
        Some(_) => return Vec::new(),
    };
    vec![Finding::new("changelog", PATH, 1, complaint)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_log_must_exist_and_have_an_unreleased_section() {
        assert_eq!(check(&Repo::of(&[])).len(), 1);
        assert_eq!(
            check(&Repo::of(&[(PATH, "# Changes\n## 0.1.0\n")])).len(),
            1
        );
        assert!(check(&Repo::of(&[(PATH, "# Changes\n\n## Unreleased\n")])).is_empty());
    }
}
