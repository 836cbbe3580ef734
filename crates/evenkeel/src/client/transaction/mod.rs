//! Transactions of a connection: what is queued, what is watched.
//!
//! Behaves as Redis 7.0.15: a command that cannot be queued is answered with its error at once, and EXEC then runs
//! nothing. What is watched is the state that a key shows at its partition's home; EXEC compares it there.

mod exec;

pub(super) use exec::Exec;

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use evenkeel_core::command::{Spec, keys_of};
use evenkeel_core::id::PartitionId;
use evenkeel_resp::Reply;

use super::run::{Access, Args, Caller, End, Outcome, Piece, owned, partition_of};
use super::server::ok;
use super::session::Session;
use crate::node::Part;

/// Bytes that a connection may queue. More: the command is refused, and with it the transaction.
const QUEUED_BYTES_MAX: usize = 256 << 20;
/// What a queued argument takes beside its bytes, about.
const ARG_BYTES: usize = 32;

/// What Redis refuses inside a transaction (`no_multi`).
const NEVER_QUEUED: [&str; 4] = ["psync", "save", "shutdown", "sync"];

/// A queued command.
#[derive(Clone, Debug)]
struct Queued {
    spec: &'static Spec,
    args: Vec<Bytes>,
}

/// The state of a connection between MULTI and EXEC, and of what it watches.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    open: Option<Open>,
    watched: Rc<RefCell<Watched>>,
}

#[derive(Debug, Default)]
struct Open {
    queue: Vec<Queued>,
    bytes: usize,
    /// A command could not be queued: nothing will be run.
    spoilt: bool,
}

/// Watched keys, each with the state that it had when it was first watched.
#[derive(Debug, Default)]
struct Watched(Vec<(Bytes, u128)>);

impl Watched {
    fn has(&self, key: &[u8]) -> bool {
        self.0.iter().any(|(watched, _)| watched == key)
    }

    fn add(&mut self, key: Bytes, state: u128) {
        if !self.has(&key) {
            self.0.push((key, state));
        }
    }
}

impl Transaction {
    /// A command was refused before it could be queued.
    pub(super) const fn spoil(&mut self) {
        if let Some(open) = &mut self.open {
            open.spoilt = true;
        }
    }

    /// Whether a command is to be queued instead of run.
    pub(super) fn takes(&self, spec: &Spec) -> bool {
        self.open.is_some()
            && !matches!(
                spec.name,
                "exec" | "discard" | "multi" | "watch" | "quit" | "reset"
            )
    }

    /// Commands queued; `None` outside of MULTI.
    pub(super) fn queued(&self) -> Option<usize> {
        self.open.as_ref().map(|open| open.queue.len())
    }

    /// Whether something that is queued may write.
    pub(super) fn writes(&self) -> bool {
        let queue = self.open.as_ref().map(|open| open.queue.iter());
        let mut queued = queue.into_iter().flatten();
        queued.any(|queued| Access::of(queued.spec) == Access::Writes)
    }

    /// The partitions of all keys that are queued or watched.
    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        let queue = self.open.iter().flat_map(|open| &open.queue);
        let queued = queue.flat_map(|queued| {
            let args = queued.borrowed();
            let places = keys_of(queued.spec, &args).unwrap_or_default();
            let keys = places.into_iter().map(|at| partition_of(args[at]));
            keys.collect::<Vec<_>>()
        });
        let watched = self.watched.borrow();
        let watched = watched.0.iter().map(|(key, _)| partition_of(key));
        queued.chain(watched).collect()
    }

    pub(super) fn queue(&mut self, spec: &'static Spec, args: Args<'_>) -> Reply {
        let Some(open) = &mut self.open else {
            return Reply::error("ERR a command was to be queued outside of MULTI");
        };
        if NEVER_QUEUED.contains(&spec.name) {
            open.spoilt = true;
            return Reply::error("ERR Command not allowed inside a transaction");
        }
        if open.spoilt {
            // It will not be run: no memory is spent on it.
            return Reply::simple("QUEUED");
        }
        let bytes: usize = args.iter().map(|arg| arg.len() + ARG_BYTES).sum();
        if open.bytes + bytes > QUEUED_BYTES_MAX {
            open.spoilt = true;
            open.queue = Vec::new();
            return Reply::error(format!(
                "OVERLOADED the transaction has more than {QUEUED_BYTES_MAX} bytes ; cut it into several"
            ));
        }
        open.bytes += bytes;
        open.queue.push(Queued {
            spec,
            args: owned(args),
        });
        Reply::simple("QUEUED")
    }

    /// Back to how a connection starts.
    pub(super) fn discard(&mut self) {
        self.open = None;
        self.unwatch();
    }

    fn unwatch(&mut self) {
        // What still adds to the former list adds to nothing.
        self.watched = Rc::default();
    }
}

