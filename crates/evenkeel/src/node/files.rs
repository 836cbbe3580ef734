//! Scrubbing of what lies on the disk: the checkpoints and the full segments of the log are read again within the time
//! in which every replica is counted again. What is damaged there is in memory: new checkpoints take its place at once.
//!
//! It runs on the thread that makes checkpoints, so that no file is replaced or removed under it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use evenkeel_store::disk::DiskError;
use evenkeel_store::log::check_full_segments;
use evenkeel_store::verify::{Report, verify_checkpoint};
use parking_lot::Mutex;

use super::{Node, Topology};
use crate::metrics::bump;

/// How fast files are read: what is left of the disk is for the log.
const BYTES_PER_SECOND: u64 = 64 << 20;

/// What a node knows of its files.
#[derive(Debug, Default)]
pub(crate) struct Files {
    wanted: AtomicBool,
    /// When they were looked at last in this process.
    looked_at: Mutex<Option<Instant>>,
    /// How many were found damaged then.
    pub(crate) damaged: AtomicU64,
}

impl Files {
    /// Asks for a look soon.
    pub(super) fn look_soon(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }
}

fn rest(bytes: u64) {
    std::thread::sleep(Duration::from_micros(
        bytes.saturating_mul(1_000_000) / BYTES_PER_SECOND,
    ));
}

impl Node {
    /// Looks at all files if it is time to. Tells whether new checkpoints must take the place of damaged files.
    pub(super) fn look_at_files_if_due(&self) -> bool {
        let period = Duration::from_secs(self.config.scrub_hours.saturating_mul(3_600));
        let last = *self.files.looked_at.lock();
        let since = last.map_or_else(|| self.started.elapsed(), |last| last.elapsed());
        let due = !period.is_zero() && since >= period;
        if !self.files.wanted.swap(false, Ordering::Relaxed) && !due {
            return false;
        }
        let found = self.look_at_files();
        *self.files.looked_at.lock() = Some(Instant::now());
        let replaces = match found {
            Ok(damaged) => {
                self.files.damaged.store(damaged, Ordering::Relaxed);
                let counter = &self.metrics.scrub_files_damaged;
                counter.fetch_add(damaged, Ordering::Relaxed);
                damaged > 0
            }
            Err(error) => {
                tracing::error!(%error, "the files of this node cannot be looked at");
                false
            }
        };
        // Whoever waits for the round to end reads what it found.
        bump(&self.metrics.scrub_file_rounds);
        replaces
    }

    /// How many files are damaged.
    fn look_at_files(&self) -> Result<u64, DiskError> {
        let disk = self.wal.disk();
        let mut report = Report::default();
        for id in Topology::partitions() {
            let before = report.bytes;
            verify_checkpoint(disk, id.0, &mut report)?;
            rest(report.bytes - before);
        }
        for finding in &report.findings {
            tracing::error!(
                file = finding.file,
                offset = finding.offset,
                why = finding.what,
                "a file is damaged: new checkpoints take its place; test this disk"
            );
        }
        let holes = check_full_segments(disk, rest)?;
        for hole in &holes {
            tracing::error!(
                file = hole.file,
                offset = hole.offset,
                why = %hole.why,
                "the log is damaged where it is written to no more: new checkpoints take its place; test this disk"
            );
        }
        Ok((report.findings.len() + holes.len()) as u64)
    }
}
