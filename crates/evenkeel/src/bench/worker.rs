//! One thread of the generator: its connections, each sending a batch when the last is answered
//! (closed loop) or when requests are due (fixed rate).
//!
//! At a fixed rate one idle connection at a time waits for the next moment; the others queue
//! behind it in order. It then takes all requests that are due, up to the pipeline depth, so a
//! generator that is late catches up in batches, and the wait shows as latency.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::command::Command;
use super::limits::{RECONNECT_PAUSE, RECONNECT_PAUSE_MAX};
use super::link::{Greeting, Link, Target};
use super::pace::{Claims, Rate};
use super::request::Requests;
use super::tally::{Answer, Tally};
use super::timer::Timer;

/// What all threads of a phase share.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) requests: Requests,
    pub(super) claims: Claims,
    pub(super) rate: Option<Rate>,
    pub(super) duration: Option<Duration>,
    pub(super) pipeline: u64,
    pub(super) greeting: Greeting,
    /// Attempts in a row to get a lost connection back; after them it is given up.
    pub(super) reconnects_max: u32,
    /// A connection is given up when nothing at all is answered for this long.
    pub(super) silence_max: Duration,
}

/// Sends the load over connections that are open and waits for the end of it.
pub(super) async fn run(
    load: Arc<Load>,
    links: Vec<(Arc<Target>, Link)>,
    start: Instant,
) -> anyhow::Result<Tally> {
    let worker = Rc::new(Worker {
        deadline: load.duration.map(|duration| start + duration),
        start,
        tally: RefCell::new(Tally::new()),
        turn: Mutex::new(Timer::new()?),
        waiting: Cell::new(0),
        seen: Cell::new(None),
        load,
    });
    let mut tasks = JoinSet::new();
    let local = tokio::task::LocalSet::new();
    for (target, link) in links {
        tasks.spawn_local_on(drive(Rc::clone(&worker), target, link), &local);
    }
    local
        .run_until(async {
            loop {
                match timeout(worker.load.silence_max, tasks.join_next()).await {
                    Ok(None) => break Ok(()),
                    Ok(Some(Ok(()))) => {}
                    Ok(Some(Err(error))) if error.is_cancelled() => {}
                    Ok(Some(Err(error))) => break Err(error.into()),
                    Err(_) if worker.is_silent() => {
                        let gone = tasks.len();
                        worker.give_up(gone);
                        tasks.abort_all();
                    }
                    Err(_) => {}
                }
            }
        })
        .await
        .map(|()| worker.tally.replace(Tally::new()))
}

struct Worker {
    load: Arc<Load>,
    start: Instant,
    deadline: Option<Instant>,
    tally: RefCell<Tally>,
    /// Whose turn it is to wait for the next moment.
    turn: Mutex<Timer>,
    /// Connections that wait for answers.
    waiting: Cell<usize>,
    /// What was seen when silence was last looked for.
    seen: Cell<Option<Seen>>,
}

/// Someone was waiting when this many answers and losses had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    events: u64,
}

/// The requests of one batch under way.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Each with the moment its latency counts from, in nanoseconds from the start.
    requests: Vec<(Command, u64)>,
}

async fn drive(worker: Rc<Worker>, target: Arc<Target>, link: Link) {
    let mut link = Some(link);
    let mut losses = 0;
    let mut batch = Batch::default();
    loop {
        let Some(open) = &mut link else {
            match worker.reopen(&target, losses).await {
                Reopened::Link(opened) => link = Some(opened),
                Reopened::Failed => losses += 1,
                Reopened::GaveUp => return,
            }
            continue;
        };
        let Some(claimed) = worker.claim().await else {
            return;
        };
        worker.fill(claimed, &mut batch);
        let mut next = 0;
        worker.waiting.update(|waiting| waiting + 1);
        let exchanged = open
            .exchange(&batch.bytes, |answers| {
                next += worker.record(&batch.requests[next..], answers);
                batch.requests.len() - next
            })
            .await;
        worker.waiting.update(|waiting| waiting - 1);
        match exchanged {
            Ok(()) => losses = 0,
            Err(error) => {
                losses += 1;
                link = None;
                let reason = || format!("{}: {error}", target.name);
                worker.tally.borrow_mut().connection_lost(reason);
            }
        }
    }
}

