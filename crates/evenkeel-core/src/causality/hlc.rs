//! The hybrid logical clock: stamps that follow wall time, never go back and never trust a peer too far.
//!
//! Stamps only decide between truly concurrent writes (replication.md 4.5). Invariants: stamps of one clock
//! strictly increase, also over restarts (a bound is kept in the log); a remote stamp moves the clock by no more
//! than [`SKEW_MAX_MS`] beyond the wall clock.
//! Source: Kulkarni et al., "Logical physical clocks" (2014).

use std::fmt;

use crate::limits::{HLC_RESERVE_MS, SKEW_MAX_MS};
use crate::time::WallMs;

/// A stamp: 48 bits of wall-clock milliseconds, 16 bits of logical counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The first stamp of a millisecond; times beyond 48 bits count as the last one.
    #[must_use]
    pub const fn from_wall(wall: WallMs) -> Self {
        let ms = if wall.0 < 1 << 48 {
            wall.0
        } else {
            (1 << 48) - 1
        };
        Self(ms << 16)
    }

    /// The wall-clock part.
    #[must_use]
    pub const fn wall(self) -> WallMs {
        WallMs(self.0 >> 16)
    }

    const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.wall().0, self.0 & 0xffff)
    }
}

/// What became of a remote stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observed {
    /// Within the bound: the clock is now at least there.
    Followed,
    /// More than the bound ahead: the clock moved to the bound only. Count it and raise an alarm.
    TooFarAhead,
}

/// A replica's clock.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    last: Hlc,
    /// Stamps below this are reserved in the log: a restart continues above it.
    reserved: Hlc,
}

impl Clock {
    /// The newest stamp given or followed.
    #[must_use]
    pub const fn last(&self) -> Hlc {
        self.last
    }

    /// A stamp for a local event that overwrites versions stamped up to `observed`.
    ///
    /// It is greater than every stamp of this clock and than `observed`. An `observed` beyond the skew bound
    /// stamps this one event only and leaves the clock where it is, so that one wild clock does not spread.
    pub fn stamp(&mut self, wall: WallMs, observed: Hlc) -> Hlc {
        let own = Hlc::from_wall(wall).max(self.last.next());
        if observed < own {
            self.last = own;
            return own;
        }
        let above = observed.next();
        self.last = if above <= bound(wall) { above } else { own };
        above
    }

    /// Follows a remote stamp, up to the skew bound.
    pub fn observe(&mut self, wall: WallMs, remote: Hlc) -> Observed {
        let bound = bound(wall);
        self.last = self.last.max(remote.min(bound));
        if remote > bound {
            Observed::TooFarAhead
        } else {
            Observed::Followed
        }
    }

    /// Whether the reservation is used up; then the bound to write to the log, which this call notes as written.
    /// The bound must reach the disk no later than an event stamped above the old one.
    pub fn reserve(&mut self, wall: WallMs) -> Option<Hlc> {
        if self.last < self.reserved {
            return None;
        }
        let ahead = WallMs(
            self.last
                .wall()
                .0
                .max(wall.0)
                .saturating_add(HLC_RESERVE_MS),
        );
        self.reserved = Hlc::from_wall(ahead);
        Some(self.reserved)
    }

    /// Continues above a stamp found in the log.
    pub fn replay(&mut self, stamp: Hlc) {
        // A stamp beyond its writer's bound did not move that clock, and must not move this one after a restart;
        // own stamps are below the bounds in the log, which `restore` follows.
        self.last = self.last.max(stamp.min(self.reserved));
    }

    /// The bound that the log holds: every stamp given so far is below it.
    #[must_use]
    pub const fn reserved(&self) -> Hlc {
        self.reserved
    }

    /// Continues above a bound found in the log.
    pub fn restore(&mut self, bound: Hlc) {
        self.last = self.last.max(bound);
        self.reserved = self.reserved.max(bound);
    }
}

const fn bound(wall: WallMs) -> Hlc {
    Hlc::from_wall(WallMs(wall.0.saturating_add(SKEW_MAX_MS)))
}
