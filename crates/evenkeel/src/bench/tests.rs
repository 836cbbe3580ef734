//! Whole runs against a server in this process that answers as a test wants.

mod fake_server;

use std::collections::BTreeMap;

use clap::Parser;
use serde_json::Value;

use super::plan::Plan;
use super::{Args, Report, measure};
use fake_server::{FakeServer, Reaction, Seen};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn report(servers: &[&FakeServer], line: &str) -> anyhow::Result<Report> {
    let targets = servers
        .iter()
        .map(|server| format!("--target={}", server.address()));
    let words = line.split_whitespace().map(str::to_owned);
    let words = ["bench".to_owned()].into_iter().chain(targets).chain(words);
    let plan = Plan::new(&Cli::try_parse_from(words).unwrap().args).unwrap();
    let password = line.contains("--resp3").then_some(b"secret".as_slice());
    measure(&plan, password)
}

/// The JSON lines of a run: a command each, the total last.
fn run(servers: &[&FakeServer], line: &str) -> Vec<Value> {
    let mut out = Vec::new();
    report(servers, line).unwrap().write_json(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn ok(_: &Seen) -> Reaction {
    Reaction::Reply(b"+OK\r\n".to_vec())
}

#[test]
fn every_request_is_sent_once_and_counted_under_its_command() {
    let server = FakeServer::new(ok);
    let lines = run(
        &[&server],
        "--commands set:1,get:2,incr,sadd,hset -n 1000 -c 7 -P 3",
    );
    let mut received = BTreeMap::new();
    for request in server.requests() {
        *received.entry(request[0].to_lowercase()).or_insert(0) += 1;
    }
    assert_eq!(received.values().sum::<u64>(), 1000);
    for line in &lines[..5] {
        let command = line["command"].as_str().unwrap();
        assert_eq!(line["requests_ok"], received[command], "{command}");
    }
    assert_eq!(lines[5]["requests_ok"], 1000);
    assert_eq!(lines[5]["requests_lost"], 0);
}

#[test]
fn a_seed_sends_the_same_requests_over_any_connections_and_threads() {
    let sent = |line: &str| {
        let server = FakeServer::new(ok);
        run(
            &[&server],
            &format!("--commands set,hset,sadd -n 500 {line}"),
        );
        let mut requests = server.requests();
        requests.sort();
        requests
    };
    let alone = sent("--seed 9 -c 1");
    assert_eq!(alone, sent("--seed 9 -c 6 -P 4 --threads 2"));
    assert_eq!(alone, sent("--seed 9 -c 3 --rate 1000000"));
    assert_ne!(alone, sent("--seed 8 -c 1"));
}

#[test]
fn errors_are_counted_by_their_first_word_and_make_the_run_fail() {
    let server = FakeServer::new(|seen| {
        let reply = match seen.request[0].as_str() {
            "SET" => "-READONLY no writes here\r\n",
            _ => "$-1\r\n",
        };
        Reaction::Reply(reply.as_bytes().to_vec())
    });
    let lines = run(&[&server], "-t set,get -n 20 -c 2");
    assert_eq!(lines[0]["errors"]["READONLY"], 20);
    assert_eq!(lines[0]["requests_ok"], 0);
    assert_eq!(lines[0]["requests_per_second"], 0.0);
    assert_eq!(lines[1]["requests_null"], 20);
    let report = report(&[&server], "-t set -n 20 -c 2").unwrap();
    assert!(report.is_faulty());
}

#[test]
fn a_run_without_faults_is_not_faulty() {
    let server = FakeServer::new(ok);
    assert!(!report(&[&server], "-n 10 -c 1").unwrap().is_faulty());
}

#[test]
fn a_lost_connection_is_made_again_and_its_requests_are_lost() {
    let server = FakeServer::new(|seen| match (seen.connection, seen.place) {
        (0, 5) => Reaction::Close,
        _ => ok(seen),
    });
    let lines = run(&[&server], "-t set -n 40 -c 1 -P 4");
    // The second batch of four: one answered, then the connection closes.
    assert_eq!(lines[0]["requests_lost"], 3);
    assert_eq!(lines[0]["requests_ok"], 37);
    assert_eq!(lines[1]["connections_lost"], 1);
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_connection_that_is_always_lost_is_given_up() {
    let server = FakeServer::new(|_| Reaction::Close);
    let lines = run(&[&server], "-t set -n 1000000 -c 1 --reconnects 3");
    assert_eq!(lines[0]["requests_ok"], 0);
    assert_eq!(lines[1]["connections_lost"], 4);
    assert_eq!(server.connections(), 4);
}

#[test]
fn what_is_no_redis_server_costs_connections_and_no_panic() {
    let server = FakeServer::new(|_| Reaction::Reply(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()));
    let lines = run(&[&server], "-t set -n 3 -c 1");
    assert_eq!(lines[0]["requests_lost"], 3);
    assert_eq!(lines[1]["connections_lost"], 3);
}

#[test]
fn a_server_that_never_answers_does_not_hold_the_run() {
    let server = FakeServer::new(|seen| match seen.place {
        3 => Reaction::Silence,
        _ => ok(seen),
    });
    let lines = run(&[&server], "-t set -n 100 -c 2 --timeout-ms 50");
    assert_eq!(lines[0]["requests_lost"], 2);
    assert_eq!(lines[1]["connections_lost"], 2);
}

#[test]
fn connections_spread_evenly_over_targets_from_every_thread() {
    let servers = [(); 3].map(|()| FakeServer::new(ok));
    let all: Vec<&FakeServer> = servers.iter().collect();
    let lines = run(&all, "-t set -n 600 -c 12 --threads 2");
    assert_eq!(lines[0]["requests_ok"], 600);
    assert_eq!(servers.each_ref().map(FakeServer::connections), [4, 4, 4]);
}

#[test]
fn a_fixed_rate_takes_its_time_and_leaves_nothing_out() {
    let server = FakeServer::new(ok);
    let lines = run(&[&server], "-t set -n 200 -c 5 --rate 2000");
    assert_eq!(lines[0]["requests_ok"], 200);
    assert_eq!(lines[0]["requests_unsent"], 0);
    // The last one is due after 99.5 ms; a busy machine may add to it, never take away.
    assert!(lines[0]["seconds"].as_f64().unwrap() >= 0.099, "{lines:?}");
}

#[test]
fn requests_that_wait_for_their_turn_show_the_wait_as_latency() {
    let server = FakeServer::new(ok);
    // All are due at once, one goes at a time: the last waits for nearly the whole run.
    let lines = run(&[&server], "-t set -n 200 -c 1 --rate 1000000000");
    let figure = |name: &str| lines[0][name].as_f64().unwrap();
    let run_us = figure("seconds") * 1e6;
    assert!(figure("latency_us_max") > 0.5 * run_us, "{lines:?}");
    // In a closed loop the latencies of one connection together are no longer than the run.
    let lines = run(&[&server], "-t set -n 200 -c 1");
    let figure = |name: &str| lines[0][name].as_f64().unwrap();
    let run_us = figure("seconds") * 1e6;
    assert!(
        figure("latency_us_mean") * 200.0 < 1.01 * run_us,
        "{lines:?}"
    );
}

#[test]
fn what_a_rate_leaves_unsent_when_time_is_up_is_said() {
    let server = FakeServer::new(ok);
    let lines = run(&[&server], "-t set --seconds 0.05 -c 1 --rate 1000000000");
    let figure = |name: &str| lines[0][name].as_u64().unwrap();
    assert!(figure("requests_unsent") > 0);
    assert_eq!(
        figure("requests_sent") + figure("requests_unsent"),
        50_000_000
    );
}

#[test]
fn a_run_for_a_time_ends_when_it_is_over() {
    let server = FakeServer::new(ok);
    let lines = run(&[&server], "-t set,get --seconds 0.05 -c 3 -P 2");
    for line in &lines[..2] {
        assert!(line["requests_ok"].as_u64().unwrap() > 0);
        assert_eq!(line["requests_lost"], 0);
    }
}

#[test]
fn hello_and_password_come_first_on_every_connection() {
    let server = FakeServer::new(|seen| match seen.request[0].as_str() {
        "HELLO" => Reaction::Reply(b"%1\r\n+proto\r\n:3\r\n".to_vec()),
        _ => Reaction::Reply(b"_\r\n".to_vec()),
    });
    let lines = run(&[&server], "-t get -n 10 -c 2 --resp3");
    assert_eq!(lines[0]["requests_null"], 10);
    assert_eq!(lines[1]["protocol"], "resp3");
    let requests = server.requests();
    let hellos = requests.iter().filter(|request| request[0] == "HELLO");
    for hello in hellos.clone() {
        assert_eq!(hello[1..], ["3", "AUTH", "default", "secret"]);
    }
    assert_eq!(hellos.count(), 2);
}

#[test]
fn a_refused_password_is_told_before_anything_is_sent() {
    let server = FakeServer::new(|_| Reaction::Reply(b"-WRONGPASS no\r\n".to_vec()));
    let error = report(&[&server], "-t get --resp3").unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        format!(
            "cannot use {}: HELLO is refused: WRONGPASS no",
            server.address()
        )
    );
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let server = FakeServer::new(ok);
    let address = server.address();
    drop(server);
    let words = ["bench", "--target", &address];
    let plan = Plan::new(&Cli::try_parse_from(words).unwrap().args).unwrap();
    let error = measure(&plan, None).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot use {address}"));
}

#[test]
fn a_batch_larger_than_all_buffers_does_not_stop_both_sides() {
    // The server reads nothing while an answer waits to be taken.
    let reply = format!("$200000\r\n{}\r\n", "x".repeat(200_000));
    let server = FakeServer::new(move |_| Reaction::Reply(reply.clone().into_bytes()));
    let lines = run(&[&server], "-t set -n 200 -c 1 -P 100 --value-bytes 200000");
    assert_eq!(lines[0]["requests_ok"], 200);
}

#[test]
fn the_cpu_time_of_given_processes_is_shown_per_request() {
    let server = FakeServer::new(ok);
    let pid = std::process::id();
    let lines = run(
        &[&server],
        &format!("-t set -n 100 --pids {pid} --settle-ms 0"),
    );
    assert!(lines[0]["server_cpu_us_per_request"].is_number());
    let lines = run(&[&server], "-t set -n 100");
    assert!(lines[0]["server_cpu_us_per_request"].is_null());
}
