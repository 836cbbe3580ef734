//! The members change: those who agree on the list, how nodes hear of it, and what each does about its part.
//!
//! The list is agreed: there is one sequence of epochs. Nodes hear of it from each other, each at its own time, and not
//! at all over links that are cut. What they say of their part gets lost and comes late and twice.

use evenkeel_core::id::NodeId;
use evenkeel_core::membership::{Member, MemberState, Role};
use evenkeel_core::partition::Input;

use super::{Due, World};
use crate::checker::Verdict;
use crate::coverage::Mark;
use crate::disk::Record;
use crate::faults::Fault;
use crate::node::List;
use crate::rng::{Rng, Stream};
use crate::swarm::{MS, SECOND};

/// Members that join or leave at a time.
const IN_FLIGHT_MAX: usize = 3;

/// What a node says of its part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    at: usize,
    state: MemberState,
    since: u64,
}

/// The list as it was agreed.
#[derive(Debug)]
pub(super) struct Members {
    /// The newest list.
    pub(super) list: List,
    rng: Rng,
    /// Which nodes will look for a newer list.
    hearing: Vec<bool>,
}

impl Members {
    pub(super) fn new(list: List, seed: u64) -> Self {
        Self {
            list,
            rng: Rng::new(seed, Stream::Changes),
            hearing: Vec::new(),
        }
    }
}

impl World {
    fn changes_members(&self) -> bool {
        self.plan.faults.has(Fault::Members)
    }

    /// The first change, and the first look of each node at its part.
    pub(super) fn plan_members(&mut self) {
        self.members.hearing = vec![false; self.nodes.len()];
        if !self.changes_members() {
            return;
        }
        self.checker.members_change = true;
        self.plan_change();
        for at in 0..self.nodes.len() {
            self.schedule(SECOND, Due::Part { at });
        }
    }

    fn plan_change(&mut self) {
        let gap = self.plan.gaps_us[Fault::Members as usize];
        let next = self.now + 1 + self.members.rng.around(gap);
        self.schedule(next, Due::Strike(Fault::Members));
    }

    /// The members change, now and again later.
    pub(super) fn change_members(&mut self) -> Verdict {
        self.plan_change();
        let changes = 1 + self.members.rng.index(2);
        let one_epoch = self.members.rng.chance(500);
        let mut members = self.members.list.members.clone();
        let mut made = 0;
        for _ in 0..changes {
            if !self.change(&mut members) {
                continue;
            }
            made += 1;
            if !one_epoch {
                self.publish(members.clone())?;
            }
        }
        if made > 1 {
            self.coverage.mark(Mark::SeveralChanges);
        }
        if made > 0 && one_epoch {
            self.publish(members)?;
        }
        Ok(())
    }

    /// Makes one change, if what is drawn can be done.
    fn change(&mut self, members: &mut Vec<Member>) -> bool {
        let lost = |at: usize| self.nodes[at].lost;
        let place = |member: &Member| member.node.0 as usize;
        let gone: Vec<usize> = (0..members.len())
            .filter(|index| lost(place(&members[*index])))
            .collect();
        let living: Vec<usize> = (0..members.len())
            .filter(|index| !lost(place(&members[*index])))
            .collect();
        let of = |state: MemberState| -> Vec<usize> {
            let mut found = living.clone();
            found.retain(|index| members[*index].state == state);
            found
        };
        let (joining, active) = (of(MemberState::Joining), of(MemberState::Active));
        let leaving = of(MemberState::Leaving);
        let others: Vec<usize> = (0..self.nodes.len())
            .filter(|at| !lost(*at) && members.iter().all(|member| place(member) != *at))
            .collect();
        let calm = joining.len() + leaving.len() < IN_FLIGHT_MAX;
        let rng = &mut self.members.rng;
        let draw = if gone.is_empty() {
            rng.below(94)
        } else {
            rng.below(130)
        };
        let (choices, mark) = match draw {
            0..=39 if calm && !others.is_empty() => {
                let node = NodeId(u32::try_from(rng.pick(&others)).unwrap_or(0));
                members.push(Member {
                    node,
                    state: MemberState::Joining,
                    since: 0,
                });
                return true;
            }
            40..=64 if calm && active.len() > 1 => {
                members[rng.pick(&active)].state = MemberState::Leaving;
                return true;
            }
            65..=76 if active.len() > 1 => (active, Mark::Removed),
            77..=86 => (joining, Mark::Abandoned),
            87..=93 if !leaving.is_empty() => {
                members[rng.pick(&leaving)].state = MemberState::Active;
                self.coverage.mark(Mark::Stayed);
                return true;
            }
            94.. => (gone, Mark::Replaced),
            _ => return false,
        };
        if choices.is_empty() {
            return false;
        }
        members.remove(rng.pick(&choices));
        self.coverage.mark(mark);
        true
    }

