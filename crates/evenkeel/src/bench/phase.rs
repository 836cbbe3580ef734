//! One phase from the outside: threads with their connections, one common start, CPU time
//! around it, and the counts of all threads together.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::runtime::{Builder, Runtime};

use super::command::Mix;
use super::keys::Keys;
use super::link::{Greeting, Link, Target};
use super::pace::Claims;
use super::plan::{End, Plan};
use super::process_cpu::Sample;
use super::request::Requests;
use super::tally::Tally;
use super::worker::{self, Load};

/// How often the progress line changes.
const PROGRESS_PERIOD: Duration = Duration::from_millis(250);

/// What came of a phase.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) mix: Mix,
    pub(super) tally: Tally,
    /// From the common start to the last answer.
    pub(super) elapsed: Duration,
    /// Requests that the rate asked for and there was no time to send.
    pub(super) unsent: u64,
    pub(super) cpu: Cpu,
}

/// CPU time of a phase, where it was asked for and could be had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    pub(super) servers_us: Option<u64>,
    pub(super) client_us: Option<u64>,
    /// Why the servers' is missing although it was asked for: one of them is gone.
    pub(super) fault: Option<String>,
}

/// A thread's word to the one that started it.
enum Report {
    Connected(anyhow::Result<()>),
    Done(anyhow::Result<Tally>),
}

pub(super) fn run(plan: &Plan, mix: &Mix, greeting: &Greeting) -> anyhow::Result<Outcome> {
    let load = Arc::new(load(plan, mix, greeting));
    let (report, reports) = channel();
    let mut starts = Vec::new();
    for targets in deal(plan) {
        let (start, started) = channel();
        let (load, report) = (Arc::clone(&load), report.clone());
        thread::Builder::new()
            .name("bench".to_owned())
            .spawn(move || serve_thread(load, &targets, &started, &report))
            .context("cannot start a thread")?;
        starts.push(start);
    }
    drop(report);
    for _ in &starts {
        match reports.recv() {
            Ok(Report::Connected(connected)) => connected?,
            _ => return Err(anyhow!("a thread of the generator ended before the start")),
        }
    }
    let servers = Sample::take(&plan.pids)?;
    let client = Sample::take(&[std::process::id()]).ok();
    let start = Instant::now();
    for sender in &starts {
        // A thread that is gone is found missing by `gather`.
        let _ = sender.send(start);
    }
    let tally = gather(&load, mix, starts.len(), &reports)?;
    let mut cpu = Cpu {
        client_us: client.and_then(|then| us_since(&[std::process::id()], &then).ok()),
        ..Cpu::default()
    };
    if !plan.pids.is_empty() {
        thread::sleep(plan.settle);
        match us_since(&plan.pids, &servers) {
            Ok(us) => cpu.servers_us = Some(us),
            Err(error) => cpu.fault = Some(error.to_string()),
        }
    }
    Ok(Outcome {
        mix: mix.clone(),
        elapsed: Duration::from_nanos(tally.last_answer_ns),
        unsent: match plan.rate {
            Some(_) => load.claims.limit() - load.claims.taken(),
            None => 0,
        },
        tally,
        cpu,
    })
}

fn us_since(pids: &[u32], then: &Sample) -> anyhow::Result<u64> {
    Sample::take(pids)?.us_since(then)
}

fn load(plan: &Plan, mix: &Mix, greeting: &Greeting) -> Load {
    let (limit, duration) = match (plan.end, plan.rate) {
        (End::Requests(requests), _) => (requests, None),
        (End::After(duration), None) => (u64::MAX, Some(duration)),
        (End::After(duration), Some(rate)) => {
            let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            (rate.count_before(duration_ns), Some(duration))
        }
    };
    let keys = Keys::new(plan.distribution, plan.keys, plan.zipf_exponent);
    Load {
        requests: Requests::new(mix.clone(), keys, plan.shape),
        claims: Claims::new(limit),
        rate: plan.rate,
        duration,
        pipeline: plan.pipeline as u64,
        greeting: greeting.clone(),
        reconnects_max: plan.reconnects_max,
        silence_max: plan.silence_max,
    }
}

