//! The replicas of a node while it starts: first their checkpoints, then the log.
//!
//! Invariant: a partition whose checkpoint is damaged, or whose log does not reach back to it, takes from the log
//! only what is complete in itself, and gets a new checkpoint before anything is built on it; the rest comes back
//! from the other members, as it does for a member that was away (replication.md 3.2).

use std::path::Path;

use evenkeel_core::codec::DecodeError;
use evenkeel_core::id::PartitionId;
use evenkeel_core::partition::Partition;
use evenkeel_store::checkpoint::{self, ReadError};
use evenkeel_store::disk::FileDisk;
use evenkeel_store::log::{Log, Record, Sequence};

use super::recovery::{StartError, chain};
use super::wal::{Note, records};
use crate::config::{Config, PARTITIONS};

/// The replicas, and how much of each was found.
pub(super) struct Replicas {
    /// By partition number; `None` where this node holds no replica.
    pub(super) partitions: Vec<Option<Partition>>,
    /// By partition number, up to where the checkpoint covers the log; `None` where it is damaged.
    covers: Vec<Option<Sequence>>,
    /// The first record that the log still has.
    first: Option<Sequence>,
    pub(super) checkpoint_bytes: u64,
}

impl Replicas {
    /// Reads the checkpoints into fresh replicas.
    pub(super) fn from_checkpoints(
        disk: &FileDisk,
        dir: &Path,
        fresh: impl Fn(PartitionId) -> Option<Partition>,
    ) -> Result<Self, StartError> {
        let mut replicas = Self {
            partitions: Vec::new(),
            covers: Vec::new(),
            first: None,
            checkpoint_bytes: 0,
        };
        for id in (0..PARTITIONS).map(PartitionId) {
            let mut partition = fresh(id);
            let mut covers = Some(Sequence::NONE);
            if let Some(held) = &mut partition {
                match checkpoint::read(disk, id.0, |record| held.replay(record)) {
                    Ok(None) => {}
                    Ok(Some(found)) => {
                        covers = Some(found.covers);
                        replicas.checkpoint_bytes += found.bytes;
                    }
                    Err(error @ ReadError::Version { .. }) => {
                        return Err(StartError::Log {
                            dir: dir.to_owned(),
                            cause: chain(&error),
                        });
                    }
                    Err(error) => {
                        tracing::error!(cause = chain(&error), partition = id.0, "checkpoint lost");
                        covers = None;
                        // What was read before the damage must not stay.
                        partition = fresh(id);
                    }
                }
            }
            replicas.partitions.push(partition);
            replicas.covers.push(covers);
        }
        Ok(replicas)
    }

    /// Whether the log begins behind the end of a partition's checkpoint.
    fn has_lost(&self, at: usize) -> bool {
        let first = self.first.unwrap_or(Sequence(1));
        let covers = self.covers.get(at).copied().flatten();
        covers.is_none_or(|covers| covers.0 + 1 < first.0)
    }

    /// Takes one record of the log.
    pub(super) fn replay(&mut self, record: Record<'_>) -> Result<(), DecodeError> {
        self.first.get_or_insert(record.sequence);
        records(record.payload).try_for_each(|record| self.replay_one(record))
    }

    fn replay_one(&mut self, record: &[u8]) -> Result<(), DecodeError> {
        let head = evenkeel_core::wire::head(record)?;
        let at = usize::from(head.partition.0);
        let lost = self.has_lost(at);
        match self.partitions.get_mut(at) {
            Some(Some(partition)) if lost => partition.replay_after_loss(record),
            Some(Some(partition)) => partition.replay(record),
            _ => Err(DecodeError {
                what: "log record",
                offset: 2,
                why: "this node holds no such partition",
            }),
        }
    }

    /// When all was read: says what is lost, and puts what is left into checkpoints of its own, for the log alone
    /// would be read differently the next time. A node that is the only one to hold its data refuses to go on
    /// unless it was told to.
    pub(super) fn settle(
        &mut self,
        log: &Log<FileDisk, Note>,
        config: &Config,
        (single, new_log): (bool, bool),
    ) -> Result<(), StartError> {
        let places = 0..self.partitions.len();
        let orphaned = |at: usize| new_log && self.covers[at].is_some_and(|covers| covers.0 > 0);
        let lost: Vec<usize> = places
            .filter(|at| self.partitions[*at].is_some())
            .filter(|at| self.has_lost(*at) || orphaned(*at))
            .collect();
        if lost.is_empty() {
            return Ok(());
        }
        let files = if new_log {
            "the log is".to_owned()
        } else {
            format!("the checkpoints of {} partitions are", lost.len())
        };
        if single && !config.accept_loss {
            return Err(StartError::Lost {
                dir: config.dir.clone(),
                files,
            });
        }
        tracing::error!(
            partitions = lost.len(),
            "{files} lost or damaged: what was in there comes back from the other nodes, as far as they have it"
        );
        for at in lost {
            let Some(partition) = &mut self.partitions[at] else {
                continue;
            };
            let number = u16::try_from(at).unwrap_or(u16::MAX);
            let written =
                checkpoint::write(log.disk(), number, log.last(), &partition.checkpoint());
            self.checkpoint_bytes += written.map_err(|error| StartError::Log {
                dir: config.dir.clone(),
                cause: chain(&error),
            })?;
        }
        Ok(())
    }
}
