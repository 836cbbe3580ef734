//! What is held of one key: its cells, and what can be told of them without looking at each.
//!
//! Invariants: no empty cell is stored, but for the two inline ones of a collection; `live` counts the live cells
//! of its kind; `carried` is never later than the earliest deadline that a cell other than the register carries.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;

use xxhash_rust::xxh3::xxh3_128;

use crate::codec::{put_bytes, put_varint};
use crate::types::{Cell, CellId, CellName, Deadline, Field, Key, Kind, Total};

/// The cells of one key. Most keys have one cell and pay for no map.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    One(CellName, Cell),
    Many(Box<Collection>),
}

/// The cells of a key that has, or had, several.
#[derive(Clone, Debug)]
pub(super) struct Collection {
    /// The deadline register, in place: a string with a deadline pays for no map either.
    deadline: Cell,
    /// The string cell, in place.
    string: Cell,
    /// The kinds that have fields, ascending.
    parts: Vec<Part>,
    digest: u128,
    /// Cells held.
    len: usize,
    /// Cells with chains or an overlay: while there are none, a range delete need not look inside.
    intricate: usize,
    carried: Deadline,
}

/// The cells of one kind.
#[derive(Clone, Debug)]
struct Part {
    kind: Kind,
    cells: BTreeMap<Field, Cell>,
    live: usize,
}

/// What of a cell's bookkeeping can change with its content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) digest: u128,
    pub(super) overlaid: bool,
    pub(super) residue: bool,
    intricate: bool,
    live: bool,
    held: bool,
    carried: Deadline,
}

impl Marks {
    /// Those of a cell that is not held.
    pub(super) const NONE: Self = Self {
        digest: 0,
        overlaid: false,
        residue: false,
        intricate: false,
        live: false,
        held: false,
        carried: Deadline::NEVER,
    };

    pub(super) fn of(id: &CellId, cell: &Cell) -> Self {
        Self {
            digest: cell_digest(&id.key, &id.name, cell),
            overlaid: cell.pre().is_some(),
            residue: cell.chains().iter().any(|chain| chain.is_dead()),
            intricate: !cell.chains().is_empty() || cell.pre().is_some(),
            live: cell.is_live(),
            held: !cell.is_empty(),
            carried: match id.name.kind {
                Kind::Deadline => Deadline::NEVER,
                _ => cell.earliest_carried(),
            },
        }
    }
}

/// What of a key's bookkeeping can change with its cells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// Whether a cell other than the deadline register lives.
    pub(super) live: bool,
    /// When something of the key may expire, at the earliest.
    pub(super) due: Deadline,
}

impl Facts {
    /// Those of a key that is not held.
    pub(super) const NONE: Self = Self {
        live: false,
        due: Deadline::NEVER,
    };
}

impl Entry {
    pub(super) fn facts(&self) -> Facts {
        let cells = KeyCells(self);
        let live = cells.is_live();
        let carried = if live {
            cells.carried()
        } else {
            Deadline::NEVER
        };
        Facts {
            live,
            due: cells.deadline().unwrap_or(carried),
        }
    }

