//! Adverts: telling the other members what this replica holds, and believing what they tell.
//!
//! An advert is at once the acknowledgement, the trigger of anti-entropy, the watermark for collection and the
//! proof of convergence: equal contexts must come with equal digests (replication.md 9 and 11).

use super::{Effect, Partition};
use crate::id::NodeId;
use crate::limits::{ADVERT_AFTER_CHANGE, ADVERT_INTERVAL, ADVERT_INTERVAL_MAX};
use crate::message::{Advert, Head, Message};
use crate::observation::Observation;
use crate::time::{Duration, Now};

impl Partition {
    fn advert(&self) -> Message {
        Message::Advert(Advert {
            durable: self.durable.clone(),
            tail: self.replica.context().difference(&self.durable),
            digest: self.replica.digest(),
            minter: (self.actor() != self.incarnation()).then(|| self.actor()),
        })
    }

    /// Whether this replica tells by itself what it holds: outside the list only while a member has to fetch something.
    pub(super) fn advertises(&self) -> bool {
        self.role().is_member() || !self.is_covered()
    }

    /// Tells whoever is to know of this replica, and sets the time of the next advert.
    pub(super) fn advertise(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.advert_due = now.instant + self.advert_interval;
        let doubled = Duration(self.advert_interval.0 * 2);
        self.advert_interval = doubled.min(ADVERT_INTERVAL_MAX);
        if !self.advertises() || self.peers.up().next().is_none() {
            return;
        }
        self.send_all(&self.advert(), effects);
        if !self.role().is_member() {
            // Members tell each other what they hold, and nobody else unasked.
            self.send_all(&Message::AdvertRequest, effects);
        }
    }

    /// Tells a node whose link has come up.
    pub(super) fn greet(&self, to: NodeId, effects: &mut Vec<Effect>) {
        self.advertise_to(to, effects);
        if !self.role().is_member() {
            self.send(to, &Message::AdvertRequest, effects);
        }
    }

    /// Tells one node at once.
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

    /// A node's advert. One of another incarnation than the link proved is an old frame, and not believed; neither is a
    /// member's of before it became what it is.
    pub(super) fn advert_heard(
        &mut self,
        now: Now,
        (from, head): (NodeId, Head),
        advert: &Advert,
        effects: &mut Vec<Effect>,
    ) {
        let heard = self.peers.hear((from, head.sender), head.epoch, advert);
        let Some(member) = heard.map(|peer| peer.is_member()) else {
            effects.push(Effect::Observe(Observation::StaleAnswer { from }));
            return;
        };
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
        if !member {
            self.guest_shown(now, &theirs);
            return;
        }
        self.tell_visible(now, from, &theirs, effects);
        self.collect_soon(now);
        if !self.replica.context().is_subset(&theirs) {
            // It may have missed our last advert: it hears the next one as soon as if something had changed lately.
            self.advert_interval = ADVERT_INTERVAL;
            self.advert_due = self.advert_due.min(now.instant + ADVERT_INTERVAL);
        }
        let minter = advert.minter.unwrap_or(head.sender);
        self.gap_shown(now, from, minter, &theirs);
    }
}
