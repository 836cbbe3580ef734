//! Nodes as processes of this same binary, on this machine: for `demo` and `dev`.
//!
//! Invariant: no node outlives this process. Each child watches its standard input, whose other end only this process
//! holds, and stops when it closes: also after a panic or a kill that runs no destructor here.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::talk::Talk;

/// How long a node may take to answer its first command.
const START_MAX: Duration = Duration::from_secs(10);
/// How long a node may take to stop before it is killed.
const STOP_MAX: Duration = Duration::from_secs(5);
/// How often a process is looked at while it starts or stops.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How much of a node's log is shown when it does not start.
const LOG_LINES_SHOWN: usize = 5;

/// Where one node listens and keeps its data.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its name.
    pub(crate) name: String,
    /// For clients.
    pub(crate) client: String,
    /// For peers.
    pub(crate) peer: String,
    /// For HTTP.
    pub(crate) http: String,
    /// Its data.
    pub(crate) dir: PathBuf,
}

impl Place {
    /// Its log file.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.with_extension("log")
    }
}

/// A node that runs as a process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    place: Place,
    child: Child,
}

impl Process {
    /// Starts the node and waits until it answers.
    pub(crate) fn start(place: &Place, all: &[Place]) -> Result<Self> {
        let members: Vec<String> = all
            .iter()
            .map(|place| format!("{}={}", place.name, place.peer))
            .collect();
        let log = File::options()
            .create(true)
            .append(true)
            .open(place.log())
            .with_context(|| format!("cannot write {}", place.log().display()))?;
        let child = Command::new(std::env::current_exe()?)
            .args(["serve", "--until-stdin-closes", "--fault-injection"])
            .args(["--threads", "1", "--node", &place.name])
            .arg("--dir")
            .arg(&place.dir)
            .args(["--listen", &place.client, "--peer-listen", &place.peer])
            .args([
                "--http-listen",
                &place.http,
                "--members",
                &members.join(","),
            ])
            .env_remove("EVENKEEL_LOG")
            // A group of its own: Ctrl-C reaches this process alone, which then stops the nodes in order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start a node")?;
        let mut process = Self {
            place: place.clone(),
            child,
        };
        process.wait_until_it_answers()?;
        Ok(process)
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let until = Instant::now() + START_MAX;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                let why = last_lines(&self.place.log());
                bail!("node {} did not start ({status}):\n{why}", self.place.name);
            }
            if Talk::open(&self.place.client).is_ok() {
                return Ok(());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        bail!(
            "node {} did not answer within {} s",
            self.place.name,
            START_MAX.as_secs()
        )
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did by itself.
    pub(crate) fn ended(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        self.child.try_wait()
    }

    /// Kills it on the spot (SIGKILL): it gets no chance to write or say anything.
    pub(crate) fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Tells it to stop; see [`Process::await_stop`].
    pub(crate) fn ask_to_stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits until it has stopped cleanly; after a while it is killed. Tells whether it was clean.
    pub(crate) fn await_stop(mut self) -> io::Result<bool> {
        self.ask_to_stop();
        let until = Instant::now() + STOP_MAX;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        self.kill()?;
        Ok(false)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; there is nothing else to do about it here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn last_lines(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// A directory for data that is of no use afterwards. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct TemporaryDir(PathBuf);

impl TemporaryDir {
    /// Makes a new one.
    pub(crate) fn new(purpose: &str) -> Result<Self> {
        let number = getrandom::u64().map_err(|error| anyhow::anyhow!("no entropy: {error}"))?;
        let path = std::env::temp_dir().join(format!("evenkeel-{purpose}-{number:016x}"));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        // Left behind in the system's directory for temporary files at worst.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs `act` on a thread of its own when the user presses Ctrl-C or SIGTERM comes.
pub(crate) fn on_interrupt(act: impl FnOnce() + Send + 'static) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let inside = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    drop(inside);
    std::thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            act();
        })?;
    Ok(())
}
