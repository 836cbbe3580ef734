//! What waits to be sent to one peer: bounded, in order, with the faults asked for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::fault::Fault;
use super::frame::{self, Kind};
use super::pace::Pace;
use super::{LIVE_MAX, OUTBOX_BYTES_MAX};

/// A buffer that has grown over this is not used again.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// Frames for one peer. Closed while there is no link: frames are then dropped at once, anti-entropy repairs.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    wake: Notify,
    /// The peer has just dialled us, or a fault was healed: whoever keeps the link acts at once.
    called: Notify,
    /// When the peer last said that it can answer as well.
    answered: Mutex<Option<Instant>>,
    /// The peer takes this node for one that answers, and sends it what is to be decided.
    relied_on: AtomicBool,
    /// How requests to the peer fare.
    pub(crate) pace: Pace,
    /// Frames dropped because too many waited.
    pub(crate) overflowed: AtomicU64,
    /// Bytes handed to the link.
    pub(crate) sent_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    open: bool,
    ready: Vec<u8>,
    /// Frames that wait for their time because of an injected delay.
    delayed: VecDeque<(Instant, Vec<u8>)>,
    delayed_bytes: usize,
}

impl Outbox {
    /// Opens or closes it; what waited is dropped.
    pub(super) fn set_open(&self, open: bool) {
        *self.queue.lock() = Queue {
            open,
            ..Queue::default()
        };
        self.wake.notify_one();
    }

    /// The peer can be reached again, as far as anybody can tell.
    pub(crate) fn call(&self) {
        self.called.notify_one();
    }

    /// Waits for [`Self::call`].
    pub(super) async fn called(&self) {
        self.called.notified().await;
    }

    /// Whether there is a link.
    pub(crate) fn is_open(&self) -> bool {
        self.queue.lock().open
    }

    /// The peer has answered, and it has a link of its own to answer requests on.
    pub(super) fn answered(&self) {
        *self.answered.lock() = Some(Instant::now());
    }

    /// What the peer takes this node for, as its heartbeat says.
    pub(super) fn set_relied_on(&self, relied_on: bool) {
        self.relied_on.store(relied_on, Ordering::Release);
    }

    /// Whether the peer sends this node what is to be decided.
    pub(crate) fn is_relied_on(&self) -> bool {
        self.relied_on.load(Ordering::Acquire)
    }

    /// Whether requests to the peer are answered, as far as can be told.
    pub(crate) fn is_live(&self) -> bool {
        let answered = *self.answered.lock();
        self.is_open() && answered.is_some_and(|at| at.elapsed() < LIVE_MAX)
    }

    /// Queues a frame; tells whether it was taken.
    pub(crate) fn push(&self, kind: Kind, body: &[u8], fault: Fault) -> bool {
        let mut queue = self.queue.lock();
        let taken = self.put(&mut queue, kind, body, fault);
        drop(queue);
        if taken {
            self.wake.notify_one();
        }
        taken
    }

    fn put(&self, queue: &mut Queue, kind: Kind, body: &[u8], fault: Fault) -> bool {
        if !queue.open || fault.cut_out {
            return false;
        }
        // The frame itself does not count: a value larger than the bound could otherwise never be replicated.
        if queue.ready.len() + queue.delayed_bytes > OUTBOX_BYTES_MAX {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let urgent = matches!(kind, Kind::Ping | Kind::Pong);
        if fault == Fault::default() && queue.delayed.is_empty() || urgent {
            frame::put(&mut queue.ready, kind, body);
        } else {
            let muted = fault.mute && matches!(kind, Kind::Partitions | Kind::Compressed);
            if muted || fault.loses(crate::entropy::roll()) {
                return true;
            }
            let mut framed = Vec::with_capacity(body.len() + 16);
            frame::put(&mut framed, kind, body);
            let earliest = queue
                .delayed
                .back()
                .map_or_else(Instant::now, |last| last.0);
            let release = (Instant::now() + fault.delay(crate::entropy::roll())).max(earliest);
            queue.delayed_bytes += framed.len();
            queue.delayed.push_back((release, framed));
        }
        true
    }

    /// Waits until something can be sent, and puts all of it in the place of what `bytes` holds.
    pub(super) async fn take(&self, bytes: &mut Vec<u8>) {
        loop {
            let next = {
                let mut queue = self.queue.lock();
                let now = Instant::now();
                while queue.delayed.front().is_some_and(|frame| frame.0 <= now) {
                    let Some((_, framed)) = queue.delayed.pop_front() else {
                        break;
                    };
                    queue.delayed_bytes -= framed.len();
                    queue.ready.extend_from_slice(&framed);
                }
                if !queue.ready.is_empty() {
                    bytes.clear();
                    if bytes.capacity() > SPARE_BYTES_MAX {
                        *bytes = Vec::new();
                    }
                    std::mem::swap(&mut queue.ready, bytes);
                    self.sent_bytes
                        .fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    return;
                }
                queue.delayed.front().map(|frame| frame.0)
            };
            match next {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at.into(), self.wake.notified()).await;
                }
                None => self.wake.notified().await,
            }
        }
    }
}
