//! The client's side: a stream of replies, in whatever protocol.
//!
//! Invariants:
//! - open aggregates live on a heap stack, so nesting costs no call stack, and
//!   its depth is bounded;
//! - a declared count or length allocates nothing beyond a small constant;
//! - one pass: bytes are taken off the buffer as elements complete.
//!
//! Streamed strings and aggregates (`$?`, `*?`) are refused: no server sends
//! them.

use bytes::{Buf, Bytes, BytesMut};

use super::line::{LineFault, LineScan, strict_integer};
use crate::frame::{Line, Reply};
use crate::limits::ReplyLimits;

/// Elements that an aggregate makes room for before any has come.
const ELEMENTS_RESERVED_MAX: usize = 16;
/// Bytes of the smallest element, `_` and CR LF.
const ELEMENT_BYTES_MIN: usize = 3;

/// Why the connection to the server cannot go on. The buffer is left in the
/// middle of a reply; close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A byte that begins no kind of reply. Not a RESP server, most likely.
    #[error("expected a reply, got '{}'", got.escape_ascii())]
    UnknownKind {
        /// The byte.
        got: u8,
    },
    /// A count or length that is no number, or negative.
    #[error("invalid length behind '{}'", kind.escape_ascii())]
    InvalidLength {
        /// The byte that began the element.
        kind: u8,
    },
    /// A value that its kind does not allow.
    #[error("invalid value behind '{}'", kind.escape_ascii())]
    InvalidValue {
        /// The byte that began the element.
        kind: u8,
    },
    /// A line or string not followed by CR LF.
    #[error("expected CRLF")]
    ExpectedCrlf,
    /// A line longer than [`ReplyLimits::line_bytes_max`].
    #[error("line longer than allowed")]
    TooBigLine,
    /// A reply longer than [`ReplyLimits::reply_bytes_max`], by what it
    /// declares or by what came.
    #[error("reply longer than allowed")]
    TooBigReply,
    /// Aggregates deeper than [`ReplyLimits::depth_max`].
    #[error("reply nested deeper than allowed")]
    TooDeep,
}

/// Cuts a connection's bytes into replies.
///
/// ```
/// use bytes::BytesMut;
/// use evenkeel_resp::{Reply, ReplyDecoder, ReplyLimits};
///
/// let mut decoder = ReplyDecoder::new(ReplyLimits::default());
/// let mut received = BytesMut::from("*2\r\n:1\r\n");
/// assert_eq!(decoder.decode(&mut received), Ok(None));
/// received.extend_from_slice(b"+OK\r\n");
/// let reply = Reply::Array(vec![Reply::Integer(1), Reply::simple("OK")]);
/// assert_eq!(decoder.decode(&mut received), Ok(Some(reply)));
/// ```
#[derive(Debug, Default)]
pub struct ReplyDecoder {
    limits: ReplyLimits,
    line: LineScan,
    /// A string whose header was taken off the buffer.
    blob: Option<Blob>,
    /// Aggregates begun and not complete, the outermost first.
    open: Vec<Aggregate>,
    /// Bytes of the current reply taken off the buffer.
    taken: usize,
}

#[derive(Clone, Copy, Debug)]
struct Blob {
    kind: u8,
    bytes: usize,
}

#[derive(Debug)]
struct Aggregate {
    kind: u8,
    missing: usize,
    elements: Vec<Reply>,
}

/// One step through the stream.
enum Element {
    Value(Reply),
    Blob(Blob),
    Aggregate(Aggregate),
}

impl ReplyDecoder {
    /// A decoder for a new connection.
    #[must_use]
    pub fn new(limits: ReplyLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// The next reply, or `None` until more bytes are behind `input`. What was
    /// read is taken off `input`, complete or not.
    ///
    /// # Errors
    /// The stream is beyond repair.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, ReplyError> {
        loop {
            let value = match self.blob {
                Some(blob) => match self.take_blob(blob, input)? {
                    Some(value) => value,
                    None => return Ok(None),
                },
                None => match self.take_line(input)? {
                    None => return Ok(None),
                    Some(Element::Value(value)) => value,
                    Some(Element::Blob(blob)) => {
                        self.blob = Some(blob);
                        continue;
                    }
                    Some(Element::Aggregate(aggregate)) => {
                        self.open(aggregate)?;
                        continue;
                    }
                },
            };
            if let Some(reply) = self.close(value) {
                self.taken = 0;
                return Ok(Some(reply));
            }
        }
    }

    fn open(&mut self, aggregate: Aggregate) -> Result<(), ReplyError> {
        if self.open.len() >= self.limits.depth_max {
            return Err(ReplyError::TooDeep);
        }
        self.open.push(aggregate);
        Ok(())
    }

    /// Puts a value where it belongs; the reply if that was its last part.
    fn close(&mut self, mut value: Reply) -> Option<Reply> {
        while let Some(mut aggregate) = self.open.pop() {
            aggregate.elements.push(value);
            aggregate.missing -= 1;
            if aggregate.missing > 0 {
                self.open.push(aggregate);
                return None;
            }
            value = aggregate.finish();
        }
        Some(value)
    }

    fn take(&mut self, bytes: usize, input: &mut BytesMut) -> Result<(), ReplyError> {
        input.advance(bytes);
        self.taken += bytes;
        if self.taken > self.limits.reply_bytes_max {
            return Err(ReplyError::TooBigReply);
        }
        Ok(())
    }

    /// Bytes that the current reply may still take.
    fn room(&self) -> usize {
        self.limits.reply_bytes_max.saturating_sub(self.taken)
    }

