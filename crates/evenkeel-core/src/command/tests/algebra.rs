//! Sets combined with each other.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

fn node() -> Node {
    let mut node = Node::alone();
    for command in [
        "SADD a 1 2 3 4 5",
        "SADD b 2 4 6",
        "SADD c 4 5 6 7 8 9 10",
        "SET string v",
    ] {
        node.run(command);
    }
    node
}

#[test]
fn sets_are_intersected_added_and_subtracted() {
    node().check(&[
        ("SINTER a b", "{'2' '4'}"),
        ("SINTER c a b", "{'4'}"),
        ("SINTER a", "{'1' '2' '3' '4' '5'}"),
        ("SINTER a a", "{'1' '2' '3' '4' '5'}"),
        ("SINTER a nosuch", "{}"),
        ("SUNION b a nosuch", "{'1' '2' '3' '4' '5' '6'}"),
        ("SUNION nosuch", "{}"),
        ("SDIFF a b", "{'1' '3' '5'}"),
        ("SDIFF a b c", "{'1' '3'}"),
        ("SDIFF b a c", "{}"),
        ("SDIFF b c", "{'2'}"),
        ("SDIFF a nosuch", "{'1' '2' '3' '4' '5'}"),
        ("SDIFF nosuch a", "{}"),
        ("SDIFF a a", "{}"),
    ]);
}

#[test]
fn an_intersection_is_counted_up_to_a_limit() {
    let few = "ERR wrong number of arguments for 'sintercard' command";
    node().check(&[
        ("SINTERCARD 2 a c", "2"),
        ("SINTERCARD 2 a c LIMIT 1", "1"),
        ("SINTERCARD 2 a c limit 0", "2"),
        ("SINTERCARD 2 a nosuch", "0"),
        ("SINTERCARD 1", few),
        ("SINTERCARD 0 a", "ERR numkeys should be greater than 0"),
        ("SINTERCARD x a", "ERR numkeys should be greater than 0"),
        (
            "SINTERCARD 3 a c",
            "ERR Number of keys can't be greater than number of args",
        ),
        ("SINTERCARD 1 a c", "ERR syntax error"),
        ("SINTERCARD 1 a LIMIT", "ERR syntax error"),
        ("SINTERCARD 1 a LIMIT -1", "ERR LIMIT can't be negative"),
        ("SINTERCARD 1 a LIMIT x", "ERR LIMIT can't be negative"),
        ("SINTERCARD 1 string", WRONG_TYPE),
    ]);
}

#[test]
fn what_was_found_is_stored_in_place_of_whatever_was_there() {
    node().check(&[
        ("SINTERSTORE d a b", "2"),
        ("SMEMBERS d", "{'2' '4'}"),
        ("EXPIRE d 100", "1"),
        ("SUNIONSTORE d d b", "3"),
        ("SMEMBERS d", "{'2' '4' '6'}"),
        ("TTL d", "-1"),
        ("SDIFFSTORE string a b", "3"),
        ("SMEMBERS string", "{'1' '3' '5'}"),
        ("SINTERSTORE d a nosuch", "0"),
        ("EXISTS d", "0"),
        ("SDIFFSTORE d nosuch", "0"),
    ]);
}

#[test]
fn a_key_of_another_type_is_refused_and_nothing_stored() {
    let mut node = node();
    for command in [
        "SINTER a string",
        "SINTER nosuch string",
        "SUNION a string",
        "SDIFF a string",
        "SDIFF nosuch string",
        "SINTERSTORE b a string",
        "SUNIONSTORE b a string",
        "SDIFFSTORE b nosuch string",
    ] {
        assert_eq!(node.run(command), WRONG_TYPE, "{command}");
    }
    assert_eq!(node.run("SMEMBERS b"), "{'2' '4' '6'}");
}

#[test]
fn a_member_moves_in_one_batch() {
    let mut node = node();
    assert_eq!(node.batches_of("SMOVE a b 1"), 1);
    node.check(&[
        ("SISMEMBER a 1", "0"),
        ("SISMEMBER b 1", "1"),
        ("SMOVE a new 5", "1"),
        ("SMEMBERS new", "{'5'}"),
        ("SMOVE new a 5", "1"),
        ("EXISTS new", "0"),
        ("SMOVE a b 77", "0"),
        ("SMOVE nosuch b 1", "0"),
        ("SMOVE a a 5", "1"),
        ("SMOVE a a 77", "0"),
        ("SMOVE a string 5", WRONG_TYPE),
        ("SMOVE a string 77", WRONG_TYPE),
        ("SMOVE nosuch string 1", "0"),
        ("SMOVE string a 1", WRONG_TYPE),
        ("SCARD a", "4"),
    ]);
}

