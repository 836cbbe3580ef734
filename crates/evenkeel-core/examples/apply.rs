//! Runs SETs through two members of a partition, to count instructions: once with `N` and once with none, the
//! difference over `N` is the cost of one.
//!
//! `valgrind --tool=callgrind target/release/examples/apply write 20000` counts the writer alone,
//! `… both 20000` the writer and the member that applies its deltas, `… read 20000` GETs.
#![expect(
    clippy::print_stdout,
    reason = "the digest shows that the work was done"
)]

use std::error::Error;

use evenkeel_core::command::{Keyspace, Random, Run, lookup};
use evenkeel_core::id::{ActorId, NodeId, PartitionId};
use evenkeel_core::partition::{Effect, Input, Partition, Settings};
use evenkeel_core::time::{Instant, Now, WallMs};

/// As many as one of 256 partitions holds of a million.
const KEYS: u64 = 4096;
const VALUE: [u8; 100] = [b'v'; 100];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let what = args.get(1).map_or("both", String::as_str);
    let count: u64 = args.get(2).map_or(Ok(20_000), |count| count.parse())?;
    let (mut writer, mut other) = (member(0), member(1));
    let mut effects = Vec::new();
    for partition in [&mut writer, &mut other] {
        partition.start(now(0), &mut effects);
        for peer in [0, 1, 2].map(NodeId) {
            let incarnation = ActorId(u64::from(peer.0) + 1);
            partition.handle(now(0), Input::PeerUp { peer, incarnation }, &mut effects);
        }
    }
    for number in 0..KEYS {
        execute(&mut writer, "set", number, &mut effects);
        deliver(&mut other, &mut effects);
    }
    for number in 0..count {
        let name = if what == "read" { "get" } else { "set" };
        // Any odd factor visits every key in another order than they were written in.
        execute(
            &mut writer,
            name,
            number.wrapping_mul(2_654_435_761),
            &mut effects,
        );
        if what == "both" {
            deliver(&mut other, &mut effects);
        }
        effects.clear();
    }
    println!(
        "{:x} {:x}",
        writer.replica().digest(),
        other.replica().digest()
    );
    Ok(())
}

fn member(me: u32) -> Partition {
    let members = (0..3).map(NodeId).collect();
    let settings = Settings::new(PartitionId(7), NodeId(me), members);
    Partition::new(settings, ActorId(u64::from(me) + 1))
}

fn now(number: u64) -> Now {
    Now {
        instant: Instant(1_000_000 + number),
        wall: WallMs(1_700_000_000_000),
    }
}

fn execute(partition: &mut Partition, name: &str, number: u64, effects: &mut Vec<Effect>) {
    let key = format!("key:{:018}", number % KEYS);
    let args = [name.as_bytes(), key.as_bytes(), &VALUE];
    let args = if name == "get" { &args[..2] } else { &args };
    if let Some(spec) = lookup(name.as_bytes())
        && let Run::OnKey(work) = spec.run
    {
        let mut keyspace = Keyspace::new(partition, now(0), Random::of(number), effects);
        work(&mut keyspace, args);
    }
}

/// Gives the frames for the second member to it; drops what it says.
fn deliver(partition: &mut Partition, effects: &mut Vec<Effect>) {
    let mut said = Vec::new();
    for effect in effects.drain(..) {
        if let Effect::Send { to, frame } = effect
            && to == NodeId(1)
        {
            let from = NodeId(0);
            partition.handle(now(0), Input::Frame { from, frame }, &mut said);
        }
    }
}
