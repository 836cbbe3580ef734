//! Snapshots: who is away longer than the index reaches back catches up all the same, whole or not at all.

use super::history::shown_by;
use super::net::{Net, del, incr, kind, member, node, remove, sadd, set, srem, string};
use crate::causality::Context;
use crate::message::{Message, Note};
use crate::observation::Observation;
use crate::partition::{Replica, Settings};
use crate::wire::{decode, encode_note};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// An index so short, and chunks so small, that everything needs a snapshot of several chunks.
fn forgetful(settings: &mut Settings) {
    settings.index_entries_max = 2;
    settings.snapshot_chunk_bytes = 200;
}

fn fill(net: &mut Net, at: usize, keys: usize) {
    for n in 0..keys {
        net.write(at, set(&format!("k{n:02}"), &"v".repeat(50)));
    }
    net.lose_all();
}

#[test]
fn the_index_is_trimmed_over_its_cap_and_says_so() {
    let mut net = Net::with(2, forgetful);
    fill(&mut net, A, 10);
    assert_eq!(net.parts[A].replica().index_len(), 2);
    let trimmed = net.observed(A, |seen| matches!(seen, Observation::IndexTrimmed { .. }));
    assert_eq!(trimmed, 8);
}

#[test]
fn who_is_behind_the_index_gets_a_snapshot_and_is_equal_afterwards() {
    let mut net = Net::with(2, forgetful);
    fill(&mut net, A, 20);
    net.write(B, set("own", "b"));
    net.deltas(B, A);
    net.repair(B, A);
    let needed = net.observed(B, |seen| matches!(seen, Observation::SnapshotNeeded { .. }));
    assert_eq!(needed, 1);
    let chunks: Vec<usize> = net
        .observed
        .iter()
        .filter_map(|(_, seen)| match seen {
            Observation::SnapshotInstalled { chunks, .. } => Some(*chunks),
            _ => None,
        })
        .collect();
    assert!(chunks.len() == 1 && chunks[0] >= 5, "{chunks:?}");
    net.check_equal();
    net.check_no_overlay();
}

#[test]
fn a_snapshot_removes_what_its_source_has_removed_and_keeps_what_it_has_not_seen() {
    let mut net = Net::with(3, forgetful);
    net.write(A, sadd("s", "gone"));
    net.write(A, set("k05", "overwritten"));
    net.spread(A);
    net.write(B, sadd("s", "unseen"));
    net.lose_all();
    net.write(A, srem("s", "gone"));
    fill(&mut net, A, 10);
    net.repair(B, A);
    assert_eq!(net.members(B, "s"), ["unseen"]);
    assert_eq!(net.get(B, "k05").unwrap(), "v".repeat(50));
    net.check();
}

#[test]
fn a_source_that_vanishes_half_way_leaves_nothing_behind() {
    let mut net = Net::with(3, forgetful);
    fill(&mut net, A, 20);
    net.provoke(B, A);
    for kind in [
        kind::SYNC_REQUEST,
        kind::SNAPSHOT_REQUEST,
        kind::SNAPSHOT_REQUEST,
        kind::SNAPSHOT_REQUEST,
    ] {
        let request = net.take(B, A, kind);
        net.arrive(B, A, request);
        let answer = net
            .flights
            .iter()
            .position(|flight| flight.to == B)
            .unwrap();
        let answer = net.flights.remove(answer).frame;
        net.arrive(A, B, answer);
    }
    assert_eq!(net.flights.len(), 1, "the fourth chunk was asked for");
    let digest_of_nothing = Replica::default().digest();
    assert!(net.parts[B].replica().context().is_empty());
    assert_eq!(net.parts[B].replica().digest(), digest_of_nothing);
    assert_eq!(net.parts[B].replica().cells().count(), 0);

    net.input(B, crate::partition::Input::PeerDown { peer: node(A) });
    assert_eq!(net.parts[B].replica().cells().count(), 0);
    assert!(
        net.logs[B].is_empty(),
        "a spool reaches the log only when it is whole"
    );
    net.check();
}

