//! One cell: live versions, counter chains, and the overlay of dots known dead that have not arrived.
//!
//! Invariants: versions ascend by dot, chains by id; concurrent versions (siblings) are all kept, so that the
//! state stays a function of the events applied (replication.md 3.3, trap F8). The winner is chosen at read.

use smallvec::{SmallVec, smallvec};

use super::counter::{Chain, ChainId};
use crate::causality::{Context, Dot, Hlc};
use crate::time::WallMs;

/// Bytes of a value.
pub type Value = Box<[u8]>;

/// When a version stops being visible: milliseconds since the Unix epoch, or never.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Deadline(pub u64);

impl Deadline {
    /// No deadline: later than every time.
    pub const NEVER: Self = Self(u64::MAX);

    /// Whether it has passed.
    #[must_use]
    pub const fn has_passed(self, now: WallMs) -> bool {
        now.0 >= self.0 && self.0 != u64::MAX
    }

    /// The value of a deadline register's version.
    #[must_use]
    pub fn to_value(self) -> Value {
        Box::new(self.0.to_be_bytes())
    }

    /// Reads [`Self::to_value`]. Anything else, which only a faulty peer can send, hides nothing.
    #[must_use]
    pub fn from_value(value: &[u8]) -> Self {
        value
            .try_into()
            .map_or(Self::NEVER, |bytes| Self(u64::from_be_bytes(bytes)))
    }
}

/// One written value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// The Put that wrote it.
    pub dot: Dot,
    /// Its stamp: decides among siblings only.
    pub hlc: Hlc,
    /// The deadline its writer saw on the key.
    pub deadline: Deadline,
    /// The bytes; empty for a set member.
    pub value: Value,
}

/// A version as it is read, wherever its bytes lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VersionRef<'a> {
    /// The Put that wrote it.
    pub dot: Dot,
    /// Its stamp.
    pub hlc: Hlc,
    /// The deadline its writer saw on the key.
    pub deadline: Deadline,
    /// The bytes.
    pub value: &'a [u8],
}

impl<'a> From<&'a Version> for VersionRef<'a> {
    fn from(version: &'a Version) -> Self {
        Self {
            dot: version.dot,
            hlc: version.hlc,
            deadline: version.deadline,
            value: &version.value,
        }
    }
}

impl VersionRef<'_> {
    /// A copy.
    #[must_use]
    pub fn to_version(self) -> Version {
        Version {
            dot: self.dot,
            hlc: self.hlc,
            deadline: self.deadline,
            value: self.value.into(),
        }
    }
}

/// The live versions of a cell; nearly always one.
pub type Versions = SmallVec<[Version; 1]>;

/// A cell's state. As large as one version, which is what nearly every cell of a large store holds.
#[derive(Clone, Debug)]
pub struct Cell(State);

/// Invariant: `Rest` is neither what `One` can say nor empty.
#[derive(Clone, Debug)]
enum State {
    /// One version and nothing else.
    One(Version),
    /// Everything else; nothing at all without a box.
    Rest(Option<Box<Rest>>),
}

const _: () = assert!(
    size_of::<Cell>() == size_of::<Version>(),
    "a cell's form hides in a pointer that is never null"
);

/// What most cells do not have.
#[derive(Clone, Default, Debug)]
struct Rest {
    versions: Versions,
    chains: Vec<Chain>,
    /// Dots of this cell known dead, not arrived yet; never in the replica's context.
    pre: Context,
}

impl Default for Cell {
    fn default() -> Self {
        Self(State::Rest(None))
    }
}

impl From<Version> for Cell {
    fn from(version: Version) -> Self {
        Self(State::One(version))
    }
}

impl Cell {
    /// The live versions, ascending by dot.
    #[must_use]
    pub fn versions(&self) -> &[Version] {
        match &self.0 {
            State::One(version) => std::slice::from_ref(version),
            State::Rest(rest) => rest.as_ref().map_or(&[], |rest| &rest.versions),
        }
    }

