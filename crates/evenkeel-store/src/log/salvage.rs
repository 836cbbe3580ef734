//! What is left of a log: every record that passes its checksums, wherever it stands, and where the holes are.
//!
//! For a log that [`Log::open`](super::Log::open) calls damaged, and for looking at one without opening it. Nothing
//! is changed on disk. A caller that has put what is left to safety elsewhere lets the log go with [`discard`] and
//! opens a new one that begins behind it ([`Options::new_first`](super::Options)).
//!
//! Invariants: records come with rising sequences, each at most once; behind a hole they are marked so, because what
//! builds on all records before it must not be believed there; a record is handed on only if log, segment, sequence
//! and payload all pass. Where a record ends is believed only of a whole one: behind damage every offset is tried.

use super::format::{
    self, FORMAT_FILE, FORMAT_FILE_NEW, Format, MARK_FILE, RECORD_HEADER_BYTES, RecordHeader,
    SEGMENT_HEADER_BYTES, SegmentHeader, VERSION, segment_name,
};
use super::reader::Reader;
use super::recover::{EVIDENCE_AHEAD_MAX, read_format_file};
use super::{Damage, LogError, LogId, Mark, OpenError, Record, SegmentNumber, Sequence};
use crate::disk::{Disk, DiskError};
use crate::limits::READ_WINDOW_BYTES;

/// A place where something that was written is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The file.
    pub file: String,
    /// Where it begins.
    pub offset: u64,
    /// How many bytes of the file belong to no record.
    pub bytes: u64,
    /// What is wrong.
    pub why: Damage,
    /// Whether records are lost that were known durable. Otherwise it is the torn end that a crash leaves, which the
    /// next start cuts off; or a file that is rebuilt from the others.
    pub is_loss: bool,
}

/// What was found of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Records handed on.
    pub records: u64,
    /// Bytes of all files looked at.
    pub bytes: u64,
    /// The greatest sequence that was seen or that anything tells of.
    pub last: Sequence,
    /// What is wrong, in the order of the files.
    pub holes: Vec<Hole>,
    /// The record that the log begins with, where that is known.
    begins: Option<Sequence>,
}

impl Salvaged {
    /// The record that the log begins with, where that is known: whether it is there or is to come.
    #[must_use]
    pub fn begins(&self) -> Option<Sequence> {
        self.begins
    }

    /// Whether records are lost that were known durable.
    #[must_use]
    pub fn has_loss(&self) -> bool {
        self.holes.iter().any(|hole| hole.is_loss)
    }
}

