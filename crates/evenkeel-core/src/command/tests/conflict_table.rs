//! The table of docs/conflicts.md, row by row: three replicas, each alone, write at once and are healed.
//!
//! Stamps ascend from replica to replica, so what the third one wrote is the newest.

use super::replicas::Replicas;
use super::*;

/// What all have seen, what each then does alone, and what all answer in the end. Commands of a replica are cut at `;`.
struct Row {
    before: &'static [&'static str],
    apart: [&'static str; 3],
    after: &'static [(&'static str, &'static str)],
}

fn check(rows: &[Row]) {
    for row in rows {
        let mut replicas = Replicas::new(3);
        for command in row.before {
            replicas.run(0, command);
        }
        replicas.heal();
        for (at, commands) in row.apart.iter().enumerate() {
            for command in commands.split("; ").filter(|command| !command.is_empty()) {
                let reply = replicas.run(at, command);
                assert!(!reply.starts_with("ERR"), "{command}: {reply}");
            }
        }
        replicas.agree(row.after);
    }
}

#[test]
fn strings_merge_as_the_table_says() {
    check(&[
        Row {
            before: &["SET k old"],
            apart: ["SET k a", "SET k b", "SET k c"],
            after: &[("GET k", "'c'")],
        },
        Row {
            before: &["SET k old"],
            apart: ["SET k a", "DEL k", "GETDEL k"],
            after: &[("GET k", "'a'")],
        },
        Row {
            before: &["SET k x"],
            apart: ["APPEND k a", "APPEND k b", ""],
            after: &[("GET k", "'xb'")],
        },
        Row {
            before: &["SET k xxx"],
            apart: ["SETRANGE k 0 a", "SETBIT k 1 0", "SETRANGE k 2 c"],
            after: &[("GET k", "'xxc'")],
        },
        Row {
            before: &[],
            apart: ["SETNX k a", "SET k b NX", "SETNX k c"],
            after: &[("GET k", "'c'")],
        },
        Row {
            before: &["SET k old"],
            apart: ["GETSET k a", "SET k b XX GET", ""],
            after: &[("GET k", "'b'")],
        },
    ]);
}

#[test]
fn counters_merge_as_the_table_says() {
    check(&[
        Row {
            before: &["SET n 100"],
            apart: ["INCR n", "INCRBY n 10", "DECRBY n 5"],
            after: &[("GET n", "'106'")],
        },
        Row {
            before: &["INCRBY n 100"],
            apart: ["INCR n; DEL n", "INCRBY n 7", ""],
            after: &[("GET n", "'7'")],
        },
        Row {
            before: &["INCRBY n 100"],
            apart: ["SET n 10", "INCR n", "INCRBY n 2"],
            after: &[("GET n", "'13'")],
        },
        Row {
            before: &["SET n 9223372036854775800"],
            apart: ["INCRBY n 7", "INCRBY n 7", ""],
            after: &[("GET n", "'9223372036854775807'")],
        },
        Row {
            before: &["SET f 1.5"],
            apart: ["INCRBYFLOAT f 0.1", "INCRBYFLOAT f 0.2", "INCRBYFLOAT f 1"],
            after: &[("GET f", "'2.8'")],
        },
    ]);
}

#[test]
fn deadlines_merge_as_the_table_says() {
    check(&[
        Row {
            before: &["SET k v"],
            apart: [
                "PEXPIREAT k 5000000",
                "PEXPIREAT k 9000000",
                "PEXPIREAT k 7000000",
            ],
            after: &[("PEXPIRETIME k", "9000000")],
        },
        Row {
            before: &["SET k v PXAT 3000000"],
            apart: ["PEXPIREAT k 9000000", "PERSIST k", ""],
            after: &[("PEXPIRETIME k", "-1")],
        },
        Row {
            before: &["SADD s a", "PEXPIREAT s 5000000"],
            apart: ["DEL s", "SADD s b", ""],
            after: &[("SMEMBERS s", "{'b'}"), ("PEXPIRETIME s", "5000000")],
        },
        Row {
            before: &["HSET h f 1"],
            apart: ["PEXPIREAT h 5000000", "HSET h g 1", ""],
            after: &[("HLEN h", "2"), ("PEXPIRETIME h", "5000000")],
        },
    ]);
}

