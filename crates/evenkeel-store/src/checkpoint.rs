//! Checkpoints: files that take the place of the beginning of the log.
//!
//! A node has one for each part of its data (a partition), named by a number. What the records in it mean is the
//! caller's business, as with the log: replaying them, and then the log from behind [`Covered::upto`], gives what
//! replaying the whole log would have given.
//!
//! Invariants:
//!
//! - a checkpoint replaces the one before as a whole: it is written under another name, synced, renamed, and the
//!   directory synced, before [`write()`] returns `Ok`; a crash leaves the old one or the new one;
//! - what it covers may leave the log only after that;
//! - bytes that fail a checksum are never handed on as records. A caller that has taken in the records before them
//!   must forget those: a checkpoint counts whole or not at all.
//!
//! The file, all integers little-endian, checksums CRC32C: a header of 40 bytes (magic 8, version u32, checksum of
//! what follows u32 (in later versions of the four bytes before it too), number u32, 1 where the log is to be replayed
//! only from behind it u32, covers u64, records u64), then each record behind its length u32 and its checksum
//! u32 over number, place in the file, and bytes, so that a right record in a wrong place does not pass.

use std::io::IoSlice;

use crate::disk::{Disk, DiskError, DiskFile};
use crate::limits::RECORD_BYTES_MAX;
use crate::log::Sequence;

const MAGIC: [u8; 8] = *b"EKCHKPNT";
/// The version of the format above.
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 40;
const RECORD_HEADER_BYTES: usize = 8;

/// What of the log a checkpoint takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Every record of the log up to this one is contained, as far as it counts.
    pub upto: Sequence,
    /// Which records are replayed into it.
    pub replay: Replay,
}

/// Which records of the log are replayed into a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// All there are: those that it contains change nothing. A log that has lost its unsynced end gives sequences
    /// anew, so that a position must not hide records.
    Whole,
    /// Only those behind it: among the others are some that must not count, and did not when it was made. Everything
    /// up to its position was durable then.
    Behind,
}

impl Covered {
    /// A checkpoint of a state that the whole log gives.
    #[must_use]
    pub const fn whole(upto: Sequence) -> Self {
        Self {
            upto,
            replay: Replay::Whole,
        }
    }

    /// A checkpoint of a state for which parts of the log did not count.
    #[must_use]
    pub const fn behind(upto: Sequence) -> Self {
        Self {
            upto,
            replay: Replay::Behind,
        }
    }
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// What it takes the place of.
    pub covered: Covered,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Why a checkpoint could not be read. Nothing was changed on disk.
#[derive(Debug, thiserror::Error)]
pub enum ReadError<E> {
    /// The file cannot be read.
    #[error("the checkpoint cannot be read")]
    Disk(#[from] DiskError),
    /// Another version of the program wrote it. Start one that knows the format.
    #[error("{file} has format version {found}, this program knows {VERSION}")]
    Version {
        /// The file.
        file: String,
        /// The version found.
        found: u32,
    },
    /// It is not what was written. Rebuild from the other replicas.
    #[error("{file} is damaged at byte {offset}")]
    Damaged {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
    },
    /// The caller refused a record.
    #[error("a record of {file} was refused")]
    Refused {
        /// The file.
        file: String,
        /// Why.
        #[source]
        cause: E,
    },
}

/// The file of a checkpoint.
pub(crate) fn name(number: u16) -> String {
    format!("checkpoint-{number:04x}.ekc")
}

/// The number of the checkpoint that a file is.
#[must_use]
pub fn number_of(file: &str) -> Option<u16> {
    let digits = file.strip_prefix("checkpoint-")?.strip_suffix(".ekc")?;
    let number = u16::from_str_radix(digits, 16).ok()?;
    (name(number) == file).then_some(number)
}

/// What it is called until it is complete.
fn name_new(number: u16) -> String {
    format!("checkpoint-{number:04x}.new")
}

fn header(number: u16, covered: Covered, records: u64) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    let flag = u32::from(covered.replay == Replay::Behind);
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[16..20].copy_from_slice(&u32::from(number).to_le_bytes());
    out[20..24].copy_from_slice(&flag.to_le_bytes());
    out[24..32].copy_from_slice(&covered.upto.0.to_le_bytes());
    out[32..40].copy_from_slice(&records.to_le_bytes());
    let crc = crc32c::crc32c(&out[16..]);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out
}

fn record_crc(number: u16, place: u64, bytes: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&number.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &place.to_le_bytes()), bytes)
}

/// Writes a checkpoint in place of the one before; gives the bytes of its file.
///
/// # Errors
/// When the disk fails: the one before stands, and what `covered` says must stay in the log.
pub fn write<D: Disk>(
    disk: &D,
    number: u16,
    covered: Covered,
    records: &[impl AsRef<[u8]>],
) -> Result<u64, DiskError> {
    let new = name_new(number);
    match disk.remove(&new) {
        Err(error) if !error.is_missing() => return Err(error),
        // There is one when a crash came before the renaming.
        _ => {}
    }
    let file = disk.create(&new)?;
    let written = write_records(&file, number, covered, records);
    if written.is_err() {
        // It takes space that the log may need; if it cannot be removed either, the next attempt does.
        let _ = disk.remove(&new);
    }
    let bytes = written?;
    disk.rename(&new, &name(number))?;
    disk.sync_dir()?;
    Ok(bytes)
}

