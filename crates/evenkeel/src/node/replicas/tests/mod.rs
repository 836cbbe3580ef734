//! Recovery as a node does it, over disks in memory that are damaged and cut off in every way.
//!
//! Members are driven here as [`Node`](crate::node::Node) drives its partitions: effects of a turn become one record of
//! the log, frames travel between members, what an fsync covers is told. Time is a number.

mod crash;
mod damage;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use evenkeel_core::causality::Context;
use evenkeel_core::command::{Keyspace, Random, lookup, slot};
use evenkeel_core::id::{ActorId, NodeId};
use evenkeel_core::partition::{Effect, Input, Settings};
use evenkeel_core::time::{Instant, Now, WallMs};
use evenkeel_resp::Reply;
use evenkeel_store::log::LogError;

use super::super::wal::put_behind_length;
use super::*;

/// Strings, counters, sets and hashes, four of each.
const KINDS: [&str; 4] = ["string", "count", "set", "hash"];
const OF_EACH: u64 = 4;

fn keys() -> impl Iterator<Item = String> {
    KINDS
        .into_iter()
        .flat_map(|kind| (0..OF_EACH).map(move |n| format!("{kind}:{n}")))
}

fn partition_of(key: &str) -> PartitionId {
    crate::node::Topology::partition_of_slot(slot(key.as_bytes()))
}

/// The partitions of all keys, and no others: what is empty takes time and shows nothing.
fn partitions() -> BTreeSet<PartitionId> {
    keys().map(|key| partition_of(&key)).collect()
}

/// Says something that a passing test shows too.
fn say(text: &str) {
    use std::io::Write as _;
    // A test's outcome does not depend on whether somebody reads.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A number drawn from a seed (splitmix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % limit
    }

    /// A command that writes.
    fn command(&mut self, serial: u64) -> Vec<String> {
        let n = self.below(OF_EACH);
        let line = match self.below(10) {
            0..3 => format!("SET string:{n} value-{serial}"),
            3 | 4 => format!("INCR count:{n}"),
            5 => format!("SADD set:{n} member-{} member-{serial}", self.below(6)),
            6 => format!("SREM set:{n} member-{}", self.below(6)),
            7 => format!("HSET hash:{n} field-{} value-{serial}", self.below(3)),
            8 => format!("DEL string:{n} set:{n}"),
            _ => format!("DEL hash:{n}"),
        };
        line.split(' ').map(str::to_owned).collect()
    }
}

/// A config whose log has tiny segments.
fn config() -> Config {
    Config {
        checkpoint_log_bytes: 16 << 10,
        ..Config::default()
    }
}

type Frame = (NodeId, NodeId, PartitionId, Bytes);

/// One node: its replicas over its log.
struct Member<D: Disk> {
    me: NodeId,
    actor: ActorId,
    disk: Arc<D>,
    log: Log<D, Vec<(PartitionId, Context)>>,
    partitions: Vec<Partition>,
    /// Everything that the last fsync covers, by partition.
    durable: BTreeMap<PartitionId, Context>,
    /// Whether each turn is synced at once.
    syncs: bool,
}

impl<D: Disk> Member<D> {
    /// Recovers whatever the disk holds, among so many members.
    fn open(disk: &Arc<D>, me: NodeId, members: u32) -> Result<Self, StartError> {
        let actor = ActorId::ordinary(crate::entropy::random());
        let held = partitions();
        let fresh = |id| {
            let all = if held.contains(&id) { members } else { 0 };
            let mut settings = Settings::new(id, me, (0..all).map(NodeId).collect());
            settings.index_entries_max = 20;
            settings.snapshot_chunk_bytes = 300;
            Partition::new(settings, actor)
        };
        let opened = Replicas::open(Arc::clone(disk), &config(), members == 1, fresh);
        let (replicas, log, _) = opened?;
        let mut member = Self {
            me,
            actor,
            disk: Arc::clone(disk),
            log,
            partitions: replicas.partitions,
            durable: BTreeMap::new(),
            syncs: true,
        };
        for (id, partition) in (0..).map(PartitionId).zip(&mut member.partitions) {
            partition.start(now(0), &mut Vec::new());
            let context = partition.replica().context().clone();
            member.durable.insert(id, context);
        }
        Ok(member)
    }

    fn partition(&self, id: PartitionId) -> &Partition {
        &self.partitions[usize::from(id.0)]
    }

