//! Bytes of documents and changes. Version 1.
//!
//! Read from disk and from peers: decoding never panics, takes memory in proportion to its input, and refuses a
//! document that breaks an invariant of [`Document`]. Golden files are in `tests/fixtures/cluster`.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Change, MemberRef, Move, NodeSpec, Seat};
use super::document::{ClusterSettings, Document, NodeEntry, NodeState};
use crate::codec::{DecodeError, Reader, put_bytes, put_varint};
use crate::id::{NodeId, PartitionId};
use crate::limits::{CLUSTER_NODES_MAX, CLUSTER_TEXT_BYTES_MAX, PARTITIONS};
use crate::membership::{Member, MemberState};

/// The version this build writes, and the only one it reads so far.
const VERSION: u8 = 1;

const AUTO_REBALANCE: u8 = 1;

impl Document {
    /// The bytes that [`Self::decode`] reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.cluster.to_le_bytes());
        put_varint(&mut out, self.epoch);
        put_varint(&mut out, u64::from(self.config));
        put_varint(&mut out, self.position);
        out.push(self.replicas);
        put_settings(&mut out, self.settings);
        put_varint(&mut out, u64::from(self.next_node));
        put_varint(&mut out, self.nodes.len() as u64);
        for (node, entry) in &self.nodes {
            put_node(&mut out, *node);
            put_entry(&mut out, entry);
        }
        for (row, changed) in self.partitions.iter().zip(&self.changed) {
            put_varint(&mut out, *changed);
            put_varint(&mut out, row.len() as u64);
            for member in row {
                put_node(&mut out, member.node);
                out.push(member_code(member.state));
                put_varint(&mut out, member.since);
            }
        }
        out.push(u8::from(self.target.is_some()));
        self.target.iter().for_each(|rows| put_rows(&mut out, rows));
        out
    }

    /// Reads what [`Self::encode`] has written.
    ///
    /// # Errors
    /// When the bytes are cut off, of another version, or describe what no document can be.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        get_version(&mut input)?;
        let cluster = input.u64("cluster id")?;
        let epoch = input.varint("epoch")?;
        let config = get_u32(&mut input, "configuration")?;
        let position = input.varint("position")?;
        let replicas = input.byte("replicas")?;
        let settings = get_settings(&mut input)?;
        let next_node = get_u32(&mut input, "next node")?;
        let mut nodes = BTreeMap::new();
        for _ in 0..input.count(8, "nodes")? {
            let node = get_node(&mut input)?;
            nodes.insert(node, get_entry(&mut input)?);
        }
        let (mut partitions, mut changed) = (Vec::new(), Vec::new());
        for _ in 0..PARTITIONS {
            changed.push(input.varint("epoch")?);
            partitions.push(get_members(&mut input)?);
        }
        let target = match input.byte("target")? {
            0 => None,
            1 => Some(get_rows(&mut input)?),
            _ => return Err(input.error("target", "neither there nor not")),
        };
        let document = Self {
            cluster,
            epoch,
            config,
            position,
            replicas,
            settings,
            next_node,
            nodes,
            partitions,
            changed,
            target,
        };
        match document.broken() {
            Some(why) => Err(input.error("topology document", why)),
            // Equal documents have equal bytes: nothing twice, nothing out of order, nothing behind the end.
            None if document.encode() != bytes => Err(input.error(
                "topology document",
                "it is not written as this version does",
            )),
            None => Ok(document),
        }
    }

    /// What makes it impossible, if anything does.
    fn broken(&self) -> Option<&'static str> {
        let present: Vec<_> = self.present().collect();
        let names: BTreeSet<_> = present
            .iter()
            .map(|(_, entry)| entry.name.to_ascii_lowercase())
            .collect();
        let rows = || self.partitions.iter();
        let members = || rows().flatten();
        let dated = |(row, changed): (&Vec<Member>, &u64)| {
            *changed <= self.epoch && row.iter().all(|member| member.since <= *changed)
        };
        let distinct = |row: &Vec<Member>| {
            let nodes: BTreeSet<_> = row.iter().map(|member| member.node).collect();
            nodes.len() == row.len()
        };
        let targets = || self.target.iter().flatten().flatten();
        if names.len() != present.len() {
            Some("two nodes have one name")
        } else if self.nodes.len() > CLUSTER_NODES_MAX
            || self.nodes.keys().any(|node| node.0 >= self.next_node)
        {
            Some("more nodes than were numbered")
        } else if self.nodes.values().any(|entry| entry.weight == 0) {
            Some("a node of no weight")
        } else if rows().any(|row| row.iter().all(|m| m.state != MemberState::Active)) {
            Some("a partition without an Active member")
        } else if members().any(|member| !self.belongs(member.node))
            || !rows().all(distinct)
            || !rows().zip(&self.changed).all(dated)
        {
            Some("a member that cannot be one")
        } else if targets().any(|node| !self.belongs(*node)) {
            Some("a target that names a node that is gone")
        } else {
            None
        }
    }
}

