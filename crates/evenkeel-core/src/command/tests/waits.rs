//! What blocking commands rest on: which changes of awaited keys are told, and what the commands do where nothing may
//! block.

use super::*;

fn told(node: &mut Node) -> Vec<String> {
    let changed = std::mem::take(&mut node.changed);
    let names = changed.iter().map(|key| key.escape_ascii().to_string());
    names.collect()
}

#[test]
fn changes_of_awaited_keys_are_told_while_they_are_awaited_and_not_empty() {
    let mut node = Node::alone();
    node.run("RPUSH l a");
    assert!(told(&mut node).is_empty());
    node.partition.await_key(b"l");
    node.partition.await_key(b"l");
    node.run("RPUSH l b");
    node.run("RPUSH other b");
    assert_eq!(told(&mut node), ["l"]);
    node.run("LPOP l 2");
    assert!(told(&mut node).is_empty());
    node.run("ZADD l 1 m");
    assert_eq!(told(&mut node), ["l"]);
    node.partition.forget_key(b"l");
    node.run("ZADD l 2 m");
    assert_eq!(told(&mut node), ["l"]);
    node.partition.forget_key(b"l");
    node.run("ZADD l 3 m");
    assert!(told(&mut node).is_empty());
}

#[test]
fn what_other_members_send_is_told_too_whether_as_events_or_as_cells() {
    let mut pair = Pair::new();
    pair.b.partition.await_key(b"l");
    pair.a.run("RPUSH l a");
    assert!(told(&mut pair.b).is_empty());
    pair.exchange();
    assert_eq!(told(&mut pair.b), ["l"]);
    pair.a.run("RPUSH l b");
    pair.a.outbox.clear();
    pair.pass(2_000);
    for _ in 0..3 {
        pair.a.handle(Input::Tick);
        pair.b.handle(Input::Tick);
        pair.pass(2_000);
        let to_b = std::mem::take(&mut pair.a.outbox);
        for (_, frame) in to_b {
            pair.b.handle(Input::Frame {
                from: NodeId(0),
                frame,
            });
        }
        let to_a = std::mem::take(&mut pair.b.outbox);
        for (_, frame) in to_a {
            pair.a.handle(Input::Frame {
                from: NodeId(1),
                frame,
            });
        }
    }
    assert_eq!(pair.b.run("LRANGE l 0 -1"), "['a' 'b']");
    assert_eq!(told(&mut pair.b), ["l"]);
}

#[test]
fn where_nothing_may_block_they_do_what_the_others_do_or_answer_null() {
    let mut node = Node::alone();
    node.run("RPUSH l a b c d e f");
    node.check(&[
        ("BLPOP nosuch l 0", "['l' 'a']"),
        ("BRPOP l 0", "['l' 'f']"),
        ("BLMOVE l m LEFT RIGHT 0", "'b'"),
        ("BRPOPLPUSH l m 0", "'e'"),
        ("LRANGE m 0 -1", "['e' 'b']"),
        ("BLMPOP 0 2 nosuch l LEFT COUNT 9", "['l' ['c' 'd']]"),
        ("BLPOP l 0", "NullArray"),
        ("BLMOVE l m LEFT RIGHT 0", "nil"),
        ("BRPOPLPUSH l m 0", "nil"),
        ("BLMPOP 0 1 l LEFT", "NullArray"),
        ("BLPOP l -1", "ERR timeout is negative"),
        (
            "BLMOVE l m LEFT RIGHT x",
            "ERR timeout is not a float or out of range",
        ),
        ("BLMOVE l m LEFT x 1", "ERR syntax error"),
        ("BLMPOP x 0 l LEFT", "ERR numkeys should be greater than 0"),
        (
            "BLMPOP x 1 l LEFT",
            "ERR timeout is not a float or out of range",
        ),
    ]);
}

#[test]
fn the_same_holds_for_sorted_sets() {
    let mut node = Node::alone();
    node.run("ZADD z 1 a 2.5 b 3 c inf d");
    node.run("SET s v");
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    let popped = [
        ("BZPOPMIN nosuch z 0", &[&b"z"[..], b"a"][..]),
        ("BZPOPMAX z 0", &[b"z", b"d"]),
    ];
    for (command, shown) in popped {
        let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        let Reply::Array(parts) = node.request(&args) else {
            panic!("{command} gives an array");
        };
        let texts: Vec<Reply> = shown
            .iter()
            .map(|text| Reply::bulk(text.to_vec()))
            .collect();
        assert_eq!(parts[..2], texts);
    }
    assert_eq!(node.run("ZCARD z"), "2");
    node.check(&[
        ("BZPOPMIN s z 0", wrong),
        ("BZPOPMIN z x", "ERR timeout is not a float or out of range"),
        ("BZMPOP 0 0 z MIN", "ERR numkeys should be greater than 0"),
        ("BZMPOP 0 1 z UP", "ERR syntax error"),
        ("BZMPOP -1 1 z MIN", "ERR timeout is negative"),
        ("BZMPOP 0 1 nosuch MIN", "NullArray"),
        ("BZPOPMAX nosuch 0", "NullArray"),
    ]);
    node.run("BZMPOP 0 2 nosuch z MAX COUNT 9");
    assert_eq!(node.run("EXISTS z"), "0");
}

#[test]
fn members_that_were_taken_can_be_put_back_with_their_scores() {
    for command in [
        "BZPOPMIN nosuch z 0",
        "BZPOPMAX z 0",
        "BZMPOP 0 2 nosuch z MIN COUNT 3",
    ] {
        let mut node = Node::alone();
        node.run("ZADD z 1 a 0.1 b -inf c 3e100 d");
        let before = node.run("ZRANGE z 0 -1 WITHSCORES");
        let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        let reply = node.request(&args);
        let Run::Blocking(blocking) = lookup(args[0]).unwrap().run else {
            panic!("{command} waits");
        };
        let undo = (blocking.undo)(&args, &reply).unwrap();
        let undo: Vec<&[u8]> = undo.iter().map(|word| &word[..]).collect();
        node.request(&undo);
        assert_eq!(node.run("ZRANGE z 0 -1 WITHSCORES"), before, "{command}");
    }
}

#[test]
fn what_was_taken_can_be_put_back_where_it_was() {
    for command in [
        "BLPOP nosuch l 0",
        "BRPOP l 0",
        "BLMPOP 0 1 l LEFT COUNT 3",
        "BLMPOP 0 2 nosuch l RIGHT COUNT 2",
        "BLMPOP 0 1 l RIGHT COUNT 9",
    ] {
        let mut node = Node::alone();
        node.run("RPUSH l a b c d");
        let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        let reply = node.request(&args);
        let Run::Blocking(blocking) = lookup(args[0]).unwrap().run else {
            panic!("{command} waits");
        };
        let undo = (blocking.undo)(&args, &reply).unwrap();
        let undo: Vec<&[u8]> = undo.iter().map(|word| &word[..]).collect();
        node.request(&undo);
        assert_eq!(node.run("LRANGE l 0 -1"), "['a' 'b' 'c' 'd']", "{command}");
    }
}
