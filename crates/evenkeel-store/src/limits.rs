//! Every bound of this crate, with what happens when it is reached.

use std::time::Duration;

/// Most payload bytes one record may hold. A larger append is refused with
/// [`LogError::TooLarge`](crate::log::LogError::TooLarge) and changes nothing.
///
/// Twice the largest client request (128 MiB), since one record holds whatever
/// one turn of an event loop accepted.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

/// Size at which a segment is closed and the next one begun, unless the options
/// say otherwise. Larger means fewer files; smaller means that space is given
/// back sooner after a checkpoint.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;

/// Least segment size the options may ask for.
pub const SEGMENT_BYTES_MIN: u64 = 256;

/// Greatest segment size the options may ask for.
pub const SEGMENT_BYTES_MAX: u64 = 4 << 30;

/// How many full segments may wait for their fsync. When as many wait and one
/// more is full, the sender is slowed: `SharedLog::append` waits,
/// `Log::append` answers [`LogError::Behind`](crate::log::LogError::Behind).
pub const UNSYNCED_SEGMENTS_MAX: usize = 4;

/// Least time between the beginnings of two fsyncs under `everysec`, and the
/// time without work after which the synced mark is itself synced.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes read at a time while replaying.
pub(crate) const READ_WINDOW_BYTES: usize = 1 << 20;

/// Greatest size of the `format` file; a longer one is damaged.
pub(crate) const FORMAT_FILE_BYTES_MAX: usize = 256;

const _: () = assert!(
    RECORD_BYTES_MAX <= u32::MAX as usize,
    "a record's length is written as a u32"
);
const _: () = assert!(SEGMENT_BYTES_MIN <= SEGMENT_BYTES_DEFAULT);
const _: () = assert!(SEGMENT_BYTES_DEFAULT <= SEGMENT_BYTES_MAX);
