//! The power fails at every call that changes the disk: what was durable is there, and nothing that was never done.

use std::io::IoSlice;
use std::sync::Mutex;

use evenkeel_store::disk::{DiskError, DiskFile, Fate, MemoryDisk, MemoryFile, Unsynced};

use super::*;

const OPERATIONS: u64 = 500;
/// Commands between two fsyncs: so appends of several records, rolls and checkpoints come between.
const SYNC_EVERY: u64 = 4;
const CHECKPOINT_EVERY: u64 = 90;
const SECTOR: usize = 512;

/// A disk that is looked at before and after each change.
#[derive(Clone)]
struct Watched {
    disk: MemoryDisk,
    watch: Arc<Watch>,
}

/// What holds at the moment, and what was found.
#[derive(Default)]
struct Watch {
    now: Mutex<Seen>,
    /// In the short form not every change is looked at.
    step: usize,
}

#[derive(Default)]
struct Seen {
    /// What is durable, by partition.
    durable: BTreeMap<PartitionId, Context>,
    /// What was applied, by partition.
    applied: BTreeMap<PartitionId, Context>,
    changes: usize,
    crashes: usize,
    cut: usize,
}

impl Watched {
    fn look<R>(&self, result: R) -> R {
        let mut seen = self.watch.now.lock().unwrap();
        seen.changes += 1;
        if seen.changes.is_multiple_of(self.watch.step) {
            self.crash_in_every_way(&mut seen);
        }
        result
    }

    fn crash_in_every_way(&self, seen: &mut Seen) {
        let all_names = self.disk.unsynced_name_changes();
        for names in [0, all_names] {
            for tear in [nothing, half, reordered] {
                seen.crashes += 1;
                let crashed = Arc::new(self.disk.crash(names, tear));
                // It is alone: whatever counts as lost is refused.
                let member = Member::open(&crashed, NodeId(0), 1);
                let mut member = member.unwrap_or_else(|error| {
                    panic!("after {} changes, {names} names: {error}", seen.changes)
                });
                for id in partitions() {
                    let found = member.partition(id).replica().context();
                    let durable = seen.durable.get(&id).cloned().unwrap_or_default();
                    let applied = seen.applied.get(&id).cloned().unwrap_or_default();
                    assert!(durable.is_subset(found), "durable events are lost");
                    assert!(found.is_subset(&applied), "events that never were");
                    seen.cut += usize::from(found != &applied);
                    assert!(member.partition(id).count().is_sound());
                }
                member.shown();
            }
        }
    }
}

fn nothing(_: &Unsynced<'_>) -> Fate {
    Fate::Synced
}

/// Half of what is not synced has reached the disk, to the byte.
fn half(file: &Unsynced<'_>) -> Fate {
    let (synced, written) = (file.synced.len(), file.written.len());
    let bytes = if written > synced {
        synced + (written - synced) / 2
    } else {
        written / 2
    };
    Fate::Torn {
        bytes,
        garbage: vec![0; (written - bytes).min(SECTOR / 2)],
    }
}

/// The end has reached the disk, and a sector before it has not.
fn reordered(file: &Unsynced<'_>) -> Fate {
    let (synced, written) = (file.synced.len(), file.written.len());
    if written <= synced {
        return Fate::Prefix { bytes: usize::MAX };
    }
    let mut garbage = vec![0; SECTOR.min((written - synced).div_ceil(2))];
    garbage.extend_from_slice(&file.written[synced + garbage.len()..]);
    Fate::Torn {
        bytes: synced,
        garbage,
    }
}

struct WatchedFile {
    file: MemoryFile,
    disk: Watched,
}

impl Disk for Watched {
    type File = WatchedFile;

    fn create(&self, name: &str) -> Result<WatchedFile, DiskError> {
        let file = self.look(self.disk.create(name))?;
        let disk = self.clone();
        Ok(WatchedFile { file, disk })
    }

    fn open(&self, name: &str) -> Result<WatchedFile, DiskError> {
        let (file, disk) = (self.disk.open(name)?, self.clone());
        Ok(WatchedFile { file, disk })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.look(self.disk.rename(from, to))
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.look(self.disk.remove(name))
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.look(self.disk.sync_dir())
    }
}

impl DiskFile for WatchedFile {
    fn append(&self, parts: &mut [IoSlice<'_>]) -> Result<(), DiskError> {
        self.disk.look(self.file.append(parts))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.look(self.file.write_at(offset, bytes))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.file.read_at(offset, buffer)
    }

    fn length(&self) -> Result<u64, DiskError> {
        self.file.length()
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        self.disk.look(self.file.truncate(length))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.disk.look(self.file.sync())
    }
}

#[test]
fn no_power_cut_at_any_change_of_the_disk_loses_what_was_durable() {
    let step = if std::env::var("EVENKEEL_LONG").is_ok_and(|value| value == "1") {
        1
    } else {
        13
    };
    let watch = Arc::new(Watch {
        step,
        ..Watch::default()
    });
    let disk = Arc::new(Watched {
        disk: MemoryDisk::new(),
        watch: Arc::clone(&watch),
    });
    let mut member = Member::open(&disk, NodeId(0), 1).unwrap();
    member.syncs = false;
    let mut draw = Draw(OPERATIONS);
    for serial in 0..OPERATIONS {
        let words = draw.command(serial);
        note_what_may_come(&watch, &member);
        member
            .run(now(serial * 1_000), &words, &mut VecDeque::new())
            .unwrap();
        if serial % SYNC_EVERY == 0 {
            member.sync().unwrap();
            watch.now.lock().unwrap().durable = member.durable.clone();
        }
        if serial % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1 {
            member.checkpoint_all().unwrap();
        }
        note_applied(&watch, &member);
    }
    let seen = watch.now.lock().unwrap();
    say(&format!(
        "{} changes of the disk, {} crashes, {} replicas with less than was applied",
        seen.changes, seen.crashes, seen.cut
    ));
    assert!(seen.crashes * step > 8_000, "{}", seen.crashes);
    assert!(seen.cut > 0);
}

/// The command that comes next mints dots before it is logged: one per partition and change, a few at most.
fn note_what_may_come(watch: &Watch, member: &Member<Watched>) {
    let mut seen = watch.now.lock().unwrap();
    for id in partitions() {
        let mut may = member.partition(id).replica().context().clone();
        let newest = may.of(member.actor).and_then(|set| set.max()).unwrap_or(0);
        for n in newest + 1..newest + 32 {
            may.insert(evenkeel_core::causality::Dot {
                actor: member.actor,
                n,
            });
        }
        seen.applied.insert(id, may);
    }
}

fn note_applied(watch: &Watch, member: &Member<Watched>) {
    let mut seen = watch.now.lock().unwrap();
    for id in partitions() {
        let context = member.partition(id).replica().context().clone();
        seen.applied.insert(id, context);
    }
}
