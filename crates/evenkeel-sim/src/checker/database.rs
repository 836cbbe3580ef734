//! G4, G5, G6 as clients see them: what commands do and answer, judged by the history and the naive model.

use evenkeel_core::types::Kind;

use super::{Checker, Verdict, violated};
use crate::commands::{Bytes, Database, Shown};
use crate::coverage::{Coverage, Mark};
use crate::oracle::{Deed, EventNo, shown};

impl Checker {
    /// What clients of a node must see of `keys` at a time of its wall clock.
    pub(crate) fn database(&mut self, at: usize, keys: &[Bytes], wall_ms: u64) -> Database {
        let mut database = Database::new();
        for key in keys {
            let place = (&key[..], &self.seen[at].events);
            if let Some(found) = shown(&mut self.evaluator, &self.history, place, wall_ms) {
                database.insert(key.clone(), found);
            }
        }
        database
    }

    /// Whether a node shows what it must after a command, or must still show after a removal of expired keys.
    pub(crate) fn check_database(
        &mut self,
        (at, keys, wall_ms): (usize, &[Bytes], u64),
        want: &Database,
        check: &'static str,
    ) -> Verdict<Database> {
        let have = self.database(at, keys, wall_ms);
        for key in keys {
            let (want, have) = (want.get(key), have.get(key));
            if !same(want, have) {
                let key = key.escape_ascii();
                let what = format!("{key} shows {have:?} instead of {want:?}");
                return violated(check, what);
            }
        }
        Ok(have)
    }

    /// No element outlives every deadline that its writer knew: each write carries the key's.
    pub(crate) fn check_carried(&self, minted: &[EventNo], after: &Database) -> Verdict {
        for event in minted {
            let deed = &self.history.event(*event).deed;
            let (Deed::Put { cell, deadline, .. } | Deed::Inc { cell, deadline, .. }) = deed else {
                continue;
            };
            let id = self.history.universe.id(*cell);
            if id.name.kind == Kind::Deadline {
                continue;
            }
            let key = after.get(&*id.key);
            if key.is_some_and(|shown| shown.deadline != *deadline) {
                let what = format!("{deed:?} does not carry the deadline of {key:?}");
                return violated("deadline carried", what);
            }
        }
        Ok(())
    }

    /// Counts the rare things that a database shows.
    pub(crate) fn notice(database: &Database, coverage: &mut Coverage) {
        for shown in database.values() {
            if shown.clamped {
                coverage.mark(Mark::Clamped);
            }
            if shown.carried {
                coverage.mark(Mark::CarriedDeadline);
            }
        }
    }
}

fn same(want: Option<&Shown>, have: Option<&Shown>) -> bool {
    match (want, have) {
        (None, None) => true,
        (Some(want), Some(have)) => want.value == have.value && want.deadline == have.deadline,
        _ => false,
    }
}
