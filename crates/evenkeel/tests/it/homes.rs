//! Conditional commands: where they run, what they see there, and who takes over.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::Client;
use crate::cluster::Cluster;
use crate::support::{eventually, say};

/// A partition's next member has taken over this soon; a binary without optimisation on a busy machine gets longer.
const TAKES_OVER_WITHIN: Duration =
    Duration::from_millis(if cfg!(debug_assertions) { 4_000 } else { 1_500 });

/// The members that hold a key, the home first.
pub(crate) fn members_of(cluster: &Cluster, key: &str) -> Vec<usize> {
    let seen = format!("{:?}", cluster.client(0).raw(&["EK.INSPECT", key]));
    let named = seen.split("Bulk(b\"node\"), Bulk(b\"").skip(1);
    let named = named.map(|rest| rest.split('"').next().unwrap_or_default().to_owned());
    let place = |name: String| {
        let mut nodes = cluster.nodes.iter();
        nodes.position(|node| node.plan.name == name).unwrap()
    };
    named.map(place).collect()
}

/// Keys whose homes are the nodes 0, 1, … one after the other.
pub(crate) fn key_at_home(cluster: &Cluster, home: usize) -> String {
    let mut keys = (0..).map(|n| format!("key:{n}"));
    keys.find(|key| members_of(cluster, key)[0] == home)
        .unwrap()
}

/// Waits until every node sends conditional commands to every home.
pub(crate) fn wait_until_live(cluster: &Cluster) {
    for (node, _) in cluster.nodes.iter().enumerate() {
        for home in 0..cluster.nodes.len() {
            let key = key_at_home(cluster, home);
            let mut client = cluster.client(node);
            eventually(Duration::from_secs(10), "every home is used", || {
                let before = info(cluster, home, "conditional_run");
                client.run(&format!("SETNX {key} v"));
                (info(cluster, home, "conditional_run") > before).then_some(())
            });
        }
    }
    cluster.run(0, "FLUSHALL");
    cluster.await_converged();
}

pub(crate) fn info(cluster: &Cluster, node: usize, name: &str) -> u64 {
    let text = cluster.run(node, "INFO evenkeel");
    let line = text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found == name).then(|| value.trim().parse().unwrap())
    });
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Delays the frames of all links.
pub(crate) fn slow(cluster: &Cluster, from_ms: u64, to_ms: u64) {
    for node in 0..cluster.nodes.len() {
        let delay = format!("EK.FAULT DELAY * {from_ms} {to_ms}");
        assert_eq!(cluster.run(node, &delay), "OK");
    }
}

#[test]
fn a_connection_finds_at_the_home_what_it_wrote_here_and_here_what_it_wrote_at_the_home() {
    let cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    slow(&cluster, 60, 120);
    for home in 0..3 {
        let key = key_at_home(&cluster, home);
        let mut client = cluster.client((home + 1) % 3);
        for (command, reply) in [
            ("SET {} one", "OK"),
            ("GETSET {} two", "one"),
            ("GET {}", "two"),
            ("APPEND {} !", "4"),
            ("STRLEN {}", "4"),
            ("SETNX {} three", "0"),
            ("DEL {}", "1"),
            ("SETNX {} three", "1"),
            ("MGET {} {}", "[three three]"),
            ("DEL {}", "1"),
            ("EXISTS {}", "0"),
            ("SET {} four NX", "OK"),
            ("GETDEL {}", "four"),
            ("GET {}", "(nil)"),
        ] {
            let command = command.replace("{}", &key);
            assert_eq!(client.run(&command), reply, "{command} through {home}");
        }
        assert_eq!(client.run("DBSIZE"), "0");
    }
}

#[test]
fn who_is_refused_a_key_at_the_home_finds_the_key_that_refused_it() {
    let cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    slow(&cluster, 60, 120);
    let key = key_at_home(&cluster, 0);
    assert_eq!(cluster.run(0, &format!("SET {key} first NX")), "OK");
    let mut late = cluster.client(1);
    assert_eq!(late.run(&format!("SET {key} second NX")), "(nil)");
    assert_eq!(late.run(&format!("GET {key}")), "first");
}

