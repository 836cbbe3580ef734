//! Which key a request is about: a pure function of the seed and the request's number.
//!
//! So two runs with one seed send the same requests, whatever the number of threads and
//! connections and however they are scheduled.

use std::fmt;

/// Steps of the sequence that [`Draws`] walks (the golden ratio, as in splitmix64).
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The random numbers of one request (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Draws {
    state: u64,
}

impl Draws {
    /// Those of request `ordinal`. Seeds and ordinals are mixed, not added, so that neighbours
    /// do not walk the same sequence one step apart.
    pub(super) fn new(seed: u64, ordinal: u64) -> Self {
        Self {
            state: mix(mix(seed ^ STEP).wrapping_add(ordinal)),
        }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// A number below `bound`, which is above zero. The bias is below `bound` / 2^64.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `[0, 1)`.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// How requests spread over the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Distribution {
    /// Each key as often as any other.
    Uniform,
    /// Key 0 most often, key 1 next, and so on (see --zipf-exponent).
    Zipf,
    /// Key 0, 1, 2, … and again from 0.
    Sequential,
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
            Self::Sequential => "sequential",
        })
    }
}

/// Picks keys from `0..count`.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    Uniform { count: u64 },
    Zipf(Zipf),
    Sequential { count: u64 },
}

impl Keys {
    /// `count` is above zero, the exponent above zero and finite.
    pub(super) fn new(distribution: Distribution, count: u64, zipf_exponent: f64) -> Self {
        match distribution {
            Distribution::Uniform => Self::Uniform { count },
            Distribution::Zipf => Self::Zipf(Zipf::new(count, zipf_exponent)),
            Distribution::Sequential => Self::Sequential { count },
        }
    }

    pub(super) fn pick(&self, ordinal: u64, draws: &mut Draws) -> u64 {
        match self {
            Self::Uniform { count } => draws.below(*count),
            Self::Zipf(zipf) => zipf.pick(draws),
            Self::Sequential { count } => ordinal % count,
        }
    }
}

/// Zipf's law by rejection inversion (Hörmann and Derflinger, "Rejection-inversion to generate
/// variates from monotone discrete distributions", 1996): constant memory and time for any
/// number of keys, where a table of sums would miss the cache.
#[derive(Clone, Debug)]
pub(super) struct Zipf {
    count: u64,
    exponent: f64,
    /// The integral of `x^-exponent` at the lower and upper end.
    low: f64,
    high: f64,
    /// Below this distance a candidate is taken without a look at the curve.
    sure: f64,
}

impl Zipf {
    fn new(count: u64, exponent: f64) -> Self {
        let mut zipf = Self {
            count,
            exponent,
            low: 0.0,
            high: 0.0,
            sure: 0.0,
        };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(count as f64 + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.density(2.0));
        zipf
    }

    fn pick(&self, draws: &mut Draws) -> u64 {
        loop {
            let area = self.high + draws.unit() * (self.low - self.high);
            let x = self.inverse(area);
            let rank = self.rank(x);
            let distance = rank as f64 - x;
            let curve = || self.integral(rank as f64 + 0.5) - self.density(rank as f64);
            if distance <= self.sure || area >= curve() {
                return rank - 1;
            }
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "bounded by the number of keys in the same line"
    )]
    fn rank(&self, x: f64) -> u64 {
        (x.round().max(1.0) as u64).min(self.count)
    }

    fn density(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// `(x^(1-e) - 1) / (1-e)`, and `ln x` for e = 1.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        expm1_over((1.0 - self.exponent) * log) * log
    }

    fn inverse(&self, area: f64) -> f64 {
        let scaled = (area * (1.0 - self.exponent)).max(-1.0);
        (ln1p_over(scaled) * area).exp()
    }
}

/// `(e^x - 1) / x`, right near zero too.
fn expm1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 {
        x.exp_m1() / x
    } else {
        1.0 + x / 2.0
    }
}

/// `ln(1 + x) / x`, right near zero too.
fn ln1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 {
        x.ln_1p() / x
    } else {
        1.0 - x / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(distribution: Distribution, keys: u64, seed: u64, requests: u64) -> Vec<u64> {
        let keys = Keys::new(distribution, keys, 0.99);
        let pick = |ordinal| keys.pick(ordinal, &mut Draws::new(seed, ordinal));
        (0..requests).map(pick).collect()
    }

    fn histogram(picks: &[u64], keys: usize) -> Vec<u64> {
        let mut counts = vec![0; keys];
        for &key in picks {
            counts[usize::try_from(key).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn the_same_seed_picks_the_same_keys_and_another_seed_others() {
        for distribution in [Distribution::Uniform, Distribution::Zipf] {
            let first = picks(distribution, 1_000_000, 7, 1000);
            assert_eq!(first, picks(distribution, 1_000_000, 7, 1000));
            assert_ne!(first, picks(distribution, 1_000_000, 8, 1000));
        }
    }

    #[test]
    fn the_keys_of_a_seed_do_not_change_between_versions() {
        assert_eq!(
            picks(Distribution::Uniform, 1000, 1, 6),
            [411, 921, 123, 727, 651, 123]
        );
        assert_eq!(
            picks(Distribution::Zipf, 1000, 1, 6),
            [48, 0, 406, 4, 7, 406]
        );
    }

    #[test]
    fn a_sequence_visits_every_key_in_order_and_begins_again() {
        assert_eq!(
            picks(Distribution::Sequential, 3, 1, 7),
            [0, 1, 2, 0, 1, 2, 0]
        );
    }

    #[test]
    fn uniform_keys_come_equally_often() {
        let counts = histogram(&picks(Distribution::Uniform, 10, 1, 100_000), 10);
        // 10,000 each; the standard deviation is 95.
        assert!(
            counts.iter().all(|&count| (9_500..10_500).contains(&count)),
            "{counts:?}"
        );
    }

    #[test]
    fn zipf_keys_come_as_often_as_the_law_says() {
        for exponent in [0.5, 0.99, 1.0, 1.5] {
            let keys = Keys::new(Distribution::Zipf, 100, exponent);
            let picks: Vec<u64> = (0..200_000)
                .map(|ordinal| keys.pick(ordinal, &mut Draws::new(3, ordinal)))
                .collect();
            let counts = histogram(&picks, 100);
            let weight = |key: usize| (key as f64 + 1.0).powf(-exponent);
            let sum: f64 = (0..100).map(weight).sum();
            for (key, &count) in counts.iter().enumerate() {
                let expected = 200_000.0 * weight(key) / sum;
                let off = (count as f64 - expected).abs();
                assert!(
                    off < 6.0 * expected.sqrt(),
                    "exponent {exponent}, key {key}: {count} times instead of {expected:.0}"
                );
            }
        }
    }

    #[test]
    fn one_key_alone_is_always_picked() {
        for distribution in [
            Distribution::Uniform,
            Distribution::Zipf,
            Distribution::Sequential,
        ] {
            assert!(picks(distribution, 1, 1, 100).iter().all(|&key| key == 0));
        }
    }
}
