//! The reply model: what RESP2 and RESP3 can say, as one owned value.
//!
//! Invariant: text that travels on a line ([`Line`]) holds no CR or LF, so no
//! reply can smuggle a second one into the stream.

use bytes::Bytes;

/// The version of the protocol that a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What a connection starts with.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
    /// What nodes send each other: RESP3 in which nothing is lost that a client
    /// of either version would see. A missing array is `*-1`, pairs are `&`,
    /// decimals are `;`.
    Peer,
}

/// Text that fits on one line: no CR, no LF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(Bytes);

impl Line {
    /// Takes the text over, each CR and LF replaced by a space.
    #[must_use]
    pub fn new(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        if memchr::memchr2(b'\r', b'\n', &text).is_none() {
            return Self(text);
        }
        Self(text.iter().map(|&byte| flatten(byte)).collect())
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A space for what would end a line.
pub(crate) fn flatten(byte: u8) -> u8 {
    match byte {
        b'\r' | b'\n' => b' ',
        other => other,
    }
}

/// One reply. What RESP2 lacks is downgraded when it is encoded, as Redis
/// does; see [`crate::ReplyWriter`].
///
/// Encoding, comparing and dropping recurse on the nesting. A decoded reply is
/// bounded by [`crate::ReplyLimits::depth_max`]; who builds one from a user's
/// data (a script's result) must bound it likewise.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+`: a short status.
    Simple(Line),
    /// `-`: code word first, then the text. Bulk errors (`!`) decode to it.
    Error(Line),
    /// `:`
    Integer(i64),
    /// `$`: any bytes.
    Bulk(Bytes),
    /// `_`, or `$-1` in RESP2.
    Null,
    /// `_`, or `*-1` in RESP2: what a missing array is there.
    NullArray,
    /// `*`
    Array(Vec<Self>),
    /// `%`, or an array twice as long in RESP2.
    Map(Vec<(Self, Self)>),
    /// `*` of arrays of two, or one array twice as long in RESP2: elements with
    /// their scores or values.
    Pairs(Vec<(Self, Self)>),
    /// `~`, or an array in RESP2.
    Set(Vec<Self>),
    /// `,`, or a bulk string in RESP2.
    Double(f64),
    /// `,`, or a bulk string in RESP2: as [`Self::Double`], but without an
    /// exponent and with up to 17 digits behind the point.
    Decimal(f64),
    /// `#`, or 1 and 0 in RESP2.
    Boolean(bool),
    /// `(`, or a bulk string in RESP2: decimal digits.
    BigNumber(Line),
    /// `=`, or a bulk string without the format in RESP2.
    Verbatim {
        /// Three letters, such as `txt` or `mkd`.
        format: [u8; 3],
        /// The text itself.
        text: Bytes,
    },
    /// `>`, or an array in RESP2: sent out of turn.
    Push(Vec<Self>),
    /// `|` before a reply; RESP2 gets the reply alone.
    Attribute {
        /// Facts about the reply.
        attributes: Vec<(Self, Self)>,
        /// The reply they are about.
        reply: Box<Self>,
    },
}

impl Reply {
    /// A status such as `OK`.
    #[must_use]
    pub fn simple(text: impl Into<Bytes>) -> Self {
        Self::Simple(Line::new(text))
    }

    /// An error; the text starts with its code word, such as `ERR`.
    #[must_use]
    pub fn error(text: impl Into<Bytes>) -> Self {
        Self::Error(Line::new(text))
    }

    /// A bulk string.
    #[must_use]
    pub fn bulk(bytes: impl Into<Bytes>) -> Self {
        Self::Bulk(bytes.into())
    }
}
