//! What is known of the other nodes: which of them are members, who is reachable, and what each one holds.
//!
//! Invariants: what a member is said to hold came from its present incarnation, in an epoch in which it already had its
//! present part; any other advert of a member is not believed. A process that drops its replica is outside the list
//! when it does so, so what a member held before it became one counts for nothing. Collection, hand-off and durable
//! acknowledgements use `durable` only (replication.md 0, trap F9), and only that of members.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::bug::{Bug, Switches};
use crate::causality::Context;
use crate::id::{ActorId, NodeId};
use crate::membership::{Member, MemberState, Role};
use crate::message::Advert;
use crate::time::Instant;

/// One other node.
#[derive(Clone, Default, Debug)]
pub(super) struct Peer {
    /// Its part in the replica set; `None`: it has none.
    member: Option<Member>,
    /// Whether its link is up.
    pub(super) up: bool,
    /// The incarnation that the last handshake proved.
    pub(super) incarnation: Option<ActorId>,
    /// The actor under which it mints.
    minter: Option<ActorId>,
    /// Whether that incarnation has sent an advert yet.
    pub(super) heard: bool,
    /// What it holds durably.
    pub(super) durable: Context,
    /// What it has applied, durable or not.
    pub(super) applied: Context,
    /// All that it had applied when it first spoke after it knew of this replica's present part.
    first: Option<Context>,
    /// Somebody waits there for our acknowledgement: until then, every change is told at once.
    eager_until: Instant,
}

impl Peer {
    /// Takes over an advert of the present incarnation, of its epoch; tells whether it is to be believed.
    fn hear(&mut self, (epoch, since): (u64, u64), advert: &Advert) -> bool {
        if self.member.is_some_and(|member| epoch < member.since) {
            return false;
        }
        if self.member.is_none() {
            // It may have dropped what it said before.
            self.forget();
        }
        self.heard = true;
        self.minter = advert.minter.or(self.incarnation);
        self.durable.join(&advert.durable);
        self.applied.join(&advert.durable);
        self.applied.join(&advert.tail);
        if epoch >= since && self.first.is_none() {
            self.first = Some(self.applied.clone());
        }
        true
    }

    fn forget(&mut self) {
        self.heard = false;
        self.durable = Context::default();
        self.applied = Context::default();
        self.first = None;
    }

    /// Whether it is in the list of members.
    pub(super) const fn is_member(&self) -> bool {
        self.member.is_some()
    }

    /// Whether acknowledgements count it.
    pub(super) fn is_active(&self) -> bool {
        self.member
            .is_some_and(|member| member.state == MemberState::Active)
    }

    /// Whether what a replica drops must be held by it.
    fn stays(&self) -> bool {
        self.member
            .is_some_and(|member| member.state != MemberState::Leaving)
    }

    /// See the field.
    pub(super) const fn first(&self) -> Option<&Context> {
        self.first.as_ref()
    }
}

/// The other nodes, and the list of members.
#[derive(Clone, Default, Debug)]
pub(super) struct Peers {
    me: NodeId,
    /// The epoch of the list.
    epoch: u64,
    /// The newest epoch that a frame was of.
    newest: u64,
    /// The part of this replica; `None`: it has none.
    mine: Option<Member>,
    peers: BTreeMap<NodeId, Peer>,
    /// The nodes that hear of this replica by themselves and whose link is up, ascending: what each event asks for.
    up: SmallVec<[NodeId; 4]>,
    /// Never before the latest `eager_until`.
    eager_until: Instant,
    switches: Switches,
}

impl Peers {
    pub(super) fn new(me: NodeId, (epoch, members): (u64, &[Member]), switches: Switches) -> Self {
        let mut peers = Self {
            me,
            switches,
            ..Self::default()
        };
        peers.set_members(epoch, members);
        peers
    }

    /// Takes over a list of members. What a member is known to hold is forgotten when its part has changed, and what
    /// everybody said first when this replica's part has. Gives the nodes whose part has changed.
    pub(super) fn set_members(&mut self, epoch: u64, members: &[Member]) -> Vec<NodeId> {
        self.epoch = epoch;
        let find = |node| members.iter().find(|member| member.node == node).copied();
        let mine = find(self.me);
        let mut changed = Vec::new();
        if mine != self.mine {
            self.mine = mine;
            changed.push(self.me);
            self.peers.values_mut().for_each(|peer| peer.first = None);
        }
        for member in members.iter().filter(|member| member.node != self.me) {
            self.peers.entry(member.node).or_default();
        }
        for (node, peer) in &mut self.peers {
            let member = find(*node);
            if peer.member != member {
                peer.member = member;
                if !self.switches.breaks(Bug::StaleMember) {
                    peer.forget();
                }
                changed.push(*node);
            }
        }
        self.recount_up();
        changed
    }

