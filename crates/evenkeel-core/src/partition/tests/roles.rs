//! Members that join and leave, replicas outside the list, and what counts of what they say.

use super::net::{Net, incr, kind, node, set, string};
use crate::causality::Context;
use crate::id::ActorId;
use crate::limits::GUEST_CHAINS_MAX;
use crate::membership::{Member, MemberState, Role};
use crate::observation::Observation;
use crate::partition::{Acks, Input, Reply};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

const JOINING: MemberState = MemberState::Joining;
const ACTIVE: MemberState = MemberState::Active;
const LEAVING: MemberState = MemberState::Leaving;

/// Everybody hears of a list.
fn tell(net: &mut Net, epoch: u64, list: &[(usize, MemberState, u64)]) {
    for at in 0..net.parts.len() {
        tell_one(net, at, epoch, list);
    }
}

fn tell_one(net: &mut Net, at: usize, epoch: u64, list: &[(usize, MemberState, u64)]) {
    let members = list.iter().map(|(at, state, since)| Member {
        node: node(*at),
        state: *state,
        since: *since,
    });
    let members = members.collect();
    net.input(at, Input::Members { epoch, members });
}

/// Time passes and everything arrives.
fn settle(net: &mut Net) {
    for _ in 0..8 {
        net.wait(500);
        net.deliver_all();
    }
}

fn holds(net: &Net, at: usize, dots: &Context) -> bool {
    dots.is_subset(net.parts[at].replica().context())
}

#[test]
fn acknowledgements_count_active_members_alone() {
    let mut net = Net::new(3);
    tell(
        &mut net,
        1,
        &[(A, ACTIVE, 0), (B, JOINING, 1), (C, ACTIVE, 0)],
    );
    net.deliver_all();
    let dots = net.write_all(A, vec![set("x", "1")]);
    let (ticket, deadline) = (net.ticket(), net.in_ms(60_000));
    let acks = Acks {
        members: 2,
        durable: false,
    };
    let wait = Input::Await {
        ticket,
        dots: dots.clone(),
        acks,
        deadline,
    };
    net.input(A, wait);
    net.lose_to(C);
    net.deliver_all();
    assert!(holds(&net, B, &dots));
    assert!(
        !net.replies.contains_key(&ticket),
        "B has only begun to join"
    );
    settle(&mut net);
    assert!(matches!(
        net.replies.get(&ticket),
        Some(Reply::Reached { members: 2 })
    ));
}

#[test]
fn nothing_is_collected_that_a_member_which_joins_may_lack() {
    let mut net = Net::new(3);
    tell(&mut net, 1, &[(A, ACTIVE, 0), (B, ACTIVE, 0)]);
    tell(
        &mut net,
        2,
        &[(A, ACTIVE, 0), (B, ACTIVE, 0), (C, JOINING, 2)],
    );
    net.lose_all();
    net.write(A, set("x", "1"));
    for _ in 0..6 {
        net.lose_to(C);
        net.deliver_all();
        net.wait(500);
    }
    assert_eq!(net.parts[A].replica().index_len(), 1);
    settle(&mut net);
    assert_eq!(net.parts[A].replica().index_len(), 0, "C has it now");
}

#[test]
fn who_joins_has_joined_with_what_every_active_member_held_on_its_disk() {
    let mut net = Net::new(3);
    tell(&mut net, 1, &[(A, ACTIVE, 0), (B, ACTIVE, 0)]);
    net.write(A, set("a", "1"));
    net.lose_all();
    net.write(B, set("b", "1"));
    net.lose_all();
    net.manual_fsync = true;
    tell(
        &mut net,
        2,
        &[(A, ACTIVE, 0), (B, ACTIVE, 0), (C, JOINING, 2)],
    );
    assert!(!net.parts[C].has_joined(), "nobody has told anything yet");
    net.flights.retain(|flight| flight.from != B);
    net.finish(A, C);
    net.wait(200);
    net.flights.retain(|flight| flight.from != B);
    net.finish(A, C);
    let all = net.parts[C].replica().context().clone();
    net.input(C, Input::Durable(all));
    assert!(!net.parts[C].has_joined(), "B holds what A lacks");
    settle(&mut net);
    assert!(!net.parts[C].has_joined(), "not all of it is on the disk");
    let all = net.parts[C].replica().context().clone();
    net.input(C, Input::Durable(all));
    assert!(net.parts[C].has_joined());
    net.write(A, set("a", "2"));
    net.spread(A);
    assert!(
        net.parts[C].has_joined(),
        "what comes later comes by itself"
    );
}

#[test]
fn a_member_may_go_when_all_who_stay_hold_what_it_held_when_it_began_to_leave() {
    let mut net = Net::new(3);
    net.write(C, set("x", "1"));
    net.lose_all();
    tell(
        &mut net,
        1,
        &[(A, ACTIVE, 0), (B, ACTIVE, 0), (C, LEAVING, 1)],
    );
    net.lose_to(B);
    net.deliver_all();
    net.wait(200);
    net.finish(A, C);
    assert!(!net.parts[C].is_covered(), "B lacks it");
    settle(&mut net);
    assert!(net.parts[C].is_covered());
    net.write(A, set("y", "1"));
    net.deltas(A, C);
    assert!(net.parts[C].is_covered(), "under writes it would never go");
}

