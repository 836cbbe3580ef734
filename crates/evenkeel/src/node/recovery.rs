//! Starting a node: lock the directory, replay the log, draw a new actor.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use evenkeel_core::id::{ActorId, NodeId};
use evenkeel_core::partition::Partition;
use evenkeel_store::disk::{FileDisk, LockError};
use evenkeel_store::log::Durable;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::checkpoint::Checkpoints;
use super::control::{Begin, Control};
use super::identity;
use super::membership::fresh;
use super::replicas::Replicas;
use super::reserve::Reserve;
use super::wal::{Note, Wal};
use super::{ConflictLog, Held, Node, Topology, Writers, founding};
use crate::client::Front;
use crate::config::Config;
use crate::link::{self, Announce, Outbox};
use crate::metrics::Metrics;
use crate::visibility::Visibility;

/// Why a node cannot start. Nothing was changed, unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory cannot be used, or another process uses it.
    #[error(transparent)]
    Directory(#[from] LockError),
    /// The log cannot be opened; the message of the cause says what to do.
    #[error("cannot open the commit log in {dir}: {cause}")]
    Log {
        /// The data directory.
        dir: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The directory belongs to another node or cluster.
    #[error(
        "{dir} holds data of {found}, not of {wanted}; point --dir elsewhere, or start with the name and members it was made with"
    )]
    Foreign {
        /// The data directory.
        dir: PathBuf,
        /// Whose data it holds.
        found: String,
        /// Who wants to start.
        wanted: String,
    },
    /// Both copies of what says whose data the directory holds are damaged or gone.
    #[error(
        "{dir} does not say any more whose data it holds: its files identity and identity.copy are damaged; if it is {wanted} remove both, otherwise point --dir elsewhere"
    )]
    Nameless {
        /// The data directory.
        dir: PathBuf,
        /// Who wants to start.
        wanted: String,
    },
    /// What the directory says of the topology cannot be used.
    #[error(
        "the file topology in {dir} cannot be used: {cause}; restore it from a copy, or move it away and start as the node was started first"
    )]
    Topology {
        /// The data directory.
        dir: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A node of a cluster does not know its cluster any more.
    #[error(
        "{dir} holds data of a node of a cluster, and its file topology is lost; start it with --join and the peer address of another node of the cluster"
    )]
    Lone {
        /// The data directory.
        dir: PathBuf,
    },
    /// The cluster did not let the node in, or did not answer.
    #[error("{0}")]
    Join(String),
    /// Data that only this node holds is damaged.
    #[error(
        "{dir}: {files} lost or damaged, and no other node has the data; restore the directory from a copy; evenkeel repair tells what is lost, and starting once with --accept-loss goes on with what is left"
    )]
    Lost {
        /// The data directory.
        dir: PathBuf,
        /// What is lost.
        files: String,
    },
    /// A file or a socket.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// What went wrong.
        source: io::Error,
    },
}

impl StartError {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source,
        }
    }
}

/// Opens a node's data and makes the node, not yet listening or linked.
pub(crate) fn open(
    config: Config,
    announce: Announce,
    durable: mpsc::UnboundedSender<Durable<Note>>,
) -> Result<(Arc<Node>, Begin), StartError> {
    let disk = FileDisk::open(&config.dir)?;
    let (cluster, topology) = founding::begin(&config, &announce.peer)?;
    let (control, begin) = Control::new(cluster);
    identity::claim(&config.dir, &topology, &config.node)?;
    let incarnation = ActorId::ordinary(crate::entropy::random());
    let single = topology.size() == 1;
    let (replicas, log, recovery) = Replicas::open(Arc::new(disk), &config, single, |id| {
        fresh(id, &topology, incarnation)
    })?;
    let epoch = topology.document.epoch();
    tracing::info!(
        checkpoint_bytes = replicas.checkpoint_bytes,
        records = recovery.records,
        bytes = recovery.bytes,
        torn_bytes = recovery.torn_bytes,
        incarnation = %incarnation,
        "recovered"
    );
    let wal = Wal::start(log, config.sync, durable)
        .map_err(|error| StartError::io("cannot start the sync thread", error))?
        .keeping_back(Reserve::of(&config.dir));
    let writers = Writers::default();
    writers.add(incarnation, topology.me);
    wal.note_kept(recovery.bytes);
    let checkpoints = checkpoints_of(replicas.checkpoint_bytes);
    let node = Node {
        visibility: Visibility::of(topology.others()),
        mismatches: super::Mismatches::default(),
        outboxes: ArcSwap::from_pointee(outboxes(&topology)),
        me: topology.me,
        cluster: topology.document.cluster(),
        dialled_at: dialled_at(&config, &announce),
        // Its file was read when the configuration was checked.
        secret: config.cluster_secret().ok().flatten(),
        control,
        reported: Mutex::default(),
        repairs: Default::default(),
        topology: ArcSwap::from_pointee(topology),
        incarnation,
        announce,
        metrics: Metrics::default(),
        front: Front::default(),
        decisions: Default::default(),
        settling: Default::default(),
        scrubber: super::scrub::Scrubber::default(),
        files: Default::default(),
        conflicts: ConflictLog::default(),
        writers,
        faults: link::fault::Faults::default(),
        wal,
        checkpoints,
        partitions: Vec::new(),
        schedule: super::ticker::Schedule::default(),
        announced: Mutex::default(),
        changed: watch::Sender::new(epoch),
        waiters: super::Waiters::default(),
        waiting: Mutex::default(),
        asked: Mutex::default(),
        next_id: AtomicU64::new(1),
        started: Instant::now(),
        stop: watch::Sender::new(false),
        closing: watch::Sender::new(false),
        config,
    };
    Ok((Arc::new(start(node, replicas.partitions)), begin))
}

fn outboxes(topology: &Topology) -> BTreeMap<NodeId, Arc<Outbox>> {
    let empty = |peer| (peer, Arc::new(Outbox::default()));
    topology.others().map(empty).collect()
}

/// Where the others are to dial this node, as far as it is said here: the list that founded the cluster names an
/// address, and a node that joined announces its own.
fn dialled_at(config: &Config, announce: &Announce) -> Option<String> {
    let listed = (config.members.iter()).find(|member| member.name == config.node);
    match listed {
        Some(member) => Some(member.peer.clone()),
        None if config.join.is_empty() => None,
        None => Some(announce.peer.clone()),
    }
}

fn checkpoints_of(bytes: u64) -> Checkpoints {
    let checkpoints = Checkpoints::default();
    checkpoints.bytes.store(bytes, Ordering::Relaxed);
    checkpoints
}

fn start(mut node: Node, partitions: Vec<Partition>) -> Node {
    let now = node.now();
    let mut effects = Vec::new();
    node.partitions = partitions
        .into_iter()
        .map(|mut partition| {
            partition.start(now, &mut effects);
            Held::new(partition)
        })
        .collect();
    node
}

/// An error with all of its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
