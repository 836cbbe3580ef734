//! Starts that must not succeed: the exit status, and that the message says what, why and what to do.

use tempfile::TempDir;

use crate::node::Plan;

fn refused(plan: &Plan, status: i32, texts: &[&str]) {
    let (exit, said) = plan.refused();
    assert_eq!(exit.code(), Some(status), "{said}");
    for text in texts {
        assert!(said.contains(text), "'{text}' is not in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_directory_in_use_names_the_process_that_uses_it() {
    let dir = TempDir::new().unwrap();
    let node = Plan::new("A", dir.path()).start();
    let mut second = Plan::new("A", dir.path());
    second.dir.clone_from(&node.plan.dir);
    refused(
        &second,
        1,
        &[&node.id().to_string(), &second.dir.display().to_string()],
    );
    assert!(node.is_running());
}

#[test]
fn the_directory_of_another_node_or_cluster_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let first = Plan::new("A", dir.path());
    assert!(first.start().terminate().success());
    let mut second = Plan::new("B", dir.path());
    second.dir.clone_from(&first.dir);
    refused(&second, 1, &["holds data of node A", "--dir"]);
    let others = format!("A=127.0.0.1:{},B=127.0.0.1:1", first.peer_port);
    refused(
        &first.clone().with(&["--members", &others]),
        1,
        &["holds data of node A"],
    );
}

#[test]
fn a_port_in_use_is_named_with_its_flag() {
    let dir = TempDir::new().unwrap();
    let node = Plan::new("A", dir.path()).start();
    for flag in ["--listen", "--peer-listen", "--http-listen"] {
        let mut second = Plan::new("B", dir.path());
        let port = match flag {
            "--listen" => &mut second.client_port,
            "--peer-listen" => &mut second.peer_port,
            _ => &mut second.http_port,
        };
        *port = node.plan.client_port;
        let address = format!("127.0.0.1:{}", node.plan.client_port);
        refused(&second, 1, &[flag, &address, "in use"]);
        let (_, said) = second.refused();
        assert_eq!(said.matches("in use").count(), 1, "said once:\n{said}");
        assert!(!second.dir.join("identity").exists(), "nothing was touched");
    }
}

#[test]
fn an_unknown_key_in_the_configuration_file_is_refused() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("evenkeel.toml");
    std::fs::write(&file, "listne = \"127.0.0.1:1\"\n").unwrap();
    let plan = Plan::new("A", dir.path()).with(&["--config", file.to_str().unwrap()]);
    refused(&plan, 1, &["evenkeel.toml", "listne", "listen"]);
    let plan = Plan::new("A", dir.path()).with(&["--config", "/nowhere/evenkeel.toml"]);
    refused(&plan, 1, &["/nowhere/evenkeel.toml"]);
}

#[test]
fn all_that_is_wrong_with_a_configuration_is_said_at_once() {
    let dir = TempDir::new().unwrap();
    let members = "B=127.0.0.1:1,B=127.0.0.1:2";
    let mut plan = Plan::new("A", dir.path())
        .with(&["--members", members, "--write-level", "3"])
        .with(&["--level-timeout-ms", "0"]);
    plan.host = "0.0.0.0".to_owned();
    let wrong = [
        "node 'A' is not in the member list",
        "member 'B' is listed twice",
        "--write-level 3 is more than the 2 members",
        "--level-timeout-ms 0",
        "--listen 0.0.0.0",
        "--peer-listen 0.0.0.0",
        "--insecure",
    ];
    refused(&plan, 1, &wrong);
    assert!(!plan.dir.exists(), "nothing was opened");
}

#[test]
fn wrong_use_of_the_command_line_is_status_two() {
    let dir = TempDir::new().unwrap();
    refused(
        &Plan::new("A", dir.path()).with(&["--members", "nonsense"]),
        2,
        &["nonsense", "NAME=HOST:PORT"],
    );
    refused(
        &Plan::new("A", dir.path()).with(&["--no-such-flag"]),
        2,
        &["--no-such-flag"],
    );
    refused(
        &Plan::new("A", dir.path()).with(&["--sync", "often"]),
        2,
        &["often", "everysec"],
    );
}

#[test]
fn an_address_that_others_reach_is_bound_when_the_network_is_said_to_be_trusted() {
    let dir = TempDir::new().unwrap();
    let mut plan = Plan::new("A", dir.path()).with(&["--insecure"]);
    plan.host = "0.0.0.0".to_owned();
    assert_eq!(plan.start().client().run("PING"), "PONG");
}
