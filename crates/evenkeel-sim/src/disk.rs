//! A node's disk: the product's commit log and checkpoints, over files in memory that can be damaged.
//!
//! The bytes are written, synced, torn, damaged and read back by the same code that a node runs. Beside it stands what
//! the simulator knows: which record has which sequence and which events are in it. What a start reads must be exactly
//! what was written under that sequence; how it goes on from there is what a node does (`node/replicas.rs`).
//!
//! Invariants: one sync runs at a time; a crash keeps what is synced and, at most, a prefix of the rest.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use evenkeel_core::causality::Context;
use evenkeel_store::checkpoint::{self, Covered, ReadError, Replay};
use evenkeel_store::disk::{Disk as _, DiskFile as _, Fate, MemoryDisk, Operation, Unsynced};
use evenkeel_store::log::{
    self, Log, LogError, LogId, OpenError, Options, Sequence, SyncJob, discard, salvage,
};

use crate::node::List;
use crate::oracle::{EventNo, EventSet};
use crate::rng::Rng;

/// The number of the one checkpoint.
const NUMBER: u16 = 7;
/// Segments of a dozen records.
const SEGMENT_BYTES: u64 = 2 << 10;
const SECTOR: usize = 512;

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

/// A copy of a disk, and the incarnation that wrote last.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    content: Content,
    pub(crate) actor: u64,
    /// What the topology document said.
    pub(crate) list: List,
}

/// Files, and what was written to them.
#[derive(Clone, Default)]
struct Content {
    medium: MemoryDisk,
    /// By sequence.
    records: BTreeMap<u64, Rc<Record>>,
    /// By sequence, the segment that it is in and where it ends there.
    ends: BTreeMap<u64, (String, usize)>,
    /// Every checkpoint ever written.
    checkpoints: Vec<Rc<Vec<Rc<Record>>>>,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", self.records.len())
    }
}

/// A disk.
#[derive(Default)]
pub(crate) struct Disk {
    content: Content,
    /// `None` while the process is down. Notes are sequences.
    log: Option<Log<MemoryDisk, u64>>,
    job: Option<SyncJob<MemoryDisk>>,
    /// What a sync has covered and nobody was told yet.
    untold: Vec<Rc<Record>>,
    /// What the last start read.
    found: Vec<Rc<Record>>,
    /// Every event that was ever synced here: it must be here for ever, whatever takes the place of its record.
    promised: EventSet,
    /// Whether something else than a crash has changed the files since the last start.
    tampered: bool,
    /// A write or a sync has failed: nothing is written until the next start.
    failed: bool,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.content.fmt(f)
    }
}

/// A record to be replayed at a start.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) record: Rc<Record>,
    /// Whether something before it is lost, so that only what is complete in itself counts.
    pub(crate) is_behind_loss: bool,
}

/// How a start must go on when all was replayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum After {
    /// With the log that was found.
    GoOn,
    /// With a checkpoint of what was replayed, for the log alone would be read differently the next time.
    Settle {
        upto: Sequence,
        /// Whether the log is let go.
        anew: bool,
    },
}

/// What a start takes for right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Believes {
    /// What is right.
    Nothing,
    /// That nothing is missing where a record is damaged.
    Holes,
    /// That a record torn by a crash is one.
    TornRecords,
}

/// What happened to files while nobody looked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Damage {
    /// Bits are flipped.
    Flip,
    /// A sector holds what belongs elsewhere, or was never written.
    Sector,
    /// A file is gone.
    Delete,
    /// A file is shorter.
    Cut,
    /// The checkpoint, and segments of the log's beginning, are gone.
    Front,
}

impl Disk {
    /// The events that the last start has read.
    pub(crate) fn events(&self) -> EventSet {
        events_of(&self.found)
    }

    /// Every event that was ever synced here.
    pub(crate) const fn promised(&self) -> &EventSet {
        &self.promised
    }

