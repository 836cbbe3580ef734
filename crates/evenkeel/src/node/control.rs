//! The control plane of a running node: drives the cluster's state machine, keeps its file, and hands new documents on.
//!
//! On a thread of its own: it waits for the disk with every step, and the links must not. Nothing of the data path
//! waits for it; when it stands still, topology changes do and nothing else does.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use evenkeel_core::cluster::{Change, Cluster, Effect, Input, Status};
use evenkeel_core::id::{NodeId, Ticket};
use evenkeel_core::time::Instant;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::Node;
use crate::link::frame::Kind;

/// The file in the data directory.
pub(super) const FILE: &str = "topology";
/// How often it is looked what there is to report of this node's replicas.
const REPORT: Duration = Duration::from_millis(200);
/// How long a change may take before its outcome is answered as unknown.
pub(crate) const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the control thread is told.
#[derive(Debug)]
enum Told {
    Frame(NodeId, Bytes),
    Up(NodeId),
    Down(NodeId),
    Propose(Change, oneshot::Sender<Result<u64, String>>),
}

/// The way to the control thread.
#[derive(Debug)]
pub(crate) struct Control {
    tell: mpsc::UnboundedSender<Told>,
    status: Mutex<Status>,
}

/// What the control thread begins with.
pub(crate) struct Begin {
    pub(super) cluster: Cluster,
    told: mpsc::UnboundedReceiver<Told>,
}

impl Control {
    pub(super) fn new(cluster: Cluster) -> (Self, Begin) {
        let (tell, told) = mpsc::unbounded_channel();
        let control = Self {
            tell,
            status: Mutex::new(cluster.status(Instant::default())),
        };
        (control, Begin { cluster, told })
    }

    // The thread is gone only when the node ends: nobody needs to hear it then.
    fn tell(&self, told: Told) {
        let _ = self.tell.send(told);
    }

    /// A peer's frame.
    pub(crate) fn frame(&self, from: NodeId, body: Bytes) {
        self.tell(Told::Frame(from, body));
    }

    pub(super) fn up(&self, peer: NodeId) {
        self.tell(Told::Up(peer));
    }

    pub(super) fn down(&self, peer: NodeId) {
        self.tell(Told::Down(peer));
    }

    /// Asks for a change and waits until it is agreed; gives the epoch, or why it is not.
    pub(crate) async fn propose(&self, change: Change) -> Result<u64, String> {
        let (tell, told) = oneshot::channel();
        self.tell(Told::Propose(change, tell));
        told.await
            .unwrap_or_else(|_| Err("ERR the node is stopping ; ask another one".to_owned()))
    }

    /// Who votes, who leads, whether changes can be agreed.
    pub(crate) fn status(&self) -> Status {
        self.status.lock().clone()
    }
}

/// What the file in a data directory says.
#[derive(Debug)]
pub(super) enum Saved {
    Nothing,
    /// It is not what was written.
    Damaged,
    /// The machine's state.
    State(Bytes),
}

fn read(mut bytes: Bytes) -> Option<Bytes> {
    let crc = bytes.try_get_u32_le().ok()?;
    (crc32c::crc32c(&bytes) == crc).then_some(bytes)
}

pub(super) fn saved(dir: &Path) -> io::Result<Saved> {
    match fs::read(dir.join(FILE)) {
        Ok(bytes) => Ok(read(bytes.into()).map_or(Saved::Damaged, Saved::State)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Saved::Nothing),
        Err(error) => Err(error),
    }
}

/// Replaces the file in one step: whatever happens meanwhile, one or the other is there as a whole.
fn save(dir: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = dir.join("topology.new");
    let mut file = File::create(&new)?;
    file.write_all(&crc32c::crc32c(bytes).to_le_bytes())?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

/// Drives the machine as long as the node runs.
pub(crate) async fn run(node: Arc<Node>, begin: Begin) -> io::Result<()> {
    let Begin { cluster, mut told } = begin;
    let mut driver = Driver {
        dir: node.config.dir.clone(),
        node,
        cluster,
        waiting: Vec::new(),
        effects: Vec::new(),
        broken: false,
    };
    let mut report = tokio::time::interval(REPORT);
    report.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let due = driver.cluster.deadline().0;
        let left = Duration::from_micros(due.saturating_sub(driver.node.now().instant.0));
        tokio::select! {
            next = told.recv() => match next {
                Some(told) => driver.take(told),
                None => return Ok(()),
            },
            () = tokio::time::sleep(left) => driver.handle(Input::Tick),
            _ = report.tick() => driver.report(),
        }
    }
}

struct Driver {
    node: Arc<Node>,
    dir: PathBuf,
    cluster: Cluster,
    /// Who waits for a change to be agreed.
    waiting: Vec<(Ticket, oneshot::Sender<Result<u64, String>>)>,
    effects: Vec<Effect>,
    /// The file could not be written: what depends on it must not go out, now or later.
    broken: bool,
}

impl Driver {
    fn take(&mut self, told: Told) {
        match told {
            Told::Frame(from, frame) => self.handle(Input::Frame { from, frame }),
            Told::Up(peer) => self.handle(Input::PeerUp { peer }),
            Told::Down(peer) => self.handle(Input::PeerDown { peer }),
            Told::Propose(change, tell) => {
                let ticket = self.propose(change);
                self.waiting.push((ticket, tell));
                self.settle();
            }
        }
    }

    /// Begins a proposal; its effects are still to be done.
    fn propose(&mut self, change: Change) -> Ticket {
        let ticket = Ticket(self.node.next_id());
        let now = self.node.now().instant;
        let input = Input::Propose {
            ticket,
            change,
            deadline: now + CHANGE_TIMEOUT.into(),
        };
        self.cluster.handle(now, input, &mut self.effects);
        ticket
    }

    fn handle(&mut self, input: Input) {
        self.cluster
            .handle(self.node.now().instant, input, &mut self.effects);
        self.settle();
    }

    /// Does what the machine wants done, in its order.
    fn settle(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Save(bytes) => self.save(&bytes),
                _ if self.broken => {}
                Effect::Send { to, frame } => {
                    self.node.push(to, Kind::Control, &frame);
                }
                Effect::Reply { ticket, result } => {
                    let place = self.waiting.iter().position(|waits| waits.0 == ticket);
                    if let Some(place) = place {
                        let (_, tell) = self.waiting.swap_remove(place);
                        // Whoever waited may be gone.
                        let _ = tell.send(result.map_err(|error| error.to_string()));
                    }
                }
                Effect::Changed(document) => self.node.take_document(document),
                Effect::BadFrame { from, error } => {
                    let from = self.node.topology().name(from);
                    tracing::warn!(from, %error, "a frame of the control plane cannot be read");
                }
            }
        }
        *self.node.control.status.lock() = self.cluster.status(self.node.now().instant);
    }

    fn save(&mut self, bytes: &[u8]) {
        if self.broken {
            return;
        }
        if let Err(error) = save(&self.dir, bytes) {
            self.broken = true;
            tracing::error!(
                %error,
                dir = %self.dir.display(),
                "the topology file cannot be written: this node takes no part in topology changes until it is started again; reads and writes go on"
            );
        }
    }

    /// Tells what this node's replicas have reached, and lets those go that nobody needs any more.
    fn report(&mut self) {
        for change in self.node.reports() {
            self.propose(change);
        }
        self.settle();
        self.node.drop_covered();
    }
}
