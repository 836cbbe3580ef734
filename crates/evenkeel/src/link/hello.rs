//! The handshake of a link: version, cluster, who is who, and where clients reach each node.

use bytes::BytesMut;
use evenkeel_core::cluster::NodeState;
use evenkeel_core::id::NodeId;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::HELLO_BYTES_MAX;
use super::frame::{self, Kind};
use super::secret::{self, Claim};
use crate::node::Node;

/// The version of the link protocol; nodes with another one are refused.
pub(super) const VERSION: u32 = 4;

/// What the refusal of a node begins with that does not belong to the cluster any more.
pub(super) const FORGOTTEN: &str = "FORGOTTEN ";

/// Where a node is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announce {
    /// For Redis clients.
    pub(crate) client: String,
    /// For Redis clients that route by the slot map, if there is such a face.
    #[serde(default)]
    pub(crate) cluster: Option<String>,
    /// For health checks, metrics and the dashboard.
    pub(crate) http: String,
    /// For peers, as far as this node can tell.
    #[serde(default)]
    pub(crate) peer: String,
}

/// How one side introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    version: u32,
    /// Hash of the member list: nodes with different lists do not mix.
    cluster: u64,
    /// Its name.
    pub(super) node: String,
    /// Its number in the topology.
    id: u32,
    /// The actor of this start.
    pub(super) incarnation: u64,
    pub(super) announce: Announce,
    /// What the other side is to prove that it knows the secret with.
    #[serde(default)]
    pub(super) nonce: u64,
    /// The proof for the other side's number, in an answer.
    #[serde(default)]
    pub(super) proof: Vec<u8>,
}

impl Hello {
    pub(super) fn of(node: &Node) -> Self {
        Self {
            version: VERSION,
            cluster: node.cluster,
            node: node.config.node.clone(),
            id: node.me.0,
            incarnation: node.incarnation.0,
            announce: node.announce.clone(),
            nonce: crate::entropy::random(),
            proof: Vec::new(),
        }
    }

    /// The answer to an introduction, with the proof that it asks for.
    pub(super) fn answering(node: &Node, other: &Self) -> Self {
        let proof = node.secret.as_ref().map(|secret| {
            let name = &node.config.node;
            secret::prove(secret, Claim::Answers, name, other.nonce)
        });
        Self {
            proof: proof.unwrap_or_default(),
            ..Self::of(node)
        }
    }

    /// Whether who answers knows the secret of this node's cluster, if there is one.
    pub(super) fn is_proven(&self, node: &Node, nonce: u64) -> bool {
        node.secret.as_ref().is_none_or(|secret| {
            secret::is_proof(secret, Claim::Answers, &self.node, nonce, &self.proof)
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads an introduction and checks that it is of this cluster; gives the reason when it is not.
    pub(super) fn read(body: &[u8], node: &Node) -> Result<Self, String> {
        let hello: Self = serde_json::from_slice(body)
            .map_err(|error| format!("unreadable introduction: {error}"))?;
        if hello.version != VERSION {
            return Err(format!(
                "link protocol {} met {VERSION}: upgrade the older node",
                hello.version
            ));
        }
        if hello.cluster != node.cluster {
            return Err(format!(
                "node {} has another member list; start every node with the same --members",
                hello.node
            ));
        }
        if hello.node == node.config.node {
            return Err(format!(
                "two nodes are named {}; give each its own --node",
                hello.node
            ));
        }
        let topology = node.topology();
        match topology.document.state(hello.id()) {
            Some(NodeState::Gone) => Err(format!(
                "{FORGOTTEN}node {} was removed from this cluster; start it with an empty --dir and --join, or with --join and --recover to save what only it holds",
                hello.node
            )),
            Some(_) if topology.name(hello.id()).eq_ignore_ascii_case(&hello.node) => Ok(hello),
            Some(_) => Err(format!(
                "node {} has the number of another node; start it with an empty --dir and --join",
                hello.node
            )),
            // It has come in a newer topology than the one known here, which will arrive.
            None => Err(format!("node {} is not known here yet", hello.node)),
        }
    }

    /// Who it is.
    pub(super) const fn id(&self) -> NodeId {
        NodeId(self.id)
    }
}

/// Reads the frame of an introduction; longer ones are refused, since anybody who reaches the port may send them.
pub(super) async fn read_introduction(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
) -> std::io::Result<(Kind, bytes::Bytes)> {
    loop {
        match frame::take(input) {
            Ok(Some(frame)) => return Ok(frame),
            Ok(None) if input.len() >= HELLO_BYTES_MAX => {
                return Err(std::io::Error::new(
                    std::io::ErrorKind::InvalidData,
                    "an introduction over the limit",
                ));
            }
            Ok(None) => {}
            Err(error) => return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, error)),
        }
        if stream.read_buf(input).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
