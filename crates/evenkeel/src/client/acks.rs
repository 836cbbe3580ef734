//! Write levels: a reply leaves when as many members as asked for hold what it acknowledges, or says that they do not.
//!
//! All writes of a turn are waited for side by side, so a pipeline waits once. Invariant: an error of this kind takes
//! nothing back: the write is kept and spreads.

use std::ops::Range;
use std::time::Instant;

use evenkeel_resp::{Protocol, Reply, ReplyWriter};
use evenkeel_store::log::SyncPolicy;

use super::session::Session;
use super::trail::{Owed, Writer};
use super::wait::{Wanted, holders_of};
use crate::metrics::bump;
use crate::node::join_all;

/// Replies among those of a turn that are not acknowledged yet: where they stand, and what must be held.
#[derive(Debug, Default)]
pub(super) struct Owing(Vec<(Range<usize>, Vec<Owed>)>);

impl Owing {
    /// A reply was put there; `owed` is what was written for it.
    pub(super) fn note(&mut self, place: Range<usize>, reply: &Reply, owed: Vec<Owed>) {
        // An error says more than that a part of it is not acknowledged.
        if !owed.is_empty() && !matches!(reply, Reply::Error(_)) {
            self.0.push((place, owed));
        }
    }

    /// The replies leave, or others take their place.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Waits for what the replies in `out` acknowledge, and replaces those that cannot be.
pub(super) async fn settle(session: &mut Session, out: &mut Vec<u8>) {
    let owing = std::mem::take(&mut session.owing.0);
    if owing.is_empty() {
        return;
    }
    let all: Vec<Owed> = owing.iter().flat_map(|(_, owed)| owed).copied().collect();
    let held = holders(session, &all).await;
    // From the last one on: the places of those before stay.
    for (place, owed) in owing.into_iter().rev() {
        if let Some(refusal) = held.refusal(session, &owed) {
            if let Reply::Error(text) = &refusal {
                bump(&session.node.metrics.errors);
                session.node.front.stats.error(text.as_bytes());
            }
            let mut error = Vec::new();
            ReplyWriter::new(&mut error, Protocol::Resp2).reply(&refusal);
            out.splice(place, error);
        }
    }
}

/// The same for one reply without a connection.
pub(super) async fn settled(session: &Session, reply: Reply) -> Reply {
    let owed = session.caller.trail.borrow_mut().take_owed();
    if owed.is_empty() || matches!(reply, Reply::Error(_)) {
        return reply;
    }
    let held = holders(session, &owed).await;
    held.refusal(session, &owed).unwrap_or(reply)
}

/// How many members hold each of some writes.
struct Held(Vec<(Owed, usize)>);

impl Held {
    fn refusal(&self, session: &Session, owed: &[Owed]) -> Option<Reply> {
        let covers = |held: &Owed, owed: &Owed| {
            held.partition == owed.partition
                && match (held.by, owed.by) {
                    (Writer::Here(newest), Writer::Here(older)) => {
                        newest.actor == older.actor && newest.n >= older.n
                    }
                    (held, owed) => held == owed,
                }
        };
        let of = |owed: &Owed| {
            let held = self.0.iter().filter(|(held, _)| covers(held, owed));
            held.map(|(_, members)| *members).max().unwrap_or(0)
        };
        let short = owed
            .iter()
            .map(|owed| (of(owed), members_wanted(session, owed)))
            .find(|(reached, wanted)| reached < wanted);
        short.map(|(reached, wanted)| {
            bump(&session.node.metrics.unmet_writes);
            Reply::error(format!(
                "UNMET {reached} of {wanted} members are known to hold the write after {} ms ; it is kept and will spread, do not repeat it unless it may be done twice",
                session.caller.consistency.timeout.as_millis()
            ))
        })
    }
}

/// How many members must hold a write.
fn members_wanted(session: &Session, owed: &Owed) -> usize {
    let level = session.caller.consistency.write;
    session.node.topology().written_by(level, owed.partition)
}

fn wanted(session: &Session, owed: &Owed) -> Wanted {
    let consistency = &session.caller.consistency;
    Wanted {
        members: members_wanted(session, owed),
        durable: session.node.config.sync == SyncPolicy::Always,
        until: Instant::now() + consistency.timeout,
    }
}

async fn holders(session: &Session, owed: &[Owed]) -> Held {
    // What was written up to a dot covers all that came before.
    let mut newest: Vec<Owed> = Vec::new();
    for owed in owed {
        let same = newest.iter_mut().find(|known| {
            known.partition == owed.partition
                && (known.by == owed.by
                    || matches!((known.by, owed.by), (Writer::Here(a), Writer::Here(b)) if a.actor == b.actor))
        });
        match same {
            Some(known) => known.by = known.by.max(owed.by),
            None => newest.push(*owed),
        }
    }
    let waits = newest
        .iter()
        .map(|owed| holders_of(&session.node, *owed, wanted(session, owed)));
    let members = join_all(waits.collect()).await;
    Held(newest.into_iter().zip(members).collect())
}
