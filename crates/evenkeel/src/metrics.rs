//! Counters of a node: one definition for `/metrics` and INFO.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use evenkeel_core::observation::Observation;

macro_rules! metrics {
    ($($field:ident = $kind:literal, $name:literal, $help:literal;)+) => {
        /// The counters and gauges of this process.
        #[derive(Debug, Default)]
        pub(crate) struct Metrics {
            $(#[doc = $help] pub(crate) $field: AtomicU64,)+
        }

        impl Metrics {
            /// The Prometheus text form.
            pub(crate) fn render(&self, out: &mut String) {
                $(render_one(out, $kind, $name, $help, self.$field.load(Ordering::Relaxed));)+
            }
        }
    };
}

metrics! {
    clients = "gauge", "evenkeel_clients", "Connected clients. High: look for clients that open a connection per request.";
    connections = "counter", "evenkeel_connections_total", "Client connections accepted. Growing fast: clients do not keep their connections.";
    clients_rejected = "counter", "evenkeel_clients_rejected_total", "Connections refused because maxclients were connected. Growing: raise maxclients, or look for clients that leak connections.";
    commands = "counter", "evenkeel_commands_total", "Commands executed. Growing faster than the application explains: look at evenkeel top and INFO commandstats.";
    errors = "counter", "evenkeel_command_errors_total", "Commands answered with an error. Growing: look at the clients' logs for the error's first word.";
    forwarded = "counter", "evenkeel_forwarded_total", "Commands forwarded to a node that holds the key. High: let clients use the slot map.";
    conditional = "counter", "evenkeel_conditional_total", "Conditional commands run on this node. High next to other nodes: it is the home of the busiest keys; spread them over more hash slots.";
    conditional_away = "counter", "evenkeel_conditional_away_total", "Conditional commands run here though another member comes first. Growing: that member is down or cut off, and may run others at the same time.";
    conditional_conflicts = "counter", "evenkeel_conditional_conflicts_total", "Conditional commands run here whose write met one that had not seen it. Growing: nodes were cut off from each other and both decided, see EK.CONFLICTS.";
    guest_commands = "counter", "evenkeel_guest_commands_total", "Commands run here because no member of the key's partition could be reached: what they wrote is handed over as soon as one can, what they read may be missing. Growing: this node is cut off from the nodes that hold the data.";
    session_gaps = "counter", "evenkeel_session_gaps_total", "Commands run although no replica within reach held in time what the connection had seen. Growing: members that answered clients are down, or frames between them are lost.";
    unmet_writes = "counter", "evenkeel_unmet_writes_total", "Writes answered UNMET: fewer members held them in time than the connection asked for. Growing: members are down or slow, see evenkeel_link_up and evenkeel_lag_events.";
    unmet_reads = "counter", "evenkeel_unmet_reads_total", "Reads answered UNMET: fewer members answered in time than the connection asked for. Growing: members are down or slow, see evenkeel_link_up.";
    in_doubt = "counter", "evenkeel_in_doubt_total", "Forwarded commands whose outcome is unknown. Growing: the link to a member fails under way.";
    slow_clients_closed = "counter", "evenkeel_slow_clients_closed_total", "Subscribers closed because they read slower than messages came. Growing: make them faster, or raise client-output-buffer-limit.";
    protocol_errors = "counter", "evenkeel_protocol_errors_total", "Connections closed for broken requests. Growing: something that speaks no RESP connects.";
    bad_frames = "counter", "evenkeel_bad_frames_total", "Frames of peers that could not be read. Above zero: versions or memory are damaged.";
    clock_ahead = "counter", "evenkeel_clock_ahead_total", "Remote stamps beyond the skew bound. Growing: a node's clock is wrong, check its time service.";
    digest_mismatch = "counter", "evenkeel_digest_mismatch_total", "Equal contexts with unequal content. Above zero: a bug or damaged data, report it.";
    stale_answers = "counter", "evenkeel_stale_answers_total", "Answers that belonged to no open request, and were dropped. Growing without restarts or cuts: links are slower than two seconds, see evenkeel_sync_timed_out_total.";
    sync_started = "counter", "evenkeel_sync_started_total", "Anti-entropy requests. Growing without cuts: frames to this node are lost or overflow.";
    sync_units = "counter", "evenkeel_sync_units_total", "Cells received by anti-entropy. Growing without cuts or restarts: the fast path to this node loses frames, see evenkeel_link_overflow_total at the peers.";
    sync_timed_out = "counter", "evenkeel_sync_timed_out_total", "Anti-entropy requests without an answer in time. Growing: a peer is slow or the link is one-way.";
    snapshots_installed = "counter", "evenkeel_snapshots_installed_total", "Snapshots installed. Growing: this node was away longer than the others' index reaches.";
    index_trimmed = "counter", "evenkeel_index_trimmed_total", "Index entries dropped over the cap. Growing: a member is away, it will need a snapshot.";
    collected_index = "counter", "evenkeel_index_collected_total", "Index entries collected because every member has them. Not growing under writes: a member is away or cannot sync its disk, see evenkeel_link_up and evenkeel_lag_events.";
    collected_chains = "counter", "evenkeel_chains_collected_total", "Dead counter chains collected. Growing fast: counters are often reset or deleted; harmless.";
    conflicts = "counter", "evenkeel_conflicts_total", "Concurrent writes of which one is not shown, as noticed here. Growing: look at EK.CONFLICTS; use types that merge, or send the writes of a key to one node.";
    scrub_rounds = "counter", "evenkeel_scrub_rounds_total", "Rounds in which every replica of this node was counted again. Not growing for longer than --scrub-hours: the node is overloaded.";
    scrub_damaged = "counter", "evenkeel_scrub_damaged_total", "Replicas found damaged. Above zero: look at the node's log, then test its memory and disk.";
    scrub_repaired = "counter", "evenkeel_scrub_repaired_total", "Keys whose damaged content was replaced by another member's. Above zero: test this node's memory and disk.";
    scrub_unresolved = "counter", "evenkeel_scrub_unresolved_total", "Keys that differ between members and of which nobody can tell which one is right. Above zero: the node's log names them, write them again.";
    scrub_file_rounds = "counter", "evenkeel_scrub_file_rounds_total", "Times that all files of this node were read again. Not growing for longer than --scrub-hours: the disk is slow or failing, see the node's log.";
    scrub_files_damaged = "counter", "evenkeel_scrub_files_damaged_total", "Damaged places found in checkpoints and full segments of the log, and replaced by new checkpoints. Above zero: test this node's disk.";
    checkpoints = "counter", "evenkeel_checkpoints_total", "Rounds of checkpoints that let the beginning of the log go. Growing by many an hour: writes fill the log fast; raise --checkpoint-log-bytes if the disk is busy with it.";
    checkpoint_failures = "counter", "evenkeel_checkpoint_failures_total", "Rounds of checkpoints that failed. Growing: the disk is full or broken, and the log grows; see the node's log.";
    counters_clamped = "counter", "evenkeel_counters_clamped_total", "Merged counters outside the 64-bit range, shown clamped. Above zero: the application counts too far.";
}

fn render_one(out: &mut String, kind: &str, name: &str, help: &str, value: u64) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
    );
}

