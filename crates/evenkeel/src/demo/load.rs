//! Clients that write without a pause while nodes come and go, and count what they were answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::cli::talk::Talk;

/// Between two writes of one client, so that the story is about failures and not about speed.
const PAUSE: Duration = Duration::from_millis(2);

/// Writers, one per node.
#[derive(Debug)]
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    writers: Vec<JoinHandle<Result<Written>>>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Writes that were acknowledged, each of a key of its own.
    pub(super) acknowledged: u64,
    /// Requests that were answered with an error or not at all.
    pub(super) failed: u64,
    /// The longest wait for an answer.
    pub(super) slowest: Duration,
}

impl Load {
    /// Starts a writer for each address; writer `n` writes the keys `load:n:0`, `load:n:1`, ….
    pub(super) fn start(addresses: &[&str]) -> Result<Self> {
        let mut load = Self {
            stop: Arc::default(),
            written: Arc::default(),
            writers: Vec::new(),
        };
        for (writer, address) in addresses.iter().enumerate() {
            let talk = Talk::open(address)?;
            let (stop, written) = (Arc::clone(&load.stop), Arc::clone(&load.written));
            load.writers.push(std::thread::spawn(move || {
                Ok(write(talk, writer, &stop, &written))
            }));
        }
        Ok(load)
    }

    /// Writes acknowledged so far.
    pub(super) fn so_far(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Ends the writers.
    pub(super) fn finish(self) -> Result<Written> {
        self.stop.store(true, Ordering::Release);
        let mut all = Written::default();
        for writer in self.writers {
            let one = writer.join().map_err(|_| anyhow!("a writer panicked"))??;
            all.acknowledged += one.acknowledged;
            all.failed += one.failed;
            all.slowest = all.slowest.max(one.slowest);
        }
        Ok(all)
    }
}

fn write(mut talk: Talk, writer: usize, stop: &AtomicBool, written: &AtomicU64) -> Written {
    let mut own = Written::default();
    while !stop.load(Ordering::Acquire) {
        let key = format!("load:{writer}:{}", own.acknowledged);
        let asked = Instant::now();
        match talk.run(&["SET", &key, "x"]) {
            Ok(_) => {
                own.acknowledged += 1;
                written.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => own.failed += 1,
        }
        own.slowest = own.slowest.max(asked.elapsed());
        std::thread::sleep(PAUSE);
    }
    own
}
