//! Several replicas of a partition, with links that can be cut: what is sent over them then arrives after the heal.

use super::*;

pub(super) struct Replicas {
    pub(super) nodes: Vec<Node>,
    /// From, to, bytes: sent and not delivered.
    under_way: Vec<(usize, usize, Bytes)>,
}

impl Replicas {
    pub(super) fn new(count: u32) -> Self {
        let members: Vec<u32> = (0..count).collect();
        let nodes = members.iter().map(|id| Node::member(*id, &members));
        let mut replicas = Self {
            nodes: nodes.collect(),
            under_way: Vec::new(),
        };
        for (at, node) in replicas.nodes.iter_mut().enumerate() {
            for peer in members.iter().filter(|peer| **peer as usize != at) {
                node.handle(Input::PeerUp {
                    peer: NodeId(*peer),
                    incarnation: ActorId(u64::from(peer + 1) << 48),
                });
            }
        }
        replicas.heal();
        replicas
    }

    /// Runs a command on one replica, a millisecond after the last one, so that its stamp is newer.
    pub(super) fn run(&mut self, at: usize, command: &str) -> String {
        for node in &mut self.nodes {
            node.pass(1);
        }
        self.nodes[at].run(command)
    }

    /// Delivers between some replicas until they have nothing more to say to each other; the rest stays under way.
    pub(super) fn exchange(&mut self, among: &[usize]) {
        loop {
            for (from, node) in self.nodes.iter_mut().enumerate() {
                let sent = std::mem::take(&mut node.outbox);
                let sent = sent.into_iter();
                self.under_way
                    .extend(sent.map(|(to, frame)| (from, to.0 as usize, frame)));
            }
            let (open, cut): (Vec<_>, Vec<_>) = std::mem::take(&mut self.under_way)
                .into_iter()
                .partition(|(from, to, _)| among.contains(from) && among.contains(to));
            self.under_way = cut;
            if open.is_empty() {
                break;
            }
            for (from, to, frame) in open {
                let from = NodeId(u32::try_from(from).unwrap());
                self.nodes[to].handle(Input::Frame { from, frame });
            }
        }
    }

    /// Delivers everything; then all are equal.
    pub(super) fn heal(&mut self) {
        let all: Vec<usize> = (0..self.nodes.len()).collect();
        self.exchange(&all);
        let first = self.nodes[0].partition.replica();
        for node in &self.nodes {
            assert_eq!(node.partition.replica().context(), first.context());
            assert_eq!(node.partition.replica().digest(), first.digest());
        }
    }

    /// Heals, then asks every replica: each reply must be the expected one.
    pub(super) fn agree(&mut self, cases: &[(&str, &str)]) {
        self.heal();
        for (at, node) in self.nodes.iter_mut().enumerate() {
            for (command, reply) in cases {
                assert_eq!(node.run(command), *reply, "{command} on replica {at}");
            }
        }
    }
}
