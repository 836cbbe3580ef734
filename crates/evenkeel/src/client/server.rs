//! Commands about the connection and the server: everything that is about no key.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use evenkeel_core::command::{Keyspace, Run, lookup};
use evenkeel_resp::{Protocol, Reply};

use super::pubsub;
use super::run::{Args, Later, Outcome};
use super::session::{Face, Session};
use super::{acl, clients, cluster, latency, scripting, slowlog};
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
        "client" => return clients::run(session, args),
        "slowlog" => slowlog::run(session, args),
        "latency" => latency::run(session, args),
        "monitor" => {
            session.connected.set_monitor(true);
            session.node.front.monitors.begin(&session.connected);
            ok()
        }
        "config" => super::config::run(session, args),
        "command" => super::commands::run(args),
        "info" => verbatim(super::info::render(session, args)),
        "select" => select(args[1]),
        "quit" => return Outcome::Close(ok()),
        "reset" => {
            session.reset();
            Reply::simple("RESET")
        }
        "time" => time(&session.node),
        "cluster" => return cluster::run(session, args),
        "function" => scripting::function(args),
        "script" => scripting::script(args),
        "acl" => acl::run(args),
        "readonly" | "readwrite" | "asking" => face_only(session, name),
        "shutdown" => return shutdown(session, args),
        "lolwut" => verbatim(format!("Even keel.\nRedis ver. {REDIS_VERSION}\n")),
        "wait" => return super::wait::run(session, args),
        "waitaof" => return super::wait::run_aof(session, args),
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

/// What only a client of the cluster face sends.
fn face_only(session: &Session, name: &str) -> Reply {
    if session.face == Face::Cluster || name == "asking" {
        ok()
    } else {
        Reply::error("ERR This instance has cluster support disabled")
    }
}

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]`: every write is logged, so there is nothing more to save.
fn shutdown(session: &Session, args: Args<'_>) -> Outcome {
    const OPTIONS: [&[u8]; 4] = [b"nosave", b"save", b"now", b"force"];
    let known = |option: &&[u8]| {
        OPTIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(option))
    };
    match &args[1..] {
        [option] if option.eq_ignore_ascii_case(b"abort") => {
            return Outcome::Now(Reply::error("ERR No shutdown in progress."));
        }
        options if options.iter().all(known) => {}
        _ => return Outcome::Now(Reply::error("ERR syntax error")),
    }
    tracing::info!(
        client = session.connected.address(),
        "told to stop by SHUTDOWN"
    );
    session.node.front.asked_to_stop.notify_one();
    let never: Later = Box::pin(std::future::pending());
    Outcome::Later(never)
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
            "UNSUPPORTED SELECT, DB index is out of range: there is one database, 0 ; use key prefixes, or one cluster per data set",
        ),
        None => Reply::error("ERR value is not an integer or out of range"),
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
                if !clients::is_plain(value) {
                    return Reply::error(
                        "ERR Client names cannot contain spaces, newlines or special characters.",
                    );
                }
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
    if let Some(name) = name {
        session.connected.shown().name = name;
    }
    let version = if protocol == Protocol::Resp3 { 3 } else { 2 };
    Reply::Map(vec![
        (text("server"), text("redis")),
        (text("version"), text(REDIS_VERSION)),
        (text("proto"), Reply::Integer(version)),
        (
            text("id"),
            Reply::Integer(i64::try_from(session.id).unwrap_or(i64::MAX)),
        ),
        (
            text("mode"),
            text(match session.face {
                Face::Standalone => "standalone",
                Face::Cluster => "cluster",
            }),
        ),
        (text("role"), text("master")),
        (text("modules"), Reply::Array(Vec::new())),
    ])
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

/// Text for people: told apart from data in the newer protocol.
pub(super) fn verbatim(text: impl Into<String>) -> Reply {
    Reply::Verbatim {
        format: *b"txt",
        text: Bytes::from(text.into()),
    }
}

/// A count as a reply.
pub(super) fn number(value: impl TryInto<i64>) -> Reply {
    Reply::Integer(value.try_into().unwrap_or(i64::MAX))
}

/// The error for a subcommand that cannot be run: it is not known, or its arguments do not fit.
pub(super) fn unknown_subcommand(command: &str, sub: &[u8]) -> Reply {
    let spec = lookup(command.as_bytes());
    let known = spec.and_then(|spec| {
        let mut subcommands = spec.subcommands.iter();
        subcommands.find(|known| known.as_bytes().eq_ignore_ascii_case(sub))
    });
    if let Some(known) = known {
        let command = command.to_ascii_lowercase();
        return Reply::error(format!(
            "ERR wrong number of arguments for '{command}|{known}' command"
        ));
    }
    let sub = &sub[..sub.len().min(128)];
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(sub);
    text.extend_from_slice(format!("'. Try {command} HELP.").as_bytes());
    Reply::error(text)
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
