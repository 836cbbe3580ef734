//! The node's way to its commit log: stage what one event-loop turn produced, append it in one write.
//!
//! Invariants: records of one partition are staged under its lock, so their order in the log is the order in which
//! they were applied; frames are sent no sooner than their record was handed to the log, and with `sync = always`
//! no sooner than an fsync covers it, so that no event is seen elsewhere and lost here (replication.md 4.1).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use evenkeel_core::causality::{Context, DotRun};
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_store::disk::{Disk, FileDisk};
use evenkeel_store::log::{Durable, Failure, LogError, Observer, Sequence, SharedLog, SyncPolicy};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{mpsc, watch};

use super::reserve::Reserve;

/// A turn longer than this is appended in parts: many connections may write their largest values in one turn.
const TURN_BYTES_MAX: usize = 64 << 20;

/// What one turn has produced and not handed on yet.
#[derive(Default)]
struct Staged {
    /// Records, each behind its length in 4 bytes.
    records: Vec<u8>,
    dots: Vec<(PartitionId, DotRun)>,
    sends: Sends,
}

/// Frames of partitions on their way to peers, gathered: per peer in order, in groups that each hold frames behind
/// their lengths in 4 bytes. One checksum and one look at the link per group.
pub(crate) type Sends = Vec<(NodeId, Vec<u8>)>;

/// A group takes no more frames when it has grown to this; a larger frame is a group of its own.
const GROUP_BYTES_MAX: usize = 256 << 10;

/// The staging area, held while the effects of one input go there.
pub(crate) struct Staging<'a>(MutexGuard<'a, Staged>);

impl Staging<'_> {
    /// Stages a record.
    pub(crate) fn record(&mut self, partition: PartitionId, record: &[u8], dots: &Context) {
        put_behind_length(&mut self.0.records, record);
        self.0.dots.extend(dots.runs().map(|run| (partition, run)));
    }

    /// Stages a frame for a peer.
    pub(crate) fn send(&mut self, to: NodeId, frame: &[u8]) {
        let sends = &mut self.0.sends;
        let newest = sends.iter_mut().rfind(|group| group.0 == to);
        match newest.filter(|group| group.1.len() + frame.len() <= GROUP_BYTES_MAX) {
            Some(group) => put_behind_length(&mut group.1, frame),
            None => {
                let mut group = Vec::new();
                put_behind_length(&mut group, frame);
                sends.push((to, group));
            }
        }
    }
}

/// Records and frames are gathered so.
pub(super) fn put_behind_length(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// A staging buffer that has grown over this is not kept for the next turn.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// What comes back when a turn's record is durable.
#[derive(Debug, Default)]
pub(crate) struct Note {
    pub(crate) dots: Arc<Vec<(PartitionId, DotRun)>>,
    /// Frames that waited for the fsync.
    pub(crate) sends: Sends,
}

/// Hears from the sync thread and hands on to the executor.
pub(crate) struct Listener {
    durable: mpsc::UnboundedSender<Durable<Note>>,
    failed: Arc<AtomicBool>,
}

impl Observer<Note> for Listener {
    fn on_durable(&self, durable: Durable<Note>) {
        // Nobody listens any more only when the node is stopping.
        let _ = self.durable.send(durable);
    }

    fn on_failed(&self, cause: &Arc<Failure>) {
        self.failed.store(true, Ordering::Release);
        tracing::error!(%cause, "the commit log failed: writes are refused until restart, reads go on");
    }
}

/// Why writes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A write or an fsync failed.
    Failed,
    /// The disk is full.
    Full,
    /// The disk was full, and what was kept back is being used: only what makes no data grow is taken.
    Low,
    /// This node does not belong to its cluster any more: nobody would hear of what it takes.
    Forgotten,
}

impl Refusal {
    /// The error a client gets.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Failed => {
                "IOERR the commit log of this node failed ; a write under way may or may not be kept, write through another node and restart this one"
            }
            Self::Low => {
                "DISKFULL no space is left on the disk of this node ; commands that remove data are still taken, remove some, free space or write through another node"
            }
            Self::Full => {
                "DISKFULL no space is left for the commit log of this node ; a write under way is kept once there is, free space or write through another node"
            }
            Self::Forgotten => {
                "FORGOTTEN this node was removed from its cluster ; use another node, and start this one with an empty directory and --join, or with --join and --recover to save what only it holds"
            }
        }
    }
}

/// The staging area and the log.
pub(crate) struct Wal<D: Disk = FileDisk> {
    log: SharedLog<D, Note, Listener>,
    policy: SyncPolicy,
    staged: Mutex<Staged>,
    /// Held from taking what is staged until it is in the log: turns are appended in order. Keeps the buffer of the
    /// turn before for the next one.
    flushing: Mutex<Vec<u8>>,
    failed: Arc<AtomicBool>,
    full: AtomicBool,
    forgotten: AtomicBool,
    pub(super) reserve: Reserve,
    durable: watch::Sender<u64>,
    /// The Unix time when it was last told.
    durable_secs: AtomicU64,
    /// The generation of the newest append: turns are shared, so whoever finds nothing staged may have had its
    /// records appended by another thread.
    newest: AtomicU64,
    pub(crate) appended_bytes: AtomicU64,
    /// Bytes of the log that no checkpoint has replaced.
    kept_bytes: AtomicU64,
    pub(crate) appends: AtomicU64,
}

