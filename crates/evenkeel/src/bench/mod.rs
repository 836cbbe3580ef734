//! `evenkeel bench`: load on any server that speaks the Redis protocol, and what it cost.
//!
//! Invariants:
//! - which requests are sent depends on the seed alone ([`keys`], [`request`]);
//! - latency at a fixed rate counts from the moment a request was meant for ([`pace`]);
//! - nothing that a server sends makes this panic or hold more than `limits` says.
//!
//! Driven by [`run`]: a [`plan::Plan`] is a checked command line, each [`phase`] runs one mix on
//! threads of one current-thread runtime each ([`worker`]), [`report`] shows the outcome.

mod answers;
mod args;
mod command;
mod keys;
mod limits;
mod link;
mod pace;
mod phase;
mod plan;
mod process_cpu;
mod report;
mod request;
mod tally;
mod timer;
mod worker;

use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

pub(crate) use args::Args;

use link::Greeting;
use plan::Plan;
use report::Report;

/// Holds the password; an argument could be read by every user of the machine.
const PASSWORD_VARIABLE: &str = "EVENKEEL_PASSWORD";

const FAILED: u8 = 1;
const WRONG_USE: u8 = 2;

/// Runs the load and prints what came of it.
///
/// # Errors
/// The load could not be started, or the result not be written.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let password = std::env::var_os(PASSWORD_VARIABLE).map(OsStringExt::into_vec);
    let plan = match Plan::new(&args) {
        Ok(plan) => plan,
        Err(wrong) => {
            for sentence in wrong {
                writeln!(io::stderr(), "error: {sentence}")?;
            }
            return Ok(ExitCode::from(WRONG_USE));
        }
    };
    let report = measure(&plan, password.as_deref())?;
    let mut out = io::stdout().lock();
    let written = if args.measure.json {
        report.write_json(&mut out)
    } else {
        report.write_table(&mut out)
    };
    match written {
        // Whoever reads has seen enough, as `head` has.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(if report.is_faulty() {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

fn measure(plan: &Plan, password: Option<&[u8]>) -> anyhow::Result<Report> {
    let greeting = Greeting::new(plan.resp3, password);
    let phases = plan.phases.iter();
    let outcomes = phases.map(|mix| phase::run(plan, mix, &greeting));
    let outcomes = outcomes.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Report::new(plan, &outcomes))
}

#[cfg(test)]
mod tests;
