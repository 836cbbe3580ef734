//! Commands that wait until a key has something (BLPOP and its like).
//!
//! The command's rounds run as any command's, at the home; while their reply is null the client waits at the node that
//! it is connected to, which hears of changes from its own partitions, whoever made them. Invariants: nothing is
//! taken before the connection was seen to be open, and what was taken at another node for a client that has gone in
//! between is put back. What can be lost is a reply that is under way when the connection breaks, as with any pop.

use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use evenkeel_core::command::{Blocking, Keyspace, Spec, Wait};
use evenkeel_core::types::Kind;
use evenkeel_resp::Reply;
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::connected::Connected;
use super::connection::write_messages;
use super::run::{Args, Caller, Later, Outcome, call_for, owned, partition_of, rounds, rounds_for};
use super::session::Session;
use crate::node::{Awaited, Call, Node, Unblock, Waiter};

/// What is read ahead of a client that is blocked. More stays in the socket.
const READ_AHEAD_BYTES: usize = 16 << 10;
/// How soon an attempt is repeated when a key shows something here and the home gave nothing: what it gave to others is
/// on its way here. Doubled up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_millis(640);
/// How long a member that holds a key is asked to watch it, before it is asked again.
const WATCH: Duration = Duration::from_secs(4);
/// How much longer than that its answer may be under way.
const WATCH_GRACE: Duration = Duration::from_secs(1);

/// A client that waits.
pub(super) struct Blocked {
    caller: Caller,
    spec: &'static Spec,
    blocking: Blocking,
    args: Vec<Bytes>,
    wait: Wait,
    place: Place,
    until: Option<Instant>,
    /// An attempt that has begun.
    begun: Option<Later>,
    /// Nothing was tried yet: all keys are tried, whatever they show here.
    untried: bool,
    /// After an attempt in vain: when the next one may be, and how long the rest after that.
    rests_until: Option<Instant>,
    rest: Duration,
}

/// A place in the queues of its keys, given up when it is dropped.
struct Place {
    node: Arc<Node>,
    awaited: Vec<Awaited>,
    waiter: Arc<Waiter>,
}

impl Place {
    fn take(node: &Arc<Node>, client: u64, awaited: Vec<Awaited>) -> Self {
        // The partitions watch before the place is taken: no change falls in between.
        for (_, key) in &awaited {
            node.with(partition_of(key), |partition, _, _| {
                partition.await_key(key);
            });
        }
        Self {
            waiter: node.waiters.enter(client, &awaited),
            node: Arc::clone(node),
            awaited,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for (_, key) in &self.awaited {
            self.node.with(partition_of(key), |partition, _, _| {
                partition.forget_key(key);
            });
        }
        self.node.waiters.leave(&self.waiter, &self.awaited);
    }
}

/// Runs a command that may wait: at once where it can, else it becomes [`Blocked`].
pub(super) fn run(
    session: &mut Session,
    spec: &'static Spec,
    args: Args<'_>,
    blocking: Blocking,
) -> Outcome {
    let wait = match (blocking.wait)(args) {
        Ok(wait) => wait,
        Err(reply) => return Outcome::Now(reply),
    };
    let keys = args[wait.keys.clone()].iter();
    let awaited: Vec<Awaited> = keys
        .map(|key| (wait.kind, Bytes::copy_from_slice(key)))
        .collect();
    let mut begun = None;
    // Who waits already comes first.
    let untried = !session.node.waiters.are_free(&awaited);
    if !untried {
        match rounds(session, spec, args, blocking.step) {
            Outcome::Now(reply) if is_null(&reply) => {}
            Outcome::Later(later) => begun = Some(later),
            outcome => return outcome,
        }
    }
    let until = wait.timeout_ms.map(Duration::from_millis);
    Outcome::Blocked(Box::new(Blocked {
        caller: session.caller.clone(),
        spec,
        blocking,
        args: owned(args),
        place: Place::take(&session.node, session.id, awaited),
        wait,
        until: until.and_then(|wait| Instant::now().checked_add(wait)),
        begun,
        untried,
        rests_until: None,
        rest: RETRY_MIN,
    }))
}

fn is_null(reply: &Reply) -> bool {
    matches!(reply, Reply::Null | Reply::NullArray)
}

/// What a blocked client is woken for.
enum Woken {
    /// Try these keys, given by their places.
    Try(Vec<usize>),
    /// It waits no more.
    End(Reply),
}

impl Blocked {
    fn node(&self) -> &Arc<Node> {
        &self.place.node
    }

