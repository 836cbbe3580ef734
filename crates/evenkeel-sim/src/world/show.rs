//! What people see of a run: the columns of the trace, and every node's view when a check fails.

use std::fmt::Write as _;

use evenkeel_core::event::Op;
use evenkeel_core::membership::Member;
use evenkeel_core::message::Message;
use evenkeel_core::partition::{Effect, Input, Reply, Write};
use evenkeel_core::types::CellRef;
use evenkeel_core::wire::decode;

use super::World;
use crate::universe::CellNo;

/// The event and what it is about.
pub(super) fn input(input: &Input) -> (String, String) {
    match input {
        Input::Write { writes, acks, .. } => {
            let writes: Vec<String> = writes.iter().map(write).collect();
            let durable = if acks.durable { " durable" } else { "" };
            let acks = format!(" (acks {}{durable})", acks.members);
            ("write".to_owned(), writes.join(", ") + &acks)
        }
        Input::Read {
            cell,
            replicas,
            after,
            ..
        } => {
            let after = if after.is_empty() { "" } else { " after token" };
            ("read".to_owned(), format!("{cell} from {replicas}{after}"))
        }
        Input::Await { acks, .. } => ("await".to_owned(), format!("{} members", acks.members)),
        Input::Members { epoch, members } => {
            let show = |member: &Member| format!("{} {:?}", member.node, member.state);
            let members: Vec<String> = members.iter().map(show).collect();
            (
                "members".to_owned(),
                format!("{epoch}: {}", members.join(", ")),
            )
        }
        Input::Frame { from, frame } => {
            let (kind, about) = message(frame);
            (kind, format!("from {from} {about}"))
        }
        Input::Durable(dots) => ("durable".to_owned(), dots.to_string()),
        Input::PeerUp { peer, incarnation } => {
            ("peer up".to_owned(), format!("{peer} as {incarnation}"))
        }
        Input::PeerDown { peer } => ("peer down".to_owned(), peer.to_string()),
        Input::Tick => ("tick".to_owned(), String::new()),
    }
}

fn write(write: &Write) -> String {
    match write {
        Write::Set { cell, .. } => format!("set {cell}"),
        Write::Remove { cell } => format!("remove {cell}"),
        Write::Expire { cell, .. } => format!("expire {cell}"),
        Write::Add { cell, amount, .. } => format!("add {amount:?} to {cell}"),
        Write::Clear { range } => format!("clear {range}"),
    }
}

fn op(op: &Op) -> String {
    match op {
        Op::Put(put) => format!("put {}", put.cell),
        Op::Rem(rem) => format!("rem {}", rem.cell),
        Op::Inc(inc) => format!("inc {}", inc.cell),
        Op::RangeDel(del) => format!("del {}", del.range),
    }
}

/// The kind of a frame and what it is about.
fn message(frame: &[u8]) -> (String, String) {
    let Ok((head, message)) = decode(frame) else {
        return ("unreadable".to_owned(), String::new());
    };
    let sender = head.sender;
    let (kind, about) = match message {
        Message::Delta(batch) => {
            let ops: Vec<String> = batch.ops.iter().map(op).collect();
            ("delta", format!("{}: {}", batch.first, ops.join(", ")))
        }
        Message::Advert(advert) => ("advert", format!("{} + {}", advert.durable, advert.tail)),
        Message::AdvertRequest => ("advert wanted", String::new()),
        Message::SyncRequest { context, .. } => ("sync request", context.to_string()),
        Message::SyncAnswer(answer) => {
            let units: Vec<String> = answer
                .units
                .iter()
                .map(|unit| format!("{} {}", unit.cell, unit.covered))
                .collect();
            let about = format!(
                "{} ranges, units [{}]",
                answer.ranges.len(),
                units.join(", ")
            );
            ("sync answer", about)
        }
        Message::NeedSnapshot { .. } => ("need snapshot", String::new()),
        Message::SnapshotRequest { index, .. } => ("chunk request", index.to_string()),
        Message::SnapshotChunk(chunk) => ("chunk", format!("{} of {}", chunk.index, chunk.context)),
        Message::SnapshotRefused { .. } => ("refused", String::new()),
        Message::ReadRequest { cell, .. } => ("read request", cell.to_string()),
        Message::ReadAnswer { unit, .. } => ("read answer", unit.cell.to_string()),
    };
    (kind.to_owned(), format!("({sender}) {about}"))
}

/// What came of it.
pub(super) fn effects(effects: &[Effect]) -> String {
    let mut out = String::new();
    for effect in effects {
        let _ = match effect {
            Effect::Persist { dots, .. } => write!(out, "log {dots}; "),
            Effect::Send { to, frame } => write!(out, "{} to {to}; ", message(frame).0),
            Effect::Reply {
                ticket,
                reply: answer,
            } => write!(out, "{} #{}; ", reply(answer), ticket.0),
            Effect::Changed { key } => write!(out, "changed {}; ", key.escape_ascii()),
            Effect::Discard(_) => continue,
            Effect::Observe(observation) => write!(out, "{observation:?}; "),
        };
    }
    out
}

const fn reply(reply: &Reply) -> &'static str {
    match reply {
        Reply::Written { .. } => "written",
        Reply::Unmet { .. } => "unmet",
        Reply::Value { .. } => "value",
        Reply::Behind { .. } => "behind",
        Reply::Reached { .. } => "reached",
        Reply::Overloaded { .. } => "overloaded",
    }
}

fn cell(cell: Option<CellRef<'_>>) -> String {
    let Some(cell) = cell else {
        return "nothing".to_owned();
    };
    let mut out = String::from("versions [");
    for version in cell.versions() {
        let _ = write!(out, " {}", version.dot);
    }
    out.push_str(" ] chains [");
    for chain in cell.chains() {
        let _ = write!(
            out,
            " {}/{} top {}={:?} base {}={:?}",
            chain.id.actor,
            chain.id.birth,
            chain.top.n,
            chain.top.total,
            chain.base.n,
            chain.base.total
        );
    }
    out.push_str(" ]");
    if let Some(pre) = cell.pre() {
        let _ = write!(out, " overlay {pre}");
    }
    out
}

impl World {
    /// Adds a line to the trace when the watched cell has changed at a node.
    pub(super) fn show_watched(&mut self, at: usize) {
        let Some(number) = self.watched else { return };
        let id = self.checker.history.universe.id(number);
        let partition = self.nodes[at].partition.as_ref();
        let shown = cell(partition.and_then(|partition| partition.replica().cell(id)));
        if self.nodes[at].shown != shown {
            self.note(Some(at), "cell", &shown);
            self.nodes[at].shown = shown;
        }
    }

    /// How the nodes see things, and the cell in question.
    pub(super) fn views(&mut self, about: Option<CellNo>) -> String {
        let mut out = String::new();
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            let state = match (&node.partition, node.lost) {
                (Some(_), _) if node.paused => "paused",
                (Some(_), _) => "up",
                (None, true) => "lost",
                (None, false) => "down",
            };
            let _ = writeln!(out, "  {} {state}, actor {}", node.id, node.actor);
            let Some(partition) = &node.partition else {
                continue;
            };
            let replica = partition.replica();
            let _ = writeln!(out, "    context {}", replica.context());
            for (range, dots) in replica.masks() {
                let _ = writeln!(out, "    mask    {range} {dots}");
            }
            if let Some(number) = about {
                let id = self.checker.history.universe.id(number).clone();
                let _ = writeln!(out, "    {id} has   {}", cell(replica.cell(&id)));
                let _ = writeln!(out, "    {id} wants {}", self.checker.wanted(at, number));
            }
        }
        out
    }
}
