//! INFO: the sections of Redis, filled with what is true here, and `# Evenkeel`.

mod activity;

use std::fmt::Write as _;
use std::process;
use std::sync::atomic::Ordering;

use evenkeel_core::id::PartitionId;
use evenkeel_core::partition::Partition;

use super::pubsub::Space;
use super::run::Args;
use super::server::{REDIS_VERSION, keys_here, load};
use super::session::{Face, Session};
use crate::node::Node;

/// Writes one section.
type Section = fn(&Session, &mut String);

/// When a section is shown without being asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    ByDefault,
    WithAll,
}
use Shown::{ByDefault, WithAll};

/// The sections, in Redis' order, with their names and titles.
const SECTIONS: [(&str, &str, Shown, Section); 14] = [
    ("server", "Server", ByDefault, server),
    ("clients", "Clients", ByDefault, clients),
    ("memory", "Memory", ByDefault, memory),
    ("persistence", "Persistence", ByDefault, persistence),
    ("stats", "Stats", ByDefault, stats),
    ("replication", "Replication", ByDefault, replication),
    ("cpu", "CPU", ByDefault, cpu),
    ("modules", "Modules", ByDefault, |_, _| {}),
    ("commandstats", "Commandstats", WithAll, activity::commands),
    ("errorstats", "Errorstats", ByDefault, activity::errors),
    ("latencystats", "Latencystats", WithAll, activity::latencies),
    ("cluster", "Cluster", ByDefault, cluster),
    ("evenkeel", "Evenkeel", ByDefault, |session, out| {
        evenkeel(&session.node, out)
    }),
    ("keyspace", "Keyspace", ByDefault, keyspace),
];

/// The text for the sections asked for; those of the default when none is.
pub(super) fn render(session: &Session, args: Args<'_>) -> String {
    let wanted: Vec<Vec<u8>> = args[1..]
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    let asks = |names: &[&str]| {
        wanted
            .iter()
            .any(|wanted| names.iter().any(|name| name.as_bytes() == wanted))
    };
    let all = asks(&["all", "everything"]);
    let default = wanted.is_empty() || all || asks(&["default"]);
    let mut out = String::new();
    for (name, title, shown, section) in SECTIONS {
        if all || default && shown == ByDefault || asks(&[name]) {
            if !out.is_empty() {
                out.push_str("\r\n");
            }
            line(&mut out, format_args!("# {title}"));
            section(session, &mut out);
        }
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{text}\r\n");
}

/// Fields whose values are at hand.
fn fields(out: &mut String, fields: &[(&str, &dyn std::fmt::Display)]) {
    for (name, value) in fields {
        line(out, format_args!("{name}:{value}"));
    }
}

/// What Redis counts and does not happen here: tools read it, and zero is the truth.
fn zeros(out: &mut String, names: &[&str]) {
    for name in names {
        line(out, format_args!("{name}:0"));
    }
}

fn server(session: &Session, out: &mut String) {
    let node = &session.node;
    let uptime = node.started.elapsed().as_secs();
    let (mode, listen) = match (session.face, &node.config.cluster_listen) {
        (Face::Cluster, Some(listen)) => ("cluster", listen),
        _ => ("standalone", &node.config.listen),
    };
    let port = listen.rsplit(':').next().unwrap_or_default();
    let now = node.now();
    let executable = std::env::current_exe().unwrap_or_default();
    fields(
        out,
        &[
            ("redis_version", &REDIS_VERSION),
            ("redis_git_sha1", &"00000000"),
            ("redis_git_dirty", &0),
            (
                "redis_build_id",
                &format_args!("evenkeel-{}", env!("CARGO_PKG_VERSION")),
            ),
            ("redis_mode", &mode),
            (
                "os",
                &format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            ),
            ("arch_bits", &64),
            ("monotonic_clock", &"POSIX clock_gettime"),
            ("multiplexing_api", &"epoll"),
            ("process_id", &process::id()),
            ("process_supervised", &"no"),
            ("run_id", &format_args!("{:040x}", node.incarnation.0)),
            ("tcp_port", &port),
            (
                "server_time_usec",
                &(now.wall.0 * 1000 + now.instant.0 % 1000),
            ),
            ("uptime_in_seconds", &uptime),
            ("uptime_in_days", &(uptime / 86_400)),
            ("hz", &10),
            ("configured_hz", &10),
            ("lru_clock", &((now.wall.0 / 1000) & 0x00ff_ffff)),
            ("executable", &executable.display()),
            ("config_file", &""),
            ("io_threads_active", &0),
        ],
    );
}

fn clients(session: &Session, out: &mut String) {
    let front = &session.node.front;
    let all = front.clients.all();
    let paused = all.iter().filter(|client| client.is_paused()).count();
    let blocked = session.node.waiters.clients() + paused;
    fields(
        out,
        &[
            ("connected_clients", &all.len()),
            (
                "cluster_connections",
                &session.node.topology().others().count(),
            ),
            (
                "maxclients",
                &front.settings.clients_max.load(Ordering::Relaxed),
            ),
            ("client_recent_max_input_buffer", &0),
            ("client_recent_max_output_buffer", &0),
            ("blocked_clients", &blocked),
            ("tracking_clients", &0),
            ("clients_in_timeout_table", &0),
        ],
    );
}

/// As people read it: `1.23M`.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "K", "M", "G", "T"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes}B")
    } else {
        format!("{value:.2}{}", UNITS[unit])
    }
}

