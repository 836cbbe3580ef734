//! One partition on one node (stub to be replaced).
mod interface;
pub use interface::{Acks, Effect, Input, Reply, Settings, Write};
