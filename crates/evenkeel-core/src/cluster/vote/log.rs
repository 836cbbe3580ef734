//! What a voter must not forget: its promise, and the decisions it has accepted.
//!
//! The library owns its storage and gives no way back to it, and [`Cluster`](super::super::Cluster) saves the whole
//! of it before anything that depends on it leaves. So both hold it; one thread drives both.

#![expect(
    clippy::disallowed_types,
    reason = "the library keeps its storage to itself; this lock has one user and is never waited for"
)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::storage::{Entry, NoSnapshot, StopSign, Storage, StorageOp, StorageResult};

use crate::cluster::Change;
use crate::codec::{DecodeError, Reader, put_bytes, put_varint};
use crate::id::NodeId;

/// Names a proposal for ever, so that one that is repeated is not decided twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::cluster) struct ProposalId {
    /// Who made it.
    pub(in crate::cluster) node: NodeId,
    /// The key of that node's voting state: a node that begins anew counts from the start.
    pub(in crate::cluster) key: u64,
    pub(in crate::cluster) serial: u64,
}

impl ProposalId {
    pub(in crate::cluster) fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.node.0));
        out.extend_from_slice(&self.key.to_le_bytes());
        put_varint(out, self.serial);
    }

    pub(in crate::cluster) fn get(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        const WHAT: &str = "proposal";
        let node = u32::try_from(input.varint(WHAT)?);
        let node = node.map_err(|_| input.error(WHAT, "no node has that number"))?;
        Ok(Self {
            node: NodeId(node),
            key: input.u64(WHAT)?,
            serial: input.varint(WHAT)?,
        })
    }
}

/// A change and who proposed it: what the voters agree on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::cluster) struct Proposed {
    pub(in crate::cluster) id: ProposalId,
    pub(in crate::cluster) change: Change,
}

impl Entry for Proposed {
    type Snapshot = NoSnapshot;
}

impl Proposed {
    pub(in crate::cluster) fn put(&self, out: &mut Vec<u8>) {
        self.id.put(out);
        put_bytes(out, &self.change.encode());
    }

    pub(in crate::cluster) fn get(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: ProposalId::get(input)?,
            change: Change::decode(input.bytes(input.remaining(), "change")?)?,
        })
    }
}

/// The state of one voter in one configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::cluster) struct Log {
    promise: Ballot,
    accepted: Ballot,
    decided: usize,
    entries: Vec<Proposed>,
    /// Whether it has changed since it was saved.
    dirty: bool,
}

impl Log {
    pub(in crate::cluster) fn put(&self, out: &mut Vec<u8>) {
        put_ballot(out, self.promise);
        put_ballot(out, self.accepted);
        put_varint(out, self.decided as u64);
        put_varint(out, self.entries.len() as u64);
        self.entries.iter().for_each(|entry| entry.put(out));
    }

    pub(in crate::cluster) fn get(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (promise, accepted) = (get_ballot(input)?, get_ballot(input)?);
        let decided = get_index(input)?;
        let entries = get_entries(input)?;
        if decided > entries.len() {
            return Err(input.error("voting state", "more was decided than accepted"));
        }
        Ok(Self {
            promise,
            accepted,
            decided,
            entries,
            dirty: false,
        })
    }
}

pub(super) fn put_ballot(out: &mut Vec<u8>, ballot: Ballot) {
    put_varint(out, u64::from(ballot.config_id));
    put_varint(out, u64::from(ballot.n));
    put_varint(out, u64::from(ballot.priority));
    put_varint(out, ballot.pid);
}

pub(super) fn get_ballot(input: &mut Reader<'_>) -> Result<Ballot, DecodeError> {
    const WHAT: &str = "ballot";
    let mut number = || {
        let number = u32::try_from(input.varint(WHAT)?);
        number.map_err(|_| input.error(WHAT, "the number has more than 32 bits"))
    };
    let (config, n, priority) = (number()?, number()?, number()?);
    Ok(Ballot::with(config, n, priority, input.varint(WHAT)?))
}

pub(super) fn get_index(input: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let index = usize::try_from(input.varint("place in the log")?);
    index.map_err(|_| input.error("place in the log", "it is out of range"))
}

pub(super) fn put_entries(out: &mut Vec<u8>, entries: &[Proposed]) {
    put_varint(out, entries.len() as u64);
    entries.iter().for_each(|entry| entry.put(out));
}

pub(super) fn get_entries(input: &mut Reader<'_>) -> Result<Vec<Proposed>, DecodeError> {
    (0..input.count(13, "proposals")?)
        .map(|_| Proposed::get(input))
        .collect()
}

/// The log as its two owners hold it.
#[derive(Clone, Debug)]
pub(super) struct SharedLog(Arc<Mutex<Log>>);

