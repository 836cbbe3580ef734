//! What clients wait for: acknowledgements, other replicas' states, session tokens.

use super::history::shown_by;
use super::net::{Net, incr, kind, set, string};
use crate::causality::{Context, Dot};
use crate::id::{ActorId, Ticket};
use crate::partition::{Acks, Input, Reply, Write};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

fn write_with(net: &mut Net, write: Write, acks: Acks) -> Ticket {
    let ticket = net.ticket();
    let deadline = net.in_ms(500);
    net.input(
        A,
        Input::Write {
            ticket,
            writes: vec![write],
            acks,
            deadline,
        },
    );
    ticket
}

fn read(net: &mut Net, at: usize, key: &str, replicas: usize, after: Context) -> Ticket {
    let ticket = net.ticket();
    let deadline = net.in_ms(500);
    net.input(
        at,
        Input::Read {
            ticket,
            cell: string(key),
            replicas,
            after,
            deadline,
        },
    );
    ticket
}

fn value(reply: &Reply) -> Option<String> {
    let Reply::Value { cell, .. } = reply else {
        panic!("a value, not {reply:?}");
    };
    let winner = cell.winner()?;
    Some(String::from_utf8(winner.value.to_vec()).unwrap())
}

#[test]
fn a_write_is_confirmed_when_enough_members_have_applied_it() {
    let mut net = Net::new(3);
    net.manual_fsync = true;
    let acks = Acks {
        members: 2,
        durable: false,
    };
    let ticket = write_with(&mut net, set("x", "1"), acks);
    assert!(net.replies.is_empty());
    net.deliver_all();
    assert!(matches!(&net.replies[&ticket], Reply::Written { dots } if dots.count() == 1));
}

#[test]
fn a_durable_write_is_confirmed_only_when_enough_disks_have_it() {
    let mut net = Net::new(3);
    net.manual_fsync = true;
    let acks = Acks {
        members: 2,
        durable: true,
    };
    let ticket = write_with(&mut net, set("x", "1"), acks);
    net.deliver_all();
    let dots = net.parts[A].replica().context().clone();
    net.input(B, Input::Durable(dots.clone()));
    net.deliver_all();
    assert!(
        net.replies.is_empty(),
        "applied on three, but on one disk only"
    );
    net.input(A, Input::Durable(dots));
    assert!(matches!(net.replies[&ticket], Reply::Written { .. }));
}

#[test]
fn a_write_without_enough_confirmations_says_so_at_its_deadline_and_is_kept() {
    let mut net = Net::new(3);
    let acks = Acks {
        members: 3,
        durable: false,
    };
    let ticket = write_with(&mut net, set("x", "1"), acks);
    let advert_request = net.flights.iter().any(|flight| flight.kind() == 3);
    assert!(advert_request, "members are told that somebody waits");
    net.lose_to(C);
    net.deliver_all();
    net.wait(499);
    assert!(net.replies.is_empty());
    net.wait(1);
    let reply = &net.replies[&ticket];
    assert!(
        matches!(reply, Reply::Unmet { reached: 2, dots } if dots.count() == 1),
        "{reply:?}"
    );
    assert_eq!(net.get(A, "x").unwrap(), "1");
    assert_eq!(net.parts[A].pending(), 0);
}

#[test]
fn waiting_for_dots_tells_how_many_members_hold_them() {
    let mut net = Net::new(3);
    net.manual_fsync = true;
    let dots = net.write_all(A, vec![set("x", "1")]);
    net.lose_all();
    let wait = |net: &mut Net, durable| {
        let ticket = net.ticket();
        let deadline = net.in_ms(500);
        let acks = Acks {
            members: 3,
            durable,
        };
        net.input(
            A,
            Input::Await {
                ticket,
                dots: dots.clone(),
                acks,
                deadline,
            },
        );
        ticket
    };
    let (applied, on_disk) = (wait(&mut net, false), wait(&mut net, true));
    net.repair(B, A);
    net.flights.retain(|flight| flight.to == A);
    net.deliver_all();
    net.wait(300);
    net.flights
        .retain(|flight| flight.from == B && flight.to == A);
    net.deliver_all();
    net.wait(300);
    let reached = |ticket| match &net.replies[&ticket] {
        Reply::Reached { members } => *members,
        other => panic!("{other:?}"),
    };
    assert_eq!(reached(applied), 2);
    assert_eq!(reached(on_disk), 0);
}

