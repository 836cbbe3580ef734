//! What is held of one key: its cells, and what can be told of them without looking at each.
//!
//! Invariants: no empty cell is stored, but for the two inline ones of a collection; `live` counts the live cells
//! of its kind; `carried` is never later than the earliest deadline that a cell other than the register carries;
//! the ranking of a sorted set holds exactly its live cells, under the scores they show.

mod strip;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::ranking::Ranking;
use crate::causality::Dot;
use crate::types::{
    Cell, CellId, CellName, CellRef, ChainId, Deadline, Field, Key, Kind, Score, Total, Version,
    VersionRef,
};

pub use strip::Garbage;

/// The cells of one key. Most keys have one cell and pay for no map.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// The string cell alone.
    String(Cell),
    /// Another cell alone.
    One(Box<(CellName, Cell)>),
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
    /// Only sorted sets have one.
    ranking: Option<Box<Ranking>>,
}

impl Part {
    /// Moves a member to where its score is now.
    fn rank(&mut self, member: &[u8], before: Option<Score>, after: Option<Score>) {
        let Some(ranking) = self.ranking.as_mut().filter(|_| before != after) else {
            return;
        };
        if let Some(score) = before {
            ranking.remove(score, member);
        }
        if let Some(score) = after {
            ranking.insert(score, member);
        }
    }
}

