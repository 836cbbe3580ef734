//! One cluster in virtual time: an event heap, nodes, a network, clients, faults, checks.
//!
//! Invariants: events run in the order of (time, sequence number); everything random comes from the seed; the
//! product is driven through `Partition::handle` alone, with real bytes for frames and log records.

mod boot;
mod command;
mod inject;
mod members;
mod show;
mod step;

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use bytes::Bytes;
use evenkeel_core::bug::Switches;
use evenkeel_core::id::NodeId;
use evenkeel_core::membership::Member;
use evenkeel_core::partition::{Effect, Input};

use crate::checker::{Checker, Verdict, Violation, violated};
use crate::clock::WallClock;
use crate::coverage::Coverage;
use crate::faults::Fault;
use crate::network::Network;
use crate::node::{List, Node};
use crate::rng::{Rng, Stream, mix};
use crate::swarm::{LIVENESS_US, MS, Plan, SECOND};
use crate::trace::Trace;
use crate::universe::{CellNo, Universe};
use crate::workload::Workload;
use crate::{Failure, Options, Outcome, Totals};

/// How often a pair of nodes looks whether it can connect, or still is connected.
const LINK_POLL_US: u64 = 200 * MS;
/// How often a healed cluster is asked whether it has settled.
const PROBE_US: u64 = SECOND;

/// Something that is due at a time.
#[derive(Debug)]
enum Due {
    Frame {
        from: usize,
        to: usize,
        bytes: Bytes,
    },
    Tick {
        at: usize,
        boot: u32,
    },
    Client,
    Sync {
        at: usize,
        boot: u32,
    },
    Synced {
        at: usize,
        boot: u32,
    },
    /// The home looks for expired keys.
    Expire {
        at: usize,
        boot: u32,
    },
    Link {
        a: usize,
        b: usize,
    },
    Strike(Fault),
    CutsEnd,
    Resume {
        at: usize,
        boot: u32,
    },
    Crash {
        at: usize,
        boot: u32,
    },
    Lose {
        at: usize,
    },
    Rollback {
        at: usize,
    },
    Checkpointed {
        at: usize,
        boot: u32,
    },
    Restart {
        at: usize,
        boot: u32,
    },
    /// An operator ends a process whose log has failed.
    End {
        at: usize,
        boot: u32,
    },
    /// A node may hear of the newest list of members.
    List {
        at: usize,
    },
    /// A node looks at its part: whether it has joined, or may be let go, or can drop what it holds.
    Part {
        at: usize,
    },
    /// What a node says of its part reaches those who agree on the list.
    Report(members::Report),
    Heal,
    Probe,
}

#[derive(Debug)]
struct Scheduled {
    at: u64,
    seq: u64,
    due: Due,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    /// The heap gives the greatest: the earliest must be it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

/// One run.
#[derive(Debug)]
pub(crate) struct World {
    plan: Plan,
    switches: Switches,
    /// The switch that the simulator itself honours: which starts keep the old actor.
    keeps_actor: KeepsActor,
    now: u64,
    steps: u64,
    seq: u64,
    heap: BinaryHeap<Scheduled>,
    nodes: Vec<Node>,
    network: Network,
    workload: Workload,
    checker: Checker,
    coverage: Coverage,
    trace: Trace,
    totals: Totals,
    healed: bool,
    /// Whether a member may still be lost for good, and from when on.
    loss_from: Option<u64>,
    tickets: u64,
    /// The cell whose states the trace shows.
    watched: Option<CellNo>,
    disks: Rng,
    media: Rng,
    actors: Rng,
    faults: Rng,
    requests: Rng,
    members: members::Members,
    /// Counts the values that commands wrote.
    serial: u64,
    effects: Vec<Effect>,
    /// Why the cluster had not settled at the last probe.
    unsettled: Option<Box<Violation>>,
}

/// Which starts keep the actor of the run before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum KeepsActor {
    Never,
    Always,
    AfterRestore,
    AfterClone,
}

