//! Where parts of a command run: here, at the partition's home, or at any member.
//!
//! Invariants: a part that writes is sent once; when no answer comes its outcome is unknown and it goes nowhere else.
//! It goes on to the next member only when it is certain that nothing was run. A member runs it only when it holds
//! what the connection has seen and, at the home, what this node holds: conditional commands that go through several
//! nodes decide in one order as long as the nodes can talk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_core::causality::{Context, Dot};
use evenkeel_core::command::{Flag, Spec, needs_home};
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_resp::Reply;

use super::Args;
use super::inner::{Ran, run_part};
use crate::client::consistency::{ConditionalAt, Consistency};
use crate::client::trail::SharedTrail;
use crate::metrics::bump;
use crate::node::{Done, Node, Part, Unanswered, join_all};

/// How long a forwarded command may take before its outcome is answered as unknown.
pub(super) const FORWARD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a replica may take to come to hold what a command must find. Then the next member is asked.
pub(super) const CATCH_UP: evenkeel_core::time::Duration =
    evenkeel_core::time::Duration::from_millis(1_000);

/// A member that takes so many times as long as the fastest one is passed over while there are others.
const SLOW: u32 = 4;
/// And at least so long: less is noise.
const SLOW_MIN: Duration = Duration::from_millis(10);
/// A node that has been up for less than this waits for its links before it answers in the members' place.
const LINKED_WITHIN: Duration = Duration::from_millis(2_000);
/// A member that is about to come is waited for this long at most.
const MEMBER_WITHIN: Duration = Duration::from_millis(1_000);
/// How often it looks whether there is one.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Which member runs a part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::client) enum Route {
    /// This node, where it is a member, else the first live one.
    Near,
    /// The home: the first live member in preference order.
    Home,
}

/// A part, and how it is to be run.
#[derive(Clone, Debug)]
pub(in crate::client) struct Piece {
    pub(in crate::client) part: Part,
    pub(in crate::client) route: Route,
    pub(in crate::client) access: Access,
}

/// Whether a part may change data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::client) enum Access {
    Reads,
    Writes,
}

impl Access {
    pub(in crate::client) fn of(spec: &Spec) -> Self {
        if spec.is(Flag::Write) {
            Self::Writes
        } else {
            Self::Reads
        }
    }
}

/// What came of a piece, for the client.
#[derive(Clone, Debug)]
pub(in crate::client) enum End {
    /// A reply for each command.
    Replies(Vec<Reply>),
    /// A watched key has changed: nothing was run.
    Changed,
    /// The one reply to all of its commands.
    Failed(Reply),
}

/// What came of a piece at one member.
enum Tried {
    Ended(End),
    /// Nothing was run: the next member may.
    Not(Option<Reply>),
    /// Nothing was run: it does not serve the key, as it knows the topology. That is no word on the request.
    Elsewhere,
    /// Nothing was run, because the member lacks what must be there before.
    Behind,
}

/// What came of a piece at all members.
enum Asked {
    Ended(End),
    /// None of them could be asked, or those that were do not serve the key.
    Nobody {
        elsewhere: bool,
    },
}

/// Who a command is run for.
#[derive(Clone)]
pub(in crate::client) struct Caller {
    pub(in crate::client) node: Arc<Node>,
    pub(in crate::client) trail: SharedTrail,
    pub(in crate::client) consistency: Consistency,
}

impl Caller {
    /// Where a command must run.
    pub(in crate::client) fn route(&self, spec: &Spec, args: Args<'_>) -> Route {
        if needs_home(spec, args) {
            self.conditional_route()
        } else {
            Route::Near
        }
    }

    /// Where what decides by what it reads must run.
    pub(in crate::client) fn conditional_route(&self) -> Route {
        match self.consistency.conditional {
            ConditionalAt::Home => Route::Home,
            ConditionalAt::Local => Route::Near,
        }
    }

    /// The member that is asked first.
    pub(in crate::client) fn target(&self, piece: &Piece) -> Option<NodeId> {
        let candidates = self.candidates(piece.part.partition, piece.route);
        candidates.first().copied()
    }

    /// Whether this node can run something on a partition at once.
    pub(in crate::client) fn is_here(&self, partition: PartitionId, route: Route) -> bool {
        let node = &self.node;
        node.topology().serves(partition)
            && !node.wal.is_forgotten()
            && (route == Route::Near || node.is_settled() && node.home(partition) == Some(node.me))
            && self.is_fresh(partition)
    }

    /// Whether this replica holds all that the connection has seen of a partition.
    fn is_fresh(&self, partition: PartitionId) -> bool {
        let mut trail = self.trail.borrow_mut();
        trail.touch(partition);
        let Some(seen) = trail.seen(partition) else {
            return true;
        };
        let holds = self.node.look(partition, |replica| {
            seen.is_subset(replica.replica().context())
        });
        let fresh = holds.unwrap_or(false);
        if fresh {
            trail.forget(partition);
        }
        fresh
    }

