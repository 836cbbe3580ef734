//! The accepting side of a link: check who dials, then hand on what it sends.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::{BufMut, BytesMut};
use evenkeel_core::id::NodeId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::compressed::decompress;
use super::frame::{self, Kind};
use super::hello::{Hello, read_introduction};
use super::join::{let_in, name_in};
use super::secret::{Claim, is_proof};
use super::{CAN_ANSWER, HEARTBEAT, HELLO_TIMEOUT, INCOMING_SILENCE_MAX, READ_BYTES, RELIES};
use crate::client;
use crate::node::Node;

/// Accepts links as long as the node runs.
pub(crate) async fn accept(node: Arc<Node>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let node = Arc::clone(&node);
                tokio::task::spawn_local(async move {
                    if let Err(error) = serve(&node, stream).await {
                        tracing::debug!(%from, %error, "a peer's link ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a peer's link");
                tokio::time::sleep(super::REDIAL).await;
            }
        }
    }
}

async fn serve(node: &Arc<Node>, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BytesMut::with_capacity(READ_BYTES);
    let (kind, body) = timeout(HELLO_TIMEOUT, read_introduction(&mut stream, &mut input)).await??;
    if let Err(reason) = demand_proof(node, &mut stream, &mut input, (kind, &body)).await? {
        tracing::warn!(reason, "refused a peer's link");
        let mut out = Vec::new();
        frame::put(&mut out, Kind::Refused, reason.as_bytes());
        return stream.write_all(&out).await;
    }
    if kind == Kind::Join {
        let mut out = Vec::new();
        match let_in(node, &body).await {
            Ok(body) => frame::put(&mut out, Kind::Admitted, &body),
            Err(reason) => frame::put(&mut out, Kind::Refused, reason.as_bytes()),
        }
        return stream.write_all(&out).await;
    }
    let hello = if kind == Kind::Hello {
        Hello::read(&body, node)
    } else {
        Err("introduce yourself first".to_owned())
    };
    let mut out = Vec::new();
    let hello = match hello {
        Ok(hello) => hello,
        Err(reason) => {
            tracing::warn!(reason, "refused a peer's link");
            frame::put(&mut out, Kind::Refused, reason.as_bytes());
            return stream.write_all(&out).await;
        }
    };
    let peer = hello.id();
    if node.faults.of(peer).cut_in {
        // What a cut link carries does not arrive: an introduction neither.
        return Ok(());
    }
    let answer = Hello::answering(node, &hello);
    frame::put(&mut out, Kind::Welcome, &answer.encode());
    stream.write_all(&out).await?;
    node.announced(peer, hello.announce);
    if let Some(outbox) = node.outbox(peer) {
        outbox.call();
    }
    receive(node, peer, stream, input).await
}

/// Has the other side prove that it knows the cluster's secret, if there is one; the reason when it does not.
async fn demand_proof(
    node: &Node,
    stream: &mut TcpStream,
    input: &mut BytesMut,
    (kind, body): (Kind, &[u8]),
) -> io::Result<Result<(), String>> {
    let Some(secret) = &node.secret else {
        return Ok(Ok(()));
    };
    let claim = match kind {
        Kind::Join => Claim::Joins,
        _ => Claim::Dials,
    };
    let nonce = crate::entropy::random();
    let mut out = Vec::new();
    frame::put(&mut out, Kind::Challenge, &nonce.to_le_bytes());
    stream.write_all(&out).await?;
    let (kind, proof) = timeout(HELLO_TIMEOUT, read_introduction(stream, input)).await??;
    let name = name_in(body);
    let right = kind == Kind::Proof
        && name.is_some_and(|name| is_proof(secret, claim, &name, nonce, &proof));
    Ok(right.then_some(()).ok_or_else(|| {
        "NOPERM the other side does not know this cluster's secret; give it the same --cluster-secret-file".to_owned()
    }))
}

fn out_of_place() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a frame out of place")
}

async fn receive(
    node: &Arc<Node>,
    peer: NodeId,
    mut stream: TcpStream,
    mut input: BytesMut,
) -> io::Result<()> {
    let mut last_pong = Instant::now();
    loop {
        let mut pong = Vec::new();
        let cut = node.faults.of(peer).cut_in;
        // A peer must know whether what it asks can be answered: by the link that this node has dialled, and on
        // all that was decided while it was away.
        let outbox = node.outbox(peer);
        let can_answer = outbox.as_ref().is_some_and(|outbox| outbox.is_open()) && node.is_ready();
        let answers: &[u8] = match can_answer {
            true => &CAN_ANSWER,
            false => &[],
        };
        while let Some((kind, body)) = frame::take(&mut input).map_err(io::Error::other)? {
            if cut {
                continue;
            }
            match kind {
                Kind::Ping => {
                    if let Some(outbox) = &outbox {
                        outbox.set_relied_on(body[..] == RELIES);
                    }
                    frame::put(&mut pong, Kind::Pong, answers);
                }
                Kind::Partitions => node.partition_frames(peer, body)?,
                Kind::Compressed => match decompress(body).map_err(io::Error::other)? {
                    (Kind::Partitions, body) => node.partition_frames(peer, body)?,
                    _ => return Err(out_of_place()),
                },
                Kind::Request => node.request_arrived(peer, body),
                Kind::Answer => node.answer_arrived(body),
                Kind::Publish => client::published(node, &body),
                Kind::Interest => client::interest_told(node, peer, &body),
                Kind::Control => node.control.frame(peer, body),
                Kind::Hello
                | Kind::Welcome
                | Kind::Refused
                | Kind::Pong
                | Kind::Join
                | Kind::Admitted
                | Kind::Challenge
                | Kind::Proof => {
                    return Err(out_of_place());
                }
            }
        }
        node.end_turn();
        if pong.is_empty() && !cut && last_pong.elapsed() >= HEARTBEAT {
            // A heartbeat behind a large frame comes late; what has arrived of the frame is a sign of life as well.
            frame::put(&mut pong, Kind::Pong, answers);
        }
        if !pong.is_empty() {
            stream.write_all(&pong).await?;
            last_pong = Instant::now();
        }
        if input.capacity() - input.len() < READ_BYTES / 2 {
            input.reserve(READ_BYTES);
        }
        debug_assert!(input.has_remaining_mut(), "there is room for what comes");
        if timeout(INCOMING_SILENCE_MAX, stream.read_buf(&mut input)).await?? == 0 {
            return Ok(());
        }
    }
}
