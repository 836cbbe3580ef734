//! The worked interleavings of replication.md 13. A is replica 0, B is 1, C is 2.

use super::net::{Net, del, incr, kind, member, remove, sadd, set, srem, string};
use crate::partition::Write;
use crate::types::Range;

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

#[test]
fn a_lost_middle_write_is_repaired_and_its_predecessor_goes() {
    let mut net = Net::new(3);
    let a1 = net.write(A, set("x", "1"));
    net.deltas(A, B);
    net.write(A, set("x", "2"));
    net.lose_all();
    let a3 = net.write(A, set("x", "3"));
    net.deltas(A, B);
    let cell = net.parts[B].replica().cell(&string("x")).unwrap();
    let dots: Vec<_> = cell.versions().map(|version| version.dot).collect();
    assert_eq!(
        dots,
        [a1, a3],
        "the write that removes a1 is missing, so both live"
    );
    assert_eq!(net.get(B, "x").unwrap(), "3");
    net.check();

    net.repair(B, A);
    let cell = net.parts[B].replica().cell(&string("x")).unwrap();
    assert_eq!(cell.versions().count(), 1);
    net.repair(C, B);
    net.check_equal();
    net.check_no_overlay();
}

#[test]
fn a_missed_remove_is_found_by_its_own_dot() {
    let mut net = Net::new(3);
    net.write(A, sadd("s", "m"));
    net.spread(A);
    net.write(A, srem("s", "m"));
    net.lose_to(B);
    net.spread(A);
    assert_eq!(net.members(B, "s"), ["m"]);
    net.repair(B, A);
    assert!(net.members(B, "s").is_empty());
    net.check_equal();
}

#[test]
fn an_add_beside_a_remove_wins() {
    let mut net = Net::new(3);
    net.write(A, sadd("s", "m"));
    net.spread(A);
    net.write(B, srem("s", "m"));
    net.write(C, sadd("s", "m"));
    net.spread(B);
    net.spread(C);
    for at in [A, B, C] {
        assert_eq!(net.members(at, "s"), ["m"]);
    }
    net.check_equal();
    net.check_no_overlay();
}

#[test]
fn a_remove_that_arrives_before_its_add_leaves_nothing_to_see() {
    let mut net = Net::new(3);
    let a1 = net.write(A, sadd("s", "m"));
    net.deltas(A, B);
    net.write(B, srem("s", "m"));
    net.deltas(B, C);
    let cell = net.parts[C].replica().cell(&member("s", "m")).unwrap();
    assert_eq!(cell.pre().map(|pre| pre.contains(a1)), Some(true));
    assert!(net.members(C, "s").is_empty());

    net.deltas(A, C);
    assert!(net.members(C, "s").is_empty(), "no version is ever shown");
    assert!(net.parts[C].replica().cell(&member("s", "m")).is_none());
    net.deltas(B, A);
    net.check_equal();
    net.check_no_overlay();
}

#[test]
fn a_delete_of_a_set_beside_an_add_keeps_the_add_and_its_mask_empties_itself() {
    let mut net = Net::new(3);
    for n in 1..=8 {
        net.write(A, sadd("s", &format!("a{n}")));
    }
    net.spread(A);
    let b1 = net.write(B, sadd("s", "early"));
    net.deltas(B, A);
    net.write(A, del("s"));
    net.write(B, sadd("s", "z"));
    net.deltas(A, C);
    let masks: Vec<_> = net.parts[C].replica().masks().collect();
    assert_eq!(masks.len(), 1);
    assert_eq!(masks[0].1.dots().collect::<Vec<_>>(), [b1]);

    net.deltas(A, B);
    net.deltas(B, A);
    net.deltas(B, C);
    for at in [A, B, C] {
        assert_eq!(net.members(at, "s"), ["z"]);
    }
    net.check_equal();
    net.check_no_overlay();
}

#[test]
fn a_mask_empties_itself_when_the_masked_write_comes_by_repair() {
    let mut net = Net::new(3);
    net.write(B, sadd("s", "old"));
    net.deltas(B, A);
    net.lose_all();
    net.write(A, del("s"));
    net.deltas(A, C);
    assert_eq!(net.parts[C].replica().masks().count(), 1);
    net.repair(C, A);
    assert!(net.members(C, "s").is_empty());
    net.check_no_overlay();
    net.check();
}

#[test]
fn a_late_duplicate_after_a_repair_does_not_return() {
    let mut net = Net::new(3);
    net.write(A, set("x", "1"));
    let late = net.take(A, B, kind::DELTA);
    net.write(A, set("x", "2"));
    net.lose_all();
    net.repair(B, A);
    net.arrive(A, B, late.clone());
    net.arrive(A, B, late);
    assert_eq!(net.get(B, "x").unwrap(), "2");
    let cell = net.parts[B].replica().cell(&string("x")).unwrap();
    assert_eq!(
        cell.versions().count(),
        1,
        "the first write is not back as a sibling"
    );
    net.check();
}

