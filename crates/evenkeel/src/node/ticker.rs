//! What happens by itself: deadlines of partitions, expiry, and news from the log's sync thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use evenkeel_core::causality::Context;
use evenkeel_core::command::Keyspace;
use evenkeel_core::id::PartitionId;
use evenkeel_core::partition::Input;
use evenkeel_store::log::Durable;
use tokio::sync::{Notify, mpsc};

use super::wal::Note;
use super::{Node, Topology};

/// Deadlines are not looked at more often than this: how late a time-out can be.
const TICK: Duration = Duration::from_millis(5);
/// How often the home looks for keys whose deadline and grace have passed.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(200);
/// Keys that one look removes per partition at most: the rest waits for the next look.
const EXPIRED_MAX: usize = 100;

/// When the earliest deadline of a partition is, so that an idle node sleeps until then.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Never later than the earliest deadline.
    next: AtomicU64,
    /// It has become earlier.
    moved: Notify,
}

impl Schedule {
    /// A partition has this deadline; whoever waits for the earliest looks at it afterwards.
    pub(super) fn note(&self, due: u64) {
        self.next.fetch_min(due, Ordering::Relaxed);
    }

    /// A partition has an earlier deadline than before.
    pub(super) fn hasten(&self, due: u64) {
        if self.next.fetch_min(due, Ordering::Relaxed) > due {
            self.moved.notify_one();
        }
    }
}

/// Runs whatever is due, as long as the node runs.
pub(crate) async fn tick(node: Arc<Node>) {
    let mut expiry = tokio::time::interval(EXPIRY_INTERVAL);
    expiry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let now = node.now();
        // What becomes earlier while the partitions are looked at must not be lost.
        node.schedule.next.store(u64::MAX, Ordering::Relaxed);
        for id in Topology::partitions() {
            node.with_if_due(id, now);
        }
        node.end_turn();
        tokio::time::sleep(TICK).await;
        let next = node.schedule.next.load(Ordering::Relaxed);
        let left = Duration::from_micros(next.saturating_sub(node.now().instant.0));
        tokio::select! {
            biased;
            _ = expiry.tick() => if node.wal.refusal().is_none() {
                expire(&node);
            },
            () = node.schedule.moved.notified() => {}
            () = tokio::time::sleep(left) => {}
        }
    }
}

fn expire(node: &Node) {
    for id in Topology::partitions().filter(|id| node.home(*id) == Some(node.me)) {
        node.with(id, |partition, now, effects| {
            Keyspace::new(partition, now, crate::entropy::chance(), effects)
                .expire_due(EXPIRED_MAX);
        });
    }
}

/// Tells the partitions which dots an fsync has covered, and lets go what waited for it.
pub(crate) async fn hear_durable(
    node: Arc<Node>,
    mut news: mpsc::UnboundedReceiver<Durable<Note>>,
) {
    while let Some(durable) = news.recv().await {
        let mut dots: BTreeMap<PartitionId, Context> = BTreeMap::new();
        let mut sends = Vec::new();
        for note in durable.notes {
            note.dots
                .iter()
                .for_each(|(id, covered)| dots.entry(*id).or_default().insert_run(*covered));
            sends.extend(note.sends);
        }
        for (id, covered) in dots {
            node.with(id, |partition, now, effects| {
                partition.handle(now, Input::Durable(covered), effects)
            });
        }
        node.send_all(&sends);
        node.wal.note_durable(durable.generation.0);
        node.end_turn();
    }
}
