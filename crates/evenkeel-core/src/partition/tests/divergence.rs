//! What is told of how far replicas are apart.

use super::net::{Net, del, incr, node, sadd, set, string};
use crate::causality::Context;
use crate::limits::INDEX_ENTRIES_MAX;
use crate::message::{Message, Nonce, SyncAnswer};
use crate::observation::{Delay, Observation};
use crate::partition::{Input, held_by_one, held_by_some};
use crate::time::Duration;
use crate::types::{Key, Range};
use crate::wire::{decode, encode};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

fn missing(net: &Net, from: usize, to: usize) -> Context {
    let context = |at: usize| net.parts[at].replica().context();
    context(from).difference(context(to))
}

/// The bytes of an answer beyond those of an empty one.
fn answer_bytes(net: &Net, from: usize, to: usize) -> usize {
    let context = net.parts[to].replica().context().clone();
    let nonce = Nonce(1);
    let mut effects = Vec::new();
    let mut source = net.parts[from].clone();
    let request = net.frame_of(to, &Message::SyncRequest { nonce, context });
    let from_node = node(to);
    let input = Input::Frame {
        from: from_node,
        frame: request,
    };
    source.handle(net.now, input, &mut effects);
    let frame = effects.iter().find_map(|effect| match effect {
        crate::partition::Effect::Send { frame, .. } => Some(frame.clone()),
        _ => None,
    });
    let (head, message) = decode(&frame.unwrap()).unwrap();
    let Message::SyncAnswer(answer) = message else {
        panic!("no answer: {message:?}")
    };
    let empty = Message::SyncAnswer(SyncAnswer {
        ranges: Vec::new(),
        units: Vec::new(),
        ..answer.clone()
    });
    let whole = encode(head, &Message::SyncAnswer(answer));
    whole.len() - encode(head, &empty).len()
}

#[test]
fn the_bytes_missing_are_those_of_an_answer_to_the_byte() {
    let mut net = Net::new(2);
    net.write(A, set("short", "v"));
    net.write(A, set("long", &"v".repeat(300)));
    net.write(A, set("long", &"w".repeat(200)));
    net.write(A, incr("count", 5));
    net.write(A, sadd("set", "a"));
    net.write(A, sadd("set", "b"));
    net.write(A, del("set"));
    net.lose_all();
    let repair = net.parts[A].repair(&missing(&net, A, B), net.now);
    assert_eq!(repair.events, 7);
    assert!(!repair.needs_snapshot);
    assert_eq!(repair.bytes, answer_bytes(&net, A, B) as u64);
    net.repair(B, A);
    let none = net.parts[A].repair(&missing(&net, A, B), net.now);
    assert_eq!((none.events, none.bytes, none.oldest), (0, 0, None));
}

#[test]
fn the_age_of_what_is_missing_grows_from_the_first_write_on() {
    let mut net = Net::new(2);
    net.write(A, set("x", "1"));
    net.lose_all();
    net.now.instant = net.in_ms(40);
    net.write(A, set("x", "2"));
    net.now.instant = net.in_ms(2);
    let oldest = |net: &Net| {
        let repair = net.parts[A].repair(&missing(net, A, B), net.now);
        repair.oldest.map(Duration::as_millis)
    };
    assert_eq!(oldest(&net), Some(42));
    assert_eq!(
        net.parts[A].lag_age(node(B), net.now),
        Some(Duration::from_millis(42))
    );
    net.deliver_all();
    net.repair(B, A);
    assert_eq!(oldest(&net), None);
}

#[test]
fn only_the_events_that_are_asked_for_and_held_are_counted() {
    let mut net = Net::new(2);
    net.write(A, set("x", "1"));
    net.write(B, set("y", "1"));
    net.lose_all();
    let everything = held_by_some(&[
        net.parts[A].replica().context(),
        net.parts[B].replica().context(),
    ]);
    assert_eq!(everything.count(), 2);
    assert_eq!(net.parts[A].repair(&everything, net.now).events, 1);
    assert_eq!(
        net.parts[A].touched(&everything),
        [Range::Key(Key::from(&b"x"[..]))]
    );
}