/// Reads all that is left of the log on this disk. `each` gets the records, and whether everything before is there
/// too, as far as the log reaches back.
///
/// # Errors
/// When the disk fails otherwise than by a bad sector, when another version wrote the log, or when `each` refuses.
pub fn salvage<D: Disk, E>(
    disk: &D,
    each: impl FnMut(Record<'_>, bool) -> Result<(), E>,
) -> Result<Salvaged, OpenError<E>> {
    let (mut numbers, misnamed) = list(disk)?;
    let mut walk = Walk {
        disk,
        id: LogId(0),
        known: Sequence::NONE,
        next: None,
        is_whole: true,
        found: Salvaged::default(),
        open: Vec::new(),
        each,
    };
    for file in misnamed {
        walk.hole(file, (0, 0), Damage::Name);
    }
    let format = match read_format_file(disk) {
        Err(error) if error.is_bad_medium() => Some(Format::Damaged),
        other => other?,
    };
    let found = match format {
        Some(Format::Ours(id)) => Some(id),
        Some(Format::OtherVersion(found)) => {
            return Err(OpenError::Log(LogError::Version {
                found,
                supported: VERSION,
            }));
        }
        Some(Format::Damaged) | None => {
            if !numbers.is_empty() {
                walk.hole(FORMAT_FILE.to_owned(), (0, 0), Damage::Format);
            }
            id_of_segments(disk, &numbers)?
        }
    };
    let Some(id) = found else {
        // No record can be told from noise without it.
        for number in numbers {
            walk.hole(segment_name(number), (0, 0), Damage::SegmentHeader);
        }
        return Ok(walk.finish());
    };
    walk.id = id;
    match Mark::peek(disk, id)? {
        Some((slot, slots)) => {
            if slots < 2 {
                walk.hole(MARK_FILE.to_owned(), (0, 0), Damage::Mark);
            }
            walk.known = slot.durable;
            walk.next = Some(slot.floor_first);
            walk.found.begins = walk.next;
            numbers.retain(|number| *number >= slot.floor);
            if numbers.first() != Some(&slot.floor) {
                let floor = segment_name(slot.floor);
                walk.hole(floor, (0, 0), Damage::SegmentMissing);
            }
        }
        None => walk.hole(MARK_FILE.to_owned(), (0, 0), Damage::Mark),
    }
    walk.segments(&numbers)?;
    Ok(walk.finish())
}

/// Looks at the segments that are full, of a log that is open and goes on meanwhile; `each` hears of each file and its
/// bytes. What is missing at the beginning has rightly gone.
///
/// # Errors
/// When the disk fails otherwise than by a bad sector.
pub fn check_full_segments<D: Disk>(
    disk: &D,
    mut each: impl FnMut(u64),
) -> Result<Vec<Hole>, DiskError> {
    let Some(Format::Ours(id)) = read_format_file(disk)? else {
        return Ok(Vec::new());
    };
    let (mut numbers, _) = list(disk)?;
    // It is written to.
    numbers.pop();
    let mut walk = Walk {
        disk,
        id,
        // A segment is full only when all before it is durable, or soon will be: nothing in it may be wrong.
        known: Sequence(u64::MAX),
        next: None,
        is_whole: true,
        found: Salvaged::default(),
        open: Vec::new(),
        each: |_: Record<'_>, _| Ok::<(), std::convert::Infallible>(()),
    };
    for number in numbers {
        let before = walk.found.bytes;
        match walk.segment(number) {
            Err(OpenError::Log(LogError::Disk(error))) if error.is_missing() => walk.next = None,
            Err(OpenError::Log(LogError::Disk(error))) if error.is_bad_medium() => {
                walk.hole(segment_name(number), (0, 0), Damage::Unreadable);
            }
            Err(OpenError::Log(LogError::Disk(error))) => return Err(error),
            Err(_) | Ok(()) => {}
        }
        each(walk.found.bytes - before);
    }
    Ok(walk.found.holes)
}

/// Removes a log, so that a new one can begin. The caller has all of it that is needed elsewhere, durably.
///
/// A crash on the way leaves what counts as damaged or as no log at all.
///
/// # Errors
/// When the disk fails.
pub fn discard<D: Disk>(disk: &D) -> Result<(), DiskError> {
    let remove = |name: &str| match disk.remove(name) {
        Err(error) if error.is_missing() => Ok(()),
        other => other,
    };
    // First what makes a log of the rest.
    remove(FORMAT_FILE)?;
    disk.sync_dir()?;
    let (numbers, misnamed) = list(disk)?;
    for name in numbers.into_iter().map(segment_name).chain(misnamed) {
        remove(&name)?;
    }
    remove(MARK_FILE)?;
    remove(FORMAT_FILE_NEW)?;
    disk.sync_dir()
}

/// The segments there are, oldest first, and files that look like segments and are none.
fn list<D: Disk>(disk: &D) -> Result<(Vec<SegmentNumber>, Vec<String>), DiskError> {
    let (mut numbers, mut misnamed) = (Vec::new(), Vec::new());
    for name in disk.list()? {
        match format::parse_segment_name(&name) {
            Some(Ok(number)) => numbers.push(number),
            Some(Err(())) => misnamed.push(name),
            None => {}
        }
    }
    numbers.sort_unstable();
    misnamed.sort_unstable();
    Ok((numbers, misnamed))
}

/// The identity that the heads of most segments agree on.
fn id_of_segments<D: Disk>(
    disk: &D,
    numbers: &[SegmentNumber],
) -> Result<Option<LogId>, DiskError> {
    let mut votes: Vec<(LogId, usize)> = Vec::new();
    for &number in numbers {
        let mut reader = Reader::open(disk, number)?;
        let bytes = match reader.bytes(0, SEGMENT_HEADER_BYTES) {
            Err(error) if error.is_bad_medium() => None,
            other => other?,
        };
        let Some(bytes) = bytes else { continue };
        let Some(header) = SegmentHeader::decode_of_any_log(bytes, number) else {
            continue;
        };
        match votes.iter_mut().find(|(id, _)| *id == header.id) {
            Some((_, count)) => *count += 1,
            None => votes.push((header.id, 1)),
        }
    }
    let most = votes.into_iter().rev().max_by_key(|(_, count)| *count);
    Ok(most.map(|(id, _)| id))
}

struct Walk<'a, D: Disk, F> {
    disk: &'a D,
    id: LogId,
    /// Everything up to here was durable, by the evidence seen so far.
    known: Sequence,
    /// The record expected next; nothing when it is not known where the log begins.
    next: Option<Sequence>,
    /// Whether nothing is missing so far.
    is_whole: bool,
    found: Salvaged,
    /// For each hole the first record that may be lost in it; nothing: whichever.
    open: Vec<Option<Sequence>>,
    each: F,
}