#[test]
fn an_answer_to_a_request_from_before_a_crash_is_refused() {
    let mut net = Net::new(3);
    for n in 1..=9 {
        net.write(A, set(&format!("k{n}"), "v"));
    }
    net.deltas(A, B);
    net.write(A, set("k10", "v"));
    net.lose_all();
    net.provoke(B, A);
    let request = net.take(B, A, kind::SYNC_REQUEST);
    net.arrive(B, A, request);
    let answer = net.take(A, B, kind::SYNC_ANSWER);

    net.restart(B, 4);
    net.lose_all();
    let before = net.parts[B].replica().context().clone();
    assert_eq!(before.count(), 5, "the crash lost the last four records");
    net.arrive(A, B, answer.clone());
    assert_eq!(*net.parts[B].replica().context(), before);
    // Nor when the new process has asked as often as the old one had.
    net.provoke(B, A);
    net.arrive(A, B, answer);
    assert_eq!(*net.parts[B].replica().context(), before);
    net.converge();
    assert_eq!(net.parts[B].replica().context().count(), 10);
}

#[test]
fn an_increment_beside_a_delete_is_counted_exactly() {
    let mut net = Net::new(3);
    net.write(A, incr("n", 5));
    let a1 = net.take(A, C, kind::DELTA);
    net.deltas(A, B);
    net.write(B, remove("n"));
    net.write(A, incr("n", 3));
    net.deltas(A, C);
    net.deltas(B, C);
    assert_eq!(net.count(C, "n"), 3.0);
    net.arrive(A, C, a1);
    assert_eq!(
        net.count(C, "n"),
        3.0,
        "the late first increment changes nothing"
    );
    net.deltas(A, B);
    net.deltas(B, A);
    assert_eq!([net.count(A, "n"), net.count(B, "n")], [3.0, 3.0]);
    net.check_equal();
}

#[test]
fn a_counter_starts_anew_after_a_delete_whatever_others_still_hold() {
    let mut net = Net::new(3);
    net.write(A, incr("n", 5));
    net.spread(A);
    net.write(B, remove("n"));
    net.deltas(B, C);
    net.deltas(B, A);
    assert_eq!(net.count(A, "n"), 0.0);
    net.write(A, incr("n", 2));
    net.spread(A);
    for at in [A, B, C] {
        assert_eq!(net.count(at, "n"), 2.0);
    }
    net.check_equal();
}

#[test]
fn a_set_overrides_the_increments_it_saw_and_no_others() {
    let mut net = Net::new(3);
    net.write(A, incr("n", 5));
    net.spread(A);
    net.write(B, set("n", "100"));
    net.write(A, incr("n", 1));
    net.spread(A);
    net.spread(B);
    for at in [A, B, C] {
        assert_eq!(net.get(at, "n").unwrap(), "100");
        assert_eq!(net.count(at, "n"), 1.0);
    }
    net.check_equal();
}

#[test]
fn a_range_delete_comes_before_the_units_of_an_answer() {
    let mut net = Net::new(3);
    net.write(C, sadd("s", "m"));
    net.spread(C);
    net.write(A, del("s"));
    net.write(A, sadd("s", "m"));
    net.lose_all();
    // B learns of A's whole change; then A is lost, and C must get the delete from B.
    net.repair(B, A);
    net.repair(C, B);
    assert_eq!(net.members(C, "s"), ["m"]);
    let cell = net.parts[C].replica().cell(&member("s", "m")).unwrap();
    assert_eq!(cell.versions().count(), 1, "the deleted version is gone");
    net.check_equal();
}

#[test]
fn the_version_that_loses_is_kept_until_a_write_that_saw_it() {
    let mut net = Net::new(4);
    let (d, late) = (3, 3);
    net.write(A, set("x", "older"));
    net.now.wall.0 += 5;
    net.write(B, set("x", "newer"));
    net.deltas(A, C);
    net.deltas(B, C);
    net.deltas(B, d);
    assert_eq!(net.get(C, "x").unwrap(), "newer");
    let cell = net.parts[C].replica().cell(&string("x")).unwrap();
    assert_eq!(
        cell.versions().count(),
        2,
        "the loser is kept beside the winner"
    );
    net.write(C, remove("x"));
    net.deltas(C, d);
    net.deltas(A, late);
    assert_eq!(net.get(d, "x"), None, "the delete had seen the loser too");
    net.spread(A);
    net.spread(B);
    net.spread(C);
    net.check_equal();
    net.check_no_overlay();
}

#[test]
fn a_range_delete_lists_dead_chains_so_that_they_are_not_taken_for_collected() {
    let mut net = Net::new(4);
    net.write(A, incr("n", 5));
    net.deltas(A, B);
    net.deltas(A, 3);
    net.write(B, remove("n"));
    net.write(B, sadd("n", "field"));
    // B holds the chain dead, so its range delete must list it; replica 3 holds it alive.
    net.write(B, del("n"));
    let frames: Vec<_> = (0..3).map(|_| net.take(B, 3, kind::DELTA)).collect();
    net.arrive(B, 3, frames[2].clone());
    net.write(A, incr("n", 3));
    net.deltas(A, 3);
    assert_eq!(net.count(3, "n"), 3.0);
    net.arrive(B, 3, frames[0].clone());
    net.arrive(B, 3, frames[1].clone());
    net.spread(A);
    net.spread(B);
    net.check_equal();
}

