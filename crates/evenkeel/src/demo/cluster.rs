//! The three nodes of the demo: their processes, a connection to each, and the slow network between them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use evenkeel::free_ports;
use evenkeel_resp::Reply;
use parking_lot::Mutex;

use crate::cli::local::{Place, Process, TemporaryDir, on_interrupt};
use crate::cli::talk::{Dig as _, Talk};

/// The nodes' names.
pub(super) const NAMES: [&str; 3] = ["A", "B", "C"];
/// What every message between two nodes waits, at least.
pub(super) const DELAY_MS_MIN: u64 = 100;
/// And at most.
pub(super) const DELAY_MS_MAX: u64 = 1_000;
/// How long the nodes may take to converge once nothing hinders them.
const CONVERGE_MS_MAX: u64 = 15_000;
/// Starts that are tried: a port that was free may be taken by the time it is used.
const STARTS_MAX: usize = 3;
/// How long a condition is waited for.
const CONDITION_MAX: Duration = Duration::from_secs(15);
/// How often a condition is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What must not be left behind. The processes end before their directory goes.
#[derive(Debug)]
struct Held {
    processes: [Option<Process>; 3],
    _dir: TemporaryDir,
}

/// Three nodes.
#[derive(Debug)]
pub(super) struct Cluster {
    held: Arc<Mutex<Option<Held>>>,
    places: Vec<Place>,
    talks: [Option<Talk>; 3],
}

impl Cluster {
    /// Starts the nodes and slows their network down.
    pub(super) fn start() -> Result<Self> {
        let mut tried = 1;
        loop {
            match Self::start_once() {
                Err(_) if tried < STARTS_MAX => tried += 1,
                outcome => return outcome,
            }
        }
    }

    fn start_once() -> Result<Self> {
        let dir = TemporaryDir::new("demo")?;
        let ports = free_ports(NAMES.len() * 3)?;
        let at = |port: u16| format!("127.0.0.1:{port}");
        let places = NAMES.iter().zip(ports.chunks_exact(3));
        let places: Vec<Place> = places
            .map(|(name, ports)| Place {
                name: (*name).to_owned(),
                client: at(ports[0]),
                peer: at(ports[1]),
                http: at(ports[2]),
                dir: dir.path().join(name),
            })
            .collect();
        let mut cluster = Self {
            held: Arc::new(Mutex::new(Some(Held {
                processes: [None, None, None],
                _dir: dir,
            }))),
            places,
            talks: [None, None, None],
        };
        for node in 0..NAMES.len() {
            cluster.start_node(node)?;
        }
        cluster.delay_all()?;
        cluster.until("all nodes are linked", |cluster| {
            Ok(cluster.lags()?.iter().flatten().all(|lag| lag.linked))
        })?;
        Ok(cluster)
    }

    /// Stops everything and calls `then` on Ctrl-C.
    pub(super) fn end_when_interrupted(&self, then: impl FnOnce() + Send + 'static) -> Result<()> {
        // Weak: a panic must drop the nodes although this waits.
        let held = Arc::downgrade(&self.held);
        on_interrupt(move || {
            drop(held.upgrade().and_then(|held| held.lock().take()));
            then();
        })
    }

    /// Starts a node, for the first time or again, with its data.
    pub(super) fn start_node(&mut self, node: usize) -> Result<()> {
        let process = Process::start(&self.places[node], &self.places)?;
        let mut held = self.held.lock();
        let held = held.as_mut().context("interrupted")?;
        held.processes[node] = Some(process);
        self.talks[node] = Some(Talk::open(&self.places[node].client)?);
        Ok(())
    }

    /// Kills a node on the spot.
    pub(super) fn kill(&mut self, node: usize) -> Result<()> {
        self.talks[node] = None;
        let process = self
            .held
            .lock()
            .as_mut()
            .and_then(|held| held.processes[node].take());
        Ok(process.context("the node does not run")?.kill()?)
    }

    /// Name, address and process id of each node.
    pub(super) fn describe(&self) -> Vec<(String, String, u32)> {
        let held = self.held.lock();
        let id = |node: usize| {
            let process = held.as_ref().and_then(|held| held.processes[node].as_ref());
            process.map_or(0, Process::id)
        };
        let places = self.places.iter().enumerate();
        places
            .map(|(node, place)| (place.name.clone(), place.client.clone(), id(node)))
            .collect()
    }

    /// Where clients reach a node.
    pub(super) fn address(&self, node: usize) -> &str {
        &self.places[node].client
    }

    /// Runs a command on a node.
    pub(super) fn run(&mut self, node: usize, command: &str) -> Result<Reply> {
        let words: Vec<&str> = command.split(' ').collect();
        let talk = self.talks[node].as_mut().context("the node does not run")?;
        talk.run(&words)
            .with_context(|| format!("{command} on {}", NAMES[node]))
    }

    /// Runs a write and tells how long its answer took.
    pub(super) fn timed(&mut self, node: usize, command: &str) -> Result<Duration> {
        let asked = Instant::now();
        self.run(node, command)?;
        Ok(asked.elapsed())
    }

    /// What each node answers to a reading command, asked one after the other.
    pub(super) fn on_each(&mut self, command: &str) -> Result<[Reply; 3]> {
        Ok([
            self.run(0, command)?,
            self.run(1, command)?,
            self.run(2, command)?,
        ])
    }

    /// Holds up all that a node sends.
    pub(super) fn delay(&mut self, node: usize, min_ms: u64, max_ms: u64) -> Result<()> {
        self.run(node, &format!("EK.FAULT DELAY * {min_ms} {max_ms}"))
            .map(drop)
    }

    /// Holds up all that anybody sends.
    pub(super) fn delay_all(&mut self) -> Result<()> {
        (0..NAMES.len()).try_for_each(|node| self.delay(node, DELAY_MS_MIN, DELAY_MS_MAX))
    }

