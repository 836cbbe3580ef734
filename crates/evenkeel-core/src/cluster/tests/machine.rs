//! The control plane step by step: founding, seats, words of failures, bytes.

use bytes::Bytes;

use crate::cluster::{Change, Cluster, Document, Effect, Failed, Input, NodeSpec};
use crate::id::{NodeId, Ticket};
use crate::time::{Duration, Instant};

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);

fn spec(name: &str) -> NodeSpec {
    NodeSpec {
        name: name.to_owned(),
        peer: "host:1".to_owned(),
        zone: String::new(),
        dc: String::new(),
        weight: NodeSpec::WEIGHT,
    }
}

fn initial(names: &[&str]) -> Document {
    let specs: Vec<_> = names.iter().map(|name| spec(name)).collect();
    Document::initial(&specs, 7).unwrap()
}

/// Nodes with perfect links: what one sends is there at once.
struct Net {
    nodes: Vec<Cluster>,
    saved: Vec<Bytes>,
    down: Vec<bool>,
    now: Instant,
    replies: Vec<(Ticket, Result<u64, Failed>)>,
}

impl Net {
    fn of(names: &[&str]) -> Self {
        let mut net = Self::apart(names);
        for at in 0..names.len() {
            net.link(at);
        }
        net
    }

    /// Nodes without links yet.
    fn apart(names: &[&str]) -> Self {
        let document = initial(names);
        let node = |at: usize| {
            let me = NodeId(u32::try_from(at).unwrap());
            Cluster::new(me, document.clone(), 1_000 + at as u64)
        };
        Self {
            nodes: (0..names.len()).map(node).collect(),
            saved: vec![Bytes::new(); names.len()],
            down: vec![false; names.len()],
            now: Instant(1_000_000),
            replies: Vec::new(),
        }
    }

    fn link(&mut self, at: usize) {
        for other in 0..self.nodes.len() {
            if other != at && !self.down[other] && !self.down[at] {
                let peer = self.nodes[other].me();
                self.input(at, Input::PeerUp { peer });
                let peer = self.nodes[at].me();
                self.input(other, Input::PeerUp { peer });
            }
        }
    }

    fn take_down(&mut self, at: usize) {
        self.down[at] = true;
        let peer = self.nodes[at].me();
        for other in 0..self.nodes.len() {
            self.input(other, Input::PeerDown { peer });
        }
    }

    fn input(&mut self, at: usize, input: Input) {
        let mut queue = vec![(at, input)];
        while let Some((at, input)) = queue.pop() {
            if self.down[at] {
                continue;
            }
            let mut effects = Vec::new();
            self.nodes[at].handle(self.now, input, &mut effects);
            let saves = effects
                .iter()
                .position(|effect| matches!(effect, Effect::Save(_)));
            assert!(
                saves.is_none_or(|place| place == 0),
                "something went before the save"
            );
            let from = self.nodes[at].me();
            let mut sent = Vec::new();
            for effect in effects {
                match effect {
                    Effect::Save(bytes) => self.saved[at] = bytes,
                    Effect::Send { to, frame } => {
                        sent.push((to.0 as usize, Input::Frame { from, frame }));
                    }
                    Effect::Reply { ticket, result } => self.replies.push((ticket, result)),
                    Effect::Changed(document) => assert_eq!(document, *self.nodes[at].document()),
                    Effect::BadFrame { error, .. } => panic!("{error}"),
                }
            }
            queue.extend(sent.into_iter().rev());
        }
    }

    fn wait(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.now = self.now + Duration::from_millis(100);
            for at in 0..self.nodes.len() {
                self.input(at, Input::Tick);
            }
        }
    }

    /// Proposes a change at a node and waits for what comes of it.
    fn propose(&mut self, at: usize, change: Change) -> Result<u64, String> {
        let ticket = Ticket(self.now.0);
        let deadline = self.now + Duration::from_millis(3_000);
        let input = Input::Propose {
            ticket,
            change,
            deadline,
        };
        self.input(at, input);
        self.wait(4_000);
        let mut replies = self.replies.iter().filter(|(of, _)| *of == ticket);
        let (_, result) = replies.next().expect("every proposal is answered");
        assert!(replies.next().is_none(), "answered twice");
        result.clone().map_err(|failed| failed.to_string())
    }

    fn voters(&self, at: usize) -> Vec<NodeId> {
        self.nodes[at].status(self.now).voters
    }
}

