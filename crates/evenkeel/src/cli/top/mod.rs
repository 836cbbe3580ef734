//! `evenkeel top`: the cluster in a terminal, refreshed until told to stop.
//!
//! Everything shown comes from commands that any client can send: EK.TOPOLOGY, EK.DIVERGENCE, INFO, SLOWLOG.

mod sample;
mod terminal;
mod view;

use std::time::Duration;

use anyhow::Result;

use self::sample::Watch;
use self::terminal::Terminal;
use super::{NodeArg, say};

/// Flags of `evenkeel top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  evenkeel top                              the cluster of the node on 127.0.0.1:6379, every second
  evenkeel top --node 127.0.0.1:7001        as another node sees it
  evenkeel top --interval 5                 every five seconds
  evenkeel top --once                       one look, as text, for a script or a report
  evenkeel top --once --json                one look, as a JSON object; without --once one object each time

NODES: commands per second, clients, keys, memory, and what the peers of each node lack, by their last adverts.
DIVERGENCE: who lacks how many events of whom, exactly, as the node that was asked finds out; '?': no answer.
SLOW: the slowest of the commands that the nodes keep in SLOWLOG.

In a terminal q or Ctrl-C ends it.

Exit status: 0 shown; 1 the node did not answer; 2 wrong use.")]
pub(super) struct Args {
    #[command(flatten)]
    node: NodeArg,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = interval)]
    interval: f64,
    /// Look once and end
    #[arg(long)]
    once: bool,
    /// Print a JSON object for each look
    #[arg(long)]
    json: bool,
}

fn interval(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.1 to 3600".to_owned()),
    }
}

/// Looks and shows, again and again.
pub(super) fn run(args: &Args) -> Result<()> {
    let mut watch = Watch::open(&args.node.node)?;
    let mut look = watch.look()?;
    if args.once || args.json {
        loop {
            if args.json {
                say(&format!("{}\n", view::json(&look)))?;
            } else {
                say(&view::text(&look))?;
            }
            if args.once {
                return Ok(());
            }
            std::thread::sleep(Duration::from_secs_f64(args.interval));
            look = watch.look()?;
        }
    }
    let terminal = Terminal::open()?;
    loop {
        terminal.show(&view::text(&look))?;
        if terminal.is_left_within(Duration::from_secs_f64(args.interval)) {
            return Ok(());
        }
        match watch.look() {
            Ok(new) => look = new,
            // The node may come back: what was seen last stays, marked.
            Err(error) => look.stale = Some(format!("{error:#}")),
        }
    }
}
