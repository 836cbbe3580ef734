//! Commit log and disks.
