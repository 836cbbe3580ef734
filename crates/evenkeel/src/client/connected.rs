//! What the node and other connections may know of one connection, and do to it: send it messages, close it.
//!
//! Invariants: a message is encoded once and queued here, never written by whoever sends it, so that a slow client
//! slows nobody else; a client over its output limit is closed and its queue emptied, so that the queue is bounded.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use evenkeel_resp::Protocol;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::pubsub::Space;
use super::stats::Counted;

/// What a queued message takes beside its bytes.
const MESSAGE_OVERHEAD_BYTES: u64 = 32;

/// How much may wait for a client that does not read (`client-output-buffer-limit`). Zero: no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OutputLimit {
    /// At once.
    pub(super) hard_bytes: u64,
    /// For `soft` at a stretch.
    pub(super) soft_bytes: u64,
    pub(super) soft: Duration,
}

impl OutputLimit {
    /// None.
    pub(super) const NONE: Self = Self {
        hard_bytes: 0,
        soft_bytes: 0,
        soft: Duration::ZERO,
    };
}

/// One connection, as others see it.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(super) id: u64,
    pub(super) peer: Option<SocketAddr>,
    pub(super) local: Option<SocketAddr>,
    pub(super) since: Instant,
    resp3: AtomicBool,
    mail: Mutex<Mail>,
    /// Whether the owner has to look: messages wait, or it is to close.
    called: AtomicBool,
    closing: AtomicBool,
    wake: Notify,
    shown: Mutex<Shown>,
    /// How many names of each kind it listens to.
    listening: [AtomicUsize; 3],
    /// When it last sent something: milliseconds after `since`.
    active_ms: AtomicU64,
    /// The command that it sent last; `usize::MAX`: none yet.
    last: AtomicUsize,
    /// Bytes of requests that are not done.
    pub(super) query_bytes: AtomicUsize,
    /// Commands queued in MULTI; -1 outside of it.
    pub(super) queued: AtomicI64,
    waiting: AtomicU8,
    monitors: AtomicBool,
}

/// What a client has told of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) name: Vec<u8>,
    pub(super) library: Vec<u8>,
    pub(super) library_version: Vec<u8>,
    pub(super) no_evict: bool,
}

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WaitsFor {
    /// Nothing.
    Nothing,
    /// The reply to a command.
    Reply,
    /// The end of a CLIENT PAUSE.
    Pause,
    /// What more members hold, before a command reads it.
    Fence,
}

#[derive(Debug, Default)]
struct Mail {
    queue: VecDeque<Bytes>,
    bytes: u64,
    /// Since when more than the soft limit has been waiting.
    soft_since: Option<Instant>,
}

impl Connected {
    pub(super) fn new(id: u64, peer: Option<SocketAddr>, local: Option<SocketAddr>) -> Self {
        Self {
            id,
            peer,
            local,
            since: Instant::now(),
            resp3: AtomicBool::new(false),
            mail: Mutex::default(),
            called: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            wake: Notify::new(),
            shown: Mutex::default(),
            listening: [const { AtomicUsize::new(0) }; 3],
            active_ms: AtomicU64::new(0),
            last: AtomicUsize::new(usize::MAX),
            query_bytes: AtomicUsize::new(0),
            queued: AtomicI64::new(-1),
            waiting: AtomicU8::new(WaitsFor::Nothing as u8),
            monitors: AtomicBool::new(false),
        }
    }

