//! Proposals: from whoever makes them to the leader, and their outcome back.
//!
//! A proposal has a name for ever and is repeated until its outcome is known, since the leader, this node's links or
//! the outcome may be lost. The leader appends a name once in each configuration; across configurations it relies on
//! changes that are done already changing nothing.

use super::change::Change;
use super::frame::Frame;
use super::machine::{Cluster, Effect, Failed, Pending, Role};
use super::vote::{ProposalId, Proposed};
use crate::id::{NodeId, Ticket};
use crate::limits::{
    CLUSTER_LOG_OPEN_MAX, CLUSTER_OUTCOMES_MAX, CLUSTER_PENDING_MAX, CLUSTER_RETRY,
};
use crate::time::Instant;

impl Cluster {
    pub(super) fn handle_propose(&mut self, ticket: Ticket, change: Change, deadline: Instant) {
        let refusal = if matches!(change, Change::Voters { .. }) {
            "BADCHANGE voters are chosen by the cluster itself; drain or forget a node to take its seat"
        } else if self.pending.len() >= CLUSTER_PENDING_MAX {
            "OVERLOADED too many changes of the topology wait at this node; try again later"
        } else {
            self.submit(Some(ticket), change, deadline);
            return;
        };
        let result = Err(Failed::Refused(refusal.to_owned()));
        self.after.push(Effect::Reply { ticket, result });
    }

    /// Puts a proposal on its way; the answer goes to `ticket` if there is one.
    pub(super) fn submit(&mut self, ticket: Option<Ticket>, change: Change, deadline: Instant) {
        let serial = self.next_serial();
        self.pending.insert(
            serial,
            Pending {
                ticket,
                change,
                deadline,
                sent: None,
                decided: None,
            },
        );
    }

    /// Moves every proposal of this node on: decides it, sends it, gives it up.
    pub(super) fn drive(&mut self, now: Instant) {
        let leader = self.leader(now);
        let serials: Vec<u64> = self.pending.keys().copied().collect();
        for serial in serials {
            let Some(pending) = self.pending.get(&serial) else {
                continue;
            };
            if let Some(epoch) = pending.decided {
                if epoch <= self.document.epoch {
                    self.answer(serial, Ok(epoch));
                }
            } else if now >= pending.deadline {
                let why = self.no_quorum(now);
                self.answer(serial, Err(Failed::NoQuorum(why)));
            } else if self.leads() {
                let proposed = self.proposed(serial, pending.change.clone());
                self.lead(now, &proposed);
            } else if let Some(leader) = leader {
                let asked = |(to, at)| to == leader && now.since(at) < CLUSTER_RETRY;
                if !pending.sent.is_some_and(asked) {
                    let proposed = self.proposed(serial, pending.change.clone());
                    if let Some(pending) = self.pending.get_mut(&serial) {
                        pending.sent = Some((leader, now));
                    }
                    self.send(leader, &Frame::Propose(proposed));
                }
            }
        }
    }

    const fn proposed(&self, serial: u64, change: Change) -> Proposed {
        Proposed {
            id: ProposalId {
                node: self.me,
                key: self.key,
                serial,
            },
            change,
        }
    }

    /// A proposal of another node.
    pub(super) fn handle_proposed(&mut self, now: Instant, from: NodeId, proposed: Proposed) {
        let voters = matches!(proposed.change, Change::Voters { .. });
        if self.leads() && proposed.id.node == from && !voters {
            self.lead(now, &proposed);
        }
    }

    /// Brings a proposal about, as the leader; does nothing if it is under way.
    pub(super) fn lead(&mut self, now: Instant, proposed: &Proposed) {
        let id = proposed.id;
        let known = self.outcomes.iter().find(|(known, _)| *known == id);
        if let Some((_, result)) = known {
            let result = result.clone();
            self.tell(id, result);
            return;
        }
        let voting = match &mut self.role {
            Role::Outside => return,
            Role::Alone => return self.decide(now, proposed, 0),
            Role::Among(voting) => voting,
        };
        match voting.find(id) {
            // Decided before this node took the document over: what it came to can only be judged by what holds now.
            Some(at) if at < self.applied => {
                let mut document = (*self.document).clone();
                let result = document.apply(&proposed.change);
                let result = match result {
                    Ok(()) if document == *self.document => Ok(document.epoch),
                    Ok(()) => Err(
                        "STALE the change was decided and does not hold any more; look at the topology and propose it again"
                            .to_owned(),
                    ),
                    Err(refused) => Err(refused.to_string()),
                };
                self.conclude(id, result, true);
            }
            Some(_) => {}
            None if voting.len() < CLUSTER_LOG_OPEN_MAX => voting.append(proposed.clone()),
            // The configuration is about to end; whoever proposed it tries again.
            None => {}
        }
    }

    /// Remembers what came of a proposal, and tells whoever made it.
    pub(super) fn conclude(&mut self, id: ProposalId, result: Result<u64, String>, leads: bool) {
        if self.outcomes.len() >= CLUSTER_OUTCOMES_MAX {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back((id, result.clone()));
        if leads || id.node == self.me {
            self.tell(id, result);
        }
    }

    fn tell(&mut self, id: ProposalId, result: Result<u64, String>) {
        if id.node == self.me {
            self.handle_outcome(id, result);
        } else {
            self.send(id.node, &Frame::Outcome { id, result });
        }
    }

    pub(super) fn handle_outcome(&mut self, id: ProposalId, result: Result<u64, String>) {
        if id.node != self.me || id.key != self.key {
            return;
        }
        match result {
            Err(text) => self.answer(id.serial, Err(Failed::Refused(text))),
            Ok(epoch) if epoch <= self.document.epoch => self.answer(id.serial, Ok(epoch)),
            // Whoever proposed it is to see it in its own document.
            Ok(epoch) => {
                if let Some(pending) = self.pending.get_mut(&id.serial) {
                    pending.decided = Some(epoch);
                }
            }
        }
    }

    fn answer(&mut self, serial: u64, result: Result<u64, Failed>) {
        let pending = self.pending.remove(&serial);
        if let Some(ticket) = pending.and_then(|pending| pending.ticket) {
            self.after.push(Effect::Reply { ticket, result });
        }
    }

    fn no_quorum(&self, now: Instant) -> String {
        let names = |nodes: &mut dyn Iterator<Item = NodeId>| {
            let names: Vec<String> = nodes.map(|node| self.document.name(node)).collect();
            names.join(", ")
        };
        let status = self.status(now);
        if self.document.config == 0 {
            return if status.unheard.is_empty() {
                "the cluster has no voters yet: its first node was not heard".to_owned()
            } else {
                let unheard = names(&mut status.unheard.into_iter());
                format!("the cluster has no voters yet: {unheard} must be up once")
            };
        }
        let voters = names(&mut self.document.voters());
        match status.leader {
            None => format!("too few of the voters ({voters}) can be reached"),
            Some(leader) => {
                let leader = self.document.name(leader);
                format!("the voters ({voters}, led by {leader}) did not decide in time")
            }
        }
    }
}
