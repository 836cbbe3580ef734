//! What the leader does by itself: it keeps the voters where they are useful, and moves data to where it is to lie.
//!
//! One thing at a time, and only what would change something: a proposal that the document would refuse is not made.

use super::change::{Change, Seat};
use super::document::NodeState;
use super::machine::{Cluster, Role};
use crate::id::NodeId;
use crate::limits::{CLUSTER_LOG_MAX, CLUSTER_VOTER_AWAY, CLUSTER_VOTERS_MAX};
use crate::time::{Duration, Instant};

/// How long one thing may take before the next is tried.
const PATIENCE: Duration = Duration::from_millis(5_000);

/// A node as a possible voter.
struct Candidate {
    seat: Seat,
    /// It has this very seat already.
    sits: bool,
    up: bool,
    fitness: Fitness,
    zone: (String, String),
}

/// How well a node would do as a voter, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    /// Up, or a voter that has not been away for long.
    Good,
    /// A voter that is about to go.
    Draining,
    /// A voter that has been away for long.
    Away,
}

impl Cluster {
    /// The leader's work, once in a tick.
    pub(super) fn work(&mut self, now: Instant) {
        let busy = self
            .pending
            .values()
            .any(|pending| pending.ticket.is_none());
        if busy || !self.leads() || !self.quorum_answers(now) {
            return;
        }
        if let Some(change) = self.seats_due(now) {
            self.submit(None, change, now + PATIENCE);
        } else if self.settled != Some(self.document.epoch()) {
            match self.move_due() {
                Some(change) => self.submit(None, change, now + PATIENCE),
                None => self.settled = Some(self.document.epoch()),
            }
        }
    }

    /// The next step of a rebalance, or a target where the data does not lie as it should.
    fn move_due(&self) -> Option<Change> {
        let document = &self.document;
        if document.target().is_some() {
            let mut steps = super::planner::next_steps(document).into_iter();
            return steps.find(|step| self.changes(step));
        }
        if !document.settings().auto_rebalance && !document.must_move() {
            return None;
        }
        let target = super::planner::plan(document);
        let adopt = Change::Adopt { target };
        self.changes(&adopt).then_some(adopt)
    }

    /// Whether the document would take a change and be another one.
    fn changes(&self, change: &Change) -> bool {
        let mut next = (*self.document).clone();
        next.apply(change).is_ok() && next != *self.document
    }

    /// Another list of voters, if there is a better one or the log is to begin anew.
    fn seats_due(&self, now: Instant) -> Option<Change> {
        let candidates = self.candidates(now);
        let present = self.present_seats();
        let best = choose(&candidates, self.seats_wanted(), self.me);
        let up = |seat: &Seat| {
            let known = candidates.iter().find(|other| other.seat == *seat);
            known.is_some_and(|candidate| candidate.up)
        };
        let reachable = best.iter().filter(|seat| up(seat)).count();
        let log = match &self.role {
            Role::Among(voting) => voting.len(),
            Role::Alone | Role::Outside => 0,
        };
        let same = best.len() == present.len() && best.iter().all(|seat| present.contains(seat));
        let config = self.document.config;
        if !same && reachable > best.len() / 2 {
            return Some(Change::Voters {
                config,
                seats: best,
            });
        }
        (log >= CLUSTER_LOG_MAX).then_some(Change::Voters {
            config,
            seats: present,
        })
    }

    fn present_seats(&self) -> Vec<Seat> {
        let nodes = self.document.nodes().iter();
        nodes
            .filter_map(|(node, entry)| {
                let node = *node;
                entry.seat.map(|key| Seat { node, key })
            })
            .collect()
    }

    /// One, three or five, by how many nodes there are.
    fn seats_wanted(&self) -> usize {
        match self.document.active().count() {
            0..=2 => 1,
            3 | 4 => 3,
            _ => CLUSTER_VOTERS_MAX,
        }
    }

    /// Whoever may have a seat: nodes that are up, and voters that nobody could replace. Never a node whose voting
    /// state is not the one that its seat was given for.
    fn candidates(&self, now: Instant) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for (node, entry) in self.document.present() {
            let peer = self.peers.get(&node);
            let (up, key) = if node == self.me {
                (true, Some(self.key))
            } else {
                let key = peer.and_then(|peer| peer.key).or(entry.seat);
                (peer.is_some_and(|peer| peer.up), key)
            };
            let Some(key) = key else {
                continue;
            };
            let sits = entry.seat == Some(key);
            let since = peer.map_or_else(|| self.started(), |peer| peer.since);
            let recent = up || now.since(since) <= CLUSTER_VOTER_AWAY;
            let fitness = match entry.state {
                NodeState::Active if up || (sits && recent) => Fitness::Good,
                NodeState::Draining if sits && recent => Fitness::Draining,
                _ if sits => Fitness::Away,
                _ => continue,
            };
            candidates.push(Candidate {
                seat: Seat { node, key },
                sits,
                up,
                fitness,
                zone: (entry.dc.clone(), entry.zone.clone()),
            });
        }
        candidates
    }
}

/// The best so many of them, an odd number: spread over datacentres and zones, those that sit before those that do
/// not, the leader before others.
fn choose(candidates: &[Candidate], wanted: usize, leader: NodeId) -> Vec<Seat> {
    let mut chosen: Vec<&Candidate> = Vec::new();
    while chosen.len() < wanted {
        let rank = |candidate: &&Candidate| {
            let same = |of: fn(&Candidate) -> (&str, &str)| {
                let here = of(candidate);
                chosen.iter().filter(|other| of(other) == here).count()
            };
            (
                candidate.fitness,
                same(|candidate| (&candidate.zone.0, "")),
                same(|candidate| (&candidate.zone.0, &candidate.zone.1)),
                !candidate.sits,
                candidate.seat.node != leader,
                candidate.seat.node,
            )
        };
        let taken = |candidate: &Candidate| chosen.iter().any(|other| other.seat == candidate.seat);
        let free = candidates.iter().filter(|candidate| !taken(candidate));
        let Some(next) = free.min_by_key(rank) else {
            break;
        };
        chosen.push(next);
    }
    if chosen.len().is_multiple_of(2) {
        chosen.pop();
    }
    let mut seats: Vec<Seat> = chosen.iter().map(|candidate| candidate.seat).collect();
    seats.sort_unstable();
    seats
}
