//! Data: cells, what they hold, and how two states of a cell join.
//!
//! A cell is the unit of merging: one string, one hash field, one set member, one counter. Everything a user
//! stores is made of cells; nothing here knows about replicas or messages.

mod cell;
mod cell_id;
mod cell_ref;
mod counter;
mod position;
mod range;
mod score;
#[cfg(test)]
mod tests;

pub use cell::{Cell, Deadline, Value, Version, VersionRef, Versions};
pub use cell_id::{CellId, CellName, Field, Key, Kind};
pub use cell_ref::CellRef;
pub use counter::{Chain, ChainId, Mark, Reset, Total};
pub use position::Positions;
pub use range::Range;
pub use score::Score;