    /// Whether a write or a sync has failed.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failed
    }

    /// The next write, or the next sync, fails.
    pub(crate) fn fail_soon(&self, operation: Operation, calls: u64) {
        self.content.medium.fail_after(operation, calls);
    }

    /// Appends a record; tells whether it is in the log.
    pub(crate) fn append(&mut self, record: Record) -> bool {
        let Some(log) = self.log.as_mut().filter(|_| !self.failed) else {
            return false;
        };
        let sequence = log.last().next().0;
        let mut appended = log.append(&[&record.bytes], sequence);
        if matches!(appended, Err(LogError::Behind { .. })) {
            self.wait_for_sync();
            let log = self.log.as_mut();
            appended = log.map_or(Err(LogError::Closed), |log| {
                log.append(&[&record.bytes], sequence)
            });
        }
        if appended.is_err() {
            self.failed = true;
            return false;
        }
        let names = self.content.medium.list().unwrap_or_default();
        let active = names.into_iter().rfind(|name| name.starts_with("log-"));
        if let Some(active) = active {
            let end = self.length(&active);
            self.content.ends.insert(sequence, (active, end));
        }
        self.content.records.insert(sequence, Rc::new(record));
        true
    }

    fn length(&self, name: &str) -> usize {
        let file = self.content.medium.open(name);
        let length = file.and_then(|file| file.length()).unwrap_or(0);
        usize::try_from(length).unwrap_or(usize::MAX)
    }

    /// Starts a sync of all there is; tells whether there is a need and none runs yet.
    pub(crate) fn start_sync(&mut self) -> bool {
        if self.job.is_some() || self.failed {
            return false;
        }
        self.job = self.log.as_mut().and_then(Log::begin_sync);
        self.job.is_some() || !self.untold.is_empty()
    }

    /// The sync is over: the records that are covered now and were not before. Nothing when it has failed.
    pub(crate) fn end_sync(&mut self) -> Vec<Rc<Record>> {
        self.finish_sync();
        std::mem::take(&mut self.untold)
    }

    /// As an append does that waits for the disk: what was covered is told with the next sync.
    fn wait_for_sync(&mut self) {
        self.finish_sync();
        self.job = self.log.as_mut().and_then(Log::begin_sync);
        self.finish_sync();
    }

    fn finish_sync(&mut self) {
        let (Some(log), Some(job)) = (self.log.as_mut(), self.job.take()) else {
            return;
        };
        match log.finish_sync(job.run()) {
            Ok(durable) => {
                self.promise(&durable.notes);
                let covered = durable.notes.iter();
                let records = &self.content.records;
                self.untold
                    .extend(covered.filter_map(|sequence| records.get(sequence).cloned()));
            }
            Err(_) => self.failed = true,
        }
    }

    /// Some more records are synced: what was promised before a drop is promised no more.
    fn promise(&mut self, sequences: &[u64]) {
        let records = sequences.iter();
        let records = records.filter_map(|sequence| self.content.records.get(sequence).cloned());
        let new: Vec<Rc<Record>> = records.collect();
        if new.iter().any(|record| record.drops) {
            self.promised = EventSet::default();
        }
        self.promised.join(&events_of(&new));
    }

    /// The power fails: what was not synced is lost, all of it or (`torn`) a random part of its end, torn somewhere.
    /// Gives the numbers of records lost and kept beyond the sync.
    pub(crate) fn crash(&mut self, torn: Option<&mut Rng>, media: &mut Rng) -> (usize, usize) {
        let Some(log) = self.log.take() else {
            return (0, 0);
        };
        self.job = None;
        self.untold.clear();
        let (durable, last) = (log.durable().0, log.last().0);
        let unsynced = usize::try_from(last - durable).unwrap_or(usize::MAX);
        let tears = torn.is_some();
        let kept = torn.map_or(0, |rng| rng.index(unsynced + 1));
        let kept_upto = durable + kept as u64;
        let next = self.content.ends.get(&(kept_upto + 1)).cloned();
        let end = self.content.ends.get(&kept_upto).map(|(segment, end)| End {
            segment: segment.clone(),
            end: *end,
            next: next
                .filter(|next| next.0 == *segment)
                .map_or(end + 28, |next| next.1),
        });
        let changes = self.content.medium.unsynced_name_changes();
        let names = if tears {
            changes
        } else {
            media.index(changes + 1)
        };
        self.content.medium = self.content.medium.crash(names, |file| {
            tear(file, end.as_ref().filter(|_| tears), media)
        });
        (unsynced - kept, kept)
    }

    /// A copy of all there is, as it is read while the node runs.
    pub(crate) fn image(&self, actor: u64, list: List) -> Image {
        let whole = |_: &Unsynced<'_>| Fate::Prefix { bytes: usize::MAX };
        let mut content = self.content.clone();
        content.medium = content.medium.crash(usize::MAX, whole);
        Image {
            content,
            actor,
            list,
        }
    }

    /// Another content takes the place of this one.
    pub(crate) fn replace(&mut self, image: Image) {
        self.content = image.content;
        self.log = None;
        self.tampered = true;
    }

    /// Everything is gone.
    pub(crate) fn wipe(&mut self) {
        *self = Self {
            tampered: true,
            ..Self::default()
        };
    }

    /// The files are damaged while the process is down; tells what was done, in words.
    pub(crate) fn damage(&mut self, damage: Damage, rng: &mut Rng) -> String {
        self.tampered = true;
        let mut names = self.content.medium.list().unwrap_or_default();
        if damage == Damage::Front {
            let logs = names.iter().filter(|name| name.starts_with("log-")).count();
            let gone = 1 + rng.index(logs.max(1));
            names.truncate(
                names
                    .iter()
                    .position(|name| name.starts_with("log-"))
                    .unwrap_or(0)
                    + gone,
            );
            names.retain(|name| name.starts_with("log-") || name.starts_with("checkpoint-"));
            for name in &names {
                let _ = self.content.medium.remove(name);
            }
            return names.join(", ");
        }
        if names.is_empty() {
            return String::new();
        }
        let name = names[rng.index(names.len())].clone();
        let mut bytes = self.content.medium.bytes(&name).unwrap_or_default();
        let at = rng.index(bytes.len().max(1));
        match damage {
            Damage::Delete | Damage::Front => {
                let _ = self.content.medium.remove(&name);
                return name;
            }
            Damage::Cut => bytes.truncate(at),
            Damage::Flip => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.index(8);
                }
            }
            Damage::Sector => {
                let other = &names[rng.index(names.len())];
                let source = self.content.medium.bytes(other).unwrap_or_default();
                let from = rng.index(source.len().div_ceil(SECTOR).max(1)) * SECTOR;
                let to = at / SECTOR * SECTOR;
                for place in 0..SECTOR.min(bytes.len() - to) {
                    bytes[to + place] = source.get(from + place).copied().unwrap_or(0);
                }
            }
        }
        self.content.medium.set_bytes(&name, bytes);
        format!("{name} at {at}")
    }

    /// The last record appended.
    pub(crate) fn last(&self) -> Sequence {
        self.log.as_ref().map_or(Sequence::NONE, Log::last)
    }

    /// A checkpoint of everything up to `covered` is written, and what it covers of the log let go. Tells whether it
    /// was.
    pub(crate) fn write_checkpoint(&mut self, covered: Sequence, records: Vec<Rc<Record>>) -> bool {
        if self.failed || self.log.is_none() {
            return false;
        }
        if !self.put_checkpoint(Covered::whole(covered), records) {
            return false;
        }
        let removed = self
            .log
            .as_mut()
            .map(|log| log.remove_segments_before(covered.next()));
        self.failed |= matches!(removed, Some(Err(_)));
        true
    }

    fn put_checkpoint(&mut self, covered: Covered, records: Vec<Rc<Record>>) -> bool {
        let bytes: Vec<&Bytes> = records.iter().map(|record| &record.bytes).collect();
        let written = checkpoint::write(&self.content.medium, NUMBER, covered, &bytes);
        let behind = self.content.records.range(covered.upto.0 + 1..);
        let dropped_since = behind.into_iter().any(|(_, record)| record.drops);
        if written.is_ok() && !dropped_since {
            self.promised.join(&events_of(&records));
        }
        // Also when it failed: it may be there.
        self.content.checkpoints.push(Rc::new(records));
        written.is_ok()
    }
}

