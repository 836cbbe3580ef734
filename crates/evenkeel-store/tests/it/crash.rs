//! Power cuts at every operation of the disk, with every torn tail.

use std::io::IoSlice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use evenkeel_store::disk::{
    Disk, DiskError, DiskFile, Fate, MemoryDisk, MemoryFile, Operation, Unsynced,
};
use evenkeel_store::log::Sequence;

use crate::support::{
    Replayed, TestLog, append, append_many, lose_power, must_open, open, segments,
};

/// Segments of a few records, so that rolls happen all the time.
const TINY: u64 = 256;

/// A disk that remembers itself before and after each change.
#[derive(Clone)]
struct Filmed {
    disk: MemoryDisk,
    film: Arc<Film>,
}

#[derive(Default)]
struct Film {
    frames: Mutex<Vec<Frame>>,
    /// What the test has been told is durable.
    reported: AtomicU64,
    /// The record being appended last.
    attempted: AtomicU64,
    /// What the test asked to remove.
    removed_before: AtomicU64,
}

/// The disk at one instant, and what holds then.
struct Frame {
    disk: MemoryDisk,
    reported: u64,
    attempted: u64,
    removed_before: u64,
}

impl Filmed {
    fn new(disk: MemoryDisk) -> Self {
        Self {
            disk,
            film: Arc::default(),
        }
    }

    fn shoot<R>(&self, result: R) -> R {
        let film = &self.film;
        film.frames.lock().unwrap().push(Frame {
            disk: self.disk.fork(),
            reported: film.reported.load(Ordering::Relaxed),
            attempted: film.attempted.load(Ordering::Relaxed),
            removed_before: film.removed_before.load(Ordering::Relaxed),
        });
        result
    }

    fn frames(&self) -> Vec<Frame> {
        std::mem::take(&mut self.film.frames.lock().unwrap())
    }
}

struct FilmedFile {
    file: MemoryFile,
    filmed: Filmed,
}

impl Disk for Filmed {
    type File = FilmedFile;

    fn create(&self, name: &str) -> Result<FilmedFile, DiskError> {
        let file = self.shoot(self.disk.create(name))?;
        let filmed = self.clone();
        Ok(FilmedFile { file, filmed })
    }

    fn open(&self, name: &str) -> Result<FilmedFile, DiskError> {
        let (file, filmed) = (self.disk.open(name)?, self.clone());
        Ok(FilmedFile { file, filmed })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.shoot(self.disk.rename(from, to))
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.shoot(self.disk.remove(name))
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.shoot(self.disk.sync_dir())
    }
}

