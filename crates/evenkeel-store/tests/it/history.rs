//! Random histories against a model: a list of what was appended.

use evenkeel_store::disk::{Fate, MemoryDisk, Operation, Unsynced};
use evenkeel_store::log::{LogError, Sequence, SyncJob, SyncOutcome};

use crate::support::{TestLog, open};

const SEEDS: u64 = 400;
const STEPS: u64 = 300;

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

enum Sync {
    None,
    Begun(SyncJob<MemoryDisk>),
    Ran(SyncOutcome),
}

/// The log and what must be true of it.
struct World {
    random: Random,
    segment_bytes: u64,
    disk: MemoryDisk,
    log: TestLog,
    sync: Sync,
    /// Every record appended, by sequence minus one.
    records: Vec<Vec<u8>>,
    /// How many of them were reported durable.
    reported: usize,
    /// The greatest argument of a removal.
    removed_before: u64,
    crashes: u64,
    torn: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let segment_bytes = 256 << random.below(5);
        let disk = MemoryDisk::new();
        let (log, _) = open_any(&disk, segment_bytes);
        Self {
            random,
            segment_bytes,
            disk,
            log,
            sync: Sync::None,
            records: Vec::new(),
            reported: 0,
            removed_before: 0,
            crashes: 0,
            torn: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..60 => self.append(),
            60..85 => self.advance_sync(),
            85..88 => self.remove(),
            88..91 => self.squeeze(),
            91..93 => self.arm_failure(),
            93..95 => self.restart(),
            95..97 => self.close(),
            _ => self.crash(),
        }
        if self.log.poisoned().is_some() {
            match self.random.below(2) {
                0 => self.restart(),
                _ => self.crash(),
            }
        }
    }

    fn append(&mut self) {
        let length = match self.random.below(10) {
            0 => 0,
            1 => self.random.below(600),
            _ => self.random.below(60),
        };
        let bytes = self.random.bytes(length);
        let note = self.records.len() as u64;
        match self.log.append(&[&bytes], note) {
            Ok(ticket) => {
                self.records.push(bytes);
                assert_eq!(ticket.sequence.0, self.records.len() as u64);
            }
            Err(LogError::DiskFull) => self.disk.set_capacity(None),
            Err(LogError::Behind { .. } | LogError::Poisoned { .. } | LogError::Closed) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn advance_sync(&mut self) {
        self.sync = match std::mem::replace(&mut self.sync, Sync::None) {
            Sync::None => match self.log.begin_sync() {
                Some(job) => Sync::Begun(job),
                None => Sync::None,
            },
            Sync::Begun(job) => Sync::Ran(job.run()),
            Sync::Ran(outcome) => {
                if let Ok(durable) = self.log.finish_sync(outcome) {
                    self.report(&durable.notes);
                }
                Sync::None
            }
        };
    }

    fn report(&mut self, notes: &[u64]) {
        for &note in notes {
            assert_eq!(note, self.reported as u64, "notes come in order");
            self.reported += 1;
        }
        assert_eq!(self.log.durable().0, self.reported as u64);
    }

    fn remove(&mut self) {
        let before = self.random.below(self.records.len() as u64 + 2);
        self.removed_before = self.removed_before.max(before);
        // Fails only by poisoning, which the next step sees.
        drop(self.log.remove_segments_before(Sequence(before)));
        assert!(self.log.first().0 <= self.removed_before.max(1));
    }

    fn squeeze(&mut self) {
        let room = self.random.below(300);
        self.disk.set_capacity(Some(self.disk.used() + room));
    }

    fn arm_failure(&mut self) {
        let operations = [
            Operation::Write,
            Operation::Sync,
            Operation::SyncDirectory,
            Operation::Create,
            Operation::Truncate,
            Operation::Remove,
        ];
        let chosen = self.random.below(operations.len() as u64) as usize;
        let calls = self.random.below(6);
        self.disk.fail_after(operations[chosen], calls);
    }

    fn close(&mut self) {
        if matches!(self.sync, Sync::None)
            && let Ok(durable) = self.log.close()
        {
            self.report(&durable.notes);
            assert_eq!(self.reported, self.records.len());
        }
        self.restart();
    }

    /// The process ends and comes back; the disk saw nothing of it.
    fn restart(&mut self) {
        self.disk.set_capacity(None);
        self.disk.fail_after(Operation::List, u64::MAX);
        self.reopen();
    }

    fn crash(&mut self) {
        self.crashes += 1;
        let names = self
            .random
            .below(self.disk.unsynced_name_changes() as u64 + 1);
        let random = &mut self.random;
        self.disk = self.disk.crash(names as usize, |file| fate(random, file));
        self.disk.set_capacity(None);
        self.reopen();
    }

    fn reopen(&mut self) {
        self.sync = Sync::None;
        let (log, records) = open_any(&self.disk, self.segment_bytes);
        let first = log.first().0;
        assert!(first <= self.removed_before.max(1), "too much was removed");
        let last = log.last().0 as usize;
        assert!(last >= self.reported, "{last} of {}", self.reported);
        // A write that failed may have reached the disk whole.
        assert!(last <= self.records.len() + 1);
        self.torn += u64::from(last < self.records.len());
        self.records.truncate(last);
        for (index, (sequence, bytes)) in records.into_iter().enumerate() {
            assert_eq!(sequence, first + index as u64);
            match self.records.get(sequence as usize - 1) {
                Some(expected) => assert_eq!(bytes, *expected, "record {sequence}"),
                None => self.records.push(bytes),
            }
        }
        assert_eq!(self.records.len(), last);
        self.reported = last;
        self.log = log;
    }
}

fn open_any(disk: &MemoryDisk, segment_bytes: u64) -> (TestLog, Vec<(u64, Vec<u8>)>) {
    let (log, replayed) = open(disk.clone(), segment_bytes).unwrap();
    (log, replayed.records)
}

fn fate(random: &mut Random, file: &Unsynced<'_>) -> Fate {
    let length = file.written.len().max(file.synced.len()) as u64;
    let differs = |&at: &u64| file.written.get(at as usize) != file.synced.get(at as usize);
    let first = (0..length).find(differs).unwrap_or(length);
    let end = (0..length).rev().find(differs).map_or(length, |at| at + 1);
    let bytes = (first + random.below(end - first + 1)) as usize;
    match random.below(4) {
        0 => Fate::Synced,
        1 => Fate::Prefix { bytes: usize::MAX },
        2 => Fate::Prefix { bytes },
        _ => Fate::Torn {
            bytes,
            garbage: random.bytes(end - bytes as u64),
        },
    }
}

#[test]
fn random_histories_never_lose_what_was_reported_durable() {
    let (mut crashes, mut torn, mut records) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.restart();
        crashes += world.crashes;
        torn += world.torn;
        records += world.records.len();
    }
    assert!(crashes > 2_000 && torn > 300 && records > 20_000);
}
