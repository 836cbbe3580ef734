//! The worked interleavings of the design (replication.md 13), with the frames delivered by hand. A, B, C are the
//! nodes 0, 1, 2.

use evenkeel_core::message::Message;
use evenkeel_core::observation::Observation;
use evenkeel_core::partition::{Acks, Input};
use evenkeel_core::types::CellRef;
use evenkeel_sim::scenario::{Bench, Parcel, Syncing, add, clear, remove, set};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// The frame of the only delta on the queue for `to`; everything else is lost.
fn delta(bench: &mut Bench, to: usize) -> Parcel {
    let deltas = bench.take().into_iter();
    let mut deltas = deltas.filter(|parcel| parcel.to == to && parcel.is_delta());
    deltas
        .next()
        .expect("a write sends a delta to every member")
}

/// Lets two nodes talk until one sends a frame for which `stop` holds; that one is given back undelivered.
fn talk_until(bench: &mut Bench, (a, b): (usize, usize), stop: fn(&Message) -> bool) -> Parcel {
    for _ in 0..1000 {
        let mut parcels = bench.take();
        parcels.retain(|it| (it.from, it.to) == (a, b) || (it.from, it.to) == (b, a));
        if parcels.is_empty() {
            tick(bench, a);
            tick(bench, b);
        }
        for parcel in parcels {
            if parcel.message().is_some_and(|message| stop(&message)) {
                bench.lose_all();
                return parcel;
            }
            bench.deliver(&parcel);
        }
    }
    panic!("no such frame was sent");
}

/// Lets a node's next deadline come.
fn tick(bench: &mut Bench, at: usize) {
    let due = bench.at(at).deadline();
    let due = due.expect("a replica always has its next advert ahead");
    bench.pass_to(due);
    bench.input(at, Input::Tick);
}

const fn is_answer(message: &Message) -> bool {
    matches!(message, Message::SyncAnswer(_))
}

#[test]
fn a_lost_middle_write_leaves_a_sibling_until_repair_removes_it() {
    let mut bench = Bench::new(3);
    bench.write(A, set("x", "1"));
    let first = delta(&mut bench, B);
    let lost = bench.write(A, set("x", "2"));
    bench.lose_all();
    bench.write(A, set("x", "3"));
    let third = delta(&mut bench, B);
    bench.deliver(&first);
    bench.deliver(&third);
    assert_eq!(
        bench.values(B, "x"),
        ["1", "3"],
        "the removal of 1 was lost"
    );
    assert_eq!(bench.shown(B, "x").as_deref(), Some("3"));
    assert!(
        !bench.has(B, &lost),
        "what was only overwritten is not applied"
    );
    bench.exchange(A, B);
    assert!(bench.has(B, &lost));
    assert_eq!(bench.values(B, "x"), ["3"]);
    assert!(bench.cell(B, "x").and_then(CellRef::pre).is_none());
}

#[test]
fn a_missed_remove_is_repaired() {
    let mut bench = Bench::new(3);
    bench.write_everywhere(A, set("s/m", ""));
    bench.write(A, remove("s/m"));
    bench.lose_all();
    assert_eq!(bench.values(B, "s/m").len(), 1);
    bench.exchange(A, B);
    assert!(bench.values(B, "s/m").is_empty());
}

#[test]
fn an_add_concurrent_with_a_remove_wins() {
    let mut bench = Bench::new(3);
    bench.write_everywhere(A, set("s/m", "old"));
    bench.write(B, remove("s/m"));
    bench.write(C, set("s/m", "new"));
    bench.heal();
    for node in [A, B, C] {
        assert_eq!(bench.values(node, "s/m"), ["new"]);
    }
    assert!(bench.agrees());
}

#[test]
fn a_remove_that_arrives_before_its_add_never_shows_the_element() {
    let mut bench = Bench::new(3);
    bench.write(A, set("s/m", ""));
    let frames = bench.take();
    let adds: Vec<&Parcel> = frames.iter().filter(|parcel| parcel.is_delta()).collect();
    bench.deliver(adds.iter().find(|parcel| parcel.to == B).unwrap());
    bench.lose_all();
    bench.write(B, remove("s/m"));
    let remove = delta(&mut bench, C);
    bench.deliver(&remove);
    assert!(bench.cell(C, "s/m").and_then(CellRef::pre).is_some());
    bench.deliver(adds.iter().find(|parcel| parcel.to == C).unwrap());
    assert!(bench.values(C, "s/m").is_empty(), "dead on arrival");
    assert!(
        bench.cell(C, "s/m").is_none(),
        "the overlay has emptied itself"
    );
}

