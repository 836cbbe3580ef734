//! What the clients of one node share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use evenkeel_core::command::{Flag, Spec};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::config::Settings;
use super::connected::{Connected, OutputLimit};
use super::latency::Latency;
use super::monitor::Monitors;
use super::pubsub::Hub;
use super::server::load;
use super::slowlog::Slowlog;
use super::stats::Stats;
use crate::node::Node;

/// How often idle clients are looked for.
const SWEEP: Duration = Duration::from_millis(500);

/// One per node: two nodes in one process have nothing in common.
#[derive(Debug, Default)]
pub(crate) struct Front {
    pub(super) hub: Hub,
    pub(super) clients: Clients,
    pub(super) settings: Settings,
    pub(super) stats: Stats,
    pub(super) slowlog: Slowlog,
    pub(super) latency: Latency,
    pub(super) monitors: Monitors,
    pub(super) pause: Pause,
    /// A client has sent SHUTDOWN.
    pub(crate) asked_to_stop: Notify,
    reset: Mutex<Counts>,
    /// Commands at the last sweeps, the newest first.
    paces: Mutex<VecDeque<(Instant, u64)>>,
}

/// INFO's commands per second are of so many sweeps.
const PACES_MAX: usize = 8;

/// Counters that CONFIG RESETSTAT begins anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) connections: u64,
    pub(super) commands: u64,
    pub(super) errors: u64,
    pub(super) rejected: u64,
}

impl Counts {
    fn of(node: &Node) -> Self {
        let metrics = &node.metrics;
        Self {
            connections: load(&metrics.connections),
            commands: load(&metrics.commands),
            errors: load(&metrics.errors),
            rejected: load(&metrics.clients_rejected),
        }
    }
}

impl Front {
    /// How much may wait for a subscriber.
    pub(super) fn pubsub_limit(&self) -> OutputLimit {
        self.settings.pubsub_limit()
    }

    /// CONFIG RESETSTAT.
    pub(super) fn reset_stats(&self, node: &Node) {
        self.stats.reset();
        *self.reset.lock() = Counts::of(node);
    }

    /// Commands per second, lately.
    pub(super) fn pace(&self, node: &Node) -> u64 {
        let Some((at, commands)) = self.paces.lock().back().copied() else {
            return 0;
        };
        let seconds = at.elapsed().as_secs_f64().max(0.001);
        let since = load(&node.metrics.commands).saturating_sub(commands);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count divided by a time is no more than what fits"
        )]
        let pace = (since as f64 / seconds) as u64;
        pace
    }

    fn note_pace(&self, node: &Node) {
        let mut paces = self.paces.lock();
        paces.push_front((Instant::now(), load(&node.metrics.commands)));
        paces.truncate(PACES_MAX);
    }

    /// How often what INFO counts has happened since the last CONFIG RESETSTAT. The counters for `/metrics` never
    /// go back.
    pub(super) fn counts(&self, node: &Node) -> Counts {
        let (now, then) = (Counts::of(node), *self.reset.lock());
        Counts {
            connections: now.connections - then.connections,
            commands: now.commands - then.commands,
            errors: now.errors - then.errors,
            rejected: now.rejected - then.rejected,
        }
    }
}

/// The connections of a node, by id.
#[derive(Debug, Default)]
pub(super) struct Clients {
    by_id: Mutex<BTreeMap<u64, Arc<Connected>>>,
}

impl Clients {
    pub(super) fn add(&self, client: &Arc<Connected>) {
        self.by_id.lock().insert(client.id, Arc::clone(client));
    }

    pub(super) fn remove<'a>(&self, gone: impl Iterator<Item = &'a Arc<Connected>>) {
        let mut by_id = self.by_id.lock();
        for client in gone {
            by_id.remove(&client.id);
        }
    }

    pub(super) fn get(&self, id: u64) -> Option<Arc<Connected>> {
        self.by_id.lock().get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Connected>> {
        self.by_id.lock().values().cloned().collect()
    }
}

/// What CLIENT PAUSE holds back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Pausing {
    Writes = 1,
    All = 2,
}

/// What the end of a transaction would run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Queued {
    Reads,
    Writes,
}

/// A pause of clients.
#[derive(Debug)]
pub(super) struct Pause {
    /// 0: none. Else as [`Pausing`]: one load for each command.
    what: AtomicU8,
    until: watch::Sender<Option<Instant>>,
}

impl Default for Pause {
    fn default() -> Self {
        Self {
            what: AtomicU8::new(0),
            until: watch::Sender::new(None),
        }
    }
}

impl Pause {
    /// Begins a pause; one that lasts is never shortened, nor made to hold back less.
    pub(super) fn begin(&self, what: Pausing, time: Duration) {
        let until = Instant::now().checked_add(time);
        self.until.send_modify(|now| {
            let lasting = now.filter(|end| *end > Instant::now());
            if lasting.is_none() {
                self.what.store(what as u8, Ordering::Relaxed);
            } else {
                self.what.fetch_max(what as u8, Ordering::Relaxed);
            }
            *now = until.max(lasting);
        });
    }

    pub(super) fn end(&self) {
        self.until.send_modify(|until| {
            self.what.store(0, Ordering::Relaxed);
            *until = None;
        });
    }

    /// Whether anything may be held back: one load.
    pub(super) fn is_on(&self) -> bool {
        self.what.load(Ordering::Relaxed) != 0
    }

    /// Whether a command is held back now, which may be the end of a transaction.
    pub(super) fn holds(&self, spec: &Spec, queued: Queued) -> bool {
        let lasts = self
            .until
            .borrow()
            .is_some_and(|until| until > Instant::now());
        if !lasts {
            return false;
        }
        let all = self.what.load(Ordering::Relaxed) == Pausing::All as u8;
        let writes = queued == Queued::Writes
            || spec.is(Flag::Write)
            || matches!(spec.name, "publish" | "spublish" | "pfcount");
        all || writes
    }

    /// Waits until the pause is over.
    pub(super) async fn over(&self) {
        let mut changes = self.until.subscribe();
        loop {
            let until = *changes.borrow_and_update();
            let Some(until) = until.filter(|until| *until > Instant::now()) else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                // The sender lives as long as the node.
                _ = changes.changed() => {}
            }
        }
    }
}

/// Closes clients that have been idle for longer than `timeout`, as long as the node runs.
pub(crate) async fn sweep(node: Arc<Node>) {
    let mut interval = tokio::time::interval(SWEEP);
    loop {
        interval.tick().await;
        node.front.note_pace(&node);
        let seconds = node.front.settings.idle_seconds_max.load(Ordering::Relaxed);
        if seconds == 0 {
            continue;
        }
        for client in node.front.clients.all() {
            if !client.listens() && !client.is_waiting() && client.idle().as_secs() >= seconds {
                client.close();
            }
        }
    }
}
