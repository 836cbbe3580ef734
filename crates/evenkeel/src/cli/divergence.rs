//! `evenkeel divergence`: what each node lacks of each other one, exactly.

use anyhow::Result;
use evenkeel_resp::Reply;

use super::table::columns;
use super::talk::{Dig as _, Talk};
use super::{NodeArg, say};

/// Flags of `evenkeel divergence`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  evenkeel divergence                          all data
  evenkeel divergence cart:17                  only the partition that holds this key
  evenkeel divergence --partitions             where something is missing
  evenkeel divergence --keys                   the keys that are not the same on every node, 100 at most
  evenkeel divergence --keys 5000 --json       more of them, for programs
  evenkeel divergence --node 127.0.0.1:7001    asked of another node

Row \"A has\", column \"B lacks\": how many events A has that B lacks. 0 everywhere: the replicas are equal, bit for bit.
'?': one of the two does not answer the node that was asked, so nothing exact can be said.

Below it, for each pair with something missing: the bytes to send, and for how long the oldest event has been missing.
VISIBLE: how long writes of the node that was asked took until others told that they hold them.

Exit status: 0 shown; 1 the node did not answer; 2 wrong use.")]
pub(super) struct Args {
    /// Only the partition of this key
    #[arg(conflicts_with_all = ["partitions", "keys"])]
    key: Option<String>,
    /// Also each partition in which something is missing
    #[arg(long, conflicts_with = "keys")]
    partitions: bool,
    /// Name the keys that differ, so many at most
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "100")]
    keys: Option<usize>,
    #[command(flatten)]
    node: NodeArg,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Asks and shows.
pub(super) fn run(args: &Args) -> Result<()> {
    let mut command = vec!["EK.DIVERGENCE".to_owned()];
    if let Some(key) = &args.key {
        command.extend(["KEY".to_owned(), key.clone()]);
    }
    if args.partitions {
        command.push("PARTITIONS".to_owned());
    }
    if let Some(count) = args.keys {
        command.extend(["KEYS".to_owned(), count.to_string()]);
    }
    let reply = Talk::open(&args.node.node)?.run(&command)?;
    if args.json {
        return say(&format!("{}\n", evenkeel::json::to_json(&reply)));
    }
    if args.keys.is_some() {
        return say(&differing(&reply));
    }
    say(&format!("{}\n{}\n", matrix(&reply, ""), verdict(&reply)))?;
    say(&details(&reply))
}

fn cell(value: &Reply) -> String {
    value.text().unwrap_or_else(|| "?".to_owned())
}

/// Bytes, ages, who holds what alone, where, and how long writes take: as far as there is something to tell.
fn details(reply: &Reply) -> String {
    let tables = [
        table(
            ["HAS", "LACKS", "EVENTS", "BYTES", "OLDEST MS"],
            missing(reply.field("pairs")).map(gap).collect(),
        ),
        told(reply.field("pairs")),
        alone(reply.field("held-by-one")),
        partitions(reply.field("partitions")),
        visible(reply.field("visible")),
        alarms(reply.field("digest-mismatches")),
    ];
    tables.concat()
}

fn table<const N: usize>(head: [&str; N], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head = head.map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    format!("\n{}", columns(&rows, ""))
}

fn positive(row: &Reply, name: &str) -> bool {
    row.field(name).number().is_some_and(|number| number > 0)
}

fn missing(pairs: &Reply) -> impl Iterator<Item = &Reply> {
    let pairs = pairs.items().iter();
    pairs.filter(|pair| positive(pair, "missing-events"))
}

fn cells<const N: usize>(row: &Reply, names: [&str; N]) -> Vec<String> {
    names.map(|name| cell(row.field(name))).to_vec()
}

/// What those lack that do not answer.
fn told(pairs: &Reply) -> String {
    let pairs = pairs.items().iter();
    let told = pairs.filter(|pair| positive(pair.field("by-last-advert"), "events"));
    let row = |pair: &Reply| {
        let mut row = cells(pair, ["from", "to"]);
        let told = pair.field("by-last-advert");
        row.extend(cells(told, ["events", "bytes", "oldest-ms"]));
        row
    };
    let head = [
        "HAS",
        "DOES NOT ANSWER",
        "EVENTS BY ITS LAST ADVERT",
        "BYTES",
        "OLDEST MS",
    ];
    table(head, told.map(row).collect())
}

