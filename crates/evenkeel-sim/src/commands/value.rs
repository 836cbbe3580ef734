//! What a client sees of a key, in plain form.

use std::collections::{BTreeMap, BTreeSet};

/// A key, a value, a field or an argument.
pub(crate) type Bytes = Vec<u8>;

/// No deadline.
pub(crate) const NEVER: u64 = u64::MAX;

/// A value by its type.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Text(Bytes),
    Hash(BTreeMap<Bytes, Bytes>),
    Set(BTreeSet<Bytes>),
    SortedSet(BTreeMap<Bytes, f64>),
    List(Vec<Bytes>),
    /// The registers of a HyperLogLog that are not 0. To a client it is a string, of a form that is not looked at here.
    Sketch(BTreeMap<u16, u8>),
}

impl Value {
    /// What TYPE calls it.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Sketch(_) => "string",
            Self::Hash(_) => "hash",
            Self::Set(_) => "set",
            Self::SortedSet(_) => "zset",
            Self::List(_) => "list",
        }
    }

    /// Whether it is a collection without elements, which no key can hold.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Text(_) | Self::Sketch(_) => false,
            Self::Hash(fields) => fields.is_empty(),
            Self::Set(members) => members.is_empty(),
            Self::SortedSet(scores) => scores.is_empty(),
            Self::List(elements) => elements.is_empty(),
        }
    }
}

/// A key that exists.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Shown {
    pub(crate) value: Value,
    /// When it expires, in milliseconds since the epoch.
    pub(crate) deadline: u64,
    /// Whether the deadline is not the key's own but the latest that its elements carry. No client sees a difference.
    pub(crate) carried: bool,
    /// Whether it shows numbers beyond 64 bits as the last ones that fit: then arithmetic on them says little.
    pub(crate) clamped: bool,
}

/// The keys that exist.
pub(crate) type Database = BTreeMap<Bytes, Shown>;
