//! CLIENT: what one connection may know of itself and of others, and do to them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use evenkeel_core::command::glob_match;
use evenkeel_resp::{Protocol, Reply};

use super::connected::Connected;
use super::front::Pausing;
use super::pubsub::Space;
use super::run::{Args, Outcome};
use super::server::{help, number, ok, text, unknown_subcommand, verbatim};
use super::session::{ReplyMode, Session};

const HELP: &[&str] = &[
    "CACHING (YES|NO)",
    "    Refused: there is no tracking of keys in this version.",
    "GETREDIR",
    "    Return the client ID we are redirecting to when tracking is enabled.",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "KILL <ip:port>",
    "    Kill connection made from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Kill connections. Options are:",
    "    * ADDR <ip:port>",
    "      Kill connections made from the specified address",
    "    * LADDR <ip:port>",
    "      Kill connections made to specified local address",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Kill connections by type.",
    "    * USER <username>",
    "      Kill connections authenticated by <username>.",
    "    * SKIPME (YES|NO)",
    "      Skip killing current connection (default: yes).",
    "LIST [options ...]",
    "    Return information about client connections of this node. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Return clients of specified type.",
    "UNPAUSE",
    "    Stop the current client pause, resuming traffic.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Suspend all, or just write, clients of this node for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO <LIB-NAME|LIB-VER> <value>",
    "    Tell the client library's name or version.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Unblock the specified blocked client.",
    "TRACKING (ON|OFF) [...]",
    "    Refused: there is no tracking of keys in this version.",
    "TRACKINGINFO",
    "    Report tracking status for the current connection.",
    "NO-EVICT (ON|OFF)",
    "    Protect current client connection from eviction.",
];

/// What a connection is in the eyes of LIST TYPE and KILL TYPE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    Normal,
    Pubsub,
    /// A master or a replica: no client of a node is one.
    Replica,
}

impl Type {
    fn parse(name: &[u8]) -> Result<Self, Reply> {
        match name.to_ascii_lowercase().as_slice() {
            b"normal" => Ok(Self::Normal),
            b"pubsub" => Ok(Self::Pubsub),
            b"slave" | b"replica" | b"master" => Ok(Self::Replica),
            _ => {
                let name = name.escape_ascii();
                Err(Reply::error(format!("ERR Unknown client type '{name}'")))
            }
        }
    }

    fn of(client: &Connected) -> Self {
        if client.listens() {
            Self::Pubsub
        } else {
            Self::Normal
        }
    }
}

/// `CLIENT subcommand …`.
pub(super) fn run(session: &mut Session, args: Args<'_>) -> Outcome {
    let sub = args[1].to_ascii_lowercase();
    let reply = match (&sub[..], &args[2..]) {
        (b"kill", filters) => return kill(session, filters),
        (b"id", []) => number(session.id),
        (b"getname", []) => {
            let name = session.connected.name();
            if name.is_empty() {
                Reply::Null
            } else {
                Reply::bulk(name)
            }
        }
        (b"setname", [name]) => set_name(session, name),
        (b"setinfo", [field, value]) => set_info(session, field, value),
        (b"info", []) => {
            session.show();
            verbatim(describe(&session.connected) + "\n")
        }
        (b"list", filters) => {
            session.show();
            list(session, filters)
        }
        (b"reply", [mode]) => reply_mode(session, mode),
        (b"no-evict" | b"no-touch", [switch]) => no_evict(session, switch),
        (b"getredir", []) => Reply::Integer(-1),
        (b"trackinginfo", []) => Reply::Map(vec![
            (text("flags"), Reply::Set(vec![text("off")])),
            (text("redirect"), Reply::Integer(-1)),
            (text("prefixes"), Reply::Array(Vec::new())),
        ]),
        (b"tracking", [switch]) if switch.eq_ignore_ascii_case(b"off") => ok(),
        (b"tracking" | b"caching", [_, ..]) => Reply::error(
            "UNSUPPORTED CLIENT TRACKING is not available in this version ; read from a near node instead, or let cached values expire",
        ),
        (b"unblock", [id, why @ ..]) if why.len() <= 1 => {
            super::block::unblock(session, id, why.first().copied())
        }
        (b"pause", [time]) => pause(session, time, Pausing::All),
        (b"pause", [time, mode]) => match mode.to_ascii_lowercase().as_slice() {
            b"write" => pause(session, time, Pausing::Writes),
            b"all" => pause(session, time, Pausing::All),
            _ => Reply::error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
        },
        (b"unpause", []) => {
            session.node.front.pause.end();
            ok()
        }
        (b"help", []) => help("CLIENT", HELP),
        _ => unknown_subcommand("CLIENT", args[1]),
    };
    Outcome::Now(reply)
}

/// Whether CLIENT LIST could still be read with this in it.
pub(super) fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

