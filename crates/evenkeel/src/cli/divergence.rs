//! `evenkeel divergence`: how many events each node lacks of each other one, exactly.

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
  evenkeel divergence --node 127.0.0.1:7001    asked of another node

Row \"A has\", column \"B lacks\": how many events A has that B lacks. 0 everywhere: the replicas are equal, bit for bit.
'?': one of the two does not answer the node that was asked, so nothing exact can be said.

Exit status: 0 shown; 1 the node did not answer; 2 wrong use.")]
pub(super) struct Args {
    /// Only the partition of this key
    key: Option<String>,
    #[command(flatten)]
    node: NodeArg,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Asks and shows.
pub(super) fn run(args: &Args) -> Result<()> {
    let command: Vec<&str> = std::iter::once("EK.DIVERGENCE")
        .chain(args.key.as_deref())
        .collect();
    let reply = Talk::open(&args.node.node)?.run(&command)?;
    if args.json {
        return say(&format!("{}\n", evenkeel::json::to_json(&reply)));
    }
    say(&format!("{}\n{}\n", matrix(&reply, ""), verdict(&reply)))
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

fn verdict(reply: &Reply) -> String {
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
}
