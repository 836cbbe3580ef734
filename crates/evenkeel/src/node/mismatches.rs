//! Alarms: partitions in which a member held the same events as this node and something else.
//!
//! It means a bug or damaged data. An alarm stays until the node ends: it does not go away because the context moved on.

use std::collections::BTreeMap;

use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_core::time::WallMs;
use parking_lot::Mutex;

/// One alarm: the newest of a partition and member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mismatch {
    pub(crate) partition: PartitionId,
    pub(crate) peer: NodeId,
    /// The digest here.
    pub(crate) ours: u128,
    /// The digest there.
    pub(crate) theirs: u128,
    /// When it was seen last.
    pub(crate) at: WallMs,
    /// How often it was seen.
    pub(crate) times: u64,
}

/// The alarms of a node: at most one for each partition and member.
#[derive(Default)]
pub(crate) struct Mismatches(Mutex<BTreeMap<(PartitionId, NodeId), Mismatch>>);

impl Mismatches {
    /// Notes an alarm; `times` in it is not looked at.
    pub(super) fn add(&self, seen: Mismatch) {
        let mut known = self.0.lock();
        let alarm = known
            .entry((seen.partition, seen.peer))
            .or_insert(Mismatch { times: 0, ..seen });
        *alarm = Mismatch {
            times: alarm.times + 1,
            ..seen
        };
    }

    /// All of them, by partition.
    pub(crate) fn all(&self) -> Vec<Mismatch> {
        self.0.lock().values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_kept_once_with_its_newest_digests_and_its_count() {
        let alarms = Mismatches::default();
        let first = Mismatch {
            partition: PartitionId(3),
            peer: NodeId(1),
            ours: 1,
            theirs: 2,
            at: WallMs(10),
            times: 0,
        };
        let again = Mismatch {
            ours: 5,
            at: WallMs(20),
            ..first
        };
        alarms.add(first);
        alarms.add(again);
        alarms.add(Mismatch {
            peer: NodeId(2),
            ..first
        });
        let all = alarms.all();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], Mismatch { times: 2, ..again });
        assert_eq!(all[1].times, 1);
    }
}
