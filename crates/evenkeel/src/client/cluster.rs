//! CLUSTER: who holds which slots, for clients that route by them.
//!
//! Each slot names all its replicas in preference order, the first one that lives as its master: whatever a client picks serves
//! the request, and a request for any slot is served by any node. Commands about all keys answer for the whole cluster.

mod nodes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::command::{Keyspace, Run, SLOTS, lookup, slot};
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_resp::Reply;

use self::nodes::{Endpoint, Range, endpoint, node_id, ranges};
use super::run::{Args, Outcome, on_partition};
use super::server::{help, number, text, unknown_subcommand, verbatim};
use super::session::{Face, Session};
use crate::node::{Node, Nodes, Topology};

/// A peer's keys are waited for this long.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// Keys that GETKEYSINSLOT looks at and shows at most.
const KEYS_MAX: usize = 10_000;

const HELP: &[&str] = &[
    "COUNTKEYSINSLOT <slot>",
    "    Return the number of keys in <slot>.",
    "GETKEYSINSLOT <slot> <count>",
    "    Return key names stored by current node in a slot.",
    "INFO",
    "    Return information about the cluster.",
    "KEYSLOT <key>",
    "    Return the hash slot for <key>.",
    "LINKS",
    "    Return information about all network links between this node and its peers.",
    "MYID",
    "    Return the node id.",
    "NODES",
    "    Return cluster configuration seen by node.",
    "REPLICAS <node-id>",
    "    Return <node-id> replicas.",
    "SHARDS",
    "    Return information about slot range mappings and the nodes associated with them.",
    "SLOTS",
    "    Return information about slots range mappings: start, end, then each replica's",
    "    address and id in preference order.",
];

/// `CLUSTER subcommand …`.
pub(super) fn run(session: &Session, args: Args<'_>) -> Outcome {
    let sub = args[1].to_ascii_lowercase();
    let reply = match (&sub[..], &args[2..]) {
        // These two are about no cluster; Redis refuses them all the same where there is none.
        (b"help", []) => help("CLUSTER", HELP),
        (b"keyslot", [key]) => Reply::Integer(i64::from(slot(key))),
        _ if session.face == Face::Standalone => {
            Reply::error("ERR This instance has cluster support disabled")
        }
        (b"myid", []) => text(node_id(&session.node, session.node.me)),
        (b"info", []) => verbatim(info(&session.node)),
        (b"slots", []) => slots(session),
        (b"shards", []) => shards(session),
        (b"nodes", []) => verbatim(nodes::table(session)),
        (b"links", []) => links(&session.node),
        (b"replicas" | b"slaves", [id]) => replicas(session, id),
        (b"countkeysinslot", [wanted]) => match slot_number(wanted) {
            Ok(wanted) => return keys_in_slot(session, wanted, None),
            Err(reply) => reply,
        },
        (b"getkeysinslot", [wanted, count]) => match (slot_number(wanted), positive(count)) {
            (Ok(wanted), Ok(count)) => return keys_in_slot(session, wanted, Some(count)),
            (Err(reply), _) | (_, Err(reply)) => reply,
        },
        (
            b"addslots" | b"bumpepoch" | b"failover" | b"flushslots" | b"forget" | b"meet"
            | b"replicate" | b"reset" | b"saveconfig" | b"set-config-epoch" | b"setslot",
            _,
        ) => Reply::error(format!(
            "UNSUPPORTED CLUSTER {} would change who holds what, which --members decides here ; start the nodes with another member list",
            String::from_utf8_lossy(&sub).to_uppercase()
        )),
        _ => unknown_subcommand("CLUSTER", args[1]),
    };
    Outcome::Now(reply)
}

fn slot_number(text: &[u8]) -> Result<u16, Reply> {
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<i64>().ok());
    let slot = number.and_then(|number| u16::try_from(number).ok());
    slot.filter(|slot| *slot < SLOTS)
        .ok_or_else(|| Reply::error("ERR Invalid or out of range slot"))
}

fn positive(text: &[u8]) -> Result<usize, Reply> {
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<i64>().ok());
    number
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| Reply::error("ERR Invalid number of keys"))
}

/// The state is ok as long as some member of every partition can be reached.
fn info(node: &Node) -> String {
    let known = node.topology().size();
    let served = Topology::partitions()
        .filter(|partition| node.home(*partition).is_some())
        .count();
    let all = Topology::partitions().count();
    let slots = usize::from(SLOTS) * served / all;
    let state = if served == all { "ok" } else { "fail" };
    format!(
        "cluster_state:{state}\r\ncluster_slots_assigned:{SLOTS}\r\ncluster_slots_ok:{slots}\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:{}\r\ncluster_known_nodes:{known}\r\ncluster_size:{known}\r\ncluster_current_epoch:1\r\ncluster_my_epoch:1\r\ncluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n",
        usize::from(SLOTS) - slots,
    )
}

fn slots(session: &Session) -> Reply {
    let rows = ranges(&session.node).into_iter().map(|range| {
        let mut row = vec![number(range.first), number(range.last)];
        row.extend(
            range
                .replicas
                .iter()
                .filter_map(|node| slot_node(session, *node)),
        );
        if row.len() == 2 {
            // Nobody else is known yet; this node serves every slot.
            row.extend(slot_node(session, session.node.me));
        }
        Reply::Array(row)
    });
    Reply::Array(rows.collect())
}

