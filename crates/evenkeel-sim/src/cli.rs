//! The command line of the simulator. Exit status: 0 all well, 1 a violation or a failed comparison, 2 usage.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::faults::{Fault, FaultSet};
use crate::runner::{Span, cores, run};
use crate::seeds::parse_seed;
use crate::swarm::Limits;
use crate::{Options, report, run_seed, seeds, shrink};

/// A run of at least so many seeds must have fired every kind of fault.
const SEEDS_FOR_COVERAGE: u64 = 2000;

const EXAMPLES: &str = "Examples:
  cargo sim run --seeds 200
  cargo sim run --seeds 100000 --first 1000000 --json
  cargo sim run --seeds 500 --bug M13
  cargo sim replay --seed 0x5f3a --until 81230
  cargo sim replay --seed 0x5f3a --without drop,reorder --nodes 3 --operations 40
  cargo sim bugs
  cargo sim determinism --seeds 50";

/// Deterministic simulator of the replication core.
#[derive(Parser, Debug)]
#[command(name = "cargo sim", bin_name = "cargo sim", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Runs many seeds; prints what failed, how to replay it, and what was covered.
    Run {
        /// How many seeds.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value = "1", value_parser = parse_seed)]
        first: u64,
        /// Ends with one line of JSON.
        #[arg(long)]
        json: bool,
        /// Threads; all cores by default.
        #[arg(long)]
        threads: Option<usize>,
        #[command(flatten)]
        broken: Broken,
        #[command(flatten)]
        less: Less,
    },
    /// Runs one seed and prints its trace: time, step, node, event, what it is about, effects.
    Replay {
        /// The seed.
        #[arg(long, value_parser = parse_seed)]
        seed: u64,
        /// The step to stop at.
        #[arg(long)]
        until: Option<u64>,
        /// Shows every change of this cell too, e.g. `hash0/Hash/a`.
        #[arg(long, value_name = "CELL")]
        watch: Option<String>,
        #[command(flatten)]
        broken: Broken,
        #[command(flatten)]
        less: Less,
    },
    /// Breaks every rule in turn and looks for the first seed that notices; fails if one is never noticed.
    Bugs {
        /// The most seeds to try for one rule.
        #[arg(long, default_value_t = 6000)]
        seeds_max: u64,
        /// Threads; all cores by default.
        #[arg(long)]
        threads: Option<usize>,
    },
    /// Runs the kept seeds of seeds.txt.
    Seeds,
    /// Runs seeds twice and compares the traces.
    Determinism {
        /// How many seeds.
        #[arg(long, default_value_t = 20)]
        seeds: u64,
        /// The first seed.
        #[arg(long, default_value = "1", value_parser = parse_seed)]
        first: u64,
    },
}

#[derive(Args, Clone, Debug)]
struct Broken {
    /// Breaks one rule of the core, e.g. M13; needs the feature `bugs`.
    #[arg(long, value_name = "NAME")]
    bug: Option<String>,
}

#[derive(Args, Clone, Debug)]
struct Less {
    /// Kinds of faults to leave out.
    #[arg(long, value_delimiter = ',', value_name = "FAULTS", value_parser = parse_fault)]
    without: Vec<Fault>,
    /// At most so many nodes (at least 3).
    #[arg(long, value_parser = clap::value_parser!(u8).range(3..=5))]
    nodes: Option<u8>,
    /// Only so many client operations.
    #[arg(long)]
    operations: Option<usize>,
    /// After each client operation, so many reads of sessions with their tokens, at any node.
    #[arg(long, value_name = "READS", default_value_t = 0)]
    hops: usize,
}

fn parse_fault(name: &str) -> Result<Fault, String> {
    let found = Fault::ALL.iter().find(|fault| fault.name() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        format!("no such kind of fault; there are {}", names.join(", "))
    })
}

