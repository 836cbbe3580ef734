//! Configuration of one node: from flags, from a TOML file, checked as a whole before anything is opened.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use evenkeel_store::log::SyncPolicy;
use serde::{Deserialize, Serialize};

use crate::level::Level;

/// How many replicas a partition has, where there are that many nodes.
pub const REPLICAS: usize = 3;
/// How many partitions the 16384 slots are cut into.
pub const PARTITIONS: u16 = 256;
/// The greatest weight of a node.
pub(crate) const WEIGHT_MAX: u32 = 10_000;
/// The longest name of a node, a zone or a datacentre.
const NAME_BYTES_MAX: usize = 64;
/// The longest time that the members of a level can be waited for, in milliseconds.
pub(crate) const LEVEL_TIMEOUT_MS_MAX: u64 = 3_600_000;

/// One entry of the initial topology: a name and the address peers reach it at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Member {
    /// The node's name; unique.
    pub name: String,
    /// Its peer address, `host:port`.
    pub peer: String,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.peer)
    }
}

impl From<Member> for String {
    fn from(member: Member) -> Self {
        member.to_string()
    }
}

impl TryFrom<String> for Member {
    type Error = ConfigError;
    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl FromStr for Member {
    type Err = ConfigError;
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let parts = text
            .split_once('=')
            .filter(|(name, peer)| !name.is_empty() && peer.contains(':'));
        let Some((name, peer)) = parts else {
            return Err(ConfigError::Member {
                text: text.to_owned(),
            });
        };
        Ok(Self {
            name: name.to_owned(),
            peer: peer.to_owned(),
        })
    }
}

/// What is wrong with a configuration. Nothing was opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// An entry of the member list cannot be read.
    #[error("member '{text}' is not NAME=HOST:PORT; write it like A=10.0.0.1:6380")]
    Member {
        /// The entry.
        text: String,
    },
    /// This node is not in its own member list.
    #[error(
        "node '{node}' is not in the member list ({members}); give it one of those names with --node, or add it"
    )]
    NotAMember {
        /// This node.
        node: String,
        /// The list.
        members: String,
    },
    /// A name stands twice in the member list.
    #[error("member '{name}' is listed twice; each node needs a name of its own")]
    DuplicateMember {
        /// The name.
        name: String,
    },
    /// An address that others reach, without credentials.
    #[error(
        "{flag} {address} is not a loopback address and there are no credentials yet; bind 127.0.0.1, or say --insecure if the network is trusted"
    )]
    OpenWithoutCredentials {
        /// The flag.
        flag: &'static str,
        /// Its value.
        address: String,
    },
    /// The file with the token of the HTTP API is of no use.
    #[error("{flag} {file}: {why}; make one with: openssl rand -hex 32 > {file}")]
    Token {
        /// The flag.
        flag: &'static str,
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// Both a list of members and a cluster to join.
    #[error(
        "--members and --join were both given; --members founds a cluster, --join enters one that runs: give one of them"
    )]
    FoundsAndJoins,
    /// An address of a cluster to join that is none.
    #[error(
        "--join {address} is not HOST:PORT; write the peer address of a node of the cluster, like 10.0.0.1:6380"
    )]
    Join {
        /// The address.
        address: String,
    },
    /// A node cannot be told to others.
    #[error(
        "--join needs an address that the others can dial, and {address} is every address of this machine; give the host with --announce-host"
    )]
    Unreachable {
        /// The bound address.
        address: String,
    },
    /// A share of the data that is none.
    #[error(
        "--weight {weight} is not between 1 and {WEIGHT_MAX}; 100 is an ordinary node, 200 one with twice the room"
    )]
    Weight {
        /// The value.
        weight: u32,
    },
    /// A word that is too long or has other characters than names have.
    #[error(
        "{flag} '{value}' is no name; use up to {NAME_BYTES_MAX} letters, digits, dots, dashes and underscores"
    )]
    Name {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
    },
    /// More members than a key has.
    #[error("{flag} {level} is more than the {replicas} members that a key has here; use all")]
    Level {
        /// The flag.
        flag: &'static str,
        /// Its value.
        level: Level,
        /// How many there are.
        replicas: usize,
    },
    /// A time-out of no use.
    #[error(
        "--level-timeout-ms {ms} is not between 1 and {LEVEL_TIMEOUT_MS_MAX}; write milliseconds, like 1000"
    )]
    LevelTimeout {
        /// The value.
        ms: u64,
    },
    /// An address that cannot be resolved.
    #[error("{flag} {address} is no address to bind; write HOST:PORT, like 127.0.0.1:6379")]
    Address {
        /// The flag.
        flag: &'static str,
        /// Its value.
        address: String,
    },
}

