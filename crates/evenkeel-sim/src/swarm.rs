//! What one seed does: each kind of fault is on with probability one half, then its rate is drawn.
//!
//! All draws are made whatever the flags say, so that switching something off changes nothing else.

use crate::commands::CommandPlan;
use crate::faults::{Fault, FaultSet};
use crate::rng::{Rng, Stream};
use crate::universe::{KEYS_MAX, KEYS_MIN};

/// Microseconds in a millisecond.
pub(crate) const MS: u64 = 1_000;
/// Microseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000;
/// How long a healed cluster may take to converge.
pub(crate) const LIVENESS_US: u64 = 60 * SECOND;
/// The fewest operations a whole run has.
pub(crate) const OPERATIONS_MIN: usize = 300;
/// The most nodes a run has, those that are members later or never included.
pub(crate) const NODES_MAX: usize = 7;
/// The most of them that are there for the members to begin with.
const MEMBERS_MAX: usize = 5;

/// What to leave out of a seed's run: the flags that shrinking finds.
#[derive(Clone, Default, Debug)]
pub struct Limits {
    /// Fault kinds that are off.
    pub without: FaultSet,
    /// Fewer nodes.
    pub nodes: Option<usize>,
    /// Fewer client operations.
    pub operations: Option<usize>,
    /// What is more than in an ordinary run: after each operation, so many reads of sessions, with their tokens, at
    /// nodes that are up.
    pub hops: usize,
}

/// How frames travel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NetworkPlan {
    pub(crate) delay_us: u64,
    pub(crate) tail_permille: u64,
    pub(crate) drop_permille: u64,
    pub(crate) duplicate_permille: u64,
    pub(crate) replay_permille: u64,
}

/// How disks sync.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskPlan {
    /// Time between syncs; `None`: after every append.
    pub(crate) every_us: Option<u64>,
    pub(crate) latency_us: u64,
}

/// Weights of the client's operations, and how large the parts of a run are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkPlan {
    pub(crate) set: u64,
    pub(crate) add: u64,
    pub(crate) remove: u64,
    pub(crate) clear: u64,
    pub(crate) keys: usize,
    pub(crate) operations: usize,
    pub(crate) hops: usize,
    /// Operations come in bursts of about this many.
    pub(crate) burst: u64,
}

/// Everything drawn for one seed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    /// How many of them, the first ones, are members at the start.
    pub(crate) members: usize,
    /// Length of the safety phase.
    pub(crate) duration_us: u64,
    pub(crate) faults: FaultSet,
    /// Mean time between two events of each fault kind.
    pub(crate) gaps_us: Vec<u64>,
    pub(crate) network: NetworkPlan,
    pub(crate) disk: DiskPlan,
    pub(crate) work: WorkPlan,
    /// What clients send where they send commands; else they write cells.
    pub(crate) commands: Option<CommandPlan>,
    pub(crate) index_entries_max: usize,
    pub(crate) guest_chains_max: usize,
    pub(crate) sync_answer_bytes: usize,
    pub(crate) snapshot_chunk_bytes: usize,
}

const MIXES: [[u64; 4]; 5] = [
    [35, 30, 20, 15],
    [12, 55, 13, 20],
    [50, 5, 30, 15],
    [60, 20, 15, 5],
    [20, 35, 15, 30],
];

