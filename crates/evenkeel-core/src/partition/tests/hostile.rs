//! Frames that are well-formed and senseless: no panic, no endless loop, no memory without bound.

use super::net::{Net, incr, kind, sadd, set, string};
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
        masks: Vec::new(),
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

fn bad_frames(net: &Net) -> usize {
    net.observed(B, |seen| matches!(seen, Observation::BadFrame { .. }))
}

#[test]
fn events_that_nobody_but_this_replica_can_mint_are_refused() {
    let mut net = Net::new(2);
    net.write(B, set("x", "mine"));
    net.deltas(B, A);
    let me = net.parts[B].actor();
    let op = Op::Put(Put {
        cell: string("x"),
        hlc: Hlc(1 << 50),
        value: b"forged".as_slice().into(),
        deadline: Deadline::NEVER,
        rem: [].into_iter().collect(),
        resets: Vec::new(),
    });
    let batch = Batch {
        actor: me,
        first: 2,
        ops: vec![op],
    };
    net.forge(A, B, &Message::Delta(batch));
    let nonce = open_request(&mut net);
    let mine = all_of(me);
    let covers = Unit {
        covered: mine.clone(),
        ..unit(string("x"))
    };
    net.forge(A, B, &answer(nonce, mine, covers));
    assert_eq!(bad_frames(&net), 2);
    let dot = net.write(B, set("x", "mine again"));
    assert_eq!(dot, Dot::new(me, 2), "the next dot was not taken");
    assert_eq!(net.get(B, "x").unwrap(), "mine again");
}

#[test]
fn an_own_event_that_comes_back_is_no_offence() {
    let mut net = Net::new(2);
    net.write(B, set("x", "1"));
    let echo = net.take(B, A, kind::DELTA);
    net.arrive(A, B, echo);
    assert_eq!(bad_frames(&net), 0);
    assert_eq!(net.get(B, "x").unwrap(), "1");
}

#[test]
fn a_snapshot_that_closes_its_own_receiver_is_refused() {
    let mut net = Net::with(2, |settings| settings.index_entries_max = 1);
    net.write(A, set("x", "1"));
    net.write(A, set("y", "1"));
    net.provoke(B, A);
    for kind in [kind::SYNC_REQUEST, kind::SNAPSHOT_REQUEST] {
        let request = net.take(B, A, kind);
        net.arrive(B, A, request);
        if kind == kind::SYNC_REQUEST {
            let need = net.take(A, B, kind::NEED_SNAPSHOT);
            net.arrive(A, B, need);
        }
    }
    let frame = net.take(A, B, kind::SNAPSHOT_CHUNK);
    let Message::SnapshotChunk(mut chunk) = decode(&frame).unwrap().1 else {
        panic!("a chunk");
    };
    let me = net.parts[B].actor();
    chunk.fences.push((me, u64::MAX, Context::default()));
    net.forge(A, B, &Message::SnapshotChunk(chunk));
    assert_eq!(bad_frames(&net), 1);
    net.write(B, set("x", "still writes"));
    assert_eq!(net.get(B, "x").unwrap(), "still writes");
}

#[test]
fn a_frame_of_another_partition_is_refused() {
    let mut net = Net::new(2);
    net.write(A, set("x", "1"));
    let frame = net.take(A, B, kind::DELTA);
    let (mut head, message) = decode(&frame).unwrap();
    head.partition.0 += 1;
    let elsewhere = crate::wire::encode(head, &message).into();
    net.arrive(A, B, elsewhere);
    assert_eq!(bad_frames(&net), 1);
    assert!(net.parts[B].replica().context().is_empty());
}

#[test]
fn a_unit_that_covers_what_its_sender_does_not_hold_is_refused() {
    let mut net = Net::new(2);
    let nonce = open_request(&mut net);
    let held: Context = [Dot::new(STRANGER, 1)].into_iter().collect();
    let covers = Unit {
        covered: [Dot::new(STRANGER, 2)].into_iter().collect(),
        ..unit(string("x"))
    };
    net.forge(A, B, &answer(nonce, held.clone(), covers));

    let mut state = Cell::default();
    state.insert_version(Version {
        dot: Dot::new(STRANGER, 9),
        hlc: Hlc(1),
        deadline: Deadline::NEVER,
        value: Box::default(),
    });
    let shows = Unit {
        state,
        covered: held.clone(),
        ..unit(string("x"))
    };
    net.forge(A, B, &answer(nonce, held, shows));
    assert_eq!(bad_frames(&net), 2);
    assert!(net.parts[B].replica().context().is_empty());
    assert_eq!(net.parts[B].replica().cells().count(), 0);
}

