//! COMMAND: the table, as tools and client libraries ask for it.

mod key_specs;

use evenkeel_core::command::{Flag, Spec, check_arity, glob_match, keys_of, listed};
use evenkeel_resp::Reply;

use self::key_specs::{flags_of_key, key_specs, told};
use super::run::Args;
use super::server::{help, number, text, unknown_subcommand};

const HELP: &[&str] = &[
    "(no subcommand)",
    "    Return details about all commands.",
    "COUNT",
    "    Return the total number of commands in this server.",
    "LIST",
    "    Return a list of all commands in this server.",
    "INFO [<command-name> ...]",
    "    Return details about multiple commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "DOCS [<command-name> ...]",
    "    Return documentation details about multiple commands.",
    "    If no command names are given, documentation details for all",
    "    commands are returned.",
    "GETKEYS <full-command>",
    "    Return the keys from a full command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Return the keys and the access flags from a full command.",
];

pub(super) fn run(args: Args<'_>) -> Reply {
    let sub = args.get(1).map(|sub| sub.to_ascii_lowercase());
    let rest = args.get(2..).unwrap_or_default();
    match (sub.as_deref(), rest) {
        (None, _) | (Some(b"info"), []) => Reply::Array(containers().map(info).collect()),
        (Some(b"count"), []) => number(listed().count()),
        (Some(b"list"), filter) => list(filter),
        (Some(b"info"), names) => {
            let found = names
                .iter()
                .map(|name| find(name).map_or(Reply::NullArray, info));
            Reply::Array(found.collect())
        }
        (Some(b"docs"), names) => docs(names),
        (Some(b"getkeys"), [_, _, ..]) => get_keys(rest, |_, _, key| Reply::bulk(key.to_vec())),
        (Some(b"getkeysandflags"), [_, _, ..]) => get_keys(rest, |spec, nth, key| {
            let flags = flags_of_key(spec, rest, nth);
            let flags = flags.iter().map(|flag| Reply::simple(*flag));
            Reply::Array(vec![Reply::bulk(key.to_vec()), Reply::Set(flags.collect())])
        }),
        (Some(b"help"), []) => help("COMMAND", HELP),
        (Some(_), _) => unknown_subcommand("COMMAND", args[1]),
    }
}

/// A command or a subcommand that clients may send.
#[derive(Clone, Copy)]
struct Named {
    spec: &'static Spec,
    sub: Option<&'static str>,
}

impl Named {
    fn name(self) -> String {
        match self.sub {
            Some(sub) => format!("{}|{sub}", self.spec.name),
            None => self.spec.name.to_owned(),
        }
    }

    /// A subcommand takes its own name and whatever it wants.
    fn arity(self) -> i32 {
        if self.sub.is_some() {
            -2
        } else {
            self.spec.arity
        }
    }

    fn subcommands(self) -> impl Iterator<Item = Self> {
        let known = if self.sub.is_some() {
            &[]
        } else {
            self.spec.subcommands
        };
        known.iter().map(move |sub| Self {
            spec: self.spec,
            sub: Some(sub),
        })
    }
}

fn containers() -> impl Iterator<Item = Named> {
    listed().map(|spec| Named { spec, sub: None })
}

/// The command of that name, `client|list` for a subcommand.
fn find(name: &[u8]) -> Option<Named> {
    let mut words = name.splitn(2, |byte| *byte == b'|');
    let spec = lookup(words.next()?)?;
    let Some(wanted) = words.next() else {
        return Some(Named { spec, sub: None });
    };
    let mut known = spec.subcommands.iter();
    let sub = known.find(|known| known.as_bytes().eq_ignore_ascii_case(wanted))?;
    Some(Named {
        spec,
        sub: Some(sub),
    })
}

/// The command of that name, if clients may send it.
fn lookup(name: &[u8]) -> Option<&'static Spec> {
    evenkeel_core::command::lookup(name).filter(|spec| !spec.is(Flag::Inner))
}

fn info(named: Named) -> Reply {
    let spec = named.spec;
    let keys = told(spec, named.sub);
    let flags = spec.flags.iter().map(|flag| Reply::simple(flag.name()));
    let categories = spec
        .all_categories()
        .map(|name| Reply::simple(format!("@{name}")));
    Reply::Array(vec![
        text(named.name()),
        number(named.arity()),
        Reply::Set(flags.collect()),
        number(keys.first),
        number(keys.last),
        number(keys.step),
        Reply::Set(categories.collect()),
        Reply::Array(Vec::new()),
        key_specs(spec, named.sub),
        Reply::Array(named.subcommands().map(info).collect()),
    ])
}

/// `LIST [FILTERBY (MODULE name | ACLCAT category | PATTERN pattern)]`.
fn list(filter: Args<'_>) -> Reply {
    let matches: Box<dyn Fn(Named) -> bool> = match filter {
        [] => Box::new(|_| true),
        [by, kind, wanted] if by.eq_ignore_ascii_case(b"filterby") => {
            let wanted = wanted.to_ascii_lowercase();
            match kind.to_ascii_lowercase().as_slice() {
                b"module" => Box::new(|_| false),
                b"aclcat" => Box::new(move |named| {
                    let mut categories = named.spec.all_categories();
                    categories.any(|category| category.as_bytes() == wanted)
                }),
                b"pattern" => Box::new(move |named| glob_match(&wanted, named.name().as_bytes())),
                _ => return Reply::error("ERR syntax error"),
            }
        }
        _ => return Reply::error("ERR syntax error"),
    };
    let all = containers().flat_map(|named| std::iter::once(named).chain(named.subcommands()));
    Reply::Array(
        all.filter(|named| matches(*named))
            .map(|named| text(named.name()))
            .collect(),
    )
}

fn docs(names: Args<'_>) -> Reply {
    let found: Vec<Named> = if names.is_empty() {
        containers().collect()
    } else {
        names.iter().filter_map(|name| find(name)).collect()
    };
    let docs = found
        .into_iter()
        .map(|named| (text(named.name()), doc(named)));
    Reply::Map(docs.collect())
}

fn doc(named: Named) -> Reply {
    let spec = named.spec;
    let mut fields = vec![
        (text("summary"), text(spec.summary)),
        (text("since"), text(spec.since)),
        (text("group"), text(spec.group.name())),
        (text("complexity"), text(spec.complexity)),
    ];
    if !spec.merge.is_empty() {
        fields.push((text("merge"), text(spec.merge)));
    }
    let subcommands: Vec<(Reply, Reply)> = named
        .subcommands()
        .map(|sub| (text(sub.name()), doc(sub)))
        .collect();
    if !subcommands.is_empty() {
        fields.push((text("subcommands"), Reply::Map(subcommands)));
    }
    Reply::Map(fields)
}

fn get_keys(command: Args<'_>, show: impl Fn(&Spec, usize, &[u8]) -> Reply) -> Reply {
    let Some(spec) = command.first().and_then(|name| lookup(name)) else {
        return Reply::error("ERR Invalid command specified");
    };
    if check_arity(spec, command).is_err() {
        return Reply::error("ERR Invalid number of arguments specified for command");
    }
    match keys_of(spec, command) {
        Ok(keys) if !keys.is_empty() => {
            let keys = keys.iter().enumerate();
            let shown = keys.map(|(nth, at)| show(spec, nth, command[*at]));
            Reply::Array(shown.collect())
        }
        Ok(_) => Reply::error("ERR The command has no key arguments"),
        Err(reply) => reply,
    }
}
