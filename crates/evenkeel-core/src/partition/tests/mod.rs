//! Tests of a replica and its exchanges: the worked interleavings of replication.md 13 by hand, then at random.

mod clients;
mod divergence;
mod history;
mod hostile;
mod interleavings;
mod net;
mod property;
mod roles;
mod scrub;
mod snapshots;
mod upkeep;