fn memory(session: &Session, out: &mut String) {
    let resident = resident_bytes();
    let settings = &session.node.front.settings;
    let limit = settings.bytes("maxmemory");
    let policy = settings.text("maxmemory-policy", "noeviction");
    let system = rustix::param::page_size() as u64 * physical_pages();
    fields(
        out,
        &[
            ("used_memory", &resident),
            ("used_memory_human", &human(resident)),
            ("used_memory_rss", &resident),
            ("used_memory_rss_human", &human(resident)),
            ("used_memory_peak", &resident),
            ("used_memory_peak_human", &human(resident)),
            ("used_memory_peak_perc", &"100.00%"),
            ("used_memory_overhead", &0),
            ("used_memory_startup", &0),
            ("used_memory_dataset", &resident),
            ("used_memory_dataset_perc", &"100.00%"),
            ("total_system_memory", &system),
            ("total_system_memory_human", &human(system)),
            ("used_memory_lua", &0),
            ("used_memory_lua_human", &"0B"),
            ("used_memory_scripts", &0),
            ("used_memory_scripts_human", &"0B"),
            ("number_of_cached_scripts", &0),
            ("number_of_functions", &0),
            ("number_of_libraries", &0),
            ("maxmemory", &limit),
            ("maxmemory_human", &human(limit)),
            ("maxmemory_policy", &policy),
            ("mem_fragmentation_ratio", &"1.00"),
            ("mem_fragmentation_bytes", &0),
            ("mem_allocator", &"mimalloc"),
        ],
    );
    zeros(
        out,
        &[
            "mem_not_counted_for_evict",
            "mem_replication_backlog",
            "mem_clients_slaves",
            "mem_clients_normal",
            "mem_cluster_links",
            "mem_aof_buffer",
            "active_defrag_running",
            "lazyfree_pending_objects",
            "lazyfreed_objects",
        ],
    );
}

fn physical_pages() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|total| total.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024 / rustix::param::page_size() as u64
}

/// Resident memory of this process, as the operating system counts it; 0 where it does not say.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .map_or(0, |pages| pages * rustix::param::page_size() as u64)
}

fn persistence(session: &Session, out: &mut String) {
    let node = &session.node;
    let writes = if node.wal.refusal().is_none() {
        "ok"
    } else {
        "err"
    };
    // There is no snapshot file: as if the last one were of the start.
    let minted = |id| node.look(id, Partition::minted).unwrap_or(0);
    let changes: u64 = node.held().map(minted).sum();
    let started = node.now().wall.0 / 1000 - node.started.elapsed().as_secs();
    fields(
        out,
        &[
            ("loading", &0),
            ("async_loading", &0),
            ("rdb_changes_since_last_save", &changes),
            ("rdb_bgsave_in_progress", &0),
            ("rdb_last_save_time", &started),
            ("rdb_last_bgsave_status", &"ok"),
            ("rdb_last_bgsave_time_sec", &-1),
            ("rdb_current_bgsave_time_sec", &-1),
            ("aof_enabled", &1),
            ("aof_rewrite_in_progress", &0),
            ("aof_rewrite_scheduled", &0),
            ("aof_last_rewrite_time_sec", &-1),
            ("aof_current_rewrite_time_sec", &-1),
            ("aof_last_bgrewrite_status", &"ok"),
            ("aof_last_write_status", &writes),
            ("evenkeel_log_appends", &load(&node.wal.appends)),
            (
                "evenkeel_log_appended_bytes",
                &load(&node.wal.appended_bytes),
            ),
        ],
    );
    let damaged = node.files.damaged.load(Ordering::Relaxed);
    line(out, format_args!("evenkeel_scrub_files_damaged:{damaged}"));
}