    /// What the client has told of itself.
    pub(super) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock()
    }

    pub(super) fn name(&self) -> Vec<u8> {
        self.shown().name.clone()
    }

    /// Where the client is, as `ip:port`.
    pub(super) fn address(&self) -> String {
        self.peer.map_or_else(String::new, |at| at.to_string())
    }

    /// Where the client has connected to.
    pub(super) fn local_address(&self) -> String {
        self.local.map_or_else(String::new, |at| at.to_string())
    }

    /// Notes that something came at that time.
    pub(super) fn note_active(&self, now: Instant) {
        let since = now.saturating_duration_since(self.since).as_millis();
        self.active_ms
            .store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Since when nothing has come.
    pub(super) fn idle(&self) -> Duration {
        let active = Duration::from_millis(self.active_ms.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(active)
    }

    pub(super) fn note_command(&self, counted: Counted) {
        self.last.store(counted.number(), Ordering::Relaxed);
    }

    /// The command that came last, as CLIENT LIST names it.
    pub(super) fn last_command(&self) -> String {
        match self.last.load(Ordering::Relaxed) {
            usize::MAX => "NULL".to_owned(),
            number => Counted::name_of(number),
        }
    }

    pub(super) fn note_listening(&self, space: Space, names: usize) {
        self.listening[space as usize].store(names, Ordering::Relaxed);
    }

    /// How many names of a kind it listens to.
    pub(super) fn listens_to(&self, space: Space) -> usize {
        self.listening[space as usize].load(Ordering::Relaxed)
    }

    /// Whether it listens to anything, or watches by MONITOR.
    pub(super) fn listens(&self) -> bool {
        let listening = self.listening.iter();
        self.is_monitor()
            || listening
                .into_iter()
                .any(|names| names.load(Ordering::Relaxed) > 0)
    }

    pub(super) fn is_monitor(&self) -> bool {
        self.monitors.load(Ordering::Relaxed)
    }

    pub(super) fn set_monitor(&self, on: bool) {
        self.monitors.store(on, Ordering::Relaxed);
    }

    /// Notes what its owner waits for now.
    pub(super) fn set_waiting(&self, now: WaitsFor) {
        self.waiting.store(now as u8, Ordering::Relaxed);
    }

    /// Whether its owner waits for something other than the client.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) != WaitsFor::Nothing as u8
    }

    /// Whether its next command is held back by CLIENT PAUSE.
    pub(super) fn is_paused(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == WaitsFor::Pause as u8
    }

    /// The letters of CLIENT LIST.
    pub(super) fn flags(&self) -> String {
        let letters = [
            (self.is_monitor(), 'O'),
            (self.listens() && !self.is_monitor(), 'P'),
            (self.queued.load(Ordering::Relaxed) >= 0, 'x'),
            (self.is_waiting(), 'b'),
            (self.is_closing(), 'A'),
            (self.shown().no_evict, 'e'),
        ];
        let set = letters.into_iter().filter(|(set, _)| *set);
        let flags: String = set.map(|(_, letter)| letter).collect();
        if flags.is_empty() {
            "N".to_owned()
        } else {
            flags
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        if self.resp3.load(Ordering::Relaxed) {
            Protocol::Resp3
        } else {
            Protocol::Resp2
        }
    }

    pub(super) fn set_protocol(&self, protocol: Protocol) {
        self.resp3
            .store(protocol == Protocol::Resp3, Ordering::Relaxed);
    }

    /// Queues a message; tells whether it was taken. A client over its limit is closed instead.
    pub(super) fn post(&self, message: Bytes, limit: OutputLimit) -> bool {
        let mut mail = self.mail.lock();
        if self.is_closing() {
            return false;
        }
        mail.bytes += message.len() as u64 + MESSAGE_OVERHEAD_BYTES;
        mail.queue.push_back(message);
        let taken = mail.is_within(limit);
        if !taken {
            *mail = Mail::default();
            self.closing.store(true, Ordering::Release);
        }
        self.call();
        taken
    }

    /// Moves what waits behind the replies, as long as less than `room` is there; tells whether all was moved.
    pub(super) fn take(&self, out: &mut Vec<u8>, room: usize) -> bool {
        let mut mail = self.mail.lock();
        while out.len() < room {
            let Some(message) = mail.queue.pop_front() else {
                break;
            };
            mail.bytes -= message.len() as u64 + MESSAGE_OVERHEAD_BYTES;
            out.extend_from_slice(&message);
        }
        let all = mail.queue.is_empty();
        if all {
            *mail = Mail::default();
            self.called.store(self.is_closing(), Ordering::Release);
        }
        all
    }

    /// Bytes that wait.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.mail.lock().bytes
    }

    /// Messages that wait.
    pub(super) fn waiting_messages(&self) -> usize {
        self.mail.lock().queue.len()
    }

    /// Closes the connection as soon as its owner gets to it; what waits for it is dropped.
    pub(super) fn close(&self) {
        let mut mail = self.mail.lock();
        *mail = Mail::default();
        self.closing.store(true, Ordering::Release);
        self.call();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Whether the owner has something to do here: one load, for the path that every request takes.
    pub(super) fn is_called(&self) -> bool {
        self.called.load(Ordering::Acquire)
    }

    /// Waits until [`Self::is_called`].
    pub(super) async fn called(&self) {
        while !self.is_called() {
            self.wake.notified().await;
        }
    }

    /// Waits until the connection is to be closed.
    pub(super) async fn closed(&self) {
        while !self.is_closing() {
            self.wake.notified().await;
        }
    }

    fn call(&self) {
        if !self.called.swap(true, Ordering::AcqRel) || self.is_closing() {
            self.wake.notify_one();
        }
    }
}

impl Mail {
    fn is_within(&mut self, limit: OutputLimit) -> bool {
        if limit.hard_bytes > 0 && self.bytes > limit.hard_bytes {
            return false;
        }
        if limit.soft_bytes == 0 || self.bytes <= limit.soft_bytes {
            self.soft_since = None;
            return true;
        }
        self.soft_since.get_or_insert_with(Instant::now).elapsed() <= limit.soft
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: OutputLimit = OutputLimit {
        hard_bytes: 1000,
        soft_bytes: 100,
        soft: Duration::ZERO,
    };

    fn client() -> Connected {
        Connected::new(1, None, None)
    }

    #[test]
    fn messages_come_out_in_order_and_the_owner_is_called_until_all_are_out() {
        let client = client();
        let limit = OutputLimit::NONE;
        assert!(client.post(Bytes::from_static(b"one "), limit));
        assert!(client.post(Bytes::from_static(b"two"), limit));
        let mut out = Vec::new();
        assert!(!client.take(&mut out, 1));
        assert!(client.is_called());
        assert!(client.take(&mut out, 100));
        assert!(!client.is_called());
        assert_eq!(out, b"one two");
        assert_eq!(client.waiting_bytes(), 0);
    }

    #[test]
    fn a_client_over_the_hard_limit_is_closed_and_holds_nothing_any_more() {
        let client = client();
        assert!(!client.post(Bytes::from(vec![0; 1000]), LIMIT));
        assert!(client.is_closing() && client.is_called());
        assert_eq!(client.waiting_bytes(), 0);
        assert!(!client.post(Bytes::from_static(b"x"), LIMIT));
    }

    #[test]
    fn the_soft_limit_counts_only_while_it_is_exceeded_without_a_break() {
        let client = client();
        assert!(client.post(Bytes::from(vec![0; 60]), LIMIT));
        assert!(client.take(&mut Vec::new(), 1000));
        let limit = OutputLimit {
            soft: Duration::from_secs(3600),
            ..LIMIT
        };
        assert!(client.post(Bytes::from(vec![0; 300]), limit));
        assert!(client.post(Bytes::from(vec![0; 300]), limit));
        assert!(client.take(&mut Vec::new(), 1000));
        assert!(client.post(Bytes::from_static(b"x"), LIMIT));
    }

    #[test]
    fn without_a_limit_a_queue_may_grow() {
        let client = client();
        assert!(client.post(Bytes::from(vec![0; 1 << 20]), OutputLimit::NONE));
        assert_eq!(client.waiting_messages(), 1);
    }
}
