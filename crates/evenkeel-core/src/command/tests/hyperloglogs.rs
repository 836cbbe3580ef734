//! HyperLogLogs: as Redis shows them, and merged.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::strings::WRONG_TYPE;
use super::*;

const NO_SKETCH: &str = "WRONGTYPE Key is not a valid HyperLogLog string value.";

#[test]
fn elements_are_counted_once_and_only_news_are_written() {
    let mut node = Node::alone();
    node.check(&[
        ("PFCOUNT h", "0"),
        ("PFADD h", "1"),
        ("PFADD h", "0"),
        ("PFCOUNT h", "0"),
        ("PFADD h a b c", "1"),
        ("PFADD h a b c", "0"),
        ("PFADD h ''", "1"),
        ("PFCOUNT h", "4"),
        ("TYPE h", "+string"),
        ("PFADD g c d", "1"),
        ("PFCOUNT h g nosuch", "5"),
        ("PFMERGE m h g nosuch", "+OK"),
        ("PFCOUNT m", "5"),
        ("PFMERGE m", "+OK"),
        ("PFMERGE made", "+OK"),
        ("EXISTS made", "1"),
    ]);
    assert_eq!(node.batches_of("PFADD h a"), 0);
    assert_eq!(node.batches_of("PFMERGE m h"), 0);
    assert_eq!(node.batches_of("PFADD h new"), 1);
}

#[test]
fn a_sketch_is_a_string_in_the_form_of_redis_and_such_a_string_is_a_sketch() {
    let mut node = Node::alone();
    node.run("PFADD h a b c");
    let Reply::Bulk(text) = node.request(&[b"GET", b"h"]) else {
        panic!("a sketch is a string");
    };
    assert!(text.starts_with(b"HYLL\x01"));
    assert_eq!(node.run("STRLEN h"), text.len().to_string());
    assert_eq!(short(&node.request(&[b"SET", b"s", &text])), "+OK");
    node.check(&[
        ("PFCOUNT s", "3"),
        ("EXPIRE s 100", "1"),
        ("PFADD s c d", "1"),
        ("PFCOUNT s", "4"),
        ("TTL s", "100"),
        ("RENAME s t", "+OK"),
        ("PFCOUNT t", "4"),
        ("TTL t", "100"),
        ("GETRANGE h 0 3", "'HYLL'"),
        ("APPEND h hello", &(text.len() + 5).to_string()),
        ("PFCOUNT h", "INVALIDOBJ Corrupted HLL object detected"),
        ("PFADD h x", "INVALIDOBJ Corrupted HLL object detected"),
        ("SETRANGE h 0 0123", &(text.len() + 5).to_string()),
        ("PFCOUNT h", NO_SKETCH),
    ]);
}

#[test]
fn what_is_no_sketch_is_refused_and_a_sketch_is_no_number() {
    let mut node = Node::alone();
    node.run("SET s bar");
    node.run("SADD l a");
    node.run("PFADD h a");
    node.check(&[
        ("PFADD s 1", NO_SKETCH),
        ("PFCOUNT s", NO_SKETCH),
        ("PFCOUNT h s", NO_SKETCH),
        ("PFMERGE h s", NO_SKETCH),
        ("PFMERGE s h", NO_SKETCH),
        ("PFADD l 1", WRONG_TYPE),
        ("PFCOUNT h l", WRONG_TYPE),
        ("SADD h a", WRONG_TYPE),
        ("INCR h", "ERR value is not an integer or out of range"),
        ("INCRBYFLOAT h 1", "ERR value is not a valid float"),
        ("PFCOUNT h", "1"),
        ("SET h v", "+OK"),
        ("GET h", "'v'"),
    ]);
}

#[test]
fn the_inside_of_a_sketch_is_shown() {
    let mut node = Node::alone();
    node.run("PFADD h a b c");
    node.check(&[
        ("PFDEBUG ENCODING h", "+sparse"),
        (
            "PFDEBUG DECODE h",
            "'Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603'",
        ),
        ("PFDEBUG TODENSE h", "1"),
        ("PFDEBUG TODENSE h", "0"),
        ("PFDEBUG ENCODING h", "+dense"),
        ("PFDEBUG DECODE h", "ERR HLL encoding is not sparse"),
        ("PFADD h d", "1"),
        ("PFDEBUG ENCODING h", "+dense"),
        ("PFCOUNT h", "4"),
        ("STRLEN h", "12304"),
        ("PFDEBUG WHAT h", "ERR Unknown PFDEBUG subcommand 'WHAT'"),
        (
            "PFDEBUG ENCODING nosuch",
            "ERR The specified key does not exist",
        ),
    ]);
    match node.request(&[b"PFDEBUG", b"GETREG", b"h"]) {
        Reply::Array(registers) => assert_eq!(registers.len(), 16_384),
        other => panic!("{other:?}"),
    }
}

#[test]
fn concurrent_additions_are_all_counted() {
    let mut pair = Pair::after(&["PFADD h a b"]);
    pair.a.run("PFADD h c");
    pair.b.run("PFADD h d");
    pair.agree(&[("PFCOUNT h", "4"), ("PFADD h a b c d", "0")]);
    let shown = pair.a.request(&[b"GET", b"h"]);
    assert_eq!(pair.b.request(&[b"GET", b"h"]), shown);
}

