//! Questions that compare replicas, and their answers: what one node has more than another, and what keys hold.
//!
//! A question names partitions; what this node does not hold of them is answered as nothing. Every answer is of one
//! instant of one partition.

use std::collections::BTreeMap;

use evenkeel_core::causality::Context;
use evenkeel_core::codec::{DecodeError, Reader, put_bytes, put_varint};
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_core::limits::KEY_BYTES_MAX;
use evenkeel_core::types::{Key, Range};

use super::Node;

/// Keys of one partition that are compared at most: some megabytes of names. A partition where more may differ is
/// told to be left out.
pub(super) const KEYS_COMPARED_MAX: usize = 100_000;

const REPAIRS: u8 = 1;
const TOUCHED: u8 = 2;
const DIGESTS: u8 = 3;

const EVENTS: u8 = 0;
const UNTOLD: u8 = 1;

const ONE_KEY: u8 = 0;
const KEYS_FROM: u8 = 1;
const KEYS_WITHIN: u8 = 2;

/// The events that a question is about.
#[derive(Clone, Debug)]
pub(crate) enum Lacks {
    /// These.
    Events(Context),
    /// Those that a member has not told to hold.
    Untold(NodeId),
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    /// What it takes to bring events, for each of these.
    Repairs(Vec<(PartitionId, Lacks)>),
    /// What events are about.
    Touched(PartitionId, Context),
    /// What the keys within ranges hold.
    Digests(PartitionId, Vec<Range>),
}

/// What it takes to bring the events of one partition, or of several, that a replica lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gap {
    pub(crate) events: u64,
    /// `None` when the node that has them did not say.
    pub(crate) bytes: Option<u64>,
    /// For how long the oldest has been held, in milliseconds; `None` where there is none, or nobody said.
    pub(crate) oldest_ms: Option<u64>,
    /// Partitions that need a snapshot.
    pub(crate) snapshots: u64,
}

impl Gap {
    pub(crate) const NONE: Self = Self {
        events: 0,
        bytes: Some(0),
        oldest_ms: None,
        snapshots: 0,
    };

    pub(super) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.bytes = self.bytes.zip(other.bytes).map(|(a, b)| a + b);
        self.oldest_ms = self.oldest_ms.max(other.oldest_ms);
        self.snapshots += other.snapshots;
    }
}

/// What keys hold, by key; a key that shows nothing is not there.
pub(super) type Digests = BTreeMap<Key, u128>;

impl Question {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Repairs(asked) => {
                out.push(REPAIRS);
                for (partition, lacks) in asked {
                    put_varint(out, u64::from(partition.0));
                    match lacks {
                        Lacks::Events(dots) => {
                            out.push(EVENTS);
                            dots.encode(out);
                        }
                        Lacks::Untold(node) => {
                            out.push(UNTOLD);
                            put_varint(out, u64::from(node.0));
                        }
                    }
                }
            }
            Self::Touched(partition, dots) => {
                out.push(TOUCHED);
                put_varint(out, u64::from(partition.0));
                dots.encode(out);
            }
            Self::Digests(partition, ranges) => {
                out.push(DIGESTS);
                put_varint(out, u64::from(partition.0));
                ranges.iter().for_each(|range| put_range(out, range));
            }
        }
    }

    fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(body);
        Ok(match input.byte("question")? {
            REPAIRS => {
                let mut asked = Vec::new();
                while input.remaining() > 0 {
                    let partition = get_partition(&mut input)?;
                    let lacks = match input.byte("events")? {
                        EVENTS => Lacks::Events(Context::decode(&mut input)?),
                        UNTOLD => Lacks::Untold(get_node(&mut input)?),
                        _ => return Err(input.error("events", "no such way to name them")),
                    };
                    asked.push((partition, lacks));
                }
                Self::Repairs(asked)
            }
            TOUCHED => Self::Touched(get_partition(&mut input)?, Context::decode(&mut input)?),
            DIGESTS => Self::Digests(get_partition(&mut input)?, get_ranges(&mut input)?),
            _ => return Err(input.error("question", "no such one")),
        })
    }
}

