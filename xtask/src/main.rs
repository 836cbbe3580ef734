//! Development tasks, started as `cargo x <task>`.
//!
//! One job: run what a change must pass, and say what failed in words that lead to the repair.
//! Standard library only, so that the first `cargo x` after a clone builds in seconds.
//! Exit status: 0 done, 1 a check failed, 2 wrong use.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to the terminal"
)]

mod check;
mod repo;
mod rust_source;
mod tidy;

use std::process::ExitCode;

use check::Scope;
use repo::Repo;

const HELP: &str = "\
Development tasks of Evenkeel.

Usage: cargo x <task> [options]

Tasks:
  check            everything a change must pass: fmt, tidy, clippy, tests, docs, deny, simulator
  check --fast     fmt, tidy and clippy only (15 s when warm)
  check --no-test  all but the tests, for a caller that has just run `cargo test --workspace`
  tidy             the repository's own rules: file length, layers, links, guarantee ids, ...
  help, --help     this text

Environment:
  EVENKEEL_REQUIRE=all   a step that would be skipped because its tool is missing fails instead

Examples:
  cargo x check --fast                  # while working
  cargo x check                         # before a merge
  EVENKEEL_REQUIRE=all cargo x check    # as CI runs it

Exit status: 0 done, 1 a check failed, 2 wrong use.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["help" | "--help" | "-h"] | [_, "--help" | "-h"] => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        ["check"] => run_check(Scope::Full),
        ["check", "--fast"] => run_check(Scope::Fast),
        ["check", "--no-test"] => run_check(Scope::WithoutTests),
        ["tidy"] => run_tidy(),
        _ => {
            eprintln!("unknown task: `{}`\n\n{HELP}", args.join(" "));
            ExitCode::from(2)
        }
    }
}

fn run_check(scope: Scope) -> ExitCode {
    let passed = repo::find_root().and_then(|root| check::run(&root, scope));
    report(passed)
}

fn run_tidy() -> ExitCode {
    let passed = repo::find_root()
        .and_then(|root| Repo::load(&root))
        .map(|repo| tidy::run(&repo));
    report(passed)
}

fn report(passed: Result<bool, String>) -> ExitCode {
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
