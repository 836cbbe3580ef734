//! `evenkeel serve`: one node, until SIGTERM or Ctrl-C.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use evenkeel::{Config, Level, Member, Server};
use evenkeel_store::log::SyncPolicy;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Flags of `evenkeel serve`; what is not given comes from the file, then from the defaults.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  evenkeel serve
  evenkeel serve --node A --dir /var/lib/evenkeel --listen 127.0.0.1:7001 --peer-listen 127.0.0.1:8001 \\
      --http-listen 127.0.0.1:9001 --members A=127.0.0.1:8001,B=127.0.0.1:8002,C=127.0.0.1:8003
  evenkeel serve --config /etc/evenkeel.toml

  evenkeel serve --listen 127.0.0.1:6379 --cluster-listen 127.0.0.1:7379
  evenkeel serve --log-format json 2>> /var/log/evenkeel.json

Every node of a cluster gets the same --members list. A node that is killed and started again catches up by itself.")]
pub(super) struct Args {
    /// TOML file with the same names as the flags
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// This node's name [default: A]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Data directory [default: ./evenkeel-data]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where Redis clients connect [default: 127.0.0.1:6379]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where peers connect [default: 127.0.0.1:6380]
    #[arg(long, value_name = "HOST:PORT")]
    peer_listen: Option<String>,
    /// Where Redis Cluster clients connect, which route by the slot map [default: nowhere; 7379 by convention]
    #[arg(long, value_name = "HOST:PORT")]
    cluster_listen: Option<String>,
    /// Dashboard, API, health checks and metrics [default: 127.0.0.1:6381]
    #[arg(long, value_name = "HOST:PORT")]
    http_listen: Option<String>,
    /// File with the token that lets others than this machine use the dashboard [default: nobody else may]
    #[arg(long, value_name = "FILE")]
    http_token_file: Option<PathBuf>,
    /// File with the secret that all nodes of the cluster share: nobody else can link to them or join [default: anybody can]
    #[arg(long, value_name = "FILE")]
    cluster_secret_file: Option<PathBuf>,
    /// All nodes and their peer addresses, the same list everywhere [default: this node alone]
    #[arg(long, value_name = "NAME=HOST:PORT", value_delimiter = ',')]
    members: Vec<Member>,
    /// Peer addresses of nodes of a running cluster that this node, without data yet, is to enter
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    join: Vec<String>,
    /// With --join: enter anew with the data of a node that was forgotten, so that what only it holds is saved
    #[arg(long, requires = "join")]
    recover: bool,
    /// Where the node stands: replicas of the same data are spread over zones [default: none]
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,
    /// The datacentre the node stands in: replicas are spread over datacentres first [default: none]
    #[arg(long, value_name = "NAME")]
    dc: Option<String>,
    /// The node's share of the data; 200 is twice an ordinary node's [default: 100]
    #[arg(long, value_name = "N")]
    weight: Option<u32>,
    /// The host that clients and peers are told to reach this node at [default: the bound one]
    #[arg(long, value_name = "HOST")]
    announce_host: Option<String>,
    /// When the log is synced: always, everysec or never [default: everysec]
    #[arg(long, value_name = "POLICY")]
    sync: Option<SyncPolicy>,
    /// Make checkpoints when the log has grown by so many bytes [default: 268435456]
    #[arg(long, value_name = "BYTES")]
    checkpoint_log_bytes: Option<u64>,
    /// Count all content again and compare it with the other nodes' within so many hours; 0: only at an alarm [default: 24]
    #[arg(long, value_name = "HOURS")]
    scrub_hours: Option<u64>,
    /// Start although data that only this node held is damaged, with what is left
    #[arg(long)]
    accept_loss: bool,
    /// How many members of a key take part in a read: one, a number, quorum or all [default: one]
    #[arg(long, value_name = "LEVEL")]
    read_level: Option<Level>,
    /// How many members of a key hold a write before it is acknowledged [default: one]
    #[arg(long, value_name = "LEVEL")]
    write_level: Option<Level>,
    /// How long the members of a level are waited for before a command answers UNMET [default: 1000]
    #[arg(long, value_name = "MS")]
    level_timeout_ms: Option<u64>,
    /// Threads that execute commands [default: one fewer than cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Allow addresses that others reach although there are no credentials
    #[arg(long)]
    insecure: bool,
    /// Allow EK.FAULT: for tests and demonstrations only
    #[arg(long)]
    fault_injection: bool,
    /// How the log on standard error is written: text for people, json for programs
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Stop when standard input closes: how `demo` and `dev` leave nothing behind, however they end
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LogFormat {
    /// A line for people.
    Text,
    /// An object on each line.
    Json,
}

impl LogFormat {
    fn install(self) {
        let filter = tracing_subscriber::EnvFilter::try_from_env("EVENKEEL_LOG")
            .unwrap_or_else(|_| "info".into());
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            // A line that cannot be written would otherwise be reported on standard error too, and that panics.
            .log_internal_errors(false);
        match self {
            Self::Text => log.init(),
            // Fields stand beside the message: what is looked for is not two levels down.
            Self::Json => log
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .with_current_span(false)
                .init(),
        }
    }
}

impl Args {
    fn into_config(self) -> Result<Config> {
        let mut config = match &self.config {
            None => Config::default(),
            Some(file) => read_config(file)?,
        };
        config.node = self.node.unwrap_or(config.node);
        config.dir = self.dir.unwrap_or(config.dir);
        config.listen = self.listen.unwrap_or(config.listen);
        config.cluster_listen = self.cluster_listen.or(config.cluster_listen);
        config.peer_listen = self.peer_listen.unwrap_or(config.peer_listen);
        config.http_listen = self.http_listen.unwrap_or(config.http_listen);
        config.cluster_secret_file = self.cluster_secret_file.or(config.cluster_secret_file);
        config.http_token_file = self.http_token_file.or(config.http_token_file);
        config.announce_host = self.announce_host.or(config.announce_host);
        config.sync = self.sync.unwrap_or(config.sync);
        config.threads = self.threads.unwrap_or(config.threads);
        config.checkpoint_log_bytes = self
            .checkpoint_log_bytes
            .unwrap_or(config.checkpoint_log_bytes);
        config.read_level = self.read_level.unwrap_or(config.read_level);
        config.write_level = self.write_level.unwrap_or(config.write_level);
        config.level_timeout_ms = self.level_timeout_ms.unwrap_or(config.level_timeout_ms);
        config.scrub_hours = self.scrub_hours.unwrap_or(config.scrub_hours);
        config.accept_loss = self.accept_loss;
        config.insecure |= self.insecure;
        config.fault_injection |= self.fault_injection;
        if !self.join.is_empty() {
            config.join = self.join;
        }
        config.recover = self.recover;
        config.zone = self.zone.unwrap_or(config.zone);
        config.dc = self.dc.unwrap_or(config.dc);
        config.weight = self.weight.unwrap_or(config.weight);
        if !self.members.is_empty() {
            config.members = self.members;
        }
        Ok(config)
    }
}

/// The configuration in a file.
pub(super) fn read_config(file: &Path) -> Result<Config> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is no configuration", file.display()))
}

