//! Faults on purpose: cut, delay or thin out the frames of a link (`EK.FAULT`, only with `--fault-injection`).

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel_core::id::NodeId;
use parking_lot::RwLock;

/// What is done to the link with one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Nothing goes out.
    pub(crate) cut_out: bool,
    /// Nothing comes in.
    pub(crate) cut_in: bool,
    /// What goes out waits this long, from and to; the order is kept.
    pub(crate) delay_ms: Option<(u64, u64)>,
    /// Frames of a hundred that are lost on the way out.
    pub(crate) drop_percent: u8,
    /// Nothing of the data goes out; the node goes on answering what the peer asks.
    pub(crate) mute: bool,
}

/// The faults of all links of this node.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    by_peer: RwLock<BTreeMap<NodeId, Fault>>,
}

impl Faults {
    pub(crate) fn of(&self, peer: NodeId) -> Fault {
        self.by_peer.read().get(&peer).copied().unwrap_or_default()
    }

    pub(crate) fn change(&self, peer: NodeId, change: impl FnOnce(&mut Fault)) {
        change(self.by_peer.write().entry(peer).or_default());
    }
}

impl Fault {
    /// Whether the link carries nothing at all in one direction, so that no session can form.
    pub(crate) const fn is_cut(self) -> bool {
        self.cut_in || self.cut_out
    }

    /// How long a frame waits; `roll` is any number, evenly drawn.
    pub(crate) fn delay(self, roll: u64) -> Duration {
        self.delay_ms.map_or(Duration::ZERO, |(from, to)| {
            Duration::from_millis(from + roll % (to.max(from) - from + 1))
        })
    }

    /// Whether a frame is lost; `roll` is any number, evenly drawn.
    pub(crate) const fn loses(self, roll: u64) -> bool {
        roll % 100 < self.drop_percent as u64
    }
}
