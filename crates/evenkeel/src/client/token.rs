//! Tokens: what a session has seen and written, as a text that another process can hand to another node.
//!
//! Form: base64 without padding, for URLs and headers, of: a version (1), CRC32C (little endian) over the cluster's
//! identity and all that follows, the number of partitions, and for each the distance to the number of the one before
//! and the context (replication.md, section 6).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use evenkeel_core::causality::Context;
use evenkeel_core::codec::{Reader, put_varint};
use evenkeel_core::id::PartitionId;

use crate::config::PARTITIONS;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 5;
/// The longest text that is read: many times what all partitions of a cluster with an eventful past take.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// What must be there, by partition.
pub(super) type Seen = BTreeMap<PartitionId, Context>;

/// Why a text is no token of this cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("ERR this is no token of this cluster ; hand on what EK.TOKEN gave, whole and unchanged")]
pub(super) struct NoToken;

/// The text.
pub(super) fn encode(cluster: u64, seen: &Seen) -> String {
    let mut body = Vec::new();
    put_varint(&mut body, seen.len() as u64);
    let mut next = 0;
    for (partition, context) in seen {
        put_varint(&mut body, u64::from(partition.0 - next));
        next = partition.0 + 1;
        context.encode(&mut body);
    }
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&checksum(cluster, &body).to_le_bytes());
    bytes.extend_from_slice(&body);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a text says.
pub(super) fn decode(cluster: u64, text: &[u8]) -> Result<Seen, NoToken> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(NoToken);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NoToken)?;
    let (head, body) = bytes.split_at_checked(HEAD_BYTES).ok_or(NoToken)?;
    if head[0] != VERSION || head[1..] != checksum(cluster, body).to_le_bytes() {
        return Err(NoToken);
    }
    read(body).ok_or(NoToken)
}

fn read(body: &[u8]) -> Option<Seen> {
    let mut input = Reader::new(body);
    let count = input.count(2, "partitions").ok()?;
    let mut seen = Seen::new();
    let mut next = 0_u64;
    for _ in 0..count {
        let partition = next.checked_add(input.varint("partition").ok()?)?;
        next = partition + 1;
        let partition = u16::try_from(partition)
            .ok()
            .filter(|at| *at < PARTITIONS)?;
        let context = Context::decode(&mut input).ok()?;
        seen.insert(PartitionId(partition), context);
    }
    (input.remaining() == 0).then_some(seen)
}

fn checksum(cluster: u64, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&cluster.to_le_bytes()), body)
}

#[cfg(test)]
mod tests {
    use evenkeel_core::causality::{Dot, DotRun};
    use evenkeel_core::id::ActorId;

    use super::*;

    fn seen() -> Seen {
        let context = |number| {
            [Dot::new(ActorId(u64::MAX - 1), number)]
                .into_iter()
                .collect()
        };
        [0, 7, 8, 255]
            .map(|at| (PartitionId(at), context(u64::from(at) + 1)))
            .into()
    }

    #[test]
    fn a_token_reads_as_it_was_written() {
        for seen in [seen(), Seen::new()] {
            let text = encode(3, &seen);
            assert_eq!(decode(3, text.as_bytes()).unwrap(), seen);
            assert!(
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            );
        }
    }

    #[test]
    fn a_token_of_another_cluster_or_a_damaged_one_is_refused() {
        let text = encode(3, &seen());
        assert_eq!(decode(4, text.as_bytes()), Err(NoToken));
        for at in 0..text.len() {
            assert_eq!(
                decode(3, &text.as_bytes()[..at]),
                Err(NoToken),
                "cut at {at}"
            );
            let mut damaged = text.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(decode(3, &damaged), Err(NoToken), "damaged at {at}");
        }
    }

    #[test]
    fn a_partition_of_three_writers_takes_less_than_sixty_bytes() {
        let mut context = Context::default();
        for actor in [0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321, u64::MAX / 3] {
            context.insert_run(DotRun {
                actor: ActorId(actor),
                first: 1,
                last: 10_000,
            });
        }
        let of = |count| {
            let seen = (0..count).map(|at| (PartitionId(at), context.clone()));
            encode(3, &seen.collect()).len()
        };
        assert!(of(2) - of(1) < 60, "{} bytes", of(2) - of(1));
    }
}