/// Adds one.
pub(crate) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Metrics {
    /// Counts what a partition noticed.
    pub(crate) fn count(&self, observation: &Observation) {
        let (counter, by) = match observation {
            Observation::BadFrame { .. } => (&self.bad_frames, 1),
            Observation::ClockAhead { .. } => (&self.clock_ahead, 1),
            Observation::DigestMismatch { .. } => (&self.digest_mismatch, 1),
            Observation::StaleAnswer { .. } => (&self.stale_answers, 1),
            Observation::SyncStarted { .. } => (&self.sync_started, 1),
            Observation::SyncReceived { units, .. } => (&self.sync_units, *units),
            Observation::SyncTimedOut { .. } => (&self.sync_timed_out, 1),
            Observation::SnapshotInstalled { .. } => (&self.snapshots_installed, 1),
            Observation::IndexTrimmed { entries } => (&self.index_trimmed, *entries),
            Observation::Collected { index, chains } => {
                self.collected_chains
                    .fetch_add(*chains as u64, Ordering::Relaxed);
                (&self.collected_index, *index)
            }
            Observation::Conflict(_) => (&self.conflicts, 1),
            Observation::ConflictsLeftOut { conflicts } => (
                &self.conflicts,
                usize::try_from(*conflicts).unwrap_or(usize::MAX),
            ),
            Observation::CounterClamped => (&self.counters_clamped, 1),
            Observation::SnapshotNeeded { .. } | Observation::Visible { .. } => return,
        };
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }
}
