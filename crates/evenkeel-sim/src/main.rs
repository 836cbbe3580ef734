//! `cargo sim`: see `cargo sim --help`.

/// A seed makes and drops millions of small values: this allocator saves a part of every run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::process::ExitCode;

fn main() -> ExitCode {
    evenkeel_sim::cli::main()
}
