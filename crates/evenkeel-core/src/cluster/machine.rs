//! The control plane of one node: holds the newest document, votes if it has a seat, leads if it is elected.
//!
//! Invariants: what an effect rests on is saved before the effect is carried out; a document is replaced by newer
//! ones only; documents of equal epoch are equal; a change is answered only when it was decided. How it is driven:
//! [`Cluster::handle`] with whatever happens and at [`Cluster::deadline`]; effects are carried out in order.
//!
//! Documents spread from node to node by epoch, whoever votes. So any document that a node meets was decided, and a
//! voter takes it too, and skips the decisions it rests on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::change::{Change, Seat};
use super::document::Document;
use super::frame::{Frame, Vote};
use super::vote::{Log, ProposalId, Proposed, Voting};
use crate::codec::{DecodeError, Reader};
use crate::id::{NodeId, Ticket};
use crate::limits::{CLUSTER_FRESH, CLUSTER_HELLO, CLUSTER_RETRY, CLUSTER_TICK};
use crate::time::Instant;

/// What a node's control plane is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A peer has sent a frame of the control plane.
    Frame {
        /// Who.
        from: NodeId,
        /// Its bytes, as an [`Effect::Send`] of that node had them.
        frame: Bytes,
    },
    /// The link to a peer is up.
    PeerUp {
        /// Whose.
        peer: NodeId,
    },
    /// The link to a peer is down.
    PeerDown {
        /// Whose.
        peer: NodeId,
    },
    /// A change is to be made. Answered exactly once by [`Effect::Reply`].
    Propose {
        /// Names the answer.
        ticket: Ticket,
        /// What is to change.
        change: Change,
        /// When to give up.
        deadline: Instant,
    },
    /// Time has passed.
    Tick,
}

/// What a node's control plane wants done, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Replace the content of the state file, durably, before any later effect is carried out. If that fails the
    /// later effects must not be carried out, and the control plane must not go on.
    Save(Bytes),
    /// The document is a newer one.
    Changed(Arc<Document>),
    /// Send a frame to a peer, if there is a link.
    Send {
        /// To whom.
        to: NodeId,
        /// Its bytes.
        frame: Bytes,
    },
    /// What came of a proposal: the epoch since which it holds, which this node has, or why not.
    Reply {
        /// As in [`Input::Propose`].
        ticket: Ticket,
        /// The outcome.
        result: Result<u64, Failed>,
    },
    /// A peer has sent what is no frame. It was dropped.
    BadFrame {
        /// Who.
        from: NodeId,
        /// What is wrong.
        error: DecodeError,
    },
}

/// Why a proposal failed.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Failed {
    /// A rule forbids it; nothing has changed. The text of a [`Refused`](super::Refused).
    #[error("{0}")]
    Refused(String),
    /// No decision by the deadline. It may still be taken: look at the document, and propose it again.
    #[error("NOQUORUM {0}; the change may still be made, reads and writes of data go on")]
    NoQuorum(String),
}

/// What a node knows of the voters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Who has a seat.
    pub voters: Vec<NodeId>,
    /// Who leads, if it was heard of within the last seconds.
    pub leader: Option<NodeId>,
    /// The number of the configuration of voters; 0 before the first one.
    pub config: u32,
    /// The newest ballot of that configuration known here; greater is newer.
    pub ballot: u32,
    /// Whether a quorum has answered the leader within the last seconds: changes can be made.
    pub quorum: bool,
    /// Whether this node votes.
    pub votes: bool,
    /// This node has a seat and lost what it must remember for it. It gets another one from the others.
    pub lost_seat: bool,
    /// Nodes of the initial list that this node, as the first of them, must hear from once before there are voters.
    pub unheard: Vec<NodeId>,
    /// Proposals that wait here.
    pub pending: usize,
}

/// What a node does among the voters.
pub(super) enum Role {
    /// Nothing: documents come from others.
    Outside,
    /// The only voter: what it decides is decided.
    Alone,
    /// One of several.
    Among(Box<Voting>),
}