impl World {
    pub(crate) fn new(options: &Options) -> Self {
        let plan = Plan::draw(options.seed, &options.limits);
        let seed = plan.seed;
        let mut faults = Rng::new(seed, Stream::Faults);
        let members = (0u32..).take(plan.members);
        let list = List {
            epoch: 0,
            members: members.map(|node| Member::active(NodeId(node))).collect(),
        };
        let nodes: Vec<Node> = (0u32..)
            .take(plan.nodes)
            .map(|number| {
                let hour = faults.below(2 * 3_600_000);
                let offset = if plan.faults.has(Fault::Offset) {
                    i64::try_from(hour).unwrap_or(0) - 3_600_000
                } else {
                    0
                };
                Node::new(NodeId(number), WallClock::new(offset), list.clone())
            })
            .collect();
        let loss_at = faults.between(SECOND, plan.duration_us * 3 / 4);
        let universe = match plan.commands {
            Some(_) => Universe::growing(),
            None => Universe::new(plan.work.keys),
        };
        let mut world = Self {
            switches: switches(options),
            keeps_actor: keeps_actor(options),
            now: 0,
            steps: 0,
            seq: 0,
            heap: BinaryHeap::new(),
            nodes,
            network: Network::new(plan.network, plan.nodes, seed),
            workload: Workload::new(&plan),
            checker: Checker::new(universe, plan.nodes, seed),
            coverage: settings_covered(&plan),
            trace: Trace::new(options.trace, options.whole_frames),
            totals: Totals::default(),
            healed: false,
            loss_from: plan.faults.has(Fault::Loss).then_some(loss_at),
            tickets: 0,
            watched: None,
            disks: Rng::new(seed, Stream::Disk),
            media: Rng::new(mix(seed, 1), Stream::Media),
            actors: Rng::new(seed, Stream::Actors),
            faults,
            requests: Rng::new(seed, Stream::Requests),
            members: members::Members::new(list, seed),
            serial: 0,
            effects: Vec::new(),
            unsettled: None,
            plan,
        };
        world.watched = options
            .watch
            .as_ref()
            .and_then(|name| world.find_cell(name));
        world
    }

    /// The cell that a person means.
    fn find_cell(&self, name: &str) -> Option<CellNo> {
        let cells = self.checker.history.universe.cells().iter();
        cells.map(ToString::to_string).position(|cell| cell == name)
    }

    fn schedule(&mut self, at: u64, due: Due) {
        self.seq += 1;
        self.heap.push(Scheduled {
            at,
            seq: self.seq,
            due,
        });
    }

    /// Runs to the end, to the first violation, or to the step `until`.
    pub(crate) fn run(mut self, until: Option<u64>) -> Outcome {
        let verdict = self.begin().and_then(|()| self.go(until));
        let failure = verdict.err().map(|violation| self.failure(&violation));
        self.totals.virtual_us = self.now;
        self.totals.events = self.checker.history.len() as u64;
        Outcome {
            seed: self.plan.seed,
            failure,
            totals: self.totals,
            hash: self.trace.hash(),
            coverage: self.coverage,
            trace: self.trace.into_lines(),
        }
    }

    fn begin(&mut self) -> Verdict {
        self.plan_members();
        for at in 0..self.nodes.len() {
            self.start(at)?;
        }
        for a in 0..self.nodes.len() {
            for b in a + 1..self.nodes.len() {
                let at = self.faults.below(50 * MS);
                self.schedule(at, Due::Link { a, b });
            }
        }
        for fault in Fault::ALL {
            if *fault == Fault::Members {
                continue;
            }
            let rng = if fault.is_drawn_apart() {
                &mut self.media
            } else {
                &mut self.faults
            };
            let first = rng.around(self.plan.gaps_us[*fault as usize]);
            if inject::strikes(*fault) && self.plan.faults.has(*fault) {
                self.schedule(first, Due::Strike(*fault));
            }
        }
        self.schedule(100 * MS, Due::Client);
        self.schedule(self.plan.duration_us, Due::Heal);
        Ok(())
    }

