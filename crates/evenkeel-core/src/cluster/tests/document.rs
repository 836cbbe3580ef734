//! The rules of changes, one by one.

use crate::cluster::{
    Change, ClusterSettings, Document, MemberRef, Move, NodeSpec, NodeState, Refused, Seat,
};
use crate::id::{NodeId, PartitionId};
use crate::membership::MemberState;

fn spec(name: &str) -> NodeSpec {
    NodeSpec {
        name: name.to_owned(),
        peer: format!("{}.example:6380", name.to_lowercase()),
        zone: String::new(),
        dc: String::new(),
        weight: NodeSpec::WEIGHT,
    }
}

fn cluster_of(names: &[&str]) -> Document {
    let specs: Vec<_> = names.iter().map(|name| spec(name)).collect();
    Document::initial(&specs, 7).unwrap()
}

const P: PartitionId = PartitionId(0);
const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const C: NodeId = NodeId(2);
const D: NodeId = NodeId(3);

fn apply(document: &mut Document, change: Change) {
    let before = document.clone();
    document.apply(&change).unwrap();
    assert!(document.epoch <= before.epoch + 1, "{change:?}");
    let bytes = document.encode();
    assert_eq!(Document::decode(&bytes).as_ref(), Ok(&*document));
    let once = document.clone();
    document.apply(&change).unwrap();
    assert_eq!(*document, once, "done twice: {change:?}");
}

fn refused(document: &mut Document, change: &Change) -> String {
    let before = document.clone();
    let refused = document.apply(change).unwrap_err();
    assert_eq!(*document, before, "a refused change has changed something");
    refused.to_string()
}

/// The table with the members of the first partition replaced.
fn target(document: &Document, first: &[NodeId]) -> Change {
    let mut target = document.table();
    target[0] = first.to_vec();
    Change::Adopt { target }
}

fn at(document: &Document, node: NodeId) -> Vec<MemberRef> {
    let since = document.member(P, node).unwrap().since;
    vec![MemberRef {
        partition: P,
        since,
    }]
}

fn place(partition: PartitionId, node: NodeId) -> Vec<Move> {
    vec![Move { partition, node }]
}

fn states(document: &Document) -> Vec<(NodeId, MemberState)> {
    let members = document.members(P).iter();
    members.map(|member| (member.node, member.state)).collect()
}

/// A, B, C and the newcomer D, which is Joining the first partition in the place of C.
fn joining() -> Document {
    let mut document = cluster_of(&["A", "B", "C"]);
    apply(&mut document, Change::Admit(spec("D")));
    let adopt = target(&document, &[D, A, B]);
    apply(&mut document, adopt);
    apply(&mut document, Change::Begin { moves: place(P, D) });
    document
}

/// The same after D has joined and C has begun to leave.
fn leaving() -> Document {
    let mut document = joining();
    let partitions = at(&document, D);
    apply(
        &mut document,
        Change::Joined {
            node: D,
            partitions,
        },
    );
    apply(&mut document, Change::Leave { moves: place(P, C) });
    document
}

#[test]
fn the_initial_document_is_the_table_of_a_fixed_cluster() {
    for (names, held) in [(1, 1), (2, 2), (3, 3), (5, 3)] {
        let names = &["A", "B", "C", "D", "E"][..names];
        let document = cluster_of(names);
        assert_eq!(document.epoch(), 0);
        for partition in Document::partitions() {
            let expected: Vec<_> = (0..held)
                .map(|offset| (usize::from(partition.0) + offset) % names.len())
                .map(|place| NodeId(u32::try_from(place).unwrap()))
                .collect();
            let members: Vec<_> = document.active_members(partition).collect();
            assert_eq!(members, expected);
            assert!(document.members(partition).iter().all(|m| m.since == 0));
        }
        assert!(document.is_settled());
    }
}