impl Plan {
    /// The plan of a seed, cut down to `limits`.
    pub(crate) fn draw(seed: u64, limits: &Limits) -> Self {
        let mut rng = Rng::new(seed, Stream::Plan);
        let nodes = 3 + rng.index(MEMBERS_MAX - 2);
        let mut media = Rng::new(seed, Stream::Media);
        let mut faults = draw_faults(&mut rng, &mut media);
        if nodes < 4 || limits.nodes.is_some_and(|nodes| nodes < 4) {
            faults.remove(Fault::Loss);
        }
        let mut changes = Rng::new(seed, Stream::Members);
        let gap_of = |fault: &Fault| match fault {
            Fault::Members => changes.spread(2 * SECOND, 16 * SECOND),
            apart if apart.is_drawn_apart() => gap(*fault, &mut media),
            _ => gap(*fault, &mut rng),
        };
        let gaps_us = Fault::ALL.iter().map(gap_of).collect();
        if changes_members(seed) {
            faults.insert(Fault::Members);
        }
        limits.without.iter().for_each(|fault| faults.remove(fault));
        let on = |fault, drawn, otherwise| if faults.has(fault) { drawn } else { otherwise };
        let network = NetworkPlan {
            delay_us: rng.spread(100, 100 * MS),
            tail_permille: on(Fault::Reorder, rng.between(2, 60), 0),
            drop_permille: on(Fault::Drop, rng.between(5, 300), 0),
            duplicate_permille: on(Fault::Duplicate, rng.between(5, 500), 0),
            replay_permille: on(Fault::Replay, rng.between(2, 50), 0),
        };
        let every_us = (!rng.chance(250)).then_some(rng.spread(20 * MS, SECOND));
        let disk = DiskPlan {
            every_us,
            latency_us: on(
                Fault::SlowDisk,
                rng.spread(50 * MS, SECOND),
                rng.spread(100, 8 * MS),
            ),
        };
        let nodes = limits.nodes.map_or(nodes, |fewer| fewer.min(nodes));
        let (nodes, members) = if faults.has(Fault::Members) {
            with_spares(nodes, &mut changes)
        } else {
            (nodes, nodes)
        };
        let mix = rng.pick(&MIXES);
        let operations = OPERATIONS_MIN + rng.index(60);
        let work = WorkPlan {
            set: mix[0],
            add: mix[1],
            remove: mix[2],
            clear: mix[3],
            keys: KEYS_MIN + rng.index(KEYS_MAX - KEYS_MIN + 1),
            operations: limits.operations.unwrap_or(operations),
            hops: limits.hops,
            burst: rng.spread(2, 32),
        };
        let small = |fault, drawn, otherwise| if faults.has(fault) { drawn } else { otherwise };
        Self {
            seed,
            nodes,
            members,
            duration_us: rng.between(60, 70) * SECOND,
            gaps_us,
            network,
            disk,
            work,
            commands: sends_commands(seed).then(|| CommandPlan::draw(seed)),
            index_entries_max: small(Fault::SmallIndex, rng.pick(&[5, 20, 100]), 10_000),
            guest_chains_max: changes.pick(&[1, 2, 4, 32]),
            sync_answer_bytes: small(Fault::SmallAnswers, rng.pick(&[1, 200, 4096]), 256 << 10),
            snapshot_chunk_bytes: small(Fault::SmallChunks, rng.pick(&[1, 300]), 64 << 10),
            faults,
        }
    }
}

/// Each kind is on with probability one half.
fn draw_faults(rng: &mut Rng, media: &mut Rng) -> FaultSet {
    let mut faults = FaultSet::default();
    for fault in Fault::ALL {
        let rng = if fault.is_drawn_apart() {
            &mut *media
        } else {
            &mut *rng
        };
        if *fault != Fault::Members && rng.chance(500) {
            faults.insert(*fault);
        }
    }
    faults
}

/// With nodes that are no members at the start: how many there are in all, and how many are members. In one seed of
/// two some of the others are none either.
fn with_spares(nodes: usize, rng: &mut Rng) -> (usize, usize) {
    let spares = 1 + rng.index(NODES_MAX - MEMBERS_MAX);
    let few = 1 + rng.index(nodes);
    let members = if rng.chance(500) { nodes } else { few };
    (nodes + spares, members)
}

/// Two seeds in five send commands. By their number, so that the others are what they were before there were commands.
const fn sends_commands(seed: u64) -> bool {
    matches!(seed % 5, 0 | 3)
}

/// In one seed of four the members change. By its number, for the same reason.
const fn changes_members(seed: u64) -> bool {
    seed % 4 == 3
}

/// Mean time between two events of a kind, where it has events of its own.
fn gap(fault: Fault, rng: &mut Rng) -> u64 {
    let (low, high) = match fault {
        Fault::Isolate | Fault::Halves | Fault::Bridge | Fault::Ring | Fault::Grudge => (6, 50),
        Fault::OneWay | Fault::Clog | Fault::Reset => (3, 30),
        Fault::Crash => (3, 40),
        Fault::Pause => (6, 40),
        Fault::Step | Fault::Drift => (10, 40),
        Fault::Restore => (10, 25),
        Fault::Clone | Fault::Wipe => (20, 60),
        _ => (15, 60),
    };
    rng.spread(low * SECOND, high * SECOND)
}
