//! Spreads seeds over threads. The one place with threads and a wall clock: neither changes what a seed does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::coverage::Coverage;
use crate::{Failure, Options, Outcome, Totals, run_seed};

/// Seeds that one thread takes at a time.
const CHUNK: u64 = 8;

/// What many runs gave.
#[derive(Default, Debug)]
pub(crate) struct Summary {
    pub(crate) seeds: u64,
    pub(crate) totals: Totals,
    pub(crate) coverage: Coverage,
    /// Seeds that failed, ascending, with what failed.
    pub(crate) failures: Vec<(u64, Failure)>,
}

impl Summary {
    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        let sum = &mut self.totals;
        sum.events += outcome.totals.events;
        sum.messages += outcome.totals.messages;
        sum.operations += outcome.totals.operations;
        sum.crashes += outcome.totals.crashes;
        sum.virtual_us += outcome.totals.virtual_us;
        self.coverage.add(&outcome.coverage);
        let seed = outcome.seed;
        self.failures
            .extend(outcome.failure.map(|failure| (seed, failure)));
    }
}

/// How far a run of many seeds goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) threads: usize,
    /// Whether to stop soon after the first failure; then only the least failing seed counts.
    pub(crate) first_failure_only: bool,
}

/// All cores.
#[expect(
    clippy::disallowed_methods,
    reason = "the runner alone spreads seeds over threads"
)]
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Runs a span of seeds. The result does not depend on the number of threads.
#[expect(
    clippy::disallowed_methods,
    reason = "the runner alone spreads seeds over threads"
)]
pub(crate) fn run(span: Span, base: &Options) -> Summary {
    let next = AtomicU64::new(0);
    // The least failing seed found so far, as an offset: nothing above it needs to run.
    let enough = AtomicU64::new(span.count);
    let total = Mutex::new(Summary::default());
    let work = || {
        let mut mine = Summary::default();
        loop {
            let from = next.fetch_add(CHUNK, Ordering::Relaxed);
            if from >= enough.load(Ordering::Relaxed) {
                break;
            }
            for offset in from..(from + CHUNK).min(span.count) {
                if offset >= enough.load(Ordering::Relaxed) {
                    break;
                }
                let outcome = run_caught(&Options {
                    seed: span.first + offset,
                    ..base.clone()
                });
                if span.first_failure_only && outcome.failure.is_some() {
                    enough.fetch_min(offset, Ordering::Relaxed);
                }
                mine.add(outcome);
            }
        }
        let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
        merge(&mut total, mine);
    };
    std::thread::scope(|scope| {
        for _ in 0..span.threads.max(1) {
            scope.spawn(work);
        }
    });
    let mut summary = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.failures.sort_by_key(|(seed, _)| *seed);
    if span.first_failure_only {
        summary.failures.truncate(1);
    }
    summary
}

fn merge(total: &mut Summary, part: Summary) {
    total.seeds += part.seeds;
    total.totals.events += part.totals.events;
    total.totals.messages += part.totals.messages;
    total.totals.operations += part.totals.operations;
    total.totals.crashes += part.totals.crashes;
    total.totals.virtual_us += part.totals.virtual_us;
    total.coverage.add(&part.coverage);
    total.failures.extend(part.failures);
}

/// Runs a seed; a panic of the simulator itself counts as a failure of that seed.
fn run_caught(options: &Options) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| run_seed(options))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Outcome {
            seed: options.seed,
            failure: Some(Failure {
                check: "panic of the simulator".to_owned(),
                what: text.unwrap_or_default(),
                step: 0,
                at_us: 0,
                views: String::new(),
            }),
            totals: Totals::default(),
            hash: 0,
            coverage: Coverage::default(),
            trace: String::new(),
        }
    })
}
