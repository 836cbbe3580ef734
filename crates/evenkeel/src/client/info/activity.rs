//! What INFO tells of commands and errors, and of the processor.

use std::sync::atomic::Ordering;

use super::{Session, line};

pub(super) fn commands(session: &Session, out: &mut String) {
    for (name, total) in session.node.front.stats.totals() {
        let mean = total.micros as f64 / total.calls.max(1) as f64;
        line(
            out,
            format_args!(
                "cmdstat_{name}:calls={},usec={},usec_per_call={mean:.2},rejected_calls={},failed_calls={}",
                total.calls, total.micros, total.rejected, total.failed
            ),
        );
    }
}

pub(super) fn errors(session: &Session, out: &mut String) {
    for (code, count) in session.node.front.stats.errors() {
        line(out, format_args!("errorstat_{code}:count={count}"));
    }
}

pub(super) fn latencies(session: &Session, out: &mut String) {
    let settings = &session.node.front.settings;
    if !settings.latency_tracking.load(Ordering::Relaxed) {
        return;
    }
    let percentiles = settings.percentiles();
    for (name, total) in session.node.front.stats.totals() {
        if total.tracked() == 0 {
            continue;
        }
        let shown: Vec<String> = percentiles
            .iter()
            .map(|percentile| format!("p{percentile}={:.3}", total.percentile(*percentile)))
            .collect();
        line(
            out,
            format_args!("latency_percentiles_usec_{name}:{}", shown.join(",")),
        );
    }
}

/// Processor seconds of this process in user and in system mode; zero where the system does not say.
pub(super) fn cpu_seconds() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces.
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let seconds = |at: usize| {
        let ticks_used = fields.get(at).and_then(|field| field.parse::<f64>().ok());
        ticks_used.unwrap_or(0.0) / ticks
    };
    (seconds(11), seconds(12))
}
