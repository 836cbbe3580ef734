//! One node: a process of the real binary, ended by its id when the test is done with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::support::{eventually, free_port, http};

/// A node must serve within this time, and end within it.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How to start a node, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) client_port: u16,
    pub(crate) peer_port: u16,
    pub(crate) http_port: u16,
    pub(crate) dir: PathBuf,
    pub(crate) flags: Vec<String>,
    /// A command that the node is started through, such as `ip netns exec NAME`.
    pub(crate) through: Vec<String>,
}

impl Plan {
    pub(crate) fn new(name: &str, dir: &Path) -> Self {
        Self {
            name: name.to_owned(),
            host: "127.0.0.1".to_owned(),
            client_port: free_port(),
            peer_port: free_port(),
            http_port: free_port(),
            dir: dir.join(name),
            flags: Vec::new(),
            through: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, flags: &[&str]) -> Self {
        self.flags
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    pub(crate) fn member(&self) -> String {
        format!("{}={}:{}", self.name, self.host, self.peer_port)
    }

    pub(crate) fn client_address(&self) -> String {
        format!("{}:{}", self.host, self.client_port)
    }

    pub(crate) fn command(&self) -> Command {
        let mut words = self.through.clone();
        words.push(env!("CARGO_BIN_EXE_evenkeel").to_owned());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(["serve", "--node", &self.name, "--dir"]);
        command.arg(&self.dir);
        for (flag, port) in [
            ("--listen", self.client_port),
            ("--peer-listen", self.peer_port),
            ("--http-listen", self.http_port),
        ] {
            command.args([flag, &format!("{}:{port}", self.host)]);
        }
        command.args(&self.flags).stdin(Stdio::null());
        command
    }

    /// Starts it where it must not come up; gives its exit status and what it said.
    pub(crate) fn refused(&self) -> (ExitStatus, String) {
        let output = self.command().output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status, text)
    }

    pub(crate) fn start(&self) -> Node {
        let node = self.spawn();
        node.wait_until_serving();
        node
    }

    /// Starts it without waiting for it.
    pub(crate) fn spawn(&self) -> Node {
        std::fs::create_dir_all(self.dir.parent().unwrap()).unwrap();
        let said = self.dir.with_extension("log");
        let log = File::options()
            .create(true)
            .append(true)
            .open(&said)
            .unwrap();
        let child = self
            .command()
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Node {
            plan: self.clone(),
            child: std::sync::Mutex::new(child),
            said,
        }
    }
}

/// A running node.
pub(crate) struct Node {
    pub(crate) plan: Plan,
    child: std::sync::Mutex<Child>,
    said: PathBuf,
}

impl Node {
    pub(crate) fn wait_until_serving(&self) {
        let address = self.plan.client_address();
        eventually(START_LIMIT, "the node serves", || {
            let ended = self.child.lock().unwrap().try_wait().unwrap();
            assert!(
                ended.is_none(),
                "node {} ended:\n{}",
                self.plan.name,
                self.log()
            );
            let mut client = Client::try_new(&address).ok()?;
            client.try_run(&["PING"]).ok()
        });
    }

    /// What it has said since it was first started.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.plan.client_address())
    }

    /// SIGKILL, and gone.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// SIGSTOP, and all of its threads stand still.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        let tasks = format!("/proc/{}/task", self.id());
        eventually(START_LIMIT, "the node stands still", || {
            let mut threads = std::fs::read_dir(&tasks).unwrap();
            threads
                .all(|thread| {
                    let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
                    stat.is_ok_and(|stat| stat.contains(") T "))
                })
                .then_some(())
        });
    }

    /// SIGTERM, and the exit status.
    pub(crate) fn terminate(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&self) -> ExitStatus {
        eventually(START_LIMIT, "the node ends", || {
            self.child.lock().unwrap().try_wait().unwrap()
        })
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_none()
    }

    /// Resident memory in bytes, as the kernel counts it.
    pub(crate) fn resident(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.id())).unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }

    /// The status and body of an HTTP GET.
    pub(crate) fn http(&self, path: &str) -> (u16, String) {
        let host = format!("Host: {}:{}", self.plan.host, self.plan.http_port);
        self.http_with(&format!("GET {path}"), &[&host], "")
    }

    /// The status and body of an HTTP request, with these headers.
    pub(crate) fn http_with(&self, line: &str, headers: &[&str], body: &str) -> (u16, String) {
        let text = self.http_whole(line, headers, body);
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let body = text.split_once("\r\n\r\n").map_or("", |parts| parts.1);
        (status, body.to_owned())
    }

    /// The whole answer to an HTTP request, with its head.
    pub(crate) fn http_whole(&self, line: &str, headers: &[&str], body: &str) -> String {
        let address = format!("{}:{}", self.plan.host, self.plan.http_port);
        http(&address, line, headers, body).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.said).unwrap_or_default();
            let from = log.lines().count().saturating_sub(20);
            let end: Vec<&str> = log.lines().skip(from).collect();
            crate::support::say(&format!(
                "--- node {} said last:\n{}",
                self.plan.name,
                end.join("\n")
            ));
        }
    }
}
