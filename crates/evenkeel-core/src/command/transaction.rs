//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH. The shell runs them; here they only have their place in the
//! table. What they need of a partition is [`super::Keyspace::run`] and [`super::Keyspace::watched_state`].

use super::spec::{Flag, Group, KeySpec, Run, Spec};

const FLAGS: &[Flag] = &[
    Flag::Noscript,
    Flag::Loading,
    Flag::Stale,
    Flag::Fast,
    Flag::AllowBusy,
];

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    transaction("multi", 1, FLAGS, KeySpec::NONE).docs(
        "1.2.0",
        "O(1)",
        "Mark the start of a transaction block",
    ),
    transaction(
        "exec",
        1,
        &[
            Flag::Noscript,
            Flag::Loading,
            Flag::Stale,
            Flag::SkipSlowlog,
        ],
        KeySpec::NONE,
    )
    .docs(
        "1.2.0",
        "Depends on commands in the transaction",
        "Execute all commands issued after MULTI",
    ),
    transaction("discard", 1, FLAGS, KeySpec::NONE).docs(
        "2.0.0",
        "O(N), when N is the number of queued commands",
        "Discard all commands issued after MULTI",
    ),
    transaction("watch", -2, FLAGS, KeySpec::ALL).docs(
        "2.2.0",
        "O(1) for every key.",
        "Watch the given keys to determine execution of the MULTI/EXEC block",
    ),
    transaction("unwatch", 1, FLAGS, KeySpec::NONE).docs(
        "2.2.0",
        "O(1)",
        "Forget about all watched keys",
    ),
];

const fn transaction(
    name: &'static str,
    arity: i32,
    flags: &'static [Flag],
    keys: KeySpec,
) -> Spec {
    Spec::new(name, arity, flags, keys, Run::Shell).in_group(Group::Transactions, &["transaction"])
}
