//! Answering members that lack much: one after the other, with pauses, so that a member that was away for long and asks
//! for every partition at once does not slow clients down (hazards H29).
//!
//! Invariant: of a member and a partition the newest question alone waits; the older ones were given up by whoever asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use bytes::Bytes;
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_core::limits::SYNC_SMALL_MAX;
use evenkeel_core::partition::Input;
use evenkeel_core::wire::asks_for_repair;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Node;

/// After an answer nothing is answered for this many times as long as it took: a fifth of one thread.
const PAUSE: u32 = 4;

/// So many partitions of a node ask at once at most: what is asked is answered before it is given up.
pub(super) const ASKING_MAX: usize = 4;

/// Questions that wait.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// How many partitions of this node are asking.
    pub(super) asking: AtomicUsize,
    waiting: Mutex<Waiting>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<(NodeId, PartitionId)>,
    frames: BTreeMap<(NodeId, PartitionId), Bytes>,
}

impl Repairs {
    fn add(&self, of: (NodeId, PartitionId), frame: Bytes) {
        let mut waiting = self.waiting.lock();
        if waiting.frames.insert(of, frame).is_none() {
            waiting.order.push_back(of);
        }
        drop(waiting);
        self.added.notify_one();
    }

    fn next(&self) -> Option<(NodeId, PartitionId, Bytes)> {
        let mut waiting = self.waiting.lock();
        let of = waiting.order.pop_front()?;
        let frame = waiting.frames.remove(&of)?;
        Some((of.0, of.1, frame))
    }
}

impl Node {
    /// Takes a peer's frame that asks for much; tells whether it did.
    pub(super) fn takes_its_time(&self, from: NodeId, id: PartitionId, frame: &Bytes) -> bool {
        if !asks_for_repair(frame) {
            return false;
        }
        let cost = self.look(id, |partition| partition.repair_cost(frame));
        let much = cost.is_some_and(|cost| cost > SYNC_SMALL_MAX);
        if much {
            self.repairs.add((from, id), frame.clone());
        }
        much
    }
}

/// Answers what waits, as long as the node runs.
pub(crate) async fn answer_repairs(node: Arc<Node>) {
    loop {
        let Some((from, id, frame)) = node.repairs.next() else {
            node.repairs.added.notified().await;
            continue;
        };
        if !node.is_linked(from) || node.wal.refusal().is_some() {
            continue;
        }
        let began = Instant::now();
        node.with_any(id, |partition, now, effects| {
            partition.handle(now, Input::Frame { from, frame }, effects);
        });
        node.end_turn();
        tokio::time::sleep(began.elapsed() * PAUSE).await;
    }
}
