//! One connection: set up, a batch out, its answers in.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context, bail};
use evenkeel_resp::{Reply, encode_command};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::answers::Answers;
use super::limits::CONNECT_MAX;
use super::tally::Answer;

/// A server under load.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// As the user wrote it.
    pub(super) name: String,
    /// Where that leads; the first that accepts is taken.
    pub(super) addresses: Vec<SocketAddr>,
}

/// What is sent before the load, the same on every connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Greeting {
    /// Name of the command, for errors, and its bytes.
    request: Option<(&'static str, Vec<u8>)>,
}

impl Greeting {
    pub(super) fn new(resp3: bool, password: Option<&[u8]>) -> Self {
        let (name, args): (_, Vec<&[u8]>) = match (resp3, password) {
            (false, None) => return Self::default(),
            (false, Some(password)) => ("AUTH", vec![b"AUTH", password]),
            (true, None) => ("HELLO", vec![b"HELLO", b"3"]),
            (true, Some(password)) => {
                ("HELLO", vec![b"HELLO", b"3", b"AUTH", b"default", password])
            }
        };
        let mut bytes = Vec::new();
        encode_command(&mut bytes, &args);
        Self {
            request: Some((name, bytes)),
        }
    }
}

/// A connection ready for load.
#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    answers: Answers,
}

impl Link {
    pub(super) async fn open(target: &Target, greeting: &Greeting) -> anyhow::Result<Self> {
        let opened = timeout(CONNECT_MAX, Self::open_unlimited(target, greeting)).await;
        opened
            .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {CONNECT_MAX:?}")))
            .with_context(|| format!("cannot use {}", target.name))
    }

    async fn open_unlimited(target: &Target, greeting: &Greeting) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(target.addresses.as_slice()).await?;
        stream.set_nodelay(true)?;
        let mut link = Self {
            stream,
            answers: Answers::new(),
        };
        if let Some((name, request)) = &greeting.request {
            link.stream.write_all(request).await?;
            if let Reply::Error(text) = link.reply().await? {
                bail!("{name} is refused: {}", text.as_bytes().escape_ascii());
            }
        }
        Ok(link)
    }

    async fn reply(&mut self) -> anyhow::Result<Reply> {
        loop {
            if let Some(reply) = self.answers.next_reply()? {
                return Ok(reply);
            }
            read_some(&mut self.stream, &mut self.answers).await?;
        }
    }

    /// Sends a batch and waits for its answers; `take` gets those that one read brought and says
    /// how many are still missing.
    pub(super) async fn exchange(
        &mut self,
        batch: &[u8],
        take: impl FnMut(&mut dyn Iterator<Item = Answer>) -> usize,
    ) -> io::Result<()> {
        let written = match self.stream.try_write(batch) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        let (mut input, mut output) = self.stream.split();
        if written == batch.len() {
            return collect(&mut input, &mut self.answers, take).await;
        }
        // A server may stop reading until its replies are taken, so both ways go on at once.
        tokio::try_join!(
            write_rest(&mut output, &batch[written..]),
            collect(&mut input, &mut self.answers, take),
        )?;
        Ok(())
    }
}

async fn write_rest(output: &mut WriteHalf<'_>, rest: &[u8]) -> io::Result<()> {
    output.write_all(rest).await
}

async fn collect(
    input: &mut ReadHalf<'_>,
    answers: &mut Answers,
    mut take: impl FnMut(&mut dyn Iterator<Item = Answer>) -> usize,
) -> io::Result<()> {
    loop {
        read_some(input, answers).await?;
        let mut fault = None;
        let mut arrived = std::iter::from_fn(|| match answers.next() {
            Ok(answer) => answer,
            Err(error) => {
                fault = Some(error);
                None
            }
        });
        let missing = take(&mut arrived);
        if let Some(fault) = fault {
            return Err(io::Error::new(io::ErrorKind::InvalidData, fault));
        }
        if missing == 0 {
            return Ok(());
        }
    }
}

async fn read_some(
    input: &mut (impl AsyncReadExt + Unpin),
    answers: &mut Answers,
) -> io::Result<()> {
    if input.read_buf(answers.room()).await? == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "closed by the server",
        ));
    }
    Ok(())
}
