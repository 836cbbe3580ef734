//! G8, hostile bytes: whatever arrives is read or refused, without a panic and in memory that follows the input.

use evenkeel_core::causality::Hlc;
use evenkeel_core::codec::DecodeError;
use evenkeel_core::event::{Batch, Op, Put};
use evenkeel_core::id::{ActorId, PartitionId};
use evenkeel_core::message::{Head, Message};
use evenkeel_core::types::{CellId, Deadline};
use evenkeel_core::wire::{Record, decode, decode_record, encode};

use crate::golden;

/// Bytes of memory per byte read, at most: an event of four bytes becomes a structure and a copy of its key. The
/// densest batch below takes 130.
const GROWTH_MAX: u64 = 160;
/// What a short frame may take whatever its length: the first growth of a few vectors.
const SMALL: u64 = 4 << 10;

/// Reads a record or frame, in bounded memory.
fn read(frame: &[u8]) -> Result<(Head, Record), DecodeError> {
    let mut read = None;
    let used = allocation_counter::measure(|| read = Some(decode_record(frame)));
    let limit = SMALL + GROWTH_MAX * frame.len() as u64;
    assert!(
        used.bytes_max <= limit,
        "{} bytes of memory for {} bytes: {frame:02x?}",
        used.bytes_max,
        frame.len()
    );
    read.expect("it was run")
}

#[test]
fn every_beginning_of_a_golden_file_is_refused() {
    for (name, bytes) in golden::files() {
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "{name} up to {end}");
            assert!(decode(&bytes[..end]).is_err(), "{name} up to {end}");
        }
    }
}

/// Every value for short files; for long ones flipped bits, neighbours and the ends of varints, to save time.
fn changes(original: u8, len: usize) -> Vec<u8> {
    if len <= 100 {
        return (0..=255).collect();
    }
    let flipped = (0..8).map(|bit| original ^ 1 << bit);
    let others = [0, 1, 2, 0x7f, 0x80, 0x81, 0xff, original.wrapping_add(1)];
    flipped.chain(others).collect()
}

#[test]
fn every_changed_byte_of_a_golden_file_is_refused_or_makes_another_frame() {
    let mut others = 0;
    for (name, mut bytes) in golden::files() {
        for at in 0..bytes.len() {
            let original = bytes[at];
            for byte in changes(original, bytes.len()) {
                bytes[at] = byte;
                if let Ok((head, record)) = read(&bytes) {
                    others += 1;
                    let rewritten = golden::written(head, record);
                    assert_eq!(
                        rewritten, bytes,
                        "{name}: byte {at} as {byte} has a second form"
                    );
                }
            }
            bytes[at] = original;
        }
    }
    assert!(
        others > 4_000,
        "most changes of values are other frames, not {others}"
    );
}

#[test]
fn a_declared_count_of_any_size_takes_no_memory() {
    for (_, bytes) in golden::files() {
        for at in 0..bytes.len() {
            for huge in [[0xff, 0xff, 0xff, 0x7f].as_slice(), &[0xff; 9]] {
                let mut changed = bytes[..at].to_vec();
                changed.extend_from_slice(huge);
                changed.push(1);
                changed.extend_from_slice(&bytes[at..]);
                drop(read(&changed));
            }
        }
    }
}

#[test]
fn the_densest_batch_grows_no_more_than_promised() {
    let put = Op::Put(Put {
        cell: CellId::string(&[b'k'; 255]),
        hlc: Hlc(1),
        value: Box::default(),
        deadline: Deadline::NEVER,
        rem: [].into_iter().collect(),
        resets: Vec::new(),
    });
    let sender = ActorId(1);
    let head = Head {
        partition: PartitionId(1),
        epoch: 1,
        sender,
    };
    let frame = encode(
        head,
        &Message::Delta(Batch {
            actor: sender,
            first: 1,
            ops: vec![put; 20_000],
        }),
    );
    assert!(
        frame.len() < 20_000 * 5,
        "four bytes an event, {} in all",
        frame.len()
    );
    assert!(read(&frame).is_ok());
}
