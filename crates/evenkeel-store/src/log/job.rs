//! The log's slow work, cut in three: begin, run, finish.
//!
//! Beginning and finishing change the log and are quick; running touches only
//! the disk, needs no access to the log, and may be done on another thread. At
//! most one sync is in flight. The whole order is: files, directory, mark, then
//! the caller is told.

use std::sync::Arc;

use super::{
    Backlog, Condition, Failure, Generation, Log, LogError, Mark, Segment, SegmentNumber, Sequence,
    format,
};
use crate::disk::{Disk, DiskError, DiskFile};

/// A sync that was begun. Run it, then hand the outcome back to the log.
#[must_use = "a sync that is begun must be run and finished"]
pub struct SyncJob<D: Disk> {
    disk: Arc<D>,
    mark: Arc<Mark<D>>,
    /// Oldest first.
    files: Vec<Arc<D::File>>,
    names_changed: bool,
    sync_mark: bool,
    last: Sequence,
    generation: Generation,
}

/// How a sync went.
#[must_use = "the log must hear how the sync went"]
pub struct SyncOutcome {
    generation: Generation,
    result: Result<(), DiskError>,
}

/// What the log remembers of the sync in flight.
pub(super) struct InFlight<T> {
    generation: Generation,
    last: Sequence,
    segment: SegmentNumber,
    /// How many full segments the sync covers.
    full: usize,
    sync_mark: bool,
    notes: Vec<T>,
}

/// What has become durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable<T> {
    /// Every append with this generation or a lower one is durable.
    pub generation: Generation,
    /// Every record up to this one is durable.
    pub sequence: Sequence,
    /// The notes of the records that were not known durable before, in order.
    pub notes: Vec<T>,
}

impl<D: Disk> SyncJob<D> {
    /// Does the work; returns when it is done or has failed.
    pub fn run(self) -> SyncOutcome {
        SyncOutcome {
            generation: self.generation,
            result: self.work(),
        }
    }

    fn work(&self) -> Result<(), DiskError> {
        for file in &self.files {
            file.sync()?;
        }
        if self.names_changed {
            self.disk.sync_dir()?;
        }
        self.mark.advance(self.last)?;
        if self.sync_mark {
            self.mark.sync()?;
        }
        Ok(())
    }
}

