//! Replies to answers, looking no closer than needed.
//!
//! A whole reply that is no error and no aggregate is skipped where it lies. Everything else,
//! cut replies among it, goes through [`ReplyDecoder`], which bounds what a hostile server can
//! make this side hold.

use bytes::{Buf, BytesMut};
use evenkeel_resp::{Reply, ReplyDecoder, ReplyError, ReplyLimits};

use super::limits::{READ_BYTES, REPLY_BYTES_MAX};
use super::tally::{Answer, error_word};

/// The received bytes of a connection.
#[derive(Debug)]
pub(super) struct Answers {
    received: BytesMut,
    decoder: ReplyDecoder,
    /// Whether the decoder has taken the beginning of a reply.
    decoding: bool,
}

impl Answers {
    pub(super) fn new() -> Self {
        let limits = ReplyLimits {
            reply_bytes_max: REPLY_BYTES_MAX,
            ..ReplyLimits::default()
        };
        Self {
            received: BytesMut::with_capacity(READ_BYTES),
            decoder: ReplyDecoder::new(limits),
            decoding: false,
        }
    }

    /// Where the next bytes go, with room to read into.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        self.received.reserve(READ_BYTES);
        &mut self.received
    }

    /// The next answer, or `None` until more bytes are there.
    ///
    /// # Errors
    /// The peer does not speak RESP; the connection is to be closed.
    pub(super) fn next(&mut self) -> Result<Option<Answer>, ReplyError> {
        if !self.decoding
            && let Some((answer, bytes)) = skip(&self.received)
        {
            self.received.advance(bytes);
            return Ok(Some(answer));
        }
        while let Some(reply) = self.next_reply()? {
            if let Some(answer) = judge(&reply) {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// The next reply as it is, out-of-turn messages among them.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(super) fn next_reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        let reply = self.decoder.decode(&mut self.received)?;
        // Between replies nothing is held, so the decoder need not be asked again.
        self.decoding = reply.is_none();
        Ok(reply)
    }
}

/// A complete plain reply at the beginning, and its length.
fn skip(received: &[u8]) -> Option<(Answer, usize)> {
    let (&kind, rest) = received.split_first()?;
    let line_end = |from: usize| {
        let cr = memchr::memchr(b'\r', rest.get(from..)?)? + from;
        (rest.get(cr + 1) == Some(&b'\n')).then_some(cr)
    };
    match kind {
        b'+' | b':' => Some((Answer::Ok, line_end(0)? + 3)),
        b'$' if rest.starts_with(b"-1\r\n") => Some((Answer::Null, 5)),
        b'_' if rest.starts_with(b"\r\n") => Some((Answer::Null, 3)),
        b'$' => {
            let header = line_end(0)?;
            let bytes = length(rest.get(..header)?)?;
            let end = header + 2 + bytes;
            (rest.get(end..end + 2)? == b"\r\n").then_some((Answer::Ok, end + 3))
        }
        _ => None,
    }
}

fn length(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0, |sum: usize, &digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + usize::from(digit - b'0'))
    })
}

/// What a reply means for the request it answers; `None` if it answers none.
fn judge(reply: &Reply) -> Option<Answer> {
    match reply {
        Reply::Push(_) => None,
        Reply::Attribute { reply, .. } => judge(reply),
        Reply::Error(text) => Some(Answer::Error(error_word(text.as_bytes()))),
        Reply::Null | Reply::NullArray => Some(Answer::Null),
        _ => Some(Answer::Ok),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"+OK\r\n:42\r\n$5\r\nhello\r\n$-1\r\n_\r\n-ERR no\r\n$0\r\n\r\n\
        *2\r\n:1\r\n$-1\r\n>2\r\n+invalidate\r\n:1\r\n|1\r\n+ttl\r\n:3\r\n-MOVED 1 a:1\r\n\
        #t\r\n$4\r\n\r\n\r\n\r\n+OK\r\n";

    fn expected() -> Vec<Answer> {
        let error = |word: &str| Answer::Error(word.to_owned());
        let mut answers = vec![Answer::Ok, Answer::Ok, Answer::Ok];
        answers.extend([Answer::Null, Answer::Null, error("ERR"), Answer::Ok]);
        answers.extend([Answer::Ok, error("MOVED"), Answer::Ok]);
        answers.extend([Answer::Ok, Answer::Ok]);
        answers
    }

    fn feed(chunks: impl Iterator<Item = Vec<u8>>) -> Vec<Answer> {
        let mut answers = Answers::new();
        let mut found = Vec::new();
        for chunk in chunks {
            answers.room().extend_from_slice(&chunk);
            while let Some(answer) = answers.next().unwrap() {
                found.push(answer);
            }
        }
        found
    }

    #[test]
    fn answers_do_not_depend_on_how_the_stream_is_cut() {
        for size in 1..=STREAM.len() {
            let found = feed(STREAM.chunks(size).map(<[u8]>::to_vec));
            assert_eq!(found, expected(), "chunks of {size}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for nonsense in [
            "HTTP/1.1 400\r\n",
            "$x\r\n",
            "$3\r\nabcde",
            "$99999999999\r\n",
        ] {
            let mut answers = Answers::new();
            answers.room().extend_from_slice(nonsense.as_bytes());
            assert!(answers.next().is_err(), "{nonsense}");
        }
    }
}
