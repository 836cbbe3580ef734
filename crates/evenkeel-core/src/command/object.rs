//! OBJECT: how Redis would hold what a key shows, with its default limits.
//!
//! The form is told by the value alone, where Redis keeps a form once it has grown into it.

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::content::is_visible;
use super::keyspace::Keyspace;
use super::number::parse_integer;
use super::spec::{Flag, Group, KeySpec, Round, Run, Spec};
use super::string::text_of;
use super::view::{View, newest_stamp};
use super::{Args, Outcome, count, reply, syntax_error};
use crate::types::{CellRef, Kind};

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new("object", -2, &[], KeySpec::SECOND, Run::Rounds(object))
        .in_group(Group::Generic, &["keyspace"])
        .docs(
            "2.2.3",
            "O(N) where N is the size of the value",
            "A container for object introspection commands",
        )
        .with_subcommands(&["encoding", "freq", "help", "idletime", "refcount"]),
    Spec::new(
        "ek.object",
        3,
        &[Flag::Readonly, Flag::Inner],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(describe(keys, args))),
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(N) where N is the size of the value",
        "What OBJECT and MEMORY USAGE ask the key's replica",
    ),
];

/// Redis' default limits: longer collections, or ones with longer elements, are held in another form.
const PACKED_ELEMENTS_MAX: usize = 128;
const PACKED_BYTES_MAX: usize = 64;
const INTEGERS_MAX: usize = 512;
/// The longest string that Redis holds in one piece with its header.
const EMBEDDED_BYTES_MAX: usize = 44;
/// What an entry takes beside its own bytes: stamp, dot, deadline, places in tables.
const CELL_OVERHEAD_BYTES: usize = 72;

const HELP: [&str; 11] = [
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the form in which Redis would hold the value of <key>.",
    "FREQ <key>",
    "    Return an error: how often keys are read is not counted.",
    "IDLETIME <key>",
    "    Return the seconds since <key> was last written.",
    "REFCOUNT <key>",
    "    Return 1: values are never shared.",
    "HELP",
    "    Print this help.",
];

fn object(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    let subcommand = args[1].to_ascii_lowercase();
    let known = [&b"encoding"[..], b"freq", b"idletime", b"refcount"];
    match (&subcommand[..], &args[2..]) {
        (b"help", []) => Round::Done(help(&HELP)),
        (name, [key]) if known.contains(&name) => ask(key, name, answers),
        (name, _) if known.contains(&name) || name == b"help" => {
            let name = String::from_utf8_lossy(&subcommand);
            Round::Done(super::spec::wrong_arity(&format!("object|{name}")))
        }
        _ => Round::Done(unknown_subcommand("OBJECT", args[1])),
    }
}

/// Asks a key's replica for one fact.
pub(super) fn ask(key: &[u8], fact: &[u8], answers: &[Vec<Reply>]) -> Round {
    match answers.first() {
        Some(replies) => Round::Done(replies[0].clone()),
        None => {
            let call = [b"EK.OBJECT", key, fact].map(Bytes::copy_from_slice);
            Round::Calls(vec![call.to_vec()])
        }
    }
}

pub(super) fn help(lines: &[&'static str]) -> Reply {
    Reply::Array(lines.iter().map(|line| Reply::simple(*line)).collect())
}

pub(super) fn unknown_subcommand(command: &str, subcommand: &[u8]) -> Reply {
    const SHOWN_BYTES_MAX: usize = 128;
    let shown = subcommand.iter().take(SHOWN_BYTES_MAX).copied();
    let shown: Vec<u8> = shown.take_while(|byte| *byte != 0).collect();
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend(shown);
    text.extend_from_slice(format!("'. Try {command} HELP.").as_bytes());
    Reply::error(text)
}

fn describe(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (key, fact) = (args[1], args[2]);
    let view = keys.view(key);
    let Some(kind) = view.kind() else {
        return Ok(Reply::Null);
    };
    match fact {
        b"encoding" => Ok(Reply::bulk(encoding(&view, kind))),
        b"refcount" => Ok(Reply::Integer(1)),
        b"idletime" => {
            let newest = cells(&view, kind)
                .filter_map(|(_, cell)| newest_stamp(cell, view.judged_at()))
                .max();
            let written = newest.map_or_else(|| view.wall().0, |(stamp, _)| stamp.wall().0);
            let idle = view.wall().0.saturating_sub(written) / 1000;
            Ok(Reply::Integer(i64::try_from(idle).unwrap_or(i64::MAX)))
        }
        b"freq" => Err(Reply::error(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        )),
        b"usage" => Ok(count(
            key.len() + CELL_OVERHEAD_BYTES + held_bytes(&view, kind),
        )),
        _ => Err(syntax_error()),
    }
}

/// The visible cells of the kind that is shown, strings included.
fn cells<'a>(view: &View<'a>, kind: Kind) -> impl Iterator<Item = (&'a [u8], CellRef<'a>)> {
    let all = view
        .held()
        .into_iter()
        .flat_map(move |held| held.cells(kind));
    let judged_at = view.judged_at();
    all.filter(move |(_, cell)| is_visible(*cell, judged_at))
}

fn encoding(view: &View<'_>, kind: Kind) -> &'static str {
    let packed = |cell: (&[u8], CellRef<'_>)| {
        let mut values = cell.1.versions();
        cell.0.len() <= PACKED_BYTES_MAX && values.all(|v| v.value.len() <= PACKED_BYTES_MAX)
    };
    let few = |most: usize| view.count(kind) <= most;
    match kind {
        Kind::HyperLogLog => "raw",
        Kind::String | Kind::Deadline => {
            let text = text_of(view);
            if parse_integer(&text).is_some() {
                "int"
            } else if text.len() <= EMBEDDED_BYTES_MAX {
                "embstr"
            } else {
                "raw"
            }
        }
        Kind::List => "quicklist",
        Kind::Stream => "stream",
        Kind::Set => {
            let mut members = cells(view, kind);
            if few(INTEGERS_MAX) && members.all(|(member, _)| parse_integer(member).is_some()) {
                "intset"
            } else {
                "hashtable"
            }
        }
        Kind::Hash if few(PACKED_ELEMENTS_MAX) && cells(view, kind).all(packed) => "listpack",
        Kind::Hash => "hashtable",
        Kind::SortedSet if few(PACKED_ELEMENTS_MAX) && cells(view, kind).all(packed) => "listpack",
        Kind::SortedSet => "skiplist",
    }
}

/// About how many bytes a key's visible cells take.
fn held_bytes(view: &View<'_>, kind: Kind) -> usize {
    let of_cell = |(field, cell): (&[u8], CellRef<'_>)| {
        let values: usize = cell.versions().map(|v| v.value.len()).sum();
        let others = cell.versions().count().saturating_sub(1) + cell.chains().len();
        field.len() + values + (1 + others) * CELL_OVERHEAD_BYTES
    };
    cells(view, kind).map(of_cell).sum()
}
