//! INFO: the sections of Redis, filled with what is true here, and `# Evenkeel`.

use std::fmt::Write as _;
use std::process;

use super::pubsub::Space;
use super::run::Args;
use super::server::{REDIS_VERSION, keys_here, load};
use crate::node::Node;

/// Writes one section.
type Section = fn(&Node, &mut String);

/// The sections, in Redis' order.
const SECTIONS: [(&str, Section); 8] = [
    ("server", server),
    ("clients", clients),
    ("memory", memory),
    ("persistence", persistence),
    ("stats", stats),
    ("replication", replication),
    ("evenkeel", evenkeel),
    ("keyspace", keyspace),
];

/// The text for the sections asked for; all of them by default.
pub(super) fn render(node: &Node, args: Args<'_>) -> String {
    let wanted: Vec<Vec<u8>> = args[1..]
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    let everything = wanted.is_empty()
        || wanted
            .iter()
            .any(|name| matches!(&name[..], b"all" | b"default" | b"everything"));
    let mut out = String::new();
    for (name, section) in SECTIONS {
        if everything || wanted.iter().any(|wanted| wanted == name.as_bytes()) {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            let title: String = name[..1].to_uppercase() + &name[1..];
            line(&mut out, format_args!("# {title}"));
            section(node, &mut out);
        }
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{text}\r\n");
}

fn server(node: &Node, out: &mut String) {
    let uptime = node.started.elapsed().as_secs();
    let port = node.config.listen.rsplit(':').next().unwrap_or_default();
    line(out, format_args!("redis_version:{REDIS_VERSION}"));
    line(out, format_args!("redis_mode:standalone"));
    line(
        out,
        format_args!("os:{} {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    line(out, format_args!("arch_bits:64"));
    line(out, format_args!("process_id:{}", process::id()));
    line(out, format_args!("run_id:{:040x}", node.incarnation.0));
    line(out, format_args!("tcp_port:{port}"));
    line(out, format_args!("uptime_in_seconds:{uptime}"));
    line(out, format_args!("uptime_in_days:{}", uptime / 86_400));
    line(out, format_args!("executable:evenkeel"));
}

fn clients(node: &Node, out: &mut String) {
    line(
        out,
        format_args!("connected_clients:{}", load(&node.metrics.clients)),
    );
    line(
        out,
        format_args!("blocked_clients:{}", node.waiters.clients()),
    );
}

fn memory(_: &Node, out: &mut String) {
    let resident = resident_bytes();
    line(out, format_args!("used_memory:{resident}"));
    line(out, format_args!("used_memory_rss:{resident}"));
    line(out, format_args!("maxmemory:0"));
    line(out, format_args!("maxmemory_policy:noeviction"));
}

/// Resident memory of this process, as the operating system counts it; 0 where it does not say.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .map_or(0, |pages| pages * 4096)
}

fn persistence(node: &Node, out: &mut String) {
    line(out, format_args!("loading:0"));
    line(out, format_args!("aof_enabled:1"));
    line(
        out,
        format_args!(
            "aof_last_write_status:{}",
            if node.wal.refusal().is_none() {
                "ok"
            } else {
                "err"
            }
        ),
    );
    line(
        out,
        format_args!("evenkeel_log_appends:{}", load(&node.wal.appends)),
    );
    line(
        out,
        format_args!(
            "evenkeel_log_appended_bytes:{}",
            load(&node.wal.appended_bytes)
        ),
    );
}

fn stats(node: &Node, out: &mut String) {
    line(
        out,
        format_args!(
            "total_connections_received:{}",
            load(&node.metrics.connections)
        ),
    );
    line(
        out,
        format_args!("total_commands_processed:{}", load(&node.metrics.commands)),
    );
    line(
        out,
        format_args!("total_error_replies:{}", load(&node.metrics.errors)),
    );
    for (name, space) in [
        ("pubsub_channels", Space::Channels),
        ("pubsub_patterns", Space::Patterns),
        ("pubsubshard_channels", Space::Shards),
    ] {
        let names = node.front.hub.count_names(space);
        line(out, format_args!("{name}:{names}"));
    }
}

fn replication(_: &Node, out: &mut String) {
    // Every node takes writes; to a client of Redis that is a master without replicas.
    line(out, format_args!("role:master"));
    line(out, format_args!("connected_slaves:0"));
}

fn evenkeel(node: &Node, out: &mut String) {
    line(
        out,
        format_args!("evenkeel_version:{}", env!("CARGO_PKG_VERSION")),
    );
    line(out, format_args!("node:{}", node.config.node));
    line(out, format_args!("cluster:{:016x}", node.topology.cluster));
    line(out, format_args!("incarnation:{:016x}", node.incarnation.0));
    line(out, format_args!("members:{}", node.topology.members.len()));
    for peer in node.topology.others() {
        let (lacks, behind) = node.held().fold((0, 0), |sum, id| {
            let gaps = node.look(id, |partition| {
                (partition.lag(peer), partition.behind(peer))
            });
            gaps.map_or(sum, |gap| (sum.0 + gap.0, sum.1 + gap.1))
        });
        let link = if node.is_linked(peer) { "up" } else { "down" };
        let name = node.topology.name(peer);
        line(
            out,
            format_args!("peer_{name}:link={link},lacks_events={lacks},has_more_events={behind}"),
        );
    }
    line(
        out,
        format_args!("forwarded:{}", load(&node.metrics.forwarded)),
    );
    for (name, counter) in [
        ("conditional_run", &node.metrics.conditional),
        ("conditional_run_away", &node.metrics.conditional_away),
        ("conditional_conflicts", &node.metrics.conditional_conflicts),
        ("session_gaps", &node.metrics.session_gaps),
    ] {
        line(out, format_args!("{name}:{}", load(counter)));
    }
    line(
        out,
        format_args!("in_doubt:{}", load(&node.metrics.in_doubt)),
    );
    line(
        out,
        format_args!("digest_mismatch:{}", load(&node.metrics.digest_mismatch)),
    );
    line(
        out,
        format_args!("conflicts:{}", load(&node.metrics.conflicts)),
    );
    line(
        out,
        format_args!(
            "snapshots_installed:{}",
            load(&node.metrics.snapshots_installed)
        ),
    );
}

fn keyspace(node: &Node, out: &mut String) {
    let keys = keys_here(node);
    if keys > 0 {
        line(out, format_args!("db0:keys={keys},expires=0,avg_ttl=0"));
    }
}
