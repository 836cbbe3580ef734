//! One simulated node: a process that may be down, its disk, its clock.

use std::collections::VecDeque;
use std::rc::Rc;

use evenkeel_core::id::{ActorId, NodeId};
use evenkeel_core::membership::{Member, MemberState, Role};
use evenkeel_core::partition::{Input, Partition};
use evenkeel_store::log::Sequence;

use crate::clock::WallClock;
use crate::disk::{Damage, Disk, Image, Record};

/// What a node knows of the topology document: it is on its disk before it counts.
#[derive(Clone, Default, Debug)]
pub(crate) struct List {
    pub(crate) epoch: u64,
    pub(crate) members: Vec<Member>,
}

impl List {
    /// The nodes of the active members, in the order of preference.
    pub(crate) fn active(&self) -> impl Iterator<Item = usize> {
        let active = self.members.iter();
        let active = active.filter(|member| member.state == MemberState::Active);
        active.map(|member| member.node.0 as usize)
    }

    /// The part of a node.
    pub(crate) fn role(&self, at: usize) -> Role {
        let node = u32::try_from(at).unwrap_or(u32::MAX);
        Role::of(&self.members, NodeId(node))
    }
}

/// What happens to the disk before the next start.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It is as the crash left it.
    Keep,
    /// An old copy takes its place.
    Restore(Image),
    /// A copy of another node's disk takes its place.
    Clone(Image),
    /// It is empty.
    Wipe,
    /// It is damaged, in so many places.
    Damaged(Damage, usize),
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    /// `None` while the process is down.
    pub(crate) partition: Option<Partition>,
    /// The actor of its process.
    pub(crate) actor: ActorId,
    /// The actor under which it minted when it was called last.
    pub(crate) minter: ActorId,
    pub(crate) disk: Disk,
    pub(crate) clock: WallClock,
    /// Counts the starts: what was scheduled for an earlier one is void.
    pub(crate) boot: u32,
    /// What it knows of the members.
    pub(crate) list: List,
    /// Gone for good, disk and all.
    pub(crate) lost: bool,
    /// Whether its disk ever lost what was synced there, by a fault.
    pub(crate) forgot: bool,
    pub(crate) paused: bool,
    /// What came while it was paused.
    pub(crate) backlog: VecDeque<Input>,
    pub(crate) resumed_at: u64,
    pub(crate) tick_at: Option<u64>,
    /// Ticks in a row at one instant.
    pub(crate) ticks: usize,
    pub(crate) fate: Fate,
    /// A copy of the disk taken earlier.
    pub(crate) image: Option<Image>,
    /// A checkpoint on its way to the disk: the last record that it takes the place of, and its own.
    pub(crate) checkpoint: Option<(Sequence, Vec<Rc<Record>>)>,
    /// Whether an anti-entropy request is open.
    pub(crate) asking: bool,
    /// The member whose next answer to it comes late.
    pub(crate) held_from: Option<usize>,
    /// Until when its requests draw crashes.
    pub(crate) haunted_until: u64,
    /// What the trace last showed of the watched cell.
    pub(crate) shown: String,
    /// When it last sent a snapshot chunk.
    pub(crate) chunk_at: Option<u64>,
}

impl Node {
    pub(crate) fn new(id: NodeId, clock: WallClock, list: List) -> Self {
        Self {
            id,
            list,
            forgot: false,
            partition: None,
            actor: ActorId(0),
            minter: ActorId(0),
            disk: Disk::default(),
            clock,
            boot: 0,
            lost: false,
            paused: false,
            backlog: VecDeque::new(),
            resumed_at: 0,
            tick_at: None,
            ticks: 0,
            fate: Fate::Keep,
            image: None,
            checkpoint: None,
            asking: false,
            held_from: None,
            haunted_until: 0,
            shown: String::new(),
            chunk_at: None,
        }
    }

    /// Whether it served a snapshot within the last second.
    pub(crate) fn is_serving_snapshot(&self, now: u64) -> bool {
        self.chunk_at.is_some_and(|at| now - at < 1_000_000)
    }
}
