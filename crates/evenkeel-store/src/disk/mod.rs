//! What the log needs of a file system, as a trait with two implementations.
//!
//! A disk is one flat directory. Invariants every implementation keeps:
//!
//! - bytes count as durable only once [`DiskFile::sync`] has returned `Ok`;
//! - a created, renamed or removed *name* counts as durable only once
//!   [`Disk::sync_dir`] has returned `Ok`;
//! - a failed call says so, and nothing is retried here: after a failed sync
//!   the kernel may have dropped the pages, so a second "success" means nothing;
//! - "no space left" is told apart from every other error.
//!
//! A file is appended to through one handle only: the handle knows where the
//! end is.

mod file;
mod lock;
mod memory;

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

pub use file::{FileDisk, FileHandle};
pub use lock::{DirectoryLock, LockError};
pub use memory::{Fate, MemoryDisk, MemoryFile, Unsynced};

/// A flat directory of files.
pub trait Disk: Send + Sync + 'static {
    /// An open file of this disk.
    type File: DiskFile;

    /// Creates an empty file; a file of that name is an error.
    fn create(&self, name: &str) -> Result<Self::File, DiskError>;

    /// Opens an existing file for reading and writing, appending at its end.
    fn open(&self, name: &str) -> Result<Self::File, DiskError>;

    /// Gives a file a new name, replacing what bore it.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file.
    fn remove(&self, name: &str) -> Result<(), DiskError>;

    /// The names of all files, in no particular order.
    fn list(&self) -> Result<Vec<String>, DiskError>;

    /// Makes every creation, renaming and removal so far durable.
    fn sync_dir(&self) -> Result<(), DiskError>;
}

/// An open file. Calls take `&self`, so that a sync can run beside an append.
pub trait DiskFile: Send + Sync + 'static {
    /// Writes all parts at the end of the file, in one call to the system if it
    /// takes them all. After an error any prefix may have been written.
    fn append(&self, parts: &mut [IoSlice<'_>]) -> Result<(), DiskError>;

    /// Overwrites bytes from `offset`; the appending position stays.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Reads from `offset` until the buffer or the file is at its end, and says
    /// how many bytes that were.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError>;

    /// The length of the file.
    fn length(&self) -> Result<u64, DiskError>;

    /// Shortens the file to `length` bytes and appends from there.
    fn truncate(&self, length: u64) -> Result<(), DiskError>;

    /// Makes all bytes written so far, and the length, durable.
    fn sync(&self) -> Result<(), DiskError>;
}

/// What was asked of the disk when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Creating a file.
    Create,
    /// Opening a file.
    Open,
    /// Writing, at the end or elsewhere.
    Write,
    /// Reading, or asking for the length.
    Read,
    /// Shortening a file.
    Truncate,
    /// Syncing a file.
    Sync,
    /// Syncing the directory.
    SyncDirectory,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Listing the directory.
    List,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Create => "create",
            Self::Open => "open",
            Self::Write => "write",
            Self::Read => "read",
            Self::Truncate => "truncate",
            Self::Sync => "sync",
            Self::SyncDirectory => "sync directory of",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::List => "list",
        })
    }
}

/// Why the disk did not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DiskError {
    /// No space is left, or a quota is used up. A write may have happened in
    /// part. Free space and try again.
    #[error("cannot {operation} {file}: no space left")]
    Full {
        /// What was asked.
        operation: Operation,
        /// Of which file.
        file: Arc<str>,
    },
    /// There is no such file. Nothing was changed.
    #[error("cannot {operation} {file}: no such file")]
    Missing {
        /// What was asked.
        operation: Operation,
        /// Of which file.
        file: Arc<str>,
    },
    /// Anything else. How much of the operation happened is unknown; the file
    /// must not be written to again before it has been read back.
    #[error("cannot {operation} {file}")]
    Io {
        /// What was asked.
        operation: Operation,
        /// Of which file.
        file: Arc<str>,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
}

impl DiskError {
    /// Sorts an error of the system.
    #[must_use]
    pub fn new(operation: Operation, file: &str, source: io::Error) -> Self {
        let file = Arc::from(file);
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { operation, file }
            }
            io::ErrorKind::NotFound => Self::Missing { operation, file },
            _ => Self::Io {
                operation,
                file,
                source: Arc::new(source),
            },
        }
    }

    /// Whether space ran out.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// Whether the medium cannot give back what is on it, as a bad sector does. Other errors of reading say nothing
    /// about the file: a descriptor may be missing, or a permission.
    #[must_use]
    pub fn is_bad_medium(&self) -> bool {
        /// `EIO`, which is the same number wherever this runs.
        const EIO: i32 = 5;
        match self {
            Self::Io {
                operation: Operation::Read,
                source,
                ..
            } => source.raw_os_error() == Some(EIO),
            _ => false,
        }
    }

    /// Whether the file does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}
