//! Values to bytes: replies on the server's side, commands on the client's.
//!
//! Invariant: whatever the text, the output is well framed; CR and LF in a
//! line become spaces. RESP2 gets what Redis gives it: maps and pairs as flat
//! arrays, sets and pushes as arrays, doubles, big numbers and verbatim text as bulk
//! strings, booleans as 1 and 0.

mod double;

use bytes::BufMut;

use crate::frame::{Protocol, Reply, flatten};

pub use double::{DoubleText, format_decimal, format_double};

/// Writes replies behind one another into a growing buffer (`Vec<u8>`,
/// `BytesMut`).
///
/// After a header ([`Self::array`], [`Self::map`], …) the caller writes as many
/// values as it declared.
///
/// ```
/// use evenkeel_resp::{Protocol, ReplyWriter};
///
/// let mut out = Vec::new();
/// let mut reply = ReplyWriter::new(&mut out, Protocol::Resp2);
/// reply.map(1);
/// reply.bulk(b"score");
/// reply.double(1.5);
/// assert_eq!(out, b"*2\r\n$5\r\nscore\r\n$3\r\n1.5\r\n");
/// ```
#[derive(Debug)]
pub struct ReplyWriter<'a, B> {
    out: &'a mut B,
    protocol: Protocol,
}

impl<'a, B: BufMut> ReplyWriter<'a, B> {
    /// A writer for one connection's protocol.
    pub fn new(out: &'a mut B, protocol: Protocol) -> Self {
        Self { out, protocol }
    }

    /// `+text`
    pub fn simple(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'+', text.as_ref());
    }

    /// `-text`; the text starts with its code word.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'-', text.as_ref());
    }

    /// `:value`
    pub fn integer(&mut self, value: i64) {
        let sign = if value < 0 { &b"-"[..] } else { b"" };
        put_number(self.out, b':', sign, value.unsigned_abs());
    }

    /// `$length` and the bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        put_bulk(self.out, bytes);
    }

    /// A missing value.
    pub fn null(&mut self) {
        self.out.put_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 | Protocol::Peer => b"_\r\n",
        });
    }

    /// A missing array.
    pub fn null_array(&mut self) {
        self.out.put_slice(match self.protocol {
            Protocol::Resp2 | Protocol::Peer => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The header of `count` values.
    pub fn array(&mut self, count: usize) {
        put_header(self.out, b'*', count);
    }

    /// The header of `count` keys, each followed by its value.
    pub fn map(&mut self, count: usize) {
        match self.protocol {
            Protocol::Resp2 => put_header(self.out, b'*', count * 2),
            Protocol::Resp3 | Protocol::Peer => put_header(self.out, b'%', count),
        }
    }

    /// The header of `count` distinct values.
    pub fn set(&mut self, count: usize) {
        self.array_or(b'~', count);
    }

    /// The header of an out-of-turn message of `count` values.
    pub fn push(&mut self, count: usize) {
        self.array_or(b'>', count);
    }

    /// A floating-point number; see [`format_double`].
    pub fn double(&mut self, value: f64) {
        self.line_or_bulk(b',', format_double(value).as_bytes());
    }

    /// A floating-point number without an exponent.
    pub fn decimal(&mut self, value: f64) {
        match self.protocol {
            Protocol::Peer => self.line(b';', format_double(value).as_bytes()),
            _ => self.line_or_bulk(b',', format_decimal(value).as_bytes()),
        }
    }

    /// True or false.
    pub fn boolean(&mut self, value: bool) {
        self.out.put_slice(match (self.protocol, value) {
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp2, true) => b":1\r\n",
            (_, false) => b"#f\r\n",
            (_, true) => b"#t\r\n",
        });
    }

    /// An integer of any size, in decimal digits.
    pub fn big_number(&mut self, digits: impl AsRef<[u8]>) {
        self.line_or_bulk(b'(', digits.as_ref());
    }

    /// Text for people, with its format: `txt`, `mkd`.
    pub fn verbatim(&mut self, format: [u8; 3], text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => put_bulk(self.out, text),
            Protocol::Resp3 | Protocol::Peer => {
                put_header(self.out, b'=', format.len() + 1 + text.len());
                self.out.put_slice(&format);
                self.out.put_slice(b":");
                self.out.put_slice(text);
                self.out.put_slice(b"\r\n");
            }
        }
    }

    /// A whole reply.
    pub fn reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Simple(text) => self.line(b'+', text.as_bytes()),
            Reply::Error(text) => self.line(b'-', text.as_bytes()),
            Reply::Integer(value) => self.integer(*value),
            Reply::Bulk(bytes) => self.bulk(bytes),
            Reply::Null => self.null(),
            Reply::NullArray => self.null_array(),
            Reply::Array(values) => {
                self.array(values.len());
                self.values(values);
            }
            Reply::Map(pairs) => {
                self.map(pairs.len());
                self.pairs(pairs);
            }
            Reply::Pairs(pairs) => self.array_of_pairs(pairs),
            Reply::Set(values) => {
                self.set(values.len());
                self.values(values);
            }
            Reply::Double(value) => self.double(*value),
            Reply::Decimal(value) => self.decimal(*value),
            Reply::Boolean(value) => self.boolean(*value),
            Reply::BigNumber(digits) => self.big_number(digits.as_bytes()),
            Reply::Verbatim { format, text } => self.verbatim(*format, text),
            Reply::Push(values) => {
                self.push(values.len());
                self.values(values);
            }
            Reply::Attribute { attributes, reply } => {
                self.attributes(attributes);
                self.reply(reply);
            }
        }
    }

    /// Puts attributes in front of the next reply; nothing in RESP2, which has no place for them.
    pub fn attributes(&mut self, attributes: &[(Reply, Reply)]) {
        if self.protocol != Protocol::Resp2 {
            put_header(self.out, b'|', attributes.len());
            self.pairs(attributes);
        }
    }

    fn values(&mut self, values: &[Reply]) {
        for value in values {
            self.reply(value);
        }
    }

    fn pairs(&mut self, pairs: &[(Reply, Reply)]) {
        for (key, value) in pairs {
            self.reply(key);
            self.reply(value);
        }
    }

    fn array_of_pairs(&mut self, pairs: &[(Reply, Reply)]) {
        match self.protocol {
            Protocol::Resp2 => put_header(self.out, b'*', pairs.len() * 2),
            Protocol::Peer => put_header(self.out, b'&', pairs.len()),
            Protocol::Resp3 => {
                put_header(self.out, b'*', pairs.len());
                for (key, value) in pairs {
                    put_header(self.out, b'*', 2);
                    self.reply(key);
                    self.reply(value);
                }
                return;
            }
        }
        self.pairs(pairs);
    }

    fn array_or(&mut self, marker: u8, count: usize) {
        let marker = match self.protocol {
            Protocol::Resp2 => b'*',
            Protocol::Resp3 | Protocol::Peer => marker,
        };
        put_header(self.out, marker, count);
    }

    fn line_or_bulk(&mut self, marker: u8, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => put_bulk(self.out, text),
            Protocol::Resp3 | Protocol::Peer => self.line(marker, text),
        }
    }

    fn line(&mut self, marker: u8, text: &[u8]) {
        self.out.put_u8(marker);
        if memchr::memchr2(b'\r', b'\n', text).is_none() {
            self.out.put_slice(text);
        } else {
            for &byte in text {
                self.out.put_u8(flatten(byte));
            }
        }
        self.out.put_slice(b"\r\n");
    }
}

