//! Opens a log: creates it, or replays it and cuts off a torn tail.
//!
//! In order: read `format` and the mark; walk the segments, replaying record by
//! record, until the first that is not as it should be; look behind it for
//! evidence of what was durable; refuse, or cut; make durable what was replayed.
//! Why it is done so stands in [`super`]. Nothing is changed on disk before all
//! that is kept was replayed.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use super::format::{
    self, FORMAT_FILE, FORMAT_FILE_NEW, Format, MARK_FILE, RECORD_HEADER_BYTES, RecordHeader,
    SEGMENT_HEADER_BYTES, SegmentHeader, VERSION, segment_name,
};
use super::reader::Reader;
use super::{
    Active, Damage, LogError, LogId, Mark, OpenError, Record, Recovery, Segment, SegmentNumber,
    Sequence,
};
use crate::disk::{Disk, DiskError, DiskFile};
use crate::limits::{FORMAT_FILE_BYTES_MAX, READ_WINDOW_BYTES};

/// How far ahead of the record expected a header behind damage may be to count
/// as evidence. No log has so many unsynced records, and of random bytes that
/// pass the checksum by chance this rejects all but one in four billion.
pub(super) const EVIDENCE_AHEAD_MAX: u64 = u32::MAX as u64;

const FIRST_SEGMENT: SegmentNumber = SegmentNumber(1);

/// An opened log.
pub(super) struct Opened<D: Disk> {
    pub(super) disk: Arc<D>,
    pub(super) mark: Arc<Mark<D>>,
    pub(super) id: LogId,
    pub(super) segments: VecDeque<Segment>,
    pub(super) active: Active<D>,
    pub(super) recovery: Recovery,
}

