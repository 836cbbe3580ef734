//! The deterministic simulator that proves, and with a switched-off rule breaks, the replication core.
//!
//! A seed decides everything: how many nodes there are, what clients do, how disks, links, clocks and processes
//! fail. The product's state machines run unchanged; frames and log records are real bytes. After every step an
//! oracle that shares no types with the product says what each replica must hold; at the end the cluster is
//! healed and must converge within a bound.
//!
//! [`run_seed`] runs one seed; [`cli`] is the command line; [`scenario`] drives hand-made interleavings.

mod checker;
pub mod cli;
mod clock;
mod commands;
mod coverage;
mod disk;
mod faults;
mod network;
mod node;
mod oracle;
mod report;
mod rng;
mod runner;
pub mod scenario;
mod seeds;
mod shrink;
mod swarm;
mod trace;
mod universe;
mod workload;
mod world;

pub use coverage::{Coverage, Mark};
pub use faults::{Fault, FaultSet};
pub use swarm::Limits;

/// What to run.
#[derive(Clone, Default, Debug)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// What to leave out of the seed's run.
    pub limits: Limits,
    /// The rule to break.
    #[cfg(feature = "bugs")]
    pub bug: Option<evenkeel_core::bug::Bug>,
    /// Whether to write the trace that people read.
    pub trace: bool,
    /// A cell whose changes the trace shows too, as in `hash0/Hash/a`.
    pub watch: Option<String>,
    /// Whether every byte of every frame counts in the trace's hash.
    pub whole_frames: bool,
    /// The step to stop at.
    pub until: Option<u64>,
}

impl Options {
    /// A whole run of `seed`.
    #[must_use]
    pub fn seed(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }
}

/// How much happened.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    /// Events minted.
    pub events: u64,
    /// Frames sent.
    pub messages: u64,
    /// Client operations.
    pub operations: u64,
    /// Crashes.
    pub crashes: u64,
    /// Virtual time.
    pub virtual_us: u64,
}

/// A check that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The check or guarantee.
    pub check: String,
    /// What is wrong.
    pub what: String,
    /// The step at which it was seen.
    pub step: u64,
    /// The virtual time at which it was seen.
    pub at_us: u64,
    /// How the nodes saw things then.
    pub views: String,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The check that failed, if one did.
    pub failure: Option<Failure>,
    /// How much happened.
    pub totals: Totals,
    /// A hash of everything that happened, in order.
    pub hash: u64,
    /// Which faults and rare states were reached.
    pub coverage: Coverage,
    /// The trace that people read, where it was asked for.
    pub trace: String,
}

/// Runs one seed to its end, to the first failed check, or to the step asked for.
#[must_use]
pub fn run_seed(options: &Options) -> Outcome {
    world::World::new(options).run(options.until)
}
