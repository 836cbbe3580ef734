//! Tests of the real binary: processes, sockets, files, signals and networks.
//!
//! Short forms run with `cargo test`; `EVENKEEL_LONG=1` makes them longer. A test whose tool is missing says so and
//! passes, or fails with `EVENKEEL_REQUIRE=all`.

#[cfg(test)]
mod blocking;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod checkpoints;
#[cfg(test)]
mod client;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod collections;
#[cfg(test)]
mod conflicts;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod divergence;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod five;
#[cfg(test)]
mod growing;
#[cfg(test)]
mod homes;
#[cfg(test)]
mod hopping;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http;
#[cfg(test)]
mod inspect;
#[cfg(test)]
mod levels;
#[cfg(test)]
mod load;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod namespace;
#[cfg(test)]
mod node;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod operators;
#[cfg(test)]
mod partition;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod pubsub;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod same_as_redis;
#[cfg(test)]
mod scrubbing;
#[cfg(test)]
mod secret;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod slots;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod transactions;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod webdriver;
