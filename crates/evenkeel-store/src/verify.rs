//! Looking at everything on a disk without opening it: each record of the log, each record of each checkpoint.
//!
//! Nothing is changed. What the records mean is the caller's business, as ever; it may look at those that are whole.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::checkpoint::{self, Covered, ReadError};
use crate::disk::{Disk, DiskError};
use crate::log::{OpenError, Sequence, salvage};

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// What a crash leaves and the next start puts in order: nothing that was durable is missing.
    Leftover,
    /// What is made anew from the rest: nothing is missing.
    Rebuilt,
    /// Something that was durable is missing here.
    Loss,
    /// A later version of the program wrote it; this one cannot tell.
    Version,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in words.
    pub what: String,
}

/// What was found on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files looked at.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Records of the log that are whole.
    pub log_records: u64,
    /// The first of them.
    pub log_first: Option<Sequence>,
    /// Checkpoints that are whole, by number, and what they cover.
    pub checkpoints: BTreeMap<u16, Covered>,
    /// What is wrong, the log first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst that was found.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// Adds a finding.
    pub fn add(&mut self, file: &str, severity: Severity, what: impl Into<String>) {
        self.findings.push(Finding {
            file: file.to_owned(),
            offset: 0,
            severity,
            what: what.into(),
        });
    }
}

/// Looks at everything; `each` gets the payload of each whole record of the log.
///
/// # Errors
/// When the disk fails otherwise than by a bad sector.
pub fn verify<D: Disk>(disk: &D, each: impl FnMut(&[u8])) -> Result<Report, DiskError> {
    let names = disk.list()?;
    let mut report = Report::default();
    verify_log(disk, &names, &mut report, each)?;
    for name in &names {
        if let Some(number) = checkpoint::number_of(name) {
            report.files += 1;
            verify_checkpoint(disk, number, &mut report)?;
        } else if name.starts_with("checkpoint-") {
            let what = "a checkpoint that was not finished; the next one takes its place";
            report.add(name, Severity::Leftover, what);
        }
    }
    Ok(report)
}

fn verify_log<D: Disk>(
    disk: &D,
    names: &[String],
    report: &mut Report,
    mut each: impl FnMut(&[u8]),
) -> Result<(), DiskError> {
    let of_log =
        |name: &&String| name.starts_with("log-") || matches!(name.as_str(), "format" | "synced");
    report.files += names.iter().filter(of_log).count() as u64;
    let mut first = None;
    let salvaged = salvage(disk, |record, _| {
        first.get_or_insert(record.sequence);
        each(record.payload);
        Ok::<(), Infallible>(())
    });
    let salvaged = match salvaged {
        Ok(salvaged) => salvaged,
        Err(OpenError::Log(crate::log::LogError::Disk(error))) => return Err(error),
        Err(error) => {
            report.add("format", Severity::Version, error.to_string());
            return Ok(());
        }
    };
    report.bytes += salvaged.bytes;
    report.log_records = salvaged.records;
    report.log_first = first.or_else(|| salvaged.begins());
    for hole in salvaged.holes {
        let severity = match hole.why {
            crate::log::Damage::Format | crate::log::Damage::Mark => Severity::Rebuilt,
            _ if hole.is_loss => Severity::Loss,
            _ => Severity::Leftover,
        };
        let what = match hole.bytes {
            0 => hole.why.to_string(),
            bytes => format!("{}; {bytes} bytes belong to no record", hole.why),
        };
        report.findings.push(Finding {
            file: hole.file,
            offset: hole.offset,
            severity,
            what,
        });
    }
    Ok(())
}

/// Looks at one checkpoint.
///
/// # Errors
/// When the disk fails otherwise than by a bad sector.
pub fn verify_checkpoint<D: Disk>(
    disk: &D,
    number: u16,
    report: &mut Report,
) -> Result<(), DiskError> {
    let name = checkpoint::name(number);
    match checkpoint::read(disk, number, |_| Ok::<(), Infallible>(())) {
        Ok(None) => {}
        Ok(Some(found)) => {
            report.bytes += found.bytes;
            report.checkpoints.insert(number, found.covered);
            let first = report.log_first.unwrap_or(Sequence(1));
            if found.covered.upto.next() < first {
                let what = format!(
                    "it ends at record {} of the log, and the log begins at record {first}",
                    found.covered.upto
                );
                report.add(&name, Severity::Loss, what);
            }
        }
        Err(ReadError::Damaged { offset, .. }) => report.findings.push(Finding {
            file: name,
            offset,
            severity: Severity::Loss,
            what: "the record there is not what was written".to_owned(),
        }),
        Err(ReadError::Disk(error)) if error.is_bad_medium() => {
            report.add(&name, Severity::Loss, "the disk cannot read it");
        }
        Err(ReadError::Disk(error)) => return Err(error),
        Err(error @ (ReadError::Version { .. } | ReadError::Refused { .. })) => {
            report.add(&name, Severity::Version, error.to_string());
        }
    }
    Ok(())
}
