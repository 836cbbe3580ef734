//! Golden files of topology documents and changes, which every later build must read.
//!
//! `EVENKEEL_WRITE_FIXTURES=1 cargo test -p evenkeel-core --test it` writes those that are missing and never changes
//! one that exists.
#![expect(
    clippy::disallowed_methods,
    reason = "the rule is for what a node decides; a test reads its golden files from disk"
)]

use std::fs;
use std::path::PathBuf;

use evenkeel_core::cluster::{Change, ClusterSettings, Document, MemberRef, Move, NodeSpec, Seat};
use evenkeel_core::id::{NodeId, PartitionId};

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
    samples
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
        assert_eq!(golden, bytes, "the format of {name} has changed");
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let again = if path
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .starts_with("document")
        {
            Document::decode(&bytes).unwrap().encode()
        } else {
            Change::decode(&bytes).unwrap().encode()
        };
        assert_eq!(again, bytes, "{}", path.display());
    }
}
