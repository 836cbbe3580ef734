//! SLOWLOG: the last commands that took longer than `slowlog-log-slower-than`.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_resp::Reply;
use parking_lot::Mutex;

use super::run::Args;
use super::server::{help, number, ok, unknown_subcommand};
use super::session::Session;

/// Arguments of an entry, the last of which may say how many were left out.
const ARGS_MAX: usize = 32;
/// Bytes of an argument.
const ARG_BYTES_MAX: usize = 128;
/// Entries that SLOWLOG GET shows unless told otherwise.
const SHOWN: usize = 10;

const HELP: &[&str] = &[
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
];

/// One slow command.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    at_seconds: u64,
    micros: u64,
    args: Vec<Bytes>,
    client: String,
    name: Vec<u8>,
}

impl Entry {
    pub(super) fn new(session: &Session, args: &[Bytes], took: Duration) -> Self {
        Self {
            at_seconds: session.node.now().wall.0 / 1000,
            micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            args: shortened(args),
            client: session.connected.address(),
            name: session.connected.name(),
        }
    }

    fn reply(&self, id: u64) -> Reply {
        Reply::Array(vec![
            number(id),
            number(self.at_seconds),
            number(self.micros),
            Reply::Array(self.args.iter().cloned().map(Reply::Bulk).collect()),
            Reply::bulk(self.client.clone()),
            Reply::bulk(self.name.clone()),
        ])
    }
}

fn shortened(args: &[Bytes]) -> Vec<Bytes> {
    let kept = if args.len() > ARGS_MAX {
        ARGS_MAX - 1
    } else {
        args.len()
    };
    let mut short: Vec<Bytes> = args[..kept].iter().map(shorten).collect();
    if kept < args.len() {
        let more = format!("... ({} more arguments)", args.len() - kept);
        short.push(Bytes::from(more));
    }
    short
}

fn shorten(arg: &Bytes) -> Bytes {
    if arg.len() <= ARG_BYTES_MAX {
        return arg.clone();
    }
    let mut short = arg[..ARG_BYTES_MAX].to_vec();
    let more = format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX);
    short.extend_from_slice(more.as_bytes());
    short.into()
}

/// The log of one node, the newest first.
#[derive(Debug, Default)]
pub(super) struct Slowlog {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// The number of the next entry; numbers are not used again after a reset.
    next: u64,
    newest_first: VecDeque<(u64, Entry)>,
}

impl Slowlog {
    pub(super) fn push(&self, entry: Entry, keep: u64) {
        let mut entries = self.entries.lock();
        let id = entries.next;
        entries.next += 1;
        entries.newest_first.push_front((id, entry));
        entries
            .newest_first
            .truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }
}

/// `SLOWLOG subcommand …`.
pub(super) fn run(session: &Session, args: Args<'_>) -> Reply {
    let log = &session.node.front.slowlog.entries;
    let sub = args[1].to_ascii_lowercase();
    match (&sub[..], &args[2..]) {
        (b"len", []) => number(log.lock().newest_first.len()),
        (b"reset", []) => {
            log.lock().newest_first.clear();
            ok()
        }
        (b"get", []) => get(log, SHOWN),
        (b"get", [count]) => match std::str::from_utf8(count).map(str::parse::<i64>) {
            Ok(Ok(count)) if count >= -1 => get(log, usize::try_from(count).unwrap_or(usize::MAX)),
            _ => Reply::error("ERR count should be greater than or equal to -1"),
        },
        (b"help", []) => help("SLOWLOG", HELP),
        _ => unknown_subcommand("SLOWLOG", args[1]),
    }
}

fn get(log: &Mutex<Entries>, count: usize) -> Reply {
    let log = log.lock();
    let entries = log.newest_first.iter().take(count);
    Reply::Array(entries.map(|(id, entry)| entry.reply(*id)).collect())
}

/// Whether a command of this duration is slow.
pub(super) fn is_slow(session: &Session, took: Duration) -> bool {
    let limit = session
        .node
        .front
        .settings
        .slow_micros
        .load(Ordering::Relaxed);
    u64::try_from(limit).is_ok_and(|limit| took.as_micros() >= u128::from(limit))
}
