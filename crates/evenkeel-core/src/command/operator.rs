//! Commands for who runs the node: what it does now, what was slow, who is connected. Run by the shell, by name.

use super::spec::{Flag, Group, KeySpec, Run, Spec};

const fn command(name: &'static str, arity: i32, flags: &'static [Flag]) -> Spec {
    Spec::new(name, arity, flags, KeySpec::NONE, Run::Shell).in_group(Group::Server, &[])
}

const CONNECTION: &[Flag] = &[Flag::Loading, Flag::Stale, Flag::Fast];

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    command("slowlog", -2, &[])
        .docs(
            "2.2.12",
            "Depends on subcommand",
            "A container for commands about what was slow",
        )
        .with_subcommands(&["get", "help", "len", "reset"]),
    command("latency", -2, &[])
        .docs(
            "2.8.13",
            "Depends on subcommand",
            "A container for commands about how long commands take",
        )
        .with_subcommands(&[
            "doctor",
            "graph",
            "help",
            "histogram",
            "history",
            "latest",
            "reset",
        ]),
    command(
        "monitor",
        1,
        &[Flag::Admin, Flag::Noscript, Flag::Loading, Flag::Stale],
    )
    .docs(
        "1.0.0",
        "O(1)",
        "Listen for all commands that clients run on this node",
    ),
    command("acl", -2, &[])
        .docs(
            "6.0.0",
            "Depends on subcommand",
            "A container for commands about users; there is one, default",
        )
        .with_subcommands(&[
            "cat", "deluser", "dryrun", "genpass", "getuser", "help", "list", "load", "log",
            "save", "setuser", "users", "whoami",
        ]),
    command(
        "shutdown",
        -1,
        &[
            Flag::Admin,
            Flag::Noscript,
            Flag::Loading,
            Flag::Stale,
            Flag::AllowBusy,
        ],
    )
    .docs("1.0.0", "O(1)", "Sync the log and stop the node"),
    command("function", -2, &[])
        .in_group(Group::Scripting, &["scripting"])
        .docs(
            "7.0.0",
            "Depends on subcommand",
            "A container for commands about functions; there are none yet",
        )
        .with_subcommands(&[
            "delete", "dump", "flush", "help", "kill", "list", "load", "restore", "stats",
        ]),
    command("script", -2, &[])
        .in_group(Group::Scripting, &["scripting"])
        .docs(
            "2.6.0",
            "Depends on subcommand",
            "A container for commands about scripts; there are none yet",
        )
        .with_subcommands(&["debug", "exists", "flush", "help", "kill", "load"]),
    command("readonly", 1, CONNECTION)
        .in_group(Group::Cluster, &["connection"])
        .docs("3.0.0", "O(1)", "Accepted: every node serves reads"),
    command("readwrite", 1, CONNECTION)
        .in_group(Group::Cluster, &["connection"])
        .docs("3.0.0", "O(1)", "Accepted: every node serves writes"),
    command("asking", 1, &[Flag::Fast])
        .in_group(Group::Cluster, &["connection"])
        .docs("3.0.0", "O(1)", "Accepted: no slot is ever between nodes"),
];