    /// Whether a node is the last active member that is not lost.
    pub(super) fn is_last(&self, at: usize) -> bool {
        let mut active = self.members.list.active();
        self.changes_members() && !active.any(|other| other != at && !self.nodes[other].lost)
    }

    /// A new list is agreed: one node knows it at once, the others hear of it some time.
    fn publish(&mut self, mut members: Vec<Member>) -> Verdict {
        let running: Vec<usize> = (0..self.nodes.len())
            .filter(|at| self.nodes[*at].partition.is_some() && !self.nodes[*at].paused)
            .collect();
        if running.is_empty() {
            return Ok(());
        }
        let epoch = self.members.list.epoch + 1;
        for member in &mut members {
            let mut known = self.members.list.members.iter();
            let same = |known: &&Member| known.node == member.node && known.state == member.state;
            member.since = known.find(same).map_or(epoch, |known| known.since);
        }
        self.coverage.fault(Fault::Members);
        self.members.list = List { epoch, members };
        self.checker.agreed(&self.members.list, &self.nodes);
        let first = self.members.rng.pick(&running);
        for at in 0..self.nodes.len() {
            let longest = if self.members.rng.chance(150) { 30 } else { 5 };
            let after = self.members.rng.spread(MS, longest * SECOND);
            self.hear_later(at, after);
        }
        self.take_list(first)
    }

    fn hear_later(&mut self, at: usize, after: u64) {
        if !std::mem::replace(&mut self.members.hearing[at], true) {
            self.schedule(self.now + after, Due::List { at });
        }
    }

    /// A node looks for a newer list at the nodes that it reaches.
    pub(super) fn hear_of_list(&mut self, at: usize) -> Verdict {
        self.members.hearing[at] = false;
        let node = &self.nodes[at];
        if node.lost || node.list.epoch >= self.members.list.epoch {
            return Ok(());
        }
        let runs = node.partition.is_some() && !node.paused;
        let knows = |other: &usize| {
            let there = &self.nodes[*other];
            there.partition.is_some()
                && there.list.epoch > node.list.epoch
                && self.network.reaches(at, *other)
        };
        let sources: Vec<usize> = (0..self.nodes.len()).filter(knows).collect();
        if runs && self.healed {
            return self.take_list(at);
        }
        if runs && !sources.is_empty() {
            let source = self.members.rng.pick(&sources);
            let list = self.nodes[source].list.clone();
            self.take(at, list)?;
        }
        let again = self.members.rng.between(200 * MS, 1500 * MS);
        self.hear_later(at, again);
        Ok(())
    }

    fn take_list(&mut self, at: usize) -> Verdict {
        let list = self.members.list.clone();
        self.take(at, list)
    }

    fn take(&mut self, at: usize, list: List) -> Verdict {
        let (epoch, members) = (list.epoch, list.members.clone());
        let before = self.nodes[at].list.role(at);
        self.nodes[at].list = list;
        self.list_taken(at);
        let now = self.nodes[at].list.role(at);
        let partition = self.nodes[at].partition.as_ref();
        let minted = partition.is_some_and(|partition| partition.minted() > 0);
        if before == Role::Outside && now != before && minted {
            self.coverage.mark(Mark::Returned);
        }
        self.input(at, Input::Members { epoch, members })
    }

    /// What a node knows of the members counts from now on.
    pub(super) fn list_taken(&mut self, at: usize) {
        self.checker.knows_list(at, &self.nodes[at].list);
        if self.nodes[at].list.epoch < self.members.list.epoch {
            let after = self.members.rng.spread(MS, SECOND);
            self.hear_later(at, after);
        }
    }

