//! Behaviour of the replication protocol, as scenarios and as random runs.

mod random;
mod scenarios;