#[test]
fn what_is_written_outside_the_list_is_fetched_and_then_dropped() {
    let mut net = Net::new(3);
    tell(&mut net, 1, &[(A, ACTIVE, 0), (B, ACTIVE, 0)]);
    settle(&mut net);
    assert_eq!(net.parts[C].role(), Role::Outside);
    assert_eq!(net.parts[C].deadline(), None, "an empty guest rests");
    let dots = net.write_all(C, vec![set("x", "1")]);
    let deltas = net
        .flights
        .iter()
        .filter(|flight| flight.kind() == kind::DELTA);
    assert_eq!(deltas.count(), 0, "nobody would see that one got lost");
    assert!(dots.dots().all(|dot| dot.actor.is_guest()));
    assert!(!net.parts[C].is_covered());
    settle(&mut net);
    assert!(holds(&net, A, &dots) && holds(&net, B, &dots));
    assert!(net.parts[C].is_covered());
    net.wait(60_000);
    assert!(net.flights.iter().all(|flight| flight.from != C));
    let record = net.parts[C].drop_record();
    net.logs[C].push((record, Context::default()));
    assert!(net.parts[C].deadline().is_some(), "there is memory to free");
    net.input(C, Input::Tick);
    assert_eq!(net.parts[C].deadline(), None);
    assert!(net.parts[C].replica().context().is_empty());
    assert!(net.parts[C].replica().cell(&string("x")).is_none());
    let replayed = net.replayed(C, 1);
    assert!(replayed.replica().context().is_empty());
    assert_eq!(replayed.replica().key_count(), 0);
}

#[test]
fn a_guest_keeps_what_a_member_may_lose_in_a_crash() {
    let mut net = Net::new(2);
    tell(&mut net, 1, &[(A, ACTIVE, 0)]);
    let dots = net.write_all(B, vec![set("x", "1")]);
    net.manual_fsync = true;
    settle(&mut net);
    assert!(holds(&net, A, &dots));
    assert!(!net.parts[B].is_covered());
    net.input(A, Input::Durable(dots));
    settle(&mut net);
    assert!(net.parts[B].is_covered());
}

#[test]
fn nobody_drops_by_a_list_that_is_known_to_be_old() {
    let mut net = Net::new(2);
    tell(&mut net, 1, &[(A, ACTIVE, 0)]);
    net.write(B, set("x", "1"));
    settle(&mut net);
    assert!(net.parts[B].is_covered());
    tell_one(&mut net, A, 2, &[(A, ACTIVE, 0), (B, JOINING, 2)]);
    net.deliver_all();
    assert!(!net.parts[B].is_covered(), "B is a member by now");
}

#[test]
fn what_a_member_told_before_it_was_one_counts_for_nothing() {
    let mut net = Net::new(2);
    net.write(A, set("x", "1"));
    net.deliver_all();
    net.wait(300);
    let told = net.take(B, A, kind::ADVERT);
    net.deliver_all();
    tell(&mut net, 1, &[(A, ACTIVE, 0)]);
    settle(&mut net);
    assert!(net.parts[B].is_covered());
    let record = net.parts[B].drop_record();
    net.logs[B].push((record, Context::default()));
    tell(&mut net, 2, &[(A, ACTIVE, 0), (B, JOINING, 2)]);
    net.lose_all();
    assert_eq!(net.parts[A].lag(node(B)), 1);
    net.arrive(B, A, told);
    assert_eq!(net.parts[A].lag(node(B)), 1, "it was true when B told it");
    assert!(net.observed(A, |seen| matches!(seen, Observation::StaleAnswer { .. })) > 0);
    settle(&mut net);
    assert!(net.parts[B].has_joined());
    assert_eq!(net.parts[A].lag(node(B)), 0);
}

#[test]
fn a_process_mints_under_another_actor_after_it_has_dropped_its_replica() {
    let mut net = Net::new(2);
    let first = net.write(B, incr("n", 1));
    net.deliver_all();
    tell(&mut net, 1, &[(A, ACTIVE, 0)]);
    settle(&mut net);
    let record = net.parts[B].drop_record();
    net.logs[B].push((record, Context::default()));
    tell(&mut net, 2, &[(A, ACTIVE, 0), (B, JOINING, 2)]);
    settle(&mut net);
    let second = net.write(B, incr("n", 1));
    assert_ne!(first.actor, second.actor);
    assert!(!second.actor.is_guest());
    assert_eq!(net.parts[B].incarnation(), first.actor);
    net.converge();
}

#[test]
fn a_guest_begins_a_chain_with_each_increment() {
    let mut net = Net::new(2);
    tell(&mut net, 1, &[(A, ACTIVE, 0)]);
    net.write(B, incr("n", 5));
    net.write(B, incr("n", 3));
    let chains = |net: &Net, at: usize| {
        let cell = net.parts[at].replica().cell(&string("n")).unwrap();
        cell.chains().to_vec()
    };
    assert_eq!(chains(&net, B).len(), 2);
    settle(&mut net);
    assert_eq!(chains(&net, A).len(), 2);
    net.write(A, set("n", "0"));
    net.wait(3_000);
    assert!(chains(&net, A).is_empty(), "the guest need not be asked");
}

#[test]
fn a_hot_counter_does_not_get_a_chain_for_every_increment_outside_the_list() {
    let mut net = Net::new(2);
    tell(&mut net, 1, &[(A, ACTIVE, 0)]);
    for _ in 0..1_000 {
        net.write(B, incr("n", 1));
    }
    let cell = net.parts[B].replica().cell(&string("n")).unwrap();
    assert_eq!(cell.chains().len(), GUEST_CHAINS_MAX + 1);
    settle(&mut net);
    assert_eq!(net.count(A, "n").to_bits(), 1_000_f64.to_bits());
    net.check();
}

#[test]
fn actors_of_guests_and_others_are_told_apart_by_one_bit() {
    assert!(ActorId::guest(7).is_guest());
    assert!(!ActorId::ordinary(u64::MAX).is_guest());
}