impl Less {
    fn limits(&self) -> Limits {
        let mut without = FaultSet::default();
        self.without.iter().for_each(|fault| without.insert(*fault));
        Limits {
            without,
            nodes: self.nodes.map(usize::from),
            operations: self.operations,
            hops: self.hops,
        }
    }
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Assertions of the core are findings, reported with their seed; the default message would drown them.
    std::panic::set_hook(Box::new(|_| {}));
    let mut out = io::stdout().lock();
    match execute(&cli.command, &mut out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(problem) => {
            let _ = writeln!(io::stderr(), "error: {problem}");
            ExitCode::from(2)
        }
    }
}

fn execute(command: &Command, out: &mut impl Write) -> Result<bool, String> {
    let written = match command {
        Command::Run {
            seeds,
            first,
            json,
            threads,
            broken,
            less,
        } => {
            let base = options(0, broken, less)?;
            let span = Span {
                first: *first,
                count: *seeds,
                threads: threads.unwrap_or_else(cores),
                first_failure_only: broken.bug.is_some(),
            };
            run_many(out, span, (&base, &flags(broken, less)), *json)
        }
        Command::Replay {
            seed,
            until,
            watch,
            broken,
            less,
        } => {
            let outcome = run_seed(&Options {
                trace: true,
                until: *until,
                watch: watch.clone(),
                ..options(*seed, broken, less)?
            });
            report::replayed(out, &outcome, &flags(broken, less))
                .map(|()| outcome.failure.is_none())
        }
        Command::Bugs { seeds_max, threads } => {
            bugs(out, *seeds_max, threads.unwrap_or_else(cores))
        }
        Command::Seeds => kept(out),
        Command::Determinism { seeds, first } => determinism(out, *first, *seeds),
    };
    written.map_err(|error| error.to_string())
}

fn flags(broken: &Broken, less: &Less) -> String {
    let bug = broken.bug.as_ref().map(|name| format!(" --bug {name}"));
    bug.unwrap_or_default() + &report::limit_flags(&less.limits())
}

#[cfg(feature = "bugs")]
fn options(seed: u64, broken: &Broken, less: &Less) -> Result<Options, String> {
    use evenkeel_core::bug::Bug;
    let find = |name: &String| {
        let found = Bug::ALL.iter().find(|bug| bug.name() == name);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
            format!("no such bug `{name}`; there are {}", names.join(", "))
        })
    };
    Ok(Options {
        bug: broken.bug.as_ref().map(find).transpose()?,
        limits: less.limits(),
        ..Options::seed(seed)
    })
}

#[cfg(not(feature = "bugs"))]
fn options(seed: u64, broken: &Broken, less: &Less) -> Result<Options, String> {
    if broken.bug.is_some() {
        return Err(
            "--bug needs a build with the feature `bugs`, as `cargo sim` makes it".to_owned(),
        );
    }
    Ok(Options {
        limits: less.limits(),
        ..Options::seed(seed)
    })
}

fn run_many(
    out: &mut impl Write,
    span: Span,
    (base, flags): (&Options, &str),
    json: bool,
) -> io::Result<bool> {
    let stopwatch = Stopwatch::start();
    let summary = run(span, base);
    let seconds = stopwatch.seconds();
    report::coverage(out, &summary.coverage)?;
    report::summary(out, &summary, seconds)?;
    if let Some((seed, failure)) = summary.failures.first() {
        report::failure(out, *seed, failure, flags)?;
        let failing = Options {
            seed: *seed,
            ..base.clone()
        };
        if let Some(shrunk) = shrink::shrink(&failing) {
            // The limits given by hand are part of the shrunk ones.
            let bug = flags.split(" --").find(|flag| flag.starts_with("bug "));
            let bug = bug.map(|bug| format!(" --{bug}")).unwrap_or_default();
            report::shrunk(out, *seed, &shrunk, &bug)?;
        }
    }
    for (seed, failure) in summary.failures.iter().skip(1).take(50) {
        writeln!(
            out,
            "also: seed {seed:#x} step {}: {}: {}",
            failure.step, failure.check, failure.what
        )?;
    }
    let mut fine = summary.failures.is_empty();
    if span.count >= SEEDS_FOR_COVERAGE && fine && base.limits.without == FaultSet::default() {
        for (fault, _) in summary.coverage.faults().filter(|(_, count)| *count == 0) {
            writeln!(out, "coverage: the fault `{}` never fired", fault.name())?;
            fine = false;
        }
    }
    if json {
        report::json(out, &summary, seconds)?;
    }
    Ok(fine)
}

