//! SCAN.

use std::collections::BTreeSet;

use super::*;

fn scan_all(node: &mut Node, count: usize, mut between: impl FnMut(&mut Node)) -> Vec<Key> {
    let mut found = Vec::new();
    let mut from = Some(0);
    while let Some(place) = from {
        let page = node.with(|keys| keys.scan(place, count, ScanFilter::default()));
        found.extend(page.keys);
        from = page.next;
        between(node);
    }
    found
}

type Key = crate::types::Key;

#[test]
fn every_key_that_is_there_throughout_is_returned_once() {
    let mut node = Node::alone();
    for n in 0..500 {
        node.run(&format!("SET stays{n} v"));
        node.run(&format!("SET goes{n} v"));
    }
    let mut n = 0;
    let found = scan_all(&mut node, 7, |node| {
        node.run(&format!("DEL goes{n}"));
        node.run(&format!("SET new{n} v"));
        n += 1;
    });
    let stayed: Vec<&Key> = found
        .iter()
        .filter(|key| key.starts_with(b"stays"))
        .collect();
    assert_eq!(stayed.len(), 500);
    assert_eq!(found.len(), found.iter().collect::<BTreeSet<_>>().len());
}

/// Keys of all forms come, go, change their form and move in the table, which grows and shrinks meanwhile.
#[test]
fn a_walk_names_exactly_the_keys_that_are_held_whatever_became_of_them() {
    let mut node = Node::alone();
    let mut random = Random::of(1);
    let mut below = |limit: usize| random.below(limit);
    for round in 0..6_000 {
        let key = format!("key{}", below(400));
        node.run(&match below(9) {
            0 => format!("DEL {key}"),
            1 => format!("SET {key} v PX 100000"),
            2 => format!("HSET {key} f v"),
            3 => format!("SADD {key} {}", below(50)),
            4 => format!("INCR {key}"),
            5 if round % 500 == 0 => "FLUSHALL".to_owned(),
            _ => format!("SET {key} {}", "v".repeat(below(600))),
        });
        if round % 100 == 0 {
            let replica = node.partition.replica();
            let held: BTreeSet<&[u8]> = replica.keys().map(|(key, _)| key).collect();
            let (mut walked, mut from) = (Vec::new(), Some(0));
            while let Some(cursor) = from {
                let (page, next) = replica.walk(cursor, 1 + below(30));
                walked.extend(page.into_iter().map(|(key, _)| key));
                from = next;
            }
            assert_eq!(walked.len(), held.len(), "each once, round {round}");
            assert_eq!(walked.into_iter().collect::<BTreeSet<_>>(), held);
        }
    }
}

#[test]
fn a_cursor_means_the_same_at_every_member() {
    let mut nodes = [Node::alone(), Node::alone()];
    for n in 0..300 {
        nodes[0].run(&format!("SET k{n} v"));
        nodes[1].run(&format!("SET k{} v", 299 - n));
    }
    nodes[1].run("DEL k5 k6 k7");
    nodes[1].run("MSET k5 v k6 v k7 v");
    let (mut found, mut from) = (BTreeSet::new(), Some(0));
    for turn in 0.. {
        let Some(place) = from else { break };
        let page = nodes[turn % 2].with(|keys| keys.scan(place, 10, ScanFilter::default()));
        found.extend(page.keys);
        from = page.next;
    }
    assert_eq!(found.len(), 300);
}

#[test]
fn a_page_looks_at_as_many_keys_as_asked_for_whatever_passes() {
    let mut node = Node::alone();
    for n in 0..100 {
        node.run(&format!("SET k{n} v"));
    }
    let nothing = ScanFilter {
        pattern: Some(b"nosuch"),
        type_name: None,
    };
    let page = node.with(|keys| keys.scan(0, 10, nothing));
    assert_eq!((page.keys.len(), page.looked_at), (0, 10));
    assert!(page.next.is_some());
}

#[test]
fn pages_are_about_as_long_as_asked_for_and_the_cursor_fits_56_bits() {
    let mut node = Node::alone();
    for n in 0..100 {
        node.run(&format!("SET k{n} v"));
    }
    let page = node.with(|keys| keys.scan(0, 10, ScanFilter::default()));
    assert_eq!(page.keys.len(), 10);
    assert!(page.next.is_some_and(|next| next < 1 << 56));
    let page = node.with(|keys| keys.scan(0, usize::MAX, ScanFilter::default()));
    assert_eq!((page.keys.len(), page.next), (100, None));
}

#[test]
fn filters_leave_keys_out_without_shortening_the_walk() {
    let mut node = Node::alone();
    node.run("MSET a1 v a2 v b1 v");
    node.run("SADD a3 x");
    node.run("SET a4 v PX 1");
    node.pass(1);
    let filter = |pattern: &'static [u8], name: Option<&'static [u8]>| ScanFilter {
        pattern: Some(pattern),
        type_name: name,
    };
    let mut count = |filter| {
        let page = node.with(|keys| keys.scan(0, 100, filter));
        page.keys.len()
    };
    assert_eq!(count(ScanFilter::default()), 4);
    assert_eq!(count(filter(b"a*", None)), 3);
    assert_eq!(count(filter(b"a*", Some(b"STRING"))), 2);
    assert_eq!(count(filter(b"*", Some(b"nosuch"))), 0);
}

#[test]
fn requests_are_parsed_as_redis_does() {
    let parse = |command: &str| {
        let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        ScanRequest::parse(&args).map(|request| (request.cursor, request.count))
    };
    assert_eq!(parse("SCAN 12"), Ok((12, 10)));
    assert_eq!(
        parse("SCAN 18446744073709551615 count 5 match x type set"),
        Ok((u64::MAX, 5))
    );
    for (command, error) in [
        ("SCAN x", "ERR invalid cursor"),
        ("SCAN 18446744073709551616", "ERR invalid cursor"),
        ("SCAN 0 COUNT 0", "ERR syntax error"),
        ("SCAN 0 COUNT -1", "ERR syntax error"),
        (
            "SCAN 0 COUNT x",
            "ERR value is not an integer or out of range",
        ),
        ("SCAN 0 MATCH", "ERR syntax error"),
        ("SCAN 0 what ever", "ERR syntax error"),
    ] {
        assert_eq!(parse(command), Err(Reply::error(error)), "{command}");
    }
}
