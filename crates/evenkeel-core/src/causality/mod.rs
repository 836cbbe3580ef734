//! Causality: which events a replica has applied, and how times are stamped.
//!
//! A [`Dot`] names one event; a [`Context`] is a set of dots, held as intervals per actor, with holes where
//! events are missing. Nothing here knows about data.

mod context;
mod dot;
mod hlc;
mod interval_set;
#[cfg(test)]
mod tests;

pub use context::Context;
pub use dot::{Dot, DotRun};
pub use hlc::{Clock, Hlc, Observed};
pub use interval_set::{IntervalSet, Run};
