//! What is durable when, and what happens when the disk fails.

use evenkeel_store::disk::{MemoryDisk, Operation};
use evenkeel_store::log::{Failure, Generation, LogError, Sequence};

use crate::support::{
    SMALL, TestLog, append, append_many, lose_power, must_open, open, payload, segments,
};

const WHOLE: u64 = 1 << 20;

#[test]
fn a_record_of_many_parts_is_one_write_and_one_payload() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, WHOLE);
    let bytes = payload(1);
    let parts: Vec<&[u8]> = bytes.chunks(2).collect();
    assert!(parts.len() > 3);
    let before = disk.count(Operation::Write);
    log.append(&parts, 1).unwrap();
    assert_eq!(disk.count(Operation::Write), before + 1);
    assert_eq!(must_open(&disk, WHOLE).1.records, vec![(1, bytes)]);
}

#[test]
fn notes_come_back_in_order_with_the_sync_that_covers_them() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, WHOLE);
    append_many(&mut log, 3);
    let first = log.begin_sync().unwrap();
    let during = log.append(&[b""], 4).unwrap();
    assert_eq!(during.generation, Generation(2), "the first sync has begun");
    assert!(log.begin_sync().is_none(), "one sync at a time");
    let durable = log.finish_sync(first.run()).unwrap();
    assert_eq!(durable.notes, [1, 2, 3]);
    assert_eq!(durable.generation, Generation(1));
    assert_eq!(durable.sequence, Sequence(3));
    assert_eq!(log.durable(), Sequence(3));
    let durable = log.sync_now().unwrap();
    assert_eq!(
        (durable.notes, durable.generation),
        (vec![4], Generation(2))
    );
    assert!(log.begin_sync().is_none(), "nothing is left to sync");
    assert_eq!(log.sync_now().unwrap().notes, Vec::<u64>::new());
}

#[test]
fn a_sync_covers_every_full_segment_and_the_directory() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, SMALL);
    while segments(&disk).len() < 4 {
        append(&mut log).unwrap();
    }
    assert_eq!(log.backlog().full_segments, 3);
    let last = log.sync_now().unwrap().sequence;
    assert_eq!(log.backlog().full_segments, 0);
    assert_eq!(must_open(&lose_power(&disk), SMALL).1.last(), last.0);
}

#[test]
fn too_many_unsynced_segments_slow_the_sender() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, SMALL);
    let error = loop {
        if let Err(error) = append(&mut log) {
            break error;
        }
    };
    assert!(matches!(error, LogError::Behind { segments: 4 }));
    let last = log.sync_now().unwrap().sequence;
    assert_eq!(append(&mut log).unwrap(), last.0 + 1);
}

#[test]
fn a_record_larger_than_a_segment_gets_its_own() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, SMALL);
    append(&mut log).unwrap();
    let large = vec![7; 3 * SMALL as usize];
    log.append(&[&large], 2).unwrap();
    log.append(&[b"after"], 3).unwrap();
    assert_eq!(segments(&disk).len(), 3);
    drop(log);
    let mut lengths = Vec::new();
    TestLog::open(disk, crate::support::options(SMALL), |record| {
        lengths.push(record.payload.len());
        Ok::<(), std::convert::Infallible>(())
    })
    .unwrap();
    assert_eq!(lengths, [payload(1).len(), large.len(), 5]);
}

#[test]
fn a_record_over_the_limit_is_refused_and_changes_nothing() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, WHOLE);
    let part = vec![0; 1 << 20];
    let parts: Vec<&[u8]> = std::iter::repeat_n(&part[..], 257).collect();
    let error = log.append(&parts, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a record of 269484032 bytes is over the limit of 268435456"
    );
    assert_eq!(append(&mut log).unwrap(), 1);
}

#[test]
fn a_segment_size_out_of_bounds_is_refused() {
    let error = open(MemoryDisk::new(), 16).err().unwrap();
    assert_eq!(
        error.to_string(),
        "a segment size of 16 bytes is not between 256 and 4294967296"
    );
}

