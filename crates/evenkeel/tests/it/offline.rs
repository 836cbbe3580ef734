//! `evenkeel verify`, `repair` and `doctor`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::node::Plan;
use crate::support::free_port;

/// The exit status of a command, and what it said.
fn evenkeel(args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(args)
        .output()
        .unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), text)
}

fn on(command: &str, dir: &Path, flags: &[&str]) -> (i32, String) {
    let dir = dir.to_str().unwrap();
    evenkeel(&[&[command, dir][..], flags].concat())
}

/// A node that has 300 keys, and is stopped.
fn stopped(dir: &TempDir) -> Plan {
    let plan = Plan::new("A", dir.path());
    let node = plan.start();
    let mut client = node.client();
    for n in 0..300 {
        assert_eq!(client.run(&format!("SET key:{n} value:{n}")), "OK");
    }
    assert!(node.terminate().success());
    plan
}

fn segment(plan: &Plan) -> PathBuf {
    let entries = std::fs::read_dir(&plan.dir).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "ekl");
    paths.find(is_segment).unwrap()
}

/// All files with their bytes.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut all: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    all.sort();
    all
}

fn flip_the_middle(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn verify_says_which_byte_of_which_file_is_wrong_and_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let plan = stopped(&dir);
    let (status, said) = on("verify", &plan.dir, &[]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("all is as it was written"), "{said}");
    flip_the_middle(&segment(&plan));
    std::fs::remove_file(plan.dir.join("identity.copy")).unwrap();
    flip_the_middle(&plan.dir.join("topology"));
    let before = content(&plan.dir);
    let (status, said) = on("verify", &plan.dir, &[]);
    assert_eq!(status, 1, "{said}");
    assert!(
        said.contains("LOSS     log-0000000000000001.ekl at byte"),
        "{said}"
    );
    assert!(said.contains("REBUILT  identity.copy"), "{said}");
    assert!(said.contains("REBUILT  topology"), "{said}");
    let (status, said) = on("verify", &plan.dir, &["--json"]);
    assert_eq!(status, 1);
    let found: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(found["lost"], true);
    assert_eq!(found["findings"][0]["severity"], "loss");
    assert!(found["log_records"].as_u64().unwrap() > 250, "{found}");
    assert_eq!(content(&plan.dir), before);
}

#[test]
fn verify_refuses_a_directory_that_a_node_runs_on_or_that_is_none() {
    let dir = TempDir::new().unwrap();
    let plan = Plan::new("A", dir.path());
    let _node = plan.start();
    let (status, said) = on("verify", &plan.dir, &[]);
    assert_eq!(status, 1);
    assert!(said.contains("is in use by process"), "{said}");
    let (status, said) = on("verify", &dir.path().join("nosuch"), &[]);
    assert_eq!(status, 1);
    assert!(said.contains("cannot verify"), "{said}");
    assert!(!dir.path().join("nosuch").exists());
}

#[test]
fn repair_tells_what_is_lost_and_gives_it_up_only_when_told_to() {
    let dir = TempDir::new().unwrap();
    let plan = stopped(&dir);
    let (status, said) = on("repair", &plan.dir, &["--accept-loss"]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("nothing to give up"), "{said}");
    flip_the_middle(&segment(&plan));
    let (status, refused) = plan.refused();
    assert!(!status.success());
    assert!(refused.contains("--accept-loss"), "{refused}");
    let before = content(&plan.dir);
    let (status, said) = on("repair", &plan.dir, &[]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("keys can still be read"), "{said}");
    assert!(said.contains("Nothing was changed"), "{said}");
    assert_eq!(content(&plan.dir), before);
    let (status, said) = on("repair", &plan.dir, &["--accept-loss"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(on("verify", &plan.dir, &[]).0, 0);
    let node = plan.start();
    let mut client = node.client();
    let left = (0..300)
        .filter(|n| client.run(&format!("GET key:{n}")) == format!("value:{n}"))
        .count();
    // One record is damaged, and holds what one turn brought.
    assert!((250..300).contains(&left), "{left} of 300 keys are left");
    assert_eq!(client.run("SET key:new 1"), "OK");
}

#[test]
fn doctor_says_what_to_change() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("evenkeel.toml");
    let write = |listen: u16, more: &str| {
        let text = format!(
            "dir = {:?}\nlisten = \"127.0.0.1:{listen}\"\npeer-listen = \"127.0.0.1:{}\"\nhttp-listen = \"127.0.0.1:{}\"\n{more}",
            dir.path().join("data"),
            free_port(),
            free_port()
        );
        std::fs::write(&file, text).unwrap();
    };
    let doctor = |flags: &[&str]| {
        let config = file.to_str().unwrap();
        evenkeel(&[&["doctor", "--config", config][..], flags].concat())
    };
    write(free_port(), "");
    let (status, said) = doctor(&[]);
    assert_eq!(status, 0, "{said}");
    for about in [
        "configuration",
        "clock",
        "directory",
        "space",
        "fsync",
        "port",
        "version",
    ] {
        assert!(said.contains(about), "nothing about {about}:\n{said}");
    }
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    write(
        held.local_addr().unwrap().port(),
        "node = \"B\"\nmembers = [\"A=127.0.0.1:1\"]\n",
    );
    let (status, said) = doctor(&["--json"]);
    assert_eq!(status, 1);
    let found: serde_json::Value = serde_json::from_str(&said).unwrap();
    let failed = found["checks"].as_array().unwrap().iter();
    let failed: Vec<&str> = failed
        .filter(|check| check["verdict"] == "fail")
        .map(|check| check["check"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["configuration", "port"], "{said}");
    assert!(said.contains("taken by another process"), "{said}");
    assert!(!dir.path().join("data").exists());
}

#[test]
fn doctor_knows_a_running_node_and_a_damaged_directory() {
    let dir = TempDir::new().unwrap();
    let plan = stopped(&dir);
    let data = plan.dir.to_str().unwrap();
    let node = plan.start();
    let (_, said) = evenkeel(&["doctor", "--dir", data]);
    assert!(said.contains("is in use by process"), "{said}");
    assert!(node.terminate().success());
    flip_the_middle(&segment(&plan));
    let (status, said) = evenkeel(&["doctor", "--dir", data]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("evenkeel repair"), "{said}");
}
