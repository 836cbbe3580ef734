//! The commands that the shell runs by name: connections, server, cluster, and what is Evenkeel's own.
//!
//! Here they only have their place in the table.

use super::spec::{Flag, Group, KeySpec, Run, Spec};

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new("ping", -1, &[Flag::Fast], KeySpec::NONE, Run::Shell)
        .in_group(Group::Connection, &["connection"])
        .docs("1.0.0", "O(1)", "Ping the server"),
    Spec::new(
        "echo",
        2,
        &[Flag::Loading, Flag::Stale, Flag::Fast],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Connection, &["connection"])
    .docs("1.0.0", "O(1)", "Echo the given string"),
    Spec::new(
        "hello",
        -1,
        &[
            Flag::Noscript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::NoAuth,
            Flag::AllowBusy,
        ],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Connection, &["connection"])
    .docs("6.0.0", "O(1)", "Handshake: protocol, credentials, name"),
    Spec::new(
        "auth",
        -2,
        &[
            Flag::Noscript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::NoAuth,
            Flag::AllowBusy,
        ],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Connection, &["connection"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of passwords defined for the user",
        "Authenticate to the server",
    ),
    Spec::new("client", -2, &[], KeySpec::NONE, Run::Shell)
        .in_group(Group::Connection, &[])
        .docs(
            "2.4.0",
            "Depends on subcommand",
            "A container for client connection commands",
        )
        .with_subcommands(&[
            "caching",
            "getname",
            "getredir",
            "help",
            "id",
            "info",
            "kill",
            "list",
            "no-evict",
            "pause",
            "reply",
            "setinfo",
            "setname",
            "tracking",
            "trackinginfo",
            "unblock",
            "unpause",
        ]),
    Spec::new("config", -2, &[], KeySpec::NONE, Run::Shell)
        .in_group(Group::Server, &[])
        .docs(
            "2.0.0",
            "Depends on subcommand",
            "A container for server configuration commands",
        )
        .with_subcommands(&["get", "help", "resetstat", "rewrite", "set"]),
    Spec::new(
        "command",
        -1,
        &[Flag::Loading, Flag::Stale],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Server, &["connection"])
    .docs(
        "2.8.13",
        "O(N) where N is the total number of Redis commands",
        "Get array of Redis command details",
    )
    .with_subcommands(&[
        "count",
        "docs",
        "getkeys",
        "getkeysandflags",
        "help",
        "info",
        "list",
    ]),
    Spec::new(
        "info",
        -1,
        &[Flag::Loading, Flag::Stale],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Server, &["dangerous"])
    .docs(
        "1.0.0",
        "O(1)",
        "Get information and statistics about the server",
    ),
    Spec::new(
        "select",
        2,
        &[Flag::Loading, Flag::Stale, Flag::Fast],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Connection, &["connection"])
    .docs(
        "1.0.0",
        "O(1)",
        "Change the selected database for the current connection",
    ),
    Spec::new(
        "quit",
        -1,
        &[
            Flag::Noscript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::NoAuth,
            Flag::AllowBusy,
        ],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Connection, &["connection"])
    .docs("1.0.0", "O(1)", "Close the connection"),
    Spec::new(
        "reset",
        1,
        &[
            Flag::Noscript,
            Flag::Loading,
            Flag::Stale,
            Flag::Fast,
            Flag::NoAuth,
            Flag::AllowBusy,
        ],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Connection, &["connection"])
    .docs("6.2.0", "O(1)", "Reset the connection"),
    Spec::new(
        "time",
        1,
        &[Flag::Loading, Flag::Stale, Flag::Fast],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Server, &[])
    .docs("2.6.0", "O(1)", "Return the current server time"),
    Spec::new("wait", 3, &[Flag::Noscript], KeySpec::NONE, Run::Shell)
        .in_group(Group::Generic, &["connection"])
        .docs(
            "3.0.0",
            "O(1)",
            "Wait until so many replicas hold this connection's writes",
        ),
    Spec::new("waitaof", 4, &[Flag::Noscript], KeySpec::NONE, Run::Shell)
        .in_group(Group::Generic, &["connection"])
        .docs(
            "7.2.0",
            "O(1)",
            "Wait until the logs of this node and of so many replicas are synced with this connection's writes",
        ),
    Spec::new("cluster", -2, &[], KeySpec::NONE, Run::Shell)
        .in_group(Group::Cluster, &[])
        .docs(
            "3.0.0",
            "Depends on subcommand",
            "A container for cluster commands",
        )
        .with_subcommands(&[
            "addslots",
            "bumpepoch",
            "countkeysinslot",
            "failover",
            "flushslots",
            "forget",
            "getkeysinslot",
            "help",
            "info",
            "keyslot",
            "links",
            "meet",
            "myid",
            "nodes",
            "replicas",
            "replicate",
            "reset",
            "saveconfig",
            "set-config-epoch",
            "setslot",
            "shards",
            "slaves",
            "slots",
        ]),
    Spec::new(
        "lolwut",
        -1,
        &[Flag::Readonly, Flag::Fast],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Server, &[])
    .docs("5.0.0", "O(1)", "Display some computer art and the version"),
    Spec::new(
        "debug",
        -2,
        &[Flag::Admin, Flag::Noscript, Flag::Loading, Flag::Stale],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Server, &[])
    .docs("1.0.0", "O(1)", "Refused: use EK.INSPECT"),
    Spec::new(
        "ek.inspect",
        -2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(N) where N is the number of cells shown",
        "Show what each replica holds of a key, and why",
    ),
    Spec::new(
        "ek.divergence",
        -1,
        &[Flag::Readonly],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(P) where P is the number of partitions, plus the events missing",
        "What each node lacks of each other one: events, bytes, age, keys",
    ),
    Spec::new(
        "ek.conflicts",
        -1,
        &[Flag::Readonly, Flag::Noscript],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(N) where N is the number of conflicts returned",
        "The newest concurrent writes of which one lost, as this node noticed them",
    ),
    Spec::new(
        "ek.siblings",
        -2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(N) where N is the number of elements of the key",
        "The concurrent versions that a key holds, and which one is shown",
    ),
    Spec::new(
        "ek.await",
        -2,
        &[Flag::Readonly, Flag::Noscript],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(1)",
        "Wait until every member holds what was written before the call",
    ),
    Spec::new(
        "ek.watchkey",
        4,
        &[Flag::Readonly, Flag::Inner],
        KeySpec::THIRD,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(1)",
        "Wait until a key has something, for a client of another node that is blocked on it",
    ),
    Spec::new(
        "ek.consistency",
        -1,
        &[Flag::Noscript, Flag::Loading, Flag::Stale, Flag::Fast],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &["connection"])
    .docs(
        "0.1.0",
        "O(1)",
        "Tell or set how many members this connection's reads and writes take, and where its conditional commands run",
    ),
    Spec::new(
        "ek.token",
        1,
        &[Flag::Noscript, Flag::Loading, Flag::Stale, Flag::Fast],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &["connection"])
    .docs(
        "0.1.0",
        "O(N) where N is the number of partitions that the connection has used",
        "What this connection has read and written, as a token for EK.AFTER",
    ),
    Spec::new(
        "ek.after",
        -2,
        &[Flag::Noscript, Flag::Stale],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &["connection"])
    .docs(
        "0.1.0",
        "O(N) where N is the number of partitions in the token",
        "Wait until this connection finds all that a token stands for",
    ),
    Spec::new(
        "ek.topology",
        -1,
        &[Flag::Noscript, Flag::Stale],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(N) where N is the number of nodes; a change returns when the voters have agreed on it",
        "The nodes, which partitions they hold and what moves; or a change: PLAN, APPLY, DRAIN, CANCEL, REPLACE, FORGET, SET",
    ),
    Spec::new(
        "ek.scrub",
        1,
        &[Flag::Admin, Flag::Noscript],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(N) where N is the number of elements held",
        "Count all content of this node again, compare it with the other members', repair what is damaged",
    ),
    Spec::new(
        "ek.scrubbed",
        -4,
        &[Flag::Readonly, Flag::Inner],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(N) where N is the number of elements of the partition",
        "What a replica counts, for a member that scrubs",
    ),
    Spec::new(
        "ek.fault",
        -2,
        &[Flag::Admin, Flag::Noscript],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(1)",
        "Cut, delay or drop links; only with --fault-injection",
    ),
];
