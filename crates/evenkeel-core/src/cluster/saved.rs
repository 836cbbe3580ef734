//! The state file: everything a node's control plane must not forget, in one piece. Version 1.

use super::document::Document;
use super::machine::{Cluster, Role};
use super::vote::Log;
use crate::codec::{DecodeError, Reader, put_bytes, put_varint};
use crate::id::NodeId;

const VERSION: u8 = 1;

impl Cluster {
    /// The control plane of a node that was started before, from the bytes of the last [`Effect::Save`].
    ///
    /// [`Effect::Save`]: super::Effect::Save
    ///
    /// # Errors
    /// When they are damaged or of another version. The node must not go on as if it had none: it may have voted.
    pub fn restore(saved: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "topology state";
        let mut input = Reader::new(saved);
        if input.byte("version")? != VERSION {
            return Err(input.error("version", "this build reads version 1 only"));
        }
        let me = u32::try_from(input.varint(WHAT)?);
        let me = NodeId(me.map_err(|_| input.error(WHAT, "no node has that number"))?);
        let key = input.u64(WHAT)?;
        let boot = input.varint(WHAT)?;
        let document = Document::decode(input.bytes(input.remaining(), WHAT)?)?;
        let log = match input.byte(WHAT)? {
            0 => None,
            1 => Some(Log::get(&mut input)?),
            _ => return Err(input.error(WHAT, "neither with votes nor without")),
        };
        input.finish(WHAT)?;
        let mut cluster = Self::of(me, key, boot + 1, document, log);
        // Proposals and votes of this start are told from earlier ones by its number.
        cluster.dirty = true;
        Ok(cluster)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_varint(&mut out, u64::from(self.me.0));
        out.extend_from_slice(&self.key.to_le_bytes());
        put_varint(&mut out, self.boot);
        put_bytes(&mut out, &self.document.encode());
        if let Role::Among(voting) = &self.role {
            out.push(1);
            voting.put(&mut out);
        } else {
            out.push(0);
        }
        out
    }
}
