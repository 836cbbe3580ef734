//! Arbitrary messages and notes: everything that encoding can be asked to write.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::causality::{Context, Dot, DotRun, Hlc};
use crate::event::{Batch, Event, Inc, Op, Put, RangeDel, Rem};
use crate::id::{ActorId, PartitionId};
use crate::message::{
    Advert, Head, Message, Nonce, Note, SnapshotChunk, SnapshotId, SyncAnswer, Unit,
};
use crate::types::{
    Cell, CellId, Chain, ChainId, Deadline, Field, Key, Kind, Mark, Range, Reset, Total, Version,
};

/// Few, so that frames name the same actors again; one of them at each end.
fn actor() -> impl Strategy<Value = ActorId> {
    prop_oneof![
        6 => (1..5u64).prop_map(ActorId),
        1 => Just(ActorId(0)),
        1 => Just(ActorId(u64::MAX)),
        1 => any::<u64>().prop_map(ActorId),
    ]
}

/// Small numbers, where varints are one byte, and both ends.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 1..300u64,
        1 => Just(u64::MAX),
        1 => 1..=u64::MAX,
    ]
}

fn dot() -> impl Strategy<Value = Dot> {
    (actor(), number()).prop_map(|(actor, n)| Dot::new(actor, n))
}

pub(super) fn context() -> impl Strategy<Value = Context> {
    let run = (actor(), number(), 0..9u64).prop_map(|(actor, first, more)| DotRun {
        actor,
        first,
        last: first.saturating_add(more),
    });
    vec(run, 0..6).prop_map(|runs| {
        let mut context = Context::default();
        runs.into_iter().for_each(|run| context.insert_run(run));
        context
    })
}

fn bytes(max: usize) -> impl Strategy<Value = Box<[u8]>> {
    vec(any::<u8>(), 0..max).prop_map(Vec::into_boxed_slice)
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        4 => prop::sample::select(vec!["k", "key"]).prop_map(|key| key.as_bytes().into()),
        1 => bytes(40),
        1 => Just(vec![b'l'; 300].into_boxed_slice()),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    (0..8u8).prop_map(|code| Kind::from_code(code).unwrap())
}

fn cell_id() -> impl Strategy<Value = CellId> {
    (key(), kind(), bytes(6)).prop_map(|(key, kind, field)| {
        let field: Field = if kind.has_fields() {
            field
        } else {
            Field::default()
        };
        CellId::new(&key, kind, &field)
    })
}

fn hlc() -> impl Strategy<Value = Hlc> {
    prop_oneof![
        4 => (1u64 << 56..(1 << 56) + 999).prop_map(Hlc),
        1 => any::<u64>().prop_map(Hlc),
        1 => Just(Hlc(0)),
    ]
}

fn deadline() -> impl Strategy<Value = Deadline> {
    prop_oneof![
        2 => Just(Deadline::NEVER),
        1 => (0..u64::MAX).prop_map(Deadline),
    ]
}

fn total() -> impl Strategy<Value = Total> {
    prop_oneof![
        (-200..200i128).prop_map(Total::Int),
        any::<i128>().prop_map(Total::Int),
        Just(Total::Int(i128::MIN)),
        any::<f64>().prop_map(Total::Float),
    ]
}

fn mark() -> impl Strategy<Value = Mark> {
    (number(), total()).prop_map(|(n, total)| Mark { n, total })
}

fn chain_id() -> impl Strategy<Value = ChainId> {
    (actor(), any::<u64>()).prop_map(|(actor, birth)| ChainId { actor, birth })
}

fn reset() -> impl Strategy<Value = Reset> {
    (chain_id(), mark()).prop_map(|(chain, upto)| Reset { chain, upto })
}

fn range() -> impl Strategy<Value = Range> {
    prop_oneof![
        key().prop_map(Range::Key),
        (key(), kind(), bytes(4), option::of(bytes(4))).prop_map(|(key, kind, from, to)| {
            Range::Fields {
                key,
                kind,
                from,
                to,
            }
        }),
        (key(), option::of(key())).prop_map(|(from, to)| Range::Keys { from, to }),
    ]
}

fn range_del() -> impl Strategy<Value = RangeDel> {
    let masks = vec((range(), context()), 0..3);
    let resets = vec((cell_id(), reset()), 0..3);
    (range(), context(), masks, resets).prop_map(|(range, context, masks, resets)| RangeDel {
        range,
        context,
        masks,
        resets,
    })
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let observed = || (vec(dot(), 0..3), vec(reset(), 0..3));
    prop_oneof![
        (cell_id(), hlc(), bytes(9), deadline(), observed()).prop_map(
            |(cell, hlc, value, deadline, (rem, resets))| Op::Put(Put {
                cell,
                hlc,
                value,
                deadline,
                rem: rem.into(),
                resets,
            })
        ),
        (cell_id(), observed()).prop_map(|(cell, (rem, resets))| Op::Rem(Rem {
            cell,
            rem: rem.into(),
            resets,
        })),
        (cell_id(), hlc(), any::<u64>(), total(), deadline()).prop_map(
            |(cell, hlc, birth, total, deadline)| Op::Inc(Inc {
                cell,
                hlc,
                birth,
                total,
                deadline,
            })
        ),
        range_del().prop_map(Op::RangeDel),
    ]
}

fn batch() -> impl Strategy<Value = Batch> {
    (actor(), 1..u64::MAX - 9, vec(op(), 1..6)).prop_map(|(actor, first, ops)| Batch {
        actor,
        first,
        ops,
    })
}

fn version() -> impl Strategy<Value = Version> {
    (dot(), hlc(), deadline(), bytes(9)).prop_map(|(dot, hlc, deadline, value)| Version {
        dot,
        hlc,
        deadline,
        value,
    })
}

