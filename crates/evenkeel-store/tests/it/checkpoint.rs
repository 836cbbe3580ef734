//! Checkpoints: whole or not at all, whatever the disk does.

use std::convert::Infallible;

use evenkeel_store::checkpoint::{Checkpoint, Covered, ReadError, read, write};
use evenkeel_store::disk::{Disk, Fate, FileDisk, MemoryDisk, Operation};
use evenkeel_store::log::Sequence;

const NUMBER: u16 = 0x2a;
const FILE: &str = "checkpoint-002a.ekc";

type Read = Result<Option<(Checkpoint, Vec<Vec<u8>>)>, ReadError<Infallible>>;

fn read_all(disk: &impl Disk) -> Read {
    let mut records = Vec::new();
    let found = read(disk, NUMBER, |record| {
        records.push(record.to_vec());
        Ok(())
    })?;
    Ok(found.map(|checkpoint| (checkpoint, records)))
}

fn records(seed: u8) -> Vec<Vec<u8>> {
    (0..5_u8).map(|n| vec![seed; usize::from(n) * 30]).collect()
}

#[test]
fn a_checkpoint_comes_back_from_real_files_and_replaces_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    assert!(read_all(&disk).unwrap().is_none());
    for seed in [1, 2] {
        let covered = match seed {
            1 => upto(1),
            _ => Covered::behind(Sequence(2)),
        };
        let bytes = write(&disk, NUMBER, covered, &records(seed)).unwrap();
        let (checkpoint, found) = read_all(&disk).unwrap().unwrap();
        assert_eq!(checkpoint, Checkpoint { covered, bytes });
        assert_eq!(found, records(seed));
    }
    let mut names = disk.list().unwrap();
    names.retain(|name| name != "lock");
    assert_eq!(names, [FILE], "beside the lock there is one file");
    let none: [&[u8]; 0] = [];
    write(&disk, NUMBER, upto(3), &none).unwrap();
    assert_eq!(read_all(&disk).unwrap().unwrap().1, Vec::<Vec<u8>>::new());
}

fn upto(sequence: u64) -> Covered {
    Covered::whole(Sequence(sequence))
}

#[test]
fn a_file_of_a_later_version_is_told_from_a_damaged_one() {
    let disk = MemoryDisk::new();
    write(&disk, NUMBER, upto(1), &records(1)).unwrap();
    let mut bytes = disk.bytes(FILE).unwrap();
    bytes[8] = 2;
    let covered = [&bytes[8..12], &bytes[16..40]].concat();
    let crc = crc32c::crc32c(&covered);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    disk.set_bytes(FILE, bytes);
    let error = read_all(&disk).unwrap_err();
    assert_eq!(
        error.to_string(),
        "checkpoint-002a.ekc has format version 2, this program knows 1"
    );
}

#[test]
fn a_power_cut_at_any_call_leaves_the_old_one_or_the_new_one() {
    let operations = [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDirectory,
    ];
    let mut cuts = 0;
    for operation in operations {
        for calls in 0..12 {
            let disk = MemoryDisk::new();
            write(&disk, NUMBER, upto(1), &records(1)).unwrap();
            disk.fail_after(operation, calls);
            let done = write(&disk, NUMBER, upto(2), &records(2));
            for names in 0..=disk.unsynced_name_changes() {
                for keep in [0, 50, usize::MAX] {
                    let after = disk.crash(names, |_| Fate::Prefix { bytes: keep });
                    let (checkpoint, found) = read_all(&after).unwrap().unwrap();
                    assert_eq!(found, records(checkpoint.covered.upto.0 as u8));
                    assert!(done.is_err() || checkpoint.covered == upto(2));
                    // What is left of the attempt is in nobody's way.
                    write(&after, NUMBER, upto(3), &records(3)).unwrap();
                    assert_eq!(read_all(&after).unwrap().unwrap().1, records(3));
                    cuts += 1;
                }
            }
        }
    }
    assert!(cuts > 100, "{cuts}");
}

#[test]
fn a_full_disk_leaves_the_old_one_and_takes_no_space() {
    let disk = MemoryDisk::new();
    write(&disk, NUMBER, upto(1), &records(1)).unwrap();
    let used = disk.used();
    disk.set_capacity(Some(used + 100));
    assert!(
        write(&disk, NUMBER, upto(2), &records(2))
            .unwrap_err()
            .is_full()
    );
    assert_eq!(disk.used(), used);
    assert_eq!(read_all(&disk).unwrap().unwrap().1, records(1));
}

#[test]
fn no_flipped_bit_and_no_cut_goes_unnoticed() {
    let disk = MemoryDisk::new();
    write(&disk, NUMBER, upto(1), &records(1)).unwrap();
    let whole = disk.bytes(FILE).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            disk.set_bytes(FILE, bytes);
            let error = read_all(&disk).unwrap_err();
            assert!(matches!(error, ReadError::Damaged { .. }), "{at}: {error}");
        }
        disk.set_bytes(FILE, whole[..at].to_vec());
        assert!(
            matches!(read_all(&disk), Err(ReadError::Damaged { .. })),
            "cut at {at}"
        );
    }
    disk.set_bytes(FILE, [&whole[..], b"x"].concat());
    assert!(matches!(read_all(&disk), Err(ReadError::Damaged { .. })));
    // A right file in a wrong place.
    disk.set_bytes("checkpoint-0001.ekc", whole);
    let moved = read(&disk, 1, |_| Ok::<(), Infallible>(()));
    assert!(matches!(moved, Err(ReadError::Damaged { .. })));
}
