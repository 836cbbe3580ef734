//! The commit log: appends records, makes them durable in groups, replays them.
//!
//! [`Log`] is the machine: one owner, no thread, no clock. [`SharedLog`] is what
//! a server uses: the machine behind a mutex, synced by a thread.
//!
//! # Invariants
//!
//! 1. Records have sequences 1, 2, 3, … without gaps over all segments.
//! 2. A record is called durable only after an fsync that began after it was
//!    written, of its file, of every file before it and of the directory if a
//!    segment was begun since, has returned `Ok`. So what is durable is always a
//!    prefix of the log.
//! 3. No bytes follow the last good record: a write that ran out of space is cut
//!    off again, any other failed write or fsync poisons the log until restart.
//! 4. The oldest segment that must exist is recorded before older ones go.
//!
//! # What recovery may cut off, and what it must not
//!
//! After a power cut the log's end may be torn: it may lack unsynced records,
//! hold half of one, or hold a later one without an earlier one. Cutting that
//! off is right. A durable record that cannot be read is damage, and cutting it
//! off would be silent loss. Both look alike in the file; what tells them apart
//! is how far the log was *known durable*. Recovery takes as known the greatest
//! of
//!
//! - the durable sequence in the `synced` mark. It is written after every fsync
//!   of the log, before anyone is told; so it outlives the process always, and
//!   the power if it was itself synced: on close, whenever a segment is full,
//!   after recovery, and after a second without work;
//! - the durable sequence in the header of every segment and of every record
//!   that passes its checksum, those behind the damage included: recovery looks
//!   for them at each offset. They vouch for what the mark may have lost with
//!   the power.
//!
//! Let `s` be the first record that is not where it should be, or not whole: the
//! end of the log counts as one. If `s` is known durable, the log is
//! [damaged](LogError::Damaged). If not, then nothing from `s` on was known
//! durable, and all of it is cut off: the rest of that segment, and segments
//! after it. (A later segment may hold records while an earlier one is torn,
//! because a full segment is synced in the background like everything else: an
//! append never waits for a disk.) All evidence is true, since it was written
//! after the fsync it tells of; so a torn tail is never taken for damage.
//!
//! What remains: a power cut may lose the newest marks; if in addition the very
//! records rot that were durable since the last mark that survived, they look
//! torn. That takes two faults at once.
//!
//! Records that were replayed but not known durable are *written again* before
//! they are synced. After a failed fsync the kernel may hold pages that are
//! marked clean and never reached the disk; a sync alone would then say `Ok`
//! without writing them.
//!
//! No time of day takes part in any of this.

mod error;
mod format;
mod job;
mod mark;
mod reader;
mod recover;
mod salvage;
mod shared;

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;

pub use error::{Damage, Failure, LogError, OpenError};
use format::{RECORD_HEADER_BYTES, RecordHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use job::InFlight;
pub use job::{Durable, Removal, SyncJob, SyncOutcome};
use mark::Mark;
pub use salvage::{Hole, Salvaged, check_full_segments, discard, salvage};
pub use shared::{Observer, ParseSyncPolicyError, SharedLog, SyncPolicy};

use crate::disk::{Disk, DiskError, DiskFile};
use crate::limits::{
    RECORD_BYTES_MAX, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
    UNSYNCED_SEGMENTS_MAX,
};

/// A record's place in the log: 1 for the first ever, then one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Before the first record.
    pub const NONE: Self = Self(0);

    /// The record after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The record before this one.
    pub(crate) fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Which fsync covers an append: counts the fsyncs begun since the log was
/// opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// The log's identity, drawn at random by its creator and part of every
/// checksum, so that files of two logs cannot be mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId(pub u64);

/// A segment's number: 1 for the first ever, then one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentNumber(pub u64);

/// A segment and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    number: SegmentNumber,
    first: Sequence,
}

/// How to open a log.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The identity a log gets that does not exist yet; an existing one keeps
    /// its own. Draw it at random.
    pub new_id: LogId,
    /// The sequence that the first record of a log gets that does not exist yet: behind everything that an earlier
    /// log on this disk may have held, so that whoever remembers a sequence of that one finds it missing.
    pub new_first: Sequence,
    /// A segment that would grow beyond this is closed and the next one begun.
    pub segment_bytes: u64,
}

impl Options {
    /// The defaults, for a log that gets `new_id` if it is new.
    #[must_use]
    pub fn new(new_id: LogId) -> Self {
        Self {
            new_id,
            new_first: Sequence(1),
            segment_bytes: SEGMENT_BYTES_DEFAULT,
        }
    }
}

/// A record that is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the log.
    pub sequence: Sequence,
    /// The bytes that were appended, all parts in one.
    pub payload: &'a [u8],
}

/// What was found when the log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Whether there was no log and one was created.
    pub created: bool,
    /// Records replayed.
    pub records: u64,
    /// Payload bytes replayed.
    pub bytes: u64,
    /// Segments there are.
    pub segments: u64,
    /// The last record, [`Sequence::NONE`] if there never was one. It and
    /// everything before it is durable.
    pub last: Sequence,
    /// Bytes cut off because they were torn and not durable.
    pub torn_bytes: u64,
    /// Segments removed for the same reason.
    pub torn_segments: u64,
}

