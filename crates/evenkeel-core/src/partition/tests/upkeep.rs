//! Adverts, collection, the log, and exchanges that must come to an end.

use super::net::{Net, del, incr, kind, node, remove, sadd, set, string};
use crate::causality::Context;
use crate::message::{Advert, Message};
use crate::observation::Observation;
use crate::partition::{Acks, Input};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

#[test]
fn an_advert_of_an_old_incarnation_is_not_believed() {
    let mut net = Net::new(2);
    net.write(A, set("x", "1"));
    let delta = net.take(A, B, kind::DELTA);
    net.arrive(A, B, delta);
    net.wait(300);
    let advert = net.take(B, A, 2);
    net.restart(B, 1);
    net.lose_all();
    net.arrive(B, A, advert);
    let stale = net.observed(A, |seen| matches!(seen, Observation::StaleAnswer { .. }));
    assert_eq!(stale, 1);
    assert_eq!(
        net.parts[A].lag(node(B)),
        1,
        "B came back without the write"
    );
    for _ in 0..5 {
        net.wait(1_000);
        net.lose_all();
    }
    assert_eq!(
        net.parts[A].replica().index_len(),
        1,
        "so it must not be collected"
    );
}

#[test]
fn the_index_is_collected_only_when_every_member_has_it_on_disk() {
    let mut net = Net::new(3);
    net.manual_fsync = true;
    let dots = net.write_all(A, vec![set("x", "1")]);
    net.spread(A);
    for at in [A, B] {
        net.input(at, Input::Durable(dots.clone()));
    }
    for _ in 0..6 {
        net.wait(500);
        net.deliver_all();
    }
    assert_eq!(net.parts[A].lag(node(C)), 0, "C has applied it");
    assert_eq!(
        net.parts[A].replica().index_len(),
        1,
        "but could still lose it"
    );
    net.input(C, Input::Durable(dots));
    for _ in 0..6 {
        net.wait(500);
        net.deliver_all();
    }
    for at in [A, B, C] {
        assert_eq!(net.parts[at].replica().index_len(), 0);
    }
}

#[test]
fn residue_is_not_collected_before_the_owner_has_the_reset_on_disk() {
    let mut net = Net::new(3);
    net.manual_fsync = true;
    let mut all = net.write_all(A, vec![incr("n", 5)]);
    net.spread(A);
    let reset = net.write_all(B, vec![remove("n")]);
    net.spread(B);
    net.input(A, Input::Durable(all.clone()));
    all.join(&reset);
    for at in [B, C] {
        net.input(at, Input::Durable(all.clone()));
    }
    for _ in 0..6 {
        net.wait(500);
        net.deliver_all();
    }
    let residue = |net: &Net, at: usize| {
        let cell = net.parts[at].replica().cell(&string("n"));
        cell.map_or(0, |cell| cell.chains().len())
    };
    assert_eq!(
        [residue(&net, B), residue(&net, C)],
        [1, 1],
        "the owner may forget the reset"
    );
    net.input(A, Input::Durable(reset));
    for _ in 0..6 {
        net.wait(500);
        net.deliver_all();
    }
    assert_eq!(
        [residue(&net, A), residue(&net, B), residue(&net, C)],
        [0, 0, 0]
    );
    net.write(A, incr("n", 2));
    net.spread(A);
    assert_eq!(net.count(C, "n"), 2.0);
    net.check_equal();
}

#[test]
fn replaying_the_log_gives_the_same_state_however_often() {
    let mut net = Net::new(3);
    net.write(A, incr("n", 5));
    net.write(A, sadd("s", "m"));
    net.deltas(A, B);
    net.write(B, del("s"));
    net.write(B, remove("n"));
    net.write_all(A, vec![set("x", "1"), incr("n", 1), sadd("s", "m")]);
    net.lose_all();
    net.write(A, set("x", "2"));
    net.deltas(A, B);
    net.repair(B, A);
    net.repair(A, B);
    for at in [A, B] {
        for times in [1, 2] {
            let again = net.replayed(at, times);
            let before = net.parts[at].replica();
            assert_eq!(again.replica().context(), before.context());
            assert_eq!(
                again.replica().digest(),
                before.digest(),
                "replica {at}, {times} times"
            );
            let cells = |replica: &crate::partition::Replica| {
                format!("{:?}", replica.cells().collect::<Vec<_>>())
            };
            assert_eq!(cells(again.replica()), cells(before));
        }
    }
}

#[test]
fn a_write_after_a_restart_is_stamped_above_all_earlier_ones() {
    let mut net = Net::new(2);
    let dot = net.write(A, set("x", "1"));
    let stamp = |net: &Net, key: &str| {
        net.parts[A]
            .replica()
            .cell(&string(key))
            .unwrap()
            .newest_hlc()
    };
    let before = stamp(&net, "x");
    net.now.wall.0 -= 10_000;
    net.restart(A, 0);
    let after_dot = net.write(A, set("y", "2"));
    assert!(
        stamp(&net, "y") > before,
        "the clock went back, the stamps do not"
    );
    assert_ne!(dot.actor, after_dot.actor);
}

