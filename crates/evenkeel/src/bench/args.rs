//! The command line of `evenkeel bench`.

use super::command::{Mix, Series};
use super::keys::Distribution;

const EXAMPLES: &str = "\
Examples:
  Fill a million keys in order, then read them 16 at a time:
    evenkeel bench -t set --distribution sequential --keys 1000000 -n 1000000
    evenkeel bench -t get --keys 1000000 -P 16 --seconds 10

  A mix on popular keys, on three nodes, as JSON:
    evenkeel bench --target a:6379 --target b:6379 --target c:6379 \\
      --commands set:1,get:9 --distribution zipf --seconds 30 --json

  Latency at 5,000 requests per second, whatever the server does:
    evenkeel bench -t set --rate 5000 --seconds 30

  CPU per request over a primary and its two replicas:
    evenkeel bench -t set -P 16 -n 2000000 --pids 4242,4243,4244

Latency at a fixed rate counts from the moment a request was meant to be sent, so a server that
falls behind shows it. Throughput, latency and CPU per request are about requests answered
without an error. A password is taken from the variable EVENKEEL_PASSWORD.

Exit status: 0 done; 1 errors, lost requests, or nothing done; 2 wrong use.";

/// Put load on any server that speaks the Redis protocol and measure it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) load: LoadArgs,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(flatten)]
    pub(super) data: DataArgs,
    #[command(flatten)]
    pub(super) measure: MeasureArgs,
}

/// What to send, for how long, how fast.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Load")]
pub(super) struct LoadArgs {
    /// Commands run one after the other: set, get, incr, sadd, hset [default: set,get]
    #[arg(short, long, value_name = "LIST", conflicts_with = "commands")]
    pub(super) tests: Option<Series>,
    /// Commands mixed, with weights, such as set:1,get:9
    #[arg(long, value_name = "MIX")]
    pub(super) commands: Option<Mix>,
    /// Requests in all, for each test [default: 100000]
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "seconds")]
    pub(super) requests: Option<u64>,
    /// Duration of each test instead of a number of requests
    #[arg(long, value_name = "S")]
    pub(super) seconds: Option<f64>,
    /// Requests per second in all, sent when due and not when the last is answered
    #[arg(long, value_name = "PER_SECOND")]
    pub(super) rate: Option<u64>,
    /// Requests under way on each connection; at a fixed rate, sent together at most
    #[arg(short = 'P', long, value_name = "N", default_value_t = 1)]
    pub(super) pipeline: usize,
}

/// Over what to send it.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connections")]
pub(super) struct ConnectionArgs {
    /// A server; repeat it to spread the connections over several
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379")]
    pub(super) target: Vec<String>,
    /// Connections in all
    #[arg(short, long, value_name = "N", default_value_t = 50)]
    pub(super) connections: usize,
    /// Threads of the generator; connections are divided among them
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) threads: usize,
    /// Speak RESP3 (HELLO 3) instead of RESP2
    #[arg(long)]
    pub(super) resp3: bool,
    /// Attempts in a row to get a lost connection back, from at once to 500 ms apart
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(super) reconnects: u32,
    /// Give up when nothing is answered for this long
    #[arg(long, value_name = "MS", default_value_t = 5000)]
    pub(super) timeout_ms: u64,
}

/// About which data.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Data")]
pub(super) struct DataArgs {
    /// Different keys
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(super) keys: u64,
    /// How requests spread over the keys
    #[arg(long, value_enum, default_value_t = Distribution::Uniform)]
    pub(super) distribution: Distribution,
    /// How unequal zipf is: key k comes as often as 1/k^E
    #[arg(long, value_name = "E", default_value_t = 0.99)]
    pub(super) zipf_exponent: f64,
    /// Length of a key
    #[arg(long, value_name = "BYTES", default_value_t = 22)]
    pub(super) key_bytes: usize,
    /// Length of a value of SET and HSET
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    pub(super) value_bytes: usize,
    /// Different members of a set (SADD), fields of a hash (HSET)
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(super) members: u64,
    /// Equal seeds send equal requests
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
}

/// What to measure and how to show it.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Measurement")]
pub(super) struct MeasureArgs {
    /// Processes of the servers, on this machine: show their CPU time per request
    #[arg(long, value_name = "PID,PID", value_delimiter = ',')]
    pub(super) pids: Vec<u32>,
    /// With --pids: count CPU time for this long after the last answer, so that replicas have
    /// caught up
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub(super) settle_ms: u64,
    /// Print one JSON object per command, and one for the total as the last line
    #[arg(long)]
    pub(super) json: bool,
}