#[test]
fn a_move_goes_through_joining_and_leaving_in_the_order_of_the_plan() {
    use MemberState::{Active, Joining, Leaving};
    let mut document = joining();
    assert_eq!(
        states(&document),
        [(D, Joining), (A, Active), (B, Active), (C, Active)]
    );
    assert!(document.target().is_some() && !document.is_settled());
    document = leaving();
    assert_eq!(
        states(&document),
        [(D, Active), (A, Active), (B, Active), (C, Leaving)]
    );
    let partitions = at(&document, C);
    apply(
        &mut document,
        Change::Drained {
            node: C,
            partitions,
        },
    );
    assert_eq!(states(&document), [(D, Active), (A, Active), (B, Active)]);
    assert!(document.target().is_none() && document.is_settled());
    // Nothing has happened elsewhere.
    assert_eq!(document.changed(P), document.epoch());
    assert_eq!(document.changed(PartitionId(1)), 0);
}

#[test]
fn a_member_leaves_no_sooner_than_another_has_joined() {
    let mut document = joining();
    let leave = Change::Leave { moves: place(P, C) };
    let text = refused(&mut document, &leave);
    assert!(
        text.starts_with("UNSAFE partition 0 would have 2 full"),
        "{text}"
    );
    // An Active member does not disappear, whatever it reports.
    let partitions = at(&document, C);
    let text = refused(
        &mut document,
        &Change::Drained {
            node: C,
            partitions,
        },
    );
    assert!(text.starts_with("STALE node C"), "{text}");
}

#[test]
fn a_member_that_the_plan_names_does_not_leave() {
    let mut document = joining();
    let leave = Change::Leave { moves: place(P, A) };
    assert!(refused(&mut document, &leave).starts_with("STALE"));
    let begin = Change::Begin {
        moves: place(PartitionId(1), D),
    };
    assert!(refused(&mut document, &begin).starts_with("STALE"));
}

#[test]
fn a_report_of_an_earlier_membership_changes_nothing() {
    let mut document = joining();
    let old = at(&document, D);
    // The plan changes, and then changes back.
    let back = target(&document, &[A, B, C]);
    apply(&mut document, back);
    apply(&mut document, Change::Leave { moves: place(P, D) });
    let forth = target(&document, &[D, A, B]);
    apply(&mut document, forth);
    apply(&mut document, Change::Begin { moves: place(P, D) });
    let text = refused(
        &mut document,
        &Change::Joined {
            node: D,
            partitions: old,
        },
    );
    assert!(text.starts_with("STALE node D"), "{text}");
}

#[test]
fn a_joining_member_that_is_not_wanted_any_more_hands_over_what_it_took() {
    let mut document = joining();
    let back = target(&document, &[A, B, C]);
    apply(&mut document, back);
    apply(&mut document, Change::Leave { moves: place(P, D) });
    assert_eq!(document.member(P, D).unwrap().state, MemberState::Leaving);
    let partitions = at(&document, D);
    apply(
        &mut document,
        Change::Drained {
            node: D,
            partitions,
        },
    );
    assert!(document.is_settled());
}

#[test]
fn a_node_drains_only_when_another_can_take_its_data() {
    let mut document = cluster_of(&["A", "B"]);
    apply(&mut document, Change::Drain { node: B });
    assert_eq!(document.replicas_wanted(), 1);
    let text = refused(&mut document, &Change::Drain { node: A });
    assert!(text.starts_with("UNSAFE no other node"), "{text}");
    apply(&mut document, Change::Cancel { node: B });
    assert_eq!(document.state(B), Some(NodeState::Active));
    assert_eq!(document.replicas_wanted(), 2);
}

#[test]
fn a_node_with_the_last_replica_is_forgotten_only_on_the_operators_word() {
    let mut document = cluster_of(&["A", "B"]);
    apply(&mut document, Change::Replicas { count: 1 });
    let adopt = Change::Adopt {
        target: vec![vec![B]; 256],
    };
    apply(&mut document, adopt);
    apply(&mut document, Change::Leave { moves: place(P, A) });
    let forget = |accept_loss| Change::Forget {
        node: B,
        accept_loss,
    };
    let text = refused(&mut document, &forget(false));
    assert!(
        text.starts_with("UNSAFE node B holds the only full replica of 1 partitions"),
        "{text}"
    );
    apply(&mut document, forget(true));
    // Whoever was handing over serves what it has.
    assert_eq!(states(&document), [(A, MemberState::Active)]);
    assert_eq!(document.state(B), Some(NodeState::Gone));
}

