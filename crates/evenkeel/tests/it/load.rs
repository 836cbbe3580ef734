//! Load on all nodes at once, with a ledger of what was acknowledged, and the check that all of it is there.
//!
//! One worker per node. Keys named after a worker are written by it alone, so their last value is known; counters, the
//! set and the hash are shared. A request without an answer is indeterminate: it may have been done or not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::client::{Client, show};
use crate::cluster::Cluster;
use crate::node::Node;
use crate::support::eventually;

const REGISTERS: u64 = 20;
const COUNTERS: u64 = 5;
const MEMBERS: u64 = 500;
const FIELDS: u64 = 50;
const DELETED: u64 = 300;

/// What one worker knows.
#[derive(Debug, Default)]
struct Ledger {
    /// Values that each register may hold: the last acknowledged one, and what was sent without an answer since.
    registers: BTreeMap<String, Vec<String>>,
    fields: BTreeMap<String, Vec<String>>,
    /// Per counter: acknowledged, and indeterminate.
    counters: BTreeMap<String, (u64, u64)>,
    members: BTreeSet<String>,
    /// Keys whose DEL was acknowledged and that nobody writes again.
    deleted: BTreeSet<String>,
    /// Keys that have expired when the test looks.
    brief: BTreeSet<String>,
    /// Answers that no request should get.
    refused: Vec<String>,
    /// Requests without an answer.
    unanswered: u64,
    /// Requests answered by saying that nobody knows whether they were done.
    in_doubt: u64,
}

struct Shared {
    stop: AtomicBool,
    /// Requests answered.
    done: AtomicU64,
    ledger: Mutex<Ledger>,
    address: String,
    name: String,
}

pub(crate) struct Load {
    workers: Vec<(Arc<Shared>, JoinHandle<()>)>,
}

impl Load {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let mut load = Self {
            workers: Vec::new(),
        };
        for node in &cluster.nodes {
            load.add(node);
        }
        load
    }

    /// One more worker, at this node.
    pub(crate) fn add(&mut self, node: &Node) {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            done: AtomicU64::new(0),
            ledger: Mutex::default(),
            address: node.plan.client_address(),
            name: node.plan.name.clone(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || work(&of_thread));
        self.workers.push((shared, thread));
    }

    /// Requests that a worker had answered so far.
    pub(crate) fn done(&self, worker: usize) -> u64 {
        self.workers[worker].0.done.load(Ordering::Relaxed)
    }

    /// Waits until each of these workers had so many more requests answered.
    pub(crate) fn advance(&self, workers: &[usize], requests: u64) {
        let before: Vec<u64> = workers.iter().map(|worker| self.done(*worker)).collect();
        for (worker, before) in workers.iter().zip(before) {
            eventually(Duration::from_secs(60), "the load goes on", || {
                (self.done(*worker) >= before + requests).then_some(())
            });
        }
    }

    /// Ends the load. Gives what must be true from now on.
    pub(crate) fn stop(self) -> Expected {
        for (shared, _) in &self.workers {
            shared.stop.store(true, Ordering::Relaxed);
        }
        let mut ledgers = Vec::new();
        for (shared, thread) in self.workers {
            thread.join().unwrap();
            let ledger = std::mem::take(&mut *shared.ledger.lock().unwrap());
            ledgers.push((shared.name.clone(), ledger));
        }
        Expected { ledgers }
    }
}

