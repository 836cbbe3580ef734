//! What happens by itself: deadlines of partitions, expiry, and news from the log's sync thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::causality::Context;
use evenkeel_core::command::Keyspace;
use evenkeel_core::id::PartitionId;
use evenkeel_core::partition::Input;
use evenkeel_store::log::Durable;
use tokio::sync::mpsc;

use super::Node;
use super::wal::Note;

/// How often deadlines are looked at: how late a time-out can be.
const TICK: Duration = Duration::from_millis(5);
/// Every so many ticks the home looks for keys whose deadline and grace have passed.
const EXPIRY_TICKS: u32 = 40;
/// Keys that one look removes per partition at most: the rest waits for the next look.
const EXPIRED_MAX: usize = 100;

/// Runs whatever is due, as long as the node runs.
pub(crate) async fn tick(node: Arc<Node>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let held: Vec<PartitionId> = node.held().collect();
    let mut ticks = 0u32;
    loop {
        interval.tick().await;
        ticks = ticks.wrapping_add(1);
        let now = node.now();
        for id in &held {
            node.with_if_due(*id, now);
        }
        if ticks.is_multiple_of(EXPIRY_TICKS) && node.wal.refusal().is_none() {
            expire(&node, &held);
        }
        node.end_turn();
    }
}

fn expire(node: &Node, held: &[PartitionId]) {
    for id in held
        .iter()
        .filter(|id| node.home(**id) == Some(node.topology.me))
    {
        node.with(*id, |partition, now, effects| {
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
