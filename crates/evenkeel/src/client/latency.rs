//! LATENCY: how long commands took, as events over a threshold and as distributions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::Duration;

use evenkeel_resp::Reply;
use parking_lot::Mutex;

use super::run::Args;
use super::server::{help, number, text, unknown_subcommand};
use super::session::Session;
use super::stats::Total;

/// Samples kept for each event.
const SAMPLES_MAX: usize = 160;

const HELP: &[&str] = &[
    "DOCTOR",
    "    Return a human readable latency analysis report.",
    "GRAPH <event>",
    "    Return an ASCII latency graph for the <event> class.",
    "HISTORY <event>",
    "    Return time-latency samples for the <event> class.",
    "LATEST",
    "    Return the latest latency samples for all events.",
    "RESET [<event> ...]",
    "    Reset latency data of one or more <event> classes.",
    "    (default: reset all data for all event classes)",
    "HISTOGRAM [COMMAND ...]",
    "    Return a cumulative distribution of commands in histogram format.",
];

/// The events of one node that took longer than `latency-monitor-threshold`.
#[derive(Debug, Default)]
pub(super) struct Latency {
    events: Mutex<BTreeMap<&'static str, Samples>>,
}

#[derive(Debug, Default)]
struct Samples {
    /// Second and milliseconds, the oldest first.
    all: VecDeque<(u64, u64)>,
    greatest: u64,
}

impl Latency {
    /// Notes how long something took, if that is over the threshold.
    pub(super) fn note(&self, event: &'static str, second: u64, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let mut events = self.events.lock();
        let samples = events.entry(event).or_default();
        samples.greatest = samples.greatest.max(millis);
        match samples.all.back_mut() {
            // One sample a second: the greatest.
            Some(last) if last.0 == second => last.1 = last.1.max(millis),
            _ => samples.all.push_back((second, millis)),
        }
        if samples.all.len() > SAMPLES_MAX {
            samples.all.pop_front();
        }
    }
}

/// Whether something of this duration is an event.
pub(super) fn is_event(session: &Session, took: Duration) -> bool {
    let settings = &session.node.front.settings;
    let limit = settings.latency_millis.load(Ordering::Relaxed);
    limit > 0 && took.as_millis() >= u128::from(limit)
}

/// `LATENCY subcommand …`.
pub(super) fn run(session: &Session, args: Args<'_>) -> Reply {
    let events = &session.node.front.latency.events;
    let sub = args[1].to_ascii_lowercase();
    match (&sub[..], &args[2..]) {
        (b"latest", []) => latest(&events.lock()),
        (b"history", [event]) => {
            let events = events.lock();
            let samples = event_of(&events, event).map(|(_, samples)| samples.all.iter());
            let samples = samples.into_iter().flatten();
            let pair = |(at, millis): &(u64, u64)| Reply::Array(vec![number(*at), number(*millis)]);
            Reply::Array(samples.map(pair).collect())
        }
        (b"reset", wanted) => reset(&mut events.lock(), wanted),
        (b"doctor", []) => text(doctor(session, &events.lock())),
        (b"graph", [event]) => graph(&events.lock(), event),
        (b"histogram", wanted) => histogram(session, wanted),
        (b"help", []) => help("LATENCY", HELP),
        _ => unknown_subcommand("LATENCY", args[1]),
    }
}

type Events = BTreeMap<&'static str, Samples>;

fn event_of<'a>(events: &'a Events, wanted: &[u8]) -> Option<(&'static str, &'a Samples)> {
    events
        .iter()
        .find(|(event, _)| event.as_bytes() == wanted)
        .map(|(event, samples)| (*event, samples))
}

fn latest(events: &Events) -> Reply {
    let rows = events.iter().filter_map(|(event, samples)| {
        let (at, millis) = samples.all.back()?;
        Some(Reply::Array(vec![
            text(*event),
            number(*at),
            number(*millis),
            number(samples.greatest),
        ]))
    });
    Reply::Array(rows.collect())
}

fn reset(events: &mut Events, wanted: Args<'_>) -> Reply {
    let before = events.len();
    events.retain(|event, _| !wanted.is_empty() && !wanted.contains(&event.as_bytes()));
    number(before - events.len())
}

fn doctor(session: &Session, events: &Events) -> String {
    let limit = session
        .node
        .front
        .settings
        .latency_millis
        .load(Ordering::Relaxed);
    if limit == 0 {
        return "Latency is not watched: latency-monitor-threshold is 0. CONFIG SET latency-monitor-threshold <milliseconds> notes every command that takes longer.".to_owned();
    }
    if events.is_empty() {
        return format!("No command has taken {limit} ms or longer since the last LATENCY RESET.");
    }
    let mut report = format!("Commands that took {limit} ms or longer:\n");
    for (event, samples) in events {
        let count = samples.all.len().max(1) as u64;
        let sum: u64 = samples.all.iter().map(|(_, millis)| millis).sum();
        report.push_str(&format!(
            "- {event}: {count} samples, mean {} ms, greatest {} ms\n",
            sum / count,
            samples.greatest
        ));
    }
    report.push_str("SLOWLOG GET names the commands; INFO evenkeel tells of peers and the disk.");
    report
}

/// One bar for each sample, the greatest eight high.
fn graph(events: &Events, wanted: &[u8]) -> Reply {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let Some((event, samples)) = event_of(events, wanted) else {
        let wanted = wanted.escape_ascii();
        return Reply::error(format!("ERR No samples available for event '{wanted}'"));
    };
    let greatest = samples
        .all
        .iter()
        .map(|(_, millis)| *millis)
        .max()
        .unwrap_or(1)
        .max(1);
    let bars = samples.all.iter().map(|(_, millis)| {
        let height = usize::try_from(millis * 7 / greatest).unwrap_or(7);
        BARS[height.min(7)]
    });
    let bars: String = bars.collect();
    text(format!(
        "{event} - high {greatest} ms, {} samples\n{bars}\n",
        samples.all.len()
    ))
}

/// The distributions of the commands named, or of all that ran.
fn histogram(session: &Session, wanted: Args<'_>) -> Reply {
    let totals = session.node.front.stats.totals();
    let ran = totals.into_iter().filter(|(_, total)| total.tracked() > 0);
    let wanted: Vec<Vec<u8>> = wanted
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    let chosen = ran.filter(|(name, _)| {
        let container = name.split('|').next().unwrap_or_default();
        wanted.is_empty()
            || wanted
                .iter()
                .any(|wanted| wanted == name.as_bytes() || wanted == container.as_bytes())
    });
    Reply::Map(
        chosen
            .map(|(name, total)| (text(name), shape(&total)))
            .collect(),
    )
}

fn shape(total: &Total) -> Reply {
    let steps = total.histogram();
    let steps = steps
        .into_iter()
        .map(|(micros, calls)| (number(micros), number(calls)));
    Reply::Map(vec![
        (text("calls"), number(total.calls)),
        (text("histogram_usec"), Reply::Map(steps.collect())),
    ])
}
