//! Commands about the connection and the server: everything that is about no key.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use evenkeel_core::command::{Keyspace, Run, lookup, slot};
use evenkeel_resp::{Protocol, Reply};

use super::pubsub::{self, Space};
use super::run::{Args, Outcome};
use super::session::{ReplyMode, Session};
use crate::node::Node;

/// What clients are told to be compatible with.
pub(super) const REDIS_VERSION: &str = "7.0.15";

pub(super) fn ok() -> Reply {
    Reply::simple("OK")
}

pub(super) fn text(text: impl Into<String>) -> Reply {
    Reply::Bulk(Bytes::from(text.into()))
}

pub(super) fn run(session: &mut Session, name: &'static str, args: Args<'_>) -> Outcome {
    let reply = match name {
        "ping" => ping(session, args),
        "echo" => Reply::bulk(args[1].to_vec()),
        "hello" => hello(session, args),
        "auth" => Reply::error(
            "ERR Client sent AUTH, but no password is set. Did you mean ACL SETUSER with >password?",
        ),
        "client" => client(session, args),
        "config" => super::config::run(session, args),
        "command" => super::commands::run(args),
        "info" => text(super::info::render(&session.node, args)),
        "select" => select(args[1]),
        "quit" => return Outcome::Close(ok()),
        "reset" => {
            session.reset();
            Reply::simple("RESET")
        }
        "time" => time(&session.node),
        "cluster" => cluster(session, args),
        "lolwut" => text(format!("Even keel.\nRedis ver. {REDIS_VERSION}\n")),
        "wait" => return super::wait::run(session, args),
        "memory" => return super::saving::run_memory(session, args),
        "save" | "bgsave" | "bgrewriteaof" | "lastsave" | "role" => {
            return super::saving::run(session, name, args);
        }
        "pubsub" => return pubsub::run_pubsub(session, args),
        "multi" | "exec" | "discard" | "watch" | "unwatch" => {
            return super::transaction::run(session, name, args);
        }
        name if name.ends_with("subscribe") || name.ends_with("publish") => {
            return pubsub::run(session, name, args);
        }
        _ => unsupported(name),
    };
    Outcome::Now(reply)
}

fn unsupported(name: &str) -> Reply {
    Reply::error(format!(
        "UNSUPPORTED {} is not available in this version ; COMMAND LIST names what is",
        name.to_uppercase()
    ))
}

fn ping(session: &Session, args: Args<'_>) -> Reply {
    match args {
        [_] | [_, _] if session.protocol == Protocol::Resp2 && pubsub::listens(session) => {
            pubsub::pong(args)
        }
        [_] => Reply::simple("PONG"),
        [_, message] => Reply::bulk(message.to_vec()),
        _ => Reply::error("ERR wrong number of arguments for 'ping' command"),
    }
}

fn select(index: &[u8]) -> Reply {
    match std::str::from_utf8(index)
        .ok()
        .and_then(|text| text.parse::<i64>().ok())
    {
        Some(0) => ok(),
        Some(_) => Reply::error(
            "UNSUPPORTED SELECT of a database above 0 ; use key prefixes, or one cluster per data set",
        ),
        None => Reply::error("ERR invalid DB index"),
    }
}

fn time(node: &Node) -> Reply {
    let now = node.now();
    let micros = now.instant.0 % 1000;
    Reply::Array(vec![
        text((now.wall.0 / 1000).to_string()),
        text((now.wall.0 % 1000 * 1000 + micros).to_string()),
    ])
}

fn hello(session: &mut Session, args: Args<'_>) -> Reply {
    let mut rest = &args[1..];
    let mut protocol = session.protocol;
    if let [version, options @ ..] = rest {
        protocol = match *version {
            b"2" => Protocol::Resp2,
            b"3" => Protocol::Resp3,
            other if other.iter().all(u8::is_ascii_digit) => {
                return Reply::error("NOPROTO unsupported protocol version");
            }
            _ => return Reply::error("ERR Protocol version is not an integer or out of range"),
        };
        rest = options;
    }
    let mut name = None;
    while let [option, tail @ ..] = rest {
        rest = match tail {
            [value, tail @ ..] if option.eq_ignore_ascii_case(b"SETNAME") => {
                name = Some(value.to_vec());
                tail
            }
            [_user, _password, ..] if option.eq_ignore_ascii_case(b"AUTH") => {
                return Reply::error(
                    "WRONGPASS invalid username-password pair or user is disabled.",
                );
            }
            _ => {
                return Reply::error(format!(
                    "ERR Syntax error in HELLO option '{}'",
                    option.escape_ascii()
                ));
            }
        };
    }
    session.set_protocol(protocol);
    session.name = name.unwrap_or_else(|| std::mem::take(&mut session.name));
    let version = if protocol == Protocol::Resp3 { 3 } else { 2 };
    Reply::Map(vec![
        (text("server"), text("redis")),
        (text("version"), text(REDIS_VERSION)),
        (text("proto"), Reply::Integer(version)),
        (
            text("id"),
            Reply::Integer(i64::try_from(session.id).unwrap_or(i64::MAX)),
        ),
        (text("mode"), text("standalone")),
        (text("role"), text("master")),
        (text("modules"), Reply::Array(Vec::new())),
    ])
}