    /// Every cell, ascending by name.
    pub(super) fn cells(&self) -> impl Iterator<Item = (Kind, &[u8], &Cell)> {
        let (one, many) = match self {
            Self::One(name, cell) => (Some((name.kind, &*name.field, cell)), None),
            Self::Many(collection) => (None, Some(collection.cells())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    pub(super) fn get(&self, kind: Kind, field: &[u8]) -> Option<&Cell> {
        match self {
            Self::One(name, cell) => (name.kind == kind && *name.field == *field).then_some(cell),
            Self::Many(collection) => match kind {
                Kind::Deadline => Some(&collection.deadline),
                Kind::String => Some(&collection.string),
                _ => collection.part(kind)?.cells.get(field),
            }
            .filter(|cell| !cell.is_empty()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::One(_, cell) => cell.is_empty(),
            Self::Many(collection) => collection.len == 0,
        }
    }

    /// Whether it holds nothing but versions.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Self::One(_, cell) => cell.chains().is_empty() && cell.pre().is_none(),
            Self::Many(collection) => collection.intricate == 0,
        }
    }

    pub(super) fn digest(&self, key: &[u8]) -> u128 {
        match self {
            Self::One(name, cell) => cell_digest(key, name, cell),
            Self::Many(collection) => collection.digest,
        }
    }

    /// Changes one cell, creating and dropping it as needed; gives its marks before and after.
    pub(super) fn update<R>(
        &mut self,
        id: &CellId,
        change: impl FnOnce(&mut Cell) -> R,
    ) -> (R, Marks, Marks) {
        if let Self::One(name, cell) = self
            && *name == id.name
        {
            let before = Marks::of(id, cell);
            let result = change(cell);
            return (result, before, Marks::of(id, cell));
        }
        if matches!(self, Self::One(..)) {
            let mut cell = Cell::default();
            let result = change(&mut cell);
            let after = Marks::of(id, &cell);
            if after.held {
                self.grow(&id.key).insert(id.name.clone(), cell, after);
            }
            return (result, Marks::NONE, after);
        }
        let Self::Many(collection) = self else {
            unreachable!("a single cell was dealt with above");
        };
        let changed = collection.update(id, change);
        if collection.len == 1
            && let Some((name, cell)) = collection.take_last()
        {
            *self = Self::One(name, cell);
        }
        changed
    }

    /// Turns a single cell into a collection that holds it.
    fn grow(&mut self, key: &Key) -> &mut Collection {
        if let Self::One(name, cell) = self {
            let id = CellId {
                key: key.clone(),
                name: name.clone(),
            };
            let mut collection = Box::<Collection>::default();
            let marks = Marks::of(&id, cell);
            collection.insert(id.name, std::mem::take(cell), marks);
            *self = Self::Many(collection);
        }
        match self {
            Self::Many(collection) => collection,
            Self::One(..) => unreachable!("it was just turned into a collection"),
        }
    }

    /// Looks at every cell for the earliest deadline carried, which was only bounded before.
    pub(super) fn recount_carried(&mut self) {
        if let Self::Many(collection) = self {
            let carried = collection
                .cells()
                .filter(|(kind, ..)| *kind != Kind::Deadline)
                .map(|(_, _, cell)| cell.earliest_carried())
                .min();
            collection.carried = carried.unwrap_or(Deadline::NEVER);
        }
    }
}

impl Default for Collection {
    fn default() -> Self {
        Self {
            deadline: Cell::default(),
            string: Cell::default(),
            parts: Vec::new(),
            digest: 0,
            len: 0,
            intricate: 0,
            carried: Deadline::NEVER,
        }
    }
}

impl Collection {
    fn part(&self, kind: Kind) -> Option<&Part> {
        self.parts.iter().find(|part| part.kind == kind)
    }

    fn part_mut(&mut self, kind: Kind) -> &mut Part {
        let at = self.parts.partition_point(|part| part.kind < kind);
        if self.parts.get(at).is_none_or(|part| part.kind != kind) {
            let part = Part {
                kind,
                cells: BTreeMap::new(),
                live: 0,
            };
            self.parts.insert(at, part);
        }
        &mut self.parts[at]
    }

    fn cells(&self) -> impl Iterator<Item = (Kind, &[u8], &Cell)> {
        let inline = [
            (Kind::Deadline, &self.deadline),
            (Kind::String, &self.string),
        ];
        let inline = inline
            .into_iter()
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(kind, cell)| (kind, &b""[..], cell));
        inline.chain(self.parts.iter().flat_map(|part| {
            part.cells
                .iter()
                .map(|(field, cell)| (part.kind, &**field, cell))
        }))
    }

    fn insert(&mut self, name: CellName, cell: Cell, marks: Marks) {
        match name.kind {
            Kind::Deadline => self.deadline = cell,
            Kind::String => self.string = cell,
            kind => {
                self.part_mut(kind).cells.insert(name.field, cell);
            }
        }
        self.account(name.kind, Marks::NONE, marks);
    }

    fn update<R>(&mut self, id: &CellId, change: impl FnOnce(&mut Cell) -> R) -> (R, Marks, Marks) {
        let in_place = |cell: &mut Cell| {
            let before = Marks::of(id, cell);
            let result = change(cell);
            (result, before, Marks::of(id, cell))
        };
        let changed = match id.name.kind {
            Kind::Deadline => in_place(&mut self.deadline),
            Kind::String => in_place(&mut self.string),
            kind => match self.part_mut(kind).cells.entry(id.name.field.clone()) {
                MapEntry::Vacant(vacant) => {
                    let mut cell = Cell::default();
                    let changed = in_place(&mut cell);
                    if changed.2.held {
                        vacant.insert(cell);
                    }
                    changed
                }
                MapEntry::Occupied(mut occupied) => {
                    let changed = in_place(occupied.get_mut());
                    if !changed.2.held {
                        occupied.remove();
                    }
                    changed
                }
            },
        };
        self.account(id.name.kind, changed.1, changed.2);
        changed
    }

    fn account(&mut self, kind: Kind, before: Marks, after: Marks) {
        let step = |count: &mut usize, before: bool, after: bool| {
            *count = *count + usize::from(after) - usize::from(before);
        };
        self.digest = self
            .digest
            .wrapping_sub(before.digest)
            .wrapping_add(after.digest);
        step(&mut self.intricate, before.intricate, after.intricate);
        step(&mut self.len, before.held, after.held);
        self.carried = self.carried.min(after.carried);
        if kind.has_fields() {
            let part = self.part_mut(kind);
            step(&mut part.live, before.live, after.live);
            if part.cells.is_empty() {
                self.parts.retain(|part| !part.cells.is_empty());
            }
        }
    }

    /// Takes the only cell out.
    fn take_last(&mut self) -> Option<(CellName, Cell)> {
        let (kind, field, cell) = self.cells().next()?;
        let name = CellName {
            kind,
            field: field.into(),
        };
        Some((name, cell.clone()))
    }
}

/// The cells of one key, to read.
#[derive(Clone, Copy, Debug)]
pub struct KeyCells<'a>(pub(super) &'a Entry);

