//! Running what was queued.
//!
//! The queue is cut into units: neighbours on the keys of one partition, which run under its lock at its home as one
//! batch. Commands about no key belong to the unit around them and run at the client's node behind it; commands over
//! all partitions or over keys of several are units of their own. Units run in order; each is atomic, all of them are
//! not. Watched keys are compared before anything runs: under the lock of the first unit where they are of its
//! partition.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use evenkeel_core::command::{Run, lookup};
use evenkeel_core::id::PartitionId;
use evenkeel_resp::{Reply, ReplyDecoder, ReplyLimits};

use super::{Queued, states_of};
use crate::client::run::{
    Access, Args, Caller, End, Later, Outcome, Piece, Route, only_partition, partition_of,
};
use crate::client::session::Session;
use crate::client::watch::{note_queued, run_watched, show};
use crate::node::Part;

/// A transaction that is run.
pub(in crate::client) struct Exec {
    queue: Vec<Queued>,
    units: Vec<Unit>,
    /// Watched keys of other partitions than the first unit's.
    watched_elsewhere: Vec<(PartitionId, Vec<(Bytes, u128)>)>,
    replies: Vec<Option<Reply>>,
    /// A command at the client's node that has begun and waits.
    waiting: Option<(usize, Later)>,
    /// EXEC as the client wrote it.
    name: Bytes,
}

#[derive(Default)]
struct Unit {
    /// The piece for the commands on the partition, where there are some.
    piece: Option<Piece>,
    keyed: Vec<usize>,
    /// Run behind them, at the client's node.
    alone: VecDeque<usize>,
    /// Whether another command on a partition may join: nothing in it looks at other partitions.
    is_open: bool,
}

impl Exec {
    pub(super) fn new(
        caller: &Caller,
        name: Bytes,
        queue: Vec<Queued>,
        watched: Vec<(Bytes, u128)>,
    ) -> Self {
        let mut units = Vec::new();
        for (at, queued) in queue.iter().enumerate() {
            let args = queued.borrowed();
            match queued.partition(&args) {
                Some(partition) => add_keyed(&mut units, caller, (at, partition), queued),
                None => add_alone(&mut units, at, queued),
            }
        }
        let mut exec = Self {
            replies: queue.iter().map(|_| None).collect(),
            queue,
            units,
            watched_elsewhere: Vec::new(),
            waiting: None,
            name,
        };
        exec.place_watched(caller, watched);
        exec
    }

    /// Gives watched keys to the first unit, where they are of its partition.
    fn place_watched(&mut self, caller: &Caller, watched: Vec<(Bytes, u128)>) {
        for (key, state) in watched {
            let partition = partition_of(&key);
            let first = self.units.first_mut().and_then(|unit| unit.piece.as_mut());
            if let Some(piece) = first.filter(|piece| piece.part.partition == partition) {
                piece.part.watched.push((key, state));
                piece.route = caller.conditional_route();
                continue;
            }
            let mut others = self.watched_elsewhere.iter_mut();
            match others.find(|(other, _)| *other == partition) {
                Some((_, keys)) => keys.push((key, state)),
                None => self.watched_elsewhere.push((partition, vec![(key, state)])),
            }
        }
    }

    /// Runs it at once where it is one unit that can run here; `None` where it has to wait, then [`Self::run`] goes on.
    pub(super) fn run_now(&mut self, session: &mut Session) -> Option<Reply> {
        if self.units.len() > 1 || !self.watched_elsewhere.is_empty() {
            return None;
        }
        let piece = self.units.first_mut().and_then(|unit| unit.piece.take());
        if let Some(piece) = piece {
            let Some(end) = session.caller.run_now(&piece) else {
                self.units[0].piece = Some(piece);
                return None;
            };
            session.wrote_in_turn |= piece.access == Access::Writes;
            if let Some(reply) = self.note(0, end) {
                return Some(reply);
            }
        }
        if self.units.is_empty() || self.run_alone(session, 0) {
            return Some(self.reply(session));
        }
        None
    }

