//! The replicas of a node while it starts: first their checkpoints, then the log.
//!
//! Invariant: a partition whose checkpoint is damaged, or whose log does not reach back to it, takes from the log
//! only what is complete in itself, and gets a new checkpoint before anything is built on it; the rest comes back
//! from the other members, as it does for a member that was away (replication.md 3.2). A damaged log counts so from its
//! first hole on, for all partitions: what is left of it goes into checkpoints, and a new log begins behind it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use evenkeel_core::codec::DecodeError;
use evenkeel_core::id::PartitionId;
use evenkeel_core::partition::Partition;
use evenkeel_store::checkpoint::{self, Covered, ReadError, Replay};
use evenkeel_store::disk::Disk;
use evenkeel_store::limits::SEGMENT_BYTES_DEFAULT;
use evenkeel_store::log::{
    self, Log, LogError, LogId, OpenError, Options, Record, Recovery, Sequence,
};

use super::recovery::{StartError, chain};
use super::wal::records;
use crate::config::{Config, PARTITIONS};

/// The replicas, and how much of each was found.
pub(super) struct Replicas {
    /// By partition number.
    pub(super) partitions: Vec<Partition>,
    /// By partition number, what the checkpoint covers of the log; `None` where it is damaged.
    covers: Vec<Option<Covered>>,
    /// The first record that the log still has.
    first: Option<Sequence>,
    /// Whether a hole in the log has been passed.
    behind_hole: bool,
    pub(super) checkpoint_bytes: u64,
}

impl Replicas {
    /// Everything that the directory holds: the replicas, and the log behind them. `fresh` makes an empty replica: of every
    /// partition, also of those that this node is no member of, for it may have kept something for their members.
    pub(super) fn open<D: Disk, T>(
        disk: Arc<D>,
        config: &Config,
        single: bool,
        fresh: impl Fn(PartitionId) -> Partition,
    ) -> Result<(Self, Log<D, T>, Recovery), StartError> {
        let mut replicas = Self::from_checkpoints(&*disk, &config.dir, &fresh)?;
        match replicas.open_log(&disk, config) {
            Ok((log, recovery)) => {
                replicas.settle(&log, config, (single, recovery.created))?;
                Ok((replicas, log, recovery))
            }
            Err(OpenError::Log(error)) if error.is_damage() => {
                // What was replayed in front of the damage must not stay: it is read again, with what follows.
                let mut replicas = Self::from_checkpoints(&*disk, &config.dir, &fresh)?;
                replicas.take_what_is_left(&*disk, (config, single), &error)?;
                let opened = replicas.open_log(&disk, config);
                let (log, recovery) = opened.map_err(|error| cannot_open(config, &error))?;
                Ok((replicas, log, recovery))
            }
            Err(error) => Err(cannot_open(config, &error)),
        }
    }

    /// How many keys can be read of each partition; changes nothing.
    pub(super) fn left(
        disk: &impl Disk,
        dir: &Path,
        fresh: impl Fn(PartitionId) -> Partition,
    ) -> Result<BTreeMap<u16, usize>, StartError> {
        let mut replicas = Self::from_checkpoints(disk, dir, &fresh)?;
        let left = log::salvage(disk, |record, is_whole| {
            replicas.behind_hole = !is_whole;
            replicas.replay(record)
        });
        left.map_err(|error| StartError::Log {
            dir: dir.to_owned(),
            cause: chain(&error),
        })?;
        let all = (0..).zip(&replicas.partitions);
        Ok(all
            .map(|(id, partition)| (id, partition.replica().key_count()))
            .collect())
    }

    fn open_log<D: Disk, T>(
        &mut self,
        disk: &Arc<D>,
        config: &Config,
    ) -> Result<(Log<D, T>, Recovery), OpenError<DecodeError>> {
        let mut options = Options::new(LogId(crate::entropy::random()));
        options.segment_bytes = segment_bytes(config.checkpoint_log_bytes);
        // A checkpoint that is lost later must be missed: none reaches as far as the log begins.
        options.new_first = self.covers_upto().next();
        Log::open(Arc::clone(disk), options, |record| self.replay(record))
    }

    /// Takes every record of a damaged log that can still be read, puts the result into checkpoints, and lets the log
    /// go. A crash on the way leaves a log that is as damaged as before, or none.
    fn take_what_is_left(
        &mut self,
        disk: &impl Disk,
        (config, single): (&Config, bool),
        damage: &LogError,
    ) -> Result<(), StartError> {
        let left = log::salvage(disk, |record, is_whole| {
            self.behind_hole = !is_whole;
            self.replay(record)
        });
        let left = left.map_err(|error| cannot_open(config, &error))?;
        if single && left.has_loss() && !config.accept_loss {
            return Err(StartError::Lost {
                dir: config.dir.clone(),
                files: format!("{}: the log is", chain(damage)),
            });
        }
        tracing::error!(
            cause = chain(damage),
            records_left = left.records,
            holes = left.holes.len(),
            "the log is damaged: what was in there comes back from the other nodes, as far as they have it"
        );
        for hole in &left.holes {
            tracing::warn!(file = hole.file, offset = hole.offset, bytes = hole.bytes, why = %hole.why, "hole");
        }
        let covered = self.covers_upto().max(left.last);
        let all: Vec<usize> = (0..self.partitions.len()).collect();
        self.write_checkpoints(disk, config, &all, covered)?;
        log::discard(disk).map_err(|error| cannot_open(config, &error))
    }