    fn rest(&self) -> Option<&Rest> {
        match &self.0 {
            State::One(_) => None,
            State::Rest(rest) => rest.as_deref(),
        }
    }

    /// The counter chains, ascending by id, dead ones included.
    #[must_use]
    pub fn chains(&self) -> &[Chain] {
        self.rest().map_or(&[], |rest| &rest.chains)
    }

    /// The dots of this cell known dead that have not arrived, if any.
    #[must_use]
    pub fn pre(&self) -> Option<&Context> {
        self.rest()
            .map(|rest| &rest.pre)
            .filter(|pre| !pre.is_empty())
    }

    /// Whether nothing at all is held: the cell can go.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self.0, State::Rest(None))
    }

    /// Whether a reader sees something: a version or a counter that is not fully reset.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.versions().is_empty() || self.chains().iter().any(|chain| !chain.is_dead())
    }

    /// The version that reads show: the newest by (stamp, actor) (replication.md 4.5).
    #[must_use]
    pub fn winner(&self) -> Option<&Version> {
        self.versions()
            .iter()
            .max_by_key(|version| (version.hlc, version.dot))
    }

    /// What a deadline register shows: the latest of its live versions (replication.md 5, Expiry).
    #[must_use]
    pub fn latest_deadline(&self) -> Option<Deadline> {
        let deadlines = self
            .versions()
            .iter()
            .map(|v| Deadline::from_value(&v.value));
        deadlines.max()
    }

    /// The earliest deadline that a live version or chain carries; never when none does.
    #[must_use]
    pub fn earliest_carried(&self) -> Deadline {
        let versions = self.versions().iter().map(|version| version.deadline);
        let chains = self.chains().iter().filter(|chain| !chain.is_dead());
        versions
            .chain(chains.map(|chain| chain.deadline))
            .min()
            .unwrap_or(Deadline::NEVER)
    }

    /// The greatest stamp among the live versions; zero when there is none.
    #[must_use]
    pub fn newest_hlc(&self) -> Hlc {
        self.versions()
            .iter()
            .map(|version| version.hlc)
            .max()
            .unwrap_or_default()
    }

    /// Its version, when it holds that and nothing else.
    #[must_use]
    pub const fn only(&self) -> Option<&Version> {
        match &self.0 {
            State::One(version) => Some(version),
            State::Rest(_) => None,
        }
    }

    /// Changes it in its long form, and goes back to the shortest.
    fn change<R>(&mut self, change: impl FnOnce(&mut Rest) -> R) -> R {
        let mut rest = match std::mem::take(self).0 {
            State::One(version) => Box::new(Rest {
                versions: smallvec![version],
                ..Rest::default()
            }),
            State::Rest(rest) => rest.unwrap_or_default(),
        };
        let result = change(&mut rest);
        let bare = rest.chains.is_empty() && rest.pre.is_empty();
        self.0 = if bare && rest.versions.len() <= 1 {
            let one = rest.versions.pop();
            one.map_or(State::Rest(None), State::One)
        } else {
            State::Rest(Some(rest))
        };
        result
    }

    /// Adds a version at its place.
    pub fn insert_version(&mut self, version: Version) {
        match &mut self.0 {
            State::Rest(None) => self.0 = State::One(version),
            State::One(one) if one.dot == version.dot => *one = version,
            State::One(_) | State::Rest(_) => self.change(|rest| {
                match rest.versions.binary_search_by_key(&version.dot, |v| v.dot) {
                    Ok(at) => rest.versions[at] = version,
                    Err(at) => rest.versions.insert(at, version),
                }
            }),
        }
    }

    /// Drops the version `dot`; tells whether it was there.
    pub fn remove_version(&mut self, dot: Dot) -> bool {
        let found = self.versions().binary_search_by_key(&dot, |v| v.dot);
        let Ok(at) = found else {
            return false;
        };
        self.drop_versions(|index, _| index == at);
        true
    }

    /// Keeps the versions for which `keep` holds.
    pub fn retain_versions(&mut self, mut keep: impl FnMut(&Version) -> bool) {
        self.drop_versions(|_, version| !keep(version));
    }

    fn drop_versions(&mut self, mut goes: impl FnMut(usize, &Version) -> bool) {
        match &self.0 {
            State::One(version) => {
                if goes(0, version) {
                    self.0 = State::Rest(None);
                }
            }
            State::Rest(None) => {}
            State::Rest(Some(_)) => self.change(|rest| {
                let mut index = 0;
                rest.versions.retain(|version| {
                    index += 1;
                    !goes(index - 1, version)
                });
            }),
        }
    }

    /// The chain `id`, if known.
    #[must_use]
    pub fn chain(&self, id: ChainId) -> Option<&Chain> {
        let chains = self.chains();
        chains
            .binary_search_by_key(&id, |chain| chain.id)
            .ok()
            .map(|at| &chains[at])
    }

    /// Changes the chain `id`; begins it here when it is not known.
    pub fn change_chain(&mut self, id: ChainId, change: impl FnOnce(&mut Chain)) {
        self.change(|rest| {
            let chains = &mut rest.chains;
            let at = chains
                .binary_search_by_key(&id, |chain| chain.id)
                .unwrap_or_else(|at| {
                    chains.insert(at, Chain::unknown(id));
                    at
                });
            change(&mut chains[at]);
        });
    }

    /// Keeps the chains for which `keep` holds.
    pub fn retain_chains(&mut self, keep: impl FnMut(&Chain) -> bool) {
        if !self.chains().is_empty() {
            self.change(|rest| rest.chains.retain(keep));
        }
    }

    /// Adds dots to the overlay. The caller has left out what is applied or void.
    pub fn add_pre(&mut self, dots: &Context) {
        if !dots.is_empty() {
            self.change(|rest| rest.pre.join(dots));
        }
    }

    /// Takes dots out of the overlay.
    pub fn remove_pre(&mut self, dots: &Context) {
        if self.pre().is_some() {
            self.change(|rest| rest.pre = rest.pre.difference(dots));
        }
    }

    /// Takes the whole overlay away.
    pub fn clear_pre(&mut self) {
        if self.pre().is_some() {
            self.change(|rest| rest.pre = Context::default());
        }
    }

    /// The join of two states of this cell (replication.md 2.3). Overlays are the caller's business.
    ///
    /// `knows` and `remote_knows` are the causal contexts of the two states for this cell, overlays included:
    /// what one side knows and does not hold, it has removed.
    pub fn join(
        &mut self,
        remote: &Self,
        remote_knows: impl Fn(Dot) -> bool,
        knows: impl Fn(Dot) -> bool,
    ) {
        let theirs = remote.versions();
        self.retain_versions(|mine| {
            theirs.binary_search_by_key(&mine.dot, |v| v.dot).is_ok() || !remote_knows(mine.dot)
        });
        for version in theirs {
            let held = self
                .versions()
                .binary_search_by_key(&version.dot, |v| v.dot)
                .is_ok();
            if !held && !knows(version.dot) {
                self.insert_version(version.clone());
            }
        }
        self.join_chains(remote, remote_knows, knows);
    }

    fn join_chains(
        &mut self,
        remote: &Self,
        remote_knows: impl Fn(Dot) -> bool,
        knows: impl Fn(Dot) -> bool,
    ) {
        // Absent and known means collected as dead, on either side: closed for ever (replication.md 7.3).
        self.retain_chains(|mine| remote.chain(mine.id).is_some() || !remote_knows(mine.witness()));
        for chain in remote.chains() {
            if self.chain(chain.id).is_some() || !knows(chain.witness()) {
                self.change_chain(chain.id, |mine| mine.join(chain));
            }
        }
    }
}
