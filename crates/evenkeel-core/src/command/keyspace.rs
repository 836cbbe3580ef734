//! One partition as commands see it: keys to look at, and one batch to write.
//!
//! Invariant: everything written through one [`Keyspace`] leaves as one batch, when it is dropped, on every path; over
//! the limits it leaves as several, cut between two commands. Each command sees what the ones before have written.

use evenkeel_resp::Reply;
use smallvec::SmallVec;

use super::random::Random;
use super::view::View;
use crate::bug::{Bug, Switches};
use crate::causality::Context;
use crate::id::ActorId;
use crate::limits::{
    BATCH_EVENTS_MAX, FIELD_BYTES_MAX, JOINED_BYTES_MAX, JOINED_EVENTS_MAX, KEY_BYTES_MAX,
    VALUE_BYTES_MAX,
};
use crate::observation::Observation;
use crate::partition::{Effect, Partition, Replica, Write};
use crate::time::Now;
use crate::types::{Deadline, Key, Positions};
use crate::wire::BatchEncoder;

/// A command's changes; two where a string and its deadline change.
pub(super) type Writes = SmallVec<[Write; 2]>;

/// A partition at one instant.
#[derive(Debug)]
pub struct Keyspace<'a> {
    partition: &'a mut Partition,
    now: Now,
    random: Random,
    effects: &'a mut Vec<Effect>,
    /// What was written and not handed on yet.
    open: Option<BatchEncoder>,
    dots: Context,
}

impl<'a> Keyspace<'a> {
    /// Access at `now`; what the shell has to do goes into `effects`, in order, at the latest when it is dropped. What
    /// commands draw at random comes from `random`.
    #[must_use]
    pub fn new(
        partition: &'a mut Partition,
        now: Now,
        random: Random,
        effects: &'a mut Vec<Effect>,
    ) -> Self {
        Self {
            partition,
            now,
            random,
            effects,
            open: None,
            dots: Context::default(),
        }
    }

    /// All events written through it: what an acknowledgement or a session token is about.
    #[must_use]
    pub const fn dots(&self) -> &Context {
        &self.dots
    }

    pub(super) const fn now(&self) -> Now {
        self.now
    }

    /// A source of random numbers, another one at each call.
    pub(super) const fn random(&mut self) -> Random {
        self.random.split()
    }

    /// Who writes here.
    pub(super) const fn actor(&self) -> ActorId {
        self.partition.actor()
    }

    pub(super) const fn replica(&self) -> &Replica {
        self.partition.replica()
    }

    /// A key as it is seen now.
    pub(super) fn view(&self, key: &[u8]) -> View<'_> {
        let view = View::of(self.replica().key(key), self.now.wall);
        if self.switches().breaks(Bug::TypeByName) {
            return view.of_last_kind();
        }
        view
    }

    /// The rules that are broken; none in a product build.
    pub(super) const fn switches(&self) -> Switches {
        self.partition.switches()
    }

    /// Drops a key without an event: what one of the bugs does.
    #[cfg(feature = "bugs")]
    pub(super) fn forget(&mut self, key: &Key) {
        self.partition.forget(key);
    }

    /// A source of positions for new elements of lists. One per command: two would draw the same.
    pub(super) fn positions(&self) -> Positions {
        let open = self.open.as_ref().map(|batch| batch.next_dot().n);
        let next = open.unwrap_or_else(|| self.partition.next_number());
        if self.switches().breaks(Bug::PositionReused) {
            return Positions::new(ActorId(0), next);
        }
        Positions::new(self.partition.actor(), next)
    }

    /// Applies a command's changes as one batch.
    ///
    /// # Errors
    /// When something is longer than members may exchange: nothing was written.
    pub(super) fn commit(&mut self, writes: Writes) -> Result<(), Reply> {
        check_sizes(&writes)?;
        self.execute(writes);
        Ok(())
    }

    /// Applies changes whose sizes are known to be right.
    pub(super) fn execute(&mut self, mut writes: Writes) {
        if writes.is_empty() {
            return;
        }
        if self.switches().breaks(Bug::DeadlineNotCarried) {
            for write in &mut writes {
                if let Write::Set { deadline, .. } | Write::Add { deadline, .. } = write {
                    *deadline = Deadline::NEVER;
                }
            }
        }
        self.make_room(&writes);
        let batch = self.open.get_or_insert_with(|| self.partition.open_batch());
        self.partition.extend_batch(self.now, batch, writes);
        if let Some(run) = batch.run() {
            self.dots.insert_run(run);
        }
    }

    /// Closes the batch when it would become too large. One command's changes always stay together.
    fn make_room(&mut self, writes: &[Write]) {
        let Some(batch) = &self.open else {
            return;
        };
        let events = usize::try_from(batch.count()).unwrap_or(usize::MAX);
        let bytes: usize = writes.iter().map(bytes_of).sum();
        if events.saturating_add(writes.len()) > JOINED_EVENTS_MAX
            || batch.bytes_max().saturating_add(bytes) > JOINED_BYTES_MAX
        {
            self.close();
        }
    }

    /// Hands on what was written so far: to the log and to the peers.
    fn close(&mut self) {
        if let Some(batch) = self.open.take() {
            self.partition.close_batch(self.now, batch, self.effects);
        }
    }

    pub(super) fn refile_deadline(&mut self, key: &Key) {
        self.partition.refile_deadline(key);
    }

    pub(super) fn observe(&mut self, observation: Observation) {
        self.effects.push(Effect::Observe(observation));
    }
}

impl Drop for Keyspace<'_> {
    /// What was applied here must become known elsewhere, also when a command ends by an error or a panic.
    fn drop(&mut self) {
        self.close();
    }
}

/// About what a change takes in a frame.
fn bytes_of(write: &Write) -> usize {
    match write {
        Write::Set { cell, value, .. } => cell.key.len() + cell.name.field.len() + value.len(),
        Write::Add { cell, .. } | Write::Remove { cell } | Write::Expire { cell, .. } => {
            cell.key.len() + cell.name.field.len()
        }
        Write::Clear { .. } => 0,
    }
}

fn check_sizes(writes: &[Write]) -> Result<(), Reply> {
    if writes.len() > BATCH_EVENTS_MAX {
        return Err(too_much("changes of one command", BATCH_EVENTS_MAX));
    }
    let mut bytes = 0;
    for write in writes {
        let (cell, value) = match write {
            Write::Set { cell, value, .. } => (cell, value.len()),
            Write::Add { cell, .. } => (cell, 0),
            // What is held already was short enough.
            Write::Remove { .. } | Write::Expire { .. } | Write::Clear { .. } => continue,
        };
        let (key, field) = (cell.key.len(), cell.name.field.len());
        for (what, length, max) in [
            ("bytes of the key", key, KEY_BYTES_MAX),
            ("bytes of a field", field, FIELD_BYTES_MAX),
            ("bytes of a value", value, VALUE_BYTES_MAX),
        ] {
            if length > max {
                return Err(too_much(what, max));
            }
        }
        bytes += key + field + value;
    }
    // One value always fits: it is below its own maximum, and the frame has room for the names beside it.
    if writes.len() > 2 && bytes > VALUE_BYTES_MAX {
        return Err(too_much("bytes of one command", VALUE_BYTES_MAX));
    }
    Ok(())
}

fn too_much(what: &str, max: usize) -> Reply {
    Reply::error(format!(
        "ERR too many {what}, at most {max}; nothing was written"
    ))
}
