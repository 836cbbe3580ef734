//! Publish and subscribe: run by the shell, since a message is about connections and no key.

use super::spec::{Flag, Group, KeySpec, Run, Spec};

const SUBSCRIBING: &[Flag] = &[Flag::Pubsub, Flag::Noscript, Flag::Loading, Flag::Stale];
const PUBLISHING: &[Flag] = &[Flag::Pubsub, Flag::Loading, Flag::Stale, Flag::Fast];

const fn command(name: &'static str, arity: i32, flags: &'static [Flag]) -> Spec {
    Spec::new(name, arity, flags, KeySpec::NONE, Run::Shell).in_group(Group::Pubsub, &[])
}

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    command("subscribe", -2, SUBSCRIBING).docs(
        "2.0.0",
        "O(N) where N is the number of channels",
        "Listen for messages published to channels, at any node",
    ),
    command("unsubscribe", -1, SUBSCRIBING).docs(
        "2.0.0",
        "O(N) where N is the number of channels",
        "Stop listening to channels, to all without a name",
    ),
    command("psubscribe", -2, SUBSCRIBING).docs(
        "2.0.0",
        "O(N) where N is the number of patterns",
        "Listen for messages published to channels that match patterns",
    ),
    command("punsubscribe", -1, SUBSCRIBING).docs(
        "2.0.0",
        "O(N) where N is the number of patterns",
        "Stop listening to patterns, to all without a name",
    ),
    command("ssubscribe", -2, SUBSCRIBING).docs(
        "7.0.0",
        "O(N) where N is the number of channels",
        "Listen for messages published to shard channels, at any node",
    ),
    command("sunsubscribe", -1, SUBSCRIBING).docs(
        "7.0.0",
        "O(N) where N is the number of channels",
        "Stop listening to shard channels, to all without a name",
    ),
    command("publish", 3, PUBLISHING).docs(
        "2.0.0",
        "O(N+M) where N is the number of receivers and M the number of patterns in the cluster",
        "Send a message to everybody who listens to a channel, at every linked node",
    ),
    command("spublish", 3, PUBLISHING).docs(
        "7.0.0",
        "O(N) where N is the number of receivers",
        "Send a message to everybody who listens to a shard channel, at every linked node",
    ),
    command("pubsub", -2, &[])
        .docs(
            "2.8.0",
            "Depends on subcommand",
            "A container for commands about channels and who listens",
        )
        .with_subcommands(&[
            "channels",
            "help",
            "numpat",
            "numsub",
            "shardchannels",
            "shardnumsub",
        ]),
];
