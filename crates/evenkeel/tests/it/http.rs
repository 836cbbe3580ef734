//! The HTTP face.

use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::node::Plan;

#[test]
fn the_health_checks_and_metrics_answer_and_show_a_peer_that_is_down() {
    let cluster = Cluster::start(3, &[]);
    let node = &cluster.nodes[0];
    assert_eq!(node.http("/livez"), (200, "ok\n".to_owned()));
    let (status, ready) = node.http("/readyz");
    assert_eq!(status, 200);
    assert!(
        ready.starts_with("ready\n") && ready.contains("peer B: link up"),
        "{ready}"
    );
    let (status, metrics) = node.http("/metrics");
    assert_eq!(status, 200);
    for line in [
        "evenkeel_link_up{peer=\"B\"} 1",
        "evenkeel_lag_events{peer=\"C\"} 0",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} is not in\n{metrics}"
        );
    }
    assert_eq!(node.http("/nowhere").0, 404);
    cluster.nodes[1].kill();
    crate::support::eventually(
        std::time::Duration::from_secs(5),
        "B is seen to be down",
        || {
            node.http("/readyz")
                .1
                .contains("peer B: link down")
                .then_some(())
        },
    );
    assert_eq!(
        node.http("/readyz").0,
        200,
        "a peer that is down makes no node unready"
    );
}

#[test]
fn every_path_of_the_api_document_answers_with_all_the_fields_it_names() {
    let cluster = Cluster::start(3, &[]);
    let node = &cluster.nodes[0];
    cluster.run(0, "SET key value");
    let (status, text) = node.http("/api/v1/openapi.json");
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&text).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 7, "{paths:?}");
    for (path, methods) in paths {
        let Some(get) = methods.get("get") else {
            continue;
        };
        let (status, text) = node.http(&format!("{path}?key=key"));
        assert_eq!(status, 200, "{path}: {text}");
        if get["responses"]["200"]["content"]["application/json"].is_null() {
            continue;
        }
        let answer: Value = serde_json::from_str(&text).unwrap();
        let schema = &get["responses"]["200"]["content"]["application/json"]["schema"];
        let schema = schema.get("oneOf").map_or(schema, |forms| &forms[0]);
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            assert!(answer.get(name).is_some(), "{path} lacks {name}: {text}");
        }
        for name in answer.as_object().unwrap().keys() {
            let known = schema
                .get("properties")
                .is_none_or(|all| all.get(name).is_some());
            assert!(known, "{path}: {name} is not in the document");
        }
    }
}

#[test]
fn the_api_answers_this_machine_and_its_own_pages_only() {
    let cluster = Cluster::start(2, &[]);
    let node = &cluster.nodes[0];
    let own = format!("Host: 127.0.0.1:{}", node.plan.http_port);
    let ask = |headers: &[&str]| node.http_with("GET /api/v1/status", headers, "").0;
    let page = |port: u16| format!("Origin: http://127.0.0.1:{port}");
    assert_eq!(ask(&[&own]), 200);
    assert_eq!(ask(&["Host: localhost"]), 200);
    assert_eq!(ask(&["Host: a-name-pointed-here.example"]), 403);
    assert_eq!(ask(&[&own, "Origin: https://elsewhere.example"]), 403);
    assert_eq!(ask(&[&own, "Origin: null"]), 403);
    assert_eq!(ask(&[&own, &page(node.plan.http_port)]), 200);
    assert_eq!(ask(&[&own, &page(cluster.nodes[1].plan.http_port)]), 200);
    let cut = r#"{"fault":["CUT","B"]}"#;
    let elsewhere = [&own, "Origin: https://elsewhere.example"];
    assert_eq!(
        node.http_with("POST /api/v1/lab/faults", &elsewhere, cut).0,
        403
    );
    assert!(cluster.run(0, "INFO evenkeel").contains(":link=up"));
}

#[test]
fn the_lab_is_closed_without_fault_injection_and_says_what_is_wrong_with_a_request() {
    let dir = TempDir::new().unwrap();
    let node = Plan::new("A", dir.path()).start();
    let own = format!("Host: 127.0.0.1:{}", node.plan.http_port);
    let post = |path: &str, body: &str| {
        let line = format!("POST /api/v1/lab/{path}");
        node.http_with(&line, &[&own], body)
    };
    let (status, text) = post("faults", r#"{"fault":["CUT","*"]}"#);
    assert!(status == 403 && text.contains("NOPERM"), "{status} {text}");
    let (status, text) = post("run", r#"{"command":["SET","k","v"]}"#);
    assert!(status == 403 && text.contains("NOPERM"), "{status} {text}");
    let cluster = Cluster::start(1, &[]);
    let node = &cluster.nodes[0];
    let own = format!("Host: 127.0.0.1:{}", node.plan.http_port);
    let run = |body: &str| node.http_with("POST /api/v1/lab/run", &[&own], body);
    assert_eq!(
        run(r#"{"command":["SET","k","v"]}"#),
        (200, "\"OK\"".to_owned())
    );
    assert_eq!(cluster.run(0, "GET k"), "v");
    assert_eq!(run(r#"{"command":["FLUSHALL"]}"#).0, 400);
    assert_eq!(run("{").0, 400);
    assert_eq!(run(r#"{"command":[]}"#).0, 400);
    assert_eq!(node.http("/api/v1/inspect").0, 400);
    assert_eq!(node.http("/api/v1/inspect?key=k&scope=moon").0, 400);
    assert_eq!(node.http("/api/v1/nowhere").0, 404);
}

#[test]
fn the_lab_takes_and_gives_the_token_of_a_session() {
    let cluster = Cluster::start(2, &[]);
    let run = |node: usize, token: &str, body: &str| {
        let node = &cluster.nodes[node];
        let own = format!("Host: 127.0.0.1:{}", node.plan.http_port);
        let token = format!("Evenkeel-Token: {token}");
        node.http_whole("POST /api/v1/lab/run", &[&own, &token], body)
    };
    let token_of = |answer: &str| {
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("evenkeel-token: "));
        line.unwrap().to_owned()
    };
    let start = cluster.run(0, "EK.TOKEN");
    assert_eq!(cluster.run(0, "EK.FAULT DELAY * 100 300"), "OK");
    let written = run(0, &start, r#"{"command":["SET","k","v"]}"#);
    assert!(written.ends_with("\"OK\""), "{written}");
    let read = run(1, &token_of(&written), r#"{"command":["GET","k"]}"#);
    assert!(read.ends_with("\"v\""), "{read}");
    let refused = run(1, "nonsense", r#"{"command":["GET","k"]}"#);
    assert!(refused.contains("this is no token"), "{refused}");
}

#[test]
fn a_token_opens_the_api_under_any_name_and_a_file_of_no_use_is_refused_at_the_start() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    let flag = file.display().to_string();
    std::fs::write(&file, "short\n").unwrap();
    let (status, said) = Plan::new("A", dir.path())
        .with(&["--http-token-file", &flag])
        .refused();
    assert!(!status.success());
    assert!(said.contains("at least 16 printable"), "{said}");

    std::fs::write(&file, "0123456789abcdef0123\n").unwrap();
    let node = Plan::new("A", dir.path())
        .with(&["--http-token-file", &flag])
        .start();
    let ask = |token: &str| {
        let shown = format!("Authorization: Bearer {token}");
        let headers = ["Host: evenkeel.example", &shown];
        node.http_with("GET /api/v1/status", &headers, "").0
    };
    assert_eq!(ask("0123456789abcdef0123"), 200);
    assert_eq!(ask("0123456789abcdef0124"), 403);
    assert_eq!(ask(""), 403);
}
