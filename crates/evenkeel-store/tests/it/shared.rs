//! The log behind its sync thread.

use std::io::IoSlice;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_store::disk::{Disk, DiskError, DiskFile, MemoryDisk, MemoryFile, Operation};
use evenkeel_store::log::{
    Durable, Failure, LogError, Observer, Sequence, SharedLog, SyncPolicy, Ticket,
};

use crate::support::{SMALL, is_damaged, lose_power, must_open, open, payload, segments};

const WHOLE: u64 = 1 << 20;

/// How long a test waits for what must happen.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Debug)]
enum Heard {
    Durable(Durable<u64>),
    Failed(String),
}

struct Ear(Sender<Heard>);

impl Observer<u64> for Ear {
    fn on_durable(&self, durable: Durable<u64>) {
        self.0.send(Heard::Durable(durable)).unwrap();
    }

    fn on_failed(&self, cause: &Arc<Failure>) {
        self.0.send(Heard::Failed(cause.to_string())).unwrap();
    }
}

/// A disk whose file syncs wait at a gate and are announced.
#[derive(Clone)]
struct GatedDisk {
    disk: MemoryDisk,
    gate: Arc<Gate>,
}

struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
    announce: Mutex<Sender<Arc<str>>>,
}

struct GatedFile {
    file: MemoryFile,
    name: Arc<str>,
    gate: Arc<Gate>,
}

impl GatedDisk {
    fn new(disk: &MemoryDisk) -> (Self, Receiver<Arc<str>>) {
        let (sender, syncs) = channel();
        let gate = Gate {
            open: Mutex::new(true),
            changed: Condvar::new(),
            announce: Mutex::new(sender),
        };
        let disk = disk.clone();
        let gate = Arc::new(gate);
        (Self { disk, gate }, syncs)
    }
}

impl Gate {
    fn set(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.changed.notify_all();
    }
}

impl Disk for GatedDisk {
    type File = GatedFile;

    fn create(&self, name: &str) -> Result<GatedFile, DiskError> {
        Ok(GatedFile {
            file: self.disk.create(name)?,
            name: name.into(),
            gate: Arc::clone(&self.gate),
        })
    }

    fn open(&self, name: &str) -> Result<GatedFile, DiskError> {
        Ok(GatedFile {
            file: self.disk.open(name)?,
            name: name.into(),
            gate: Arc::clone(&self.gate),
        })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.disk.remove(name)
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.disk.sync_dir()
    }
}

