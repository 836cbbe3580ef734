//! Where the keys of a command are and what it does to them, in the words of Redis 7: what COMMAND INFO and
//! COMMAND GETKEYSANDFLAGS tell.
//!
//! Derived from the table's places of keys and, by name, from what a command does to its first key and to the others.

use evenkeel_core::command::{Flag, KeySpec, Spec};
use evenkeel_resp::Reply;

use crate::client::run::Args;
use crate::client::server::{number, text};

/// What a command does to keys, as flags.
type Access = &'static [&'static str];

const LOOKS: Access = &["RO"];
const READS: Access = &["RO", "access"];
const TAKES: Access = &["RW", "access", "delete"];
const REMOVES: Access = &["RW", "delete"];
const INSERTS: Access = &["RW", "insert"];
const CHANGES: Access = &["RW", "access", "update"];
const VARIES: Access = &["RW", "access", "update", "variable_flags"];
const WRITES: Access = &["RW", "update"];
const REPLACES: Access = &["OW", "update"];
const CREATES: Access = &["OW", "insert"];

/// What a command does to its first key and to the others; to all of them when it names one.
fn accesses(spec: &Spec) -> &'static [Access] {
    match spec.name {
        "strlen" | "exists" | "touch" | "type" | "object" | "memory" | "watch" | "hexists"
        | "hlen" | "hstrlen" | "llen" | "scard" | "sismember" | "zcard" => &[LOOKS],
        "spublish" | "ssubscribe" | "sunsubscribe" => &[&["not_key"]],
        "sort" => &[READS, READS, REPLACES],
        "sort_ro" => &[READS, READS],
        "pfcount" | "pfdebug" => &[&["RW", "access"]],
        "pfmerge" => &[&["RW", "access", "insert"], READS],
        "set" | "bitfield" => &[VARIES],
        "mset" | "setex" | "psetex" | "restore" => &[REPLACES],
        "setnx" | "msetnx" => &[CREATES],
        "del" | "unlink" => &[&["RM", "delete"]],
        "getdel" | "lpop" | "rpop" | "spop" | "zpopmin" | "zpopmax" | "lmpop" | "zmpop"
        | "blpop" | "brpop" | "blmpop" | "bzpopmin" | "bzpopmax" | "bzmpop" => &[TAKES],
        "hdel" | "lrem" | "ltrim" | "srem" | "zrem" | "zremrangebylex" | "zremrangebyrank"
        | "zremrangebyscore" => &[REMOVES],
        "append" | "hsetnx" | "linsert" | "lpush" | "lpushx" | "pfadd" | "rpush" | "rpushx"
        | "sadd" => &[INSERTS],
        "incr" | "decr" | "incrby" | "decrby" | "incrbyfloat" | "hincrby" | "hincrbyfloat"
        | "zincrby" | "getex" | "getset" | "setbit" => &[CHANGES],
        "lmove" | "blmove" | "rpoplpush" | "brpoplpush" | "smove" => &[TAKES, INSERTS],
        "rename" => &[TAKES, REPLACES],
        "renamenx" => &[TAKES, CREATES],
        "copy" => &[READS, REPLACES],
        "georadius" | "georadiusbymember" => &[READS, REPLACES],
        "sinterstore" => &[WRITES, READS],
        "bitop" | "sdiffstore" | "sunionstore" | "zdiffstore" | "zinterstore" | "zunionstore"
        | "zrangestore" | "geosearchstore" => &[REPLACES, READS],
        _ if spec.is(Flag::Write) => &[WRITES],
        _ => &[READS],
    }
}

/// The flags of a request's key, which is the nth of so many.
pub(super) fn flags_of_key(spec: &Spec, args: Args<'_>, nth: usize) -> Access {
    let has = |word: &str| {
        let mut options = args.iter().skip(2);
        options.any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    };
    let all = accesses(spec);
    match spec.name {
        "set" if !has("get") => REPLACES,
        "set" => CHANGES,
        "bitfield" if !has("set") && !has("incrby") => READS,
        "bitfield" => CHANGES,
        // Keys that patterns name are not told; the other one is the destination.
        "sort" if nth > 0 => REPLACES,
        _ => all[nth.min(all.len() - 1)],
    }
}

