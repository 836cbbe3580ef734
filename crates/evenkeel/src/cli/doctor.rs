//! `evenkeel doctor`: whether a node can run here, and what to change.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use evenkeel::offline::{self, LookError, Severity};
use evenkeel::{Config, config::resolve};
use serde_json::json;

use super::serve::read_config;
use super::talk::Talk;
use super::{disk::report_text, say};

/// Fsyncs that are timed.
const SYNCS: u32 = 20;
/// An fsync of four kilobytes that takes longer than this holds up writes that wait for it.
const SYNC_SLOW: Duration = Duration::from_millis(20);
/// With less space than this a node begins to refuse writes soon.
const SPACE_LOW: u64 = 1 << 30;
/// With less than this it can hardly start.
const SPACE_NONE: u64 = 64 << 20;
/// The clock is believed to be wrong before this: 2024-01-01.
const CLOCK_LEAST: u64 = 1_704_067_200;
/// Files from so far in the future tell of a clock that was set back.
const CLOCK_BACK_MAX: Duration = Duration::from_secs(300);

/// Flags of `evenkeel doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  evenkeel doctor                                   what a node would find that is started here without flags
  evenkeel doctor --config /etc/evenkeel.toml       with the configuration of a node
  evenkeel doctor --dir /var/lib/evenkeel --json    for programs

Looks at the configuration, the clock, the space and the fsync latency of the data directory, the ports, the version, and
every file in the directory (as evenkeel verify does) where no node runs on it. Changes nothing; writes a small file in
the directory to time fsyncs, and removes it.

