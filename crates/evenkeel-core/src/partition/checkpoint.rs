//! Checkpoints: all of a replica at one instant, as log records that take the place of the records before it.
//!
//! A checkpoint *is* a snapshot of itself: what a member that lacks everything would be sent, and the note that
//! installs it. So there is one format, one way in, and one proof for both (replication.md 2.4). Replaying it into a
//! new partition, and then the records that follow, gives what replaying the whole log would have given.
//!
//! What it leaves out is the dot index: whoever lacks an event from before the checkpoint, after a restart of this
//! node, is sent a snapshot.

use bytes::Bytes;

use super::Partition;
use crate::bug::Bug;
use crate::codec::DecodeError;
use crate::message::{Message, Note, SnapshotId};
use crate::wire::{Record, decode_record, encode, encode_note};

impl Partition {
    /// The records of a checkpoint of this instant. They hold every event applied so far, synced or not, and count
    /// only when all of them are there: the caller writes them as one unit.
    #[must_use]
    pub fn checkpoint(&mut self) -> Vec<Bytes> {
        let id = SnapshotId(self.draw_nonce().0);
        let head = self.head();
        let chunks = self.cut(id).into_iter();
        let chunks = chunks.map(|chunk| encode(head, &Message::SnapshotChunk(chunk)));
        let mut notes = vec![encode_note(head, &Note::Installed { id })];
        // Without it the clock could fall behind stamps whose versions are overwritten and gone.
        let bound = self.clock.reserved();
        notes.push(encode_note(head, &Note::ClockBound { bound }));
        chunks.chain(notes).map(Bytes::from).collect()
    }

    /// Applies one record of a log whose beginning, or the checkpoint before it, is lost.
    ///
    /// Only records that are complete in themselves count: events, notes, and installed snapshots. An anti-entropy
    /// answer builds on the context that asked for it, which may be what is lost (replication.md 3.2); what it
    /// brought comes again from the members.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn replay_after_loss(&mut self, record: &[u8]) -> Result<(), DecodeError> {
        match decode_record(record)?.1 {
            Record::Frame(Message::SyncAnswer(_))
                if !self.settings.switches.breaks(Bug::LossIgnored) =>
            {
                Ok(())
            }
            _ => self.replay(record),
        }
    }
}