/// What is known of another node in this run.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// Whether its link is up.
    pub(super) up: bool,
    /// Since when the link has been as it is; since the start if it never was up.
    pub(super) since: Instant,
    /// The key of its voting state.
    pub(super) key: Option<u64>,
    /// The epoch it has told last.
    epoch: Option<u64>,
    /// It leads: configuration, ballot, and when it said so.
    leads: Option<(u32, u32, Instant)>,
    /// The last numbered frame taken from it.
    last: (u64, u64),
}

/// A proposal of this node that has no outcome yet.
pub(super) struct Pending {
    pub(super) ticket: Option<Ticket>,
    pub(super) change: Change,
    pub(super) deadline: Instant,
    /// To whom it was sent last, and when.
    pub(super) sent: Option<(NodeId, Instant)>,
    /// Decided: answered once this node has that epoch.
    pub(super) decided: Option<u64>,
}

/// The control plane of one node.
pub struct Cluster {
    pub(super) me: NodeId,
    pub(super) key: u64,
    pub(super) boot: u64,
    pub(super) document: Arc<Document>,
    pub(super) role: Role,
    pub(super) peers: BTreeMap<NodeId, Peer>,
    /// By serial number.
    pub(super) pending: BTreeMap<u64, Pending>,
    /// What came of the last proposals that this node has seen decided.
    pub(super) outcomes: VecDeque<(ProposalId, Result<u64, String>)>,
    /// Decisions of the configuration that the document has taken in.
    pub(super) applied: u64,
    serial: u64,
    number: u64,
    /// The epoch in which nothing is to be moved for now: planning costs too much to be done in every tick.
    pub(super) settled: Option<u64>,
    /// From whom the newer document was asked, and when.
    fetch: Option<(NodeId, Instant)>,
    /// When this node was handed its first input.
    started: Option<Instant>,
    next_tick: Instant,
    next_hello: Instant,
    /// Something is to be saved.
    pub(super) dirty: bool,
    /// The epoch that was told by [`Effect::Changed`] last.
    told: u64,
    /// Whether this node was leading at the end of the last input.
    led: bool,
    /// Effects behind the save.
    pub(super) after: Vec<Effect>,
}

impl Cluster {
    /// The control plane of a node without a state file: a member of the initial list with the initial document, or a
    /// node that was admitted, with the document of whoever admitted it. `key` is drawn at random, once: it tells this
    /// state from one that was lost.
    #[must_use]
    pub fn new(me: NodeId, document: Document, key: u64) -> Self {
        let mut cluster = Self::of(me, key, 1, document, None);
        cluster.dirty = true;
        cluster
    }

    pub(super) fn of(
        me: NodeId,
        key: u64,
        boot: u64,
        document: Document,
        log: Option<Log>,
    ) -> Self {
        let mut cluster = Self {
            me,
            key,
            boot,
            applied: document.position,
            told: document.epoch,
            document: Arc::new(document),
            role: Role::Outside,
            peers: BTreeMap::new(),
            pending: BTreeMap::new(),
            outcomes: VecDeque::new(),
            serial: boot << 32,
            number: 0,
            settled: None,
            fetch: None,
            started: None,
            next_tick: Instant::default(),
            next_hello: Instant::default(),
            dirty: false,
            led: false,
            after: Vec::new(),
        };
        cluster.take_seat(log.unwrap_or_default());
        cluster
    }

    /// This node's number.
    #[must_use]
    pub const fn me(&self) -> NodeId {
        self.me
    }

    /// The newest document this node has.
    #[must_use]
    pub const fn document(&self) -> &Arc<Document> {
        &self.document
    }

