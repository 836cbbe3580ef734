//! How much space a file system has.

use std::io;
use std::path::Path;

/// Bytes that are free for this process on the file system of a path, and all there are.
///
/// # Errors
/// When the path is not there.
pub fn free_space(path: &Path) -> io::Result<(u64, u64)> {
    let found = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok((bytes(found.f_bavail), bytes(found.f_blocks)))
}
