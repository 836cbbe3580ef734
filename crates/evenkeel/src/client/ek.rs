//! Commands beyond Redis: look into a key on every replica, measure and await convergence, break links on purpose.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::command::{Keyspace, ScanRequest, slot};
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_resp::Reply;

use super::run::{Args, Outcome, owned};
use super::server::{ok, text};
use super::session::Session;
use super::{conflicts, divergence, fence, inspect};
use crate::link::fault::Fault;
use crate::node::{Node, Topology, scrubbed_here};

/// How long `EK.AWAIT CONVERGED` waits when it is not told.
const AWAIT_DEFAULT: Duration = Duration::from_secs(10);
/// The longest wait that can be asked for.
const AWAIT_MAX: Duration = Duration::from_secs(3600);
/// The longest delay that can be injected, in milliseconds.
const DELAY_MS_MAX: u64 = 60_000;

pub(super) fn run(session: &mut Session, name: &'static str, args: Args<'_>) -> Outcome {
    let node = Arc::clone(&session.node);
    match name {
        "ek.inspect" => inspect::run(node, args),
        "ek.divergence" => divergence::run(node, args),
        "ek.await" => await_converged(node, args),
        "ek.consistency" => Outcome::Now(session.set_consistency(args)),
        "ek.token" => Outcome::Now(fence::token(session)),
        "ek.after" => fence::after(session, args),
        "ek.topology" => super::topology::run(node, args),
        "ek.conflicts" => Outcome::Now(conflicts::conflicts(&node, args)),
        "ek.siblings" => conflicts::siblings(node, args),
        "ek.fault" => Outcome::Now(fault(&node, args)),
        "ek.scrub" => scrub(node),
        _ => Outcome::Now(Reply::error(format!(
            "UNSUPPORTED {} is for use between nodes only",
            name.to_uppercase()
        ))),
    }
}

/// What another node may ask beside commands on keys.
pub(super) async fn run_inner(node: &Arc<Node>, name: &str, args: Args<'_>) -> Reply {
    match name {
        "ek.inspect" => inspect::here(node, args),
        "ek.siblings" => conflicts::siblings_here(node, args),
        "ek.watchkey" => super::block::watch_key(node, args).await,
        "ek.scrubbed" => scrubbed(node, args),
        _ => Reply::error(format!(
            "UNSUPPORTED {} cannot be forwarded",
            name.to_uppercase()
        )),
    }
}

fn scrubbed(node: &Node, args: Args<'_>) -> Reply {
    let partition = number(args[1]).and_then(|number| u16::try_from(number).ok());
    match partition.filter(|number| *number < crate::config::PARTITIONS) {
        Some(partition) => scrubbed_here(node, PartitionId(partition), &args[2..]),
        None => Reply::error("ERR value is not an integer or out of range"),
    }
}