    /// Works on a partition and carries out the effects as one turn; frames go to `sends`.
    fn turn<R>(
        &mut self,
        id: PartitionId,
        sends: &mut VecDeque<Frame>,
        work: impl FnOnce(&mut Partition, &mut Vec<Effect>) -> R,
    ) -> Result<R, LogError> {
        let mut effects = Vec::new();
        let result = work(&mut self.partitions[usize::from(id.0)], &mut effects);
        let (mut turn, mut covered) = (Vec::new(), Context::default());
        for effect in effects {
            match effect {
                Effect::Persist { record, dots } => {
                    put_behind_length(&mut turn, &record);
                    covered.join(&dots);
                }
                Effect::Send { to, frame } => sends.push_back((self.me, to, id, frame)),
                _ => {}
            }
        }
        if !turn.is_empty() {
            let mut appended = self.log.append(&[&turn], vec![(id, covered.clone())]);
            if matches!(appended, Err(LogError::Behind { .. })) {
                self.sync()?;
                appended = self.log.append(&[&turn], vec![(id, covered)]);
            }
            appended?;
            if self.syncs {
                self.sync()?;
            }
        }
        Ok(result)
    }

    fn sync(&mut self) -> Result<(), LogError> {
        let covered = self.log.sync_now()?;
        for (id, dots) in covered.notes.into_iter().flatten() {
            self.durable.entry(id).or_default().join(&dots);
            let partition = &mut self.partitions[usize::from(id.0)];
            // What it sends then, it sends at the next tick as well.
            partition.handle(now(0), Input::Durable(dots), &mut Vec::new());
        }
        Ok(())
    }

    /// A round of checkpoints, as a node makes it.
    fn checkpoint_all(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let covers = self.log.last();
        for id in partitions() {
            let partition = &mut self.partitions[usize::from(id.0)];
            checkpoint::write(
                &*self.disk,
                id.0,
                Covered::whole(covers),
                &partition.checkpoint(),
            )?;
        }
        self.log.remove_segments_before(covers.next())?;
        Ok(())
    }

    fn run(
        &mut self,
        at: Now,
        words: &[String],
        sends: &mut VecDeque<Frame>,
    ) -> Result<Vec<Reply>, LogError> {
        let args: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        let spec = lookup(args[0]).unwrap();
        // DEL takes keys of several partitions, one after the other.
        let keys: Vec<&[u8]> = if words[0] == "DEL" {
            args[1..].to_vec()
        } else {
            vec![args[1]]
        };
        let mut replies = Vec::new();
        for key in keys {
            let args: Vec<&[u8]> = match words[0].as_str() {
                "DEL" => vec![args[0], key],
                _ => args.clone(),
            };
            let id = partition_of(std::str::from_utf8(key).unwrap());
            replies.push(self.turn(id, sends, |partition, effects| {
                Keyspace::new(partition, at, Random::of(7), effects).run(spec, &args)
            })?);
        }
        Ok(replies)
    }

    fn ask(&mut self, words: &[&str]) -> Reply {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut replies = self.run(now(1), &words, &mut VecDeque::new()).unwrap();
        replies.remove(0)
    }

    /// All that a client could see here, by key and element.
    fn shown(&mut self) -> BTreeMap<String, BTreeMap<String, String>> {
        let text = |reply: &Reply| match reply {
            Reply::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("{other:?}"),
        };
        let mut all = BTreeMap::new();
        for key in keys() {
            let mut found = BTreeMap::new();
            let reply = match key.split(':').next().unwrap() {
                "set" => self.ask(&["SMEMBERS", &key]),
                "hash" => self.ask(&["HGETALL", &key]),
                _ => self.ask(&["GET", &key]),
            };
            match &reply {
                Reply::Null => {}
                Reply::Bulk(_) => {
                    found.insert(String::new(), text(&reply));
                }
                Reply::Set(items) => {
                    found.extend(items.iter().map(|item| (text(item), String::new())));
                }
                Reply::Array(items) if key.starts_with("set") => {
                    found.extend(items.iter().map(|item| (text(item), String::new())));
                }
                Reply::Array(items) => {
                    found.extend(items.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))))
                }
                Reply::Map(pairs) => {
                    found.extend(
                        pairs
                            .iter()
                            .map(|(field, value)| (text(field), text(value))),
                    );
                }
                other => panic!("{key} is {other:?}"),
            }
            all.insert(key, found);
        }
        all
    }
}

/// The clocks after so many microseconds.
fn now(micros: u64) -> Now {
    Now {
        instant: Instant(1_000_000 + micros),
        wall: WallMs(1_700_000_000_000 + micros / 1_000),
    }
}

