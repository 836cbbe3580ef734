//! Metrics as people and Grafana find them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cluster::Cluster;

const DASHBOARD: &str = include_str!("../../../../monitoring/grafana-dashboard.json");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/monitoring.md");

/// The words with which a help text says when to act.
const WHEN: [&str; 5] = ["High", "Growing", "growing", "Above zero", "0"];

/// Kind and help by name, and the names of all samples.
fn metrics(cluster: &Cluster) -> (BTreeMap<String, (String, String)>, BTreeSet<String>) {
    let (status, text) = cluster.nodes[0].http("/metrics");
    assert_eq!(status, 200);
    let mut described: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut samples = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            described.entry(name.to_owned()).or_default().1 = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            described.entry(name.to_owned()).or_default().0 = kind.to_owned();
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            samples.insert(name.to_owned());
        }
    }
    (described, samples)
}

#[test]
fn every_metric_has_help_that_says_when_to_act_and_stands_on_the_page() {
    let cluster = Cluster::start(2, &[]);
    let (described, _) = metrics(&cluster);
    let mut rows = Vec::new();
    for (name, (kind, help)) in &described {
        let (_, advice) = help
            .split_once(". ")
            .unwrap_or_else(|| panic!("{name} says nothing to do: {help}"));
        assert!(
            WHEN.iter().any(|word| advice.contains(word)) && advice.contains(": "),
            "{name} does not say when to act, and how: {help}"
        );
        rows.push(format!("| `{name}` | {kind} | {help} |"));
    }
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once("| --- | --- | --- |\n").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let wanted = format!(
        "{before}| --- | --- | --- |\n{}\n\n{after}",
        rows.join("\n")
    );
    if std::env::var("EVENKEEL_UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(PAGE, &wanted).unwrap();
        return;
    }
    assert_eq!(
        page, wanted,
        "write it anew: EVENKEEL_UPDATE_DOCS=1 cargo test -p evenkeel --test it monitoring"
    );
}

#[test]
fn every_metric_that_the_grafana_dashboard_asks_for_is_there() {
    let cluster = Cluster::start(2, &[]);
    let (_, samples) = metrics(&cluster);
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            for name in words.filter(|word| word.starts_with("evenkeel_")) {
                assert!(samples.contains(name), "{name} of {query} is no metric");
                asked += 1;
            }
        }
    }
    assert!(asked > 20, "{asked}");
}

#[test]
fn a_log_in_json_is_an_object_on_each_line_with_its_fields_beside_the_message() {
    let cluster = Cluster::start(2, &["--log-format", "json"]);
    let log = cluster.nodes[0].log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no object: {line}")))
        .collect();
    for line in &lines {
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert!(
            line["level"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
    let linked = lines.iter().find(|line| line["message"] == "linked");
    assert_eq!(linked.unwrap()["peer"], "B");
    let (status, said) = crate::node::Plan::new("X", std::path::Path::new("."))
        .with(&["--log-format", "xml"])
        .refused();
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("possible values: text, json"), "{said}");
}

/// What `evenkeel top` says of a cluster, asked at its first node.
fn top(cluster: &Cluster, flags: &[&str]) -> String {
    let address = cluster.nodes[0].plan.client_address();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["top", "--node", &address, "--once"])
        .args(flags)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn top_shows_each_node_who_lacks_what_and_who_is_silent() {
    let cluster = Cluster::start(3, &[]);
    cluster.run(0, "CONFIG SET slowlog-log-slower-than 0");
    cluster.run(0, "SET key value");
    cluster.await_converged();
    let text = top(&cluster, &[]);
    assert!(
        text.contains("converged: no replica lacks anything"),
        "{text}"
    );
    assert!(text.contains("SET key value"), "a slow command: {text}");
    assert!(
        !text.contains('\u{1b}'),
        "no escape codes without a terminal"
    );
    assert_eq!(cluster.run(0, "EK.FAULT MUTE *"), "OK");
    cluster.run(0, "SET key other");
    let look: Value = serde_json::from_str(&top(&cluster, &["--json"])).unwrap();
    let nodes = look["nodes"].as_array().unwrap();
    let names: Vec<&str> = nodes
        .iter()
        .map(|node| node["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["A", "B", "C"]);
    assert!(nodes.iter().all(|node| node["reachable"] == true), "{look}");
    assert_eq!(nodes[1]["keys"], 1);
    assert_eq!(look["divergence"]["missing-events"], 2);
    assert!(
        look["busiest"]
            .as_array()
            .unwrap()
            .iter()
            .any(|kind| kind["command"] == "set"),
        "{look}"
    );
    cluster.nodes[2].kill();
    let look: Value = serde_json::from_str(&top(&cluster, &["--json"])).unwrap();
    assert_eq!(look["nodes"][2]["reachable"], false);
    assert_eq!(look["divergence"]["unreachable"], true);
    let text = top(&cluster, &[]);
    assert!(text.contains("no answer"), "{text}");
}
