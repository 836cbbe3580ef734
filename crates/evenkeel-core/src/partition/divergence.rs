//! How far the replicas are apart: exact, from contexts (replication.md 6).
//!
//! Whoever compares replicas asks each for its context, then each for what it has more ([`Partition::repair`],
//! [`Partition::touched`]) and at last for what the touched keys hold ([`Partition::key_digests`]). Content is a
//! function of the context, so a key that no differing event touches cannot differ.

use std::collections::{BTreeMap, BTreeSet};

use super::Partition;
use super::index::Target;
use crate::causality::Context;
use crate::event::{Event, Op};
use crate::id::NodeId;
use crate::message::Unit;
use crate::time::{Duration, Now};
use crate::types::{Cell, CellId, Key, Range, Version};
use crate::wire::{range_delete_bytes, unit_bytes};

/// What it takes to bring some events of this replica to one that lacks them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Repair {
    /// The events that this replica holds of those asked for.
    pub events: u64,
    /// Bytes of the range deletes and of the distinct cells that anti-entropy sends; of all cells, about, where it
    /// is a snapshot.
    pub bytes: u64,
    /// Whether the index does not reach back far enough: the member gets a snapshot.
    pub needs_snapshot: bool,
    /// How long this replica has held the oldest of them; `None` where there are none.
    pub oldest: Option<Duration>,
}

/// How many events one of several replicas holds alone.
#[must_use]
pub fn held_by_one(contexts: &[&Context], at: usize) -> u64 {
    let others = contexts
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != at);
    let left = others.fold(contexts[at].clone(), |left, (_, other)| {
        left.difference(other)
    });
    left.count()
}

/// The events that not every one of several replicas holds.
#[must_use]
pub fn held_by_some(contexts: &[&Context]) -> Context {
    let mut all = Context::default();
    contexts.iter().for_each(|context| all.join(context));
    let mut some = Context::default();
    for context in contexts {
        some.join(&all.difference(context));
    }
    some
}

impl Partition {
    /// The events of this replica that a member has not told to hold; none for who is no member.
    #[must_use]
    pub fn untold(&self, peer: NodeId) -> Context {
        let member = self.peers.get(peer).filter(|peer| peer.is_member());
        member.map_or_else(Context::default, |peer| {
            self.replica.context().difference(&peer.applied)
        })
    }

    /// How many events of this replica a member lacks, by its last advert. A member never heard of lacks them all.
    #[must_use]
    pub fn lag(&self, peer: NodeId) -> u64 {
        self.untold(peer).count()
    }

    /// How long this replica has held the oldest event that a member lacks, by its last advert; `None` when it lacks
    /// none.
    #[must_use]
    pub fn lag_age(&self, peer: NodeId, now: Now) -> Option<Duration> {
        let oldest = self.arrivals.oldest(&self.untold(peer))?;
        Some(now.instant.since(oldest))
    }

    /// Whether the present incarnation of a member has told what it holds.
    #[must_use]
    pub fn has_heard(&self, peer: NodeId) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.heard)
    }

    /// How many events of a member this replica lacks, by the member's last advert.
    #[must_use]
    pub fn behind(&self, peer: NodeId) -> u64 {
        self.peers.get(peer).map_or(0, |peer| {
            peer.applied.difference(self.replica.context()).count()
        })
    }

    /// What it takes to bring these events to a replica that lacks them, as far as they are held here.
    #[must_use]
    pub fn repair(&self, missing: &Context, now: Now) -> Repair {
        let missing = missing.intersection(self.replica.context());
        let bytes = self.repair_bytes(&missing);
        Repair {
            events: missing.count(),
            bytes: bytes.unwrap_or_else(|| self.snapshot_bytes()),
            needs_snapshot: bytes.is_none(),
            oldest: self
                .arrivals
                .oldest(&missing)
                .map(|at| now.instant.since(at)),
        }
    }

    fn repair_bytes(&self, missing: &Context) -> Option<u64> {
        let mut bytes = 0;
        let mut cells: BTreeMap<&CellId, Context> = BTreeMap::new();
        for (dot, target) in self.targets(missing)? {
            match target {
                Target::Cell(id) => {
                    cells.entry(id).or_default().insert(dot);
                }
                Target::Range(del) => {
                    let op = Op::RangeDel((**del).clone());
                    bytes += range_delete_bytes(&Event { dot, op });
                }
            }
        }
        let context = self.replica.context();
        for (id, covered) in cells {
            let (unit, values) = self.unit_without_values(id, covered);
            bytes += unit_bytes(context, &unit) + values;
        }
        Some(bytes as u64)
    }

    /// A unit as anti-entropy would send it, but for the bytes of its values, which are only counted: they may be
    /// many, and the partition is locked.
    fn unit_without_values(&self, id: &CellId, covered: Context) -> (Unit, usize) {
        let mut state = Cell::default();
        let mut values = 0;
        if let Some(held) = self.replica.cell(id) {
            for version in held.versions() {
                values += crate::codec::bytes_len(version.value.len()) - crate::codec::bytes_len(0);
                state.insert_version(Version {
                    dot: version.dot,
                    hlc: version.hlc,
                    deadline: version.deadline,
                    value: Box::default(),
                });
            }
            for chain in held.chains() {
                state.change_chain(chain.id, |entry| *entry = *chain);
            }
        }
        let unit = Unit {
            cell: id.clone(),
            state,
            extra: self.replica.overlay(id),
            covered,
        };
        (unit, values)
    }

    /// What these events are about, as far as they are held here: ranges that hold every key that they can have
    /// changed. All keys when the index does not reach back far enough.
    #[must_use]
    pub fn touched(&self, dots: &Context) -> Vec<Range> {
        let dots = dots.intersection(self.replica.context());
        let Some(targets) = self.targets(&dots) else {
            return vec![Range::all()];
        };
        let mut keys = BTreeSet::new();
        let mut ranges = Vec::new();
        for (_, target) in targets {
            match target {
                Target::Cell(id) => {
                    keys.insert(&id.key);
                }
                Target::Range(del) => match &del.range {
                    Range::Key(key) | Range::Fields { key, .. } => {
                        keys.insert(key);
                    }
                    range @ Range::Keys { .. } => ranges.push(range.clone()),
                },
            }
        }
        ranges.extend(keys.into_iter().cloned().map(Range::Key));
        ranges
    }

    /// The digest of what each key within the ranges shows; a key that shows nothing is left out. `None` when there
    /// are more than `max`.
    #[must_use]
    pub fn key_digests(&self, ranges: &[Range], max: usize) -> Option<BTreeMap<Key, u128>> {
        let mut digests = BTreeMap::new();
        for range in ranges {
            for (key, digest) in self.replica.digests_in(range) {
                if digest != 0 {
                    digests.insert(Key::from(key), digest);
                }
                if digests.len() > max {
                    return None;
                }
            }
        }
        Some(digests)
    }
}
