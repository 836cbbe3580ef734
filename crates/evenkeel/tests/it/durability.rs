//! What is there after a restart.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::load::dump;
use crate::node::{Node, Plan};
use crate::support::eventually;

fn write(node: &Node) {
    let mut client = node.client();
    for n in 0..200 {
        assert_eq!(client.run(&format!("SET key:{n} value:{n}")), "OK");
    }
    assert_eq!(client.run("SADD set a b c"), "3");
    assert_eq!(client.run("HSET hash f 1 g 2"), "2");
    for n in 1..=50 {
        assert_eq!(client.run("INCR count"), n.to_string());
    }
    assert_eq!(client.run("DEL key:7 key:8"), "2");
    assert_eq!(client.run("EXPIRE key:9 1000"), "1");
}

fn holds_all(node: &Node) {
    let mut client = node.client();
    for n in (0..200).filter(|n| ![7, 8].contains(n)) {
        assert_eq!(client.run(&format!("GET key:{n}")), format!("value:{n}"));
    }
    assert_eq!(client.list("SMEMBERS set"), ["a", "b", "c"]);
    assert_eq!(client.run("HGET hash g"), "2");
    assert_eq!(client.run("GET count"), "50");
    assert_eq!(client.run("EXISTS key:7 key:8"), "0");
    let left: i64 = client.run("TTL key:9").parse().unwrap();
    assert!((980..=1000).contains(&left), "{left}");
    assert_eq!(client.run("INCR count"), "51");
    assert_eq!(client.run("DECR count"), "50");
}

fn survives(flags: &[&str]) {
    let dir = TempDir::new().unwrap();
    let plan = Plan::new("A", dir.path()).with(flags);
    let node = plan.start();
    write(&node);
    node.kill();
    let node = plan.start();
    holds_all(&node);
    assert!(node.terminate().success());
    let node = plan.start();
    holds_all(&node);
}

#[test]
fn everything_acknowledged_is_there_after_sigkill_and_after_sigterm() {
    survives(&[]);
}

#[test]
fn everything_acknowledged_is_there_with_each_sync_policy() {
    survives(&["--sync", "always"]);
    survives(&["--sync", "never"]);
}

/// A file system of a few megabytes, unmounted at the end.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "evenkeel-test"])
            .arg(dir.path())
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that is just ending may still hold a file.
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status();
    }
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_recovers_without_a_restart() {
    let Some(disk) = SmallDisk::mount(200) else {
        crate::support::skip("a_full_disk_refuses_writes", "no tmpfs can be mounted here");
        return;
    };
    let plan = Plan::new("A", disk.0.path());
    let node = plan.start();
    let mut client = node.client();
    assert_eq!(client.run("SET key 1"), "OK");
    let filler = disk.0.path().join("filler");
    let filled = std::fs::write(&filler, vec![1; 256 << 20]);
    assert!(filled.is_err(), "the disk is full");
    let value = vec![b'x'; 1 << 20];
    let refused = eventually(Duration::from_secs(20), "writes are refused", || {
        let reply = crate::client::show(&client.raw(&[&b"SET"[..], b"big", &value]));
        (reply != "OK").then_some(reply)
    });
    assert!(refused.starts_with("-DISKFULL"), "{refused}");
    assert_eq!(client.run("GET key"), "1");
    assert_eq!(node.http("/readyz").0, 503);
    std::fs::remove_file(&filler).unwrap();
    let since = Instant::now();
    eventually(Duration::from_secs(10), "writes are taken again", || {
        (client.run("SET key 2") == "OK").then_some(())
    });
    crate::support::say(&format!(
        "writable {:?} after the disk had space",
        since.elapsed()
    ));
    node.kill();
    let node = plan.start();
    assert_eq!(node.client().run("GET key"), "2");
}

/// Writes new keys until the node refuses; gives how many it took.
fn fill(client: &mut crate::client::Client, round: u32) -> u32 {
    let value = vec![b'x'; 16 << 10];
    for n in 0..20_000 {
        let key = format!("key:{round}:{n}");
        let reply = crate::client::show(&client.raw(&[&b"SET"[..], key.as_bytes(), &value]));
        if reply != "OK" {
            assert!(reply.starts_with("-DISKFULL"), "{reply}");
            return n;
        }
    }
    panic!("the disk does not get full");
}

#[test]
fn a_disk_filled_with_keys_is_emptied_by_deleting_them() {
    let Some(disk) = SmallDisk::mount(64) else {
        let why = "no tmpfs can be mounted here";
        crate::support::skip("a_disk_filled_with_keys", why);
        return;
    };
    let plan = Plan::new("A", disk.0.path());
    let node = plan.start();
    let mut client = node.client();
    assert_eq!(client.run("SET stays 1"), "OK");
    for round in 0..2 {
        let taken = fill(&mut client, round);
        assert!(taken > 1_000, "{taken} keys were taken");
        assert_eq!(node.http("/readyz").0, 503);
        assert_eq!(client.run(&format!("STRLEN key:{round}:0")), "16384");
        for n in 0..taken {
            assert_eq!(client.run(&format!("DEL key:{round}:{n}")), "1");
        }
        let since = Instant::now();
        eventually(Duration::from_secs(30), "writes are taken again", || {
            (client.run("SET again 1") == "OK").then_some(())
        });
        crate::support::say(&format!(
            "{taken} keys filled the disk; writable {:?} after they were deleted",
            since.elapsed()
        ));
    }
    node.kill();
    let node = plan.start();
    let mut client = node.client();
    assert_eq!(client.run("GET stays"), "1");
    assert_eq!(client.run("GET again"), "1");
    assert_eq!(client.run("DBSIZE"), "2");
    assert!(node.terminate().success());
    let verified = std::process::Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .arg("verify")
        .arg(&plan.dir)
        .status();
    assert!(verified.unwrap().success());
}

#[test]
fn a_node_whose_log_fails_refuses_writes_serves_reads_and_catches_up_after_a_restart() {
    let dir = TempDir::new().unwrap();
    // A file that would grow over a limit is an error to the process, and not its end, when the signal is ignored.
    let ignore = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"];
    let plans = ["A", "B", "C"].map(|name| {
        let mut plan = Plan::new(name, dir.path());
        plan.through = ignore.map(str::to_owned).to_vec();
        plan
    });
    let mut cluster = Cluster::of(plans.to_vec(), dir);
    let mut clients = cluster.clients();
    assert_eq!(clients[0].run("SET before 1"), "OK");
    cluster.await_converged();
    let id = i32::try_from(cluster.nodes[0].id()).unwrap();
    let limit = Rlimit {
        current: Some(1),
        maximum: None,
    };
    prlimit(Pid::from_raw(id), Resource::Fsize, limit).unwrap();
    let refused = clients[0].run("SET doubtful 1");
    assert!(refused.starts_with("-IOERR"), "{refused}");
    assert!(clients[0].run("INCR count").starts_with("-IOERR"));
    assert_eq!(clients[0].run("GET before"), "1");
    assert_eq!(cluster.nodes[0].http("/readyz").0, 503);
    for n in 1..=100 {
        assert_eq!(clients[1].run("INCR count"), n.to_string());
    }
    assert!(
        clients[1]
            .run("EK.AWAIT CONVERGED 300")
            .starts_with("-BEHIND")
    );
    cluster.nodes[0].terminate();
    cluster.restart(0);
    cluster.await_converged();
    let all: Vec<_> = cluster.clients().iter_mut().map(dump).collect();
    assert_eq!(all[0]["count"], "100");
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
}
