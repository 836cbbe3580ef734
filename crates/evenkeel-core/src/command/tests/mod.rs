//! Commands as a client sees them: one replica against Redis' behaviour, two against the table of conflicts.

mod algebra;
mod bits;
mod conflict_log;
mod conflict_table;
mod conflicts;
mod counters;
mod deadlines;
mod draws;
mod elements;
mod hashes;
mod histories;
mod hyperloglogs;
mod inspection;
mod keys;
mod laws;
mod list_conflicts;
mod list_laws;
mod lists;
mod places;
mod removals;
mod replicas;
mod scans;
mod score_history;
mod sets;
mod sorted_sets;
mod sorting;
mod stores;
mod strings;
mod table;
mod transfers;
mod waits;
mod within;

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::*;
use crate::id::{ActorId, NodeId, PartitionId};
use crate::observation::{Conflict, Observation};
use crate::partition::{Effect, Input, Partition, Settings};
use crate::time::{Instant, Now, WallMs};

/// Where the clocks of all replicas stand at first.
const START_MS: u64 = 1_000_000;

/// One replica that runs commands.
struct Node {
    partition: Partition,
    now: Now,
    /// Where each command's random numbers begin, another place for each.
    random: Random,
    outbox: Vec<(NodeId, Bytes)>,
    records: usize,
    /// What concurrent writes were noticed, in order.
    conflicts: Vec<Conflict>,
    conflicts_left_out: u64,
    /// Awaited keys that have changed.
    changed: Vec<crate::types::Key>,
    /// How often something was handed on to be freed.
    discarded: usize,
}

impl Node {
    fn alone() -> Self {
        Self::member(0, &[0])
    }

    fn member(id: u32, members: &[u32]) -> Self {
        let members = members.iter().copied().map(NodeId).collect();
        let settings = Settings::new(PartitionId(0), NodeId(id), members);
        let mut node = Self {
            partition: Partition::new(settings, ActorId(u64::from(id + 1) << 48)),
            now: Now {
                instant: Instant(0),
                wall: WallMs(START_MS),
            },
            random: Random::of(u64::from(id)),
            outbox: Vec::new(),
            records: 0,
            conflicts: Vec::new(),
            conflicts_left_out: 0,
            changed: Vec::new(),
            discarded: 0,
        };
        let mut effects = Vec::new();
        node.partition.start(node.now, &mut effects);
        node
    }

    fn pass(&mut self, ms: u64) {
        self.now.wall.0 += ms;
        self.now.instant.0 += ms * 1000;
    }

    fn with<R>(&mut self, run: impl FnOnce(&mut Keyspace<'_>) -> R) -> R {
        let mut effects = Vec::new();
        let mut keys = Keyspace::new(
            &mut self.partition,
            self.now,
            self.random.clone(),
            &mut effects,
        );
        let result = run(&mut keys);
        drop(keys);
        self.take(effects);
        result
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, frame } => self.outbox.push((to, frame)),
                Effect::Persist { dots, .. } => self.records += usize::from(!dots.is_empty()),
                Effect::Observe(Observation::Conflict(conflict)) => self.conflicts.push(*conflict),
                Effect::Observe(Observation::ConflictsLeftOut { conflicts }) => {
                    self.conflicts_left_out += conflicts;
                }
                Effect::Changed { key } => self.changed.push(key),
                Effect::Discard(_) => self.discarded += 1,
                Effect::Reply { .. } | Effect::Observe(_) => {}
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.partition.handle(self.now, input, &mut effects);
        self.take(effects);
    }

    /// Runs a request as the shell does, were this the only partition.
    fn request(&mut self, args: &[&[u8]]) -> Reply {
        let Some(spec) = lookup(args[0]) else {
            return unknown(args);
        };
        if let Err(error) = check_arity(spec, args) {
            return error;
        }
        self.random = self.random.split();
        self.with(|keys| keys.run(spec, args))
    }

    /// Runs a command given as words, `''` for an empty one; gives the reply in short.
    fn run(&mut self, command: &str) -> String {
        short(&self.request_of(command))
    }

