//! Clients of this node that wait for keys: first come, first served.
//!
//! Only the first in a key's queue is called; whoever leaves calls the next, so that a waiter that was served, has
//! timed out or has gone never keeps what is there from the others. The partitions say which keys have changed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use evenkeel_core::types::Kind;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What a key is waited for as: two kinds of commands on one key do not wait for each other.
pub(crate) type Awaited = (Kind, Bytes);

/// The kinds that are waited for.
const KINDS: [Kind; 2] = [Kind::List, Kind::SortedSet];

/// Everybody who waits.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    queues: HashMap<Awaited, VecDeque<Arc<Waiter>>>,
    clients: HashMap<u64, Arc<Waiter>>,
}

/// One that waits, for any of its keys.
#[derive(Debug)]
pub(crate) struct Waiter {
    client: u64,
    called: AtomicBool,
    ended: Mutex<Option<Unblock>>,
    wake: Notify,
}

/// How a client is unblocked from outside (CLIENT UNBLOCK).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unblock {
    /// As if its time-out had come.
    Timeout,
    /// With an error.
    Error,
}

/// What a waiter is woken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    /// A key may have something.
    Look,
    /// It waits no more.
    End(Unblock),
}

impl Waiter {
    /// Waits for the next call. Nothing is lost when it is given up half-way.
    pub(crate) async fn called(&self) -> Call {
        loop {
            if let Some(how) = *self.ended.lock() {
                return Call::End(how);
            }
            if self.called.swap(false, Ordering::AcqRel) {
                return Call::Look;
            }
            self.wake.notified().await;
        }
    }

    fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

impl Waiters {
    /// Whether nobody waits for any of these.
    pub(crate) fn are_free(&self, awaited: &[Awaited]) -> bool {
        let state = self.0.lock();
        state.queues.is_empty() || !awaited.iter().any(|key| state.queues.contains_key(key))
    }

    /// Takes a place behind those who wait already; the first of each key is called, for there may be something.
    pub(crate) fn enter(&self, client: u64, awaited: &[Awaited]) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter {
            client,
            called: AtomicBool::new(false),
            ended: Mutex::new(None),
            wake: Notify::new(),
        });
        let mut state = self.0.lock();
        for key in awaited {
            let queue = state.queues.entry(key.clone()).or_default();
            if queue.iter().all(|held| !Arc::ptr_eq(held, &waiter)) {
                queue.push_back(Arc::clone(&waiter));
            }
            queue[0].call();
        }
        state.clients.insert(client, Arc::clone(&waiter));
        waiter
    }

    /// Gives the places up; the next ones are called.
    pub(crate) fn leave(&self, waiter: &Arc<Waiter>, awaited: &[Awaited]) {
        let mut state = self.0.lock();
        for key in awaited {
            let Some(queue) = state.queues.get_mut(key) else {
                continue;
            };
            queue.retain(|held| !Arc::ptr_eq(held, waiter));
            match queue.front() {
                Some(next) => next.call(),
                None => {
                    state.queues.remove(key);
                }
            }
        }
        state.clients.remove(&waiter.client);
    }

    /// A key that is waited for has changed.
    pub(crate) fn changed(&self, key: &[u8]) {
        let state = self.0.lock();
        for kind in KINDS {
            let queue = state.queues.get(&(kind, Bytes::copy_from_slice(key)));
            if let Some(first) = queue.and_then(VecDeque::front) {
                first.call();
            }
        }
    }

    /// Ends a client's waiting; tells whether it was waiting.
    pub(crate) fn unblock(&self, client: u64, how: Unblock) -> bool {
        let state = self.0.lock();
        let Some(waiter) = state.clients.get(&client) else {
            return false;
        };
        *waiter.ended.lock() = Some(how);
        waiter.wake.notify_one();
        true
    }

    /// How many clients wait.
    pub(crate) fn clients(&self) -> usize {
        self.0.lock().clients.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &'static str) -> Awaited {
        (Kind::List, Bytes::from_static(name.as_bytes()))
    }

    fn is_called(waiter: &Waiter) -> bool {
        waiter.called.swap(false, Ordering::AcqRel)
    }

    #[test]
    fn only_the_first_is_called_and_who_leaves_calls_the_next() {
        let waiters = Waiters::default();
        let awaited = [key("k")];
        assert!(waiters.are_free(&awaited));
        let first = waiters.enter(1, &awaited);
        let second = waiters.enter(2, &awaited);
        assert!(is_called(&first));
        assert!(!is_called(&second));
        waiters.changed(b"k");
        assert!(is_called(&first) && !is_called(&second));
        waiters.leave(&first, &awaited);
        assert!(is_called(&second));
        waiters.leave(&second, &awaited);
        assert!(waiters.are_free(&awaited));
        assert_eq!(waiters.clients(), 0);
    }

    #[test]
    fn a_key_named_twice_is_one_place() {
        let waiters = Waiters::default();
        let awaited = [key("k"), key("k"), key("l")];
        let first = waiters.enter(1, &awaited);
        let second = waiters.enter(2, &[key("k")]);
        waiters.leave(&first, &awaited);
        assert!(is_called(&second));
        assert!(waiters.are_free(&[key("l")]));
    }

    #[test]
    fn those_who_wait_for_another_kind_are_apart() {
        let waiters = Waiters::default();
        let scored = [(Kind::SortedSet, Bytes::from_static(b"k"))];
        let first = waiters.enter(1, &scored);
        let second = waiters.enter(2, &[key("k")]);
        assert!(is_called(&first) && is_called(&second));
        waiters.changed(b"k");
        assert!(is_called(&first) && is_called(&second));
    }

    #[test]
    fn a_client_that_waits_is_unblocked_and_another_is_not_there() {
        let waiters = Waiters::default();
        let first = waiters.enter(1, &[key("k")]);
        assert!(waiters.unblock(1, Unblock::Error));
        assert_eq!(*first.ended.lock(), Some(Unblock::Error));
        assert!(!waiters.unblock(2, Unblock::Error));
    }
}
