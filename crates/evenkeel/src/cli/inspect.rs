//! `evenkeel inspect`: what every replica holds of a key, and why it shows what it shows.

use anyhow::Result;
use evenkeel::utc::readable as utc;
use evenkeel_resp::Reply;

use super::table::columns;
use super::talk::{Dig as _, Talk};
use super::{NodeArg, say};

/// Flags of `evenkeel inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  evenkeel inspect greeting                              a string
  evenkeel inspect cart:17                               every member of a set, every field of a hash
  evenkeel inspect cart:17 apples                        one of them
  evenkeel inspect visits --node 127.0.0.1:7001 --json   a counter, asked of one node, for programs

One line per node and cell: the value that readers get there, the event that wrote it and the node that did (WINNER),
when, and why it won.
Below a line: values of concurrent writes that lost, and what each writer has added to a counter.

Exit status: 0 shown; 1 the node did not answer; 2 wrong use.")]
pub(super) struct Args {
    /// The key
    key: String,
    /// One member of a set or field of a hash
    field: Option<String>,
    #[command(flatten)]
    node: NodeArg,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Asks and shows.
pub(super) fn run(args: &Args) -> Result<()> {
    let command: Vec<&str> = ["EK.INSPECT", &args.key]
        .into_iter()
        .chain(args.field.as_deref())
        .collect();
    let reply = Talk::open(&args.node.node)?.run(&command)?;
    if args.json {
        return say(&format!("{}\n", evenkeel::json::to_json(&reply)));
    }
    say(&render(&reply))
}

const HEAD: [&str; 8] = [
    "NODE",
    "REACHABLE",
    "TYPE",
    "FIELD",
    "VALUE",
    "WINNER",
    "TIME (UTC)",
    "WHY",
];

fn render(reply: &Reply) -> String {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    let mut notes = Vec::new();
    let mut replicas: Vec<&Reply> = reply.field("replicas").items().iter().collect();
    replicas.sort_by_key(|replica| replica.field("node").text());
    let writers = Writers(&replicas);
    for replica in &replicas {
        rows_of(replica, writers, &mut rows, &mut notes);
    }
    let mut out = format!(
        "key {}, slot {}, partition {}\n\n{}",
        reply.field("key").text().unwrap_or_default(),
        reply.field("slot").text().unwrap_or_default(),
        reply.field("partition").text().unwrap_or_default(),
        columns(&rows, "")
    );
    if !notes.is_empty() {
        out.push('\n');
        out.push_str(&columns(&notes, ""));
    }
    out
}

fn dash(reply: &Reply) -> String {
    reply
        .text()
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "-".to_owned())
}

/// The replicas, to tell which node an event's actor is.
#[derive(Clone, Copy)]
struct Writers<'a>(&'a [&'a Reply]);

impl Writers<'_> {
    /// The event of a version, and the node that wrote it.
    fn of(self, version: &Reply) -> String {
        match version.field("writer").text() {
            Some(node) => format!("{} ({node})", dash(version.field("dot"))),
            None => self.named(version.field("dot")),
        }
    }

    /// The writer of a chain.
    fn of_chain(self, chain: &Reply) -> String {
        match chain.field("node").text() {
            Some(node) => format!("{} ({node})", dash(chain.field("writer"))),
            None => self.named(chain.field("writer")),
        }
    }

    /// `f27d:3 (A)`: the event, and the node whose present start wrote it. Only the event for an earlier start.
    fn named(self, event: &Reply) -> String {
        let event = dash(event);
        let actor = event.split(':').next();
        let wrote = |replica: &&&Reply| replica.field("incarnation").text().as_deref() == actor;
        match self.0.iter().find(wrote) {
            Some(replica) => format!("{event} ({})", dash(replica.field("node"))),
            None => event,
        }
    }
}

/// A value as people read it: an expiry is kept as milliseconds in 8 bytes.
fn value(cell: &Reply, value: &Reply) -> String {
    let is_deadline = cell.field("kind").text().as_deref() == Some("deadline");
    match value {
        Reply::Bulk(bytes) if is_deadline => {
            let ms = <[u8; 8]>::try_from(&bytes[..]).map(i64::from_be_bytes);
            ms.map_or_else(|_| dash(value), utc)
        }
        _ => dash(value),
    }
}

fn rows_of(
    replica: &Reply,
    writers: Writers<'_>,
    rows: &mut Vec<Vec<String>>,
    notes: &mut Vec<Vec<String>>,
) {
    let name = dash(replica.field("node"));
    let reachable = replica.field("reachable").is_true();
    let cells = replica.field("cells").items();
    if cells.is_empty() {
        let why = if !reachable {
            "no answer from this node"
        } else if replica.field("expired").is_true() {
            "expired"
        } else {
            "holds nothing of the key"
        };
        rows.push(row(replica, writers, &Reply::Null, why));
    }
    for cell in cells {
        let why = dash(cell.field("why"));
        let chains = cell.field("chains").items();
        let why = if let Some(because) = cell.field("because").text() {
            because
        } else if chains.is_empty() {
            why
        } else if cell.field("versions").items().is_empty() {
            "sum of its writers".to_owned()
        } else {
            format!("{why}, plus its writers")
        };
        rows.push(row(replica, writers, cell, &why));
        notes_of(&name, writers, cell, notes);
    }
    if let Some(more) = replica.field("cells-left-out").number().filter(|n| *n > 0) {
        notes.push(vec![
            name,
            format!("{more} more are not shown; ask for one: evenkeel inspect KEY FIELD"),
        ]);
    }
}

