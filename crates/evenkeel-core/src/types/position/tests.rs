//! What must hold of positions, whoever draws them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

/// An actor as they are drawn: all eight bytes in use.
fn actor(number: u64) -> ActorId {
    ActorId((number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn sources(count: u64) -> Vec<Positions> {
    (0..count)
        .map(|number| Positions::new(actor(number), 1))
        .collect()
}

#[test]
fn codes_sort_as_their_numbers_and_read_back() {
    let mut numbers: Vec<u64> = (0..64).flat_map(|bit| [1 << bit, (1 << bit) - 1]).collect();
    numbers.extend([u64::MAX, 3, 100, 1000]);
    numbers.sort_unstable();
    numbers.dedup();
    for falls in [false, true] {
        let codes = numbers.iter().map(|number| {
            let mut out = Vec::new();
            put_number(&mut out, *number, falls);
            assert_eq!(read_number(&out, falls), Some((*number, out.len())));
            out
        });
        let mut codes: Vec<_> = codes.collect();
        if falls {
            codes.reverse();
        }
        assert!(codes.is_sorted());
    }
    let ranks = (0..48).flat_map(|bit| [1 << bit, (1_i64 << bit) - 1]);
    let mut ranks: Vec<i64> = ranks.flat_map(|rank| [rank, -rank, -1 - rank]).collect();
    ranks.retain(|rank| rank.abs() <= RANK_MAX);
    ranks.sort_unstable();
    ranks.dedup();
    let codes = ranks.iter().map(|rank| {
        let mut out = Vec::new();
        put_rank(&mut out, *rank);
        assert_eq!(read_rank(&out), Some((*rank, out.len())));
        out
    });
    assert!(codes.is_sorted());
}

#[test]
fn positions_stay_short_over_a_million_turns_of_three_writers_at_a_queue() {
    // Ranks above 2^14 and numbers above 2^19 are as long as those of the millionth turn.
    let mut writers: Vec<Positions> = (0..3)
        .map(|number| Positions::new(actor(number), 950_000))
        .collect();
    let mut queue: VecDeque<Field> = VecDeque::new();
    let mut longest = 0;
    for n in 0..100_000_usize {
        let last = queue.back().map(|last| &**last);
        let position = writers[n % 3].behind(last);
        assert!(last.is_none_or(|last| *last < *position));
        longest = longest.max(position.len());
        queue.push_back(position);
        if queue.len() > 100 {
            queue.pop_front();
        }
    }
    assert!(longest <= 16, "{longest} bytes");
}

#[test]
fn the_millionth_push_of_one_writer_to_either_end_has_a_short_position() {
    for at_right in [true, false] {
        let mut writer = Positions::new(actor(7), 950_000);
        let mut end: Option<Field> = None;
        for _ in 0..100_000 {
            let held = end.as_deref();
            let position = if at_right {
                writer.behind(held)
            } else {
                writer.before(held)
            };
            assert!(position.len() <= 13, "{} bytes", position.len());
            assert!(held.is_none_or(|held| (*held < *position) == at_right));
            end = Some(position);
        }
    }
}

#[test]
fn a_list_that_turns_round_keeps_its_positions_short() {
    let mut writers = sources(2);
    let mut list: VecDeque<Field> = VecDeque::new();
    for n in 0..10 {
        let position = writers[n % 2].behind(list.back().map(|last| &**last));
        list.push_back(position);
    }
    for n in 0..50_000 {
        list.pop_back();
        let position = writers[n % 2].before(list.front().map(|first| &**first));
        assert!(position.len() <= 16);
        assert!(position < list[0]);
        list.push_front(position);
    }
}

#[test]
fn inserting_at_one_place_over_and_over_grows_a_position_by_two_steps_at_most() {
    let mut writer = Positions::new(actor(1), 1);
    let left = writer.between(None, None);
    let right = writer.between(Some(&left), None);
    let (mut before, mut after) = (right.clone(), left.clone());
    for _ in 0..10_000 {
        after = writer.between(Some(&after), Some(&right));
        assert!(after.len() <= 40);
    }
    for _ in 0..10_000 {
        before = writer.between(Some(&left), Some(&before));
        assert!(before.len() <= 40);
    }
}

#[test]
fn bytes_that_are_no_position_are_lived_with() {
    let mut writer = Positions::new(actor(1), 1);
    let good = writer.between(None, None);
    for bad in [&b""[..], b"x", b"\xff\xff\xff", &[0; 40], &good[..5]] {
        writer.between(Some(bad), None);
        writer.between(None, Some(bad));
        writer.between(Some(bad), Some(&[bad, &good].concat()));
        writer.between(Some(bad), Some(&[bad, b"z"].concat()));
    }
}

/// One replica of a list: what it has seen, and what of that is left.
#[derive(Clone, Default)]
struct List {
    seen: BTreeSet<Field>,
    left: BTreeSet<Field>,
}

#[derive(Clone, Debug)]
enum Step {
    /// So many elements, at the right or left end, as one batch.
    Push(usize, usize, bool),
    /// One element, somewhere.
    Insert(usize, prop::sample::Index),
    /// Takes one away.
    Remove(usize, prop::sample::Index),
    /// The first hears all that the second knows.
    Hear(usize, usize),
}

const REPLICAS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let who = 0..REPLICAS;
    prop_oneof![
        4 => (who.clone(), 1..4_usize, any::<bool>()).prop_map(|(who, count, right)| Step::Push(who, count, right)),
        4 => (who.clone(), any::<prop::sample::Index>()).prop_map(|(who, at)| Step::Insert(who, at)),
        2 => (who.clone(), any::<prop::sample::Index>()).prop_map(|(who, at)| Step::Remove(who, at)),
        2 => (who.clone(), who).prop_map(|(who, other)| Step::Hear(who, other)),
    ]
}

/// Everything drawn so far: with each position its batch and what its writer had seen.
#[derive(Default)]
struct History {
    batches: BTreeMap<Field, usize>,
    seen: Vec<BTreeSet<Field>>,
}

impl History {
    fn add(&mut self, list: &mut List, batch: &[Field]) {
        for position in batch {
            let new = self.batches.insert(position.clone(), self.seen.len());
            assert_eq!(new, None, "drawn twice");
            list.left.insert(position.clone());
        }
        self.seen.push(list.seen.clone());
        list.seen.extend(batch.iter().cloned());
    }

    /// Between the elements of a batch stands nothing whose writer had not seen the batch.
    fn check_batches(&self) {
        for batch in 0..self.seen.len() {
            let of: Vec<&Field> = self
                .batches
                .iter()
                .filter(|(_, number)| **number == batch)
                .map(|(position, _)| position)
                .collect();
            let (first, last) = (of[0], of[of.len() - 1]);
            for (position, by) in self.batches.range(first.clone()..last.clone()) {
                assert!(
                    *by == batch || self.seen[*by].contains(first),
                    "{position:?} stands inside a batch that its writer had not seen"
                );
            }
        }
    }
}

fn neighbours(list: &List, at: usize) -> (Option<&[u8]>, Option<&[u8]>) {
    let mut all = list.left.iter();
    let left = at.checked_sub(1).and_then(|at| all.nth(at));
    (left.map(|left| &**left), all.next().map(|right| &**right))
}

proptest! {
    #[test]
    fn new_positions_lie_between_their_neighbours_and_batches_are_not_interleaved(
        steps in proptest::collection::vec(step(), 1..80)
    ) {
        let mut writers = sources(REPLICAS as u64);
        let mut lists = vec![List::default(); REPLICAS];
        let mut history = History::default();
        for step in steps {
            match step {
                Step::Push(who, count, at_right) => {
                    let mut batch: Vec<Field> = Vec::new();
                    for _ in 0..count {
                        let held = lists[who].left.last().map(|last| &**last);
                        let first = lists[who].left.first().map(|first| &**first);
                        let newest = batch.last().map(|newest| &**newest);
                        let position = if at_right {
                            writers[who].behind(newest.or(held))
                        } else {
                            writers[who].before(newest.or(first))
                        };
                        if at_right {
                            prop_assert!(newest.or(held).is_none_or(|held| *held < *position));
                        } else {
                            prop_assert!(newest.or(first).is_none_or(|first| *position < *first));
                        }
                        batch.push(position);
                    }
                    history.add(&mut lists[who], &batch);
                }
                Step::Insert(who, at) => {
                    let at = at.index(lists[who].left.len() + 1);
                    let (left, right) = neighbours(&lists[who], at);
                    let position = writers[who].between(left, right);
                    prop_assert!(left.is_none_or(|left| *left < *position));
                    prop_assert!(right.is_none_or(|right| *position < *right));
                    history.add(&mut lists[who], &[position]);
                }
                Step::Remove(who, at) => {
                    let length = lists[who].left.len();
                    if length > 0 {
                        let gone = lists[who].left.iter().nth(at.index(length)).cloned();
                        lists[who].left.remove(&gone.unwrap());
                    }
                }
                Step::Hear(who, other) => {
                    let heard = lists[other].clone();
                    let list = &mut lists[who];
                    let added = heard.left.difference(&list.seen).cloned().collect::<Vec<_>>();
                    let gone = |position: &Field| {
                        heard.seen.contains(position) && !heard.left.contains(position)
                    };
                    list.left.retain(|position| !gone(position));
                    list.left.extend(added);
                    list.seen.extend(heard.seen);
                }
            }
        }
        history.check_batches();
    }
}