impl Change {
    /// The bytes that [`Self::decode`] reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.code()];
        match self {
            Self::Admit(spec) => put_spec(&mut out, spec),
            Self::SetPeer { node, peer } => {
                put_node(&mut out, *node);
                put_bytes(&mut out, peer.as_bytes());
            }
            Self::Adopt { target } => put_rows(&mut out, target),
            Self::Begin { moves } | Self::Leave { moves } => put_moves(&mut out, moves),
            Self::Joined { node, partitions } | Self::Drained { node, partitions } => {
                put_node(&mut out, *node);
                put_refs(&mut out, partitions);
            }
            Self::Drain { node } | Self::Cancel { node } => put_node(&mut out, *node),
            Self::Forget { node, accept_loss } => {
                put_node(&mut out, *node);
                out.push(u8::from(*accept_loss));
            }
            Self::Replace { old, new } => {
                put_node(&mut out, *old);
                put_node(&mut out, *new);
            }
            Self::Settings(settings) => put_settings(&mut out, *settings),
            Self::Replicas { count } => out.push(*count),
            Self::Voters { config, seats } => {
                put_varint(&mut out, u64::from(*config));
                put_varint(&mut out, seats.len() as u64);
                for seat in seats {
                    put_node(&mut out, seat.node);
                    out.extend_from_slice(&seat.key.to_le_bytes());
                }
            }
        }
        out
    }

    /// Reads what [`Self::encode`] has written. Whether the change fits a document is for [`Document::apply`] to say.
    ///
    /// # Errors
    /// When the bytes are cut off, of another version or of an unknown kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        get_version(&mut input)?;
        let change = Self::get(&mut input)?;
        input.finish("change")?;
        Ok(change)
    }

    const fn code(&self) -> u8 {
        match self {
            Self::Admit(_) => 1,
            Self::SetPeer { .. } => 2,
            Self::Adopt { .. } => 3,
            Self::Begin { .. } => 4,
            Self::Joined { .. } => 5,
            Self::Leave { .. } => 6,
            Self::Drained { .. } => 7,
            Self::Drain { .. } => 8,
            Self::Cancel { .. } => 9,
            Self::Forget { .. } => 10,
            Self::Replace { .. } => 11,
            Self::Settings(_) => 12,
            Self::Replicas { .. } => 13,
            Self::Voters { .. } => 14,
        }
    }

    fn get(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = input.byte("kind of change")?;
        Ok(match code {
            1 => Self::Admit(get_spec(input)?),
            2 => Self::SetPeer {
                node: get_node(input)?,
                peer: get_text(input, "peer address")?,
            },
            3 => Self::Adopt {
                target: get_rows(input)?,
            },
            4 => Self::Begin {
                moves: get_moves(input)?,
            },
            5 => Self::Joined {
                node: get_node(input)?,
                partitions: get_refs(input)?,
            },
            6 => Self::Leave {
                moves: get_moves(input)?,
            },
            7 => Self::Drained {
                node: get_node(input)?,
                partitions: get_refs(input)?,
            },
            8 => Self::Drain {
                node: get_node(input)?,
            },
            9 => Self::Cancel {
                node: get_node(input)?,
            },
            10 => Self::Forget {
                node: get_node(input)?,
                accept_loss: get_flag(input)?,
            },
            11 => Self::Replace {
                old: get_node(input)?,
                new: get_node(input)?,
            },
            12 => Self::Settings(get_settings(input)?),
            13 => Self::Replicas {
                count: input.byte("replicas")?,
            },
            14 => Self::Voters {
                config: get_u32(input, "configuration")?,
                seats: get_seats(input)?,
            },
            _ => return Err(input.error("kind of change", "this version knows no such kind")),
        })
    }
}

fn get_version(input: &mut Reader<'_>) -> Result<(), DecodeError> {
    match input.byte("version")? {
        VERSION => Ok(()),
        _ => Err(input.error("version", "this build reads version 1 only")),
    }
}

fn get_u32(input: &mut Reader<'_>, what: &'static str) -> Result<u32, DecodeError> {
    let value = input.varint(what)?;
    u32::try_from(value).map_err(|_| input.error(what, "the number has more than 32 bits"))
}

fn get_flag(input: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match input.byte("flag")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(input.error("flag", "neither yes nor no")),
    }
}

fn put_node(out: &mut Vec<u8>, node: NodeId) {
    put_varint(out, u64::from(node.0));
}

fn get_node(input: &mut Reader<'_>) -> Result<NodeId, DecodeError> {
    Ok(NodeId(get_u32(input, "node")?))
}

fn get_partition(input: &mut Reader<'_>) -> Result<PartitionId, DecodeError> {
    let number = input.varint("partition")?;
    let number = u16::try_from(number).ok().filter(|n| *n < PARTITIONS);
    number
        .map(PartitionId)
        .ok_or_else(|| input.error("partition", "there is no such partition"))
}

fn get_text(input: &mut Reader<'_>, what: &'static str) -> Result<String, DecodeError> {
    let bytes = input.bytes(CLUSTER_TEXT_BYTES_MAX, what)?;
    let text = std::str::from_utf8(bytes).map_err(|_| input.error(what, "it is no UTF-8"))?;
    Ok(text.to_owned())
}

