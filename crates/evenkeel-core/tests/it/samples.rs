//! One frame or record of each kind, with every optional part in it somewhere.

use evenkeel_core::causality::{Context, Dot, DotRun, Hlc};
use evenkeel_core::event::{Batch, Event, Inc, Op, Put, RangeDel, Rem};
use evenkeel_core::id::{ActorId, PartitionId};
use evenkeel_core::message::{
    Advert, Head, Message, Nonce, Note, SnapshotChunk, SnapshotId, SyncAnswer, Unit,
};
use evenkeel_core::types::{
    Cell, CellId, Chain, ChainId, Deadline, Kind, Mark, Range, Reset, Total, Version,
};
use evenkeel_core::wire::{encode, encode_note};

const A: ActorId = ActorId(0xa1a2_a3a4_a5a6_a7a8);
const B: ActorId = ActorId(0xb1b2_b3b4_b5b6_b7b8);
/// An actor that no context of a sample names.
const OTHER: ActorId = ActorId(0x0c0d);

const HEAD: Head = Head {
    partition: PartitionId(300),
    epoch: 5,
    sender: A,
};

const STAMP: Hlc = Hlc(0x018b_cfe5_6800_0007);

fn run(actor: ActorId, first: u64, last: u64) -> DotRun {
    DotRun { actor, first, last }
}

fn context() -> Context {
    let mut context = Context::default();
    for run in [run(A, 1, 200), run(A, 203, 203), run(B, 7, 90)] {
        context.insert_run(run);
    }
    context
}

fn some_dots() -> Context {
    [Dot::new(B, 100), Dot::new(B, 101), Dot::new(OTHER, 1)]
        .into_iter()
        .collect()
}

fn reset(actor: ActorId, total: Total) -> Reset {
    Reset {
        chain: ChainId { actor, birth: 40 },
        upto: Mark { n: 55, total },
    }
}

fn ops() -> Vec<Op> {
    let hash = |field: &[u8]| CellId::new(b"hash", Kind::Hash, field);
    vec![
        Op::Put(Put {
            cell: CellId::string(b"string"),
            hlc: STAMP,
            value: b"value".as_slice().into(),
            deadline: Deadline(1_700_000_123_456),
            rem: [Dot::new(A, 3), Dot::new(B, 8)].into_iter().collect(),
            resets: vec![reset(B, Total::Int(-7)), reset(OTHER, Total::Float(0.25))],
        }),
        Op::Put(Put {
            cell: hash(b"one"),
            hlc: Hlc(STAMP.0 + 1),
            value: Box::default(),
            deadline: Deadline::NEVER,
            rem: [].into_iter().collect(),
            resets: Vec::new(),
        }),
        Op::Rem(Rem {
            cell: hash(b"two"),
            rem: [Dot::new(B, 9)].into_iter().collect(),
            resets: Vec::new(),
        }),
        Op::Inc(Inc {
            cell: hash(b"three"),
            hlc: Hlc(STAMP.0 - 1),
            birth: 40,
            total: Total::Int(i128::MIN),
            deadline: Deadline::NEVER,
        }),
        Op::Inc(Inc {
            cell: CellId::new(b"scores", Kind::SortedSet, b"m"),
            hlc: STAMP,
            birth: 206,
            total: Total::Float(1.5),
            deadline: Deadline(9),
        }),
        range_del(),
        Op::RangeDel(RangeDel {
            range: Range::all(),
            context: Context::default(),
            masks: Vec::new(),
            resets: Vec::new(),
        }),
    ]
}

fn range_del() -> Op {
    Op::RangeDel(RangeDel {
        range: Range::Fields {
            key: b"hash".as_slice().into(),
            kind: Kind::Hash,
            from: b"a".as_slice().into(),
            to: Some(b"n".as_slice().into()),
        },
        context: context(),
        masks: vec![(Range::Key(b"hash".as_slice().into()), context())],
        resets: vec![(
            CellId::new(b"hash", Kind::Hash, b"m"),
            reset(B, Total::Int(1 << 80)),
        )],
    })
}

fn cell() -> Cell {
    let mut cell = Cell::default();
    for (dot, deadline) in [
        (Dot::new(A, 5), Deadline::NEVER),
        (Dot::new(B, 8), Deadline(77)),
    ] {
        cell.insert_version(Version {
            dot,
            hlc: STAMP,
            deadline,
            value: b"sibling".as_slice().into(),
        });
    }
    let id = |actor| ChainId { actor, birth: 2 };
    let mark = |n, total| Mark { n, total };
    cell.change_chain(id(A), |chain| {
        *chain = Chain {
            top: mark(9, Total::Int(12)),
            base: mark(4, Total::Int(5)),
            reset_by: Some(Dot::new(B, 8)),
            hlc: STAMP,
            deadline: Deadline(77),
            ..Chain::unknown(id(A))
        }
    });
    cell.change_chain(id(B), |chain| {
        *chain = Chain {
            top: mark(20, Total::Float(-0.5)),
            hlc: STAMP,
            ..Chain::unknown(id(B))
        }
    });
    cell.change_chain(id(OTHER), |chain| {
        *chain = Chain {
            base: mark(4, Total::Float(3.0)),
            reset_by: Some(Dot::new(OTHER, 8)),
            ..Chain::unknown(id(OTHER))
        }
    });
    cell
}

