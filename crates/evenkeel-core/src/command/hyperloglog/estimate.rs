//! The cardinality that registers stand for: the improved estimator of Otmar Ertl, "New cardinality estimation
//! algorithms for HyperLogLog sketches", arXiv:1702.01284, section 4, computed in the order in which Redis does, so that
//! both give the same number.

use super::sketch::{REGISTERS, RUN_MAX, VALUES};

/// 0.5 / ln 2.
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// Of how many registers have each value.
pub(super) fn estimate(histogram: &[u32; VALUES]) -> u64 {
    const M: f64 = REGISTERS as f64;
    let longest = usize::from(RUN_MAX);
    let share = |count: u32| f64::from(count) / M;
    let mut z = M * tau((M - f64::from(histogram[longest])) / M);
    for count in histogram[1..longest].iter().rev() {
        z = (z + f64::from(*count)) * 0.5;
    }
    z += M * sigma(share(histogram[0]));
    let estimate = (ALPHA * M * M / z).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and below 2^64 for every histogram of so many registers"
    )]
    let whole = estimate as u64;
    whole
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
