//! Every bound of the load generator. What happens at each stands beside it.

use std::time::Duration;

/// Connections in one run; more is wrong use.
pub(super) const CONNECTIONS_MAX: usize = 20_000;
/// Requests of one batch; more is wrong use.
pub(super) const PIPELINE_MAX: usize = 10_000;
/// Threads of the generator; more is wrong use.
pub(super) const THREADS_MAX: usize = 256;
/// Targets of one run; more is wrong use.
pub(super) const TARGETS_MAX: usize = 256;
/// Bytes of a value; more is wrong use. Redis takes 512 MB, a benchmark has no need.
pub(super) const VALUE_BYTES_MAX: usize = 64 << 20;
/// Bytes of a key; more is wrong use.
pub(super) const KEY_BYTES_MAX: usize = 4096;
/// Bytes of one batch, all values included; more is wrong use.
pub(super) const BATCH_BYTES_MAX: usize = 256 << 20;
/// Requests per second that can be asked for: one per nanosecond.
pub(super) const RATE_MAX: u64 = 1_000_000_000;
/// Attempts in a row to get a lost connection back; more is wrong use.
pub(super) const RECONNECTS_MAX: u32 = 10_000;
/// Seconds of one run, and milliseconds of settling or waiting: a day.
pub(super) const SECONDS_MAX: u32 = 86_400;

/// How long one connection may take to be set up, `AUTH` and `HELLO` included.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The pause before the second attempt; doubles with each. The first is made at once.
pub(super) const RECONNECT_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between attempts.
pub(super) const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(500);

/// Kinds of errors told apart; what comes after is counted as `other`.
pub(super) const ERROR_KINDS_MAX: usize = 32;
/// Letters of an error's first word that are kept.
pub(super) const ERROR_WORD_BYTES_MAX: usize = 32;

/// Bytes of one reply: the largest value and its framing. More loses the connection.
pub(super) const REPLY_BYTES_MAX: usize = VALUE_BYTES_MAX + 1024;
/// Room made for each read.
pub(super) const READ_BYTES: usize = 16 << 10;

/// Latencies above are recorded as this one.
pub(super) const LATENCY_NS_MAX: u64 = 600 * 1_000_000_000;
/// Significant decimal figures of a latency: 0.1 % error.
pub(super) const LATENCY_FIGURES: u8 = 3;

const _: () = assert!(VALUE_BYTES_MAX < BATCH_BYTES_MAX);