fn unit() -> Unit {
    Unit {
        cell: CellId::new(b"hash", Kind::Hash, b"field"),
        state: cell(),
        extra: some_dots(),
        covered: [Dot::new(A, 5), Dot::new(A, 6), Dot::new(B, 20)]
            .into_iter()
            .collect(),
    }
}

fn chunk() -> SnapshotChunk {
    let mut overlaid = cell();
    overlaid.add_pre(&some_dots());
    SnapshotChunk {
        nonce: Nonce(11),
        id: SnapshotId(12),
        index: 300,
        context: context(),
        from: b"from".as_slice().into(),
        to: Some(b"to".as_slice().into()),
        cells: vec![
            (CellId::string(b"key"), overlaid),
            (
                CellId::new(b"list", Kind::List, b"position"),
                Cell::default(),
            ),
        ],
        masks: vec![
            (Range::Key(b"hash".as_slice().into()), some_dots()),
            (
                Range::Keys {
                    from: b"a".as_slice().into(),
                    to: Some(b"b".as_slice().into()),
                },
                some_dots(),
            ),
        ],
        fences: vec![(OTHER, u64::MAX, some_dots())],
    }
}

const NONCE: Nonce = Nonce(0x1122_3344_5566_7788);

fn deltas_and_sync() -> Vec<(&'static str, Message)> {
    vec![
        (
            "delta",
            Message::Delta(Batch {
                actor: A,
                first: 201,
                ops: ops(),
            }),
        ),
        (
            "advert",
            Message::Advert(Advert {
                durable: context(),
                tail: some_dots(),
                digest: 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100,
                minter: None,
            }),
        ),
        (
            "advert_of_minter",
            Message::Advert(Advert {
                durable: context(),
                tail: some_dots(),
                digest: 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100,
                minter: Some(ActorId::guest(77)),
            }),
        ),
        ("advert_request", Message::AdvertRequest),
        (
            "sync_request",
            Message::SyncRequest {
                nonce: NONCE,
                context: context(),
            },
        ),
        (
            "sync_answer",
            Message::SyncAnswer(SyncAnswer {
                nonce: NONCE,
                context: context(),
                ranges: vec![Event {
                    dot: Dot::new(B, 30),
                    op: range_del(),
                }],
                units: vec![unit(), unit()],
            }),
        ),
    ]
}

fn snapshots_and_reads() -> Vec<(&'static str, Message)> {
    vec![
        ("need_snapshot", Message::NeedSnapshot { nonce: NONCE }),
        (
            "snapshot_request",
            Message::SnapshotRequest {
                nonce: NONCE,
                id: Some(SnapshotId(12)),
                index: 3,
            },
        ),
        (
            "snapshot_request_first",
            Message::SnapshotRequest {
                nonce: NONCE,
                id: None,
                index: 0,
            },
        ),
        ("snapshot_chunk", Message::SnapshotChunk(chunk())),
        (
            "snapshot_refused",
            Message::SnapshotRefused { nonce: NONCE },
        ),
        (
            "read_request",
            Message::ReadRequest {
                nonce: NONCE,
                cell: CellId::new(b"set", Kind::Set, b"member"),
            },
        ),
        (
            "read_answer",
            Message::ReadAnswer {
                nonce: NONCE,
                context: context(),
                unit: Box::new(Unit {
                    covered: Context::default(),
                    ..unit()
                }),
            },
        ),
    ]
}

fn notes() -> Vec<(&'static str, Note)> {
    vec![
        ("note_installed", Note::Installed { id: SnapshotId(12) }),
        ("note_clock_bound", Note::ClockBound { bound: STAMP }),
        ("note_dropped", Note::Dropped),
        (
            "note_fenced",
            Note::Fenced {
                actor: B,
                upto: 90,
                keep: context(),
            },
        ),
    ]
}

/// Every kind of frame and note under the name of its golden file.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let messages = deltas_and_sync().into_iter().chain(snapshots_and_reads());
    let frames = messages.map(|(name, message)| (name, encode(HEAD, &message)));
    let notes = notes().into_iter();
    frames
        .chain(notes.map(|(name, note)| (name, encode_note(HEAD, &note))))
        .collect()
}