/// Lets the `nth` call of an operation fail in a history of appends, syncs and
/// rolls. Answers what was reported durable and whether anything failed.
fn run_until_failure(disk: &MemoryDisk, operation: Operation, nth: u64) -> (u64, bool) {
    let (mut log, _) = must_open(disk, SMALL);
    disk.fail_after(operation, nth);
    let mut reported = 0;
    let mut failure = None;
    for sequence in 1..=40_u64 {
        if let Err(error) = append(&mut log) {
            failure = Some(error);
            break;
        }
        if sequence % 3 == 0 {
            match log.sync_now() {
                Ok(durable) => reported = durable.sequence.0,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
    }
    let Some(failure) = failure else {
        return (reported, false);
    };
    assert!(matches!(failure, LogError::Poisoned { .. }), "{failure}");
    assert_stays_poisoned(disk, &mut log);
    assert_eq!(log.durable().0, reported);
    (reported, true)
}

fn assert_stays_poisoned(disk: &MemoryDisk, log: &mut TestLog) {
    let calls = |disk: &MemoryDisk| {
        let written = disk.count(Operation::Write) + disk.count(Operation::Create);
        written + disk.count(Operation::Sync) + disk.count(Operation::SyncDirectory)
    };
    let before = calls(disk);
    for _ in 0..3 {
        assert!(matches!(append(log), Err(LogError::Poisoned { .. })));
        assert!(matches!(log.sync_now(), Err(LogError::Poisoned { .. })));
        assert!(matches!(log.close(), Err(LogError::Poisoned { .. })));
        assert!(log.begin_sync().is_none());
        let removed = log.remove_segments_before(Sequence(u64::MAX));
        assert!(matches!(removed, Err(LogError::Poisoned { .. })));
    }
    assert_eq!(calls(disk), before, "a poisoned log touches no disk");
}

#[test]
fn the_first_failure_of_any_kind_poisons_and_nothing_reported_is_lost() {
    for operation in [
        Operation::Write,
        Operation::Sync,
        Operation::SyncDirectory,
        Operation::Create,
    ] {
        let mut failures = 0;
        for nth in 0.. {
            let disk = MemoryDisk::new();
            let (reported, failed) = run_until_failure(&disk, operation, nth);
            if !failed {
                break;
            }
            for left in [disk.fork(), lose_power(&disk)] {
                let last = must_open(&left, SMALL).1.last();
                assert!(last >= reported, "{operation} {nth}: {last} of {reported}");
            }
            failures += 1;
        }
        assert!(failures >= 4, "{operation} failed only {failures} times");
    }
}

#[test]
fn a_poisoned_log_says_what_failed_first() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, WHOLE);
    append(&mut log).unwrap();
    disk.fail_after(Operation::Sync, 0);
    let error = log.sync_now().unwrap_err();
    let LogError::Poisoned { cause } = &error else {
        panic!("{error}");
    };
    assert!(matches!(&**cause, Failure::Disk(_)));
    let mut chain = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        chain = format!("{chain}: {error}");
        source = error.source();
    }
    assert_eq!(
        chain,
        "the log takes no more records until restart: the log's disk failed: \
         cannot sync log-0000000000000001.ekl: failed on request"
    );
}

#[test]
fn an_error_while_opening_is_an_error_and_loses_nothing() {
    let operations = [
        Operation::Create,
        Operation::Open,
        Operation::Write,
        Operation::Read,
        Operation::Truncate,
        Operation::Sync,
        Operation::SyncDirectory,
        Operation::Rename,
        Operation::Remove,
        Operation::List,
    ];
    let whole = MemoryDisk::new();
    let (mut log, _) = must_open(&whole, SMALL);
    append_many(&mut log, 12);
    log.sync_now().unwrap();
    append_many(&mut log, 3);
    let mut failures = 0;
    for prepared in [MemoryDisk::new(), whole] {
        for operation in operations {
            for nth in 0.. {
                let disk = prepared.fork();
                disk.fail_after(operation, nth);
                match open(disk.clone(), SMALL) {
                    Ok(_) => break,
                    Err(error) => {
                        failures += 1;
                        assert!(matches!(error, LogError::Disk(_)), "{error}");
                        let last = must_open(&disk, SMALL).1.last();
                        assert!([0, 15].contains(&last));
                    }
                }
            }
        }
    }
    assert!(failures > 30, "only {failures}");
}

#[test]
fn segments_are_removed_only_when_wholly_before_and_durable() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, SMALL);
    while segments(&disk).len() < 4 {
        append(&mut log).unwrap();
    }
    let all = Sequence(u64::MAX);
    assert_eq!(
        log.remove_segments_before(all).unwrap(),
        0,
        "none is durable"
    );
    log.sync_now().unwrap();
    assert_eq!(log.remove_segments_before(Sequence(2)).unwrap(), 0);
    assert_eq!(log.remove_segments_before(Sequence(20)).unwrap(), 1);
    let first = log.first();
    assert!(first <= Sequence(20) && first > Sequence(1));
    let (_, replayed) = must_open(&lose_power(&disk), SMALL);
    assert_eq!(replayed.records[0].0, first.0);
    assert_eq!(log.remove_segments_before(all).unwrap(), 2);
    assert_eq!(segments(&disk).len(), 1, "the active segment stays");
    let last = append(&mut log).unwrap();
    log.sync_now().unwrap();
    let (log, replayed) = must_open(&lose_power(&disk), SMALL);
    assert_eq!(replayed.last(), last);
    assert!(log.first() > first);
}

#[test]
fn a_segment_is_not_removed_before_its_successor_exists_durably() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, SMALL);
    while log.backlog().full_segments == 0 {
        log.sync_now().unwrap();
        append(&mut log).unwrap();
    }
    // Every record before the newest is durable, its segment's name is not.
    assert_eq!(log.durable().0 + 1, log.last().0);
    assert_eq!(log.remove_segments_before(Sequence(u64::MAX)).unwrap(), 0);
    assert_eq!(
        must_open(&lose_power(&disk), SMALL).1.last(),
        log.durable().0
    );
}

#[test]
fn after_a_removal_either_slot_of_the_mark_is_enough() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, SMALL);
    while segments(&disk).len() < 4 {
        append(&mut log).unwrap();
    }
    let last = log.sync_now().unwrap().sequence;
    assert_eq!(log.remove_segments_before(last).unwrap(), 3);
    drop(log);
    for slot in [0, 4096] {
        let rotten = disk.fork();
        let mut mark = rotten.bytes("synced").unwrap();
        mark[slot] ^= 1;
        rotten.set_bytes("synced", mark);
        assert_eq!(must_open(&rotten, SMALL).1.last(), last.0);
    }
}