/// Everything a node is told at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// This node's name.
    pub node: String,
    /// Where its data lives.
    pub dir: PathBuf,
    /// Where Redis clients connect.
    pub listen: String,
    /// Where Redis clients connect that route by the slot map; none by default.
    pub cluster_listen: Option<String>,
    /// Where peers connect.
    pub peer_listen: String,
    /// Where health checks, metrics and the dashboard are.
    pub http_listen: String,
    /// All nodes of the initial topology, this one included; empty: a single node.
    pub members: Vec<Member>,
    /// Peer addresses of nodes of a running cluster: a node without data asks them to let it in.
    pub join: Vec<String>,
    /// Enters the cluster anew although there is data: of a node that was forgotten, so that what only it holds is saved.
    #[serde(skip)]
    pub recover: bool,
    /// Where it stands: replicas of the same data are spread over zones.
    pub zone: String,
    /// The datacentre it stands in: replicas are spread over datacentres before zones.
    pub dc: String,
    /// Its share of the data, in relation to the other nodes' weights.
    pub weight: u32,
    /// The host that clients are told to reach this node at; the bound one by default.
    pub announce_host: Option<String>,
    /// Allows addresses that others reach although there are no credentials.
    pub insecure: bool,
    /// Allows `EK.FAULT`: links can be cut, delayed and made lossy. For tests and demonstrations only.
    pub fault_injection: bool,
    /// When the log is synced to the disk: `always`, `everysec` or `never`.
    #[serde(with = "sync_policy")]
    pub sync: SyncPolicy,
    /// The file with the token that lets others than this machine use the HTTP API; without it nobody else may.
    pub http_token_file: Option<PathBuf>,
    /// The file with the secret that all nodes of the cluster share: nobody else can link to them or join.
    pub cluster_secret_file: Option<PathBuf>,
    /// Checkpoints are made when the log has grown by this many bytes, or by as many as the last ones took, if that
    /// is more. Higher: fewer bytes written, a longer log, a slower start.
    pub checkpoint_log_bytes: u64,
    /// Every replica is counted again and compared with the others' within this many hours; 0: only at an alarm.
    pub scrub_hours: u64,
    /// Starts although a checkpoint of data that only this node holds is lost, with what is left.
    #[serde(skip)]
    pub accept_loss: bool,
    /// How many members take part in a read, for connections that ask for nothing else (`EK.CONSISTENCY`).
    pub read_level: Level,
    /// How many members hold a write before it is acknowledged, in the same way.
    pub write_level: Level,
    /// How long the members of a level are waited for, in milliseconds, in the same way.
    pub level_timeout_ms: u64,
    /// Threads that execute commands; 0: one fewer than there are cores, at least one.
    pub threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "A".to_owned(),
            dir: PathBuf::from("./evenkeel-data"),
            listen: "127.0.0.1:6379".to_owned(),
            cluster_listen: None,
            peer_listen: "127.0.0.1:6380".to_owned(),
            http_listen: "127.0.0.1:6381".to_owned(),
            members: Vec::new(),
            join: Vec::new(),
            recover: false,
            zone: String::new(),
            dc: String::new(),
            weight: 100,
            announce_host: None,
            insecure: false,
            fault_injection: false,
            sync: SyncPolicy::EverySecond,
            http_token_file: None,
            cluster_secret_file: None,
            checkpoint_log_bytes: 256 << 20,
            scrub_hours: 24,
            accept_loss: false,
            read_level: Level::default(),
            write_level: Level::default(),
            level_timeout_ms: 1_000,
            threads: 0,
        }
    }
}

