//! Entering a running cluster: a node without data asks a node of the cluster to let it in, before it opens anything.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use evenkeel_core::cluster::{Change, Document, NodeSpec};
use evenkeel_core::id::NodeId;
use serde::{Deserialize, Serialize};

use super::frame::{self, Kind};
use super::hello::VERSION;
use super::secret::{Claim, answer};
use crate::config::{Config, Token, resolve};
use crate::node::{CHANGE_TIMEOUT, Node};

/// How long a cluster that does not answer is asked again.
const ASK_FOR: Duration = Duration::from_secs(60);
/// How long between two rounds.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How long one node may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take to have the entry agreed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(CHANGE_TIMEOUT.as_secs() + 5);

/// What a node says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    version: u32,
    name: String,
    peer: String,
    zone: String,
    dc: String,
    weight: u32,
    /// The cluster whose data it has already, if it has any.
    cluster: Option<u64>,
}

/// Why a node was not let in. Nothing was opened or changed here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    /// The cluster said no.
    #[error("the cluster at {address} does not let this node in: {why}")]
    Refused {
        /// Who was asked.
        address: String,
        /// Its words.
        why: String,
    },
    /// Nobody answered.
    #[error(
        "no node of the cluster to join answered within {} s, the last try: {last}; start one of them, or correct --join",
        ASK_FOR.as_secs()
    )]
    Nobody {
        /// What went wrong last.
        last: String,
    },
}

/// Asks the nodes that `--join` names, one after the other, until one answers; gives the topology and the number of
/// this node in it.
pub(crate) fn enter(
    config: &Config,
    spec: &NodeSpec,
    cluster: Option<u64>,
) -> Result<(Document, NodeId), JoinError> {
    let entry = Entry {
        version: VERSION,
        name: spec.name.clone(),
        peer: spec.peer.clone(),
        zone: spec.zone.clone(),
        dc: spec.dc.clone(),
        weight: spec.weight,
        cluster,
    };
    let body = serde_json::to_vec(&entry).unwrap_or_default();
    // Its file was read when the configuration was checked.
    let secret = config.cluster_secret().ok().flatten();
    let until = Instant::now() + ASK_FOR;
    loop {
        let mut last = String::new();
        for address in &config.join {
            match ask(address, &body, (secret.as_ref(), &spec.name)) {
                Ok((Kind::Admitted, mut body)) => match admitted(&mut body) {
                    Some(admitted) => return Ok(admitted),
                    None => last = format!("{address} answers in an unknown form"),
                },
                Ok((Kind::Refused, why)) => {
                    return Err(JoinError::Refused {
                        address: address.clone(),
                        why: String::from_utf8_lossy(&why).into_owned(),
                    });
                }
                Ok(_) => last = format!("{address} answers in an unknown form"),
                Err(error) => last = format!("{address}: {error}"),
            }
        }
        if Instant::now() >= until {
            return Err(JoinError::Nobody { last });
        }
        tracing::info!(last, "no node of the cluster to join answers, asking on");
        std::thread::sleep(ASK_AGAIN);
    }
}

fn ask(
    address: &str,
    body: &[u8],
    (secret, name): (Option<&Token>, &str),
) -> io::Result<(Kind, Bytes)> {
    let resolved = resolve(address).ok_or_else(|| io::Error::other("cannot be resolved"))?;
    let mut stream = TcpStream::connect_timeout(&resolved, CONNECT_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut out = Vec::new();
    frame::put(&mut out, Kind::Join, body);
    stream.write_all(&out)?;
    let mut input = BytesMut::new();
    let mut chunk = [0; 16 << 10];
    loop {
        match frame::take(&mut input).map_err(io::Error::other)? {
            Some((Kind::Challenge, challenge)) => {
                stream.write_all(&answer(secret, Claim::Joins, name, &challenge)?)?;
                continue;
            }
            Some(frame) => return Ok(frame),
            None => {}
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        input.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
}

fn admitted(body: &mut Bytes) -> Option<(Document, NodeId)> {
    let me = NodeId(body.try_get_u32_le().ok()?);
    Some((Document::decode(body).ok()?, me))
}

/// The name in an introduction or in a request to join.
pub(super) fn name_in(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(alias = "node")]
        name: String,
    }
    let named: Named = serde_json::from_slice(body).ok()?;
    Some(named.name)
}

/// A node asks to be let in: has that agreed, and tells it the topology.
pub(super) async fn let_in(node: &Arc<Node>, body: &[u8]) -> Result<Vec<u8>, String> {
    let entry: Entry = serde_json::from_slice(body)
        .map_err(|error| format!("BADCHANGE unreadable request to join: {error}"))?;
    if entry.version != VERSION {
        return Err(format!(
            "BADCHANGE link protocol {} met {VERSION}; upgrade the older node",
            entry.version
        ));
    }
    if entry.cluster.is_some_and(|cluster| cluster != node.cluster) {
        return Err(format!(
            "BADCHANGE the directory of node {} holds data of another cluster; give it an empty --dir",
            entry.name
        ));
    }
    let name = entry.name.clone();
    let spec = NodeSpec {
        name: entry.name,
        peer: entry.peer,
        zone: entry.zone,
        dc: entry.dc,
        weight: entry.weight,
    };
    let epoch = node.control.propose(Change::Admit(spec)).await?;
    node.reach_epoch(epoch).await;
    let document = Arc::clone(&node.topology().document);
    let number = document
        .by_name(&name)
        .ok_or_else(|| format!("STALE node {name} was let in and removed again; ask again"))?;
    tracing::info!(name, number = number.0, "a node was let in");
    let mut out = number.0.to_le_bytes().to_vec();
    out.extend_from_slice(&document.encode());
    Ok(out)
}