    /// Lets the nodes talk at full speed while they are asked about each other. What is under way stays slow.
    pub(super) fn at_full_speed<R>(
        &mut self,
        ask: impl FnOnce(&mut Self) -> Result<R>,
    ) -> Result<R> {
        (0..NAMES.len()).try_for_each(|node| self.delay(node, 0, 0))?;
        let answer = ask(self)?;
        self.delay_all()?;
        Ok(answer)
    }

    /// What a node says about all nodes, asked again while `lacks` says that one did not answer it in time.
    pub(super) fn ask_about_all(
        &mut self,
        node: usize,
        command: &str,
        lacks: fn(&Reply) -> bool,
    ) -> Result<Reply> {
        let mut last = Reply::Null;
        self.until("all nodes answer each other", |cluster| {
            last = cluster.run(node, command)?;
            Ok(!lacks(&last))
        })?;
        Ok(last)
    }

    /// Cuts a node off from the others, on both sides.
    pub(super) fn cut_off(&mut self, node: usize) -> Result<()> {
        for other in (0..NAMES.len()).filter(|other| *other != node) {
            self.run(other, &format!("EK.FAULT CUT {}", NAMES[node]))?;
        }
        self.run(node, "EK.FAULT CUT *").map(drop)
    }

    /// Mends all links; they are slow again.
    pub(super) fn heal(&mut self) -> Result<()> {
        for node in 0..NAMES.len() {
            self.run(node, "EK.FAULT HEAL *")?;
        }
        self.delay_all()
    }

    /// How far all nodes are apart.
    pub(super) fn divergence(&mut self, node: usize) -> Result<Reply> {
        self.ask_about_all(node, "EK.DIVERGENCE", |reply| {
            reply.field("unreachable").is_true()
        })
    }

    /// Waits until all nodes hold what any of them holds now.
    pub(super) fn await_converged(&mut self, node: usize) -> Result<()> {
        self.run(node, &format!("EK.AWAIT CONVERGED {CONVERGE_MS_MAX}"))
            .map(drop)
    }

    /// How far the others are behind each node, as it knows from what they said last.
    pub(super) fn lags(&mut self) -> Result<[Vec<Lag>; 3]> {
        Ok(self
            .on_each("INFO evenkeel")?
            .map(|info| lags(&info.text_lines())))
    }

    /// Waits until each node knows that the others have all it has, on their disks.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.until(
            "every node knows that the others have everything",
            |cluster| {
                Ok(cluster
                    .lags()?
                    .iter()
                    .flatten()
                    .all(|lag| lag.lacks == 0 && lag.has_more == 0))
            },
        )
    }

    /// Waits for a condition, within bounds.
    pub(super) fn until(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        let end = Instant::now() + CONDITION_MAX;
        while !holds(self)? {
            if Instant::now() > end {
                bail!("within {} s: {what}", CONDITION_MAX.as_secs());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// A counter of a node's `/metrics`.
    pub(super) fn metric(&self, node: usize, name: &str) -> Result<u64> {
        let mut stream = TcpStream::connect(&self.places[node].http)?;
        stream.set_read_timeout(Some(CONDITION_MAX))?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.with_context(|| format!("/metrics has no {name}"))?;
        Ok(value.parse()?)
    }
}

/// What a node knows of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lag {
    pub(super) peer: String,
    pub(super) linked: bool,
    /// Events that the peer lacks.
    pub(super) lacks: u64,
    /// Events that the peer has and this node lacks.
    pub(super) has_more: u64,
}

/// Reads the lines `peer_B:link=up,lacks_events=0,has_more_events=0`.
fn lags(lines: &[String]) -> Vec<Lag> {
    let read = |line: &String| {
        let (peer, facts) = line.strip_prefix("peer_")?.split_once(':')?;
        let fact = |name: &str| {
            facts
                .split(',')
                .find_map(|fact| fact.strip_prefix(name)?.strip_prefix('='))
        };
        Some(Lag {
            peer: peer.to_owned(),
            linked: fact("link")? == "up",
            lacks: fact("lacks_events")?.parse().ok()?,
            has_more: fact("has_more_events")?.parse().ok()?,
        })
    };
    lines.iter().filter_map(read).collect()
}

/// A reply's lines.
trait Lines {
    fn text_lines(&self) -> Vec<String>;
}

impl Lines for Reply {
    fn text_lines(&self) -> Vec<String> {
        let bytes = match self {
            Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => &bytes[..],
            _ => &[],
        };
        let text = String::from_utf8_lossy(bytes);
        text.lines().map(str::to_owned).collect()
    }
}

/// A set's members in order, or a value, as people read it.
pub(super) fn shown(reply: &Reply) -> String {
    match reply {
        Reply::Null => "-".to_owned(),
        Reply::Array(items) | Reply::Set(items) => {
            let mut names: Vec<String> = items.iter().filter_map(|item| item.text()).collect();
            names.sort();
            names.join(" ")
        }
        other => other.text().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_knows_of_its_peers_is_read_from_info() {
        let line = "peer_B:link=up,lacks_events=3,has_more_events=0".to_owned();
        let expected = Lag {
            peer: "B".to_owned(),
            linked: true,
            lacks: 3,
            has_more: 0,
        };
        assert_eq!(lags(&["node:A".to_owned(), line]), [expected]);
    }

    #[test]
    fn a_set_is_shown_in_order_and_an_absent_key_as_a_dash() {
        let set = Reply::Set(vec![Reply::bulk("milk"), Reply::bulk("eggs")]);
        assert_eq!(shown(&set), "eggs milk");
        assert_eq!(shown(&Reply::Null), "-");
    }
}