/// A start.
impl Disk {
    /// Reads everything, as a node does, or as one does that is broken.
    pub(crate) fn recover(&mut self, believes: Believes) -> Result<(Vec<Found>, After), String> {
        let medium = self.content.medium.clone();
        self.failed = false;
        let mut bytes: Vec<Bytes> = Vec::new();
        let read = checkpoint::read(&medium, NUMBER, |record| {
            bytes.push(Bytes::copy_from_slice(record));
            Ok::<(), Infallible>(())
        });
        let (covered, base) = match read {
            Ok(None) => (Some(Covered::whole(Sequence::NONE)), Vec::new()),
            Ok(Some(found)) => (Some(found.covered), self.checkpoint_of(&bytes)?),
            Err(ReadError::Damaged { .. }) => (None, Vec::new()),
            Err(error) => return Err(error.to_string()),
        };
        let torn = match believes {
            Believes::TornRecords => torn_records(&medium),
            Believes::Nothing | Believes::Holes => Vec::new(),
        };
        let (mut records, after) = self.recover_log(covered, believes)?;
        // What is behind that is not there any more; its sequences are given again.
        let last = match after {
            After::GoOn => self.last(),
            After::Settle { upto, .. } => upto,
        };
        drop(self.content.records.split_off(&last.next().0));
        let contained = covered.filter(|covered| covered.replay == Replay::Behind);
        records.retain(|(sequence, _)| contained.is_none_or(|covered| *sequence > covered.upto));
        let log = records.into_iter().map(|(sequence, is_behind_loss)| Found {
            record: Rc::clone(&self.content.records[&sequence.0]),
            is_behind_loss,
        });
        let whole = |record| Found {
            record,
            is_behind_loss: false,
        };
        let base = base.into_iter().map(whole);
        let found: Vec<Found> = base.chain(log).chain(torn.into_iter().map(whole)).collect();
        self.found = found.iter().map(|found| Rc::clone(&found.record)).collect();
        let events = events_of(&self.found);
        let dropped = self.found.iter().any(|record| record.drops);
        if std::mem::take(&mut self.tampered) || after != After::GoOn || dropped {
            self.promised = events;
        } else {
            // What a crash has kept is read back, and then counts as synced.
            self.promised.join(&events);
        }
        Ok((found, after))
    }

