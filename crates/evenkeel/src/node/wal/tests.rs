//! The way to the log, on real files and on disks that fail.

use evenkeel_core::id::ActorId;
use evenkeel_store::disk::{Fate, MemoryDisk, Operation};
use evenkeel_store::log::{Log, LogId, Options};

use super::*;

fn wal(dir: &std::path::Path, policy: SyncPolicy) -> Wal {
    let disk = FileDisk::open(dir).unwrap();
    let (log, _) = Log::open(disk, Options::new(LogId(1)), |_| {
        Ok::<(), std::io::Error>(())
    })
    .unwrap();
    Wal::start(log, policy, mpsc::unbounded_channel().0).unwrap()
}

/// A log on a disk that fails at a call of `operation`, after so many that succeed. Gives what was acknowledged, and
/// the disk.
async fn until_it_fails(operation: Operation, calls: u64, policy: SyncPolicy) -> (u64, MemoryDisk) {
    const TURNS: u64 = 30;
    let disk = MemoryDisk::new();
    let (tell, mut heard) = mpsc::unbounded_channel();
    let mut options = Options::new(LogId(1));
    options.segment_bytes = 256;
    let opened = Log::open(disk.clone(), options, |_| Ok::<(), std::io::Error>(()));
    let log = Wal::start(opened.unwrap().0, policy, tell).unwrap();
    disk.fail_after(operation, calls);
    let (mut acknowledged, mut failed) = (0, false);
    for n in 1..=TURNS {
        {
            let mut staging = log.stage();
            staging.record(PartitionId(0), &n.to_le_bytes(), &dots(n));
            staging.send(NodeId(1), &n.to_le_bytes());
        }
        let settled = match log.flush() {
            Ok(flushed) => {
                let waits = log.acknowledged(flushed.generation);
                let news = async {
                    while let Some(durable) = heard.recv().await {
                        log.note_durable(durable.generation.0);
                    }
                };
                tokio::select! {
                    settled = waits => settled,
                    () = news => Ok(()),
                }
            }
            Err(refusal) => Err(refusal),
        };
        match settled {
            Ok(()) => {
                assert!(!failed, "acknowledged after the failure");
                acknowledged = n;
            }
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Failed);
                assert_eq!(log.refusal(), Some(Refusal::Failed));
                failed = true;
                // Nor is anything told to others from now on, whether there is something to log or not.
                log.stage().send(NodeId(1), b"advert");
                assert_eq!(log.flush().err(), Some(Refusal::Failed));
            }
        }
    }
    (acknowledged, disk)
}

#[tokio::test]
async fn nothing_is_acknowledged_after_any_fsync_or_write_has_failed_and_all_before_is_on_the_disk()
{
    let mut failures = 0;
    for operation in [
        Operation::Sync,
        Operation::Write,
        Operation::Create,
        Operation::SyncDirectory,
    ] {
        for calls in 0.. {
            let (acknowledged, disk) = until_it_fails(operation, calls, SyncPolicy::Always).await;
            let left = disk.crash(0, |_| Fate::Synced);
            let mut found = 0;
            let opened = Log::<_, Note>::open(left, Options::new(LogId(2)), |record| {
                found = record.sequence.0;
                Ok::<(), std::io::Error>(())
            });
            opened.unwrap();
            assert!(
                found >= acknowledged,
                "{operation} {calls}: {found} of {acknowledged}"
            );
            if acknowledged == 30 {
                break;
            }
            failures += 1;
        }
    }
    assert!(failures > 60, "{failures}");
}

fn dots(n: u64) -> Context {
    let mut dots = Context::default();
    dots.insert(evenkeel_core::causality::Dot {
        actor: ActorId(1),
        n,
    });
    dots
}

#[test]
fn who_finds_its_records_appended_by_another_thread_waits_for_the_same_fsync() {
    let dir = tempfile::tempdir().unwrap();
    let wal = wal(dir.path(), SyncPolicy::Always);
    wal.stage().record(PartitionId(0), b"mine", &dots(1));
    let others = wal.flush().unwrap().generation;
    assert_ne!(others, 0);
    assert_eq!(wal.flush().unwrap().generation, others);
}
#[test]
fn a_turn_longer_than_a_record_of_the_log_is_kept_whole() {
    let dir = tempfile::tempdir().unwrap();
    let log = wal(dir.path(), SyncPolicy::EverySecond);
    let value = vec![7; 90 << 20];
    for n in 1..=3 {
        log.stage().record(PartitionId(0), &value, &dots(n));
    }
    log.flush().unwrap();
    assert_eq!(log.refusal(), None);
    log.close().unwrap();
    drop(log);
    let mut found = 0;
    let disk = FileDisk::open(dir.path()).unwrap();
    let count = |record: evenkeel_store::log::Record<'_>| {
        found += records(record.payload)
            .filter(|kept| kept.len() == value.len())
            .count();
        Ok::<(), std::io::Error>(())
    };
    Log::<_, Note>::open(disk, Options::new(LogId(2)), count).unwrap();
    assert_eq!(found, 3);
}