enum Reopened {
    Link(Link),
    Failed,
    GaveUp,
}

impl Worker {
    fn elapsed_ns(&self) -> u64 {
        let elapsed = Instant::now().saturating_duration_since(self.start);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }

    fn is_over(&self) -> bool {
        let claims = &self.load.claims;
        claims.taken() >= claims.limit()
            || self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// The next requests to send, when it is time; `None` at the end of the load.
    async fn claim(&self) -> Option<Range<u64>> {
        let claimed = match self.load.rate {
            None if self.is_over() => return None,
            None => self.load.claims.take(self.load.pipeline),
            Some(rate) => self.claim_due(rate).await?,
        };
        (!claimed.is_empty()).then_some(claimed)
    }

    async fn claim_due(&self, rate: Rate) -> Option<Range<u64>> {
        let claims = &self.load.claims;
        let mut timer = self.turn.lock().await;
        loop {
            if self.is_over() {
                return None;
            }
            let claimed = claims.take_below(rate.due_count(self.elapsed_ns()), self.load.pipeline);
            if !claimed.is_empty() {
                return Some(claimed);
            }
            let due = Duration::from_nanos(rate.due_ns(claims.taken()));
            // Without a timer there is no pace to keep, and so no load.
            timer.wait_until(self.start + due).await.ok()?;
        }
    }

    fn fill(&self, claimed: Range<u64>, batch: &mut Batch) {
        batch.bytes.clear();
        batch.requests.clear();
        let now_ns = self.elapsed_ns();
        let mut tally = self.tally.borrow_mut();
        for ordinal in claimed {
            let command = self.load.requests.encode(ordinal, &mut batch.bytes);
            let from_ns = self.load.rate.map_or(now_ns, |rate| rate.due_ns(ordinal));
            batch.requests.push((command, from_ns));
            tally.sent(command);
        }
    }

    /// Records answers to the requests, in order; how many there were.
    fn record(
        &self,
        requests: &[(Command, u64)],
        answers: &mut dyn Iterator<Item = Answer>,
    ) -> usize {
        let now_ns = self.elapsed_ns();
        let mut tally = self.tally.borrow_mut();
        tally.last_answer_ns = now_ns;
        let mut recorded = 0;
        for (&(command, from_ns), answer) in requests.iter().zip(answers) {
            tally.answered(command, &answer, now_ns.saturating_sub(from_ns));
            recorded += 1;
        }
        recorded
    }

    /// One attempt to get a connection back after `losses` in a row.
    async fn reopen(&self, target: &Target, losses: u32) -> Reopened {
        if losses > self.load.reconnects_max || self.is_over() {
            return Reopened::GaveUp;
        }
        sleep(pause(losses)).await;
        if self.is_over() {
            return Reopened::GaveUp;
        }
        match Link::open(target, &self.load.greeting).await {
            Ok(link) => Reopened::Link(link),
            Err(_) => Reopened::Failed,
        }
    }

    /// Whether someone was waiting at the last look, someone is now, and nothing came between.
    fn is_silent(&self) -> bool {
        let events = self.tally.borrow().events();
        let now = (self.waiting.get() > 0).then_some(Seen { events });
        now.is_some() && self.seen.replace(now) == now
    }

    fn give_up(&self, connections: usize) {
        let mut tally = self.tally.borrow_mut();
        for _ in 0..connections {
            let reason = || format!("no answer within {:?}", self.load.silence_max);
            tally.connection_lost(reason);
        }
    }
}

/// Before attempt `losses` to get a connection back.
fn pause(losses: u32) -> Duration {
    match losses.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => (RECONNECT_PAUSE * (1 << doublings.min(16))).min(RECONNECT_PAUSE_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_is_made_at_once_and_later_ones_ever_more_slowly() {
        let pauses_ms = [1, 2, 3, 4, 10, u32::MAX].map(|losses| pause(losses).as_millis());
        assert_eq!(pauses_ms, [0, 10, 20, 40, 500, 500]);
    }
}
