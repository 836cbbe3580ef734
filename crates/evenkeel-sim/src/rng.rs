//! Pseudo-random numbers from one seed: xoshiro256**, seeded by splitmix64. Integers only, so that every machine
//! draws the same.
//!
//! Each purpose has its own stream: switching one fault off does not shift the draws of the others.
//! Source: Blackman and Vigna, "Scrambled linear pseudorandom number generators" (2018).

/// What a stream is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Plan = 1,
    Network,
    Disk,
    Actors,
    Work,
    Faults,
    Checks,
    /// What is drawn once for the commands of a run.
    Commands,
    /// The commands themselves.
    Requests,
    /// What is drawn once for the changes of members.
    Members,
    /// The changes themselves.
    Changes,
    /// What crashes and damage make of files.
    Media,
}

/// A deterministic source of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Rng([u64; 4]);

const fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Mixes two numbers into one; a good hash of small inputs.
pub(crate) const fn mix(a: u64, b: u64) -> u64 {
    let mut state = a ^ b.rotate_left(32);
    splitmix(&mut state)
}

impl Rng {
    /// One stream of a seed.
    pub(crate) fn new(seed: u64, stream: Stream) -> Self {
        let mut state = mix(seed, stream as u64);
        Self(std::array::from_fn(|_| splitmix(&mut state)))
    }

    /// The next 64 bits.
    pub(crate) const fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Below `end`; 0 when `end` is 0. The bias of the remainder is far below what any check could see.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        let draw = self.next();
        if end == 0 { 0 } else { draw % end }
    }

    /// From `low` to `high`, both included.
    pub(crate) const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// An index below `len`.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// One of `items`, which is not empty.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    /// True with a probability in thousandths.
    pub(crate) const fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// From `low` (> 0) to `high`, each doubling equally likely.
    pub(crate) fn spread(&mut self, low: u64, high: u64) -> u64 {
        let doublings = (high / low).max(1).ilog2();
        let base = low << self.below(u64::from(doublings) + 1);
        (base + self.below(base)).min(high)
    }

    /// Around `mean`: uniform up to twice the mean, one in twenty up to ten times.
    pub(crate) const fn around(&mut self, mean: u64) -> u64 {
        let reach = if self.chance(50) { 10 } else { 2 };
        self.below(mean * reach + 1)
    }
}
