//! Names of cells.

use std::fmt;

/// A key as the user names it.
pub type Key = Box<[u8]>;
/// A part of a key: hash field, set member, position of a list element. Empty where the kind has no fields.
pub type Field = Box<[u8]>;

/// What a cell is part of. The numbers are on the wire and on disk: never reuse one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// The key's deadline register.
    Deadline = 0,
    /// A string or a counter.
    String = 1,
    /// A field of a hash.
    Hash = 2,
    /// A member of a set.
    Set = 3,
    /// A member of a sorted set.
    SortedSet = 4,
    /// An element of a list, by its position string.
    List = 5,
    /// One actor's sketch of a HyperLogLog.
    HyperLogLog = 6,
    /// An entry of a stream.
    Stream = 7,
}

impl Kind {
    /// The kind with this number, if there is one.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Deadline,
            1 => Self::String,
            2 => Self::Hash,
            3 => Self::Set,
            4 => Self::SortedSet,
            5 => Self::List,
            6 => Self::HyperLogLog,
            7 => Self::Stream,
            _ => return None,
        })
    }

    /// The number on the wire and on disk.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether a key can have several cells of this kind.
    #[must_use]
    pub const fn has_fields(self) -> bool {
        !matches!(self, Self::Deadline | Self::String)
    }
}

/// A cell within its key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CellName {
    /// What it is part of.
    pub kind: Kind,
    /// Which one; empty where the kind has no fields.
    pub field: Field,
}

/// A cell within its partition. Cells sort by key, kind, field.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CellId {
    /// The key.
    pub key: Key,
    /// The cell within the key.
    pub name: CellName,
}

impl CellId {
    /// The cell `field` of `kind` in `key`.
    #[must_use]
    pub fn new(key: &[u8], kind: Kind, field: &[u8]) -> Self {
        Self {
            key: key.into(),
            name: CellName {
                kind,
                field: field.into(),
            },
        }
    }

    /// The one cell of a string key.
    #[must_use]
    pub fn string(key: &[u8]) -> Self {
        Self::new(key, Kind::String, b"")
    }
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key.escape_ascii())?;
        if self.name.kind != Kind::String {
            write!(f, "/{:?}", self.name.kind)?;
        }
        if !self.name.field.is_empty() {
            write!(f, "/{}", self.name.field.escape_ascii())?;
        }
        Ok(())
    }
}
