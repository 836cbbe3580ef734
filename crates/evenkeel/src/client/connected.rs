//! What the node and other connections may know of one connection, and do to it: send it messages, close it.
//!
//! Invariants: a message is encoded once and queued here, never written by whoever sends it, so that a slow client
//! slows nobody else; a client over its output limit is closed and its queue emptied, so that the queue is bounded.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use evenkeel_resp::Protocol;
use parking_lot::Mutex;
use tokio::sync::Notify;

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
    /// Redis' default for clients that subscribe.
    pub(super) const PUBSUB: Self = Self {
        hard_bytes: 32 << 20,
        soft_bytes: 8 << 20,
        soft: Duration::from_secs(60),
    };
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
        let limit = OutputLimit::PUBSUB;
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
