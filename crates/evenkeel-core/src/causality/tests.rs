//! The laws of sets of dots, against plain sets of numbers; the promises of the clock.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Clock, Context, Dot, DotRun, Hlc, IntervalSet, Observed, Run};
use crate::codec::{Reader, put_varint};
use crate::id::ActorId;
use crate::limits::{HLC_RESERVE_MS, SKEW_MAX_MS};
use crate::time::WallMs;

type Naive = BTreeSet<u64>;

/// Numbers close together, so that runs touch; both ends of the range as well.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 1..40u64,
        1 => u64::MAX - 20..=u64::MAX,
    ]
}

fn runs() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let run = (number(), 0..6u64).prop_map(|(first, more)| (first, first.saturating_add(more)));
    vec(run, 0..12)
}

fn both(runs: &[(u64, u64)]) -> (IntervalSet, Naive) {
    let mut set = IntervalSet::default();
    for (first, last) in runs {
        set.insert_run(*first, *last);
    }
    (
        set,
        runs.iter()
            .flat_map(|(first, last)| *first..=*last)
            .collect(),
    )
}

fn numbers(set: &IntervalSet) -> Naive {
    set.runs()
        .iter()
        .flat_map(|run| run.first..=run.last)
        .collect()
}

/// Sorted, disjoint, never adjacent: then equal sets are equal values.
fn check_canonical(set: &IntervalSet) {
    assert!(
        set.runs()
            .iter()
            .all(|run| 1 <= run.first && run.first <= run.last)
    );
    let apart = |pair: &[Run]| {
        pair[0]
            .last
            .checked_add(1)
            .is_some_and(|next| next < pair[1].first)
    };
    assert!(set.runs().windows(2).all(apart), "{set:?}");
}

proptest! {
    #[test]
    fn an_interval_set_is_the_set_of_its_numbers(runs in runs(), probe in number()) {
        let (set, naive) = both(&runs);
        check_canonical(&set);
        prop_assert_eq!(&numbers(&set), &naive);
        prop_assert_eq!(set.count(), naive.len() as u64);
        prop_assert_eq!(set.contains(probe), naive.contains(&probe));
        prop_assert_eq!(set.max(), naive.last().copied());
        prop_assert_eq!(set.is_empty(), naive.is_empty());
    }

    #[test]
    fn numbers_inserted_one_by_one_in_any_order_give_the_same_value(
        mut inserted in vec(number(), 0..40),
        seed in any::<u64>(),
    ) {
        let mut set = IntervalSet::default();
        let mut naive = Naive::new();
        for n in &inserted {
            prop_assert_eq!(set.insert(*n), naive.insert(*n), "whether {} was new", n);
            check_canonical(&set);
        }
        inserted.sort_by_key(|n| n.wrapping_mul(seed | 1));
        let mut again = IntervalSet::default();
        inserted.iter().for_each(|n| { again.insert(*n); });
        prop_assert_eq!(&again, &set);
        prop_assert_eq!(numbers(&set), naive);
    }

    #[test]
    fn interval_sets_are_joined_subtracted_and_compared_like_sets(one in runs(), other in runs()) {
        let ((a, naive_a), (b, naive_b)) = (both(&one), both(&other));
        let mut joined = a.clone();
        joined.join(&b);
        check_canonical(&joined);
        prop_assert_eq!(numbers(&joined), &naive_a | &naive_b);
        let left = a.difference(&b);
        check_canonical(&left);
        prop_assert_eq!(numbers(&left), &naive_a - &naive_b);
        prop_assert_eq!(a.is_subset(&b), naive_a.is_subset(&naive_b));
        prop_assert!(a.is_subset(&joined) && left.is_subset(&a));
    }
}

#[test]
fn an_interval_set_works_at_both_ends_of_its_numbers() {
    let all = IntervalSet::from_run(0, u64::MAX);
    assert_eq!(
        all.runs(),
        [Run {
            first: 1,
            last: u64::MAX
        }],
        "zero is no number of a set"
    );
    assert_eq!(all.count(), u64::MAX);
    let mut set = IntervalSet::from_run(u64::MAX, u64::MAX);
    assert!(!set.insert(u64::MAX) && set.insert(u64::MAX - 1) && set.insert(1));
    assert!(!set.insert(0), "nothing was added");
    assert_eq!(all.difference(&set), IntervalSet::from_run(2, u64::MAX - 2));
    assert!(all.difference(&all).is_empty());
    set.insert_run(5, 4);
    set.insert_run(2, u64::MAX);
    assert_eq!(set, all);
}

fn actor() -> impl Strategy<Value = ActorId> {
    prop::sample::select(vec![ActorId(0), ActorId(7), ActorId(u64::MAX)])
}

fn dot_runs() -> impl Strategy<Value = Vec<DotRun>> {
    let run = (actor(), number(), 0..6u64).prop_map(|(actor, first, more)| DotRun {
        actor,
        first,
        last: first.saturating_add(more),
    });
    vec(run, 0..8)
}

