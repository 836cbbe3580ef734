//! What part this replica has in its replica set, how it gets it and how it gives it up (replication.md 8 and 10).
//!
//! Invariants: a replica that joins serves only when it holds durably all that each active member held after that
//! member had begun to send it events. A replica is dropped only outside the list, when every member that stays holds
//! durably all of it, as adverts of present incarnations say, and nobody has spoken of a newer list. An actor mints
//! nothing more once the replica was dropped under it: another replica of the same process begins with other events,
//! and could go on with a chain that is collected elsewhere.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::entry::Garbage;
use super::snapshot::Snapshots;
use super::sync::Sync;
use super::{Effect, Partition, Replica};
use crate::bug::Bug;
use crate::causality::Context;
use crate::id::ActorId;
use crate::membership::{Member, Role};
use crate::message::Note;
use crate::time::{Instant, Now};
use crate::wire::encode_note;

/// Under whom a replica mints.
#[derive(Clone, Debug)]
pub(super) struct Minter {
    /// The process: what heads of frames name, and handshakes prove.
    incarnation: ActorId,
    /// How often this process has dropped the replica.
    drops: u64,
    /// Whether a counter has all the chains of a guest that it may have.
    crowded: bool,
    /// The actor of the next event, and its number.
    actor: ActorId,
    next: u64,
    /// The other actors of this process, and the number that each would go on with.
    others: Vec<(ActorId, u64)>,
}

impl Minter {
    pub(super) fn new(incarnation: ActorId, role: Role) -> Self {
        let mut minter = Self {
            incarnation,
            drops: 0,
            crowded: false,
            actor: incarnation,
            next: 1,
            others: Vec::new(),
        };
        minter.turn(role);
        minter
    }

    pub(super) const fn incarnation(&self) -> ActorId {
        self.incarnation
    }

    pub(super) const fn actor(&self) -> ActorId {
        self.actor
    }

    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Goes on with this number.
    pub(super) const fn go_on_with(&mut self, next: u64) {
        self.next = next;
    }

    /// The number that an actor of this process would go on with; `None` when it is another's.
    pub(super) fn next_of(&self, actor: ActorId) -> Option<u64> {
        if actor == self.actor {
            return Some(self.next);
        }
        let mut others = self.others.iter();
        others.find(|other| other.0 == actor).map(|other| other.1)
    }

    /// Every actor of this process, with the number that it would go on with.
    pub(super) fn all(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        let present = (self.actor, self.next);
        self.others.iter().copied().chain([present])
    }

    /// A counter has as many chains of this guest as it may have: what comes next is not minted as a guest.
    pub(super) const fn note_crowded(&mut self) {
        self.crowded = true;
    }

    /// Takes the actor of a part.
    fn turn(&mut self, role: Role) {
        let actor = self.actor_of(role);
        if actor == self.actor {
            return;
        }
        let known = self.others.iter().position(|other| other.0 == actor);
        let next = known.map_or(1, |at| self.others.swap_remove(at).1);
        self.others.push((self.actor, self.next));
        self.actor = actor;
        self.next = next;
    }

    /// As unlikely to be another's as the random number of the incarnation.
    fn actor_of(&self, role: Role) -> ActorId {
        let outside = !role.is_member();
        let guest = outside && !self.crowded;
        if self.drops == 0 && !outside {
            return self.incarnation;
        }
        let number = (self.drops << 2) | u64::from(outside) << 1 | u64::from(guest);
        let random = xxh3_64_with_seed(&number.to_le_bytes(), self.incarnation.0);
        if guest {
            ActorId::guest(random)
        } else {
            ActorId::ordinary(random)
        }
    }
}

impl Partition {
    /// This process: what its handshakes announce. Events are minted under [`Self::actor`].
    #[must_use]
    pub const fn incarnation(&self) -> ActorId {
        self.minter.incarnation()
    }

