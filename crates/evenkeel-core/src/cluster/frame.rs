//! What nodes say to each other about the topology, and its bytes. Version 1.

use super::vote::{ProposalId, Proposed};
use crate::codec::{DecodeError, Reader, put_bytes, put_varint};

const VERSION: u8 = 1;
/// The longest text of a refusal, in bytes. Longer ones are cut before they are sent.
const TEXT_BYTES_MAX: usize = 1_024;

/// One frame of the control plane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// Which epoch the sender has, the key of its voting state, and whether it leads the voters.
    Hello {
        epoch: u64,
        key: u64,
        /// Configuration and ballot of a leader that a quorum answers.
        leads: Option<(u32, u32)>,
    },
    /// Asks for the document.
    Fetch,
    /// The document, as [`Document::encode`](super::Document::encode) writes it.
    Document(Vec<u8>),
    /// Asks the leader to bring a change about.
    Propose(Proposed),
    /// What came of a proposal: the epoch in which it holds, or why it was refused.
    Outcome {
        id: ProposalId,
        result: Result<u64, String>,
    },
    /// From voter to voter.
    Vote(Vote),
}

/// What one voter says to another. Numbered, so that frames of an earlier connection that come late are told apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Vote {
    pub(super) config: u32,
    /// How often the sender was started.
    pub(super) boot: u64,
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
}

impl Frame {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Self::Hello { epoch, key, leads } => {
                out.push(1);
                put_varint(&mut out, *epoch);
                out.extend_from_slice(&key.to_le_bytes());
                out.push(u8::from(leads.is_some()));
                if let Some((config, ballot)) = leads {
                    put_varint(&mut out, u64::from(*config));
                    put_varint(&mut out, u64::from(*ballot));
                }
            }
            Self::Fetch => out.push(2),
            Self::Document(bytes) => {
                out.push(3);
                out.extend_from_slice(bytes);
            }
            Self::Propose(proposed) => {
                out.push(4);
                proposed.put(&mut out);
            }
            Self::Outcome { id, result } => {
                out.push(if result.is_ok() { 5 } else { 6 });
                id.put(&mut out);
                match result {
                    Ok(epoch) => put_varint(&mut out, *epoch),
                    Err(text) => put_bytes(&mut out, cut(text).as_bytes()),
                }
            }
            Self::Vote(vote) => {
                out.push(7);
                put_varint(&mut out, u64::from(vote.config));
                put_varint(&mut out, vote.boot);
                put_varint(&mut out, vote.number);
                out.extend_from_slice(&vote.bytes);
            }
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        if input.byte("version")? != VERSION {
            return Err(input.error("version", "this build reads version 1 only"));
        }
        let kind = input.byte("kind of frame")?;
        let frame = match kind {
            1 => Self::Hello {
                epoch: input.varint("epoch")?,
                key: input.u64("key")?,
                leads: match input.byte("flag")? {
                    0 => None,
                    1 => Some((get_u32(&mut input)?, get_u32(&mut input)?)),
                    _ => return Err(input.error("flag", "neither yes nor no")),
                },
            },
            2 => Self::Fetch,
            3 => Self::Document(rest(&mut input)?),
            4 => Self::Propose(Proposed::get(&mut input)?),
            5 => Self::Outcome {
                id: ProposalId::get(&mut input)?,
                result: Ok(input.varint("epoch")?),
            },
            6 => Self::Outcome {
                id: ProposalId::get(&mut input)?,
                result: Err(get_text(&mut input)?),
            },
            7 => Self::Vote(Vote {
                config: get_u32(&mut input)?,
                boot: input.varint("boot")?,
                number: input.varint("number")?,
                bytes: rest(&mut input)?,
            }),
            _ => return Err(input.error("kind of frame", "this version knows no such kind")),
        };
        input.finish("frame")?;
        Ok(frame)
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn rest(input: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
    Ok(input.take(input.remaining(), "rest of a frame")?.to_vec())
}

fn get_u32(input: &mut Reader<'_>) -> Result<u32, DecodeError> {
    const WHAT: &str = "number";
    let value = u32::try_from(input.varint(WHAT)?);
    value.map_err(|_| input.error(WHAT, "it has more than 32 bits"))
}

fn get_text(input: &mut Reader<'_>) -> Result<String, DecodeError> {
    const WHAT: &str = "refusal";
    let bytes = input.bytes(TEXT_BYTES_MAX, WHAT)?;
    let text = std::str::from_utf8(bytes).map_err(|_| input.error(WHAT, "it is no UTF-8"))?;
    Ok(text.to_owned())
}
