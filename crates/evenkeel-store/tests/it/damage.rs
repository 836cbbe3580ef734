//! Rot: every byte cut, every byte flipped, records and files exchanged.

use evenkeel_store::disk::{Disk, MemoryDisk};
use evenkeel_store::log::{Damage, LogError};

use crate::support::{
    SMALL, append, append_many, is_damaged, keep_all, must_open, open, record_offsets, segments,
};

const RECORDS: u64 = 50;
const DURABLE: u64 = 30;
const WHOLE: u64 = 1 << 20;

/// Fifty records, of which the first `durable` were reported durable, five at
/// a time.
fn written(segment_bytes: u64, durable: u64) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let (mut log, _) = must_open(&disk, segment_bytes);
    for sequence in 1..=RECORDS {
        append(&mut log).unwrap();
        if sequence <= durable && sequence % 5 == 0 {
            assert_eq!(log.sync_now().unwrap().sequence.0, sequence);
        }
    }
    disk
}

/// The same disk with one file's bytes changed.
fn changed(disk: &MemoryDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> MemoryDisk {
    let fork = disk.fork();
    let mut bytes = fork.bytes(name).unwrap();
    change(&mut bytes);
    fork.set_bytes(name, bytes);
    fork
}

/// Each file in turn, cut at every byte and with every byte flipped in two
/// ways. The callback gets the file, the first byte touched, and what became.
fn for_each_rot(disk: &MemoryDisk, mut check: impl FnMut(&str, usize, &MemoryDisk)) {
    for name in disk.list().unwrap() {
        for at in 0..disk.bytes(&name).unwrap().len() {
            if name == "synced" && (64..4032).contains(&at) {
                // Nothing but the distance between the slots.
                continue;
            }
            check(&name, at, &changed(disk, &name, |bytes| bytes.truncate(at)));
            for mask in [0x01, 0xff] {
                check(&name, at, &changed(disk, &name, |bytes| bytes[at] ^= mask));
            }
        }
    }
}

#[test]
fn any_cut_or_flipped_byte_of_a_durable_log_is_noticed() {
    for segment_bytes in [SMALL, WHOLE] {
        let disk = written(segment_bytes, RECORDS);
        let mut seen = 0;
        for_each_rot(&disk, |name, at, rotten| {
            seen += 1;
            let opened = open(rotten.clone(), segment_bytes);
            if name == "synced" {
                // One slot is enough, and nothing else is wrong.
                if let Ok((_, replayed)) = opened {
                    assert_eq!(replayed.last(), RECORDS, "{name} at {at}");
                } else {
                    assert!(is_damaged(&opened.err().unwrap()), "{name} at {at}");
                }
            } else {
                let error = opened.err().unwrap_or_else(|| panic!("{name} at {at}"));
                assert!(is_damaged(&error), "{name} at {at}: {error}");
            }
        });
        assert!(seen > 6_000, "only {seen} cases");
    }
}

#[test]
fn one_flipped_byte_of_the_mark_costs_nothing() {
    let disk = written(SMALL, RECORDS);
    for at in 0..disk.bytes("synced").unwrap().len() {
        let rotten = changed(&disk, "synced", |bytes| bytes[at] ^= 0x10);
        let (mut log, replayed) = must_open(&rotten, SMALL);
        assert_eq!(replayed.last(), RECORDS);
        append(&mut log).unwrap();
    }
}

#[test]
fn rot_behind_the_last_durable_record_leaves_an_exact_prefix() {
    for segment_bytes in [SMALL, WHOLE] {
        let disk = written(segment_bytes, DURABLE);
        let (mut prefixes, mut damaged) = (0, 0);
        for_each_rot(&disk, |name, at, rotten| {
            match open(rotten.clone(), segment_bytes) {
                Ok((_, replayed)) => {
                    prefixes += 1;
                    assert!(replayed.last() >= DURABLE, "{name} at {at}");
                }
                Err(error) => {
                    damaged += 1;
                    assert!(is_damaged(&error), "{name} at {at}: {error}");
                    assert!(!undurable(&disk, name, at), "{name} at {at}: {error}");
                }
            }
        });
        assert!(prefixes > 1_000 && damaged > 1_000);
    }
}

/// Whether this byte belongs to a record that was not reported durable, or to
/// the head of a segment that holds only such.
fn undurable(disk: &MemoryDisk, name: &str, at: usize) -> bool {
    let Some(bytes) = disk.bytes(name).filter(|_| name.starts_with("log-")) else {
        return false;
    };
    let first = u64::from_le_bytes(bytes[32..40].try_into().unwrap());
    let offsets = record_offsets(&bytes);
    let before = offsets.iter().filter(|&&offset| offset <= at).count() as u64;
    first + before.max(1) - 1 > DURABLE
}

#[test]
fn a_cut_tail_that_was_never_durable_is_cut_at_the_last_whole_record() {
    let disk = written(WHOLE, DURABLE);
    let name = &segments(&disk)[0];
    let bytes = disk.bytes(name).unwrap();
    let offsets = record_offsets(&bytes);
    for at in offsets[DURABLE as usize]..bytes.len() {
        let torn = changed(&disk, name, |bytes| bytes.truncate(at));
        let (mut log, replayed) = must_open(&torn, WHOLE);
        let whole = offsets.iter().filter(|&&end| end <= at).count() - 1;
        assert_eq!(replayed.last(), whole as u64);
        assert_eq!(replayed.recovery.torn_bytes, (at - offsets[whole]) as u64);
        append_many(&mut log, 3);
        drop(log);
        assert_eq!(must_open(&torn, WHOLE).1.last(), whole as u64 + 3);
    }
}

#[test]
fn later_records_vouch_for_earlier_ones_when_the_mark_is_lost() {
    for segment_bytes in [SMALL, WHOLE] {
        let fresh = MemoryDisk::new();
        drop(must_open(&fresh, segment_bytes));
        let disk = written(segment_bytes, RECORDS);
        disk.set_bytes("synced", fresh.bytes("synced").unwrap());
        // Records 46 to 50 were written when 45 was durable.
        let vouched = RECORDS - 5;
        let mut refused = 0;
        for name in segments(&disk) {
            let bytes = disk.bytes(&name).unwrap();
            let first = u64::from_le_bytes(bytes[32..40].try_into().unwrap());
            for (index, range) in record_offsets(&bytes).windows(2).enumerate() {
                let sequence = first + index as u64;
                for at in range[0]..range[1] {
                    let rotten = changed(&disk, &name, |bytes| bytes[at] ^= 0x04);
                    match open(rotten, segment_bytes) {
                        Ok((_, replayed)) => {
                            assert!(sequence > vouched, "record {sequence} vanished");
                            assert_eq!(replayed.last(), sequence - 1);
                        }
                        Err(error) => {
                            refused += 1;
                            assert!(is_damaged(&error));
                            assert!(sequence <= vouched, "record {sequence}: {error}");
                        }
                    }
                }
            }
        }
        assert!(refused > 1_000);
    }
}

#[test]
fn swapped_records_are_noticed() {
    let disk = written(WHOLE, RECORDS);
    let name = &segments(&disk)[0];
    let offsets = record_offsets(&disk.bytes(name).unwrap());
    let records: Vec<_> = offsets.windows(2).map(|pair| pair[0]..pair[1]).collect();
    let mut swaps = 0;
    for one in 0..records.len() {
        for other in one + 1..records.len() {
            swaps += 1;
            let swapped = changed(&disk, name, |bytes| {
                let (left, right) = (records[one].clone(), records[other].clone());
                let mut mixed = bytes[..left.start].to_vec();
                mixed.extend_from_slice(&bytes[right.clone()]);
                mixed.extend_from_slice(&bytes[left.end..right.start]);
                mixed.extend_from_slice(&bytes[left]);
                mixed.extend_from_slice(&bytes[right.end..]);
                *bytes = mixed;
            });
            match open(swapped, WHOLE) {
                Err(LogError::Damaged {
                    why: Damage::Misplaced { expected, found },
                    offset,
                    ..
                }) => {
                    assert_eq!(expected.0, one as u64 + 1);
                    assert_eq!(found.0, other as u64 + 1);
                    assert_eq!(offset, records[one].start as u64);
                }
                other => panic!("{:?}", other.err()),
            }
        }
    }
    assert_eq!(swaps, 50 * 49 / 2);
}

#[test]
fn repeated_or_removed_records_are_noticed() {
    let disk = written(WHOLE, RECORDS);
    let name = &segments(&disk)[0];
    let offsets = record_offsets(&disk.bytes(name).unwrap());
    for range in offsets.windows(2) {
        let removed = changed(&disk, name, |bytes| {
            bytes.drain(range[0]..range[1]);
        });
        assert!(is_damaged(&open(removed, WHOLE).err().unwrap()));
    }
    for range in offsets.windows(2) {
        let repeated = changed(&disk, name, |bytes| {
            let record = bytes[range[0]..range[1]].to_vec();
            bytes.splice(range[1]..range[1], record);
        });
        // After the very last record a repetition is a torn tail.
        match open(repeated, WHOLE) {
            Ok((_, replayed)) => {
                assert_eq!(Some(&range[1]), offsets.last());
                assert_eq!(replayed.last(), RECORDS);
                assert!(replayed.recovery.torn_bytes > 0);
            }
            Err(error) => assert!(is_damaged(&error)),
        }
    }
}

#[test]
fn a_missing_file_is_noticed() {
    let disk = written(SMALL, RECORDS);
    assert!(segments(&disk).len() > 4);
    for name in disk.list().unwrap() {
        let missing = disk.fork();
        missing.remove(&name).unwrap();
        let error = open(missing, SMALL).err().unwrap();
        assert!(is_damaged(&error), "{name}: {error}");
    }
}

#[test]
fn exchanged_segments_are_noticed() {
    let disk = written(SMALL, RECORDS);
    let names = segments(&disk);
    for one in &names {
        for other in names.iter().filter(|other| *other != one) {
            let exchanged = disk.fork();
            exchanged.set_bytes(one, disk.bytes(other).unwrap());
            exchanged.set_bytes(other, disk.bytes(one).unwrap());
            assert!(is_damaged(&open(exchanged, SMALL).err().unwrap()));
        }
    }
}

#[test]
fn a_segment_of_another_log_is_noticed() {
    let (disk, other) = (written(SMALL, RECORDS), MemoryDisk::new());
    let mut options = crate::support::options(SMALL);
    options.new_id.0 += 1;
    let replay = |_: evenkeel_store::log::Record<'_>| Ok::<(), std::convert::Infallible>(());
    let (mut log, _) = crate::support::TestLog::open(other.clone(), options, replay).unwrap();
    for _ in 0..RECORDS {
        append(&mut log).unwrap();
        log.sync_now().unwrap();
    }
    for name in segments(&disk) {
        let mixed = disk.fork();
        mixed.set_bytes(&name, other.bytes(&name).unwrap());
        assert!(is_damaged(&open(mixed, SMALL).err().unwrap()));
    }
}

#[test]
fn a_name_that_looks_like_a_segment_is_refused() {
    let disk = written(SMALL, RECORDS);
    disk.set_bytes("log-1.ekl", Vec::new());
    let error = open(disk, SMALL).err().unwrap();
    assert_eq!(
        error.to_string(),
        "log-1.ekl is damaged at byte 0: no segment has such a name"
    );
}

#[test]
fn a_newer_format_is_refused_and_named() {
    let disk = written(SMALL, RECORDS);
    // The checksum was computed outside of this program.
    let line = "evenkeel-log 2 5eed0123456789ab ff8d7a44\n";
    disk.set_bytes("format", line.into());
    let error = open(disk, SMALL).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the log has format version 2, this program knows 1"
    );
}

