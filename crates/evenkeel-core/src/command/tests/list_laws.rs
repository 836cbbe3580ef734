//! Lists against their specification as a function of the history: an element is there while its push is known and
//! no removal of it is, and any two elements stand in the same order wherever and whenever both are seen.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many elements, to the left or right end, by A or B.
    Push(bool, bool, usize),
    /// One element before or behind the one at a place.
    Insert(bool, bool, usize),
    /// Takes one from the left or right end.
    Pop(bool, bool),
    /// Takes the element at a place.
    Remove(bool, usize),
    /// Leaves what is between two places.
    Trim(bool, usize, usize),
    Exchange,
}

/// What a replica knows: pushes and removals of elements, all different.
#[derive(Clone, Default)]
struct Known {
    pushed: BTreeSet<String>,
    removed: BTreeSet<String>,
}

impl Known {
    fn join(&mut self, other: &Self) {
        self.pushed.extend(other.pushed.iter().cloned());
        self.removed.extend(other.removed.iter().cloned());
    }
}

struct History {
    pair: Pair,
    known: [Known; 2],
    /// Each pair of elements ever seen together, in their order.
    order: BTreeSet<(String, String)>,
    names: usize,
}

impl History {
    fn new() -> Self {
        Self {
            pair: Pair::new(),
            known: [Known::default(), Known::default()],
            order: BTreeSet::new(),
            names: 0,
        }
    }

    fn node(&mut self, at_b: bool) -> &mut Node {
        if at_b {
            &mut self.pair.b
        } else {
            &mut self.pair.a
        }
    }

    fn elements(&mut self, at_b: bool) -> Vec<String> {
        let shown = self.node(at_b).run("LRANGE l 0 -1");
        let shown = shown.trim_matches(['[', ']']).split_whitespace();
        shown
            .map(|name| name.trim_matches('\'').to_owned())
            .collect()
    }

    fn name(&mut self, at_b: bool) -> String {
        self.names += 1;
        let name = format!("e{}", self.names);
        self.known[usize::from(at_b)].pushed.insert(name.clone());
        name
    }

    fn run(&mut self, step: Step) {
        let word = |left: bool| if left { "L" } else { "R" };
        match step {
            Step::Push(at_b, left, count) => {
                let names: Vec<String> = (0..count).map(|_| self.name(at_b)).collect();
                let command = format!("{}PUSH l {}", word(left), names.join(" "));
                self.node(at_b).run(&command);
            }
            Step::Insert(at_b, before, place) => {
                let held = self.elements(at_b);
                if let Some(pivot) = held.get(place % held.len().max(1)) {
                    let name = self.name(at_b);
                    let place = if before { "BEFORE" } else { "AFTER" };
                    self.node(at_b)
                        .run(&format!("LINSERT l {place} {pivot} {name}"));
                }
            }
            Step::Pop(at_b, left) => self.remove(at_b, &format!("{}POP l", word(left))),
            Step::Remove(at_b, place) => {
                let held = self.elements(at_b);
                if let Some(name) = held.get(place % held.len().max(1)) {
                    self.remove(at_b, &format!("LREM l 0 {name}"));
                }
            }
            Step::Trim(at_b, start, stop) => self.remove(at_b, &format!("LTRIM l {start} {stop}")),
            Step::Exchange => {
                self.pair.exchange();
                let [a, b] = &mut self.known;
                a.join(b);
                b.join(a);
            }
        }
        self.check();
    }

    fn remove(&mut self, at_b: bool, command: &str) {
        let before = self.elements(at_b);
        self.node(at_b).run(command);
        let after = self.elements(at_b);
        let gone = before.into_iter().filter(|name| !after.contains(name));
        self.known[usize::from(at_b)].removed.extend(gone);
    }

    fn check(&mut self) {
        for at_b in [false, true] {
            let shown = self.elements(at_b);
            let known = &self.known[usize::from(at_b)];
            let wanted: BTreeSet<String> =
                known.pushed.difference(&known.removed).cloned().collect();
            assert_eq!(shown.iter().cloned().collect::<BTreeSet<_>>(), wanted);
            assert_eq!(shown.len(), wanted.len());
            for (at, first) in shown.iter().enumerate() {
                for second in &shown[at + 1..] {
                    let turned = (second.clone(), first.clone());
                    assert!(!self.order.contains(&turned), "{first} and {second} turned");
                    self.order.insert((first.clone(), second.clone()));
                }
            }
            assert_eq!(self.node(at_b).run("LLEN l"), wanted.len().to_string());
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let at = any::<bool>();
    prop_oneof![
        3 => (at, any::<bool>(), 1..4_usize).prop_map(|(at, left, count)| Step::Push(at, left, count)),
        3 => (at, any::<bool>(), 0..20_usize).prop_map(|(at, before, place)| Step::Insert(at, before, place)),
        2 => (at, any::<bool>()).prop_map(|(at, left)| Step::Pop(at, left)),
        1 => (at, 0..20_usize).prop_map(|(at, place)| Step::Remove(at, place)),
        1 => (at, 0..3_usize, 1..9_usize).prop_map(|(at, start, stop)| Step::Trim(at, start, stop)),
        2 => Just(Step::Exchange),
    ]
}

proptest! {
    #[test]
    fn lists_are_what_their_history_says_and_no_two_elements_ever_turn(
        steps in proptest::collection::vec(step(), 1..40)
    ) {
        let mut history = History::new();
        for step in steps {
            history.run(step);
        }
        history.run(Step::Exchange);
    }
}

#[test]
fn that_holds_for_every_short_history_of_two_replicas() {
    let of = |at_b| {
        [
            Step::Push(at_b, true, 2),
            Step::Push(at_b, false, 2),
            Step::Insert(at_b, true, 1),
            Step::Insert(at_b, false, 0),
            Step::Pop(at_b, true),
        ]
    };
    let steps: Vec<Step> = [of(false), of(true)].concat();
    let all = || steps.iter().copied().chain([Step::Exchange]);
    for first in all() {
        for second in all() {
            for third in all() {
                let mut history = History::new();
                history.run(Step::Push(false, false, 2));
                history.run(Step::Exchange);
                for step in [first, second, third, Step::Exchange] {
                    history.run(step);
                }
            }
        }
    }
}
