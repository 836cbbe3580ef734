//! Cuts that TCP feels: three nodes in network namespaces on one bridge, packets dropped between them.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::node::Plan;
use crate::partition::cut_write_heal;
use crate::support::{long, skip};

const TEST: &str = "packets_dropped_between_namespaces";

fn run(words: &str) -> Result<(), String> {
    let mut split = words.split(' ');
    let output = Command::new(split.next().unwrap())
        .args(split)
        .output()
        .map_err(|error| format!("{words}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "{words}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

/// A bridge and three namespaces on it, gone at the end.
struct Network {
    bridge: String,
    names: Vec<String>,
    subnet: String,
}

impl Network {
    fn new(number: u32) -> Result<Self, String> {
        let id = (std::process::id() * 2 + number) % 1_000_000;
        let network = Self {
            bridge: format!("ek{}", id),
            names: ["a", "b", "c"]
                .map(|node| format!("ek{}{node}", id))
                .to_vec(),
            subnet: format!("10.213.{}", id % 250),
        };
        let Self { bridge, subnet, .. } = &network;
        run("iptables --version")?;
        run(&format!("ip link add {bridge} type bridge"))?;
        run(&format!("ip addr add {subnet}.254/24 dev {bridge}"))?;
        run(&format!("ip link set {bridge} up"))?;
        for (place, name) in network.names.iter().enumerate() {
            run(&format!("ip netns add {name}"))?;
            run(&format!("ip link add {name}v type veth peer name {name}n"))?;
            run(&format!("ip link set {name}v master {bridge}"))?;
            run(&format!("ip link set {name}v up"))?;
            run(&format!("ip link set {name}n netns {name}"))?;
            let inside = format!("ip -n {name}");
            run(&format!(
                "{inside} addr add {}/24 dev {name}n",
                network.host(place)
            ))?;
            run(&format!("{inside} link set {name}n up"))?;
            run(&format!("{inside} link set lo up"))?;
        }
        Ok(network)
    }

    fn host(&self, node: usize) -> String {
        format!("{}.{}", self.subnet, node + 1)
    }

    /// Packets from one node to another vanish, or arrive again.
    fn drop_packets(&self, change: &str, from: usize, to: usize) {
        let rule = format!(
            "ip netns exec {} iptables -w {change} INPUT -s {} -j DROP",
            self.names[to],
            self.host(from)
        );
        run(&rule).unwrap();
    }

    /// The third node hears nothing from the others, nor they from it; all of them go on hearing their clients.
    fn isolate(&self, change: &str) {
        for other in 0..2 {
            self.drop_packets(change, other, 2);
            self.drop_packets(change, 2, other);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Whatever of it was made.
        for name in &self.names {
            let _ = run(&format!("ip link del {name}v"));
            let _ = run(&format!("ip netns del {name}"));
        }
        let _ = run(&format!("ip link del {}", self.bridge));
    }
}

fn cluster(network: &Network) -> Cluster {
    let dir = TempDir::new().unwrap();
    let plans = ["A", "B", "C"].iter().enumerate().map(|(place, name)| {
        let mut plan = Plan::new(name, dir.path()).with(&["--insecure"]);
        plan.host = network.host(place);
        plan.through = ["ip", "netns", "exec", &network.names[place]]
            .map(str::to_owned)
            .to_vec();
        plan
    });
    Cluster::of(plans.collect(), dir)
}

#[test]
fn both_sides_of_dropped_packets_take_writes_and_are_equal_soon_after_the_heal() {
    let network = match Network::new(0) {
        Ok(network) => network,
        Err(why) => return skip(TEST, &why),
    };
    let seconds: &[u64] = if long() { &[5, 20, 70] } else { &[5] };
    for seconds in seconds {
        // What a load expects holds for counters that begin at nothing.
        let cluster = cluster(&network);
        let cut = || network.isolate("-A");
        let heal = || network.isolate("-D");
        cut_write_heal(&cluster, Duration::from_secs(*seconds), cut, heal);
    }
}

#[test]
fn packets_dropped_in_one_direction_only_are_gone_round_by_the_third_node() {
    let network = match Network::new(1) {
        Ok(network) => network,
        Err(why) => return skip(TEST, &why),
    };
    let cluster = cluster(&network);
    network.drop_packets("-A", 0, 1);
    assert_eq!(cluster.run(0, "SET key past"), "OK");
    let mut other = cluster.client(1);
    crate::support::eventually(
        Duration::from_secs(10),
        "C passes on what A cannot tell B",
        || (other.run("GET key") == "past").then_some(()),
    );
    network.drop_packets("-D", 0, 1);
    cluster.await_converged();
}