fn write_records(
    file: &impl DiskFile,
    number: u16,
    covered: Covered,
    records: &[impl AsRef<[u8]>],
) -> Result<u64, DiskError> {
    let head = header(number, covered, records.len() as u64);
    file.append(&mut [IoSlice::new(&head)])?;
    let mut bytes = HEADER_BYTES as u64;
    for (place, record) in (0..).zip(records) {
        let record = record.as_ref();
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        debug_assert!(
            record.len() <= RECORD_BYTES_MAX,
            "the log would not take it either"
        );
        let crc = record_crc(number, place, record);
        file.append(&mut [
            IoSlice::new(&length.to_le_bytes()),
            IoSlice::new(&crc.to_le_bytes()),
            IoSlice::new(record),
        ])?;
        bytes += (RECORD_HEADER_BYTES + record.len()) as u64;
    }
    file.sync()?;
    Ok(bytes)
}

/// Bytes of the file of a checkpoint; 0 where there is none.
///
/// # Errors
/// When the disk fails.
pub fn length<D: Disk>(disk: &D, number: u16) -> Result<u64, DiskError> {
    match disk.open(&name(number)) {
        Err(error) if error.is_missing() => Ok(0),
        file => file?.length(),
    }
}

/// Reads a checkpoint, record by record; `None` when there is none of that number.
///
/// # Errors
/// See [`ReadError`]. The records handed on before the error must be forgotten.
pub fn read<D: Disk, E>(
    disk: &D,
    number: u16,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Option<Checkpoint>, ReadError<E>> {
    let file = match disk.open(&name(number)) {
        Err(error) if error.is_missing() => return Ok(None),
        other => other?,
    };
    let mut source = Source {
        file: &file,
        number,
        offset: 0,
        length: file.length()?,
    };
    let mut head = [0; HEADER_BYTES];
    source.fill(&mut head)?;
    let (covered, records) = source.check_header(&head)?;
    let mut record = Vec::new();
    for place in 0..records {
        source.next_record(place, &mut record)?;
        each(&record).map_err(|cause| ReadError::Refused {
            file: name(number),
            cause,
        })?;
    }
    if source.offset != source.length {
        return Err(source.damaged());
    }
    Ok(Some(Checkpoint {
        covered,
        bytes: source.length,
    }))
}

struct Source<'a, F> {
    file: &'a F,
    number: u16,
    offset: u64,
    length: u64,
}

impl<F: DiskFile> Source<'_, F> {
    fn damaged<E>(&self) -> ReadError<E> {
        ReadError::Damaged {
            file: name(self.number),
            offset: self.offset,
        }
    }

    fn fill<E>(&mut self, buffer: &mut [u8]) -> Result<(), ReadError<E>> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let read = self.file.read_at(self.offset + done as u64, rest)?;
            if read == 0 {
                return Err(self.damaged());
            }
            done += read;
        }
        self.offset += done as u64;
        Ok(())
    }

    fn check_header<E>(&self, head: &[u8; HEADER_BYTES]) -> Result<(Covered, u64), ReadError<E>> {
        let number_at = |at: usize| -> u64 {
            let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        let [low, high] = [number_at(8) & 0xffff_ffff, number_at(8) >> 32];
        if !head.starts_with(&MAGIC) {
            return Err(self.damaged());
        }
        let found = u32::try_from(low).unwrap_or(u32::MAX);
        if found != VERSION {
            // Of another version the checksum covers the version too, so that a flipped bit makes no newer format.
            let crc = crc32c::crc32c_append(crc32c::crc32c(&head[8..12]), &head[16..]);
            if u64::from(crc) != high {
                return Err(self.damaged());
            }
            return Err(ReadError::Version {
                file: name(self.number),
                found,
            });
        }
        let right = u64::from(crc32c::crc32c(&head[16..])) == high;
        let replay = match number_at(16) >> 32 {
            0 => Replay::Whole,
            1 => Replay::Behind,
            _ => return Err(self.damaged()),
        };
        if !right || number_at(16) & 0xffff_ffff != u64::from(self.number) {
            return Err(self.damaged());
        }
        let upto = Sequence(number_at(24));
        Ok((Covered { upto, replay }, number_at(32)))
    }

    fn next_record<E>(&mut self, place: u64, record: &mut Vec<u8>) -> Result<(), ReadError<E>> {
        let mut head = [0; RECORD_HEADER_BYTES];
        self.fill(&mut head)?;
        let [a, b, c, d, e, f, g, h] = head;
        let length = u32::from_le_bytes([a, b, c, d]);
        let crc = u32::from_le_bytes([e, f, g, h]);
        // Before anything is allocated: a length that is wrong must not cost memory.
        if u64::from(length) > self.length - self.offset {
            return Err(self.damaged());
        }
        record.clear();
        record.resize(length as usize, 0);
        self.fill(record)?;
        if record_crc(self.number, place, record) != crc {
            return Err(self.damaged());
        }
        Ok(())
    }
}
