//! `cargo sim`: see `cargo sim --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    evenkeel_sim::cli::main()
}
