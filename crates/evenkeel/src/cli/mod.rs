//! The command line: one binary, one subcommand per job. Exit status 0: done, 1: failed, 2: wrong use.

mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An eventually consistent key-value store that speaks the Redis protocol: no leader, always writable.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Examples:
  evenkeel demo                      the whole story with three real nodes, in half a minute
  evenkeel dev                       three nodes to play with, on ports 7001 to 7003
  evenkeel serve                     one node on 127.0.0.1:6379, data in ./evenkeel-data
  evenkeel inspect cart:17           what every replica holds of a key, and why the winner won"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one node
    Serve(serve::Args),
    /// Put load on any Redis-protocol server and print throughput and latency
    Bench(crate::bench::Args),
}

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Serve(args) => serve::run(args).map(|()| ExitCode::SUCCESS),
        Command::Bench(args) => crate::bench::run(args),
    };
    match done {
        Ok(status) => status,
        Err(error) => {
            fail(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the command line speaks to its user here"
)]
fn fail(text: &str) {
    eprintln!("evenkeel: {text}");
}
