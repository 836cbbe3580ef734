//! Commands of Redis that have no meaning here, refused by name with what to use instead.

use evenkeel_resp::Reply;

use super::spec::{Flag, Group, KeySpec, Round, Run, Spec};

/// Refused whatever its arguments are.
const fn refused(
    name: &'static str,
    since: &'static str,
    group: Group,
    step: fn(super::Args<'_>, &[Vec<Reply>]) -> Round,
) -> Spec {
    Spec::new(
        name,
        -1,
        &[Flag::Admin, Flag::Noscript],
        KeySpec::NONE,
        Run::Rounds(step),
    )
    .in_group(group, &[])
    .docs(since, "O(1)", "Refused: the reply says what to use instead")
}

fn says(text: &'static str) -> Round {
    Round::Done(Reply::error(text))
}

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    refused("replicaof", "5.0.0", Group::Server, |_, _| {
        says(
            "UNSUPPORTED REPLICAOF, there is no leader to follow ; start the node with --members or --join",
        )
    }),
    refused("slaveof", "1.0.0", Group::Server, |_, _| {
        says(
            "UNSUPPORTED SLAVEOF, there is no leader to follow ; start the node with --members or --join",
        )
    }),
    refused("psync", "2.8.0", Group::Server, |_, _| {
        says(
            "UNSUPPORTED PSYNC, nodes replicate by a protocol of their own ; copy keys with DUMP and RESTORE",
        )
    }),
    refused("sync", "1.0.0", Group::Server, |_, _| {
        says(
            "UNSUPPORTED SYNC, nodes replicate by a protocol of their own ; copy keys with DUMP and RESTORE",
        )
    }),
    refused("replconf", "3.0.0", Group::Server, |_, _| {
        says(
            "UNSUPPORTED REPLCONF, nodes replicate by a protocol of their own ; copy keys with DUMP and RESTORE",
        )
    }),
    refused("migrate", "2.6.0", Group::Generic, |_, _| {
        says("UNSUPPORTED MIGRATE ; send what DUMP gives to the other server with RESTORE")
    }),
    refused("module", "4.0.0", Group::Server, |_, _| {
        says(
            "UNSUPPORTED MODULE, nothing can be loaded into a node ; COMMAND LIST names what is there",
        )
    }),
    refused("failover", "6.2.0", Group::Server, |_, _| {
        says(
            "UNSUPPORTED FAILOVER, every node takes writes and none is the leader ; stop a node with SIGTERM",
        )
    }),
    refused("move", "1.0.0", Group::Generic, |_, _| {
        says(
            "UNSUPPORTED MOVE to a database above 0 ; use key prefixes and RENAME, or one cluster per data set",
        )
    }),
    refused("swapdb", "4.0.0", Group::Server, |_, _| {
        says(
            "UNSUPPORTED SWAPDB, there is one database ; use key prefixes, or one cluster per data set",
        )
    }),
];
