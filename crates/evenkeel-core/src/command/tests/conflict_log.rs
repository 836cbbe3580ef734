//! What a replica notices when concurrent writes meet, and what it tells of them.

use super::*;
use crate::limits::{CONFLICT_VALUE_BYTES_MAX, CONFLICTS_PER_INPUT_MAX};
use crate::observation::Rival;
use crate::types::Deadline;

/// The conflicts noticed since the last call, in words.
fn noticed(node: &mut Node) -> Vec<String> {
    let side = |rival: &Rival| {
        let value = rival.value.escape_ascii();
        match &*rival.field {
            b"" => value.to_string(),
            field => format!("{}={value}", field.escape_ascii()),
        }
    };
    let conflicts = node.conflicts.drain(..);
    let told = conflicts.map(|conflict| {
        let (winner, loser) = (side(&conflict.winner), side(&conflict.loser));
        let key = conflict.key.escape_ascii();
        format!("{} {key}: {winner} over {loser}", conflict.met.as_str())
    });
    told.collect()
}

/// Both replicas notice this, each from its own side, and nothing else.
fn both_notice(pair: &mut Pair, expected: &[&str]) {
    pair.exchange();
    assert_eq!(noticed(&mut pair.a), expected, "on A");
    assert_eq!(noticed(&mut pair.b), expected, "on B");
}

#[test]
fn values_written_at_once_are_noticed_with_the_one_that_is_not_shown() {
    let mut pair = Pair::new();
    pair.a.run("SET k a");
    pair.a.run("HSET h f a g same");
    pair.b.pass(1);
    pair.b.run("SET k b");
    pair.b.run("HSET h f b g same");
    both_notice(&mut pair, &["value k: b over a", "value h: f=b over f=a"]);
    pair.b.run("SET k c");
    both_notice(&mut pair, &[]);
}

#[test]
fn what_follows_on_what_it_saw_is_no_conflict() {
    let mut pair = Pair::new();
    for round in 0..3 {
        pair.a.run(&format!("SET k a{round}"));
        pair.a.run(&format!("HSET h f a{round}"));
        pair.exchange();
        pair.b.run(&format!("SET k b{round}"));
        pair.b.run("DEL h");
        pair.exchange();
    }
    both_notice(&mut pair, &[]);
}

#[test]
fn what_merges_without_a_loss_is_no_conflict() {
    let mut pair = Pair::after(&["SADD s m", "SET n 1", "SET k v", "HSET h f 1"]);
    pair.a.run("SADD s m x");
    pair.b.run("SADD s m y");
    pair.a.run("INCR n");
    pair.b.run("INCR n");
    pair.a.run("DEL k");
    pair.b.run("SET k w");
    pair.a.run("SREM s m");
    pair.a.run("HINCRBY h f 1");
    pair.b.run("HDEL h f");
    both_notice(&mut pair, &[]);
}

#[test]
fn of_deadlines_set_at_once_the_latest_is_told_as_the_winner() {
    let mut pair = Pair::after(&["SET k v"]);
    pair.a.run("PEXPIREAT k 3000000");
    pair.b.pass(1);
    pair.b.run("PEXPIREAT k 2000000");
    pair.exchange();
    let conflict = pair.a.conflicts.pop().unwrap();
    let deadline = |rival: &Rival| Deadline::from_value(&rival.value).0;
    assert_eq!(conflict.met.as_str(), "deadline");
    assert_eq!(deadline(&conflict.winner), 3_000_000);
    assert_eq!(deadline(&conflict.loser), 2_000_000);
}

#[test]
fn types_that_meet_are_noticed_once_with_the_newest_write_of_each() {
    let mut pair = Pair::new();
    pair.a.run("SADD k x y z");
    pair.b.pass(1);
    pair.b.run("INCRBY k 5");
    both_notice(&mut pair, &["type k: 5 over z="]);
    // The write that saw both settles it, and the next one meets nothing.
    pair.a.run("SADD other m");
    pair.b.run("SET k v");
    pair.exchange();
    pair.a.run("SET k w");
    both_notice(&mut pair, &[]);
}