impl<D: Disk> Wal<D> {
    pub(crate) fn start(
        log: evenkeel_store::log::Log<D, Note>,
        policy: SyncPolicy,
        heard: mpsc::UnboundedSender<Durable<Note>>,
    ) -> std::io::Result<Self> {
        let failed = Arc::new(AtomicBool::new(false));
        let listener = Listener {
            durable: heard,
            failed: Arc::clone(&failed),
        };
        Ok(Self {
            log: SharedLog::start(log, policy, listener)?,
            policy,
            staged: Mutex::default(),
            flushing: Mutex::default(),
            failed,
            full: AtomicBool::new(false),
            forgotten: AtomicBool::new(false),
            reserve: Reserve::default(),
            durable: watch::Sender::new(0),
            durable_secs: AtomicU64::new(now_secs()),
            newest: AtomicU64::new(0),
            appended_bytes: AtomicU64::new(0),
            kept_bytes: AtomicU64::new(0),
            appends: AtomicU64::new(0),
        })
    }

    /// With space kept back for when the disk is full.
    pub(crate) fn keeping_back(mut self, reserve: Reserve) -> Self {
        self.reserve = reserve;
        self
    }

    /// Whether writes must be refused that make data grow.
    pub(crate) fn refusal_to_grow(&self) -> Option<Refusal> {
        let low = self.reserve.is_spent().then_some(Refusal::Low);
        self.refusal().or(low)
    }