#[test]
fn a_partition_of_which_nothing_is_left_begins_anew_on_the_emptiest_node() {
    let mut document = cluster_of(&["A"]);
    apply(&mut document, Change::Admit(spec("B")));
    apply(
        &mut document,
        Change::Forget {
            node: A,
            accept_loss: true,
        },
    );
    assert!(Document::partitions().all(|p| document.active_members(p).eq([B])));
    let text = refused(
        &mut document,
        &Change::Forget {
            node: B,
            accept_loss: true,
        },
    );
    assert!(text.starts_with("UNSAFE no other node"), "{text}");
}

#[test]
fn a_number_is_not_given_twice_and_a_name_is_free_again_when_its_node_is_gone() {
    let mut document = cluster_of(&["A", "B", "C", "D"]);
    let other = NodeSpec {
        peer: "elsewhere:1".to_owned(),
        ..spec("d")
    };
    let text = refused(&mut document, &Change::Admit(other.clone()));
    assert!(
        text.starts_with("NAMETAKEN the node D at d.example:6380"),
        "{text}"
    );
    apply(
        &mut document,
        Change::Forget {
            node: D,
            accept_loss: false,
        },
    );
    apply(&mut document, Change::Admit(other));
    assert_eq!(document.by_name("D"), Some(NodeId(4)));
    assert_eq!(document.state(D), Some(NodeState::Gone));
    let text = refused(&mut document, &Change::Drain { node: D });
    assert!(text.starts_with("NONODE D is no node"), "{text}");
}

#[test]
fn a_node_that_is_admitted_again_keeps_its_number() {
    let mut document = cluster_of(&["A"]);
    apply(&mut document, Change::Admit(spec("B")));
    let moved = NodeSpec {
        zone: "z2".to_owned(),
        ..spec("B")
    };
    apply(&mut document, Change::Admit(moved));
    assert_eq!(document.nodes().len(), 2);
    assert_eq!(document.node(B).unwrap().zone, "z2");
}

#[test]
fn a_replacement_takes_every_place_and_the_old_node_drains() {
    let mut document = cluster_of(&["A", "B", "C"]);
    apply(&mut document, Change::Admit(spec("D")));
    apply(&mut document, Change::Replace { old: B, new: D });
    assert_eq!(document.state(B), Some(NodeState::Draining));
    let target = document.target().unwrap();
    assert_eq!(target[0], [A, D, C]);
    assert!(target.iter().flatten().all(|node| *node != B));
    let text = refused(&mut document, &Change::Replace { old: A, new: C });
    assert!(text.starts_with("BADCHANGE node C holds data"), "{text}");
}

#[test]
fn a_node_that_a_plan_has_given_places_to_takes_over_all_the_same_while_it_holds_nothing() {
    let mut document = cluster_of(&["A", "B", "C"]);
    apply(&mut document, Change::Admit(spec("D")));
    let adopt = target(&document, &[A, C, D]);
    apply(&mut document, adopt);
    apply(&mut document, Change::Replace { old: C, new: D });
    let target = document.target().unwrap();
    assert_eq!(
        target[0]
            .iter()
            .copied()
            .collect::<std::collections::BTreeSet<_>>(),
        [A, B, D].into()
    );
    assert!(target.iter().flatten().all(|node| *node != C));
}

#[test]
fn a_plan_that_does_not_fit_is_refused() {
    let mut document = cluster_of(&["A", "B", "C"]);
    for (row, why) in [
        (vec![A, B], "as many replicas"),
        (vec![A, B, B], "twice"),
        (vec![A, B, D], "takes no data"),
    ] {
        let adopt = target(&document, &row);
        let text = refused(&mut document, &adopt);
        assert!(text.contains(why), "{text}");
    }
    let short = Change::Adopt { target: Vec::new() };
    assert!(refused(&mut document, &short).contains("every partition"));
    // The order alone may be planned; it is there at once.
    let epoch = document.epoch();
    let adopt = target(&document, &[C, A, B]);
    apply(&mut document, adopt);
    assert_eq!(document.active_members(P).next(), Some(C));
    assert!(document.target().is_none() && document.epoch() == epoch + 1);
}