fn set_name(session: &Session, name: &[u8]) -> Reply {
    if !is_plain(name) {
        return Reply::error(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        );
    }
    session.connected.shown().name = name.to_vec();
    ok()
}

fn set_info(session: &Session, field: &[u8], value: &[u8]) -> Reply {
    let option = field.to_ascii_lowercase();
    let library = match option.as_slice() {
        b"lib-name" => true,
        b"lib-ver" => false,
        _ => {
            let field = field.escape_ascii();
            return Reply::error(format!("ERR Unrecognized option '{field}'"));
        }
    };
    if !is_plain(value) {
        let option = String::from_utf8_lossy(&option).into_owned();
        return Reply::error(format!(
            "ERR {option} cannot contain spaces, newlines or special characters."
        ));
    }
    let mut shown = session.connected.shown();
    if library {
        shown.library = value.to_vec();
    } else {
        shown.library_version = value.to_vec();
    }
    ok()
}

fn reply_mode(session: &mut Session, mode: &[u8]) -> Reply {
    session.reply = match (mode.to_ascii_lowercase().as_slice(), session.reply) {
        (b"on", _) => ReplyMode::On,
        (b"off", _) | (b"skip", ReplyMode::Off) => ReplyMode::Off,
        (b"skip", _) => ReplyMode::Skip,
        _ => return Reply::error("ERR syntax error"),
    };
    ok()
}

fn no_evict(session: &Session, switch: &[u8]) -> Reply {
    let on = match switch.to_ascii_lowercase().as_slice() {
        b"on" => true,
        b"off" => false,
        _ => return Reply::error("ERR syntax error"),
    };
    session.connected.shown().no_evict = on;
    ok()
}

fn list(session: &Session, filters: Args<'_>) -> Reply {
    let clients = &session.node.front.clients;
    let found: Vec<Arc<Connected>> = match filters {
        [] => clients.all(),
        [option, name] if option.eq_ignore_ascii_case(b"type") => match Type::parse(name) {
            Ok(wanted) => {
                let mut all = clients.all();
                all.retain(|client| Type::of(client) == wanted);
                all
            }
            Err(reply) => return reply,
        },
        [option, ids @ ..] if option.eq_ignore_ascii_case(b"id") && !ids.is_empty() => {
            let mut found = Vec::new();
            for id in ids {
                match parse::<u64>(id) {
                    Some(id) => found.extend(clients.get(id)),
                    None => return Reply::error("ERR Invalid client ID"),
                }
            }
            found
        }
        _ => return Reply::error("ERR syntax error"),
    };
    let lines: String = found.iter().map(|client| describe(client) + "\n").collect();
    verbatim(lines)
}