/// How many of the keys were given to more than one client, when clients at all nodes want all of them at once.
fn locked_twice(cluster: &Cluster, round: &str, keys: usize, setting: &str) -> usize {
    let won: Vec<Vec<bool>> = std::thread::scope(|scope| {
        let ask = |mut client: Client| {
            scope.spawn(move || {
                assert_eq!(client.run(setting), "OK");
                let mut got = Vec::new();
                for n in 0..keys {
                    let answer = client.run(&format!("SET lock:{round}:{n} mine NX PX 60000"));
                    assert!(["OK", "(nil)"].contains(&answer.as_str()), "{answer}");
                    got.push(answer == "OK");
                }
                got
            })
        };
        let workers: Vec<_> = cluster.clients().into_iter().map(ask).collect();
        let done = workers.into_iter().map(|worker| worker.join().unwrap());
        done.collect()
    });
    let winners = |n: usize| won.iter().filter(|got| got[n]).count();
    assert!((0..keys).all(|n| winners(n) > 0), "a key nobody got");
    (0..keys).filter(|n| winners(*n) > 1).count()
}

#[test]
fn no_key_is_locked_twice_through_any_nodes_while_nothing_fails() {
    let cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    slow(&cluster, 20, 60);
    assert_eq!(
        locked_twice(&cluster, "home", 40, "EK.CONSISTENCY CONDITIONAL home"),
        0
    );
    // Where each node decides alone, the same load does lock keys twice: so the check can fail.
    let local = locked_twice(&cluster, "local", 40, "EK.CONSISTENCY CONDITIONAL local");
    say(&format!(
        "of 40 keys {local} were locked twice by nodes that decide alone"
    ));
    assert!(local > 0);
    slow(&cluster, 0, 0);
    cluster.await_converged();
}

#[test]
fn both_sides_of_a_cut_may_lock_a_key_and_that_is_counted() {
    let cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    let key = key_at_home(&cluster, 0);
    let before = info(&cluster, 2, "conditional_run_away");
    assert_eq!(cluster.run(2, "EK.FAULT CUT *"), "OK");
    let mut alone = cluster.client(2);
    let answer = alone.run(&format!("SET {key} mine NX"));
    assert_eq!(answer, "OK", "a node alone goes on");
    assert_eq!(cluster.run(1, &format!("SET {key} ours NX")), "OK");
    assert!(info(&cluster, 2, "conditional_run_away") > before);
    assert_eq!(cluster.run(2, "EK.FAULT HEAL *"), "OK");
    cluster.await_converged();
    assert_eq!(info(&cluster, 2, "conditional_conflicts"), 1);
    assert_eq!(info(&cluster, 0, "conditional_conflicts"), 1);
    assert_eq!(
        info(&cluster, 1, "conditional_conflicts"),
        0,
        "it decided nothing"
    );
    let shown: Vec<String> = (0..3)
        .map(|node| cluster.run(node, &format!("GET {key}")))
        .collect();
    assert!(shown.iter().all(|value| *value == shown[0]), "{shown:?}");
}

#[test]
fn the_next_member_takes_over_from_a_killed_home_and_nothing_fails_but_what_was_under_way() {
    let cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    let key = key_at_home(&cluster, 0);
    let mut client = cluster.client(1);
    assert_eq!(client.run(&format!("SET {key} 0")), "OK");
    assert_eq!(client.run(&format!("GETSET {key} 1")), "0");
    cluster.nodes[0].kill();
    let killed = Instant::now();
    let mut last = 1;
    let mut doubts = 0;
    for n in 2..200 {
        let answer = client.run(&format!("GETSET {key} {n}"));
        if answer.starts_with("-INDOUBT") {
            doubts += 1;
            continue;
        }
        assert_eq!(answer, last.to_string(), "after {doubts} in doubt");
        if last == 1 {
            let took = killed.elapsed();
            say(&format!("taken over after {took:?}"));
            assert!(took < TAKES_OVER_WITHIN, "{took:?}");
        }
        last = n;
    }
    assert!(doubts <= 1, "{doubts}");
    assert!(info(&cluster, 1, "conditional_run_away") > 100);
}

#[test]
fn a_home_that_comes_back_decides_nothing_before_it_knows_what_was_decided_without_it() {
    let mut cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    let key = key_at_home(&cluster, 0);
    for round in 0..3 {
        assert_eq!(
            cluster.run(1, &format!("DEL {key}")),
            round.min(1).to_string()
        );
        cluster.await_converged();
        cluster.nodes[0].kill();
        let mut client = cluster.client(1);
        eventually(Duration::from_secs(10), "the next member decides", || {
            let answer = client.run(&format!("SET {key} taken NX"));
            assert!(["OK", "(nil)"].contains(&answer.as_str()) || answer.starts_with("-INDOUBT"));
            (!answer.starts_with('-')).then_some(())
        });
        // The others tell it late what it has missed.
        for node in [1, 2] {
            assert_eq!(cluster.run(node, "EK.FAULT DELAY A 300 400"), "OK");
        }
        cluster.restart(0);
        assert_eq!(cluster.run(0, &format!("SET {key} again NX")), "(nil)");
        assert_eq!(cluster.run(0, &format!("GET {key}")), "taken");
        for node in [1, 2] {
            assert_eq!(cluster.run(node, "EK.FAULT HEAL A"), "OK");
        }
        cluster.wait_until_linked();
        cluster.await_converged();
    }
}

