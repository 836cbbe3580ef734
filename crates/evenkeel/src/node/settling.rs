//! A node that has just started may lack what was decided while it was away. Until it has caught up with the members
//! that it reaches, it decides nothing itself, and tells its peers not to send it what is to be decided.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Node;

/// Members that have not been reached in this time after the start are not waited for.
const REACHED_WITHIN: Duration = Duration::from_millis(1_000);
/// After this time the node decides whatever it lacks: availability comes first.
const SETTLED_WITHIN: Duration = Duration::from_millis(5_000);
/// How often it is looked whether everything is here.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Whether the node has caught up since its start.
#[derive(Debug, Default)]
pub(super) struct Settling {
    done: AtomicBool,
    /// When it was looked last, in milliseconds since the start.
    looked_ms: AtomicU64,
}

impl Node {
    /// Whether this node has caught up since its start. It never becomes untrue again.
    pub(crate) fn is_settled(&self) -> bool {
        if self.settling.done.load(Ordering::Acquire) {
            return true;
        }
        let up = self.started.elapsed();
        let now = u64::try_from(up.as_millis()).unwrap_or(u64::MAX);
        let looked = self.settling.looked_ms.load(Ordering::Relaxed);
        if now < looked.saturating_add(10) {
            // Every partition is looked at: not for each command.
            return false;
        }
        self.settling.looked_ms.store(now, Ordering::Relaxed);
        let settled = up >= SETTLED_WITHIN || self.has_caught_up(up >= REACHED_WITHIN);
        if settled {
            self.settling.done.store(true, Ordering::Release);
        }
        settled
    }

    fn has_caught_up(&self, without_unreached: bool) -> bool {
        self.topology.others().all(|peer| {
            if !self.is_linked(peer) {
                return without_unreached;
            }
            let mut shared = self.held().filter(|id| self.topology.holds(peer, *id));
            shared.all(|id| {
                let heard = self.look(id, |partition| {
                    partition.has_heard(peer) && partition.behind(peer) == 0
                });
                heard.unwrap_or(true)
            })
        })
    }

    /// Waits until the node has caught up, for some seconds after its start at most.
    pub(crate) async fn settled(&self) {
        while !self.is_settled() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
