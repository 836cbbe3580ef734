//! The cluster face: what clients that route by slots are told, and that they are served.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::node::Plan;
use crate::support::{eventually, free_port, python_with_redis};

/// Three nodes with both faces, and the ports of their cluster faces.
fn cluster() -> (Cluster, Vec<u16>) {
    let dir = TempDir::new().unwrap();
    let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
    let plans = ["A", "B", "C"].iter().zip(&ports).map(|(name, port)| {
        let address = format!("127.0.0.1:{port}");
        Plan::new(name, dir.path()).with(&["--cluster-listen", &address])
    });
    (Cluster::of(plans.collect(), dir), ports)
}

fn at(port: u16) -> Client {
    Client::new(&format!("127.0.0.1:{port}"))
}

#[test]
fn slots_name_every_replica_at_its_cluster_address_the_living_first() {
    let (cluster, ports) = cluster();
    let mut client = at(ports[0]);
    let slots = client.run("CLUSTER SLOTS");
    assert_eq!(slots.matches("127.0.0.1").count(), 256 * 3, "{slots}");
    for port in &ports {
        assert!(slots.contains(&format!("[127.0.0.1 {port} ")), "{slots}");
    }
    let first = |port: u16| format!("[[0 63 [127.0.0.1 {port} ");
    assert!(slots.starts_with(&first(ports[0])), "{slots}");
    assert_eq!(client.run("CLUSTER MYID").len(), 40);
    assert!(client.run("CLUSTER INFO").contains("cluster_state:ok"));
    assert_eq!(client.run("CLUSTER NODES").lines().count(), 3);
    assert!(client.run("INFO cluster").contains("cluster_enabled:1"));
    cluster.nodes[0].kill();
    let mut other = at(ports[1]);
    eventually(
        Duration::from_secs(10),
        "a dead node is not the first",
        || {
            let slots = other.run("CLUSTER SLOTS");
            // Neighbours with the same order are told as one range.
            let first = format!("[[0 127 [127.0.0.1 {} ", ports[1]);
            (slots.starts_with(&first) && slots.contains(&ports[0].to_string())).then_some(())
        },
    );
}

#[test]
fn any_node_serves_any_slot_and_keys_of_several() {
    let (_cluster, ports) = cluster();
    let mut client = at(ports[0]);
    for number in 0..100 {
        assert_eq!(client.run(&format!("SET key{number} {number}")), "OK");
    }
    assert_eq!(client.run("MSET a 1 b 2 c 3"), "OK");
    assert_eq!(client.run("DEL a b c"), "3");
    for command in ["READONLY", "READWRITE", "ASKING"] {
        assert_eq!(client.run(command), "OK");
    }
    let slot = client.run("CLUSTER KEYSLOT key7");
    assert_eq!(client.run(&format!("CLUSTER COUNTKEYSINSLOT {slot}")), "1");
    assert_eq!(
        client.run(&format!("CLUSTER GETKEYSINSLOT {slot} 10")),
        "[key7]"
    );
    assert!(client.run("CLUSTER FORGET x").starts_with("-UNSUPPORTED"));
}

#[test]
fn the_standalone_face_is_no_cluster() {
    let (cluster, _) = cluster();
    let mut client = cluster.client(0);
    for command in ["CLUSTER SLOTS", "CLUSTER NODES", "READONLY"] {
        assert_eq!(
            client.run(command),
            "-ERR This instance has cluster support disabled"
        );
    }
    assert!(client.run("INFO cluster").contains("cluster_enabled:0"));
    assert_eq!(client.run("CLUSTER KEYSLOT foo"), "12182");
}

/// Writes and reads back a thousand keys, and prints how many nodes it sent them to.
const REDIS_PY: &str = "
import sys
from redis.cluster import RedisCluster, ClusterNode
cluster = RedisCluster(startup_nodes=[ClusterNode('127.0.0.1', int(sys.argv[1]))])
used = set()
for n in range(1000):
    key = f'key:{n}'
    assert cluster.set(key, n)
    used.add(cluster.get_node_from_key(key).port)
for n in range(1000):
    assert cluster.get(f'key:{n}') == str(n).encode()
print(len(used))
";

#[test]
fn redis_py_cluster_spreads_a_thousand_keys_over_the_nodes() {
    let test = "redis_py_cluster_spreads_a_thousand_keys_over_the_nodes";
    let Some(python) = python_with_redis(test) else {
        return;
    };
    let (_cluster, ports) = cluster();
    let output = Command::new(python)
        .args(["-c", REDIS_PY, &ports[1].to_string()])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3\n");
}
