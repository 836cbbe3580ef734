//! What can go wrong with the log, and what then happened to its state.

use std::fmt;
use std::sync::Arc;

use super::Sequence;
use crate::disk::DiskError;

/// Why the log did not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The payload is longer than one record may be. Nothing was written.
    #[error("a record of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes of the payload.
        bytes: usize,
        /// [`RECORD_BYTES_MAX`](crate::limits::RECORD_BYTES_MAX).
        limit: usize,
    },
    /// No space is left. The log stands as before the call, and a later append
    /// may succeed once space is free.
    #[error("no space left for the log")]
    DiskFull,
    /// Too many full segments wait for their fsync. Nothing was written; append
    /// again after the next sync.
    #[error("{segments} full segments wait for their fsync")]
    Behind {
        /// How many.
        segments: usize,
    },
    /// A write or an fsync failed, now or earlier. What reached the disk since
    /// the last durable record is unknown. Nothing is written any more until
    /// the log is opened again: a retried fsync may succeed without having
    /// written anything.
    #[error("the log takes no more records until restart")]
    Poisoned {
        /// What failed first.
        #[source]
        cause: Arc<Failure>,
    },
    /// The log was closed. Nothing was written.
    #[error("the log is closed")]
    Closed,
    /// Something that was durable is missing or wrong. Nothing was changed.
    /// The state must be rebuilt from the other replicas.
    #[error("{file} is damaged at byte {offset}: {why}")]
    Damaged {
        /// The file.
        file: String,
        /// Where the first record that is missing or wrong should be.
        offset: u64,
        /// What is wrong.
        why: Damage,
    },
    /// The log was written by another version of the program. Nothing was
    /// changed. Start a version that knows the format.
    #[error("the log has format version {found}, this program knows {supported}")]
    Version {
        /// The version found.
        found: u32,
        /// The version known.
        supported: u32,
    },
    /// The options ask for a segment size out of bounds. Nothing was changed.
    #[error("a segment size of {bytes} bytes is not between {min} and {max}")]
    SegmentSize {
        /// Bytes asked for.
        bytes: u64,
        /// Least size.
        min: u64,
        /// Greatest size.
        max: u64,
    },
    /// The disk failed while the log was being opened. What was readable before
    /// still is; open again.
    #[error("the log cannot be opened")]
    Disk(#[from] DiskError),
}

impl LogError {
    /// Whether what was durable is missing or wrong, so that the log must be rebuilt from what is left of it
    /// ([`salvage`](super::salvage())) and from the other replicas.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Disk(error) => error.is_bad_medium(),
            _ => false,
        }
    }
}

/// What poisoned a log.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A write, an fsync or a change of names failed.
    #[error("the log's disk failed")]
    Disk(#[source] DiskError),
    /// The code around the log panicked, so nobody knows how far it got.
    #[error("a thread panicked while it worked on the log")]
    Panicked,
    /// A sync was finished that this log had not begun.
    #[error("a sync was finished that the log had not begun")]
    Confused,
}

/// What is wrong with a damaged log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// There are segments and no `format` file, or it is not readable.
    Format,
    /// Neither slot of the `synced` file is readable.
    Mark,
    /// The disk cannot read a part of the file.
    Unreadable,
    /// A file looks like a segment and bears an impossible name.
    Name,
    /// A segment has gone.
    SegmentMissing,
    /// The head of a segment is wrong.
    SegmentHeader,
    /// A segment does not begin with the record that should follow.
    Gap {
        /// The record that should follow.
        expected: Sequence,
        /// The record the segment begins with.
        found: Sequence,
    },
    /// The head of a record is wrong or incomplete.
    RecordHeader {
        /// The record that should be there.
        expected: Sequence,
    },
    /// The right head of another record is there.
    Misplaced {
        /// The record that should be there.
        expected: Sequence,
        /// The record that is.
        found: Sequence,
    },
    /// The payload of a record is wrong or incomplete.
    Payload {
        /// The record.
        record: Sequence,
    },
    /// The log ends before the last record known durable.
    Ends {
        /// The first record missing.
        expected: Sequence,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => write!(formatter, "the format file is missing or unreadable"),
            Self::Mark => write!(formatter, "the synced mark is missing or unreadable"),
            Self::Unreadable => write!(formatter, "the disk cannot read it"),
            Self::Name => write!(formatter, "no segment has such a name"),
            Self::SegmentMissing => write!(formatter, "the segment is missing"),
            Self::SegmentHeader => write!(formatter, "the segment's header is wrong"),
            Self::Gap { expected, found } => {
                write!(
                    formatter,
                    "begins with record {found} instead of {expected}"
                )
            }
            Self::RecordHeader { expected } => {
                write!(formatter, "no header of record {expected}")
            }
            Self::Misplaced { expected, found } => {
                write!(
                    formatter,
                    "record {found} stands in the place of {expected}"
                )
            }
            Self::Payload { record } => {
                write!(
                    formatter,
                    "the payload of record {record} is wrong or incomplete"
                )
            }
            Self::Ends { expected } => {
                write!(
                    formatter,
                    "ends before record {expected}, which was durable"
                )
            }
        }
    }
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError<E> {
    /// The log itself.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The caller refused a record. The log was not changed.
    #[error("record {sequence} cannot be replayed")]
    Replay {
        /// The record.
        sequence: Sequence,
        /// What the caller said.
        #[source]
        source: E,
    },
}

impl<E> From<DiskError> for OpenError<E> {
    fn from(error: DiskError) -> Self {
        Self::Log(LogError::Disk(error))
    }
}
