//! EK.INSPECT's reply: what one replica holds of a key, as a map.

use bytes::Bytes;
use evenkeel_core::command::{InspectedCell, InspectedChain, InspectedVersion, Inspection};
use evenkeel_core::types::{Deadline, Total};
use evenkeel_resp::Reply;

use super::server::text;
use crate::node::Node;

/// The reply's fields for one replica.
pub(super) fn render(inspection: &Inspection, node: &Node) -> Reply {
    Reply::Map(vec![
        (text("incarnation"), text(node.incarnation.to_string())),
        (text("type"), inspection.type_name.map_or(Reply::Null, text)),
        (text("deadline-ms"), deadline(inspection.deadline)),
        (text("expired"), Reply::Boolean(inspection.expired)),
        (
            text("cells"),
            Reply::Array(inspection.cells.iter().map(cell).collect()),
        ),
        (text("cells-left-out"), number(inspection.left_out as u64)),
    ])
}

fn number(value: u64) -> Reply {
    Reply::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn bytes(value: &[u8]) -> Reply {
    Reply::Bulk(Bytes::copy_from_slice(value))
}

fn deadline(deadline: Deadline) -> Reply {
    if deadline == Deadline::NEVER {
        Reply::Null
    } else {
        number(deadline.0)
    }
}

fn cell(cell: &InspectedCell) -> Reply {
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
        (
            text("versions"),
            Reply::Array(cell.versions.iter().map(version).collect()),
        ),
        (
            text("chains"),
            Reply::Array(cell.chains.iter().map(chain).collect()),
        ),
        (text("overlay"), text(cell.overlay.to_string())),
    ])
}

fn version(version: &InspectedVersion) -> Reply {
    Reply::Map(vec![
        (text("dot"), text(version.dot.to_string())),
        (text("time-ms"), number(version.hlc.wall().0)),
        (text("deadline-ms"), deadline(version.deadline)),
        (text("value"), bytes(&version.value)),
    ])
}

fn chain(chain: &InspectedChain) -> Reply {
    let value = match chain.value {
        Total::Int(value) => text(value.to_string()),
        Total::Float(value) => text(value.to_string()),
    };
    Reply::Map(vec![
        (text("writer"), text(chain.id.actor.to_string())),
        (text("newest"), number(chain.top)),
        (text("adds"), value),
        (text("dead"), Reply::Boolean(chain.dead)),
    ])
}