    fn go(&mut self, until: Option<u64>) -> Verdict {
        while let Some(Scheduled { at, due, .. }) = self.heap.pop() {
            self.now = at;
            if until.is_some_and(|until| self.steps > until) {
                return Ok(());
            }
            if matches!(due, Due::Probe) {
                if self.probe()? {
                    return Ok(());
                }
                continue;
            }
            self.happen(due)?;
        }
        violated("harness", "nothing is due any more")
    }

    fn happen(&mut self, due: Due) -> Verdict {
        match due {
            Due::Frame { from, to, bytes } => self.deliver(from, to, bytes),
            Due::Tick { at, boot } => self.tick(at, boot),
            Due::Client => self.client(),
            Due::Sync { at, boot } => {
                if self.nodes[at].boot == boot && self.nodes[at].partition.is_some() {
                    self.start_sync(at);
                    if let Some(every) = self.plan.disk.every_us {
                        self.schedule(self.now + every, Due::Sync { at, boot });
                    }
                }
                Ok(())
            }
            Due::Synced { at, boot } => self.synced(at, boot),
            Due::Expire { at, boot } => self.expire(at, boot),
            Due::Link { a, b } => self.poll_link(a, b),
            Due::Strike(fault) => self.strike(fault),
            Due::CutsEnd => {
                self.network.end_cuts(self.now);
                self.note(None, "cut ends", "");
                Ok(())
            }
            Due::Resume { at, boot } => self.resume(at, boot),
            Due::Crash { at, boot } if self.nodes[at].boot == boot => self.spring_ambush(at),
            Due::Lose { at } => self.lose(at),
            Due::Rollback { at } => self.roll_back(at),
            Due::Checkpointed { at, boot } => {
                self.checkpointed(at, boot);
                Ok(())
            }
            Due::Restart { at, boot } if self.nodes[at].boot == boot => self.start(at),
            Due::End { at, boot } if self.nodes[at].boot == boot => self.crash(at),
            Due::List { at } => self.hear_of_list(at),
            Due::Part { at } => self.look_at_part(at),
            Due::Report(report) => self.reported(&report),
            Due::Heal => self.heal(),
            Due::End { .. } | Due::Crash { .. } | Due::Restart { .. } | Due::Probe => Ok(()),
        }
    }

    /// Faults end: links are clean, everybody who is not lost runs. Clocks stay as wrong as they are.
    fn heal(&mut self) -> Verdict {
        self.note(None, "heal", "");
        self.healed = true;
        self.network.heal();
        for at in 0..self.nodes.len() {
            let boot = self.nodes[at].boot;
            self.resume(at, boot)?;
            if self.nodes[at].partition.is_some() && self.nodes[at].disk.has_failed() {
                self.crash(at)?;
            }
            if self.nodes[at].partition.is_none() && !self.nodes[at].lost {
                self.start(at)?;
            }
        }
        self.heal_members()?;
        self.schedule(self.now + PROBE_US, Due::Probe);
        Ok(())
    }

    /// Whether the healed cluster has settled; a violation when its time is over.
    fn probe(&mut self) -> Verdict<bool> {
        let settled =
            self.checker
                .check_settled(&self.members.list, &self.nodes, &mut self.coverage);
        let Err(missing) = settled else {
            self.audit_everybody()?;
            return Ok(true);
        };
        if self.now >= self.plan.duration_us + LIVENESS_US {
            return Err(missing);
        }
        self.unsettled = Some(missing);
        self.schedule(self.now + PROBE_US, Due::Probe);
        Ok(false)
    }