#[test]
fn sets_merge_as_the_table_says() {
    check(&[
        Row {
            before: &["SADD s m"],
            apart: ["SREM s m", "SADD s m", "SREM s m"],
            after: &[("SMEMBERS s", "{'m'}"), ("SCARD s", "1")],
        },
        Row {
            before: &["SADD s x y z"],
            apart: ["DEL s", "SADD s y new", ""],
            after: &[("SMEMBERS s", "{'new' 'y'}")],
        },
        Row {
            before: &["SADD s m"],
            apart: ["SPOP s", "SPOP s", "SADD s n"],
            after: &[("SMEMBERS s", "{'n'}")],
        },
        Row {
            before: &["SADD s m"],
            apart: ["SMOVE s x m", "SMOVE s y m", ""],
            after: &[
                ("EXISTS s", "0"),
                ("SISMEMBER x m", "1"),
                ("SISMEMBER y m", "1"),
            ],
        },
        Row {
            before: &["SADD a 1 2", "SADD b 2 3", "SADD d old"],
            apart: ["SINTERSTORE d a b", "SUNIONSTORE d a b", "SADD d new"],
            after: &[("SMEMBERS d", "{'1' '2' '3' 'new'}")],
        },
        Row {
            before: &["SADD s m"],
            apart: ["SADD s a b c", "SREM s m", ""],
            after: &[("SMEMBERS s", "{'a' 'b' 'c'}")],
        },
    ]);
}

#[test]
fn hashes_merge_as_the_table_says() {
    check(&[
        Row {
            before: &["HSET h f old g 1"],
            apart: ["HSET h f a", "HSET h f b", "HSET h f c"],
            after: &[("HGETALL h", "{'f'='c' 'g'='1'}")],
        },
        Row {
            before: &["HSET h f old g 1"],
            apart: ["HSET h f a", "HDEL h f g", ""],
            after: &[("HGETALL h", "{'f'='a'}")],
        },
        Row {
            before: &["HSET h f old g 1"],
            apart: ["HSET h f a", "DEL h", "HSET h new 1"],
            after: &[("HGETALL h", "{'f'='a' 'new'='1'}")],
        },
        Row {
            before: &["HINCRBY h n 100"],
            apart: ["HINCRBY h n 1; HDEL h n", "HINCRBY h n 7", "HINCRBY h n 3"],
            after: &[("HGET h n", "'10'")],
        },
        Row {
            before: &["HINCRBY h n 100"],
            apart: ["DEL h", "HINCRBY h n 7", ""],
            after: &[("HGET h n", "'7'")],
        },
        Row {
            before: &["HSET h n 100"],
            apart: ["HSET h n 10", "HINCRBY h n 7", "HINCRBYFLOAT h n 0.5"],
            after: &[("HGET h n", "'17.5'")],
        },
        Row {
            before: &[],
            apart: ["HSETNX h f a", "HSETNX h f b", ""],
            after: &[("HGET h f", "'b'")],
        },
    ]);
}

/// One write of each type, and what a reader of that type gets.
const TYPES: &[(&str, &str, &str)] = &[
    ("SET k v", "+string", "GET k"),
    ("INCRBY k 5", "+string", "GET k"),
    ("SADD k m", "+set", "SMEMBERS k"),
    ("HSET k f v", "+hash", "HGETALL k"),
    ("HINCRBY k f 5", "+hash", "HGETALL k"),
    ("ZADD k 1 m", "+zset", "ZCARD k"),
    ("RPUSH k e", "+list", "LLEN k"),
];

#[test]
fn of_any_two_types_the_newest_is_shown_and_the_next_write_or_removal_settles_it() {
    for (older, old_type, read_old) in TYPES {
        for (newer, new_type, read_new) in TYPES.iter().filter(|newer| newer.1 != *old_type) {
            for last in [*newer, "DEL k"] {
                let mut replicas = Replicas::new(3);
                replicas.run(0, older);
                replicas.run(1, newer);
                replicas.heal();
                for node in &mut replicas.nodes {
                    assert_eq!(node.run("TYPE k"), *new_type, "{older}, then {newer}");
                    assert!(
                        node.run(read_old).starts_with("WRONGTYPE "),
                        "{older}, then {newer}"
                    );
                    assert!(
                        !node.run(read_new).starts_with("WRONGTYPE "),
                        "{older}, then {newer}"
                    );
                }
                replicas.run(2, last);
                replicas.run(2, "DEL k");
                replicas.agree(&[("TYPE k", "+none"), ("DBSIZE", "0")]);
                assert_eq!(replicas.nodes[0].partition.replica().live_keys(), 0);
            }
        }
    }
}

