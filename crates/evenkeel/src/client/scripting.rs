//! FUNCTION and SCRIPT as far as there is an honest answer without scripts: there are none, and none can be loaded.

use evenkeel_resp::Reply;

use super::run::Args;
use super::server::{help, ok, unknown_subcommand};

fn unsupported(what: &str) -> Reply {
    Reply::error(format!(
        "UNSUPPORTED {what} is not available in this version ; send the commands themselves, in MULTI and EXEC where they belong together"
    ))
}

/// `FUNCTION subcommand …`.
pub(super) fn function(args: Args<'_>) -> Reply {
    const HELP: &[&str] = &[
        "FLUSH [ASYNC|SYNC]",
        "    Accepted: there are no functions.",
        "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
        "    Empty: there are no functions.",
    ];
    let sub = args[1].to_ascii_lowercase();
    match (&sub[..], &args[2..]) {
        (b"flush", []) => ok(),
        (b"flush", [how])
            if how.eq_ignore_ascii_case(b"async") || how.eq_ignore_ascii_case(b"sync") =>
        {
            ok()
        }
        (b"flush", [_]) => Reply::error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"),
        (b"list", _) => Reply::Array(Vec::new()),
        (b"kill", []) => Reply::error("NOTBUSY No scripts in execution right now."),
        (b"delete", [_]) => Reply::error("ERR Library not found"),
        (b"help", []) => help("FUNCTION", HELP),
        (b"load" | b"dump" | b"restore" | b"stats", _) => unsupported("FUNCTION"),
        _ => unknown_subcommand("FUNCTION", args[1]),
    }
}

/// `SCRIPT subcommand …`.
pub(super) fn script(args: Args<'_>) -> Reply {
    const HELP: &[&str] = &[
        "EXISTS <sha1> [<sha1> ...]",
        "    Zeros: there are no scripts.",
        "FLUSH [ASYNC|SYNC]",
        "    Accepted: there are no scripts.",
    ];
    let sub = args[1].to_ascii_lowercase();
    match (&sub[..], &args[2..]) {
        (b"flush", []) => ok(),
        (b"flush", [how])
            if how.eq_ignore_ascii_case(b"async") || how.eq_ignore_ascii_case(b"sync") =>
        {
            ok()
        }
        (b"flush", [_]) => Reply::error("ERR SCRIPT FLUSH only support SYNC|ASYNC option"),
        (b"exists", [_, ..]) => Reply::Array(args[2..].iter().map(|_| Reply::Integer(0)).collect()),
        (b"kill", []) => Reply::error("NOTBUSY No scripts in execution right now."),
        (b"help", []) => help("SCRIPT", HELP),
        (b"load" | b"debug", _) => unsupported("SCRIPT"),
        _ => unknown_subcommand("SCRIPT", args[1]),
    }
}
