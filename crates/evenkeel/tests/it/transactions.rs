//! MULTI, EXEC, DISCARD, WATCH, UNWATCH: as in Redis on one node, and what holds over several.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use evenkeel_resp::Reply;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::homes::{info, key_at_home, slow, wait_until_live};
use crate::support::say;

fn check(client: &mut Client, cases: &[(&str, &str)]) {
    for (command, reply) in cases {
        assert_eq!(client.run(command), *reply, "{command}");
    }
}

#[test]
fn transactions_of_one_connection_are_those_of_redis() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    check(
        &mut client,
        &[
            ("EXEC", "-ERR EXEC without MULTI"),
            ("DISCARD", "-ERR DISCARD without MULTI"),
            ("UNWATCH", "OK"),
            ("MULTI", "OK"),
            ("EXEC", "[]"),
            ("MULTI", "OK"),
            ("MULTI", "-ERR MULTI calls can not be nested"),
            ("WATCH k", "-ERR WATCH inside MULTI is not allowed"),
            ("SET k 1", "QUEUED"),
            ("INCR k", "QUEUED"),
            ("PING", "QUEUED"),
            ("LPUSH k no", "QUEUED"),
            ("GET k", "QUEUED"),
            ("UNWATCH", "QUEUED"),
            (
                "EXEC",
                "[OK 2 PONG -WRONGTYPE Operation against a key holding the wrong kind of value 2 OK]",
            ),
            ("MULTI", "OK"),
            ("SET k 5", "QUEUED"),
            ("DISCARD", "OK"),
            ("GET k", "2"),
            ("MULTI", "OK"),
            ("SET k 5", "QUEUED"),
            (
                "NOSUCH a",
                "-ERR unknown command 'NOSUCH', with args beginning with: 'a' ",
            ),
            ("SET k 6", "QUEUED"),
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of previous errors.",
            ),
            ("MULTI", "OK"),
            ("GET", "-ERR wrong number of arguments for 'get' command"),
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of previous errors.",
            ),
            ("GET k", "2"),
            ("MULTI", "OK"),
            (
                "EK.STORE k SET a",
                "-UNSUPPORTED EK.STORE is a part of other commands and not for clients ; see COMMAND LIST for those that are",
            ),
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of previous errors.",
            ),
            ("MULTI", "OK"),
            ("RESET", "RESET"),
            ("EXEC", "-ERR EXEC without MULTI"),
            ("MULTI", "OK"),
            ("SET a 1", "QUEUED"),
            ("SET b 2", "QUEUED"),
            ("MGET a b", "QUEUED"),
            ("DBSIZE", "QUEUED"),
            ("DEL a b k", "QUEUED"),
            ("FLUSHALL", "QUEUED"),
            ("DBSIZE", "QUEUED"),
            ("CLIENT GETNAME", "QUEUED"),
            ("EXEC", "[OK OK [1 2] 3 3 OK 0 (nil)]"),
        ],
    );
}

#[test]
fn what_redis_allows_in_no_transaction_spoils_it() {
    let cluster = Cluster::start(1, &[]);
    check(
        &mut cluster.client(0),
        &[
            ("MULTI", "OK"),
            ("SAVE", "-ERR Command not allowed inside a transaction"),
            ("SET k 7", "QUEUED"),
            (
                "EXEC",
                "-EXECABORT Transaction discarded because of previous errors.",
            ),
            ("EXISTS k", "0"),
        ],
    );
}

/// What EXEC answers when another client has made a change since WATCH.
fn exec_after(client: &mut Client, other: &mut Client, change: &str) -> String {
    check(
        client,
        &[
            ("FLUSHALL", "OK"),
            ("SET {x}k 30", "OK"),
            ("WATCH {x}a {x}k b", "OK"),
        ],
    );
    other.run(change);
    check(
        client,
        &[
            ("MULTI", "OK"),
            ("SET {x}done 1", "QUEUED"),
            ("PING", "QUEUED"),
        ],
    );
    let reply = client.run("EXEC");
    let done = client.run("EXISTS {x}done");
    assert_eq!(
        done == "1",
        reply == "[OK PONG]",
        "{change}: {reply} {done}"
    );
    reply
}

