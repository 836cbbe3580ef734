//! G3; I12: no change of members loses an event that was durable anywhere, and who becomes a member holds what the
//! members held.

use super::{Checker, Verdict, violated};
use crate::node::{List, Node};
use crate::oracle::EventSet;

/// The bit of a guest's actor.
const GUEST: u64 = 1 << 63;

/// What the members held durably when another began to join.
#[derive(Clone, Debug)]
pub(super) struct Held {
    joiner: usize,
    since: u64,
    by: Vec<(usize, EventSet)>,
}

impl Checker {
    /// A list was agreed: remembers what members hold for those who join.
    pub(crate) fn agreed(&mut self, list: &List, nodes: &[Node]) {
        for member in &list.members {
            let joiner = member.node.0 as usize;
            if member.since == list.epoch {
                let by = list
                    .active()
                    .map(|at| (at, nodes[at].disk.promised().clone()));
                self.held.push(Held {
                    joiner,
                    since: member.since,
                    by: by.collect(),
                });
            }
        }
    }

    /// A node goes by this list from now on.
    pub(crate) fn knows_list(&mut self, at: usize, list: &List) {
        self.active[at] = list.active().fold(0, |active, node| active | 1 << node);
    }

    /// A node says that it has joined: it must hold durably what each active member held durably when the list was
    /// agreed, and holds still.
    pub(crate) fn check_joined(&self, at: usize, nodes: &[Node]) -> Verdict {
        let list = &nodes[at].list;
        let mine = list
            .members
            .iter()
            .find(|member| member.node == nodes[at].id);
        let since = mine.map(|member| member.since);
        let held = self.held.iter();
        let mut held = held.filter(|held| held.joiner == at && Some(held.since) == since);
        let Some(held) = held.next() else {
            return Ok(());
        };
        let has = nodes[at].disk.promised();
        for (other, events) in &held.by {
            let there = &nodes[*other];
            if there.lost || there.forgot || !list.active().any(|active| active == *other) {
                continue;
            }
            let still = there.disk.promised();
            let mut missing = events
                .iter()
                .filter(|event| still.contains(*event) && !has.contains(*event));
            if let Some(event) = missing.next() {
                let event = self.history.event(event);
                let what = format!(
                    "{} has joined without {:04x}:{} of {}",
                    nodes[at].id,
                    event.actor >> 48,
                    event.n,
                    there.id
                );
                return violated("I12 joined", what);
            }
        }
        Ok(())
    }

    /// A replica is about to be dropped: every member that stays must hold all of it on its disk, and nothing may be
    /// lost with it. Excused is only what a fault has taken from a disk. Tells whether a guest's events are among it.
    pub(crate) fn check_drop(&self, at: usize, newest: &List, nodes: &[Node]) -> Verdict<bool> {
        use evenkeel_core::membership::MemberState;
        let stays = nodes[at].list.members.iter();
        let stays = stays.filter(|member| member.state != MemberState::Leaving);
        let heirs: Vec<&Node> = stays
            .map(|member| &nodes[member.node.0 as usize])
            .filter(|heir| !heir.lost && !heir.forgot)
            // Who is no member any more, as this node does not know yet, may have dropped it before.
            .filter(|heir| newest.role(heir.id.0 as usize).is_member())
            .collect();
        let mut guest = false;
        for event in self.seen[at].events.iter() {
            let told = self.history.event(event);
            let about = |what: &str| {
                let id = nodes[at].id;
                format!("{id} drops {:04x}:{}, {what}", told.actor >> 48, told.n)
            };
            guest |= told.actor & GUEST != 0;
            let lacks = heirs
                .iter()
                .find(|heir| !heir.disk.promised().contains(event));
            if let Some(heir) = lacks {
                let what = about(&format!("which {} does not hold", heir.id));
                return violated("I12 dropped before it was covered", what);
            }
            let others = || nodes.iter().enumerate().filter(|(other, _)| *other != at);
            let survives =
                others().any(|(_, node)| !node.lost && node.disk.promised().contains(event));
            let held = self.durable[event as usize];
            let excused = others()
                .any(|(other, node)| held & (1 << other) != 0 && (node.lost || node.forgot));
            if !survives && !excused {
                return violated("I12 dropped the last copy", about("which nobody holds"));
            }
        }
        Ok(guest)
    }

    /// A replica was dropped.
    pub(crate) fn dropped(&mut self, at: usize) {
        self.seen[at] = super::Seen::default();
        self.apart_dropped(at);
    }
}