/// The places of the keys that tools are told: a container's are its subcommands', and shard channels count as keys.
pub(super) fn told(spec: &Spec, sub: Option<&str>) -> KeySpec {
    const WITH_A_KEY: [&str; 5] = ["encoding", "freq", "idletime", "refcount", "usage"];
    match (spec.name, sub) {
        ("spublish", _) => KeySpec::ONE,
        ("ssubscribe" | "sunsubscribe", _) => KeySpec::ALL,
        ("object" | "memory", Some(sub)) if WITH_A_KEY.contains(&sub) => spec.keys,
        ("object" | "memory", _) => KeySpec::NONE,
        _ => spec.keys,
    }
}

/// All places of keys of a command, as COMMAND INFO shows them.
pub(super) fn key_specs(spec: &Spec, sub: Option<&str>) -> Reply {
    let keys = told(spec, sub);
    let all = accesses(spec);
    let mut shown = Vec::new();
    if keys.first > 0 {
        let apart = all.len() > 1 && keys.last != 1;
        let end = relative(keys.last, keys.first);
        if apart {
            shown.push(entry(all[0], index(keys.first), range(0, 1)));
            let end = relative(keys.last, keys.first + 1);
            shown.push(entry(all[1], index(keys.first + 1), range(end, keys.step)));
        } else {
            shown.push(entry(all[0], index(keys.first), range(end, keys.step)));
        }
    }
    let others = all[all.len() - 1];
    if keys.counted_at > 0 {
        shown.push(entry(others, index(keys.counted_at), counted()));
    }
    if !keys.patterns.is_empty() {
        let unknown = || part("unknown", Vec::new());
        let unknown = all[1..]
            .iter()
            .map(|flags| entry(flags, unknown(), unknown()));
        shown.extend(unknown);
    } else if let Some((from, words)) = keys.behind {
        let found = words.iter().map(|word| {
            let from = i64::try_from(from).unwrap_or(i64::MAX);
            let fields = vec![
                (text("keyword"), text(*word)),
                (text("startfrom"), Reply::Integer(from)),
            ];
            entry(others, part("keyword", fields), range(0, 1))
        });
        shown.extend(found);
    }
    Reply::Array(shown)
}

/// The last key, counted from the first one where it is not counted from the end.
fn relative(last: isize, first: usize) -> i64 {
    let first = i64::try_from(first).unwrap_or(i64::MAX);
    let last = i64::try_from(last).unwrap_or(i64::MAX);
    if last >= 0 { last - first } else { last }
}

fn entry(flags: Access, begin: Reply, find: Reply) -> Reply {
    let flags = flags.iter().map(|flag| Reply::simple(*flag));
    Reply::Map(vec![
        (text("flags"), Reply::Set(flags.collect())),
        (text("begin_search"), begin),
        (text("find_keys"), find),
    ])
}

fn part(kind: &str, fields: Vec<(Reply, Reply)>) -> Reply {
    Reply::Map(vec![
        (text("type"), text(kind)),
        (text("spec"), Reply::Map(fields)),
    ])
}

fn index(at: usize) -> Reply {
    part("index", vec![(text("index"), number(at))])
}

fn range(last: i64, step: usize) -> Reply {
    let fields = vec![
        (text("lastkey"), Reply::Integer(last)),
        (text("keystep"), number(step)),
        (text("limit"), Reply::Integer(0)),
    ];
    part("range", fields)
}

fn counted() -> Reply {
    let fields = vec![
        (text("keynumidx"), Reply::Integer(0)),
        (text("firstkey"), Reply::Integer(1)),
        (text("keystep"), Reply::Integer(1)),
    ];
    part("keynum", fields)
}
