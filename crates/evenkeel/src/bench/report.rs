//! What a run came to: a table for people, a line of JSON per command and one for the total.
//!
//! Invariants: field names are stable and carry their unit; what was not measured is `null`,
//! never zero; throughput, latency and CPU per request are about requests answered without an
//! error, so that a server cannot look fast by refusing.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::command::Command;
use super::phase::{Cpu, Outcome};
use super::plan::Plan;
use super::tally::Count;

/// One command, or all together.
#[derive(Clone, Debug, Serialize)]
struct Row {
    kind: &'static str,
    command: &'static str,
    seconds: f64,
    requests_sent: u64,
    requests_ok: u64,
    requests_null: u64,
    requests_error: u64,
    requests_lost: u64,
    /// In a mix it is not known which commands they would have been.
    requests_unsent: Option<u64>,
    requests_per_second: f64,
    latency_us_mean: Option<f64>,
    latency_us_min: Option<f64>,
    latency_us_p50: Option<f64>,
    latency_us_p90: Option<f64>,
    latency_us_p99: Option<f64>,
    latency_us_p99_9: Option<f64>,
    latency_us_max: Option<f64>,
    server_cpu_us_per_request: Option<f64>,
    client_cpu_us_per_request: Option<f64>,
    errors: BTreeMap<String, u64>,
}

/// The total, with what was run.
#[derive(Clone, Debug, Serialize)]
struct Total {
    #[serde(flatten)]
    row: Row,
    connections_lost: u64,
    targets: Vec<String>,
    connections: usize,
    threads: usize,
    pipeline: usize,
    rate_per_second: Option<u64>,
    protocol: &'static str,
    keys: u64,
    distribution: String,
    key_bytes: usize,
    value_bytes: usize,
    seed: u64,
}

/// The figures of a run.
#[derive(Clone, Debug)]
pub(super) struct Report {
    rows: Vec<Row>,
    total: Total,
    notes: Vec<String>,
    faulty: bool,
}

impl Report {
    pub(super) fn new(plan: &Plan, outcomes: &[Outcome]) -> Self {
        let rows: Vec<Row> = outcomes.iter().flat_map(rows).collect();
        let total = total(plan, outcomes);
        let row = &total.row;
        let cpu_fault = outcomes.iter().any(|outcome| outcome.cpu.fault.is_some());
        Self {
            faulty: row.requests_ok == 0
                || row.requests_error + row.requests_lost + total.connections_lost > 0
                || cpu_fault,
            notes: notes(&total, outcomes),
            rows,
            total,
        }
    }

    /// Whether anything failed, or nothing was done.
    pub(super) fn is_faulty(&self) -> bool {
        self.faulty
    }

    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        for row in &self.rows {
            writeln!(out, "{}", serde_json::to_string(row)?)?;
        }
        writeln!(out, "{}", serde_json::to_string(&self.total)?)
    }

    pub(super) fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        let total = &self.total;
        writeln!(
            out,
            "{} connections to {}, pipeline {}, {} {} keys of {} bytes, values of {} bytes",
            total.connections,
            total.targets.join(" "),
            total.pipeline,
            total.keys,
            total.distribution,
            total.key_bytes,
            total.value_bytes
        )?;
        let mut lines = vec![HEADINGS.map(str::to_owned)];
        lines.extend(self.rows.iter().map(cells));
        lines.push(cells(&total.row));
        for line in &lines {
            writeln!(out, "{}", align(line, &lines))?;
        }
        for note in &self.notes {
            writeln!(out, "{note}")?;
        }
        Ok(())
    }
}

fn rows(outcome: &Outcome) -> Vec<Row> {
    let commands: Vec<Command> = outcome.mix.commands().collect();
    let alone = commands.len() == 1;
    let row = |command: Command| {
        let cpu = if alone { &outcome.cpu } else { &Cpu::default() };
        Row {
            requests_unsent: alone.then_some(outcome.unsent),
            ..Row::new(
                command.name(),
                outcome.tally.of(command),
                outcome.elapsed,
                cpu,
            )
        }
    };
    commands.into_iter().map(row).collect()
}

impl Row {
    fn new(name: &'static str, count: &Count, elapsed: Duration, cpu: &Cpu) -> Self {
        let seconds = elapsed.as_secs_f64();
        let measured = !count.latency_ns.is_empty();
        let us = |ns: f64| measured.then(|| round(ns / 1000.0));
        let at = |quantile: f64| us(count.latency_ns.value_at_quantile(quantile) as f64);
        let each = |cpu_us: u64| (count.ok > 0).then(|| round(cpu_us as f64 / count.ok as f64));
        Self {
            kind: "command",
            command: name,
            seconds: elapsed.as_micros() as f64 / 1e6,
            requests_sent: count.sent,
            requests_ok: count.ok,
            requests_null: count.null,
            requests_error: count.error_count(),
            requests_lost: count.lost(),
            requests_unsent: None,
            requests_per_second: if seconds > 0.0 {
                round(count.ok as f64 / seconds)
            } else {
                0.0
            },
            latency_us_mean: us(count.latency_ns.mean()),
            latency_us_min: us(count.latency_ns.min() as f64),
            latency_us_p50: at(0.5),
            latency_us_p90: at(0.9),
            latency_us_p99: at(0.99),
            latency_us_p99_9: at(0.999),
            latency_us_max: us(count.latency_ns.max() as f64),
            server_cpu_us_per_request: cpu.servers_us.and_then(each),
            client_cpu_us_per_request: cpu.client_us.and_then(each),
            errors: count.errors.clone(),
        }
    }
}