/// What an append got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The record's place in the log.
    pub sequence: Sequence,
    /// The fsync that will cover it.
    pub generation: Generation,
}

/// What waits to be synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Whether anything was written that no sync has begun for.
    pub dirty: bool,
    /// Full segments that are not known durable.
    pub full_segments: usize,
}

/// An open log whose records carry notes of type `T`: whatever the caller wants
/// back when a record is durable. Notes are never written to disk.
pub struct Log<D: Disk, T> {
    disk: Arc<D>,
    mark: Arc<Mark<D>>,
    id: LogId,
    segment_bytes: u64,
    /// All segments, oldest first; the last one is the active one.
    segments: VecDeque<Segment>,
    active: Active<D>,
    /// The sequence of the next record.
    next: Sequence,
    sync: SyncState<D, T>,
    condition: Condition,
}

/// The segment that is appended to.
struct Active<D: Disk> {
    segment: Segment,
    file: Arc<D::File>,
    /// The end of the last good record.
    length: u64,
}

/// What is durable, and what is on its way.
struct SyncState<D: Disk, T> {
    /// Everything up to here is durable.
    durable: Sequence,
    /// This segment and all before it exist durably.
    durable_segment: SegmentNumber,
    /// The generation of the next append.
    generation: Generation,
    /// Full segments that are not known durable, oldest first.
    full: Vec<Arc<D::File>>,
    /// Whether a segment was begun since the last sync began.
    names_changed: bool,
    /// Whether the mark was written since it was synced.
    mark_stale: bool,
    /// Notes of the records that no sync has begun for.
    notes: Vec<T>,
    in_flight: Option<InFlight<T>>,
}

enum Condition {
    Open,
    Closed,
    Poisoned(Arc<Failure>),
}

/// A payload in parts, measured and summed before any lock is taken.
struct Payload<'a> {
    parts: &'a [&'a [u8]],
    length: u32,
    crc: u32,
}

impl<'a> Payload<'a> {
    fn new(parts: &'a [&'a [u8]]) -> Result<Self, LogError> {
        let bytes = parts
            .iter()
            .fold(0_usize, |bytes, part| bytes.saturating_add(part.len()));
        let too_large = LogError::TooLarge {
            bytes,
            limit: RECORD_BYTES_MAX,
        };
        if bytes > RECORD_BYTES_MAX {
            return Err(too_large);
        }
        Ok(Self {
            parts,
            length: u32::try_from(bytes).map_err(|_| too_large)?,
            crc: parts
                .iter()
                .fold(0, |crc, part| crc32c::crc32c_append(crc, part)),
        })
    }

    /// Bytes of the record on disk.
    fn record_bytes(&self) -> u64 {
        RECORD_HEADER_BYTES as u64 + u64::from(self.length)
    }
}

impl<D: Disk, T> Log<D, T> {
    /// Opens the log on this disk, or creates it, and replays every record in
    /// order. Everything replayed is durable when this returns.
    ///
    /// After an error the caller must forget what was replayed.
    pub fn open<E>(
        disk: impl Into<Arc<D>>,
        options: Options,
        replay: impl FnMut(Record<'_>) -> Result<(), E>,
    ) -> Result<(Self, Recovery), OpenError<E>> {
        let Options {
            new_id,
            new_first,
            segment_bytes,
        } = options;
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment_bytes) {
            return Err(OpenError::Log(LogError::SegmentSize {
                bytes: segment_bytes,
                min: SEGMENT_BYTES_MIN,
                max: SEGMENT_BYTES_MAX,
            }));
        }
        let opened = recover::open(disk.into(), (new_id, new_first), replay)?;
        let recovery = opened.recovery;
        let log = Self {
            disk: opened.disk,
            mark: opened.mark,
            id: opened.id,
            segment_bytes,
            sync: SyncState {
                durable: recovery.last,
                durable_segment: opened.active.segment.number,
                generation: Generation(1),
                full: Vec::new(),
                names_changed: false,
                mark_stale: false,
                notes: Vec::new(),
                in_flight: None,
            },
            segments: opened.segments,
            active: opened.active,
            next: recovery.last.next(),
            condition: Condition::Open,
        };
        Ok((log, recovery))
    }

    /// Appends one record made of all parts, in one write. It is not durable
    /// before a sync of the ticket's generation has succeeded; its note comes
    /// back then.
    pub fn append(&mut self, parts: &[&[u8]], note: T) -> Result<Ticket, LogError> {
        self.append_payload(&Payload::new(parts)?, note)
    }

