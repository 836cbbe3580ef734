//! What EK.INSPECT is told.

use super::*;
use crate::types::{Deadline, Kind};

#[test]
fn an_inspection_shows_siblings_and_why_one_of_them_wins() {
    let mut pair = Pair::new();
    pair.a.run("SET k old");
    pair.b.pass(5);
    pair.b.run("SET k new");
    pair.exchange();
    let seen = pair.a.with(|keys| keys.inspect(b"k", None));
    assert_eq!(seen, pair.b.with(|keys| keys.inspect(b"k", None)));
    assert_eq!(seen.type_name, Some("string"));
    let [cell] = &seen.cells[..] else {
        panic!("{seen:?}");
    };
    assert_eq!(cell.versions.len(), 2);
    assert_eq!(cell.why, Why::NewestStamp);
    assert_eq!(cell.shown.as_deref(), Some(&b"new"[..]));
    let winner = cell
        .versions
        .iter()
        .find(|version| Some(version.dot) == cell.winner);
    assert_eq!(winner.map(|version| &*version.value), Some(&b"new"[..]));
}

#[test]
fn an_inspection_shows_chains_deadlines_and_what_is_hidden() {
    let mut node = Node::alone();
    node.run("SET k 5 PX 100");
    node.run("INCRBY k 2");
    let seen = node.with(|keys| keys.inspect(b"k", None));
    assert_eq!(seen.deadline, Deadline(START_MS + 100));
    let kinds: Vec<Kind> = seen.cells.iter().map(|cell| cell.kind).collect();
    assert_eq!(kinds, [Kind::Deadline, Kind::String]);
    assert_eq!(seen.cells[1].shown.as_deref(), Some(&b"7"[..]));
    assert_eq!(seen.cells[1].chains.len(), 1);
    assert_eq!(seen.cells[1].why, Why::Only);
    node.pass(100);
    let seen = node.with(|keys| keys.inspect(b"k", None));
    assert_eq!((seen.type_name, seen.expired), (None, true));
    assert_eq!(seen.cells[1].why, Why::Hidden);
    assert_eq!(seen.cells[1].shown, None);
}

#[test]
fn an_inspection_of_a_field_leaves_the_others_out_and_a_large_one_is_cut() {
    let mut node = Node::alone();
    for n in 0..100 {
        node.run(&format!("HSET h f{n} {n}"));
    }
    let seen = node.with(|keys| keys.inspect(b"h", Some(b"f7")));
    assert_eq!((seen.cells.len(), seen.left_out), (1, 0));
    assert_eq!(seen.cells[0].shown.as_deref(), Some(&b"7"[..]));
    let seen = node.with(|keys| keys.inspect(b"h", None));
    assert_eq!(seen.cells.len() + seen.left_out, 100);
    assert!(seen.left_out > 0);
    let seen = node.with(|keys| keys.inspect(b"nosuch", None));
    assert_eq!((seen.type_name, seen.cells.len()), (None, 0));
}
