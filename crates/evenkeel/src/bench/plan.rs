//! A checked command line: every bound holds, every name is resolved.

use std::net::ToSocketAddrs;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::args::{Args, ConnectionArgs, DataArgs, LoadArgs, MeasureArgs};
use super::command::{Command, Mix};
use super::keys::Distribution;
use super::limits::{
    BATCH_BYTES_MAX, CONNECTIONS_MAX, KEY_BYTES_MAX, PIPELINE_MAX, RATE_MAX, RECONNECTS_MAX,
    SECONDS_MAX, TARGETS_MAX, THREADS_MAX, VALUE_BYTES_MAX,
};
use super::link::Target;
use super::pace::Rate;
use super::process_cpu::Sample;
use super::request::{MEMBERS_MAX, Shape, key_bytes_min};

/// Bytes of a request besides its key and value, at most.
const FRAMING_BYTES_MAX: usize = 100;
const REQUESTS_DEFAULT: u64 = 100_000;

/// When a test ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Requests(u64),
    After(Duration),
}

/// A run that can be started.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) phases: Vec<Mix>,
    pub(super) end: End,
    pub(super) rate: Option<Rate>,
    pub(super) pipeline: usize,
    pub(super) targets: Vec<Arc<Target>>,
    pub(super) connections: usize,
    pub(super) threads: usize,
    pub(super) resp3: bool,
    pub(super) reconnects_max: u32,
    pub(super) silence_max: Duration,
    pub(super) keys: u64,
    pub(super) distribution: Distribution,
    pub(super) zipf_exponent: f64,
    pub(super) shape: Shape,
    pub(super) pids: Vec<u32>,
    pub(super) settle: Duration,
}

impl Plan {
    /// Checks everything that can be checked without a connection.
    ///
    /// # Errors
    /// All that is wrong, a sentence each.
    pub(super) fn new(args: &Args) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let phases = phases(&args.load);
        check_load(&args.load, &mut wrong);
        check_connections(&args.connection, &mut wrong);
        check_data(&args.data, &phases, &mut wrong);
        check_measurement(&args.measure, &mut wrong);
        let request_bytes = args.data.key_bytes.saturating_add(args.data.value_bytes);
        let batch_bytes = request_bytes
            .saturating_add(FRAMING_BYTES_MAX)
            .saturating_mul(args.load.pipeline);
        if batch_bytes > BATCH_BYTES_MAX {
            wrong.push(format!(
                "--pipeline {} with such values makes batches above {BATCH_BYTES_MAX} bytes",
                args.load.pipeline
            ));
        }
        let targets = resolve(&args.connection, &mut wrong);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            phases,
            end: match args.load.seconds {
                Some(seconds) => End::After(Duration::from_secs_f64(seconds)),
                None => End::Requests(args.load.requests.unwrap_or(REQUESTS_DEFAULT)),
            },
            rate: args.load.rate.and_then(NonZeroU64::new).map(Rate),
            pipeline: args.load.pipeline,
            targets,
            connections: args.connection.connections,
            threads: args.connection.threads,
            resp3: args.connection.resp3,
            reconnects_max: args.connection.reconnects,
            silence_max: Duration::from_millis(args.connection.timeout_ms),
            keys: args.data.keys,
            distribution: args.data.distribution,
            zipf_exponent: args.data.zipf_exponent,
            shape: Shape {
                seed: args.data.seed,
                key_bytes: args.data.key_bytes,
                value_bytes: args.data.value_bytes,
                members: args.data.members,
            },
            pids: args.measure.pids.clone(),
            settle: Duration::from_millis(args.measure.settle_ms),
        })
    }
}

fn phases(args: &LoadArgs) -> Vec<Mix> {
    match (&args.commands, &args.tests) {
        (Some(mix), _) => vec![mix.clone()],
        (None, Some(series)) => series.phases(),
        (None, None) => vec![Mix::only(Command::Set), Mix::only(Command::Get)],
    }
}

fn check_load(args: &LoadArgs, wrong: &mut Vec<String>) {
    let mut range = |flag: &str, value: u64, max: u64| {
        if value == 0 || value > max {
            wrong.push(format!("{flag} {value} is not between 1 and {max}"));
        }
    };
    range("--requests", args.requests.unwrap_or(1), u64::MAX / 2);
    range("--rate", args.rate.unwrap_or(1), RATE_MAX);
    range("--pipeline", args.pipeline as u64, PIPELINE_MAX as u64);
    let seconds = args.seconds.unwrap_or(1.0);
    if !(seconds > 0.0 && seconds <= f64::from(SECONDS_MAX)) {
        wrong.push(format!(
            "--seconds {seconds} is not above 0 and up to {SECONDS_MAX}"
        ));
    }
}

