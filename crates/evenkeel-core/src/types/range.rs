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

    /// The cells that are in both; `None` where there can be none.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Key(key), other) | (other, Self::Key(key)) => other.of_key(key),
            (
                Self::Keys { from, to },
                Self::Keys {
                    from: other_from,
                    to: other_to,
                },
            ) => {
                let from = from.max(other_from).clone();
                let to = earlier(to, other_to);
                let some = to.as_ref().is_none_or(|to| from < *to);
                some.then_some(Self::Keys { from, to })
            }
            (Self::Keys { .. }, fields @ Self::Fields { key, .. })
            | (fields @ Self::Fields { key, .. }, Self::Keys { .. }) => {
                let keys = if matches!(self, Self::Keys { .. }) {
                    self
                } else {
                    other
                };
                keys.of_key(key).map(|_| fields.clone())
            }
            (
                Self::Fields {
                    key,
                    kind,
                    from,
                    to,
                },
                Self::Fields {
                    key: other_key,
                    kind: other_kind,
                    from: other_from,
                    to: other_to,
                },
            ) => {
                let from = from.max(other_from).clone();
                let to = earlier(to, other_to);
                let some = key == other_key
                    && kind == other_kind
                    && to.as_ref().is_none_or(|to| from < *to);
                some.then(|| Self::Fields {
                    key: key.clone(),
                    kind: *kind,
                    from,
                    to,
                })
            }
        }
    }

    /// What of the range lies in one key.
    fn of_key(&self, wanted: &Key) -> Option<Self> {
        match self {
            Self::Key(key) => (key == wanted).then(|| self.clone()),
            Self::Fields { key, .. } => (key == wanted).then(|| self.clone()),
            Self::Keys { from, to } => {
                let inside = from <= wanted && to.as_ref().is_none_or(|to| wanted < to);
                inside.then(|| Self::Key(wanted.clone()))
            }
        }
    }

    /// Whether `cell` is in the range.
    #[must_use]
    pub fn contains(&self, cell: &CellId) -> bool {
        self.covers(&cell.key, cell.name.kind, &cell.name.field)
    }

    /// Whether the cell of that name is in the range.
    #[must_use]
    pub fn covers(&self, of: &[u8], which: Kind, named: &[u8]) -> bool {
        match self {
            Self::Key(key) => **key == *of,
            Self::Fields {
                key,
                kind,
                from,
                to,
            } => {
                **key == *of
                    && *kind == which
                    && **from <= *named
                    && to.as_ref().is_none_or(|to| *named < **to)
            }
            Self::Keys { from, to } => **from <= *of && to.as_ref().is_none_or(|to| *of < **to),
        }
    }
}

/// The earlier of two ends; `None` is no end.
fn earlier(a: &Option<Box<[u8]>>, b: &Option<Box<[u8]>>) -> Option<Box<[u8]>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b).clone()),
        (end, None) | (None, end) => end.clone(),
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