impl DiskFile for GatedFile {
    fn append(&self, parts: &mut [IoSlice<'_>]) -> Result<(), DiskError> {
        self.file.append(parts)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        self.file.read_at(offset, buffer)
    }

    fn length(&self) -> Result<u64, DiskError> {
        self.file.length()
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        self.file.truncate(length)
    }

    fn sync(&self) -> Result<(), DiskError> {
        let gate = &self.gate;
        // Nobody may be listening any more.
        drop(gate.announce.lock().unwrap().send(Arc::clone(&self.name)));
        let open = gate.open.lock().unwrap();
        drop(gate.changed.wait_while(open, |open| !*open).unwrap());
        self.file.sync()
    }
}

type Shared<D> = SharedLog<D, u64, Ear>;

fn start<D: Disk>(disk: D, segment_bytes: u64, policy: SyncPolicy) -> (Shared<D>, Receiver<Heard>) {
    let (log, _) = open(disk, segment_bytes).unwrap();
    let (sender, heard) = channel();
    let log = SharedLog::start(log, policy, Ear(sender)).unwrap();
    (log, heard)
}

fn push<D: Disk>(log: &Shared<D>, sequence: u64) -> Result<Ticket, LogError> {
    log.append(&[&payload(sequence)], sequence)
}

fn durable(heard: &Receiver<Heard>) -> Durable<u64> {
    match heard.recv_timeout(LIMIT).unwrap() {
        Heard::Durable(durable) => durable,
        Heard::Failed(cause) => panic!("{cause}"),
    }
}

/// Listens until this record is durable; answers all notes heard.
fn durable_until(heard: &Receiver<Heard>, last: u64) -> Vec<u64> {
    let mut notes = Vec::new();
    while notes.last() != Some(&last) {
        notes.extend(durable(heard).notes);
    }
    notes
}

fn nothing_more(heard: &Receiver<Heard>) {
    let after_the_end = heard.recv_timeout(LIMIT);
    assert!(matches!(after_the_end, Err(RecvTimeoutError::Disconnected)));
}

#[test]
fn always_makes_an_append_durable_without_being_asked() {
    let disk = MemoryDisk::new();
    let (log, heard) = start(disk.clone(), WHOLE, SyncPolicy::Always);
    for sequence in 1..=5 {
        let ticket = push(&log, sequence).unwrap();
        let durable = durable(&heard);
        assert_eq!(durable.notes, [sequence]);
        assert_eq!(durable.generation, ticket.generation);
        assert_eq!(must_open(&lose_power(&disk), WHOLE).1.last(), sequence);
    }
}

#[test]
fn appends_do_not_wait_for_a_running_fsync_and_share_the_next() {
    let disk = MemoryDisk::new();
    let (gated, syncs) = GatedDisk::new(&disk);
    let (log, heard) = start(gated.clone(), WHOLE, SyncPolicy::Always);
    while syncs.try_recv().is_ok() {}
    gated.gate.set(false);
    let first = push(&log, 1).unwrap();
    syncs.recv_timeout(LIMIT).unwrap();
    // The fsync is running and cannot end.
    let tickets: Vec<_> = (2..=50).map(|n| push(&log, n).unwrap()).collect();
    assert!(heard.try_recv().is_err());
    assert_eq!(must_open(&lose_power(&disk), WHOLE).1.last(), 0);
    gated.gate.set(true);
    let (one, rest) = (durable(&heard), durable(&heard));
    assert_eq!((one.notes, one.generation), (vec![1], first.generation));
    assert_eq!(rest.notes, (2..=50).collect::<Vec<u64>>());
    assert!(tickets.iter().all(|t| t.generation == rest.generation));
    assert_eq!(log.durable(), Sequence(50));
}

#[test]
fn everysec_begins_two_syncs_at_least_a_second_apart() {
    let (log, heard) = start(MemoryDisk::new(), WHOLE, SyncPolicy::EverySecond);
    let begin = Instant::now();
    push(&log, 1).unwrap();
    assert_eq!(durable(&heard).notes, [1]);
    for sequence in 2..=9 {
        push(&log, sequence).unwrap();
    }
    assert_eq!(durable(&heard).notes, (2..=9).collect::<Vec<u64>>());
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_requested_sync_does_not_wait_for_the_second() {
    let (log, heard) = start(MemoryDisk::new(), WHOLE, SyncPolicy::EverySecond);
    let begin = Instant::now();
    for sequence in 1..=200 {
        push(&log, sequence).unwrap();
        log.request_sync();
        durable_until(&heard, sequence);
    }
    assert!(begin.elapsed() < Duration::from_secs(100));
}

#[test]
fn never_syncs_on_request_on_a_full_segment_and_on_close_only() {
    let disk = MemoryDisk::new();
    let (log, heard) = start(disk.clone(), SMALL, SyncPolicy::Never);
    for sequence in 1..=3 {
        push(&log, sequence).unwrap();
    }
    log.request_sync();
    let requested = durable(&heard);
    assert_eq!(requested.notes, [1, 2, 3], "one sync for all three");
    let mut last = 3;
    while segments(&disk).len() == 1 {
        last += 1;
        push(&log, last).unwrap();
    }
    let notes = durable_until(&heard, last);
    assert_eq!(notes, (4..=last).collect::<Vec<u64>>());
    push(&log, last + 1).unwrap();
    log.close().unwrap();
    assert_eq!(durable(&heard).notes, [last + 1]);
    assert!(matches!(push(&log, last + 2), Err(LogError::Closed)));
    assert_eq!(must_open(&lose_power(&disk), SMALL).1.last(), last + 1);
    drop(log);
    nothing_more(&heard);
}

#[test]
fn a_drop_without_close_syncs_nothing_and_loses_nothing_written() {
    let disk = MemoryDisk::new();
    let (log, heard) = start(disk.clone(), WHOLE, SyncPolicy::Never);
    for sequence in 1..=9 {
        push(&log, sequence).unwrap();
    }
    drop(log);
    nothing_more(&heard);
    assert_eq!(must_open(&lose_power(&disk), WHOLE).1.last(), 0);
    assert_eq!(must_open(&disk, WHOLE).1.last(), 9);
}

#[test]
fn a_failed_fsync_is_heard_once_and_ends_all_appends() {
    let disk = MemoryDisk::new();
    let (log, heard) = start(disk.clone(), WHOLE, SyncPolicy::Always);
    push(&log, 1).unwrap();
    assert_eq!(durable(&heard).notes, [1]);
    disk.fail_after(Operation::Sync, 0);
    push(&log, 2).unwrap();
    let Heard::Failed(cause) = heard.recv_timeout(LIMIT).unwrap() else {
        panic!("a failed fsync made something durable");
    };
    assert_eq!(cause, "the log's disk failed");
    assert!(matches!(push(&log, 3), Err(LogError::Poisoned { .. })));
    log.request_sync();
    assert!(matches!(log.close(), Err(LogError::Poisoned { .. })));
    drop(log);
    nothing_more(&heard);
}

#[test]
fn a_failed_write_is_heard_though_the_sync_thread_has_nothing_to_do() {
    let disk = MemoryDisk::new();
    let (log, heard) = start(disk.clone(), WHOLE, SyncPolicy::Never);
    disk.fail_after(Operation::Write, 0);
    assert!(matches!(push(&log, 1), Err(LogError::Poisoned { .. })));
    assert!(matches!(push(&log, 1), Err(LogError::Poisoned { .. })));
    let first = heard.recv_timeout(LIMIT).unwrap();
    assert!(matches!(first, Heard::Failed(_)));
    drop(log);
    nothing_more(&heard);
}

#[test]
fn a_full_disk_is_no_failure() {
    let disk = MemoryDisk::new();
    let (log, heard) = start(disk.clone(), WHOLE, SyncPolicy::Always);
    disk.set_capacity(Some(disk.used() + 20));
    assert!(matches!(push(&log, 5), Err(LogError::DiskFull)));
    disk.set_capacity(None);
    push(&log, 1).unwrap();
    assert_eq!(durable(&heard).notes, [1]);
}

struct Panicking(Sender<String>);

impl Observer<u64> for Panicking {
    fn on_durable(&self, durable: Durable<u64>) {
        assert!(durable.notes.is_empty(), "this observer always panics");
    }

    fn on_failed(&self, cause: &Arc<Failure>) {
        self.0.send(cause.to_string()).unwrap();
    }
}

#[test]
fn a_panic_in_the_observer_poisons_the_log() {
    let (log, _) = open(MemoryDisk::new(), WHOLE).unwrap();
    let (sender, heard) = channel();
    let log = SharedLog::start(log, SyncPolicy::Always, Panicking(sender)).unwrap();
    log.append(&[b"x"], 1).unwrap();
    assert_eq!(
        heard.recv_timeout(LIMIT).unwrap(),
        "a thread panicked while it worked on the log"
    );
    let refused = log.append(&[b"y"], 2);
    assert!(matches!(refused, Err(LogError::Poisoned { .. })));
}

#[test]
fn a_sender_ahead_of_a_stuck_disk_is_held_until_it_moves() {
    let disk = MemoryDisk::new();
    let (gated, syncs) = GatedDisk::new(&disk);
    let (log, heard) = start(gated.clone(), SMALL, SyncPolicy::Always);
    while syncs.try_recv().is_ok() {}
    gated.gate.set(false);
    let most = |disk: &MemoryDisk| segments(disk).len();
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for sequence in 1..=200 {
                push(&log, sequence).unwrap();
            }
        });
        let begin = Instant::now();
        while most(&disk) < 5 {
            assert!(begin.elapsed() < LIMIT && !sender.is_finished());
            thread::yield_now();
        }
        // Four full ones and the active one: no more while the disk is stuck.
        assert_eq!(most(&disk), 5);
        assert!(!sender.is_finished());
        gated.gate.set(true);
    });
    let notes = durable_until(&heard, 200);
    assert_eq!(notes, (1..=200).collect::<Vec<u64>>());
}