fn alone(rows: &Reply) -> String {
    let rows = rows.items().iter().filter(|row| positive(row, "events"));
    let rows = rows.map(|row| cells(row, ["node", "events"]));
    table(["NODE", "EVENTS HELD BY NO OTHER"], rows.collect())
}

fn partitions(partitions: &Reply) -> String {
    let rows = partitions.items().iter().flat_map(|partition| {
        let number = cell(partition.field("partition"));
        let pairs = missing(partition.field("pairs")).map(gap);
        pairs.map(move |pair| std::iter::once(number.clone()).chain(pair).collect())
    });
    let head = ["PARTITION", "HAS", "LACKS", "EVENTS", "BYTES", "OLDEST MS"];
    table(head, rows.collect())
}

fn visible(rows: &Reply) -> String {
    let rows = rows.items().iter().filter(|row| positive(row, "events"));
    let row = |row: &Reply| {
        let mut cells = cells(row, ["peer", "events", "p50-ms", "p99-ms", "max-ms"]);
        if cells[0] == "*" {
            "all".clone_into(&mut cells[0]);
        }
        cells
    };
    let head = ["VISIBLE TO", "WRITES", "P50 MS", "P99 MS", "MAX MS"];
    table(head, rows.map(row).collect())
}

fn alarms(rows: &Reply) -> String {
    let names = ["partition", "peer", "node-digest", "peer-digest"];
    let rows = rows.items().iter().map(|row| cells(row, names));
    let head = [
        "ALARM: SAME EVENTS, OTHER CONTENT, IN PARTITION",
        "PEER",
        "DIGEST HERE",
        "DIGEST THERE",
    ];
    table(head, rows.collect())
}

fn gap(pair: &Reply) -> Vec<String> {
    let names = [
        "from",
        "to",
        "missing-events",
        "missing-bytes",
        "oldest-missing-ms",
    ];
    cells(pair, names)
}

/// The keys that differ, and between whom.
fn differing(reply: &Reply) -> String {
    let list = |names: &Reply, separator: &str| {
        let names = names.items().iter().map(cell);
        names.collect::<Vec<_>>().join(separator)
    };
    let rows = reply.field("keys").items().iter().map(|row| {
        let groups = row.field("same-on").items().iter();
        let groups: Vec<String> = groups.map(|group| list(group, " = ")).collect();
        vec![
            cell(row.field("key")),
            cell(row.field("partition")),
            groups.join(" | "),
        ]
    });
    let head = ["KEY", "PARTITION", "THE SAME ON"]
        .map(str::to_owned)
        .to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let mut out = if rows.len() == 1 {
        "no key differs\n".to_owned()
    } else {
        columns(&rows, "")
    };
    for (name, more) in [
        ("left-out", "keys more differ: --keys COUNT names them"),
        (
            "partitions-left-out",
            "partitions were not compared: too many keys may differ there, or a node did not answer",
        ),
    ] {
        if let Some(count) = reply.field(name).number().filter(|count| *count > 0) {
            out.push_str(&format!("{count} {more}\n"));
        }
    }
    let away = list(reply.field("unreachable"), ", ");
    if !away.is_empty() {
        out.push_str(&format!("not compared, for they do not answer: {away}\n"));
    }
    out
}

/// Who lacks how much of whom.
pub(crate) fn matrix(reply: &Reply, indent: &str) -> String {
    let pairs = reply.field("pairs").items();
    let mut names: Vec<String> = Vec::new();
    for pair in pairs {
        let from = pair.field("from").text().unwrap_or_default();
        if !names.contains(&from) {
            names.push(from);
        }
    }
    let cell = |from: &str, to: &str| {
        let named = |pair: &&Reply| {
            pair.field("from").text().as_deref() == Some(from)
                && pair.field("to").text().as_deref() == Some(to)
        };
        if from == to {
            return "-".to_owned();
        }
        let missing = pairs.iter().find(named);
        missing
            .and_then(|pair| pair.field("missing-events").text())
            .unwrap_or_else(|| "?".to_owned())
    };
    let lacks = names.iter().map(|name| format!("{name} lacks"));
    let head = std::iter::once(String::new()).chain(lacks);
    let rows = names.iter().map(|from| {
        let cells = names.iter().map(|to| cell(from, to));
        std::iter::once(format!("{from} has"))
            .chain(cells)
            .collect()
    });
    let rows: Vec<Vec<String>> = std::iter::once(head.collect()).chain(rows).collect();
    columns(&rows, indent)
}

