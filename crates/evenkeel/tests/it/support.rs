//! What every test needs: waiting on conditions, ports, and saying what was skipped.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// No answer to an HTTP request of a test may take longer.
const HTTP_LIMIT: Duration = Duration::from_secs(30);

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

/// The whole answer to an HTTP request, with its head.
pub(crate) fn http(
    address: &str,
    line: &str,
    headers: &[&str],
    body: &str,
) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(HTTP_LIMIT))?;
    write!(
        stream,
        "{line} HTTP/1.1\r\n{}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        headers.join("\r\n"),
        body.len()
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The Python that has redis-py 5 or newer; without one, says that the test is left out.
pub(crate) fn python_with_redis(test: &str) -> Option<&'static str> {
    let usable = |python: &&str| {
        let asks = "import redis; assert int(redis.__version__.split('.')[0]) >= 5";
        let asked = Command::new(python).args(["-c", asks]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(usable);
    if found.is_none() {
        skip(test, "no python3 with redis 5 or newer");
    }
    found
}
