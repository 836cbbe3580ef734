//! How long this node's own writes take until other nodes hold them: every write, none sampled.
//!
//! Measured on this node's clock from the write until the other node has told that it holds it, so no skew of clocks
//! is in it, and the time until it told (a quarter of a second when nobody waits for it) is: an upper bound.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use evenkeel_core::id::NodeId;
use evenkeel_core::observation::Delay;
use hdrhistogram::Histogram;
use parking_lot::{Mutex, RwLock};

/// Upper ends of the histogram's buckets, in milliseconds: fine where links between datacentres and the time until a
/// node tells lie, coarse where nodes were cut off.
const BOUNDS_MS: [u64; 16] = [
    1, 5, 10, 25, 50, 100, 250, 300, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 600_000,
];
/// The longest delay that is told apart from longer ones, in microseconds: a day.
const LONGEST_US: u64 = 86_400_000_000;
/// Two digits of each quantile are right.
const DIGITS: u8 = 2;

/// The delays to one node, or to all.
struct Measured {
    histogram: Histogram<u64>,
    /// Events up to each bound; not cumulated.
    buckets: [u64; BOUNDS_MS.len()],
    events: u64,
    sum_us: u64,
}

/// The delays to each other node (`Some`) and to all of a partition's members (`None`).
#[derive(Default)]
pub(crate) struct Visibility(RwLock<BTreeMap<Option<NodeId>, Mutex<Measured>>>);

/// What is told of the delays to one node, or to all.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Figures {
    /// `None`: all members.
    pub(crate) peer: Option<NodeId>,
    pub(crate) events: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Measured {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, DIGITS);
        Self {
            histogram: histogram.expect("the bounds are in order and the digits few"),
            buckets: [0; BOUNDS_MS.len()],
            events: 0,
            sum_us: 0,
        }
    }

    fn record(&mut self, delay: &Delay) {
        let us = delay.after.0;
        self.histogram
            .saturating_record_n(us.clamp(1, LONGEST_US), delay.events);
        let bucket = BOUNDS_MS.iter().position(|bound| us <= bound * 1000);
        if let Some(bucket) = bucket {
            self.buckets[bucket] += delay.events;
        }
        self.events += delay.events;
        self.sum_us = self.sum_us.saturating_add(us.saturating_mul(delay.events));
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "two digits are told, and a day has 37 bits of microseconds"
)]
fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

impl Visibility {
    /// Nothing measured yet, for these other nodes.
    pub(crate) fn of(peers: impl Iterator<Item = NodeId>) -> Self {
        let all = Self::default();
        all.measure(peers);
        all
    }

    /// Measures the delays to these other nodes, and to no others any more.
    pub(crate) fn measure(&self, peers: impl Iterator<Item = NodeId>) {
        let keys: BTreeSet<Option<NodeId>> = peers.map(Some).chain([None]).collect();
        let mut measured = self.0.write();
        measured.retain(|key, _| keys.contains(key));
        for key in keys {
            measured
                .entry(key)
                .or_insert_with(|| Mutex::new(Measured::new()));
        }
    }

    /// Takes delays to a node, or to all.
    pub(crate) fn record(&self, peer: Option<NodeId>, delays: &[Delay]) {
        if let Some(measured) = self.0.read().get(&peer) {
            let mut measured = measured.lock();
            delays.iter().for_each(|delay| measured.record(delay));
        }
    }

    /// The figures, those of all members first.
    pub(crate) fn figures(&self) -> Vec<Figures> {
        let one = |(peer, measured): (&Option<NodeId>, &Mutex<Measured>)| {
            let measured = measured.lock();
            let histogram = &measured.histogram;
            Figures {
                peer: *peer,
                events: measured.events,
                p50_ms: ms(histogram.value_at_quantile(0.5)),
                p99_ms: ms(histogram.value_at_quantile(0.99)),
                max_ms: ms(histogram.max()),
            }
        };
        self.0.read().iter().map(one).collect()
    }

    /// The Prometheus text form; `name` names a node.
    pub(crate) fn render(&self, out: &mut String, name: impl Fn(NodeId) -> String) {
        const NAME: &str = "evenkeel_visibility_seconds";
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "# HELP {NAME} Time from a write on this node until the peer, or every member (peer=\"*\"), has told that it holds it; includes up to 0.25 s until it tells. High: the link to the peer is slow, lossy or was cut; see evenkeel_lag_events and evenkeel_link_up.\n# TYPE {NAME} histogram"
        );
        for (peer, measured) in self.0.read().iter() {
            let peer = peer.map_or_else(|| "*".to_owned(), &name);
            let measured = measured.lock();
            let mut sum = 0;
            for (bound, events) in BOUNDS_MS.iter().zip(&measured.buckets) {
                sum += events;
                let bound = ms(*bound);
                let _ = writeln!(out, "{NAME}_bucket{{peer=\"{peer}\",le=\"{bound}\"}} {sum}");
            }
            let (events, seconds) = (measured.events, ms(measured.sum_us / 1000));
            let _ = writeln!(
                out,
                "{NAME}_bucket{{peer=\"{peer}\",le=\"+Inf\"}} {events}\n{NAME}_sum{{peer=\"{peer}\"}} {seconds}\n{NAME}_count{{peer=\"{peer}\"}} {events}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::time::Duration;

    use super::*;

    const B: NodeId = NodeId(1);

    fn delay(events: u64, ms: u64) -> Delay {
        Delay {
            events,
            after: Duration::from_millis(ms),
        }
    }

    #[test]
    fn quantiles_count_every_event_and_not_every_message() {
        let visibility = Visibility::of([B].into_iter());
        visibility.record(Some(B), &[delay(98, 100), delay(2, 4_000)]);
        let figures = visibility.figures();
        assert_eq!((figures[0].peer, figures[0].events), (None, 0));
        let b = figures[1];
        assert_eq!((b.peer, b.events), (Some(B), 100));
        assert!((99.0..102.0).contains(&b.p50_ms), "{b:?}");
        assert!((3_950.0..4_050.0).contains(&b.p99_ms), "{b:?}");
        assert!((3_950.0..4_050.0).contains(&b.max_ms), "{b:?}");
    }

    #[test]
    fn buckets_add_up_and_what_is_longer_than_the_last_is_in_no_other() {
        let visibility = Visibility::of([B].into_iter());
        visibility.record(Some(B), &[delay(3, 1), delay(1, 250), delay(2, 10_000_000)]);
        let mut out = String::new();
        visibility.render(&mut out, |_| "B".to_owned());
        for line in [
            "evenkeel_visibility_seconds_bucket{peer=\"B\",le=\"0.001\"} 3",
            "evenkeel_visibility_seconds_bucket{peer=\"B\",le=\"0.25\"} 4",
            "evenkeel_visibility_seconds_bucket{peer=\"B\",le=\"600\"} 4",
            "evenkeel_visibility_seconds_bucket{peer=\"B\",le=\"+Inf\"} 6",
            "evenkeel_visibility_seconds_count{peer=\"B\"} 6",
            "evenkeel_visibility_seconds_count{peer=\"*\"} 0",
        ] {
            assert!(out.lines().any(|found| found == line), "{line}\n{out}");
        }
    }
}
