//! What is known of the other members: who is reachable, and what each one holds.
//!
//! Invariant: what a member is said to hold came from its present incarnation; an advert of another one is not
//! believed. Collection, hand-off and durable acknowledgements use `durable` only (replication.md 0, trap F9).

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::causality::Context;
use crate::id::{ActorId, NodeId};
use crate::message::Advert;
use crate::time::Instant;

/// One other member.
#[derive(Clone, Default, Debug)]
pub(super) struct Peer {
    /// Whether its link is up.
    pub(super) up: bool,
    /// The incarnation that the last handshake proved.
    pub(super) incarnation: Option<ActorId>,
    /// Whether that incarnation has sent an advert yet.
    pub(super) heard: bool,
    /// What it holds durably.
    pub(super) durable: Context,
    /// What it has applied, durable or not.
    pub(super) applied: Context,
    /// Somebody waits there for our acknowledgement: until then, every change is told at once.
    pub(super) eager_until: Instant,
}

impl Peer {
    /// Takes over an advert of the present incarnation.
    pub(super) fn hear(&mut self, advert: &Advert) {
        self.heard = true;
        self.durable.join(&advert.durable);
        self.applied.join(&advert.durable);
        self.applied.join(&advert.tail);
    }
}

/// The other members, by node.
#[derive(Clone, Default, Debug)]
pub(super) struct Peers {
    peers: BTreeMap<NodeId, Peer>,
    /// The members whose link is up, ascending: what each event asks for.
    up: SmallVec<[NodeId; 4]>,
    /// Never before the latest `eager_until`.
    eager_until: Instant,
}

impl Peers {
    pub(super) fn new(members: &[NodeId], me: NodeId) -> Self {
        let others = members.iter().filter(|node| **node != me);
        Self {
            peers: others.map(|node| (*node, Peer::default())).collect(),
            ..Self::default()
        }
    }

    pub(super) fn get(&self, node: NodeId) -> Option<&Peer> {
        self.peers.get(&node)
    }

    pub(super) fn get_mut(&mut self, node: NodeId) -> Option<&mut Peer> {
        self.peers.get_mut(&node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        self.peers.iter().map(|(node, peer)| (*node, peer))
    }

    /// The members whose link is up.
    pub(super) fn up(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.up.iter().copied()
    }

    /// A member waits for our acknowledgement until then.
    pub(super) fn acknowledge_until(&mut self, node: NodeId, until: Instant) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.eager_until = until;
            self.eager_until = self.eager_until.max(until);
        }
    }

    /// The reachable members that wait for our acknowledgement.
    pub(super) fn eager(&self, now: Instant) -> impl Iterator<Item = NodeId> {
        let any = self.eager_until > now;
        let waits = move |peer: &Peer| peer.up && peer.eager_until > now;
        self.up
            .iter()
            .copied()
            .filter(move |node| any && self.peers.get(node).is_some_and(waits))
    }

    fn recount_up(&mut self) {
        let up = self.peers.iter().filter(|(_, peer)| peer.up);
        self.up = up.map(|(node, _)| *node).collect();
    }

    /// The member that this incarnation is of, if it is a present one.
    pub(super) fn of_incarnation(&self, actor: ActorId) -> Option<&Peer> {
        self.peers
            .values()
            .find(|peer| peer.incarnation == Some(actor))
    }

    /// A link came up. What an earlier incarnation held is forgotten: its disk may be older now.
    pub(super) fn link_up(&mut self, node: NodeId, incarnation: ActorId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            if peer.incarnation != Some(incarnation) {
                *peer = Peer {
                    incarnation: Some(incarnation),
                    ..Peer::default()
                };
            }
            peer.up = true;
        }
        self.recount_up();
    }

    pub(super) fn link_down(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.up = false;
        }
        self.recount_up();
    }
}
