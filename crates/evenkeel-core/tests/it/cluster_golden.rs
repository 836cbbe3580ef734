//! Golden files of topology documents, changes and state files, which every later build must read.
//!
//! `EVENKEEL_WRITE_FIXTURES=1 cargo test -p evenkeel-core --test it` writes those that are missing and never changes
//! one that exists.
#![expect(
    clippy::disallowed_methods,
    reason = "the rule is for what a node decides; a test reads its golden files from disk"
)]

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;

use evenkeel_core::cluster::{
    Change, Cluster, ClusterSettings, Document, Effect, Input, MemberRef, Move, NodeSpec, Seat,
};
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_core::time::Instant;

fn spec(name: &str, zone: &str, dc: &str, weight: u32) -> NodeSpec {
    NodeSpec {
        name: name.to_owned(),
        peer: format!("{name}.example:6380"),
        zone: zone.to_owned(),
        dc: dc.to_owned(),
        weight,
    }
}

const P: PartitionId = PartitionId(0);

fn since(document: &Document, node: NodeId) -> Vec<MemberRef> {
    let member = document.member(P, node).expect("a member");
    let since = member.since;
    vec![MemberRef {
        partition: P,
        since,
    }]
}

/// The changes of a small story, each fitting the document after the one before.
fn story(document: &mut Document) -> Vec<Change> {
    let (a, c, d) = (NodeId(0), NodeId(2), NodeId(3));
    let mut told = Vec::new();
    let mut tell = |document: &mut Document, change: Change| {
        document.apply(&change).expect("it fits");
        told.push(change);
    };
    let seats = vec![
        Seat { node: a, key: 11 },
        Seat {
            node: c,
            key: u64::MAX,
        },
    ];
    let config = 0;
    tell(document, Change::Voters { config, seats });
    tell(document, Change::Admit(spec("dora", "west", "x", 50)));
    let peer = "10.0.0.9:7".to_owned();
    tell(document, Change::SetPeer { node: a, peer });
    let mut target = document.table();
    target[0] = vec![d, NodeId(0), NodeId(1)];
    tell(document, Change::Adopt { target });
    let (partition, node) = (P, d);
    let moves = vec![Move { partition, node }];
    tell(document, Change::Begin { moves });
    let partitions = since(document, d);
    tell(document, Change::Joined { node, partitions });
    let node = c;
    let moves = vec![Move { partition, node }];
    tell(document, Change::Leave { moves });
    let partitions = since(document, c);
    tell(document, Change::Drained { node, partitions });
    tell(document, Change::Drain { node });
    tell(document, Change::Cancel { node });
    tell(document, Change::Admit(spec("emil", "", "x", 100)));
    let (old, new) = (NodeId(1), NodeId(4));
    tell(document, Change::Replace { old, new });
    let (node, accept_loss) = (NodeId(1), true);
    tell(document, Change::Forget { node, accept_loss });
    let auto_rebalance = false;
    tell(
        document,
        Change::Settings(ClusterSettings { auto_rebalance }),
    );
    tell(document, Change::Replicas { count: 2 });
    told
}

fn samples() -> Vec<(String, Vec<u8>)> {
    let specs = [
        spec("anna", "east", "x", 100),
        spec("bert", "east", "x", 100),
        spec("cora", "west", "x", 200),
    ];
    let mut document = Document::initial(&specs, 0x0123_4567_89ab_cdef).expect("good specs");
    let mut samples = vec![("document_initial".to_owned(), document.encode())];
    let mut moving = document.clone();
    for (number, change) in story(&mut document).iter().enumerate() {
        samples.push((format!("change_{number:02}"), change.encode()));
        moving.apply(change).expect("it fits");
        if number == 6 {
            samples.push(("document_moving".to_owned(), moving.encode()));
        }
    }
    samples.push(("document_last".to_owned(), document.encode()));
    samples.extend(states());
    samples
}

/// State files: of a node that decides alone, and of one of three voters.
fn states() -> Vec<(String, Vec<u8>)> {
    let specs = [
        spec("anna", "", "", 100),
        spec("bert", "", "", 100),
        spec("cora", "", "", 100),
    ];
    let states = [("state_alone", 1), ("state_voting", 3)];
    states
        .into_iter()
        .map(|(name, nodes)| (name.to_owned(), state(&specs[..nodes])))
        .collect()
}

/// What the last of these nodes has saved after five seconds with perfect links.
fn state(specs: &[NodeSpec]) -> Vec<u8> {
    let document = Document::initial(specs, 1).expect("good specs");
    let ids: Vec<NodeId> = document.nodes().keys().copied().collect();
    let new = |node: &NodeId| Cluster::new(*node, document.clone(), 100 + u64::from(node.0));
    let mut nodes: Vec<Cluster> = ids.iter().map(new).collect();
    let mut saved = Vec::new();
    let mut queue: VecDeque<(NodeId, Input)> = VecDeque::new();
    for node in &ids {
        let others = ids.iter().filter(|other| *other != node);
        queue.extend(others.map(|peer| (*node, Input::PeerUp { peer: *peer })));
    }
    for now in (0..5_000_000).step_by(100_000).map(Instant) {
        queue.extend(ids.iter().map(|node| (*node, Input::Tick)));
        while let Some((at, input)) = queue.pop_front() {
            let mut effects = Vec::new();
            nodes[at.0 as usize].handle(now, input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Save(bytes) if Some(&at) == ids.last() => saved = bytes.to_vec(),
                    Effect::Send { to, frame } => {
                        queue.push_back((to, Input::Frame { from: at, frame }));
                    }
                    _ => {}
                }
            }
        }
    }
    saved
}

#[test]
fn documents_and_changes_are_written_and_read_as_their_golden_files() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cluster");
    for (name, bytes) in samples() {
        let path = folder.join(format!("{name}.bin"));
        if std::env::var_os("EVENKEEL_WRITE_FIXTURES").is_some() && !path.exists() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        let golden = fs::read(&path).unwrap_or_else(|_| panic!("{name}.bin is missing"));
        // What nodes say to each other in five seconds may change; that it is read may not.
        if !name.starts_with("state") {
            assert_eq!(golden, bytes, "the format of {name} has changed");
        }
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name.starts_with("state") {
            assert!(Cluster::restore(&bytes).is_ok(), "{name}");
            continue;
        }
        let again = if name.starts_with("document") {
            Document::decode(&bytes).unwrap().encode()
        } else {
            Change::decode(&bytes).unwrap().encode()
        };
        assert_eq!(again, bytes, "{name}");
    }
}