fn context() -> impl Strategy<Value = Context> {
    dot_runs().prop_map(|runs| runs.into_iter().flat_map(DotRun::dots).collect())
}

fn dots(context: &Context) -> BTreeSet<Dot> {
    context.dots().collect()
}

fn joined(a: &Context, b: &Context) -> Context {
    let mut joined = a.clone();
    joined.join(b);
    joined
}

fn bytes(context: &Context) -> Vec<u8> {
    let mut bytes = Vec::new();
    context.encode(&mut bytes);
    bytes
}

proptest! {
    #[test]
    fn a_context_is_the_set_of_its_dots(runs in dot_runs(), actor in actor(), n in number()) {
        let naive: BTreeSet<Dot> = runs.iter().flat_map(|run| run.dots()).collect();
        let context: Context = naive.iter().copied().collect();
        let mut by_run = Context::default();
        runs.iter().for_each(|run| by_run.insert_run(*run));
        prop_assert_eq!(&context, &by_run);
        prop_assert_eq!(dots(&context), naive.clone());
        prop_assert_eq!(context.count(), naive.len() as u64);
        prop_assert_eq!(context.contains(Dot::new(actor, n)), naive.contains(&Dot::new(actor, n)));
        let only: BTreeSet<Dot> = naive.into_iter().filter(|dot| dot.actor == actor).collect();
        prop_assert_eq!(dots(&context.only(actor)), only);
    }

    #[test]
    fn contexts_are_joined_subtracted_and_compared_like_sets(a in context(), b in context()) {
        let (left, right) = (dots(&a), dots(&b));
        prop_assert_eq!(dots(&joined(&a, &b)), &left | &right);
        prop_assert_eq!(dots(&a.difference(&b)), &left - &right);
        prop_assert_eq!(dots(&a.intersection(&b)), &left & &right);
        prop_assert_eq!(a.is_subset(&b), left.is_subset(&right));
        prop_assert_eq!(a == b, left == right);
        prop_assert_eq!(bytes(&a) == bytes(&b), left == right);
    }

    #[test]
    fn the_join_of_contexts_is_a_least_upper_bound(a in context(), b in context(), c in context()) {
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        prop_assert_eq!(joined(&a, &a), a.clone());
        prop_assert!(a.is_subset(&joined(&a, &b)), "nothing is forgotten");
        if a.is_subset(&b) {
            prop_assert!(joined(&a, &c).is_subset(&joined(&b, &c)));
        }
    }

    #[test]
    fn a_context_is_read_back_as_it_was_written(context in context()) {
        let bytes = bytes(&context);
        let mut input = Reader::new(&bytes);
        prop_assert_eq!(Context::decode(&mut input).unwrap(), context);
        prop_assert_eq!(input.remaining(), 0);
    }

    #[test]
    fn a_context_is_read_only_from_the_bytes_it_is_written_in(
        context in context(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut changed = bytes(&context);
        let at = at.index(changed.len());
        changed[at] = byte;
        let mut input = Reader::new(&changed);
        if let Ok(read) = Context::decode(&mut input) {
            let taken = changed.len() - input.remaining();
            prop_assert_eq!(&bytes(&read), &changed[..taken]);
        }
    }
}

/// The encoding of a context, from parts that need not fit together.
fn forged(actors: &[(u64, &[(u64, u64)])]) -> Result<Context, &'static str> {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, actors.len() as u64);
    for (actor, gaps) in actors {
        bytes.extend_from_slice(&actor.to_le_bytes());
        put_varint(&mut bytes, gaps.len() as u64);
        for (gap, length) in *gaps {
            put_varint(&mut bytes, *gap);
            put_varint(&mut bytes, *length);
        }
    }
    Context::decode(&mut Reader::new(&bytes)).map_err(|error| error.why)
}