impl SharedLog {
    pub(super) fn new(log: Log) -> Self {
        Self(Arc::new(Mutex::new(log)))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> MutexGuard<'_, Log> {
        let mut log = self.log();
        log.dirty = true;
        log
    }

    pub(super) fn take_dirty(&self) -> bool {
        std::mem::take(&mut self.log().dirty)
    }

    pub(super) fn len(&self) -> usize {
        self.log().entries.len()
    }

    pub(super) fn decided(&self) -> usize {
        self.log().decided
    }

    pub(super) fn entry(&self, at: usize) -> Option<Proposed> {
        self.log().entries.get(at).cloned()
    }

    /// Where in the log a proposal is.
    pub(super) fn find(&self, id: ProposalId) -> Option<usize> {
        self.log().entries.iter().position(|entry| entry.id == id)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        self.log().put(out);
    }
}

/// Nothing here can fail: saving to a disk is the driver's.
impl Storage<Proposed> for SharedLog {
    fn write_atomically(&mut self, ops: Vec<StorageOp<Proposed>>) -> StorageResult<()> {
        for op in ops {
            match op {
                StorageOp::AppendEntry(entry) => self.append_entry(entry)?,
                StorageOp::AppendEntries(entries) => self.append_entries(entries)?,
                StorageOp::AppendOnPrefix(from, entries) => self.append_on_prefix(from, entries)?,
                StorageOp::SetPromise(ballot) => self.set_promise(ballot)?,
                StorageOp::SetDecidedIndex(decided) => self.set_decided_idx(decided)?,
                StorageOp::SetAcceptedRound(ballot) => self.set_accepted_round(ballot)?,
                StorageOp::SetCompactedIdx(_)
                | StorageOp::Trim(_)
                | StorageOp::SetStopsign(_)
                | StorageOp::SetSnapshot(_) => {}
            }
        }
        Ok(())
    }

    fn append_entry(&mut self, entry: Proposed) -> StorageResult<()> {
        self.change().entries.push(entry);
        Ok(())
    }

    fn append_entries(&mut self, entries: Vec<Proposed>) -> StorageResult<()> {
        if !entries.is_empty() {
            self.change().entries.extend(entries);
        }
        Ok(())
    }

    fn append_on_prefix(&mut self, from: usize, entries: Vec<Proposed>) -> StorageResult<()> {
        let mut log = self.change();
        log.entries.truncate(from);
        log.entries.extend(entries);
        Ok(())
    }

    fn set_promise(&mut self, ballot: Ballot) -> StorageResult<()> {
        if self.log().promise != ballot {
            self.change().promise = ballot;
        }
        Ok(())
    }

    fn set_decided_idx(&mut self, decided: usize) -> StorageResult<()> {
        if self.log().decided != decided {
            self.change().decided = decided;
        }
        Ok(())
    }

    fn get_decided_idx(&self) -> StorageResult<usize> {
        Ok(self.decided())
    }

    fn set_accepted_round(&mut self, ballot: Ballot) -> StorageResult<()> {
        if self.log().accepted != ballot {
            self.change().accepted = ballot;
        }
        Ok(())
    }

    fn get_accepted_round(&self) -> StorageResult<Option<Ballot>> {
        let ballot = self.log().accepted;
        Ok((ballot != Ballot::default()).then_some(ballot))
    }

    fn get_entries(&self, from: usize, to: usize) -> StorageResult<Vec<Proposed>> {
        let log = self.log();
        Ok(log.entries.get(from..to).unwrap_or_default().to_vec())
    }

    fn get_log_len(&self) -> StorageResult<usize> {
        Ok(self.len())
    }

    fn get_suffix(&self, from: usize) -> StorageResult<Vec<Proposed>> {
        let log = self.log();
        Ok(log.entries.get(from..).unwrap_or_default().to_vec())
    }

    fn get_promise(&self) -> StorageResult<Option<Ballot>> {
        let ballot = self.log().promise;
        Ok((ballot != Ballot::default()).then_some(ballot))
    }

    // The log of a configuration is never cut: it ends with the configuration, after at most so many decisions.

    fn set_stopsign(&mut self, _: Option<StopSign>) -> StorageResult<()> {
        Ok(())
    }

    fn get_stopsign(&self) -> StorageResult<Option<StopSign>> {
        Ok(None)
    }

    fn trim(&mut self, _: usize) -> StorageResult<()> {
        Ok(())
    }

    fn set_compacted_idx(&mut self, _: usize) -> StorageResult<()> {
        Ok(())
    }

    fn get_compacted_idx(&self) -> StorageResult<usize> {
        Ok(0)
    }

    fn set_snapshot(&mut self, _: Option<NoSnapshot>) -> StorageResult<()> {
        Ok(())
    }

    fn get_snapshot(&self) -> StorageResult<Option<NoSnapshot>> {
        Ok(None)
    }
}