fn move_to(peer: &str) -> Change {
    Change::SetPeer {
        node: A,
        peer: peer.to_owned(),
    }
}

#[test]
fn a_single_node_votes_alone_at_once() {
    let mut net = Net::of(&["A"]);
    assert_eq!(net.propose(0, move_to("elsewhere:2")), Ok(2));
    let status = net.nodes[0].status(net.now);
    assert!(status.votes && status.quorum && status.leader == Some(A));
    assert_eq!(status.voters, [A]);
}

#[test]
fn three_nodes_get_three_voters_and_any_of_them_takes_proposals() {
    let mut net = Net::of(&["A", "B", "C"]);
    net.wait(5_000);
    assert_eq!(net.voters(2).len(), 3);
    for at in 0..3 {
        let epoch = net.propose(at, move_to(&format!("h{at}:1"))).unwrap();
        assert!(
            net.nodes
                .iter()
                .all(|node| node.document().epoch() == epoch)
        );
    }
}

#[test]
fn four_nodes_have_three_voters_and_six_have_five() {
    let mut net = Net::of(&["A", "B", "C", "D"]);
    net.wait(5_000);
    assert_eq!(net.voters(3).len(), 3);
    assert!(net.propose(3, move_to("h:2")).is_ok());
    let mut net = Net::of(&["A", "B", "C", "D", "E", "F"]);
    net.wait(5_000);
    assert_eq!(net.voters(5).len(), 5);
}

#[test]
fn the_first_node_waits_until_all_others_of_the_list_were_heard() {
    let mut net = Net::apart(&["A", "B", "C"]);
    net.down[2] = true;
    net.link(0);
    net.wait(2_000);
    assert_eq!(net.nodes[0].status(net.now).unheard, [NodeId(2)]);
    let text = net.propose(0, move_to("h:2")).unwrap_err();
    assert_eq!(
        text,
        "NOQUORUM the cluster has no voters yet: C must be up once; the change may still be made, \
         reads and writes of data go on"
    );
}

#[test]
fn without_a_quorum_a_change_fails_in_clear_words_and_the_document_stays() {
    let mut net = Net::of(&["A", "B", "C"]);
    net.wait(5_000);
    net.take_down(1);
    net.take_down(2);
    net.wait(5_000);
    let epoch = net.nodes[0].document().epoch();
    let text = net.propose(0, move_to("h:2")).unwrap_err();
    assert!(
        text.starts_with("NOQUORUM too few of the voters (A, B, C) can be reached;"),
        "{text}"
    );
    assert_eq!(net.nodes[0].document().epoch(), epoch);
    assert!(!net.nodes[0].status(net.now).quorum);
}

#[test]
fn a_refusal_comes_back_in_the_words_of_the_rule() {
    let mut net = Net::of(&["A", "B", "C"]);
    net.wait(5_000);
    for at in 0..3 {
        let node = NodeId(9);
        let text = net.propose(at, Change::Drain { node }).unwrap_err();
        assert!(text.starts_with("NONODE J is no node"), "{text}");
        let seats = Vec::new();
        let text = net
            .propose(at, Change::Voters { config: 1, seats })
            .unwrap_err();
        assert!(text.starts_with("BADCHANGE voters are chosen"), "{text}");
    }
}

