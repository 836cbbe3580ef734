//! The log as a server uses it: appended to by any thread, synced by its own.
//!
//! Invariants: the mutex is never held during an fsync, so an append waits for
//! other appends only (and, when the log is [behind](LogError::Behind), for the
//! disk: that is the back-pressure); the observer is called without the mutex,
//! and hears of what is durable in order; a failure reaches it exactly once.

use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{
    Backlog, Condition, Durable, Failure, Log, LogError, Payload, Sequence, SyncJob, Ticket,
};
use crate::disk::Disk;
use crate::limits::SYNC_INTERVAL;

/// When the log is synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SyncPolicy {
    /// At once, again and again while there is something to sync: appends made
    /// during one fsync share the next.
    Always,
    /// At most once a second. A power cut may lose what the last second
    /// brought.
    #[default]
    EverySecond,
    /// Only when a segment is full, on request and on close. A power cut may
    /// lose everything since.
    Never,
}

impl fmt::Display for SyncPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Always => "always",
            Self::EverySecond => "everysec",
            Self::Never => "never",
        })
    }
}

/// The text names no sync policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is none of always, everysec, never")]
pub struct ParseSyncPolicyError {
    /// The text.
    pub text: String,
}

impl FromStr for SyncPolicy {
    type Err = ParseSyncPolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "always" => Ok(Self::Always),
            "everysec" => Ok(Self::EverySecond),
            "never" => Ok(Self::Never),
            _ => Err(ParseSyncPolicyError {
                text: text.to_owned(),
            }),
        }
    }
}

/// Hears what becomes of appended records. It is called from the sync thread
/// mostly and holds that up while it runs.
pub trait Observer<T>: Send + Sync + 'static {
    /// These records are durable now.
    fn on_durable(&self, durable: Durable<T>);

    /// The log takes no more records until restart, and nothing further becomes
    /// durable. May come from a thread that appends.
    fn on_failed(&self, cause: &Arc<Failure>);
}

/// A log that threads share. Dropping it stops the sync thread without a last
/// sync, as a crash would; [`close`](Self::close) is the orderly end.
pub struct SharedLog<D: Disk, T: Send + 'static, O: Observer<T>> {
    shared: Arc<Shared<D, T, O>>,
    disk: Arc<D>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared<D: Disk, T, O> {
    state: Mutex<State<D, T>>,
    /// The sync thread waits here for work.
    work: Condvar,
    /// Appenders wait here while the log is behind.
    progress: Condvar,
    policy: SyncPolicy,
    observer: O,
}

struct State<D: Disk, T> {
    log: Log<D, T>,
    parked: Parked,
    /// Whether somebody asked for a sync now.
    requested: bool,
    stop: Option<Stop>,
    /// When the last sync began.
    last_sync: Option<Instant>,
    /// Whether the observer knows that the log is poisoned.
    told: bool,
}

/// What the sync thread waits for, so that an append makes a system call only
/// when it must.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parked {
    No,
    UntilWork,
    UntilDue,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Sync everything first.
    Close,
    /// Leave everything as it is.
    Abandon,
}

/// When the next sync is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Now,
    After(Duration),
    /// Not before something changes.
    Not,
}

fn due(policy: SyncPolicy, backlog: Backlog, requested: bool, since_last: Option<Duration>) -> Due {
    if !backlog.dirty {
        return Due::Not;
    }
    if requested || backlog.full_segments > 0 {
        return Due::Now;
    }
    match (policy, since_last) {
        (SyncPolicy::Never, _) => Due::Not,
        (SyncPolicy::EverySecond, Some(since)) if since < SYNC_INTERVAL => {
            Due::After(SYNC_INTERVAL - since)
        }
        (SyncPolicy::EverySecond | SyncPolicy::Always, _) => Due::Now,
    }
}