#[cfg(feature = "bugs")]
fn bugs(out: &mut impl Write, seeds_max: u64, threads: usize) -> io::Result<bool> {
    use evenkeel_core::bug::Bug;
    let mut all = true;
    writeln!(
        out,
        "{:<28} {:>8} {:>8}  {:<40} rule switched off",
        "switch", "seed", "seeds", "found by"
    )?;
    for bug in Bug::ALL {
        let base = Options {
            bug: Some(*bug),
            ..Options::default()
        };
        let span = Span {
            first: 1,
            count: seeds_max,
            threads,
            first_failure_only: true,
        };
        let summary = run(span, &base);
        let (seed, count, check) = match summary.failures.first() {
            Some((seed, failure)) => (
                format!("{seed:#x}"),
                seed.to_string(),
                failure.check.as_str(),
            ),
            None => {
                all = false;
                ("-".to_owned(), format!(">{seeds_max}"), "NOT FOUND")
            }
        };
        writeln!(
            out,
            "{:<28} {seed:>8} {count:>8}  {check:<40} {}",
            bug.name(),
            bug.what().trim()
        )?;
        out.flush()?;
    }
    Ok(all)
}

#[cfg(not(feature = "bugs"))]
fn bugs(out: &mut impl Write, _: u64, _: usize) -> io::Result<bool> {
    writeln!(
        out,
        "the switches need a build with the feature `bugs`, as `cargo sim` makes it"
    )?;
    Ok(false)
}

fn kept(out: &mut impl Write) -> io::Result<bool> {
    let kept = match seeds::parse(include_str!("../seeds.txt")) {
        Ok(kept) => kept,
        Err(problem) => {
            writeln!(out, "seeds.txt: {problem}")?;
            return Ok(false);
        }
    };
    let mut fine = true;
    for kept in &kept {
        let outcome = run_seed(&Options::seed(kept.seed));
        let verdict = if outcome.failure.is_none() {
            "passes"
        } else {
            "FAILS"
        };
        writeln!(out, "{:#x} {verdict}  {}", kept.seed, kept.why)?;
        if let Some(failure) = &outcome.failure {
            fine = false;
            report::failure(out, kept.seed, failure, "")?;
        }
    }
    writeln!(out, "{} kept seeds", kept.len())?;
    Ok(fine)
}

fn determinism(out: &mut impl Write, first: u64, count: u64) -> io::Result<bool> {
    let mut fine = true;
    for seed in first..first + count {
        let options = Options {
            whole_frames: true,
            ..Options::seed(seed)
        };
        let (once, again) = (run_seed(&options), run_seed(&options));
        if once.hash != again.hash {
            fine = false;
            writeln!(
                out,
                "seed {seed:#x} ran in two ways: {:#x} and {:#x}",
                once.hash, again.hash
            )?;
        }
    }
    writeln!(
        out,
        "{count} seeds ran twice{}",
        if fine { ", the same each time" } else { "" }
    )?;
    Ok(fine)
}

/// Real time, for the figures that a run ends with.
struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "the runner alone measures real time"
    )]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the runner alone measures real time"
    )]
    fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// The commit of the working directory: a seed means nothing without it.
#[expect(
    clippy::disallowed_methods,
    reason = "the runner alone asks which commit it is"
)]
pub(crate) fn head_commit() -> Option<String> {
    let git = std::process::Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output()
        .ok()?;
    let text = String::from_utf8(git.stdout).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