fn slot_node(session: &Session, node: NodeId) -> Option<Reply> {
    let Endpoint { host, port } = endpoint(session, node)?;
    Some(Reply::Array(vec![
        text(host),
        number(port),
        text(node_id(&session.node, node)),
        Reply::Array(Vec::new()),
    ]))
}

/// One shard for each set of replicas in the same order: the slots that they hold.
fn shards(session: &Session) -> Reply {
    let mut shards: Vec<(Nodes, Vec<Reply>)> = Vec::new();
    for Range {
        first,
        last,
        replicas,
    } in ranges(&session.node)
    {
        let slots = [number(first), number(last)];
        match shards.iter_mut().find(|shard| shard.0 == replicas) {
            Some(shard) => shard.1.extend(slots),
            None => shards.push((replicas, slots.to_vec())),
        }
    }
    let rows = shards.into_iter().map(|(replicas, slots)| {
        let nodes = replicas.iter().enumerate();
        let nodes = nodes.filter_map(|(place, node)| shard_node(session, *node, place));
        Reply::Map(vec![
            (text("slots"), Reply::Array(slots)),
            (text("nodes"), Reply::Array(nodes.collect())),
        ])
    });
    Reply::Array(rows.collect())
}

fn shard_node(session: &Session, node: NodeId, place: usize) -> Option<Reply> {
    let Endpoint { host, port } = endpoint(session, node)?;
    let role = if place == 0 { "master" } else { "replica" };
    let health = if session.node.is_linked(node) {
        "online"
    } else {
        "fail"
    };
    Some(Reply::Map(vec![
        (text("id"), text(node_id(&session.node, node))),
        (text("port"), number(port)),
        (text("ip"), text(host.clone())),
        (text("endpoint"), text(host)),
        (text("role"), text(role)),
        (text("replication-offset"), Reply::Integer(0)),
        (text("health"), text(health)),
    ]))
}

fn links(node: &Node) -> Reply {
    let linked = node
        .topology()
        .others()
        .filter(|peer| node.is_linked(*peer));
    let rows = linked.map(|peer| {
        Reply::Map(vec![
            (text("direction"), text("to")),
            (text("node"), text(node_id(node, peer))),
            (text("create-time"), number(node.now().wall.0)),
            (text("events"), text("rw")),
            (text("send-buffer-allocated"), Reply::Integer(0)),
            (text("send-buffer-used"), Reply::Integer(0)),
        ])
    });
    Reply::Array(rows.collect())
}

fn replicas(session: &Session, id: &[u8]) -> Reply {
    let mut nodes = session.node.topology().nodes();
    let known = nodes.any(|node| node_id(&session.node, node).as_bytes() == id);
    if known {
        // Each node is the first in preference for some slots: to this command a master, without a replica of its own.
        Reply::Array(Vec::new())
    } else {
        let id = id.escape_ascii();
        Reply::error(format!("ERR Unknown node {id}"))
    }
}

/// How many keys a slot has, or at most `count` of them by name.
fn keys_in_slot(session: &Session, wanted: u16, count: Option<usize>) -> Outcome {
    let node = Arc::clone(&session.node);
    let work = async move {
        let partition = Topology::partition_of_slot(wanted);
        let Some(keys) = keys_of(&node, partition).await else {
            return Reply::error(
                "NOHOME no member that holds this slot can be reached from this node ; try another node",
            );
        };
        let in_slot = |key: &Reply| matches!(key, Reply::Bulk(key) if slot(key) == wanted);
        let keys = keys.into_iter().filter(in_slot);
        match count {
            None => number(keys.count()),
            Some(count) => Reply::Array(keys.take(count.min(KEYS_MAX)).collect()),
        }
    };
    Outcome::Later(Box::pin(work))
}

/// All keys of a partition that is held here.
fn keys_here_of(node: &Node, partition: PartitionId) -> Option<Vec<Reply>> {
    let Some(Run::OnEveryPartition { each, .. }) = lookup(b"keys").map(|spec| spec.run) else {
        return None;
    };
    let reply = node.with(partition, |replica, now, effects| {
        let mut keys = Keyspace::new(replica, now, crate::entropy::chance(), effects);
        each(&mut keys, &[b"keys", b"*"])
    });
    match reply {
        Some(Reply::Array(keys)) => Some(keys),
        _ => None,
    }
}

/// All keys of a partition, from the first member that answers.
async fn keys_of(node: &Arc<Node>, partition: PartitionId) -> Option<Vec<Reply>> {
    let command = [Bytes::from_static(b"KEYS"), Bytes::from_static(b"*")];
    let command = on_partition(partition, &command);
    if node.topology().serves(partition) {
        return keys_here_of(node, partition);
    }
    for member in node.topology().replicas(partition) {
        let asked = node.ask_command(member, command.clone(), ASK_TIMEOUT);
        if let Ok(Reply::Array(keys)) = asked.await {
            return Some(keys);
        }
    }
    None
}
