//! `evenkeel-check`: looks for anomalies in what clients have recorded.

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use evenkeel_check::history;
use evenkeel_check::sessions::{self, Guarantee, Report};
use serde_json::json;

/// How many anomalies are shown one by one.
const SHOWN: usize = 20;

/// Looks for anomalies in what clients have recorded of any store.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit status: 0 nothing found, 1 anomalies found or the history cannot be read, 2 wrong use."
)]
struct Cli {
    #[command(subcommand)]
    check: Check,
}

#[derive(Subcommand)]
enum Check {
    /// The four session guarantees: read your writes, monotonic reads, monotonic writes, writes follow reads
    #[command(
        after_help = r#"A history has one JSON object per line, the operations of each session in its order, each write with a value of its own:

  {"session":1,"op":"write","key":"k","value":"1.1","outcome":"ok","node":"A"}
  {"session":1,"op":"read","key":"k","value":"1.1","outcome":"ok","node":"B"}

outcome: ok, failed (it was not done), unknown (it may have been done). value null: nothing was found.

Examples:
  evenkeel-check sessions history.jsonl
  evenkeel-check sessions --json - < history.jsonl"#
    )]
    Sessions {
        /// The history; - for standard input
        file: PathBuf,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let Check::Sessions { file, json } = Cli::parse().check;
    match run(&file, json) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody may be there to read it.
            let _ = writeln!(std::io::stderr(), "evenkeel-check: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Checks a history and says what it came to; whether nothing was found.
fn run(file: &PathBuf, json: bool) -> Result<bool> {
    let input: Box<dyn BufRead> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let file = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        Box::new(BufReader::new(file))
    };
    let history = history::parse(input).with_context(|| format!("{}", file.display()))?;
    let report = sessions::check(&history).with_context(|| format!("{}", file.display()))?;
    let text = if json {
        as_json(&report)
    } else {
        as_text(&report)
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(report.anomalies.is_empty())
}

const ALL: [Guarantee; 4] = [
    Guarantee::ReadYourWrites,
    Guarantee::MonotonicReads,
    Guarantee::MonotonicWrites,
    Guarantee::WritesFollowReads,
];

fn count(report: &Report, guarantee: Guarantee) -> usize {
    let all = report.anomalies.iter();
    all.filter(|found| found.guarantee == guarantee).count()
}

fn as_text(report: &Report) -> String {
    let mut text = format!(
        "{} operations: {} reads ({} of other sessions' writes), {} writes, {} of unknown outcome, {} failed",
        report.operations,
        report.reads,
        report.reads_of_others,
        report.writes,
        report.unknown,
        report.failed
    );
    for guarantee in ALL {
        text += &format!("\n{guarantee:<20} {} anomalies", count(report, guarantee));
    }
    for found in report.anomalies.iter().take(SHOWN) {
        let value = found.found.as_deref().unwrap_or("nothing");
        text += &format!(
            "\noperation {}: found {value} behind {}: {}",
            found.at + 1,
            found.newer,
            found.guarantee
        );
    }
    if report.anomalies.len() > SHOWN {
        text += &format!("\nand {} more", report.anomalies.len() - SHOWN);
    }
    text
}

fn as_json(report: &Report) -> String {
    let anomalies = report.anomalies.iter().map(|found| {
        json!({
            "operation": found.at + 1,
            "guarantee": found.guarantee.to_string(),
            "newer": found.newer,
            "found": found.found,
        })
    });
    json!({
        "operations": report.operations,
        "reads": report.reads,
        "reads_of_others": report.reads_of_others,
        "writes": report.writes,
        "unknown": report.unknown,
        "failed": report.failed,
        "anomalies": anomalies.collect::<Vec<_>>(),
    })
    .to_string()
}
