//! ACL: there is one user, `default`, who may do everything and needs no password. Others are refused by name.

use std::collections::BTreeSet;

use bytes::Bytes;
use evenkeel_core::command::{check_arity, listed, lookup};
use evenkeel_resp::Reply;

use super::run::Args;
use super::server::{help, ok, text, unknown_subcommand};

const HELP: &[&str] = &[
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
];

/// Bits of a password at most.
const PASSWORD_BITS_MAX: u32 = 4096;

/// `ACL subcommand …`.
pub(super) fn run(args: Args<'_>) -> Reply {
    let sub = args[1].to_ascii_lowercase();
    match (&sub[..], &args[2..]) {
        (b"whoami", []) => text("default"),
        (b"users", []) => Reply::Array(vec![text("default")]),
        (b"list", []) => Reply::Array(vec![text("user default on nopass ~* &* +@all")]),
        (b"getuser", [user]) if *user == b"default" => default_user(),
        (b"getuser", [_]) => Reply::Null,
        (b"cat", []) => Reply::Array(categories().into_iter().map(text).collect()),
        (b"cat", [category]) => commands_of(category),
        (b"dryrun", [user, command @ ..]) if !command.is_empty() => dry_run(user, command),
        (b"genpass", []) => password(256),
        (b"genpass", [bits]) => {
            let bits = std::str::from_utf8(bits)
                .ok()
                .and_then(|bits| bits.parse().ok());
            match bits {
                Some(bits) if (1..=PASSWORD_BITS_MAX).contains(&bits) => password(bits),
                _ => Reply::error(
                    "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
                ),
            }
        }
        (b"log", [] | [_]) => match args.get(2) {
            Some(what) if what.eq_ignore_ascii_case(b"reset") => ok(),
            _ => Reply::Array(Vec::new()),
        },
        (b"setuser" | b"deluser" | b"load" | b"save", _) => Reply::error(
            "UNSUPPORTED users other than default are not available in this version ; bind to a private address, or put a proxy that authenticates in front",
        ),
        (b"help", []) => help("ACL", HELP),
        _ => unknown_subcommand("ACL", args[1]),
    }
}

fn default_user() -> Reply {
    Reply::Map(vec![
        (text("flags"), Reply::Set(vec![text("on"), text("nopass")])),
        (text("passwords"), Reply::Array(Vec::new())),
        (text("commands"), text("+@all")),
        (text("keys"), text("~*")),
        (text("channels"), text("&*")),
        (text("selectors"), Reply::Array(Vec::new())),
    ])
}

/// Redis' categories, also those without a command here: tools compare the list.
fn categories() -> BTreeSet<&'static str> {
    const REDIS: [&str; 21] = [
        "admin",
        "bitmap",
        "blocking",
        "connection",
        "dangerous",
        "fast",
        "geo",
        "hash",
        "hyperloglog",
        "keyspace",
        "list",
        "pubsub",
        "read",
        "scripting",
        "set",
        "slow",
        "sortedset",
        "stream",
        "string",
        "transaction",
        "write",
    ];
    REDIS.into_iter().collect()
}

fn commands_of(category: &[u8]) -> Reply {
    let category = category.to_ascii_lowercase();
    if !categories()
        .iter()
        .any(|known| known.as_bytes() == category)
    {
        let category = category.escape_ascii();
        return Reply::error(format!("ERR Unknown category '{category}'"));
    }
    let commands = listed().filter(|spec| {
        spec.all_categories()
            .any(|name| name.as_bytes() == category)
    });
    Reply::Array(commands.map(|spec| text(spec.name)).collect())
}

fn dry_run(user: &[u8], command: Args<'_>) -> Reply {
    if user != b"default" {
        let user = user.escape_ascii();
        return Reply::error(format!("ERR User '{user}' not found"));
    }
    let Some(spec) = lookup(command[0]) else {
        let name = command[0].escape_ascii();
        return Reply::error(format!("ERR Command '{name}' not found"));
    };
    check_arity(spec, command).map_or_else(|error| error, |()| ok())
}

fn password(bits: u32) -> Reply {
    let digits = bits.div_ceil(4) as usize;
    let mut password = String::new();
    while password.len() < digits {
        password.push_str(&format!("{:016x}", crate::entropy::random()));
    }
    password.truncate(digits);
    Reply::Bulk(Bytes::from(password))
}
