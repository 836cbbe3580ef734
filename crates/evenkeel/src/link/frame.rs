//! Frames on a link between nodes: `[length, 4 bytes][CRC32C, 4 bytes][kind][body]`.
//!
//! Length and checksum cover kind and body. A frame over the limit or with a wrong checksum ends the link.

use bytes::{Buf, Bytes, BytesMut};
use evenkeel_core::limits::FRAME_BYTES_MAX;

/// What a frame carries. The numbers are on the wire: never reuse one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The dialling side introduces itself.
    Hello = 1,
    /// The accepting side introduces itself.
    Welcome = 2,
    /// The accepting side says why not.
    Refused = 3,
    /// Are you there?
    Ping = 4,
    /// I am.
    Pong = 5,
    /// Frames of partitions, each behind its length.
    Partitions = 6,
    /// A request to another node: a command, or its contexts.
    Request = 7,
    /// The answer.
    Answer = 8,
    /// A message to whoever listens.
    Publish = 9,
    /// How many listen to a name at the sender.
    Interest = 10,
    /// Of the control plane.
    Control = 11,
    /// A node without data asks to be let into the cluster.
    Join = 12,
    /// It is: its number and the topology.
    Admitted = 13,
    /// Prove that you know the cluster's secret: a number to prove it with.
    Challenge = 14,
    /// The proof.
    Proof = 15,
    /// Another frame, compressed.
    Compressed = 16,
}

impl Kind {
    pub(super) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Hello,
            2 => Self::Welcome,
            3 => Self::Refused,
            4 => Self::Ping,
            5 => Self::Pong,
            6 => Self::Partitions,
            7 => Self::Request,
            8 => Self::Answer,
            9 => Self::Publish,
            10 => Self::Interest,
            11 => Self::Control,
            12 => Self::Join,
            13 => Self::Admitted,
            14 => Self::Challenge,
            15 => Self::Proof,
            16 => Self::Compressed,
            _ => return None,
        })
    }
}

const HEAD: usize = 8;

/// Appends a frame.
pub(crate) fn put(out: &mut Vec<u8>, kind: Kind, body: &[u8]) {
    let len = u32::try_from(body.len() + 1).unwrap_or(u32::MAX);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind as u8]), body);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(body);
}

/// Why a link must end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// A frame is empty or over the limit.
    #[error("a frame of {0} bytes is empty or over the limit")]
    Length(u32),
    /// The bytes are not those that were sent.
    #[error("a frame's checksum is wrong")]
    Checksum,
    /// A kind that this version does not know.
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
}

/// Takes the next whole frame off the front; `None` when more bytes are needed.
pub(crate) fn take(input: &mut BytesMut) -> Result<Option<(Kind, Bytes)>, FrameError> {
    let Some((&len, rest)) = input.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let len = u32::from_le_bytes(len);
    let bytes = usize::try_from(len).unwrap_or(usize::MAX);
    if bytes == 0 || bytes > FRAME_BYTES_MAX {
        return Err(FrameError::Length(len));
    }
    let Some((&crc, body)) = rest.split_first_chunk::<4>() else {
        return Ok(None);
    };
    if body.len() < bytes {
        // Room for the rest grows with what arrives; the announced length alone allocates nothing.
        return Ok(None);
    }
    input.advance(HEAD);
    let mut frame = input.split_to(bytes).freeze();
    if crc32c::crc32c(&frame) != u32::from_le_bytes(crc) {
        return Err(FrameError::Checksum);
    }
    let code = frame.get_u8();
    Kind::from_code(code)
        .map(|kind| Some((kind, frame)))
        .ok_or(FrameError::Kind(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_arrives_as_it_was_sent_whatever_the_pieces() {
        let mut sent = Vec::new();
        put(&mut sent, Kind::Partitions, b"hello");
        put(&mut sent, Kind::Ping, b"");
        let mut input = BytesMut::new();
        let mut got = Vec::new();
        for byte in sent {
            input.extend_from_slice(&[byte]);
            got.extend(take(&mut input).unwrap());
        }
        assert_eq!(
            got,
            [
                (Kind::Partitions, Bytes::from_static(b"hello")),
                (Kind::Ping, Bytes::new())
            ]
        );
    }

    #[test]
    fn a_changed_byte_ends_the_link() {
        let mut sent = Vec::new();
        put(&mut sent, Kind::Partitions, b"hello");
        for at in 4..sent.len() {
            let mut changed = sent.clone();
            changed[at] ^= 1;
            assert_eq!(
                take(&mut BytesMut::from(&changed[..])),
                Err(FrameError::Checksum),
                "byte {at}"
            );
        }
    }

    #[test]
    fn an_announced_length_over_the_limit_is_refused_before_its_bytes_come() {
        let mut input = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        assert_eq!(take(&mut input), Err(FrameError::Length(u32::MAX)));
    }
}
