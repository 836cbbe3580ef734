//! Prints what commands on a large sorted set cost, in microseconds per command, and what it takes in memory:
//! `cargo run --release -p evenkeel-core --example ranking [members]`, a million by default.
#![expect(clippy::print_stdout, reason = "figures are its purpose")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measurement needs a clock; the core it measures has none"
)]

use std::error::Error;
use std::time::{Duration, Instant as Clock};

use evenkeel_core::command::{Keyspace, Random, lookup};
use evenkeel_core::id::{ActorId, NodeId, PartitionId};
use evenkeel_core::partition::{Effect, Partition, Settings};
use evenkeel_core::time::{Instant, Now, WallMs};
use evenkeel_resp::Reply;

const MEMBERS: u64 = 1_000_000;
const ROUNDS: u64 = 20_000;

struct Node {
    partition: Partition,
    effects: Vec<Effect>,
}

impl Node {
    fn run(&mut self, command: &str) -> Reply {
        let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        let now = Now {
            instant: Instant(1_000_000),
            wall: WallMs(1_700_000_000_000),
        };
        self.effects.clear();
        let mut keys = Keyspace::new(&mut self.partition, now, Random::of(1), &mut self.effects);
        let reply = lookup(args[0]).map(|spec| keys.run(spec, &args));
        drop(keys);
        reply.unwrap_or(Reply::Null)
    }

    /// Prints microseconds per command, without the making of its text.
    fn time(&mut self, name: &str, rounds: u64, command: impl Fn(u64) -> String) {
        const AT_ONCE: u64 = 1000;
        let mut spent = Duration::ZERO;
        for first in (0..rounds).step_by(usize::try_from(AT_ONCE).unwrap_or(1)) {
            let commands: Vec<String> =
                (first..rounds.min(first + AT_ONCE)).map(&command).collect();
            let start = Clock::now();
            for command in &commands {
                self.run(command);
            }
            spent += start.elapsed();
        }
        let each = spent.as_secs_f64() * 1e6 / rounds as f64;
        println!("{name:32} {each:10.2} µs");
    }
}

/// Numbers in an order that looks like none.
const fn scattered(number: u64, below: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % below
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let members = std::env::args().nth(1).map_or(Ok(MEMBERS), |n| n.parse())?;
    let settings = Settings::new(PartitionId(0), NodeId(0), vec![NodeId(0)]);
    let mut node = Node {
        partition: Partition::new(settings, ActorId(1)),
        effects: Vec::new(),
    };
    let before = resident_kib();
    let member = |n: u64| format!("member:{:09}", scattered(n, members));
    node.time("ZADD of a new member", members, |n| {
        format!("ZADD z {} {}", scattered(n + 7, 1 << 20), member(n))
    });
    let held = (resident_kib() - before) * 1024 / members;
    println!("{:32} {held:10} B", "memory per member");
    node.time("ZADD of a new score", ROUNDS, |n| {
        format!("ZADD z {} {}", scattered(n, 1 << 20), member(n))
    });
    node.time("ZINCRBY", ROUNDS, |n| {
        format!("ZINCRBY z 1000 {}", member(n))
    });
    node.time("ZSCORE", ROUNDS, |n| format!("ZSCORE z {}", member(n)));
    node.time("ZRANK", ROUNDS, |n| format!("ZRANK z {}", member(n)));
    node.time("ZRANGE of 10 by rank", ROUNDS, |n| {
        let rank = scattered(n, members);
        format!("ZRANGE z {rank} {} WITHSCORES", rank + 9)
    });
    node.time("ZRANGE of 10 by score", ROUNDS, |n| {
        format!("ZRANGE z {} inf BYSCORE LIMIT 0 10", scattered(n, 1 << 20))
    });
    node.time("ZCOUNT", ROUNDS, |n| {
        format!("ZCOUNT z {} inf", scattered(n, 1 << 20))
    });
    node.time("ZPOPMIN", ROUNDS, |_| "ZPOPMIN z".into());
    let events = node.partition.replica().context().count();
    node.time("DEL", 1, |_| "DEL z".into());
    let events = node.partition.replica().context().count() - events;
    println!("{:32} {events:10}", "events of DEL");
    Ok(())
}
