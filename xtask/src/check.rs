//! `cargo x check`: the steps, in the order in which they fail soonest.
//!
//! Invariants: the first failure ends the run and names the command that repeats it; a step
//! whose tool is missing says `SKIPPED` and, under `EVENKEEL_REQUIRE=all`, fails; no step writes
//! to the work tree.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::repo::Repo;
use crate::tidy;

/// How much to run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Formatting, tidy, clippy.
    Fast,
    /// Everything but the tests.
    WithoutTests,
    /// Everything.
    Full,
}

enum Action {
    Tidy,
    Cargo {
        args: &'static str,
        env: Option<(&'static str, &'static str)>,
    },
    /// What would run, and how to get the tool it needs.
    Missing {
        args: &'static str,
        install: &'static str,
    },
}

struct Step {
    name: &'static str,
    action: Action,
}

impl Step {
    fn cargo(name: &'static str, args: &'static str) -> Self {
        let action = Action::Cargo { args, env: None };
        Self { name, action }
    }
}

/// The command that repeats a step, as typed in a shell.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tidy => f.write_str("cargo x tidy"),
            Self::Cargo { args, env: None } | Self::Missing { args, .. } => {
                write!(f, "cargo {args}")
            }
            Self::Cargo {
                args,
                env: Some((name, value)),
            } => write!(f, "{name}=\"{value}\" cargo {args}"),
        }
    }
}

/// Runs the steps of `scope` in the work tree `root`; whether all passed.
pub(crate) fn run(root: &Path, scope: Scope) -> Result<bool, String> {
    let require_all = std::env::var("EVENKEEL_REQUIRE").is_ok_and(|value| value == "all");
    let start = Instant::now();
    for Step { name, action } in steps(root, scope) {
        println!("==> {name}: {action}");
        let step_start = Instant::now();
        let passed = match &action {
            Action::Tidy => tidy::run(&Repo::load(root)?),
            Action::Cargo { args, env } => run_cargo(root, args, *env)?,
            Action::Missing { install, .. } => {
                println!("SKIPPED {name}: the tool is not installed; get it with `{install}`");
                if !require_all {
                    continue;
                }
                false
            }
        };
        let seconds = step_start.elapsed().as_secs_f64();
        if !passed {
            let total = start.elapsed().as_secs_f64();
            eprintln!("<== {name} FAILED, {seconds:.1} s (total {total:.1} s)\nrerun: {action}");
            return Ok(false);
        }
        println!("<== {name} ok, {seconds:.1} s");
    }
    println!("check passed, {:.1} s", start.elapsed().as_secs_f64());
    Ok(true)
}

fn steps(root: &Path, scope: Scope) -> Vec<Step> {
    let has_simulator = root.join("crates/evenkeel-sim/src/main.rs").is_file();
    let mut steps = vec![
        Step::cargo("fmt", "fmt --all --check"),
        Step {
            name: "tidy",
            action: Action::Tidy,
        },
        Step::cargo("clippy", "clippy --workspace --all-targets -- -D warnings"),
    ];
    if scope == Scope::Fast {
        return steps;
    }
    if has_simulator {
        let args = "clippy -p evenkeel-sim --features bugs --all-targets -- -D warnings";
        steps.push(Step::cargo("clippy-bugs", args));
    }
    if scope == Scope::Full {
        steps.extend(tests());
    }
    steps.push(Step {
        name: "doc",
        action: Action::Cargo {
            args: "doc --workspace --no-deps --document-private-items",
            env: Some(("RUSTDOCFLAGS", "-D warnings")),
        },
    });
    steps.push(deny());
    if has_simulator {
        steps.push(Step::cargo("sim", "sim run --seeds 200"));
        steps.push(Step::cargo("sim-seeds", "sim seeds"));
    }
    steps
}

fn tests() -> Vec<Step> {
    if !is_installed("nextest") {
        return vec![Step::cargo("test", "test --workspace")];
    }
    vec![
        Step::cargo("test", "nextest run --workspace --no-tests=pass"),
        Step::cargo("doctest", "test --workspace --doc"),
    ]
}

/// Advisories are left out: they need the network and change without a commit.
fn deny() -> Step {
    let args = "deny check licenses bans sources";
    if is_installed("deny") {
        return Step::cargo("deny", args);
    }
    let install = "cargo install cargo-deny --locked";
    Step {
        name: "deny",
        action: Action::Missing { args, install },
    }
}

fn is_installed(subcommand: &str) -> bool {
    cargo()
        .args([subcommand, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn run_cargo(root: &Path, args: &str, env: Option<(&str, &str)>) -> Result<bool, String> {
    // `-D warnings` after `--` is two arguments without quoting, so splitting at spaces is exact.
    let status = cargo()
        .args(args.split(' '))
        .envs(env)
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo did not start: {error}"))?;
    Ok(status.success())
}

/// A cargo that does not inherit what the outer `cargo run` set for this program: build scripts
/// watch these variables, and would rebuild each time the caller changes.
fn cargo() -> Command {
    let mut command = Command::new("cargo");
    let set_for_us = |name: &str| {
        name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_MANIFEST_")
            || name.starts_with("CARGO_BIN_")
            || matches!(
                name,
                "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR"
            )
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(set_for_us) {
            command.env_remove(name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scope: Scope) -> Vec<&'static str> {
        let nowhere = Path::new("no-such-folder");
        steps(nowhere, scope).iter().map(|step| step.name).collect()
    }

    #[test]
    fn fast_is_a_prefix_of_full() {
        assert_eq!(names(Scope::Fast), ["fmt", "tidy", "clippy"]);
        assert!(names(Scope::Full).starts_with(&names(Scope::Fast)));
    }

    #[test]
    fn without_tests_leaves_out_the_tests_only() {
        let mut full = names(Scope::Full);
        full.retain(|name| !name.ends_with("test"));
        assert_eq!(names(Scope::WithoutTests), full);
    }

    #[test]
    fn the_rerun_command_can_be_pasted_into_a_shell() {
        let action = Action::Cargo {
            args: "doc --workspace",
            env: Some(("RUSTDOCFLAGS", "-D warnings")),
        };
        let shown = action.to_string();
        assert_eq!(shown, "RUSTDOCFLAGS=\"-D warnings\" cargo doc --workspace");
    }
}