    /// Runs it, or what of it [`Self::run_now`] has left.
    pub(in crate::client) async fn run(&mut self, session: &mut Session) -> Reply {
        let reply = self.run_in_order(session).await;
        if let Some(spec) = lookup(&self.name) {
            show(session, spec, &[&self.name]);
        }
        reply
    }

    async fn run_in_order(&mut self, session: &mut Session) -> Reply {
        match self.has_changed(&session.caller).await {
            Ok(false) => {}
            Ok(true) => return Reply::NullArray,
            Err(reply) => return reply,
        }
        let mut at = 0;
        while at < self.units.len() {
            let together = self.together(&session.caller, at);
            if let Some(reply) = self.run_units(session, at..at + together).await {
                return reply;
            }
            at += together;
        }
        self.reply(session)
    }

    fn reply(&mut self, session: &Session) -> Reply {
        for (at, unit) in self.queue.iter().zip(&self.replies) {
            // What ran at the client's node was noted when it ran.
            if let Some(reply) = unit
                .as_ref()
                .filter(|_| at.partition(&at.borrowed()).is_some())
            {
                note_queued(session, &at.borrowed(), reply);
            }
        }
        let replies = std::mem::take(&mut self.replies).into_iter();
        Reply::Array(replies.map(|reply| reply.unwrap_or(Reply::Null)).collect())
    }

    /// Whether a watched key outside of the first unit has changed.
    async fn has_changed(&self, caller: &Caller) -> Result<bool, Reply> {
        if self.watched_elsewhere.is_empty() {
            return Ok(false);
        }
        let keys = self.watched_elsewhere.iter();
        let keys = keys.map(|(partition, keys)| {
            let keys = keys.iter().map(|(key, _)| key.clone());
            (*partition, keys.collect())
        });
        let now = states_of(caller, keys.collect()).await?;
        let before = self.watched_elsewhere.iter().flat_map(|(_, keys)| keys);
        Ok(now.iter().zip(before).any(|(now, before)| now != before))
    }

    /// How many units from `at` on go to one node in one request: none but the last may have commands behind it.
    fn together(&self, caller: &Caller, at: usize) -> usize {
        let target = |unit: &Unit| unit.piece.as_ref().and_then(|piece| caller.target(piece));
        let first = target(&self.units[at]);
        let mut count = 1;
        while first.is_some()
            && self.units[at + count - 1].alone.is_empty()
            && self
                .units
                .get(at + count)
                .is_some_and(|next| target(next) == first)
        {
            count += 1;
        }
        count
    }

    /// Runs neighbouring units; gives the reply to the whole transaction when it ends here.
    async fn run_units(&mut self, session: &mut Session, range: Range<usize>) -> Option<Reply> {
        let with_piece: Vec<usize> = range
            .clone()
            .filter(|at| self.units[*at].piece.is_some())
            .collect();
        let pieces = with_piece.iter();
        let pieces: Vec<Piece> = pieces
            .filter_map(|at| self.units[*at].piece.take())
            .collect();
        session.wrote_in_turn |= pieces.iter().any(|piece| piece.access == Access::Writes);
        let ends = session.caller.run_pieces(pieces).await;
        for (at, end) in with_piece.into_iter().zip(ends) {
            if let Some(reply) = self.note(at, end) {
                return Some(reply);
            }
        }
        let last = range.end - 1;
        loop {
            if let Some((at, later)) = self.waiting.take() {
                self.replies[at] = Some(later.await);
            }
            if self.run_alone(session, last) {
                return None;
            }
        }
    }

    /// Notes what came of a unit's piece; gives the reply to the whole transaction when it ends here.
    fn note(&mut self, unit: usize, end: End) -> Option<Reply> {
        let only = self.units.len() == 1;
        let places = self.units[unit].keyed.iter();
        match end {
            End::Replies(found) => {
                for (at, reply) in places.zip(found) {
                    self.replies[*at] = Some(reply);
                }
            }
            End::Changed => return Some(Reply::NullArray),
            End::Failed(reply) if only => return Some(reply),
            End::Failed(reply) => {
                for at in places {
                    self.replies[*at] = Some(reply.clone());
                }
            }
        }
        None
    }

