//! The laws of the bytes: what is written is read back, and nothing that would be written differently is read.

mod arbitrary;

use proptest::prelude::*;

use super::{BatchEncoder, Record, VERSION, decode, decode_record, encode, encode_note};
use crate::causality::{Context, Dot, Hlc};
use crate::codec::{DecodeError, put_varint};
use crate::event::{Batch, Inc, Op, Put, Rem};
use crate::id::{ActorId, PartitionId};
use crate::message::{Head, Message, Nonce};
use crate::types::{CellId, Deadline, Kind, Total};

const ME: ActorId = ActorId(0xa1);

const HEAD: Head = Head {
    partition: PartitionId(3),
    epoch: 9,
    sender: ME,
};

/// The head as it must be for a message: a delta names its actor there.
fn head_for(head: Head, message: &Message) -> Head {
    match message {
        Message::Delta(batch) => Head {
            sender: batch.actor,
            ..head
        },
        _ => head,
    }
}

/// Whatever can be read must be what encoding writes.
fn check_canonical(frame: &[u8]) -> Result<(), TestCaseError> {
    if let Ok((head, message)) = decode(frame) {
        prop_assert_eq!(&encode(head, &message), frame, "{:?}", message);
    }
    if let Ok((head, Record::Note(note))) = decode_record(frame) {
        prop_assert_eq!(&encode_note(head, &note), frame, "{:?}", note);
    }
    Ok(())
}

