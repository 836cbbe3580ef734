//! Evenkeel: an eventually consistent, distributed key-value store that speaks the Redis protocol.
//!
//! The same node that `evenkeel serve` runs can be embedded: see [`Server`], and [`Cluster`] for several nodes in one
//! process.

mod client;
pub mod config;
mod embed;
mod entropy;
mod http;
mod link;
mod metrics;
mod node;
mod server;

pub use config::{Config, Member};
pub use embed::{Cluster, EmbedError, free_ports};
pub use node::StartError;
pub use server::{Addresses, Server, StartFailure};
