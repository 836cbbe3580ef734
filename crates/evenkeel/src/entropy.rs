//! Random numbers from the operating system, and cheap ones made from them.

use std::cell::Cell;

use evenkeel_core::command::Random;

/// A number that nobody can guess or repeat: for actors and ids.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|error| {
        // Without entropy an actor could repeat, and dots with it: better not to start than to lose writes.
        tracing::error!(%error, "the operating system gives no random numbers");
        std::process::abort()
    })
}

/// A cheap evenly drawn number (xorshift64*), for what nobody gains by guessing: jitter, injected faults, elements drawn.
pub(crate) fn roll() -> u64 {
    thread_local! { static STATE: Cell<u64> = Cell::new(random() | 1); }
    STATE.with(|state| {
        let mut x = state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        state.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    })
}

/// What one run of a command draws from.
pub(crate) fn chance() -> Random {
    Random::of(roll())
}