    /// Whether writes must be refused.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        if self.failed.load(Ordering::Acquire) {
            return Some(Refusal::Failed);
        }
        if self.full.load(Ordering::Acquire) {
            return Some(Refusal::Full);
        }
        self.is_forgotten().then_some(Refusal::Forgotten)
    }

    /// Whether this node was removed from its cluster.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// This node was removed from its cluster: it takes nothing any more. Tells whether that is news.
    pub(crate) fn forget(&self) -> bool {
        !self.forgotten.swap(true, Ordering::Relaxed)
    }

    /// The staging area. Called under the partition's lock.
    pub(crate) fn stage(&self) -> Staging<'_> {
        Staging(self.staged.lock())
    }

    /// Hands what is staged to the log in one write and gives back the frames that may go out now. With
    /// `sync = always` they come back with the note instead.
    ///
    /// From a failed log nothing goes out any more: a frame may tell that an event is held here, which was applied and
    /// is in no log.
    pub(crate) fn flush(&self) -> Result<Flushed, Refusal> {
        let mut spare = self.flushing.lock();
        let staged = {
            let mut staged = self.staged.lock();
            let next = Staged {
                records: std::mem::take(&mut *spare),
                ..Staged::default()
            };
            std::mem::replace(&mut *staged, next)
        };
        if self.failed.load(Ordering::Acquire) {
            return Err(Refusal::Failed);
        }
        if staged.records.is_empty() {
            return Ok(Flushed {
                generation: self.newest.load(Ordering::Acquire),
                sends: staged.sends,
            });
        }
        let Staged {
            mut records,
            dots,
            sends,
        } = staged;
        let dots = Arc::new(dots);
        let (held, sends) = match self.policy {
            SyncPolicy::Always => (sends, Sends::new()),
            SyncPolicy::EverySecond | SyncPolicy::Never => (Sends::new(), sends),
        };
        let note = || Note {
            dots: Arc::clone(&dots),
            sends: held.clone(),
        };
        let appended = match self.append(&records, note()) {
            Err(LogError::DiskFull) if self.reserve.spend() => self.append(&records, note()),
            other => other,
        };
        match appended {
            Ok(ticket) => {
                self.full.store(false, Ordering::Release);
                self.newest.store(ticket.generation.0, Ordering::Release);
                self.appends.fetch_add(1, Ordering::Relaxed);
                self.appended_bytes
                    .fetch_add(records.len() as u64, Ordering::Relaxed);
                self.note_kept(records.len() as u64);
                if records.capacity() <= SPARE_BYTES_MAX {
                    records.clear();
                    *spare = records;
                }
                Ok(Flushed {
                    generation: ticket.generation.0,
                    sends,
                })
            }
            Err(LogError::DiskFull) => {
                self.full.store(true, Ordering::Release);
                self.put_back(Staged {
                    records,
                    dots: Arc::unwrap_or_clone(dots),
                    sends: held.into_iter().chain(sends).collect(),
                });
                Err(Refusal::Full)
            }
            Err(error) => {
                self.failed.store(true, Ordering::Release);
                tracing::error!(%error, "the commit log takes no records");
                Err(Refusal::Failed)
            }
        }
    }

    /// Appends a turn, cut where it is longer than one record of the log may be. The note goes with the last part; when
    /// that one fails, the parts before it are appended again, which a replay does not mind.
    fn append(&self, turn: &[u8], note: Note) -> Result<evenkeel_store::log::Ticket, LogError> {
        let mut rest = turn;
        while rest.len() > TURN_BYTES_MAX {
            let (part, tail) = rest.split_at(whole_records(rest, TURN_BYTES_MAX));
            if tail.is_empty() {
                break;
            }
            self.log.append(&[part], Note::default())?;
            rest = tail;
        }
        self.log.append(&[rest], note)
    }

    /// What could not be appended for want of space comes first when there is some again.
    fn put_back(&self, mut first: Staged) {
        let mut staged = self.staged.lock();
        first.records.append(&mut staged.records);
        first.dots.append(&mut staged.dots);
        first.sends.append(&mut staged.sends);
        *staged = first;
    }

    /// Waits until an fsync covers a generation, where acknowledgements need that.
    pub(crate) async fn acknowledged(&self, generation: u64) -> Result<(), Refusal> {
        if self.failed.load(Ordering::Acquire) {
            // The records may have been taken by another thread's turn, and that one failed.
            return Err(Refusal::Failed);
        }
        if self.policy != SyncPolicy::Always {
            return Ok(());
        }
        self.synced(generation).await
    }

    /// Asks for an fsync now, whatever the policy.
    pub(crate) fn request_sync(&self) {
        self.log.request_sync();
    }

    /// Waits until an fsync covers a generation, whenever the policy lets that come.
    pub(crate) async fn synced(&self, generation: u64) -> Result<(), Refusal> {
        if generation == 0 {
            return Ok(());
        }
        let mut durable = self.durable.subscribe();
        loop {
            if *durable.borrow_and_update() >= generation {
                return Ok(());
            }
            if self.failed.load(Ordering::Acquire) {
                return Err(Refusal::Failed);
            }
            // A failed log tells nobody by this channel, so look at it now and then.
            let limit = std::time::Duration::from_millis(100);
            let _ = tokio::time::timeout(limit, durable.changed()).await;
        }
    }

    /// Notes that an fsync has covered a generation.
    pub(crate) fn note_durable(&self, generation: u64) {
        self.durable.send_replace(generation);
        self.durable_secs.store(now_secs(), Ordering::Relaxed);
    }

    /// The Unix time of the newest fsync, or of the start.
    pub(crate) fn last_durable_secs(&self) -> u64 {
        self.durable_secs.load(Ordering::Relaxed)
    }

    /// Counts bytes that are in the log and in no checkpoint.
    pub(crate) fn note_kept(&self, bytes: u64) {
        self.kept_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of the log that checkpoints have replaced.
    pub(crate) fn note_replaced(&self, bytes: u64) {
        self.kept_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes of the log that no checkpoint has replaced.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.kept_bytes.load(Ordering::Relaxed)
    }

    /// The last record appended.
    pub(crate) fn last(&self) -> Sequence {
        self.log.last()
    }

    /// The disk that the log is on.
    pub(crate) fn disk(&self) -> &D {
        self.log.disk()
    }

    /// Begins a new segment, so that the records so far can leave the log with the next checkpoints, and syncs it.
    pub(crate) fn begin_segment(&self) -> Result<(), LogError> {
        self.log.begin_segment()?;
        self.log.request_sync();
        Ok(())
    }

    /// Whether everything up to a record is durable.
    pub(crate) fn has_synced(&self, covered: Sequence) -> bool {
        self.log.durable() >= covered
    }

    /// Removes the segments that hold nothing behind `covered`; gives how many. The last one stays, and what is not
    /// synced yet does until the next time.
    pub(crate) fn forget_up_to(&self, covered: Sequence) -> Result<usize, LogError> {
        self.log.remove_segments_before(Sequence(covered.0 + 1))
    }

    /// Syncs everything and ends the sync thread.
    pub(crate) fn close(&self) -> Result<(), LogError> {
        self.log.close()
    }
}

fn now_secs() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Bytes of as many whole records, each behind its length, as fit in `room`; of one at least.
fn whole_records(turn: &[u8], room: usize) -> usize {
    let mut used = 0;
    for record in records(turn) {
        let next = used + 4 + record.len();
        if next > room && used > 0 {
            break;
        }
        used = next;
    }
    used
}

/// What a flush gave.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    /// The fsync that will cover everything staged before; 0 when nothing was ever appended.
    pub(crate) generation: u64,
    /// Frames that may go out now.
    pub(crate) sends: Sends,
}

/// The records of one appended turn.
pub(crate) fn records(turn: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = turn;
    std::iter::from_fn(move || {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let (record, tail) = tail.split_at_checked(len)?;
        rest = tail;
        Some(record)
    })
}

#[cfg(test)]
mod tests;