fn parse<T: std::str::FromStr>(number: &[u8]) -> Option<T> {
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Which connections are to be closed.
#[derive(Default)]
struct Filter {
    id: Option<u64>,
    address: Option<Vec<u8>>,
    local: Option<Vec<u8>>,
    of_type: Option<Type>,
    spares_me: bool,
}

impl Filter {
    fn parse(options: Args<'_>) -> Result<Self, Reply> {
        let mut filter = Self {
            spares_me: true,
            ..Self::default()
        };
        for pair in options.chunks(2) {
            let [option, value] = pair else {
                return Err(Reply::error("ERR syntax error"));
            };
            match option.to_ascii_lowercase().as_slice() {
                b"id" => match parse::<i64>(value).and_then(|id| u64::try_from(id).ok()) {
                    Some(id) if id > 0 => filter.id = Some(id),
                    _ => return Err(Reply::error("ERR client-id should be greater than 0")),
                },
                b"type" => filter.of_type = Some(Type::parse(value)?),
                b"addr" => filter.address = Some(value.to_vec()),
                b"laddr" => filter.local = Some(value.to_vec()),
                b"user" if *value == b"default" => {}
                b"user" => {
                    let user = value.escape_ascii();
                    return Err(Reply::error(format!("ERR No such user '{user}'")));
                }
                b"skipme" => match value.to_ascii_lowercase().as_slice() {
                    b"yes" => filter.spares_me = true,
                    b"no" => filter.spares_me = false,
                    _ => return Err(Reply::error("ERR syntax error")),
                },
                _ => return Err(Reply::error("ERR syntax error")),
            }
        }
        Ok(filter)
    }

    fn matches(&self, client: &Connected) -> bool {
        let is = |wanted: &Option<Vec<u8>>, address: String| {
            wanted
                .as_ref()
                .is_none_or(|wanted| *wanted == address.as_bytes())
        };
        self.id.is_none_or(|id| id == client.id)
            && is(&self.address, client.address())
            && is(&self.local, client.local_address())
            && self.of_type.is_none_or(|wanted| wanted == Type::of(client))
    }
}

fn kill(session: &Session, options: Args<'_>) -> Outcome {
    let (filter, old_form) = match options {
        [] => {
            return Outcome::Now(Reply::error(
                "ERR wrong number of arguments for 'client|kill' command",
            ));
        }
        [address] => {
            let filter = Filter {
                address: Some(address.to_vec()),
                ..Filter::default()
            };
            (filter, true)
        }
        options => match Filter::parse(options) {
            Ok(filter) => (filter, false),
            Err(reply) => return Outcome::Now(reply),
        },
    };
    let mut found = session.node.front.clients.all();
    found.retain(|client| filter.matches(client) && !(filter.spares_me && client.id == session.id));
    let mut me = false;
    for client in &found {
        if client.id == session.id {
            me = true;
        } else {
            client.close();
        }
    }
    // Who is closed does not count any more when the reply is read.
    session
        .node
        .front
        .clients
        .remove(found.iter().filter(|client| client.id != session.id));
    let reply = match (old_form, found.len()) {
        (true, 0) => Reply::error("ERR No such client"),
        (true, _) => ok(),
        (false, killed) => number(killed),
    };
    if me {
        Outcome::Close(reply)
    } else {
        Outcome::Now(reply)
    }
}

fn pause(session: &Session, time: &[u8], what: Pausing) -> Reply {
    let Some(millis) = parse::<i64>(time) else {
        return Reply::error("ERR timeout is not an integer or out of range");
    };
    let Ok(millis) = u64::try_from(millis) else {
        return Reply::error("ERR timeout is negative");
    };
    session
        .node
        .front
        .pause
        .begin(what, Duration::from_millis(millis));
    ok()
}

/// One line of CLIENT LIST, without its end.
pub(super) fn describe(client: &Connected) -> String {
    let shown = client.shown().clone();
    let now = Instant::now();
    let age = now.duration_since(client.since).as_secs();
    let query = client.query_bytes.load(Ordering::Relaxed);
    let waiting = client.waiting_bytes();
    let mut line = format!(
        "id={} addr={} laddr={} fd=0 name={} age={age} idle={} flags={} db=0",
        client.id,
        client.address(),
        client.local_address(),
        String::from_utf8_lossy(&shown.name),
        client.idle().as_secs(),
        client.flags(),
    );
    let [subscribed, patterns, shards] =
        [Space::Channels, Space::Patterns, Space::Shards].map(|space| client.listens_to(space));
    let queued = client.queued.load(Ordering::Relaxed);
    let resp = if client.protocol() == Protocol::Resp3 {
        3
    } else {
        2
    };
    // Writing to a string cannot fail.
    let _ = write!(
        line,
        " sub={subscribed} psub={patterns} ssub={shards} multi={queued} qbuf={query} qbuf-free={} argv-mem=0 multi-mem=0 rbs=16384 rbp=16384 obl=0 oll={} omem={waiting} tot-mem={} events=r cmd={} user=default redir=-1 resp={resp}",
        (16_usize << 10).saturating_sub(query),
        client.waiting_messages(),
        waiting + (32 << 10),
        client.last_command(),
    );
    let _ = write!(
        line,
        " lib-name={} lib-ver={}",
        String::from_utf8_lossy(&shown.library),
        String::from_utf8_lossy(&shown.library_version),
    );
    line
}

/// Arguments with what nobody may read left out.
pub(super) fn redacted(args: Args<'_>) -> Vec<Bytes> {
    let hidden = Bytes::from_static(b"(redacted)");
    let name = args
        .first()
        .map(|name| name.to_ascii_lowercase())
        .unwrap_or_default();
    let mut secret_from = match (&name[..], args.get(1)) {
        (b"auth", _) => 1,
        (b"acl", Some(sub)) if sub.eq_ignore_ascii_case(b"setuser") => 2,
        (b"hello", _) => {
            let auth = args
                .iter()
                .position(|arg| arg.eq_ignore_ascii_case(b"auth"));
            auth.map_or(usize::MAX, |at| at + 1)
        }
        _ => usize::MAX,
    };
    let mut secret_to = if name == b"hello" {
        secret_from.saturating_add(2)
    } else {
        usize::MAX
    };
    if name == b"config" && args.len() == 4 {
        let parameter = args[2].to_ascii_lowercase();
        if [
            &b"masterauth"[..],
            b"requirepass",
            b"masteruser",
            b"tls-key-file-pass",
        ]
        .iter()
        .any(|secret| glob_match(&parameter, secret))
        {
            (secret_from, secret_to) = (3, 4);
        }
    }
    args.iter()
        .enumerate()
        .map(|(at, arg)| {
            if (secret_from..secret_to).contains(&at) {
                hidden.clone()
            } else {
                Bytes::copy_from_slice(arg)
            }
        })
        .collect()
}