impl<D: Disk, T> Log<D, T> {
    /// What waits to be synced.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        Backlog {
            dirty: !self.sync.notes.is_empty() || self.sync.names_changed,
            full_segments: self.sync.full.len(),
        }
    }

    /// Whether a sync of the mark would make it tell more.
    pub(super) fn has_stale_mark(&self) -> bool {
        self.sync.mark_stale
    }

    /// Begins a sync of everything written so far. Nothing if there is nothing
    /// to sync, if a sync is in flight, or if the log is poisoned or closed.
    pub fn begin_sync(&mut self) -> Option<SyncJob<D>> {
        if !self.backlog().dirty {
            return None;
        }
        let mut files = self.sync.full.clone();
        files.push(Arc::clone(&self.active.file));
        self.begin(files)
    }

    /// Begins to make the mark itself durable, which nobody waits for: it is
    /// for times without other work.
    pub fn begin_mark_sync(&mut self) -> Option<SyncJob<D>> {
        if self.backlog().dirty || !self.sync.mark_stale {
            return None;
        }
        self.begin(Vec::new())
    }

    /// Begins to sync these files, and the mark if they complete a segment or
    /// if there are none.
    fn begin(&mut self, files: Vec<Arc<D::File>>) -> Option<SyncJob<D>> {
        if self.check_open().is_err() || self.sync.in_flight.is_some() {
            return None;
        }
        let generation = self.sync.generation;
        self.sync.generation = Generation(generation.0 + 1);
        let sync_mark = files.len() != 1;
        let last = self.last();
        self.sync.in_flight = Some(InFlight {
            generation,
            last,
            segment: self.active.segment.number,
            full: files.len().saturating_sub(1),
            sync_mark,
            notes: std::mem::take(&mut self.sync.notes),
        });
        Some(SyncJob {
            disk: Arc::clone(&self.disk),
            mark: Arc::clone(&self.mark),
            files,
            names_changed: std::mem::take(&mut self.sync.names_changed),
            sync_mark,
            last,
            generation,
        })
    }

    /// Ends a sync: hands back the notes of what is durable now, or poisons the
    /// log.
    pub fn finish_sync(&mut self, outcome: SyncOutcome) -> Result<Durable<T>, LogError> {
        let SyncOutcome { generation, result } = outcome;
        let in_flight = self.sync.in_flight.take();
        let Some(in_flight) = in_flight.filter(|begun| begun.generation == generation) else {
            // An outcome of another log: nothing is known of this one's sync.
            return Err(self.poison(Failure::Confused));
        };
        if let Err(error) = result {
            return Err(self.poison(Failure::Disk(error)));
        }
        self.sync.durable = in_flight.last;
        self.sync.durable_segment = in_flight.segment;
        self.sync.full.drain(..in_flight.full);
        self.sync.mark_stale = !in_flight.sync_mark;
        Ok(Durable {
            generation,
            sequence: in_flight.last,
            notes: in_flight.notes,
        })
    }

    /// Syncs everything written so far, here and now. Without anything to sync
    /// it answers what is durable already.
    pub fn sync_now(&mut self) -> Result<Durable<T>, LogError> {
        self.check_open()?;
        match self.begin_sync() {
            Some(job) => self.finish_sync(job.run()),
            None => Ok(Durable {
                generation: Generation(self.sync.generation.0.saturating_sub(1)),
                sequence: self.sync.durable,
                notes: Vec::new(),
            }),
        }
    }

    /// Syncs everything, the mark included, and takes no more records.
    pub fn close(&mut self) -> Result<Durable<T>, LogError> {
        let durable = self.sync_now()?;
        if let Some(job) = self.begin_mark_sync() {
            self.finish_sync(job.run())?;
        }
        self.mark_closed();
        Ok(durable)
    }

    /// Takes no more records.
    pub(super) fn mark_closed(&mut self) {
        if self.check_open().is_ok() {
            self.condition = Condition::Closed;
        }
    }

    /// Removes the segments that hold only records before `sequence`, and says
    /// how many that were.
    pub fn remove_segments_before(&mut self, sequence: Sequence) -> Result<usize, LogError> {
        match self.begin_removal(sequence)? {
            Some(removal) => {
                let removed = removal.segments();
                self.finish_removal(removal.run())?;
                Ok(removed)
            }
            None => Ok(0),
        }
    }

    /// Takes the segments that hold only records before `sequence` out of the
    /// log. Never the active one, and none whose records, or whose successor,
    /// are not durable.
    pub fn begin_removal(&mut self, sequence: Sequence) -> Result<Option<Removal<D>>, LogError> {
        self.check_open()?;
        let mut gone = Vec::new();
        while let Some(&successor) = self.segments.get(1) {
            // A sync that covers the successor covers every record before it.
            let removable =
                successor.first <= sequence && successor.number <= self.sync.durable_segment;
            let oldest = self.segments.front().filter(|_| removable);
            let Some(oldest) = oldest else { break };
            gone.push(oldest.number);
            self.segments.pop_front();
        }
        let floor = self.segments.front().filter(|_| !gone.is_empty());
        Ok(floor.map(|&floor| Removal {
            disk: Arc::clone(&self.disk),
            mark: Arc::clone(&self.mark),
            floor,
            gone,
        }))
    }

    /// Ends a removal; a failed one poisons the log.
    pub fn finish_removal(&mut self, result: Result<(), DiskError>) -> Result<(), LogError> {
        result.map_err(|error| self.poison(Failure::Disk(error)))
    }
}

/// A removal that was begun. Run it, then hand the result back to the log.
#[must_use = "a removal that is begun must be run and finished"]
pub struct Removal<D: Disk> {
    disk: Arc<D>,
    mark: Arc<Mark<D>>,
    floor: Segment,
    gone: Vec<SegmentNumber>,
}

impl<D: Disk> Removal<D> {
    /// How many segments go.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.gone.len()
    }

    /// Does the work: first says durably where the log begins now, then removes
    /// the files. What a crash leaves of them is removed at the next opening.
    pub fn run(self) -> Result<(), DiskError> {
        self.mark.raise_floor(self.floor)?;
        for number in self.gone {
            self.disk.remove(&format::segment_name(number))?;
        }
        self.disk.sync_dir()
    }
}
