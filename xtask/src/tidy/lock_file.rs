//! Crates that must not come in, not even through another one. `deny.toml` says the same to
//! cargo-deny; this rule also holds where cargo-deny is not installed.

use super::Finding;
use crate::repo::Repo;

const PATH: &str = "Cargo.lock";

const FORBIDDEN: &[(&str, &str)] = &[
    ("bincode", "unmaintained, use postcard"),
    ("openssl", "foreign code in the data path, use rustls"),
    ("openssl-sys", "foreign code in the data path, use rustls"),
    ("sled", "no stable disk format, use fjall"),
];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lock = repo.text(PATH).unwrap_or_default();
    for (index, line) in lock.lines().enumerate() {
        let name = line
            .strip_prefix("name = \"")
            .map(|rest| rest.trim_end_matches('"'));
        for (forbidden, instead) in FORBIDDEN {
            if name == Some(forbidden) {
                let message = format!(
                    "`{forbidden}` is forbidden: {instead}; \
                     `cargo tree -i {forbidden}` names who needs it"
                );
                findings.push(Finding::new("forbidden-crate", PATH, index + 1, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_crate_is_found_by_its_exact_name() {
        let lock = "[[package]]\nname = \"sled\"\n\n[[package]]\nname = \"sledge\"\n";
        let findings = check(&Repo::of(&[(PATH, lock)]));
        assert_eq!(findings.iter().map(|f| f.line).collect::<Vec<_>>(), [2]);
    }
}