fn row(replica: &Reply, writers: Writers<'_>, cell: &Reply, why: &str) -> Vec<String> {
    let winner = cell.field("winner");
    let won = |version: &&Reply| version.field("dot") == winner;
    let written = cell.field("versions").items().iter().find(won);
    let winner = written.map_or_else(|| writers.named(winner), |version| writers.of(version));
    let time = written.and_then(|version| version.field("time-ms").number());
    let kind = dash(cell.field("kind"));
    let deadline = kind == "deadline";
    vec![
        dash(replica.field("node")),
        dash(replica.field("reachable")),
        dash(replica.field("type")),
        if deadline {
            "(expiry)".to_owned()
        } else {
            dash(cell.field("field"))
        },
        value(cell, cell.field("value")),
        winner,
        time.map_or_else(|| "-".to_owned(), utc),
        why.to_owned(),
    ]
}

fn notes_of(name: &str, writers: Writers<'_>, cell: &Reply, notes: &mut Vec<Vec<String>>) {
    let winner = cell.field("winner");
    let field = cell.field("field").text().unwrap_or_default();
    let place = if field.is_empty() {
        name.to_owned()
    } else {
        format!("{name} {field}")
    };
    let lost = |version: &&Reply| winner != &Reply::Null && version.field("dot") != winner;
    for version in cell.field("versions").items().iter().filter(lost) {
        notes.push(vec![
            place.clone(),
            format!("lost: {}", value(cell, version.field("value"))),
            format!("written by {}", writers.of(version)),
            version
                .field("time-ms")
                .number()
                .map_or_else(|| "-".to_owned(), utc),
        ]);
    }
    let live = |chain: &&Reply| !chain.field("dead").is_true();
    for chain in cell.field("chains").items().iter().filter(live) {
        notes.push(vec![
            place.clone(),
            format!("adds {}", dash(chain.field("adds"))),
            format!(
                "by {}, newest {}",
                writers.of_chain(chain),
                dash(chain.field("newest"))
            ),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::talk::{bulk, map};

    fn version(dot: &'static str, time_ms: i64, value: &'static str) -> Reply {
        map(&[
            ("dot", bulk(dot)),
            ("time-ms", Reply::Integer(time_ms)),
            ("value", bulk(value)),
        ])
    }

    fn replica(node: &'static str, type_name: &'static str, cell: Reply) -> Reply {
        map(&[
            ("node", bulk(node)),
            ("reachable", Reply::Boolean(true)),
            ("incarnation", bulk("aa")),
            ("type", bulk(type_name)),
            ("cells", Reply::Array(vec![cell])),
        ])
    }

    fn answer(key: &'static str, replicas: Vec<Reply>) -> Reply {
        map(&[
            ("key", bulk(key)),
            ("slot", Reply::Integer(70)),
            ("partition", Reply::Integer(1)),
            ("replicas", Reply::Array(replicas)),
        ])
    }

    #[test]
    fn a_string_shows_its_winner_what_lost_and_who_does_not_answer() {
        let cell = map(&[
            ("kind", bulk("string")),
            ("field", bulk("")),
            ("value", bulk("late")),
            ("winner", bulk("c:2")),
            ("why", bulk("newest stamp among concurrent versions")),
            (
                "versions",
                Reply::Array(vec![version("aa:1", 0, "early"), version("c:2", 1, "late")]),
            ),
        ]);
        let away = map(&[("node", bulk("B")), ("reachable", Reply::Boolean(false))]);
        let shown = render(&answer("motto", vec![replica("A", "string", cell), away]));
        assert_eq!(
            shown,
            "key motto, slot 70, partition 1

NODE  REACHABLE  TYPE    FIELD  VALUE  WINNER  TIME (UTC)               WHY
A     yes        string  -      late   c:2     1970-01-01 00:00:00.001  newest stamp among concurrent versions
B     no         -       -      -      -       -                        no answer from this node

A  lost: early  written by aa:1 (A)  1970-01-01 00:00:00.000
"
        );
    }

    #[test]
    fn a_counter_shows_what_each_writer_has_added() {
        let chain = map(&[
            ("writer", bulk("aa")),
            ("newest", Reply::Integer(3)),
            ("adds", bulk("3")),
            ("dead", Reply::Boolean(false)),
        ]);
        let cell = map(&[
            ("kind", bulk("string")),
            ("field", bulk("")),
            ("value", bulk("3")),
            ("why", bulk("no version")),
            ("chains", Reply::Array(vec![chain])),
        ]);
        let shown = render(&answer("visits", vec![replica("A", "string", cell)]));
        assert!(shown.contains("sum of its writers"), "{shown}");
        assert!(
            shown.ends_with("\nA  adds 3  by aa (A), newest 3\n"),
            "{shown}"
        );
    }

    #[test]
    fn an_expiry_is_shown_as_a_date() {
        let cell = map(&[("kind", bulk("deadline"))]);
        let stored = Reply::bulk(1_795_392_598_264_i64.to_be_bytes().to_vec());
        assert_eq!(value(&cell, &stored), "2026-11-23 00:09:58.264");
        assert_eq!(value(&Reply::Null, &bulk("v")), "v");
    }
}
