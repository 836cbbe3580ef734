//! Several nodes that know each other.

use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;
use crate::node::{Node, Plan};
use crate::support::eventually;

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    /// Goes last: the nodes' data is in it.
    _dir: TempDir,
}

impl Cluster {
    /// Nodes A, B, C, … linked with each other.
    pub(crate) fn start(count: usize, flags: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let plans = ('A'..='Z')
            .take(count)
            .map(|name| Plan::new(&name.to_string(), dir.path()).with(flags))
            .collect();
        Self::of(plans, dir)
    }

    /// The nodes of these plans.
    pub(crate) fn of(plans: Vec<Plan>, dir: TempDir) -> Self {
        let members: Vec<String> = plans.iter().map(Plan::member).collect();
        let members = members.join(",");
        let nodes: Vec<Node> = plans
            .into_iter()
            .map(|plan| {
                plan.with(&["--fault-injection", "--members", &members])
                    .spawn()
            })
            .collect();
        let cluster = Self { nodes, _dir: dir };
        cluster.nodes.iter().for_each(Node::wait_until_serving);
        cluster.wait_until_linked();
        cluster
    }

    /// Waits until every node has a link to every other one, and decides where it is the home.
    pub(crate) fn wait_until_linked(&self) {
        for node in &self.nodes {
            let mut client = node.client();
            eventually(
                Duration::from_secs(15),
                "all nodes are linked and settled",
                || {
                    let info = client.run("INFO evenkeel");
                    let up = info.matches(":link=up").count();
                    (up == self.nodes.len() - 1 && info.contains("settled:1")).then_some(())
                },
            );
        }
    }

    pub(crate) fn client(&self, node: usize) -> Client {
        self.nodes[node].client()
    }

    pub(crate) fn clients(&self) -> Vec<Client> {
        self.nodes.iter().map(Node::client).collect()
    }

    pub(crate) fn run(&self, node: usize, command: &str) -> String {
        self.client(node).run(command)
    }

    pub(crate) fn restart(&mut self, node: usize) {
        let plan = self.nodes[node].plan.clone();
        self.nodes[node] = plan.start();
    }

    /// Waits until all nodes, asked one by one, say that all hold everything.
    pub(crate) fn await_converged(&self) {
        for node in 0..self.nodes.len() {
            assert_eq!(
                self.run(node, "EK.AWAIT CONVERGED 30000"),
                "OK",
                "asked at node {node}"
            );
        }
    }
}