/// A secret that is shown in place of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The shortest that is accepted, in bytes: enough to resist guessing when drawn at random.
    const BYTES_MIN: usize = 16;

    /// Reads it from a file of one line.
    ///
    /// # Errors
    /// When the file cannot be read, or its content is too short or no printable word.
    pub fn read(flag: &'static str, file: &std::path::Path) -> Result<Self, ConfigError> {
        let failed = |why: String| ConfigError::Token {
            flag,
            file: file.display().to_string(),
            why,
        };
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        let word = text.trim_end_matches(['\r', '\n']);
        if word.len() < Self::BYTES_MIN || !word.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(failed(format!(
                "it must hold one line of at least {} printable characters",
                Self::BYTES_MIN
            )));
        }
        Ok(Self(word.to_owned()))
    }

    /// The secret itself.
    pub(crate) const fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// A secret, whatever its length.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether this is it. Takes as long for a wrong one as for the right one.
    #[must_use]
    pub fn is(&self, shown: &str) -> bool {
        let (wanted, shown) = (self.0.as_bytes(), shown.as_bytes());
        let differences = wanted
            .iter()
            .zip(shown)
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        wanted.len() == shown.len() && differences == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

mod sync_policy {
    use evenkeel_store::log::SyncPolicy;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands fields by reference"
    )]
    pub(super) fn serialize<S: Serializer>(policy: &SyncPolicy, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(policy)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<SyncPolicy, D::Error> {
        String::deserialize(input)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl Config {
    /// The members in the order of the table: sorted by name; a single node stands alone.
    #[must_use]
    pub fn sorted_members(&self) -> Vec<Member> {
        let mut members = self.members.clone();
        if members.is_empty() {
            members.push(Member {
                name: self.node.clone(),
                peer: self.peer_listen.clone(),
            });
        }
        members.sort();
        members
    }

    /// Finds everything that is wrong with it, all at once.
    ///
    /// # Errors
    /// One entry per mistake.
    pub fn check(&self) -> Result<(), Vec<ConfigError>> {
        let mut errors = Vec::new();
        let members = self.sorted_members();
        if !members.iter().any(|member| member.name == self.node) {
            let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
            errors.push(ConfigError::NotAMember {
                node: self.node.clone(),
                members: names.join(", "),
            });
        }
        for pair in members
            .windows(2)
            .filter(|pair| pair[0].name == pair[1].name)
        {
            errors.push(ConfigError::DuplicateMember {
                name: pair[0].name.clone(),
            });
        }
        let cluster = self.cluster_listen.iter();
        let listeners = [
            ("--listen", &self.listen),
            ("--peer-listen", &self.peer_listen),
            ("--http-listen", &self.http_listen),
        ];
        let listeners = listeners
            .into_iter()
            .chain(cluster.map(|address| ("--cluster-listen", address)));
        for (flag, address) in listeners {
            match resolve(address) {
                None => errors.push(ConfigError::Address {
                    flag,
                    address: address.clone(),
                }),
                Some(bound) if !bound.ip().is_loopback() && !self.insecure => {
                    errors.push(ConfigError::OpenWithoutCredentials {
                        flag,
                        address: address.clone(),
                    });
                }
                Some(_) => {}
            }
        }
        let replicas = REPLICAS.min(members.len());
        for (flag, level) in [
            ("--read-level", self.read_level),
            ("--write-level", self.write_level),
        ] {
            if level.of(replicas) > replicas {
                errors.push(ConfigError::Level {
                    flag,
                    level,
                    replicas,
                });
            }
        }
        if !(1..=LEVEL_TIMEOUT_MS_MAX).contains(&self.level_timeout_ms) {
            errors.push(ConfigError::LevelTimeout {
                ms: self.level_timeout_ms,
            });
        }
        errors.extend(self.http_token().err());
        errors.extend(self.cluster_secret().err());
        errors.extend(self.check_place());
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    /// What is wrong with how the node enters a cluster and where it stands.
    fn check_place(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if !self.members.is_empty() && !self.join.is_empty() {
            errors.push(ConfigError::FoundsAndJoins);
        }
        let no_address = |address: &&String| {
            let port = address
                .rsplit_once(':')
                .map(|(_, port)| port.parse::<u16>());
            !matches!(port, Some(Ok(_)))
        };
        errors.extend(self.join.iter().filter(no_address).map(|address| {
            let address = address.clone();
            ConfigError::Join { address }
        }));
        let everywhere =
            resolve(&self.peer_listen).is_some_and(|bound| bound.ip().is_unspecified());
        if !self.join.is_empty() && everywhere && self.announce_host.is_none() {
            let address = self.peer_listen.clone();
            errors.push(ConfigError::Unreachable { address });
        }
        if !(1..=WEIGHT_MAX).contains(&self.weight) {
            let weight = self.weight;
            errors.push(ConfigError::Weight { weight });
        }
        for (flag, value) in [("--zone", &self.zone), ("--dc", &self.dc)] {
            if !is_name(value) && !value.is_empty() {
                let value = value.clone();
                errors.push(ConfigError::Name { flag, value });
            }
        }
        if !is_name(&self.node) {
            let (flag, value) = ("--node", self.node.clone());
            errors.push(ConfigError::Name { flag, value });
        }
        errors
    }

    /// The token of the HTTP API, if there is one.
    ///
    /// # Errors
    /// When its file is of no use.
    pub fn http_token(&self) -> Result<Option<Token>, ConfigError> {
        let file = self.http_token_file.as_deref();
        file.map(|file| Token::read("--http-token-file", file))
            .transpose()
    }

    /// The secret of the cluster, if there is one.
    ///
    /// # Errors
    /// When its file is of no use.
    pub fn cluster_secret(&self) -> Result<Option<Token>, ConfigError> {
        let file = self.cluster_secret_file.as_deref();
        file.map(|file| Token::read("--cluster-secret-file", file))
            .transpose()
    }

    /// How many threads execute commands.
    #[must_use]
    pub fn executors(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if self.threads > 0 {
            self.threads
        } else {
            cores.saturating_sub(1).max(1)
        }
    }
}

/// Whether a text names a node, a zone or a datacentre: it stands in addresses, tables and metrics.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// The first address that `host:port` stands for.
#[must_use]
pub fn resolve(address: &str) -> Option<SocketAddr> {
    address
        .to_socket_addrs()
        .ok()?
        .min_by_key(|found| matches!(found.ip(), IpAddr::V6(_)))
}