    /// Reads the log behind a checkpoint (`None`: a damaged one): the records, each with whether it is behind a loss.
    fn recover_log(
        &mut self,
        covered: Option<Covered>,
        believes: Believes,
    ) -> Result<(Vec<(Sequence, bool)>, After), String> {
        let medium = self.content.medium.clone();
        let upto = covered.map_or(Sequence::NONE, |covered| covered.upto);
        let begins_late = |first| covered.is_none_or(|covered| covered.upto.next() < first);
        let mut records = Vec::new();
        let opened = Log::open(medium.clone(), options(upto.next()), |record| {
            records.push((record.sequence, false));
            check(&self.content.records, record)
        });
        match opened {
            Ok((log, recovery)) => {
                let lost = begins_late(log.first());
                let orphaned = recovery.created && upto > Sequence::NONE;
                records.iter_mut().for_each(|(_, behind)| *behind = lost);
                let settle = After::Settle {
                    upto: upto.max(log.last()),
                    anew: false,
                };
                self.log = Some(log);
                let after = if lost || orphaned {
                    settle
                } else {
                    After::GoOn
                };
                return Ok((records, after));
            }
            Err(OpenError::Log(error)) if error.is_damage() => {}
            Err(error) => return Err(error.to_string()),
        }
        records.clear();
        let left = salvage(&medium, |record, is_whole| {
            let first = records.first().map_or(record.sequence, |first| first.0);
            let behind = begins_late(first) || !is_whole;
            records.push((record.sequence, behind && believes != Believes::Holes));
            check(&self.content.records, record)
        });
        let left = left.map_err(|error| error.to_string())?;
        let after = After::Settle {
            upto: upto.max(left.last),
            anew: true,
        };
        Ok((records, after))
    }

    /// The end of a start that has lost something: a checkpoint of what was replayed.
    pub(crate) fn settle(
        &mut self,
        (upto, anew): (Sequence, bool),
        records: Vec<Rc<Record>>,
    ) -> Result<(), String> {
        self.found.clone_from(&records);
        self.promised = EventSet::default();
        if !self.put_checkpoint(Covered::behind(upto), records) {
            return Err("the checkpoint of a start cannot be written".to_owned());
        }
        if anew {
            let medium = self.content.medium.clone();
            discard(&medium).map_err(|error| error.to_string())?;
            let none = |_: log::Record<'_>| Ok::<(), Infallible>(());
            let opened = Log::open(medium, options(upto.next()), none);
            self.log = Some(opened.map_err(|error| error.to_string())?.0);
        }
        Ok(())
    }

