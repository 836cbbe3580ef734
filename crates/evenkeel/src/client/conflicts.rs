//! `EK.CONFLICTS` and `EK.SIBLINGS`: what lost to a concurrent write, and what it lost to.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_core::causality::{Dot, Hlc};
use evenkeel_core::command::{InspectedCell, InspectedVersion, Keyspace};
use evenkeel_core::observation::{Met, Rival};
use evenkeel_core::types::{Deadline, Kind, Score};
use evenkeel_resp::{Reply, format_double};

use super::run::{Args, Outcome, owned, partition_of};
use super::server::text;
use crate::node::{Logged, Node};

/// Conflicts that are answered when the client does not say how many.
const COUNT_DEFAULT: usize = 10;

/// The name of the node that wrote with a dot, where it is known.
type Named<'a> = &'a dyn Fn(Dot) -> Option<String>;

fn named(node: &Node) -> impl Fn(Dot) -> Option<String> {
    move |dot| {
        let writer = node.writers.node(dot.actor)?;
        Some(node.topology().name(writer).to_owned())
    }
}

/// `EK.CONFLICTS [count]`: the newest first.
pub(super) fn conflicts(node: &Node, args: Args<'_>) -> Reply {
    let count = match args {
        [_] => Some(COUNT_DEFAULT),
        [_, count] => std::str::from_utf8(count)
            .ok()
            .and_then(|count| count.parse().ok()),
        _ => return Reply::error("ERR syntax error ; write EK.CONFLICTS [count]"),
    };
    let Some(count) = count else {
        return Reply::error("ERR value is out of range, must be positive");
    };
    let logged = node.conflicts.newest(count);
    let named = named(node);
    let entries = logged.iter().map(|logged| entry(logged, &named));
    Reply::Array(entries.collect())
}

fn entry(logged: &Logged, named: Named<'_>) -> Reply {
    let conflict = &logged.conflict;
    Reply::Map(vec![
        (text("time-ms"), number(logged.at.0)),
        (text("partition"), number(u64::from(logged.partition.0))),
        (text("key"), bytes(&conflict.key)),
        (text("conflict"), text(conflict.met.as_str())),
        (text("winner"), rival(&conflict.winner, conflict.met, named)),
        (text("loser"), rival(&conflict.loser, conflict.met, named)),
    ])
}

fn rival(rival: &Rival, met: Met, named: Named<'_>) -> Reply {
    let mut fields = vec![
        (text("kind"), text(kind(rival.kind))),
        (text("field"), bytes(&rival.field)),
        (text("value"), written_value(rival)),
    ];
    if met != Met::Deadlines {
        fields.push((text("value-bytes"), number(rival.bytes as u64)));
    }
    fields.extend(written(rival.dot, rival.hlc, named));
    Reply::Map(fields)
}

/// `EK.SIBLINGS key [field]`, on a node that holds the key.
pub(super) fn siblings(node: Arc<Node>, args: Args<'_>) -> Outcome {
    let partition = partition_of(args[1]);
    if node.topology().serves(partition) {
        return Outcome::Now(siblings_here(&node, args));
    }
    let args = owned(args);
    Outcome::Later(Box::pin(async move {
        super::run::forward_read(&node, partition, args).await
    }))
}

/// The same, asked by another node.
pub(super) fn siblings_here(node: &Node, args: Args<'_>) -> Reply {
    let (key, field) = match args {
        [_, key] => (*key, None),
        [_, key, field] => (*key, Some(*field)),
        _ => return Reply::error("ERR syntax error ; write EK.SIBLINGS key [field]"),
    };
    let found = node.with(partition_of(key), |replica, now, effects| {
        let keys = Keyspace::new(replica, now, crate::entropy::chance(), effects);
        keys.siblings(key, field)
    });
    let Some(cells) = found else {
        return Reply::error("NOHOME this node holds no replica of the key ; ask a member");
    };
    let named = named(node);
    let cells = cells.iter().map(|found| cell(found, &named));
    Reply::Array(cells.collect())
}

fn cell(cell: &InspectedCell, named: Named<'_>) -> Reply {
    let versions = cell.versions.iter();
    let versions = versions.map(|one| version(cell, one, named));
    Reply::Map(vec![
        (text("kind"), text(kind(cell.kind))),
        (text("field"), bytes(&cell.field)),
        (text("versions"), Reply::Array(versions.collect())),
    ])
}

