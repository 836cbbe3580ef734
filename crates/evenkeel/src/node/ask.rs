//! Requests between nodes: a command for a partition held elsewhere, or the contexts that a node holds.
//!
//! Invariant: a request is sent at most once. A command whose answer stays out may have been run: it is never sent
//! again under a new dot, and its outcome is answered as unknown (hazards H5).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use evenkeel_core::causality::Context;
use evenkeel_core::codec::{Reader, put_varint};
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_resp::{Protocol, Reply, ReplyDecoder, ReplyLimits, ReplyWriter};
use tokio::sync::oneshot;

use super::Node;
use super::compare::Question;
use super::convergence::join_all;
use super::part::{Done, Part, decode_done, decode_parts, encode_done, encode_parts};
use crate::client::{run_here, run_parts_here};
use crate::link::frame::Kind;

const COMMAND: u8 = 1;
const CONTEXTS: u8 = 2;
const PARTS: u8 = 3;
const COMPARE: u8 = 4;

/// What is asked of another node.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// Run this command there, and nowhere else.
    Command(Vec<Bytes>),
    /// Run these, each on its partition, in order.
    Parts(Vec<Part>),
    /// Say what you hold of these partitions; of all when none is named.
    Contexts(Vec<PartitionId>),
    /// Say what you have more, or what keys hold.
    Compare(Question),
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unanswered {
    /// There is no link: nothing was sent.
    NotSent,
    /// Too many wait for an answer already: nothing was sent.
    Busy,
    /// It was sent; whether it was done is not known.
    Unknown,
}

impl Node {
    /// Asks another node and waits.
    pub(crate) async fn ask(
        &self,
        peer: NodeId,
        asked: &Asked,
        timeout: Duration,
    ) -> Result<Bytes, Unanswered> {
        let outbox = self.outbox(peer).ok_or(Unanswered::NotSent)?;
        // Requests of unknown length say nothing of the peer's pace.
        let _under_way = match asked {
            Asked::Parts(_) => Some(outbox.pace.begin().ok_or(Unanswered::Busy)?),
            Asked::Command(_) | Asked::Contexts(_) | Asked::Compare(_) => None,
        };
        let id = self.next_id();
        let (tell, told) = oneshot::channel();
        self.asked.lock().insert(id, (peer, tell));
        let sent = self.push(peer, Kind::Request, &encode(id, asked));
        let answer = if sent {
            tokio::time::timeout(timeout, told).await.ok()
        } else {
            None
        };
        self.asked.lock().remove(&id);
        match (sent, answer) {
            (false, _) => Err(Unanswered::NotSent),
            (true, Some(Ok(body))) => Ok(body),
            (true, _) => Err(Unanswered::Unknown),
        }
    }

    /// Runs a command on another node.
    pub(crate) async fn ask_command(
        &self,
        peer: NodeId,
        args: Vec<Bytes>,
        timeout: Duration,
    ) -> Result<Reply, Unanswered> {
        let body = self.ask(peer, &Asked::Command(args), timeout).await?;
        let decoded =
            ReplyDecoder::new(ReplyLimits::default()).decode(&mut BytesMut::from(&body[..]));
        decoded.ok().flatten().ok_or(Unanswered::Unknown)
    }

    /// Asks every linked peer the same, side by side; gives the answers that came in time.
    pub(crate) async fn ask_linked(&self, args: &[Bytes], timeout: Duration) -> Vec<Reply> {
        let linked = self
            .topology()
            .others()
            .filter(|peer| self.is_linked(*peer));
        let asked = linked.map(|peer| self.ask_command(peer, args.to_vec(), timeout));
        let answers = join_all(asked.collect()).await;
        answers.into_iter().filter_map(Result::ok).collect()
    }

    /// Runs parts on another node; gives what came of each.
    pub(crate) async fn ask_parts(
        &self,
        peer: NodeId,
        parts: Vec<Part>,
        timeout: Duration,
    ) -> Result<Vec<Done>, Unanswered> {
        let count = parts.len();
        let body = self.ask(peer, &Asked::Parts(parts), timeout).await?;
        decode_done(body, count).ok_or(Unanswered::Unknown)
    }

    /// What another node holds of some partitions, or of all when none is named.
    pub(crate) async fn ask_contexts(
        &self,
        peer: NodeId,
        partitions: &[PartitionId],
        timeout: Duration,
    ) -> Result<Vec<(PartitionId, Context)>, Unanswered> {
        let asked = Asked::Contexts(partitions.to_vec());
        let body = self.ask(peer, &asked, timeout).await?;
        decode_contexts(&body).ok_or(Unanswered::Unknown)
    }

    /// Asks another node to compare what it holds.
    pub(super) async fn ask_to_compare(
        &self,
        peer: NodeId,
        question: Question,
        timeout: Duration,
    ) -> Result<Bytes, Unanswered> {
        self.ask(peer, &Asked::Compare(question), timeout).await
    }

