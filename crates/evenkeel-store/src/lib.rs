//! The commit log and the checkpoints of a node, and the disks they are written to.
//!
//! Everything a node has accepted goes through one append-only log before it
//! counts as kept. This crate writes that log, makes it durable by group
//! commit, and reads it back after a crash; what the records mean is the
//! caller's business.
//!
//! - [`disk`]: files behind a trait, real ([`disk::FileDisk`]) and simulated
//!   ([`disk::MemoryDisk`], which can lose power).
//! - [`log`]: the log itself. [`log::Log`] is single-threaded and reads no
//!   clock, so that a simulator can drive it; [`log::SharedLog`] puts it behind
//!   a mutex and syncs it on a thread of its own.
//!
//! - [`checkpoint`]: files that take the place of the log's beginning, so that the
//!   log stays short and a start fast.
//! - [`verify`]: looking at all of it without opening it.
//!
//! Bytes read from a disk are never trusted: they are checked and answered with
//! an error, not with a panic.

pub mod checkpoint;
pub mod disk;
pub mod limits;
pub mod log;
pub mod verify;