fn version(cell: &InspectedCell, version: &InspectedVersion, named: Named<'_>) -> Reply {
    let shown = cell.winner == Some(version.dot);
    let mut fields = vec![
        (text("shown"), Reply::Boolean(shown)),
        (text("value"), value(cell.kind, &version.value)),
    ];
    fields.extend(written(version.dot, version.hlc, named));
    Reply::Map(fields)
}

/// Who wrote, and when.
fn written(dot: Dot, hlc: Hlc, named: Named<'_>) -> [(Reply, Reply); 4] {
    [
        (text("writer"), named(dot).map_or(Reply::Null, text)),
        (text("dot"), text(dot.to_string())),
        (text("time-ms"), number(hlc.wall().0)),
        (text("stamp"), text(hlc.to_string())),
    ]
}

fn kind(kind: Kind) -> String {
    format!("{kind:?}").to_lowercase()
}

/// A deadline in milliseconds, null where it is never; everything else as it was written.
fn value(kind: Kind, value: &[u8]) -> Reply {
    if kind != Kind::Deadline {
        return bytes(value);
    }
    match Deadline::from_value(value) {
        Deadline::NEVER => Reply::Null,
        deadline => number(deadline.0),
    }
}

/// The value of a rival, whose score is not text yet.
fn written_value(rival: &Rival) -> Reply {
    if rival.kind == Kind::SortedSet {
        let score = Score::from_value(&rival.value).number();
        return bytes(format_double(score).as_bytes());
    }
    value(rival.kind, &rival.value)
}

fn number(value: u64) -> Reply {
    Reply::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn bytes(value: &[u8]) -> Reply {
    Reply::Bulk(Bytes::copy_from_slice(value))
}

#[cfg(test)]
mod tests {
    use evenkeel_core::id::{ActorId, PartitionId};
    use evenkeel_core::observation::Conflict;
    use evenkeel_core::time::WallMs;
    use evenkeel_resp::{Protocol, ReplyWriter};

    use super::*;

    fn bytes_of(reply: &Reply, protocol: Protocol) -> String {
        let mut out = Vec::new();
        ReplyWriter::new(&mut out, protocol).reply(reply);
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    }

    fn side(actor: u64, value: &str) -> Rival {
        Rival {
            kind: Kind::Hash,
            field: b"f"[..].into(),
            dot: Dot::new(ActorId(actor), 7),
            hlc: Hlc(5 << 16),
            value: value.as_bytes().into(),
            bytes: 300,
        }
    }

    const NAMED: Named<'_> = &|dot: Dot| (dot.actor == ActorId(1)).then(|| "A".to_owned());

    #[test]
    fn a_logged_conflict_has_these_bytes_in_both_protocols() {
        let logged = Logged {
            at: WallMs(99),
            partition: PartitionId(3),
            conflict: Conflict {
                key: b"k"[..].into(),
                met: Met::Values,
                winner: side(1, "new"),
                loser: side(2, "old"),
            },
        };
        let reply = entry(&logged, NAMED);
        let side = |value: &str, writer: &str, dot: &str| {
            format!(
                "$4 kind $4 hash $5 field $1 f $5 value $3 {value} $11 value-bytes :300 \
                 $6 writer {writer} $3 dot {dot} $7 time-ms :5 $5 stamp $3 5.0 "
            )
        };
        let dots = [1, 2].map(|actor| Dot::new(ActorId(actor), 7).to_string());
        let dots = dots.map(|dot| format!("${} {dot}", dot.len()));
        assert_eq!(
            bytes_of(&reply, Protocol::Resp3),
            format!(
                "%6 $7 time-ms :99 $9 partition :3 $3 key $1 k $8 conflict $5 value $6 winner %8 {}$5 loser %8 {}",
                side("new", "$1 A", &dots[0]),
                side("old", "_", &dots[1])
            )
        );
        assert_eq!(
            bytes_of(&reply, Protocol::Resp2),
            format!(
                "*12 $7 time-ms :99 $9 partition :3 $3 key $1 k $8 conflict $5 value $6 winner *16 {}$5 loser *16 {}",
                side("new", "$1 A", &dots[0]),
                side("old", "$-1", &dots[1])
            )
        );
    }
}
