//! A blocking Redis client of a few lines, over the project's own codec.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::BytesMut;
use evenkeel_resp::{Reply, ReplyDecoder, ReplyLimits, encode_command};

/// No request of a test may take longer.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    input: BytesMut,
    decoder: ReplyDecoder,
}

impl Client {
    pub(crate) fn try_new(address: &str) -> io::Result<Self> {
        let address = address
            .to_socket_addrs()?
            .next()
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: BytesMut::new(),
            decoder: ReplyDecoder::new(ReplyLimits::default()),
        })
    }

    pub(crate) fn new(address: &str) -> Self {
        Self::try_new(address)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// Sends a command without reading its reply.
    pub(crate) fn send<A: AsRef<[u8]>>(&mut self, command: &[A]) -> io::Result<()> {
        let mut out = Vec::new();
        encode_command(&mut out, command);
        self.stream.write_all(&out)
    }

    /// Reads one reply.
    pub(crate) fn receive(&mut self) -> io::Result<Reply> {
        let mut chunk = [0; 16 << 10];
        loop {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => return Err(io::Error::other(error)),
            }
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(&chunk[..read]);
        }
    }

    /// Whether the other side has closed the connection, reading away what it still said.
    pub(crate) fn is_closed(&mut self) -> bool {
        loop {
            match self.receive() {
                Ok(_) => {}
                Err(error) => {
                    let kind = error.kind();
                    return kind != io::ErrorKind::WouldBlock && kind != io::ErrorKind::TimedOut;
                }
            }
        }
    }

    pub(crate) fn try_run<A: AsRef<[u8]>>(&mut self, command: &[A]) -> io::Result<Reply> {
        self.send(command)?;
        self.receive()
    }

    /// Runs a command; the connection must hold.
    pub(crate) fn raw<A: AsRef<[u8]>>(&mut self, command: &[A]) -> Reply {
        self.try_run(command).unwrap_or_else(|error| {
            let name = String::from_utf8_lossy(command[0].as_ref()).into_owned();
            panic!("no reply to {name}: {error}")
        })
    }

    /// Runs a command, words cut at spaces; the reply as text, errors with their `-`.
    pub(crate) fn run(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        show(&self.raw(&words))
    }

    /// Runs a command whose reply is a list; sorted.
    pub(crate) fn list(&mut self, command: &str) -> Vec<String> {
        let words: Vec<&str> = command.split(' ').collect();
        match self.raw(&words) {
            Reply::Array(items) | Reply::Set(items) => {
                let mut items: Vec<String> = items.iter().map(show).collect();
                items.sort();
                items
            }
            other => panic!("{command} answered {other:?}"),
        }
    }
}

/// A reply in one line.
pub(crate) fn show(reply: &Reply) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match reply {
        Reply::Simple(line) => text(line.as_bytes()),
        Reply::Error(line) => format!("-{}", text(line.as_bytes())),
        Reply::Integer(value) => value.to_string(),
        Reply::Bulk(bytes) => text(bytes),
        Reply::Null | Reply::NullArray => "(nil)".to_owned(),
        Reply::Array(items) => {
            let items: Vec<String> = items.iter().map(show).collect();
            format!("[{}]", items.join(" "))
        }
        other => format!("{other:?}"),
    }
}