impl<'a> KeyCells<'a> {
    /// One cell, if anything is held of it.
    #[must_use]
    pub fn cell(self, kind: Kind, field: &[u8]) -> Option<&'a Cell> {
        self.0.get(kind, field)
    }

    /// The cells of one kind, ascending by field.
    pub fn cells(self, kind: Kind) -> impl Iterator<Item = (&'a [u8], &'a Cell)> {
        let (inline, part) = match self.0 {
            Entry::Many(collection) if kind.has_fields() => {
                let part = collection.part(kind).into_iter();
                (None, Some(part.flat_map(|part| part.cells.iter())))
            }
            Entry::One(name, cell) if name.kind == kind => (Some((&*name.field, cell)), None),
            entry => (entry.get(kind, b"").map(|cell| (&b""[..], cell)), None),
        };
        let part = part.into_iter().flatten();
        inline
            .into_iter()
            .chain(part.map(|(field, cell)| (&**field, cell)))
    }

    /// Every cell, ascending by name.
    pub fn all(self) -> impl Iterator<Item = (Kind, &'a [u8], &'a Cell)> {
        self.0.cells()
    }

    /// How many cells of one kind live. Counted as they change, not when asked.
    #[must_use]
    pub fn live(self, kind: Kind) -> usize {
        match self.0 {
            Entry::Many(collection) if kind.has_fields() => {
                collection.part(kind).map_or(0, |part| part.live)
            }
            Entry::One(name, cell) if name.kind == kind => usize::from(cell.is_live()),
            entry => usize::from(entry.get(kind, b"").is_some_and(Cell::is_live)),
        }
    }

    /// The kinds with live cells, ascending, the deadline register left out.
    pub fn live_kinds(self) -> impl Iterator<Item = Kind> {
        let (one, many) = match self.0 {
            Entry::One(name, _) => (Some(name.kind), None),
            Entry::Many(collection) => (
                Some(Kind::String),
                Some(collection.parts.iter().map(|p| p.kind)),
            ),
        };
        one.into_iter()
            .chain(many.into_iter().flatten())
            .filter(move |kind| *kind != Kind::Deadline && self.live(*kind) > 0)
    }

    /// Whether a cell other than the deadline register lives.
    #[must_use]
    pub fn is_live(self) -> bool {
        self.live_kinds().next().is_some()
    }

    /// What the deadline register shows, where it lives.
    #[must_use]
    pub fn deadline(self) -> Option<Deadline> {
        self.cell(Kind::Deadline, b"")?.latest_deadline()
    }

    /// A bound, never too late, of the deadlines that cells carry; never when none does.
    #[must_use]
    pub fn carried(self) -> Deadline {
        match self.0 {
            Entry::One(name, _) if name.kind == Kind::Deadline => Deadline::NEVER,
            Entry::One(_, cell) => cell.earliest_carried(),
            Entry::Many(collection) => collection.carried,
        }
    }
}

/// The digest of a cell: of what a reader can see, so of versions and live chains, not of overlays and residue,
/// whose collection differs by replica (replication.md 11). Zero when nothing is to be seen.
fn cell_digest(key: &[u8], name: &CellName, cell: &Cell) -> u128 {
    if !cell.is_live() {
        return 0;
    }
    let mut bytes = Vec::with_capacity(128);
    put_bytes(&mut bytes, key);
    bytes.push(name.kind.code());
    put_bytes(&mut bytes, &name.field);
    put_varint(&mut bytes, cell.versions().len() as u64);
    for version in cell.versions() {
        for word in [
            version.dot.actor.0,
            version.dot.n,
            version.hlc.0,
            version.deadline.0,
        ] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        put_bytes(&mut bytes, &version.value);
    }
    for chain in cell.chains().iter().filter(|chain| !chain.is_dead()) {
        for word in [
            chain.id.actor.0,
            chain.id.birth,
            chain.top.n,
            chain.base.n,
            chain.hlc.0,
            chain.deadline.0,
        ] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for total in [chain.top.total, chain.value()] {
            match total {
                Total::Int(value) => bytes.extend_from_slice(&value.to_le_bytes()),
                Total::Float(value) => bytes.extend_from_slice(&value.to_bits().to_le_bytes()),
            }
        }
    }
    xxh3_128(&bytes)
}
