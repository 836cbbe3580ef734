//! `EK.CONSISTENCY`: what a connection wants of reads, writes and conditional commands, and what it has now.

use std::time::Duration;

use evenkeel_resp::Reply;

use super::run::Args;
use super::server::{ok, text};
use crate::config::{Config, LEVEL_TIMEOUT_MS_MAX};
use crate::level::Level;
use crate::node::Topology;

/// Where conditional commands run (data-types.md).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum ConditionalAt {
    /// At the partition's home, or the next live member.
    #[default]
    Home,
    /// Where the client is connected.
    Local,
}

/// The settings of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Consistency {
    pub(super) conditional: ConditionalAt,
    pub(super) read: Level,
    pub(super) write: Level,
    /// How long the members of a level are waited for.
    pub(super) timeout: Duration,
    /// Whether replies carry tokens, where the protocol has a place for them.
    pub(super) tokens: bool,
}

impl Consistency {
    /// What a connection starts with.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            conditional: ConditionalAt::default(),
            read: config.read_level,
            write: config.write_level,
            timeout: Duration::from_millis(config.level_timeout_ms),
            tokens: false,
        }
    }

    /// `EK.CONSISTENCY [option value]…`: changes what is named, all of it or nothing, or tells what is set.
    pub(super) fn command(&mut self, topology: &Topology, args: Args<'_>) -> Reply {
        let options = &args[1..];
        if options.is_empty() {
            return self.describe();
        }
        let mut wanted = *self;
        for pair in options.chunks(2) {
            let [option, value] = pair else {
                return usage();
            };
            if let Err(reply) = wanted.set(topology, option, value) {
                return reply;
            }
        }
        *self = wanted;
        ok()
    }

    fn set(&mut self, topology: &Topology, option: &[u8], value: &[u8]) -> Result<(), Reply> {
        let option = option.to_ascii_lowercase();
        let value = String::from_utf8_lossy(value).to_ascii_lowercase();
        match (&option[..], value.as_str()) {
            (b"conditional", "home") => self.conditional = ConditionalAt::Home,
            (b"conditional", "local") => self.conditional = ConditionalAt::Local,
            (b"conditional", "quorum") => {
                return Err(Reply::error(
                    "UNSUPPORTED conditional commands by quorum are not available in this version ; use home or local",
                ));
            }
            (b"read", level) => self.read = level_within(topology, level)?,
            (b"write", level) => self.write = level_within(topology, level)?,
            (b"timeout", ms) => {
                let ms = ms.parse().ok();
                let ms = ms.filter(|ms| (1..=LEVEL_TIMEOUT_MS_MAX).contains(ms));
                self.timeout = ms.map(Duration::from_millis).ok_or_else(usage)?;
            }
            (b"tokens", "on") => self.tokens = true,
            (b"tokens", "off") => self.tokens = false,
            _ => return Err(usage()),
        }
        Ok(())
    }

    fn describe(self) -> Reply {
        let conditional = match self.conditional {
            ConditionalAt::Home => "home",
            ConditionalAt::Local => "local",
        };
        let timeout = i64::try_from(self.timeout.as_millis()).unwrap_or(i64::MAX);
        Reply::Map(vec![
            (text("read"), text(self.read.to_string())),
            (text("write"), text(self.write.to_string())),
            (text("conditional"), text(conditional)),
            (text("timeout-ms"), Reply::Integer(timeout)),
            (text("tokens"), text(if self.tokens { "on" } else { "off" })),
        ])
    }
}

/// A level that can be reached with all members up.
fn level_within(topology: &Topology, level: &str) -> Result<Level, Reply> {
    let level: Level = level.parse().map_err(|_| usage())?;
    let members = topology.replicas_wanted();
    if level.of(members) > members {
        return Err(Reply::error(format!(
            "ERR {level} members are more than the {members} that a key has here ; use all"
        )));
    }
    Ok(level)
}

fn usage() -> Reply {
    Reply::error(
        "ERR syntax error ; write EK.CONSISTENCY [READ one|n|quorum|all] [WRITE one|n|quorum|all] [TIMEOUT ms] [CONDITIONAL home|local] [TOKENS on|off]",
    )
}
