//! What the command line prints about runs.

use std::io::{self, Write};

use crate::coverage::Coverage;
use crate::runner::Summary;
use crate::shrink::Shrunk;
use crate::swarm::Limits;
use crate::{Failure, Outcome};

/// A failed check with everything needed to look at it again.
pub(crate) fn failure(
    out: &mut impl Write,
    seed: u64,
    failure: &Failure,
    flags: &str,
) -> io::Result<()> {
    writeln!(out, "violation: {}", failure.check)?;
    writeln!(out, "  {}", failure.what)?;
    writeln!(
        out,
        "  seed {seed:#x}, step {}, virtual time {}.{:06} s",
        failure.step,
        failure.at_us / 1_000_000,
        failure.at_us % 1_000_000
    )?;
    write!(out, "{}", failure.views)?;
    writeln!(
        out,
        "replay: cargo sim replay --seed {seed:#x} --until {}{flags}   (commit {})",
        failure.step,
        commit()
    )
}

/// The flags that make a failing run smaller.
pub(crate) fn shrunk(
    out: &mut impl Write,
    seed: u64,
    shrunk: &Shrunk,
    flags: &str,
) -> io::Result<()> {
    if let Some(failure) = &shrunk.outcome.failure {
        writeln!(
            out,
            "smallest: cargo sim replay --seed {seed:#x} --until {}{flags}{}   ({})",
            failure.step,
            limit_flags(&shrunk.limits),
            failure.check
        )?;
    }
    Ok(())
}

/// Limits as they are typed.
pub(crate) fn limit_flags(limits: &Limits) -> String {
    let mut flags = String::new();
    if limits.without.iter().next().is_some() {
        flags += &format!(" --without {}", limits.without);
    }
    if let Some(nodes) = limits.nodes {
        flags += &format!(" --nodes {nodes}");
    }
    if let Some(operations) = limits.operations {
        flags += &format!(" --operations {operations}");
    }
    if limits.hops > 0 {
        flags += &format!(" --hops {}", limits.hops);
    }
    flags
}

/// The commit this build is of; unknown outside of a checkout.
fn commit() -> String {
    let head = option_env!("EVENKEEL_COMMIT").map(str::to_owned);
    head.or_else(crate::cli::head_commit)
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Counters of faults and rare states.
pub(crate) fn coverage(out: &mut impl Write, coverage: &Coverage) -> io::Result<()> {
    writeln!(out, "faults")?;
    for (fault, count) in coverage.faults() {
        writeln!(out, "  {:<48} {count:>12}", fault.name())?;
    }
    writeln!(out, "states")?;
    for (mark, count) in coverage.marks() {
        writeln!(out, "  {:<48} {count:>12}", mark.name())?;
    }
    writeln!(out, "commands: run, refused")?;
    for (name, run, refused) in coverage.commands() {
        writeln!(out, "  {name:<48} {run:>12} {refused:>12}")?;
    }
    Ok(())
}

/// One line about many runs.
pub(crate) fn summary(out: &mut impl Write, summary: &Summary, seconds: f64) -> io::Result<()> {
    let totals = &summary.totals;
    writeln!(
        out,
        "{} seeds, {} violations; {} operations, {} events, {} messages, {} crashes, {:.1} virtual hours in {seconds:.1} s",
        summary.seeds,
        summary.failures.len(),
        totals.operations,
        totals.events,
        totals.messages,
        totals.crashes,
        hours(summary),
    )
}

/// The same for machines.
pub(crate) fn json(out: &mut impl Write, summary: &Summary, seconds: f64) -> io::Result<()> {
    writeln!(
        out,
        "{{\"seeds\":{},\"violations\":{},\"events\":{},\"messages\":{},\"crashes\":{},\"virtual_hours\":{:.3},\"seconds\":{seconds:.3}}}",
        summary.seeds,
        summary.failures.len(),
        summary.totals.events,
        summary.totals.messages,
        summary.totals.crashes,
        hours(summary),
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "hours of a run are far below 2^53 microseconds"
)]
fn hours(summary: &Summary) -> f64 {
    summary.totals.virtual_us as f64 / 3.6e9
}

/// A replayed run.
pub(crate) fn replayed(out: &mut impl Write, outcome: &Outcome, flags: &str) -> io::Result<()> {
    write!(out, "{}", outcome.trace)?;
    match &outcome.failure {
        Some(found) => failure(out, outcome.seed, found, flags),
        None => writeln!(out, "no violation; trace hash {:#018x}", outcome.hash),
    }
}