    /// Runs a command given as words; gives the reply itself.
    fn request_of(&mut self, command: &str) -> Reply {
        let words = command
            .split(' ')
            .map(|word| if word == "''" { "" } else { word });
        let args: Vec<&[u8]> = words.map(str::as_bytes).collect();
        self.request(&args)
    }

    /// Runs commands, each with the reply that must come.
    fn check(&mut self, cases: &[(&str, &str)]) {
        for (command, reply) in cases {
            assert_eq!(self.run(command), *reply, "{command}");
        }
    }

    /// How many batches a command wrote.
    fn batches_of(&mut self, command: &str) -> usize {
        let before = self.records;
        self.run(command);
        self.records - before
    }
}

/// Two replicas with a link that waits to be asked.
struct Pair {
    a: Node,
    b: Node,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self {
            a: Node::member(0, &[0, 1]),
            b: Node::member(1, &[0, 1]),
        };
        for (node, peer) in [(&mut pair.a, 1), (&mut pair.b, 0)] {
            node.handle(Input::PeerUp {
                peer: NodeId(peer),
                incarnation: ActorId(u64::from(peer + 1) << 48),
            });
        }
        pair.exchange();
        pair
    }

    /// A pair whose replicas both have seen some commands.
    fn after(commands: &[&str]) -> Self {
        let mut pair = Self::new();
        for command in commands {
            pair.a.run(command);
        }
        pair.exchange();
        pair
    }

    fn pass(&mut self, ms: u64) {
        self.a.pass(ms);
        self.b.pass(ms);
    }

    /// Delivers everything until there is nothing more to say; then both must be equal.
    fn exchange(&mut self) {
        self.deliver();
        let (a, b) = (self.a.partition.replica(), self.b.partition.replica());
        assert_eq!(a.context(), b.context());
        assert_eq!(a.digest(), b.digest());
    }

    fn deliver(&mut self) {
        loop {
            let to_b = std::mem::take(&mut self.a.outbox);
            let to_a = std::mem::take(&mut self.b.outbox);
            if to_b.is_empty() && to_a.is_empty() {
                break;
            }
            for (node, from, frames) in [
                (&mut self.b, NodeId(0), to_b),
                (&mut self.a, NodeId(1), to_a),
            ] {
                for (_, frame) in frames {
                    node.handle(Input::Frame { from, frame });
                }
            }
        }
    }

    /// Brings over by anti-entropy what was lost on the way.
    fn repair(&mut self) {
        for _ in 0..4 {
            self.pass(20_000);
            self.a.handle(Input::Tick);
            self.b.handle(Input::Tick);
            self.deliver();
        }
        self.exchange();
    }

    /// Exchanges, then asks both replicas: each reply must be the expected one.
    fn agree(&mut self, cases: &[(&str, &str)]) {
        self.exchange();
        for (command, reply) in cases {
            assert_eq!(self.a.run(command), *reply, "{command} on A");
            assert_eq!(self.b.run(command), *reply, "{command} on B");
        }
    }
}

fn short(reply: &Reply) -> String {
    let list = |replies: &[Reply]| replies.iter().map(short).collect::<Vec<_>>().join(" ");
    match reply {
        Reply::Simple(line) => format!("+{}", line.as_bytes().escape_ascii()),
        Reply::Error(line) => String::from_utf8_lossy(line.as_bytes()).into_owned(),
        Reply::Integer(n) => n.to_string(),
        Reply::Bulk(bytes) => format!("'{}'", bytes.escape_ascii()),
        Reply::Null => "nil".into(),
        Reply::Double(number) => {
            String::from_utf8_lossy(evenkeel_resp::format_double(*number).as_bytes()).into_owned()
        }
        Reply::Decimal(number) => evenkeel_resp::format_decimal(*number),
        Reply::Array(replies) => format!("[{}]", list(replies)),
        Reply::Pairs(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(k, v)| format!("[{} {}]", short(k), short(v)));
            format!("[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
        Reply::Set(replies) => format!("{{{}}}", list(replies)),
        Reply::Map(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(k, v)| format!("{}={}", short(k), short(v)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}