    /// A frame reaches the other side.
    fn deliver(&mut self, from: usize, to: usize, bytes: Bytes) -> Verdict {
        let node = &self.nodes[to];
        if node.partition.is_none() {
            // Somewhere in a buffer it may outlive the restart.
            if !node.lost && self.faults.chance(400) {
                let later = self.now + self.faults.spread(100 * MS, 4 * SECOND);
                self.schedule(later, Due::Frame { from, to, bytes });
            }
            return Ok(());
        }
        let from = self.nodes[from].id;
        self.input(to, Input::Frame { from, frame: bytes })
    }

    /// Looks after one pair: connects it, or ends a session that a cut has outlived.
    fn poll_link(&mut self, a: usize, b: usize) -> Verdict {
        if self.nodes[a].lost && self.nodes[b].lost {
            return Ok(());
        }
        self.schedule(self.now + LINK_POLL_US, Due::Link { a, b });
        let both_run = self.nodes[a].partition.is_some() && self.nodes[b].partition.is_some();
        let up = (self.network.is_up(a, b), self.network.is_up(b, a));
        if self.network.is_timed_out(self.now, a, b) || (!both_run && self.faults.chance(100)) {
            return self.disconnect(a, b);
        }
        if up == (true, true) || !both_run || self.network.is_dark(a, b) {
            return Ok(());
        }
        // A side that had not noticed the end of the old session notices it now.
        self.disconnect(a, b)?;
        for (me, peer) in [(a, b), (b, a)] {
            self.network.set_up(me, peer, true);
            let (peer, incarnation) = (self.nodes[peer].id, self.nodes[peer].actor);
            self.input(me, Input::PeerUp { peer, incarnation })?;
        }
        Ok(())
    }

    /// Ends the session of a pair, for whoever has one.
    fn disconnect(&mut self, a: usize, b: usize) -> Verdict {
        for (me, peer) in [(a, b), (b, a)] {
            if self.network.is_up(me, peer) {
                self.network.set_up(me, peer, false);
                let peer = self.nodes[peer].id;
                self.input(me, Input::PeerDown { peer })?;
            }
        }
        Ok(())
    }

    fn note(&mut self, at: Option<usize>, event: &str, about: &str) {
        if self.trace.is_read() {
            let node = at.map(|at| self.nodes[at].id);
            self.trace
                .line((self.now, self.steps), node, [event, about, ""]);
        }
    }

    fn failure(&mut self, violation: &Violation) -> Failure {
        Failure {
            check: violation.check.to_owned(),
            what: violation.what.clone(),
            step: self.steps,
            at_us: self.now,
            views: self.views(violation.cell),
        }
    }
}

/// Faults that are settings, and have no moments of their own.
fn settings_covered(plan: &Plan) -> Coverage {
    let mut coverage = Coverage::default();
    for fault in [
        Fault::Offset,
        Fault::SlowDisk,
        Fault::SmallIndex,
        Fault::SmallAnswers,
        Fault::SmallChunks,
    ] {
        if plan.faults.has(fault) {
            coverage.fault(fault);
        }
    }
    coverage
}

#[cfg(feature = "bugs")]
fn switches(options: &Options) -> Switches {
    Switches::broken(options.bug)
}

#[cfg(not(feature = "bugs"))]
fn switches(_: &Options) -> Switches {
    Switches::default()
}

#[cfg(feature = "bugs")]
fn keeps_actor(options: &Options) -> KeepsActor {
    use evenkeel_core::bug::Bug;
    match options.bug {
        Some(Bug::M5 | Bug::ActorReused) => KeepsActor::Always,
        Some(Bug::ActorKept) => KeepsActor::AfterRestore,
        Some(Bug::CloneKeepsActor) => KeepsActor::AfterClone,
        _ => KeepsActor::Never,
    }
}

#[cfg(not(feature = "bugs"))]
fn keeps_actor(_: &Options) -> KeepsActor {
    KeepsActor::Never
}
