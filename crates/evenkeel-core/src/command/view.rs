//! One key as a client sees it now: its type, its deadline, its visible cells; and what a write must clear first.
//!
//! Rules (replication.md 5): the visible type is that of the newest live version or chain. A live deadline register
//! rules the whole key; without one, each version and chain expires under the deadline that it carries.

use std::borrow::Cow;
use std::collections::BTreeSet;

use evenkeel_resp::Reply;
use smallvec::smallvec;

use super::content::{Content, is_visible, latest_carried};
use super::keyspace::Writes;
use crate::causality::Hlc;
use crate::id::ActorId;
use crate::partition::{KeyCells, Ranking, Write};
use crate::time::WallMs;
use crate::types::{Cell, CellId, CellRef, Deadline, Kind, Range, Score};

/// A key at one instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    cells: Option<KeyCells<'a>>,
    wall: WallMs,
    kind: Option<Kind>,
    register: Option<Deadline>,
    /// The time to judge cells by, when what they carry hides some of them.
    judged_at: Option<WallMs>,
}

impl<'a> View<'a> {
    pub(super) fn of(cells: Option<KeyCells<'a>>, wall: WallMs) -> Self {
        let mut view = Self {
            cells,
            wall,
            kind: None,
            register: None,
            judged_at: None,
        };
        let Some(cells) = cells else {
            return view;
        };
        view.register = cells.deadline();
        if view.register.is_none() && cells.carried().has_passed(wall) {
            view.judged_at = Some(wall);
        }
        if !view
            .register
            .is_some_and(|deadline| deadline.has_passed(wall))
        {
            view.kind = view.visible_kind(cells);
        }
        view
    }

    /// What one of the bugs takes for the key: of several types, the last one by its name.
    pub(super) fn of_last_kind(mut self) -> Self {
        if let (Some(cells), Some(_)) = (self.cells, self.kind) {
            self.kind = cells.live_kinds().last();
        }
        self
    }

    /// The type shown; ties are impossible, for one actor stamps no two events alike.
    fn visible_kind(&self, cells: KeyCells<'a>) -> Option<Kind> {
        let shows = |kind: &Kind| {
            self.judged_at.is_none()
                || cells
                    .cells(*kind)
                    .any(|(_, cell)| is_visible(cell, self.judged_at))
        };
        let mut kinds = cells.live_kinds().filter(shows);
        let first = kinds.next()?;
        let mut rest = kinds.peekable();
        if rest.peek().is_none() {
            return Some(first);
        }
        let newest = |kind: &Kind| {
            let cells = cells.cells(*kind);
            cells
                .filter_map(|(_, cell)| newest_stamp(cell, self.judged_at))
                .max()
        };
        std::iter::once(first).chain(rest).max_by_key(newest)
    }

    /// The type, when there is something to see.
    pub(super) const fn kind(&self) -> Option<Kind> {
        self.kind
    }

    pub(super) const fn exists(&self) -> bool {
        self.kind.is_some()
    }

    /// Refuses a key that shows another type. A sketch is a string to who asks for one.
    pub(super) fn expect(self, kind: Kind) -> Result<Self, Reply> {
        let fits =
            |shown: Kind| shown == kind || (kind == Kind::String && shown == Kind::HyperLogLog);
        if self.kind.is_none_or(fits) {
            return Ok(self);
        }
        Err(Reply::error(
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ))
    }

