//! A small world for the control plane: nodes that crash and lose what was not saved, links that are cut, lose and
//! reorder, disks that are lost, changes from everywhere.
//!
//! Checked at every step: at any two nodes and times, documents of equal epoch are equal; no node's epoch goes back,
//! over restarts too; an answered change is in the document of its epoch and in every later one. At the end, after
//! everything is healed: all nodes have the same document, and a change made at any of them succeeds.
//!
//! `EVENKEEL_CLUSTER_SEEDS=0..2000 cargo test --profile sim -p evenkeel-core --test it voters` runs other seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;
use evenkeel_core::cluster::{
    Change, Cluster, Document, Effect, Failed, Input, MemberRef, NodeSpec, NodeState,
};
use evenkeel_core::id::{NodeId, Ticket};
use evenkeel_core::membership::MemberState;
use evenkeel_core::time::{Duration, Instant};

/// A generator of numbers that are the same on every machine (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or_default()
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const MS: u64 = 1_000;
const S: u64 = 1_000 * MS;

/// One node of the world; its place is its number.
struct Host {
    machine: Option<Cluster>,
    disk: Option<Vec<u8>>,
    /// The document it would begin anew with.
    first: Document,
    key: u64,
    epoch: u64,
    /// Forgotten, and never started again.
    retired: bool,
}

enum Event {
    Deliver {
        from: usize,
        to: usize,
        frame: Bytes,
    },
    Wake(usize),
    Restart(usize),
    Heal,
    Act,
    /// All nodes stop at once, and one of them stays away.
    PowerCut {
        away: usize,
    },
}

struct World {
    seed: u64,
    dice: Dice,
    now: u64,
    order: u64,
    queue: BTreeMap<(u64, u64), Event>,
    hosts: Vec<Host>,
    cut: BTreeSet<(usize, usize)>,
    /// Links that both ends believe to be up.
    linked: BTreeSet<(usize, usize)>,
    loss: usize,
    jitter: u64,
    crash: usize,
    /// Every document that any node has ever shown, by epoch.
    history: BTreeMap<u64, Vec<u8>>,
    asked: BTreeMap<Ticket, Change>,
    answered: BTreeMap<Ticket, u64>,
    failed: usize,
    tickets: u64,
    admitted: usize,
    wipes: usize,
    lost_quorum: bool,
    configs: u32,
}

fn spec(name: &str, zone: usize) -> NodeSpec {
    NodeSpec {
        name: name.to_owned(),
        peer: "host:1".to_owned(),
        zone: format!("z{zone}"),
        dc: String::new(),
        weight: NodeSpec::WEIGHT,
    }
}

fn number(place: usize) -> NodeId {
    NodeId(u32::try_from(place).expect("few nodes"))
}