#[test]
fn a_read_of_two_replicas_shows_what_both_know_together() {
    let mut net = Net::new(3);
    net.write(A, set("x", "old"));
    net.write(A, incr("x", 5));
    net.spread(A);
    net.now.wall.0 += 5;
    net.write(B, set("x", "new"));
    net.write(A, incr("x", 1));
    net.write(A, incr("x", 1));
    net.lose_all();
    let ticket = read(&mut net, B, "x", 2, Context::default());
    assert!(!net.replies.contains_key(&ticket), "one replica is not two");
    net.flights.retain(|flight| flight.to == A);
    net.deliver_all();
    let reply = &net.replies[&ticket];
    assert_eq!(
        value(reply).unwrap(),
        "new",
        "the old value is known removed"
    );
    let Reply::Value { cell, context } = reply else {
        panic!("a value");
    };
    let expected = net.history.shown(&string("x"), context);
    assert_eq!(shown_by(cell), expected);
    assert_eq!(expected.chains.values().sum::<f64>(), 2.0);
    assert_eq!(context.count(), 5);
    assert!(
        !context.is_subset(net.parts[B].replica().context()),
        "reading repairs nothing"
    );
}

#[test]
fn a_read_of_more_replicas_than_answer_says_how_many_did() {
    let mut net = Net::new(3);
    net.write(A, set("x", "1"));
    net.spread(A);
    let ticket = read(&mut net, A, "x", 3, Context::default());
    net.lose_to(C);
    net.deliver_all();
    net.wait(500);
    let reply = &net.replies[&ticket];
    assert!(
        matches!(reply, Reply::Behind { reached: 2, .. }),
        "{reply:?}"
    );
}

#[test]
fn a_read_with_a_token_waits_until_it_is_reached() {
    let mut net = Net::new(2);
    let token = net.write_all(A, vec![set("x", "1")]);
    let ticket = read(&mut net, B, "x", 1, token);
    assert!(!net.replies.contains_key(&ticket));
    net.deltas(A, B);
    assert_eq!(value(&net.replies[&ticket]).unwrap(), "1");
}

#[test]
fn a_read_with_a_token_fetches_what_was_lost() {
    let mut net = Net::new(2);
    let token = net.write_all(A, vec![set("x", "1")]);
    net.lose_all();
    net.provoke(B, A);
    net.lose_all();
    let ticket = read(&mut net, B, "x", 1, token);
    for _ in 0..20 {
        net.wait(200);
        net.deliver_all();
    }
    let reply = &net.replies[&ticket];
    assert!(
        matches!(reply, Reply::Behind { .. }),
        "the request was lost and times out later"
    );
    assert_eq!(net.get(B, "x").unwrap(), "1");
}

#[test]
fn a_read_with_a_token_asks_at_once_who_has_what_it_lacks() {
    let mut net = Net::new(3);
    let token = net.write_all(A, vec![set("x", "1")]);
    net.deltas(A, C);
    net.lose_all();
    let ticket = read(&mut net, B, "x", 1, token);
    // No time passes: neither an advert nor a tick is due.
    net.deliver_all();
    assert_eq!(value(&net.replies[&ticket]).unwrap(), "1");
}

#[test]
fn a_read_with_a_token_that_stays_out_of_reach_says_what_is_missing() {
    let mut net = Net::new(2);
    net.write(B, set("x", "1"));
    let unknown = Dot::new(ActorId(99), 5);
    let ticket = read(&mut net, B, "x", 1, [unknown].into_iter().collect());
    net.wait(500);
    let reply = &net.replies[&ticket];
    let Reply::Behind { missing, .. } = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(missing.dots().collect::<Vec<_>>(), [unknown]);
}

#[test]
fn an_answer_to_another_read_is_not_taken() {
    let mut net = Net::new(2);
    net.write(A, set("x", "1"));
    net.lose_all();
    let first = read(&mut net, B, "x", 2, Context::default());
    let request = net.take(B, A, 10);
    net.arrive(B, A, request);
    let answer = net.take(A, B, 11);
    net.wait(500);
    assert!(matches!(net.replies[&first], Reply::Behind { .. }));
    let second = read(&mut net, B, "x", 2, Context::default());
    net.arrive(A, B, answer);
    assert!(!net.replies.contains_key(&second));
    assert!(
        net.flights
            .iter()
            .all(|flight| flight.kind() != kind::DELTA)
    );
}