#[test]
fn an_add_concurrent_with_a_delete_of_the_set_survives_and_observed_adds_never_return() {
    let mut bench = Bench::new(3);
    bench.write_everywhere(A, set("s/a", ""));
    bench.write(B, set("s/b", ""));
    let late = bench.take();
    let for_a = late
        .iter()
        .find(|parcel| parcel.to == A && parcel.is_delta());
    bench.deliver(for_a.unwrap());
    bench.write(A, clear("s"));
    let delete = delta(&mut bench, C);
    bench.write(B, set("s/z", ""));
    bench.lose_all();
    bench.deliver(&delete);
    assert_eq!(
        bench.at(C).replica().masks().count(),
        1,
        "b has not arrived"
    );
    bench.deliver(
        late.iter()
            .find(|parcel| parcel.to == C && parcel.is_delta())
            .unwrap(),
    );
    assert!(bench.values(C, "s/b").is_empty(), "the mask killed it");
    assert_eq!(bench.at(C).replica().masks().count(), 0);
    bench.heal();
    for node in [A, B, C] {
        let left = ["s/a", "s/b", "s/z"].map(|member| bench.values(node, member).len());
        assert_eq!(left, [0, 0, 1]);
    }
    assert!(bench.agrees());
}

#[test]
fn a_late_duplicate_after_repair_does_not_resurrect() {
    let mut bench = Bench::new(3);
    bench.write(A, set("x", "1"));
    let first = delta(&mut bench, B);
    bench.write(A, set("x", "2"));
    bench.lose_all();
    bench.exchange(A, B);
    assert_eq!(bench.values(B, "x"), ["2"]);
    bench.deliver(&first);
    assert_eq!(bench.values(B, "x"), ["2"]);
}

#[test]
fn an_answer_to_a_request_from_before_a_crash_is_dropped() {
    let mut bench = Bench::new(3);
    bench.write(A, set("x", "1"));
    bench.deliver_to(B);
    bench.write(A, set("x", "2"));
    bench.lose_all();
    let answer = talk_until(&mut bench, (A, B), is_answer);
    assert_eq!(answer.to, B);
    bench.crash(B);
    bench.lose_all();
    bench.deliver(&answer);
    assert!(
        bench.at(B).replica().context().is_empty(),
        "nothing was taken from it"
    );
    let stale = Observation::StaleAnswer {
        from: evenkeel_core::id::NodeId(0),
    };
    assert!(bench.observed().contains(&stale));
    bench.exchange(A, B);
    assert_eq!(bench.values(B, "x"), ["2"]);
}

#[test]
fn a_write_lost_in_a_crash_and_the_write_after_it_both_stand() {
    let mut bench = Bench::new(3);
    bench.write(A, set("x", "before"));
    bench.deliver_to(B);
    bench.crash(A);
    bench.lose_all();
    bench.write(A, set("y", "after"));
    bench.heal();
    for node in [A, B, C] {
        assert_eq!(bench.values(node, "x"), ["before"], "it comes back from B");
        assert_eq!(bench.values(node, "y"), ["after"]);
    }
}

#[test]
fn increments_are_exact_although_a_counters_owner_lost_its_tail() {
    let mut bench = Bench::new(3);
    bench.write(A, add("n", 5));
    bench.sync(A);
    bench.deliver_to(B);
    bench.write(A, add("n", 3));
    bench.deliver_to(B);
    bench.crash(A);
    bench.lose_all();
    assert_eq!(bench.count(A, "n"), 5);
    bench.write(A, add("n", 1));
    bench.heal();
    for node in [A, B, C] {
        assert_eq!(bench.count(node, "n"), 9);
    }
}

#[test]
fn a_delete_takes_exactly_the_increments_it_saw() {
    let mut bench = Bench::new(3);
    bench.write(A, add("n", 5));
    let first = bench.take();
    bench.deliver(
        first
            .iter()
            .find(|parcel| parcel.to == B && parcel.is_delta())
            .unwrap(),
    );
    bench.lose_all();
    bench.write(B, remove("n"));
    let delete = delta(&mut bench, C);
    bench.write(A, add("n", 3));
    let second = delta(&mut bench, C);
    bench.deliver(&second);
    bench.deliver(&delete);
    assert_eq!(bench.count(C, "n"), 3, "without the first increment");
    bench.deliver(
        first
            .iter()
            .find(|parcel| parcel.to == C && parcel.is_delta())
            .unwrap(),
    );
    assert_eq!(bench.count(C, "n"), 3, "and with it");
    bench.heal();
    for node in [A, B, C] {
        assert_eq!(bench.count(node, "n"), 3);
    }
}

#[test]
fn a_counter_restarted_after_a_delete_does_not_meet_its_old_reset() {
    let mut bench = Bench::new(3);
    bench.write_everywhere(A, add("n", 5));
    bench.write_everywhere(B, remove("n"));
    bench.write(A, add("n", 2));
    let increment = delta(&mut bench, C);
    bench.deliver(&increment);
    assert_eq!(bench.count(C, "n"), 2);
    bench.heal();
    assert_eq!([A, B, C].map(|node| bench.count(node, "n")), [2, 2, 2]);
}

