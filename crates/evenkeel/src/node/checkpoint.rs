//! Checkpoints of a running node: when one is due, writing them one partition after the other, and letting the
//! beginning of the log go.
//!
//! Invariant: what leaves the log is in the checkpoints of all partitions, and those are on the disk. A round that
//! fails, or is cut short by the end of the process, leaves a log that is merely longer than it need be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use evenkeel_core::id::PartitionId;
use evenkeel_store::checkpoint::{self, Covered};
use evenkeel_store::disk::DiskError;
use evenkeel_store::log::{LogError, Sequence};

use super::{Node, Refusal, Topology};
use crate::metrics::bump;

/// How often a node looks whether a round is due.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// After a round that failed the next one is tried no sooner: a full disk stays full for a while.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// Without space sooner: who removes keys waits for it.
const WHEN_SHORT: Duration = Duration::from_secs(1);
/// Without space a round is worth while for this much log.
const LOG_BYTES_SHORT: u64 = 1 << 20;
/// How long a round that makes space waits for the fsync that lets it.
const SYNC_WAIT: Duration = Duration::from_secs(10);
/// How fast checkpoints are written: what is left of the disk is for the log.
const BYTES_PER_SECOND: u64 = 128 << 20;

/// What is known of a node's checkpoints.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    /// Bytes of all of them together.
    pub(crate) bytes: AtomicU64,
    /// When the last round ended, in seconds since the Unix epoch; 0: none yet.
    pub(crate) ended_at: AtomicU64,
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("a checkpoint cannot be written")]
    Disk(#[from] DiskError),
    #[error("the disk is too full for checkpoints of what there is")]
    NoRoom,
    #[error("the beginning of the log cannot be removed")]
    Log(#[from] LogError),
}

/// Makes checkpoints whenever they are due, as long as the node runs. Blocks: it has a thread of its own.
pub(crate) async fn run(node: Arc<Node>) -> std::io::Result<()> {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        node.wal.reserve.regain();
        let replaces = node.look_at_files_if_due();
        if replaces {
            // The damaged segments are to leave with the round.
            if let Err(error) = node.wal.begin_segment() {
                tracing::error!(%error, "damaged segments stay until the next round of checkpoints");
            }
        }
        if !replaces && !node.is_checkpoint_due() {
            continue;
        }
        let started = Instant::now();
        match node.checkpoint_all() {
            Ok(removed) => tracing::info!(
                seconds = started.elapsed().as_secs_f64(),
                bytes = node.checkpoints.bytes.load(Ordering::Relaxed),
                segments_removed = removed,
                "checkpoint"
            ),
            Err(error) => {
                bump(&node.metrics.checkpoint_failures);
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "the log stays as long as it is, and grows");
                let short = node.wal.reserve.is_spent();
                tokio::time::sleep(if short { WHEN_SHORT } else { AFTER_FAILURE }).await;
            }
        }
    }
}

impl Node {
    /// A log as long as all checkpoints doubles what a start reads, and each byte of it was worth about one of theirs.
    fn is_checkpoint_due(&self) -> bool {
        let least = self.config.checkpoint_log_bytes;
        let limit = self.checkpoints.bytes.load(Ordering::Relaxed).max(least);
        if self.wal.reserve.is_spent() {
            // What was removed is in the log still; it leaves with a round.
            let failed = self.wal.refusal() == Some(Refusal::Failed);
            return self.wal.kept_bytes() >= limit.min(LOG_BYTES_SHORT) && !failed;
        }
        self.wal.kept_bytes() >= limit && self.wal.refusal().is_none()
    }

    /// Waits until what a round covers is durable: no segment leaves before.
    fn wait_for_sync(&self, covered: Sequence) {
        let begun = Instant::now();
        while !self.wal.has_synced(covered) && begun.elapsed() < SYNC_WAIT {
            self.wal.request_sync();
            std::thread::sleep(LOOK_AGAIN / 10);
        }
    }

    /// Writes a checkpoint of every partition held here, and lets go what they cover; gives the segments removed.
    fn checkpoint_all(&self) -> Result<usize, Failed> {
        let replaced = self.wal.kept_bytes();
        let makes_space = self.wal.reserve.is_spent();
        if makes_space {
            self.wal.begin_segment()?;
        }
        let mut covered: Option<Sequence> = None;
        let mut total = 0;
        let mut is_short = false;
        // Of all, also where nothing is held: one of an earlier time would bring back what was dropped.
        for id in Topology::partitions() {
            if *self.stop.borrow() {
                return Ok(0);
            }
            let (covers, bytes) = match self.checkpoint_one(id) {
                // Others may have become smaller than they were: then there is room the next time.
                Err(Failed::NoRoom) => {
                    is_short = true;
                    continue;
                }
                other => other?,
            };
            covered = Some(covered.map_or(covers, |least| least.min(covers)));
            total += bytes;
            std::thread::sleep(Duration::from_micros(
                bytes.saturating_mul(1_000_000) / BYTES_PER_SECOND,
            ));
        }
        if is_short {
            return Err(Failed::NoRoom);
        }
        let Some(covered) = covered else {
            return Ok(0);
        };
        self.checkpoints.bytes.store(total, Ordering::Relaxed);
        if makes_space || self.files.damaged.load(Ordering::Relaxed) > 0 {
            self.wait_for_sync(covered);
        }
        let removed = self.wal.forget_up_to(covered)?;
        self.wal.note_replaced(replaced);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed();
        let seconds = now.map_or(0, |since| since.as_secs());
        self.checkpoints.ended_at.store(seconds, Ordering::Relaxed);
        bump(&self.metrics.checkpoints);
        Ok(removed)
    }

    fn checkpoint_one(&self, id: PartitionId) -> Result<(Sequence, u64), Failed> {
        // Read before the lock is taken: what was appended by then was applied by then, so the checkpoint has it.
        let covers = self.wal.last();
        let records = self.with_any(id, |partition, _, _| partition.checkpoint());
        let size: usize = records.iter().map(bytes::Bytes::len).sum();
        let size = size as u64;
        if size > self.wal.reserve.spare() && size > checkpoint::length(self.wal.disk(), id.0)? {
            // What is left of the disk is for deletes, which are what makes checkpoints small.
            return Err(Failed::NoRoom);
        }
        let bytes = checkpoint::write(self.wal.disk(), id.0, Covered::whole(covers), &records)?;
        Ok((covers, bytes))
    }
}
