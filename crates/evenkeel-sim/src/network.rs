//! Links between nodes: sessions, cuts, delays, losses, copies, clogs.
//!
//! Invariants: a frame leaves only within a session of its sender; frames on their way survive crashes of either
//! side and the end of their session.

use crate::coverage::Coverage;
use crate::faults::Fault;
use crate::rng::{Rng, Stream};
use crate::swarm::{MS, NODES_MAX, NetworkPlan, SECOND};

/// Directed links as a matrix of bits.
pub(crate) type Links = [[bool; NODES_MAX]; NODES_MAX];

/// The network of one cluster.
#[derive(Debug)]
pub(crate) struct Network {
    plan: NetworkPlan,
    nodes: usize,
    rng: Rng,
    /// `up[a][b]`: node a has a session with b.
    up: Links,
    cuts: Vec<(u64, Links)>,
    cut: Links,
    clogged_until: [[u64; NODES_MAX]; NODES_MAX],
    /// Where links do not reorder: when the last frame arrives.
    last: [[u64; NODES_MAX]; NODES_MAX],
    /// Since when both directions of a pair are cut.
    dark_since: [[Option<u64>; NODES_MAX]; NODES_MAX],
}

/// How long a session outlives a full cut, at least and at most.
const TIMEOUT_US: (u64, u64) = (200 * MS, 5 * SECOND);

impl Network {
    pub(crate) fn new(plan: NetworkPlan, nodes: usize, seed: u64) -> Self {
        Self {
            plan,
            nodes,
            rng: Rng::new(seed, Stream::Network),
            up: Links::default(),
            cuts: Vec::new(),
            cut: Links::default(),
            clogged_until: Default::default(),
            last: Default::default(),
            dark_since: Default::default(),
        }
    }

    /// No more faults: clean links from now on. Frames on their way stay on their way.
    pub(crate) fn heal(&mut self) {
        self.plan = NetworkPlan {
            delay_us: self.plan.delay_us.min(10 * MS),
            tail_permille: 0,
            drop_permille: 0,
            duplicate_permille: 0,
            replay_permille: 0,
        };
        self.cuts.clear();
        self.cut = Links::default();
        self.clogged_until = Default::default();
    }

    /// Whether `a` has a session with `b`.
    pub(crate) const fn is_up(&self, a: usize, b: usize) -> bool {
        self.up[a][b]
    }

    pub(crate) fn set_up(&mut self, a: usize, b: usize, up: bool) {
        self.up[a][b] = up;
    }

    /// Whether `a` has a session with `b` and hears of it: what it says arrives, and so does the answer.
    pub(crate) const fn reaches(&self, a: usize, b: usize) -> bool {
        self.up[a][b] && !self.cut[a][b] && !self.cut[b][a]
    }

    /// Whether neither direction of a pair lets anything through.
    pub(crate) const fn is_dark(&self, a: usize, b: usize) -> bool {
        self.cut[a][b] && self.cut[b][a]
    }

    /// Whether a pair has been dark for longer than its sessions live.
    pub(crate) fn is_timed_out(&mut self, now: u64, a: usize, b: usize) -> bool {
        if !self.is_dark(a, b) {
            self.dark_since[a][b] = None;
            return false;
        }
        let since = *self.dark_since[a][b].get_or_insert(now);
        now - since > self.rng.between(TIMEOUT_US.0, TIMEOUT_US.1)
    }

    /// When the copies of a frame that is sent now arrive; none where it is lost.
    pub(crate) fn send(
        &mut self,
        now: u64,
        (from, to): (usize, usize),
        coverage: &mut Coverage,
    ) -> [Option<u64>; 3] {
        let mut arrivals = [None; 3];
        if !self.up[from][to] {
            return arrivals;
        }
        if self.rng.chance(self.plan.replay_permille) {
            coverage.fault(Fault::Replay);
            arrivals[2] = Some(now + self.rng.below(60 * SECOND));
        }
        if self.cut[from][to] {
            return arrivals;
        }
        if self.rng.chance(self.plan.drop_permille) {
            coverage.fault(Fault::Drop);
            return arrivals;
        }
        arrivals[0] = Some(self.arrival(now, (from, to), coverage));
        if self.rng.chance(self.plan.duplicate_permille) {
            coverage.fault(Fault::Duplicate);
            arrivals[1] = Some(self.arrival(now, (from, to), coverage));
        }
        arrivals
    }

    fn arrival(&mut self, now: u64, (from, to): (usize, usize), coverage: &mut Coverage) -> u64 {
        let late = self.rng.chance(self.plan.tail_permille);
        let delay = if late {
            coverage.fault(Fault::Reorder);
            self.rng.below(5 * SECOND)
        } else {
            self.rng.around(self.plan.delay_us)
        };
        let mut at = now + 1 + delay;
        if self.clogged_until[from][to] > now {
            at += self.clogged_until[from][to] - now;
        }
        if self.plan.tail_permille == 0 {
            at = at.max(self.last[from][to] + 1);
            self.last[from][to] = at;
        }
        at
    }

    /// Cuts links in one of the shapes; gives the time when to look for its end, if the shape cuts anything.
    pub(crate) fn start_cut(&mut self, now: u64, shape: Fault) -> Option<u64> {
        let links = self.shape(shape);
        if !links.iter().flatten().any(|cut| *cut) {
            return None;
        }
        let until = now + self.rng.spread(100 * MS, 20 * SECOND);
        self.cuts.push((until, links));
        self.refresh();
        Some(until)
    }

    /// Ends the cuts whose time is over.
    pub(crate) fn end_cuts(&mut self, now: u64) {
        self.cuts.retain(|(until, _)| *until > now);
        self.refresh();
    }

    fn refresh(&mut self) {
        self.cut = Links::default();
        for (_, links) in &self.cuts {
            for (mine, row) in self.cut.iter_mut().zip(links) {
                mine.iter_mut().zip(row).for_each(|(cut, add)| *cut |= add);
            }
        }
    }

    /// Which directed links a shape cuts.
    fn shape(&mut self, shape: Fault) -> Links {
        let nodes = self.nodes;
        let turn = self.rng.index(nodes);
        let place = |node: usize| (node + turn) % nodes;
        let half = nodes.div_ceil(2);
        let pair = (self.rng.index(nodes), self.rng.index(nodes));
        let mut links = Links::default();
        for (a, row) in links.iter_mut().enumerate().take(nodes) {
            for (b, cut) in row.iter_mut().enumerate().take(nodes) {
                let (x, y) = (place(a), place(b));
                *cut = a != b
                    && match shape {
                        Fault::Isolate => (x == 0) != (y == 0),
                        Fault::Halves => (x < half) != (y < half),
                        // Node 0 reaches both sides, the sides do not reach each other.
                        Fault::Bridge => x != 0 && y != 0 && (x < half) != (y < half),
                        Fault::Ring => x.abs_diff(y) != 1 && x.abs_diff(y) != nodes - 1,
                        Fault::Grudge => self.rng.chance(400),
                        _ => (a, b) == pair,
                    };
            }
        }
        links
    }

    /// Holds the frames of one directed link back for a while.
    pub(crate) fn clog(&mut self, now: u64) {
        let (from, to) = (self.rng.index(self.nodes), self.rng.index(self.nodes));
        self.clogged_until[from][to] = now + self.rng.spread(SECOND, 15 * SECOND);
    }
}
