//! A running node: its threads and sockets.
//!
//! One thread is the node's own (links, clock ticks, HTTP), the executors serve clients; each is a runtime of its
//! own with its own listener on the shared address, so that no request hops between threads.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use crate::client::Face;
use crate::config::{Config, ConfigError, Token, resolve};
use crate::link::{self, Announce};
use crate::node::{self, Node, StartError};
use crate::{admin, client};

/// A node that stops waits so long at most until the others hold what they lack of it.
const HAND_OVER_MAX: Duration = Duration::from_millis(1_000);
/// How often it looks whether they do.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Why a node did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartFailure {
    /// The configuration is wrong; every mistake is listed.
    #[error("{}", list(.0))]
    Config(Vec<ConfigError>),
    /// The data or a socket cannot be opened.
    #[error(transparent)]
    Open(#[from] StartError),
}

fn list(errors: &[ConfigError]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Where a running node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For Redis clients.
    pub client: SocketAddr,
    /// For Redis clients that route by the slot map, if there is such a face.
    pub cluster: Option<SocketAddr>,
    /// For peers.
    pub peer: SocketAddr,
    /// For HTTP.
    pub http: SocketAddr,
}

/// A running node. Dropping it stops it as [`Server::stop`] does.
#[derive(Debug)]
pub struct Server {
    node: Arc<Node>,
    addresses: Addresses,
    threads: Vec<JoinHandle<()>>,
    /// Those that serve clients.
    executors: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.config.node)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a node: checks the configuration, recovers the data, listens, links. Returns when clients can connect.
    ///
    /// # Errors
    /// See [`StartFailure`].
    pub fn start(config: Config) -> Result<Self, StartFailure> {
        config.check().map_err(StartFailure::Config)?;
        let listeners = Listeners::bind(&config)?;
        let addresses = listeners.addresses()?;
        let announce = announce(&config, addresses);
        let token = config
            .http_token()
            .map_err(|error| StartFailure::Config(vec![error]))?;
        let executors = config.executors();
        let (tell, news) = mpsc::unbounded_channel();
        let (node, begin) = node::open(config, announce, tell)?;
        let mut server = Self {
            node,
            addresses,
            threads: Vec::new(),
            executors: Vec::new(),
        };
        let Listeners {
            client,
            cluster,
            peer,
            http,
        } = listeners;
        let node = Arc::clone(&server.node);
        server.spawn("evenkeel-node", move || {
            run_node(node, news, peer, (http, token))
        })?;
        let node = Arc::clone(&server.node);
        server.spawn("evenkeel-checkpoint", move || node::keep_log_short(node))?;
        let node = Arc::clone(&server.node);
        server.spawn("evenkeel-control", move || node::keep_topology(node, begin))?;
        let node = Arc::clone(&server.node);
        server.spawn("evenkeel-scrub", move || node::keep_scrubbed(node))?;
        for number in 0..executors {
            let node = Arc::clone(&server.node);
            // The first executor takes the bound socket, so that the port is never free in between.
            let shared = |listener: &std::net::TcpListener| {
                listener
                    .try_clone()
                    .map_err(|error| StartError::io("cannot share a client port", error))
            };
            let listener = shared(&client)?;
            let cluster = cluster.as_ref().map(shared).transpose()?;
            let closing = server.node.closing.subscribe();
            let thread = spawn(&format!("evenkeel-exec-{number}"), closing, move || {
                run_executor(node, listener, cluster)
            })?;
            server.executors.push(thread);
        }
        Ok(server)
    }

    fn spawn<F: Future<Output = io::Result<()>> + 'static>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), StartError> {
        let stop = self.node.stop.subscribe();
        self.threads.push(spawn(name, stop, work)?);
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Waits until a client has sent SHUTDOWN. The node runs on until it is stopped.
    pub async fn asked_to_stop(&self) {
        self.node.front.asked_to_stop.notified().await;
    }

    /// Stops taking requests, syncs the log and ends the threads.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        self.node.closing.send_replace(true);
        join(&mut self.executors);
        self.node.end_turn();
        // A client that goes on at another node must find there what it has just written here.
        let until = Instant::now() + HAND_OVER_MAX;
        while Instant::now() < until && !self.node.is_held_by_linked() {
            std::thread::sleep(LOOK_AGAIN);
        }
        self.node.stop();
        join(&mut self.threads);
        self.node.end_turn();
        if let Err(error) = self.node.wal.close() {
            tracing::error!(%error, "the log could not be closed cleanly; the next start recovers it");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.shut_down();
        }
    }
}

