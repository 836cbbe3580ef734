//! Links between nodes: each node dials every other one and sends on the connection that it dialled.
//!
//! The answering direction of a connection carries the welcome and heartbeats only, so each direction between two
//! nodes lives and fails by itself. A link that falls silent is given up and dialled afresh: TCP's own backing off
//! after a long cut would otherwise delay the repair by minutes.

pub(crate) mod compressed;
pub(crate) mod fault;
pub(crate) mod frame;
mod hello;
mod incoming;
mod join;
mod outbox;
mod outgoing;
mod pace;
mod secret;

pub(crate) use hello::Announce;
pub(crate) use incoming::accept;
pub(crate) use join::enter;
pub(crate) use outbox::Outbox;
pub(crate) use outgoing::keep_all_linked;

use std::time::Duration;

/// A link that is down is dialled again after this long.
const REDIAL: Duration = Duration::from_millis(200);
/// A connection attempt is given up after this long; the next one starts with fresh timers.
const DIAL_TIMEOUT: Duration = Duration::from_millis(400);
/// Both sides must have introduced themselves within this time.
const HELLO_TIMEOUT: Duration = Duration::from_millis(1_000);
/// A heartbeat goes out this often.
const HEARTBEAT: Duration = Duration::from_millis(250);
/// A link without an answer to its heartbeats for this long is down.
const SILENCE_MAX: Duration = Duration::from_millis(1_500);
/// A peer that has not answered for this long is passed over where there is a choice.
const LIVE_MAX: Duration = Duration::from_millis(1_000);
/// The accepting side gives a link up after this silence: the dialling side, which sends heartbeats, has long done so.
const INCOMING_SILENCE_MAX: Duration = Duration::from_secs(10);
/// What an answer to a heartbeat carries when its sender has a link of its own to the peer and has caught up.
const CAN_ANSWER: [u8; 1] = [1];
/// What a heartbeat carries when its sender takes the peer for one that answers.
const RELIES: [u8; 1] = [1];
/// The longest introduction.
const HELLO_BYTES_MAX: usize = 16 << 10;
/// Frames to a peer that nobody waits for are gathered for this long after the last write.
const PACE: Duration = Duration::from_millis(1);
/// When so many bytes wait for one peer, frames are dropped, and anti-entropy repairs.
const OUTBOX_BYTES_MAX: usize = 32 << 20;
/// Bytes read at once from a peer.
const READ_BYTES: usize = 256 << 10;