    /// The visible cells of a kind with fields, ascending by field; none when the key shows another type.
    pub(super) fn cells(self, kind: Kind) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a Cell)> {
        let cells = self.cells.filter(|_| self.kind == Some(kind));
        cells
            .into_iter()
            .flat_map(move |cells| cells.fields(kind))
            .filter(move |(_, cell)| is_visible(*cell, self.judged_at))
    }

    /// How many cells of one kind are visible. Counts them only where carried deadlines hide some.
    pub(super) fn count(self, kind: Kind) -> usize {
        match (self.cells, self.judged_at) {
            (Some(cells), None) if self.kind == Some(kind) => cells.live(kind),
            _ => self.cells(kind).count(),
        }
    }

    /// Whether a field is visible.
    pub(super) fn has(self, kind: Kind, field: &[u8]) -> bool {
        self.cell(kind, field)
            .is_some_and(|cell| is_visible(cell, self.judged_at))
    }

    /// What a field shows.
    pub(super) fn content(self, kind: Kind, field: &[u8]) -> Option<Content<'a>> {
        Content::of(self.cell(kind, field)?, self.judged_at)
    }

    /// What a visible cell shows.
    pub(super) fn content_of(self, cell: impl Into<CellRef<'a>>) -> Option<Content<'a>> {
        Content::of(cell, self.judged_at)
    }

    /// The score of a sorted set's member.
    pub(super) fn score(self, member: &[u8]) -> Option<Score> {
        let cell = self.cell(Kind::SortedSet, member)?.to_cell();
        Score::of(&cell, self.judged_at)
    }

    /// The visible members of a sorted set in order. Sorts them only where carried deadlines hide some.
    pub(super) fn ranking(self) -> Cow<'a, Ranking> {
        let cells = self.cells.filter(|_| self.kind == Some(Kind::SortedSet));
        if self.judged_at.is_none()
            && let Some(ranking) = cells.and_then(KeyCells::ranking)
        {
            return Cow::Borrowed(ranking);
        }
        let members = self.cells(Kind::SortedSet);
        let scored =
            members.filter_map(|(member, cell)| Some((Score::of(cell, self.judged_at)?, member)));
        Cow::Owned(scored.collect())
    }

    /// A cell of one kind, visible or not; none when the key shows another type.
    pub(super) fn cell(self, kind: Kind, field: &[u8]) -> Option<CellRef<'a>> {
        self.cells
            .filter(|_| self.kind == Some(kind))?
            .cell(kind, field)
    }

    /// When the key expires; never when it does not. It is what a write to the key carries.
    pub(super) fn deadline(self) -> Deadline {
        let Some(cells) = self.cells.filter(|_| self.exists()) else {
            return Deadline::NEVER;
        };
        if let Some(deadline) = self.register {
            return deadline;
        }
        if cells.carried() == Deadline::NEVER {
            return Deadline::NEVER;
        }
        let visible = self.kind.into_iter().flat_map(|kind| cells.cells(kind));
        visible
            .filter_map(|(_, cell)| latest_carried(cell, self.judged_at))
            .max()
            .unwrap_or(Deadline::NEVER)
    }

    /// Whether the deadline register holds anything.
    pub(super) const fn has_register(&self) -> bool {
        self.register.is_some()
    }

    /// Whether a cell of another kind lives, visible or not.
    pub(super) fn holds_others(self, kind: Kind) -> bool {
        self.cells
            .is_some_and(|cells| cells.live_kinds().any(|held| held != kind))
    }

    /// The first part of the batch of a write of `kind`: removes what the key does not show, so that it cannot come
    /// back: all of an expired key, cells of other types, what expired under a carried deadline.
    pub(super) fn ground(self, key: &[u8], kind: Kind) -> Writes {
        let Some(cells) = self.cells else {
            return Writes::new();
        };
        if !self.exists() {
            return self.removal(key);
        }
        let mut writes = Writes::new();
        // A sketch is written over a string that shows: other sketches beneath it must not come back either.
        let is_shown = self.kind() == Some(kind);
        for hidden in cells.live_kinds().filter(|held| *held != kind || !is_shown) {
            writes.push(clear_kind(key, hidden));
        }
        writes.extend(self.settled(key));
        writes
    }

    /// Removes what has expired under a deadline that it carries, so that a deadline register that comes to life does
    /// not show it again. What is left is not written anew: it must neither live longer nor become the newest.
    pub(super) fn settled(self, key: &[u8]) -> Writes {
        let (Some(cells), Some(at)) = (self.cells, self.judged_at) else {
            return Writes::new();
        };
        let expired = cells.all().filter(|(kind, _, cell)| {
            *kind != Kind::Deadline && cell.earliest_carried().has_passed(at)
        });
        let expired = expired.map(|(kind, field, _)| CellId::new(key, kind, field));
        expired.map(|cell| Write::Expire { cell, at }).collect()
    }

    /// Removes all that is held of the key: cell by cell where that is one, else as one range.
    pub(super) fn removal(self, key: &[u8]) -> Writes {
        let Some(cells) = self.cells else {
            return Writes::new();
        };
        let live: usize = cells.live_kinds().map(|kind| cells.live(kind)).sum();
        if live > 1 {
            return smallvec![Write::Clear {
                range: Range::Key(key.into()),
            }];
        }
        let mut writes = Writes::new();
        if let Some(kind) = cells.live_kinds().next()
            && let Some((field, _)) = cells.cells(kind).find(|(_, cell)| cell.is_live())
        {
            writes.push(Write::Remove {
                cell: CellId::new(key, kind, field),
            });
        }
        writes.extend(self.register_removal(key));
        writes
    }

    /// Completes a batch that removes some elements of the visible type: without a deadline register the key shows the
    /// latest deadline that its elements carry, and goes on to show it when those that carried it go. As if it had been
    /// set, so of a concurrent EXPIRE and this the later holds.
    pub(super) fn hold_deadline(self, key: &[u8], writes: &mut Writes) {
        let (Some(cells), Some(kind)) = (self.cells, self.kind) else {
            return;
        };
        if self.has_register() || cells.carried() == Deadline::NEVER {
            return;
        }
        let mut gone = BTreeSet::new();
        let mut ranges = Vec::new();
        for write in &*writes {
            match write {
                Write::Remove { cell } if cell.name.kind == kind => {
                    gone.insert(&*cell.name.field);
                }
                Write::Clear { range } => ranges.push(range),
                _ => {}
            }
        }
        let left = self.cells(kind).filter(|(field, _)| {
            let ranges = &mut ranges.iter();
            !gone.contains(field) && !ranges.any(|range| range.covers(key, kind, field))
        });
        let left = left.filter_map(|(_, cell)| latest_carried(cell, self.judged_at));
        let deadline = self.deadline();
        if left.max().is_some_and(|left| left < deadline) {
            writes.push(set_deadline(key, deadline));
        }
    }

    /// Removes the deadline register, if there is one.
    pub(super) fn register_removal(self, key: &[u8]) -> Option<Write> {
        self.has_register().then(|| Write::Remove {
            cell: register(key),
        })
    }

    /// The instant of the view.
    pub(super) const fn wall(&self) -> WallMs {
        self.wall
    }

    /// Everything held, visible or not.
    pub(super) const fn held(&self) -> Option<KeyCells<'a>> {
        self.cells
    }

    /// The time to judge cells by, when what they carry hides some of them.
    pub(super) const fn judged_at(&self) -> Option<WallMs> {
        self.judged_at
    }
}