#[test]
fn adding_to_a_sketch_that_shows_as_a_copied_string_brings_no_hidden_sketch_back() {
    for at in 0..3 {
        let mut replicas = Replicas::new(3);
        replicas.run(0, "PFADD other x");
        replicas.heal();
        replicas.run(0, "PFADD k a b c");
        // A copy is a string of a sketch's form: of another type than the sketch.
        replicas.run(1, "COPY other k");
        replicas.agree(&[("PFCOUNT k", "1")]);
        replicas.run(at, "PFADD k y");
        replicas.agree(&[("PFCOUNT k", "2")]);
        replicas.run(at, "EXPIRE k 100");
        replicas.run(at, "PFADD k z");
        replicas.agree(&[("PFCOUNT k", "3"), ("TTL k", "100")]);
    }
}

#[test]
fn removals_of_much_merge_as_the_table_says() {
    check(&[
        Row {
            before: &["MSET a 1 b 2", "SADD s x y", "HSET h f 1", "INCRBY n 5"],
            apart: ["FLUSHALL", "SADD s z; INCR n", "HSET h g 1; SET b 3"],
            after: &[
                ("EXISTS a", "0"),
                ("GET b", "'3'"),
                ("SMEMBERS s", "{'z'}"),
                ("HGETALL h", "{'g'='1'}"),
                ("GET n", "'1'"),
            ],
        },
        Row {
            before: &["SADD s a b c d e f", "HSET h a 1 b 2 c 3"],
            apart: ["DEL s h", "SADD s b", "UNLINK s; HSET h b 4"],
            after: &[("SMEMBERS s", "{'b'}"), ("HGETALL h", "{'b'='4'}")],
        },
    ]);
}

#[test]
fn a_command_over_many_cells_leaves_as_one_batch_and_merges_cell_by_cell() {
    let mut node = Node::alone();
    for command in [
        "MSET a 1 b 2",
        "HSET h f 1 g 2",
        "SADD s a b c",
        "SMOVE s t a",
        "SUNIONSTORE u s t",
    ] {
        assert_eq!(node.batches_of(command), 1, "{command}");
    }
    check(&[
        Row {
            before: &["MSET a 0 b 0"],
            apart: ["MSET a 1 b 1", "SET b 2", "MSET b 3 c 3"],
            after: &[("MGET a b c", "['1' '3' '3']")],
        },
        Row {
            before: &[],
            apart: ["HSET h f 1 g 1", "HSET h g 2 i 2", ""],
            after: &[("HGETALL h", "{'f'='1' 'g'='2' 'i'='2'}")],
        },
    ]);
}

#[test]
fn what_was_deleted_while_a_replica_was_away_does_not_return_with_it() {
    let mut replicas = Replicas::new(3);
    for command in [
        "SET k v",
        "SADD s a b",
        "HSET h f 1 g 2",
        "INCRBY n 7",
        "RPUSH l a b",
        "ZADD z 1 m",
    ] {
        replicas.run(0, command);
    }
    replicas.heal();
    // The third one hears nothing, writes elsewhere, and all that was deleted is collected at the others.
    for command in ["DEL k s", "HDEL h f g", "DEL n l", "ZREM z m"] {
        replicas.run(0, command);
        replicas.exchange(&[0, 1]);
    }
    for _ in 0..50 {
        replicas.nodes.iter_mut().take(2).for_each(|node| {
            node.pass(60_000);
            node.handle(Input::Tick);
        });
        replicas.exchange(&[0, 1]);
    }
    replicas.run(2, "SET other v");
    replicas.agree(&[
        ("EXISTS k s h n l z", "0"),
        ("GET other", "'v'"),
        ("DBSIZE", "1"),
    ]);
}

#[test]
fn two_replicas_that_merged_and_a_third_that_comes_late_agree() {
    let mut replicas = Replicas::new(3);
    replicas.run(0, "SADD s m");
    replicas.run(0, "SET k old");
    replicas.heal();
    replicas.run(0, "SREM s m");
    replicas.run(1, "SADD s m");
    replicas.run(2, "SET k late");
    replicas.exchange(&[0, 1]);
    replicas.run(1, "SREM s m");
    replicas.run(0, "SET k merged");
    replicas.exchange(&[0, 1]);
    replicas.run(2, "SADD s m");
    replicas.agree(&[("SMEMBERS s", "{'m'}"), ("GET k", "'merged'")]);
}
