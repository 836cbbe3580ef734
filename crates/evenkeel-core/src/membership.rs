//! Who holds a partition: the members of its replica set, and what part each of them has in it.
//!
//! The list comes from the topology document, which is agreed; nodes learn of it at different times. So everything
//! that counts on a member counts on what it has said since the list gave it its part: [`Member::since`].

use crate::id::NodeId;

/// A member of a replica set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// Its part.
    pub state: MemberState,
    /// The epoch of the topology in which it got this part.
    pub since: u64,
}

impl Member {
    /// A member that always was one.
    #[must_use]
    pub const fn active(node: NodeId) -> Self {
        Self {
            node,
            state: MemberState::Active,
            since: 0,
        }
    }
}

/// The part of a member. All three are sent every event, and nothing is collected that one of them lacks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum MemberState {
    /// It fetches what the others hold; no acknowledgement counts it yet.
    Joining,
    /// It serves clients, and acknowledgements count it.
    Active,
    /// It hands over what it holds; no acknowledgement counts it any more.
    Leaving,
}

/// The part that a replica has in the replica set of its partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// See [`MemberState::Joining`].
    Joining,
    /// See [`MemberState::Active`].
    Active,
    /// See [`MemberState::Leaving`].
    Leaving,
    /// None: what it holds, as a former member or for clients that reached no member, is for the members to fetch.
    Outside,
}

impl Role {
    /// The part of a node in a list of members.
    #[must_use]
    pub fn of(members: &[Member], node: NodeId) -> Self {
        match members.iter().find(|member| member.node == node) {
            None => Self::Outside,
            Some(member) => match member.state {
                MemberState::Joining => Self::Joining,
                MemberState::Active => Self::Active,
                MemberState::Leaving => Self::Leaving,
            },
        }
    }

    /// Whether it is a member's.
    #[must_use]
    pub const fn is_member(self) -> bool {
        !matches!(self, Self::Outside)
    }
}