    /// Runs what of a unit runs at the client's node; tells whether that is done, or has to wait for
    /// [`Self::waiting`].
    fn run_alone(&mut self, session: &mut Session, unit: usize) -> bool {
        while let Some(at) = self.units[unit].alone.pop_front() {
            match start_alone(session, &self.queue[at]) {
                Ok(reply) => self.replies[at] = Some(reply),
                Err(later) => {
                    self.waiting = Some((at, later));
                    return false;
                }
            }
        }
        true
    }
}

impl Queued {
    pub(super) fn borrowed(&self) -> Vec<&[u8]> {
        self.args.iter().map(|arg| &arg[..]).collect()
    }

    /// The partition under whose lock it can run whole.
    fn partition(&self, args: Args<'_>) -> Option<PartitionId> {
        match self.spec.run {
            Run::Shell | Run::Scan | Run::OnEveryPartition { .. } => None,
            Run::OnKey(_) | Run::OnEachKey { .. } | Run::Rounds(_) | Run::Blocking(_) => {
                only_partition(self.spec, args)
            }
        }
    }
}

fn add_keyed(
    units: &mut Vec<Unit>,
    caller: &Caller,
    (at, partition): (usize, PartitionId),
    queued: &Queued,
) {
    let joins = units.last().is_some_and(|unit| {
        let piece = unit.piece.as_ref();
        unit.is_open && piece.is_none_or(|piece| piece.part.partition == partition)
    });
    if !joins {
        units.push(Unit {
            is_open: true,
            ..Unit::default()
        });
    }
    let Some(unit) = units.last_mut() else {
        return;
    };
    let piece = unit.piece.get_or_insert_with(|| Piece {
        part: Part {
            partition,
            ..Part::default()
        },
        route: Route::Near,
        access: Access::Reads,
    });
    piece.part.commands.push(queued.args.clone());
    piece.access = piece.access.max(Access::of(queued.spec));
    if piece.access == Access::Writes {
        // What it reads, it may have decided by.
        piece.route = caller.conditional_route();
    }
    unit.keyed.push(at);
}

fn add_alone(units: &mut Vec<Unit>, at: usize, queued: &Queued) {
    // What is about no key can wait for the end of the unit that it is in.
    let keyless = matches!(queued.spec.run, Run::Shell) && queued.spec.keys.first == 0;
    let joins = keyless && units.last().is_some_and(|unit| unit.is_open);
    if !joins {
        units.push(Unit {
            is_open: keyless,
            ..Unit::default()
        });
    }
    if let Some(unit) = units.last_mut() {
        unit.alone.push_back(at);
    }
}

/// Runs a command at the client's node as if it came by itself, but for its waiting; an error is what must be waited for.
fn start_alone(session: &mut Session, queued: &Queued) -> Result<Reply, Later> {
    let mut args = queued.borrowed();
    match queued.spec.name {
        // Nothing in a transaction blocks: they tell what is reached now.
        "wait" => args[1..].copy_from_slice(&[b"0", b"1"]),
        "waitaof" => args[1..].copy_from_slice(&[b"0", b"0", b"1"]),
        "ek.await" => {
            args.truncate(2);
            args.push(b"0");
        }
        _ => {}
    }
    match run_watched(session, &args, Instant::now()).0 {
        Outcome::Now(reply) | Outcome::Close(reply) => Ok(reply),
        Outcome::Later(later) => Err(later),
        Outcome::Blocked(blocked) => Err(Box::pin(blocked.at_once())),
        Outcome::Posted => Ok(posted(session)),
        Outcome::Exec(_) => Ok(Reply::error("ERR EXEC inside EXEC")),
    }
}

/// The confirmation of a subscription, which waits among the connection's messages.
fn posted(session: &Session) -> Reply {
    let mut messages = Vec::new();
    session.connected.take(&mut messages, usize::MAX);
    let mut messages = BytesMut::from(&messages[..]);
    let mut decoder = ReplyDecoder::new(ReplyLimits::default());
    let mut replies = Vec::new();
    while let Ok(Some(reply)) = decoder.decode(&mut messages) {
        replies.push(reply);
    }
    if replies.len() == 1 {
        return replies.remove(0);
    }
    Reply::Array(replies)
}