/// To three decimals: more is noise.
fn round(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

fn total(plan: &Plan, outcomes: &[Outcome]) -> Total {
    let mut count = Count::new();
    for outcome in outcomes {
        count.add(&outcome.tally.total());
    }
    let elapsed = outcomes.iter().map(|outcome| outcome.elapsed).sum();
    let sum = |us: fn(&Cpu) -> Option<u64>| outcomes.iter().map(|outcome| us(&outcome.cpu)).sum();
    let cpu = Cpu {
        servers_us: sum(|cpu| cpu.servers_us),
        client_us: sum(|cpu| cpu.client_us),
        fault: None,
    };
    let row = Row {
        kind: "total",
        requests_unsent: Some(outcomes.iter().map(|outcome| outcome.unsent).sum()),
        ..Row::new("all", &count, elapsed, &cpu)
    };
    let lost = outcomes
        .iter()
        .map(|outcome| outcome.tally.connections_lost);
    Total {
        row,
        connections_lost: lost.sum(),
        targets: plan
            .targets
            .iter()
            .map(|target| target.name.clone())
            .collect(),
        connections: plan.connections,
        threads: plan.threads,
        pipeline: plan.pipeline,
        rate_per_second: plan.rate.map(|rate| rate.0.get()),
        protocol: if plan.resp3 { "resp3" } else { "resp2" },
        keys: plan.keys,
        distribution: plan.distribution.to_string(),
        key_bytes: plan.shape.key_bytes,
        value_bytes: plan.shape.value_bytes,
        seed: plan.shape.seed,
    }
}

fn notes(total: &Total, outcomes: &[Outcome]) -> Vec<String> {
    let row = &total.row;
    let mut notes = Vec::new();
    let errors = row.errors.iter();
    notes.extend(errors.map(|(word, count)| format!("errors {word}: {count}")));
    if row.requests_null > 0 {
        let null = row.requests_null;
        notes.push(format!(
            "keys read that are not there: {null}; fill them with -t set"
        ));
    }
    if row.requests_lost > 0 {
        notes.push(format!(
            "requests lost, not answered: {}",
            row.requests_lost
        ));
    }
    if total.connections_lost > 0 {
        let reasons = outcomes
            .iter()
            .filter_map(|outcome| outcome.tally.first_loss.as_deref());
        let first = reasons.take(1).collect::<String>();
        let lost = total.connections_lost;
        notes.push(format!("connections lost: {lost}; the first: {first}"));
    }
    if let Some(unsent) = row.requests_unsent.filter(|&unsent| unsent > 0) {
        notes.push(format!(
            "requests not sent, because the rate was not reached: {unsent}"
        ));
    }
    for outcome in outcomes {
        let fault = outcome.cpu.fault.iter();
        notes.extend(fault.map(|fault| format!("no CPU time of the servers: {fault}")));
    }
    notes
}

const HEADINGS: [&str; 12] = [
    "command",
    "requests",
    "per s",
    "mean µs",
    "p50",
    "p90",
    "p99",
    "p99.9",
    "max",
    "errors",
    "server CPU µs",
    "client CPU µs",
];

fn cells(row: &Row) -> [String; 12] {
    let decimals = |figure: Option<f64>, digits: usize| match figure {
        Some(figure) => format!("{figure:.digits$}"),
        None => "-".to_owned(),
    };
    [
        row.command.to_owned(),
        row.requests_ok.to_string(),
        format!("{:.0}", row.requests_per_second),
        decimals(row.latency_us_mean, 1),
        decimals(row.latency_us_p50, 1),
        decimals(row.latency_us_p90, 1),
        decimals(row.latency_us_p99, 1),
        decimals(row.latency_us_p99_9, 1),
        decimals(row.latency_us_max, 1),
        (row.requests_error + row.requests_lost).to_string(),
        decimals(row.server_cpu_us_per_request, 2),
        decimals(row.client_cpu_us_per_request, 2),
    ]
}

/// The first column to the left, the others to the right, each as wide as its widest cell.
fn align<const COLUMNS: usize>(line: &[String; COLUMNS], lines: &[[String; COLUMNS]]) -> String {
    let mut text = String::new();
    for (column, cell) in line.iter().enumerate() {
        let widths = lines.iter().map(|line| line[column].chars().count());
        let width = widths.max().unwrap_or(0);
        if column == 0 {
            text.push_str(&format!("{cell:<width$}"));
        } else {
            text.push_str(&format!("  {cell:>width$}"));
        }
    }
    text
}

#[cfg(test)]
mod tests;