fn place(node: NodeId) -> usize {
    node.0 as usize
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let nodes = 1 + dice.below(5);
        let specs: Vec<_> = (0..nodes)
            .map(|at| spec(&format!("n{at}"), dice.below(3)))
            .collect();
        let first = Document::initial(&specs, seed).expect("good specs");
        let mut world = Self {
            seed,
            now: 5 * S,
            order: 0,
            queue: BTreeMap::new(),
            hosts: Vec::new(),
            cut: BTreeSet::new(),
            linked: BTreeSet::new(),
            loss: [0, 0, 2, 20][dice.below(4)],
            jitter: [MS, 20 * MS, 400 * MS][dice.below(3)],
            crash: [0, 1, 3][dice.below(3)],
            history: BTreeMap::new(),
            asked: BTreeMap::new(),
            answered: BTreeMap::new(),
            failed: 0,
            tickets: 0,
            admitted: nodes,
            wipes: 0,
            lost_quorum: false,
            configs: 0,
            dice,
        };
        for _ in 0..nodes {
            world.add_host(first.clone());
        }
        world.at(0, Event::Act);
        world
    }

    fn add_host(&mut self, first: Document) {
        let place = self.hosts.len();
        self.hosts.push(Host {
            machine: None,
            disk: None,
            first,
            key: 0,
            epoch: 0,
            retired: false,
        });
        let late = self.dice.next() % (3 * S);
        self.at(late, Event::Restart(place));
    }

    fn at(&mut self, after: u64, event: Event) {
        self.order += 1;
        self.queue.insert((self.now + after, self.order), event);
    }

    fn up(&self, place: usize) -> bool {
        self.hosts[place].machine.is_some()
    }

    fn document(&self, place: usize) -> Option<&Document> {
        let machine = self.hosts[place].machine.as_ref()?;
        Some(machine.document())
    }

    fn run(&mut self, length: u64) {
        let end = self.now + length;
        while let Some(entry) = self.queue.first_entry() {
            let at = entry.key().0;
            if at > end {
                break;
            }
            let event = entry.remove();
            self.now = at.max(self.now);
            self.step(event);
        }
        self.now = end;
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, frame } => {
                let from = number(from);
                self.input(to, Input::Frame { from, frame });
            }
            Event::Wake(place) => {
                let due = self.hosts[place].machine.as_ref().map(Cluster::deadline);
                if due.is_some_and(|due| due.0 <= self.now) {
                    self.input(place, Input::Tick);
                }
            }
            Event::Restart(place) => self.start(place),
            Event::Heal => {
                self.cut.clear();
                self.relink();
            }
            Event::PowerCut { away } => {
                for place in 0..self.hosts.len() {
                    self.stop(place);
                    let pause = if place == away { 40 * S } else { 2 * S };
                    let pause = self.dice.next() % pause;
                    self.at(pause, Event::Restart(place));
                }
            }
            Event::Act => {
                self.act();
                let pause = 20 * MS + self.dice.next() % (3 * S);
                self.at(pause, Event::Act);
            }
        }
    }

    fn start(&mut self, place: usize) {
        if self.up(place) || self.hosts[place].retired {
            return;
        }
        let key = self.dice.next();
        let host = &mut self.hosts[place];
        let machine = match &host.disk {
            Some(saved) => Cluster::restore(saved).expect("what was saved is read"),
            None => {
                host.key = key;
                host.epoch = host.first.epoch();
                Cluster::new(number(place), host.first.clone(), key)
            }
        };
        host.machine = Some(machine);
        self.observe(place);
        self.input(place, Input::Tick);
        self.relink();
    }

    fn stop(&mut self, place: usize) {
        self.hosts[place].machine = None;
        self.relink();
    }

    /// Tells the nodes what links have come and gone.
    fn relink(&mut self) {
        for a in 0..self.hosts.len() {
            for b in a + 1..self.hosts.len() {
                let open = self.up(a) && self.up(b) && !self.cut.contains(&(a, b));
                if open && self.linked.insert((a, b)) {
                    self.input(a, Input::PeerUp { peer: number(b) });
                    self.input(b, Input::PeerUp { peer: number(a) });
                } else if !open && self.linked.remove(&(a, b)) {
                    self.input(a, Input::PeerDown { peer: number(b) });
                    self.input(b, Input::PeerDown { peer: number(a) });
                }
            }
        }
    }

    fn input(&mut self, place: usize, input: Input) {
        let now = Instant(self.now);
        let Some(machine) = &mut self.hosts[place].machine else {
            return;
        };
        let mut effects = Vec::new();
        machine.handle(now, input, &mut effects);
        let wake = machine.deadline().0.saturating_sub(self.now);
        self.at(wake, Event::Wake(place));
        for effect in effects {
            // The process may end between any two effects.
            if self.crash > 0 && self.dice.below(4_000) < self.crash {
                self.stop(place);
                let pause = self.dice.next() % (20 * S);
                self.at(pause, Event::Restart(place));
                return;
            }
            self.carry_out(place, effect);
        }
        self.observe(place);
    }

    fn carry_out(&mut self, place: usize, effect: Effect) {
        match effect {
            Effect::Save(bytes) => self.hosts[place].disk = Some(bytes.to_vec()),
            Effect::Send { to, frame } => {
                let to = self::place(to);
                let lost = self.dice.percent(self.loss);
                let open = to < self.hosts.len() && self.linked.contains(&pair(place, to));
                if open && !lost {
                    let delay = MS + self.dice.next() % self.jitter;
                    let from = place;
                    self.at(delay, Event::Deliver { from, to, frame });
                }
            }
            Effect::Reply { ticket, result } => self.take_reply(place, ticket, result),
            Effect::Changed(_) => {}
            Effect::BadFrame { error, .. } => panic!("seed {}: {error}", self.seed),
        }
    }

    fn take_reply(&mut self, place: usize, ticket: Ticket, result: Result<u64, Failed>) {
        let change = self.asked.remove(&ticket).expect("answered once");
        let epoch = match result {
            Ok(epoch) => epoch,
            Err(failed) => {
                let text = failed.to_string();
                assert!(
                    text.split(' ').next().is_some_and(|w| w.len() > 3),
                    "{text}"
                );
                self.failed += 1;
                return;
            }
        };
        let document = self.document(place).expect("it has answered");
        assert!(document.epoch() >= epoch, "answered ahead of the document");
        self.answered.insert(ticket, epoch);
        self.observe(place);
        if self.crash > 0 && self.dice.percent(5) {
            // The moment at which most rests on what was saved.
            let away = self.dice.below(self.hosts.len());
            let soon = self.dice.next() % (2 * self.jitter);
            self.at(soon, Event::PowerCut { away });
        }
        // A node that takes several decisions at once shows the last one only.
        if let Some(bytes) = self.history.get(&epoch) {
            let then = Document::decode(bytes).expect("a document");
            assert!(holds(&then, &change), "seed {}: {change:?}", self.seed);
        }
        if let Change::Admit(admitted) = &change {
            // Some of the admitted nodes come to life, as soon as they are known.
            let document = self.document(place).expect("it is up").clone();
            let id = document.by_name(&admitted.name);
            if id.map(self::place) == Some(self.hosts.len()) && self.hosts.len() < 7 {
                self.add_host(document);
            }
        }
    }

    /// Checks what a node shows.
    fn observe(&mut self, place: usize) {
        let Some(document) = self.document(place) else {
            return;
        };
        let (epoch, bytes) = (document.epoch(), document.encode());
        self.configs = self.configs.max(document.config());
        let seed = self.seed;
        assert!(
            epoch >= self.hosts[place].epoch,
            "seed {seed}: node {place} went back to epoch {epoch}"
        );
        self.hosts[place].epoch = epoch;
        let known = self.history.entry(epoch).or_insert_with(|| bytes.clone());
        assert!(
            *known == bytes,
            "seed {seed}: two documents of epoch {epoch}, one at node {place}"
        );
    }

    fn act(&mut self) {
        let place = self.dice.below(self.hosts.len());
        match self.dice.below(20) {
            0 => {
                let other = self.dice.below(self.hosts.len());
                self.cut.insert(pair(place, other));
                self.relink();
            }
            1 => {
                // One node alone.
                for other in 0..self.hosts.len() {
                    self.cut.insert(pair(place, other));
                }
                self.relink();
            }
            2 | 3 => self.at(0, Event::Heal),
            4 if self.crash > 0 => {
                self.stop(place);
                let pause = if self.dice.percent(20) {
                    100 * S
                } else {
                    5 * S
                };
                let pause = self.dice.next() % pause;
                self.at(pause, Event::Restart(place));
            }
            5 => self.wipe(place),
            6 => self.retire(place),
            7 | 8 => self.report(place),
            _ => self.propose_something(place),
        }
    }

    /// Whether the voters can do without what a node remembers: all others are up and of one configuration, and most
    /// of its voters are among them with what they remember. What is lost beyond that is lost for good.
    fn may_lose(&self, place: usize) -> bool {
        let others = (0..self.hosts.len()).filter(|at| *at != place && !self.hosts[*at].retired);
        let documents: Option<Vec<&Document>> = others.map(|other| self.document(other)).collect();
        let Some(documents) = documents else {
            return false;
        };
        let Some(newest) = documents.iter().max_by_key(|document| document.epoch()) else {
            return false;
        };
        let config = newest.config();
        let voters: Vec<NodeId> = newest.voters().collect();
        let stays = |voter: &&NodeId| **voter != number(place) && self.is_whole(newest, **voter);
        let left = voters.iter().filter(stays).count();
        documents.iter().all(|document| document.config() == config) && left > voters.len() / 2
    }

    /// Whether a voter is there and remembers what it must.
    fn is_whole(&self, newest: &Document, node: NodeId) -> bool {
        let key = newest.node(node).and_then(|entry| entry.seat);
        let host = self.hosts.get(place(node));
        host.is_some_and(|host| !host.retired && Some(host.key) == key)
    }

    /// A node loses its disk. One that was started as a cluster of its own would begin another cluster.
    fn wipe(&mut self, place: usize) {
        let alone = self.hosts[place].first.nodes().len() == 1;
        if !alone && self.may_lose(place) && self.dice.percent(30) {
            self.stop(place);
            self.hosts[place].disk = None;
            self.wipes += 1;
            self.at(3 * S, Event::Restart(place));
        }
    }

    /// A node is lost for good and forgotten.
    fn retire(&mut self, place: usize) {
        let left = (0..self.hosts.len()).filter(|other| !self.hosts[*other].retired);
        if left.count() < 4 || !self.may_lose(place) || !self.dice.percent(30) {
            return;
        }
        let other = (0..self.hosts.len()).find(|other| *other != place && self.up(*other));
        let node = number(place);
        self.stop(place);
        self.hosts[place].retired = true;
        let accept_loss = true;
        if let Some(other) = other {
            self.propose(other, Change::Forget { node, accept_loss }, 100 * S);
        }
    }

    /// A node has fetched what it was to fetch, or handed over what it had.
    fn report(&mut self, place: usize) {
        let Some(document) = self.document(place) else {
            return;
        };
        let node = number(place);
        let of = |state| -> Vec<MemberRef> {
            let held = document
                .held_by(node)
                .filter(|(_, member)| member.state == state);
            held.map(|(partition, member)| MemberRef {
                partition,
                since: member.since,
            })
            .collect()
        };
        let (partitions, leaving) = (of(MemberState::Joining), of(MemberState::Leaving));
        let joined = Change::Joined { node, partitions };
        let partitions = leaving;
        let drained = Change::Drained { node, partitions };
        self.propose(place, joined, 20 * S);
        self.propose(place, drained, 20 * S);
    }

    fn propose_something(&mut self, place: usize) {
        let Some(document) = self.document(place) else {
            return;
        };
        let nodes: Vec<NodeId> = document.nodes().keys().copied().collect();
        let node = nodes[self.dice.below(nodes.len())];
        let change = match self.dice.below(8) {
            0 if self.admitted < 12 => {
                self.admitted += 1;
                let zone = self.dice.below(3);
                Change::Admit(spec(&format!("n{}", self.admitted), zone))
            }
            1 => Change::Drain { node },
            2 | 3 => Change::Cancel { node },
            _ => {
                let peer = format!("h{}:1", self.tickets);
                Change::SetPeer { node, peer }
            }
        };
        let patience = self.dice.next() % (20 * S);
        self.propose(place, change, patience);
    }

    fn propose(&mut self, place: usize, change: Change, patience: u64) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        if self.up(place) {
            self.asked.insert(ticket, change.clone());
            let deadline = Instant(self.now) + Duration(patience);
            let input = Input::Propose {
                ticket,
                change,
                deadline,
            };
            self.input(place, input);
        }
        ticket
    }

    /// Heals everything, waits, and checks that the nodes agree and can decide.
    fn finish(&mut self) {
        self.queue
            .retain(|_, event| !matches!(event, Event::Act | Event::PowerCut { .. }));
        (self.loss, self.crash, self.jitter) = (0, 0, MS);
        self.cut.clear();
        self.relink();
        for place in 0..self.hosts.len() {
            self.at(0, Event::Restart(place));
        }
        self.run(30 * S);
        let seed = self.seed;
        let here: Vec<usize> = (0..self.hosts.len()).filter(|at| self.up(*at)).collect();
        let place = here[self.dice.below(here.len())];
        let node = number(here[0]);
        let peer = "last:1".to_owned();
        let ticket = self.propose(place, Change::SetPeer { node, peer }, 10 * S);
        self.run(12 * S);
        let gone = here.iter().filter_map(|at| self.document(*at));
        let newest = gone
            .max_by_key(|document| document.epoch())
            .expect("one")
            .clone();
        let voters: Vec<NodeId> = newest.voters().collect();
        let whole = voters
            .iter()
            .filter(|voter| self.is_whole(&newest, **voter))
            .count();
        if whole <= voters.len() / 2 {
            // The disks were lost of more voters than a change that was under way could spare.
            self.lost_quorum = true;
            return;
        }
        if newest.state(node) != Some(NodeState::Gone) {
            let last = self.answered.get(&ticket);
            assert!(
                last.is_some(),
                "seed {seed}: no decision after everything was healed"
            );
        }
        for at in &here {
            let document = self.document(*at).expect("it is up");
            assert!(
                document.epoch() == newest.epoch(),
                "seed {seed}: node {at} has epoch {} and the newest is {}",
                document.epoch(),
                newest.epoch()
            );
            let machine = self.hosts[*at].machine.as_ref().expect("it is up");
            let status = machine.status(Instant(self.now));
            assert!(
                status.quorum && !status.lost_seat,
                "seed {seed}: {status:?}"
            );
        }
        assert!(self.answered.values().all(|epoch| *epoch <= newest.epoch()));
    }
}

