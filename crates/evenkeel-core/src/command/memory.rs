//! MEMORY: what keys take, and what Redis' tools ask about the allocator.
//!
//! The shell runs it, for MEMORY STATS is about the process; all else is [`memory`] in rounds.

use evenkeel_resp::Reply;

use super::Args;
use super::number::integer;
use super::object::{ask, help, unknown_subcommand};
use super::spec::{Group, KeySpec, Round, Run, Spec, wrong_arity};
use super::{ok, syntax_error};

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[Spec::new("memory", -2, &[], KeySpec::SECOND, Run::Shell)
    .in_group(Group::Server, &[])
    .docs(
        "4.0.0",
        "Depends on subcommand",
        "A container for memory diagnostics commands",
    )
    .with_subcommands(&["doctor", "help", "malloc-stats", "purge", "stats", "usage"])];

const HELP: [&str; 13] = [
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DOCTOR",
    "    Say where to look when memory runs short.",
    "MALLOC-STATS",
    "    Return what the allocator tells about itself.",
    "PURGE",
    "    Do nothing: freed memory goes back by itself.",
    "STATS",
    "    Return the memory of this node's process, and its keys.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return about how many bytes <key> takes on one replica; every element is looked at.",
    "HELP",
    "    Print this help.",
];

/// All of MEMORY but STATS.
#[must_use]
pub fn memory(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    let subcommand = args[1].to_ascii_lowercase();
    Round::Done(match (&subcommand[..], &args[2..]) {
        (b"usage", [key, options @ ..]) => match samples(options) {
            Ok(()) => return ask(key, b"usage", answers),
            Err(error) => error,
        },
        (b"doctor", []) => Reply::bulk(
            "The memory of this node is in INFO memory and in /metrics, what one key takes in MEMORY USAGE.",
        ),
        (b"malloc-stats", []) => Reply::bulk("Stats not supported for the current allocator"),
        (b"purge", []) => ok(),
        (b"help", []) => help(&HELP),
        (b"usage" | b"doctor" | b"malloc-stats" | b"purge" | b"stats" | b"help", _) => {
            let name = String::from_utf8_lossy(&subcommand);
            wrong_arity(&format!("memory|{name}"))
        }
        _ => unknown_subcommand("MEMORY", args[1]),
    })
}

/// The number is checked; all elements are looked at whatever it is.
fn samples(options: &[&[u8]]) -> Result<(), Reply> {
    let mut rest = options;
    while let [name, count, tail @ ..] = rest {
        if !name.eq_ignore_ascii_case(b"SAMPLES") || integer(count)? < 0 {
            return Err(syntax_error());
        }
        rest = tail;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(syntax_error())
    }
}