#[test]
fn an_intersection_with_a_huge_set_asks_it_only_about_the_members_of_the_small_one() {
    let Run::Rounds(step) = lookup(b"sinter").unwrap().run else {
        panic!("SINTER is not run in rounds");
    };
    let cards = vec![Reply::Integer(1_000_000), Reply::Integer(2)];
    let mut answers = vec![cards];
    let asked = |answers: &[Vec<Reply>]| match step(&[b"SINTER", b"huge", b"small"], answers) {
        Round::Calls(calls) => {
            let words = calls.iter().map(|call| call.join(&b' '));
            words.map(|call| String::from_utf8(call).unwrap()).collect()
        }
        Round::Done(reply) => vec![short(&reply)],
    };
    assert_eq!(asked(&answers), ["SMEMBERS small"]);
    answers.push(vec![Reply::Set(vec![Reply::bulk("x"), Reply::bulk("y")])]);
    assert_eq!(asked(&answers), ["SMISMEMBER huge x y"]);
    answers.push(vec![Reply::Array(vec![
        Reply::Integer(0),
        Reply::Integer(1),
    ])]);
    assert_eq!(asked(&answers), ["{'y'}"]);
}

#[test]
fn an_error_of_any_call_is_the_reply() {
    let Run::Rounds(step) = lookup(b"sinterstore").unwrap().run else {
        panic!("SINTERSTORE is not run in rounds");
    };
    let args: [&[u8]; 3] = [b"SINTERSTORE", b"d", b"a"];
    let error = Reply::error("NOHOME no member");
    let card = vec![Reply::Integer(1)];
    let members = vec![Reply::Set(vec![Reply::bulk("x")])];
    for answers in [
        vec![vec![error.clone()]],
        vec![card.clone(), vec![error.clone()]],
        vec![card, members, vec![error.clone()]],
    ] {
        assert_eq!(step(&args, &answers), Round::Done(error.clone()));
    }
}

#[test]
fn a_member_moved_to_two_sets_at_once_is_in_both() {
    let mut pair = Pair::after(&["SADD from m"]);
    pair.a.run("SMOVE from x m");
    pair.b.run("SMOVE from y m");
    pair.agree(&[
        ("EXISTS from", "0"),
        ("SMEMBERS x", "{'m'}"),
        ("SMEMBERS y", "{'m'}"),
    ]);
}

fn sets() -> impl Strategy<Value = Vec<BTreeSet<u8>>> {
    proptest::collection::vec(proptest::collection::btree_set(0..12_u8, 0..12), 1..5)
}

proptest! {
    #[test]
    fn the_results_are_those_of_sets(sets in sets()) {
        let mut node = Node::alone();
        let mut keys = String::new();
        for (at, set) in sets.iter().enumerate() {
            keys.push_str(&format!(" k{at}"));
            for member in set {
                node.run(&format!("SADD k{at} {member}"));
            }
        }
        let first = sets[0].clone();
        let rest = || sets[1..].iter();
        let inter = rest().fold(first.clone(), |all, set| &all & set);
        let union = rest().fold(first.clone(), |all, set| &all | set);
        let difference = rest().fold(first, |all, set| &all - set);
        for (name, wanted) in [("SINTER", inter), ("SUNION", union), ("SDIFF", difference)] {
            let Reply::Set(found) = node.request_of(&format!("{name}{keys}")) else {
                panic!("{name} gives no set");
            };
            let texts = found.iter().map(|member| match member {
                Reply::Bulk(bytes) => std::str::from_utf8(bytes).unwrap().parse().unwrap(),
                other => panic!("{other:?}"),
            });
            let found: Vec<u8> = texts.collect();
            prop_assert_eq!(found.len(), wanted.len());
            prop_assert_eq!(found.into_iter().collect::<BTreeSet<u8>>(), wanted);
        }
    }
}
