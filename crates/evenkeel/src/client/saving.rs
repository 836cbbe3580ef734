//! SAVE and its like, ROLE, MEMORY: what tools of Redis ask of a server, answered by what a node does anyway.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_core::command::memory;
use evenkeel_resp::Reply;

use super::info::resident_bytes;
use super::run::{Args, Outcome, rounds_apart};
use super::server::{keys_here, ok, text};
use super::session::Session;

/// SAVE gives up after this long: an fsync that takes longer is not going to return soon.
const SAVE_MAX: Duration = Duration::from_secs(10);

pub(super) fn run(session: &Session, name: &str, args: Args<'_>) -> Outcome {
    let schedule = |arg: &&[u8]| arg.eq_ignore_ascii_case(b"SCHEDULE");
    Outcome::Now(match (name, &args[1..]) {
        ("save", _) => return save(session),
        ("bgsave", []) => Reply::simple("Background saving started"),
        ("bgsave", [arg]) if schedule(arg) => Reply::simple("Background saving started"),
        ("bgrewriteaof", _) => Reply::simple("Background append only file rewriting started"),
        ("lastsave", _) => number(session.node.wal.last_durable_secs()),
        ("role", _) => Reply::Array(vec![
            text("master"),
            Reply::Integer(0),
            Reply::Array(Vec::new()),
        ]),
        _ => Reply::error("ERR syntax error"),
    })
}

fn number(value: u64) -> Reply {
    Reply::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Waits for the fsync that covers everything so far.
fn save(session: &Session) -> Outcome {
    let node = Arc::clone(&session.node);
    Outcome::Later(Box::pin(async move {
        let generation = match node.flush_turn() {
            Ok(generation) => generation,
            Err(refusal) => return Reply::error(refusal.text()),
        };
        node.wal.request_sync();
        match tokio::time::timeout(SAVE_MAX, node.wal.synced(generation)).await {
            Ok(Ok(())) => ok(),
            Ok(Err(refusal)) => Reply::error(refusal.text()),
            Err(_) => Reply::error(
                "BEHIND no fsync of the commit log within 10 s ; see sync in the configuration, and the disk",
            ),
        }
    }))
}

/// MEMORY: of the process for STATS, of keys and in words for the rest.
pub(super) fn run_memory(session: &mut Session, args: Args<'_>) -> Outcome {
    if args.len() == 2 && args[1].eq_ignore_ascii_case(b"STATS") {
        return Outcome::Now(stats(session));
    }
    rounds_apart(session, args, memory)
}

fn stats(session: &Session) -> Reply {
    let keys = keys_here(&session.node);
    let resident = resident_bytes();
    let pairs = [
        ("total.allocated", resident),
        ("keys.count", keys),
        (
            "keys.bytes-per-key",
            resident.checked_div(keys).unwrap_or(0),
        ),
        ("allocator.resident", resident),
    ];
    Reply::Map(
        pairs
            .into_iter()
            .map(|(name, value)| (text(name), number(value)))
            .collect(),
    )
}