#[test]
fn a_type_that_replaced_another_is_no_conflict_for_who_was_away() {
    let mut pair = Pair::after(&["SADD a m", "SET b v", "HSET c f 1 g 2"]);
    pair.a.outbox.clear();
    for command in ["DEL a", "SET a v", "DEL b", "SADD b m", "DEL c", "SET c v"] {
        pair.a.run(command);
    }
    // The frames are lost: anti-entropy brings the cells.
    pair.a.outbox.clear();
    pair.repair();
    both_notice(&mut pair, &[]);
    pair.agree(&[("GET a", "'v'"), ("SMEMBERS b", "{'m'}"), ("GET c", "'v'")]);
}

#[test]
fn a_conflict_is_noticed_too_when_anti_entropy_brings_it() {
    let mut pair = Pair::new();
    pair.a.run("SET k a");
    pair.a.run("SADD t m");
    pair.b.pass(1);
    pair.b.run("SET k b");
    pair.b.run("SET t v");
    pair.a.outbox.clear();
    pair.b.outbox.clear();
    pair.repair();
    both_notice(&mut pair, &["value k: b over a", "type t: v over m="]);
}

#[test]
fn a_long_value_is_cut_off_and_its_length_told() {
    let mut pair = Pair::new();
    let long = "x".repeat(CONFLICT_VALUE_BYTES_MAX + 1);
    pair.a.run(&format!("SET k {long}"));
    pair.b.run("SET k b");
    pair.exchange();
    let conflict = pair.a.conflicts.pop().unwrap();
    let side = [conflict.winner, conflict.loser];
    let cut = side.iter().find(|rival| rival.bytes > 1).unwrap();
    assert_eq!(cut.bytes, long.len());
    assert_eq!(cut.value.len(), CONFLICT_VALUE_BYTES_MAX);
}

#[test]
fn of_many_conflicts_in_one_frame_some_are_told_and_the_rest_counted() {
    let mut pair = Pair::new();
    let mut command = "HSET h".to_owned();
    let fields = CONFLICTS_PER_INPUT_MAX + 5;
    (0..fields).for_each(|n| command.push_str(&format!(" f{n} 1")));
    pair.a.run(&command);
    pair.b.run(&command.replace(" 1", " 2"));
    pair.exchange();
    for node in [&pair.a, &pair.b] {
        assert_eq!(node.conflicts.len(), CONFLICTS_PER_INPUT_MAX);
        assert_eq!(node.conflicts_left_out, 5);
    }
}

#[test]
fn siblings_name_every_version_and_the_one_that_is_shown() {
    let mut pair = Pair::new();
    pair.a.run("SET k a");
    pair.a.run("HSET h f a other x");
    pair.b.pass(1);
    pair.b.run("SET k b");
    pair.b.run("HSET h f b");
    pair.exchange();
    let shown = |node: &mut Node, key: &str, field: Option<&str>| {
        let cells = node.with(|keys| keys.siblings(key.as_bytes(), field.map(str::as_bytes)));
        let cells = cells.iter().map(|cell| {
            let values = cell.versions.iter().map(|version| {
                let mark = if cell.winner == Some(version.dot) {
                    "!"
                } else {
                    ""
                };
                format!("{}{mark}", version.value.escape_ascii())
            });
            let values: Vec<String> = values.collect();
            format!("{}:{}", cell.field.escape_ascii(), values.join(","))
        });
        cells.collect::<Vec<String>>()
    };
    for node in [&mut pair.a, &mut pair.b] {
        assert_eq!(shown(node, "k", None), [":a,b!"]);
        assert_eq!(shown(node, "h", None), ["f:a,b!"]);
        assert_eq!(shown(node, "h", Some("other")), ["other:x!"]);
        assert_eq!(shown(node, "h", Some("nosuch")), [""; 0]);
        assert_eq!(shown(node, "nosuch", None), [""; 0]);
    }
    pair.b.run("SET k c");
    pair.exchange();
    assert_eq!(shown(&mut pair.a, "k", None), [":c!"]);
    // Of two types, the one that is not shown has lost as a whole.
    pair.a.run("DEL k");
    pair.exchange();
    pair.a.run("SADD k m");
    pair.b.run("SET k v");
    pair.exchange();
    assert_eq!(shown(&mut pair.a, "k", None), [":v!", "m:"]);
}
