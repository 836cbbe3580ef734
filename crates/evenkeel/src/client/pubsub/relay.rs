//! Messages between nodes: what was published goes to every linked peer, with who listens where.
//!
//! A message is sent once, in the order of its publisher, and never again: a peer that cannot be reached misses it,
//! as a client that is away does. All peers get all messages: one that has only just begun to listen would otherwise
//! miss what is published before its news has come.

use bytes::Bytes;
use evenkeel_core::codec::{DecodeError, Reader, put_bytes, put_varint};
use evenkeel_core::id::NodeId;

use super::hub::Space;
use crate::link::frame::Kind;
use crate::node::Node;

/// In the place of a space: forget what was told before.
const ANEW: u8 = 0xff;

/// Sends a message to every linked peer.
pub(super) fn publish(node: &Node, space: Space, channel: &[u8], message: &[u8]) {
    if node.is_alone() {
        return;
    }
    let mut body = Vec::with_capacity(message.len() + channel.len() + 16);
    body.push(space as u8);
    put_bytes(&mut body, channel);
    body.extend_from_slice(message);
    node.broadcast(Kind::Publish, &body);
}

/// A peer has published.
pub(crate) fn published(node: &Node, body: &[u8]) {
    let Ok((space, channel, message)) = read_published(body) else {
        tracing::warn!("a published message cannot be read");
        return;
    };
    node.front.hub.deliver(node, space, channel, message);
}

fn read_published(body: &[u8]) -> Result<(Space, &[u8], &[u8]), DecodeError> {
    let mut input = Reader::new(body);
    let space = read_space(&mut input)?;
    let len = input.count(1, "channel")?;
    let channel = input.take(len, "channel")?;
    let message = input.take(input.remaining(), "message")?;
    Ok((space, channel, message))
}

fn read_space(input: &mut Reader<'_>) -> Result<Space, DecodeError> {
    let code = input.byte("kind of channel")?;
    Space::from_code(code).ok_or_else(|| input.error("kind of channel", "there is none such"))
}

/// Tells all peers how many listen to a name here.
pub(super) fn tell_interest(node: &Node, space: Space, name: &[u8], count: usize) {
    if !node.is_alone() {
        node.broadcast(Kind::Interest, &interest(space, name, count));
    }
}

fn interest(space: Space, name: &[u8], count: usize) -> Vec<u8> {
    let mut body = vec![space as u8];
    put_varint(&mut body, count as u64);
    body.extend_from_slice(name);
    body
}

/// Tells a peer whose link has just come up everything: it has lost what was told before.
pub(crate) fn introduce(node: &Node, peer: NodeId) {
    node.front.hub.each_after(
        || {
            node.push(peer, Kind::Interest, &[ANEW]);
        },
        |space, name, count| {
            node.push(peer, Kind::Interest, &interest(space, name, count));
        },
    );
}

/// A peer says how many listen to a name there.
pub(crate) fn interest_told(node: &Node, peer: NodeId, body: &Bytes) {
    if body.first() == Some(&ANEW) {
        node.front.hub.forget_interest(peer);
        return;
    }
    let mut input = Reader::new(body);
    let read = read_space(&mut input).and_then(|space| Ok((space, input.varint("listeners")?)));
    let Ok((space, count)) = read else {
        tracing::warn!("what a peer listens to cannot be read");
        return;
    };
    let name = body.slice(body.len() - input.remaining()..);
    node.front.hub.note_interest(peer, (space, name), count);
}