#[test]
fn overlays_of_the_source_are_taken_over_by_a_snapshot() {
    let mut net = Net::with(3, forgetful);
    let c1 = net.write(C, sadd("s", "removed early"));
    let c2 = net.write(C, sadd("t", "deleted early"));
    net.deltas(C, B);
    net.write(B, srem("s", "removed early"));
    net.write(B, del("t"));
    net.deltas(B, A);
    fill(&mut net, A, 6);
    // A knows c1 and c2 dead and has not seen them. A new replica takes that over.
    net.restart(B, net.logs[B].len());
    net.lose_all();
    net.repair(B, A);
    let replica = net.parts[B].replica();
    assert!(replica.knows(&member("s", "removed early"), c1));
    assert!(replica.knows(&member("t", "deleted early"), c2));
    assert!(!replica.context().contains(c1) && !replica.context().contains(c2));
    net.repair(B, C);
    net.repair(A, C);
    assert!(net.members(B, "s").is_empty() && net.members(B, "t").is_empty());
    net.check_no_overlay();
    net.check();
}

#[test]
fn what_came_by_snapshot_is_there_again_after_a_restart() {
    let mut net = Net::with(2, forgetful);
    fill(&mut net, A, 20);
    net.repair(B, A);
    let (context, digest) = {
        let replica = net.parts[B].replica();
        (replica.context().clone(), replica.digest())
    };
    let again = net.replayed(B, 2);
    assert_eq!(*again.replica().context(), context);
    assert_eq!(again.replica().digest(), digest);

    // Without the last record, the note of the installation, the chunks count for nothing.
    net.logs[B].pop();
    let torn = net.replayed(B, 1);
    assert!(torn.replica().context().is_empty());
    assert_eq!(torn.replica().digest(), 0);
}

#[test]
fn the_dots_of_a_fenced_actor_are_void_unless_they_stand() {
    let mut net = Net::new(3);
    let a1 = net.write(A, sadd("s", "stands"));
    let a2 = net.write(A, sadd("s", "void"));
    net.deltas(A, B);
    net.write(B, srem("s", "void"));
    let frames: Vec<_> = (0..2).map(|_| net.take(A, C, kind::DELTA)).collect();
    net.deltas(B, C);
    assert!(
        net.parts[C]
            .replica()
            .overlay(&member("s", "void"))
            .contains(a2)
    );

    let keep: Context = [a1].into_iter().collect();
    let fenced = Note::Fenced {
        actor: a1.actor,
        upto: u64::MAX,
        keep,
    };
    let head = decode(&frames[0]).unwrap().0;
    net.parts[C].replay(&encode_note(head, &fenced)).unwrap();
    assert!(
        net.parts[C]
            .replica()
            .overlay(&member("s", "void"))
            .is_empty(),
        "nobody waits for a void dot"
    );
    for frame in frames {
        net.arrive(A, C, frame);
    }
    assert_eq!(net.members(C, "s"), ["stands"]);
    assert!(!net.parts[C].replica().context().contains(a2));
}

#[test]
fn a_counter_that_was_reset_arrives_by_snapshot_as_it_is() {
    let mut net = Net::with(2, forgetful);
    net.write(A, incr("n", 5));
    net.write(A, remove("n"));
    net.write(A, incr("n", 2));
    fill(&mut net, A, 4);
    net.repair(B, A);
    let cell = net.parts[B].replica().cell(&string("n")).unwrap();
    assert_eq!(
        shown_by(cell).chains.values().copied().collect::<Vec<_>>(),
        [2.0]
    );
    net.check_equal();
}

#[test]
fn residue_in_a_later_chunk_is_not_mistaken_for_collected_because_of_a_mask() {
    let mut net = Net::with(4, |settings| {
        settings.index_entries_max = 1;
        settings.snapshot_chunk_bytes = 1;
    });
    let new = 3;
    net.write(A, incr("z", 5));
    net.deltas(A, C);
    net.lose_all();
    net.write_all(
        C,
        vec![crate::partition::Write::Clear {
            range: crate::types::Range::all(),
        }],
    );
    net.deltas(C, B);
    // B has the delete and not the increment it saw: a mask, and residue in the last chunk.
    net.write(B, set("a", "first chunk"));
    net.write(B, set("b", "second chunk"));
    net.lose_all();
    net.repair(new, B);
    assert_eq!(
        net.observed(
            new,
            |seen| matches!(seen, Observation::SnapshotInstalled { chunks, .. } if *chunks > 1)
        ),
        1
    );
    net.write(A, incr("z", 3));
    net.deltas(A, new);
    assert_eq!(net.count(new, "z"), 3.0, "the first five were deleted");
    net.check();
}