impl DiskFile for FilmedFile {
    fn append(&self, parts: &mut [IoSlice<'_>]) -> Result<(), DiskError> {
        self.filmed.shoot(self.file.append(parts))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.filmed.shoot(self.file.write_at(offset, bytes))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.file.read_at(offset, buffer)
    }

    fn length(&self) -> Result<u64, DiskError> {
        self.file.length()
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        self.filmed.shoot(self.file.truncate(length))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.filmed.shoot(self.file.sync())
    }
}

/// What a log went through, from creation to close, with syncs that overlap
/// appends, rolls, a removal and a restart.
fn filmed_history() -> Vec<Frame> {
    let filmed = Filmed::new(MemoryDisk::new());
    let film = Arc::clone(&filmed.film);
    let push = |log: &mut TestLog<Filmed>, count: u64| {
        for _ in 0..count {
            film.attempted.store(log.last().0 + 1, Ordering::Relaxed);
            append(log).unwrap();
        }
    };
    let report = |sequence: Sequence| film.reported.store(sequence.0, Ordering::Relaxed);

    let (mut log, _) = open(filmed.clone(), TINY).unwrap();
    push(&mut log, 3);
    report(log.sync_now().unwrap().sequence);
    push(&mut log, 9);
    let job = log.begin_sync().unwrap();
    push(&mut log, 6);
    let outcome = job.run();
    push(&mut log, 1);
    report(log.finish_sync(outcome).unwrap().sequence);
    push(&mut log, 4);
    report(log.sync_now().unwrap().sequence);
    film.removed_before.store(9, Ordering::Relaxed);
    assert!(log.remove_segments_before(Sequence(9)).unwrap() > 0);
    push(&mut log, 2);
    drop(log);
    let (mut log, replayed) = open(filmed.clone(), TINY).unwrap();
    report(replayed.recovery.last);
    push(&mut log, 7);
    report(log.close().unwrap().sequence);
    assert!(segments(&filmed.disk).len() > 3);
    filmed.frames()
}

/// Opens a disk after a crash: it must open, hold what was reported, and
/// nothing that was never appended.
fn check(frame: &Frame, crashed: &MemoryDisk) -> Replayed {
    let opened = open(crashed.clone(), TINY);
    let (log, replayed) = opened.unwrap_or_else(|error| {
        panic!("reported {}: {error}", frame.reported);
    });
    let last = replayed.last();
    assert!(last >= frame.reported, "{last} of {}", frame.reported);
    assert!(last <= frame.attempted, "{last} of {}", frame.attempted);
    assert!(log.first().0 <= frame.removed_before.max(1));
    replayed
}

/// As `check`; and what was replayed is durable, so that another power cut
/// changes nothing.
fn check_twice(frame: &Frame, crashed: &MemoryDisk) -> Replayed {
    let replayed = check(frame, crashed);
    let again = must_open(&lose_power(crashed), TINY).1;
    assert_eq!(again.records, replayed.records);
    assert_eq!(again.recovery.torn_bytes, 0);
    replayed
}

/// Where written and synced bytes begin and cease to differ.
fn differing(file: &Unsynced<'_>) -> (usize, usize) {
    let length = file.written.len().max(file.synced.len());
    let differs = |&at: &usize| file.written.get(at) != file.synced.get(at);
    let first = (0..length).find(differs).unwrap_or(length);
    let end = (0..length).rev().find(differs).map_or(length, |at| at + 1);
    (first, end)
}

/// The files a crash may tear, and between which bytes.
fn torn_files(disk: &MemoryDisk, names: usize) -> Vec<(String, usize, usize)> {
    let mut torn = Vec::new();
    disk.crash(names, |file| {
        let (first, end) = differing(file);
        torn.push((file.name.to_owned(), first, end));
        Fate::Synced
    });
    torn
}

/// Every way a crash may leave this disk in which at most one file is torn in
/// the middle, and the others are all as synced or all as written.
fn for_each_crash(disk: &MemoryDisk, mut check: impl FnMut(&MemoryDisk)) {
    let whole = Fate::Prefix { bytes: usize::MAX };
    for names in 0..=disk.unsynced_name_changes() {
        for others in [&Fate::Synced, &whole] {
            check(&disk.crash(names, |_| others.clone()));
            for (name, first, end) in torn_files(disk, names) {
                for bytes in first..end {
                    // Garbage is worth trying with one kind of neighbours only.
                    let garbage = vec![0xa5; end - bytes];
                    let torn = match others {
                        Fate::Synced => Fate::Prefix { bytes },
                        _ => Fate::Torn { bytes, garbage },
                    };
                    check(&disk.crash(names, |file| match file.name == name {
                        true => torn.clone(),
                        false => others.clone(),
                    }));
                }
            }
        }
    }
}

#[test]
fn no_power_cut_at_any_operation_loses_or_damages_a_durable_record() {
    let frames = filmed_history();
    assert!(frames.len() > 100, "{} frames", frames.len());
    let mut crashes = 0_u64;
    for frame in &frames {
        for_each_crash(&frame.disk, |crashed| {
            crashes += 1;
            // Twice is dear: for one in seven, which in time are all kinds.
            match crashes % 7 {
                0 => check_twice(frame, crashed),
                _ => check(frame, crashed),
            };
        });
    }
    assert!(crashes > 10_000, "{crashes} crashes");
}

#[test]
fn a_crash_during_recovery_changes_nothing() {
    let whole = Fate::Prefix { bytes: usize::MAX };
    let mut crashes = 0_u64;
    for frame in filmed_history() {
        let names = frame.disk.unsynced_name_changes();
        for fate in [Fate::Synced, Fate::Prefix { bytes: 300 }, whole.clone()] {
            let filmed = Filmed::new(frame.disk.crash(names, |_| fate.clone()));
            let (_, replayed) = open(filmed.clone(), TINY).unwrap();
            let expected = replayed.records;
            for inner in filmed.frames() {
                for names in 0..=inner.disk.unsynced_name_changes() {
                    for fate in [Fate::Synced, Fate::Prefix { bytes: 60 }, whole.clone()] {
                        crashes += 1;
                        let crashed = inner.disk.crash(names, |_| fate.clone());
                        let again = check_twice(&frame, &crashed);
                        assert_eq!(again.records, expected);
                    }
                }
            }
        }
    }
    assert!(crashes > 5_000, "{crashes} crashes");
}

#[test]
fn a_torn_full_segment_before_an_unsynced_one_is_cut() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, TINY);
    append_many(&mut log, 2);
    log.sync_now().unwrap();
    while segments(&disk).len() < 3 {
        append(&mut log).unwrap();
    }
    // The kernel wrote the last two segments and half of the first.
    let names = segments(&disk);
    let crashed = disk.crash(usize::MAX, |file| match file.name == names[0] {
        true => Fate::Prefix { bytes: 180 },
        false => Fate::Prefix { bytes: usize::MAX },
    });
    let (mut log, replayed) = must_open(&crashed, TINY);
    assert!(replayed.last() >= 2);
    assert_eq!(replayed.recovery.torn_segments, 2);
    assert_eq!(replayed.recovery.segments, 1);
    let last = replayed.last();
    append_many(&mut log, 8);
    log.sync_now().unwrap();
    assert_eq!(must_open(&lose_power(&crashed), TINY).1.last(), last + 8);
}

#[test]
fn a_log_reopened_after_a_failed_fsync_writes_its_records_again() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, 1 << 20);
    append_many(&mut log, 5);
    log.sync_now().unwrap();
    append_many(&mut log, 5);
    disk.fail_after(Operation::Sync, 0);
    assert!(log.sync_now().is_err());
    drop(log);
    // The pages are marked clean now: a plain fsync would write nothing.
    let (_, replayed) = must_open(&disk, 1 << 20);
    assert_eq!(replayed.last(), 10);
    assert_eq!(must_open(&lose_power(&disk), 1 << 20).1.last(), 10);
}
