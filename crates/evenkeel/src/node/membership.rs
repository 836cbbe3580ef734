//! What a new topology document means for this node: links and replicas that come and go, and what there is to report.
//!
//! Invariants: a replica is emptied only under its lock, when all that it holds is on the disks of those who are to
//! hold it (replication.md 10, hazards H20). A node that is no member of a partition may hold a replica of it all the
//! same: as a former member, or as a guest that keeps what it was given while it reached no member (replication.md 8).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use evenkeel_core::cluster::{Change, Document, MemberRef};
use evenkeel_core::id::{ActorId, NodeId, PartitionId};
use evenkeel_core::membership::MemberState;
use evenkeel_core::partition::{Effect, Input, Partition, Settings};

use super::{Node, Topology};
use crate::link::Outbox;

/// A report that led to nothing is made again after this long.
const REPORT_AGAIN: Duration = Duration::from_secs(2);

/// What was reported of this node and its replicas, and when.
#[derive(Debug, Default)]
pub(super) struct Reported {
    /// By partition: since when the member has been in the state that was reported on.
    replicas: BTreeMap<PartitionId, (u64, Instant)>,
    place: Option<Instant>,
}

impl Reported {
    /// Whether it is time to report on a membership; notes that it is done.
    fn is_due(&mut self, partition: PartitionId, since: u64) -> bool {
        let known = self.replicas.get(&partition);
        let recent = known.is_some_and(|(of, at)| *of == since && at.elapsed() < REPORT_AGAIN);
        if !recent {
            self.replicas.insert(partition, (since, Instant::now()));
        }
        !recent
    }
}

impl Node {
    /// Whether other nodes may send commands on a partition here: this node serves it, or did until a moment ago.
    pub(crate) fn takes(&self, partition: PartitionId) -> bool {
        let mine = self.topology().mine(partition);
        mine.is_some_and(|state| state != MemberState::Joining)
    }

    /// Goes over to a newer document. Only the control thread does so, one after the other.
    pub(super) fn take_document(&self, document: Arc<Document>) {
        let before = Arc::clone(&self.topology());
        let epoch = document.epoch();
        if epoch <= before.document.epoch() {
            return;
        }
        let topology = Arc::new(Topology::of(document, self.me));
        let peers: Vec<NodeId> = topology.others().collect();
        let outboxes = self.outboxes.load();
        let kept = peers.iter().map(|peer| {
            let outbox = outboxes.get(peer).cloned();
            let outbox = outbox.unwrap_or_else(|| Arc::new(Outbox::default()));
            (*peer, outbox)
        });
        self.outboxes.store(Arc::new(kept.collect()));
        self.visibility.measure(peers.into_iter());
        if !topology.document.belongs(self.me) {
            self.be_forgotten();
        }
        self.topology.store(Arc::clone(&topology));
        for id in Topology::partitions() {
            let members = topology.members(id).to_vec();
            self.with_any(id, |partition, now, effects| {
                partition.handle(now, Input::Members { epoch, members }, effects);
            });
        }
        self.end_turn();
        tracing::info!(epoch, nodes = topology.size(), "topology");
        self.changed.send_replace(epoch);
    }

    /// This node was removed from its cluster, as its topology or another node says.
    pub(crate) fn be_forgotten(&self) {
        if self.wal.forget() {
            tracing::error!(
                "this node was removed from its cluster and takes no commands on keys any more: start it with an empty --dir and --join, or with --join and --recover to save what only it holds"
            );
        }
    }

    /// Waits until this node knows a topology of this epoch or a later one.
    pub(crate) async fn reach_epoch(&self, epoch: u64) {
        let mut changed = self.changed.subscribe();
        // The sender lives as long as the node.
        let _ = changed.wait_for(|known| *known >= epoch).await;
    }

    /// From now on keeps what clients write to a partition of which no member can be reached.
    pub(crate) fn be_guest(&self, id: PartitionId) {
        if let Some(replica) = self.partitions.get(usize::from(id.0)) {
            replica.used.store(true, Ordering::Release);
        }
    }

    /// What this node and its replicas have reached: as changes to propose.
    pub(super) fn reports(&self) -> Vec<Change> {
        let topology = Arc::clone(&self.topology());
        let mut reported = self.reported.lock();
        let (mut joined, mut drained) = (Vec::new(), Vec::new());
        for (partition, member) in topology.document.held_by(self.me) {
            let (reached, report) = match member.state {
                MemberState::Active => continue,
                MemberState::Joining => (self.look(partition, Partition::has_joined), &mut joined),
                MemberState::Leaving => (self.look(partition, Partition::is_covered), &mut drained),
            };
            let since = member.since;
            if reached == Some(true) && reported.is_due(partition, since) {
                report.push(MemberRef { partition, since });
            }
        }
        let node = self.me;
        let mut changes = Vec::new();
        if !joined.is_empty() {
            let partitions = joined;
            changes.push(Change::Joined { node, partitions });
        }
        if !drained.is_empty() {
            let partitions = drained;
            changes.push(Change::Drained { node, partitions });
        }
        let place = reported.place;
        if place.is_none_or(|at| at.elapsed() >= REPORT_AGAIN) {
            let change = self.place_report(&topology);
            reported.place = change.as_ref().map(|_| Instant::now());
            changes.extend(change);
        }
        changes
    }

    /// What the topology does not know yet of where this node stands and is dialled.
    fn place_report(&self, topology: &Topology) -> Option<Change> {
        let entry = topology.document.node(self.me)?;
        let node = self.me;
        if let Some(peer) = self.dialled_at.clone()
            && peer != entry.peer
        {
            return Some(Change::SetPeer { node, peer });
        }
        let config = &self.config;
        let says = (&config.zone, &config.dc, config.weight);
        let differs = says != (&entry.zone, &entry.dc, entry.weight);
        differs.then(|| Change::Admit(super::founding::spec_of(config, entry.peer.clone())))
    }

    /// Empties the replicas of partitions that this node is no member of, once the members hold all that they hold.
    pub(super) fn drop_covered(&self) {
        for (id, replica) in Topology::partitions().zip(&self.partitions) {
            if self.topology().mine(id).is_some() || !replica.used.load(Ordering::Acquire) {
                continue;
            }
            let dropped = self.with_any(id, |partition, _, effects| {
                if partition.replica().context().is_empty() {
                    replica.used.store(false, Ordering::Release);
                    return false;
                }
                if !partition.role().is_member() && partition.is_covered() {
                    let record = partition.drop_record();
                    let dots = Default::default();
                    effects.push(Effect::Persist { record, dots });
                    replica.used.store(false, Ordering::Release);
                    return true;
                }
                false
            });
            if dropped {
                tracing::info!(
                    partition = id.0,
                    "the members hold all that was held here: dropped"
                );
            }
        }
        self.end_turn();
    }
}

/// A replica that holds nothing, as a topology has it.
pub(super) fn fresh(id: PartitionId, topology: &Topology, incarnation: ActorId) -> Partition {
    let mut settings = Settings::new(id, topology.me, Vec::new());
    settings.members = topology.members(id).to_vec();
    settings.epoch = topology.document.epoch();
    settings.hash_seed = crate::entropy::random();
    Partition::new(settings, incarnation)
}
