//! How requests to one peer fare: so that a slow one is passed over, and one that does not answer is not sent more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// So many requests wait for one peer at most; more are not sent, and go elsewhere.
const UNDER_WAY_MAX: usize = 4_096;
/// What a peer's pace was counts half after this long: one that was passed over is tried again.
const HALF_LIFE: Duration = Duration::from_secs(1);
/// How much a new answer counts against what is known, as a power of two.
const WEIGHT: u32 = 3;

/// Requests under way, and how long answers take.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    under_way: AtomicUsize,
    /// Microseconds, and when it was noted.
    answers: Mutex<Option<(u64, Instant)>>,
}

impl Pace {
    /// A request is about to be sent; `None` when too many wait already.
    pub(crate) fn begin(&self) -> Option<Asking<'_>> {
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= UNDER_WAY_MAX {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Asking {
            pace: self,
            began: Instant::now(),
        })
    }

    /// How long an answer takes, as far as it was seen lately.
    pub(crate) fn expected(&self) -> Duration {
        let Some((us, at)) = *self.answers.lock() else {
            return Duration::ZERO;
        };
        let lives = at.elapsed().as_millis() / HALF_LIFE.as_millis();
        let lives = u32::try_from(lives).unwrap_or(u32::MAX);
        Duration::from_micros(us.checked_shr(lives).unwrap_or(0))
    }

    fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let known = u64::try_from(self.expected().as_micros()).unwrap_or(u64::MAX);
        let mut answers = self.answers.lock();
        let next = match *answers {
            // Slower than ever counts at once; faster only bit by bit.
            Some(_) if us < known => known - ((known - us) >> WEIGHT).max(1),
            _ => us,
        };
        *answers = Some((next, Instant::now()));
    }
}

/// A request that is under way. Its end is noted when it is dropped, answered or given up.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    pace: &'a Pace,
    began: Instant,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.pace.under_way.fetch_sub(1, Ordering::Relaxed);
        self.pace.note(self.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_the_limit_nothing_more_is_sent_until_one_has_ended() {
        let pace = Pace::default();
        let mut all: Vec<_> = (0..UNDER_WAY_MAX).map(|_| pace.begin().unwrap()).collect();
        assert!(pace.begin().is_none());
        all.pop();
        assert!(pace.begin().is_some());
    }

    #[test]
    fn a_slow_answer_counts_at_once_and_fast_ones_make_up_for_it() {
        let pace = Pace::default();
        assert_eq!(pace.expected(), Duration::ZERO);
        pace.note(Duration::from_micros(100));
        pace.note(Duration::from_millis(50));
        assert!(pace.expected() > Duration::from_millis(20));
        for _ in 0..100 {
            pace.note(Duration::from_micros(100));
        }
        assert!(pace.expected() < Duration::from_millis(1));
    }
}