    /// A peer asks.
    pub(crate) fn request_arrived(self: &Arc<Self>, from: NodeId, mut body: Bytes) {
        if body.len() < 9 {
            return;
        }
        let id = body.get_u64_le();
        let node = Arc::clone(self);
        match body.get_u8() {
            COMMAND => {
                tokio::task::spawn_local(async move {
                    let Some(args) = decode_command(&body) else {
                        return;
                    };
                    let reply = run_here(&node, args).await;
                    let mut out = id.to_le_bytes().to_vec();
                    ReplyWriter::new(&mut out, Protocol::Peer).reply(&reply);
                    node.push(from, Kind::Answer, &out);
                });
            }
            PARTS => {
                tokio::task::spawn_local(async move {
                    let parts = match decode_parts(&body) {
                        Ok(parts) => parts,
                        Err(error) => {
                            tracing::warn!(from = node.topology().name(from), %error, "a request cannot be read");
                            return;
                        }
                    };
                    let mut out = id.to_le_bytes().to_vec();
                    encode_done(&mut out, &run_parts_here(&node, &parts).await);
                    node.push(from, Kind::Answer, &out);
                });
            }
            CONTEXTS => {
                let Some(named) = decode_partitions(&body) else {
                    return;
                };
                let all = named.is_empty().then(|| self.held());
                let mut out = id.to_le_bytes().to_vec();
                for partition in named.into_iter().chain(all.into_iter().flatten()) {
                    if let Some(context) = self.context(partition) {
                        put_varint(&mut out, u64::from(partition.0));
                        context.encode(&mut out);
                    }
                }
                self.push(from, Kind::Answer, &out);
            }
            COMPARE => {
                let mut out = id.to_le_bytes().to_vec();
                match self.answer_comparison(&body, &mut out) {
                    Ok(()) => {
                        self.push(from, Kind::Answer, &out);
                    }
                    Err(error) => {
                        tracing::warn!(from = self.topology().name(from), %error, "a request cannot be read");
                    }
                }
            }
            _ => tracing::warn!(
                from = self.topology().name(from),
                "a request of unknown kind"
            ),
        }
    }

    /// A peer answers. An answer that nobody waits for any more is dropped.
    pub(crate) fn answer_arrived(&self, mut body: Bytes) {
        if body.len() < 8 {
            return;
        }
        let id = body.get_u64_le();
        if let Some((_, waiting)) = self.asked.lock().remove(&id) {
            let _ = waiting.send(body);
        }
    }

    /// The link to a peer is down: whoever waits for its answer hears at once that it will hardly come.
    pub(super) fn give_up_asking(&self, peer: NodeId) {
        self.asked.lock().retain(|_, (asked, _)| *asked != peer);
    }
}

fn encode(id: u64, asked: &Asked) -> Vec<u8> {
    let mut out = id.to_le_bytes().to_vec();
    match asked {
        Asked::Command(args) => {
            out.push(COMMAND);
            evenkeel_resp::encode_command(&mut out, args);
        }
        Asked::Parts(parts) => {
            out.push(PARTS);
            encode_parts(&mut out, parts);
        }
        Asked::Contexts(partitions) => {
            out.push(CONTEXTS);
            for partition in partitions {
                put_varint(&mut out, u64::from(partition.0));
            }
        }
        Asked::Compare(question) => {
            out.push(COMPARE);
            question.encode(&mut out);
        }
    }
    out
}

fn decode_command(body: &[u8]) -> Option<Vec<Bytes>> {
    let decoded = ReplyDecoder::new(ReplyLimits::default())
        .decode(&mut BytesMut::from(body))
        .ok()??;
    let Reply::Array(items) = decoded else {
        return None;
    };
    let bulk = |item| {
        if let Reply::Bulk(bytes) = item {
            Some(bytes)
        } else {
            None
        }
    };
    items.into_iter().map(bulk).collect()
}

fn decode_partitions(body: &[u8]) -> Option<Vec<PartitionId>> {
    let mut input = Reader::new(body);
    let mut partitions = Vec::new();
    while input.remaining() > 0 {
        let partition = u16::try_from(input.varint("partition").ok()?).ok()?;
        partitions.push(PartitionId(partition));
    }
    Some(partitions)
}

fn decode_contexts(body: &[u8]) -> Option<Vec<(PartitionId, Context)>> {
    let mut input = Reader::new(body);
    let mut contexts = Vec::new();
    while input.remaining() > 0 {
        let partition = u16::try_from(input.varint("partition").ok()?).ok()?;
        contexts.push((PartitionId(partition), Context::decode(&mut input).ok()?));
    }
    Some(contexts)
}
