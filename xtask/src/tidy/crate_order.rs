//! Which crate may use which: `resp <- core <- store <- sim`, the checker that uses none of them, and the binary on top.
//!
//! Holds for dev-dependencies too: a test that needs a higher crate lives in the higher crate.

use super::Finding;
use crate::repo::Repo;

/// Our crates, low to high: a crate uses only those before it.
const ORDER: &[&str] = &[
    "evenkeel-resp",
    "evenkeel-core",
    "evenkeel-store",
    "evenkeel-check",
    "evenkeel-sim",
    "evenkeel",
];

/// What only the binary may use: the rest runs in the simulator, without sockets or a runtime.
const BINARY_ONLY: &[&str] = &["tokio", "mio", "socket2", "async-std", "smol"];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repo.with_extension("toml") {
        let folder = path.strip_prefix("crates/");
        let Some(name) = folder.and_then(|rest| rest.strip_suffix("/Cargo.toml")) else {
            continue;
        };
        if !ORDER.contains(&name) {
            let message = format!("crate `{name}` has no place in the order; add it to ORDER here");
            findings.push(Finding::new("crate-order", path, 1, message));
            continue;
        }
        for (line, used) in dependencies(text) {
            if let Some(message) = complaint(name, &used) {
                findings.push(Finding::new("crate-order", path, line, message));
            }
        }
    }
    findings
}

fn complaint(user: &str, used: &str) -> Option<String> {
    let place = |name: &str| ORDER.iter().position(|known| *known == name);
    if place(used).is_some() && place(used) >= place(user) {
        return Some(format!(
            "`{user}` uses `{used}`, which is not below it; move the code that needs both up"
        ));
    }
    if BINARY_ONLY.contains(&used) && user != "evenkeel" {
        return Some(format!(
            "`{user}` uses `{used}`; only the binary does input and output, return an effect"
        ));
    }
    None
}

/// The packages a manifest depends on, with their line. Knows the forms that cargo's own
/// formatting produces, which is all this workspace uses.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section.ends_with("dependencies");
            if let Some((table, name)) = section.rsplit_once('.')
                && table.ends_with("dependencies")
            {
                found.push((index + 1, name.to_owned()));
            }
        } else if let Some((_, renamed)) = line.split_once("package = \"") {
            let name = renamed.split('"').next().unwrap_or_default();
            found.push((index + 1, name.to_owned()));
        } else if inside && !line.starts_with('#') && line.contains('=') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            found.push((index + 1, name.trim_matches('"').to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, manifest: &str) -> Vec<Finding> {
        check(&Repo::of(&[(
            &format!("crates/{name}/Cargo.toml"),
            manifest,
        )]))
    }

    #[test]
    fn a_crate_uses_only_crates_below_it() {
        let core = "[dependencies]\nevenkeel-core.workspace = true\n";
        assert!(findings("evenkeel-store", core).is_empty());
        assert_eq!(findings("evenkeel-resp", core).len(), 1);
        assert_eq!(findings("evenkeel-core", core).len(), 1);
    }

    #[test]
    fn every_way_to_write_a_dependency_is_seen() {
        for manifest in [
            "[dev-dependencies]\nevenkeel-sim = { path = \"../evenkeel-sim\" }\n",
            "[target.'cfg(unix)'.dependencies]\nevenkeel-sim.workspace = true\n",
            "[dependencies.evenkeel-sim]\nworkspace = true\n",
            "[dependencies]\nother = { package = \"evenkeel-sim\", path = \"..\" }\n",
        ] {
            assert_eq!(findings("evenkeel-core", manifest).len(), 1, "{manifest}");
        }
    }

    #[test]
    fn only_the_binary_uses_a_runtime() {
        let manifest = "[dependencies]\ntokio = \"1\"\n";
        assert_eq!(findings("evenkeel-sim", manifest).len(), 1);
        assert!(findings("evenkeel", manifest).is_empty());
    }

    #[test]
    fn an_unknown_crate_must_be_given_a_place() {
        assert_eq!(findings("evenkeel-new", "").len(), 1);
    }

    #[test]
    fn features_named_like_a_crate_are_no_dependency() {
        assert!(findings("evenkeel-core", "[features]\nevenkeel-sim = []\n").is_empty());
    }
}
