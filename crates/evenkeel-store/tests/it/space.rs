//! A disk that runs full, and gets space back.

use evenkeel_store::disk::{MemoryDisk, Operation};
use evenkeel_store::log::LogError;

use crate::support::{SMALL, append, append_many, lose_power, must_open, open, segments};

#[test]
fn a_full_disk_refuses_the_record_and_takes_it_when_space_returns() {
    for room in 0..120_u64 {
        let disk = MemoryDisk::new();
        let (mut log, _) = must_open(&disk, 1 << 20);
        append_many(&mut log, 4);
        log.sync_now().unwrap();
        disk.set_capacity(Some(disk.used() + room));
        let mut good = 4;
        let error = loop {
            match append(&mut log) {
                Ok(sequence) => good = sequence,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, LogError::DiskFull), "{error}");
        assert!(matches!(append(&mut log), Err(LogError::DiskFull)));
        assert_eq!(log.last().0, good);
        assert!(log.poisoned().is_none());
        // What is left is whole, full disk or not.
        let (_, replayed) = must_open(&disk.fork(), 1 << 20);
        assert_eq!(replayed.last(), good);
        assert_eq!(replayed.recovery.torn_bytes, 0);
        disk.set_capacity(None);
        assert_eq!(append(&mut log).unwrap(), good + 1);
        assert_eq!(log.sync_now().unwrap().sequence.0, good + 1);
        let (_, replayed) = must_open(&lose_power(&disk), 1 << 20);
        assert_eq!(replayed.last(), good + 1);
    }
}

#[test]
fn a_disk_full_at_a_roll_leaves_no_half_segment() {
    for room in 0..48_u64 {
        let disk = MemoryDisk::new();
        let (mut log, _) = must_open(&disk, SMALL);
        // The disk as it is when the next record begins a new segment.
        let fill = loop {
            let before = disk.fork();
            append(&mut log).unwrap();
            if segments(&disk).len() == 3 {
                break before;
            }
        };
        drop(log);
        let (mut log, replayed) = must_open(&fill, SMALL);
        fill.set_capacity(Some(fill.used() + room));
        let last = replayed.last();
        assert!(matches!(append(&mut log), Err(LogError::DiskFull)));
        assert_eq!(segments(&fill).len(), 2);
        fill.set_capacity(None);
        assert_eq!(append(&mut log).unwrap(), last + 1);
        assert_eq!(segments(&fill).len(), 3);
        log.sync_now().unwrap();
        assert_eq!(must_open(&lose_power(&fill), SMALL).1.last(), last + 1);
    }
}

#[test]
fn a_full_disk_that_cannot_be_tidied_poisons() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, 1 << 20);
    append_many(&mut log, 4);
    log.sync_now().unwrap();
    disk.set_capacity(Some(disk.used() + 10));
    disk.fail_after(Operation::Truncate, 0);
    assert!(matches!(append(&mut log), Err(LogError::Poisoned { .. })));
    disk.set_capacity(None);
    assert!(matches!(append(&mut log), Err(LogError::Poisoned { .. })));
    let (_, replayed) = must_open(&disk, 1 << 20);
    assert_eq!(replayed.last(), 4);
    assert_eq!(replayed.recovery.torn_bytes, 10);
}

#[test]
fn a_full_disk_can_be_opened_and_emptied() {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, SMALL);
    while segments(&disk).len() < 4 {
        append(&mut log).unwrap();
        log.sync_now().unwrap();
    }
    drop(log);
    disk.set_capacity(Some(disk.used()));
    let (mut log, replayed) = must_open(&disk, SMALL);
    let last = replayed.last();
    assert!(matches!(append(&mut log), Err(LogError::DiskFull)));
    assert_eq!(
        log.remove_segments_before(replayed.recovery.last).unwrap(),
        3
    );
    assert_eq!(append(&mut log).unwrap(), last + 1);
}

#[test]
fn a_log_that_cannot_be_created_for_want_of_space_can_be_later() {
    let whole = MemoryDisk::new();
    drop(must_open(&whole, SMALL));
    for room in 0..whole.used() {
        let disk = MemoryDisk::new();
        disk.set_capacity(Some(room));
        let error = open(disk.clone(), SMALL).err();
        let error = error.unwrap_or_else(|| panic!("created in {room} bytes"));
        assert!(matches!(&error, LogError::Disk(disk) if disk.is_full()));
        disk.set_capacity(None);
        assert!(must_open(&disk, SMALL).1.recovery.created);
    }
}