/// In one line.
pub(crate) fn verdict(reply: &Reply) -> String {
    let missing = reply.field("missing-events").text().unwrap_or_default();
    if reply.field("converged").is_true() {
        "converged: no replica lacks anything".to_owned()
    } else if reply.field("unreachable").is_true() {
        format!(
            "not converged as far as known: {missing} events missing, and some pairs are not known"
        )
    } else {
        format!("not converged: {missing} events missing")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::talk::{bulk, map};

    fn pair(from: &'static str, to: &'static str, missing: Reply) -> Reply {
        map(&[
            ("from", bulk(from)),
            ("to", bulk(to)),
            ("missing-events", missing),
        ])
    }

    #[test]
    fn the_matrix_shows_what_is_known_and_marks_what_is_not() {
        let reply = map(&[
            ("converged", Reply::Boolean(false)),
            ("missing-events", Reply::Integer(12)),
            ("unreachable", Reply::Boolean(true)),
            (
                "pairs",
                Reply::Array(vec![
                    pair("A", "B", Reply::Integer(12)),
                    pair("B", "A", Reply::Null),
                ]),
            ),
        ]);
        assert_eq!(
            matrix(&reply, "  "),
            "         A lacks  B lacks\n  A has  -        12\n  B has  ?        -\n"
        );
        assert!(verdict(&reply).contains("some pairs are not known"));
    }

    #[test]
    fn a_single_node_has_no_pairs_and_is_converged() {
        let reply = map(&[
            ("converged", Reply::Boolean(true)),
            ("pairs", Reply::Array(Vec::new())),
        ]);
        assert_eq!(verdict(&reply), "converged: no replica lacks anything");
    }

    #[test]
    fn what_is_missing_is_told_with_bytes_age_and_who_holds_it_alone() {
        let mut away = pair("A", "C", Reply::Null);
        let told = map(&[
            ("events", Reply::Integer(4)),
            ("bytes", Reply::Integer(160)),
            ("oldest-ms", Reply::Integer(1400)),
        ]);
        if let Reply::Map(fields) = &mut away {
            fields.push((bulk("by-last-advert"), told));
        }
        let mut missing = pair("A", "B", Reply::Integer(7));
        if let Reply::Map(fields) = &mut missing {
            fields.push((bulk("missing-bytes"), Reply::Integer(210)));
            fields.push((bulk("oldest-missing-ms"), Reply::Integer(90)));
        }
        let alone = map(&[("node", bulk("A")), ("events", Reply::Integer(7))]);
        let reply = map(&[
            (
                "pairs",
                Reply::Array(vec![missing, pair("B", "A", Reply::Integer(0)), away]),
            ),
            ("held-by-one", Reply::Array(vec![alone])),
        ]);
        assert_eq!(
            details(&reply),
            "
HAS  LACKS  EVENTS  BYTES  OLDEST MS
A    B      7       210    90

HAS  DOES NOT ANSWER  EVENTS BY ITS LAST ADVERT  BYTES  OLDEST MS
A    C                4                          160    1400

NODE  EVENTS HELD BY NO OTHER
A     7
"
        );
        assert_eq!(details(&Reply::Null), "", "an older node says less");
    }

    #[test]
    fn keys_that_differ_are_told_with_who_holds_the_same() {
        let names =
            |names: &[&'static str]| Reply::Array(names.iter().map(|name| bulk(name)).collect());
        let key = map(&[
            ("key", bulk("cart")),
            ("partition", Reply::Integer(9)),
            (
                "same-on",
                Reply::Array(vec![names(&["A", "C"]), names(&["B"])]),
            ),
        ]);
        let reply = map(&[
            ("keys", Reply::Array(vec![key])),
            ("left-out", Reply::Integer(3)),
            ("partitions-left-out", Reply::Integer(0)),
            ("unreachable", names(&["D"])),
        ]);
        assert_eq!(
            differing(&reply),
            "KEY   PARTITION  THE SAME ON
cart  9          A = C | B
3 keys more differ: --keys COUNT names them
not compared, for they do not answer: D
"
        );
        assert_eq!(differing(&Reply::Null), "no key differs\n");
    }
}
