//! I3 and I4 at the source: an event is new, and names all that its writer saw.

use evenkeel_core::event::Batch;
use evenkeel_core::partition::Write;

use super::{Checker, Verdict, violated};
use crate::oracle::{Deed, EventNo, EventSet, Reset};

impl Checker {
    /// Learns a batch that a node minted for a client.
    pub(crate) fn minted(
        &mut self,
        at: usize,
        batch: &Batch,
        writes: &[Write],
    ) -> Verdict<Vec<EventNo>> {
        let minted = match self.history.learn(batch, writes) {
            Ok(minted) => minted,
            Err(what) => return violated("I3 dot minted wrongly", what),
        };
        self.applied.resize(self.history.len(), 0);
        self.durable.resize(self.history.len(), 0);
        let mut before = self.seen[at].events.clone();
        for &event in &minted {
            self.check_minted(event, &before)?;
            before.insert(event);
        }
        Ok(minted)
    }

    /// Whether an event names what its writer, where exactly `before` was applied, saw of its target.
    fn check_minted(&mut self, event: EventNo, before: &EventSet) -> Verdict {
        let history = &self.history;
        let deed = &history.event(event).deed;
        let (cell, rem, resets, stamp) = match deed {
            Deed::Put {
                cell,
                rem,
                resets,
                stamp,
                ..
            } => (*cell, rem, resets, Some(*stamp)),
            Deed::Rem { cell, rem, resets } => (*cell, rem, resets, None),
            Deed::Inc { .. } => return Ok(()),
            Deed::Range { seen, .. } if seen == before => return Ok(()),
            Deed::Range { .. } => {
                return violated("I4 range delete", "its context is not its issuer's");
            }
        };
        let view = self.evaluator.view(history, cell, before);
        let mut named = rem.clone();
        named.sort_unstable_by_key(|no| (history.event(*no).actor, history.event(*no).n));
        if named != view.versions {
            return violated(
                "I4 observed dots",
                format!("{deed:?} names not what was live"),
            );
        }
        let mut marks = resets.clone();
        marks.sort_unstable();
        let live = view.chains.iter().map(|chain| Reset {
            actor: chain.actor,
            birth: chain.birth,
            upto: history.event(chain.top).n,
        });
        if !live.eq(marks) {
            return violated(
                "I4 observed chains",
                format!("{deed:?} resets not what was live"),
            );
        }
        let newest = view
            .versions
            .iter()
            .filter_map(|no| match &history.event(*no).deed {
                Deed::Put { stamp, .. } => Some(*stamp),
                _ => None,
            });
        if stamp.is_some_and(|stamp| newest.max().is_some_and(|newest| newest >= stamp)) {
            return violated(
                "4.5 stamp",
                format!("{deed:?} is not stamped above what it overwrites"),
            );
        }
        Ok(())
    }
}
