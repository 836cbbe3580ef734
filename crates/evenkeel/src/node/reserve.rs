//! Space kept back on the disk, so that a full one can still be emptied by removing keys.
//!
//! A delete is a record too. When an append finds no space the reserve is given up, and from then on only commands are
//! taken that make no data grow, until there is space again for the reserve and as much besides. What is removed
//! leaves the log with the next checkpoints, which are made at once then.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FallocateFlags;

use crate::space::free_space;

/// The most that is kept back.
const BYTES_MAX: u64 = 64 << 20;
/// On a small disk it is this part of it.
const PART: u64 = 16;

/// The reserve of a node.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    /// `None`: there is none, and none is missed.
    file: Option<(PathBuf, u64)>,
    held: AtomicBool,
}

impl Reserve {
    /// Keeps space back in a directory, or finds that there is none to keep.
    pub(super) fn of(dir: &Path) -> Self {
        let Ok((_, total)) = free_space(dir) else {
            return Self::default();
        };
        let reserve = Self {
            file: Some((dir.join("reserve"), BYTES_MAX.min(total / PART))),
            held: AtomicBool::new(false),
        };
        reserve.regain();
        reserve
    }

    /// Whether it is given up.
    pub(crate) fn is_spent(&self) -> bool {
        self.file.is_some() && !self.held.load(Ordering::Acquire)
    }

    /// What may be used for other things than deletes: all, or, when it is given up, what is free beyond one half of it.
    pub(super) fn spare(&self) -> u64 {
        let Some((path, bytes)) = self.file.as_ref().filter(|_| self.is_spent()) else {
            return u64::MAX;
        };
        let free = path.parent().and_then(|dir| free_space(dir).ok());
        free.map_or(0, |(free, _)| free.saturating_sub(bytes / 2))
    }

    /// Gives it up. Whether there was one: then there is space now.
    pub(super) fn spend(&self) -> bool {
        let Some((path, _)) = &self.file else {
            return false;
        };
        let spent = self.held.swap(false, Ordering::AcqRel) && fs::remove_file(path).is_ok();
        if spent {
            tracing::error!(
                "the disk is full: only commands that remove data are taken until there is space"
            );
        }
        spent
    }

    /// Keeps it back again where there is space for it and as much besides.
    pub(super) fn regain(&self) {
        let Some((path, bytes)) = self.file.as_ref().filter(|_| self.is_spent()) else {
            return;
        };
        let there = fs::metadata(path).map_or(0, |found| found.len());
        let free = path.parent().and_then(|dir| free_space(dir).ok());
        let is_room = free.is_some_and(|(free, _)| free + there >= bytes * 2);
        if is_room && allocate(path, *bytes).is_ok() {
            self.held.store(true, Ordering::Release);
            tracing::info!(bytes, "space is kept back for deletes");
        } else if there > 0 {
            // What is there of it is of more use as space.
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes a file that takes as many bytes of the disk.
fn allocate(path: &Path, bytes: u64) -> io::Result<()> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    Ok(rustix::fs::fallocate(
        &file,
        FallocateFlags::empty(),
        0,
        bytes,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_back_takes_space_and_is_given_up_once() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path());
        let file = dir.path().join("reserve");
        assert!(!reserve.is_spent());
        assert!(fs::metadata(&file).unwrap().len() > 0);
        assert!(reserve.spend());
        assert!(reserve.is_spent());
        assert!(!file.exists());
        assert!(!reserve.spend());
        reserve.regain();
        assert!(!reserve.is_spent());
        // A restart finds it.
        assert!(!Reserve::of(dir.path()).is_spent());
        assert!(!Reserve::default().is_spent());
    }
}