#[test]
fn after_a_clean_close_and_a_power_cut_every_flip_is_noticed() {
    let disk = written(SMALL, RECORDS);
    let (mut log, _) = must_open(&disk, SMALL);
    append_many(&mut log, 2);
    log.close().unwrap();
    assert!(matches!(append(&mut log), Err(LogError::Closed)));
    let disk = crate::support::lose_power(&disk);
    for name in segments(&disk) {
        for at in 0..disk.bytes(&name).unwrap().len() {
            let rotten = changed(&disk, &name, |bytes| bytes[at] ^= 0x20);
            assert!(open(rotten, SMALL).is_err(), "{name} at {at}");
        }
    }
    assert_eq!(must_open(&keep_all(&disk), SMALL).1.last(), RECORDS + 2);
}

#[test]
fn refused_records_leave_the_log_as_it_was() {
    let disk = written(SMALL, DURABLE);
    let before: Vec<_> = segments(&disk)
        .iter()
        .map(|name| disk.bytes(name))
        .collect();
    let opened =
        crate::support::TestLog::open(disk.clone(), crate::support::options(SMALL), |record| {
            if record.sequence.0 == 7 {
                Err("no")
            } else {
                Ok(())
            }
        });
    let error = opened.err().unwrap();
    assert_eq!(error.to_string(), "record 7 cannot be replayed");
    let after: Vec<_> = segments(&disk)
        .iter()
        .map(|name| disk.bytes(name))
        .collect();
    assert_eq!(before, after);
    assert_eq!(must_open(&disk, SMALL).1.last(), RECORDS);
}