#[test]
fn a_voter_that_is_away_for_a_minute_is_replaced_by_a_node_that_is_up() {
    let mut net = Net::of(&["A", "B", "C", "D"]);
    net.wait(5_000);
    let voters = net.voters(0);
    let away = *voters.last().unwrap();
    net.take_down(away.0 as usize);
    net.wait(50_000);
    assert_eq!(net.voters(0), voters, "it may come back");
    net.wait(20_000);
    assert!(!net.voters(0).contains(&away) && net.voters(0).len() == 3);
}

#[test]
fn voters_are_spread_over_zones() {
    let mut specs: Vec<_> = ["A", "B", "C", "D"].map(spec).into();
    for (spec, zone) in specs.iter_mut().zip(["x", "x", "y", "z"]) {
        spec.zone = zone.to_owned();
    }
    let mut net = Net::apart(&["A", "B", "C", "D"]);
    let document = Document::initial(&specs, 7).unwrap();
    for at in 0..4u32 {
        net.nodes[at as usize] = Cluster::new(NodeId(at), document.clone(), u64::from(at));
    }
    for at in 0..4 {
        net.link(at);
    }
    net.wait(5_000);
    assert_eq!(net.voters(0), [A, NodeId(2), NodeId(3)]);
}

#[test]
fn a_node_that_lost_its_votes_stays_silent_until_it_has_a_new_seat() {
    let mut net = Net::of(&["A", "B", "C"]);
    net.wait(5_000);
    let before = net.nodes[0].document().node(B).unwrap().seat;
    net.take_down(1);
    net.nodes[1] = Cluster::new(B, initial(&["A", "B", "C"]), 77);
    net.down[1] = false;
    net.link(1);
    let status = net.nodes[1].status(net.now);
    assert!(status.lost_seat && !status.votes);
    net.wait(5_000);
    let after = net.nodes[1].document().node(B).unwrap().seat;
    assert_eq!((before, after), (Some(1_001), Some(77)));
    assert!(net.nodes[1].status(net.now).votes);
}

#[test]
fn a_first_node_that_lost_its_disk_does_not_begin_anew() {
    let mut net = Net::of(&["A", "B", "C"]);
    net.wait(5_000);
    assert!(net.propose(1, move_to("h:2")).is_ok());
    let document = net.nodes[1].document().clone();
    net.take_down(0);
    net.nodes[0] = Cluster::new(A, initial(&["A", "B", "C"]), 66);
    net.down[0] = false;
    net.link(0);
    assert_eq!(*net.nodes[0].document(), document);
}

#[test]
fn a_node_that_was_away_gets_the_newest_document_from_anybody() {
    let mut net = Net::of(&["A", "B", "C", "D"]);
    net.wait(5_000);
    net.take_down(3);
    assert!(net.propose(1, move_to("h:2")).is_ok());
    net.down[3] = false;
    net.link(3);
    assert_eq!(net.nodes[3].document(), net.nodes[0].document());
}

#[test]
fn a_node_goes_on_from_what_it_saved() {
    let mut net = Net::of(&["A", "B", "C"]);
    net.wait(5_000);
    let restored = Cluster::restore(&net.saved[1]).unwrap();
    assert_eq!(restored.document(), net.nodes[1].document());
    net.take_down(1);
    net.nodes[1] = restored;
    net.down[1] = false;
    net.link(1);
    net.take_down(2);
    net.wait(3_000);
    assert!(net.propose(1, move_to("h:2")).is_ok());
}

#[test]
fn no_damaged_state_and_no_damaged_frame_is_taken_or_stops_a_node() {
    let mut net = Net::of(&["A", "B", "C"]);
    net.wait(5_000);
    let saved = net.saved[0].clone();
    for cut in (0..saved.len()).step_by(7) {
        assert!(Cluster::restore(&saved[..cut]).is_err());
    }
    let mut effects = Vec::new();
    let frame = Bytes::from_static(&[1, 9]);
    net.nodes[0].handle(net.now, Input::Frame { from: B, frame }, &mut effects);
    let bad = |effect: &Effect| matches!(effect, Effect::BadFrame { from: B, .. });
    assert!(effects.iter().any(bad), "{effects:?}");
}
