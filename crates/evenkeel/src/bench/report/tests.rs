use super::super::limits::LATENCY_NS_MAX;
use super::super::tally::{Answer, Tally};
use super::*;
use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: super::super::Args,
}

fn plan(line: &str) -> Plan {
    let words = ["bench"].into_iter().chain(line.split_whitespace());
    Plan::new(&Cli::try_parse_from(words).unwrap().args).unwrap()
}

/// Nine sets after 100 µs each and one lost; one get by null, one refused.
fn outcome(mix: &str) -> Outcome {
    let mut tally = Tally::new();
    for _ in 0..9 {
        tally.sent(Command::Set);
        tally.answered(Command::Set, &Answer::Ok, 100_000);
    }
    tally.sent(Command::Set);
    tally.sent(Command::Get);
    tally.answered(Command::Get, &Answer::Null, 1_000);
    tally.sent(Command::Get);
    tally.answered(Command::Get, &Answer::Error("MOVED".to_owned()), 1);
    tally.connection_lost(|| "a:1: closed by the server".to_owned());
    Outcome {
        mix: mix.parse().unwrap(),
        tally,
        elapsed: Duration::from_millis(500),
        unsent: 3,
        cpu: Cpu {
            servers_us: Some(50_000),
            client_us: None,
            fault: None,
        },
    }
}

fn json(report: &Report) -> Vec<String> {
    let mut out = Vec::new();
    report.write_json(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn json_lines_have_stable_names_in_a_stable_order() {
    let plan = plan("--target 127.0.0.1:7 --commands set,get --seed 5 --rate 24");
    let lines = json(&Report::new(&plan, &[outcome("set,get")]));
    assert_eq!(
        lines,
        [
            concat!(
                r#"{"kind":"command","command":"set","seconds":0.5,"requests_sent":10,"#,
                r#""requests_ok":9,"requests_null":0,"requests_error":0,"requests_lost":1,"#,
                r#""requests_unsent":null,"requests_per_second":18.0,"latency_us_mean":100.0,"#,
                r#""latency_us_min":99.968,"latency_us_p50":100.031,"latency_us_p90":100.031,"#,
                r#""latency_us_p99":100.031,"latency_us_p99_9":100.031,"latency_us_max":100.031,"#,
                r#""server_cpu_us_per_request":null,"client_cpu_us_per_request":null,"errors":{}}"#,
            ),
            concat!(
                r#"{"kind":"command","command":"get","seconds":0.5,"requests_sent":2,"#,
                r#""requests_ok":1,"requests_null":1,"requests_error":1,"requests_lost":0,"#,
                r#""requests_unsent":null,"requests_per_second":2.0,"latency_us_mean":1.0,"#,
                r#""latency_us_min":1.0,"latency_us_p50":1.0,"latency_us_p90":1.0,"#,
                r#""latency_us_p99":1.0,"latency_us_p99_9":1.0,"latency_us_max":1.0,"#,
                r#""server_cpu_us_per_request":null,"client_cpu_us_per_request":null,"#,
                r#""errors":{"MOVED":1}}"#,
            ),
            concat!(
                r#"{"kind":"total","command":"all","seconds":0.5,"requests_sent":12,"#,
                r#""requests_ok":10,"requests_null":1,"requests_error":1,"requests_lost":1,"#,
                r#""requests_unsent":3,"requests_per_second":20.0,"latency_us_mean":90.1,"#,
                r#""latency_us_min":1.0,"latency_us_p50":100.031,"latency_us_p90":100.031,"#,
                r#""latency_us_p99":100.031,"latency_us_p99_9":100.031,"latency_us_max":100.031,"#,
                r#""server_cpu_us_per_request":5000.0,"client_cpu_us_per_request":null,"#,
                r#""errors":{"MOVED":1},"connections_lost":1,"targets":["127.0.0.1:7"],"#,
                r#""connections":50,"threads":1,"pipeline":1,"rate_per_second":24,"#,
                r#""protocol":"resp2","keys":100000,"distribution":"uniform","key_bytes":22,"#,
                r#""value_bytes":100,"seed":5}"#,
            ),
        ]
    );
}

#[test]
fn phases_one_after_the_other_add_up_in_the_total() {
    let plan = plan("-t set,get");
    let report = Report::new(&plan, &[outcome("set"), outcome("get")]);
    let lines: Vec<serde_json::Value> = json(&report)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[2]["seconds"], 1.0);
    assert_eq!(lines[2]["server_cpu_us_per_request"], 5000.0);
    assert_eq!(lines[0]["server_cpu_us_per_request"], 5555.556);
    assert_eq!(lines[0]["requests_unsent"], 3);
}

#[test]
fn what_went_wrong_is_said_below_the_table() {
    let mut out = Vec::new();
    let report = Report::new(&plan("--commands set,get"), &[outcome("set,get")]);
    report.write_table(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "50 connections to 127.0.0.1:6379, pipeline 1, 100000 uniform keys of 22 bytes, \
             values of 100 bytes",
            "command  requests  per s  mean µs    p50    p90    p99  p99.9    max  errors  \
             server CPU µs  client CPU µs",
            "set             9     18    100.0  100.0  100.0  100.0  100.0  100.0       1              -              -",
            "get             1      2      1.0    1.0    1.0    1.0    1.0    1.0       1              -              -",
            "all            10     20     90.1  100.0  100.0  100.0  100.0  100.0       2        5000.00              -",
            "errors MOVED: 1",
            "keys read that are not there: 1; fill them with -t set",
            "requests lost, not answered: 1",
            "connections lost: 1; the first: a:1: closed by the server",
            "requests not sent, because the rate was not reached: 3",
        ]
    );
    assert!(report.is_faulty());
}

#[test]
fn what_was_not_measured_is_null() {
    let mut nothing = outcome("set");
    nothing.tally = Tally::new();
    nothing.elapsed = Duration::ZERO;
    let report = Report::new(&plan("-t set"), &[nothing]);
    let line: serde_json::Value = serde_json::from_str(&json(&report)[0]).unwrap();
    assert_eq!(line["requests_per_second"], 0.0);
    for field in [
        "latency_us_mean",
        "latency_us_p50",
        "server_cpu_us_per_request",
    ] {
        assert!(line[field].is_null(), "{field}");
    }
    assert!(report.is_faulty(), "nothing done");
}

#[test]
fn a_latency_beyond_the_bound_is_recorded_as_the_bound() {
    let mut tally = Tally::new();
    tally.answered(Command::Set, &Answer::Ok, u64::MAX);
    assert!(tally.of(Command::Set).latency_ns.max() >= LATENCY_NS_MAX);
}
