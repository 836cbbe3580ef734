//! Who listens to what: here by connection, at the other nodes by number.
//!
//! Invariants: what a subscriber is told comes in the order of what happened. A subscription, its confirmation and
//! what peers are told of it are one step under the lock; a message is queued under the same lock. Nothing here
//! waits for a client or a peer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use evenkeel_core::command::glob_match;
use evenkeel_core::id::NodeId;
use evenkeel_resp::{Protocol, ReplyWriter};
use parking_lot::RwLock;

use super::relay;
use crate::client::connected::{Connected, OutputLimit};
use crate::metrics::bump;
use crate::node::Node;

/// The three kinds of names that one may listen to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::client) enum Space {
    Channels = 0,
    Patterns = 1,
    Shards = 2,
}

impl Space {
    pub(super) const ALL: [Self; 3] = [Self::Channels, Self::Patterns, Self::Shards];

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|space| *space as u8 == code)
    }

    /// The first word of what a subscriber is told.
    const fn subscribed(self) -> &'static [u8] {
        match self {
            Self::Channels => b"subscribe",
            Self::Patterns => b"psubscribe",
            Self::Shards => b"ssubscribe",
        }
    }

    const fn unsubscribed(self) -> &'static [u8] {
        match self {
            Self::Channels => b"unsubscribe",
            Self::Patterns => b"punsubscribe",
            Self::Shards => b"sunsubscribe",
        }
    }
}

/// The subscribers of one name, by connection.
type Subscribers = BTreeMap<u64, Arc<Connected>>;

/// How many listen to each name at one peer.
type Interest = [HashMap<Bytes, u64>; 3];

/// Everything about who listens.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    names: [RwLock<HashMap<Bytes, Subscribers>>; 3],
    /// Patterns here: a node without any does not take their lock for each message.
    patterns: AtomicUsize,
    peers: RwLock<BTreeMap<NodeId, Interest>>,
}

/// What happens to one subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Begin,
    End,
    /// It ends with the connection: nobody is told.
    EndUnheard,
}

impl Hub {
    /// Changes one subscription and tells the subscriber, who then has `count`.
    pub(super) fn change(
        &self,
        node: &Node,
        client: &Arc<Connected>,
        (space, name, change): (Space, &Bytes, Change),
        count: usize,
    ) {
        let mut names = self.names[space as usize].write();
        let before = names.get(name).map_or(0, BTreeMap::len);
        if change == Change::Begin {
            let subscribers = names.entry(name.clone()).or_default();
            subscribers.insert(client.id, Arc::clone(client));
        } else if let Some(subscribers) = names.get_mut(name) {
            subscribers.remove(&client.id);
            if subscribers.is_empty() {
                names.remove(name);
            }
        }
        let after = names.get(name).map_or(0, BTreeMap::len);
        if space == Space::Patterns {
            self.patterns.store(names.len(), Ordering::Release);
        }
        match change {
            Change::Begin => confirm(client, space.subscribed(), Some(name), count),
            Change::End => confirm(client, space.unsubscribed(), Some(name), count),
            Change::EndUnheard => {}
        }
        if before != after {
            relay::tell_interest(node, space, name, after);
        }
    }

    /// Answers an unsubscription when there was nothing to end.
    pub(super) fn nothing_ended(client: &Connected, space: Space, count: usize) {
        confirm(client, space.unsubscribed(), None, count);
    }

    /// Queues a message for who listens here; tells how many did.
    pub(super) fn deliver(
        &self,
        node: &Node,
        space: Space,
        channel: &[u8],
        message: &[u8],
    ) -> usize {
        let limit = node.front.pubsub_limit();
        let first: &[u8] = if space == Space::Shards {
            b"smessage"
        } else {
            b"message"
        };
        let mut reached = 0;
        {
            let names = self.names[space as usize].read();
            if let Some(subscribers) = names.get(channel) {
                let parts = [first, channel, message];
                reached += post_all(node, subscribers, &parts, limit);
            }
        }
        if space == Space::Channels && self.patterns.load(Ordering::Acquire) > 0 {
            let patterns = self.names[Space::Patterns as usize].read();
            for (pattern, subscribers) in patterns.iter() {
                if glob_match(pattern, channel) {
                    let parts = [&b"pmessage"[..], pattern, channel, message];
                    reached += post_all(node, subscribers, &parts, limit);
                }
            }
        }
        reached
    }

