//! One way to open a log and to look at it.

use std::convert::Infallible;

use evenkeel_store::disk::{Disk, Fate, MemoryDisk};
use evenkeel_store::log::{Log, LogError, LogId, OpenError, Options, Recovery, Sequence};

pub(crate) const ID: LogId = LogId(0x5eed_0123_4567_89ab);

/// Segments this small hold a handful of records.
pub(crate) const SMALL: u64 = 512;

/// A log, the notes of which are the sequences of the records.
pub(crate) type TestLog<D = MemoryDisk> = Log<D, u64>;

/// What a log held when it was opened.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) recovery: Recovery,
    pub(crate) records: Vec<(u64, Vec<u8>)>,
}

impl Replayed {
    /// The last record; asserts that all are whole, right and without a gap.
    pub(crate) fn last(&self) -> u64 {
        let mut last = None;
        for (sequence, bytes) in &self.records {
            assert_eq!(*bytes, payload(*sequence), "wrong bytes in {sequence}");
            assert!(last.is_none_or(|last| last + 1 == *sequence), "gap");
            last = Some(*sequence);
        }
        let reported = self.recovery.last.0;
        assert!(last.is_none_or(|last| last == reported));
        reported
    }
}

/// The payload of a record: of all lengths, some empty, never two alike among
/// those that are not.
pub(crate) fn payload(sequence: u64) -> Vec<u8> {
    let length = (sequence * 7 % 41) as usize;
    let mut bytes = format!("{sequence:04} is what this record says and nothing else").into_bytes();
    bytes.truncate(length);
    bytes
}

pub(crate) fn options(segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        ..Options::new(ID)
    }
}

pub(crate) fn open<D: Disk>(
    disk: D,
    segment_bytes: u64,
) -> Result<(TestLog<D>, Replayed), LogError> {
    let mut records = Vec::new();
    let opened = Log::open(disk, options(segment_bytes), |record| {
        records.push((record.sequence.0, record.payload.to_vec()));
        Ok::<(), Infallible>(())
    });
    match opened {
        Ok((log, recovery)) => {
            let count = records.len() as u64;
            assert_eq!(recovery.records, count);
            assert_eq!(log.durable(), recovery.last);
            Ok((log, Replayed { recovery, records }))
        }
        Err(OpenError::Log(error)) => Err(error),
        Err(OpenError::Replay { .. }) => unreachable!("the callback never refuses"),
    }
}

/// Opens what must open.
pub(crate) fn must_open(disk: &MemoryDisk, segment_bytes: u64) -> (TestLog, Replayed) {
    open(disk.clone(), segment_bytes).unwrap()
}

/// Appends the next record in two parts, as callers do.
pub(crate) fn append<D: Disk>(log: &mut TestLog<D>) -> Result<u64, LogError> {
    let sequence = log.last().0 + 1;
    let bytes = payload(sequence);
    let (head, tail) = bytes.split_at(bytes.len() / 3);
    let ticket = log.append(&[head, tail], sequence)?;
    assert_eq!(ticket.sequence, Sequence(sequence));
    Ok(sequence)
}

pub(crate) fn append_many<D: Disk>(log: &mut TestLog<D>, count: u64) {
    for _ in 0..count {
        append(log).unwrap();
    }
}

pub(crate) fn is_damaged(error: &LogError) -> bool {
    matches!(error, LogError::Damaged { .. })
}

/// The names of all segments, oldest first.
pub(crate) fn segments(disk: &MemoryDisk) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.retain(|name| name.starts_with("log-"));
    names.sort();
    names
}

/// The disk after a power cut that took everything not synced.
pub(crate) fn lose_power(disk: &MemoryDisk) -> MemoryDisk {
    disk.crash(0, |_| Fate::Synced)
}

/// The disk after a power cut that took nothing.
pub(crate) fn keep_all(disk: &MemoryDisk) -> MemoryDisk {
    disk.crash(usize::MAX, |_| Fate::Prefix { bytes: usize::MAX })
}

/// Where each record of a segment begins, and where the last one ends.
pub(crate) fn record_offsets(bytes: &[u8]) -> Vec<usize> {
    let mut offsets = vec![48];
    while let Some(&start) = offsets.last().filter(|&&start| start < bytes.len()) {
        let length = bytes[start..start + 4].try_into().unwrap();
        offsets.push(start + 28 + u32::from_le_bytes(length) as usize);
    }
    offsets
}
