//! Evenkeel: an eventually consistent, distributed key-value store that speaks the Redis protocol.
//!
//! The same node that `evenkeel serve` runs can be embedded: see [`Server`], and [`Cluster`] for several nodes in one
//! process.
//!
//! ```
//! let dir = std::env::temp_dir().join(format!("evenkeel-lib-doc-{}", std::process::id()));
//! let config = evenkeel::Config {
//!     dir: dir.clone(),
//!     listen: "127.0.0.1:0".to_owned(), // any free port
//!     peer_listen: "127.0.0.1:0".to_owned(),
//!     http_listen: "127.0.0.1:0".to_owned(),
//!     ..evenkeel::Config::default()
//! };
//! let server = evenkeel::Server::start(config)?;
//! println!("redis-cli -p {}", server.addresses().client.port());
//! server.stop();
//! # std::fs::remove_dir_all(dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admin;
mod client;
pub mod config;
mod embed;
mod entropy;
#[doc(hidden)]
pub mod json;
mod level;
mod link;
mod metrics;
mod node;
mod server;
mod space;
#[doc(hidden)]
pub mod utc;
mod visibility;

pub use config::{Config, Member};
pub use embed::{Cluster, EmbedError, free_ports};
pub use level::{Level, NoLevel};
pub use node::{StartError, offline};
pub use server::{Addresses, Server, StartFailure};
pub use space::free_space;
