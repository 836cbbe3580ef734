//! Redis clients: accept them, read their requests, run them, answer.

mod commands;
mod config;
mod connection;
mod ek;
mod info;
mod inspect;
mod run;
mod server;
mod session;
mod wait;

pub(crate) use connection::{accept, listen};
pub(crate) use ek::inspect_own;
pub(crate) use run::{run_here, run_once};
