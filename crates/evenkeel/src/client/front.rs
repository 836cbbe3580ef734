//! What the clients of one node share.

use super::connected::OutputLimit;
use super::pubsub::Hub;

/// One per node: two nodes in one process have nothing in common.
#[derive(Debug, Default)]
pub(crate) struct Front {
    pub(super) hub: Hub,
}

impl Front {
    /// How much may wait for a subscriber.
    pub(super) const fn pubsub_limit(&self) -> OutputLimit {
        OutputLimit::PUBSUB
    }
}
