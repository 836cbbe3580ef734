//! HSCAN and SSCAN.

use std::collections::BTreeSet;

use super::*;

/// The cursor and the elements of one page.
fn page(node: &mut Node, command: &str) -> (u64, Vec<String>) {
    let Reply::Array(parts) = node.request_of(command) else {
        panic!("{command} gives no page");
    };
    let [Reply::Bulk(cursor), Reply::Array(elements)] = &parts[..] else {
        panic!("{command} gives {parts:?}");
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let elements = elements.iter().map(|element| match element {
        Reply::Bulk(bytes) => text(bytes),
        other => panic!("{other:?}"),
    });
    (text(cursor).parse().unwrap(), elements.collect())
}

#[test]
fn a_small_collection_comes_in_one_page() {
    let mut node = Node::alone();
    node.check(&[
        ("SADD s a b c", "3"),
        ("HSET h f 1", "1"),
        ("HINCRBY h n 5", "5"),
        ("HSCAN h 0", "['0' ['f' '1' 'n' '5']]"),
        ("HSCAN h 0 MATCH n* COUNT 1", "['0' ['n' '5']]"),
        ("SSCAN s 0 MATCH [ab]", "['0' ['b' 'a']]"),
        ("SSCAN s 0 MATCH z", "['0' []]"),
        ("SSCAN nosuch 0", "['0' []]"),
        ("SSCAN nosuch 7 COUNT x", "['0' []]"),
    ]);
}

#[test]
fn bad_scans_are_refused() {
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    Node::alone().check(&[
        ("SADD s a", "1"),
        ("SSCAN s x", "ERR invalid cursor"),
        ("SSCAN nosuch x", "ERR invalid cursor"),
        ("HSCAN s 0", wrong),
        ("HSCAN s 0 NOSUCH", wrong),
        ("SSCAN s 0 MATCH", "ERR syntax error"),
        ("SSCAN s 0 COUNT 0", "ERR syntax error"),
        (
            "SSCAN s 0 COUNT x",
            "ERR value is not an integer or out of range",
        ),
        ("SSCAN s 0 TYPE string", "ERR syntax error"),
        (
            "SSCAN s",
            "ERR wrong number of arguments for 'sscan' command",
        ),
    ]);
}

#[test]
fn what_is_there_throughout_is_returned_whatever_comes_and_goes_and_in_few_pages() {
    let mut node = Node::alone();
    for n in 0..1000 {
        node.run(&format!("HSET h stays{n} v{n} goes{n} x"));
    }
    let mut seen = BTreeSet::new();
    let mut cursor = 0;
    let mut pages = 0;
    loop {
        let (next, elements) = page(&mut node, &format!("HSCAN h {cursor} COUNT 5"));
        for pair in elements.chunks(2) {
            if let Some(n) = pair[0].strip_prefix("stays") {
                assert_eq!(pair[1], format!("v{n}"));
                seen.insert(pair[0].clone());
            }
        }
        node.run(&format!("HSET h comes{pages} x"));
        node.run(&format!("HDEL h goes{pages} goes{}", 999 - pages));
        pages += 1;
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
    assert!(pages > 32 && pages <= 70, "{pages} pages");
}

#[test]
fn a_page_is_about_as_long_as_asked_for() {
    let mut node = Node::alone();
    for n in 0..1000 {
        node.run(&format!("SADD s {n}"));
    }
    let (cursor, elements) = page(&mut node, "SSCAN s 0 COUNT 100");
    assert_eq!(elements.len(), 100);
    let (_, more) = page(&mut node, &format!("SSCAN s {cursor} COUNT 100"));
    let all: BTreeSet<&String> = elements.iter().chain(&more).collect();
    assert_eq!(all.len(), 200);
}