/// A frame with some bytes changed, cut out or put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let frame = (arbitrary::head(), arbitrary::message())
        .prop_map(|(head, message)| encode(head_for(head, &message), &message));
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..4u8);
    (frame, prop::collection::vec(edit, 1..4)).prop_map(|(mut frame, edits)| {
        for (at, byte, how) in edits {
            let at = at.index(frame.len());
            match how {
                0 => frame[at] = byte,
                1 => frame[at] = frame[at].wrapping_add(1),
                2 => frame.insert(at, byte),
                _ => {
                    if frame.len() > 1 {
                        frame.remove(at);
                    }
                }
            }
        }
        frame
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_message_is_read_back_as_it_was_written(
        head in arbitrary::head(),
        message in arbitrary::message(),
    ) {
        let head = head_for(head, &message);
        let frame = encode(head, &message);
        let (read_head, read) = decode(&frame).unwrap();
        prop_assert_eq!(read_head, head);
        prop_assert_eq!(format!("{read:?}"), format!("{message:?}"));
        prop_assert_eq!(encode(head, &read), frame.clone());
        let record = decode_record(&frame).unwrap().1;
        let same = matches!(record, Record::Frame(logged) if format!("{logged:?}") == format!("{read:?}"));
        prop_assert!(same, "a frame is its own log record");
    }

    #[test]
    fn every_note_is_read_back_as_it_was_written(
        head in arbitrary::head(),
        note in arbitrary::note(),
    ) {
        let record = encode_note(head, &note);
        let (read_head, read) = decode_record(&record).unwrap();
        prop_assert_eq!(read_head, head);
        let same = matches!(&read, Record::Note(read) if *read == note);
        prop_assert!(same, "{:?} is not {:?}", read, note);
        prop_assert!(decode(&record).is_err(), "notes are for the log, not for links");
    }

    #[test]
    fn a_batch_written_event_by_event_is_the_same_frame(
        first in 1..1_000u64,
        ops in prop::collection::vec(arbitrary::op(), 1..6),
    ) {
        let mut encoder = BatchEncoder::new(ME, first);
        ops.iter().for_each(|op| encoder.push(op));
        prop_assert_eq!(encoder.next_dot(), Dot::new(ME, first + ops.len() as u64));
        let batch = Batch { actor: ME, first, ops };
        prop_assert_eq!(encoder.into_frame(HEAD), encode(HEAD, &Message::Delta(batch)));
    }

    #[test]
    fn no_part_of_a_frame_is_a_frame(
        head in arbitrary::head(),
        message in arbitrary::message(),
        cut in any::<prop::sample::Index>(),
        more in 0..255u8,
    ) {
        let mut frame = encode(head_for(head, &message), &message);
        let part = &frame[..cut.index(frame.len())];
        prop_assert!(decode(part).is_err());
        frame.push(more);
        prop_assert!(decode(&frame).is_err(), "bytes are left over");
    }

    #[test]
    fn what_can_be_read_is_what_would_be_written(frame in mutated()) {
        check_canonical(&frame)?;
    }

    #[test]
    fn garbage_is_an_error(mut frame in prop::collection::vec(any::<u8>(), 0..200), kind in 0..16u8) {
        check_canonical(&frame)?;
        if frame.len() > 2 {
            (frame[0], frame[1]) = (VERSION, kind);
            check_canonical(&frame)?;
        }
    }
}

fn why(frame: &[u8]) -> DecodeError {
    decode(frame).unwrap_err()
}

#[test]
fn an_unknown_version_is_refused_by_name() {
    let mut frame = encode(HEAD, &Message::AdvertRequest);
    frame[0] = 2;
    let error = why(&frame);
    assert_eq!(
        error.to_string(),
        "cannot decode frame head at byte 1: a format version that this build does not read"
    );
    assert!(decode_record(&frame).is_err());
}

#[test]
fn an_unknown_kind_is_refused_by_name() {
    let mut frame = encode(HEAD, &Message::AdvertRequest);
    for kind in (0..=255u8).filter(|kind| !(1..=12).contains(kind)) {
        frame[1] = kind;
        assert_eq!(
            why(&frame).why,
            "this version knows no such kind of frame",
            "{kind}"
        );
    }
}

#[test]
fn a_declared_count_that_cannot_fit_is_refused_before_anything_is_kept() {
    let mut frame = encode(
        HEAD,
        &Message::SyncRequest {
            nonce: Nonce(1),
            context: Context::default(),
        },
    );
    frame.pop();
    put_varint(&mut frame, u64::MAX);
    frame.extend_from_slice(&[0xff; 40]);
    assert_eq!(why(&frame).why, "more items than the input can hold");
}

fn put(key: &[u8], hlc: u64) -> Op {
    Op::Put(Put {
        cell: CellId::string(key),
        hlc: Hlc(hlc),
        value: Box::default(),
        deadline: Deadline::NEVER,
        rem: [].into_iter().collect(),
        resets: Vec::new(),
    })
}

fn delta(ops: Vec<Op>) -> Message {
    Message::Delta(Batch {
        actor: ME,
        first: 1,
        ops,
    })
}

#[test]
fn stamps_of_zero_are_read_back_beside_others() {
    let message = delta(vec![put(b"x", 0), put(b"x", 7), put(b"y", 0)]);
    let read = decode(&encode(HEAD, &message)).unwrap().1;
    assert_eq!(format!("{read:?}"), format!("{message:?}"));
}

#[test]
fn a_short_key_is_written_once_per_batch_and_a_long_one_each_time() {
    let size = |key: &[u8], events| {
        let ops = (0..events).map(|_| put(key, 7)).collect();
        encode(HEAD, &delta(ops)).len()
    };
    let more = |key: &[u8]| size(key, 2) - size(key, 1);
    assert_eq!(
        more(&[b'k'; 200]),
        more(b"k"),
        "its repetition costs nothing"
    );
    // A frame of one long key and a million small events would else grow a thousandfold when it is read.
    assert!(more(&[b'k'; 10_000]) > 10_000);
}

#[test]
fn an_event_costs_what_the_design_counts_on() {
    let mut encoder = BatchEncoder::new(ME, 1_000_000);
    encoder.push(&Op::Put(Put {
        cell: CellId::string(b"0123456789"),
        hlc: Hlc::from_wall(crate::time::WallMs(1_700_000_000_000)),
        value: vec![b'v'; 100].into(),
        deadline: Deadline::NEVER,
        rem: [Dot::new(ME, 999_999)].into_iter().collect(),
        resets: Vec::new(),
    }));
    let frame = encoder.into_frame(HEAD).len();
    assert!(
        frame <= 110 + 42,
        "{frame} bytes for a value of 100 under a key of 10"
    );
    let more = |op: &Op| {
        let mut one = BatchEncoder::new(ME, 1);
        one.push(op);
        let single = one.into_frame(HEAD).len();
        let mut two = BatchEncoder::new(ME, 1);
        two.push(op);
        two.push(op);
        two.into_frame(HEAD).len() - single
    };
    let member = CellId::new(b"a set", Kind::Set, b"member");
    let rem = Op::Rem(Rem {
        cell: member,
        rem: [Dot::new(ME, 5)].into_iter().collect(),
        resets: Vec::new(),
    });
    assert!(more(&rem) <= 12, "{} bytes", more(&rem));
    let inc = Op::Inc(Inc {
        cell: CellId::string(b"n"),
        hlc: Hlc(1 << 56),
        birth: 3,
        total: Total::Int(1_000),
        deadline: Deadline::NEVER,
    });
    assert!(more(&inc) <= 6, "{} bytes", more(&inc));
}
