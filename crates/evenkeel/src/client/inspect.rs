//! EK.INSPECT: what every replica holds of a key, all asked side by side, and why each shows what it shows.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::command::{
    InspectedCell, InspectedChain, InspectedVersion, Inspection, Keyspace, Why, slot,
};
use evenkeel_core::id::{ActorId, NodeId};
use evenkeel_core::types::{Deadline, Total};
use evenkeel_resp::Reply;

use super::run::{Args, Outcome, owned};
use super::server::text;
use crate::node::{Node, Topology, join_all};
use crate::utc;

/// How long a replica may take to describe a key; longer than a link may be silent before it counts as down.
const TIMEOUT: Duration = Duration::from_millis(2_500);

/// `EK.INSPECT key [field]`: every replica's view, reachable or not.
pub(super) fn run(node: Arc<Node>, args: Args<'_>) -> Outcome {
    let partition = Topology::partition_of_slot(slot(args[1]));
    let args = owned(args);
    Outcome::Later(Box::pin(async move {
        let replicas = node.topology().replicas(partition);
        let asked = replicas.iter().map(|replica| view(&node, *replica, &args));
        let views = join_all(asked.collect()).await;
        Reply::Map(vec![
            (text("key"), Reply::Bulk(args[1].clone())),
            (text("slot"), number(u64::from(slot(&args[1])))),
            (text("partition"), number(u64::from(partition.0))),
            (text("replicas"), Reply::Array(views)),
        ])
    }))
}

async fn view(node: &Node, replica: NodeId, args: &[Bytes]) -> Reply {
    let told = if replica == node.me {
        Some(own(node, args))
    } else {
        let asked = node.ask_command(replica, args.to_vec(), TIMEOUT);
        asked.await.ok()
    };
    let mut fields = vec![
        (text("node"), text(node.topology().name(replica))),
        (text("reachable"), Reply::Boolean(told.is_some())),
    ];
    if let Some(Reply::Map(more)) = told {
        fields.extend(more);
    }
    Reply::Map(fields)
}

/// What this node alone holds of a key: the command and its arguments as in EK.INSPECT.
pub(crate) fn own(node: &Node, args: &[Bytes]) -> Reply {
    let borrowed: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
    here(node, &borrowed)
}

/// The same, asked by another node.
pub(super) fn here(node: &Node, args: Args<'_>) -> Reply {
    let Some(key) = args.get(1) else {
        return Reply::error("ERR wrong number of arguments for 'ek.inspect' command");
    };
    let partition = Topology::partition_of_slot(slot(key));
    let found = node.with(partition, |replica, now, effects| {
        let keyspace = Keyspace::new(replica, now, crate::entropy::chance(), effects);
        keyspace.inspect(key, args.get(2).copied())
    });
    let name = |actor: ActorId| match node.writers.node(actor) {
        Some(writer) => node.topology().name(writer).to_owned(),
        None => actor.to_string(),
    };
    match found {
        Some(inspection) => render(&inspection, node.incarnation, &name),
        None => Reply::error("NOHOME this node holds no replica of the key ; ask a member"),
    }
}

/// The node of an actor; the actor itself where that is not known.
type Named<'a> = &'a dyn Fn(ActorId) -> String;

fn render(inspection: &Inspection, incarnation: ActorId, named: Named<'_>) -> Reply {
    let cells = inspection.cells.iter().map(|one| cell(one, named));
    Reply::Map(vec![
        (text("incarnation"), text(incarnation.to_string())),
        (text("type"), inspection.type_name.map_or(Reply::Null, text)),
        (text("deadline-ms"), deadline(inspection.deadline)),
        (text("deadline"), deadline_text(inspection.deadline)),
        (text("expired"), Reply::Boolean(inspection.expired)),
        (text("cells"), Reply::Array(cells.collect())),
        (text("cells-left-out"), number(inspection.left_out as u64)),
    ])
}

