//! One process per directory: an advisory lock on a file `lock` in it.
//!
//! The lock belongs to the open file, so it goes with the process however that
//! ends. The file stays (removing it would let two processes lock two files of
//! that name) and holds the pid of the last owner, for the error message only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The lock's file name.
pub(super) const LOCK_FILE: &str = "lock";

/// A held lock; dropping it lets the directory go.
#[derive(Debug)]
pub struct DirectoryLock {
    /// Never read: holding it open is holding the lock.
    _file: File,
}

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process, or another part of this one, has the directory open.
    /// Nothing was changed. Stop that process, or use another directory.
    #[error("{directory} is in use by {}", owner(*pid))]
    Held {
        /// The directory.
        directory: PathBuf,
        /// Its owner, if the owner got as far as to say so.
        pid: Option<u32>,
    },
    /// The lock file could not be opened, locked or written. Nothing else was
    /// changed.
    #[error("cannot lock {directory}")]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl LockError {
    /// Whether somebody else has the directory open.
    #[must_use]
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }
}

fn owner(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

impl DirectoryLock {
    /// Locks an existing directory, without waiting.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io {
            directory: directory.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join(LOCK_FILE))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    directory: directory.to_owned(),
                    pid: read_pid(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_pid(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

impl DirectoryLock {
    /// Makes sure that nobody writes to a directory while it is read. Nothing to hold where nobody ever has.
    pub fn share(directory: &Path) -> Result<Option<Self>, LockError> {
        let failed = |source| LockError::Io {
            directory: directory.to_owned(),
            source,
        };
        let mut file = match File::open(directory.join(LOCK_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Err(LockError::Held {
                directory: directory.to_owned(),
                pid: read_pid(&mut file),
            }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
