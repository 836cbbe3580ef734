//! The laws of cells. States are built from a history by the specification alone (replication.md 3.3), and the join
//! of two of them must be the state of the united events: so no order, repetition or grouping of joins can matter.

mod history;

use proptest::collection::vec;
use proptest::prelude::*;

use self::history::{Action, Events, History, State, version};
use super::{Cell, Chain, ChainId, Deadline, Mark, Total};
use crate::causality::{Context, Dot, Hlc};
use crate::id::ActorId;
use crate::time::WallMs;

#[derive(Clone, Debug)]
enum Step {
    Act(usize, Action),
    /// One replica learns some of what another knows.
    Learn(usize, usize, Events),
}

const ACTORS: [ActorId; 3] = [ActorId(1), ActorId(2), ActorId(3)];

fn history() -> impl Strategy<Value = History> {
    let action = prop_oneof![
        3 => Just(Action::Put),
        2 => Just(Action::Remove),
        3 => (-3..9i128).prop_map(|amount| Action::Add(Total::Int(amount))),
        2 => (-3..9i8).prop_map(|amount| Action::Add(Total::Float(f64::from(amount) / 4.0))),
    ];
    let step = prop_oneof![
        2 => (0..3usize, action).prop_map(|(at, action)| Step::Act(at, action)),
        1 => (0..3usize, 0..3usize, any::<Events>()).prop_map(|(at, of, which)| Step::Learn(at, of, which)),
    ];
    vec(step, 1..24).prop_map(|steps| {
        let mut history = History::default();
        let mut seen: [Events; 3] = [0; 3];
        for step in steps {
            match step {
                Step::Act(at, action) => seen[at] = history.act(ACTORS[at], seen[at], action),
                Step::Learn(at, of, which) => seen[at] |= seen[of] & which,
            }
        }
        history
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn joining_two_states_gives_the_state_of_all_their_events(
        history in history(),
        one in any::<Events>(),
        other in any::<Events>(),
    ) {
        let joined = history.state(one).join(&history.state(other));
        prop_assert_eq!(&joined, &history.state(one | other));
        prop_assert_eq!(joined.value(), history.value(one | other));
    }

    #[test]
    fn order_grouping_and_repetition_of_joins_do_not_matter(
        history in history(),
        which in any::<[Events; 3]>(),
    ) {
        let [a, b, c] = which.map(|which| history.state(which));
        prop_assert_eq!(a.join(&b), b.join(&a));
        prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
        prop_assert_eq!(&a.join(&a), &a);
        prop_assert_eq!(a.join(&b).join(&b), a.join(&b));
    }

    #[test]
    fn a_join_never_brings_back_what_either_side_has_removed(
        history in history(),
        one in any::<Events>(),
        other in any::<Events>(),
    ) {
        let (a, b) = (history.state(one), history.state(other));
        let joined = a.join(&b);
        for side in [&a, &b] {
            prop_assert!(side.knows.is_subset(&joined.knows));
            for version in joined.cell.versions() {
                let shown = side.cell.versions().contains(version);
                prop_assert!(shown || !side.knows.contains(version.dot));
            }
        }
    }

    #[test]
    fn the_winner_is_the_newest_stamp_and_then_the_greatest_dot(
        history in history(),
        which in any::<Events>(),
    ) {
        let State { cell, .. } = history.state(which);
        let mut naive: Vec<_> = cell.versions().iter().map(|v| (v.hlc, v.dot.actor, v.dot.n)).collect();
        naive.sort_unstable();
        let winner = cell.winner().map(|v| (v.hlc, v.dot.actor, v.dot.n));
        prop_assert_eq!(winner, naive.last().copied());
        prop_assert_eq!(cell.newest_hlc(), naive.last().map_or(Hlc(0), |last| last.0));
    }
}

/// Every sequence of `left` steps of two replicas: each acts on what it has seen, or learns all the other knows.
fn explore(history: &History, seen: [Events; 2], left: usize, check: &mut impl FnMut(&History)) {
    if left == 0 {
        return check(history);
    }
    for at in 0..2 {
        for action in [
            Action::Put,
            Action::Remove,
            Action::Add(Total::Int(1 << left)),
        ] {
            let mut history = history.clone();
            let mut seen = seen;
            seen[at] = history.act(ACTORS[at], seen[at], action);
            explore(&history, seen, left - 1, check);
        }
        let mut both = seen;
        both[at] |= seen[1 - at];
        if both != seen {
            explore(history, both, left - 1, check);
        }
    }
}

#[test]
fn in_every_small_history_joining_is_uniting_events() {
    let mut histories = 0;
    explore(&History::default(), [0; 2], 4, &mut |history| {
        histories += 1;
        let all: Events = 1 << history.past.len();
        let states: Vec<State> = (0..all).map(|which| history.state(which)).collect();
        for one in 0..all {
            for other in one..all {
                let (a, b) = (&states[one as usize], &states[other as usize]);
                let expected = &states[(one | other) as usize];
                assert_eq!(a.join(b), *expected, "{one:b} and {other:b} of {history:?}");
                assert_eq!(b.join(a), *expected, "{other:b} and {one:b} of {history:?}");
                assert_eq!(expected.value(), history.value(one | other), "{history:?}");
            }
        }
    });
    assert!(histories > 2_000, "{histories}");
}

#[test]
fn a_chain_counts_what_no_reset_has_seen_in_both_kinds_of_numbers() {
    let id = ChainId {
        actor: ACTORS[0],
        birth: 1,
    };
    let mark = |n, total| Mark { n, total };
    for (total, seen, left) in [
        (
            Total::Int(1 << 100),
            Total::Int(7),
            Total::Int((1 << 100) - 7),
        ),
        (Total::Float(2.5), Total::Float(0.25), Total::Float(2.25)),
    ] {
        let mut chain = Chain::unknown(id);
        chain.extend(mark(9, total), Hlc(5), Deadline(3));
        assert!(chain.value().same(total));
        chain.apply_reset(mark(4, seen), Dot::new(ACTORS[1], 2));
        assert!(chain.value().same(left), "{:?}", chain.value());
        chain.extend(mark(8, seen), Hlc(6), Deadline(4));
        assert_eq!(
            (chain.top.n, chain.hlc),
            (9, Hlc(5)),
            "an older increment changes nothing"
        );
        chain.apply_reset(chain.reset().upto, Dot::new(ACTORS[1], 3));
        assert!(chain.is_dead() && chain.value().same(total.zero()));
    }
}

#[test]
fn of_two_equal_resets_the_lesser_dot_is_kept() {
    let mut chain = Chain::unknown(ChainId {
        actor: ACTORS[0],
        birth: 1,
    });
    let upto = Mark {
        n: 4,
        total: Total::Int(1),
    };
    for (actor, kept) in [(2, 2), (3, 2), (1, 1)] {
        chain.apply_reset(upto, Dot::new(ActorId(actor), 1));
        assert_eq!(chain.reset_by, Some(Dot::new(ActorId(kept), 1)));
    }
}

#[test]
fn a_deadline_passes_at_its_time_and_never_does_not() {
    assert!(!Deadline(5).has_passed(WallMs(4)));
    assert!(Deadline(5).has_passed(WallMs(5)));
    assert!(!Deadline::NEVER.has_passed(WallMs(u64::MAX)));
}

#[test]
fn a_cell_without_anything_takes_no_place() {
    let dots: Context = [Dot::new(ACTORS[0], 1)].into_iter().collect();
    let mut cell = Cell::default();
    cell.add_pre(&dots);
    assert!(!cell.is_empty() && !cell.is_live());
    cell.remove_pre(&dots);
    assert!(cell.is_empty());
    cell.insert_version(version(Dot::new(ACTORS[0], 1), Hlc(1)));
    assert!(cell.is_live());
    assert!(cell.remove_version(Dot::new(ACTORS[0], 1)));
    assert!(!cell.remove_version(Dot::new(ACTORS[0], 1)));
    assert!(cell.is_empty());
}

mod ranges {
    use crate::types::{CellId, Kind, Range};

    #[test]
    fn ends_of_ranges_are_exclusive_and_beginnings_are_not() {
        let bytes = |text: &str| text.as_bytes().into();
        let field =
            |key: &str, kind, field: &str| CellId::new(key.as_bytes(), kind, field.as_bytes());
        let fields = Range::Fields {
            key: bytes("h"),
            kind: Kind::Hash,
            from: bytes("b"),
            to: Some(bytes("d")),
        };
        for (name, inside) in [("a", false), ("b", true), ("c", true), ("d", false)] {
            assert_eq!(
                fields.contains(&field("h", Kind::Hash, name)),
                inside,
                "{name}"
            );
            assert!(!fields.contains(&field("h", Kind::Set, name)));
            assert!(!fields.contains(&field("i", Kind::Hash, name)));
            let keys = Range::Keys {
                from: bytes("b"),
                to: Some(bytes("d")),
            };
            assert_eq!(
                keys.contains(&CellId::string(name.as_bytes())),
                inside,
                "{name}"
            );
            assert!(Range::all().contains(&CellId::string(name.as_bytes())));
            assert_eq!(
                Range::Key(bytes("b")).contains(&CellId::string(name.as_bytes())),
                name == "b"
            );
        }
    }
}