#[test]
fn residue_of_a_counter_stays_until_its_owner_has_seen_the_reset() {
    let mut bench = Bench::new(3);
    bench.write_everywhere(A, add("n", 5));
    bench.write(B, remove("n"));
    bench.deliver_to(C);
    for node in [A, B, C] {
        bench.sync(node);
    }
    // B and C talk for long, A hears nothing.
    bench.run(20_000, Syncing::Always, |from, to| from != A && to != A);
    let chains = |bench: &Bench, node| bench.cell(node, "n").map_or(0, |cell| cell.chains().len());
    assert_eq!(chains(&bench, B), 1, "A may still extend the chain");
    bench.write(A, add("n", 3));
    bench.heal();
    assert_eq!([A, B, C].map(|node| bench.count(node, "n")), [3, 3, 3]);
    bench.write(B, remove("n"));
    bench.heal();
    assert_eq!([A, B, C].map(|node| chains(&bench, node)), [0, 0, 0]);
}

#[test]
fn a_repaired_cell_never_comes_without_the_range_delete_behind_it() {
    let mut bench = Bench::new(3);
    bench.write_everywhere(A, set("s/m", ""));
    bench.write(A, set("s/k", ""));
    bench.lose_all();
    bench.write(A, clear("s"));
    bench.lose_all();
    bench.exchange(A, B);
    assert!(bench.values(B, "s/m").is_empty());
    bench.kill(A);
    bench.lose_all();
    bench.run(20_000, Syncing::Always, |_, _| true);
    assert!(
        bench.values(C, "s/m").is_empty(),
        "C gets the delete from B"
    );
    assert!(bench.agrees());
}

#[test]
fn a_snapshot_whose_source_dies_half_way_leaves_nothing_behind() {
    let mut bench = Bench::with(3, |settings| {
        settings.index_entries_max = 1;
        settings.snapshot_chunk_bytes = 1;
    });
    for key in ["a", "b", "c", "d"] {
        bench.write(A, set(key, "1"));
    }
    bench.lose_all();
    let half = talk_until(
        &mut bench,
        (A, B),
        |message| matches!(message, Message::SnapshotChunk(chunk) if chunk.index == 2),
    );
    bench.deliver(&half);
    bench.kill(A);
    bench.lose_all();
    assert!(bench.at(B).replica().context().is_empty());
    assert_eq!(
        bench.at(B).replica().cells().count(),
        0,
        "the spool is not installed"
    );
    bench.run(60_000, Syncing::Always, |_, _| true);
    assert!(bench.agrees());
}

#[test]
fn a_snapshot_brings_a_member_that_was_away_up_to_date() {
    let mut bench = Bench::with(3, |settings| {
        settings.index_entries_max = 1;
        settings.snapshot_chunk_bytes = 1;
    });
    for key in ["a", "b", "c", "d"] {
        bench.write(A, set(key, key));
    }
    bench.lose_all();
    bench.exchange(A, B);
    let installed = |observation: &Observation| {
        matches!(
            observation,
            Observation::SnapshotInstalled { chunks: 4, .. }
        )
    };
    assert!(bench.observed().iter().any(installed));
    assert_eq!(bench.values(B, "d"), ["d"]);
}

#[test]
fn a_losing_sibling_is_kept_so_that_a_delete_of_both_is_the_same_everywhere() {
    let mut bench = Bench::new(4);
    let d = 3;
    bench.write(A, set("x", "older"));
    let old = bench.take();
    bench.skew(B, 10);
    bench.write(B, set("x", "newer"));
    let new = bench.take();
    for parcel in old
        .iter()
        .chain(&new)
        .filter(|parcel| parcel.is_delta() && parcel.to == C)
    {
        bench.deliver(parcel);
    }
    bench.lose_all();
    assert_eq!(bench.values(C, "x").len(), 2, "both are kept");
    assert_eq!(bench.shown(C, "x").as_deref(), Some("newer"));
    bench.write(C, remove("x"));
    let removal = delta(&mut bench, d);
    bench.deliver(&removal);
    for parcel in old
        .iter()
        .filter(|parcel| parcel.is_delta() && parcel.to == d)
    {
        bench.deliver(parcel);
    }
    assert!(
        bench.values(d, "x").is_empty(),
        "the loser does not come back"
    );
    bench.heal();
    assert!(bench.agrees());
    assert!(bench.values(A, "x").is_empty());
}

