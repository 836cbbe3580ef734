//! The conditional commands that this node has run: counted, and remembered for as long as a conflict may name them.

use std::collections::VecDeque;

use evenkeel_core::causality::{Context, Dot, DotRun};
use evenkeel_core::id::PartitionId;
use parking_lot::Mutex;

use super::Node;
use crate::metrics::bump;

/// Decisions remembered. The oldest go first: a conflict with one of them is then not counted as one.
const REMEMBERED_MAX: usize = 16 << 10;

/// What the newest conditional commands wrote.
#[derive(Debug, Default)]
pub(crate) struct Decisions(Mutex<VecDeque<(PartitionId, DotRun)>>);

impl Decisions {
    fn add(&self, partition: PartitionId, dots: &Context) {
        let mut newest = self.0.lock();
        for run in dots.runs() {
            if newest.len() == REMEMBERED_MAX {
                newest.pop_front();
            }
            newest.push_back((partition, run));
        }
    }

    /// Whether a conditional command run here wrote that.
    fn has(&self, partition: PartitionId, dot: Dot) -> bool {
        self.0.lock().iter().rev().any(|(at, run)| {
            *at == partition && run.actor == dot.actor && (run.first..=run.last).contains(&dot.n)
        })
    }
}

impl Node {
    /// A conditional command has run here; `dots` is what it wrote. Counts whether it ran where all would run were
    /// every member there.
    pub(crate) fn decided(&self, partition: PartitionId, dots: &Context) {
        bump(&self.metrics.conditional);
        if self.topology().replicas(partition).first() != Some(&self.me) {
            bump(&self.metrics.conditional_away);
        }
        if !dots.is_empty() && self.topology().size() > 1 {
            self.decisions.add(partition, dots);
        }
    }

    /// Writes that had not seen each other have met here: counts it when one of them was decided here.
    pub(super) fn count_conflicting(&self, partition: PartitionId, dots: [Dot; 2]) {
        if dots.iter().any(|dot| self.decisions.has(partition, *dot)) {
            bump(&self.metrics.conditional_conflicts);
        }
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::id::ActorId;

    use super::*;

    fn dots(first: u64, last: u64) -> Context {
        let mut dots = Context::default();
        dots.insert_run(DotRun {
            actor: ActorId(7),
            first,
            last,
        });
        dots
    }

    #[test]
    fn a_decision_is_known_by_any_of_its_events_and_only_on_its_partition() {
        let decisions = Decisions::default();
        decisions.add(PartitionId(3), &dots(5, 6));
        for (partition, actor, n, known) in [
            (3, 7, 5, true),
            (3, 7, 6, true),
            (3, 7, 4, false),
            (3, 7, 7, false),
            (3, 8, 5, false),
            (2, 7, 5, false),
        ] {
            let dot = Dot::new(ActorId(actor), n);
            assert_eq!(decisions.has(PartitionId(partition), dot), known);
        }
    }

    #[test]
    fn over_the_limit_the_oldest_decision_is_forgotten() {
        let decisions = Decisions::default();
        for n in 0..=REMEMBERED_MAX as u64 {
            decisions.add(PartitionId(0), &dots(2 * n + 1, 2 * n + 1));
        }
        assert!(!decisions.has(PartitionId(0), Dot::new(ActorId(7), 1)));
        assert!(decisions.has(PartitionId(0), Dot::new(ActorId(7), 3)));
    }
}
