//! Random histories over links that drop, duplicate and reorder: whatever happened, the replicas end up equal, and
//! at every moment each of them shows what the specification says about its own context.

use proptest::prelude::*;

use super::net::{Net, incr, kind, member, set, string};
use crate::partition::Write;
use crate::types::{CellId, Deadline, Kind, Range, Total};

const MEMBERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A replica writes a batch.
    Write(usize, Vec<Write>),
    /// Frame number n of those on their way arrives.
    Arrive(usize),
    /// It arrives, and another copy stays on its way.
    Duplicate(usize),
    /// It is lost.
    Drop(usize),
    /// Time passes: adverts, anti-entropy, collection.
    Wait(u64),
    /// A replica is killed, loses so many records, and starts anew.
    Crash(usize, usize),
    /// A checkpoint takes the place of a replica's log.
    Checkpoint(usize),
    /// A replica is killed, and the first records of its log are lost.
    LoseFront(usize, usize),
}

fn any_cell() -> impl Strategy<Value = CellId> {
    prop_oneof![
        (0..2u8).prop_map(|n| string(&format!("k{n}"))),
        (0..2u8, 0..3u8).prop_map(|(key, field)| member(&format!("s{key}"), &format!("m{field}"))),
        (0..3u8).prop_map(|field| CellId::new(b"h", Kind::Hash, &[b'f', field])),
    ]
}

fn any_range() -> impl Strategy<Value = Range> {
    prop_oneof![
        4 => prop::sample::select(vec!["k0", "s0", "s1", "h"])
            .prop_map(|key| Range::Key(key.as_bytes().into())),
        1 => Just(Range::all()),
        1 => Just(Range::Keys {
            from: b"k".as_slice().into(),
            to: Some(b"s1".as_slice().into()),
        }),
        1 => Just(Range::Fields {
            key: b"h".as_slice().into(),
            kind: Kind::Hash,
            from: b"f\x01".as_slice().into(),
            to: None,
        }),
    ]
}

fn any_write() -> impl Strategy<Value = Write> {
    prop_oneof![
        4 => (any_cell(), any::<u8>()).prop_map(|(cell, value)| Write::Set {
            cell,
            value: vec![value].into(),
            deadline: Deadline::NEVER,
        }),
        3 => any_cell().prop_map(|cell| Write::Remove { cell }),
        4 => (any_cell(), -3..9i128).prop_map(|(cell, amount)| Write::Add {
            cell,
            amount: Total::Int(amount),
            deadline: Deadline::NEVER,
        }),
        1 => (any_cell(), -3..9i8).prop_map(|(cell, quarters)| Write::Add {
            cell,
            amount: Total::Float(f64::from(quarters) / 4.0),
            deadline: Deadline::NEVER,
        }),
        2 => any_range().prop_map(|range| Write::Clear { range }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..MEMBERS, prop::collection::vec(any_write(), 1..4))
            .prop_map(|(at, writes)| Step::Write(at, writes)),
        10 => any::<usize>().prop_map(Step::Arrive),
        2 => any::<usize>().prop_map(Step::Duplicate),
        3 => any::<usize>().prop_map(Step::Drop),
        3 => prop::sample::select(vec![90u64, 260, 1_100]).prop_map(Step::Wait),
        1 => (0..MEMBERS, 0..3usize).prop_map(|(at, lost)| Step::Crash(at, lost)),
        1 => (0..MEMBERS).prop_map(Step::Checkpoint),
        1 => (0..MEMBERS, any::<usize>()).prop_map(|(at, lost)| Step::LoseFront(at, lost)),
    ]
}

fn run(net: &mut Net, step: Step) {
    let pick = |net: &Net, n: usize| (!net.flights.is_empty()).then(|| n % net.flights.len());
    match step {
        Step::Write(at, writes) => {
            net.write_all(at, writes);
        }
        Step::Arrive(n) => {
            if let Some(at) = pick(net, n) {
                let flight = net.flights.remove(at);
                net.arrive(flight.from, flight.to, flight.frame);
            }
        }
        Step::Duplicate(n) => {
            if let Some(at) = pick(net, n) {
                let flight = net.flights[at].clone();
                net.arrive(flight.from, flight.to, flight.frame);
            }
        }
        Step::Drop(n) => {
            if let Some(at) = pick(net, n) {
                net.flights.swap_remove(at);
            }
        }
        Step::Wait(ms) => net.wait(ms),
        Step::Crash(at, lost) => {
            let lost = lost.min(net.logs[at].len());
            net.restart(at, lost);
        }
        Step::Checkpoint(at) => net.checkpoint(at),
        Step::LoseFront(at, lost) => {
            let lost = lost % (net.logs[at].len() + 1);
            net.restart_after_loss(at, lost);
        }
    }
}

fn check_history(mut net: Net, steps: Vec<Step>) {
    for step in steps {
        run(&mut net, step);
        net.check();
        net.check_overlays();
    }
    net.converge();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn replicas_become_equal_and_are_what_their_events_say(
        steps in prop::collection::vec(any_step(), 20..80)
    ) {
        check_history(Net::new(MEMBERS), steps);
    }

    #[test]
    fn they_do_so_with_snapshots_and_split_answers_too(
        steps in prop::collection::vec(any_step(), 20..60)
    ) {
        let net = Net::with(MEMBERS, |settings| {
            settings.index_entries_max = 6;
            settings.snapshot_chunk_bytes = 64;
            settings.sync_answer_bytes = 128;
        });
        check_history(net, steps);
    }
}

#[test]
fn the_specification_itself_tells_a_lost_write_from_a_kept_one() {
    let mut net = Net::new(2);
    net.write(0, set("x", "1"));
    net.write(0, incr("x", 2));
    let frame = net.take(0, 1, kind::DELTA);
    net.arrive(0, 1, frame);
    let of = |at: usize| {
        let context = net.parts[at].replica().context();
        net.history.shown(&string("x"), context)
    };
    assert_eq!(of(0).chains.len(), 1);
    assert!(of(1).chains.is_empty());
    assert_eq!(of(0).versions, of(1).versions);
    net.check();
}
