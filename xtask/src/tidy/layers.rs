//! Inside `evenkeel-core` a file imports only its own and lower layers.
//!
//! Sees every path that starts at the crate's root: `crate::x`, groups `crate::{x, y}` and
//! `super::` chains that reach the root. Unit tests may import anything. `lib.rs` is the front
//! door and no layer; a path through it (`crate::Dot`) would hide the layer, so it is refused.

use super::Finding;
use crate::repo::Repo;
use crate::rust_source::{RustSource, is_test_file};

const SRC: &str = "crates/evenkeel-core/src/";

/// The layers of the core, low to high. Modules of one layer may import each other.
const LAYERS: &[&[&str]] = &[
    &["id", "membership", "time", "limits", "codec"],
    &["rdb"],
    &["causality"],
    &["types"],
    &["event", "message", "observation", "store"],
    &["wire"],
    &["partition"],
    &["command"],
    &["cluster"],
];

/// Importable from every layer: the switches that break one rule each for the simulator.
const EVERYWHERE: &[&str] = &["bug"];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, source) in repo.rust() {
        let Some(inside) = path.strip_prefix(SRC) else {
            continue;
        };
        if inside == "lib.rs" || is_test_file(path) {
            continue;
        }
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        if layer(module).is_none() {
            let message =
                format!("module `{module}` has no layer; add it to LAYERS in xtask's layers.rs");
            findings.push(Finding::new("core-layers", path, 1, message));
            continue;
        }
        for (line, name) in imports(source, depth(inside)) {
            if let Some(message) = complaint(module, &name) {
                findings.push(Finding::new("core-layers", path, line, message));
            }
        }
    }
    findings
}

fn layer(module: &str) -> Option<usize> {
    if EVERYWHERE.contains(&module) {
        return Some(0);
    }
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn complaint(user: &str, used: &str) -> Option<String> {
    match layer(used) {
        None => Some(format!(
            "`{used}` is not a module with a layer; import it from the module that defines it"
        )),
        Some(_) if user == used => None,
        Some(high) if Some(high) > layer(user) => Some(format!(
            "`{user}` imports `{used}`, a higher layer; move what both need down"
        )),
        Some(_) => None,
    }
}

/// How many `super::` lead from the file's module to the crate's root.
fn depth(inside: &str) -> usize {
    inside.trim_end_matches("/mod.rs").split('/').count()
}

/// The root modules that a file names outside its unit tests, with their line.
fn imports(source: &RustSource, depth: usize) -> Vec<(usize, String)> {
    let mut code = String::new();
    for (_, line) in source.code_lines_outside_tests() {
        code.push_str(line);
        code.push('\n');
    }
    let up = "super::".repeat(depth);
    let mut found = Vec::new();
    for root in ["crate::", up.as_str()] {
        for (at, _) in code.match_indices(root) {
            let before = &code[..at];
            let joined = before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            let after = &code[at + root.len()..];
            if joined || after.starts_with("super::") {
                continue;
            }
            let line = before.matches('\n').count() + 1;
            found.extend(heads(after).into_iter().map(|name| (line, name)));
        }
    }
    found
}

/// The first segments after `crate::`: one name, or each branch of a group.
fn heads(after: &str) -> Vec<String> {
    let Some(group) = after.strip_prefix('{') else {
        let name = leading_word(after);
        let is_macro = after[name.len()..].starts_with('!');
        return if name.is_empty() || is_macro {
            Vec::new()
        } else {
            vec![name]
        };
    };
    let mut names = Vec::new();
    let (mut nesting, mut at_head) = (0_usize, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => nesting += 1,
            '}' if nesting == 0 => break,
            '}' => nesting -= 1,
            ',' if nesting == 0 => at_head = true,
            c if at_head && !c.is_whitespace() => {
                at_head = false;
                names.push(leading_word(&group[at..]));
            }
            _ => {}
        }
    }
    names
}

fn leading_word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &str, text: &str) -> Vec<usize> {
        let findings = check(&Repo::of(&[(&format!("{SRC}{file}"), text)]));
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_file_imports_its_own_and_lower_layers() {
        let text = "use crate::causality::Dot;\nuse crate::types::Cell;\nuse crate::bug;\n";
        assert!(lines("types/set.rs", text).is_empty());
        assert!(lines("message.rs", "use crate::event::Event;\n").is_empty());
    }

    #[test]
    fn a_higher_layer_is_refused_in_every_spelling() {
        assert_eq!(
            lines("causality/dot.rs", "\nuse crate::types::Cell;\n"),
            [2]
        );
        assert_eq!(lines("id.rs", "use crate::{limits::{A, B}, wire};\n"), [1]);
        assert_eq!(lines("wire.rs", "fn f(x: crate::partition::X) {}\n"), [1]);
        assert_eq!(
            lines("causality/dot.rs", "use super::super::cluster::N;\n"),
            [1]
        );
        assert_eq!(lines("causality/mod.rs", "use super::cluster::N;\n"), [1]);
        assert!(lines("causality/dot.rs", "use super::context::C;\n").is_empty());
    }

    #[test]
    fn the_front_door_is_no_way_around_the_layers() {
        assert_eq!(lines("id.rs", "use crate::Partition;\n"), [1]);
        assert!(lines("id.rs", "crate::mark!(\"rare\");\n").is_empty());
    }

    #[test]
    fn unit_tests_may_import_anything() {
        let text = "#[cfg(test)]\nmod tests {\n    use crate::cluster::Node;\n}\n";
        assert!(lines("id.rs", text).is_empty());
        assert!(lines("types/tests.rs", "use crate::cluster::Node;\n").is_empty());
    }

    #[test]
    fn a_module_without_a_layer_is_found() {
        assert_eq!(lines("surprise.rs", ""), [1]);
        assert!(lines("lib.rs", "pub use crate::cluster::Node;\n").is_empty());
    }
}
