//! A node's log disk: records, and how many of them an fsync covers.
//!
//! Invariants: one sync runs at a time; a crash keeps what is synced and at most a prefix of the rest.

use std::rc::Rc;

use bytes::Bytes;
use evenkeel_core::causality::Context;

use crate::node::List;
use crate::oracle::{EventNo, EventSet};
use crate::rng::Rng;

/// One record of the log.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) bytes: Bytes,
    /// What becomes durable with it, as the product said.
    pub(crate) dots: Context,
    /// The same as events of the history.
    pub(crate) events: Vec<EventNo>,
    /// Whether it says that all before it is dropped.
    pub(crate) drops: bool,
}

/// A copy of a disk: records, and the incarnation that wrote last.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) records: Vec<Rc<Record>>,
    pub(crate) actor: u64,
    /// What the topology document said.
    pub(crate) list: List,
}

/// A log disk.
#[derive(Clone, Default, Debug)]
pub(crate) struct Disk {
    records: Vec<Rc<Record>>,
    synced: usize,
    /// How many records the sync that runs will cover.
    syncing: Option<usize>,
    /// Every event that was ever synced here: it must be here for ever, whatever takes the place of its record.
    promised: EventSet,
}

impl Disk {
    /// Every record, synced or not.
    pub(crate) fn records(&self) -> &[Rc<Record>] {
        &self.records
    }

    /// The events that survive every crash.
    pub(crate) fn durable_events(&self) -> EventSet {
        events_of(&self.records[..self.synced])
    }

    /// The events that the log names, synced or not.
    pub(crate) fn events(&self) -> EventSet {
        events_of(&self.records)
    }

    /// Every event that was ever synced here.
    pub(crate) const fn promised(&self) -> &EventSet {
        &self.promised
    }

    /// Some more records are synced: what was promised before a drop is promised no more.
    fn promise(&mut self, new: &[Rc<Record>]) {
        if new.iter().any(|record| record.drops) {
            self.promised = EventSet::default();
        }
        self.promised.join(&events_of(new));
    }

    /// Appends a record.
    pub(crate) fn append(&mut self, record: Record) {
        self.records.push(Rc::new(record));
    }

    /// Starts a sync of all there is; tells whether there is a need and none runs yet.
    pub(crate) fn start_sync(&mut self) -> bool {
        let needed = self.syncing.is_none() && self.synced < self.records.len();
        if needed {
            self.syncing = Some(self.records.len());
        }
        needed
    }

    /// The sync is over: the records that are covered now and were not before.
    pub(crate) fn end_sync(&mut self) -> &[Rc<Record>] {
        let upto = self.syncing.take().unwrap_or(self.synced);
        let from = std::mem::replace(&mut self.synced, upto);
        let covered = self.records[from..upto].to_vec();
        self.promise(&covered);
        &self.records[from..upto]
    }

    /// The power fails: what was not synced is lost, all of it or (`torn`) a random part of its end.
    /// Gives the numbers of records lost and kept beyond the sync.
    pub(crate) fn crash(&mut self, torn: Option<&mut Rng>) -> (usize, usize) {
        let unsynced = self.records.len() - self.synced;
        let kept = torn.map_or(0, |rng| rng.index(unsynced + 1));
        self.records.truncate(self.synced + kept);
        // What a crash has kept is read back, and then counts as synced.
        let read_back = self.records[self.synced..].to_vec();
        self.promise(&read_back);
        self.synced = self.records.len();
        self.syncing = None;
        (unsynced - kept, kept)
    }

    /// How many records there are: what a checkpoint of this moment takes the place of.
    pub(crate) fn length(&self) -> usize {
        self.records.len()
    }

    /// A checkpoint is on the disk, whole: it takes the place of the first `covered` records, if those are synced.
    /// Tells whether they were.
    pub(crate) fn replace_front(&mut self, covered: usize, checkpoint: Vec<Rc<Record>>) -> bool {
        // While a sync runs it counts by places.
        if covered > self.synced || self.syncing.is_some() {
            return false;
        }
        self.synced = self.synced - covered + checkpoint.len();
        self.records.splice(..covered, checkpoint);
        true
    }

    /// The first records are lost; everything that is left was synced.
    pub(crate) fn lose_front(&mut self, lost: usize) {
        self.records.drain(..lost);
        self.synced = self.records.len();
        self.promised = events_of(&self.records);
    }

    /// A copy of all there is.
    pub(crate) fn image(&self, actor: u64, list: List) -> Image {
        Image {
            records: self.records.clone(),
            actor,
            list,
        }
    }

    /// Another content takes the place of this one, all of it synced.
    pub(crate) fn replace(&mut self, records: Vec<Rc<Record>>) {
        self.synced = records.len();
        self.promised = events_of(&records);
        self.records = records;
        self.syncing = None;
    }
}

/// The events that records name and that no later one of them drops.
fn events_of(records: &[Rc<Record>]) -> EventSet {
    let dropped = records.iter().rposition(|record| record.drops);
    let left = &records[dropped.map_or(0, |at| at + 1)..];
    let events = left.iter().flat_map(|record| record.events.iter().copied());
    events.collect()
}
