//! Who sends which request when: numbers are handed out once, and at a fixed rate each number
//! has the moment it is meant for.
//!
//! Invariants:
//! - each number below the limit goes to one connection;
//! - a moment depends on the number alone, never on earlier replies: latency measured from it
//!   counts the time a request had to wait for its turn (no coordinated omission).

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

const SECOND_NS: u128 = 1_000_000_000;

/// Requests per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(pub(super) NonZeroU64);

impl Rate {
    fn per_second(self) -> u128 {
        u128::from(self.0.get())
    }

    /// Nanoseconds from the start to the moment request `ordinal` is meant for.
    pub(super) fn due_ns(self, ordinal: u64) -> u64 {
        clip((u128::from(ordinal) * SECOND_NS).div_ceil(self.per_second()))
    }

    /// Requests due when `elapsed_ns` have passed: those whose [`Self::due_ns`] is not later.
    pub(super) fn due_count(self, elapsed_ns: u64) -> u64 {
        clip(u128::from(elapsed_ns) * self.per_second() / SECOND_NS + 1)
    }

    /// Requests meant for the time before `elapsed_ns`.
    pub(super) fn count_before(self, elapsed_ns: u64) -> u64 {
        elapsed_ns
            .checked_sub(1)
            .map_or(0, |last_ns| self.due_count(last_ns))
    }
}

fn clip(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The numbers of the requests, shared by all threads.
#[derive(Debug)]
pub(super) struct Claims {
    next: AtomicU64,
    limit: u64,
}

impl Claims {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            next: AtomicU64::new(0),
            limit,
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// How many are handed out.
    pub(super) fn taken(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// The next `count` numbers, or what is left.
    pub(super) fn take(&self, count: u64) -> Range<u64> {
        self.take_below(self.limit, count)
    }

    /// Up to `count` of the next numbers, none of them `end` or above.
    pub(super) fn take_below(&self, end: u64, count: u64) -> Range<u64> {
        let end = end.min(self.limit);
        let upto = |next: u64| next.saturating_add(count).min(end).max(next);
        let step = |next| Some(upto(next));
        match self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
        {
            Ok(first) | Err(first) => first..upto(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: u64) -> Rate {
        Rate(NonZeroU64::new(per_second).unwrap())
    }

    #[test]
    fn requests_are_due_evenly() {
        let due: Vec<u64> = (0..4).map(|ordinal| rate(5000).due_ns(ordinal)).collect();
        assert_eq!(due, [0, 200_000, 400_000, 600_000]);
        let due: Vec<u64> = (0..4).map(|ordinal| rate(3).due_ns(ordinal)).collect();
        assert_eq!(due, [0, 333_333_334, 666_666_667, 1_000_000_000]);
    }

    #[test]
    fn rounding_does_not_add_up() {
        assert_eq!(rate(3).due_ns(3 * 86_400), 86_400 * 1_000_000_000);
        assert_eq!(rate(7).due_ns(7_000_000), 1_000_000 * 1_000_000_000);
    }

    #[test]
    fn a_request_is_counted_due_from_its_very_nanosecond_on() {
        for per_second in [1, 3, 7, 5000, 999_983, 1_000_000_000] {
            for ordinal in [1, 2, 17, 1_000_003] {
                let due_ns = rate(per_second).due_ns(ordinal);
                assert!(rate(per_second).due_count(due_ns) > ordinal);
                assert!(rate(per_second).due_count(due_ns - 1) <= ordinal);
            }
        }
    }

    #[test]
    fn a_span_of_time_holds_its_share_of_requests() {
        assert_eq!(rate(5000).count_before(2_000_000_000), 10_000);
        assert_eq!(rate(5000).count_before(0), 0);
        assert_eq!(rate(3).count_before(1), 1);
    }

    #[test]
    fn the_end_of_time_is_clipped_not_wrapped() {
        assert_eq!(rate(1).due_ns(u64::MAX), u64::MAX);
        assert_eq!(rate(1_000_000_000).due_count(u64::MAX), u64::MAX);
    }

    #[test]
    fn each_number_is_handed_out_once_and_none_above_the_limit() {
        let claims = Claims::new(10);
        assert_eq!(claims.take(4), 0..4);
        assert_eq!(claims.take_below(5, 4), 4..5);
        assert_eq!(claims.take_below(5, 4), 5..5);
        assert_eq!(claims.take_below(100, 4), 5..9);
        assert_eq!(claims.take(4), 9..10);
        assert_eq!(claims.take(4), 10..10);
        assert_eq!(claims.taken(), 10);
    }
}
