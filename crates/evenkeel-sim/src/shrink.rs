//! Makes a failing run smaller: fewer fault kinds, fewer nodes, fewer operations, as long as it still fails.

use crate::faults::Fault;
use crate::swarm::Limits;
use crate::{Options, Outcome, run_seed};

/// Reruns that shrinking may cost.
const RERUNS_MAX: u32 = 120;

/// The smallest failing run found, and how it failed.
pub(crate) struct Shrunk {
    pub(crate) limits: Limits,
    pub(crate) outcome: Outcome,
}

/// Shrinks a run that fails; `None` when it does not fail.
pub(crate) fn shrink(options: &Options) -> Option<Shrunk> {
    let mut search = Search {
        options: options.clone(),
        best: run_seed(options),
        reruns: RERUNS_MAX,
    };
    search.best.failure.as_ref()?;
    for nodes in 3..5 {
        let smaller = Limits {
            nodes: Some(nodes),
            ..search.options.limits.clone()
        };
        if search.try_limits(smaller) {
            break;
        }
    }
    for fault in Fault::ALL {
        let mut fewer = search.options.limits.clone();
        if !fewer.without.has(*fault) {
            fewer.without.insert(*fault);
            search.try_limits(fewer);
        }
    }
    search.fewer_operations();
    Some(Shrunk {
        limits: search.options.limits,
        outcome: search.best,
    })
}

struct Search {
    options: Options,
    best: Outcome,
    reruns: u32,
}

impl Search {
    /// Keeps `limits` if the run still fails under them.
    fn try_limits(&mut self, limits: Limits) -> bool {
        if self.reruns == 0 {
            return false;
        }
        self.reruns -= 1;
        let options = Options {
            limits,
            ..self.options.clone()
        };
        let outcome = run_seed(&options);
        let fails = outcome.failure.is_some();
        if fails {
            self.options = options;
            self.best = outcome;
        }
        fails
    }

    fn fewer_operations(&mut self) {
        let mut fails = self.options.limits.operations.unwrap_or(360);
        let mut passes = 0;
        while passes + 1 < fails && self.reruns > 0 {
            let middle = passes.midpoint(fails);
            let fewer = Limits {
                operations: Some(middle),
                ..self.options.limits.clone()
            };
            if self.try_limits(fewer) {
                fails = middle;
            } else {
                passes = middle;
            }
        }
    }
}