fn chain() -> impl Strategy<Value = Chain> {
    let top = option::of((mark(), hlc()));
    let base = option::of((mark(), dot()));
    (chain_id(), top, base, deadline()).prop_map(|(id, top, base, deadline)| {
        let mut chain = Chain::unknown(id);
        chain.deadline = deadline;
        let top = top.or_else(|| {
            let one = Mark {
                n: 1,
                total: Total::Int(1),
            };
            base.is_none().then_some((one, Hlc(1)))
        });
        if let Some((top, hlc)) = top {
            (chain.top, chain.hlc) = (top, hlc);
        }
        if let Some((base, by)) = base {
            (chain.base, chain.reset_by) = (base, Some(by));
        }
        chain
    })
}

fn cell() -> impl Strategy<Value = Cell> {
    (vec(version(), 0..3), vec(chain(), 0..3)).prop_map(|(versions, chains)| {
        let mut cell = Cell::default();
        versions
            .into_iter()
            .for_each(|version| cell.insert_version(version));
        for chain in chains {
            cell.change_chain(chain.id, |held| *held = chain);
        }
        cell
    })
}

/// The events that a state shows: its sender holds them.
fn shown(cell: &Cell) -> Context {
    let versions = cell.versions().iter().map(|version| version.dot);
    let chains = cell.chains().iter().filter(|chain| chain.top.n > 0);
    versions
        .chain(chains.map(|chain| Dot::new(chain.id.actor, chain.top.n)))
        .collect()
}

fn unit() -> impl Strategy<Value = Unit> {
    (cell_id(), cell(), context(), context()).prop_map(|(cell, state, extra, covered)| Unit {
        cell,
        state,
        extra,
        covered,
    })
}

fn answer() -> impl Strategy<Value = SyncAnswer> {
    let event = (dot(), range_del()).prop_filter_map("a batch ends below 2^64", |(dot, del)| {
        (dot.n < u64::MAX).then_some(Event {
            dot,
            op: Op::RangeDel(del),
        })
    });
    (any::<u64>(), context(), vec(event, 0..3), vec(unit(), 0..3)).prop_map(
        |(nonce, mut context, ranges, units)| {
            context.join(&ranges.iter().map(|event| event.dot).collect());
            for unit in &units {
                context.join(&unit.covered);
                context.join(&shown(&unit.state));
            }
            SyncAnswer {
                nonce: Nonce(nonce),
                context,
                ranges,
                units,
            }
        },
    )
}

fn chunk() -> impl Strategy<Value = SnapshotChunk> {
    let overlaid = (cell_id(), cell(), context()).prop_map(|(id, mut cell, pre)| {
        cell.add_pre(&pre);
        (id, cell)
    });
    let names = (any::<u64>(), any::<u64>(), any::<u32>(), context());
    let content = (
        vec(overlaid, 0..3),
        vec((range(), context()), 0..3),
        vec((actor(), any::<u64>(), context()), 0..3),
    );
    (names, (key(), option::of(key())), content).prop_map(
        |((nonce, id, index, mut context), (from, to), (cells, masks, fences))| {
            cells
                .iter()
                .for_each(|(_, cell)| context.join(&shown(cell)));
            SnapshotChunk {
                nonce: Nonce(nonce),
                id: SnapshotId(id),
                index,
                context,
                from,
                to,
                cells,
                masks,
                fences,
            }
        },
    )
}

pub(super) fn message() -> impl Strategy<Value = Message> {
    let nonce = || any::<u64>().prop_map(Nonce);
    prop_oneof![
        4 => batch().prop_map(Message::Delta),
        1 => (context(), context(), any::<u128>(), option::of(actor())).prop_map(
            |(durable, tail, digest, minter)| {
                Message::Advert(Advert {
                    durable,
                    tail,
                    digest,
                    minter,
                })
            }
        ),
        1 => Just(Message::AdvertRequest),
        1 => (nonce(), context())
            .prop_map(|(nonce, context)| Message::SyncRequest { nonce, context }),
        3 => answer().prop_map(Message::SyncAnswer),
        1 => nonce().prop_map(|nonce| Message::NeedSnapshot { nonce }),
        1 => (nonce(), option::of(any::<u64>()), any::<u32>()).prop_map(|(nonce, id, index)| {
            Message::SnapshotRequest {
                nonce,
                id: id.map(SnapshotId),
                index,
            }
        }),
        3 => chunk().prop_map(Message::SnapshotChunk),
        1 => nonce().prop_map(|nonce| Message::SnapshotRefused { nonce }),
        1 => (nonce(), cell_id()).prop_map(|(nonce, cell)| Message::ReadRequest { nonce, cell }),
        2 => (nonce(), context(), unit()).prop_map(|(nonce, mut context, unit)| {
            context.join(&shown(&unit.state));
            let unit = Box::new(unit);
            Message::ReadAnswer {
                nonce,
                context,
                unit,
            }
        }),
    ]
}

pub(super) fn note() -> impl Strategy<Value = Note> {
    prop_oneof![
        any::<u64>().prop_map(|id| Note::Installed { id: SnapshotId(id) }),
        any::<u64>().prop_map(|bound| Note::ClockBound { bound: Hlc(bound) }),
        Just(Note::Dropped),
        (actor(), any::<u64>(), context()).prop_map(|(actor, upto, keep)| Note::Fenced {
            actor,
            upto,
            keep,
        }),
    ]
}

pub(super) fn head() -> impl Strategy<Value = Head> {
    (any::<u16>(), any::<u64>(), actor()).prop_map(|(partition, epoch, sender)| Head {
        partition: PartitionId(partition),
        epoch,
        sender,
    })
}