    /// Waits until there is something to do. May be given up and begun again.
    async fn woken(&mut self) -> Woken {
        loop {
            let mut is_away = false;
            let call = tokio::select! {
                call = self.place.waiter.called() => {
                    self.rest = RETRY_MIN;
                    call
                }
                () = at(self.rests_until) => Call::Look,
                () = self.elsewhere(), if self.rests_until.is_none() => {
                    is_away = true;
                    Call::Look
                }
                () = at(self.until) => Call::End(Unblock::Timeout),
            };
            self.rests_until = None;
            match call {
                Call::End(Unblock::Timeout) => return Woken::End(Reply::NullArray),
                Call::End(Unblock::Error) => {
                    return Woken::End(Reply::error(
                        "UNBLOCKED client unblocked via CLIENT UNBLOCK",
                    ));
                }
                Call::Look => {
                    let keys = self.worth_trying(is_away);
                    if !keys.is_empty() {
                        return Woken::Try(keys);
                    }
                }
            }
        }
    }

    /// The keys that show something here, those held elsewhere where `away` says so; all of them the first time.
    fn worth_trying(&mut self, away: bool) -> Vec<usize> {
        let all = std::mem::take(&mut self.untried);
        let shows = |key| shows(self.node(), key, self.wait.kind).unwrap_or(away);
        let keys = self.wait.keys.clone();
        keys.filter(|at| all || shows(&self.args[*at])).collect()
    }

    /// Waits until a member says that a key which is not held here has something; for ever where all are held here.
    async fn elsewhere(&self) {
        let node = self.node();
        let keys = self.wait.keys.clone().map(|at| self.args[at].clone());
        let away: Vec<Bytes> = keys
            .filter(|key| !node.topology().serves(partition_of(key)))
            .collect();
        if away.is_empty() {
            std::future::pending::<()>().await;
        }
        let watches = away
            .into_iter()
            .map(|key| watched(node, key, self.wait.kind));
        first_of(watches.map(Box::pin).collect()).await;
    }

    /// Runs the command for some of its keys; ends the run that has begun, where one has.
    async fn tried(&mut self, keys: &[usize]) -> Reply {
        if let Some(begun) = self.begun.take() {
            return begun.await;
        }
        let borrowed: Vec<&[u8]> = self.args.iter().map(|arg| &arg[..]).collect();
        let narrowed = self.wait.narrowed(&borrowed, keys);
        rounds_for(&self.caller, self.spec, narrowed, self.blocking.step).await
    }

    /// The reply where nothing may block: in a transaction, and without a connection.
    pub(super) async fn at_once(mut self: Box<Self>) -> Reply {
        let keys: Vec<usize> = self.wait.keys.clone().collect();
        self.tried(&keys).await
    }

    /// Runs the command for keys that have something; `None` when it was in vain.
    async fn attempt(&mut self, keys: &[usize]) -> Option<Reply> {
        let reply = self.tried(keys).await;
        if !is_null(&reply) {
            return Some(reply);
        }
        self.rests_until = Some(Instant::now() + self.rest);
        self.rest = (self.rest * 2).min(RETRY_MAX);
        None
    }

    /// The reply, or `None` when the client has gone: then what was taken for it is put back.
    async fn handed_over(&self, reply: Reply, stream: &TcpStream) -> Option<Reply> {
        if has_gone(stream) {
            self.undo(&reply).await;
            return None;
        }
        Some(reply)
    }