fn put_settings(out: &mut Vec<u8>, settings: ClusterSettings) {
    out.push(if settings.auto_rebalance {
        AUTO_REBALANCE
    } else {
        0
    });
}

fn get_settings(input: &mut Reader<'_>) -> Result<ClusterSettings, DecodeError> {
    let flags = input.byte("settings")?;
    if flags & !AUTO_REBALANCE != 0 {
        return Err(input.error("settings", "this version knows no such setting"));
    }
    Ok(ClusterSettings {
        auto_rebalance: flags == AUTO_REBALANCE,
    })
}

fn put_entry(out: &mut Vec<u8>, entry: &NodeEntry) {
    for text in [&entry.name, &entry.peer, &entry.zone, &entry.dc] {
        put_bytes(out, text.as_bytes());
    }
    put_varint(out, u64::from(entry.weight));
    out.push(match entry.state {
        NodeState::Active => 0,
        NodeState::Draining => 1,
        NodeState::Gone => 2,
    });
    out.push(u8::from(entry.seat.is_some()));
    if let Some(key) = entry.seat {
        out.extend_from_slice(&key.to_le_bytes());
    }
}

fn get_entry(input: &mut Reader<'_>) -> Result<NodeEntry, DecodeError> {
    let spec = get_spec(input)?;
    let state = match input.byte("state of a node")? {
        0 => NodeState::Active,
        1 => NodeState::Draining,
        2 => NodeState::Gone,
        _ => return Err(input.error("state of a node", "this version knows no such state")),
    };
    let seat = if get_flag(input)? {
        Some(input.u64("seat")?)
    } else {
        None
    };
    Ok(NodeEntry {
        state,
        seat,
        ..NodeEntry::of(&spec)
    })
}

fn put_spec(out: &mut Vec<u8>, spec: &NodeSpec) {
    for text in [&spec.name, &spec.peer, &spec.zone, &spec.dc] {
        put_bytes(out, text.as_bytes());
    }
    put_varint(out, u64::from(spec.weight));
}

fn get_spec(input: &mut Reader<'_>) -> Result<NodeSpec, DecodeError> {
    Ok(NodeSpec {
        name: get_text(input, "name")?,
        peer: get_text(input, "peer address")?,
        zone: get_text(input, "zone")?,
        dc: get_text(input, "datacentre")?,
        weight: get_u32(input, "weight")?,
    })
}

const fn member_code(state: MemberState) -> u8 {
    match state {
        MemberState::Joining => 0,
        MemberState::Active => 1,
        MemberState::Leaving => 2,
    }
}

fn get_members(input: &mut Reader<'_>) -> Result<Vec<Member>, DecodeError> {
    const WHAT: &str = "members of a partition";
    (0..input.count(3, WHAT)?)
        .map(|_| {
            Ok(Member {
                node: get_node(input)?,
                state: match input.byte(WHAT)? {
                    0 => MemberState::Joining,
                    1 => MemberState::Active,
                    2 => MemberState::Leaving,
                    _ => return Err(input.error(WHAT, "this version knows no such state")),
                },
                since: input.varint("epoch")?,
            })
        })
        .collect()
}

fn put_rows(out: &mut Vec<u8>, rows: &[Vec<NodeId>]) {
    put_varint(out, rows.len() as u64);
    for row in rows {
        put_varint(out, row.len() as u64);
        for node in row {
            put_node(out, *node);
        }
    }
}

fn get_rows(input: &mut Reader<'_>) -> Result<Vec<Vec<NodeId>>, DecodeError> {
    (0..input.count(1, "rows of a plan")?)
        .map(|_| {
            (0..input.count(1, "nodes of a plan")?)
                .map(|_| get_node(input))
                .collect()
        })
        .collect()
}

fn put_moves(out: &mut Vec<u8>, moves: &[Move]) {
    put_varint(out, moves.len() as u64);
    for place in moves {
        put_varint(out, u64::from(place.partition.0));
        put_node(out, place.node);
    }
}

fn get_moves(input: &mut Reader<'_>) -> Result<Vec<Move>, DecodeError> {
    (0..input.count(2, "moves")?)
        .map(|_| {
            Ok(Move {
                partition: get_partition(input)?,
                node: get_node(input)?,
            })
        })
        .collect()
}

fn put_refs(out: &mut Vec<u8>, refs: &[MemberRef]) {
    put_varint(out, refs.len() as u64);
    for member in refs {
        put_varint(out, u64::from(member.partition.0));
        put_varint(out, member.since);
    }
}

fn get_refs(input: &mut Reader<'_>) -> Result<Vec<MemberRef>, DecodeError> {
    (0..input.count(2, "memberships")?)
        .map(|_| {
            Ok(MemberRef {
                partition: get_partition(input)?,
                since: input.varint("epoch")?,
            })
        })
        .collect()
}

fn get_seats(input: &mut Reader<'_>) -> Result<Vec<Seat>, DecodeError> {
    (0..input.count(9, "seats")?)
        .map(|_| {
            Ok(Seat {
                node: get_node(input)?,
                key: input.u64("seat")?,
            })
        })
        .collect()
}
