//! How far the replicas are apart: exact, from contexts (replication.md 6).

use super::Partition;
use crate::id::NodeId;

impl Partition {
    /// How many events of this replica a member lacks, by its last advert. A member never heard of lacks them all.
    #[must_use]
    pub fn lag(&self, peer: NodeId) -> u64 {
        let missing = |applied| self.replica.context().difference(applied).count();
        self.peers
            .get(peer)
            .map_or(0, |peer| missing(&peer.applied))
    }

    /// Whether the present incarnation of a member has told what it holds.
    #[must_use]
    pub fn has_heard(&self, peer: NodeId) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.heard)
    }

    /// How many events of a member this replica lacks, by the member's last advert.
    #[must_use]
    pub fn behind(&self, peer: NodeId) -> u64 {
        self.peers.get(peer).map_or(0, |peer| {
            peer.applied.difference(self.replica.context()).count()
        })
    }
}