#[test]
fn fields_of_nodes_are_checked() {
    let cases = [
        ("", "a:1", 100, "name"),
        ("a b", "a:1", 100, "name"),
        ("A", "a", 100, "peer address"),
        ("A", "a:99999", 100, "peer address"),
        ("A", "a:1", 0, "weight"),
        ("A", "a:1", 20_000, "weight"),
    ];
    for (name, peer, weight, field) in cases {
        let spec = NodeSpec {
            name: name.to_owned(),
            peer: peer.to_owned(),
            weight,
            ..spec("A")
        };
        let refused = Document::initial(&[spec], 1).unwrap_err();
        let Refused::BadField { field: found, .. } = refused else {
            panic!("{refused}");
        };
        assert_eq!(found, field);
    }
    let long = "x".repeat(256);
    assert!(Document::initial(&[spec(&long)], 1).is_err());
    assert!(Document::initial(&[], 1).is_err());
    let twice = Document::initial(&[spec("a"), spec("A")], 1).unwrap_err();
    assert!(matches!(twice, Refused::NameTaken { .. }));
}

#[test]
fn voters_are_set_as_a_list_of_present_nodes() {
    let mut document = cluster_of(&["A", "B", "C"]);
    let seat = |node: NodeId| Seat {
        node,
        key: u64::from(node.0) + 100,
    };
    let voters = |config, nodes: &[NodeId]| Change::Voters {
        config,
        seats: nodes.iter().map(|node| seat(*node)).collect(),
    };
    apply(&mut document, voters(0, &[A, C]));
    assert!(document.voters().eq([A, C]));
    assert_eq!(document.node(C).unwrap().seat, Some(102));
    for bad in [voters(1, &[]), voters(1, &[A, A]), voters(1, &[D])] {
        refused(&mut document, &bad);
    }
    apply(&mut document, voters(1, &[B]));
    assert!(document.voters().eq([B]));
    // Of two proposals made at once the second does not undo the first.
    let text = refused(&mut document, &voters(1, &[C]));
    assert!(
        text.contains("another change of voters came first"),
        "{text}"
    );
    apply(&mut document, voters(2, &[B]));
    assert_eq!(document.config(), 3);
}

#[test]
fn every_change_is_read_as_it_was_written() {
    let refs = vec![MemberRef {
        partition: PartitionId(255),
        since: 1 << 40,
    }];
    let changes = [
        Change::Admit(spec("A")),
        Change::SetPeer {
            node: A,
            peer: "b:2".to_owned(),
        },
        Change::Adopt {
            target: vec![vec![A, B], vec![], vec![NodeId(u32::MAX)]],
        },
        Change::Begin { moves: place(P, B) },
        Change::Joined {
            node: C,
            partitions: refs.clone(),
        },
        Change::Leave { moves: place(P, B) },
        Change::Drained {
            node: C,
            partitions: refs,
        },
        Change::Drain { node: A },
        Change::Cancel { node: A },
        Change::Forget {
            node: A,
            accept_loss: true,
        },
        Change::Replace { old: A, new: B },
        Change::Settings(ClusterSettings {
            auto_rebalance: false,
        }),
        Change::Replicas { count: 5 },
        Change::Voters {
            config: 3,
            seats: vec![Seat {
                node: A,
                key: u64::MAX,
            }],
        },
    ];
    for change in changes {
        let bytes = change.encode();
        assert_eq!(Change::decode(&bytes), Ok(change));
        for cut in 0..bytes.len() {
            assert!(Change::decode(&bytes[..cut]).is_err());
        }
    }
}

#[test]
fn no_flipped_bit_makes_an_impossible_document() {
    let document = leaving();
    let bytes = document.encode();
    for cut in (0..bytes.len()).step_by(11) {
        assert!(Document::decode(&bytes[..cut]).is_err());
    }
    for bit in (0..bytes.len() * 8).step_by(11) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = Document::decode(&flipped) {
            assert_eq!(read.encode(), flipped);
            assert!(Document::partitions().all(|p| read.active_members(p).count() > 0));
        }
    }
}