    fn append_payload(&mut self, payload: &Payload<'_>, note: T) -> Result<Ticket, LogError> {
        self.check_open()?;
        if self.needs_roll(payload) {
            self.roll()?;
        }
        self.write_record(payload)?;
        let sequence = self.next;
        self.active.length += payload.record_bytes();
        self.next = sequence.next();
        self.sync.notes.push(note);
        Ok(Ticket {
            sequence,
            generation: self.sync.generation,
        })
    }

    fn write_record(&mut self, payload: &Payload<'_>) -> Result<(), LogError> {
        let header = RecordHeader {
            length: payload.length,
            payload_crc: payload.crc,
            sequence: self.next,
            durable: self.sync.durable,
        };
        let header = header.encode(self.id, self.active.segment.number);
        let mut parts = Vec::with_capacity(1 + payload.parts.len());
        parts.push(IoSlice::new(&header));
        parts.extend(payload.parts.iter().map(|part| IoSlice::new(part)));
        let written = self.active.file.append(&mut parts);
        self.undo_if_full(written, |log| log.active.file.truncate(log.active.length))
    }

    /// Begins the next segment if the active one holds a record, so that it can leave the log as a whole.
    pub fn begin_segment(&mut self) -> Result<(), LogError> {
        self.check_open()?;
        if self.next > self.active.segment.first {
            self.roll()?;
        }
        Ok(())
    }

    /// Closes the active segment and begins the next one.
    fn roll(&mut self) -> Result<(), LogError> {
        let segments = self.sync.full.len();
        if segments >= UNSYNCED_SEGMENTS_MAX {
            return Err(LogError::Behind { segments });
        }
        let segment = Segment {
            number: SegmentNumber(self.active.segment.number.0 + 1),
            first: self.next,
        };
        let name = format::segment_name(segment.number);
        let header = SegmentHeader {
            id: self.id,
            number: segment.number,
            first: segment.first,
            durable: self.sync.durable,
        };
        let created = self.disk.create(&name);
        let file = self.undo_if_full(created, |_| Ok(()))?;
        let written = file.append(&mut [IoSlice::new(&header.encode())]);
        self.undo_if_full(written, |log| log.disk.remove(&name))?;
        let next = Active {
            segment,
            file: Arc::new(file),
            length: SEGMENT_HEADER_BYTES as u64,
        };
        let full = std::mem::replace(&mut self.active, next);
        self.sync.full.push(full.file);
        self.sync.names_changed = true;
        self.segments.push_back(segment);
        Ok(())
    }

    /// Answers a failed write: if space ran out and `undo` succeeds, the log is
    /// as before the write; otherwise it is poisoned.
    fn undo_if_full<R>(
        &mut self,
        written: Result<R, DiskError>,
        undo: impl FnOnce(&Self) -> Result<(), DiskError>,
    ) -> Result<R, LogError> {
        match written {
            Ok(done) => Ok(done),
            Err(error) if error.is_full() => match undo(self) {
                Ok(()) => Err(LogError::DiskFull),
                Err(error) => Err(self.poison(Failure::Disk(error))),
            },
            Err(error) => Err(self.poison(Failure::Disk(error))),
        }
    }

    fn needs_roll(&self, payload: &Payload<'_>) -> bool {
        self.active.length + payload.record_bytes() > self.segment_bytes
            && self.next > self.active.segment.first
    }

    /// Whether an append of this payload would answer [`LogError::Behind`].
    fn is_behind(&self, payload: &Payload<'_>) -> bool {
        matches!(self.condition, Condition::Open)
            && self.sync.full.len() >= UNSYNCED_SEGMENTS_MAX
            && self.needs_roll(payload)
    }

    fn check_open(&self) -> Result<(), LogError> {
        match &self.condition {
            Condition::Open => Ok(()),
            Condition::Closed => Err(LogError::Closed),
            Condition::Poisoned(cause) => Err(LogError::Poisoned {
                cause: Arc::clone(cause),
            }),
        }
    }

    /// Refuses all further work; the first cause stays.
    fn poison(&mut self, failure: Failure) -> LogError {
        if let Condition::Poisoned(cause) = &self.condition {
            return LogError::Poisoned {
                cause: Arc::clone(cause),
            };
        }
        let cause = Arc::new(failure);
        self.condition = Condition::Poisoned(Arc::clone(&cause));
        LogError::Poisoned { cause }
    }

    /// What poisoned the log, if anything did.
    #[must_use]
    pub fn poisoned(&self) -> Option<&Arc<Failure>> {
        match &self.condition {
            Condition::Poisoned(cause) => Some(cause),
            Condition::Open | Condition::Closed => None,
        }
    }

    /// The disk that the log is on.
    #[must_use]
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The log's identity.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.id
    }

    /// The last record appended.
    #[must_use]
    pub fn last(&self) -> Sequence {
        self.next.before()
    }

    /// The last record known durable.
    #[must_use]
    pub fn durable(&self) -> Sequence {
        self.sync.durable
    }

    /// The oldest record kept, or the next one if there is none.
    #[must_use]
    pub fn first(&self) -> Sequence {
        let oldest = self.segments.front();
        oldest.map_or(self.next, |segment| segment.first)
    }
}