#[test]
fn a_reset_in_another_kind_of_number_does_not_make_the_chain_unsendable() {
    let mut net = Net::new(3);
    let a1 = net.write(A, incr("n", 5));
    net.write(A, incr("n", 2));
    net.deltas(A, B);
    let reset = Reset {
        chain: ChainId {
            actor: a1.actor,
            birth: 1,
        },
        upto: Mark {
            n: 1,
            total: Total::Float(0.5),
        },
    };
    let op = Op::Put(Put {
        cell: string("n"),
        hlc: Hlc(1 << 50),
        value: b"7".as_slice().into(),
        deadline: Deadline::NEVER,
        rem: [].into_iter().collect(),
        resets: vec![reset],
    });
    let batch = Batch {
        actor: STRANGER,
        first: 1,
        ops: vec![op],
    };
    net.forge(A, B, &Message::Delta(batch));
    net.lose_all();
    net.repair(2, B);
    assert_eq!(net.count(2, "n"), net.count(B, "n"));
    assert_eq!(
        net.parts[2].replica().digest(),
        net.parts[B].replica().digest()
    );
    assert_eq!(
        net.parts[2].replica().context(),
        net.parts[B].replica().context()
    );
}

#[test]
fn an_inverted_range_is_empty() {
    let mut net = Net::new(2);
    net.write(B, set("m", "1"));
    let seen = net.parts[B].replica().context().clone();
    let key = |key: &str| key.as_bytes().into();
    let ranges = [
        Range::Keys {
            from: key("z"),
            to: Some(key("a")),
        },
        Range::Keys {
            from: key("m"),
            to: Some(key("m")),
        },
        Range::Fields {
            key: key("m"),
            kind: crate::types::Kind::Hash,
            from: key("z"),
            to: Some(key("a")),
        },
    ];
    let ops = ranges.into_iter().map(|range| {
        Op::RangeDel(RangeDel {
            range,
            context: seen.clone(),
            masks: Vec::new(),
            resets: Vec::new(),
        })
    });
    let batch = Batch {
        actor: STRANGER,
        first: 1,
        ops: ops.collect(),
    };
    net.forge(A, B, &Message::Delta(batch));
    assert_eq!(net.get(B, "m").unwrap(), "1");
    let inverted = crate::partition::Write::Clear {
        range: Range::Keys {
            from: key("z"),
            to: Some(key("a")),
        },
    };
    assert!(net.write_all(B, vec![inverted]).is_empty());
}

#[test]
fn an_advert_of_everything_leads_to_no_more_than_one_question() {
    let mut net = Net::new(2);
    let advert = Message::Advert(Advert {
        durable: all_of(STRANGER),
        tail: all_of(net.parts[B].actor()),
        digest: 0,
        minter: None,
    });
    net.forge(A, B, &advert);
    net.wait(100);
    net.finish(A, B);
    assert!(net.flights.is_empty());
    assert!(net.parts[B].behind(super::net::node(A)) > 0);
}

#[test]
fn an_actor_at_the_end_of_its_numbers_does_no_harm() {
    let mut net = Net::new(2);
    let put = |key: &str| {
        Op::Put(Put {
            cell: string(key),
            hlc: Hlc(u64::MAX),
            value: Box::default(),
            deadline: Deadline::NEVER,
            rem: [].into_iter().collect(),
            resets: Vec::new(),
        })
    };
    let batch = Batch {
        actor: STRANGER,
        first: u64::MAX - 1,
        ops: vec![put("x"), put("y")],
    };
    net.forge(A, B, &Message::Delta(batch.clone()));
    net.forge(
        A,
        B,
        &Message::Delta(Batch {
            first: u64::MAX,
            ..batch
        }),
    );
    assert_eq!(net.write(B, set("x", "after a wild stamp")).n, 1);
    assert_eq!(net.get(B, "x").unwrap(), "after a wild stamp");
}

#[test]
fn ranges_of_an_answer_are_range_deletes() {
    let mut net = Net::new(2);
    let nonce = open_request(&mut net);
    let dot = Dot::new(STRANGER, 1);
    let held: Context = [dot].into_iter().collect();
    let event = |op| Event { dot, op };
    let put = Op::Put(Put {
        cell: string("x"),
        hlc: Hlc(5),
        value: Box::default(),
        deadline: Deadline::NEVER,
        rem: [].into_iter().collect(),
        resets: Vec::new(),
    });
    let message = Message::SyncAnswer(SyncAnswer {
        nonce,
        context: held,
        ranges: vec![event(put)],
        units: Vec::new(),
    });
    net.forge(A, B, &message);
    assert_eq!(bad_frames(&net), 1);
    assert!(net.parts[B].replica().context().is_empty());
}
