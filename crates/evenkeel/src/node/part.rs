//! What one node asks another to do on partitions that it holds, and what came of it.
//!
//! A part is a list of commands on the keys of one partition, run under its lock as one batch. All parts for one node
//! go in one request. An answer carries what the member then held, so that whoever asked can wait to hold as much.

use bytes::{Buf, Bytes, BytesMut};
use evenkeel_core::causality::Context;
use evenkeel_core::codec::{DecodeError, Reader, put_bytes, put_varint};
use evenkeel_core::id::PartitionId;
use evenkeel_core::limits::{FRAME_BYTES_MAX, KEY_BYTES_MAX};
use evenkeel_resp::{Protocol, Reply, ReplyDecoder, ReplyLimits, ReplyWriter};

/// Commands on the keys of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    pub(crate) partition: PartitionId,
    /// What the member must hold before it runs them.
    pub(crate) after: Context,
    /// Keys, and the states that they must have, or nothing is run.
    pub(crate) watched: Vec<(Bytes, u128)>,
    pub(crate) commands: Vec<Vec<Bytes>>,
}

/// What came of a part.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Done {
    /// It ran: a reply for each command, and what the member then held of the partition.
    Ran(Vec<Reply>, Context),
    /// A watched key has another state: nothing was run.
    Changed,
    /// The member did not come to hold in time what it must: nothing was run.
    Behind,
    /// Nothing was run, for this reason.
    Refused(Reply),
    /// The outcome is unknown, or it was done and cannot be acknowledged.
    Failed(Reply),
}

const RAN: u8 = 1;
const CHANGED: u8 = 2;
const BEHIND: u8 = 3;
const REFUSED: u8 = 4;
const FAILED: u8 = 5;

/// Least bytes of what is listed: bounds what an announced count may allocate.
const LISTED_BYTES_MIN: usize = 1;

pub(super) fn encode_parts(out: &mut Vec<u8>, parts: &[Part]) {
    put_varint(out, parts.len() as u64);
    for part in parts {
        put_varint(out, u64::from(part.partition.0));
        part.after.encode(out);
        put_varint(out, part.watched.len() as u64);
        for (key, state) in &part.watched {
            put_bytes(out, key);
            out.extend_from_slice(&state.to_le_bytes());
        }
        put_varint(out, part.commands.len() as u64);
        for command in &part.commands {
            put_varint(out, command.len() as u64);
            command.iter().for_each(|arg| put_bytes(out, arg));
        }
    }
}

pub(super) fn decode_parts(body: &[u8]) -> Result<Vec<Part>, DecodeError> {
    let mut input = Reader::new(body);
    list(&mut input, "parts", |input| {
        let partition = partition(input)?;
        let after = Context::decode(input)?;
        let watched = list(input, "watched keys", |input| {
            let key = Bytes::copy_from_slice(input.bytes(KEY_BYTES_MAX, "watched key")?);
            Ok((key, input.u128("watched state")?))
        })?;
        let commands = list(input, "commands", |input| {
            list(input, "arguments", |input| {
                Ok(Bytes::copy_from_slice(
                    input.bytes(FRAME_BYTES_MAX, "argument")?,
                ))
            })
        })?;
        Ok(Part {
            partition,
            after,
            watched,
            commands,
        })
    })
}

fn partition(input: &mut Reader<'_>) -> Result<PartitionId, DecodeError> {
    let number = input.varint("partition")?;
    u16::try_from(number)
        .ok()
        .filter(|number| *number < crate::config::PARTITIONS)
        .map(PartitionId)
        .ok_or_else(|| input.error("partition", "there is none of that number"))
}

fn list<T>(
    input: &mut Reader<'_>,
    what: &'static str,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = input.count(LISTED_BYTES_MIN, what)?;
    (0..count).map(|_| item(input)).collect()
}