/// Starts a thread that works until it is told to stop.
fn spawn<F: Future<Output = io::Result<()>> + 'static>(
    name: &str,
    stop: watch::Receiver<bool>,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let (ready, started) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            if let Err(error) = run(work, stop, ready) {
                tracing::error!(%error, "a thread of the node ended");
            }
        });
    let thread = thread.map_err(|error| StartError::io("cannot start a thread", error))?;
    // The sender is dropped when the thread could not start its runtime; the error was logged there.
    let _ = started.blocking_recv();
    Ok(thread)
}

fn join(threads: &mut Vec<JoinHandle<()>>) {
    for thread in threads.drain(..) {
        if thread.join().is_err() {
            tracing::error!("a thread of the node had panicked");
        }
    }
}

/// Runs a thread's work on a runtime of its own until the node stops.
fn run<F: Future<Output = io::Result<()>> + 'static>(
    work: impl FnOnce() -> F,
    mut stop: watch::Receiver<bool>,
    ready: oneshot::Sender<()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async move {
        // Nobody waits any more only when the start was given up.
        let _ = ready.send(());
        tokio::select! {
            ended = work() => ended,
            _ = stop.wait_for(|stop| *stop) => Ok(()),
        }
    })
}

async fn run_node(
    node: Arc<Node>,
    news: mpsc::UnboundedReceiver<evenkeel_store::log::Durable<node::Note>>,
    peer: std::net::TcpListener,
    (http, token): (std::net::TcpListener, Option<Token>),
) -> io::Result<()> {
    tokio::task::spawn_local(link::keep_all_linked(Arc::clone(&node)));
    tokio::task::spawn_local(node::tick(Arc::clone(&node)));
    tokio::task::spawn_local(node::answer_repairs(Arc::clone(&node)));
    tokio::task::spawn_local(client::sweep(Arc::clone(&node)));
    tokio::task::spawn_local(admin::serve(
        Arc::clone(&node),
        token,
        TcpListener::from_std(http)?,
    ));
    tokio::task::spawn_local(node::hear_durable(Arc::clone(&node), news));
    link::accept(node, TcpListener::from_std(peer)?).await;
    Ok(())
}

async fn run_executor(
    node: Arc<Node>,
    listener: std::net::TcpListener,
    cluster: Option<std::net::TcpListener>,
) -> io::Result<()> {
    if let Some(cluster) = cluster {
        let accepting = client::accept(
            Arc::clone(&node),
            Face::Cluster,
            TcpListener::from_std(cluster)?,
        );
        tokio::task::spawn_local(accepting);
    }
    client::accept(node, Face::Standalone, TcpListener::from_std(listener)?).await;
    Ok(())
}

/// The bound sockets, before the data is touched: a port in use must not cost a recovery.
struct Listeners {
    client: std::net::TcpListener,
    cluster: Option<std::net::TcpListener>,
    peer: std::net::TcpListener,
    http: std::net::TcpListener,
}

impl Listeners {
    fn bind(config: &Config) -> Result<Self, StartError> {
        Ok(Self {
            client: bind("--listen", &config.listen)?,
            cluster: (config.cluster_listen.as_ref())
                .map(|address| bind("--cluster-listen", address))
                .transpose()?,
            peer: bind("--peer-listen", &config.peer_listen)?,
            http: bind("--http-listen", &config.http_listen)?,
        })
    }

    fn addresses(&self) -> Result<Addresses, StartError> {
        let of = |listener: &std::net::TcpListener| {
            listener
                .local_addr()
                .map_err(|error| StartError::io("cannot read a bound address", error))
        };
        Ok(Addresses {
            client: of(&self.client)?,
            cluster: self.cluster.as_ref().map(of).transpose()?,
            peer: of(&self.peer)?,
            http: of(&self.http)?,
        })
    }
}

fn bind(flag: &str, address: &str) -> Result<std::net::TcpListener, StartError> {
    let failed = |error| StartError::io(format!("cannot listen on {address} ({flag})"), error);
    let resolved =
        resolve(address).ok_or_else(|| failed(io::ErrorKind::AddrNotAvailable.into()))?;
    client::listen(resolved).map_err(failed)
}

fn announce(config: &Config, addresses: Addresses) -> Announce {
    let reached = |bound: SocketAddr| match &config.announce_host {
        Some(host) => format!("{host}:{}", bound.port()),
        None => bound.to_string(),
    };
    Announce {
        client: reached(addresses.client),
        cluster: addresses.cluster.map(reached),
        http: reached(addresses.http),
        peer: reached(addresses.peer),
    }
}