#[test]
fn a_watched_key_that_changes_before_exec_stops_it() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    let mut other = cluster.client(0);
    for change in ["PING", "GET {x}k", "SET other 1", "DEL {x}a", "SREM b x"] {
        let reply = exec_after(&mut client, &mut other, change);
        assert_eq!(reply, "[OK PONG]", "{change}");
    }
    for change in [
        "SET {x}k 30",
        "SET {x}k 40",
        "INCR {x}k",
        "DEL {x}k",
        "EXPIRE {x}k 100",
        "SET {x}a 1",
        "SADD b x",
        "FLUSHALL",
        "FLUSHDB",
        "RENAME {x}k {x}n",
    ] {
        let reply = exec_after(&mut client, &mut other, change);
        assert_eq!(reply, "(nil)", "{change}");
        // Nothing is watched any more.
        check(
            &mut client,
            &[
                ("SET {x}k 40", "OK"),
                ("MULTI", "OK"),
                ("PING", "QUEUED"),
                ("EXEC", "[PONG]"),
            ],
        );
    }
}

#[test]
fn unwatch_and_discard_forget_what_was_watched_and_a_second_watch_does_not() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    for (between, reply) in [
        ("UNWATCH", "[PONG]"),
        ("DISCARD", "[PONG]"),
        ("WATCH k", "(nil)"),
        ("PING", "(nil)"),
    ] {
        check(
            &mut client,
            &[("WATCH k", "OK"), ("INCR other", "1"), ("DEL other", "1")],
        );
        client.run("APPEND k x");
        if between == "DISCARD" {
            client.run("MULTI");
        }
        client.run(between);
        check(
            &mut client,
            &[("MULTI", "OK"), ("PING", "QUEUED"), ("EXEC", reply)],
        );
    }
}

#[test]
fn subscribing_and_publishing_work_inside_a_transaction() {
    let cluster = Cluster::start(1, &[]);
    let mut listener = cluster.client(0);
    listener.run("SUBSCRIBE news");
    let mut client = cluster.client(0);
    check(
        &mut client,
        &[
            ("MULTI", "OK"),
            ("PUBLISH news first", "QUEUED"),
            ("SET k v", "QUEUED"),
            ("PUBLISH news second", "QUEUED"),
            ("EXEC", "[1 OK 1]"),
        ],
    );
    for text in ["first", "second"] {
        let heard = format!("{:?}", listener.receive().unwrap());
        assert!(heard.contains(text), "{heard}");
    }
    check(
        &mut client,
        &[
            ("MULTI", "OK"),
            ("SUBSCRIBE own", "QUEUED"),
            ("EXEC", "[[subscribe own 1]]"),
        ],
    );
}

#[test]
fn counters_kept_by_watch_and_exec_at_several_nodes_are_exact_while_nothing_fails() {
    const TURNS: usize = 8;
    let cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    slow(&cluster, 20, 50);
    let key = key_at_home(&cluster, 0);
    assert_eq!(cluster.run(0, &format!("SET {key} 0")), "OK");
    cluster.await_converged();
    let count = |mut client: Client| {
        let mut lost = 0;
        let mut done = 0;
        while done < TURNS {
            assert_eq!(client.run(&format!("WATCH {key}")), "OK");
            let seen: u64 = client.run(&format!("GET {key}")).parse().unwrap();
            assert_eq!(client.run("MULTI"), "OK");
            client.run(&format!("SET {key} {}", seen + 1));
            match client.run("EXEC").as_str() {
                "[OK]" => done += 1,
                "(nil)" => lost += 1,
                other => panic!("{other}"),
            }
            assert!(lost < 1_000, "no transaction gets through");
        }
        lost
    };
    let lost: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = cluster
            .clients()
            .into_iter()
            .map(|client| scope.spawn(|| count(client)))
            .collect();
        let lost = workers.into_iter().map(|worker| worker.join().unwrap());
        lost.sum()
    });
    say(&format!(
        "{} counted, {lost} transactions given up",
        3 * TURNS
    ));
    cluster.await_converged();
    for node in 0..3 {
        assert_eq!(
            cluster.run(node, &format!("GET {key}")),
            (3 * TURNS).to_string()
        );
    }
}