fn integer(value: u64) -> Reply {
    Reply::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// `EK.AWAIT CONVERGED [timeout-ms]`.
fn await_converged(node: Arc<Node>, args: Args<'_>) -> Outcome {
    if !args[1].eq_ignore_ascii_case(b"CONVERGED") {
        return Outcome::Now(Reply::error(
            "ERR syntax error ; write EK.AWAIT CONVERGED [timeout-ms]",
        ));
    }
    let timeout = match args.get(2).map(|arg| number(arg)) {
        None => AWAIT_DEFAULT,
        Some(Some(ms)) => Duration::from_millis(ms).min(AWAIT_MAX),
        Some(None) => {
            return Outcome::Now(Reply::error("ERR value is not an integer or out of range"));
        }
    };
    Outcome::Later(Box::pin(async move {
        match node.await_converged(timeout).await {
            Ok(()) => ok(),
            Err(behind) => {
                let names: Vec<String> = behind
                    .iter()
                    .map(|node_id| node.topology().name(*node_id))
                    .collect();
                Reply::error(format!(
                    "BEHIND after {} ms {} still lack events or cannot be reached ; wait longer, or see EK.DIVERGENCE",
                    timeout.as_millis(),
                    names.join(", ")
                ))
            }
        }
    }))
}

fn number(arg: &[u8]) -> Option<u64> {
    std::str::from_utf8(arg).ok()?.parse().ok()
}

/// `EK.SCRUB`: counts and compares everything held here now.
fn scrub(node: Arc<Node>) -> Outcome {
    Outcome::Later(Box::pin(async move {
        let found = node.scrub_all().await;
        let list = |keys: Vec<&[u8]>| {
            let keys = keys.into_iter().map(Bytes::copy_from_slice);
            Reply::Array(keys.map(Reply::Bulk).collect())
        };
        let rows = found.iter().map(|(partition, scrubbed)| {
            let repaired = scrubbed.repaired.iter().map(|(key, _)| &key[..]).collect();
            let unresolved = scrubbed.unresolved.iter().map(|key| &key[..]).collect();
            Reply::Map(vec![
                (text("partition"), integer(u64::from(partition.0))),
                (text("repaired"), list(repaired)),
                (text("unresolved"), list(unresolved)),
                (text("unreachable"), Reply::Boolean(scrubbed.unreachable)),
            ])
        });
        Reply::Map(vec![
            (text("partitions"), integer(node.held().count() as u64)),
            (text("damaged"), Reply::Array(rows.collect())),
        ])
    }))
}

/// `EK.FAULT CUT|HEAL peer|* [IN|OUT]`, `EK.FAULT DELAY peer|* min-ms max-ms`, `EK.FAULT DROP peer|* percent`,
/// `EK.FAULT MUTE peer|*`, `EK.FAULT CORRUPT key`.
fn fault(node: &Node, args: Args<'_>) -> Reply {
    if !node.config.fault_injection {
        return Reply::error(
            "NOPERM faults are not allowed on this node ; start it with --fault-injection, never in production",
        );
    }
    if args[1].eq_ignore_ascii_case(b"CORRUPT") && args.len() == 3 {
        return corrupt(node, args[2]);
    }
    let peers = match peers(node, args[2]) {
        Ok(peers) => peers,
        Err(reply) => return reply,
    };
    let change = match parse_fault(args) {
        Ok(change) => change,
        Err(reply) => return reply,
    };
    for peer in peers {
        node.faults.change(peer, &change);
        if let Some(outbox) = node.outbox(peer) {
            outbox.call();
        }
    }
    ok()
}

/// Changes a byte of what this replica holds of a key: what scrubbing is there for.
fn corrupt(node: &Node, key: &[u8]) -> Reply {
    let partition = Topology::partition_of_slot(slot(key));
    match node.with(partition, |replica, _, _| replica.damage(key)) {
        Some(true) => ok(),
        Some(false) => Reply::error("ERR the key has nothing to corrupt here ; it needs a value"),
        None => Reply::error("NOHOME this node holds no replica of the key ; ask a member"),
    }
}

fn peers(node: &Node, name: &[u8]) -> Result<Vec<NodeId>, Reply> {
    if name == b"*" {
        return Ok(node.topology().others().collect());
    }
    let peer = std::str::from_utf8(name)
        .ok()
        .and_then(|name| node.topology().by_name(name));
    let known = peer.filter(|peer| *peer != node.me);
    known.map(|peer| vec![peer]).ok_or_else(|| {
        let others: Vec<String> = node
            .topology()
            .others()
            .map(|peer| node.topology().name(peer))
            .collect();
        Reply::error(format!(
            "ERR '{}' is no peer of this node ; peers: {}",
            name.escape_ascii(),
            others.join(", ")
        ))
    })
}

fn parse_fault(args: Args<'_>) -> Result<impl Fn(&mut Fault) + use<>, Reply> {
    const USAGE: &str = "ERR syntax error ; write EK.FAULT CUT|HEAL peer|* [IN|OUT], DELAY peer|* min-ms max-ms, DROP peer|* percent, MUTE peer|*, or CORRUPT key";
    let usage = || Reply::error(USAGE);
    let what = args[1].to_ascii_lowercase();
    let (inward, outward) = match args.get(3).map(|side| side.to_ascii_lowercase()).as_deref() {
        Some(b"in") => (true, false),
        Some(b"out") => (false, true),
        _ => (true, true),
    };
    let numbers: Option<Vec<u64>> = args[3..].iter().map(|arg| number(arg)).collect();
    let change = match (&what[..], numbers.as_deref()) {
        (b"cut", _) if args.len() <= 4 => Change::Cut {
            inward,
            outward,
            cut: true,
        },
        (b"mute", _) if args.len() == 3 => Change::Mute,
        (b"heal", _) if args.len() == 3 => Change::Heal,
        (b"heal", _) if args.len() == 4 => Change::Cut {
            inward,
            outward,
            cut: false,
        },
        (b"delay", Some([from, to])) if from <= to && *to <= DELAY_MS_MAX => {
            Change::Delay(*from, *to)
        }
        (b"drop", Some([percent])) if *percent <= 100 => {
            Change::Drop(u8::try_from(*percent).map_err(|_| usage())?)
        }
        _ => return Err(usage()),
    };
    Ok(move |fault: &mut Fault| change.apply(fault))
}

#[derive(Clone, Copy)]
enum Change {
    Cut {
        inward: bool,
        outward: bool,
        cut: bool,
    },
    Heal,
    Mute,
    Delay(u64, u64),
    Drop(u8),
}

impl Change {
    fn apply(self, fault: &mut Fault) {
        match self {
            Self::Cut {
                inward,
                outward,
                cut,
            } => {
                fault.cut_in = if inward { cut } else { fault.cut_in };
                fault.cut_out = if outward { cut } else { fault.cut_out };
            }
            Self::Heal => *fault = Fault::default(),
            Self::Mute => fault.mute = true,
            Self::Delay(from, to) => fault.delay_ms = (to > 0).then_some((from, to)),
            Self::Drop(percent) => fault.drop_percent = percent,
        }
    }
}

/// A place in a SCAN over all partitions: the partition in the upper 8 bits, the place in it in the lower 56.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cursor {
    partition: PartitionId,
    place: u64,
}

