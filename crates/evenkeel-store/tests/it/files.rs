//! The log on real files.

use std::fs;
use std::path::Path;

use evenkeel_store::disk::{Disk, DiskFile, FileDisk, LockError};
use evenkeel_store::log::{LogError, Sequence};

use crate::support::{SMALL, TestLog, append, append_many, is_damaged, open, payload};

fn open_at(path: &Path) -> (TestLog<FileDisk>, crate::support::Replayed) {
    open(FileDisk::open(path).unwrap(), SMALL).unwrap()
}

#[test]
fn a_log_in_a_new_directory_comes_back_after_a_drop_without_close() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("data").join("log");
    let (mut log, replayed) = open_at(&path);
    assert!(replayed.recovery.created);
    append_many(&mut log, 30);
    log.sync_now().unwrap();
    append_many(&mut log, 5);
    drop(log);
    let (mut log, replayed) = open_at(&path);
    assert!(!replayed.recovery.created);
    assert_eq!(replayed.last(), 35);
    assert!(replayed.recovery.segments > 2);
    append_many(&mut log, 5);
    log.close().unwrap();
    drop(log);
    assert_eq!(open_at(&path).1.last(), 40);
}

#[test]
fn a_torn_file_is_cut_and_a_damaged_one_refused() {
    let root = tempfile::tempdir().unwrap();
    let (mut log, _) = open_at(root.path());
    append_many(&mut log, 3);
    log.sync_now().unwrap();
    append_many(&mut log, 2);
    drop(log);
    let path = root.path().join("log-0000000000000001.ekl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let (mut log, replayed) = open_at(root.path());
    assert_eq!(replayed.last(), 4);
    let torn = payload(5).len() as u64 + 28 - 1;
    assert_eq!(replayed.recovery.torn_bytes, torn);
    append(&mut log).unwrap();
    drop(log);
    // Written anew, the record differs in its header only: more is durable.
    let anew = fs::read(&path).unwrap();
    let start = whole.len() - payload(5).len();
    assert_eq!(anew[..start - 28], whole[..start - 28]);
    assert_eq!(anew[start..], whole[start..]);
    fs::write(&path, &whole[..60]).unwrap();
    let error = open(FileDisk::open(root.path()).unwrap(), SMALL).err();
    assert!(is_damaged(&error.unwrap()));
}

#[test]
fn a_directory_in_use_is_refused_with_its_name_and_the_pid() {
    let root = tempfile::tempdir().unwrap();
    let (log, _) = open_at(root.path());
    let error = FileDisk::open(root.path()).unwrap_err();
    assert!(matches!(error, LockError::Held { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "{} is in use by process {}",
            root.path().display(),
            std::process::id()
        )
    );
    drop(log);
    assert!(FileDisk::open(root.path()).is_ok());
}

#[test]
fn a_path_that_is_no_directory_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    fs::write(&path, "").unwrap();
    let error = FileDisk::open(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot lock {}", path.display()));
}

#[test]
fn segments_are_removed_from_the_directory() {
    let root = tempfile::tempdir().unwrap();
    let (mut log, _) = open_at(root.path());
    while log.backlog().full_segments < 2 {
        append(&mut log).unwrap();
    }
    let last = log.sync_now().unwrap().sequence;
    assert_eq!(log.remove_segments_before(last).unwrap(), 2);
    drop(log);
    let (log, replayed) = open_at(root.path());
    assert_eq!(replayed.recovery.segments, 1);
    assert!(log.first() > Sequence(1));
    assert_eq!(replayed.last(), last.0);
}

#[test]
fn a_file_reads_overwrites_and_truncates_as_the_trait_says() {
    let root = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(root.path()).unwrap();
    let file = disk.create("a").unwrap();
    assert!(disk.create("a").is_err());
    let parts: Vec<Vec<u8>> = (0..3000_u32).map(|n| n.to_le_bytes().to_vec()).collect();
    let mut slices: Vec<_> = parts
        .iter()
        .map(|part| std::io::IoSlice::new(part))
        .collect();
    file.append(&mut slices).unwrap();
    assert_eq!(file.length().unwrap(), 12_000);
    file.write_at(4, b"over").unwrap();
    file.append(&mut [std::io::IoSlice::new(b""), std::io::IoSlice::new(b"end")])
        .unwrap();
    let mut expected: Vec<u8> = parts.concat();
    expected[4..8].copy_from_slice(b"over");
    expected.extend_from_slice(b"end");
    let mut read = vec![0; 20_000];
    let length = file.read_at(0, &mut read).unwrap();
    assert_eq!(read[..length], expected);
    file.truncate(6).unwrap();
    file.append(&mut [std::io::IoSlice::new(b"!")]).unwrap();
    file.sync().unwrap();
    disk.rename("a", "b").unwrap();
    disk.sync_dir().unwrap();
    assert_eq!(fs::read(root.path().join("b")).unwrap(), b"\0\0\0\0ov!");
    assert!(disk.open("a").unwrap_err().is_missing());
    disk.remove("b").unwrap();
    assert!(disk.remove("b").unwrap_err().is_missing());
    assert_eq!(disk.list().unwrap(), ["lock"]);
}

#[test]
fn a_full_device_is_told_apart() {
    // Every write to this device answers "no space left".
    let device = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let error = std::io::Write::write(&mut &device, b"x").unwrap_err();
    let error =
        evenkeel_store::disk::DiskError::new(evenkeel_store::disk::Operation::Write, "log", error);
    assert!(error.is_full());
    assert_eq!(error.to_string(), "cannot write log: no space left");
}

#[test]
fn a_closed_log_takes_no_record() {
    let root = tempfile::tempdir().unwrap();
    let (mut log, _) = open_at(root.path());
    log.close().unwrap();
    assert!(matches!(append(&mut log), Err(LogError::Closed)));
}
