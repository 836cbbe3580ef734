//! CONFIG: the parameters of Redis, with honest answers, for this node alone.

mod parameters;
mod settings;
mod values;

pub(super) use settings::Settings;

use evenkeel_core::command::glob_match;
use evenkeel_resp::Reply;

use self::parameters::{ALIASES, PARAMETERS, Parameter};
use self::values::output_limits;
use super::run::Args;
use super::server::{help, ok, text, unknown_subcommand};
use super::session::{Face, Session};

const HELP: &[&str] = &[
    "GET <pattern>",
    "    Return parameters matching the glob-like <pattern> and their values.",
    "SET <directive> <value>",
    "    Set the configuration <directive> to <value>.",
    "RESETSTAT",
    "    Reset statistics reported by the INFO command.",
    "REWRITE",
    "    Rewrite the configuration file.",
];

pub(super) fn run(session: &Session, args: Args<'_>) -> Reply {
    let sub = args[1].to_ascii_lowercase();
    match (&sub[..], &args[2..]) {
        (b"get", patterns) if !patterns.is_empty() => get(session, patterns),
        (b"set", pairs) if !pairs.is_empty() => set(session, pairs),
        (b"resetstat", []) => {
            session.node.front.reset_stats(&session.node);
            ok()
        }
        (b"rewrite", []) => Reply::error(
            "ERR The server is running without a config file ; what CONFIG SET changes lasts until the node stops, write it into the file given by --config",
        ),
        (b"help", []) => help("CONFIG", HELP),
        _ => unknown_subcommand("CONFIG", args[1]),
    }
}

fn get(session: &Session, patterns: Args<'_>) -> Reply {
    let patterns: Vec<Vec<u8>> = patterns.iter().map(|p| p.to_ascii_lowercase()).collect();
    let wanted = |name: &str| {
        patterns
            .iter()
            .any(|pattern| glob_match(pattern, name.as_bytes()))
    };
    let names = PARAMETERS
        .iter()
        .map(|parameter| (parameter.name, parameter));
    let aliases = ALIASES
        .iter()
        .filter_map(|(alias, name)| Some((*alias, parameters::find(name.as_bytes())?)));
    let pairs = names
        .chain(aliases)
        .filter(|(name, _)| wanted(name))
        .map(|(name, parameter)| (text(name), text(value(session, parameter))));
    Reply::Map(pairs.collect())
}

/// The value of a parameter now.
fn value(session: &Session, parameter: &Parameter) -> String {
    let config = &session.node.config;
    let address = match (session.face, &config.cluster_listen) {
        (Face::Cluster, Some(address)) => address,
        _ => &config.listen,
    };
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    match parameter.name {
        "appendfsync" => {
            let sync = config.sync.to_string();
            if sync == "never" {
                "no".to_owned()
            } else {
                sync
            }
        }
        "bind" => host.to_owned(),
        "port" => port.to_owned(),
        "dir" => config.dir.display().to_string(),
        "cluster-enabled" => if session.face == Face::Cluster {
            "yes"
        } else {
            "no"
        }
        .to_owned(),
        name => {
            let changed = session.node.front.settings.changed(name);
            changed.unwrap_or_else(|| parameter.default.to_owned())
        }
    }
}

/// Sets all of them, or none when one is wrong.
fn set(session: &Session, pairs: Args<'_>) -> Reply {
    if !pairs.len().is_multiple_of(2) {
        return Reply::error("ERR syntax error");
    }
    let mut changes: Vec<(&'static str, String)> = Vec::new();
    // An unknown name is told before a wrong value, as in Redis.
    for pair in pairs.chunks_exact(2) {
        let name = pair[0].to_ascii_lowercase();
        let Some(parameter) = parameters::find(&name) else {
            let name = pair[0].escape_ascii();
            return Reply::error(format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{name}'"
            ));
        };
        if changes.iter().any(|(known, _)| *known == parameter.name) {
            return failed(&pair[0].escape_ascii().to_string(), "duplicate parameter");
        }
        changes.push((
            parameter.name,
            String::from_utf8_lossy(pair[1]).into_owned(),
        ));
    }
    for (name, given) in &mut changes {
        match checked(session, name, given) {
            Ok(normal) => *given = normal,
            Err(error) => return failed(name, &error),
        }
    }
    for (name, value) in changes {
        session.node.front.settings.set(name, value);
    }
    ok()
}

fn checked(session: &Session, name: &str, given: &str) -> Result<String, String> {
    /// Set when the node starts, by its flags or for good.
    const PINNED: [(&str, &str); 6] = [
        (
            "port",
            "Unable to listen on this port ; it is set by --listen",
        ),
        (
            "bind",
            "Failed to bind to specified addresses ; they are set by --listen",
        ),
        ("dir", "the directory is set by --dir"),
        ("appendfsync", "the policy is set by --sync"),
        ("appendonly", "writes are always logged"),
        ("proto-max-bulk-len", "the limit is built in"),
    ];
    let parameter = parameters::find(name.as_bytes()).ok_or("Config name not found")?;
    if let Some((_, why)) = PINNED.iter().find(|(pinned, _)| *pinned == name) {
        let normal = parameter.kind.normal(name, given)?;
        return if normal == value(session, parameter) {
            Ok(normal)
        } else {
            Err((*why).to_owned())
        };
    }
    match name {
        "requirepass" if !given.is_empty() => {
            return Err("users and passwords are not available in this version".to_owned());
        }
        "notify-keyspace-events" if !given.is_empty() => {
            return Err(
                "keyspace notifications are not available in this version ; publish what changes with PUBLISH"
                    .to_owned(),
            );
        }
        "client-output-buffer-limit" => return output_limits(given).map(|_| given.to_owned()),
        _ => {}
    }
    if parameter.fixed {
        return Err("can't set immutable config".to_owned());
    }
    parameter.kind.normal(name, given)
}

fn failed(name: &str, why: &str) -> Reply {
    Reply::error(format!(
        "ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"
    ))
}