impl Node {
    /// Answers a peer's question.
    pub(super) fn answer_comparison(
        &self,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        match Question::decode(body)? {
            Question::Repairs(asked) => {
                for gap in self.gaps_here(&asked) {
                    put_varint(out, gap.events);
                    put_varint(out, gap.bytes.unwrap_or_default());
                    put_varint(out, gap.snapshots);
                    put_varint(out, gap.oldest_ms.map_or(0, |ms| ms + 1));
                }
            }
            Question::Touched(partition, dots) => {
                let ranges = self.touched_here(partition, &dots);
                ranges.iter().for_each(|range| put_range(out, range));
            }
            Question::Digests(partition, ranges) => {
                let digests = self.digests_here(partition, &ranges);
                out.push(u8::from(digests.is_some()));
                for (key, digest) in digests.unwrap_or_default() {
                    put_bytes(out, &key);
                    out.extend_from_slice(&digest.to_le_bytes());
                }
            }
        }
        Ok(())
    }

    /// What it takes to bring what is lacking, for each of these.
    pub(super) fn gaps_here(&self, asked: &[(PartitionId, Lacks)]) -> Vec<Gap> {
        let now = self.now();
        let gap = |(partition, lacks): &(PartitionId, Lacks)| {
            let repair = self.look(*partition, |replica| match lacks {
                Lacks::Events(dots) => replica.repair(dots, now),
                Lacks::Untold(node) => replica.repair(&replica.untold(*node), now),
            });
            repair.map_or(Gap::NONE, |repair| Gap {
                events: repair.events,
                bytes: Some(repair.bytes),
                oldest_ms: repair.oldest.map(|age| age.as_millis()),
                snapshots: u64::from(repair.needs_snapshot),
            })
        };
        asked.iter().map(gap).collect()
    }

    pub(super) fn touched_here(&self, partition: PartitionId, dots: &Context) -> Vec<Range> {
        self.look(partition, |replica| replica.touched(dots))
            .unwrap_or_default()
    }

    pub(super) fn digests_here(&self, partition: PartitionId, ranges: &[Range]) -> Option<Digests> {
        self.look(partition, |replica| {
            replica.key_digests(ranges, KEYS_COMPARED_MAX)
        })
        .unwrap_or_else(|| Some(Digests::new()))
    }
}

/// The answer about `count` gaps.
pub(super) fn decode_gaps(body: &[u8], count: usize) -> Option<Vec<Gap>> {
    let mut input = Reader::new(body);
    let mut gaps = Vec::new();
    while input.remaining() > 0 {
        gaps.push(Gap {
            events: input.varint("events").ok()?,
            bytes: Some(input.varint("bytes").ok()?),
            snapshots: input.varint("snapshots").ok()?,
            oldest_ms: input.varint("age").ok()?.checked_sub(1),
        });
    }
    (gaps.len() == count).then_some(gaps)
}

/// The answer about what events touch.
pub(super) fn decode_ranges(body: &[u8]) -> Option<Vec<Range>> {
    get_ranges(&mut Reader::new(body)).ok()
}

/// The answer about what keys hold; `None` within when they are too many.
pub(super) fn decode_digests(body: &[u8]) -> Option<Option<Digests>> {
    let mut input = Reader::new(body);
    if input.byte("digests").ok()? == 0 {
        return Some(None);
    }
    let mut digests = Digests::new();
    while input.remaining() > 0 {
        let key = Key::from(input.bytes(KEY_BYTES_MAX, "key").ok()?);
        digests.insert(key, input.u128("digest").ok()?);
    }
    Some(Some(digests))
}

