//! The dialling side of a link: connect, introduce, send what is queued, notice silence, start again.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use evenkeel_core::id::{ActorId, NodeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{sleep, timeout};

use super::fault::Fault;
use super::frame::{self, Kind};
use super::hello::{FORGOTTEN, Hello, read_introduction};
use super::outbox::Outbox;
use super::secret::{Claim, answer};
use super::{
    CAN_ANSWER, DIAL_TIMEOUT, HEARTBEAT, HELLO_TIMEOUT, PACE, REDIAL, RELIES, SILENCE_MAX,
};
use crate::client;
use crate::config::resolve;
use crate::node::Node;

/// Keeps a link to every other node, as nodes come and go.
pub(crate) async fn keep_all_linked(node: Arc<Node>) {
    let mut changed = node.changed.subscribe();
    let mut linked = BTreeSet::new();
    loop {
        changed.borrow_and_update();
        let others: BTreeSet<NodeId> = node.topology().others().collect();
        for peer in others.difference(&linked) {
            tokio::task::spawn_local(keep_linked(Arc::clone(&node), *peer));
        }
        linked = others;
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps a link to `peer` as long as it is a node of the cluster.
async fn keep_linked(node: Arc<Node>, peer: NodeId) {
    let mut said = String::new();
    // Gone from the table when the peer has left the cluster.
    while let Some(outbox) = node.outbox(peer) {
        if !node.faults.of(peer).is_cut() {
            let ended = link_once(&node, peer, &outbox).await;
            // The same reason five times a second helps nobody: say it when it changes.
            let reason = ended.err().map_or_else(
                || "closed by the peer".to_owned(),
                |error| error.to_string(),
            );
            if reason != said {
                tracing::info!(
                    peer = node.topology().name(peer),
                    reason,
                    "no link, dialling on"
                );
                said = reason;
            }
        }
        // It is there when it dials us: waiting longer would only delay the repair.
        let _ = timeout(REDIAL, outbox.called()).await;
    }
}

async fn link_once(node: &Arc<Node>, peer: NodeId, outbox: &Outbox) -> io::Result<()> {
    let address = node.topology().peer(peer);
    let address =
        resolve(&address).ok_or_else(|| io::Error::other(format!("cannot resolve {address}")))?;
    let mut stream = timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    let incarnation = timeout(HELLO_TIMEOUT, introduce(node, peer, &mut stream)).await??;
    outbox.set_open(true);
    node.link_up(peer, incarnation);
    client::introduce(node, peer);
    tracing::info!(peer = node.topology().name(peer), "linked");
    let (reader, writer) = stream.into_split();
    let ended = tokio::select! {
        ended = send_all(node, peer, outbox, writer) => ended,
        ended = hear_pongs(node, peer, outbox, reader) => ended,
        gone = until_gone(node, peer) => gone,
        never = greet_again(node, peer, outbox, incarnation) => never,
    };
    outbox.set_open(false);
    node.link_down(peer);
    ended
}

/// Ends the link when the peer has left the cluster.
async fn until_gone(node: &Node, peer: NodeId) -> io::Result<()> {
    let mut changed = node.changed.subscribe();
    let here = |_: &u64| node.outbox(peer).is_none();
    let _ = changed.wait_for(here).await;
    Err(io::Error::other("it has left the cluster"))
}

/// A peer that dials us while our link to it is up has only now begun to hear us again, or to send: what it missed
/// of our adverts is told at once, and what we asked it for is asked again, since its answer went to a link that was
/// down: the repair would otherwise wait for the next advert or for a time-out.
async fn greet_again(
    node: &Node,
    peer: NodeId,
    outbox: &Outbox,
    incarnation: ActorId,
) -> io::Result<()> {
    loop {
        outbox.called().await;
        node.link_renewed(peer, incarnation);
    }
}

async fn introduce(node: &Node, peer: NodeId, stream: &mut TcpStream) -> io::Result<ActorId> {
    let mut out = Vec::new();
    let hello = Hello::of(node);
    frame::put(&mut out, Kind::Hello, &hello.encode());
    stream.write_all(&out).await?;
    let mut input = BytesMut::new();
    let (mut kind, mut body) = read_introduction(stream, &mut input).await?;
    if kind == Kind::Challenge {
        let proof = answer(node.secret.as_ref(), Claim::Dials, &node.config.node, &body)?;
        stream.write_all(&proof).await?;
        (kind, body) = read_introduction(stream, &mut input).await?;
    }
    if kind == Kind::Refused {
        let reason = String::from_utf8_lossy(&body);
        if reason.starts_with(FORGOTTEN) {
            node.be_forgotten();
        }
        return Err(io::Error::other(format!("refused: {reason}")));
    }
    let welcome = Hello::read(&body, node).map_err(io::Error::other)?;
    if !welcome.is_proven(node, hello.nonce) {
        return Err(io::Error::other(format!(
            "node {} does not know this cluster's secret; give it the same --cluster-secret-file",
            welcome.node
        )));
    }
    if welcome.id() != peer {
        return Err(io::Error::other(format!(
            "node {} answers at the address of another",
            welcome.node
        )));
    }
    node.announced(peer, welcome.announce);
    Ok(ActorId(welcome.incarnation))
}

async fn send_all(
    node: &Node,
    peer: NodeId,
    outbox: &Outbox,
    mut writer: OwnedWriteHalf,
) -> io::Result<()> {
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    let mut last = Instant::now();
    let mut bytes = Vec::new();
    loop {
        tokio::select! {
            biased;
            _ = heartbeat.tick() => {
                let fault = node.faults.of(peer);
                if fault.is_cut() {
                    return Err(io::Error::other("cut by EK.FAULT"));
                }
                ping(outbox, fault);
            }
            () = outbox.take(&mut bytes) => {
                writer.write_all(&bytes).await?;
                if last.elapsed() < PACE {
                    // What follows closely is gathered: a system call per write would cost more than the write.
                    sleep(PACE).await;
                }
                last = Instant::now();
            }
        }
    }
}

fn ping(outbox: &Outbox, fault: Fault) {
    let relies: &[u8] = match outbox.is_live() {
        true => &RELIES,
        false => &[],
    };
    outbox.push(Kind::Ping, relies, fault);
}

async fn hear_pongs(
    node: &Node,
    peer: NodeId,
    outbox: &Outbox,
    mut reader: OwnedReadHalf,
) -> io::Result<()> {
    let mut input = BytesMut::new();
    let mut heard = Instant::now();
    loop {
        let left = SILENCE_MAX.saturating_sub(heard.elapsed());
        let read = timeout(left, reader.read_buf(&mut input)).await;
        let Ok(read) = read else {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the peer does not answer heartbeats",
            ));
        };
        if read? == 0 {
            return Ok(());
        }
        while let Some((kind, body)) = frame::take(&mut input).map_err(io::Error::other)? {
            if kind == Kind::Pong && !node.faults.of(peer).cut_in {
                heard = Instant::now();
                if body[..] == CAN_ANSWER {
                    let was_live = outbox.is_live();
                    outbox.answered();
                    if !was_live {
                        // A peer that has just started waits to hear it before it decides.
                        ping(outbox, node.faults.of(peer));
                    }
                }
            }
        }
    }
}
