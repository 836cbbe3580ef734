//! A look as text for people and as JSON for programs.

use serde_json::{Value, json};

use super::sample::{Look, NodeLook};
use crate::cli::divergence::{matrix, verdict};
use crate::cli::table::columns;
use crate::cli::talk::Dig as _;

/// Slow commands that are shown.
const SLOW_SHOWN: usize = 8;
/// Characters of a slow command that are shown.
const COMMAND_CHARS: usize = 70;
/// Kinds of commands that are shown.
const BUSY_SHOWN: usize = 5;

const HEAD: [&str; 10] = [
    "NODE",
    "CLIENTS CONNECT TO",
    "OPS/S",
    "CLIENTS",
    "KEYS",
    "MEMORY",
    "UP",
    "PEERS LACK",
    "CONFLICTS",
    "ALARMS",
];

/// The whole, for people.
pub(super) fn text(look: &Look) -> String {
    let mut out = format!(
        "evenkeel top: cluster {}, asked at {}\n",
        look.cluster, look.asked
    );
    if let Some(why) = &look.stale {
        out.push_str(&format!("NO ANSWER, this is what was seen last: {why}\n"));
    }
    let rows = look.nodes.iter().map(node);
    let head = HEAD.map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    out.push_str(&format!("\n{}", columns(&rows, "")));
    out.push_str(&format!("\n{}\n", verdict(&look.divergence)));
    out.push_str(&matrix(&look.divergence, ""));
    let bytes = look.divergence.field("missing-bytes").number();
    let age = look.divergence.field("oldest-missing-ms").number();
    if let (Some(bytes), Some(age)) = (bytes.filter(|bytes| *bytes > 0), age) {
        out.push_str(&format!(
            "{bytes} bytes to send, the oldest event has been missing for {age} ms\n"
        ));
    }
    let visible = look.divergence.field("visible").items();
    let all = visible
        .iter()
        .find(|row| row.field("peer").text().as_deref() == Some("*"));
    if let Some(all) = all.filter(|all| all.field("events").number() > Some(0)) {
        let figure = |name| all.field(name).text().unwrap_or_default();
        out.push_str(&format!(
            "a write is held by every member after {} ms (p50), {} ms (p99), {} ms at most\n",
            figure("p50-ms"),
            figure("p99-ms"),
            figure("max-ms")
        ));
    }
    out.push_str(&busy(look));
    out.push_str(&slow(look));
    out
}

fn node(node: &NodeLook) -> Vec<String> {
    if node.info.is_none() {
        let client = if node.client.is_empty() {
            "-"
        } else {
            &node.client
        };
        return vec![node.name.clone(), client.to_owned(), "no answer".to_owned()];
    }
    let field = |name| node.field(name).unwrap_or("-").to_owned();
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    vec![
        node.name.clone(),
        node.client.clone(),
        field("instantaneous_ops_per_sec"),
        field("connected_clients"),
        number(node.keys()),
        field("used_memory_human"),
        node.number("uptime_in_seconds")
            .map_or_else(|| "-".to_owned(), span),
        number(node.lag()),
        field("conflicts"),
        field("digest_mismatch"),
    ]
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The kinds of commands that took most of the nodes' time since their starts.
fn busiest(look: &Look) -> Vec<(String, u64, u64)> {
    let mut kinds: std::collections::BTreeMap<&str, (u64, u64)> = Default::default();
    for (name, facts) in look
        .nodes
        .iter()
        .filter_map(|node| node.info.as_ref())
        .flatten()
    {
        let Some(command) = name.strip_prefix("cmdstat_") else {
            continue;
        };
        let fact = |wanted: &str| {
            let found = facts.split(',').find_map(|fact| fact.strip_prefix(wanted));
            found.and_then(|fact| fact.parse().ok()).unwrap_or(0)
        };
        let sum = kinds.entry(command).or_default();
        *sum = (sum.0 + fact("calls="), sum.1 + fact("usec="));
    }
    let named = |(name, (calls, usec)): (&str, (u64, u64))| (name.to_owned(), calls, usec);
    let mut kinds: Vec<_> = kinds.into_iter().map(named).collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.2));
    kinds.truncate(BUSY_SHOWN);
    kinds
}

fn busy(look: &Look) -> String {
    let rows = busiest(look).into_iter().map(|(name, calls, usec)| {
        let each = usec.checked_div(calls).unwrap_or(0);
        vec![
            name,
            calls.to_string(),
            format!("{each}"),
            format!("{}", usec / 1000),
        ]
    });
    table(["BUSIEST", "CALLS", "US EACH", "MS IN ALL"], rows.collect())
}

fn slow(look: &Look) -> String {
    let rows = look.slow.iter().take(SLOW_SHOWN).map(|slow| {
        let mut command: String = slow.command.chars().take(COMMAND_CHARS).collect();
        if command.len() < slow.command.len() {
            command.push('…');
        }
        let at = slow.at_seconds.saturating_mul(1000);
        let tenths = slow.micros / 100;
        vec![
            slow.node.clone(),
            format!("{}.{} ms", tenths / 10, tenths % 10),
            evenkeel::utc::readable(at),
            command,
        ]
    });
    table(["SLOW AT", "TOOK", "WHEN (UTC)", "COMMAND"], rows.collect())
}

