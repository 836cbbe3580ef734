//! One configuration of voters, as one of them sees it: the library and what it must not forget.
//!
//! A configuration begins with an empty log and ends with the decision on its successor; its log is never cut, so
//! it needs no snapshots. A voter that starts from a document of the middle of a configuration skips the decisions
//! on which that document rests ([`Document::position`](crate::cluster::Document)).

mod log;
mod message;

use std::collections::BTreeMap;

use omnipaxos::messages::Message;
use omnipaxos::{ClusterConfig, OmniPaxos, OmniPaxosConfig, ServerConfig};

use log::SharedLog;
pub(super) use log::{Log, ProposalId, Proposed};

use crate::codec::{DecodeError, Reader};
use crate::id::NodeId;
use crate::limits::{CLUSTER_ELECTION_TICKS, CLUSTER_FRESH, CLUSTER_RESEND_TICKS};
use crate::time::Instant;

/// The library numbers servers from 1.
fn pid(node: NodeId) -> u64 {
    u64::from(node.0) + 1
}

fn node(pid: u64) -> NodeId {
    NodeId(u32::try_from(pid.saturating_sub(1)).unwrap_or(u32::MAX))
}

/// A voter among at least two.
pub(super) struct Voting {
    me: NodeId,
    voters: Vec<NodeId>,
    log: SharedLog,
    paxos: OmniPaxos<Proposed, SharedLog>,
    /// When each of the others was heard last.
    heard: BTreeMap<NodeId, Instant>,
}

impl Voting {
    /// Takes part in a configuration, with what it remembers of it. `None` for what is no configuration of several.
    pub(super) fn new(me: NodeId, config: u32, voters: Vec<NodeId>, log: Log) -> Option<Self> {
        let log = SharedLog::new(log);
        let paxos = OmniPaxosConfig {
            cluster_config: ClusterConfig {
                configuration_id: config,
                nodes: voters.iter().map(|voter| pid(*voter)).collect(),
                flexible_quorum: None,
            },
            server_config: ServerConfig {
                pid: pid(me),
                election_tick_timeout: CLUSTER_ELECTION_TICKS,
                resend_message_tick_timeout: CLUSTER_RESEND_TICKS,
                buffer_size: 16,
                ..ServerConfig::default()
            },
        };
        Some(Self {
            me,
            voters,
            paxos: paxos.build(log.clone()).ok()?,
            log,
            heard: BTreeMap::new(),
        })
    }

    /// One tick of the clock.
    pub(super) fn tick(&mut self) {
        self.paxos.tick();
    }

    /// Tries to lead at once instead of waiting for a round of heartbeats.
    pub(super) fn take_over(&mut self) {
        self.paxos.try_become_leader();
    }

    /// A link is up again: what was sent before may be lost.
    pub(super) fn reconnected(&mut self, peer: NodeId) {
        if peer != self.me && self.voters.contains(&peer) {
            self.paxos.reconnected(pid(peer));
        }
    }

    /// Takes what another voter says.
    ///
    /// # Errors
    /// When it cannot be read; nothing was done.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        from: NodeId,
        input: &mut Reader<'_>,
    ) -> Result<(), DecodeError> {
        let message = message::get(input, pid(from), pid(self.me))?;
        input.finish("vote")?;
        let known = from != self.me && self.voters.contains(&from);
        if known && message::fits(&message, self.log.len(), self.log.decided()) {
            self.heard.insert(from, now);
            self.paxos.handle_incoming(message);
        }
        Ok(())
    }

    /// Takes out what is to be sent: to whom, and its bytes.
    pub(super) fn outgoing(&mut self) -> Vec<(NodeId, Vec<u8>)> {
        let mut messages: Vec<Message<Proposed>> = Vec::new();
        self.paxos.take_outgoing_messages(&mut messages);
        let bytes = |message: Message<Proposed>| {
            let mut out = Vec::new();
            let sent = message::put(&mut out, &message);
            sent.then(|| (node(message.get_receiver()), out))
        };
        messages.into_iter().filter_map(bytes).collect()
    }

    /// Whether this voter leads and may append.
    pub(super) fn leads(&self) -> bool {
        self.paxos.get_current_leader() == Some((pid(self.me), true))
    }

    /// Whether enough voters were heard lately for anything to be decided.
    pub(super) fn quorum_answers(&self, now: Instant) -> bool {
        let fresh = |at: &&Instant| now.since(**at) <= CLUSTER_FRESH;
        let others = self.heard.values().filter(fresh).count();
        others + 1 > self.voters.len() / 2
    }

    /// The number of the ballot it follows or leads.
    pub(super) fn ballot(&self) -> u32 {
        self.paxos.get_promise().n
    }

    /// Proposes something to the others. Only for the leader.
    pub(super) fn append(&mut self, proposed: Proposed) {
        // Refused only once a stop sign was accepted, and none is ever proposed.
        let appended = self.paxos.append(proposed);
        debug_assert!(appended.is_ok(), "there are no stop signs");
    }

    /// How many decisions were proposed here, taken or not.
    pub(super) fn len(&self) -> usize {
        self.log.len()
    }

    /// How many decisions have been taken.
    pub(super) fn decided(&self) -> u64 {
        self.log.decided() as u64
    }

    /// A decision by its place.
    pub(super) fn decision(&self, at: u64) -> Option<Proposed> {
        self.log.entry(usize::try_from(at).ok()?)
    }

    /// Where in the log a proposal is.
    pub(super) fn find(&self, id: ProposalId) -> Option<u64> {
        self.log.find(id).map(|at| at as u64)
    }

    /// Whether something changed that must be saved before anything is sent; asks once.
    pub(super) fn take_dirty(&mut self) -> bool {
        self.log.take_dirty()
    }

    /// The bytes from which [`Log::get`] makes the log again.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        self.log.put(out);
    }
}