/// For each thread, the targets of its connections: connections go around the targets, and
/// around the threads with each full round, so that every thread loads every target.
fn deal(plan: &Plan) -> Vec<Vec<Arc<Target>>> {
    let mut dealt = vec![Vec::new(); plan.threads];
    for connection in 0..plan.connections {
        let thread = connection / plan.targets.len() % plan.threads;
        let target = &plan.targets[connection % plan.targets.len()];
        dealt[thread].push(Arc::clone(target));
    }
    dealt
}

fn serve_thread(
    load: Arc<Load>,
    targets: &[Arc<Target>],
    started: &Receiver<Instant>,
    report: &Sender<Report>,
) {
    let connected = Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")
        .and_then(|runtime| {
            let links = runtime.block_on(connect_all(targets, &load.greeting))?;
            Ok((runtime, links))
        });
    let (runtime, links): (Runtime, _) = match connected {
        Ok(connected) => connected,
        Err(error) => {
            // Nobody listens any more if another thread failed first.
            let _ = report.send(Report::Connected(Err(error)));
            return;
        }
    };
    if report.send(Report::Connected(Ok(()))).is_err() {
        return;
    }
    let Ok(start) = started.recv() else {
        return;
    };
    let done = runtime.block_on(worker::run(load, links, start));
    let _ = report.send(Report::Done(done));
}

async fn connect_all(
    targets: &[Arc<Target>],
    greeting: &Greeting,
) -> anyhow::Result<Vec<(Arc<Target>, Link)>> {
    let mut opening = tokio::task::JoinSet::new();
    for (place, target) in targets.iter().cloned().enumerate() {
        let greeting = greeting.clone();
        opening.spawn(async move {
            let link = Link::open(&target, &greeting).await;
            link.map(|link| (place, target, link))
        });
    }
    let mut links = Vec::with_capacity(targets.len());
    while let Some(opened) = opening.join_next().await {
        links.push(opened??);
    }
    // The order decides whose turn comes first at a fixed rate.
    links.sort_by_key(|&(place, ..)| place);
    let unnumbered = links.into_iter().map(|(_, target, link)| (target, link));
    Ok(unnumbered.collect())
}

fn gather(
    load: &Load,
    mix: &Mix,
    threads: usize,
    reports: &Receiver<Report>,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::new();
    let mut progress = Progress::new(mix);
    let mut running = threads;
    while running > 0 {
        match reports.recv_timeout(PROGRESS_PERIOD) {
            Ok(Report::Done(done)) => {
                tally.add(done?);
                running -= 1;
            }
            Ok(Report::Connected(connected)) => connected?,
            Err(RecvTimeoutError::Timeout) => progress.show(load.claims.taken()),
            Err(RecvTimeoutError::Disconnected) => {
                progress.clear();
                return Err(anyhow!("a thread of the generator ended early"));
            }
        }
    }
    progress.clear();
    Ok(tally)
}

/// One line on a terminal, overwritten; nothing elsewhere.
struct Progress {
    name: String,
    on_terminal: bool,
    shown: Option<(Instant, u64)>,
}

impl Progress {
    fn new(mix: &Mix) -> Self {
        let names: Vec<_> = mix.commands().map(super::command::Command::name).collect();
        Self {
            name: names.join("+"),
            on_terminal: std::io::stderr().is_terminal(),
            shown: None,
        }
    }

    fn show(&mut self, sent: u64) {
        if !self.on_terminal {
            return;
        }
        let now = Instant::now();
        let rate = self.shown.map_or(0, |(then, before)| {
            let elapsed_ms = now.duration_since(then).as_millis().max(1);
            u128::from(sent - before) * 1000 / elapsed_ms
        });
        self.shown = Some((now, sent));
        let name = &self.name;
        // A progress line that cannot be written is not worth a failed run.
        let _ = write!(
            std::io::stderr(),
            "\r{name}: {sent} requests, {rate}/s\x1b[K"
        );
    }

    fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
