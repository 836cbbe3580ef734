//! Bytes to values: requests on the server's side, replies on the client's.

mod inline;
mod line;
mod reply;
mod request;

pub use reply::{ReplyDecoder, ReplyError};
pub use request::{Decoded, Request, RequestDecoder, RequestError};