fn client(session: &mut Session, args: Args<'_>) -> Reply {
    let sub = args[1].to_ascii_lowercase();
    match (&sub[..], &args[2..]) {
        (b"id", []) => Reply::Integer(i64::try_from(session.id).unwrap_or(i64::MAX)),
        (b"getname", []) if session.name.is_empty() => Reply::Null,
        (b"getname", []) => Reply::bulk(session.name.clone()),
        (b"setname", [name]) => {
            if name.iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
                return Reply::error(
                    "ERR Client names cannot contain spaces, newlines or special characters.",
                );
            }
            session.name = name.to_vec();
            ok()
        }
        (b"setinfo", [field, value]) => {
            match field.to_ascii_lowercase().as_slice() {
                b"lib-name" => session.library = value.to_vec(),
                b"lib-ver" => session.library_version = value.to_vec(),
                _ => {
                    let field = field.escape_ascii();
                    return Reply::error(format!("ERR Unrecognized option '{field}'"));
                }
            }
            ok()
        }
        (b"info" | b"list", _) => text(format!("{}\n", describe(session))),
        (b"reply", [mode]) => reply_mode(session, mode),
        (b"unblock", [id, why @ ..]) if why.len() <= 1 => {
            super::block::unblock(session, id, why.first().copied())
        }
        (b"no-evict" | b"no-touch", [switch])
            if switch.eq_ignore_ascii_case(b"ON") || switch.eq_ignore_ascii_case(b"OFF") =>
        {
            ok()
        }
        _ => unknown_subcommand("CLIENT", args[1]),
    }
}

/// What HELP answers: one line each.
pub(super) fn help(command: &str, lines: &[&str]) -> Reply {
    let head = format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    let tail = ["HELP", "    Prints this help."];
    let lines = lines
        .iter()
        .chain(&tail)
        .map(|line| Reply::simple(line.to_string()));
    Reply::Array(std::iter::once(Reply::simple(head)).chain(lines).collect())
}

/// A count as a reply.
pub(super) fn number(value: impl TryInto<i64>) -> Reply {
    Reply::Integer(value.try_into().unwrap_or(i64::MAX))
}

pub(super) fn unknown_subcommand(command: &str, sub: &[u8]) -> Reply {
    let sub = sub.escape_ascii();
    Reply::error(format!(
        "ERR unknown subcommand or wrong number of arguments for '{sub}'. Try {command} HELP."
    ))
}

fn reply_mode(session: &mut Session, mode: &[u8]) -> Reply {
    session.reply = match mode.to_ascii_lowercase().as_slice() {
        b"on" => ReplyMode::On,
        b"off" => ReplyMode::Off,
        b"skip" => ReplyMode::Skip,
        _ => return Reply::error("ERR syntax error"),
    };
    ok()
}

fn describe(session: &Session) -> String {
    let address = |address: Option<std::net::SocketAddr>| {
        address.map_or_else(String::new, |at| at.to_string())
    };
    format!(
        "id={} addr={} laddr={} fd=0 name={} age={} idle=0 flags=N db=0 sub={} psub={} ssub={} multi={} qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll={} omem={} tot-mem=0 events=r cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={}",
        session.id,
        address(session.connected.peer),
        address(session.connected.local),
        String::from_utf8_lossy(&session.name),
        session.connected.since.elapsed().as_secs(),
        session.subscriptions.count(Space::Channels),
        session.subscriptions.count(Space::Patterns),
        session.subscriptions.count(Space::Shards),
        session
            .transaction
            .queued()
            .map_or_else(|| "-1".to_owned(), |count| count.to_string()),
        session.connected.waiting_messages(),
        session.connected.waiting_bytes(),
        session.last_command,
        if session.protocol == Protocol::Resp3 {
            3
        } else {
            2
        },
        String::from_utf8_lossy(&session.library),
        String::from_utf8_lossy(&session.library_version),
    )
}

fn cluster(session: &Session, args: Args<'_>) -> Reply {
    let sub = args[1].to_ascii_lowercase();
    match (&sub[..], &args[2..]) {
        (b"keyslot", [key]) => Reply::Integer(i64::from(slot(key))),
        (b"info", []) => text(format!(
            "cluster_enabled:0\r\ncluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_known_nodes:{}\r\ncluster_size:{}\r\n",
            session.node.topology.members.len(),
            session.node.topology.members.len(),
        )),
        (b"myid", []) => text(format!("{:040x}", session.node.incarnation.0)),
        (b"slots" | b"shards" | b"nodes" | b"countkeysinslot", _) => {
            Reply::error("ERR This instance has cluster support disabled")
        }
        _ => unknown_subcommand("CLUSTER", args[1]),
    }
}

/// Keys here, live ones only.
pub(super) fn keys_here(node: &Node) -> u64 {
    let Some(Run::OnEveryPartition { each, .. }) = lookup(b"dbsize").map(|spec| spec.run) else {
        return 0;
    };
    let count = |id| {
        node.with(id, |partition, now, effects| {
            each(
                &mut Keyspace::new(partition, now, crate::entropy::chance(), effects),
                &[b"dbsize"],
            )
        })
    };
    let counts = node.held().filter_map(count);
    counts
        .map(|reply| {
            if let Reply::Integer(keys) = reply {
                u64::try_from(keys).unwrap_or(0)
            } else {
                0
            }
        })
        .sum()
}

/// A metric's value.
pub(super) fn load(counter: &std::sync::atomic::AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
