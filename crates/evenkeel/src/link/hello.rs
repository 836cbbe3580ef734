//! The handshake of a link: version, cluster, who is who, and where clients reach each node.

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::HELLO_BYTES_MAX;
use super::frame::{self, Kind};
use crate::node::Node;

/// The version of the link protocol; nodes with another one are refused.
const VERSION: u32 = 3;

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
}

/// How one side introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    version: u32,
    /// Hash of the member list: nodes with different lists do not mix.
    cluster: u64,
    /// The name in the list.
    pub(super) node: String,
    /// The actor of this start.
    pub(super) incarnation: u64,
    pub(super) announce: Announce,
}

impl Hello {
    pub(super) fn of(node: &Node) -> Self {
        Self {
            version: VERSION,
            cluster: node.cluster,
            node: node.config.node.clone(),
            incarnation: node.incarnation.0,
            announce: node.announce.clone(),
        }
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
        if node.topology().by_name(&hello.node).is_none() {
            return Err(format!("node {} is not in the member list", hello.node));
        }
        Ok(hello)
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
