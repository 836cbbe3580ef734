//! Reading a value, in whatever form Redis wrote it.

use std::borrow::Cow;

use thiserror::Error;

use super::crc64::crc64;
use super::{FOOTER_BYTES, Object, VERSION, kind, listpack, lzf, ziplist};
use crate::codec::{DecodeError, Reader};
use crate::limits::VALUE_BYTES_MAX;

/// Why bytes are no value. Nothing was made of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RestoreError {
    /// They were cut or changed on the way, or come from a newer Redis: dump the key again, on an older version.
    #[error("the version is not known or the checksum is wrong")]
    Footer,
    /// They are whole and hold no value of a type that is known here.
    #[error(transparent)]
    Format(#[from] DecodeError),
}

/// Reads what DUMP gave, here or in Redis 4 to 7.
///
/// # Errors
/// When that is not what the bytes are.
pub fn restore(payload: &[u8]) -> Result<Object, RestoreError> {
    let value = check_footer(payload).ok_or(RestoreError::Footer)?;
    let mut decoder = Decoder {
        input: Reader::new(value),
        unpacked: 0,
    };
    let object = decoder.object()?;
    decoder.input.finish("value")?;
    Ok(object)
}

/// The value in front of version and checksum, when both are right.
fn check_footer(payload: &[u8]) -> Option<&[u8]> {
    let (value, footer) = payload.split_at_checked(payload.len().checked_sub(FOOTER_BYTES)?)?;
    let (version, checksum) = footer.split_first_chunk::<2>()?;
    let checksum = u64::from_le_bytes(*checksum.first_chunk()?);
    let covered = &payload[..value.len() + version.len()];
    let right = u16::from_le_bytes(*version) <= VERSION && crc64(covered) == checksum;
    right.then_some(value)
}

/// A length, or how a string is written that is none.
enum Length {
    Of(usize),
    Encoded(u8),
}

struct Decoder<'a> {
    input: Reader<'a>,
    /// Bytes made of compressed ones so far: together no more than a value may have.
    unpacked: usize,
}

impl<'a> Decoder<'a> {
    fn object(&mut self) -> Result<Object, DecodeError> {
        let kind = self.input.byte("type")?;
        match kind {
            kind::STRING => Ok(Object::String(self.string()?.into_owned())),
            kind::LIST => self.strings().map(Object::List),
            kind::SET => self.strings().map(Object::Set),
            kind::HASH => self.pairs(Self::owned).map(Object::Hash),
            kind::SORTED_SET => self.pairs(Self::score).map(Object::SortedSet),
            kind::SORTED_SET_TEXT => self.pairs(Self::score_text).map(Object::SortedSet),
            kind::SET_INTSET => {
                let packed = self.string()?;
                ziplist::integers(&packed).map(Object::Set)
            }
            kind::LIST_ZIPLIST => {
                let packed = self.string()?;
                Ok(Object::List(owned(ziplist::entries(&packed)?)))
            }
            kind::LIST_QUICKLIST => self.quicklist().map(Object::List),
            kind::LIST_QUICKLIST_2 => self.quicklist_2().map(Object::List),
            kind::HASH_ZIPLIST => {
                let packed = self.string()?;
                self.hash(ziplist::entries(&packed)?)
            }
            kind::HASH_LISTPACK => {
                let packed = self.string()?;
                self.hash(listpack::entries(&packed)?)
            }
            kind::SORTED_SET_ZIPLIST => {
                let packed = self.string()?;
                self.sorted_set(ziplist::entries(&packed)?)
            }
            kind::SORTED_SET_LISTPACK => {
                let packed = self.string()?;
                self.sorted_set(listpack::entries(&packed)?)
            }
            _ => Err(self.input.error("value", "the type is not known here")),
        }
        .and_then(|object| self.checked(object))
    }

    /// Refuses what no key can hold: an empty collection, a name twice.
    fn checked(&self, object: Object) -> Result<Object, DecodeError> {
        let mut names: Vec<&[u8]> = match &object {
            Object::String(_) => return Ok(object),
            Object::List(elements) if elements.is_empty() => Vec::new(),
            Object::List(_) => return Ok(object),
            Object::Set(members) => members.iter().map(|member| &member[..]).collect(),
            Object::Hash(pairs) => pairs.iter().map(|(field, _)| &field[..]).collect(),
            Object::SortedSet(members) => members.iter().map(|(member, _)| &member[..]).collect(),
        };
        if names.is_empty() {
            return Err(self.input.error("value", "it is empty"));
        }
        names.sort_unstable();
        if names.array_windows().any(|[one, next]| one == next) {
            return Err(self.input.error("value", "a name is there twice"));
        }
        Ok(object)
    }

    fn length(&mut self) -> Result<Length, DecodeError> {
        let first = self.input.byte("length")?;
        let length = match first {
            0..=0x3f => u64::from(first),
            0x40..=0x7f => u64::from(u16::from_be_bytes([
                first & 0x3f,
                self.input.byte("length")?,
            ])),
            0x80 => u64::from(u32::from_be_bytes(self.array()?)),
            0x81 => u64::from_be_bytes(self.array()?),
            0xc0..=0xff => return Ok(Length::Encoded(first & 0x3f)),
            _ => return Err(self.input.error("length", "no such form")),
        };
        Ok(Length::Of(usize::try_from(length).unwrap_or(usize::MAX)))
    }