#[test]
fn a_range_delete_lists_dead_chains_that_were_not_collected() {
    let mut bench = Bench::new(3);
    bench.write_everywhere(A, add("n", 5));
    bench.write(B, remove("n"));
    bench.lose_all();
    // B sees something else to delete under the key, and its dead chain with it.
    bench.write(B, set("n", "text"));
    bench.lose_all();
    bench.write(B, clear("n"));
    let delete = delta(&mut bench, C);
    bench.deliver(&delete);
    let residue = bench.cell(C, "n").map_or(0, |cell| cell.chains().len());
    assert_eq!(residue, 1, "absent would mean collected");
    bench.write(A, add("n", 3));
    bench.heal();
    assert_eq!([A, B, C].map(|node| bench.count(node, "n")), [3, 3, 3]);
}

#[test]
fn an_index_entry_outlives_an_acknowledgement_that_was_not_durable() {
    let mut bench = Bench::new(3);
    let dots = bench.write_everywhere(A, set("x", "1"));
    bench.sync(A);
    bench.sync(B);
    bench.run(5_000, Syncing::Never, |_, _| true);
    assert!(bench.has(C, &dots));
    assert_eq!(bench.at(A).replica().index_len(), 1, "C has not synced it");
    bench.crash(C);
    bench.lose_all();
    assert!(!bench.has(C, &dots));
    bench.exchange(A, C);
    assert_eq!(bench.values(C, "x"), ["1"], "A could still answer");
    bench.heal();
    assert_eq!(
        [A, B, C].map(|node| bench.at(node).replica().index_len()),
        [0, 0, 0]
    );
}

#[test]
fn a_write_that_saw_a_stamp_of_tomorrow_replaces_it() {
    let mut bench = Bench::new(3);
    bench.skew(A, 24 * 3_600_000);
    bench.write_everywhere(A, set("x", "tomorrow"));
    bench.write_everywhere(B, set("x", "today"));
    for node in [A, B, C] {
        assert_eq!(bench.values(node, "x"), ["today"]);
    }
}

#[test]
fn two_members_that_wait_for_each_other_do_not_echo_adverts() {
    let mut bench = Bench::new(2);
    for node in [A, B] {
        let (ticket, deadline) = (bench.ticket(), bench.deadline(2_000));
        bench.input(
            node,
            Input::Write {
                ticket,
                writes: vec![set("x", "1")],
                acks: Acks {
                    members: 2,
                    durable: true,
                },
                deadline,
            },
        );
    }
    let mut frames = 0;
    loop {
        let parcels = bench.take();
        if parcels.is_empty() {
            break;
        }
        frames += parcels.len();
        assert!(frames < 100, "frames beget frames");
        for parcel in &parcels {
            bench.deliver(parcel);
        }
    }
}

#[test]
fn a_mask_that_came_with_a_unit_empties_itself_in_every_cell() {
    let mut bench = Bench::new(3);
    // C writes two members, only A sees them, deletes the set, and writes one of them again.
    bench.batch(C, vec![set("s/a", ""), set("s/b", "")]);
    let adds = bench.take();
    bench.deliver(
        adds.iter()
            .find(|parcel| parcel.to == A && parcel.is_delta())
            .unwrap(),
    );
    bench.lose_all();
    bench.write(A, clear("s"));
    let delete = delta(&mut bench, B);
    bench.deliver(&delete);
    assert_eq!(bench.at(B).replica().masks().count(), 1);
    bench.heal();
    for node in [A, B, C] {
        let overlays = bench
            .at(node)
            .replica()
            .cells()
            .filter(|(_, cell)| cell.pre().is_some());
        assert_eq!(overlays.count(), 0);
        assert_eq!(bench.at(node).replica().masks().count(), 0);
    }
    assert!(bench.agrees());
}

#[test]
fn a_snapshot_in_chunks_brings_residue_of_increments_that_its_source_lacks() {
    let mut bench = Bench::with(4, |settings| {
        settings.index_entries_max = 1;
        settings.snapshot_chunk_bytes = 1;
    });
    let d = 3;
    bench.write(A, add("n", 5));
    let increment = delta(&mut bench, B);
    bench.deliver(&increment);
    bench.write(B, clear("n"));
    let delete = delta(&mut bench, C);
    bench.deliver(&delete);
    // Other keys, so that the counter is not in the first chunk.
    bench.write(C, set("a", "1"));
    bench.write(C, set("b", "1"));
    bench.lose_all();
    bench.exchange(C, d);
    assert_eq!(bench.values(d, "b"), ["1"]);
    let residue = bench.cell(d, "n").map_or(0, |cell| cell.chains().len());
    assert_eq!(residue, 1, "absent would mean collected");
    bench.write(A, add("n", 3));
    bench.heal();
    assert_eq!([A, B, C, d].map(|node| bench.count(node, "n")), [3; 4]);
}
