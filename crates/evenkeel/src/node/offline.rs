//! Looking at a data directory, and giving up what is damaged in it, while no node runs on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use evenkeel_core::id::{ActorId, NodeId, PartitionId};
use evenkeel_core::partition::{Partition, Settings};
use evenkeel_store::disk::{DiskError, FileDisk, LockError};
use evenkeel_store::log::Sequence;
use evenkeel_store::verify::verify as verify_disk;
pub use evenkeel_store::verify::{Finding, Report, Severity};

use super::control::{self, Saved};
use super::identity;
use super::recovery::{StartError, chain};
use super::replicas::Replicas;
use super::wal::{Note, records};
use crate::config::Config;

/// Why a directory cannot be looked at. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// It is not there, cannot be read, or a node runs on it.
    #[error(transparent)]
    Directory(#[from] LockError),
    /// The disk failed.
    #[error("the directory cannot be read")]
    Disk(#[from] DiskError),
    /// What is left cannot be put together.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Looks at every file of a directory: each record of the log, each block of the checkpoints, the identity.
///
/// # Errors
/// When the directory cannot be read, or a node runs on it.
pub fn verify(dir: &Path) -> Result<Report, LookError> {
    let disk = FileDisk::open_to_read(dir)?;
    let mut named = BTreeSet::new();
    let mut report = verify_disk(&disk, |payload| {
        let heads = records(payload).filter_map(|record| evenkeel_core::wire::head(record).ok());
        named.extend(heads.map(|head| head.partition));
    })?;
    // A log that does not begin at the beginning needs a checkpoint of each partition that is in it.
    if report.log_first.is_some_and(|first| first > Sequence(1)) {
        let looked_at = |id: &PartitionId| {
            let file = format!("checkpoint-{:04x}.ekc", id.0);
            report.checkpoints.contains_key(&id.0)
                || report.findings.iter().any(|finding| finding.file == file)
        };
        let missing: Vec<PartitionId> = named.into_iter().filter(|id| !looked_at(id)).collect();
        for id in missing {
            let file = format!("checkpoint-{:04x}.ekc", id.0);
            report.add(
                &file,
                Severity::Loss,
                "it is missing, and the log does not reach back to the beginning",
            );
        }
    }
    for (file, what, is_last) in identity::findings(dir) {
        let severity = if is_last {
            Severity::Loss
        } else {
            Severity::Rebuilt
        };
        report.files += 1;
        report.add(file, severity, what);
    }
    report.files += 1;
    if matches!(control::saved(dir), Ok(Saved::Damaged) | Err(_)) {
        let what = "it cannot be read: the node learns the topology anew from the others";
        report.add(control::FILE, Severity::Rebuilt, what);
    }
    Ok(report)
}

/// What giving up means for a directory.
#[derive(Clone, Debug, Default)]
pub struct Loss {
    /// What is wrong.
    pub report: Report,
    /// By partition that lost something: the slots it has, how many keys are left of it.
    pub left: BTreeMap<u16, usize>,
}

/// Tells what is left of a damaged directory, and what is lost with it; changes nothing.
///
/// # Errors
/// When the directory cannot be read, or a node runs on it.
pub fn loss(dir: &Path) -> Result<Loss, LookError> {
    let report = verify(dir)?;
    let disk = FileDisk::open_to_read(dir)?;
    let left = Replicas::left(&disk, dir, fresh).map_err(LookError::Start)?;
    let has_hole = report.findings.iter().any(|finding| {
        finding.severity == Severity::Loss && !finding.file.starts_with("checkpoint-")
    });
    let is_hit = |id: u16| {
        let file = format!("checkpoint-{id:04x}.ekc");
        has_hole || report.findings.iter().any(|finding| finding.file == file)
    };
    let left = left.into_iter().filter(|(id, _)| is_hit(*id)).collect();
    Ok(Loss { report, left })
}

/// Goes on with what is left of a damaged directory: writes it into checkpoints and begins a new log.
///
/// # Errors
/// When the directory cannot be written, or a node runs on it.
pub fn accept_loss(dir: &Path) -> Result<(), LookError> {
    let config = Config {
        dir: dir.to_owned(),
        accept_loss: true,
        ..Config::default()
    };
    let disk = Arc::new(FileDisk::open(dir)?);
    let opened = Replicas::open::<_, Note>(disk, &config, true, fresh)?;
    let (_, mut log, _) = opened;
    log.close().map_err(|error| {
        LookError::Start(StartError::Log {
            dir: dir.to_owned(),
            cause: chain(&error),
        })
    })?;
    Ok(())
}

/// A replica to read into. Who the members are makes no difference to what is in it.
fn fresh(id: PartitionId) -> Partition {
    let me = NodeId(0);
    let mut settings = Settings::new(id, me, vec![me]);
    settings.hash_seed = crate::entropy::random();
    Partition::new(settings, ActorId::ordinary(crate::entropy::random()))
}