#[test]
fn nobody_sees_half_of_a_transaction_on_one_partition() {
    let cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    let tag = key_at_home(&cluster, 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = cluster.client(1);
            for n in 0..150 {
                check(&mut writer, &[("MULTI", "OK")]);
                for key in ["a", "b", "c"] {
                    assert_eq!(writer.run(&format!("SET {{{tag}}}{key} {n}")), "QUEUED");
                }
                writer.run(&format!("SADD {{{tag}}}s {n}"));
                assert_eq!(writer.run("EXEC"), "[OK OK OK 1]");
            }
            stop.store(true, Ordering::Relaxed);
        });
        for node in 0..3 {
            let (cluster, tag, stop) = (&cluster, &tag, &stop);
            scope.spawn(move || {
                let mut reader = cluster.client(node);
                let mut looks = 0;
                while !stop.load(Ordering::Relaxed) || looks == 0 {
                    let seen = reader.list(&format!("MGET {{{tag}}}a {{{tag}}}b {{{tag}}}c"));
                    assert!(
                        seen.iter().all(|value| *value == seen[0]),
                        "{seen:?} at {node}"
                    );
                    looks += 1;
                }
            });
        }
    });
}

#[test]
fn a_command_over_keys_of_one_partition_is_seen_whole_or_not_at_all() {
    let cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    let tag = key_at_home(&cluster, 1);
    assert_eq!(cluster.run(0, &format!("SADD {{{tag}}}from a b c")), "3");
    cluster.await_converged();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut mover = cluster.client(0);
            for n in 0..100 {
                let (from, to) = if n % 2 == 0 {
                    ("from", "to")
                } else {
                    ("to", "from")
                };
                let moved = mover.run(&format!("SMOVE {{{tag}}}{from} {{{tag}}}{to} a"));
                assert_eq!(moved, "1");
            }
            stop.store(true, Ordering::Relaxed);
        });
        for node in 0..3 {
            let (cluster, tag, stop) = (&cluster, &tag, &stop);
            scope.spawn(move || {
                let mut reader = cluster.client(node);
                while !stop.load(Ordering::Relaxed) {
                    let all = reader.list(&format!("SUNION {{{tag}}}from {{{tag}}}to"));
                    assert_eq!(all, ["a", "b", "c"], "at {node}");
                    let twice = reader.list(&format!("SINTER {{{tag}}}from {{{tag}}}to"));
                    assert!(twice.is_empty(), "{twice:?} at {node}");
                }
            });
        }
    });
}

