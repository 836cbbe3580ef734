//! `EK.CONSISTENCY`: what a connection wants of reads, writes and conditional commands, and what it has now.

use evenkeel_resp::Reply;

use super::run::Args;
use super::server::{ok, text};

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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Consistency {
    pub(super) conditional: ConditionalAt,
}

impl Consistency {
    /// `EK.CONSISTENCY [option level]…`: changes what is named, all of it or nothing, or tells what is set.
    pub(super) fn command(&mut self, args: Args<'_>) -> Reply {
        let options = &args[1..];
        if options.is_empty() {
            return self.describe();
        }
        let mut wanted = *self;
        for pair in options.chunks(2) {
            let [option, level] = pair else {
                return usage();
            };
            if let Err(reply) = wanted.set(option, level) {
                return reply;
            }
        }
        *self = wanted;
        ok()
    }

    fn set(&mut self, option: &[u8], level: &[u8]) -> Result<(), Reply> {
        let option = option.to_ascii_lowercase();
        let level = level.to_ascii_lowercase();
        match (&option[..], &level[..]) {
            (b"conditional", b"home") => self.conditional = ConditionalAt::Home,
            (b"conditional", b"local") => self.conditional = ConditionalAt::Local,
            (b"conditional", b"quorum") => {
                return Err(Reply::error(
                    "UNSUPPORTED conditional commands by quorum are not available in this version ; use home or local",
                ));
            }
            (b"read" | b"write", b"one") => {}
            (b"read" | b"write", level) if is_level(level) => {
                return Err(Reply::error(
                    "UNSUPPORTED reads and writes of more than one replica are not available in this version ; use one, and WAIT behind a write",
                ));
            }
            _ => return Err(usage()),
        }
        Ok(())
    }

    fn describe(self) -> Reply {
        let conditional = match self.conditional {
            ConditionalAt::Home => "home",
            ConditionalAt::Local => "local",
        };
        Reply::Map(vec![
            (text("read"), text("one")),
            (text("write"), text("one")),
            (text("conditional"), text(conditional)),
        ])
    }
}

fn is_level(level: &[u8]) -> bool {
    let number = std::str::from_utf8(level).ok();
    let number = number.and_then(|text| text.parse::<u8>().ok());
    matches!(level, b"quorum" | b"all") || number.is_some_and(|members| members > 0)
}

fn usage() -> Reply {
    Reply::error(
        "ERR syntax error ; write EK.CONSISTENCY [READ one] [WRITE one] [CONDITIONAL home|local|quorum]",
    )
}
