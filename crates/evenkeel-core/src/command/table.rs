//! The table of all commands, found by name without an allocation.

use super::spec::{Flag, Spec};

/// The families, each a part of the table.
const FAMILIES: &[&[Spec]] = &[
    super::string::COMMANDS,
    super::counter::COMMANDS,
    super::bits::COMMANDS,
    super::bitfield::COMMANDS,
    super::lcs::COMMANDS,
    super::hyperloglog::COMMANDS,
    super::set::COMMANDS,
    super::algebra::COMMANDS,
    super::draw::COMMANDS,
    super::elements::COMMANDS,
    super::hash::COMMANDS,
    super::list::COMMANDS,
    super::list::WAITING,
    super::store::COMMANDS,
    super::zset::READS,
    super::zset::WRITES,
    super::zset::COMBINED,
    super::zset::WAITING,
    super::geo::COMMANDS,
    super::generic::COMMANDS,
    super::transfer::COMMANDS,
    super::sort::COMMANDS,
    super::object::COMMANDS,
    super::memory::COMMANDS,
    super::refused::COMMANDS,
    super::saving::COMMANDS,
    super::expire::COMMANDS,
    super::operator::COMMANDS,
    super::pubsub::COMMANDS,
    super::transaction::COMMANDS,
    super::shell::COMMANDS,
];
/// Places of the index. A power of two, at least twice the commands, so that probes stay short.
pub const PLACES: usize = 1024;
const EMPTY: u16 = u16::MAX;
/// Where each command is: family times 256 plus position, at the hash of its name or the next free place.
static INDEX: [u16; PLACES] = index();

/// A command's number in this build: for tables beside this one. Below [`PLACES`], with gaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CommandId(usize);

impl CommandId {
    /// The number itself.
    #[must_use]
    pub const fn number(self) -> usize {
        self.0
    }

    /// Its command.
    #[must_use]
    pub fn spec(self) -> &'static Spec {
        let [family, position] = INDEX[self.0].to_be_bytes();
        &FAMILIES[usize::from(family)][usize::from(position)]
    }
}

/// The command of that name, in any case.
#[must_use]
pub fn lookup(name: &[u8]) -> Option<&'static Spec> {
    lookup_id(name).map(CommandId::spec)
}

/// The number of the command of that name, in any case.
#[must_use]
pub fn lookup_id(name: &[u8]) -> Option<CommandId> {
    let mut place = hash(name);
    while INDEX[place] != EMPTY {
        let id = CommandId(place);
        if id.spec().name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(id);
        }
        place = (place + 1) % PLACES;
    }
    None
}

/// The numbers of every command.
pub fn ids() -> impl Iterator<Item = CommandId> {
    (0..PLACES)
        .filter(|place| INDEX[*place] != EMPTY)
        .map(CommandId)
}

/// Every command that clients may send.
pub fn listed() -> impl Iterator<Item = &'static Spec> {
    all().filter(|spec| !spec.is(Flag::Inner))
}

/// Every command, those that are only parts of others included.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    FAMILIES.iter().copied().flatten()
}

/// FNV-1a over the name in lower case, folded to a place.
const fn hash(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at].to_ascii_lowercase() as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ (hash >> 16)) as usize % PLACES
}

const fn index() -> [u16; PLACES] {
    let mut index = [EMPTY; PLACES];
    let mut entry = 0;
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut position = 0;
        assert!(
            FAMILIES[family].len() < 256,
            "a position must fit eight bits"
        );
        while position < FAMILIES[family].len() {
            let mut place = hash(FAMILIES[family][position].name.as_bytes());
            while index[place] != EMPTY {
                place = (place + 1) % PLACES;
            }
            index[place] = entry;
            entry += 1;
            position += 1;
        }
        family += 1;
        entry = (entry & 0xff00) + 0x100;
    }
    index
}