Exit status: 0 a node can run, 1 it cannot or something is lost, 2 wrong use. A line with WARN does not count.")]
pub(super) struct Args {
    /// TOML file of a node
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory [default: as configured, else ./evenkeel-data]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing looked at.
struct Check {
    about: &'static str,
    verdict: Verdict,
    /// The fact, then the way out.
    text: String,
}

/// Looks at everything and tells.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let mut checks = Vec::new();
    let mut config = match &args.config {
        None => Config::default(),
        Some(file) => match read_config(file) {
            Ok(config) => config,
            Err(error) => {
                add(
                    &mut checks,
                    "configuration",
                    Verdict::Fail,
                    format!("{error:#}"),
                );
                Config::default()
            }
        },
    };
    config.dir = args.dir.clone().unwrap_or(config.dir);
    check_config(&mut checks, &config);
    check_clock(&mut checks, &config.dir);
    let runs = check_directory(&mut checks, &config.dir);
    check_space(&mut checks, &config.dir);
    check_syncs(&mut checks, &config.dir);
    check_ports(&mut checks, &config, runs);
    check_version(&mut checks, &config, runs);
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    if args.json {
        let all = checks.iter().map(|check| {
            json!({"check": check.about, "verdict": check.verdict.word().to_lowercase(), "text": check.text})
        });
        let all = json!({"ok": !failed, "checks": all.collect::<Vec<_>>()});
        say(&format!("{all}\n"))?;
    } else {
        let lines = checks.iter().map(|check| {
            format!(
                "{:<5} {:<14} {}\n",
                check.verdict.word(),
                check.about,
                check.text
            )
        });
        say(&lines.collect::<String>())?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn add(checks: &mut Vec<Check>, about: &'static str, verdict: Verdict, text: impl Into<String>) {
    checks.push(Check {
        about,
        verdict,
        text: text.into(),
    });
}

fn check_config(checks: &mut Vec<Check>, config: &Config) {
    match config.check() {
        Ok(()) => {
            let text = format!(
                "node {} of {} members, sync {}, data in {}",
                config.node,
                config.sorted_members().len(),
                config.sync,
                config.dir.display()
            );
            add(checks, "configuration", Verdict::Ok, text);
        }
        Err(errors) => {
            for error in errors {
                add(checks, "configuration", Verdict::Fail, error.to_string());
            }
        }
    }
}

fn check_clock(checks: &mut Vec<Check>, dir: &Path) {
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    if seconds < CLOCK_LEAST {
        let text = "the clock shows a time before 2024; set it, and keep it right with NTP: deadlines and the newest of concurrent writes go by it";
        return add(checks, "clock", Verdict::Fail, text);
    }
    let ahead = newest(dir).and_then(|newest| newest.duration_since(now).ok());
    match ahead.filter(|ahead| *ahead > CLOCK_BACK_MAX) {
        Some(ahead) => {
            let text = format!(
                "a file in the directory is from {} s in the future: the clock was set back, or is wrong now; check it against NTP",
                ahead.as_secs()
            );
            add(checks, "clock", Verdict::Warn, text);
        }
        None => add(
            checks,
            "clock",
            Verdict::Ok,
            "plausible; keep it right with NTP",
        ),
    }
}

/// When the newest file in a directory was changed.
fn newest(dir: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(dir).ok()?;
    let times = entries.filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok());
    times.max()
}

/// Verifies the directory; tells whether a node runs on it.
fn check_directory(checks: &mut Vec<Check>, dir: &Path) -> bool {
    if !dir.exists() {
        add(
            checks,
            "directory",
            Verdict::Ok,
            "not there yet; the first start makes it",
        );
        return false;
    }
    match offline::verify(dir) {
        Ok(report) => {
            let text = report_text(&report).trim_end().replace('\n', "; ");
            let (verdict, way_out) = match report.worst() {
                None | Some(Severity::Leftover) => (Verdict::Ok, ""),
                Some(Severity::Rebuilt) => (
                    Verdict::Warn,
                    "; the next start puts it in order, test the disk",
                ),
                Some(Severity::Loss) => (
                    Verdict::Fail,
                    "; a node of a cluster gets it back from the others, one that is alone needs a copy of the directory or evenkeel repair; test the disk",
                ),
                Some(Severity::Version) => (Verdict::Fail, ""),
            };
            add(checks, "directory", verdict, format!("{text}{way_out}"));
            false
        }
        Err(LookError::Directory(error)) if error.is_held() => {
            let text = format!("{error}; that node looks at its own files: EK.SCRUB");
            add(checks, "directory", Verdict::Ok, text);
            true
        }
        Err(error) => {
            let text = format!("{:#}", anyhow::Error::from(error));
            add(checks, "directory", Verdict::Fail, text);
            false
        }
    }
}

/// The directory, or the nearest one above it that there is.
fn existing(dir: &Path) -> PathBuf {
    let mut at = dir;
    while !at.exists() {
        match at.parent() {
            Some(parent) if parent != Path::new("") => at = parent,
            _ => return PathBuf::from("."),
        }
    }
    at.to_owned()
}

fn check_space(checks: &mut Vec<Check>, dir: &Path) {
    match evenkeel::free_space(&existing(dir)) {
        Ok((free, total)) => {
            let mib = free >> 20;
            let percent = free.saturating_mul(100) / total.max(1);
            let (verdict, way_out) = if free < SPACE_NONE {
                (
                    Verdict::Fail,
                    "; free some, or a node refuses writes with DISKFULL",
                )
            } else if free < SPACE_LOW || percent < 5 {
                (
                    Verdict::Warn,
                    "; free some before a node refuses writes with DISKFULL",
                )
            } else {
                (Verdict::Ok, "")
            };
            let text = format!("{mib} MiB free, {percent} %{way_out}");
            add(checks, "space", verdict, text);
        }
        Err(error) => add(
            checks,
            "space",
            Verdict::Fail,
            format!("cannot be told: {error}"),
        ),
    }
}

fn check_syncs(checks: &mut Vec<Check>, dir: &Path) {
    match time_syncs(&existing(dir)) {
        Ok(mut times) => {
            times.sort_unstable();
            let at = |share: usize| {
                times
                    .get(times.len() * share / 100)
                    .copied()
                    .unwrap_or_default()
            };
            let (half, slow) = (at(50), at(95));
            let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
            let (verdict, way_out) = if half > SYNC_SLOW {
                (
                    Verdict::Warn,
                    "; writes that wait for an fsync are as slow: use a disk with a power-safe cache, or sync = everysec",
                )
            } else {
                (Verdict::Ok, "")
            };
            let text = format!(
                "{:.2} ms half of the time, {:.2} ms at worst of 20{way_out}",
                ms(half),
                ms(slow)
            );
            add(checks, "fsync", verdict, text);
        }
        Err(error) => {
            let text = format!(
                "cannot write in {}: {error}; the node's user must own it",
                existing(dir).display()
            );
            add(checks, "fsync", Verdict::Fail, text);
        }
    }
}

fn time_syncs(dir: &Path) -> io::Result<Vec<Duration>> {
    let path = dir.join(format!("evenkeel-doctor-{}.tmp", std::process::id()));
    let timed = File::create(&path).and_then(|mut file| {
        (0..SYNCS)
            .map(|_| {
                file.write_all(&[0; 4096])?;
                let begun = Instant::now();
                file.sync_data()?;
                Ok(begun.elapsed())
            })
            .collect()
    });
    fs::remove_file(&path)?;
    timed
}

fn check_ports(checks: &mut Vec<Check>, config: &Config, runs: bool) {
    let cluster = config.cluster_listen.as_ref();
    let all = [&config.listen, &config.peer_listen, &config.http_listen];
    for address in all.into_iter().chain(cluster) {
        // What cannot be resolved is a mistake of the configuration, and said there.
        let Some(bound) = resolve(address) else {
            continue;
        };
        match TcpListener::bind(bound) {
            Ok(_) if runs => {
                let text = format!(
                    "{address} is not served, though a node runs on the directory; are these its flags?"
                );
                add(checks, "port", Verdict::Warn, text);
            }
            Ok(_) => add(checks, "port", Verdict::Ok, format!("{address} is free")),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && runs => {
                add(checks, "port", Verdict::Ok, format!("{address} is served"));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let text = format!(
                    "{address} is taken by another process; end that one, or use another port"
                );
                add(checks, "port", Verdict::Fail, text);
            }
            Err(error) => {
                let text =
                    format!("{address} cannot be bound: {error}; use an address of this machine");
                add(checks, "port", Verdict::Fail, text);
            }
        }
    }
}

fn check_version(checks: &mut Vec<Check>, config: &Config, runs: bool) {
    let mine = env!("CARGO_PKG_VERSION");
    let theirs = if runs { running_version(config) } else { None };
    match theirs {
        Some(theirs) if theirs != mine => {
            let text = format!(
                "the running node is {theirs}, this program {mine}; start the node again to run the new one"
            );
            add(checks, "version", Verdict::Warn, text);
        }
        _ => add(checks, "version", Verdict::Ok, mine),
    }
}

/// The version of the node that serves the configured address.
fn running_version(config: &Config) -> Option<String> {
    let mut talk = Talk::open(&config.listen).ok()?;
    let reply = talk.run(&["INFO".to_owned(), "server".to_owned()]).ok()?;
    let evenkeel_resp::Reply::Bulk(text) = reply else {
        return None;
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("evenkeel_version:"));
    line.map(str::to_owned)
}
