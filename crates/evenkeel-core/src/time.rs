//! Time as the state machines see it: handed in, never read from a clock.

use std::fmt;
use std::ops::Add;

/// A point on the node's monotonic clock, in microseconds since an arbitrary start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(pub u64);

/// A length of monotonic time, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Duration(pub u64);

impl From<core::time::Duration> for Duration {
    /// Rounded up: what waits for it does not end early.
    fn from(length: core::time::Duration) -> Self {
        let micros = length.as_nanos().div_ceil(1_000);
        Self(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

impl Duration {
    /// A length given in milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1000)
    }

    /// The length in whole milliseconds, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(length.0))
    }
}

impl Instant {
    /// Time passed since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A wall-clock time in milliseconds since the Unix epoch. May step, drift and lie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WallMs(pub u64);

/// Both clocks of a node at one instant: the only source of time of a state machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Monotonic: time-outs and pacing.
    pub instant: Instant,
    /// Wall clock: stamps and deadlines of data.
    pub wall: WallMs,
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn a_length_of_a_clock_is_rounded_up() {
        let of = |nanos| Duration::from(core::time::Duration::from_nanos(nanos));
        assert_eq!(
            [of(0), of(1), of(1_000), of(1_001)],
            [0, 1, 1, 2].map(Duration)
        );
        assert_eq!(
            Duration::from(core::time::Duration::MAX),
            Duration(u64::MAX)
        );
    }
}
