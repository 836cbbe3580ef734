//! Redis clients: accept them, read their requests, run them, answer.

mod acks;
mod acl;
mod block;
mod clients;
mod cluster;
mod commands;
mod config;
mod conflicts;
mod connected;
mod connection;
mod consistency;
mod divergence;
mod ek;
mod fence;
mod front;
mod info;
mod inspect;
mod latency;
mod monitor;
mod pubsub;
mod run;
mod saving;
mod scripting;
mod server;
mod session;
mod slowlog;
mod stats;
mod token;
mod topology;
mod trail;
mod transaction;
mod wait;
mod watch;

pub(crate) use connection::{accept, listen};
pub(crate) use front::{Front, sweep};
pub(crate) use inspect::own as inspect_own;
pub(crate) use pubsub::{interest_told, introduce, published};
pub(crate) use run::{run_here, run_once, run_parts_here};
pub(crate) use session::Face;

use evenkeel_core::command::{Args, Spec};

/// The name of a command, with its subcommand where it has one: `client|list`.
fn full_name(spec: &Spec, args: Args<'_>) -> String {
    let sub = args.get(1).and_then(|word| {
        let mut known = spec.subcommands.iter();
        known.find(|known| known.as_bytes().eq_ignore_ascii_case(word))
    });
    sub.map_or_else(
        || spec.name.to_owned(),
        |sub| format!("{}|{sub}", spec.name),
    )
}