impl<D: Disk, F> Walk<'_, D, F> {
    fn hole(&mut self, file: String, (offset, bytes): (u64, u64), why: Damage) {
        // The mark tells where the log begins, and holds no records.
        let rebuilt = matches!(why, Damage::Mark | Damage::Format);
        self.is_whole &= rebuilt;
        self.open.push(self.next);
        self.found.holes.push(Hole {
            file,
            offset,
            bytes,
            why,
            is_loss: !rebuilt,
        });
    }

    fn segments<E>(&mut self, numbers: &[SegmentNumber]) -> Result<(), OpenError<E>>
    where
        F: FnMut(Record<'_>, bool) -> Result<(), E>,
    {
        let mut before: Option<SegmentNumber> = None;
        for &number in numbers {
            let expected = before.map(|before| SegmentNumber(before.0 + 1));
            if let Some(missing) = expected.filter(|expected| *expected != number) {
                self.hole(segment_name(missing), (0, 0), Damage::SegmentMissing);
            }
            before = Some(number);
            match self.segment(number) {
                Err(OpenError::Log(LogError::Disk(error))) if error.is_bad_medium() => {
                    self.hole(segment_name(number), (0, 0), Damage::Unreadable);
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn segment<E>(&mut self, number: SegmentNumber) -> Result<(), OpenError<E>>
    where
        F: FnMut(Record<'_>, bool) -> Result<(), E>,
    {
        let name = || segment_name(number);
        let mut reader = Reader::open(self.disk, number)?;
        self.found.bytes += reader.length();
        let bytes = reader.bytes(0, SEGMENT_HEADER_BYTES)?;
        let header = bytes.and_then(|bytes| SegmentHeader::decode(bytes, self.id, number));
        let mut offset = SEGMENT_HEADER_BYTES as u64;
        let mut headless = None;
        match header {
            Some(header) => {
                self.known = self.known.max(header.durable);
                let expected = *self.next.get_or_insert(header.first);
                if header.first != expected {
                    let found = header.first;
                    self.hole(name(), (0, 0), Damage::Gap { expected, found });
                }
            }
            None if reader.length() == 0 => self.hole(name(), (0, 0), Damage::SegmentHeader),
            None => {
                // A file that was shortened or shifted: records may stand anywhere.
                offset = 0;
                headless = Some(Damage::SegmentHeader);
            }
        }
        while offset < reader.length() {
            match self.record(number, &mut reader, offset)? {
                Ok(end) => offset = end,
                Err(why) => {
                    let end = self.seek_record(number, &mut reader, offset + 1)?;
                    let why = headless.take().unwrap_or(why);
                    self.hole(name(), (offset, end - offset), why);
                    offset = end;
                }
            }
        }
        Ok(())
    }

    /// Takes the record at this offset if it is a whole one that may follow; gives where it ends.
    fn record<E>(
        &mut self,
        number: SegmentNumber,
        reader: &mut Reader<D>,
        offset: u64,
    ) -> Result<Result<u64, Damage>, OpenError<E>>
    where
        F: FnMut(Record<'_>, bool) -> Result<(), E>,
    {
        let expected = self.next.unwrap_or(Sequence::NONE);
        let Some(header) = reader.record_header(offset, self.id, number)? else {
            return Ok(Err(Damage::RecordHeader { expected }));
        };
        let sequence = header.sequence;
        self.note_evidence(header);
        if sequence < expected || !self.is_near(header) {
            return Ok(Err(Damage::Misplaced {
                expected,
                found: sequence,
            }));
        }
        let start = offset + RECORD_HEADER_BYTES as u64;
        let payload = reader.bytes(start, header.length as usize)?;
        let payload = payload.filter(|bytes| crc32c::crc32c(bytes) == header.payload_crc);
        let Some(payload) = payload else {
            return Ok(Err(Damage::Payload { record: sequence }));
        };
        if sequence > expected && self.next.is_some() && self.is_whole {
            self.hole(
                segment_name(number),
                (offset, 0),
                Damage::Misplaced {
                    expected,
                    found: sequence,
                },
            );
        }
        let record = Record { sequence, payload };
        (self.each)(record, self.is_whole)
            .map_err(|source| OpenError::Replay { sequence, source })?;
        self.next = Some(sequence.next());
        self.found.records += 1;
        Ok(Ok(start + u64::from(header.length)))
    }

    /// Whether a record may be as far ahead as this one says. See [`EVIDENCE_AHEAD_MAX`].
    fn is_near(&self, header: RecordHeader) -> bool {
        let limit = |next: Sequence| next.0.saturating_add(EVIDENCE_AHEAD_MAX);
        self.next
            .is_none_or(|next| header.sequence.0 <= limit(next))
    }

    fn note_evidence(&mut self, header: RecordHeader) {
        if self.next.is_some() && self.is_near(header) {
            self.known = self.known.max(header.durable);
        }
    }

    /// Where the next whole record stands that may follow, or the file's end.
    fn seek_record(
        &mut self,
        number: SegmentNumber,
        reader: &mut Reader<D>,
        from: u64,
    ) -> Result<u64, DiskError> {
        let least = self.next.unwrap_or(Sequence::NONE);
        let mut offset = from;
        loop {
            let left = reader.length().saturating_sub(offset);
            let count =
                usize::try_from(left).map_or(READ_WINDOW_BYTES, |left| left.min(READ_WINDOW_BYTES));
            if count < RECORD_HEADER_BYTES {
                return Ok(reader.length());
            }
            let Some(bytes) = reader.bytes(offset, count)? else {
                return Ok(reader.length());
            };
            let heads = bytes.windows(RECORD_HEADER_BYTES).enumerate();
            let id = self.id;
            let heads: Vec<(usize, RecordHeader)> = heads
                .filter_map(|(at, bytes)| Some((at, RecordHeader::decode(bytes, id, number)?)))
                .collect();
            for (at, header) in heads {
                self.note_evidence(header);
                let start = offset + (at + RECORD_HEADER_BYTES) as u64;
                let payload = reader.bytes(start, header.length as usize)?;
                let is_whole =
                    payload.is_some_and(|bytes| crc32c::crc32c(bytes) == header.payload_crc);
                if is_whole && header.sequence >= least && self.is_near(header) {
                    return Ok(offset + at as u64);
                }
            }
            // The last bytes may be the beginning of a header: they come again.
            offset += (count - RECORD_HEADER_BYTES + 1) as u64;
        }
    }

    /// Tells which holes lost what was known durable.
    fn finish(mut self) -> Salvaged {
        for (hole, first) in self.found.holes.iter_mut().zip(&self.open) {
            // As opening decides: what was not known durable is the torn end of a crash.
            hole.is_loss &= first.is_none_or(|first| first <= self.known);
        }
        let end = self.next.unwrap_or(Sequence::NONE);
        if end <= self.known && self.next.is_some() && self.is_whole {
            self.hole(MARK_FILE.to_owned(), (0, 0), Damage::Ends { expected: end });
        }
        self.found.last = end.before().max(self.known);
        self.found
    }
}
