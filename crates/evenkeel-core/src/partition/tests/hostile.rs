//! Frames that are well-formed and senseless: no panic, no endless loop, no memory without bound.

use super::net::{Net, del, incr, kind, member, sadd, set, string};
use crate::causality::{Context, Dot, DotRun, Hlc};
use crate::event::{Batch, Event, Op, Put, RangeDel};
use crate::id::ActorId;
use crate::message::{Advert, Message, Nonce, Note, SyncAnswer, Unit};
use crate::observation::Observation;
use crate::types::{Cell, CellId, ChainId, Deadline, Mark, Range, Reset, Total, Version};
use crate::wire::{decode, encode_note};

const A: usize = 0;
const B: usize = 1;
const STRANGER: ActorId = ActorId(0x77);

/// Every dot that an actor can ever mint.
fn all_of(actor: ActorId) -> Context {
    let mut context = Context::default();
    context.insert_run(DotRun {
        actor,
        first: 1,
        last: u64::MAX,
    });
    context
}

/// B has asked A, and A has not answered yet: the nonce that its answer needs.
fn open_request(net: &mut Net) -> Nonce {
    net.write(A, set("asked for", "v"));
    net.provoke(B, A);
    let request = net.take(B, A, kind::SYNC_REQUEST);
    net.lose_all();
    match decode(&request).unwrap().1 {
        Message::SyncRequest { nonce, .. } => nonce,
        other => panic!("{other:?}"),
    }
}

fn unit(cell: CellId) -> Unit {
    Unit {
        cell,
        state: Cell::default(),
        extra: Context::default(),
        covered: Context::default(),
    }
}

fn answer(nonce: Nonce, context: Context, unit: Unit) -> Message {
    Message::SyncAnswer(SyncAnswer {
        nonce,
        context,
        ranges: Vec::new(),
        units: vec![unit],
    })
}

#[test]
fn a_unit_that_covers_all_numbers_is_taken_without_counting_them() {
    let mut net = Net::new(2);
    let nonce = open_request(&mut net);
    let all = all_of(STRANGER);
    let covers = Unit {
        covered: all.clone(),
        ..unit(string("x"))
    };
    net.forge(A, B, &answer(nonce, all.clone(), covers));
    let replica = net.parts[B].replica();
    assert!(all.is_subset(replica.context()));
    assert_eq!(
        replica.index_len(),
        0,
        "nobody can be answered from an index of 2^64 entries"
    );
}

#[test]
fn an_overlay_of_all_numbers_does_not_slow_its_cell_down() {
    let mut net = Net::new(2);
    let nonce = open_request(&mut net);
    let claimed: Context = [Dot::new(STRANGER, 7)].into_iter().collect();
    let overlaid = Unit {
        extra: all_of(ActorId(0x88)),
        covered: claimed.clone(),
        ..unit(string("x"))
    };
    net.forge(A, B, &answer(nonce, claimed, overlaid));
    net.write(B, set("x", "1"));
    net.write(B, incr("x", 1));
    assert_eq!(net.get(B, "x").unwrap(), "1");
    let pre = net.parts[B].replica().overlay(&string("x"));
    assert_eq!(pre, all_of(ActorId(0x88)));
}

#[test]
fn a_range_delete_that_saw_all_numbers_is_masked_beside_a_fence() {
    let mut net = Net::new(2);
    let dot = net.write(A, set("x", "1"));
    let frame = net.take(A, B, kind::DELTA);
    let note = Note::Fenced {
        actor: STRANGER,
        upto: u64::MAX,
        keep: [Dot::new(STRANGER, 3)].into_iter().collect(),
    };
    let head = decode(&frame).unwrap().0;
    net.parts[B].replay(&encode_note(head, &note)).unwrap();
    let mut seen = all_of(STRANGER);
    seen.join(&all_of(ActorId(0x88)));
    let del = RangeDel {
        range: Range::all(),
        context: seen,
        resets: Vec::new(),
    };
    let batch = Batch {
        actor: dot.actor,
        first: 2,
        ops: vec![Op::RangeDel(del)],
    };
    net.forge(A, B, &Message::Delta(batch));
    net.arrive(A, B, frame);
    let mut left = all_of(ActorId(0x88));
    left.insert(Dot::new(STRANGER, 3));
    let masks: Vec<_> = net.parts[B]
        .replica()
        .masks()
        .map(|mask| mask.1.clone())
        .collect();
    assert_eq!(masks, [left], "void dots need no mask");
    net.write(B, sadd("s", "m"));
    assert_eq!(net.members(B, "s"), ["m"]);
}
