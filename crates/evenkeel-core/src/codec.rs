//! Bounded reading and writing of bytes: varints, fixed integers, byte strings.
//!
//! Invariant: a [`Reader`] never allocates more than the bytes it was given, never panics, and turns every
//! malformed input into a [`DecodeError`] that says where and what. Writers append to a plain `Vec<u8>`.

use thiserror::Error;

/// Why bytes could not be decoded. The decoder's state is dropped; nothing was applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("cannot decode {what} at byte {offset}: {why}")]
pub struct DecodeError {
    /// The thing that was being read.
    pub what: &'static str,
    /// Offset from the start of the input, in bytes.
    pub offset: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Appends `value` in LEB128: seven bits a byte, least significant first, at most 10 bytes.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

/// Appends a signed number, zigzag-folded so that small magnitudes stay short.
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(
        out,
        (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned(),
    );
}

/// Appends a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// How many bytes [`put_bytes`] appends for so many.
#[must_use]
pub const fn bytes_len(len: usize) -> usize {
    let bits = (len | 1).ilog2() as usize + 1;
    bits.div_ceil(7) + len
}

/// A cursor over bytes from outside.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Bytes not read yet.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// An error at the current position.
    #[must_use]
    pub const fn error(&self, what: &'static str, why: &'static str) -> DecodeError {
        DecodeError {
            what,
            offset: self.offset,
            why,
        }
    }

    /// Takes exactly `len` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let Some((head, rest)) = self.bytes.split_at_checked(len) else {
            return Err(self.error(what, "the input ends before it"));
        };
        self.bytes = rest;
        self.offset += len;
        Ok(head)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// When none is left.
    pub fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        let (&first, rest) = self.bytes.split_first().ok_or(DecodeError {
            what,
            offset: self.offset,
            why: "the input ends before it",
        })?;
        self.bytes = rest;
        self.offset += 1;
        Ok(first)
    }

    /// Takes a varint. Overlong forms are refused, so that equal values have equal bytes.
    ///
    /// # Errors
    /// When it is cut off, longer than 64 bits or padded.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            if shift == 63 && byte > 1 {
                return Err(self.error(what, "the number has more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    return Err(self.error(what, "the number is padded"));
                }
                return Ok(value);
            }
        }
        Err(self.error(what, "the number has more than 64 bits"))
    }

    /// Takes a zigzag-folded signed number.
    ///
    /// # Errors
    /// As [`Self::varint`].
    pub fn signed(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        let folded = self.varint(what)?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }

    /// Takes a little-endian `u64`.
    ///
    /// # Errors
    /// When fewer than 8 bytes are left.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let bytes = self.take(8, what)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// Takes a little-endian `u128`.
    ///
    /// # Errors
    /// When fewer than 16 bytes are left.
    pub fn u128(&mut self, what: &'static str) -> Result<u128, DecodeError> {
        let low = self.u64(what)?;
        let high = self.u64(what)?;
        Ok(u128::from(high) << 64 | u128::from(low))
    }

    /// Takes a length-prefixed byte string of at most `max` bytes.
    ///
    /// # Errors
    /// When it is longer than `max` or than what is left.
    pub fn bytes(&mut self, max: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.varint(what)?;
        match usize::try_from(len) {
            Ok(len) if len <= max => self.take(len, what),
            _ => Err(self.error(what, "it is longer than its limit")),
        }
    }

    /// Takes a count of items that need at least `item_bytes_min` (> 0) bytes each: a count that the remaining
    /// input cannot hold is refused before anything is allocated for it.
    ///
    /// # Errors
    /// When the input cannot hold that many.
    pub fn count(
        &mut self,
        item_bytes_min: usize,
        what: &'static str,
    ) -> Result<usize, DecodeError> {
        let count = self.varint(what)?;
        match usize::try_from(count) {
            Ok(count) if count <= self.remaining() / item_bytes_min => Ok(count),
            _ => Err(self.error(what, "more items than the input can hold")),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When bytes are left over.
    pub fn finish(&self, what: &'static str) -> Result<(), DecodeError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(self.error(what, "bytes are left over"))
        }
    }
}