/// What of a cell's bookkeeping can change with its content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) digest: u128,
    pub(super) overlaid: bool,
    pub(super) residue: bool,
    intricate: bool,
    pub(super) live: bool,
    held: bool,
    carried: Deadline,
    /// Of a live member of a sorted set.
    score: Option<Score>,
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
        score: None,
    };

    pub(super) fn of(id: &CellId, cell: &Cell) -> Self {
        Self {
            digest: cell_digest(&id.key, (id.name.kind, &id.name.field), cell.into()),
            overlaid: cell.pre().is_some(),
            residue: cell.chains().iter().any(|chain| chain.is_dead()),
            intricate: !cell.chains().is_empty() || cell.pre().is_some(),
            live: cell.is_live(),
            held: !cell.is_empty(),
            carried: match id.name.kind {
                Kind::Deadline => Deadline::NEVER,
                _ => cell.earliest_carried(),
            },
            score: match id.name.kind {
                Kind::SortedSet => Score::of(cell, None),
                _ => None,
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

impl Default for Entry {
    /// One that holds nothing.
    fn default() -> Self {
        Self::String(Cell::default())
    }
}

impl Entry {
    /// The entry of a key with one cell.
    pub(super) fn new(name: CellName, cell: Cell) -> Self {
        match name.kind {
            Kind::String => Self::String(cell),
            _ => Self::One(Box::new((name, cell))),
        }
    }

    /// The entry of a string with one version.
    pub(super) fn plain(version: VersionRef<'_>) -> Self {
        Self::String(version.to_version().into())
    }

    /// The only cell; nothing of a collection, whatever its size.
    fn single(&self) -> Option<(Kind, &[u8], &Cell)> {
        match self {
            Self::String(cell) => Some((Kind::String, b"", cell)),
            Self::One(one) => Some((one.0.kind, &one.0.field, &one.1)),
            Self::Many(_) => None,
        }
    }

    fn single_mut(&mut self, name: &CellName) -> Option<&mut Cell> {
        match self {
            Self::String(cell) => (name.kind == Kind::String).then_some(cell),
            Self::One(one) => (one.0 == *name).then_some(&mut one.1),
            Self::Many(_) => None,
        }
    }

    /// The version of a string that has one and nothing else.
    pub(super) const fn only(&self) -> Option<&Version> {
        match self {
            Self::String(cell) => cell.only(),
            Self::One(_) | Self::Many(_) => None,
        }
    }

    pub(super) fn facts(&self) -> Facts {
        KeyCells::of(self).facts()
    }

    /// Every cell, ascending by name.
    fn cells(&self) -> impl Iterator<Item = (Kind, &[u8], &Cell)> {
        let many = match self {
            Self::Many(collection) => Some(collection.cells()),
            Self::String(_) | Self::One(_) => None,
        };
        self.single().into_iter().chain(many.into_iter().flatten())
    }

    fn get(&self, kind: Kind, field: &[u8]) -> Option<&Cell> {
        match self {
            Self::String(cell) => (kind == Kind::String).then_some(cell),
            Self::One(one) => (one.0.kind == kind && *one.0.field == *field).then_some(&one.1),
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
            Self::String(cell) => cell.is_empty(),
            Self::One(one) => one.1.is_empty(),
            Self::Many(collection) => collection.len == 0,
        }
    }

    /// Whether it holds nothing but versions.
    fn has_versions_alone(&self) -> bool {
        let plain = |cell: &Cell| cell.chains().is_empty() && cell.pre().is_none();
        match self {
            Self::String(cell) => plain(cell),
            Self::One(one) => plain(&one.1),
            Self::Many(collection) => collection.intricate == 0,
        }
    }

    fn digest(&self, key: &[u8]) -> u128 {
        match self {
            Self::String(cell) => cell_digest(key, (Kind::String, b""), cell.into()),
            Self::One(one) => cell_digest(key, (one.0.kind, &one.0.field), (&one.1).into()),
            Self::Many(collection) => collection.digest,
        }
    }

    /// Changes one cell, creating and dropping it as needed; gives its marks before and after.
    pub(super) fn update<R>(
        &mut self,
        id: &CellId,
        change: impl FnOnce(&mut Cell) -> R,
    ) -> (R, Marks, Marks) {
        if let Some(cell) = self.single_mut(&id.name) {
            let before = Marks::of(id, cell);
            let result = change(cell);
            return (result, before, Marks::of(id, cell));
        }
        let Self::Many(collection) = self else {
            let mut cell = Cell::default();
            let result = change(&mut cell);
            let after = Marks::of(id, &cell);
            if after.held {
                self.grow(&id.key).insert(id.name.clone(), cell, after);
            }
            return (result, Marks::NONE, after);
        };
        let changed = collection.update(id, change);
        if collection.len == 1
            && let Some((name, cell)) = collection.take_last()
        {
            *self = Self::new(name, cell);
        }
        changed
    }

    /// Whether a kind that has just come to life is in the company of another one.
    pub(super) fn joins_others(&self, kind: Kind) -> bool {
        let Self::Many(_) = self else {
            return false;
        };
        let cells = KeyCells::of(self);
        kind != Kind::Deadline
            && cells.live(kind) == 1
            && cells.live_kinds().any(|other| other != kind)
    }

    /// Turns a single cell into a collection that holds it.
    fn grow(&mut self, key: &Key) -> &mut Collection {
        if let Some((kind, field, cell)) = self.single() {
            let id = CellId::new(key, kind, field);
            let mut collection = Box::<Collection>::default();
            let marks = Marks::of(&id, cell);
            collection.insert(id.name, cell.clone(), marks);
            *self = Self::Many(collection);
        }
        match self {
            Self::Many(collection) => collection,
            Self::String(_) | Self::One(_) => {
                unreachable!("it was just turned into a collection")
            }
        }
    }

    /// Takes what is held for what was accounted for.
    pub(super) fn recount(&mut self, key: &[u8]) {
        let counted = KeyCells::of(self).count(key);
        if let Self::Many(collection) = self {
            collection.digest = counted;
        }
    }

    /// One cell, for a change behind the back of all that is kept of it.
    pub(super) fn first_cell_mut(&mut self) -> Option<&mut Cell> {
        match self {
            Self::String(cell) => Some(cell),
            Self::One(one) => Some(&mut one.1),
            Self::Many(collection) => {
                if !collection.string.is_empty() {
                    return Some(&mut collection.string);
                }
                let mut parts = collection.parts.iter_mut();
                parts.find_map(|part| part.cells.values_mut().next())
            }
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
                ranking: (kind == Kind::SortedSet).then(Box::default),
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
                let cells = &mut self.part_mut(kind).cells;
                cells.insert(name.field.clone(), cell);
            }
        }
        self.account(&name, Marks::NONE, marks);
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
        self.account(&id.name, changed.1, changed.2);
        changed
    }

    fn account(&mut self, name: &CellName, before: Marks, after: Marks) {
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
        if name.kind.has_fields() {
            let part = self.part_mut(name.kind);
            step(&mut part.live, before.live, after.live);
            part.rank(&name.field, before.score, after.score);
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
pub struct KeyCells<'a>(State<'a>);

#[derive(Clone, Copy, Debug)]
enum State<'a> {
    /// A string with this version and nothing else.
    Plain(VersionRef<'a>),
    Entry(&'a Entry),
}

impl<'a> KeyCells<'a> {
    pub(super) const fn of(entry: &'a Entry) -> Self {
        Self(State::Entry(entry))
    }

    pub(super) const fn plain(version: VersionRef<'a>) -> Self {
        Self(State::Plain(version))
    }

    const fn entry(self) -> Option<&'a Entry> {
        match self.0 {
            State::Plain(_) => None,
            State::Entry(entry) => Some(entry),
        }
    }

    /// One cell, if anything is held of it.
    #[must_use]
    pub fn cell(self, kind: Kind, field: &[u8]) -> Option<CellRef<'a>> {
        match self.0 {
            State::Plain(version) => (kind == Kind::String).then_some(CellRef::Only(version)),
            State::Entry(entry) => entry.get(kind, field).map(CellRef::Cell),
        }
    }

    /// The cells of a kind with fields, ascending by field.
    pub fn fields(self, kind: Kind) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a Cell)> {
        debug_assert!(kind.has_fields(), "the other kinds have one cell");
        let (one, part) = match self.entry() {
            Some(Entry::Many(collection)) => (None, collection.part(kind)),
            Some(Entry::One(one)) if one.0.kind == kind => (Some(&**one), None),
            _ => (None, None),
        };
        let one = one.into_iter().map(|one| (&*one.0.field, &one.1));
        let part = part.into_iter().flat_map(|part| part.cells.iter());
        one.chain(part.map(|(field, cell)| (&**field, cell)))
    }

    /// The cells of one kind, ascending by field.
    pub fn cells(self, kind: Kind) -> impl Iterator<Item = (&'a [u8], CellRef<'a>)> {
        let (one, many) = if kind.has_fields() {
            (None, Some(self.fields(kind)))
        } else {
            (self.cell(kind, b"").map(|cell| (&b""[..], cell)), None)
        };
        let many = many.into_iter().flatten();
        one.into_iter()
            .chain(many.map(|(field, cell)| (field, cell.into())))
    }

    /// Every cell, ascending by name.
    pub fn all(self) -> impl Iterator<Item = (Kind, &'a [u8], CellRef<'a>)> {
        let (plain, entry) = match self.0 {
            State::Plain(version) => (Some((Kind::String, &b""[..], CellRef::Only(version))), None),
            State::Entry(entry) => (None, Some(entry.cells())),
        };
        let entry = entry.into_iter().flatten();
        plain
            .into_iter()
            .chain(entry.map(|(kind, field, cell)| (kind, field, cell.into())))
    }

    /// How many cells of one kind live. Counted as they change, not when asked.
    #[must_use]
    pub fn live(self, kind: Kind) -> usize {
        match self.entry() {
            Some(Entry::Many(collection)) if kind.has_fields() => {
                collection.part(kind).map_or(0, |part| part.live)
            }
            _ => {
                let live = |(_, cell): &(&[u8], CellRef<'_>)| cell.is_live();
                self.cells(kind).filter(live).count()
            }
        }
    }

    /// The kinds with live cells, ascending, the deadline register left out.
    pub fn live_kinds(self) -> impl Iterator<Item = Kind> {
        let (one, many) = match self.entry() {
            None | Some(Entry::String(_)) => (Kind::String, None),
            Some(Entry::One(one)) => (one.0.kind, None),
            Some(Entry::Many(collection)) => (Kind::String, Some(&collection.parts)),
        };
        let many = many.into_iter().flatten();
        std::iter::once(one)
            .chain(many.map(|part| part.kind))
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

    /// The live members of a sorted set in order, where several cells of it are held.
    #[must_use]
    pub fn ranking(self) -> Option<&'a Ranking> {
        match self.entry()? {
            Entry::Many(collection) => collection.part(Kind::SortedSet)?.ranking.as_deref(),
            Entry::String(_) | Entry::One(_) => None,
        }
    }

    /// A bound, never too late, of the deadlines that cells carry; never when none does.
    #[must_use]
    pub fn carried(self) -> Deadline {
        match self.0 {
            State::Plain(version) => version.deadline,
            State::Entry(Entry::String(cell)) => cell.earliest_carried(),
            State::Entry(Entry::One(one)) if one.0.kind == Kind::Deadline => Deadline::NEVER,
            State::Entry(Entry::One(one)) => one.1.earliest_carried(),
            State::Entry(Entry::Many(collection)) => collection.carried,
        }
    }

    pub(super) fn facts(self) -> Facts {
        let live = self.is_live();
        let carried = if live {
            self.carried()
        } else {
            Deadline::NEVER
        };
        Facts {
            live,
            due: self.deadline().unwrap_or(carried),
        }
    }

    /// Whether it holds nothing but versions.
    pub(super) fn has_versions_alone(self) -> bool {
        self.entry().is_none_or(Entry::has_versions_alone)
    }

    /// The digest of what is held, counted again from each cell.
    pub(super) fn count(self, key: &[u8]) -> u128 {
        let cells = self.all();
        let digests = cells.map(|(kind, field, cell)| cell_digest(key, (kind, field), cell));
        digests.fold(0, u128::wrapping_add)
    }

    pub(super) fn digest(self, key: &[u8]) -> u128 {
        match self.0 {
            State::Plain(version) => cell_digest(key, (Kind::String, b""), CellRef::Only(version)),
            State::Entry(entry) => entry.digest(key),
        }
    }
}

/// The digest of a cell: of what a reader can see, so of versions and live chains, not of overlays and residue,
/// whose collection differs by replica (replication.md 11). Zero when nothing is to be seen.
///
/// The sum over versions and chains of the hash of all that each one says, with texts taken in by their own hashes:
/// this runs twice for each event and must copy no value.
fn cell_digest(key: &[u8], (kind, field): (Kind, &[u8]), cell: CellRef<'_>) -> u128 {
    if !cell.is_live() {
        return 0;
    }
    let (key, kind, field) = (xxh3_64(key), u64::from(kind.code()), xxh3_64(field));
    let mut sum = 0u128;
    for version in cell.versions() {
        let Dot { actor, n } = version.dot;
        let [low, high] = halves(xxh3_128(version.value));
        let (hlc, deadline) = (version.hlc.0, version.deadline.0);
        let said = [key, kind, field, actor.0, n, hlc, deadline, low, high];
        sum = sum.wrapping_add(words_digest(said));
    }
    for chain in cell.chains().iter().filter(|chain| !chain.is_dead()) {
        let ChainId { actor, birth } = chain.id;
        let (top, base) = (chain.top.n, chain.base.n);
        let [low, high] = halves(bits(chain.top.total));
        let [left_low, left_high] = halves(bits(chain.value()));
        let (hlc, deadline) = (chain.hlc.0, chain.deadline.0);
        let said = [
            key, kind, field, actor.0, birth, top, base, hlc, deadline, low, high, left_low,
            left_high,
        ];
        sum = sum.wrapping_add(words_digest(said));
    }
    sum
}

/// The hash of numbers at fixed places; versions and chains differ in how many they are.
fn words_digest<const N: usize>(words: [u64; N]) -> u128 {
    xxh3_128(words.map(u64::to_le_bytes).as_flattened())
}

const fn halves(number: u128) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = number.to_le_bytes();
    [
        u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        u64::from_le_bytes(rest),
    ]
}

const fn bits(total: Total) -> u128 {
    match total {
        Total::Int(value) => value.cast_unsigned(),
        Total::Float(value) => value.to_bits() as u128,
    }
}
