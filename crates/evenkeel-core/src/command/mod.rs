//! The commands: what a client asks for, as reads and writes of cells.
//!
//! Each command is one function that parses its arguments, applies its changes as one batch and renders the reply;
//! behaviour and error texts are those of Redis 7.0.15. A family of commands is a file with its part of the table,
//! so that a new command is an addition. Driven by the shell: [`lookup`], [`check_arity`], [`keys_of`], then the
//! command's [`Run`] says on which partitions to run it: [`Keyspace::run`] where one holds all of its keys.
//!
//! Invariants: a command that fails has written nothing; one that changes nothing writes no event; what replicas
//! show is a function of their cells and the time alone, so it is the same everywhere (replication.md 5).

mod algebra;
mod bitfield;
mod bits;
mod content;
mod counter;
mod draw;
mod elements;
mod expire;
mod expiry;
mod generic;
mod geo;
mod glob;
mod hash;
mod hyperloglog;
mod inspect;
mod keyspace;
mod lcs;
mod list;
mod long_double;
mod memory;
mod number;
mod object;
mod operator;
mod page;
mod pubsub;
mod random;
mod refused;
mod saving;
mod scan;
mod set;
mod shell;
mod siblings;
mod slot;
mod sort;
mod spec;
mod store;
mod string;
mod table;
#[cfg(test)]
mod tests;
mod transaction;
mod transfer;
mod view;
mod wait;
mod whole;
mod within;
mod zset;

pub use expiry::EXPIRY_GRACE;
pub use glob::glob_match;
pub use inspect::{InspectedCell, InspectedChain, InspectedVersion, Inspection, Why};
pub use keyspace::Keyspace;
pub use memory::memory;
pub use random::Random;
pub use scan::{ScanFilter, ScanPage, ScanRequest};
pub use slot::{SLOTS, slot};
pub use spec::{
    Conditional, Flag, Fold, Group, KeySpec, Round, Run, Spec, check_arity, keys_of, needs_home,
    unknown,
};
pub use table::{CommandId, PLACES, all, ids, listed, lookup, lookup_id};
pub use wait::{Blocking, Wait};
pub use within::parts_of;

use evenkeel_resp::Reply;

/// A request: the command's name as sent, then its arguments.
pub type Args<'a> = &'a [&'a [u8]];

/// A reply, or the error that ends the command; both go to the client.
type Outcome = Result<Reply, Reply>;

/// What goes to the client.
fn reply(outcome: Outcome) -> Reply {
    match outcome {
        Ok(reply) | Err(reply) => reply,
    }
}

fn ok() -> Reply {
    Reply::simple("OK")
}

fn syntax_error() -> Reply {
    Reply::error("ERR syntax error")
}

fn count(n: usize) -> Reply {
    Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}
