//! `evenkeel demo`: the story of the product with three real nodes, every claim checked while it is printed.
//!
//! Invariants: nothing is printed as true that was not observed in this run; the first claim that does not hold ends
//! the story as failed; no process and no file is left behind on any way out.

mod cluster;
mod converge;
mod load;
mod partition;
mod restart;
mod screen;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};

use cluster::Cluster;
use screen::Screen;

/// Flags of `evenkeel demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  evenkeel demo                                  for people
  evenkeel demo --json                           one JSON object per observation, for programs
  evenkeel demo --json | tail -1                 the outcome: {\"story\":\"passed\",\"scenes\":{…},\"seconds\":…}

Starts three nodes as processes with directories of their own and free ports on 127.0.0.1, delays all they say to
each other by 100 to 1000 ms, and shows: a write that spreads, a network partition that heals, a node that is killed
and catches up. It leaves nothing behind and takes about 20 seconds.

Exit status: 0 every claim was checked and held; 1 one did not, or the nodes could not be run; 2 wrong use.")]
pub(crate) struct Args {
    /// Print one JSON object per observation
    #[arg(long)]
    json: bool,
}

/// Exit status after Ctrl-C, as shells have it: 128 and the signal's number.
const INTERRUPTED: i32 = 130;

/// A scene: it shows something and checks it.
type Scene = fn(&mut Cluster, &mut Screen) -> Result<()>;

const SCENES: [(&str, Scene); 3] = [
    ("converge", converge::play),
    ("partition", partition::play),
    ("restart", restart::play),
];

/// Plays the story.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let started = Instant::now();
    let mut screen = Screen::new(args.json);
    let mut seconds = BTreeMap::new();
    match play(&mut screen, &mut seconds) {
        Ok(()) => {
            screen.passed(&seconds, started.elapsed())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            screen.failed(&format!("{error:#}"), &seconds, started.elapsed())?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn play(screen: &mut Screen, seconds: &mut BTreeMap<&'static str, f64>) -> Result<()> {
    screen.opening()?;
    let mut cluster = Cluster::start().context("the three nodes cannot be run")?;
    cluster.end_when_interrupted(|| std::process::exit(INTERRUPTED))?;
    screen.nodes(&cluster.describe())?;
    for (name, scene) in SCENES {
        let started = Instant::now();
        screen.enter(name);
        scene(&mut cluster, screen)?;
        seconds.insert(name, screen::seconds(started.elapsed()));
    }
    Ok(())
}
