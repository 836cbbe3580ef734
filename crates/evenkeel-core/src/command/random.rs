//! Chance for commands that draw an element: numbers from a seed that the shell hands in, for the core has no entropy.

use std::collections::BTreeSet;

/// A source of random numbers (splitmix64): the same ones from the same seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The source that begins at a seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// A source of its own, which goes on apart from this one.
    pub(super) const fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// The next number, any of 64 bits.
    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, evenly but for less than one part in 2^32; 0 when the bound is.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let scaled = u128::from(self.next()) * bound as u128;
        usize::try_from(scaled >> u64::BITS).unwrap_or(0)
    }

    /// So many different numbers below `bound`, ascending, each choice as likely as the others (Floyd); all of them
    /// when there are no more.
    pub(super) fn distinct_below(&mut self, wanted: usize, bound: usize) -> Vec<usize> {
        if wanted >= bound {
            return (0..bound).collect();
        }
        let mut chosen = BTreeSet::new();
        for last in bound - wanted..bound {
            let drawn = self.below(last + 1);
            if !chosen.insert(drawn) {
                chosen.insert(last);
            }
        }
        chosen.into_iter().collect()
    }
}