/// Several members and the frames between them.
struct Cluster<D: Disk> {
    members: Vec<Member<D>>,
    /// Members that nobody reaches.
    cut: BTreeSet<NodeId>,
    micros: u64,
    frames: VecDeque<Frame>,
}

impl<D: Disk> Cluster<D> {
    fn open(disks: &[Arc<D>]) -> Self {
        let count = u32::try_from(disks.len()).unwrap();
        let members = (0..).map(NodeId).zip(disks);
        let mut cluster = Self {
            members: members
                .map(|(me, disk)| Member::open(disk, me, count).unwrap())
                .collect(),
            cut: BTreeSet::new(),
            micros: 0,
            frames: VecDeque::new(),
        };
        cluster.link_all();
        cluster
    }

    fn handle(&mut self, at: usize, id: PartitionId, input: Input) {
        let clocks = now(self.micros);
        let turn = self.members[at].turn(id, &mut self.frames, |partition, effects| {
            partition.handle(clocks, input, effects);
        });
        turn.unwrap();
    }

    /// Every pair that can reach each other has a new link.
    fn link_all(&mut self) {
        self.frames.clear();
        for at in 0..self.members.len() {
            for peer in 0..self.members.len() {
                self.link(at, peer);
            }
        }
    }

    fn link(&mut self, at: usize, other: usize) {
        let (me, peer) = (self.members[at].me, self.members[other].me);
        if at == other {
            return;
        }
        let incarnation = self.members[other].actor;
        for id in partitions() {
            self.handle(at, id, Input::PeerDown { peer });
            if !self.cut.contains(&me) && !self.cut.contains(&peer) {
                self.handle(at, id, Input::PeerUp { peer, incarnation });
            }
        }
    }

    /// A member starts again from its disk.
    fn replace(&mut self, at: usize, member: Member<D>) {
        self.members[at] = member;
        self.frames.clear();
        for other in 0..self.members.len() {
            self.link(at, other);
            self.link(other, at);
        }
    }

    fn deliver(&mut self) {
        while let Some((from, to, id, frame)) = self.frames.pop_front() {
            if self.cut.contains(&from) || self.cut.contains(&to) {
                continue;
            }
            let at = self.members.iter().position(|member| member.me == to);
            self.handle(at.unwrap(), id, Input::Frame { from, frame });
        }
    }

    /// Lets time pass until the members hold the same, bit for bit.
    fn converge(&mut self, what: &str) {
        let until = self.micros + 120_000_000;
        loop {
            self.deliver();
            if self.is_converged() {
                return;
            }
            self.micros += 50_000;
            assert!(self.micros < until, "{what}: not converged");
            for at in 0..self.members.len() {
                for id in partitions() {
                    let due = self.members[at].partition(id).deadline();
                    if due.is_some_and(|due| due <= now(self.micros).instant) {
                        self.handle(at, id, Input::Tick);
                    }
                }
            }
        }
    }

    fn is_converged(&self) -> bool {
        let state = |member: &Member<D>, id| {
            let replica = member.partition(id).replica();
            (replica.context().clone(), replica.digest())
        };
        let (first, others) = self.members.split_first().unwrap();
        partitions().into_iter().all(|id| {
            let mine = state(first, id);
            others.iter().all(|other| state(other, id) == mine)
        })
    }

    /// Runs a trace of commands: at random members, each of which is cut off for a part of it, with rounds of
    /// checkpoints in between. So logs hold events, repairs and snapshots.
    fn run_trace(&mut self, operations: u64) {
        let mut draw = Draw(operations);
        let count = self.members.len() as u64;
        for serial in 0..operations {
            let at = usize::try_from(draw.below(count)).unwrap();
            let words = draw.command(serial);
            self.micros += 1_000;
            let clocks = now(self.micros);
            let run = self.members[at].run(clocks, &words, &mut self.frames);
            run.unwrap();
            self.deliver();
            let phase = serial % (operations / 4);
            if phase == 0 {
                self.cut = BTreeSet::from([NodeId(u32::try_from(serial % count).unwrap())]);
                self.link_all();
            } else if phase == operations / 8 {
                self.cut.clear();
                self.link_all();
                self.converge("after a cut");
            }
            if serial == operations / 3 || serial == operations * 2 / 3 {
                for member in &mut self.members {
                    member.checkpoint_all().unwrap();
                }
            }
        }
        self.cut.clear();
        self.link_all();
        self.converge("at the end of the trace");
    }
}