/// Opens the log on this disk, or creates it with `new_id` and `new_first`.
pub(super) fn open<D: Disk, E>(
    disk: Arc<D>,
    (new_id, new_first): (LogId, Sequence),
    replay: impl FnMut(Record<'_>) -> Result<(), E>,
) -> Result<Opened<D>, OpenError<E>> {
    let mut numbers = list_segments(&*disk)?;
    let found = read_format(&*disk)?;
    let id = match found {
        Some(id) => id,
        None => {
            create(&*disk, (new_id, new_first), &numbers)?;
            numbers = vec![FIRST_SEGMENT];
            new_id
        }
    };
    let mark = Mark::open(&*disk, id)?;
    let floor = Segment {
        number: mark.slot().floor,
        first: mark.slot().floor_first,
    };
    let (left_over, numbers): (Vec<_>, Vec<_>) = numbers
        .into_iter()
        .partition(|&number| number < floor.number);
    let mut walk = Walk {
        disk: &*disk,
        id,
        known: mark.slot().durable,
        next: floor.first,
        segments: VecDeque::new(),
        recovery: Recovery {
            created: found.is_none(),
            ..Recovery::default()
        },
        replay,
    };
    let end = walk.replay_all(floor.number, &numbers)?;
    walk.seek_evidence(&end, &numbers)?;
    end.check(walk.next, walk.known)?;
    for number in left_over {
        disk.remove(&segment_name(number))?;
    }
    walk.cut(&end, &numbers)?;
    let active = walk.make_durable()?;
    mark.advance(walk.next.before())?;
    mark.sync()?;
    let (segments, recovery) = walk.report();
    Ok(Opened {
        mark: Arc::new(mark),
        disk,
        id,
        segments,
        active,
        recovery,
    })
}

/// The segments there are, oldest first.
fn list_segments<D: Disk>(disk: &D) -> Result<Vec<SegmentNumber>, LogError> {
    let mut numbers = Vec::new();
    for name in disk.list()? {
        match format::parse_segment_name(&name) {
            Some(Ok(number)) => numbers.push(number),
            Some(Err(())) => return Err(damaged(name, 0, Damage::Name)),
            None => {}
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The identity of the log on this disk; nothing if there is none.
fn read_format<D: Disk>(disk: &D) -> Result<Option<LogId>, LogError> {
    match read_format_file(disk)? {
        None => Ok(None),
        Some(Format::Ours(id)) => Ok(Some(id)),
        Some(Format::OtherVersion(found)) => Err(LogError::Version {
            found,
            supported: VERSION,
        }),
        Some(Format::Damaged) => Err(damaged(FORMAT_FILE.to_owned(), 0, Damage::Format)),
    }
}

/// What the file `format` says; nothing if there is none.
pub(super) fn read_format_file<D: Disk>(disk: &D) -> Result<Option<Format>, DiskError> {
    let file = match disk.open(FORMAT_FILE) {
        Err(error) if error.is_missing() => return Ok(None),
        other => other?,
    };
    let mut bytes = [0; FORMAT_FILE_BYTES_MAX];
    let read = file.read_at(0, &mut bytes)?;
    Ok(Some(format::decode_format(
        bytes.get(..read).unwrap_or(&[]),
    )))
}

/// Creates an empty log. The file `format` comes last and durably after all
/// others, so without it there is nothing but leftovers of a creation.
fn create<D: Disk>(
    disk: &D,
    (id, first): (LogId, Sequence),
    numbers: &[SegmentNumber],
) -> Result<(), LogError> {
    for &number in numbers {
        let name = segment_name(number);
        let holds_records = disk.open(&name)?.length()? > SEGMENT_HEADER_BYTES as u64;
        if number != FIRST_SEGMENT || holds_records {
            return Err(damaged(FORMAT_FILE.to_owned(), 0, Damage::Format));
        }
    }
    let segment = segment_name(FIRST_SEGMENT);
    for name in [&segment, MARK_FILE, FORMAT_FILE_NEW] {
        match disk.remove(name) {
            Err(error) if error.is_missing() => {}
            other => other?,
        }
    }
    let floor = Segment {
        number: FIRST_SEGMENT,
        first,
    };
    Mark::create(disk, id, floor)?;
    let header = SegmentHeader {
        id,
        number: floor.number,
        first,
        durable: Sequence::NONE,
    };
    create_file(disk, &segment, &header.encode())?;
    create_file(disk, FORMAT_FILE_NEW, format::encode_format(id).as_bytes())?;
    disk.sync_dir()?;
    // Opening goes on as for any log and syncs this name in the end.
    disk.rename(FORMAT_FILE_NEW, FORMAT_FILE)?;
    Ok(())
}

fn create_file<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let file = disk.create(name)?;
    file.append(&mut [IoSlice::new(bytes)])?;
    file.sync()
}

pub(super) fn damaged(file: String, offset: u64, why: Damage) -> LogError {
    LogError::Damaged { file, offset, why }
}

/// Where the walk ended, and why it went no further.
struct End {
    /// Index, in the list of segments, of the one it ended in.
    index: usize,
    /// What is good of that segment: bytes up to here, or nothing at all.
    good: Option<u64>,
    /// For the error message.
    file: String,
    why: Damage,
}

impl End {
    /// Refuses to go on if `next`, the record that is missing here, was durable.
    fn check(&self, next: Sequence, known: Sequence) -> Result<(), LogError> {
        // The head of the first segment is durable before anything else is.
        let no_beginning = self.index == 0 && self.good.is_none();
        if next <= known || no_beginning {
            let offset = self.good.unwrap_or(0);
            return Err(damaged(self.file.clone(), offset, self.why.clone()));
        }
        Ok(())
    }
}

/// A walk through all records.
struct Walk<'a, D: Disk, F> {
    disk: &'a D,
    id: LogId,
    /// Everything up to here was durable, by the evidence seen so far.
    known: Sequence,
    /// The record expected next.
    next: Sequence,
    /// The segments that are kept.
    segments: VecDeque<Segment>,
    recovery: Recovery,
    replay: F,
}

impl<D: Disk, F> Walk<'_, D, F> {
    /// Replays what is good.
    fn replay_all<E>(
        &mut self,
        floor: SegmentNumber,
        numbers: &[SegmentNumber],
    ) -> Result<End, OpenError<E>>
    where
        F: FnMut(Record<'_>) -> Result<(), E>,
    {
        let mut end = End {
            index: 0,
            good: None,
            file: segment_name(floor),
            why: Damage::SegmentMissing,
        };
        for (index, &number) in numbers.iter().enumerate() {
            let expected = SegmentNumber(floor.0 + index as u64);
            end.index = index;
            end.file = segment_name(expected);
            end.good = None;
            if number != expected {
                end.why = Damage::SegmentMissing;
                return Ok(end);
            }
            let mut reader = Reader::open(self.disk, number)?;
            if let Err(why) = self.check_header(number, &mut reader)? {
                end.why = why;
                return Ok(end);
            }
            let mut offset = SEGMENT_HEADER_BYTES as u64;
            self.segments.push_back(Segment {
                number,
                first: self.next,
            });
            let stopped = self.replay_segment(number, &mut reader, &mut offset)?;
            end.good = Some(offset);
            if let Some(why) = stopped {
                end.why = why;
                return Ok(end);
            }
            end.why = Damage::Ends {
                expected: self.next,
            };
        }
        Ok(end)
    }

    fn check_header(
        &mut self,
        number: SegmentNumber,
        reader: &mut Reader<D>,
    ) -> Result<Result<(), Damage>, DiskError> {
        let bytes = reader.bytes(0, SEGMENT_HEADER_BYTES)?;
        let header = bytes.and_then(|bytes| SegmentHeader::decode(bytes, self.id, number));
        let Some(header) = header else {
            return Ok(Err(Damage::SegmentHeader));
        };
        self.known = self.known.max(header.durable);
        if header.first != self.next {
            return Ok(Err(Damage::Gap {
                expected: self.next,
                found: header.first,
            }));
        }
        Ok(Ok(()))
    }

    /// Replays a segment from `offset`, moving it to the end of what is good.
    /// Answers what is wrong there if that is not the end of the file.
    fn replay_segment<E>(
        &mut self,
        number: SegmentNumber,
        reader: &mut Reader<D>,
        offset: &mut u64,
    ) -> Result<Option<Damage>, OpenError<E>>
    where
        F: FnMut(Record<'_>) -> Result<(), E>,
    {
        while *offset < reader.length() {
            let expected = self.next;
            let header = reader.record_header(*offset, self.id, number)?;
            let Some(header) = header else {
                return Ok(Some(Damage::RecordHeader { expected }));
            };
            if header.sequence != expected {
                let found = header.sequence;
                return Ok(Some(Damage::Misplaced { expected, found }));
            }
            let start = *offset + RECORD_HEADER_BYTES as u64;
            let payload = reader.bytes(start, header.length as usize)?;
            let payload = payload.filter(|bytes| crc32c::crc32c(bytes) == header.payload_crc);
            let Some(payload) = payload else {
                return Ok(Some(Damage::Payload { record: expected }));
            };
            (self.replay)(Record {
                sequence: expected,
                payload,
            })
            .map_err(|source| OpenError::Replay {
                sequence: expected,
                source,
            })?;
            *offset = start + u64::from(header.length);
            // Says nothing about what follows, but spares writing it again.
            self.known = self.known.max(header.durable);
            self.next = expected.next();
            self.recovery.records += 1;
            self.recovery.bytes += u64::from(header.length);
        }
        Ok(None)
    }

    /// Looks behind the end for headers that say what was durable.
    fn seek_evidence(&mut self, end: &End, numbers: &[SegmentNumber]) -> Result<(), DiskError> {
        for (index, &number) in numbers.iter().enumerate().skip(end.index) {
            let from = end.good.filter(|_| index == end.index).unwrap_or(0);
            let mut reader = Reader::open(self.disk, number)?;
            if from == 0
                && let Some(bytes) = reader.bytes(0, SEGMENT_HEADER_BYTES)?
                && let Some(header) = SegmentHeader::decode(bytes, self.id, number)
            {
                self.known = self.known.max(header.durable);
            }
            self.seek_records(number, from, &mut reader)?;
        }
        Ok(())
    }

    /// Tries every offset of a segment for the head of a record.
    fn seek_records(
        &mut self,
        number: SegmentNumber,
        from: u64,
        reader: &mut Reader<D>,
    ) -> Result<(), DiskError> {
        let mut offset = from;
        loop {
            let left = reader.length().saturating_sub(offset);
            let count =
                usize::try_from(left).map_or(READ_WINDOW_BYTES, |left| left.min(READ_WINDOW_BYTES));
            if count < RECORD_HEADER_BYTES {
                return Ok(());
            }
            let Some(bytes) = reader.bytes(offset, count)? else {
                return Ok(());
            };
            for window in bytes.windows(RECORD_HEADER_BYTES) {
                if let Some(header) = RecordHeader::decode(window, self.id, number)
                    && header.sequence.0 <= self.next.0.saturating_add(EVIDENCE_AHEAD_MAX)
                {
                    self.known = self.known.max(header.durable);
                }
            }
            // The last bytes may be the beginning of a header: they come again.
            offset += (count - RECORD_HEADER_BYTES + 1) as u64;
        }
    }

    /// Removes everything behind the end. A crash on the way leaves a log that
    /// is cut at the same place the next time.
    fn cut(&mut self, end: &End, numbers: &[SegmentNumber]) -> Result<(), DiskError> {
        for (index, &number) in numbers.iter().enumerate().skip(end.index).rev() {
            let name = segment_name(number);
            let file = self.disk.open(&name)?;
            let length = file.length()?;
            match end.good.filter(|_| index == end.index) {
                Some(good) if good < length => {
                    file.truncate(good)?;
                    self.recovery.torn_bytes += length - good;
                }
                Some(_) => {}
                None => {
                    self.disk.remove(&name)?;
                    self.recovery.torn_bytes += length;
                    self.recovery.torn_segments += 1;
                }
            }
        }
        Ok(())
    }

    /// Makes everything that was replayed durable, whatever an earlier process
    /// was told, and opens the last segment for appending.
    fn make_durable(&self) -> Result<Active<D>, LogError> {
        let mut active = None;
        for (index, &segment) in self.segments.iter().enumerate() {
            let ends_before = self.segments.get(index + 1).map(|next| next.first);
            if ends_before.is_some_and(|next| next <= self.known.next()) {
                continue;
            }
            let mut reader = Reader::open(self.disk, segment.number)?;
            let mut offset = self.first_unknown(segment, &mut reader)?;
            let file = self.disk.open(&segment_name(segment.number))?;
            while offset < reader.length() {
                let left = usize::try_from(reader.length() - offset);
                let count = left.map_or(READ_WINDOW_BYTES, |left| left.min(READ_WINDOW_BYTES));
                let Some(bytes) = reader.bytes(offset, count)? else {
                    break;
                };
                file.write_at(offset, bytes)?;
                offset += count as u64;
            }
            file.sync()?;
            active = Some(Active {
                segment,
                file: Arc::new(file),
                length: reader.length(),
            });
        }
        self.disk.sync_dir()?;
        active.ok_or_else(|| {
            let name = segment_name(FIRST_SEGMENT);
            damaged(name, 0, Damage::SegmentMissing)
        })
    }

    /// Where in the segment the first record stands that is not known durable:
    /// 0 if the segment's own head is not.
    fn first_unknown(&self, segment: Segment, reader: &mut Reader<D>) -> Result<u64, DiskError> {
        if segment.first > self.known {
            return Ok(0);
        }
        let mut offset = SEGMENT_HEADER_BYTES as u64;
        while let Some(header) = reader.record_header(offset, self.id, segment.number)? {
            if header.sequence > self.known {
                break;
            }
            offset += RECORD_HEADER_BYTES as u64 + u64::from(header.length);
        }
        Ok(offset)
    }

    fn report(self) -> (VecDeque<Segment>, Recovery) {
        let recovery = Recovery {
            segments: self.segments.len() as u64,
            last: self.next.before(),
            ..self.recovery
        };
        (self.segments, recovery)
    }
}