/// Writes a command as clients send it: an array of bulk strings.
///
/// ```
/// let mut out = Vec::new();
/// evenkeel_resp::encode_command(&mut out, &["GET", "k"]);
/// assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
/// ```
pub fn encode_command<A: AsRef<[u8]>>(out: &mut impl BufMut, args: &[A]) {
    put_header(out, b'*', args.len());
    for arg in args {
        put_bulk(out, arg.as_ref());
    }
}

fn put_bulk(out: &mut impl BufMut, bytes: &[u8]) {
    put_header(out, b'$', bytes.len());
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

fn put_header(out: &mut impl BufMut, marker: u8, count: usize) {
    put_number(out, marker, b"", count as u64);
}

/// A marker, a sign, up to 20 digits and CR LF.
const NUMBER_LINE_BYTES_MAX: usize = 24;

fn put_number(out: &mut impl BufMut, marker: u8, sign: &[u8], magnitude: u64) {
    let mut line = [0; NUMBER_LINE_BYTES_MAX];
    let mut free = line.iter_mut().rev();
    let mut used = 0;
    let mut prepend = |byte: u8| {
        if let Some(slot) = free.next() {
            *slot = byte;
            used += 1;
        }
    };
    prepend(b'\n');
    prepend(b'\r');
    let mut rest = magnitude;
    loop {
        prepend(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for &byte in sign {
        prepend(byte);
    }
    prepend(marker);
    let start = NUMBER_LINE_BYTES_MAX - used;
    out.put_slice(line.get(start..).unwrap_or_default());
}
