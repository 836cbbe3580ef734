//! What is left of a damaged log.

use std::convert::Infallible;

use evenkeel_store::disk::{Disk, MemoryDisk};
use evenkeel_store::log::{Options, Salvaged, Sequence, discard, salvage};

use crate::support::{
    ID, SMALL, TestLog, append, append_many, is_damaged, must_open, open, payload, record_offsets,
    segments,
};

const RECORDS: u64 = 50;

fn written(segment_bytes: u64) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, segment_bytes);
    for sequence in 1..=RECORDS {
        append(&mut log).unwrap();
        if sequence % 5 == 0 {
            log.sync_now().unwrap();
        }
    }
    disk
}

/// What is salvaged, and which records: those in front of the first hole, and those behind.
fn salvaged(disk: &MemoryDisk) -> (Salvaged, Vec<u64>, Vec<u64>) {
    let (mut whole, mut behind) = (Vec::new(), Vec::new());
    let found = salvage(disk, |record, is_whole| {
        let sequence = record.sequence.0;
        assert_eq!(
            record.payload,
            payload(sequence),
            "wrong bytes in {sequence}"
        );
        if is_whole {
            assert!(behind.is_empty(), "{sequence} is whole behind a hole");
            whole.push(sequence);
        } else {
            behind.push(sequence);
        }
        Ok::<(), Infallible>(())
    });
    let all: Vec<u64> = whole.iter().chain(&behind).copied().collect();
    assert!(all.is_sorted_by(|one, next| one < next), "{all:?}");
    (found.unwrap(), whole, behind)
}

fn range(from: u64, to: u64) -> Vec<u64> {
    (from..=to).collect()
}

#[test]
fn a_sound_log_is_read_whole_and_nothing_is_changed() {
    let disk = written(SMALL);
    let before: Vec<_> = disk
        .list()
        .unwrap()
        .iter()
        .map(|name| disk.bytes(name))
        .collect();
    let (found, whole, behind) = salvaged(&disk);
    assert_eq!((whole, behind), (range(1, RECORDS), Vec::new()));
    assert_eq!(found.holes, Vec::new());
    assert_eq!(found.last.0, RECORDS);
    let after: Vec<_> = disk
        .list()
        .unwrap()
        .iter()
        .map(|name| disk.bytes(name))
        .collect();
    assert_eq!(before, after);
}

#[test]
fn a_flipped_byte_costs_one_record_at_most() {
    for segment_bytes in [SMALL, 1 << 20] {
        let disk = written(segment_bytes);
        for name in segments(&disk) {
            let bytes = disk.bytes(&name).unwrap();
            let first = u64::from_le_bytes(bytes[32..40].try_into().unwrap());
            let offsets = record_offsets(&bytes);
            for at in 0..bytes.len() {
                let rotten = disk.fork();
                let mut bytes = bytes.clone();
                bytes[at] ^= 0x20;
                rotten.set_bytes(&name, bytes);
                let (found, whole, behind) = salvaged(&rotten);
                assert!(found.has_loss(), "{name} at {at}: {found:?}");
                let place = offsets.iter().filter(|offset| **offset <= at).count() as u64;
                if place == 0 {
                    // The segment's own head holds no record.
                    assert_eq!(whole, range(1, first - 1));
                    assert_eq!(behind, range(first, RECORDS));
                } else {
                    let lost = first + place - 1;
                    assert_eq!(whole, range(1, lost - 1), "{name} at {at}");
                    assert_eq!(behind, range(lost + 1, RECORDS), "{name} at {at}");
                }
                assert_eq!(found.last.0, RECORDS);
            }
        }
    }
}

#[test]
fn every_other_file_can_be_lost_or_damaged_without_losing_a_record() {
    let disk = written(SMALL);
    for name in ["format", "synced"] {
        let missing = disk.fork();
        missing.remove(name).unwrap();
        let (found, whole, _) = salvaged(&missing);
        assert_eq!(whole, range(1, RECORDS), "{name}: {found:?}");
        assert!(!found.holes.is_empty());
        let length = disk.bytes(name).unwrap().len();
        for at in 0..length {
            let rotten = disk.fork();
            let mut bytes = rotten.bytes(name).unwrap();
            bytes[at] ^= 1;
            rotten.set_bytes(name, bytes);
            assert_eq!(salvaged(&rotten).1, range(1, RECORDS), "{name} at {at}");
        }
    }
}

#[test]
fn a_missing_segment_costs_its_own_records_only() {
    let disk = written(SMALL);
    for name in segments(&disk) {
        let bytes = disk.bytes(&name).unwrap();
        let first = u64::from_le_bytes(bytes[32..40].try_into().unwrap());
        let next = first + record_offsets(&bytes).len() as u64 - 1;
        let missing = disk.fork();
        missing.remove(&name).unwrap();
        let (found, whole, behind) = salvaged(&missing);
        assert!(found.has_loss(), "{found:?}");
        assert_eq!(whole, range(1, first - 1));
        assert_eq!(behind, range(next, RECORDS));
    }
}

#[test]
fn a_torn_end_is_no_loss() {
    let disk = written(1 << 20);
    let (mut log, _) = must_open(&disk, 1 << 20);
    append_many(&mut log, 3);
    let name = &segments(&disk)[0];
    let mut bytes = disk.bytes(name).unwrap();
    bytes.pop();
    disk.set_bytes(name, bytes);
    let (found, whole, _) = salvaged(&disk);
    assert_eq!(whole, range(1, RECORDS + 2));
    assert_eq!(found.holes.len(), 1);
    assert!(!found.has_loss());
}

#[test]
fn a_new_log_begins_behind_the_one_that_was_discarded() {
    let disk = written(SMALL);
    let name = &segments(&disk)[1];
    disk.remove(name).unwrap();
    assert!(is_damaged(&open(disk.clone(), SMALL).err().unwrap()));
    let (found, ..) = salvaged(&disk);
    discard(&disk).unwrap();
    assert_eq!(disk.list().unwrap(), Vec::<String>::new());
    let mut options = Options::new(ID);
    options.new_first = found.last.next();
    let none = |_: evenkeel_store::log::Record<'_>| Ok::<(), Infallible>(());
    let (mut log, recovery) = TestLog::open(disk.clone(), options, none).unwrap();
    assert!(recovery.created);
    assert_eq!(log.first(), Sequence(RECORDS + 1));
    assert_eq!(append(&mut log).unwrap(), RECORDS + 1);
    log.sync_now().unwrap();
    drop(log);
    let (log, replayed) = must_open(&disk, SMALL);
    assert_eq!(replayed.last(), RECORDS + 1);
    assert_eq!(log.first(), Sequence(RECORDS + 1));
}

#[test]
fn a_crash_while_a_log_is_discarded_leaves_what_is_called_damaged_or_no_log() {
    use evenkeel_store::disk::Operation;
    for failing in [Operation::Remove, Operation::SyncDirectory] {
        for call in 0..20 {
            let disk = written(SMALL);
            disk.fail_after(failing, call);
            let Err(_) = discard(&disk) else { break };
            for names in 0..=disk.unsynced_name_changes() {
                let crashed = disk.crash(names, |_| evenkeel_store::disk::Fate::Synced);
                match open(crashed.clone(), SMALL) {
                    Ok((_, replayed)) if replayed.recovery.created => {}
                    // It was not discarded yet.
                    Ok((_, replayed)) => assert_eq!(replayed.last(), RECORDS),
                    Err(error) => assert!(is_damaged(&error), "{error}"),
                }
            }
        }
    }
}
