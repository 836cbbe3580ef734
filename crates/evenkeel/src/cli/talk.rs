//! The command line as a client: one blocking connection to a node, RESP3, and the way into its replies.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::BytesMut;
use evenkeel::config::resolve;
use evenkeel_resp::{Reply, ReplyDecoder, ReplyLimits, encode_command};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a reply may take; longer than any wait that the command line asks a node for.
const REPLY_TIMEOUT: Duration = Duration::from_secs(40);

/// A connection to a node.
#[derive(Debug)]
pub(crate) struct Talk {
    address: String,
    stream: TcpStream,
    decoder: ReplyDecoder,
    input: BytesMut,
}

impl Talk {
    /// Connects and changes to RESP3.
    pub(crate) fn open(address: &str) -> Result<Self> {
        let reached = resolve(address)
            .with_context(|| format!("'{address}' is no HOST:PORT that leads anywhere"))?;
        let stream = TcpStream::connect_timeout(&reached, CONNECT_TIMEOUT).with_context(|| {
            format!("no node answers at {address}; is one running there? (--node HOST:PORT)")
        })?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        let mut talk = Self {
            address: address.to_owned(),
            stream,
            decoder: ReplyDecoder::new(ReplyLimits::default()),
            input: BytesMut::new(),
        };
        talk.run(&["HELLO", "3"])?;
        Ok(talk)
    }

    /// How long each of the following replies may take.
    pub(crate) fn answer_within(&self, limit: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(limit))?)
    }

    /// Runs a command; an error of the node is an error here.
    pub(crate) fn run<A: AsRef<[u8]>>(&mut self, command: &[A]) -> Result<Reply> {
        let mut out = Vec::new();
        encode_command(&mut out, command);
        let sent = self.stream.write_all(&out).map_err(anyhow::Error::from);
        let reply = sent
            .and_then(|()| self.next())
            .with_context(|| format!("the connection with {} broke", self.address))?;
        if let Reply::Error(text) = &reply {
            bail!("{}", String::from_utf8_lossy(text.as_bytes()));
        }
        Ok(reply)
    }

    fn next(&mut self) -> Result<Reply> {
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(reply) = self.decoder.decode(&mut self.input)? {
                return Ok(reply);
            }
            let read = match self.stream.read(&mut chunk) {
                // A signal, such as Ctrl-C: who listens for it decides what follows.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                bail!("closed by the node");
            }
            self.input
                .extend_from_slice(chunk.get(..read).unwrap_or_default());
        }
    }
}

/// Ways into a reply. What is not there reads as nothing: an older or newer node may say less.
pub(crate) trait Dig {
    /// A field of a map.
    fn field(&self, name: &str) -> &Reply;
    /// The elements of an array.
    fn items(&self) -> &[Reply];
    /// A text or number as people read it; `None` for null and for what has parts.
    fn text(&self) -> Option<String>;
    /// A number.
    fn number(&self) -> Option<i64>;
    /// Whether it says yes.
    fn is_true(&self) -> bool;
}

impl Dig for Reply {
    fn field(&self, name: &str) -> &Reply {
        let Self::Map(pairs) = self else {
            return &Self::Null;
        };
        let named = |key: &Self| matches!(key, Self::Bulk(bytes) if bytes == name.as_bytes());
        pairs
            .iter()
            .find(|(key, _)| named(key))
            .map_or(&Self::Null, |(_, value)| value)
    }

    fn items(&self) -> &[Reply] {
        match self {
            Self::Array(items) | Self::Set(items) => items,
            _ => &[],
        }
    }

    fn text(&self) -> Option<String> {
        match self {
            Self::Bulk(bytes) => Some(readable(bytes)),
            Self::Simple(line) => Some(readable(line.as_bytes())),
            Self::Integer(number) => Some(number.to_string()),
            Self::Double(number) => Some(number.to_string()),
            Self::Boolean(yes) => Some(if *yes { "yes" } else { "no" }.to_owned()),
            _ => None,
        }
    }

    fn number(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Bulk(_) => self.text()?.parse().ok(),
            _ => None,
        }
    }

    fn is_true(&self) -> bool {
        matches!(self, Self::Boolean(true))
    }
}

/// Bytes as text; what is no text is escaped, so that a value cannot steer a terminal.
pub(crate) fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}

/// A map of a reply, for tests and for texts put together here.
#[cfg(test)]
pub(crate) fn map(fields: &[(&'static str, Reply)]) -> Reply {
    let named = fields
        .iter()
        .map(|(name, value)| (bulk(name), value.clone()));
    Reply::Map(named.collect())
}

/// A bulk string.
#[cfg(test)]
pub(crate) fn bulk(text: &'static str) -> Reply {
    Reply::bulk(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_holds_control_characters_is_shown_escaped() {
        assert_eq!(readable(b"caf\xc3\xa9"), "café");
        assert_eq!(readable(b"\x1b[31mred"), "\\x1b[31mred");
        assert_eq!(readable(b"\xff"), "\\xff");
    }

    #[test]
    fn a_field_that_is_not_there_reads_as_null() {
        let reply = map(&[("a", Reply::Integer(1))]);
        assert_eq!(reply.field("a").number(), Some(1));
        assert_eq!(reply.field("b"), &Reply::Null);
        assert_eq!(Reply::Integer(3).field("b"), &Reply::Null);
    }
}
