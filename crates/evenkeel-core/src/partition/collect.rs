//! Garbage collection: of the dot index and of dead counter chains, by durable adverts only (replication.md 2.5).

use super::{Effect, Partition};
use crate::bug::Bug;
use crate::causality::{Context, Dot};
use crate::limits::COLLECT_INTERVAL;
use crate::observation::Observation;
use crate::time::Now;
use crate::types::{CellId, CellRef, Chain};

impl Partition {
    /// Something has become durable here or elsewhere, so there may be something to collect.
    pub(super) fn collect_soon(&mut self, now: Now) {
        let due = now.instant + COLLECT_INTERVAL;
        self.collect_due = Some(self.collect_due.map_or(due, |known| known.min(due)));
    }

    /// Collects what no member can need any more.
    pub(super) fn collect(&mut self, effects: &mut Vec<Effect>) {
        let common = self.held_by_all();
        self.arrivals.drop_all(&common);
        let index = self.replica.index.drop_all(&common);
        let chains = self.collect_chains();
        if index + chains > 0 {
            effects.push(Effect::Observe(Observation::Collected { index, chains }));
        }
    }

    /// The dots that every member, this one included, holds durably.
    fn held_by_all(&self) -> Context {
        let volatile = self.settings.switches.breaks(Bug::M21);
        let mut common = if volatile {
            self.replica.context().clone()
        } else {
            self.durable.clone()
        };
        for (_, peer) in self.peers.members() {
            let held = if volatile {
                &peer.applied
            } else {
                &peer.durable
            };
            common = common.intersection(held);
        }
        common
    }

    fn collect_chains(&mut self) -> usize {
        let mut collected = 0;
        let residue: Vec<CellId> = self.replica.store.residue().iter().cloned().collect();
        for id in residue {
            let done: Vec<_> = self
                .replica
                .cell(&id)
                .map_or(&[][..], CellRef::chains)
                .iter()
                .filter(|chain| chain.is_dead() && self.is_collectable(chain))
                .map(|chain| chain.id)
                .collect();
            collected += done.len();
            if !done.is_empty() {
                self.replica.store.update(&id, |cell| {
                    cell.retain_chains(|chain| !done.contains(&chain.id))
                });
            }
        }
        collected
    }

    /// Whether no increment of the chain can arrive any more that the reset did not see.
    fn is_collectable(&self, chain: &Chain) -> bool {
        let owner = chain.id.actor;
        if self.settings.switches.breaks(Bug::M16) {
            return true;
        }
        if owner.is_guest() {
            // It has one increment, and no other event will ever say more of it.
            let born = Dot::new(owner, chain.id.birth);
            return self.replica.context().contains(born) || self.replica.fences.is_void(born);
        }
        if owner == self.actor() {
            // Durably here, not only applied: a crash that took the reset back would leave the chain alive at its
            // owner, after range deletes issued meanwhile had told everybody that it is closed for ever.
            return chain.reset_by.is_some_and(|by| self.durable.contains(by));
        }
        if let Some(standing) = self.replica.fences.closed(owner) {
            return standing.is_subset(self.replica.context());
        }
        // The owner has applied the reset, so it extends the chain no more, and all that it issued is here.
        self.peers
            .of_minter(owner)
            .zip(chain.reset_by)
            .is_some_and(|(peer, by)| {
                peer.durable.contains(by)
                    && peer.durable.only(owner).is_subset(self.replica.context())
            })
    }
}