pub(super) fn encode_done(out: &mut Vec<u8>, all: &[Done]) {
    for done in all {
        match done {
            Done::Ran(replies, context) => {
                out.push(RAN);
                context.encode(out);
                put_replies(out, replies);
            }
            Done::Changed => out.push(CHANGED),
            Done::Behind => out.push(BEHIND),
            Done::Refused(reply) => {
                out.push(REFUSED);
                put_replies(out, std::slice::from_ref(reply));
            }
            Done::Failed(reply) => {
                out.push(FAILED);
                put_replies(out, std::slice::from_ref(reply));
            }
        }
    }
}

fn put_replies(out: &mut Vec<u8>, replies: &[Reply]) {
    put_varint(out, replies.len() as u64);
    let mut encoded = Vec::new();
    for reply in replies {
        encoded.clear();
        ReplyWriter::new(&mut encoded, Protocol::Peer).reply(reply);
        put_bytes(out, &encoded);
    }
}

/// What came of `count` parts; `None` when the bytes do not say that.
pub(super) fn decode_done(mut body: Bytes, count: usize) -> Option<Vec<Done>> {
    let mut all = Vec::new();
    for _ in 0..count {
        let kind = body.try_get_u8().ok()?;
        let mut input = Reader::new(&body);
        let done = match kind {
            RAN => {
                let context = Context::decode(&mut input).ok()?;
                Done::Ran(replies(&mut input)?, context)
            }
            CHANGED => Done::Changed,
            BEHIND => Done::Behind,
            REFUSED => Done::Refused(replies(&mut input)?.pop()?),
            FAILED => Done::Failed(replies(&mut input)?.pop()?),
            _ => return None,
        };
        let left = input.remaining();
        body.advance(body.len() - left);
        all.push(done);
    }
    Some(all)
}

fn replies(input: &mut Reader<'_>) -> Option<Vec<Reply>> {
    let count = input.count(LISTED_BYTES_MIN, "replies").ok()?;
    let mut replies = Vec::new();
    for _ in 0..count {
        let mut encoded = BytesMut::from(input.bytes(FRAME_BYTES_MAX, "reply").ok()?);
        let reply = ReplyDecoder::new(ReplyLimits::default()).decode(&mut encoded);
        replies.push(reply.ok()??);
    }
    Some(replies)
}

#[cfg(test)]
mod tests {
    use evenkeel_core::causality::Dot;
    use evenkeel_core::id::ActorId;

    use super::*;

    fn context() -> Context {
        [Dot::new(ActorId(1), 1), Dot::new(ActorId(7), 3)]
            .into_iter()
            .collect()
    }

    #[test]
    fn parts_arrive_as_they_were_sent() {
        let part = Part {
            partition: PartitionId(200),
            after: context(),
            watched: vec![(Bytes::from_static(b"k"), u128::MAX - 1)],
            commands: vec![
                vec![
                    Bytes::from_static(b"SET"),
                    Bytes::from_static(b"k"),
                    Bytes::new(),
                ],
                vec![Bytes::from_static(b"PING")],
            ],
        };
        let mut sent = Vec::new();
        encode_parts(&mut sent, &[part.clone(), Part::default()]);
        let got = decode_parts(&sent).unwrap();
        assert_eq!(format!("{got:?}"), format!("{:?}", [part, Part::default()]));
        for cut in 0..sent.len() {
            assert!(decode_parts(&sent[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn what_came_of_parts_arrives_as_it_was_sent() {
        let done = vec![
            Done::Ran(vec![Reply::Integer(1), Reply::NullArray], context()),
            Done::Changed,
            Done::Behind,
            Done::Refused(Reply::error("NOHOME no")),
            Done::Failed(Reply::error("IOERR no")),
            Done::Ran(Vec::new(), Context::default()),
        ];
        let mut sent = Vec::new();
        encode_done(&mut sent, &done);
        let sent = Bytes::from(sent);
        assert_eq!(decode_done(sent.clone(), done.len()), Some(done.clone()));
        for cut in 0..sent.len() {
            assert_eq!(decode_done(sent.slice(..cut), done.len()), None);
        }
    }

    #[test]
    fn an_announced_count_beyond_the_bytes_is_refused() {
        assert!(decode_parts(&[0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
        let bytes = Bytes::from_static(&[RAN, 0, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(decode_done(bytes, 1), None);
    }
}
