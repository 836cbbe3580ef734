//! Commands about files and roles, for clients and tools that expect them: every write is in the commit log already.

use super::spec::{Flag, Group, KeySpec, Run, Spec};

const ADMIN: &[Flag] = &[Flag::Admin, Flag::Noscript];

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new("save", 1, ADMIN, KeySpec::NONE, Run::Shell)
        .in_group(Group::Server, &[])
        .docs(
            "1.0.0",
            "O(1)",
            "Wait until an fsync covers every write of this node so far",
        ),
    Spec::new("bgsave", -1, ADMIN, KeySpec::NONE, Run::Shell)
        .in_group(Group::Server, &[])
        .docs(
            "1.0.0",
            "O(1)",
            "Reply at once: every write is in the commit log already",
        ),
    Spec::new("bgrewriteaof", 1, ADMIN, KeySpec::NONE, Run::Shell)
        .in_group(Group::Server, &[])
        .docs(
            "1.0.0",
            "O(1)",
            "Reply at once: the commit log compacts itself",
        ),
    Spec::new(
        "lastsave",
        1,
        &[Flag::Loading, Flag::Stale, Flag::Fast],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Server, &["admin", "dangerous"])
    .docs(
        "1.0.0",
        "O(1)",
        "Get the Unix time of the newest fsync, or of the start",
    ),
    Spec::new(
        "role",
        1,
        &[Flag::Noscript, Flag::Loading, Flag::Stale, Flag::Fast],
        KeySpec::NONE,
        Run::Shell,
    )
    .in_group(Group::Server, &["admin", "dangerous"])
    .docs(
        "2.8.12",
        "O(1)",
        "Return the role: every node takes writes, so each is a master without replicas",
    ),
];