fn work(shared: &Shared) {
    let mut client = None;
    let mut n = 0u64;
    while !shared.stop.load(Ordering::Relaxed) {
        let Some(connected) = &mut client else {
            client = Client::try_new(&shared.address).ok();
            if client.is_none() {
                std::thread::park_timeout(Duration::from_millis(20));
            }
            continue;
        };
        n += 1;
        if step(shared, connected, n).is_err() {
            client = None;
        } else {
            shared.done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One command and its line in the ledger; an error when the connection broke.
fn step(shared: &Shared, client: &mut Client, n: u64) -> Result<(), ()> {
    let who = &shared.name;
    let round = n / 8;
    match n % 8 {
        0 => {
            let (key, value) = (
                format!("reg:{who}:{}", round % REGISTERS),
                format!("{who}-{n}"),
            );
            let ok = ask(shared, client, &format!("SET {key} {value}"))?;
            last(shared, ok, value, |ledger| {
                ledger.registers.entry(key).or_default()
            })
        }
        1 => read_own(shared, client, &format!("reg:{who}:{}", round % REGISTERS)),
        2 | 3 => {
            let key = format!("count:{}", round % COUNTERS);
            let answered = ask(shared, client, &format!("INCR {key}"))?;
            let mut ledger = shared.ledger.lock().unwrap();
            let sums = ledger.counters.entry(key).or_default();
            match answered {
                Some(_) => sums.0 += 1,
                None => sums.1 += 1,
            }
            drop(ledger);
            answered.map(|_| ()).ok_or(())
        }
        4 => {
            let member = format!("{who}-{}", round % MEMBERS);
            let ok = ask(shared, client, &format!("SADD members {member}"))?;
            ok.ok_or(())?;
            shared.ledger.lock().unwrap().members.insert(member);
            Ok(())
        }
        5 => {
            let (field, value) = (format!("{who}-{}", round % FIELDS), n.to_string());
            let ok = ask(shared, client, &format!("HSET fields {field} {value}"))?;
            last(shared, ok, value, |ledger| {
                ledger.fields.entry(field).or_default()
            })
        }
        6 if round < DELETED => {
            let key = format!("gone:{who}:{round}");
            ask(shared, client, &format!("SET {key} {n}"))?.ok_or(())?;
            ask(shared, client, &format!("DEL {key}"))?.ok_or(())?;
            shared.ledger.lock().unwrap().deleted.insert(key);
            Ok(())
        }
        7 if round.is_multiple_of(20) => {
            let key = format!("brief:{who}:{round}");
            shared.ledger.lock().unwrap().brief.insert(key.clone());
            ask(shared, client, &format!("SET {key} {n}"))?.ok_or(())?;
            ask(shared, client, &format!("PEXPIRE {key} 100"))?
                .map(|_| ())
                .ok_or(())
        }
        _ => ask(shared, client, "PING")?.map(|_| ()).ok_or(()),
    }
}

/// Reads a register that nobody else writes: it holds what this worker wrote.
fn read_own(shared: &Shared, client: &mut Client, key: &str) -> Result<(), ()> {
    let got = ask(shared, client, &format!("GET {key}"))?.ok_or(())?;
    let mut ledger = shared.ledger.lock().unwrap();
    let expected = ledger.registers.get(key).cloned().unwrap_or_default();
    if !expected.is_empty() && !expected.contains(&got) {
        let wrong = format!("{key} is {got}, not one of {expected:?}");
        ledger.refused.push(wrong);
    }
    Ok(())
}

/// The reply; nothing when the connection broke, so that the outcome is unknown. An error reply is noted as refused.
#[expect(
    clippy::unnecessary_wraps,
    reason = "a refused request ends the step as a broken connection does"
)]
fn ask(shared: &Shared, client: &mut Client, command: &str) -> Result<Option<String>, ()> {
    let words: Vec<&str> = command.split(' ').collect();
    match client.try_run(&words) {
        Ok(reply) => {
            let reply = show(&reply);
            if reply.starts_with("-INDOUBT") {
                // The node that was to do it is gone: done or not, as when a connection breaks.
                shared.ledger.lock().unwrap().in_doubt += 1;
                return Ok(None);
            }
            if reply.starts_with('-') {
                let mut ledger = shared.ledger.lock().unwrap();
                ledger.refused.push(format!("{command}: {reply}"));
            }
            Ok(Some(reply))
        }
        Err(_) => {
            shared.ledger.lock().unwrap().unanswered += 1;
            Ok(None)
        }
    }
}

/// Notes a written value: alone when it was acknowledged, beside the others when nobody knows.
fn last(
    shared: &Shared,
    answered: Option<String>,
    value: String,
    entry: impl FnOnce(&mut Ledger) -> &mut Vec<String>,
) -> Result<(), ()> {
    let mut ledger = shared.ledger.lock().unwrap();
    let values = entry(&mut ledger);
    if answered.is_some() {
        values.clear();
    }
    values.push(value);
    answered.map(|_| ()).ok_or(())
}

/// What must be true at every node once all have converged.
pub(crate) struct Expected {
    ledgers: Vec<(String, Ledger)>,
}

impl Expected {
    /// No request was refused; only workers of these nodes lost answers, as their connections broke.
    pub(crate) fn none_refused(&self, broken: &[&str]) {
        for (name, ledger) in &self.ledgers {
            assert_eq!(ledger.refused, Vec::<String>::new(), "at node {name}");
            if !broken.contains(&name.as_str()) {
                assert_eq!(
                    ledger.unanswered, 0,
                    "requests without an answer at node {name}"
                );
            }
        }
    }

    /// How many requests were answered by saying that nobody knows whether they were done.
    pub(crate) fn in_doubt(&self) -> u64 {
        let ledgers = self.ledgers.iter();
        ledgers.map(|(_, ledger)| ledger.in_doubt).sum()
    }

    /// Every acknowledged change is there, nothing deleted is, at every node; and the nodes are equal.
    pub(crate) fn holds_everywhere(&self, cluster: &Cluster) {
        for node in &cluster.nodes {
            self.holds_at(&mut node.client(), &node.plan.name);
        }
        let all: Vec<_> = cluster.clients().iter_mut().map(dump).collect();
        for other in &all[1..] {
            assert_eq!(&all[0], other, "the nodes are not equal");
        }
    }

    fn holds_at(&self, client: &mut Client, node: &str) {
        let hash = pairs(client, "fields");
        let members: BTreeSet<String> = client.list("SMEMBERS members").into_iter().collect();
        let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (_, ledger) in &self.ledgers {
            for (key, values) in &ledger.registers {
                let got = client.run(&format!("GET {key}"));
                assert!(
                    values.contains(&got),
                    "{key} at {node} is {got}, not one of {values:?}"
                );
            }
            for (field, values) in &ledger.fields {
                let got = hash.get(field).cloned().unwrap_or_default();
                assert!(
                    values.contains(&got),
                    "field {field} at {node} is {got}, not one of {values:?}"
                );
            }
            for member in &ledger.members {
                assert!(
                    members.contains(member),
                    "member {member} is lost at {node}"
                );
            }
            for key in &ledger.deleted {
                assert_eq!(
                    client.run(&format!("EXISTS {key}")),
                    "0",
                    "{key} is back at {node}"
                );
            }
            for key in &ledger.brief {
                eventually(Duration::from_secs(5), "what expired is gone", || {
                    let left = client.run(&format!("PTTL {key}"));
                    // Its deadline may be lost with the answer to PEXPIRE; it must not be in the past.
                    (client.run(&format!("EXISTS {key}")) == "0" || left == "-1").then_some(())
                });
            }
            for (key, (acked, maybe)) in &ledger.counters {
                let sum = sums.entry(key).or_default();
                *sum = (sum.0 + acked, sum.1 + maybe);
            }
        }
        for (key, (acked, maybe)) in sums {
            let got: u64 = client.run(&format!("GET {key}")).parse().unwrap();
            assert!(
                (acked..=acked + maybe).contains(&got),
                "{key} at {node} is {got}, not {acked} and at most {maybe} more"
            );
        }
    }

    /// How much was acknowledged, for who reads the test's output.
    pub(crate) fn summary(&self) -> String {
        let counted: u64 = self
            .ledgers
            .iter()
            .flat_map(|(_, ledger)| ledger.counters.values())
            .map(|sums| sums.0)
            .sum();
        let deleted: usize = self
            .ledgers
            .iter()
            .map(|(_, ledger)| ledger.deleted.len())
            .sum();
        let unanswered: u64 = self
            .ledgers
            .iter()
            .map(|(_, ledger)| ledger.unanswered)
            .sum();
        format!(
            "{counted} INCR acknowledged, {deleted} keys deleted, {unanswered} requests without an answer"
        )
    }
}

fn pairs(client: &mut Client, key: &str) -> BTreeMap<String, String> {
    let evenkeel_resp::Reply::Array(items) = client.raw(&["HGETALL", key]) else {
        panic!("HGETALL {key} answered no array");
    };
    items
        .chunks(2)
        .map(|pair| (show(&pair[0]), show(&pair[1])))
        .collect()
}

/// Everything that a client can see at one node.
pub(crate) fn dump(client: &mut Client) -> BTreeMap<String, String> {
    let keys = client.list("KEYS *");
    let mut seen = BTreeMap::new();
    for key in keys {
        let value = match client.run(&format!("TYPE {key}")).as_str() {
            "string" => client.run(&format!("GET {key}")),
            "set" => client.list(&format!("SMEMBERS {key}")).join(" "),
            "hash" => format!("{:?}", pairs(client, &key)),
            other => other.to_owned(),
        };
        seen.insert(key, value);
    }
    seen
}
