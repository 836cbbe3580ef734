//! Sessions that go to another node with every operation, while links are cut and nodes killed: their histories are
//! recorded and handed to the checker, which shares no code with the store.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_check::history::{Kind, Operation, Outcome};
use evenkeel_check::sessions::{Report, check};
use evenkeel_resp::Reply;

use crate::client::{Client, show};
use crate::cluster::Cluster;
use crate::support::{long, say};

const SESSIONS: u64 = 6;
const KEYS: u64 = 4;
const NODES: usize = 3;
/// How long a session waits at one node before it asks the next one.
const AFTER_MS: &str = "150";
const FAULT: Duration = Duration::from_millis(400);

/// Whether sessions carry their token along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tokens {
    Carried,
    Left,
}

/// One session: its token, and what it did.
struct Session {
    id: u64,
    nodes: Vec<(String, String)>,
    token: Option<String>,
    history: Vec<Operation>,
    random: u64,
}

impl Session {
    fn draw(&mut self, below: u64) -> u64 {
        // Knuth's MMIX generator; the upper bits are the random ones.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    fn step(&mut self, tokens: Tokens) {
        let first = usize::try_from(self.draw(NODES as u64)).unwrap();
        let key = format!("key:{}", self.draw(KEYS));
        let writes = self.draw(2) == 0;
        let value = format!("{}.{}", self.id, self.history.len());
        let command = if writes {
            vec!["SET", &key, &value]
        } else {
            vec!["GET", &key]
        };
        let mut operation = Operation {
            session: self.id,
            op: if writes { Kind::Write } else { Kind::Read },
            key: key.clone(),
            value: writes.then(|| value.clone()),
            outcome: Outcome::Failed,
            node: String::new(),
        };
        for offset in 0..NODES {
            let (name, address) = self.nodes[(first + offset) % NODES].clone();
            let Some(mut client) = self.connected(&address, tokens) else {
                continue;
            };
            operation.node = name;
            match client.try_run(&command) {
                Ok(Reply::Error(error)) if writes && error.as_bytes().starts_with(b"INDOUBT") => {
                    operation.outcome = Outcome::Unknown;
                }
                Ok(Reply::Error(_)) => {}
                Err(_) if writes => operation.outcome = Outcome::Unknown,
                Err(_) => {}
                Ok(reply) => {
                    operation.outcome = Outcome::Ok;
                    if !writes {
                        let found = !matches!(reply, Reply::Null | Reply::NullArray);
                        operation.value = found.then(|| show(&reply));
                    }
                    if tokens == Tokens::Carried && !self.took_token(&mut client) {
                        // It was done, and the session cannot say so: it depends on it no more.
                        operation.outcome = match operation.op {
                            Kind::Write => Outcome::Unknown,
                            Kind::Read => Outcome::Failed,
                        };
                    }
                }
            }
            break;
        }
        self.history.push(operation);
    }

    /// A new connection that holds what the session has seen.
    fn connected(&self, address: &str, tokens: Tokens) -> Option<Client> {
        let mut client = Client::try_new(address).ok()?;
        if let (Tokens::Carried, Some(token)) = (tokens, &self.token) {
            let reply = client.try_run(&["EK.AFTER", token, AFTER_MS]).ok()?;
            if reply != Reply::simple("OK") {
                return None;
            }
        }
        Some(client)
    }

    fn took_token(&mut self, client: &mut Client) -> bool {
        match client.try_run(&["EK.TOKEN"]) {
            Ok(Reply::Bulk(token)) => {
                self.token = Some(String::from_utf8(token.to_vec()).unwrap());
                true
            }
            Ok(_) | Err(_) => false,
        }
    }
}

/// Runs sessions for a while, breaks what can break, and checks what they saw.
fn hop(tokens: Tokens, lasts: Duration) -> Report {
    let mut cluster = Cluster::start(NODES, &["--sync", "always"]);
    let stop = Arc::new(AtomicBool::new(false));
    let sessions: Vec<_> = (1..=SESSIONS)
        .map(|id| {
            let stop = Arc::clone(&stop);
            let nodes = cluster.nodes.iter();
            let nodes = nodes.map(|node| (node.plan.name.clone(), node.plan.client_address()));
            let mut session = Session {
                id,
                nodes: nodes.collect(),
                token: None,
                history: Vec::new(),
                random: id,
            };
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    session.step(tokens);
                }
                session.history
            })
        })
        .collect();
    let until = Instant::now() + lasts;
    let mut round = 0;
    while Instant::now() < until {
        let node = round % NODES;
        if round % 2 == 0 {
            assert_eq!(cluster.run(node, "EK.FAULT CUT *"), "OK");
            thread::park_timeout(FAULT);
            assert_eq!(cluster.run(node, "EK.FAULT HEAL *"), "OK");
        } else {
            cluster.nodes[node].kill();
            thread::park_timeout(FAULT);
            cluster.restart(node);
        }
        thread::park_timeout(FAULT);
        round += 1;
    }
    stop.store(true, Ordering::Relaxed);
    let histories = sessions.into_iter().map(|session| session.join().unwrap());
    let history: Vec<Operation> = histories.flatten().collect();
    if let Ok(file) = std::env::var("EVENKEEL_HISTORY") {
        let mut out = std::fs::File::create(format!("{file}.{tokens:?}")).unwrap();
        for operation in &history {
            writeln!(out, "{}", serde_json::to_string(operation).unwrap()).unwrap();
        }
    }
    let report = check(&history).unwrap();
    say(&format!(
        "tokens {tokens:?}, {round} faults: {} reads, {} of others' writes, {} writes, {} unknown, {} failed: {} anomalies",
        report.reads,
        report.reads_of_others,
        report.writes,
        report.unknown,
        report.failed,
        report.anomalies.len()
    ));
    assert!(report.reads_of_others > 100, "the sessions hardly met");
    report
}

#[test]
fn sessions_with_tokens_never_go_back_whatever_node_they_go_to_and_those_without_do() {
    let lasts = Duration::from_secs(if long() { 300 } else { 5 });
    let report = hop(Tokens::Carried, lasts);
    assert_eq!(report.anomalies, []);
    let report = hop(Tokens::Left, Duration::from_secs(3));
    assert!(
        !report.anomalies.is_empty(),
        "nothing was there to guard against"
    );
}
