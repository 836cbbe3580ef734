//! Several nodes in one process: for tests, examples and programs that want to see convergence happen.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::BytesMut;
use evenkeel_resp::{Reply, ReplyDecoder, ReplyLimits, encode_command};

use crate::config::{Config, Member};
use crate::server::{Server, StartFailure};

/// Why a request to an embedded node failed.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// A node did not start.
    #[error(transparent)]
    Start(#[from] StartFailure),
    /// A file or a socket.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The node answered something that is no reply.
    #[error("the node's reply cannot be read: {0}")]
    Reply(String),
    /// The node answered with an error.
    #[error("{0}")]
    Refused(String),
}

/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Nodes A, B, C, … in this process, each with its own directory, threads and loopback sockets.
///
/// ```
/// let dir = std::env::temp_dir().join(format!("evenkeel-doc-{}", std::process::id()));
/// let cluster = evenkeel::Cluster::start(3, &dir)?;
/// cluster.run(0, &["SET", "greeting", "hello"])?; // answered by node A alone
/// cluster.run(0, &["EK.AWAIT", "CONVERGED", "5000"])?;
/// assert_eq!(cluster.read_each("greeting")?, vec![Some("hello".to_owned()); 3]);
/// # drop(cluster);
/// # std::fs::remove_dir_all(dir)?;
/// # Ok::<(), evenkeel::EmbedError>(())
/// ```
#[derive(Debug)]
pub struct Cluster {
    configs: Vec<Config>,
    nodes: Vec<Option<Server>>,
}

impl Cluster {
    /// Starts `count` nodes (1 to 26) on free loopback ports, with data in `dir/A`, `dir/B`, …
    ///
    /// # Errors
    /// When a node cannot start; those that did are stopped again.
    pub fn start(count: usize, dir: impl AsRef<Path>) -> Result<Self, EmbedError> {
        let names: Vec<String> = ('A'..='Z').take(count).map(String::from).collect();
        let ports = free_ports(count * 3)?;
        let address = |place: usize| format!("127.0.0.1:{}", ports[place]);
        let members: Vec<Member> = names
            .iter()
            .enumerate()
            .map(|(place, name)| Member {
                name: name.clone(),
                peer: address(place * 3),
            })
            .collect();
        let configs = names.iter().enumerate().map(|(place, name)| Config {
            node: name.clone(),
            dir: PathBuf::from(dir.as_ref()).join(name),
            peer_listen: address(place * 3),
            listen: address(place * 3 + 1),
            http_listen: address(place * 3 + 2),
            members: members.clone(),
            fault_injection: true,
            threads: 1,
            ..Config::default()
        });
        let mut cluster = Self {
            configs: configs.collect(),
            nodes: Vec::new(),
        };
        for config in cluster.configs.clone() {
            cluster.nodes.push(Some(Server::start(config)?));
        }
        Ok(cluster)
    }

    /// Where clients reach a node.
    #[must_use]
    pub fn address(&self, node: usize) -> &str {
        &self.configs[node].listen
    }

    /// Runs one command on a node and gives its reply; errors of the node are errors here.
    ///
    /// # Errors
    /// When the node cannot be reached or answers with an error.
    pub fn run(&self, node: usize, command: &[&str]) -> Result<Reply, EmbedError> {
        let mut stream = TcpStream::connect(self.address(node))?;
        stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
        let mut out = Vec::new();
        encode_command(&mut out, command);
        stream.write_all(&out)?;
        let mut decoder = ReplyDecoder::new(ReplyLimits::default());
        let mut input = BytesMut::new();
        let mut chunk = [0; 4096];
        loop {
            match decoder
                .decode(&mut input)
                .map_err(|error| EmbedError::Reply(error.to_string()))?
            {
                Some(Reply::Error(text)) => {
                    return Err(EmbedError::Refused(
                        String::from_utf8_lossy(text.as_bytes()).into_owned(),
                    ));
                }
                Some(reply) => return Ok(reply),
                None => {}
            }
            let read = stream.read(&mut chunk)?;
            if read == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            input.extend_from_slice(&chunk[..read]);
        }
    }

    /// The value of a string key at every running node, read there; `None` where it has none.
    ///
    /// # Errors
    /// When a node cannot be reached.
    pub fn read_each(&self, key: &str) -> Result<Vec<Option<String>>, EmbedError> {
        let running = (0..self.nodes.len()).filter(|place| self.nodes[*place].is_some());
        running
            .map(|place| {
                Ok(match self.run(place, &["GET", key])? {
                    Reply::Bulk(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                    _ => None,
                })
            })
            .collect()
    }

    /// Stops a node cleanly; the others go on.
    pub fn stop(&mut self, node: usize) {
        if let Some(server) = self.nodes[node].take() {
            server.stop();
        }
    }

    /// Starts a stopped node again, with its data.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn restart(&mut self, node: usize) -> Result<(), EmbedError> {
        self.stop(node);
        self.nodes[node] = Some(Server::start(self.configs[node].clone())?);
        Ok(())
    }
}

/// Loopback ports that were free a moment ago, all different. Whoever uses them must be ready to find one taken.
///
/// # Errors
/// When there are none, or no more sockets.
pub fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    held.iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect()
}