/// A key's deadline register.
pub(super) fn register(key: &[u8]) -> CellId {
    CellId::new(key, Kind::Deadline, b"")
}

/// Sets a key's deadline register.
pub(super) fn set_deadline(key: &[u8], deadline: Deadline) -> Write {
    Write::Set {
        cell: register(key),
        value: deadline.to_value(),
        deadline: Deadline::NEVER,
    }
}

fn clear_kind(key: &[u8], kind: Kind) -> Write {
    if !kind.has_fields() {
        return Write::Remove {
            cell: CellId::new(key, kind, b""),
        };
    }
    Write::Clear {
        range: Range::Fields {
            key: key.into(),
            kind,
            from: Box::default(),
            to: None,
        },
    }
}

pub(super) fn newest_stamp(cell: CellRef<'_>, judged_at: Option<WallMs>) -> Option<(Hlc, ActorId)> {
    let visible = |deadline: Deadline| judged_at.is_none_or(|at| !deadline.has_passed(at));
    let versions = cell
        .versions()
        .filter(|version| visible(version.deadline))
        .map(|version| (version.hlc, version.dot.actor));
    let chains = cell
        .chains()
        .iter()
        .filter(|chain| !chain.is_dead() && visible(chain.deadline))
        .map(|chain| (chain.hlc, chain.id.actor));
    versions.chain(chains).max()
}

/// What TYPE calls it.
pub(super) const fn type_name(kind: Kind) -> &'static str {
    match kind {
        // A HyperLogLog is a string to Redis. The register is never what a key shows.
        Kind::Deadline | Kind::String | Kind::HyperLogLog => "string",
        Kind::Hash => "hash",
        Kind::Set => "set",
        Kind::SortedSet => "zset",
        Kind::List => "list",
        Kind::Stream => "stream",
    }
}
