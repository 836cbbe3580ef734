//! COMMAND: the table, as tools and client libraries ask for it.

use evenkeel_core::command::{Flag, Spec, check_arity, keys_of, listed};
use evenkeel_resp::Reply;

use super::run::Args;
use super::server::{number, text, unknown_subcommand};

pub(super) fn run(args: Args<'_>) -> Reply {
    let sub = args.get(1).map(|sub| sub.to_ascii_lowercase());
    let rest = args.get(2..).unwrap_or_default();
    match sub.as_deref() {
        None => Reply::Array(listed().map(info).collect()),
        Some(b"count") => Reply::Integer(i64::try_from(listed().count()).unwrap_or(i64::MAX)),
        Some(b"list") => Reply::Array(listed().map(|spec| text(spec.name)).collect()),
        Some(b"info") if rest.is_empty() => Reply::Array(listed().map(info).collect()),
        Some(b"info") => Reply::Array(
            rest.iter()
                .map(|name| lookup(name).map_or(Reply::NullArray, info))
                .collect(),
        ),
        Some(b"docs") => docs(rest),
        Some(b"getkeys") => get_keys(rest),
        Some(_) => unknown_subcommand("COMMAND", args[1]),
    }
}

/// The command of that name, if clients may send it.
fn lookup(name: &[u8]) -> Option<&'static Spec> {
    evenkeel_core::command::lookup(name).filter(|spec| !spec.is(Flag::Inner))
}

fn info(spec: &Spec) -> Reply {
    let flags = spec.flags.iter().map(|flag| Reply::simple(flag.name()));
    let categories = spec
        .all_categories()
        .map(|name| Reply::simple(format!("@{name}")));
    Reply::Array(vec![
        text(spec.name),
        number(spec.arity),
        Reply::Set(flags.collect()),
        number(spec.keys.first),
        number(spec.keys.last),
        number(spec.keys.step),
        Reply::Set(categories.collect()),
        Reply::Array(Vec::new()),
        Reply::Array(Vec::new()),
        Reply::Array(Vec::new()),
    ])
}

fn docs(names: Args<'_>) -> Reply {
    let specs: Vec<&Spec> = if names.is_empty() {
        listed().collect()
    } else {
        names.iter().filter_map(|name| lookup(name)).collect()
    };
    let doc = |spec: &Spec| {
        let mut fields = vec![
            (text("summary"), text(spec.summary)),
            (text("since"), text(spec.since)),
            (text("group"), text(spec.group.name())),
            (text("complexity"), text(spec.complexity)),
        ];
        if !spec.merge.is_empty() {
            fields.push((text("merge"), text(spec.merge)));
        }
        Reply::Map(fields)
    };
    Reply::Map(
        specs
            .into_iter()
            .map(|spec| (text(spec.name), doc(spec)))
            .collect(),
    )
}

fn get_keys(command: Args<'_>) -> Reply {
    let Some(spec) = command.first().and_then(|name| lookup(name)) else {
        return Reply::error("ERR Invalid command specified");
    };
    if check_arity(spec, command).is_err() {
        return Reply::error("ERR Invalid number of arguments specified for command");
    }
    match keys_of(spec, command) {
        Ok(keys) if !keys.is_empty() => Reply::Array(
            keys.iter()
                .map(|at| Reply::bulk(command[*at].to_vec()))
                .collect(),
        ),
        Ok(_) => Reply::error("ERR The command has no key arguments"),
        Err(reply) => reply,
    }
}