#[test]
fn what_recovery_made_durable_is_known_to_be_after_a_power_cut() {
    let disk = written(SMALL, DURABLE);
    assert_eq!(must_open(&disk, SMALL).1.last(), RECORDS);
    let left = crate::support::lose_power(&disk);
    let name = segments(&left).pop().unwrap();
    let rotten = changed(&left, &name, |bytes| {
        bytes.pop();
    });
    assert!(is_damaged(&open(rotten, SMALL).err().unwrap()));
}

#[test]
fn evidence_is_found_wherever_it_lies_in_a_long_segment() {
    const WINDOW: usize = 1 << 20;
    for before_the_border in 0..=28 {
        let disk = MemoryDisk::new();
        let (mut log, _) = must_open(&disk, 8 << 20);
        let mark = disk.bytes("synced").unwrap();
        // The second record's head straddles the border of two read windows.
        let long = vec![0x55; WINDOW - 28 - before_the_border];
        log.append(&[&long], 1).unwrap();
        log.sync_now().unwrap();
        log.append(&[b"vouches for the first"], 2).unwrap();
        drop(log);
        disk.set_bytes("synced", mark);
        let name = &segments(&disk)[0];
        let rotten = changed(&disk, name, |bytes| bytes[48] ^= 1);
        let error = open(rotten, 8 << 20).err();
        assert!(is_damaged(&error.unwrap_or(LogError::Closed)));
    }
}