#[test]
fn many_threads_get_every_note_back_once_and_in_the_order_of_the_log() {
    const THREADS: u64 = 4;
    const EACH: u64 = 500;
    let disk = MemoryDisk::new();
    let (log, heard) = start(disk.clone(), 16 << 10, SyncPolicy::Always);
    let tickets: Vec<(u64, u64)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let log = &log;
                scope.spawn(move || {
                    let mut got = Vec::new();
                    for n in 0..EACH {
                        let note = thread * EACH + n;
                        let bytes = note.to_le_bytes();
                        let ticket = log.append(&[&bytes, &[7; 50]], note).unwrap();
                        got.push((ticket.sequence.0, note));
                        if n % 100 == 0 {
                            log.remove_segments_before(log.durable()).unwrap();
                        }
                    }
                    got
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    log.close().unwrap();
    drop(log);
    let mut notes = Vec::new();
    while let Ok(Heard::Durable(durable)) = heard.recv_timeout(LIMIT) {
        notes.extend(durable.notes);
        assert_eq!(durable.sequence.0, notes.len() as u64);
    }
    let mut expected = tickets;
    expected.sort_unstable();
    let expected: Vec<u64> = expected.into_iter().map(|(_, note)| note).collect();
    assert_eq!(notes, expected);
    let mut last = 0;
    let opened = crate::support::TestLog::open(
        lose_power(&disk),
        crate::support::options(SMALL),
        |record| {
            last = record.sequence.0;
            let note = u64::from_le_bytes(record.payload[..8].try_into().unwrap());
            assert_eq!(note, expected[record.sequence.0 as usize - 1]);
            Ok::<(), std::convert::Infallible>(())
        },
    );
    assert!(opened.is_ok());
    assert_eq!(last, THREADS * EACH);
}

#[test]
fn after_a_second_without_work_the_mark_itself_is_durable() {
    let disk = MemoryDisk::new();
    let (gated, syncs) = GatedDisk::new(&disk);
    let (log, heard) = start(gated, WHOLE, SyncPolicy::Always);
    while syncs.try_recv().is_ok() {}
    push(&log, 1).unwrap();
    durable_until(&heard, 1);
    assert_eq!(&*syncs.recv_timeout(LIMIT).unwrap(), segments(&disk)[0]);
    assert_eq!(&*syncs.recv_timeout(LIMIT).unwrap(), "synced");
    // Announced before it is done: closing waits for it.
    log.close().unwrap();
    let left = lose_power(&disk);
    let name = &segments(&left)[0];
    let mut bytes = left.bytes(name).unwrap();
    bytes.pop();
    left.set_bytes(name, bytes);
    assert!(is_damaged(&open(left, WHOLE).err().unwrap()));
}
