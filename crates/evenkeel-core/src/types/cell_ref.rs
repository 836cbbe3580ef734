//! A cell as it is read, wherever its bytes lie.

use std::borrow::Cow;

use super::cell::{Cell, Deadline, VersionRef};
use super::counter::Chain;
use crate::causality::{Context, Hlc};

/// A cell to read: one version and nothing else, which may lie anywhere, or a [`Cell`].
#[derive(Clone, Copy, Debug)]
pub enum CellRef<'a> {
    /// One version and nothing else.
    Only(VersionRef<'a>),
    /// Any cell.
    Cell(&'a Cell),
}

impl<'a> From<&'a Cell> for CellRef<'a> {
    fn from(cell: &'a Cell) -> Self {
        Self::Cell(cell)
    }
}

impl<'a> CellRef<'a> {
    /// As [`Cell::versions`].
    pub fn versions(self) -> impl Iterator<Item = VersionRef<'a>> + Clone {
        let (only, held) = match self {
            Self::Only(version) => (Some(version), &[][..]),
            Self::Cell(cell) => (None, cell.versions()),
        };
        only.into_iter().chain(held.iter().map(VersionRef::from))
    }

    /// As [`Cell::chains`].
    #[must_use]
    pub fn chains(self) -> &'a [Chain] {
        match self {
            Self::Only(_) => &[],
            Self::Cell(cell) => cell.chains(),
        }
    }

    /// As [`Cell::pre`].
    #[must_use]
    pub fn pre(self) -> Option<&'a Context> {
        match self {
            Self::Only(_) => None,
            Self::Cell(cell) => cell.pre(),
        }
    }

    /// As [`Cell::is_empty`].
    #[must_use]
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Cell(cell) if cell.is_empty())
    }

    /// As [`Cell::is_live`].
    #[must_use]
    pub fn is_live(self) -> bool {
        match self {
            Self::Only(_) => true,
            Self::Cell(cell) => cell.is_live(),
        }
    }

    /// As [`Cell::winner`].
    #[must_use]
    pub fn winner(self) -> Option<VersionRef<'a>> {
        match self {
            Self::Only(version) => Some(version),
            Self::Cell(cell) => cell.winner().map(VersionRef::from),
        }
    }

    /// As [`Cell::latest_deadline`].
    #[must_use]
    pub fn latest_deadline(self) -> Option<Deadline> {
        match self {
            Self::Only(version) => Some(Deadline::from_value(version.value)),
            Self::Cell(cell) => cell.latest_deadline(),
        }
    }

    /// As [`Cell::earliest_carried`].
    #[must_use]
    pub fn earliest_carried(self) -> Deadline {
        match self {
            Self::Only(version) => version.deadline,
            Self::Cell(cell) => cell.earliest_carried(),
        }
    }

    /// As [`Cell::newest_hlc`].
    #[must_use]
    pub fn newest_hlc(self) -> Hlc {
        match self {
            Self::Only(version) => version.hlc,
            Self::Cell(cell) => cell.newest_hlc(),
        }
    }

    /// The cell itself, or a copy where there is none.
    #[must_use]
    pub fn to_cell(self) -> Cow<'a, Cell> {
        match self {
            Self::Only(version) => Cow::Owned(version.to_version().into()),
            Self::Cell(cell) => Cow::Borrowed(cell),
        }
    }
}