    /// How many listen at linked peers, by what they have told last.
    pub(super) fn listening_elsewhere(&self, node: &Node, space: Space, channel: &[u8]) -> u64 {
        let peers = self.peers.read();
        let linked = peers.iter().filter(|(peer, _)| node.is_linked(**peer));
        linked
            .map(|(_, interest)| {
                let exact = interest[space as usize].get(channel).copied().unwrap_or(0);
                if space != Space::Channels {
                    return exact;
                }
                let patterns = interest[Space::Patterns as usize].iter();
                let matching = patterns.filter(|(pattern, _)| glob_match(pattern, channel));
                exact + matching.map(|(_, count)| count).sum::<u64>()
            })
            .sum()
    }

    /// A peer has said how many listen to a name there.
    pub(super) fn note_interest(&self, peer: NodeId, (space, name): (Space, Bytes), count: u64) {
        let mut peers = self.peers.write();
        let names = &mut peers.entry(peer).or_default()[space as usize];
        if count == 0 {
            names.remove(&name);
        } else {
            names.insert(name, count);
        }
    }

    /// A peer begins to tell anew.
    pub(super) fn forget_interest(&self, peer: NodeId) {
        self.peers.write().remove(&peer);
    }

    /// Begins, then does something with every name and its number of subscribers here, while none of them can change.
    pub(super) fn each_after(
        &self,
        begin: impl FnOnce(),
        mut work: impl FnMut(Space, &Bytes, usize),
    ) {
        let locked = self.names.each_ref().map(|names| names.read());
        begin();
        for (space, names) in Space::ALL.into_iter().zip(&locked) {
            names
                .iter()
                .for_each(|(name, subscribers)| work(space, name, subscribers.len()));
        }
    }

    /// The names that somebody here listens to.
    pub(super) fn names(&self, space: Space) -> Vec<Bytes> {
        self.names[space as usize].read().keys().cloned().collect()
    }

    /// How many names somebody here listens to.
    pub(in crate::client) fn count_names(&self, space: Space) -> usize {
        self.names[space as usize].read().len()
    }

    /// How many here listen to a name.
    pub(super) fn count(&self, space: Space, name: &[u8]) -> usize {
        self.names[space as usize]
            .read()
            .get(name)
            .map_or(0, BTreeMap::len)
    }
}

/// Queues a message for all of them, encoded once for each protocol that one of them speaks.
fn post_all(node: &Node, to: &Subscribers, parts: &[&[u8]], limit: OutputLimit) -> usize {
    let mut encoded: [Option<Bytes>; 2] = [None, None];
    for client in to.values() {
        let protocol = client.protocol();
        let message = encoded[usize::from(protocol == Protocol::Resp3)]
            .get_or_insert_with(|| encode(parts, protocol));
        let open = !client.is_closing();
        if !client.post(message.clone(), limit) && open {
            bump(&node.metrics.slow_clients_closed);
        }
    }
    to.len()
}

fn encode(parts: &[&[u8]], protocol: Protocol) -> Bytes {
    let bytes: usize = parts.iter().map(|part| part.len() + 16).sum();
    let mut out = Vec::with_capacity(bytes + 16);
    let mut writer = ReplyWriter::new(&mut out, protocol);
    writer.push(parts.len());
    parts.iter().for_each(|part| writer.bulk(part));
    out.into()
}

/// A confirmation goes where messages go, so that neither overtakes the other. It never counts against the limit:
/// the client has asked for it.
fn confirm(client: &Connected, what: &[u8], name: Option<&Bytes>, count: usize) {
    let mut out = Vec::new();
    let mut writer = ReplyWriter::new(&mut out, client.protocol());
    writer.push(3);
    writer.bulk(what);
    match name {
        Some(name) => writer.bulk(name),
        None => writer.null(),
    }
    writer.integer(i64::try_from(count).unwrap_or(i64::MAX));
    client.post(out.into(), OutputLimit::NONE);
}
