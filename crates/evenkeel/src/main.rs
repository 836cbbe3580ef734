//! The `evenkeel` command.

mod bench;
mod cli;
mod demo;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Values come and go by the million in a few sizes: it keeps them denser and frees across threads cheaper than the
/// C library does (bench/README.md has the figures).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