#[test]
fn an_addition_survives_a_removal_that_had_not_seen_it() {
    let mut pair = Pair::after(&["PFADD h a b"]);
    pair.a.run("DEL h");
    pair.b.run("PFADD h c");
    // The sketch of B, which holds what B itself has added.
    pair.agree(&[("PFCOUNT h", "1")]);
    let mut pair = Pair::after(&["PFADD h a b"]);
    pair.b.run("DEL h");
    pair.a.run("PFADD h c");
    // The sketch of A survives whole.
    pair.agree(&[("PFCOUNT h", "3")]);
    pair.b.run("DEL h");
    pair.agree(&[("EXISTS h", "0"), ("DBSIZE", "0")]);
}

#[test]
fn a_string_and_a_concurrent_addition_show_the_newest_type() {
    let mut pair = Pair::after(&["PFADD h a"]);
    pair.a.run("SET h text");
    pair.b.pass(1);
    pair.b.run("PFADD h b");
    pair.agree(&[("PFCOUNT h", "1"), ("TYPE h", "+string")]);
    pair.a.run("PFADD h c");
    pair.agree(&[("PFCOUNT h", "2")]);
    assert_eq!(pair.b.partition.replica().cells().count(), 2);
}

#[derive(Clone, Debug)]
enum Step {
    Add(usize, Vec<u8>),
    Remove(usize),
    Exchange,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2_usize, proptest::collection::vec(0..30_u8, 1..4))
            .prop_map(|(node, elements)| Step::Add(node, elements)),
        1 => (0..2_usize).prop_map(Step::Remove),
        2 => Just(Step::Exchange),
    ]
}

/// What happened, as told by the rules: each actor's sketch is replaced by its own next one and removed by whoever saw
/// it. Elements stand for themselves: thirty of them fall into different registers.
#[derive(Default)]
struct History {
    /// By number: who wrote it, and what its sketch holds.
    sketches: BTreeMap<usize, (usize, BTreeSet<u8>)>,
    /// Per node: what it has heard of, and what it has heard to be gone.
    heard: [BTreeSet<usize>; 2],
    gone: [BTreeSet<usize>; 2],
}

impl History {
    fn live(&self, node: usize) -> impl Iterator<Item = (usize, usize, &BTreeSet<u8>)> {
        let live = self.heard[node].difference(&self.gone[node]);
        live.map(|number| {
            let (actor, elements) = &self.sketches[number];
            (*number, *actor, elements)
        })
    }

    fn shown(&self, node: usize) -> BTreeSet<u8> {
        let live = self.live(node);
        live.flat_map(|(_, _, elements)| elements)
            .copied()
            .collect()
    }

    fn add(&mut self, node: usize, elements: &[u8]) {
        let shown = self.shown(node);
        let news: Vec<u8> = elements
            .iter()
            .filter(|e| !shown.contains(e))
            .copied()
            .collect();
        if news.is_empty() {
            return;
        }
        let before = self.live(node).find(|(_, actor, _)| *actor == node);
        let (before, mut own) = before.map_or((None, BTreeSet::new()), |(number, _, own)| {
            (Some(number), own.clone())
        });
        own.extend(news);
        let number = self.sketches.len();
        self.sketches.insert(number, (node, own));
        self.heard[node].insert(number);
        self.gone[node].extend(before);
    }

    fn remove(&mut self, node: usize) {
        let seen: Vec<usize> = self.live(node).map(|(number, ..)| number).collect();
        self.gone[node].extend(seen);
    }

    fn exchange(&mut self) {
        for sets in [&mut self.heard, &mut self.gone] {
            let all: BTreeSet<usize> = sets[0].union(&sets[1]).copied().collect();
            *sets = [all.clone(), all];
        }
    }
}

proptest! {
    // A sketch takes a while without optimisation.
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_is_counted_is_what_the_history_says(
        steps in proptest::collection::vec(step(), 1..24)
    ) {
        let mut pair = Pair::new();
        let mut history = History::default();
        for step in steps {
            match &step {
                Step::Add(node, elements) => {
                    let words: Vec<String> = elements.iter().map(|e| format!("e{e}")).collect();
                    let on = if *node == 0 { &mut pair.a } else { &mut pair.b };
                    on.run(&format!("PFADD h {}", words.join(" ")));
                    history.add(*node, elements);
                }
                Step::Remove(node) => {
                    let on = if *node == 0 { &mut pair.a } else { &mut pair.b };
                    on.run("DEL h");
                    history.remove(*node);
                }
                Step::Exchange => {
                    pair.exchange();
                    history.exchange();
                }
            }
            for (node, on) in [&mut pair.a, &mut pair.b].into_iter().enumerate() {
                let shown = history.shown(node);
                prop_assert_eq!(on.run("PFCOUNT h"), shown.len().to_string());
                let words: Vec<String> = shown.iter().map(|e| format!(" e{e}")).collect();
                if on.run("EXISTS h") == "1" {
                    prop_assert_eq!(on.run(&format!("PFADD h{}", words.concat())), "0");
                }
            }
        }
    }
}