    /// The epoch of the list of members that is known here.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.peers.epoch()
    }

    /// The part of this replica.
    #[must_use]
    pub fn role(&self) -> Role {
        self.peers.role()
    }

    /// Takes over a list of members, if it is newer than the one known here.
    pub(super) fn members_changed(
        &mut self,
        now: Now,
        (epoch, members): (u64, &[Member]),
        effects: &mut Vec<Effect>,
    ) {
        if epoch <= self.peers.epoch() {
            return;
        }
        let before = self.role();
        let changed = self.peers.set_members(epoch, members);
        if changed.is_empty() {
            return;
        }
        self.end_exchange(now, |peer| changed.contains(&peer));
        self.arrivals.keep_members(&self.peers);
        if before != self.role() {
            self.role_taken(now);
        }
        self.changed(now);
        self.collect_soon(now);
        // From now on what is told counts in the new epoch: for whoever joins, and for whoever waits to be let go.
        self.advertise(now, effects);
    }

    /// Mints from now on under the actor of its part.
    pub(super) fn turn_minter(&mut self) {
        let minter = self.minter.actor();
        self.minter.turn(self.role());
        if minter != self.minter.actor() {
            self.arrivals.forget_told();
        }
    }

    /// Enters upon the part that the list gives.
    pub(super) fn role_taken(&mut self, now: Now) {
        let role = self.role();
        self.turn_minter();
        self.leaving_with = match role {
            Role::Leaving => self.replica.context().clone(),
            Role::Joining | Role::Active | Role::Outside => Context::default(),
        };
        self.end_exchange(now, |_| true);
        if role == Role::Outside {
            self.sync = Sync::default();
        }
    }

    /// Whether this replica, which joins, holds durably what the active members held: all that each one told when it
    /// first spoke after it knew of this replica. What it has minted and received since, it has sent here too.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        if self.role() != Role::Joining {
            return false;
        }
        if self.settings.switches.breaks(Bug::JoinUnsynced) {
            return true;
        }
        let mut active = self.peers.active().peekable();
        let some = active.peek().is_some();
        some && active.all(|(_, peer)| {
            let first = peer.first();
            first.is_some_and(|first| first.is_subset(&self.durable))
        })
    }

    /// Whether the members that stay hold what this replica may be the only one to hold.
    ///
    /// Of a leaving replica: all that it held when it began to leave; then it may be taken off the list. What reaches it
    /// later is held by whoever sent it, and it is not dropped before it is covered outside the list.
    /// Of a replica outside the list: everything; then [`Self::drop_record`] may drop it.
    #[must_use]
    pub fn is_covered(&self) -> bool {
        let context = self.replica.context();
        let mine = match self.role() {
            Role::Joining | Role::Active => return false,
            Role::Leaving => &self.leaving_with,
            Role::Outside if context.is_empty() => return true,
            // What is not durable here would come to be told as durable after the drop; and a list that is not the
            // newest may leave out who has become a member, this replica included.
            Role::Outside if self.durable != *context || !self.peers.is_newest() => return false,
            Role::Outside => context,
        };
        if self.settings.switches.breaks(Bug::DropUncovered) {
            return true;
        }
        let volatile = self.settings.switches.breaks(Bug::M10);
        let Some(mut heirs) = self.peers.heirs() else {
            return false;
        };
        heirs.all(|heir| {
            mine.is_subset(if volatile {
                &heir.applied
            } else {
                &heir.durable
            })
        })
    }

    /// Empties this replica, which is outside the list and covered; gives the record that must go to the log at once:
    /// what follows it is replayed into an empty replica. The object stays in use as long as its process: it knows
    /// which dots it has minted.
    ///
    /// # Panics
    /// When it is not covered.
    pub fn drop_record(&mut self) -> Bytes {
        assert!(
            self.role() == Role::Outside && self.is_covered(),
            "only what every member holds durably may be dropped"
        );
        let record = encode_note(self.head(), &Note::Dropped);
        self.empty();
        self.minter.crowded = false;
        if !self.settings.switches.breaks(Bug::MinterKept) {
            self.minter.drops += 1;
        }
        self.minter.turn(Role::Outside);
        // What was held is handed out at once to be freed; nothing else may happen here for long.
        self.collect_due = Some(Instant::default());
        record.into()
    }

    /// Forgets all that is held but for who is closed: that stays true.
    pub(super) fn empty(&mut self) {
        let mut replica = Replica::new(self.settings.switches, self.settings.hash_seed);
        replica.fences = std::mem::take(&mut self.replica.fences);
        replica.store.awaited = std::mem::take(&mut self.replica.store.awaited);
        let dropped = std::mem::replace(&mut self.replica, replica);
        self.replica.store.garbage = Garbage::of(dropped.store);
        self.durable = Context::default();
        self.sync = Sync::default();
        self.snapshots = Snapshots::default();
        self.arrivals.forget();
    }
}
