//! G1, G6; I7, I8, I14 to I17: every request is answered once and in time, and what is answered is true.

use evenkeel_core::causality::Context;
use evenkeel_core::partition::{Acks, Partition, Reply};

use super::{Checker, Verdict, unminted, violated};
use crate::coverage::{Coverage, Mark};
use crate::oracle::{EventNo, EventSet};
use crate::universe::{CellNo, is_value_of};

/// How far behind a deadline an answer may come: one tick of the world.
const TICK_US: u64 = 1_000;

/// What a client waits for.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Write {
        acks: Acks,
        minted: Vec<EventNo>,
    },
    Read {
        cell: CellNo,
        replicas: usize,
        after: EventSet,
        /// All that its session had seen or written, whether it asked for it or not.
        seen: EventSet,
    },
    Await {
        events: Vec<EventNo>,
        acks: Acks,
    },
}

/// A request without an answer yet.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) session: usize,
    pub(crate) deadline: u64,
    pub(crate) ask: Ask,
}

/// What a session has learned from an answer.
pub(crate) type Learned = Option<(usize, Context)>;

impl Checker {
    /// A product context as a set, for a request.
    pub(crate) fn set_of(&self, context: &Context) -> Verdict<EventSet> {
        self.history.set_of(context).or_else(unminted)
    }

    /// Judges an answer; gives what the session may take into its token.
    pub(crate) fn answered(
        &mut self,
        (at, ticket): (usize, u64),
        now: u64,
        reply: &Reply,
        coverage: &mut Coverage,
    ) -> Verdict<Learned> {
        let Some(open) = self.requests[at].remove(&ticket) else {
            return violated(
                "I15 answered once",
                format!("ticket {ticket} is not open: {reply:?}"),
            );
        };
        let late = open.deadline <= now;
        let learned = |dots: &Context| Ok(Some((open.session, dots.clone())));
        match (&open.ask, reply) {
            (Ask::Write { acks, minted }, Reply::Written { dots }) => {
                self.check_dots(minted, dots)?;
                self.check_held((at, minted), *acks, acks.members)?;
                if acks.durable && acks.members > 1 {
                    coverage.mark(Mark::DurableAcks);
                }
                learned(dots)
            }
            (Ask::Write { acks, minted }, Reply::Unmet { dots, reached }) if late => {
                coverage.mark(Mark::Unmet);
                self.check_dots(minted, dots)?;
                self.check_held((at, minted), *acks, *reached)?;
                if *reached >= acks.members {
                    return violated("I15 unmet", format!("{reached} members are enough"));
                }
                learned(dots)
            }
            (Ask::Read { .. }, Reply::Value { cell, context }) => {
                self.check_read(&open.ask, cell, context, coverage)?;
                learned(context)
            }
            (
                Ask::Read {
                    replicas, after, ..
                },
                Reply::Behind { missing, reached },
            ) if late => {
                coverage.mark(Mark::Behind);
                let missing = self.set_of(missing)?;
                if !missing.is_subset(after)
                    || (missing == EventSet::default() && reached >= replicas)
                {
                    return violated("I15 behind", format!("nothing was missing: {reply:?}"));
                }
                Ok(None)
            }
            (Ask::Await { events, acks }, Reply::Reached { members }) => {
                if *members < acks.members {
                    coverage.mark(Mark::AwaitUnmet);
                    if !late {
                        return violated("I15 await", "answered unmet before its deadline");
                    }
                }
                self.check_held((at, events), *acks, *members)?;
                Ok(None)
            }
            _ => violated(
                "I15 answer",
                format!("{reply:?} to {:?} at {now}", open.ask),
            ),
        }
    }

    fn check_dots(&self, minted: &[EventNo], dots: &Context) -> Verdict {
        let claimed = self.events_of(dots)?;
        if claimed != minted {
            return violated(
                "I15 answer",
                format!("the write minted other dots than {dots}"),
            );
        }
        Ok(())
    }

    /// I17 and I2: as many active members as claimed have, or had, every one of the events; or the node alone has.
    fn check_held(&self, (at, events): (usize, &[EventNo]), acks: Acks, members: usize) -> Verdict {
        let held = if acks.durable {
            &self.durable
        } else {
            &self.applied
        };
        let common = events
            .iter()
            .fold(u8::MAX, |nodes, event| nodes & held[*event as usize]);
        let active = common & self.active[at];
        if events.is_empty() {
            return Ok(());
        }
        let alone = members == 1 && common & (1 << at) != 0;
        if (active.count_ones() as usize) < members && !alone {
            let what =
                format!("{members} members were claimed, {common:b} (one bit a node) held it");
            return violated("I17 acknowledged without being held", what);
        }
        Ok(())
    }

    fn check_read(
        &mut self,
        ask: &Ask,
        cell: &evenkeel_core::types::Cell,
        context: &Context,
        coverage: &mut Coverage,
    ) -> Verdict {
        let Ask::Read {
            cell: number,
            replicas,
            after,
            seen,
        } = ask
        else {
            return Ok(());
        };
        for version in cell.versions() {
            if !self.history.universe.grows() && !is_value_of(*number, &version.value) {
                return violated("I7 value never written", format!("{version:?}"));
            }
        }
        let events = self.set_of(context)?;
        if !after.is_subset(&events) {
            return violated("I8 token not reached", format!("answered with {context}"));
        }
        if *replicas > 1 {
            coverage.mark(Mark::JoinedReads);
        }
        if *after != EventSet::default() {
            coverage.mark(Mark::TokenReads);
        } else if !seen.is_subset(&events) {
            coverage.mark(Mark::WentBack);
        }
        self.check_view(*number, &events, cell, "(2) read == F(its context)")
    }

    /// I14 to I16, after a step of a node.
    pub(crate) fn check_waiting(
        &self,
        at: usize,
        now: u64,
        resumed_at: u64,
        partition: &Partition,
    ) -> Verdict {
        let waiting = &self.requests[at];
        if partition.pending() != waiting.len() {
            let what = format!(
                "{} requests wait, the product knows {}",
                waiting.len(),
                partition.pending()
            );
            return violated("I14 pending requests", what);
        }
        let allowed = now.saturating_sub(TICK_US);
        let late = waiting
            .iter()
            .find(|(_, open)| open.deadline < allowed && resumed_at < allowed);
        if let Some((ticket, open)) = late {
            let what = format!(
                "ticket {ticket} waits since its deadline at {}: {:?}",
                open.deadline, open.ask
            );
            return violated("I15 answered in time", what);
        }
        Ok(())
    }

    /// I16: a write that needs no other member must have been answered by now.
    pub(crate) fn check_available(&self, at: usize, ticket: u64) -> Verdict {
        match self.requests[at].get(&ticket).map(|open| &open.ask) {
            Some(Ask::Write { acks, .. }) if *acks == Acks::ONE => {
                violated("I16 available", "a write with one acknowledgement waits")
            }
            Some(Ask::Read {
                replicas: 0 | 1,
                after,
                ..
            }) if *after == EventSet::default() => violated("I16 available", "a local read waits"),
            _ => Ok(()),
        }
    }
}
