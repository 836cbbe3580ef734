//! Ranges of cells: what one range delete covers.

use std::fmt;

use super::cell_id::{CellId, Field, Key, Kind};

/// A set of cells that one event can clear. Ends are exclusive; `None` is no end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Range {
    /// Every cell of one key.
    Key(Key),
    /// The fields `from..to` of one kind in one key: a part of a collection too large for one event.
    Fields {
        /// The key.
        key: Key,
        /// The kind of its cells.
        kind: Kind,
        /// First field.
        from: Field,
        /// First field behind the range.
        to: Option<Field>,
    },
    /// Every cell of the keys `from..to`.
    Keys {
        /// First key.
        from: Key,
        /// First key behind the range.
        to: Option<Key>,
    },
}

impl Range {
    /// The whole partition.
    #[must_use]
    pub fn all() -> Self {
        Self::Keys {
            from: Key::default(),
            to: None,
        }
    }

    /// Whether `cell` is in the range.
    #[must_use]
    pub fn contains(&self, cell: &CellId) -> bool {
        match self {
            Self::Key(key) => *key == cell.key,
            Self::Fields {
                key,
                kind,
                from,
                to,
            } => {
                *key == cell.key
                    && *kind == cell.name.kind
                    && *from <= cell.name.field
                    && to.as_ref().is_none_or(|to| cell.name.field < *to)
            }
            Self::Keys { from, to } => {
                *from <= cell.key && to.as_ref().is_none_or(|to| cell.key < *to)
            }
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "{}/*", key.escape_ascii()),
            Self::Fields {
                key,
                kind,
                from,
                to,
            } => {
                write!(
                    f,
                    "{}/{kind:?}/{}..",
                    key.escape_ascii(),
                    from.escape_ascii()
                )?;
                to.as_ref()
                    .map_or(Ok(()), |to| write!(f, "{}", to.escape_ascii()))
            }
            Self::Keys { from, to } => {
                write!(f, "{}..", from.escape_ascii())?;
                to.as_ref()
                    .map_or(Ok(()), |to| write!(f, "{}", to.escape_ascii()))
            }
        }
    }
}
