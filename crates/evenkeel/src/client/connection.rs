//! One client connection: read what has come, run all of it, log once, answer once.
//!
//! Invariants: replies leave in the order of the requests; no reply leaves before the turn that made it was handed to
//! the log. A turn is shared: whoever comes to the end of its requests lets the other ready connections of the thread
//! run first, and the first one to return flushes for all.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use evenkeel_core::command::{check_arity, lookup};
use evenkeel_core::id::PartitionId;
use evenkeel_resp::{Decoded, Limits, Reply, ReplyWriter, RequestDecoder};
use smallvec::SmallVec;
use socket2::{Domain, Protocol as SocketProtocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};

use super::acks;
use super::block::{Blocked, hold};
use super::connected::{Connected, WaitsFor};
use super::fence;
use super::front::Queued;
use super::pubsub;
use super::run::{Later, Outcome};
use super::server::text;
use super::session::{Face, ReplyMode, Session};
use super::stats::Shard;
use super::transaction::Exec;
use super::watch::{answered, log_slow, run_watched};
use crate::metrics::bump;
use crate::node::Node;

/// Room that a read finds at least.
const READ_BYTES: usize = 16 << 10;
/// Replies that wait to be written before the next request of a pipeline is run.
const REPLIES_BYTES_MAX: usize = 256 << 10;
/// Replies and messages that wait to be written before more messages are taken.
const OUT_BYTES_MAX: usize = 2 * REPLIES_BYTES_MAX;
/// What a token is called among a reply's attributes.
const TOKEN_ATTRIBUTE: &str = "ek-token";
/// A request that has begun must be whole within this time: half a command a minute holds no connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// A client that sends no more may still read: a forwarded command ends within this time, a long wait does not.
const LEAVING_TIMEOUT: Duration = Duration::from_secs(6);
/// A client that does not read its replies is closed after this time.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// A listening socket, to be shared by the executors.
pub(crate) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(SocketProtocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts clients of one face as long as the node runs.
pub(crate) async fn accept(node: Arc<Node>, face: Face, listener: TcpListener) {
    let shard = node.front.stats.shard();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (node, shard) = (Arc::clone(&node), Arc::clone(&shard));
                tokio::task::spawn_local(async move { admit((node, face), shard, stream).await });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Lets the system find out about clients that have silently gone (`tcp-keepalive`).
fn keep_alive(node: &Node, stream: &TcpStream) {
    let seconds = node
        .front
        .settings
        .keepalive_seconds
        .load(Ordering::Relaxed);
    if seconds == 0 {
        return;
    }
    let interval = Duration::from_secs((seconds / 3).max(1));
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(seconds))
        .with_interval(interval)
        .with_retries(3);
    // Without it the client is served all the same.
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

async fn admit((node, face): (Arc<Node>, Face), shard: Arc<Shard>, mut stream: TcpStream) {
    bump(&node.metrics.connections);
    let clients_max = node.front.settings.clients_max.load(Ordering::Relaxed);
    if node.metrics.clients.fetch_add(1, Ordering::Relaxed) >= clients_max {
        bump(&node.metrics.clients_rejected);
        // The client may be gone already; it is closed either way.
        let _ = stream
            .write_all(b"-ERR max number of clients reached\r\n")
            .await;
    } else {
        let mut session = Session::new(
            Arc::clone(&node),
            stream.peer_addr().ok(),
            stream.local_addr().ok(),
        );
        session.shard = Some(shard);
        session.face = face;
        keep_alive(&node, &stream);
        let connected = Arc::clone(&session.connected);
        node.front.clients.add(&connected);
        if let Err(error) = serve(session, stream).await {
            tracing::debug!(%error, "a client's connection ended");
        }
        node.front.clients.remove(std::iter::once(&connected));
    }
    node.metrics.clients.fetch_sub(1, Ordering::Relaxed);
}

/// Where reading requests stopped.
enum Stop {
    /// Everything whole was run; this many bytes were used.
    Drained(usize),
    /// Enough replies wait; go on after they are written.
    Full(usize),
    /// A command has to wait.
    Waits(usize, Waiting),
    /// The next command is held back by CLIENT PAUSE.
    Paused(usize),
    /// The next command reads these partitions, of more members than this one.
    Fenced(usize, Vec<PartitionId>),
    /// The connection ends after what was answered.
    Close,
}

/// A command that has to wait.
enum Waiting {
    Later(Later),
    Exec(Box<Exec>),
    /// For keys.
    Blocked(Box<Blocked>),
}

async fn serve(mut session: Session, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut decoder = RequestDecoder::new(Limits::authenticated());
    let mut input = BytesMut::with_capacity(READ_BYTES);
    let mut out = Vec::with_capacity(READ_BYTES);
    let mut begun = None;
    loop {
        let stop = run_ready(&mut session, &mut decoder, &input, &mut out);
        let wrote = session.wrote_in_turn;
        finish_turn(&mut session, &mut out).await;
        write(&session.connected, &mut stream, &mut out).await?;
        let waits = match stop {
            Stop::Close => return Ok(()),
            Stop::Full(used) => {
                input.advance(used);
                continue;
            }
            Stop::Waits(used, waiting) => {
                input.advance(used);
                Some((waiting, WaitsFor::Reply))
            }
            Stop::Paused(used) => {
                input.advance(used);
                Some((Waiting::Later(pause_over(&session)), WaitsFor::Pause))
            }
            Stop::Fenced(used, partitions) => {
                input.advance(used);
                let fence = fence::fence(&session.caller, partitions);
                Some((Waiting::Later(fence), WaitsFor::Fence))
            }
            Stop::Drained(used) => {
                input.advance(used);
                let still = begun.filter(|_| used == 0);
                begun = (!input.is_empty()).then(|| still.unwrap_or_else(Instant::now));
                None
            }
        };
        if let Some((waiting, what)) = waits {
            session.connected.set_waiting(what);
            let reply = reply_to(&mut session, waiting, &mut stream, &mut input).await;
            session.connected.set_waiting(WaitsFor::Nothing);
            let Some(reply) = reply else {
                return Ok(());
            };
            match what {
                WaitsFor::Pause => continue,
                WaitsFor::Fence => {
                    session.fence = Some(reply);
                    continue;
                }
                WaitsFor::Nothing | WaitsFor::Reply => {}
            }
            // It may have written in the turn before, beside what it waited for.
            session.wrote_in_turn |= wrote;
            put(&mut session, &mut out, &reply);
            continue;
        }
        if input.capacity() - input.len() < READ_BYTES {
            input.reserve(READ_BYTES);
        }
        tokio::select! {
            biased;
            read = next_bytes(&mut stream, &mut input, begun) => if read? == 0 {
                return Ok(());
            },
            () = session.connected.called() => {
                write_messages(&session.connected, &mut stream, &mut out).await?;
            }
        }
    }
}

/// Reads what comes next; a request that has begun has a deadline, an idle client has none.
async fn next_bytes(
    stream: &mut TcpStream,
    input: &mut BytesMut,
    begun: Option<Instant>,
) -> io::Result<usize> {
    match begun {
        None => stream.read_buf(input).await,
        Some(begun) => timeout_at(begun + REQUEST_TIMEOUT, stream.read_buf(input)).await?,
    }
}

/// The reply to a command that has to wait; `None` when the client has gone.
async fn reply_to(
    session: &mut Session,
    waiting: Waiting,
    stream: &mut TcpStream,
    input: &mut BytesMut,
) -> Option<Reply> {
    let connected = Arc::clone(&session.connected);
    match waiting {
        Waiting::Later(later) => unless_gone(&connected, later, stream, input).await,
        Waiting::Exec(mut exec) => {
            let later = Box::pin(exec.run(session));
            unless_gone(&connected, later, stream, input).await
        }
        Waiting::Blocked(blocked) => hold(&connected, blocked, stream, input).await,
    }
}

/// Waits for a reply as long as the client is there; `None` when it has gone. What it sends meanwhile is kept.
async fn unless_gone(
    connected: &Connected,
    mut later: Pin<Box<dyn Future<Output = Reply> + '_>>,
    stream: &mut TcpStream,
    input: &mut BytesMut,
) -> Option<Reply> {
    while input.len() < READ_BYTES {
        input.reserve(READ_BYTES);
        tokio::select! {
            reply = &mut later => return Some(reply),
            () = connected.called() => {
                write_messages(connected, stream, &mut Vec::new()).await.ok()?;
            }
            read = stream.read_buf(input) => match read {
                Ok(0) => return timeout(LEAVING_TIMEOUT, later).await.ok(),
                Ok(_) => {}
                Err(_) => return None,
            },
        }
    }
    Some(later.await)
}

fn run_ready(
    session: &mut Session,
    decoder: &mut RequestDecoder,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Stop {
    let _turn = session.node.turn();
    let mut used = 0;
    let mut now = std::time::Instant::now();
    session.connected.note_active(now);
    loop {
        let rest = input.get(used..).unwrap_or_default();
        match decoder.decode(rest) {
            Ok(Decoded::Incomplete { consumed }) => return Stop::Drained(used + consumed),
            Ok(Decoded::Request(request)) => {
                let args: SmallVec<[&[u8]; 8]> = request.args().collect();
                if session.node.front.pause.is_on() && is_held_back(session, &args) {
                    session.connected.note_active(now);
                    return Stop::Paused(used);
                }
                let fence = session.fence.take();
                if fence.is_none() {
                    let partitions = fence::partitions_read(session, &args);
                    if !partitions.is_empty() {
                        return Stop::Fenced(used, partitions);
                    }
                }
                let bytes = request.consumed();
                session.query_bytes = rest.len();
                used += bytes;
                if let Some(refusal @ Reply::Error(_)) = fence {
                    put(session, out, &refusal);
                    continue;
                }
                bump(&session.node.metrics.commands);
                let (outcome, end) = run_watched(session, &args, now);
                now = end;
                match outcome {
                    Outcome::Now(reply) => put(session, out, &reply),
                    Outcome::Posted => {
                        take_messages(session, out);
                        session.reply.step();
                        log_slow(session);
                    }
                    Outcome::Later(later) => return Stop::Waits(used, Waiting::Later(later)),
                    Outcome::Exec(exec) => return Stop::Waits(used, Waiting::Exec(exec)),
                    Outcome::Blocked(blocked) => {
                        return Stop::Waits(used, Waiting::Blocked(blocked));
                    }
                    Outcome::Close(reply) => {
                        put(session, out, &reply);
                        return Stop::Close;
                    }
                }
            }
            Err(error) => {
                bump(&session.node.metrics.protocol_errors);
                if let Some(reply) = error.to_reply() {
                    put(session, out, &reply);
                }
                return Stop::Close;
            }
        }
        if out.len() >= REPLIES_BYTES_MAX {
            return Stop::Full(used);
        }
    }
}

fn put(session: &mut Session, out: &mut Vec<u8>, reply: &Reply) {
    if matches!(reply, Reply::Error(_)) {
        bump(&session.node.metrics.errors);
    }
    answered(session, reply);
    if pubsub::listens(session) {
        // What came before the command was run is read before its reply.
        take_messages(session, out);
    }
    let from = out.len();
    if session.reply == ReplyMode::On {
        let mut writer = ReplyWriter::new(out, session.protocol);
        if session.caller.consistency.tokens {
            writer.attributes(&[(text(TOKEN_ATTRIBUTE), text(fence::token_of(session)))]);
        }
        writer.reply(reply);
    }
    if !session.caller.consistency.write.is_one() {
        let owed = session.caller.trail.borrow_mut().take_owed();
        session.owing.note(from..out.len(), reply, owed);
    }
    session.reply.step();
}

/// Waits until CLIENT PAUSE holds nothing back; the reply is nobody's.
fn pause_over(session: &Session) -> Later {
    let node = Arc::clone(&session.node);
    Box::pin(async move {
        node.front.pause.over().await;
        Reply::Null
    })
}

/// Whether CLIENT PAUSE holds a command back; one that will be refused anyway is refused at once.
fn is_held_back(session: &Session, args: &[&[u8]]) -> bool {
    let Some(spec) = args.first().and_then(|name| lookup(name)) else {
        return false;
    };
    let unpauses = spec.name == "client"
        && args[1..]
            .first()
            .is_some_and(|sub| sub.eq_ignore_ascii_case(b"unpause"));
    if session.transaction.takes(spec) {
        // It is only queued.
        return false;
    }
    let queued = if spec.name == "exec" && session.transaction.writes() {
        Queued::Writes
    } else {
        Queued::Reads
    };
    check_arity(spec, args).is_ok() && !unpauses && session.node.front.pause.holds(spec, queued)
}

/// Puts what waits for this connection behind the replies.
fn take_messages(session: &Session, out: &mut Vec<u8>) {
    if session.connected.is_called() {
        // What finds no room is taken when this is written.
        session.connected.take(out, OUT_BYTES_MAX);
    }
}

/// Hands the turn to the log. When that fails, every reply of it is replaced: what was not logged was not done.
/// Reads wait for nobody.
async fn finish_turn(session: &mut Session, out: &mut Vec<u8>) {
    if out.is_empty() {
        // A command that waits may have written already: its reply settles the turn.
        session.node.end_turn();
        // Who wants no reply is told of no refusal either.
        session.owing.clear();
        return;
    }
    if !std::mem::take(&mut session.wrote_in_turn) {
        session.node.end_turn();
        return;
    }
    behind_the_ready().await;
    let settled = session.node.settle_turn().await;
    if settled.is_ok() {
        acks::settle(session, out).await;
    }
    session.owing.clear();
    if let Err(refusal) = settled {
        let replies = count_replies(out);
        out.clear();
        for _ in 0..replies {
            ReplyWriter::new(out, evenkeel_resp::Protocol::Resp2).error(refusal.text());
        }
    }
}

/// Goes behind all connections that are ready now. Unlike the runtime's own way it does not look for more of them: a
/// system call per turn.
async fn behind_the_ready() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// How many replies the bytes hold.
fn count_replies(out: &[u8]) -> usize {
    let mut rest = BytesMut::from(out);
    let mut decoder = evenkeel_resp::ReplyDecoder::new(evenkeel_resp::ReplyLimits::default());
    let mut count = 0;
    while let Ok(Some(reply)) = decoder.decode(&mut rest) {
        count += usize::from(!matches!(reply, Reply::Push(_)));
    }
    count
}

/// Writes all messages that wait, a part at a time. An error when the connection is to be closed.
pub(super) async fn write_messages(
    connected: &Connected,
    stream: &mut TcpStream,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    while connected.is_called() {
        if connected.is_closing() {
            return Err(closed_from_outside());
        }
        connected.take(out, OUT_BYTES_MAX);
        write(connected, stream, out).await?;
    }
    Ok(())
}

fn closed_from_outside() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed by the node")
}

async fn write(connected: &Connected, stream: &mut TcpStream, out: &mut Vec<u8>) -> io::Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    // Nearly always there is room: then no timer is set.
    let written = match stream.try_write(out) {
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    if written < out.len() {
        tokio::select! {
            biased;
            written = timeout(WRITE_TIMEOUT, stream.write_all(&out[written..])) => written??,
            () = connected.closed() => return Err(closed_from_outside()),
        }
    }
    out.clear();
    if out.capacity() > REPLIES_BYTES_MAX * 2 {
        out.shrink_to(READ_BYTES);
    }
    Ok(())
}