    /// The members that can be reached to run something on a partition, in the order in which they are asked.
    fn candidates(&self, partition: PartitionId, route: Route) -> Vec<NodeId> {
        let node = &self.node;
        let members = node.topology().replicas(partition).into_iter();
        let (mut live, rest): (Vec<NodeId>, Vec<NodeId>) =
            members.partition(|member| node.is_live(*member));
        if route == Route::Near {
            self.nearest_first(&mut live);
        }
        // A link without a word lately may be a slow one: whoever is at its end is asked before this node answers in the
        // members' place.
        let rest = rest
            .into_iter()
            .filter(|member| *member != node.me && node.is_linked(*member));
        live.into_iter().chain(rest).collect()
    }

    /// This node, then near ones before far ones, and whoever answers slowly now behind all others.
    fn nearest_first(&self, members: &mut [NodeId]) {
        let node = &self.node;
        let topology = node.topology();
        let pace = |member: &NodeId| node.outbox(*member).map(|outbox| outbox.pace.expected());
        let expected = members
            .iter()
            .map(|member| pace(member).unwrap_or_default());
        let limit = (expected.min().unwrap_or_default() * SLOW).max(SLOW_MIN);
        members.sort_by_cached_key(|member| {
            let is_slow = pace(member).unwrap_or_default() > limit;
            (*member != node.me, is_slow, topology.distance(*member))
        });
    }

