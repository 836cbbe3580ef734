//! CONFIG: what tools ask for, with honest answers.
//!
//! Parameters that have a meaning here are shown as they are; the encoding parameters of Redis, which change nothing
//! that a client can see, are stored and read back, because suites set them before they test a collection.

use std::collections::BTreeMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use evenkeel_core::command::glob_match;
use evenkeel_resp::Reply;

use super::run::Args;
use super::server::{ok, text, unknown_subcommand};
use super::session::Session;

/// Parameters that are stored and read back, with Redis' defaults.
const STORED: [(&str, &str); 22] = [
    ("appendonly", "yes"),
    ("databases", "1"),
    ("hash-max-listpack-entries", "128"),
    ("hash-max-listpack-value", "64"),
    ("hash-max-ziplist-entries", "128"),
    ("hash-max-ziplist-value", "64"),
    ("hll-sparse-max-bytes", "3000"),
    ("latency-monitor-threshold", "0"),
    ("list-compress-depth", "0"),
    ("list-max-listpack-size", "-2"),
    ("list-max-ziplist-size", "-2"),
    ("lua-time-limit", "5000"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("notify-keyspace-events", ""),
    ("proto-max-bulk-len", "67108864"),
    ("save", ""),
    ("set-max-intset-entries", "512"),
    ("zset-max-listpack-entries", "128"),
    ("zset-max-listpack-value", "64"),
    ("zset-max-ziplist-entries", "128"),
    ("zset-max-ziplist-value", "64"),
];

static CHANGED: LazyLock<RwLock<BTreeMap<&'static str, String>>> = LazyLock::new(RwLock::default);

pub(super) fn run(session: &Session, args: Args<'_>) -> Reply {
    let sub = args[1].to_ascii_lowercase();
    match (&sub[..], &args[2..]) {
        (b"get", patterns) if !patterns.is_empty() => get(session, patterns),
        (b"set", pairs) if !pairs.is_empty() && pairs.len().is_multiple_of(2) => set(pairs),
        (b"resetstat", []) => ok(),
        (b"rewrite", []) => Reply::error("ERR The server is running without a config file"),
        _ => unknown_subcommand("CONFIG", args[1]),
    }
}

fn get(session: &Session, patterns: Args<'_>) -> Reply {
    let config = &session.node.config;
    let sync = config.sync.to_string();
    let dir = config.dir.display().to_string();
    let port = config
        .listen
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    let bind = config
        .listen
        .rsplit_once(':')
        .map_or("", |(host, _)| host)
        .to_owned();
    let shown = [
        ("appendfsync", sync),
        ("bind", bind),
        ("dir", dir),
        ("maxclients", "10000".to_owned()),
        ("port", port),
        ("timeout", "0".to_owned()),
    ];
    let changed = CHANGED.read().unwrap_or_else(PoisonError::into_inner);
    let stored = STORED.iter().map(|(name, value)| {
        (
            *name,
            changed
                .get(name)
                .cloned()
                .unwrap_or_else(|| (*value).to_owned()),
        )
    });
    let wanted = |name: &str| {
        patterns
            .iter()
            .any(|pattern| glob_match(&pattern.to_ascii_lowercase(), name.as_bytes()))
    };
    let pairs = shown
        .into_iter()
        .chain(stored)
        .filter(|(name, _)| wanted(name));
    Reply::Map(
        pairs
            .map(|(name, value)| (text(name), text(value)))
            .collect(),
    )
}

fn set(pairs: Args<'_>) -> Reply {
    let mut wanted = Vec::new();
    for pair in pairs.chunks_exact(2) {
        let name = pair[0].to_ascii_lowercase();
        let known = STORED.iter().find(|(known, _)| known.as_bytes() == name);
        let Some((known, _)) = known else {
            let name = pair[0].escape_ascii();
            return Reply::error(format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
            ));
        };
        wanted.push((*known, String::from_utf8_lossy(pair[1]).into_owned()));
    }
    CHANGED
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(wanted);
    ok()
}