    fn take_blob(&mut self, blob: Blob, input: &mut BytesMut) -> Result<Option<Reply>, ReplyError> {
        let Some((bytes, after)) = input.split_at_checked(blob.bytes) else {
            return Ok(None);
        };
        match after {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return Ok(None),
            _ => return Err(ReplyError::ExpectedCrlf),
        }
        let value = blob_value(blob.kind, bytes)?;
        self.take(blob.bytes + 2, input)?;
        self.blob = None;
        Ok(Some(value))
    }

    fn take_line(&mut self, input: &mut BytesMut) -> Result<Option<Element>, ReplyError> {
        let Some((&kind, rest)) = input.split_first() else {
            return Ok(None);
        };
        if !KINDS.contains(&kind) {
            return Err(ReplyError::UnknownKind { got: kind });
        }
        let text_bytes = match self.line.crlf(rest, self.limits.line_bytes_max) {
            Ok(Some(text_bytes)) => text_bytes,
            Ok(None) => return Ok(None),
            Err(LineFault::TooLong) => return Err(ReplyError::TooBigLine),
            Err(LineFault::LoneCr) => return Err(ReplyError::ExpectedCrlf),
        };
        let text = rest.get(..text_bytes).unwrap_or_default();
        let line_bytes = 1 + text_bytes + 2;
        let room = self.room().saturating_sub(line_bytes);
        let element = match kind {
            b'$' | b'!' | b'=' => blob_header(kind, text, room)?,
            b'*' | b'%' | b'~' | b'>' | b'|' | b'&' => aggregate_header(kind, text, room)?,
            _ => Element::Value(line_value(kind, text)?),
        };
        self.take(line_bytes, input)?;
        Ok(Some(element))
    }
}

impl Aggregate {
    fn finish(mut self) -> Reply {
        match self.kind {
            b'%' => Reply::Map(pairs(self.elements)),
            b'&' => Reply::Pairs(pairs(self.elements)),
            b'~' => Reply::Set(self.elements),
            b'>' => Reply::Push(self.elements),
            b'|' => {
                // The reply itself is counted as the last element.
                let reply = self.elements.pop().unwrap_or(Reply::Null);
                Reply::Attribute {
                    attributes: pairs(self.elements),
                    reply: Box::new(reply),
                }
            }
            _ => Reply::Array(self.elements),
        }
    }
}

fn pairs(elements: Vec<Reply>) -> Vec<(Reply, Reply)> {
    let mut pairs = Vec::with_capacity(elements.len() / 2);
    let mut elements = elements.into_iter();
    while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
        pairs.push((key, value));
    }
    pairs
}

/// The bytes that begin an element.
const KINDS: &[u8] = b"+-:$*_,#(=!%~>|&;";

fn line_value(kind: u8, text: &[u8]) -> Result<Reply, ReplyError> {
    let value = match kind {
        b'+' => Some(Reply::Simple(line(text))),
        b'-' => Some(Reply::Error(line(text))),
        b':' => integer(text).map(Reply::Integer),
        b'_' => text.is_empty().then_some(Reply::Null),
        b',' => double(text).map(Reply::Double),
        b';' => double(text).map(Reply::Decimal),
        b'#' => match text {
            b"t" => Some(Reply::Boolean(true)),
            b"f" => Some(Reply::Boolean(false)),
            _ => None,
        },
        _ => is_big_number(text).then(|| Reply::BigNumber(line(text))),
    };
    value.ok_or(ReplyError::InvalidValue { kind })
}

/// The commonest status costs no allocation.
fn line(text: &[u8]) -> Line {
    match text {
        b"OK" => Line::new("OK"),
        _ => Line::new(Bytes::copy_from_slice(text)),
    }
}

fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn double(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn is_big_number(text: &[u8]) -> bool {
    let digits = match text {
        [b'+' | b'-', digits @ ..] => digits,
        digits => digits,
    };
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn blob_header(kind: u8, text: &[u8], room: usize) -> Result<Element, ReplyError> {
    let invalid = ReplyError::InvalidLength { kind };
    let length = strict_integer(text).ok_or(invalid)?;
    if length == -1 && kind == b'$' {
        return Ok(Element::Value(Reply::Null));
    }
    let bytes = usize::try_from(length).map_err(|_| invalid)?;
    if bytes > room.saturating_sub(2) {
        return Err(ReplyError::TooBigReply);
    }
    Ok(Element::Blob(Blob { kind, bytes }))
}

fn blob_value(kind: u8, bytes: &[u8]) -> Result<Reply, ReplyError> {
    match (kind, bytes) {
        (b'$', _) => Ok(Reply::Bulk(Bytes::copy_from_slice(bytes))),
        (b'!', _) => Ok(Reply::Error(line(bytes))),
        (_, [a, b, c, b':', text @ ..]) => Ok(Reply::Verbatim {
            format: [*a, *b, *c],
            text: Bytes::copy_from_slice(text),
        }),
        _ => Err(ReplyError::InvalidValue { kind }),
    }
}

fn aggregate_header(kind: u8, text: &[u8], room: usize) -> Result<Element, ReplyError> {
    let invalid = ReplyError::InvalidLength { kind };
    let count = strict_integer(text).ok_or(invalid)?;
    if count == -1 && kind == b'*' {
        return Ok(Element::Value(Reply::NullArray));
    }
    let count = usize::try_from(count).map_err(|_| invalid)?;
    if count > room / ELEMENT_BYTES_MIN {
        return Err(ReplyError::TooBigReply);
    }
    let missing = match kind {
        b'%' | b'&' => count * 2,
        b'|' => count * 2 + 1,
        _ => count,
    };
    let aggregate = Aggregate {
        kind,
        missing,
        elements: Vec::with_capacity(missing.min(ELEMENTS_RESERVED_MAX)),
    };
    Ok(match missing {
        0 => Element::Value(aggregate.finish()),
        _ => Element::Aggregate(aggregate),
    })
}

#[cfg(test)]
mod tests;