fn table<const N: usize>(head: [&str; N], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head = head.map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    format!("\n{}", columns(&rows, ""))
}

/// The whole, for programs. Fields are added, never renamed.
pub(super) fn json(look: &Look) -> Value {
    let nodes = look.nodes.iter().map(|node| {
        json!({
            "name": node.name,
            "client": node.client,
            "reachable": node.info.is_some(),
            "ops_per_sec": node.number("instantaneous_ops_per_sec"),
            "commands_total": node.number("total_commands_processed"),
            "clients": node.number("connected_clients"),
            "keys": node.keys(),
            "memory_bytes": node.number("used_memory"),
            "uptime_s": node.number("uptime_in_seconds"),
            "peers_lack_events": node.lag(),
            "conflicts": node.number("conflicts"),
            "alarms": node.number("digest_mismatch"),
        })
    });
    let slow = look.slow.iter().map(|slow| {
        json!({
            "node": slow.node,
            "at_s": slow.at_seconds,
            "micros": slow.micros,
            "command": slow.command,
        })
    });
    let busiest = busiest(look)
        .into_iter()
        .map(|(command, calls, usec)| json!({"command": command, "calls": calls, "micros": usec}));
    json!({
        "cluster": look.cluster,
        "asked": look.asked,
        "nodes": nodes.collect::<Vec<_>>(),
        "divergence": evenkeel::json::to_json(&look.divergence),
        "busiest": busiest.collect::<Vec<_>>(),
        "slow": slow.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use evenkeel_resp::Reply;

    use super::super::sample::Slow;
    use super::*;
    use crate::cli::talk::{bulk, map};

    fn look() -> Look {
        let info = [
            ("instantaneous_ops_per_sec", "120"),
            ("connected_clients", "3"),
            ("used_memory_human", "10.00M"),
            ("uptime_in_seconds", "180"),
            ("db0", "keys=7,expires=0,avg_ttl=0"),
            ("peer_B", "link=up,lacks_events=4,has_more_events=0"),
            ("conflicts", "2"),
            ("digest_mismatch", "0"),
            ("cmdstat_get", "calls=10,usec=50,usec_per_call=5.00"),
        ];
        let info = info.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Look {
            asked: "127.0.0.1:7001".to_owned(),
            cluster: "c1".to_owned(),
            nodes: vec![
                NodeLook {
                    name: "A".to_owned(),
                    client: "127.0.0.1:7001".to_owned(),
                    info: Some(info.into_iter().collect()),
                },
                NodeLook {
                    name: "B".to_owned(),
                    ..NodeLook::default()
                },
            ],
            divergence: map(&[
                ("converged", Reply::Boolean(false)),
                ("missing-events", Reply::Integer(4)),
                (
                    "pairs",
                    Reply::Array(vec![
                        map(&[
                            ("from", bulk("A")),
                            ("to", bulk("B")),
                            ("missing-events", Reply::Integer(4)),
                        ]),
                        map(&[
                            ("from", bulk("B")),
                            ("to", bulk("A")),
                            ("missing-events", Reply::Integer(0)),
                        ]),
                    ]),
                ),
                ("missing-bytes", Reply::Integer(90)),
                ("oldest-missing-ms", Reply::Integer(1500)),
            ]),
            slow: vec![Slow {
                node: "A".to_owned(),
                at_seconds: 0,
                micros: 15_250,
                command: "SORT big".to_owned(),
            }],
            stale: None,
        }
    }

    #[test]
    fn people_see_nodes_gaps_and_slow_commands_on_one_page() {
        assert_eq!(
            text(&look()),
            "evenkeel top: cluster c1, asked at 127.0.0.1:7001

NODE  CLIENTS CONNECT TO  OPS/S      CLIENTS  KEYS  MEMORY  UP     PEERS LACK  CONFLICTS  ALARMS
A     127.0.0.1:7001      120        3        7     10.00M  3 min  4           2          0
B     -                   no answer

not converged: 4 events missing
       A lacks  B lacks
A has  -        4
B has  0        -
90 bytes to send, the oldest event has been missing for 1500 ms

BUSIEST  CALLS  US EACH  MS IN ALL
get      10     5        0

SLOW AT  TOOK     WHEN (UTC)               COMMAND
A        15.2 ms  1970-01-01 00:00:00.000  SORT big
"
        );
    }

    #[test]
    fn what_could_not_be_renewed_says_so() {
        let mut look = look();
        look.stale = Some("closed by the node".to_owned());
        assert!(text(&look).contains("NO ANSWER, this is what was seen last: closed by the node"));
    }

    #[test]
    fn programs_get_numbers_and_null_for_what_is_not_known() {
        let json = json(&look());
        assert_eq!(json["nodes"][0]["ops_per_sec"], 120);
        assert_eq!(json["nodes"][1]["reachable"], false);
        assert_eq!(json["nodes"][1]["keys"], Value::Null);
        assert_eq!(json["divergence"]["missing-events"], 4);
        assert_eq!(json["slow"][0]["micros"], 15_250);
    }
}
