//! The control plane: who belongs to the cluster, who holds what, and how that changes.
//!
//! All of it is one small [`Document`] with an epoch. [`Document::apply`] is the only way to change it, the same
//! function on every node; the rules that protect data are there. The data path reads documents and never waits for
//! a new one.
//!
//! [`Cluster`] is the machine that keeps it: some nodes vote on changes, everybody else gets newer documents from
//! whoever has them.

mod change;
mod document;
mod duties;
mod encoding;
mod frame;
mod machine;
mod planner;
mod proposals;
mod saved;
#[cfg(test)]
mod tests;
mod vote;

pub use change::{Change, MemberRef, Move, NodeSpec, Refused, Seat};
pub use document::{ClusterSettings, Document, NodeEntry, NodeState, ReplicaCounts};
pub use machine::{Cluster, Effect, Failed, Input, Status};
pub use planner::{lies_as_planned, next_steps, plan};