#[test]
fn a_transaction_over_several_partitions_runs_in_order_and_answers_once() {
    for nodes in [3, 5] {
        let cluster = Cluster::start(nodes, &[]);
        wait_until_live(&cluster);
        slow(&cluster, 5, 20);
        let mut client = cluster.client(0);
        assert_eq!(client.run("MULTI"), "OK");
        for n in 0..40 {
            assert_eq!(client.run(&format!("SET key:{n} {n}")), "QUEUED");
            assert_eq!(client.run(&format!("INCR key:{n}")), "QUEUED");
        }
        assert_eq!(client.run("MGET key:0 key:39"), "QUEUED");
        assert_eq!(client.run("DBSIZE"), "QUEUED");
        let Reply::Array(replies) = client.raw(&["EXEC"]) else {
            panic!("EXEC answers an array");
        };
        assert_eq!(replies.len(), 82);
        for n in 0..40 {
            assert_eq!(
                replies[2 * n + 1],
                Reply::Integer(i64::try_from(n).unwrap() + 1)
            );
        }
        assert_eq!(crate::client::show(&replies[80]), "[1 40]");
        assert_eq!(replies[81], Reply::Integer(40));
        // A watched key of another partition stops all of it.
        let keys = [key_at_home(&cluster, 1), key_at_home(&cluster, 2)];
        assert_eq!(client.run(&format!("WATCH {}", keys[1])), "OK");
        assert_eq!(cluster.run(1, &format!("SET {} new", keys[1])), "OK");
        cluster.await_converged();
        check(
            &mut client,
            &[
                ("MULTI", "OK"),
                ("DEL key:0", "QUEUED"),
                ("DEL key:1", "QUEUED"),
                ("EXEC", "(nil)"),
                ("EXISTS key:0 key:1", "2"),
            ],
        );
    }
}

/// Takes elements at every node until there are none; gives what each took.
fn take_all(cluster: &Cluster, command: &str) -> Vec<Vec<String>> {
    std::thread::scope(|scope| {
        let worker = |mut client: Client| {
            scope.spawn(move || {
                let mut taken = Vec::new();
                loop {
                    match client.run(command).as_str() {
                        "(nil)" => return taken,
                        element => taken.push(element.to_owned()),
                    }
                }
            })
        };
        let workers: Vec<_> = cluster.clients().into_iter().map(worker).collect();
        let taken = workers.into_iter().map(|worker| worker.join().unwrap());
        taken.collect()
    })
}

#[test]
fn no_element_is_popped_twice_through_any_nodes_while_nothing_fails() {
    const ELEMENTS: usize = 45;
    let cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    slow(&cluster, 10, 40);
    let elements: Vec<String> = (0..ELEMENTS).map(|n| n.to_string()).collect();
    let elements = elements.join(" ");
    for (fill, pop) in [("RPUSH list", "LPOP list"), ("SADD set", "SPOP set")] {
        assert_eq!(
            cluster.run(0, &format!("{fill} {elements}")),
            ELEMENTS.to_string()
        );
        cluster.await_converged();
        let taken = take_all(&cluster, pop);
        let counts: Vec<usize> = taken.iter().map(Vec::len).collect();
        let all: Vec<String> = taken.into_iter().flatten().collect();
        let distinct: BTreeSet<&String> = all.iter().collect();
        assert_eq!(all.len(), ELEMENTS, "{pop}: {counts:?}");
        assert_eq!(distinct.len(), ELEMENTS, "{pop}: {counts:?}");
        say(&format!("{pop}: taken {counts:?} at the three nodes"));
    }
}

#[test]
fn a_transaction_goes_on_at_the_next_member_when_its_home_is_killed() {
    let cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    let key = key_at_home(&cluster, 0);
    let mut client = cluster.client(1);
    assert_eq!(client.run(&format!("SET {key} 0")), "OK");
    cluster.await_converged();
    cluster.nodes[0].kill();
    let mut doubts = 0;
    let mut last = 0;
    for _ in 0..50 {
        let transaction = [
            format!("WATCH {key}"),
            "MULTI".to_owned(),
            format!("INCR {key}"),
            "EXEC".to_owned(),
        ];
        let replies: Vec<String> = transaction.iter().map(|line| client.run(line)).collect();
        match replies[3].as_str() {
            answer if answer.starts_with("-INDOUBT") => doubts += 1,
            answer => {
                last += 1;
                assert_eq!(answer, format!("[{last}]"), "{replies:?}");
            }
        }
    }
    assert!(doubts <= 1, "{doubts}");
    assert!(info(&cluster, 1, "conditional_run_away") > 0);
}