    /// When [`Input::Tick`] is due at the latest.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.next_tick
    }

    /// Takes an input and appends what is to be done.
    pub fn handle(&mut self, now: Instant, input: Input, effects: &mut Vec<Effect>) {
        if self.started.is_none() {
            self.started = Some(now);
        }
        match input {
            Input::Frame { from, frame } => self.handle_frame(now, from, &frame),
            Input::PeerUp { peer } => self.handle_peer_up(now, peer),
            Input::PeerDown { peer } => {
                let peer = self.peer(peer);
                peer.up = false;
                peer.since = now;
                peer.leads = None;
            }
            Input::Propose {
                ticket,
                change,
                deadline,
            } => self.handle_propose(ticket, change, deadline),
            Input::Tick => {}
        }
        self.found();
        self.apply_decisions(now);
        if now >= self.next_tick {
            self.next_tick = now + CLUSTER_TICK;
            self.tick(now);
            self.apply_decisions(now);
        }
        self.drive(now);
        self.greet(now);
        self.flush(effects);
    }

    /// When this node was handed its first input.
    pub(super) fn started(&self) -> Instant {
        self.started.unwrap_or_default()
    }

    pub(super) fn peer(&mut self, peer: NodeId) -> &mut Peer {
        let since = self.started();
        self.peers.entry(peer).or_insert_with(|| Peer {
            since,
            ..Peer::default()
        })
    }

    fn handle_peer_up(&mut self, now: Instant, peer: NodeId) {
        let hello = self.hello(now);
        let entry = self.peer(peer);
        entry.up = true;
        entry.since = now;
        if let Role::Among(voting) = &mut self.role {
            voting.reconnected(peer);
        }
        self.send(peer, &hello);
    }

    fn handle_frame(&mut self, now: Instant, from: NodeId, bytes: &[u8]) {
        let handled = Frame::decode(bytes).and_then(|frame| match frame {
            Frame::Hello { epoch, key, leads } => {
                self.handle_hello(now, from, (epoch, key), leads);
                Ok(())
            }
            Frame::Fetch => {
                self.send_document(from);
                Ok(())
            }
            Frame::Document(bytes) => {
                self.adopt(Document::decode(&bytes)?);
                Ok(())
            }
            Frame::Propose(proposed) => {
                self.handle_proposed(now, from, proposed);
                Ok(())
            }
            Frame::Outcome { id, result } => {
                self.handle_outcome(id, result);
                Ok(())
            }
            Frame::Vote(vote) => self.handle_vote(now, from, &vote),
        });
        if let Err(error) = handled {
            self.after.push(Effect::BadFrame { from, error });
        }
    }

    fn handle_hello(
        &mut self,
        now: Instant,
        from: NodeId,
        (epoch, key): (u64, u64),
        leads: Option<(u32, u32)>,
    ) {
        let mine = self.document.epoch;
        let peer = self.peer(from);
        if peer.key != Some(key) {
            // It has begun anew and counts its frames from the start.
            peer.key = Some(key);
            peer.last = Default::default();
        }
        peer.epoch = Some(epoch);
        peer.leads = leads.map(|(config, ballot)| (config, ballot, now));
        let asked = |at: Instant| now.since(at) < CLUSTER_RETRY;
        if epoch > mine && !self.fetch.is_some_and(|(_, at)| asked(at)) {
            self.fetch = Some((from, now));
            self.send(from, &Frame::Fetch);
        }
    }

    fn handle_vote(&mut self, now: Instant, from: NodeId, vote: &Vote) -> Result<(), DecodeError> {
        // Of an earlier connection, overtaken by a later one: the library counts on order.
        let place = (vote.boot, vote.number);
        let last = &mut self.peer(from).last;
        if place <= *last {
            return Ok(());
        }
        *last = place;
        let mine = self.document.config;
        if vote.config < mine {
            // It has missed the end of its configuration.
            self.send_document(from);
        } else if vote.config > mine {
            self.send(from, &Frame::Fetch);
        } else if let Role::Among(voting) = &mut self.role {
            voting.handle(now, from, &mut Reader::new(&vote.bytes))?;
        }
        Ok(())
    }

    /// Takes a document that was decided elsewhere.
    fn adopt(&mut self, document: Document) {
        self.fetch = None;
        if document.cluster != self.document.cluster || document.epoch <= self.document.epoch {
            return;
        }
        let config = self.document.config;
        self.document = Arc::new(document);
        self.dirty = true;
        if self.document.config == config {
            self.applied = self.applied.max(self.document.position);
        } else {
            self.take_seat(Log::default());
        }
    }

    /// Takes the part in the document's configuration that the document gives this node, remembering `log` of it.
    fn take_seat(&mut self, log: Log) {
        self.applied = self.document.position;
        self.role = Role::Outside;
        if !self.has_seat() {
            return;
        }
        let voters: Vec<NodeId> = self.document.voters().collect();
        self.role = if voters == [self.me] {
            Role::Alone
        } else {
            Voting::new(self.me, self.document.config, voters, log)
                .map_or(Role::Outside, |voting| Role::Among(Box::new(voting)))
        };
    }

    fn has_seat(&self) -> bool {
        let entry = self.document.node(self.me);
        entry.is_some_and(|entry| entry.seat == Some(self.key))
    }

    /// The first of the initial list begins the first configuration, alone, once all others of the list have said that
    /// they know of none: had it lost its state, one of them would know better.
    fn found(&mut self) {
        if self.document.config > 0 || !self.is_founder() || !self.unheard().is_empty() {
            return;
        }
        let founding = Change::Voters {
            config: 0,
            seats: vec![Seat {
                node: self.me,
                key: self.key,
            }],
        };
        if Arc::make_mut(&mut self.document).apply(&founding).is_ok() {
            self.dirty = true;
            self.take_seat(Log::default());
        }
    }

    fn is_founder(&self) -> bool {
        self.document.nodes.keys().next() == Some(&self.me)
    }

    fn unheard(&self) -> Vec<NodeId> {
        let heard = |node: &NodeId| {
            let peer = self.peers.get(node);
            peer.is_some_and(|peer| peer.epoch == Some(0))
        };
        let others = self.document.nodes.keys().filter(|node| **node != self.me);
        others.filter(|node| !heard(node)).copied().collect()
    }

    /// Applies what the voters have decided since.
    fn apply_decisions(&mut self, now: Instant) {
        while let Role::Among(voting) = &self.role {
            if self.applied >= voting.decided() {
                return;
            }
            let Some(proposed) = voting.decision(self.applied) else {
                return;
            };
            self.applied += 1;
            self.decide(now, &proposed, self.applied);
        }
    }

    /// Makes a decided change and answers whoever proposed it.
    pub(super) fn decide(&mut self, now: Instant, proposed: &Proposed, position: u64) {
        let leads = self.leads();
        let (epoch, config) = (self.document.epoch, self.document.config);
        let document = Arc::make_mut(&mut self.document);
        let result = document.apply_decided(&proposed.change, position);
        let result = match result {
            Ok(()) => Ok(document.epoch),
            Err(refused) => Err(refused.to_string()),
        };
        self.dirty |= self.document.epoch > epoch;
        let next = self.document.config > config;
        if next {
            self.take_seat(Log::default());
            if let (true, Role::Among(voting)) = (leads, &mut self.role) {
                voting.take_over();
            }
        }
        if leads && next {
            // Those with a new seat need it before they can be asked to vote.
            let voters: Vec<NodeId> = self.document.voters().collect();
            for voter in voters {
                self.send_document(voter);
            }
        }
        if leads && self.document.epoch > epoch {
            self.greet_all(now);
        }
        self.conclude(proposed.id, result, leads);
    }

    fn tick(&mut self, now: Instant) {
        if let Role::Among(voting) = &mut self.role {
            voting.tick();
        }
        if now >= self.next_hello {
            self.next_hello = now + CLUSTER_HELLO;
            self.greet_all(now);
        }
        self.work(now);
    }

    /// Tells at once that this node has begun to lead.
    fn greet(&mut self, now: Instant) {
        let leads = self.leads();
        if leads && !self.led {
            self.greet_all(now);
        }
        self.led = leads;
    }

    fn greet_all(&mut self, now: Instant) {
        let hello = self.hello(now);
        let up = self.peers.iter().filter(|(_, peer)| peer.up);
        let up: Vec<NodeId> = up.map(|(node, _)| *node).collect();
        for peer in up {
            self.send(peer, &hello);
        }
    }

    fn hello(&self, now: Instant) -> Frame {
        let ballot = match &self.role {
            Role::Among(voting) => voting.ballot(),
            Role::Alone | Role::Outside => 0,
        };
        let leads = self.leads() && self.quorum_answers(now);
        Frame::Hello {
            epoch: self.document.epoch,
            key: self.key,
            leads: leads.then_some((self.document.config, ballot)),
        }
    }

    /// Whether this node leads the voters and may decide or propose.
    pub(super) fn leads(&self) -> bool {
        match &self.role {
            Role::Outside => false,
            Role::Alone => true,
            Role::Among(voting) => voting.leads(),
        }
    }

    pub(super) fn quorum_answers(&self, now: Instant) -> bool {
        match &self.role {
            Role::Outside => false,
            Role::Alone => true,
            Role::Among(voting) => voting.quorum_answers(now),
        }
    }

    /// Who leads, by what it has said itself within the last seconds.
    pub(super) fn leader(&self, now: Instant) -> Option<NodeId> {
        if self.leads() && self.quorum_answers(now) {
            return Some(self.me);
        }
        let claims = self.peers.iter().filter_map(|(node, peer)| {
            let (config, ballot, at) = peer.leads?;
            let fresh = now.since(at) <= CLUSTER_FRESH;
            (peer.up && fresh).then_some(((config, ballot), *node))
        });
        claims.max().map(|(_, node)| node)
    }

    /// What this node knows of the voters.
    #[must_use]
    pub fn status(&self, now: Instant) -> Status {
        let leader = self.leader(now);
        let ballots = self.peers.values().filter_map(|peer| peer.leads);
        let mine = match &self.role {
            Role::Among(voting) => voting.ballot(),
            Role::Alone | Role::Outside => 0,
        };
        let config = self.document.config;
        let told = ballots.filter(|(told, ..)| *told == config);
        let entry = self.document.node(self.me);
        let founding = config == 0 && self.is_founder();
        Status {
            voters: self.document.voters().collect(),
            leader,
            config,
            ballot: told.map(|(_, ballot, _)| ballot).fold(mine, u32::max),
            quorum: leader.is_some(),
            votes: !matches!(self.role, Role::Outside),
            lost_seat: entry.is_some_and(|entry| entry.seat.is_some()) && !self.has_seat(),
            unheard: if founding { self.unheard() } else { Vec::new() },
            pending: self.pending.len(),
        }
    }

    /// The name of a new proposal of this node.
    pub(super) const fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn send(&mut self, to: NodeId, frame: &Frame) {
        let frame = Bytes::from(frame.encode());
        self.after.push(Effect::Send { to, frame });
    }

    fn send_document(&mut self, to: NodeId) {
        if to != self.me {
            self.send(to, &Frame::Document(self.document.encode()));
        }
    }

    /// Hands out the effects: what must be saved before everything else.
    fn flush(&mut self, effects: &mut Vec<Effect>) {
        if let Role::Among(voting) = &mut self.role {
            self.dirty |= voting.take_dirty();
            let (config, boot) = (self.document.config, self.boot);
            for (to, bytes) in voting.outgoing() {
                self.number += 1;
                let frame = Frame::Vote(Vote {
                    config,
                    boot,
                    number: self.number,
                    bytes,
                });
                let frame = Bytes::from(frame.encode());
                self.after.push(Effect::Send { to, frame });
            }
        }
        if std::mem::take(&mut self.dirty) {
            effects.push(Effect::Save(Bytes::from(self.encode())));
        }
        if self.document.epoch > self.told {
            self.told = self.document.epoch;
            effects.push(Effect::Changed(Arc::clone(&self.document)));
        }
        effects.append(&mut self.after);
    }
}
