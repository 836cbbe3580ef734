//! Values in the format of Redis' snapshots, as DUMP gives them and RESTORE takes them.
//!
//! Written in the plain form of each type, which every Redis since 4.0 reads; read in every form that Redis 4 to 7
//! writes. A payload is the type, the value, the version of the format in two bytes and a CRC-64 of all that.
//!
//! Invariant: bytes from outside make no panic, and allocate no more than they can stand for: a length is held against
//! what is left of the input before anything is made of it, a compressed one against what compression can do.

mod crc64;
mod decode;
mod encode;
mod listpack;
mod lzf;
#[cfg(test)]
mod tests;
mod ziplist;

pub use decode::{RestoreError, restore};
pub use encode::dump;

/// The version of the format that is written, and the newest that is read: Redis 7.0.
const VERSION: u16 = 10;
/// What stands behind the value: version and checksum.
const FOOTER_BYTES: usize = 2 + 8;

/// What a key holds, as a whole.
#[derive(Clone, PartialEq, Debug)]
pub enum Object {
    /// A string.
    String(Vec<u8>),
    /// The elements of a list, in order. Not empty, as no collection here is.
    List(Vec<Vec<u8>>),
    /// The members of a set, no two alike.
    Set(Vec<Vec<u8>>),
    /// The fields of a hash with their values, no two fields alike.
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
    /// The members of a sorted set with their scores, no two members alike, no score that is no number.
    SortedSet(Vec<(Vec<u8>, f64)>),
}

/// The numbers of the types and encodings of values.
mod kind {
    pub(super) const STRING: u8 = 0;
    pub(super) const LIST: u8 = 1;
    pub(super) const SET: u8 = 2;
    pub(super) const SORTED_SET_TEXT: u8 = 3;
    pub(super) const HASH: u8 = 4;
    pub(super) const SORTED_SET: u8 = 5;
    pub(super) const LIST_ZIPLIST: u8 = 10;
    pub(super) const SET_INTSET: u8 = 11;
    pub(super) const SORTED_SET_ZIPLIST: u8 = 12;
    pub(super) const HASH_ZIPLIST: u8 = 13;
    pub(super) const LIST_QUICKLIST: u8 = 14;
    pub(super) const HASH_LISTPACK: u8 = 16;
    pub(super) const SORTED_SET_LISTPACK: u8 = 17;
    pub(super) const LIST_QUICKLIST_2: u8 = 18;
}