    /// A node looks at its part: it says that it has joined, or may be let go, or drops what it holds.
    pub(super) fn look_at_part(&mut self, at: usize) -> Verdict {
        let next = self.now + self.members.rng.spread(20 * MS, 2 * SECOND);
        self.schedule(next, Due::Part { at });
        let node = &self.nodes[at];
        let Some(partition) = node.partition.as_ref().filter(|_| !node.paused) else {
            return Ok(());
        };
        let state = match partition.role() {
            Role::Joining if partition.has_joined() => {
                self.checker.check_joined(at, &self.nodes)?;
                MemberState::Joining
            }
            Role::Leaving if partition.is_covered() => MemberState::Leaving,
            Role::Outside if !partition.replica().context().is_empty() => {
                return if partition.is_covered() {
                    self.drop_replica(at)
                } else {
                    Ok(())
                };
            }
            _ => return Ok(()),
        };
        let mine = node
            .list
            .members
            .iter()
            .find(|member| member.node == node.id);
        let Some(since) = mine.map(|member| member.since) else {
            return Ok(());
        };
        let copies = if self.healed {
            1
        } else {
            self.members.rng.index(3)
        };
        for _ in 0..copies {
            let after = self.members.rng.spread(MS, 4 * SECOND);
            self.schedule(self.now + after, Due::Report(Report { at, state, since }));
        }
        Ok(())
    }

    /// A node's word about its part has come: it counts if that is still its part.
    pub(super) fn reported(&mut self, report: &Report) -> Verdict {
        let mut members = self.members.list.members.clone();
        let place = |member: &Member| member.node.0 as usize;
        let said = |member: &Member| {
            (place(member), member.state, member.since) == (report.at, report.state, report.since)
        };
        let Some(index) = members.iter().position(said) else {
            return Ok(());
        };
        if report.state == MemberState::Joining {
            members[index].state = MemberState::Active;
            self.coverage.mark(Mark::Joined);
        } else {
            members.remove(index);
            let active = |member: &Member| {
                member.state == MemberState::Active && !self.nodes[place(member)].lost
            };
            if !members.iter().any(active) {
                return Ok(());
            }
            self.coverage.mark(Mark::Left);
        }
        self.publish(members)
    }

    fn drop_replica(&mut self, at: usize) -> Verdict {
        if self.nodes[at].disk.has_failed() {
            return Ok(());
        }
        if self
            .checker
            .check_drop(at, &self.members.list, &self.nodes)?
        {
            self.coverage.mark(Mark::GuestDelivered);
        }
        let partition = self.nodes[at].partition.as_ref();
        let actor = partition.map(|partition| partition.actor());
        if actor.is_some_and(|actor| !actor.is_guest()) {
            self.coverage.mark(Mark::GuestCrowded);
        }
        self.steps += 1;
        let mut record = None;
        self.call(at, |partition| record = Some(partition.drop_record()))?;
        let Some(bytes) = record else { return Ok(()) };
        self.nodes[at].disk.append(Record {
            bytes,
            dots: evenkeel_core::causality::Context::default(),
            events: Vec::new(),
            drops: true,
        });
        self.coverage.mark(Mark::Dropped);
        self.note(Some(at), "dropped", "");
        self.checker.dropped(at);
        if self.plan.disk.every_us.is_none() {
            self.start_sync(at);
        }
        self.plan_tick(at);
        Ok(())
    }

    /// No more changes: what has begun comes to its end, and who is lost is no member any more.
    pub(super) fn heal_members(&mut self) -> Verdict {
        if !self.changes_members() {
            return Ok(());
        }
        let mut members = self.members.list.members.clone();
        members.retain(|member| !self.nodes[member.node.0 as usize].lost);
        self.publish(members)
    }

    /// Where a client's request is served that has come to a node: at an active member that the node reaches; else, and
    /// when it only believes that it reaches none, right there.
    pub(super) fn place(&mut self, at: usize) -> usize {
        if !self.changes_members() {
            return at;
        }
        let list = &self.nodes[at].list;
        if list.epoch < self.members.list.epoch {
            self.coverage.mark(Mark::OldList);
        }
        if list.role(at) == Role::Active {
            return at;
        }
        let serves = |other: &usize| {
            let there = &self.nodes[*other];
            there.partition.is_some() && !there.paused && self.network.is_up(at, *other)
        };
        let reached = list.active().find(serves);
        let outside = list.role(at) == Role::Outside;
        match reached.filter(|_| !self.members.rng.chance(150)) {
            Some(other) => other,
            None => {
                if outside {
                    self.coverage.mark(Mark::GuestWrote);
                }
                at
            }
        }
    }
}
