//! I3 and I4 at the source: an event is new, and names all that its writer saw.

use evenkeel_core::event::Batch;
use evenkeel_core::partition::Write;
use evenkeel_core::types::Kind;

use super::{Checker, Verdict, violated};
use crate::oracle::{Deed, EventNo, EventSet, History, Reset, saw};

impl Checker {
    /// Learns a batch that a node minted, for the writes of a client or else for a command.
    pub(crate) fn minted(
        &mut self,
        at: usize,
        batch: &Batch,
        writes: Option<&[Write]>,
    ) -> Verdict<Vec<EventNo>> {
        let learned = match writes {
            Some(writes) => self.history.learn(batch, writes),
            None => self.history.learn_command(batch),
        };
        let minted = match learned {
            Ok(minted) => minted,
            Err(what) => return violated("I3 dot minted wrongly", what),
        };
        self.applied.resize(self.history.len(), 0);
        self.durable.resize(self.history.len(), 0);
        let mut before = self.seen[at].events.clone();
        for event in &self.unseen {
            before.insert(*event);
        }
        for &event in &minted {
            self.check_minted(event, &before)?;
            before.insert(event);
        }
        self.unseen.extend_from_slice(&minted);
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
            Deed::Range { seen, masked, .. } => {
                return check_range(history, (seen, masked), before);
            }
        };
        let view = self.evaluator.view(history, cell, before);
        let mut named = rem.clone();
        named.sort_unstable_by_key(|no| (history.event(*no).actor, history.event(*no).n));
        // A removal in a command may be of what has expired alone: nobody may see a difference then.
        let part = matches!(deed, Deed::Rem { .. }) && history.universe.grows();
        let live = |event: &EventNo| view.versions.contains(event);
        if named != view.versions && !(part && named.iter().all(live)) {
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
        let live: Vec<Reset> = live.collect();
        if live != marks && !(part && marks.iter().all(|mark| live.contains(mark))) {
            return violated(
                "I4 observed chains",
                format!("{deed:?} resets not what was live"),
            );
        }
        if let Some(other) = reused(history, event) {
            let what = format!("{deed:?} has the position of {other:?}");
            return violated("list position used twice", what);
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

/// The element of another event at the position of an element that is new: there must be none.
fn reused(history: &History, event: EventNo) -> Option<&Deed> {
    let Deed::Put { cell, rem, .. } = &history.event(event).deed else {
        return None;
    };
    if history.universe.id(*cell).name.kind != Kind::List || !rem.is_empty() {
        return None;
    }
    let others = history.cell(*cell).events.iter();
    let mut others = others.filter(|other| **other < event);
    let put = others.find(|other| matches!(history.event(**other).deed, Deed::Put { .. }));
    put.map(|other| &history.event(*other).deed)
}

/// A range delete's context must be its issuer's, and what it masks must have been dead there: seen by an earlier
/// range delete over the same cell.
fn check_range(
    history: &History,
    (seen, masked): (&EventSet, &EventSet),
    before: &EventSet,
) -> Verdict {
    if seen != before {
        return violated("I4 range delete", "its context is not its issuer's");
    }
    let dead = |event: EventNo| {
        let cells = history.event(event).deed.cells();
        let covers = |range: &EventNo| history.event(*range).deed.meets(&cells);
        before
            .iter()
            .filter(covers)
            .any(|range| saw(history, range, event))
    };
    match masked.iter().find(|event| !dead(*event)) {
        Some(event) => {
            let masked = history.event(event);
            violated(
                "I4 range delete",
                format!("it masks {masked:?}, which no range delete had seen"),
            )
        }
        None => Ok(()),
    }
}