    /// A number of items, or of bytes.
    fn count(&mut self) -> Result<usize, DecodeError> {
        match self.length()? {
            Length::Of(count) => Ok(count),
            Length::Encoded(_) => Err(self.input.error("count", "it is no length")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.input.take(N, "number")?;
        let short = |_| self.input.error("number", "the input ends before it");
        bytes.try_into().map_err(short)
    }

    fn string(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        let number = match self.length()? {
            Length::Of(length) => return self.input.take(length, "string").map(Cow::Borrowed),
            Length::Encoded(0) => i32::from(i8::from_le_bytes(self.array()?)),
            Length::Encoded(1) => i32::from(i16::from_le_bytes(self.array()?)),
            Length::Encoded(2) => i32::from_le_bytes(self.array()?),
            Length::Encoded(3) => return self.compressed().map(Cow::Owned),
            Length::Encoded(_) => return Err(self.input.error("string", "no such encoding")),
        };
        Ok(Cow::Owned(number.to_string().into_bytes()))
    }

    fn compressed(&mut self) -> Result<Vec<u8>, DecodeError> {
        let packed = self.count()?;
        let length = self.count()?;
        let packed = self.input.take(packed, "compressed string")?;
        self.unpacked = self.unpacked.saturating_add(length);
        if self.unpacked > VALUE_BYTES_MAX {
            let why = "it becomes longer than a value may be";
            return Err(self.input.error("compressed string", why));
        }
        let wrong = || self.input.error("compressed string", "it is damaged");
        lzf::unpack(packed, length).ok_or_else(wrong)
    }

    fn owned(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.string().map(Cow::into_owned)
    }

    fn strings(&mut self) -> Result<Vec<Vec<u8>>, DecodeError> {
        let count = self.items()?;
        (0..count).map(|_| self.owned()).collect()
    }

    /// A number of items of at least one byte each, so that the input bounds what is made room for.
    fn items(&mut self) -> Result<usize, DecodeError> {
        let count = self.count()?;
        if count > self.input.remaining() {
            return Err(self
                .input
                .error("count", "more items than the input can hold"));
        }
        Ok(count)
    }

    fn pairs<T>(
        &mut self,
        second: fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<(Vec<u8>, T)>, DecodeError> {
        let count = self.items()?;
        (0..count)
            .map(|_| Ok((self.owned()?, second(self)?)))
            .collect()
    }

    fn score(&mut self) -> Result<f64, DecodeError> {
        let score = f64::from_le_bytes(self.array()?);
        self.number(score)
    }

    /// A score as text with one byte of length; infinities and what is no number have lengths of their own.
    fn score_text(&mut self) -> Result<f64, DecodeError> {
        match self.input.byte("score")? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => self.number(f64::NAN),
            length => {
                let text = self.input.take(usize::from(length), "score")?;
                self.parsed(text)
            }
        }
    }

    fn parsed(&self, text: &[u8]) -> Result<f64, DecodeError> {
        let number = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok());
        self.number(number.unwrap_or(f64::NAN))
    }

    fn number(&self, score: f64) -> Result<f64, DecodeError> {
        if score.is_nan() {
            return Err(self.input.error("score", "it is no number"));
        }
        Ok(score)
    }

    fn quicklist(&mut self) -> Result<Vec<Vec<u8>>, DecodeError> {
        let mut elements = Vec::new();
        for _ in 0..self.items()? {
            let node = self.string()?;
            elements.extend(owned(ziplist::entries(&node)?));
        }
        Ok(elements)
    }

    fn quicklist_2(&mut self) -> Result<Vec<Vec<u8>>, DecodeError> {
        const ONE_ELEMENT: usize = 1;
        const LISTPACK: usize = 2;
        let mut elements = Vec::new();
        for _ in 0..self.items()? {
            let form = self.count()?;
            let node = self.string()?;
            match form {
                ONE_ELEMENT => elements.push(node.into_owned()),
                LISTPACK => elements.extend(owned(listpack::entries(&node)?)),
                _ => return Err(self.input.error("list", "no such form of a node")),
            }
        }
        Ok(elements)
    }

    fn hash(&self, entries: Vec<Cow<'_, [u8]>>) -> Result<Object, DecodeError> {
        let (pairs, []) = entries.as_chunks() else {
            return Err(self.input.error("hash", "a field has no value"));
        };
        let pair = |[field, value]: &[Cow<'_, [u8]>; 2]| (field.to_vec(), value.to_vec());
        Ok(Object::Hash(pairs.iter().map(pair).collect()))
    }

    fn sorted_set(&self, entries: Vec<Cow<'_, [u8]>>) -> Result<Object, DecodeError> {
        let (pairs, []) = entries.as_chunks() else {
            return Err(self.input.error("sorted set", "a member has no score"));
        };
        let pair =
            |[member, score]: &[Cow<'_, [u8]>; 2]| Ok((member.to_vec(), self.parsed(score)?));
        let members: Result<_, DecodeError> = pairs.iter().map(pair).collect();
        members.map(Object::SortedSet)
    }
}

fn owned(entries: Vec<Cow<'_, [u8]>>) -> Vec<Vec<u8>> {
    entries.into_iter().map(Cow::into_owned).collect()
}
