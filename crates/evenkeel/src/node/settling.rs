//! A node that has just started may lack what was decided while it was away, and what others decide in its place.
//!
//! First it catches up with the members that it reaches, and is *ready*: its answers to heartbeats say so, and the peers
//! send it what is to be decided. When all of them do, and it lacks nothing that they have decided before, it is
//! *settled* and decides. Both steps end after some seconds, whatever it lacks: availability comes first.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Node;

/// Members that have not been reached in this time after the start are not waited for.
const REACHED_WITHIN: Duration = Duration::from_millis(1_000);
/// After this time the node decides whatever it lacks.
const SETTLED_WITHIN: Duration = Duration::from_millis(5_000);
/// How often it is looked whether everything is here.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How far the node has come since its start. No step is taken back.
#[derive(Debug, Default)]
pub(super) struct Settling {
    ready: AtomicBool,
    settled: AtomicBool,
    /// When it was looked last, in milliseconds since the start.
    looked_ms: AtomicU64,
}

impl Node {
    /// Whether peers may send this node what is to be decided.
    pub(crate) fn is_ready(&self) -> bool {
        self.look_at_progress();
        self.settling.ready.load(Ordering::Acquire) && !*self.closing.borrow()
    }

    /// Whether this node decides.
    pub(crate) fn is_settled(&self) -> bool {
        self.look_at_progress();
        self.settling.settled.load(Ordering::Acquire)
    }

    fn look_at_progress(&self) {
        if self.settling.settled.load(Ordering::Acquire) {
            return;
        }
        let up = self.started.elapsed();
        let now = u64::try_from(up.as_millis()).unwrap_or(u64::MAX);
        let looked = self.settling.looked_ms.load(Ordering::Relaxed);
        if now < looked.saturating_add(10) {
            // Every partition is looked at: not for each command.
            return;
        }
        self.settling.looked_ms.store(now, Ordering::Relaxed);
        let is_late = up >= SETTLED_WITHIN;
        // In this order: what a peer decided before it relied on this node was sent before it said so.
        let relied_on = is_late || self.is_relied_on();
        if !is_late && !self.has_caught_up(up >= REACHED_WITHIN) {
            return;
        }
        self.settling.ready.store(true, Ordering::Release);
        if relied_on {
            self.settling.settled.store(true, Ordering::Release);
        }
    }

    /// Whether all members that are reached send this node what is to be decided here.
    fn is_relied_on(&self) -> bool {
        let outboxes = self.outboxes.load();
        let mut reached = outboxes.values().filter(|outbox| outbox.is_open());
        reached.all(|outbox| outbox.is_relied_on())
    }

    fn has_caught_up(&self, without_unreached: bool) -> bool {
        self.topology().others().all(|peer| {
            if !self.is_linked(peer) {
                return without_unreached;
            }
            let mut shared = self.held().filter(|id| self.topology().holds(peer, *id));
            shared.all(|id| {
                let heard = self.look(id, |partition| {
                    partition.has_heard(peer) && partition.behind(peer) == 0
                });
                heard.unwrap_or(true)
            })
        })
    }

    /// Waits until the node decides: some seconds after its start at most.
    pub(crate) async fn settled(&self) {
        while !self.is_settled() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