#[test]
fn a_range_delete_passes_on_what_its_issuer_knew_to_be_dead_before_it_arrived() {
    const D: usize = 3;
    let mut net = Net::new(4);
    net.write(A, incr("n", 5));
    net.write(A, incr("n", 3));
    net.write(A, del("n"));
    net.deltas(A, B);
    net.wait(1_500);
    let advert = net.take(B, A, kind::ADVERT);
    net.arrive(B, A, advert);
    net.wait(1_500);
    let chains = net.parts[A].replica().cell(&string("n"));
    assert!(chains.is_none(), "the owner has collected its dead chain");
    net.write(A, sadd("n", "field"));
    net.write(A, del("n"));
    let to_c: Vec<_> = (0..5).map(|_| net.take(A, C, kind::DELTA)).collect();
    let to_d: Vec<_> = (0..2).map(|_| net.take(A, D, kind::DELTA)).collect();
    // C hears of the first increment and of the last delete, which lists no chain any more.
    net.arrive(A, C, to_c[0].clone());
    net.arrive(A, C, to_c[4].clone());
    net.write(C, sadd("n", "other"));
    net.write(C, del("n"));
    // D hears of C's delete, and of the second increment after it; of A's deletes never.
    net.arrive(A, D, to_d[0].clone());
    net.deltas(C, D);
    net.arrive(A, D, to_d[1].clone());
    assert_eq!(net.count(D, "n"), 0.0, "C knew both increments to be dead");
    net.check();
}

#[test]
fn a_batch_is_applied_whole() {
    let mut net = Net::new(2);
    let dots = net.write_all(
        A,
        vec![set("x", "1"), sadd("s", "m"), incr("n", 4), del("s")],
    );
    assert_eq!(dots.count(), 4, "every change has its own dot");
    assert_eq!(dots.run_count(), 1, "and they are consecutive");
    let one: Vec<_> = net.flights.iter().filter(|f| f.to == B).collect();
    assert_eq!(one.len(), 1, "the batch is one frame");
    net.deltas(A, B);
    assert_eq!(net.get(B, "x").unwrap(), "1");
    assert_eq!(net.count(B, "n"), 4.0);
    assert!(
        net.members(B, "s").is_empty(),
        "later changes see the earlier ones"
    );
    net.check_equal();
}

#[test]
fn a_batch_in_which_nothing_is_there_to_remove_mints_nothing() {
    let mut net = Net::new(2);
    let dots = net.write_all(A, vec![remove("x"), srem("s", "m"), del("s")]);
    assert!(dots.is_empty());
    assert!(net.logs[A].is_empty());
    assert!(net.flights.is_empty());
}

#[test]
fn a_range_delete_with_too_many_resets_is_split_and_deletes_everything() {
    let mut net = Net::new(2);
    let long = |n: usize| format!("{n:02}{}", "f".repeat(50_000));
    for n in 0..30 {
        let cell = crate::types::CellId::new(b"h", crate::types::Kind::Hash, long(n).as_bytes());
        net.write(
            A,
            Write::Add {
                cell,
                amount: crate::types::Total::Int(1),
                deadline: crate::types::Deadline::NEVER,
            },
        );
    }
    net.write(A, sadd("h", "another kind"));
    net.write(A, incr("other", 1));
    net.deltas(A, B);
    let dots = net.write_all(A, vec![del("h")]);
    assert!(dots.count() >= 2, "1.5 MB of resets do not fit one event");
    let frame = net.flights.last().unwrap().frame.len();
    assert!(frame < 2 << 20, "{frame} bytes");
    net.deltas(A, B);
    for at in [A, B] {
        let left = net.parts[at]
            .replica()
            .cells()
            .filter(|(_, cell)| cell.is_live());
        assert_eq!(
            left.map(|(id, _)| id).collect::<Vec<_>>(),
            [string("other")]
        );
    }
    net.check_equal();

    let everything = Write::Clear {
        range: Range::all(),
    };
    net.write_all(B, vec![everything]);
    net.deltas(B, A);
    assert_eq!(net.parts[A].replica().digest(), 0, "nothing is to be seen");
    net.check_equal();
}

#[test]
fn a_whole_partition_with_too_many_resets_is_deleted_in_parts() {
    let mut net = Net::new(2);
    let long = |n: usize| format!("{n:02}{}", "k".repeat(60_000));
    for n in 0..20 {
        net.write(A, incr(&long(n), 1));
    }
    let dots = net.write_all(
        A,
        vec![Write::Clear {
            range: Range::all(),
        }],
    );
    assert!(dots.count() >= 2, "1.2 MB of resets do not fit one event");
    net.deltas(A, B);
    assert_eq!(net.parts[B].replica().digest(), 0);
    net.check_equal();
}
