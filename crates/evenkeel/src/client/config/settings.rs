//! The parameters of one node as they are now: what was set, and those that are looked at while running.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use super::values::{memory, output_limits, percentiles, show_output_limits};
use crate::client::connected::OutputLimit;

/// Settings of a node. What is looked at for each command is an atomic.
#[derive(Debug)]
pub(in crate::client) struct Settings {
    changed: RwLock<BTreeMap<&'static str, String>>,
    /// `client-output-buffer-limit`, for normal clients, replicas and subscribers.
    output_limits: RwLock<[[u64; 3]; 3]>,
    percentiles: RwLock<Vec<f64>>,
    pub(in crate::client) idle_seconds_max: AtomicU64,
    pub(in crate::client) clients_max: AtomicU64,
    pub(in crate::client) keepalive_seconds: AtomicU64,
    /// Microseconds; below zero: nothing is slow.
    pub(in crate::client) slow_micros: AtomicI64,
    pub(in crate::client) slowlog_max: AtomicU64,
    /// Milliseconds; zero: off.
    pub(in crate::client) latency_millis: AtomicU64,
    pub(in crate::client) latency_tracking: AtomicBool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            changed: RwLock::default(),
            output_limits: RwLock::new([
                [0, 0, 0],
                [256 << 20, 64 << 20, 60],
                [32 << 20, 8 << 20, 60],
            ]),
            percentiles: RwLock::new(vec![50.0, 99.0, 99.9]),
            idle_seconds_max: AtomicU64::new(0),
            clients_max: AtomicU64::new(10_000),
            keepalive_seconds: AtomicU64::new(300),
            slow_micros: AtomicI64::new(10_000),
            slowlog_max: AtomicU64::new(128),
            latency_millis: AtomicU64::new(0),
            latency_tracking: AtomicBool::new(true),
        }
    }
}

impl Settings {
    /// What was set, if anything was.
    pub(super) fn changed(&self, name: &str) -> Option<String> {
        match name {
            "client-output-buffer-limit" => Some(show_output_limits(&self.output_limits.read())),
            _ => self.changed.read().get(name).cloned(),
        }
    }

    /// Sets a parameter to a value that was checked.
    pub(super) fn set(&self, name: &'static str, value: String) {
        let number = value.parse::<i64>().unwrap_or(0);
        let natural = number.unsigned_abs();
        match name {
            "timeout" => self.idle_seconds_max.store(natural, Ordering::Relaxed),
            "maxclients" => self.clients_max.store(natural, Ordering::Relaxed),
            "tcp-keepalive" => self.keepalive_seconds.store(natural, Ordering::Relaxed),
            "slowlog-log-slower-than" => self.slow_micros.store(number, Ordering::Relaxed),
            "slowlog-max-len" => self.slowlog_max.store(natural, Ordering::Relaxed),
            "latency-monitor-threshold" => self.latency_millis.store(natural, Ordering::Relaxed),
            "latency-tracking" => {
                self.latency_tracking
                    .store(value == "yes", Ordering::Relaxed);
            }
            "latency-tracking-info-percentiles" => {
                *self.percentiles.write() = percentiles(&value).unwrap_or_default();
            }
            "client-output-buffer-limit" => {
                let mut limits = self.output_limits.write();
                for (class, limit) in output_limits(&value).unwrap_or_default() {
                    limits[class] = limit;
                }
                return;
            }
            _ => {}
        }
        self.changed.write().insert(name, value);
    }

    /// How much may wait for a subscriber.
    pub(in crate::client) fn pubsub_limit(&self) -> OutputLimit {
        let [hard_bytes, soft_bytes, seconds] = self.output_limits.read()[2];
        OutputLimit {
            hard_bytes,
            soft_bytes,
            soft: Duration::from_secs(seconds),
        }
    }

    /// What INFO's latencystats show.
    pub(in crate::client) fn percentiles(&self) -> Vec<f64> {
        self.percentiles.read().clone()
    }

    /// A parameter that is only stored.
    pub(in crate::client) fn text(&self, name: &str, default: &str) -> String {
        let value = self.changed.read().get(name).cloned();
        value.unwrap_or_else(|| default.to_owned())
    }

    /// A parameter that is only stored, as bytes.
    pub(in crate::client) fn bytes(&self, name: &str) -> u64 {
        let value = self.changed.read().get(name).cloned();
        let bytes = value.and_then(|value| memory(&value));
        bytes.map_or(0, i64::unsigned_abs)
    }
}