/// Runs one of the five.
pub(super) fn run(session: &mut Session, name: &str, args: Args<'_>) -> Outcome {
    let transaction = &mut session.transaction;
    let reply = match name {
        "multi" if transaction.open.is_some() => Reply::error("ERR MULTI calls can not be nested"),
        "multi" => {
            transaction.open = Some(Open::default());
            ok()
        }
        "discard" if transaction.open.is_none() => Reply::error("ERR DISCARD without MULTI"),
        "discard" => {
            transaction.discard();
            ok()
        }
        "watch" if transaction.open.is_some() => {
            Reply::error("ERR WATCH inside MULTI is not allowed")
        }
        "watch" => return watch(session, args),
        "unwatch" => {
            transaction.unwatch();
            ok()
        }
        _ => return exec(session, args[0]),
    };
    Outcome::Now(reply)
}

fn exec(session: &mut Session, name: &[u8]) -> Outcome {
    let Some(open) = session.transaction.open.take() else {
        return Outcome::Now(Reply::error("ERR EXEC without MULTI"));
    };
    let watched = std::mem::take(&mut session.transaction.watched);
    if open.spoilt {
        return Outcome::Now(Reply::error(
            "EXECABORT Transaction discarded because of previous errors.",
        ));
    }
    let watched = watched.take().0;
    let mut exec = Exec::new(
        &session.caller,
        Bytes::copy_from_slice(name),
        open.queue,
        watched,
    );
    let running = session.running;
    let done = exec.run_now(session);
    // It is EXEC that runs, whatever ran in it.
    session.running = running;
    match done {
        Some(reply) => Outcome::Now(reply),
        None => Outcome::Exec(Box::new(exec)),
    }
}

/// Notes the state of keys at their homes.
fn watch(session: &mut Session, args: Args<'_>) -> Outcome {
    let watched = Rc::clone(&session.transaction.watched);
    let mut elsewhere: Vec<(PartitionId, Vec<Bytes>)> = Vec::new();
    for key in &args[1..] {
        if watched.borrow().has(key) {
            continue;
        }
        let partition = partition_of(key);
        let route = session.caller.conditional_route();
        let state = session
            .caller
            .is_here(partition, route)
            .then(|| session.work_here(partition, |keys| keys.watched_state(key)))
            .flatten();
        let key = Bytes::copy_from_slice(key);
        match state {
            Some(state) => watched.borrow_mut().add(key, state),
            None => match elsewhere.iter_mut().find(|(at, _)| *at == partition) {
                Some((_, keys)) => keys.push(key),
                None => elsewhere.push((partition, vec![key])),
            },
        }
    }
    if elsewhere.is_empty() {
        return Outcome::Now(ok());
    }
    let caller = session.caller.clone();
    Outcome::Later(Box::pin(async move {
        match states_of(&caller, elsewhere).await {
            Ok(states) => {
                let mut watched = watched.borrow_mut();
                for (key, state) in states {
                    watched.add(key, state);
                }
                ok()
            }
            Err(reply) => reply,
        }
    }))
}

/// What keys show at the homes of their partitions.
async fn states_of(
    caller: &Caller,
    keys: Vec<(PartitionId, Vec<Bytes>)>,
) -> Result<Vec<(Bytes, u128)>, Reply> {
    let piece = |(partition, keys): &(PartitionId, Vec<Bytes>)| Piece {
        part: Part {
            partition: *partition,
            commands: vec![
                std::iter::once(Bytes::from_static(b"WATCH"))
                    .chain(keys.iter().cloned())
                    .collect(),
            ],
            ..Part::default()
        },
        route: caller.conditional_route(),
        access: Access::Reads,
    };
    let ends = caller.run_pieces(keys.iter().map(piece).collect()).await;
    let mut states = Vec::new();
    for (end, (_, keys)) in ends.into_iter().zip(keys) {
        let found = match end {
            End::Replies(mut replies) => replies.pop(),
            End::Failed(reply) => return Err(reply),
            End::Changed => None,
        };
        let Some(Reply::Array(found)) = found else {
            return Err(unknown_form());
        };
        for (key, state) in keys.into_iter().zip(found) {
            let Reply::Bulk(bytes) = state else {
                return Err(unknown_form());
            };
            let bytes = bytes[..].try_into().map_err(|_| unknown_form())?;
            states.push((key, u128::from_le_bytes(bytes)));
        }
    }
    Ok(states)
}

fn unknown_form() -> Reply {
    Reply::error("ERR a member answered WATCH in an unknown form")
}
