//! The table itself.

use std::collections::BTreeSet;

use super::*;

#[test]
fn every_command_is_found_by_its_name_in_any_case_and_nothing_else_is() {
    let mut names = BTreeSet::new();
    for spec in all() {
        assert!(names.insert(spec.name), "{} stands twice", spec.name);
        for name in [
            spec.name.to_ascii_uppercase(),
            spec.name.to_ascii_lowercase(),
        ] {
            assert_eq!(
                lookup(name.as_bytes()).map(|found| found.name),
                Some(spec.name)
            );
        }
    }
    for name in [&b""[..], b"nosuch", b"get ", b"\xff", &[b'x'; 1000]] {
        assert!(lookup(name).is_none());
    }
}

#[test]
fn every_command_is_documented_and_every_writing_one_says_how_it_merges() {
    for spec in all() {
        assert_eq!(spec.name, spec.name.to_ascii_lowercase());
        for text in [spec.summary, spec.complexity, spec.since] {
            assert!(!text.is_empty(), "{}", spec.name);
        }
        assert!(
            !spec.is(Flag::Write) || !spec.merge.is_empty(),
            "{}",
            spec.name
        );
        assert!(
            !(spec.is(Flag::Write) && spec.is(Flag::Readonly)),
            "{}",
            spec.name
        );
        assert!(
            spec.conditional == Conditional::Never || spec.is(Flag::Write),
            "{}",
            spec.name
        );
    }
}

#[test]
fn no_command_panics_on_as_few_arguments_as_its_arity_allows() {
    let mut node = Node::alone();
    for spec in all() {
        let name = spec.name.as_bytes();
        let least = spec.arity.unsigned_abs() as usize;
        for filler in [&b""[..], b"x", b"-1", b"GET", b"EX", b"9223372036854775807"] {
            for extra in 0..4 {
                let mut args = vec![name];
                args.resize(least + extra, filler);
                node.request(&args);
            }
        }
    }
}

#[test]
fn arity_and_unknown_commands_have_redis_texts() {
    Node::alone().check(&[
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("GeT a b", "ERR wrong number of arguments for 'get' command"),
        ("DEL", "ERR wrong number of arguments for 'del' command"),
        (
            "foo",
            "ERR unknown command 'foo', with args beginning with: ",
        ),
        (
            "foo a b",
            "ERR unknown command 'foo', with args beginning with: 'a' 'b' ",
        ),
    ]);
    let long = vec![b'x'; 200];
    let reply = short(&unknown(&[&long, &long, b"z"]));
    let shown = "x".repeat(128);
    let text = format!("ERR unknown command '{shown}', with args beginning with: '{shown}' ");
    assert_eq!(reply, text);
    let reply = short(&unknown(&[b"a\0b", b"c\r\nd\0e"]));
    assert_eq!(
        reply,
        "ERR unknown command 'a', with args beginning with: 'c  d' "
    );
}

#[test]
fn keys_are_where_the_table_says() {
    let keys = |command: &str| {
        let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        keys_of(lookup(args[0]).unwrap(), &args)
    };
    assert_eq!(keys("GET a"), Ok(vec![1]));
    assert_eq!(keys("SET a b c"), Ok(vec![1]));
    assert_eq!(keys("DEL a b c"), Ok(vec![1, 2, 3]));
    assert_eq!(keys("MSET a 1 b 2"), Ok(vec![1, 3]));
    assert!(keys("MSET a 1 b").is_err());
    assert_eq!(keys("LMOVE a b LEFT LEFT"), Ok(vec![1, 2]));
    assert_eq!(keys("LMPOP 2 a b LEFT"), Ok(vec![2, 3]));
    assert_eq!(keys("LMPOP 3 a b"), Ok(vec![]));
    assert_eq!(keys("PING"), Ok(vec![]));
    assert_eq!(keys("DBSIZE"), Ok(vec![]));
}

#[test]
fn only_what_decides_by_what_it_reads_needs_the_home() {
    for (command, home) in [
        ("SET nx v", false),
        ("SET k get", false),
        ("SET k v ex 10", false),
        ("SET k v ex 10 nx", true),
        ("SET k v GET", true),
        ("SETNX k v", true),
        ("INCR k", false),
        ("EXPIRE k 10", false),
        ("EXPIRE k 10 GT", true),
        ("APPEND k v", true),
        ("GET k", false),
    ] {
        let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        assert_eq!(
            needs_home(lookup(args[0]).unwrap(), &args),
            home,
            "{command}"
        );
    }
}

#[test]
fn categories_follow_from_flags_and_family() {
    let categories = |name: &[u8]| {
        lookup(name)
            .unwrap()
            .all_categories()
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        categories(b"get"),
        BTreeSet::from(["fast", "read", "string"])
    );
    assert_eq!(
        categories(b"flushall"),
        BTreeSet::from(["dangerous", "keyspace", "slow", "write"])
    );
    assert_eq!(
        categories(b"debug"),
        BTreeSet::from(["admin", "dangerous", "slow"])
    );
}

#[test]
fn folds_make_one_reply_of_several() {
    let ints = || vec![Reply::Integer(1), Reply::Integer(2)];
    let error = || {
        vec![
            Reply::Integer(1),
            Reply::error("ERR no"),
            Reply::error("ERR other"),
        ]
    };
    assert_eq!(Fold::Sum.fold(ints()), Reply::Integer(3));
    assert_eq!(Fold::Array.fold(ints()), Reply::Array(ints()));
    assert_eq!(
        Fold::Ok.fold(vec![Reply::simple("OK")]),
        Reply::simple("OK")
    );
    let arrays = vec![Reply::Array(ints()), Reply::Array(vec![])];
    assert_eq!(Fold::Concat.fold(arrays), Reply::Array(ints()));
    assert_eq!(
        Fold::First.fold(vec![Reply::Null, Reply::Integer(2)]),
        Reply::Integer(2)
    );
    assert_eq!(Fold::First.fold(vec![]), Reply::Null);
    assert_eq!(Fold::Sum.fold(error()), Reply::error("ERR no"));
}
