//! The log stays short, a start reads checkpoints, and a lost one is no loss where others have the data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::node::{Node, Plan};
use crate::support::eventually;

/// Bytes of log after which a round is due.
const LOG_BYTES: &str = "1048576";
const SHORT_LOG: [&str; 2] = ["--checkpoint-log-bytes", LOG_BYTES];
/// A log may grow by this much while a round runs, on a slow machine.
const LOG_BYTES_MAX: u64 = 24 << 20;

/// A round that is due has begun and ended within this time.
const NO_ROUND_COMES: Duration = Duration::from_secs(2);

/// The finished files of a kind; one that is being written is none yet.
fn files(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let entries =
        entries.filter(|entry| entry.path().extension().is_some_and(|kind| kind != "new"));
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    named.map(|entry| entry.path()).collect()
}

fn log_bytes(dir: &Path) -> u64 {
    let sizes = files(dir, "log-").into_iter();
    // One may be removed between the listing and the look.
    let sizes = sizes.filter_map(|file| std::fs::metadata(file).ok());
    sizes.map(|found| found.len()).sum()
}

fn rounds(node: &Node) -> u64 {
    let (_, metrics) = node.http("/metrics");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("evenkeel_checkpoints_total "));
    line.unwrap().parse().unwrap()
}

/// Overwrites the same keys until so many rounds were made; gives how often.
fn write_until(node: &Node, client: &mut Client, wanted: u64) -> u64 {
    let from = rounds(node);
    let value = "v".repeat(1_000);
    let mut times = 0;
    while rounds(node) < from + wanted {
        times += 1;
        assert!(times < 4_000, "no checkpoint in {times} MB of log");
        for key in 0..500 {
            client
                .send(&["SET", &format!("key:{key}"), &format!("{times}:{value}")])
                .unwrap();
            client.send(&["INCR", "count"]).unwrap();
        }
        for _ in 0..1_000 {
            client.receive().unwrap();
        }
    }
    times
}

fn check(client: &mut Client, times: u64) {
    for key in 0..500 {
        let value = client.run(&format!("GET key:{key}"));
        assert!(
            value.starts_with(&format!("{times}:")),
            "key:{key} is {value:.20}"
        );
    }
    assert_eq!(client.run("GET count"), (times * 500).to_string());
    assert_eq!(client.run("EXISTS gone"), "0");
}

#[test]
fn the_log_stays_short_while_keys_are_overwritten_and_all_is_there_after_sigkill() {
    let dir = TempDir::new().unwrap();
    let plan = Plan::new("A", dir.path()).with(&SHORT_LOG);
    let node = plan.start();
    let mut client = node.client();
    client.run("SET gone x");
    client.run("DEL gone");
    let times = write_until(&node, &mut client, 2);
    eventually(Duration::from_secs(20), "the log is short", || {
        (log_bytes(&plan.dir) < LOG_BYTES_MAX).then_some(())
    });
    assert_eq!(files(&plan.dir, "checkpoint-").len(), 256);
    node.kill();
    let node = plan.start();
    check(&mut node.client(), times);
    assert!(node.terminate().success());
    check(&mut plan.start().client(), times);
}

#[test]
fn a_lost_or_damaged_checkpoint_comes_back_from_the_other_nodes() {
    let mut cluster = Cluster::start(3, &SHORT_LOG);
    let mut client = cluster.client(1);
    client.run("SET gone x");
    client.run("DEL gone");
    let times = write_until(&cluster.nodes[1], &mut client, 1);
    cluster.await_converged();
    let dir = cluster.nodes[1].plan.dir.clone();
    cluster.nodes[1].kill();
    for (at, file) in files(&dir, "checkpoint-").into_iter().enumerate() {
        match at % 3 {
            0 => std::fs::remove_file(file).unwrap(),
            1 => {
                let mut bytes = std::fs::read(&file).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::write(file, bytes).unwrap();
            }
            _ => {}
        }
    }
    cluster.restart(1);
    cluster.wait_until_linked();
    cluster.await_converged();
    assert!(
        cluster.nodes[1]
            .log()
            .contains("comes back from the other nodes")
    );
    for node in 0..3 {
        check(&mut cluster.client(node), times);
    }
    // What came back is kept: without the others it is there.
    cluster.nodes[1].kill();
    cluster.nodes[0].kill();
    cluster.nodes[2].kill();
    cluster.restart(1);
    check(&mut cluster.client(1), times);
}

