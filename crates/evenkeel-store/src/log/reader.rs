//! Reading a segment, which may hold anything.

use super::format::{RECORD_HEADER_BYTES, RecordHeader, segment_name};
use super::{LogId, SegmentNumber};
use crate::disk::{Disk, DiskError, DiskFile};
use crate::limits::READ_WINDOW_BYTES;

/// Reads a segment through a window, so that records need no buffer of their
/// own and a false length costs no memory.
pub(super) struct Reader<D: Disk> {
    file: D::File,
    length: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl<D: Disk> Reader<D> {
    /// Opens a segment.
    pub(super) fn open(disk: &D, number: SegmentNumber) -> Result<Self, DiskError> {
        let file = disk.open(&segment_name(number))?;
        Ok(Self {
            length: file.length()?,
            file,
            window: Vec::new(),
            window_start: 0,
        })
    }

    /// Bytes of the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// These bytes, or nothing if the file ends before.
    pub(super) fn bytes(&mut self, offset: u64, count: usize) -> Result<Option<&[u8]>, DiskError> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        if left < count {
            return Ok(None);
        }
        let inside = usize::try_from(offset.wrapping_sub(self.window_start)).ok();
        let held = inside
            .and_then(|start| self.window.get(start..))
            .is_some_and(|rest| rest.len() >= count);
        if !held {
            self.window
                .resize(left.min(count.max(READ_WINDOW_BYTES)), 0);
            let read = self.file.read_at(offset, &mut self.window)?;
            self.window.truncate(read);
            self.window_start = offset;
        }
        let start = usize::try_from(offset - self.window_start).unwrap_or(usize::MAX);
        Ok(self.window.get(start..).and_then(|rest| rest.get(..count)))
    }

    /// The head of a record of this segment at this place, if there is one.
    pub(super) fn record_header(
        &mut self,
        offset: u64,
        id: LogId,
        segment: SegmentNumber,
    ) -> Result<Option<RecordHeader>, DiskError> {
        let bytes = self.bytes(offset, RECORD_HEADER_BYTES)?;
        Ok(bytes.and_then(|bytes| RecordHeader::decode(bytes, id, segment)))
    }
}
