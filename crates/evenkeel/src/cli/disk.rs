//! `evenkeel verify` and `evenkeel repair`: a data directory while no node runs on it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use evenkeel::offline::{self, Loss, Report, Severity};
use serde_json::{Value, json};

use super::say;

/// Flags of `evenkeel verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  evenkeel verify ./evenkeel-data              every record of the log, every block of the checkpoints
  evenkeel verify /backup/evenkeel --json      for programs; a copy may be read-only

Nothing is changed. The node must be stopped; a running one looks at its own files: EK.SCRUB.

LOSS: something durable is missing here. A node of a cluster starts all the same and the others bring it; one that is
alone refuses to, see evenkeel repair. REBUILT: the next start makes it anew, nothing is missing. LEFTOVER: what a crash
leaves, the next start puts it in order.

Exit status: 0 nothing is lost; 1 something is, or the directory cannot be read; 2 wrong use.")]
pub(super) struct VerifyArgs {
    /// The data directory
    dir: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Flags of `evenkeel repair`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  evenkeel repair ./evenkeel-data                  what is lost, and what is left; changes nothing
  evenkeel repair ./evenkeel-data --accept-loss    go on with what is left

For a node that is alone: the others of a cluster bring back by themselves what one has lost. Restore a copy of the
directory instead, if there is one. The node must be stopped.

Exit status: 0 nothing is lost, or it was given up; 1 something is lost and nothing was changed; 2 wrong use.")]
pub(super) struct RepairArgs {
    /// The data directory
    dir: PathBuf,
    /// Give up what is damaged: write what is left into checkpoints and begin a new log
    #[arg(long)]
    accept_loss: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Looks and tells.
pub(super) fn verify(args: &VerifyArgs) -> Result<ExitCode> {
    let report = offline::verify(&args.dir)
        .with_context(|| format!("cannot verify {}", args.dir.display()))?;
    if args.json {
        say(&format!("{}\n", report_json(&report)))?;
    } else {
        say(&report_text(&report))?;
    }
    Ok(status(is_lost(&report)))
}

/// Tells what is lost; gives it up where that is asked for.
pub(super) fn repair(args: &RepairArgs) -> Result<ExitCode> {
    let what = || format!("cannot repair {}", args.dir.display());
    let loss = offline::loss(&args.dir).with_context(what)?;
    let lost = is_lost(&loss.report);
    let gives_up = lost && args.accept_loss;
    if gives_up {
        offline::accept_loss(&args.dir).with_context(what)?;
    }
    if args.json {
        let mut all = report_json(&loss.report);
        all["partitions"] = partitions_json(&loss);
        all["given_up"] = json!(gives_up);
        say(&format!("{all}\n"))?;
    } else {
        say(&loss_text(&loss, gives_up))?;
    }
    Ok(status(lost && !gives_up))
}

fn is_lost(report: &Report) -> bool {
    report.worst().is_some_and(|worst| worst >= Severity::Loss)
}

fn status(failed: bool) -> ExitCode {
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Leftover => "LEFTOVER",
        Severity::Rebuilt => "REBUILT",
        Severity::Loss => "LOSS",
        Severity::Version => "VERSION",
    }
}

pub(super) fn report_text(report: &Report) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let severity = word(finding.severity);
        out.push_str(&format!(
            "{severity:<9}{} at byte {}: {}\n",
            finding.file, finding.offset, finding.what
        ));
    }
    let verdict = match report.worst() {
        None => "all is as it was written",
        Some(Severity::Leftover | Severity::Rebuilt) => "nothing is lost",
        Some(Severity::Loss) => "something that was durable is missing here",
        Some(Severity::Version) => "a later version of the program wrote this: use that one",
    };
    out.push_str(&format!(
        "{} files, {} bytes, {} records of the log, {} checkpoints: {verdict}\n",
        report.files,
        report.bytes,
        report.log_records,
        report.checkpoints.len()
    ));
    out
}

pub(super) fn report_json(report: &Report) -> Value {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "file": finding.file,
            "offset": finding.offset,
            "severity": word(finding.severity).to_lowercase(),
            "what": finding.what,
        })
    });
    json!({
        "files": report.files,
        "bytes": report.bytes,
        "log_records": report.log_records,
        "checkpoints": report.checkpoints.len(),
        "lost": is_lost(report),
        "findings": findings.collect::<Vec<_>>(),
    })
}

/// The hash slots of a partition.
fn slots(partition: u16) -> (u16, u16) {
    let each = 16384 / evenkeel::config::PARTITIONS;
    (partition * each, partition * each + each - 1)
}

fn partitions_json(loss: &Loss) -> Value {
    let all = loss.left.iter().map(|(partition, keys)| {
        let (first, last) = slots(*partition);
        json!({"partition": partition, "first_slot": first, "last_slot": last, "keys_left": keys})
    });
    Value::Array(all.collect())
}

fn loss_text(loss: &Loss, given_up: bool) -> String {
    let mut out = report_text(&loss.report);
    if !is_lost(&loss.report) {
        out.push_str("There is nothing to give up; nothing was changed.\n");
        return out;
    }
    for (partition, keys) in &loss.left {
        let (first, last) = slots(*partition);
        out.push_str(&format!(
            "partition {partition}, slots {first}-{last}: {keys} keys can still be read; what was changed in the damaged places is lost\n"
        ));
    }
    out.push_str(if given_up {
        "Given up. What is left is in new checkpoints, and a new log has begun: start the node.\n"
    } else {
        "Nothing was changed. Restore a copy of the directory, or give up what is lost with --accept-loss.\n"
    });
    out
}
