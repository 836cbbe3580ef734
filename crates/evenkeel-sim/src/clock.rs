//! A node's wall clock: offset, drift, steps. The monotonic clock is the world's time and never lies.

use evenkeel_core::time::WallMs;

/// Where the simulated wall clocks begin.
const EPOCH_MS: i64 = 1_790_000_000_000;

/// A wall clock that may be wrong.
#[derive(Clone, Debug)]
pub(crate) struct WallClock {
    /// What it showed at `since`.
    shown_ms: i64,
    since_us: u64,
    /// Wall milliseconds per thousand real ones.
    rate_permille: u64,
}

impl WallClock {
    /// A clock that is `offset_ms` wrong from the start.
    pub(crate) const fn new(offset_ms: i64) -> Self {
        Self {
            shown_ms: EPOCH_MS + offset_ms,
            since_us: 0,
            rate_permille: 1000,
        }
    }

    /// What it shows at the world's time `now_us`.
    pub(crate) fn read(&self, now_us: u64) -> WallMs {
        WallMs(u64::try_from(self.shown(now_us)).unwrap_or(0))
    }

    fn shown(&self, now_us: u64) -> i64 {
        let passed = (now_us - self.since_us) * self.rate_permille / 1_000_000;
        self.shown_ms
            .saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    /// Jumps by `by_ms`.
    pub(crate) fn step(&mut self, now_us: u64, by_ms: i64) {
        self.shown_ms = self.shown(now_us).saturating_add(by_ms);
        self.since_us = now_us;
    }

    /// Runs at another speed from now on.
    pub(crate) fn set_rate(&mut self, now_us: u64, rate_permille: u64) {
        self.shown_ms = self.shown(now_us);
        self.since_us = now_us;
        self.rate_permille = rate_permille;
    }
}
