//! What every test needs: waiting on conditions, ports, and saying what was skipped.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Whether the long forms are asked for.
pub(crate) fn long() -> bool {
    std::env::var("EVENKEEL_LONG").is_ok_and(|value| value == "1")
}

/// Looks again and again until there is something to see.
pub(crate) fn eventually<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < until, "not within {limit:?}: {what}");
        thread::park_timeout(LOOK_AGAIN);
    }
}

/// Says something that a passing test shows too: the harness keeps back only what is printed by macros.
pub(crate) fn say(text: &str) {
    // A test's outcome does not depend on whether somebody reads.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A test cannot run here: says so, or fails when nothing may be left out.
pub(crate) fn skip(test: &str, why: &str) {
    assert!(
        std::env::var("EVENKEEL_REQUIRE").map_or(true, |value| value != "all"),
        "{test} cannot run and EVENKEEL_REQUIRE=all: {why}"
    );
    say(&format!("SKIPPED {test}: {why}"));
}

/// A port below the range of outgoing connections that nobody listens on and that this process gives out once.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    let start = std::process::id().wrapping_mul(211);
    loop {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + start.wrapping_add(step) % COUNT).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
