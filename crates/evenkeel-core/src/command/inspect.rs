//! All that a replica holds of a key, and why it shows what it shows: EK.INSPECT.

use evenkeel_resp::format_double;

use super::keyspace::Keyspace;
use super::view::type_name;
use crate::causality::{Context, Dot, Hlc};
use crate::time::WallMs;
use crate::types::{
    CellId, CellRef, ChainId, Deadline, Field, Kind, Score, Total, Value, VersionRef,
};

/// Cells that one inspection shows. More: their number is told; ask by field.
const INSPECT_CELLS_MAX: usize = 64;

/// A key on one replica.
#[derive(Clone, PartialEq, Debug)]
pub struct Inspection {
    /// What TYPE says; `None` when the key is not seen.
    pub type_name: Option<&'static str>,
    /// When the key expires; never when it does not.
    pub deadline: Deadline,
    /// Whether something is held that only its deadline hides.
    pub expired: bool,
    /// The cells held, ascending by kind and field.
    pub cells: Vec<InspectedCell>,
    /// Cells left out.
    pub left_out: usize,
}

/// A cell on one replica.
#[derive(Clone, PartialEq, Debug)]
pub struct InspectedCell {
    /// What it is part of.
    pub kind: Kind,
    /// Which one.
    pub field: Field,
    /// What a reader gets; `None` when it is hidden.
    pub shown: Option<Value>,
    /// The live versions, ascending by dot.
    pub versions: Vec<InspectedVersion>,
    /// The chains, dead ones included.
    pub chains: Vec<InspectedChain>,
    /// Which version is shown.
    pub winner: Option<Dot>,
    /// Why it is that one.
    pub why: Why,
    /// Dots known dead that have not arrived.
    pub overlay: Context,
}

/// One written value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InspectedVersion {
    /// The event that wrote it.
    pub dot: Dot,
    /// Its stamp.
    pub hlc: Hlc,
    /// The deadline it carries.
    pub deadline: Deadline,
    /// Its bytes; a score as text.
    pub value: Value,
}

/// One actor's part of a counter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct InspectedChain {
    /// Its name.
    pub id: ChainId,
    /// Its newest increment.
    pub top: u64,
    /// What it adds.
    pub value: Total,
    /// The stamp of its newest increment.
    pub hlc: Hlc,
    /// The deadline it carries.
    pub deadline: Deadline,
    /// Whether all of it was reset.
    pub dead: bool,
}

/// Why a version is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// There is none to show.
    NoVersion,
    /// It is the only one.
    Only,
    /// Among concurrent ones it has the latest deadline: a deadline register.
    LatestDeadline,
    /// Among concurrent ones it has the newest stamp.
    NewestStamp,
    /// Among concurrent ones with the newest stamp it has the greatest actor.
    GreatestActor,
    /// The key shows another type, or its deadline has passed.
    Hidden,
}

impl Why {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoVersion => "no version",
            Self::Only => "only version",
            Self::LatestDeadline => "latest deadline among concurrent versions",
            Self::NewestStamp => "newest stamp among concurrent versions",
            Self::GreatestActor => "greatest actor among concurrent versions of one stamp",
            Self::Hidden => "hidden",
        }
    }
}

impl Keyspace<'_> {
    /// What this replica holds of a key, or of one field of it.
    #[must_use]
    pub fn inspect(&self, key: &[u8], field: Option<&[u8]>) -> Inspection {
        let view = self.view(key);
        let held = view.held();
        let mut inspection = Inspection {
            type_name: view.kind().map(type_name),
            deadline: match (view.exists(), held.and_then(|cells| cells.deadline())) {
                (true, _) => view.deadline(),
                (false, register) => register.unwrap_or(Deadline::NEVER),
            },
            expired: !view.exists() && held.is_some_and(|cells| cells.is_live()),
            cells: Vec::new(),
            left_out: 0,
        };
        let cells = held.into_iter().flat_map(|cells| cells.all());
        let asked = |kind: Kind, name: &[u8]| {
            field.is_none_or(|field| field == name || kind == Kind::Deadline)
        };
        for (kind, name, cell) in cells.filter(|(kind, name, _)| asked(*kind, name)) {
            if inspection.cells.len() == INSPECT_CELLS_MAX {
                inspection.left_out += 1;
                continue;
            }
            let visible = kind == Kind::Deadline || view.kind() == Some(kind);
            let id = CellId::new(key, kind, name);
            let mut inspected = inspect_cell(&id, cell, view.judged_at());
            inspected.overlay = self.replica().overlay(&id);
            inspected.shown = match kind {
                Kind::Deadline => cell.latest_deadline().map(Deadline::to_value),
                Kind::SortedSet if visible => {
                    Score::of(&cell.to_cell(), view.judged_at()).map(score_text)
                }
                _ if visible => view.content_of(cell).map(|content| content.text().into()),
                _ => None,
            };
            if !visible && inspected.winner.take().is_some() {
                inspected.why = Why::Hidden;
            }
            inspection.cells.push(inspected);
        }
        inspection
    }
}

/// A cell, whether it is shown or not.
pub(super) fn inspect_cell(
    id: &CellId,
    cell: CellRef<'_>,
    judged_at: Option<WallMs>,
) -> InspectedCell {
    let kind = id.name.kind;
    let (winner, why) = choose(kind, cell, judged_at);
    let versions = cell.versions().map(|version| InspectedVersion {
        dot: version.dot,
        hlc: version.hlc,
        deadline: version.deadline,
        value: match kind {
            Kind::SortedSet => score_text(Score::from_value(version.value)),
            _ => version.value.into(),
        },
    });
    let chains = cell.chains().iter().map(|chain| InspectedChain {
        id: chain.id,
        top: chain.top.n,
        value: chain.value(),
        hlc: chain.hlc,
        deadline: chain.deadline,
        dead: chain.is_dead(),
    });
    InspectedCell {
        kind,
        field: id.name.field.clone(),
        shown: None,
        versions: versions.collect(),
        chains: chains.collect(),
        winner,
        why,
        overlay: Context::default(),
    }
}

fn score_text(score: Score) -> Value {
    format_double(score.number()).as_bytes().into()
}

/// The version shown, and why, were the cell's kind what the key shows.
fn choose(kind: Kind, cell: CellRef<'_>, judged_at: Option<WallMs>) -> (Option<Dot>, Why) {
    let shown =
        |version: &VersionRef<'_>| judged_at.is_none_or(|at| !version.deadline.has_passed(at));
    let rivals: Vec<VersionRef<'_>> = cell.versions().filter(shown).collect();
    let newest = rivals
        .iter()
        .max_by_key(|version| (version.hlc, version.dot));
    let latest = rivals
        .iter()
        .max_by_key(|version| (Deadline::from_value(version.value), version.dot));
    let (Some(newest), Some(latest)) = (newest, latest) else {
        let why = if cell.versions().next().is_none() {
            Why::NoVersion
        } else {
            Why::Hidden
        };
        return (None, why);
    };
    let same_stamp = rivals.iter().filter(|version| version.hlc == newest.hlc);
    match kind {
        _ if rivals.len() == 1 => (Some(newest.dot), Why::Only),
        Kind::Deadline => (Some(latest.dot), Why::LatestDeadline),
        _ if same_stamp.count() > 1 => (Some(newest.dot), Why::GreatestActor),
        _ => (Some(newest.dot), Why::NewestStamp),
    }
}