/// Whether a change is in a document.
fn holds(document: &Document, change: &Change) -> bool {
    match change {
        Change::SetPeer { node, peer } => {
            let entry = document.node(*node);
            entry.is_some_and(|entry| entry.peer == *peer)
        }
        Change::Admit(spec) => document.by_name(&spec.name).is_some(),
        Change::Drain { node } => document.state(*node) == Some(NodeState::Draining),
        Change::Cancel { node } => document.state(*node) == Some(NodeState::Active),
        Change::Forget { node, .. } => document.state(*node) == Some(NodeState::Gone),
        _ => true,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the rule is for what a node decides; a test is told which seeds to run"
)]
fn seeds() -> Range<u64> {
    let asked = std::env::var("EVENKEEL_CLUSTER_SEEDS").ok();
    let range = asked.as_deref().and_then(|range| range.split_once(".."));
    let range = range.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.unwrap_or(0..6)
}

#[test]
fn voters_agree_through_crashes_cuts_and_lost_disks() {
    let (mut answered, mut failed, mut wipes, mut configs, mut lost) = (0, 0, 0, 0, 0);
    for seed in seeds() {
        let mut world = World::new(seed);
        world.run(150 * S);
        world.finish();
        answered += world.answered.len();
        failed += world.failed;
        wipes += world.wipes;
        lost += usize::from(world.lost_quorum);
        configs += world.configs;
    }
    // What is never reached is not tested.
    assert!(
        answered > 0 && failed > 0 && wipes > 0 && configs > 0 && lost <= wipes / 20,
        "answered {answered}, failed {failed}, disks lost {wipes}, configurations {configs}, for good {lost}"
    );
}