#[test]
fn a_member_that_claims_more_than_it_answers_is_not_asked_in_a_circle() {
    let mut net = Net::new(2);
    net.write(A, set("x", "1"));
    net.lose_all();
    let mut claimed = net.parts[A].replica().context().clone();
    claimed.join(
        &[crate::causality::Dot::new(crate::id::ActorId(77), 1)]
            .into_iter()
            .collect(),
    );
    let advert = Message::Advert(Advert {
        durable: claimed,
        tail: Context::default(),
        digest: 0,
        minter: None,
    });
    net.forge(A, B, &advert);
    net.wait(100);
    net.finish(A, B);
    assert_eq!(net.get(B, "x").unwrap(), "1");
    net.lose_all();
}

#[test]
fn an_unanswered_request_is_given_up_and_another_member_is_asked() {
    let mut net = Net::new(3);
    net.write(A, set("x", "1"));
    net.deltas(A, C);
    net.lose_all();
    net.provoke(B, A);
    net.lose_all();
    net.provoke(B, C);
    net.lose_all();
    net.wait(2_000);
    let timed_out = net.observed(B, |seen| matches!(seen, Observation::SyncTimedOut { .. }));
    assert_eq!(timed_out, 1);
    let request = net.take(B, C, kind::SYNC_REQUEST);
    net.arrive(B, C, request);
    net.finish(B, C);
    assert_eq!(net.get(B, "x").unwrap(), "1");
}

#[test]
fn a_large_gap_is_closed_by_several_answers() {
    let mut net = Net::with(2, |settings| settings.sync_answer_bytes = 300);
    for n in 0..30 {
        net.write(A, set(&format!("k{n}"), &"v".repeat(40)));
        if n % 10 == 9 {
            net.write(A, del(&format!("k{}", n - 5)));
        }
    }
    net.lose_all();
    net.repair(B, A);
    let answers = net.observed(B, |seen| matches!(seen, Observation::SyncReceived { .. }));
    assert!(answers > 5, "{answers}");
    net.check_equal();
}

#[test]
fn members_that_wait_for_each_other_do_not_answer_adverts_with_adverts() {
    let mut net = Net::new(3);
    for at in [A, B, C] {
        let ticket = net.ticket();
        let deadline = net.in_ms(500);
        net.input(
            at,
            Input::Write {
                ticket,
                writes: vec![set("x", "v")],
                acks: Acks {
                    members: 3,
                    durable: true,
                },
                deadline,
            },
        );
    }
    let mut frames = 0;
    while !net.flights.is_empty() {
        let flight = net.flights.remove(0);
        net.arrive(flight.from, flight.to, flight.frame);
        frames += 1;
        assert!(frames < 200, "three writes set off a storm of frames");
    }
    assert_eq!(net.replies.len(), 3, "and every write was confirmed by all");
    net.check_equal();
}

#[test]
fn one_request_for_an_advert_is_answered_by_one() {
    let mut net = Net::new(2);
    net.forge(A, B, &Message::AdvertRequest);
    assert_eq!(net.flights.len(), 1);
}

#[test]
fn the_overlay_of_a_unit_empties_itself_when_the_masked_write_of_another_cell_arrives() {
    let mut net = Net::new(4);
    net.write(C, sadd("s", "x"));
    let c1 = net.take(C, A, kind::DELTA);
    net.deltas(C, B);
    net.lose_all();
    net.write(B, del("s"));
    net.deltas(B, A);
    net.write(A, sadd("s", "z"));
    net.lose_all();
    // The unit of s/z comes from a replica that masks c1, an event of another cell.
    net.repair(3, A);
    assert_eq!(net.members(3, "s"), ["z"]);
    net.arrive(C, 3, c1.clone());
    net.arrive(C, A, c1);
    net.repair(B, A);
    net.repair(C, A);
    net.check_equal();
    net.check_no_overlay();
}

#[test]
fn an_answer_shows_what_its_context_says_even_before_the_disk_has_it() {
    let mut net = Net::new(2);
    net.manual_fsync = true;
    let first = net.write_all(A, vec![set("x", "on disk")]);
    net.input(A, Input::Durable(first));
    net.write(A, set("x", "not yet"));
    net.repair(B, A);
    assert_eq!(net.get(B, "x").unwrap(), "not yet");
    net.check_equal();
}

#[test]
fn a_single_node_keeps_no_index_of_what_is_durable() {
    let mut net = Net::new(1);
    for n in 0..5 {
        net.write(A, set("x", &n.to_string()));
    }
    assert_eq!(net.parts[A].replica().index_len(), 5);
    net.wait(2_000);
    assert_eq!(net.parts[A].replica().index_len(), 0, "no member lacks it");
    net.restart(A, 0);
    net.wait(2_000);
    assert_eq!(net.parts[A].replica().index_len(), 0, "nor after a restart");
}
