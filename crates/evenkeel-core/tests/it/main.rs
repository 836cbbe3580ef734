//! What the core promises about bytes that outlive a build: golden files, and memory under hostile input.

mod cluster_golden;
mod cluster_world;
mod commands_page;
mod golden;
mod memory;
mod samples;
