//! The command line: one binary, one subcommand per job. Exit status 0: done, 1: failed, 2: wrong use.

mod cluster;
mod dev;
mod disk;
pub(crate) mod divergence;
mod doctor;
mod inspect;
pub(crate) mod local;
mod serve;
pub(crate) mod table;
pub(crate) mod talk;
mod top;

use std::io::Write as _;
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
  evenkeel top                       the nodes, what they do and how far they are apart, live
  evenkeel doctor                    whether a node can run here, and what to change
  evenkeel inspect cart:17           what every replica holds of a key, and why the winner won"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole story with three real nodes: convergence, a partition, a killed node
    Demo(crate::demo::Args),
    /// Run a cluster on this machine, for development
    Dev(dev::Args),
    /// Run one node
    Serve(serve::Args),
    /// Show what every replica holds of a key, and why the winner won
    Inspect(inspect::Args),
    /// Show how far the replicas are apart, exactly
    Divergence(divergence::Args),
    /// Show and change who belongs to the cluster and who holds what
    Cluster(cluster::Args),
    /// Watch the nodes: throughput, divergence, slow commands
    Top(top::Args),
    /// Look at every file of a stopped node's directory
    Verify(disk::VerifyArgs),
    /// Tell what a damaged directory has lost, and give it up
    Repair(disk::RepairArgs),
    /// Check configuration, clock, disk, ports and version; says what to change
    Doctor(doctor::Args),
    /// Put load on any Redis-protocol server and print throughput and latency
    Bench(crate::bench::Args),
}

/// Which node to ask.
#[derive(Debug, clap::Args)]
struct NodeArg {
    /// The node to ask; it asks the others
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379")]
    node: String,
}

/// Runs the command line of this process.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Demo(args) => crate::demo::run(&args),
        Command::Dev(args) => dev::run(args).map(|()| ExitCode::SUCCESS),
        Command::Serve(args) => serve::run(args).map(|()| ExitCode::SUCCESS),
        Command::Inspect(args) => inspect::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Divergence(args) => divergence::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Cluster(args) => cluster::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Top(args) => top::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Verify(args) => disk::verify(&args),
        Command::Repair(args) => disk::repair(&args),
        Command::Doctor(args) => doctor::run(&args),
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

/// Writes to standard output.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests;
