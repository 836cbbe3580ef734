//! Lists: a cell per element, named by its position ([`crate::types::Positions`]).
//!
//! A push or an insertion is a new cell, so all of them are kept, in the same order everywhere; taking an element
//! away removes what was seen of its cell, so an element that was set meanwhile stays where it is. The commands that
//! decide by what they see (pops, pushes to lists that exist) run at the home.

mod ends;
mod inside;
mod several;
mod table;
mod waiting;

pub(super) use ends::stored;
pub(super) use table::COMMANDS;
pub(super) use waiting::COMMANDS as WAITING;

use std::borrow::Cow;

use evenkeel_resp::Reply;

use super::keyspace::{Keyspace, Writes};
use super::view::View;
use super::{Args, syntax_error};
use crate::partition::Write;
use crate::types::{Cell, CellId, CellName, Deadline, Field, Kind};

/// One end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Left,
    Right,
}

impl End {
    fn of(word: &[u8]) -> Result<Self, Reply> {
        if word.eq_ignore_ascii_case(b"LEFT") {
            Ok(Self::Left)
        } else if word.eq_ignore_ascii_case(b"RIGHT") {
            Ok(Self::Right)
        } else {
            Err(syntax_error())
        }
    }

    const fn pop(self) -> &'static str {
        match self {
            Self::Left => "LPOP",
            Self::Right => "RPOP",
        }
    }

    const fn push(self) -> &'static str {
        match self {
            Self::Left => "LPUSH",
            Self::Right => "RPUSH",
        }
    }
}

/// A key as a list: empty when there is none.
#[derive(Clone, Copy)]
struct List<'a> {
    view: View<'a>,
    length: usize,
}

impl<'a> List<'a> {
    /// Refuses a key of another type.
    fn of(keys: &'a Keyspace<'_>, key: &[u8]) -> Result<Self, Reply> {
        let view = keys.view(key).expect(Kind::List)?;
        Ok(Self {
            view,
            length: view.count(Kind::List),
        })
    }

    /// The elements by their positions, in order.
    fn elements(self) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a Cell)> {
        self.view.cells(Kind::List)
    }

    /// The elements from one end on.
    fn from(self, end: End) -> Box<dyn Iterator<Item = (&'a [u8], &'a Cell)> + 'a> {
        match end {
            End::Left => Box::new(self.elements()),
            End::Right => Box::new(self.elements().rev()),
        }
    }

    /// The position of the element at an end.
    fn end(self, end: End) -> Option<&'a [u8]> {
        let element = match end {
            End::Left => self.elements().next(),
            End::Right => self.elements().next_back(),
        };
        element.map(|(position, _)| position)
    }

    /// The element at a place, walked to from the nearer end.
    fn at(self, place: usize) -> Option<(&'a [u8], &'a Cell)> {
        let behind = self.length.checked_sub(place + 1)?;
        if place <= behind {
            self.elements().nth(place)
        } else {
            self.elements().nth_back(behind)
        }
    }

    /// The place that an index names, counted from the right end when it is negative.
    fn place(self, index: i64) -> Option<usize> {
        let length = i64::try_from(self.length).unwrap_or(i64::MAX);
        let place = if index < 0 {
            length.checked_add(index)?
        } else {
            index
        };
        usize::try_from(place)
            .ok()
            .filter(|place| *place < self.length)
    }

    /// The places from `start` up to `stop`, both included, as far as there are any: the first and how many.
    fn span(self, start: i64, stop: i64) -> (usize, usize) {
        let length = i64::try_from(self.length).unwrap_or(i64::MAX);
        let from_left = |index: i64| if index < 0 { length + index } else { index };
        let (start, stop) = (from_left(start).max(0), from_left(stop).min(length - 1));
        if start > stop {
            return (0, 0);
        }
        let unsigned = |n: i64| usize::try_from(n).unwrap_or(0);
        (unsigned(start), unsigned(stop - start + 1))
    }

    /// So many elements from a place on, in order.
    fn slice(self, start: usize, count: usize) -> Vec<(&'a [u8], &'a Cell)> {
        let behind = self.length.saturating_sub(start + count);
        if start <= behind {
            return self.elements().skip(start).take(count).collect();
        }
        let mut slice: Vec<_> = self.elements().rev().skip(behind).take(count).collect();
        slice.reverse();
        slice
    }

    fn text(self, cell: &'a Cell) -> Cow<'a, [u8]> {
        self.view
            .content_of(cell)
            .map_or(Cow::Borrowed(&[]), |content| content.text())
    }

    /// The batch that takes elements away; all of them: the key with its deadline.
    fn without(self, key: &[u8], gone: &[&[u8]]) -> Writes {
        if gone.len() == self.length {
            return self.view.removal(key);
        }
        let mut writes = self.taken(key, gone);
        self.view.hold_deadline(key, &mut writes);
        writes
    }

    /// The removal of some elements alone, for a batch that writes others which carry the key's deadline.
    fn taken(self, key: &[u8], gone: &[&[u8]]) -> Writes {
        let mut writes = self.view.ground(key, Kind::List);
        writes.extend(gone.iter().map(|position| Write::Remove {
            cell: CellId::new(key, Kind::List, position),
        }));
        writes
    }
}

/// The change that puts an element at a position.
fn put(key: &[u8], position: Field, value: &[u8], deadline: Deadline) -> Write {
    let name = CellName {
        kind: Kind::List,
        field: position,
    };
    Write::Set {
        cell: CellId {
            key: key.into(),
            name,
        },
        value: value.into(),
        deadline,
    }
}
