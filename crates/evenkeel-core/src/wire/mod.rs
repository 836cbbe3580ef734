//! The bytes of messages between members and of log records. Version 1.
//!
//! A frame is `[version][kind][partition][epoch][sender, 8 bytes]` and the body. The log record of an event *is*
//! the frame of its delta, so frames are self-contained: no alias of a link is used. Decoding takes
//! memory in proportion to the bytes received (tests/it/memory.rs measures it), never panics, and refuses every form
//! that encoding would not write.

mod cell;
mod event;
mod message;
#[cfg(test)]
mod tests;

pub use event::{BatchEncoder, RESET_BYTES_MAX};
pub use message::{Record, asks_for_repair, decode, decode_record, encode, encode_note, head};
pub(crate) use message::{range_delete_bytes, unit_bytes};

/// The version this build writes, and the only one it reads so far.
pub const VERSION: u8 = 1;