    /// Puts back what was taken for a client that has gone.
    async fn undo(&self, reply: &Reply) {
        let borrowed: Vec<&[u8]> = self.args.iter().map(|arg| &arg[..]).collect();
        let Some(call) = (self.blocking.undo)(&borrowed, reply) else {
            return;
        };
        let answer = call_for(&self.caller, call).await;
        if let Reply::Error(_) = answer {
            tracing::warn!(
                ?answer,
                "what a client that has gone was to get could not be put back"
            );
        }
        self.node().end_turn();
    }
}

/// Waits for an instant; for ever without one.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Runs futures until the first one ends.
async fn first_of<F: Future<Output = ()> + Unpin>(mut futures: Vec<F>) {
    std::future::poll_fn(|context| {
        let mut polls = futures
            .iter_mut()
            .map(|future| std::pin::Pin::new(future).poll(context).is_ready());
        if polls.any(|ready| ready) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// Whether a key shows something of a kind; `None` where it is not held here.
fn shows(node: &Node, key: &[u8], kind: Kind) -> Option<bool> {
    node.with(partition_of(key), |partition, now, effects| {
        Keyspace::new(partition, now, crate::entropy::chance(), effects).shows(key, kind)
    })
}

/// Waits until a member says that a key has something.
async fn watched(node: &Arc<Node>, key: Bytes, kind: Kind) {
    let command = [
        Bytes::from_static(b"EK.WATCHKEY"),
        Bytes::from(kind.code().to_string()),
        Bytes::from(WATCH.as_millis().to_string()),
        key.clone(),
    ];
    loop {
        let partition = partition_of(&key);
        let member = node
            .topology()
            .replicas(partition)
            .into_iter()
            .find(|member| node.is_live(*member));
        if let Some(member) = member {
            let asked = node.ask_command(member, command.to_vec(), WATCH + WATCH_GRACE);
            match asked.await {
                Ok(Reply::Integer(1)) => return,
                Ok(Reply::Integer(_)) => continue,
                Ok(_) | Err(_) => {}
            }
        }
        tokio::time::sleep(RETRY_MAX).await;
    }
}

/// `EK.WATCHKEY kind timeout-ms key`, between nodes: 1 as soon as the key shows something, 0 when it did not in time.
pub(super) async fn watch_key(node: &Arc<Node>, args: Args<'_>) -> Reply {
    let number = |at: usize| -> Option<u64> { std::str::from_utf8(args[at]).ok()?.parse().ok() };
    let kind = number(1)
        .and_then(|code| u8::try_from(code).ok())
        .and_then(Kind::from_code);
    let (Some(kind), Some(ms)) = (kind, number(2)) else {
        return Reply::error("ERR value is not an integer or out of range");
    };
    let key = Bytes::copy_from_slice(args[3]);
    let until = Instant::now() + Duration::from_millis(ms).min(WATCH);
    let place = Place::take(node, node.next_id(), vec![(kind, key.clone())]);
    loop {
        if shows(node, &key, kind).unwrap_or(true) {
            return Reply::Integer(1);
        }
        tokio::select! {
            _ = place.waiter.called() => {}
            () = sleep_until(until) => return Reply::Integer(0),
        }
    }
}

/// CLIENT UNBLOCK: ends another client's waiting.
pub(super) fn unblock(session: &Session, id: &[u8], why: Option<&[u8]>) -> Reply {
    let how = match why.map(<[u8]>::to_ascii_uppercase).as_deref() {
        None | Some(b"TIMEOUT") => Unblock::Timeout,
        Some(b"ERROR") => Unblock::Error,
        Some(_) => {
            return Reply::error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        }
    };
    let id = std::str::from_utf8(id)
        .ok()
        .and_then(|id| id.parse::<i64>().ok());
    let Some(id) = id else {
        return Reply::error("ERR value is not an integer or out of range");
    };
    let waited = u64::try_from(id).is_ok_and(|id| session.node.waiters.unblock(id, how));
    Reply::Integer(i64::from(waited))
}

/// Keeps a client blocked until there is a reply for it; `None` when it has gone. What it sends meanwhile is kept.
pub(super) async fn hold(
    connected: &Connected,
    mut blocked: Box<Blocked>,
    stream: &mut TcpStream,
    input: &mut BytesMut,
) -> Option<Reply> {
    if blocked.begun.is_some()
        && let Some(reply) = blocked.attempt(&[]).await
    {
        return blocked.handed_over(reply, stream).await;
    }
    loop {
        let room = READ_AHEAD_BYTES.saturating_sub(input.len());
        input.reserve(room);
        let woken = tokio::select! {
            biased;
            read = stream.read_buf(input), if room > 0 => match read {
                Ok(0) | Err(_) => return None,
                Ok(_) => continue,
            },
            () = connected.called() => {
                write_messages(connected, stream, &mut Vec::new()).await.ok()?;
                continue;
            }
            woken = blocked.woken() => woken,
        };
        let keys = match woken {
            Woken::End(reply) => return Some(reply),
            Woken::Try(keys) => keys,
        };
        if has_gone(stream) {
            return None;
        }
        if let Some(reply) = blocked.attempt(&keys).await {
            return blocked.handed_over(reply, stream).await;
        }
    }
}

/// Whether the client has closed the connection, as far as the kernel knows by now.
fn has_gone(stream: &TcpStream) -> bool {
    match SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}
