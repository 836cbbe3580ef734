//! I5 and I6: a context holds only what was minted and logged, and only grows within an incarnation.

use evenkeel_core::partition::Partition;
use evenkeel_core::time::Now;

use super::{Checker, Seen, Step, Verdict, unminted, violated};
use crate::coverage::{Coverage, Mark};
use crate::node::Node;
use crate::oracle::EventNo;
use crate::universe::CellSet;

impl Checker {
    /// Notes how the context of a replica has grown; the cells of the new events, `None` when it has not.
    pub(super) fn advance(
        &mut self,
        step: Step<'_>,
        partition: &Partition,
    ) -> Verdict<Option<CellSet>> {
        let context = partition.replica().context();
        let seen = &mut self.seen[step.at];
        if *context == seen.context {
            return Ok(None);
        }
        if !seen.context.is_subset(context) {
            let gone = seen.context.difference(context);
            return violated("I6 context shrank", format!("{gone} is gone"));
        }
        let new = context.difference(&seen.context);
        let mut touched = CellSet::default();
        let mut unlogged = None;
        let mut arrived = Vec::new();
        let listed = self.history.each_of(&new, |event| {
            touched.join(&self.history.event(event).deed.cells());
            seen.events.insert(event);
            self.applied[event as usize] |= 1 << step.at;
            arrived.push(event);
            if !step.logged.contains(&event) {
                unlogged = Some(event);
            }
        });
        if let Err(dot) = listed {
            return unminted(dot);
        }
        if let Some(event) = unlogged {
            let event = self.history.event(event);
            let what = format!(
                "{:04x}:{} was applied and not logged",
                event.actor >> 48,
                event.n
            );
            return violated("I5 applied without a log record", what);
        }
        seen.context = context.clone();
        for event in arrived {
            self.note_arrival(step.at, event, step.now.instant.0);
        }
        Ok(Some(touched))
    }

    /// A log record names batches that are whole with what was applied before: then no reader sees a part of one, and no
    /// crash leaves one. Only a repair may bring a part.
    pub(crate) fn check_batches(
        &self,
        at: usize,
        (recorded, repair): (&[EventNo], bool),
        coverage: &mut Coverage,
    ) -> Verdict {
        let seen = &self.seen[at].events;
        for event in recorded {
            let mut others = self.history.batch_of(*event);
            let there = |other: &EventNo| seen.contains(*other) || recorded.contains(other);
            let missing = others.find(|other| !there(other));
            if let Some(missing) = missing {
                if repair {
                    coverage.mark(Mark::BatchInPart);
                    return Ok(());
                }
                let (event, missing) = (self.history.event(*event), self.history.event(missing));
                let what = format!(
                    "{:04x}:{} came without {} of its batch",
                    event.actor >> 48,
                    event.n,
                    missing.n
                );
                return violated("a batch arrives whole", what);
            }
        }
        if recorded.len() > 1 && !repair {
            coverage.mark(Mark::BatchOfMany);
        }
        Ok(())
    }

    /// A replica was started from its log: it must hold exactly what the records name.
    pub(crate) fn restarted(&mut self, at: usize, nodes: &[Node], now: Now) -> Verdict {
        let node = &nodes[at];
        let Some(partition) = &node.partition else {
            return Ok(());
        };
        let logged = node.disk.events();
        let context = partition.replica().context();
        let events = match self.history.set_of(context) {
            Ok(events) => events,
            Err(dot) => return unminted(dot),
        };
        if events != logged {
            let what = format!("the log names other events than {context}");
            return violated("I5 replay", what);
        }
        if !node.disk.promised().is_subset(&events) {
            let what = format!("what was synced on the disk of {} is gone", node.id);
            return violated("(6) durable event lost", what);
        }
        for event in events.iter() {
            self.applied[event as usize] |= 1 << at;
            self.durable[event as usize] |= 1 << at;
        }
        self.seen[at] = Seen {
            context: context.clone(),
            digest: partition.replica().digest(),
            events,
        };
        self.apart_restarted(at, nodes, now.instant.0);
        self.check_all_cells(at, partition)
    }
}