    /// The epoch of the list of members.
    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A frame of an epoch has come.
    pub(super) fn note_epoch(&mut self, epoch: u64) {
        self.newest = self.newest.max(epoch);
    }

    /// Whether nobody has spoken of a newer list than the one that is known here.
    pub(super) const fn is_newest(&self) -> bool {
        self.newest <= self.epoch
    }

    /// The part of this replica.
    pub(super) fn role(&self) -> Role {
        Role::of(self.mine.as_slice(), self.me)
    }

    pub(super) fn get(&self, node: NodeId) -> Option<&Peer> {
        self.peers.get(&node)
    }

    /// Every other node with a link, now or once, and every other member.
    pub(super) fn all(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        self.peers.iter().map(|(node, peer)| (*node, peer))
    }

    /// The other members.
    pub(super) fn members(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        self.all().filter(|(_, peer)| peer.is_member())
    }

    /// The other members that acknowledgements count.
    pub(super) fn active(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        self.all().filter(|(_, peer)| peer.is_active())
    }

    /// The other members that must hold what this replica drops. None when no active one is among them: then there is
    /// nobody to hand it to.
    pub(super) fn heirs(&self) -> Option<impl Iterator<Item = &Peer>> {
        let heirs = || self.peers.values().filter(|peer| peer.stays());
        heirs().any(Peer::is_active).then(heirs)
    }

    /// The nodes to tell of events and of what is held here: a member tells all members, another replica those who are
    /// to hold it. Only those whose link is up.
    pub(super) fn up(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.up.iter().copied()
    }

    /// Takes over an advert of a node; `None` when it is not to be believed.
    pub(super) fn hear(
        &mut self,
        (node, sender): (NodeId, ActorId),
        epoch: u64,
        advert: &Advert,
    ) -> Option<&Peer> {
        let since = self.mine.map_or(0, |member| member.since);
        let peer = self.peers.get_mut(&node)?;
        let epoch = if self.switches.breaks(Bug::StaleMember) {
            u64::MAX
        } else {
            epoch
        };
        let believed = peer.incarnation == Some(sender) && peer.hear((epoch, since), advert);
        believed.then_some(&*peer)
    }

    /// A node outside the list does not hold what it said: it has dropped it. Tells whether it is one.
    pub(super) fn forget_guest(&mut self, node: NodeId) -> bool {
        let peer = self.peers.get_mut(&node).filter(|peer| !peer.is_member());
        peer.map(Peer::forget).is_some()
    }

    /// A node waits for our acknowledgement until then.
    pub(super) fn acknowledge_until(&mut self, node: NodeId, until: Instant) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.eager_until = until;
            self.eager_until = self.eager_until.max(until);
        }
    }

    /// The reachable nodes that wait for our acknowledgement.
    pub(super) fn eager(&self, now: Instant) -> impl Iterator<Item = NodeId> {
        let any = self.eager_until > now;
        let waits = move |peer: &Peer| peer.up && peer.eager_until > now;
        let peers = any.then_some(&self.peers).into_iter().flatten();
        peers
            .filter(move |(_, peer)| waits(peer))
            .map(|(node, _)| *node)
    }

    fn recount_up(&mut self) {
        let all = self.role().is_member();
        let told = |peer: &Peer| {
            if all { peer.is_member() } else { peer.stays() }
        };
        let up = self.peers.iter();
        let up = up.filter(|(_, peer)| peer.up && told(peer));
        self.up = up.map(|(node, _)| *node).collect();
    }

    /// The member that mints under this actor, if a present one does.
    pub(super) fn of_minter(&self, actor: ActorId) -> Option<&Peer> {
        let mut members = self.peers.values().filter(|peer| peer.is_member());
        members.find(|peer| peer.minter == Some(actor))
    }

    /// A link came up. What an earlier incarnation held is forgotten: its disk may be older now.
    pub(super) fn link_up(&mut self, node: NodeId, incarnation: ActorId) {
        let peer = self.peers.entry(node).or_default();
        if peer.incarnation != Some(incarnation) {
            *peer = Peer {
                incarnation: Some(incarnation),
                member: peer.member,
                ..Peer::default()
            };
        }
        peer.up = true;
        self.recount_up();
    }

    pub(super) fn link_down(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.up = false;
        }
        self.recount_up();
    }
}