#[test]
fn what_one_replica_holds_alone_is_told_for_each() {
    let mut net = Net::new(3);
    net.write(A, set("x", "1"));
    net.deltas(A, B);
    net.write(A, set("y", "1"));
    net.write(C, set("z", "1"));
    net.lose_all();
    let contexts: Vec<&Context> = net
        .parts
        .iter()
        .map(|part| part.replica().context())
        .collect();
    assert_eq!(held_by_one(&contexts, A), 1);
    assert_eq!(held_by_one(&contexts, B), 0);
    assert_eq!(held_by_one(&contexts, C), 1);
    assert_eq!(held_by_one(&contexts[..1], A), 2);
}

#[test]
fn an_index_that_does_not_reach_back_leaves_no_key_out() {
    let mut net = Net::with(2, |settings| settings.index_entries_max = 4);
    for n in 0..10 {
        net.write(A, set(&format!("k{n}"), "v"));
    }
    net.lose_all();
    let gone = missing(&net, A, B);
    let repair = net.parts[A].repair(&gone, net.now);
    assert!(
        repair.needs_snapshot && repair.bytes > 10 * 32,
        "{repair:?}"
    );
    let ranges = net.parts[A].touched(&gone);
    assert_eq!(ranges, [Range::all()]);
    let digests = net.parts[A]
        .key_digests(&ranges, INDEX_ENTRIES_MAX)
        .unwrap();
    assert_eq!(digests.len(), 10);
    assert_eq!(net.parts[A].key_digests(&ranges, 9), None);
}

#[test]
fn keys_that_show_the_same_do_not_differ_whatever_events_are_missing() {
    let mut net = Net::new(2);
    net.write(A, set("same", "1"));
    net.write(A, set("other", "1"));
    net.deliver_all();
    net.lose_all();
    net.write(A, set("gone", "1"));
    net.write(A, del("gone"));
    net.write(A, set("other", "2"));
    net.lose_all();
    let apart = held_by_some(&[
        net.parts[A].replica().context(),
        net.parts[B].replica().context(),
    ]);
    assert_eq!(apart.count(), 3);
    let ranges = net.parts[A].touched(&apart);
    let here = net.parts[A].key_digests(&ranges, 100).unwrap();
    let there = net.parts[B].key_digests(&ranges, 100).unwrap();
    let keys: Vec<&Key> = here
        .keys()
        .filter(|key| here.get(*key) != there.get(*key))
        .collect();
    assert_eq!(keys, [&string("other").key]);
    assert_eq!(here.len(), 1, "a key that shows nothing is left out");
}

#[test]
fn the_time_until_others_hold_a_write_is_told_when_their_adverts_say_so() {
    let mut net = Net::new(3);
    net.write(A, set("x", "1"));
    net.write(A, set("y", "1"));
    net.deltas(A, B);
    net.lose_all();
    net.wait(260);
    net.deliver_all();
    let told = |net: &Net, at: Option<usize>| -> Vec<Delay> {
        let peer = at.map(node);
        let seen = net.observed.iter().filter_map(|seen| match seen {
            (A, Observation::Visible { peer: to, delays }) if *to == peer => Some(delays.to_vec()),
            _ => None,
        });
        seen.flatten().collect()
    };
    let there = told(&net, Some(B));
    assert_eq!(there.iter().map(|delay| delay.events).sum::<u64>(), 2);
    assert!(there[0].after >= Duration::from_millis(250), "{there:?}");
    net.converge();
    let everywhere = told(&net, None);
    assert_eq!(everywhere.iter().map(|delay| delay.events).sum::<u64>(), 2);
    assert!(everywhere[0].after >= there[0].after);
    assert!(told(&net, Some(C))[0].after >= there[0].after);
}

#[test]
fn unequal_digests_at_equal_contexts_name_the_member_and_both_digests() {
    let mut net = Net::new(2);
    net.write(A, set("x", "1"));
    net.deliver_all();
    let durable = net.parts[A].replica().context().clone();
    let ours = net.parts[A].replica().digest();
    let advert = Message::Advert(crate::message::Advert {
        durable,
        tail: Context::default(),
        digest: ours ^ 1,
        minter: None,
    });
    net.forge(B, A, &advert);
    let mismatch = Observation::DigestMismatch {
        peer: node(B),
        ours,
        theirs: ours ^ 1,
    };
    assert_eq!(net.observed(A, |seen| *seen == mismatch), 1);
}