fn check_connections(args: &ConnectionArgs, wrong: &mut Vec<String>) {
    let mut range = |flag: &str, value: usize, max: usize| {
        if value == 0 || value > max {
            wrong.push(format!("{flag} {value} is not between 1 and {max}"));
        }
    };
    range("--connections", args.connections, CONNECTIONS_MAX);
    range("--threads", args.threads, THREADS_MAX);
    let users = args.target.len().saturating_mul(args.threads);
    if args.connections < users {
        wrong.push(format!(
            "--connections {} is less than one for each of {} targets on each of {} threads",
            args.connections,
            args.target.len(),
            args.threads
        ));
    }
    if args.reconnects > RECONNECTS_MAX {
        wrong.push(format!(
            "--reconnects {} is above {RECONNECTS_MAX}",
            args.reconnects
        ));
    }
    if args.timeout_ms == 0 || args.timeout_ms > u64::from(SECONDS_MAX) * 1000 {
        wrong.push(format!(
            "--timeout-ms {} is not between 1 and a day",
            args.timeout_ms
        ));
    }
}

fn check_data(args: &DataArgs, phases: &[Mix], wrong: &mut Vec<String>) {
    if args.keys == 0 {
        wrong.push("--keys 0 leaves no key to use".to_owned());
    }
    let min = phases.iter().map(|mix| key_bytes_min(mix, args.keys)).max();
    let min = min.unwrap_or(1);
    if !(min..=KEY_BYTES_MAX).contains(&args.key_bytes) {
        wrong.push(format!(
            "--key-bytes {} is not between {min}, which {} keys take, and {KEY_BYTES_MAX}",
            args.key_bytes, args.keys
        ));
    }
    if args.value_bytes > VALUE_BYTES_MAX {
        wrong.push(format!(
            "--value-bytes {} is above {VALUE_BYTES_MAX}",
            args.value_bytes
        ));
    }
    if args.members == 0 || args.members > MEMBERS_MAX {
        wrong.push(format!(
            "--members {} is not between 1 and {MEMBERS_MAX}",
            args.members
        ));
    }
    if !(args.zipf_exponent > 0.0 && args.zipf_exponent <= 10.0) {
        wrong.push(format!(
            "--zipf-exponent {} is not above 0 and up to 10",
            args.zipf_exponent
        ));
    }
}

fn check_measurement(args: &MeasureArgs, wrong: &mut Vec<String>) {
    if args.settle_ms > u64::from(SECONDS_MAX) * 1000 {
        wrong.push(format!("--settle-ms {} is above a day", args.settle_ms));
    }
    if let Err(error) = Sample::take(&args.pids) {
        wrong.push(format!("--pids: {error}"));
    }
}

fn resolve(args: &ConnectionArgs, wrong: &mut Vec<String>) -> Vec<Arc<Target>> {
    if args.target.len() > TARGETS_MAX {
        wrong.push(format!("more than {TARGETS_MAX} targets"));
        return Vec::new();
    }
    let mut targets = Vec::new();
    for name in &args.target {
        match name.to_socket_addrs() {
            Ok(addresses) => targets.push(Arc::new(Target {
                name: name.clone(),
                addresses: addresses.collect(),
            })),
            Err(error) => wrong.push(format!("--target {name} is not HOST:PORT: {error}")),
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn plan(line: &str) -> Result<Plan, Vec<String>> {
        let words = ["bench"].into_iter().chain(line.split_whitespace());
        Plan::new(&Cli::try_parse_from(words).unwrap().args)
    }

    #[test]
    fn the_default_is_set_and_get_of_a_hundred_thousand_requests() {
        let plan = plan("").unwrap();
        let expected = [Mix::only(Command::Set), Mix::only(Command::Get)];
        assert_eq!(plan.phases, expected);
        assert_eq!(plan.end, End::Requests(100_000));
        assert_eq!(plan.targets.len(), 1);
    }

    #[test]
    fn a_mix_is_one_phase() {
        let plan = plan("--commands set:1,get:9 --seconds 1.5").unwrap();
        assert_eq!(plan.phases, ["set:1,get:9".parse().unwrap()]);
        assert_eq!(plan.end, End::After(Duration::from_millis(1500)));
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let wrong = plan("--rate 0 -P 0 -c 1 --target localhost:1 --target nowhere --keys 0");
        assert_eq!(
            wrong.unwrap_err(),
            [
                "--rate 0 is not between 1 and 1000000000",
                "--pipeline 0 is not between 1 and 10000",
                "--connections 1 is less than one for each of 2 targets on each of 1 threads",
                "--keys 0 leaves no key to use",
                "--target nowhere is not HOST:PORT: invalid socket address",
            ]
        );
    }

    #[test]
    fn keys_too_short_for_their_number_are_refused() {
        let wrong = plan("-t incr --keys 1000000 --key-bytes 11").unwrap_err();
        assert_eq!(
            wrong,
            ["--key-bytes 11 is not between 12, which 1000000 keys take, and 4096"]
        );
        assert!(plan("-t incr --keys 1000000 --key-bytes 12").is_ok());
    }

    #[test]
    fn a_batch_that_would_fill_the_memory_is_refused() {
        let wrong = plan("-P 10000 --value-bytes 1000000").unwrap_err();
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].contains("above 268435456 bytes"), "{wrong:?}");
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        for line in ["--seconds NaN", "--seconds inf", "--zipf-exponent NaN"] {
            assert_eq!(plan(line).unwrap_err().len(), 1, "{line}");
        }
    }

    #[test]
    fn tests_and_a_mix_exclude_each_other() {
        for line in ["-t set --commands get", "-n 5 --seconds 5"] {
            let words = ["bench"].into_iter().chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}