#[test]
fn a_snapshot_with_a_gap_between_its_chunks_is_not_installed() {
    let mut net = Net::with(2, forgetful);
    fill(&mut net, A, 10);
    net.provoke(B, A);
    for kind in [kind::SYNC_REQUEST, kind::SNAPSHOT_REQUEST] {
        let request = net.take(B, A, kind);
        net.arrive(B, A, request);
        let answer = net
            .flights
            .iter()
            .position(|flight| flight.to == B)
            .unwrap();
        let answer = net.flights.remove(answer).frame;
        net.arrive(A, B, answer);
    }
    // The second chunk claims to be the last one, and begins behind keys that no chunk brought.
    let request = net.take(B, A, kind::SNAPSHOT_REQUEST);
    net.arrive(B, A, request);
    let frame = net.take(A, B, kind::SNAPSHOT_CHUNK);
    let Message::SnapshotChunk(mut chunk) = decode(&frame).unwrap().1 else {
        panic!("a chunk");
    };
    chunk.from = b"k09".as_slice().into();
    chunk.cells.clear();
    chunk.to = None;
    net.forge(A, B, &Message::SnapshotChunk(chunk));
    assert!(
        net.parts[B].replica().context().is_empty(),
        "events without their cells"
    );
    net.finish(A, B);
    net.repair(B, A);
    net.check_equal();
}

#[test]
fn a_refused_snapshot_is_sought_elsewhere() {
    let mut net = Net::with(3, forgetful);
    fill(&mut net, A, 10);
    net.repair(C, A);
    net.lose_all();
    // Both have what B lacks, and neither can tell it from its index.
    net.provoke(B, A);
    net.provoke(B, C);
    for source in [A, C] {
        let request = net.take(B, source, kind::SYNC_REQUEST);
        net.arrive(B, source, request);
        let need = net.take(source, B, kind::NEED_SNAPSHOT);
        net.arrive(source, B, need);
    }
    for _ in 0..2 {
        net.flights
            .retain(|flight| flight.kind() == kind::SNAPSHOT_REQUEST);
        assert_eq!(net.flights.len(), 1, "one member is asked at a time");
        let request = net.flights.remove(0);
        let Message::SnapshotRequest { nonce, .. } = decode(&request.frame).unwrap().1 else {
            panic!("a request for a snapshot");
        };
        net.forge(request.to, B, &Message::SnapshotRefused { nonce });
        net.wait(100);
        let asked = |flight: &&super::net::Flight| flight.kind() == kind::SNAPSHOT_REQUEST;
        let next = net.flights.iter().find(asked).unwrap();
        assert_ne!(
            next.to, request.to,
            "it has just refused, and the other has it too"
        );
    }
}

#[test]
fn a_checkpoint_takes_the_place_of_the_log_with_overlays_chains_and_masks() {
    let mut net = Net::with(3, forgetful);
    fill(&mut net, A, 20);
    net.write(A, incr("n", 5));
    net.write(A, sadd("s", "m"));
    net.deltas(A, B);
    net.write(B, remove("n"));
    net.write(B, del("s"));
    // C hears of the removals, and of nothing that they remove.
    net.lose_to(A);
    net.deltas(B, C);
    for at in [A, B, C] {
        net.checkpoint(at);
        net.restart(at, 0);
    }
    net.converge();
    net.check_no_overlay();
}

#[test]
fn a_part_of_a_checkpoint_says_nothing() {
    let mut net = Net::with(2, forgetful);
    fill(&mut net, A, 20);
    net.checkpoint(A);
    for missing in 0..net.logs[A].len() - 2 {
        let mut fresh = net.replayed(A, 0);
        let records = net.logs[A].iter().enumerate();
        for (_, (record, _)) in records.filter(|(at, _)| *at != missing) {
            fresh.replay(record).unwrap();
        }
        assert_eq!(
            *fresh.replica().context(),
            Context::default(),
            "without {missing}"
        );
        assert_eq!(fresh.replica().key_count(), 0, "without {missing}");
    }
}