/// Only what [`evenkeel_core::partition::Partition::touched`] gives: keys and ranges of keys. A part of a key's
/// fields is told as the key.
fn put_range(out: &mut Vec<u8>, range: &Range) {
    match range {
        Range::Key(key) | Range::Fields { key, .. } => {
            out.push(ONE_KEY);
            put_bytes(out, key);
        }
        Range::Keys { from, to: None } => {
            out.push(KEYS_FROM);
            put_bytes(out, from);
        }
        Range::Keys { from, to: Some(to) } => {
            out.push(KEYS_WITHIN);
            put_bytes(out, from);
            put_bytes(out, to);
        }
    }
}

fn get_ranges(input: &mut Reader<'_>) -> Result<Vec<Range>, DecodeError> {
    let key = |input: &mut Reader<'_>| Ok(Key::from(input.bytes(KEY_BYTES_MAX, "key")?));
    let mut ranges = Vec::new();
    while input.remaining() > 0 {
        ranges.push(match input.byte("range")? {
            ONE_KEY => Range::Key(key(input)?),
            KEYS_FROM => Range::Keys {
                from: key(input)?,
                to: None,
            },
            KEYS_WITHIN => Range::Keys {
                from: key(input)?,
                to: Some(key(input)?),
            },
            _ => return Err(input.error("range", "no such kind")),
        });
    }
    Ok(ranges)
}

fn get_partition(input: &mut Reader<'_>) -> Result<PartitionId, DecodeError> {
    let number = u16::try_from(input.varint("partition")?).ok();
    let known = number.filter(|number| *number < crate::config::PARTITIONS);
    known
        .map(PartitionId)
        .ok_or_else(|| input.error("partition", "there is no such one"))
}

fn get_node(input: &mut Reader<'_>) -> Result<NodeId, DecodeError> {
    u32::try_from(input.varint("node")?)
        .map(NodeId)
        .map_err(|_| input.error("node", "there is no such one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        text.as_bytes().into()
    }

    #[test]
    fn ranges_come_back_as_they_were_sent_and_parts_of_a_key_as_the_key() {
        let sent = [
            Range::Key(key("a")),
            Range::all(),
            Range::Keys {
                from: key("b"),
                to: Some(key("c")),
            },
            Range::Fields {
                key: key("h"),
                kind: evenkeel_core::types::Kind::Hash,
                from: key("f"),
                to: None,
            },
        ];
        let mut bytes = Vec::new();
        sent.iter().for_each(|range| put_range(&mut bytes, range));
        let mut wanted = sent[..3].to_vec();
        wanted.push(Range::Key(key("h")));
        assert_eq!(decode_ranges(&bytes), Some(wanted));
        for cut in 1..bytes.len() {
            // Whatever is cut off, nothing panics.
            let _ = decode_ranges(&bytes[..cut]);
        }
        assert_eq!(decode_ranges(&[9]), None);
    }

    #[test]
    fn a_question_about_a_partition_that_there_is_not_is_refused() {
        let asked = vec![(PartitionId(u16::MAX), Lacks::Untold(NodeId(1)))];
        let mut bytes = Vec::new();
        Question::Repairs(asked).encode(&mut bytes);
        assert!(Question::decode(&bytes).is_err());
        assert!(Question::decode(&[]).is_err());
        assert!(Question::decode(&[77]).is_err());
    }

    #[test]
    fn an_answer_of_the_wrong_length_is_no_answer() {
        assert_eq!(decode_gaps(&[], 1), None);
        assert_eq!(decode_gaps(&[1, 2, 0], 1), None);
        let gap = Gap {
            events: 1,
            bytes: Some(2),
            oldest_ms: Some(3),
            snapshots: 0,
        };
        assert_eq!(decode_gaps(&[1, 2, 0, 4], 1), Some(vec![gap]));
        assert_eq!(decode_digests(&[0]), Some(None));
        assert_eq!(decode_digests(&[]), None);
    }
}
