//! The server's side: a stream of requests, one at a time, without copying.
//!
//! Invariants:
//! - one pass: state is kept between calls, nothing parsed is parsed again;
//! - a declared count or length allocates nothing. The scratch holds 8 bytes
//!   per argument *received* (which took at least 6) and one inline line;
//! - a request is reported whole, or not at all: framing is checked to its last
//!   byte first.
//!
//! Driven by [`RequestDecoder::decode`] with the unconsumed bytes of the
//! connection. Requests are flat arrays of bulk strings, or inline. Where Redis
//! 7.0.15 answers an error, the text is the same. It differs in one respect:
//! Redis takes any two bytes for the CR LF behind a value, and so runs requests
//! whose lengths are wrong; they are refused here.

use std::ops::Range;

use bytes::Bytes;

use super::inline;
use super::line::{LineFault, LineScan, short_header, strict_integer};
use crate::frame::Reply;
use crate::limits::{Limits, REQUEST_BYTES_CEILING, Trust};

/// Scratch that an idle connection keeps: arguments, and bytes of an inline
/// line. More is given back when the next request begins.
const RETAINED_ARGS_MAX: usize = 256;
const RETAINED_INLINE_BYTES_MAX: usize = 1024;

/// What the bytes so far amount to.
#[derive(Debug)]
pub enum Decoded<'a> {
    /// A request, to be run; then drop [`Request::consumed`] bytes.
    Request(Request<'a>),
    /// More bytes are needed.
    Incomplete {
        /// Bytes to drop all the same: empty requests, which get no answer.
        consumed: usize,
    },
}

/// One request: at least one argument, the first being the command's name.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The input, or the unquoted copy of an inline request.
    text: &'a [u8],
    args: &'a [Span],
    /// Where `text` begins in the input; `None` for an inline request.
    text_start: Option<usize>,
    consumed: usize,
}

/// Where an argument lies in the request's text.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl<'a> Request<'a> {
    /// How many arguments there are, the name among them; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a request is never empty")]
    pub fn len(&self) -> usize {
        self.args.len()
    }

    /// The command's name as sent: `SET`, `set`.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.arg(0).unwrap_or_default()
    }

    /// Argument `index`; 0 is the name.
    #[must_use]
    pub fn arg(&self, index: usize) -> Option<&'a [u8]> {
        self.text.get(self.args.get(index)?.range())
    }

    /// All arguments in order, the name first.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let text = self.text;
        let slice = move |span: &Span| text.get(span.range()).unwrap_or_default();
        self.args.iter().map(slice)
    }

    /// Where argument `index` lies in the input, for taking a large value over
    /// without a copy. `None` for inline requests, whose quotes were removed.
    #[must_use]
    pub fn range(&self, index: usize) -> Option<Range<usize>> {
        let text_start = self.text_start?;
        let Range { start, end } = self.args.get(index)?.range();
        Some(text_start + start..text_start + end)
    }

    /// Bytes of the input to drop once the request has been run.
    #[must_use]
    pub fn consumed(&self) -> usize {
        self.consumed
    }
}

/// Why a connection cannot go on: what follows in the stream has no meaning.
/// No request is lost or half run; answer [`RequestError::to_reply`] and close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// `*` with no number, or more arguments than [`Limits::args_max`].
    #[error("invalid multibulk length")]
    InvalidMultibulkLength,
    /// `$` with no number, a negative one, or more than
    /// [`Limits::bulk_bytes_max`].
    #[error("invalid bulk length")]
    InvalidBulkLength,
    /// More arguments than a client may send before it logs in.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// A longer argument than a client may send before it logs in.
    #[error("unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// An element that is no bulk string, such as a nested array.
    #[error("expected '$', got '{}'", got.escape_ascii())]
    ExpectedBulk {
        /// The byte in its place.
        got: u8,
    },
    /// An inline request with open quotes, or text right behind closed ones.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    /// An inline request longer than [`Limits::inline_bytes_max`].
    #[error("too big inline request")]
    TooBigInline,
    /// A `*` line longer than [`Limits::inline_bytes_max`].
    #[error("too big mbulk count string")]
    TooBigMultibulkCount,
    /// A `$` line longer than [`Limits::inline_bytes_max`].
    #[error("too big bulk count string")]
    TooBigBulkCount,
    /// A header or value not followed by CR LF: a length was wrong.
    #[error("expected CRLF")]
    ExpectedCrlf,
    /// A request longer than [`Limits::request_bytes_max`].
    #[error("too big request")]
    TooBigRequest,
    /// HTTP on this port, most likely a browser made to attack it. Close
    /// without an answer.
    #[error("possible cross-protocol attack: HTTP request line")]
    CrossProtocol,
}

impl RequestError {
    /// The answer to send before closing; `None` where the peer gets none.
    #[must_use]
    pub fn to_reply(&self) -> Option<Reply> {
        let text = match self {
            Self::CrossProtocol => return None,
            Self::ExpectedBulk { got } => {
                let before = b"ERR Protocol error: expected '$', got '";
                Bytes::from([before.as_slice(), &[*got], b"'"].concat())
            }
            other => Bytes::from(format!("ERR Protocol error: {other}")),
        };
        Some(Reply::error(text))
    }
}