#[test]
fn a_damaged_log_comes_back_from_the_other_nodes_and_from_what_is_left_of_it() {
    let mut cluster = Cluster::start(3, &SHORT_LOG);
    let mut client = cluster.client(1);
    client.run("SET gone x");
    client.run("DEL gone");
    let times = write_until(&cluster.nodes[1], &mut client, 1);
    cluster.await_converged();
    let dir = cluster.nodes[1].plan.dir.clone();
    assert!(cluster.nodes[1].terminate().success());
    for file in files(&dir, "log-") {
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(file, bytes).unwrap();
    }
    std::fs::remove_file(dir.join("identity")).unwrap();
    cluster.restart(1);
    cluster.wait_until_linked();
    cluster.await_converged();
    assert!(cluster.nodes[1].log().contains("the log is damaged"));
    for node in 0..3 {
        check(&mut cluster.client(node), times);
    }
    // A start after that finds nothing to complain about.
    cluster.nodes[1].kill();
    cluster.restart(1);
    cluster.await_converged();
    let said = cluster.nodes[1].log();
    assert_eq!(said.matches("the log is damaged").count(), 1, "{said}");
    check(&mut cluster.client(1), times);
}

/// A counter of a node.
fn metric(node: &Node, name: &str) -> u64 {
    let (_, metrics) = node.http("/metrics");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap().parse().unwrap()
}

fn scrub_files(node: &Node) {
    let rounds = || metric(node, "evenkeel_scrub_file_rounds_total");
    let before = rounds();
    node.client().run("EK.SCRUB");
    eventually(Duration::from_secs(20), "the files are looked at", || {
        (rounds() > before).then_some(())
    });
}

#[test]
fn files_that_rot_under_a_running_node_are_noticed_and_replaced() {
    let dir = TempDir::new().unwrap();
    let plan = Plan::new("A", dir.path()).with(&SHORT_LOG);
    let node = plan.start();
    let mut client = node.client();
    let times = write_until(&node, &mut client, 1);
    // Segments of the log that are full, and no round of checkpoints that lets them go: none is due for what was
    // written by then when none comes for a while.
    let value = format!("{times}:{}", "v".repeat(1_000));
    eventually(Duration::from_secs(60), "no round is due", || {
        let before = rounds(&node);
        for key in 0..150 {
            client.run(&format!("SET key:{key} {value}"));
        }
        std::thread::park_timeout(NO_ROUND_COMES);
        let full = files(&plan.dir, "log-").len() > 1;
        (rounds(&node) == before && full).then_some(())
    });
    scrub_files(&node);
    assert_eq!(metric(&node, "evenkeel_scrub_files_damaged_total"), 0);
    let mut segments = files(&plan.dir, "log-");
    segments.sort();
    let checkpoint = files(&plan.dir, "checkpoint-").swap_remove(17);
    for file in [&segments[0], &checkpoint] {
        let mut bytes = std::fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        // In place: the node has the segment open.
        let open = std::fs::File::options().write(true).open(file).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&open, &bytes, 0).unwrap();
    }
    let made = rounds(&node);
    scrub_files(&node);
    assert_eq!(metric(&node, "evenkeel_scrub_files_damaged_total"), 2);
    eventually(Duration::from_secs(20), "a round of checkpoints", || {
        (rounds(&node) > made).then_some(())
    });
    scrub_files(&node);
    assert_eq!(metric(&node, "evenkeel_scrub_files_damaged_total"), 2);
    // It is alone, and starts: nothing is damaged any more.
    node.kill();
    check(&mut plan.start().client(), times);
}

#[test]
fn a_node_without_others_refuses_to_start_without_its_checkpoint_unless_told_to() {
    let dir = TempDir::new().unwrap();
    let plan = Plan::new("A", dir.path()).with(&SHORT_LOG);
    let node = plan.start();
    let mut client = node.client();
    write_until(&node, &mut client, 1);
    assert!(node.terminate().success());
    let lost = files(&plan.dir, "checkpoint-").swap_remove(17);
    std::fs::remove_file(lost).unwrap();
    let (status, said) = plan.refused();
    assert!(!status.success());
    assert!(said.contains("--accept-loss"), "{said}");
    let node = plan.clone().with(&["--accept-loss"]).start();
    assert_eq!(node.client().run("SET new 1"), "OK");
    assert!(node.terminate().success());
    assert_eq!(plan.start().client().run("GET new"), "1");
}
