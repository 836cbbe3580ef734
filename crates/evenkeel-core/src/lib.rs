//! Everything an Evenkeel node decides, as deterministic state machines without I/O.
//!
//! No socket, clock, file, thread or random source is touched here: time, frames and entropy come in as inputs,
//! and everything to be done goes out as effects. The production shell and the simulator drive the same code.
//! Modules from low to high: [`id`], [`membership`], [`time`], [`limits`], [`codec`] → [`rdb`] → [`causality`] → [`types`] → [`event`],
//! [`message`], [`observation`] → [`wire`] → [`partition`] → [`command`] → [`cluster`]. A file uses only lower ones.

pub mod bug;
pub mod causality;
pub mod cluster;
pub mod codec;
pub mod command;
pub mod event;
pub mod id;
pub mod limits;
pub mod membership;
pub mod message;
pub mod observation;
pub mod partition;
pub mod rdb;
pub mod time;
pub mod types;
pub mod wire;