#[test]
fn every_other_form_of_a_context_is_refused() {
    assert!(forged(&[(1, &[(0, 0)]), (2, &[(0, 4), (1, 0)])]).is_ok());
    type Form<'a> = &'a [(u64, &'a [(u64, u64)])];
    let check = |form: Form<'_>, why| assert_eq!(forged(form), Err(why), "{form:?}");
    check(&[(2, &[(0, 0)]), (1, &[(0, 0)])], "actors do not ascend");
    check(&[(1, &[(0, 0)]), (1, &[(5, 0)])], "actors do not ascend");
    check(&[(1, &[]), (2, &[(0, 0), (1, 0)])], "an actor without dots");
    check(&[(1, &[(0, 3), (0, 1)])], "adjacent runs");
    for run in [(u64::MAX, 0), (0, u64::MAX), (1, u64::MAX - 1)] {
        check(&[(1, &[run])], "a dot above 64 bits");
    }
}

#[test]
fn a_context_of_three_actors_takes_some_forty_bytes_and_twenty_holes_eighty_more() {
    let actors = [3, 0xa5a5_0000_0000_0001, u64::MAX];
    let run = |actor| (1..=10_000).map(move |n| Dot::new(ActorId(actor), n));
    let context: Context = actors.into_iter().flat_map(run).collect();
    let dense = bytes(&context).len();
    assert!(
        (30..=46).contains(&dense),
        "{dense} bytes for 3 actors of 10,000 events"
    );
    let mut holey = Context::default();
    for (of, actor) in (0u64..).zip(actors) {
        let holes: Context = (1..=20)
            .filter(|hole| hole % 3 == of)
            .map(|hole| Dot::new(ActorId(actor), hole * 480))
            .collect();
        holey.join(&context.only(ActorId(actor)).difference(&holes));
    }
    assert_eq!(context.difference(&holey).count(), 20);
    let sparse = bytes(&holey).len();
    assert!(
        (dense + 60..=125).contains(&sparse),
        "{sparse} bytes with 20 holes, {dense} without"
    );
}

#[test]
fn contexts_with_very_many_holes_are_joined_in_one_pass() {
    // A peer can send millions of runs; inserted one by one, each would move all behind it.
    let every_fourth = |from: u64| (0..300_000).map(move |n| Dot::new(ActorId(1), from + 4 * n));
    let mut joined: Context = every_fourth(1).collect();
    joined.join(&every_fourth(3).collect());
    assert_eq!(joined.run_count(), 600_000);
}

const NOON: WallMs = WallMs(1_700_000_000_000);

fn later(ms: u64) -> WallMs {
    WallMs(NOON.0 + ms)
}

proptest! {
    #[test]
    fn stamps_strictly_increase_whatever_the_wall_clock_and_the_peers_do(
        steps in vec((0..2_000u64, any::<bool>(), 0..5_000u64), 1..60),
    ) {
        let mut clock = Clock::default();
        let mut last = Hlc(0);
        for (wall, observes, remote) in steps {
            let remote = Hlc::from_wall(later(remote));
            if observes {
                clock.observe(later(wall), remote);
            } else {
                let stamp = clock.stamp(later(wall), Hlc(0));
                prop_assert!(stamp > last, "{} after {}", stamp, last);
                prop_assert!(stamp >= Hlc::from_wall(later(wall)), "it keeps up with the wall clock");
                last = stamp;
            }
            let ahead = Hlc::from_wall(later(2_000 + SKEW_MAX_MS));
            prop_assert!(clock.last() <= ahead, "no peer moves it far ahead");
        }
    }

    #[test]
    fn a_stamp_is_above_the_version_it_overwrites(wall in 0..2_000u64, observed in 0..u64::MAX) {
        let mut clock = Clock::default();
        let stamp = clock.stamp(later(wall), Hlc(observed));
        prop_assert!(stamp > Hlc(observed));
    }
}

#[test]
fn a_remote_stamp_moves_the_clock_up_to_the_skew_bound_and_no_further() {
    let mut clock = Clock::default();
    let near = Hlc::from_wall(later(SKEW_MAX_MS));
    assert_eq!(clock.observe(NOON, near), Observed::Followed);
    assert_eq!(clock.last(), near);
    let wild = Hlc::from_wall(later(SKEW_MAX_MS + 1));
    let mut clock = Clock::default();
    assert_eq!(clock.observe(NOON, wild), Observed::TooFarAhead);
    assert_eq!(clock.last(), near);
}

#[test]
fn a_wild_version_is_overwritten_without_moving_the_clock() {
    let mut clock = Clock::default();
    let wild = Hlc::from_wall(later(86_400_000));
    let over = clock.stamp(NOON, wild);
    assert!(over > wild, "it can be overwritten");
    let next = clock.stamp(NOON, Hlc(0));
    assert!(
        next < Hlc::from_wall(later(SKEW_MAX_MS)),
        "and no other write is stamped tomorrow"
    );
}

#[test]
fn a_restart_continues_above_everything_stamped_before() {
    let mut clock = Clock::default();
    let mut bound = None;
    let mut newest = Hlc(0);
    for ms in 0..2_000 {
        newest = clock.stamp(later(ms), Hlc(0));
        bound = clock.reserve(later(ms)).or(bound);
        assert!(
            newest < bound.unwrap(),
            "a stamp is given below the bound in the log"
        );
    }
    let mut restarted = Clock::default();
    restarted.restore(bound.unwrap());
    // The wall clock went back an hour.
    assert!(restarted.stamp(WallMs(NOON.0 - 3_600_000), Hlc(0)) > newest);
}

#[test]
fn reservations_are_few() {
    let mut clock = Clock::default();
    let written = (0..10 * HLC_RESERVE_MS).filter(|ms| {
        clock.stamp(later(*ms), Hlc(0));
        clock.reserve(later(*ms)).is_some()
    });
    assert_eq!(written.count(), 10);
}

#[test]
fn a_wild_stamp_in_the_log_does_not_move_the_clock_after_a_restart() {
    let mut clock = Clock::default();
    clock.restore(Hlc::from_wall(NOON));
    clock.replay(Hlc::from_wall(later(86_400_000)));
    assert_eq!(clock.last(), Hlc::from_wall(NOON));
}
