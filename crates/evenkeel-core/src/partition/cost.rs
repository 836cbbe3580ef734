//! What it costs to answer a frame: so that repairs of members that lack much can wait behind everything else.

use super::Partition;
use crate::message::Message;
use crate::wire::decode;

impl Partition {
    /// About how many bytes a member that lacks everything is sent. Looks at every cell.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.snapshot_bytes()
    }

    /// How many events' cells must be gathered to answer this frame; `u64::MAX` for a snapshot, 0 when it asks for none.
    #[must_use]
    pub fn repair_cost(&self, frame: &[u8]) -> u64 {
        match decode(frame) {
            Ok((_, Message::SyncRequest { context, .. })) => {
                self.replica().context().difference(&context).count()
            }
            Ok((_, Message::SnapshotRequest { .. })) => u64::MAX,
            _ => 0,
        }
    }
}