fn number(value: u64) -> Reply {
    Reply::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn bytes(value: &[u8]) -> Reply {
    Reply::Bulk(Bytes::copy_from_slice(value))
}

fn time(ms: u64) -> String {
    utc::iso(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn deadline(deadline: Deadline) -> Reply {
    if deadline == Deadline::NEVER {
        Reply::Null
    } else {
        number(deadline.0)
    }
}

fn deadline_text(deadline: Deadline) -> Reply {
    if deadline == Deadline::NEVER {
        Reply::Null
    } else {
        text(time(deadline.0))
    }
}

fn cell(cell: &InspectedCell, named: Named<'_>) -> Reply {
    let shown = usize::from(cell.winner.is_some());
    let siblings = cell.versions.len().saturating_sub(shown);
    let versions = cell.versions.iter().map(|one| version(one, named));
    let chains = cell.chains.iter().map(|one| chain(one, named));
    Reply::Map(vec![
        (
            text("kind"),
            text(format!("{:?}", cell.kind).to_lowercase()),
        ),
        (text("field"), bytes(&cell.field)),
        (
            text("value"),
            cell.shown.as_deref().map_or(Reply::Null, bytes),
        ),
        (
            text("winner"),
            cell.winner.map_or(Reply::Null, |dot| text(dot.to_string())),
        ),
        (text("why"), text(cell.why.as_str())),
        (text("because"), text(because(cell, named))),
        (text("siblings"), number(siblings as u64)),
        (text("versions"), Reply::Array(versions.collect())),
        (text("chains"), Reply::Array(chains.collect())),
        (text("overlay"), text(cell.overlay.to_string())),
    ])
}

/// Why the cell shows what it shows, in a sentence.
fn because(cell: &InspectedCell, named: Named<'_>) -> String {
    let adding = cell.chains.iter().filter(|chain| !chain.dead).count();
    let sum = match adding {
        0 => String::new(),
        1 => ", plus what one writer has added".to_owned(),
        more => format!(", plus what {more} writers have added"),
    };
    let won = cell
        .versions
        .iter()
        .find(|one| cell.winner == Some(one.dot));
    let Some(won) = won else {
        return match (cell.why, adding) {
            (Why::Hidden, _) => {
                "not shown: the key shows another type, or its deadline has passed".to_owned()
            }
            (_, 0) => "nothing to show".to_owned(),
            (_, 1) => "what one writer has added".to_owned(),
            (_, more) => format!("the sum of what {more} writers have added"),
        };
    };
    let others: Vec<String> = cell
        .versions
        .iter()
        .filter(|one| one.dot != won.dot)
        .map(|one| named(one.dot.actor))
        .collect();
    let (writer, when) = (named(won.dot.actor), time(won.hlc.wall().0));
    let others = others.join(", ");
    match cell.why {
        Why::NewestStamp => format!(
            "{writer} wrote it at {when}, the newest of concurrent versions; the others are by {others}{sum}"
        ),
        Why::GreatestActor => format!(
            "{writer} wrote it at {when}, as others their concurrent versions; of these the greatest actor shows; the others are by {others}{sum}"
        ),
        Why::LatestDeadline => format!(
            "{writer} set it at {when}, the latest of concurrent deadlines; the others are by {others}"
        ),
        _ if others.is_empty() => {
            format!("{writer} wrote it at {when}, having seen all earlier versions{sum}")
        }
        _ => format!(
            "{writer} wrote it at {when}; the concurrent versions by {others} have expired{sum}"
        ),
    }
}

fn version(version: &InspectedVersion, named: Named<'_>) -> Reply {
    let ms = version.hlc.wall().0;
    Reply::Map(vec![
        (text("dot"), text(version.dot.to_string())),
        (text("writer"), text(named(version.dot.actor))),
        (text("time-ms"), number(ms)),
        (text("time"), text(time(ms))),
        (text("deadline-ms"), deadline(version.deadline)),
        (text("value"), bytes(&version.value)),
    ])
}

fn chain(chain: &InspectedChain, named: Named<'_>) -> Reply {
    let value = match chain.value {
        Total::Int(value) => text(value.to_string()),
        Total::Float(value) => text(value.to_string()),
    };
    Reply::Map(vec![
        (text("writer"), text(chain.id.actor.to_string())),
        (text("node"), text(named(chain.id.actor))),
        (text("newest"), number(chain.top)),
        (text("adds"), value),
        (text("dead"), Reply::Boolean(chain.dead)),
    ])
}