/// What a look at the frame that starts at the input's start found.
enum Progress {
    Incomplete,
    /// An empty request of this many bytes.
    Empty(usize),
    Multibulk(usize),
    Inline(usize),
}

/// Cuts a connection's bytes into requests.
///
/// ```
/// use evenkeel_resp::{Decoded, Limits, RequestDecoder};
///
/// let mut decoder = RequestDecoder::new(Limits::unauthenticated());
/// let Ok(Decoded::Request(request)) = decoder.decode(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n")
/// else {
///     panic!("a request is there");
/// };
/// assert_eq!(request.args().collect::<Vec<_>>(), [b"GET".as_slice(), b"k"]);
/// assert_eq!(request.consumed(), 20);
/// ```
#[derive(Debug, Default)]
pub struct RequestDecoder {
    limits: Limits,
    line: LineScan,
    /// The first byte of the current request that is not parsed yet.
    position: usize,
    /// Arguments still to come; 0 between requests.
    args_missing: usize,
    /// The length of the value that starts at `position`, its header parsed.
    bulk_bytes: Option<usize>,
    args: Vec<Span>,
    unquoted: Vec<u8>,
}

impl RequestDecoder {
    /// A decoder for a new connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// New bounds from the next header on, for when a client logs in or out.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The next request of `input`: the bytes received and not yet consumed.
    /// After `Incomplete` call again with the same bytes, less the consumed
    /// ones, and more behind them.
    ///
    /// # Errors
    /// The stream is beyond repair; every later call answers an error too.
    pub fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<'a>, RequestError> {
        let mut start = 0;
        let (frame, found) = loop {
            let frame = input.get(start..).unwrap_or_default();
            match self.frame(frame)? {
                Progress::Empty(bytes) => start += bytes,
                other => break (frame, other),
            }
        };
        let (text, text_start, bytes) = match found {
            Progress::Multibulk(bytes) => (frame, Some(start), bytes),
            Progress::Inline(bytes) => (self.unquoted.as_slice(), None, bytes),
            Progress::Incomplete | Progress::Empty(_) => {
                return Ok(Decoded::Incomplete { consumed: start });
            }
        };
        Ok(Decoded::Request(Request {
            text,
            args: &self.args,
            text_start,
            consumed: start + bytes,
        }))
    }

    fn frame(&mut self, frame: &[u8]) -> Result<Progress, RequestError> {
        if self.args_missing > 0 {
            return self.arguments(frame);
        }
        self.clear_scratch();
        match frame.first() {
            None => Ok(Progress::Incomplete),
            Some(b'*') => self.multibulk(frame),
            Some(_) => self.inline(frame),
        }
    }

    fn clear_scratch(&mut self) {
        self.args.clear();
        self.unquoted.clear();
        if self.args.capacity() > RETAINED_ARGS_MAX {
            self.args.shrink_to(RETAINED_ARGS_MAX);
        }
        if self.unquoted.capacity() > RETAINED_INLINE_BYTES_MAX {
            self.unquoted.shrink_to(RETAINED_INLINE_BYTES_MAX);
        }
    }

    fn multibulk(&mut self, frame: &[u8]) -> Result<Progress, RequestError> {
        let Some((count, bytes)) = self.header(frame, &HEADER_OF_COUNT)? else {
            return Ok(Progress::Incomplete);
        };
        // Redis skips `*0` and `*-1` silently; so does each client library.
        let count = usize::try_from(count).unwrap_or_default();
        if count == 0 {
            return Ok(Progress::Empty(bytes));
        }
        if count > self.limits.args_max {
            return Err(self.too_many_arguments());
        }
        self.args_missing = count;
        self.position = bytes;
        self.arguments(frame)
    }

    /// The bulk strings of an array, as many as are there.
    fn arguments(&mut self, frame: &[u8]) -> Result<Progress, RequestError> {
        while self.args_missing > 0 {
            let Some(bulk_bytes) = self.bulk_header(frame)? else {
                return Ok(Progress::Incomplete);
            };
            let start = self.position;
            let end = start + bulk_bytes;
            match frame.get(end..end + 2) {
                Some(b"\r\n") => {}
                Some(_) => return Err(RequestError::ExpectedCrlf),
                None => return Ok(Progress::Incomplete),
            }
            self.args.push(span(start, end)?);
            self.bulk_bytes = None;
            self.position = end + 2;
            self.args_missing -= 1;
        }
        Ok(Progress::Multibulk(std::mem::take(&mut self.position)))
    }

    /// The length of the value at `position`, having moved behind its header.
    fn bulk_header(&mut self, frame: &[u8]) -> Result<Option<usize>, RequestError> {
        if self.bulk_bytes.is_some() {
            return Ok(self.bulk_bytes);
        }
        let rest = frame.get(self.position..).unwrap_or_default();
        let Some((length, header_bytes)) = self.header(rest, &HEADER_OF_BULK)? else {
            return Ok(None);
        };
        let Ok(bulk_bytes) = usize::try_from(length) else {
            return Err(RequestError::InvalidBulkLength);
        };
        if bulk_bytes > self.limits.bulk_bytes_max {
            return Err(match self.limits.trust {
                Trust::Unauthenticated => RequestError::UnauthenticatedBulkLength,
                Trust::Authenticated => RequestError::InvalidBulkLength,
            });
        }
        let position = self.position + header_bytes;
        if bulk_bytes.saturating_add(position + 2) > self.request_bytes_max() {
            return Err(RequestError::TooBigRequest);
        }
        self.position = position;
        self.bulk_bytes = Some(bulk_bytes);
        Ok(self.bulk_bytes)
    }

    /// The number on the line that begins `rest`, and the bytes of that line.
    #[inline]
    fn header(
        &mut self,
        rest: &[u8],
        header: &'static Header,
    ) -> Result<Option<(i64, usize)>, RequestError> {
        let Some((number, bytes)) = short_header(rest, header.marker) else {
            return self.unusual_header(rest, header);
        };
        self.line = LineScan::default();
        Ok(Some((i64::try_from(number).unwrap_or(i64::MAX), bytes)))
    }

    /// A header that is not all there, long, negative or wrong.
    #[cold]
    fn unusual_header(
        &mut self,
        rest: &[u8],
        header: &'static Header,
    ) -> Result<Option<(i64, usize)>, RequestError> {
        let room = self.request_bytes_max().saturating_sub(self.position);
        let line_bytes_max = self.limits.inline_bytes_max;
        let end = match self.line.crlf(rest, line_bytes_max.min(room)) {
            Ok(Some(end)) => end,
            Ok(None) => return Ok(None),
            Err(LineFault::TooLong) if room < line_bytes_max => {
                return Err(RequestError::TooBigRequest);
            }
            Err(LineFault::TooLong) => return Err(header.too_long),
            Err(LineFault::LoneCr) => return Err(RequestError::ExpectedCrlf),
        };
        // The CR itself when the line is empty, as in Redis.
        match rest.split_first() {
            Some((marker, _)) if *marker == header.marker => {}
            Some((&got, _)) => return Err(RequestError::ExpectedBulk { got }),
            None => return Ok(None),
        }
        let text = rest.get(1..end).unwrap_or_default();
        let number = strict_integer(text).ok_or(header.invalid)?;
        Ok(Some((number, end + 2)))
    }

    fn inline(&mut self, frame: &[u8]) -> Result<Progress, RequestError> {
        let Ok(end) = self.line.lf(frame, self.limits.inline_bytes_max) else {
            return Err(RequestError::TooBigInline);
        };
        let Some(end) = end else {
            return Ok(Progress::Incomplete);
        };
        let mut rest = frame.get(..end).unwrap_or_default();
        loop {
            let start = self.unquoted.len();
            match inline::next_argument(&mut rest, &mut self.unquoted) {
                None => break,
                Some(Err(inline::Unbalanced)) => return Err(RequestError::UnbalancedQuotes),
                Some(Ok(())) => self.args.push(span(start, self.unquoted.len())?),
            }
            if self.args.len() > self.limits.args_max {
                return Err(self.too_many_arguments());
            }
        }
        if self.args.is_empty() {
            return Ok(Progress::Empty(end + 1));
        }
        let slice = |span: &Span| self.unquoted.get(span.range()).unwrap_or_default();
        if inline::is_http(self.args.iter().map(slice)) {
            return Err(RequestError::CrossProtocol);
        }
        Ok(Progress::Inline(end + 1))
    }

    fn request_bytes_max(&self) -> usize {
        self.limits.request_bytes_max.min(REQUEST_BYTES_CEILING)
    }

    fn too_many_arguments(&self) -> RequestError {
        match self.limits.trust {
            Trust::Unauthenticated => RequestError::UnauthenticatedMultibulkLength,
            Trust::Authenticated => RequestError::InvalidMultibulkLength,
        }
    }
}

/// What tells the two kinds of header apart.
struct Header {
    marker: u8,
    too_long: RequestError,
    invalid: RequestError,
}

static HEADER_OF_COUNT: Header = Header {
    marker: b'*',
    too_long: RequestError::TooBigMultibulkCount,
    invalid: RequestError::InvalidMultibulkLength,
};

static HEADER_OF_BULK: Header = Header {
    marker: b'$',
    too_long: RequestError::TooBigBulkCount,
    invalid: RequestError::InvalidBulkLength,
};

/// Cannot fail below [`REQUEST_BYTES_CEILING`], which the header was held to.
fn span(start: usize, end: usize) -> Result<Span, RequestError> {
    match (u32::try_from(start), u32::try_from(end)) {
        (Ok(start), Ok(end)) => Ok(Span { start, end }),
        _ => Err(RequestError::TooBigRequest),
    }
}

#[cfg(test)]
mod tests;