const PLACE_BITS: u32 = 56;

impl Cursor {
    /// The place that a client's number names; `None` when it names none.
    pub(super) fn of(number: u64) -> Option<Self> {
        let partition = u16::try_from(number >> PLACE_BITS)
            .ok()
            .filter(|at| *at < crate::config::PARTITIONS)?;
        Some(Self {
            partition: PartitionId(partition),
            place: number & ((1 << PLACE_BITS) - 1),
        })
    }

    /// The number that a client gets; never 0, which means the end.
    pub(super) fn number(self) -> u64 {
        u64::from(self.partition.0) << PLACE_BITS | self.place
    }

    fn next_partition(self) -> Option<Self> {
        let next = self.partition.0 + 1;
        (next < crate::config::PARTITIONS).then_some(Self {
            partition: PartitionId(next),
            place: 0,
        })
    }
}

/// One step of a SCAN.
pub(super) struct Step {
    pub(super) keys: Vec<Reply>,
    /// How many keys were looked at: with a filter, more than there are in `keys`.
    pub(super) looked_at: usize,
    /// Where to go on, unless this was the end.
    pub(super) next: Option<Cursor>,
}

/// Takes one step of a SCAN.
pub(super) async fn scan_step(
    node: &Arc<Node>,
    cursor: Cursor,
    count: usize,
    args: Args<'_>,
) -> Result<Step, Reply> {
    let reply = if node.topology().serves(cursor.partition) {
        scan_part(node, cursor, count, args)
    } else {
        let head = [
            "EK.PARTITION".to_owned(),
            cursor.partition.0.to_string(),
            "SCAN".to_owned(),
            cursor.number().to_string(),
        ];
        let asked = head
            .into_iter()
            .map(Bytes::from)
            .chain(owned(&args[2..]))
            .collect();
        super::run::forward_read(node, cursor.partition, asked).await
    };
    let Reply::Array(parts) = reply else {
        return Err(reply);
    };
    step_of(parts, cursor)
        .ok_or_else(|| Reply::error("ERR a member answered SCAN in an unknown form"))
}

/// Reads what [`scan_part`] has answered.
fn step_of(parts: Vec<Reply>, cursor: Cursor) -> Option<Step> {
    let parts: [Reply; 3] = parts.try_into().ok()?;
    let [
        Reply::Bulk(next),
        Reply::Array(keys),
        Reply::Integer(looked_at),
    ] = parts
    else {
        return None;
    };
    let next = Cursor::of(number(&next)?)?;
    Some(Step {
        keys,
        looked_at: usize::try_from(looked_at).ok()?,
        next: if next.place == 0 {
            cursor.next_partition()
        } else {
            Some(next)
        },
    })
}

/// SCAN within one partition, asked by another node.
pub(super) fn scan_here(node: &Node, partition: PartitionId, args: Args<'_>) -> Reply {
    match args.get(1).and_then(|arg| number(arg)).and_then(Cursor::of) {
        Some(cursor) if cursor.partition == partition => scan_part(node, cursor, usize::MAX, args),
        _ => Reply::error("ERR invalid cursor"),
    }
}

fn scan_part(node: &Node, cursor: Cursor, count: usize, args: Args<'_>) -> Reply {
    let request = match ScanRequest::parse(args) {
        Ok(request) => request,
        Err(reply) => return reply,
    };
    let count = count.min(request.count).max(1);
    let page = node.with(cursor.partition, |replica, now, effects| {
        Keyspace::new(replica, now, crate::entropy::chance(), effects).scan(
            cursor.place,
            count,
            request.filter,
        )
    });
    let Some(page) = page else {
        return Reply::error("NOHOME this node holds no replica of the partition");
    };
    let next = Cursor {
        partition: cursor.partition,
        place: page.next.unwrap_or(0),
    };
    let keys = page
        .keys
        .into_iter()
        .map(|key| Reply::Bulk(Bytes::from(Vec::from(key))));
    Reply::Array(vec![
        text(next.number().to_string()),
        Reply::Array(keys.collect()),
        integer(page.looked_at as u64),
    ])
}