    /// Reads the checkpoints into fresh replicas.
    fn from_checkpoints(
        disk: &impl Disk,
        dir: &Path,
        fresh: impl Fn(PartitionId) -> Partition,
    ) -> Result<Self, StartError> {
        let mut replicas = Self {
            partitions: Vec::new(),
            covers: Vec::new(),
            first: None,
            behind_hole: false,
            checkpoint_bytes: 0,
        };
        for id in (0..PARTITIONS).map(PartitionId) {
            let mut partition = fresh(id);
            let mut covers = Some(Covered::whole(Sequence::NONE));
            match checkpoint::read(disk, id.0, |record| partition.replay(record)) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    covers = Some(found.covered);
                    replicas.checkpoint_bytes += found.bytes;
                }
                // Another version's, or a file that may be read once what stands in the way is gone.
                Err(error) if !is_damage(&error) => {
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
            replicas.partitions.push(partition);
            replicas.covers.push(covers);
        }
        Ok(replicas)
    }

    /// How far the checkpoints reach.
    fn covers_upto(&self) -> Sequence {
        let all = self.covers.iter().flatten();
        all.map(|covered| covered.upto)
            .max()
            .unwrap_or(Sequence::NONE)
    }

    /// Whether the log begins behind the end of a partition's checkpoint.
    fn has_lost(&self, at: usize) -> bool {
        let first = self.first.unwrap_or(Sequence(1));
        let covers = self.covers.get(at).copied().flatten();
        covers.is_none_or(|covers| covers.upto.next() < first)
    }

    /// Takes one record of the log.
    pub(super) fn replay(&mut self, record: Record<'_>) -> Result<(), DecodeError> {
        self.first.get_or_insert(record.sequence);
        records(record.payload).try_for_each(|bytes| self.replay_one(record.sequence, bytes))
    }

    fn replay_one(&mut self, sequence: Sequence, record: &[u8]) -> Result<(), DecodeError> {
        let head = evenkeel_core::wire::head(record)?;
        let at = usize::from(head.partition.0);
        let covers = self.covers.get(at).copied().flatten();
        let is_contained =
            |covers: Covered| covers.replay == Replay::Behind && sequence <= covers.upto;
        if covers.is_some_and(is_contained) {
            return Ok(());
        }
        let lost = self.behind_hole || self.has_lost(at);
        match self.partitions.get_mut(at) {
            Some(partition) if lost => partition.replay_after_loss(record),
            Some(partition) => partition.replay(record),
            None => Err(DecodeError {
                what: "log record",
                offset: 2,
                why: "there is no such partition",
            }),
        }
    }

    /// When all was read: says what is lost, and puts what is left into checkpoints of its own, for the log alone
    /// would be read differently the next time. A node that is the only one to hold its data refuses to go on
    /// unless it was told to.
    fn settle<T>(
        &mut self,
        log: &Log<impl Disk, T>,
        config: &Config,
        (single, new_log): (bool, bool),
    ) -> Result<(), StartError> {
        // A log without a record begins somewhere too.
        self.first = Some(log.first());
        let places = 0..self.partitions.len();
        let orphaned = |at: usize| {
            new_log && self.covers[at].is_some_and(|covers| covers.upto > Sequence::NONE)
        };
        let lost: Vec<usize> = places
            .filter(|at| self.has_lost(*at) || orphaned(*at))
            .collect();
        let covered = self.covers_upto().max(log.last());
        // Of what was never held here nothing can be lost; it only has no checkpoint yet.
        let is_loss = |at: &usize| {
            let partition = &self.partitions[*at];
            partition.role().is_member() || !partition.replica().context().is_empty()
        };
        if !lost.iter().any(is_loss) {
            return self.write_checkpoints(log.disk(), config, &lost, covered);
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
        self.write_checkpoints(log.disk(), config, &lost, covered)
    }

    /// Puts partitions into checkpoints of their own.
    fn write_checkpoints(
        &mut self,
        disk: &impl Disk,
        config: &Config,
        partitions: &[usize],
        covered: Sequence,
    ) -> Result<(), StartError> {
        for &at in partitions {
            let partition = &mut self.partitions[at];
            let number = u16::try_from(at).unwrap_or(u16::MAX);
            // What did not count now must not count at the next start either, whether this one gets any further or not.
            let covered = Covered::behind(covered);
            let written = checkpoint::write(disk, number, covered, &partition.checkpoint());
            self.checkpoint_bytes += written.map_err(|error| cannot_open(config, &error))?;
            self.covers[at] = Some(covered);
        }
        Ok(())
    }
}

/// Whether a checkpoint is not what was written, so that it must be rebuilt.
fn is_damage(error: &ReadError<DecodeError>) -> bool {
    match error {
        ReadError::Version { .. } => false,
        ReadError::Disk(error) => error.is_bad_medium(),
        ReadError::Damaged { .. } | ReadError::Refused { .. } => true,
    }
}

fn cannot_open(config: &Config, error: &dyn std::error::Error) -> StartError {
    StartError::Log {
        dir: config.dir.clone(),
        cause: chain(error),
    }
}

/// Segments small enough that a round of checkpoints lets most of the log go.
fn segment_bytes(checkpoint_log_bytes: u64) -> u64 {
    const LEAST: u64 = 4 << 10;
    (checkpoint_log_bytes / 4).clamp(LEAST, SEGMENT_BYTES_DEFAULT)
}

#[cfg(test)]
mod tests;