#[test]
fn the_next_member_takes_over_from_a_home_that_falls_silent() {
    let cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    let key = key_at_home(&cluster, 0);
    assert_eq!(cluster.run(1, &format!("SET {key} 0")), "OK");
    assert_eq!(cluster.run(1, &format!("GETSET {key} 1")), "0");
    cluster.await_converged();
    cluster.nodes[0].freeze();
    let frozen = Instant::now();
    let mut client = cluster.client(1);
    let took_over = eventually(
        Duration::from_secs(10),
        "the next member takes over",
        || {
            let answer = client.run(&format!("SET {key} taken GET"));
            assert!(answer == "1" || answer.starts_with("-INDOUBT"), "{answer}");
            (answer == "1").then(|| frozen.elapsed())
        },
    );
    cluster.nodes[0].signal(Signal::CONT);
    say(&format!("taken over after {took_over:?}"));
    assert!(took_over < TAKES_OVER_WITHIN, "{took_over:?}");
    cluster.wait_until_linked();
    cluster.await_converged();
}

#[test]
fn a_home_of_which_only_the_answers_get_lost_is_passed_over() {
    let cluster = Cluster::start(3, &[]);
    wait_until_live(&cluster);
    let key = key_at_home(&cluster, 0);
    assert_eq!(cluster.run(0, "EK.FAULT CUT B OUT"), "OK");
    let mut client = cluster.client(1);
    eventually(Duration::from_secs(10), "another member decides", || {
        let answer = client.run(&format!("SETNX {key} v"));
        assert!(
            !answer.starts_with('-') || answer.starts_with("-INDOUBT"),
            "{answer}"
        );
        (!answer.starts_with('-')).then_some(())
    });
    assert_eq!(client.run(&format!("SETNX {key} v")), "0");
}

#[test]
fn nodes_that_hold_no_replica_decide_at_the_home_as_well() {
    let cluster = Cluster::start(5, &[]);
    wait_until_live(&cluster);
    slow(&cluster, 10, 30);
    assert_eq!(
        locked_twice(&cluster, "five", 20, "EK.CONSISTENCY CONDITIONAL home"),
        0
    );
    for node in 0..5 {
        let mut client = cluster.client(node);
        for n in 0..5 {
            let key = format!("own:{node}:{n}");
            assert_eq!(client.run(&format!("SET {key} 1")), "OK");
            assert_eq!(client.run(&format!("GETSET {key} 2")), "1");
            assert_eq!(client.run(&format!("GET {key}")), "2");
        }
    }
}

#[test]
fn a_connection_says_where_its_conditional_commands_run() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    let shown = |at| format!("[read one write one conditional {at} timeout-ms 1000 tokens off]");
    assert_eq!(client.run("EK.CONSISTENCY"), shown("home"));
    assert_eq!(
        client.run("ek.consistency conditional LOCAL read ONE"),
        "OK"
    );
    assert_eq!(client.run("EK.CONSISTENCY"), shown("local"));
    let answer = client.run("EK.CONSISTENCY CONDITIONAL quorum");
    assert!(answer.starts_with("-UNSUPPORTED"), "{answer}");
    for wrong in [
        "CONDITIONAL",
        "CONDITIONAL nowhere",
        "READ 0",
        "READ most",
        "WRITE 256",
        "TIMEOUT 0",
        "TIMEOUT soon",
        "TOKENS yes",
        "PING one",
        "READ one WRITE",
        "CONDITIONAL home TIMEOUT -1",
    ] {
        let answer = client.run(&format!("EK.CONSISTENCY {wrong}"));
        assert!(answer.starts_with("-ERR syntax error"), "{wrong}: {answer}");
    }
    let answer = client.run("EK.CONSISTENCY CONDITIONAL home READ 2");
    assert!(answer.starts_with("-ERR 2 members are more"), "{answer}");
    assert_eq!(
        client.run("EK.CONSISTENCY"),
        shown("local"),
        "all of it or nothing"
    );
    assert_eq!(client.run("RESET"), "RESET");
    assert_eq!(client.run("EK.CONSISTENCY"), shown("home"));
}
