//! Publish and subscribe over the whole cluster: a message published at any node reaches the subscribers at every
//! node that is linked with it. At most once, in the order of each publisher.

mod ask;
mod hub;
mod relay;

pub(crate) use hub::Hub;
pub(super) use hub::Space;
pub(crate) use relay::{interest_told, introduce, published};

pub(super) use ask::{run as run_pubsub, run_inner};

use std::collections::BTreeSet;

use bytes::Bytes;
use evenkeel_core::command::Spec;
use evenkeel_resp::{Protocol, Reply};

use super::run::{Args, Outcome};
use super::session::Session;
use hub::Change;

/// What one connection listens to.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    names: [BTreeSet<Bytes>; 3],
}

impl Subscriptions {
    pub(super) fn count(&self, space: Space) -> usize {
        self.names[space as usize].len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.iter().all(BTreeSet::is_empty)
    }

    /// The count that a confirmation carries: channels and patterns together, shard channels by themselves.
    fn told(&self, space: Space) -> usize {
        match space {
            Space::Shards => self.count(Space::Shards),
            Space::Channels | Space::Patterns => {
                self.count(Space::Channels) + self.count(Space::Patterns)
            }
        }
    }
}

/// Runs a command about channels.
pub(super) fn run(session: &mut Session, name: &'static str, args: Args<'_>) -> Outcome {
    match name {
        "subscribe" => subscribe(session, Space::Channels, &args[1..]),
        "psubscribe" => subscribe(session, Space::Patterns, &args[1..]),
        "ssubscribe" => subscribe(session, Space::Shards, &args[1..]),
        "unsubscribe" => unsubscribe(session, Space::Channels, &args[1..]),
        "punsubscribe" => unsubscribe(session, Space::Patterns, &args[1..]),
        "sunsubscribe" => unsubscribe(session, Space::Shards, &args[1..]),
        "publish" => publish(session, Space::Channels, args),
        _ => publish(session, Space::Shards, args),
    }
}

fn subscribe(session: &mut Session, space: Space, names: Args<'_>) -> Outcome {
    for name in names {
        let name = Bytes::copy_from_slice(name);
        session.subscriptions.names[space as usize].insert(name.clone());
        change(session, (space, &name, Change::Begin));
    }
    Outcome::Posted
}

fn unsubscribe(session: &mut Session, space: Space, names: Args<'_>) -> Outcome {
    let names: Vec<Bytes> = if names.is_empty() {
        session.subscriptions.names[space as usize]
            .iter()
            .cloned()
            .collect()
    } else {
        names
            .iter()
            .map(|name| Bytes::copy_from_slice(name))
            .collect()
    };
    if names.is_empty() {
        let count = session.subscriptions.told(space);
        Hub::nothing_ended(&session.connected, space, count);
    }
    for name in names {
        session.subscriptions.names[space as usize].remove(&name);
        change(session, (space, &name, Change::End));
    }
    Outcome::Posted
}

fn change(session: &Session, change: (Space, &Bytes, Change)) {
    let (space, ..) = change;
    let names = session.subscriptions.count(space);
    session.connected.note_listening(space, names);
    let count = session.subscriptions.told(space);
    let node = &session.node;
    node.front
        .hub
        .change(node, &session.connected, change, count);
}

/// Ends every subscription of a connection that ends, or begins anew.
pub(super) fn end_all(session: &mut Session) {
    for space in Space::ALL {
        for name in std::mem::take(&mut session.subscriptions.names[space as usize]) {
            change(session, (space, &name, Change::EndUnheard));
        }
    }
}

/// `PUBLISH channel message`. The reply counts the receivers here exactly, and those at linked peers by what the
/// peers have told of their subscriptions.
fn publish(session: &Session, space: Space, args: Args<'_>) -> Outcome {
    let node = &session.node;
    let hub = &node.front.hub;
    let here = hub.deliver(node, space, args[1], args[2]);
    relay::publish(node, space, args[1], args[2]);
    let elsewhere = hub.listening_elsewhere(node, space, args[1]);
    let all = i64::try_from(here as u64 + elsewhere);
    Outcome::Now(Reply::Integer(all.unwrap_or(i64::MAX)))
}

/// Refuses what a subscriber may not do in the older protocol, where messages and replies look alike.
pub(super) fn refuse(session: &Session, spec: &Spec, args: Args<'_>) -> Option<Reply> {
    if session.protocol != Protocol::Resp2 || session.subscriptions.is_empty() {
        return None;
    }
    let allowed = matches!(
        spec.name,
        "ping"
            | "quit"
            | "reset"
            | "subscribe"
            | "unsubscribe"
            | "psubscribe"
            | "punsubscribe"
            | "ssubscribe"
            | "sunsubscribe"
    );
    (!allowed).then(|| {
        let name = super::full_name(spec, args);
        Reply::error(format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
        ))
    })
}

/// PING's reply to a subscriber in the older protocol looks like a message.
pub(super) fn pong(args: Args<'_>) -> Reply {
    let message = args
        .get(1)
        .map_or_else(Vec::new, |message| message.to_vec());
    Reply::Array(vec![Reply::bulk(&b"pong"[..]), Reply::bulk(message)])
}

/// Whether the connection listens, so that whatever comes for it goes before the next reply.
pub(super) fn listens(session: &Session) -> bool {
    !session.subscriptions.is_empty()
}