fn stats(session: &Session, out: &mut String) {
    let node = &session.node;
    let front = &node.front;
    let counts = front.counts(node);
    fields(
        out,
        &[
            ("total_connections_received", &counts.connections),
            ("total_commands_processed", &counts.commands),
            ("instantaneous_ops_per_sec", &front.pace(node)),
            ("rejected_connections", &counts.rejected),
            ("pubsub_channels", &front.hub.count_names(Space::Channels)),
            ("pubsub_patterns", &front.hub.count_names(Space::Patterns)),
            (
                "pubsubshard_channels",
                &front.hub.count_names(Space::Shards),
            ),
            ("total_error_replies", &counts.errors),
        ],
    );
    zeros(
        out,
        &[
            "total_net_input_bytes",
            "total_net_output_bytes",
            "instantaneous_input_kbps",
            "instantaneous_output_kbps",
            "sync_full",
            "sync_partial_ok",
            "sync_partial_err",
            "expired_keys",
            "evicted_keys",
            "evicted_clients",
            "keyspace_hits",
            "keyspace_misses",
            "latest_fork_usec",
            "total_forks",
            "migrate_cached_sockets",
            "tracking_total_keys",
            "tracking_total_items",
            "tracking_total_prefixes",
            "unexpected_error_replies",
        ],
    );
}

fn replication(session: &Session, out: &mut String) {
    // Every node takes writes; to a client of Redis that is a master without replicas.
    fields(
        out,
        &[
            ("role", &"master"),
            ("connected_slaves", &0),
            ("master_failover_state", &"no-failover"),
            (
                "master_replid",
                &format_args!("{:040x}", session.node.incarnation.0),
            ),
            ("master_replid2", &format_args!("{:040x}", 0)),
            ("master_repl_offset", &0),
            ("second_repl_offset", &-1),
            ("repl_backlog_active", &0),
            ("repl_backlog_size", &1_048_576),
            ("repl_backlog_first_byte_offset", &0),
            ("repl_backlog_histlen", &0),
        ],
    );
}

fn cpu(_: &Session, out: &mut String) {
    let (user, system) = activity::cpu_seconds();
    for (name, seconds) in [
        ("used_cpu_sys", system),
        ("used_cpu_user", user),
        ("used_cpu_sys_children", 0.0),
        ("used_cpu_user_children", 0.0),
        ("used_cpu_sys_main_thread", system),
        ("used_cpu_user_main_thread", user),
    ] {
        line(out, format_args!("{name}:{seconds:.6}"));
    }
}

fn cluster(session: &Session, out: &mut String) {
    let enabled = u8::from(session.face == Face::Cluster);
    line(out, format_args!("cluster_enabled:{enabled}"));
}

fn evenkeel(node: &Node, out: &mut String) {
    line(
        out,
        format_args!("evenkeel_version:{}", env!("CARGO_PKG_VERSION")),
    );
    line(out, format_args!("node:{}", node.config.node));
    line(out, format_args!("cluster:{:016x}", node.cluster));
    line(out, format_args!("incarnation:{:016x}", node.incarnation.0));
    line(out, format_args!("members:{}", node.topology().size()));
    line(out, format_args!("settled:{}", u8::from(node.is_settled())));
    let topology = std::sync::Arc::clone(&node.topology());
    line(
        out,
        format_args!("topology_epoch:{}", topology.document.epoch()),
    );
    let outside = |id: &PartitionId| topology.mine(*id).is_none();
    line(
        out,
        format_args!("guest_partitions:{}", node.held().filter(outside).count()),
    );
    for peer in node.topology().others() {
        let (lacks, behind) = node.held().fold((0, 0), |sum, id| {
            let gaps = node.look(id, |partition| {
                (partition.lag(peer), partition.behind(peer))
            });
            gaps.map_or(sum, |gap| (sum.0 + gap.0, sum.1 + gap.1))
        });
        let link = if node.is_linked(peer) { "up" } else { "down" };
        let name = node.topology().name(peer);
        let oldest = node.lag_age(peer).map_or(0, |age| age.as_millis());
        line(
            out,
            format_args!(
                "peer_{name}:link={link},lacks_events={lacks},has_more_events={behind},lacks_oldest_ms={oldest}"
            ),
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
        ("guest_commands", &node.metrics.guest_commands),
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
    told_by_observation(node, out);
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

/// Alarms, and how long own writes took until others held them.
fn told_by_observation(node: &Node, out: &mut String) {
    for alarm in node.mismatches.all() {
        let peer = node.topology().name(alarm.peer);
        line(
            out,
            format_args!(
                "digest_mismatch_{}_{peer}:node_digest={:032x},peer_digest={:032x},times={},seen_ms={}",
                alarm.partition.0, alarm.ours, alarm.theirs, alarm.times, alarm.at.0
            ),
        );
    }
    for figures in node.visibility.figures() {
        let peer = figures
            .peer
            .map_or_else(|| "all".to_owned(), |peer| node.topology().name(peer));
        line(
            out,
            format_args!(
                "visible_{peer}:events={},p50_ms={:.1},p99_ms={:.1},max_ms={:.1}",
                figures.events, figures.p50_ms, figures.p99_ms, figures.max_ms
            ),
        );
    }
}

fn keyspace(session: &Session, out: &mut String) {
    let keys = keys_here(&session.node);
    if keys > 0 {
        line(out, format_args!("db0:keys={keys},expires=0,avg_ttl=0"));
    }
}
