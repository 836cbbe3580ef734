//! Sorted sets: a cell per member, whose version is its score, with counter chains for increments.
//!
//! Concurrent scores of one member: the newest by stamp holds, increments that it had not seen add to it. The order is
//! the replica's own [`crate::partition::Ranking`], so that ranks and ranges cost what they return.

mod add;
mod algebra;
mod bounds;
mod pop;
mod range;
mod read;
mod tables;
mod waiting;

pub(super) use add::{Options, add_scores};
pub(super) use algebra::{scored, store};
pub(super) use bounds::{parse_float, parse_score};
pub(super) use tables::{COMBINED, READS, WRITES};
pub(super) use waiting::COMMANDS as WAITING;
