//! The command line takes what its help shows and refuses the rest with exit status 2.

use clap::{CommandFactory as _, Parser as _};

use super::*;

/// The exit status that a command line ends with before anything is run; `None` when it would run.
fn refused(line: &str) -> Option<i32> {
    Cli::try_parse_from(line.split(' '))
        .err()
        .map(|error| error.exit_code())
}

#[test]
fn the_definition_of_the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn wrong_use_ends_with_status_2() {
    for line in [
        "evenkeel",
        "evenkeel nosuch",
        "evenkeel demo --nosuch",
        "evenkeel dev --nodes 0",
        "evenkeel dev --nodes 27",
        "evenkeel dev --port 0",
        "evenkeel dev --port 65000",
        "evenkeel inspect",
        "evenkeel inspect a b c",
        "evenkeel divergence a b",
        "evenkeel serve --members A",
        "evenkeel verify",
        "evenkeel repair --accept-loss",
    ] {
        assert_eq!(refused(line), Some(2), "{line}");
    }
}

#[test]
fn right_use_is_taken() {
    for line in [
        "evenkeel demo",
        "evenkeel demo --json",
        "evenkeel dev --nodes 5 --port 6400 --dir ./my-cluster",
        "evenkeel inspect cart:17 apples --node 127.0.0.1:7001 --json",
        "evenkeel verify ./evenkeel-data --json",
        "evenkeel repair ./evenkeel-data --accept-loss",
        "evenkeel doctor --config evenkeel.toml --dir ./evenkeel-data",
        "evenkeel divergence cart:17 --node 127.0.0.1:7001 --json",
    ] {
        assert_eq!(refused(line), None, "{line}");
    }
}

#[test]
fn every_command_has_help_with_examples() {
    let mut cli = Cli::command();
    for command in cli.get_subcommands_mut() {
        let help = command.render_long_help().to_string();
        assert!(help.contains("Examples:"), "{}", command.get_name());
    }
    assert!(cli.render_long_help().to_string().contains("Examples:"));
}
