//! RESP2 and RESP3 codec: bytes to requests and replies, and back.
//!
//! Sans-IO: the caller owns sockets and buffers. [`RequestDecoder`] and
//! [`ReplyWriter`] are the server's side, [`encode_command`] and
//! [`ReplyDecoder`] the client's.
//!
//! Invariants, for whatever bytes arrive:
//! - nothing panics and nothing recurses on the input's nesting;
//! - memory follows the bytes received, never a declared length;
//! - each byte is scanned once, however the stream is cut into reads.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod decode;
mod encode;
mod frame;
mod limits;

pub use decode::{Decoded, ReplyDecoder, ReplyError, Request, RequestDecoder, RequestError};
pub use encode::{DoubleText, ReplyWriter, encode_command, format_decimal, format_double};
pub use frame::{Line, Protocol, Reply};
pub use limits::{Limits, ReplyLimits, Trust};
