//! What is noted of each command that runs: counters, the slow log, latency events, and who watches by MONITOR.
//!
//! A command that is refused before it runs counts as rejected, one that answers an error as failed. The cost of a
//! command that is neither slow nor watched is one look at the clock and three counters of the thread's own.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use evenkeel_core::command::{CommandId, Flag, Spec, lookup_id};
use evenkeel_resp::Reply;

use super::clients::redacted;
use super::latency;
use super::run::{Args, Outcome, run};
use super::session::Session;
use super::slowlog::{self, Entry};
use super::stats::{Counted, Tracked};

/// The command that a session runs now, or ran last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub(super) id: CommandId,
    pub(super) counted: Counted,
    /// Whether it got past the checks.
    pub(super) began: bool,
}

impl Running {
    pub(super) fn new(id: CommandId, args: Args<'_>) -> Self {
        Self {
            id,
            counted: Counted::of(id, args),
            began: false,
        }
    }

    /// It has got past the checks.
    pub(super) const fn begun(mut self) -> Self {
        self.began = true;
        self
    }
}

/// Runs a command and notes it. Gives the time at its end, where the next one begins.
pub(super) fn run_watched(
    session: &mut Session,
    args: Args<'_>,
    begun: Instant,
) -> (Outcome, Instant) {
    session.running = None;
    let outcome = run(session, args);
    let now = Instant::now();
    let took = now.duration_since(begun);
    note_transaction(session);
    if let Some(running) = session.running {
        if running.began {
            ran(session, args, running, took);
            // A transaction that waits is shown behind what is still to run in it.
            if !matches!(outcome, Outcome::Exec(_)) {
                show(session, running.id.spec(), args);
            }
        } else if let (Outcome::Now(Reply::Error(_)), Some(shard)) = (&outcome, &session.shard) {
            shard.rejected(running.counted);
        }
    }
    (outcome, now)
}

/// Shows others how much is queued.
fn note_transaction(session: &Session) {
    let queued = session.transaction.queued();
    let shown = &session.connected.queued;
    if queued.is_some() || shown.load(Ordering::Relaxed) >= 0 {
        let count = queued.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX));
        shown.store(count, Ordering::Relaxed);
    }
}

/// Notes a command of a transaction that ran on a partition, together with others: nobody knows how long it took.
pub(super) fn note_queued(session: &Session, args: Args<'_>, reply: &Reply) {
    let Some(id) = args.first().and_then(|name| lookup_id(name)) else {
        return;
    };
    if let Some(shard) = &session.shard {
        let counted = Counted::of(id, args);
        shard.ran(counted, Duration::ZERO, Tracked::No);
        if let Reply::Error(text) = reply {
            shard.failed(counted);
            session.node.front.stats.error(text.as_bytes());
        }
    }
    show(session, id.spec(), args);
}

/// Shows a command to those who watch.
pub(super) fn show(session: &Session, spec: &Spec, args: Args<'_>) {
    let monitors = &session.node.front.monitors;
    if monitors.is_watched() && !is_for_operators(spec) {
        monitors.tell(session, &redacted(args));
    }
}

/// What MONITOR does not show, as in Redis.
fn is_for_operators(spec: &Spec) -> bool {
    spec.is(Flag::Admin) || matches!(spec.name, "config" | "slowlog" | "latency" | "acl")
}

fn ran(session: &mut Session, args: Args<'_>, running: Running, took: Duration) {
    let node = &session.node;
    let front = &node.front;
    if let Some(shard) = &session.shard {
        let tracked = if front.settings.latency_tracking.load(Ordering::Relaxed) {
            Tracked::Yes
        } else {
            Tracked::No
        };
        shard.ran(running.counted, took, tracked);
    }
    let spec = running.id.spec();
    if slowlog::is_slow(session, took) && spec.name != "exec" {
        session.slow = Some(Entry::new(session, &redacted(args), took));
    }
    if latency::is_event(session, took) {
        let event = if spec.is(Flag::Fast) {
            "fast-command"
        } else {
            "command"
        };
        front.latency.note(event, node.now().wall.0 / 1000, took);
    }
}

/// A command has been answered: errors are counted, and a slow one is logged, not before its reply.
pub(super) fn answered(session: &mut Session, reply: &Reply) {
    if let Reply::Error(text) = reply {
        session.node.front.stats.error(text.as_bytes());
        let running = session.running.filter(|running| running.began);
        if let (Some(running), Some(shard)) = (running, &session.shard) {
            shard.failed(running.counted);
        }
    }
    log_slow(session);
}

/// Logs the command that was slow, if the last one was.
pub(super) fn log_slow(session: &mut Session) {
    if let Some(entry) = session.slow.take() {
        let keep = session
            .node
            .front
            .settings
            .slowlog_max
            .load(Ordering::Relaxed);
        session.node.front.slowlog.push(entry, keep);
    }
}
