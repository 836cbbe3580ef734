//! Adverts: telling the other members what this replica holds, and believing what they tell.
//!
//! An advert is at once the acknowledgement, the trigger of anti-entropy, the watermark for collection and the
//! proof of convergence: equal contexts must come with equal digests (replication.md 9 and 11).

use super::{Effect, Partition};
use crate::id::{ActorId, NodeId};
use crate::limits::{ADVERT_AFTER_CHANGE, ADVERT_INTERVAL, ADVERT_INTERVAL_MAX};
use crate::message::{Advert, Message};
use crate::observation::Observation;
use crate::time::{Duration, Now};

impl Partition {
    fn advert(&self) -> Message {
        Message::Advert(Advert {
            durable: self.durable.clone(),
            tail: self.replica.context().difference(&self.durable),
            digest: self.replica.digest(),
        })
    }

    /// Tells every reachable member, and sets the time of the next advert.
    pub(super) fn advertise(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.advert_due = now.instant + self.advert_interval;
        let doubled = Duration(self.advert_interval.0 * 2);
        self.advert_interval = doubled.min(ADVERT_INTERVAL_MAX);
        if self.peers.up().next().is_some() {
            self.send_all(&self.advert(), effects);
        }
    }

    /// Tells one member at once.
    pub(super) fn advertise_to(&self, to: NodeId, effects: &mut Vec<Effect>) {
        self.send(to, &self.advert(), effects);
    }

    /// The context or the durable context has changed: the next advert must not wait long.
    pub(super) fn changed(&mut self, now: Now) {
        self.advert_interval = ADVERT_INTERVAL;
        self.advert_due = self.advert_due.min(now.instant + ADVERT_AFTER_CHANGE);
    }

    /// Members that wait for our acknowledgement hear of every change at once. Only of changes: adverts that were
    /// answered with adverts would multiply for as long as two members wait for each other.
    pub(super) fn acknowledge(&self, now: Now, effects: &mut Vec<Effect>) {
        for node in self.peers.eager(now.instant) {
            self.advertise_to(node, effects);
        }
    }

    /// A member asks for an advert, now and after each change of the next second.
    pub(super) fn advert_requested(&mut self, now: Now, from: NodeId, effects: &mut Vec<Effect>) {
        self.peers
            .acknowledge_until(from, now.instant + ADVERT_INTERVAL);
        self.advertise_to(from, effects);
    }

    /// A member's advert. One of another incarnation than the link proved is an old frame, and not believed.
    pub(super) fn advert_heard(
        &mut self,
        now: Now,
        (from, sender): (NodeId, ActorId),
        advert: &Advert,
        effects: &mut Vec<Effect>,
    ) {
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        if peer.incarnation != Some(sender) {
            effects.push(Effect::Observe(Observation::StaleAnswer { from }));
            return;
        }
        peer.hear(advert);
        let mut theirs = advert.durable.clone();
        theirs.join(&advert.tail);
        let ours = self.replica.digest();
        if theirs == *self.replica.context() && advert.digest != ours {
            effects.push(Effect::Observe(Observation::DigestMismatch {
                peer: from,
                ours,
                theirs: advert.digest,
            }));
        }
        self.tell_visible(now, from, &theirs, effects);
        self.collect_soon(now);
        if !self.replica.context().is_subset(&theirs) {
            // It may have missed our last advert: it hears the next one as soon as if something had changed lately.
            self.advert_interval = ADVERT_INTERVAL;
            self.advert_due = self.advert_due.min(now.instant + ADVERT_INTERVAL);
        }
        self.gap_shown(now, from, sender, &theirs);
    }
}