    /// Runs pieces, each where it must be: those for this node first, in order, then those for each other node in one
    /// request, the nodes side by side. Pieces on one partition run in order.
    pub(in crate::client) async fn run_pieces(&self, pieces: Vec<Piece>) -> Vec<End> {
        let mut ends: Vec<Option<End>> = pieces.iter().map(|_| None).collect();
        let mut asked: Vec<(NodeId, Vec<usize>)> = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let first = self.target(piece).unwrap_or(self.node.me);
            if first == self.node.me {
                ends[at] = Some(self.run_piece(piece).await);
            } else if let Some((_, places)) = asked.iter_mut().find(|(node, _)| *node == first) {
                places.push(at);
            } else {
                asked.push((first, vec![at]));
            }
        }
        if !asked.is_empty() {
            // What was written here must not wait for the others' answers.
            self.node.end_turn();
        }
        let side_by_side = asked.into_iter().map(|(member, places)| {
            let group: Vec<&Piece> = places.iter().map(|at| &pieces[*at]).collect();
            async move {
                let group_ends = self.run_group(member, group).await;
                places.into_iter().zip(group_ends).collect::<Vec<_>>()
            }
        });
        for (at, end) in join_all(side_by_side.collect()).await.into_iter().flatten() {
            ends[at] = Some(end);
        }
        ends.into_iter().flatten().collect()
    }

    /// Runs pieces at one member by one request, and where that did not run one, at the next.
    async fn run_group(&self, member: NodeId, group: Vec<&Piece>) -> Vec<End> {
        let tried = self.ask(member, &group).await;
        let mut ends = Vec::with_capacity(group.len());
        for (piece, tried) in group.into_iter().zip(tried) {
            ends.push(match tried {
                Tried::Ended(end) => end,
                not => self.go_on(piece, Some((member, not))).await,
            });
        }
        ends
    }

    /// Runs one piece where it must be.
    pub(in crate::client) async fn run_piece(&self, piece: &Piece) -> End {
        self.go_on(piece, None).await
    }

    /// Asks one member after the other until one has run the piece; this node stands in when there is none.
    async fn go_on(&self, piece: &Piece, tried: Option<(NodeId, Tried)>) -> End {
        if piece.route == Route::Home {
            self.node.settled().await;
        }
        match self.ask_members(piece, tried).await {
            Asked::Ended(end) => return end,
            Asked::Nobody { elsewhere } => {
                if self.member_comes(piece, elsewhere).await
                    && let Asked::Ended(end) = self.ask_members(piece, None).await
                {
                    return end;
                }
            }
        }
        self.run_as_guest(piece)
    }

    async fn ask_members(&self, piece: &Piece, tried: Option<(NodeId, Tried)>) -> Asked {
        let partition = piece.part.partition;
        let mut refusal = None;
        let mut behind = None;
        let mut elsewhere = false;
        let mut asked = Vec::new();
        let mut last = tried;
        loop {
            if let Some((member, tried)) = last.take() {
                asked.push(member);
                match tried {
                    Tried::Ended(end) => return Asked::Ended(end),
                    Tried::Not(reason) => refusal = reason.or(refusal),
                    Tried::Elsewhere => elsewhere = true,
                    Tried::Behind => behind = behind.or(Some(member)),
                }
            }
            let candidates = self.candidates(partition, piece.route);
            let next = candidates.into_iter().find(|next| !asked.contains(next));
            let Some(next) = next else {
                break;
            };
            last = Some((next, self.try_at(next, piece).await));
        }
        if behind.is_some() && self.trail.borrow().is_strict(partition) {
            return Asked::Ended(End::Failed(too_old()));
        }
        if let Some(member) = behind {
            // Nobody who can be reached holds what the connection has seen: answer with what there is.
            self.give_up_order(partition);
            let unordered = Piece {
                part: Part {
                    after: Context::default(),
                    ..piece.part.clone()
                },
                ..piece.clone()
            };
            let sent = self.send(member, &[&unordered]).await.pop();
            match sent {
                Some(Tried::Ended(end)) => return Asked::Ended(end),
                Some(Tried::Not(reason)) => refusal = reason.or(refusal),
                Some(Tried::Elsewhere | Tried::Behind) | None => {}
            }
        }
        match refusal {
            Some(refusal) => Asked::Ended(End::Failed(refusal)),
            None => Asked::Nobody { elsewhere },
        }
    }

    /// Waits a moment for a member where one is likely to come: this node has just started and has no links yet, those
    /// who were asked serve other partitions by now and the topology that says so is on its way, or the connection has
    /// seen what is not here. Tells whether it is worth asking again.
    async fn member_comes(&self, piece: &Piece, elsewhere: bool) -> bool {
        let partition = piece.part.partition;
        let epoch = self.node.topology().document.epoch();
        let since = Instant::now();
        while !self.node.wal.is_forgotten() {
            let starts = self.node.started.elapsed() < LINKED_WITHIN;
            let waits = elsewhere || !self.is_fresh(partition);
            let may_come = starts || waits && since.elapsed() < MEMBER_WITHIN;
            if !may_come {
                return false;
            }
            let is_new = !elsewhere || self.node.topology().document.epoch() > epoch;
            if is_new && !self.candidates(partition, piece.route).is_empty() {
                return true;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        false
    }

    async fn try_at(&self, member: NodeId, piece: &Piece) -> Tried {
        if member == self.node.me {
            return self.run_here(piece).await;
        }
        let tried = self.ask(member, &[piece]).await.pop();
        tried.unwrap_or(Tried::Not(None))
    }

    /// Runs a piece at once where it can run here; `None` where it cannot, and nothing was run.
    pub(in crate::client) fn run_now(&self, piece: &Piece) -> Option<End> {
        let refused = piece.access == Access::Writes && self.node.wal.refusal().is_some();
        if refused || !self.is_here(piece.part.partition, piece.route) {
            return None;
        }
        match self.run_part(piece) {
            Tried::Ended(end) => Some(end),
            Tried::Not(_) | Tried::Elsewhere | Tried::Behind => None,
        }
    }

    async fn run_here(&self, piece: &Piece) -> Tried {
        if piece.access == Access::Writes
            && let Some(refusal) = self.node.wal.refusal()
        {
            return Tried::Not(Some(Reply::error(refusal.text())));
        }
        let partition = piece.part.partition;
        if !self.is_fresh(partition) {
            let seen = self.trail.borrow().seen(partition).cloned();
            let seen = seen.unwrap_or_default();
            if !self.node.reach(partition, &seen, CATCH_UP).await {
                if self.trail.borrow().is_strict(partition) {
                    return Tried::Behind;
                }
                self.give_up_order(partition);
            }
        }
        self.run_part(piece)
    }

    /// No member can be reached: this node keeps what is written until one takes it over, and answers by what it has
    /// (replication.md 8).
    fn run_as_guest(&self, piece: &Piece) -> End {
        let partition = piece.part.partition;
        let refusal = self.node.wal.refusal();
        let forgotten = self.node.wal.is_forgotten();
        if let Some(refusal) = refusal.filter(|_| piece.access == Access::Writes || forgotten) {
            return End::Failed(Reply::error(refusal.text()));
        }
        if !self.is_fresh(partition) {
            if self.trail.borrow().is_strict(partition) {
                return End::Failed(too_old());
            }
            self.give_up_order(partition);
        }
        self.node.be_guest(partition);
        bump(&self.node.metrics.guest_commands);
        match self.run_part(piece) {
            Tried::Ended(end) => {
                // What was done here must be found where the next command runs.
                if let Some(own) = self.node.context(partition) {
                    self.trail.borrow_mut().answered(partition, &own);
                }
                end
            }
            Tried::Not(_) | Tried::Elsewhere | Tried::Behind => End::Failed(nobody()),
        }
    }

    fn run_part(&self, piece: &Piece) -> Tried {
        let partition = piece.part.partition;
        match run_part(&self.node, &piece.part) {
            Some(Ran::Replies { replies, dots, .. }) => {
                for run in dots.runs() {
                    let newest = Dot::new(run.actor, run.last);
                    self.trail.borrow_mut().wrote_here(partition, newest);
                }
                Tried::Ended(End::Replies(replies))
            }
            Some(Ran::Changed) => Tried::Ended(End::Changed),
            None => Tried::Not(None),
        }
    }

    /// The connection may not find what it has seen: that is counted, and not waited for again.
    fn give_up_order(&self, partition: PartitionId) {
        bump(&self.node.metrics.session_gaps);
        self.trail.borrow_mut().forget(partition);
    }

    /// Asks a member to run pieces once it holds what it must.
    async fn ask(&self, member: NodeId, pieces: &[&Piece]) -> Vec<Tried> {
        let ordered: Vec<Piece> = pieces.iter().map(|piece| self.ordered(piece)).collect();
        self.send(member, &ordered.iter().collect::<Vec<_>>()).await
    }

    /// The piece, with what the member must hold before.
    fn ordered(&self, piece: &Piece) -> Piece {
        let partition = piece.part.partition;
        let mut piece = piece.clone();
        if let Some(seen) = self.trail.borrow().seen(partition) {
            piece.part.after.join(seen);
        }
        // Conditional commands that go through several nodes decide in one order, and what this node keeps as a guest
        // shows wherever the command runs.
        let is_guest = || self.node.topology().mine(partition).is_none();
        if (piece.route == Route::Home || is_guest())
            && let Some(own) = self.node.context(partition)
        {
            piece.part.after.join(&own);
        }
        piece
    }

    async fn send(&self, member: NodeId, pieces: &[&Piece]) -> Vec<Tried> {
        let node = &self.node;
        for _ in pieces {
            bump(&node.metrics.forwarded);
        }
        let parts = pieces.iter().map(|piece| piece.part.clone()).collect();
        match node.ask_parts(member, parts, FORWARD_TIMEOUT).await {
            Ok(all) => {
                let tried = pieces.iter().zip(all);
                tried
                    .map(|(piece, done)| self.heard(member, piece, done))
                    .collect()
            }
            Err(Unanswered::NotSent) => pieces.iter().map(|_| Tried::Not(None)).collect(),
            Err(Unanswered::Busy) => {
                let busy = |_| Tried::Not(Some(busy(node, member)));
                pieces.iter().map(busy).collect()
            }
            Err(Unanswered::Unknown) => pieces
                .iter()
                .map(|piece| match piece.access {
                    Access::Reads => Tried::Not(None),
                    Access::Writes => {
                        bump(&node.metrics.in_doubt);
                        Tried::Ended(End::Failed(in_doubt(node, member)))
                    }
                })
                .collect(),
        }
    }

    fn heard(&self, member: NodeId, piece: &Piece, done: Done) -> Tried {
        let partition = piece.part.partition;
        let mut trail = self.trail.borrow_mut();
        match done {
            Done::Ran(replies, context) => {
                if replies.len() != piece.part.commands.len() {
                    return Tried::Ended(End::Failed(in_doubt(&self.node, member)));
                }
                trail.answered(partition, &context);
                if piece.access == Access::Writes {
                    trail.wrote_at(partition, member);
                }
                Tried::Ended(End::Replies(replies))
            }
            Done::Failed(reply) => {
                trail.wrote_at(partition, member);
                Tried::Ended(End::Failed(reply))
            }
            Done::Changed => Tried::Ended(End::Changed),
            Done::Behind => Tried::Behind,
            Done::Refused(reply) if is_nobody(&reply) => Tried::Elsewhere,
            Done::Refused(reply) => Tried::Not(Some(reply)),
        }
    }
}

fn in_doubt(node: &Node, member: NodeId) -> Reply {
    Reply::error(format!(
        "INDOUBT the command was sent to {} and no answer came ; it may have been done, read before you repeat it",
        node.topology().name(member)
    ))
}

fn busy(node: &Node, member: NodeId) -> Reply {
    Reply::error(format!(
        "OVERLOADED too many commands wait for {} already ; nothing was done, send fewer at a time",
        node.topology().name(member)
    ))
}

fn too_old() -> Reply {
    Reply::error(
        "BEHIND no member that can be reached holds what this connection must find ; nothing was done, ask again or ask another node",
    )
}

fn is_nobody(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(text) if text.as_bytes().starts_with(b"NOHOME "))
}

fn nobody() -> Reply {
    Reply::error(
        "NOHOME no member that holds this key can be reached from this node ; nothing was done, try another node",
    )
}