/// Runs a node until it is told to stop.
pub(super) fn run(args: Args) -> Result<()> {
    args.log_format.install();
    let until_stdin_closes = args.until_stdin_closes;
    let config = args.into_config()?;
    // Before clients can connect: whoever sees the node serve may also end it cleanly.
    let signals = Signals::register()?;
    let server = Server::start(config)?;
    let addresses = server.addresses();
    if let Some(cluster) = addresses.cluster {
        tracing::info!(%cluster, "serving cluster clients");
    }
    tracing::info!(client = %addresses.client, peer = %addresses.peer, http = %addresses.http, "serving");
    signals.wait(until_stdin_closes, &server)?;
    tracing::info!("stopping");
    server.stop();
    Ok(())
}

/// SIGTERM and Ctrl-C, noticed from the moment of the registration on.
struct Signals {
    runtime: tokio::runtime::Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn register() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (terminate, interrupt) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            )
        };
        Ok(Self {
            runtime,
            terminate,
            interrupt,
        })
    }

    fn wait(mut self, until_stdin_closes: bool, server: &Server) -> Result<()> {
        let (closed, stdin_closed) = tokio::sync::oneshot::channel();
        if until_stdin_closes {
            std::thread::Builder::new()
                .name("stdin".to_owned())
                .spawn(move || {
                    // Whatever comes is ignored; an error is an end as well.
                    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                    let _ = closed.send(());
                })?;
        }
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
                _ = stdin_closed, if until_stdin_closes => {}
                () = server.asked_to_stop() => {}
            }
        });
        Ok(())
    }
}