    fn checkpoint_of(&self, bytes: &[Bytes]) -> Result<Vec<Rc<Record>>, String> {
        let written = self.content.checkpoints.iter().rev();
        let mut same = written.filter(|records| {
            records.len() == bytes.len()
                && records
                    .iter()
                    .zip(bytes)
                    .all(|(one, other)| one.bytes == *other)
        });
        let found = same.next();
        found
            .map(|records| records.to_vec())
            .ok_or_else(|| "a checkpoint is read that nobody has written".to_owned())
    }
}

/// What a crash has left of the record that it tore, with its head taken off.
fn torn_records(medium: &MemoryDisk) -> Vec<Rc<Record>> {
    const HEAD: u64 = 28;
    let none = |_: log::Record<'_>, _| Ok::<(), Infallible>(());
    let Ok(found) = salvage(medium, none) else {
        return Vec::new();
    };
    let torn = found
        .holes
        .into_iter()
        .filter(|hole| !hole.is_loss && hole.bytes > HEAD);
    let payload = |hole: log::Hole| {
        let bytes = medium.bytes(&hole.file)?;
        let from = usize::try_from(hole.offset + HEAD).ok()?;
        let to = usize::try_from(hole.offset + hole.bytes).ok()?;
        Some(Bytes::copy_from_slice(bytes.get(from..to)?))
    };
    let records = torn.filter_map(payload).map(|bytes| Record {
        bytes,
        dots: Context::default(),
        events: Vec::new(),
        drops: false,
    });
    records.map(Rc::new).collect()
}

fn options(new_first: Sequence) -> Options {
    Options {
        new_first,
        segment_bytes: SEGMENT_BYTES,
        ..Options::new(LogId(0x5eed))
    }
}

/// Whether a record that was read is the one that was written under its sequence.
fn check(records: &BTreeMap<u64, Rc<Record>>, read: log::Record<'_>) -> Result<(), WrongRecord> {
    let written = records.get(&read.sequence.0);
    if written.is_some_and(|written| written.bytes == read.payload) {
        return Ok(());
    }
    Err(WrongRecord(read.sequence))
}

#[derive(Debug)]
struct WrongRecord(Sequence);

impl fmt::Display for WrongRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} is read and was never written so", self.0)
    }
}

impl std::error::Error for WrongRecord {}

/// Where the kept part of a log ends.
struct End {
    segment: String,
    end: usize,
    /// Where the next record would end.
    next: usize,
}

/// What a crash leaves of a file whose log is kept up to `end`; nothing of what is unsynced where there is none.
fn tear(file: &Unsynced<'_>, end: Option<&End>, media: &mut Rng) -> Fate {
    let whole = Fate::Prefix { bytes: usize::MAX };
    if !file.name.starts_with("log-") {
        return if media.chance(500) {
            whole
        } else {
            Fate::Synced
        };
    }
    let Some(end) = end else {
        return Fate::Synced;
    };
    // A crash takes nothing that was synced, known or not.
    let bytes = end.end.max(file.synced.len());
    match file.name.cmp(&end.segment) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Greater => Fate::Synced,
        std::cmp::Ordering::Equal if media.chance(500) => Fate::Prefix {
            // A part of the next record.
            bytes: bytes.max(end.end + media.index(end.next.saturating_sub(end.end))),
        },
        std::cmp::Ordering::Equal => Fate::Torn {
            bytes,
            garbage: (0..media.index(SECTOR))
                .map(|_| media.next().to_le_bytes()[0])
                .collect(),
        },
    }
}

/// The events that records name and that no later one of them drops.
fn events_of(records: &[Rc<Record>]) -> EventSet {
    let dropped = records.iter().rposition(|record| record.drops);
    let left = &records[dropped.map_or(0, |at| at + 1)..];
    let events = left.iter().flat_map(|record| record.events.iter().copied());
    events.collect()
}
