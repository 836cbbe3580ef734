//! Tools and libraries made for Redis.

use std::process::{Command, Output};

use tempfile::TempDir;

use crate::node::{Node, Plan};
use crate::support::{python_with_redis, skip};

fn node() -> (TempDir, Node) {
    let dir = TempDir::new().unwrap();
    let node = Plan::new("A", dir.path()).start();
    (dir, node)
}

/// What a tool did; nothing where it is not installed.
fn tool(test: &str, name: &str, node: &Node, args: &[&str]) -> Option<String> {
    let port = node.plan.client_port.to_string();
    let Ok(output) = Command::new(name)
        .args(["-h", "127.0.0.1", "-p", &port])
        .args(args)
        .output()
    else {
        skip(test, &format!("{name} is not installed"));
        return None;
    };
    Some(checked(name, &output))
}

fn checked(name: &str, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name}: {}\n{text}{errors}",
        output.status
    );
    text
}

#[test]
fn redis_cli_works() {
    let (_dir, node) = node();
    let cli = |args: &[&str]| tool("redis_cli_works", "redis-cli", &node, args);
    if cli(&["SET", "key", "value"]).is_none() {
        return;
    }
    assert_eq!(cli(&["GET", "key"]).unwrap(), "value\n");
    assert_eq!(cli(&["-3", "HSET", "hash", "f", "1"]).unwrap(), "1\n");
    assert_eq!(cli(&["-3", "HGETALL", "hash"]).unwrap(), "f 1\n");
    assert_eq!(cli(&["--scan"]).unwrap().lines().count(), 2);
    assert!(cli(&["INFO"]).unwrap().contains("# Evenkeel"));
    assert!(cli(&["NOSUCH"]).unwrap().starts_with("ERR unknown command"));
    assert_eq!(cli(&["-r", "3", "INCR", "count"]).unwrap(), "1\n2\n3\n");
}

#[test]
fn redis_benchmark_runs_its_tests_without_an_error() {
    let (_dir, node) = node();
    let requests = if crate::support::long() {
        "500000"
    } else {
        "20000"
    };
    let args = [
        "-t",
        "set,get,incr,sadd,hset",
        "-P",
        "16",
        "-n",
        requests,
        "-q",
    ];
    let Some(text) = tool("redis_benchmark", "redis-benchmark", &node, &args) else {
        return;
    };
    for test in ["SET", "GET", "INCR", "SADD", "HSET"] {
        let done = text.split(['\n', '\r']).any(|line| {
            line.starts_with(&format!("{test}: ")) && line.contains("requests per second")
        });
        assert!(done, "no figure for {test} in\n{text}");
    }
    assert!(!text.contains("rror"), "{text}");
    let errors = node.client().run("INFO stats");
    let errors = errors
        .lines()
        .find_map(|line| line.strip_prefix("total_error_replies:"))
        .unwrap()
        .to_owned();
    assert_eq!(errors, "0");
}

#[test]
fn redis_py_works_with_both_protocols() {
    let (_dir, node) = node();
    let script = include_str!("redis_py.py");
    let port = node.plan.client_port.to_string();
    let Some(python) = python_with_redis("redis_py_works_with_both_protocols") else {
        return;
    };
    let output = Command::new(python)
        .args(["-c", script, &port])
        .output()
        .unwrap();
    assert_eq!(checked("redis-py", &output), "ok\n");
}