impl<D: Disk, T: Send + 'static, O: Observer<T>> SharedLog<D, T, O> {
    /// Starts the sync thread of a log.
    pub fn start(log: Log<D, T>, policy: SyncPolicy, observer: O) -> io::Result<Self> {
        let disk = Arc::clone(&log.disk);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                log,
                parked: Parked::No,
                requested: false,
                stop: None,
                last_sync: None,
                told: false,
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
            policy,
            observer,
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("evenkeel-sync".to_owned())
            .spawn(move || of_thread.sync_until_stopped())?;
        Ok(Self {
            shared,
            disk,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Appends one record made of all parts; see [`Log::append`]. Its note
    /// reaches the observer when it is durable.
    pub fn append(&self, parts: &[&[u8]], note: T) -> Result<Ticket, LogError> {
        let payload = Payload::new(parts)?;
        let mut state = self.shared.lock();
        while state.stop.is_none() && state.log.is_behind(&payload) {
            state = self
                .shared
                .progress
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.stop.is_some() {
            return Err(LogError::Closed);
        }
        let appended = state.log.append_payload(&payload, note);
        self.shared.wake_if_due(&mut state);
        self.shared.tell_failure(state);
        appended
    }

    /// Begins the next segment; see [`Log::begin_segment`].
    pub fn begin_segment(&self) -> Result<(), LogError> {
        let mut state = self.shared.lock();
        let begun = state.log.begin_segment();
        self.shared.wake_if_due(&mut state);
        self.shared.tell_failure(state);
        begun
    }

    /// Asks for a sync as soon as possible, whatever the policy.
    pub fn request_sync(&self) {
        let mut state = self.shared.lock();
        state.requested = true;
        self.shared.wake_if_due(&mut state);
    }

    /// Removes the segments that hold only records before `sequence`; see
    /// [`Log::begin_removal`]. Appends go on meanwhile.
    pub fn remove_segments_before(&self, sequence: Sequence) -> Result<usize, LogError> {
        let removal = self.shared.lock().log.begin_removal(sequence)?;
        let Some(removal) = removal else { return Ok(0) };
        let segments = removal.segments();
        let result = removal.run();
        let mut state = self.shared.lock();
        let finished = state.log.finish_removal(result);
        self.shared.tell_failure(state);
        finished.map(|()| segments)
    }

    /// The disk that the log is on.
    #[must_use]
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The last record appended.
    #[must_use]
    pub fn last(&self) -> Sequence {
        self.shared.lock().log.last()
    }

    /// The last record known durable.
    #[must_use]
    pub fn durable(&self) -> Sequence {
        self.shared.lock().log.durable()
    }

    /// Syncs everything, tells the observer, and ends the sync thread. Later
    /// appends answer [`LogError::Closed`].
    pub fn close(&self) -> Result<(), LogError> {
        self.stop(Stop::Close);
        let mut state = self.shared.lock();
        match state.log.poisoned() {
            Some(cause) => Err(LogError::Poisoned {
                cause: Arc::clone(cause),
            }),
            None => {
                state.log.mark_closed();
                Ok(())
            }
        }
    }

    fn stop(&self, how: Stop) {
        {
            let mut state = self.shared.lock();
            state.stop = state.stop.or(Some(how));
            self.shared.work.notify_all();
            self.shared.progress.notify_all();
        }
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // The sync thread itself may be the one that drops the log, from the
        // observer; it cannot wait for its own end.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
            && thread.join().is_err()
        {
            self.shared.lock().log.poison(Failure::Panicked);
        }
    }
}

impl<D: Disk, T: Send + 'static, O: Observer<T>> Drop for SharedLog<D, T, O> {
    fn drop(&mut self) {
        self.stop(Stop::Abandon);
    }
}

impl<D: Disk, T: Send + 'static, O: Observer<T>> Shared<D, T, O> {
    fn sync_until_stopped(&self) {
        let synced = panic::catch_unwind(AssertUnwindSafe(|| {
            while let Some(job) = self.next_job() {
                self.sync(job);
            }
        }));
        if synced.is_err() {
            // Without this, appends would succeed for ever and never be durable.
            let mut state = self.lock();
            state.log.poison(Failure::Panicked);
            self.progress.notify_all();
            self.tell_failure(state);
        }
    }

    fn sync(&self, job: SyncJob<D>) {
        let outcome = job.run();
        let mut state = self.lock();
        let finished = state.log.finish_sync(outcome);
        self.progress.notify_all();
        match finished {
            Ok(durable) => {
                drop(state);
                // A sync of the mark alone brings no news.
                if !durable.notes.is_empty() {
                    self.observer.on_durable(durable);
                }
            }
            Err(_) => self.tell_failure(state),
        }
    }

    /// Waits for a sync to be due and begins it; nothing when it is time to end.
    fn next_job(&self) -> Option<SyncJob<D>> {
        let mut state = self.lock();
        loop {
            if state.log.poisoned().is_some() {
                return None;
            }
            match state.stop {
                Some(Stop::Abandon) => return None,
                Some(Stop::Close) => {
                    let log = &mut state.log;
                    return log.begin_sync().or_else(|| log.begin_mark_sync());
                }
                None => {}
            }
            let since_last = state.last_sync.map(|last| last.elapsed());
            let backlog = state.log.backlog();
            match due(self.policy, backlog, state.requested, since_last) {
                Due::Now => {
                    state.requested = false;
                    state.last_sync = Some(Instant::now());
                    return state.log.begin_sync();
                }
                Due::After(wait) => state = self.park(state, Parked::UntilDue, Some(wait)).0,
                Due::Not => {
                    state.requested = false;
                    let idle = state.log.has_stale_mark().then_some(SYNC_INTERVAL);
                    let (woken, timed_out) = self.park(state, Parked::UntilWork, idle);
                    state = woken;
                    if timed_out && let Some(job) = state.log.begin_mark_sync() {
                        return Some(job);
                    }
                }
            }
        }
    }

    fn park<'a>(
        &self,
        mut state: MutexGuard<'a, State<D, T>>,
        parked: Parked,
        at_most: Option<Duration>,
    ) -> (MutexGuard<'a, State<D, T>>, bool) {
        state.parked = parked;
        let (mut state, timed_out) = match at_most {
            Some(wait) => {
                let (state, result) = self
                    .work
                    .wait_timeout(state, wait)
                    .unwrap_or_else(PoisonError::into_inner);
                (state, result.timed_out())
            }
            None => {
                let state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                (state, false)
            }
        };
        state.parked = Parked::No;
        (state, timed_out)
    }

    fn wake_if_due(&self, state: &mut State<D, T>) {
        let urgent = |state: &State<D, T>| {
            state.requested
                || state.log.backlog().full_segments > 0
                || state.log.poisoned().is_some()
        };
        let wake = match state.parked {
            Parked::No => false,
            Parked::UntilWork => self.policy != SyncPolicy::Never || urgent(state),
            Parked::UntilDue => urgent(state),
        };
        if wake {
            state.parked = Parked::No;
            self.work.notify_all();
        }
    }

    /// Tells the observer, once, that the log is poisoned if it is. Takes the
    /// guard, so that it is let go first.
    fn tell_failure(&self, mut state: MutexGuard<'_, State<D, T>>) {
        let cause = match state.log.poisoned() {
            Some(cause) if !state.told => Arc::clone(cause),
            _ => return,
        };
        state.told = true;
        drop(state);
        self.progress.notify_all();
        self.observer.on_failed(&cause);
    }

    fn lock(&self) -> MutexGuard<'_, State<D, T>> {
        self.state.lock().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            if !matches!(state.log.condition, Condition::Closed) {
                state.log.poison(Failure::Panicked);
            }
            state
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRTY: Backlog = Backlog {
        dirty: true,
        full_segments: 0,
    };
    const HALF: Duration = Duration::from_millis(500);

    #[test]
    fn a_policy_reads_what_it_writes() {
        for policy in [
            SyncPolicy::Always,
            SyncPolicy::EverySecond,
            SyncPolicy::Never,
        ] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        let error = "no".parse::<SyncPolicy>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"no\" is none of always, everysec, never"
        );
    }

    #[test]
    fn each_policy_syncs_when_it_says() {
        let clean = Backlog {
            dirty: false,
            full_segments: 0,
        };
        let rolled = Backlog {
            dirty: true,
            full_segments: 1,
        };
        use SyncPolicy::{Always, EverySecond, Never};
        assert_eq!(due(Always, clean, true, None), Due::Not);
        assert_eq!(due(Always, DIRTY, false, Some(Duration::ZERO)), Due::Now);
        assert_eq!(due(EverySecond, DIRTY, false, None), Due::Now);
        assert_eq!(due(EverySecond, DIRTY, false, Some(HALF)), Due::After(HALF));
        assert_eq!(
            due(EverySecond, DIRTY, false, Some(SYNC_INTERVAL)),
            Due::Now
        );
        assert_eq!(due(EverySecond, DIRTY, true, Some(HALF)), Due::Now);
        assert_eq!(due(EverySecond, rolled, false, Some(HALF)), Due::Now);
        assert_eq!(due(Never, DIRTY, false, Some(SYNC_INTERVAL * 9)), Due::Not);
        assert_eq!(due(Never, DIRTY, true, None), Due::Now);
        assert_eq!(due(Never, rolled, false, None), Due::Now);
    }
}
