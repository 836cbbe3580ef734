//! Three nodes in one process: write at one, see them differ, see them converge.
//!
//! `cargo run -p evenkeel --example three_nodes`

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use evenkeel::{Cluster, EmbedError};

fn main() -> Result<(), EmbedError> {
    let dir = std::env::temp_dir().join(format!("evenkeel-example-{}", std::process::id()));
    let cluster = Cluster::start(3, &dir)?;
    cluster.run(0, &["SET", "balance", "5"])?;
    cluster.run(0, &["EK.AWAIT", "CONVERGED", "5000"])?;
    // A slow network: what node A sends takes half a second, so that the difference can be seen.
    cluster.run(0, &["EK.FAULT", "DELAY", "*", "500", "500"])?;
    cluster.run(0, &["SET", "balance", "10"])?;
    println!("right after the write: {:?}", cluster.read_each("balance")?);
    cluster.run(0, &["EK.AWAIT", "CONVERGED", "5000"])?;
    println!("a moment later:        {:?}", cluster.read_each("balance")?);
    drop(cluster);
    Ok(std::fs::remove_dir_all(dir)?)
}
