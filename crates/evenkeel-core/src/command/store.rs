//! `EK.STORE`: puts a whole collection in a key's place, as the last call of commands that compute one.
//!
//! One batch: first all that is seen of the key goes, then each element is written, so what other replicas write
//! meanwhile survives beside it. A kind of collection is one line of [`FORMS`].

use evenkeel_resp::Reply;

use super::keyspace::{Keyspace, Writes};
use super::list::stored;
use super::set::distinct;
use super::spec::{Flag, Group, KeySpec, Run, Spec};
use super::zset::parse_score;
use super::{Args, Outcome, count, reply, syntax_error};
use crate::partition::Write;
use crate::types::{CellId, Deadline, Kind, Value};

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[Spec::new(
    "ek.store",
    -3,
    &[Flag::Write, Flag::Denyoom, Flag::Inner],
    KeySpec::ONE,
    Run::OnKey(|keys, args| reply(store(keys, args))),
)
.in_group(Group::Evenkeel, &[])
.docs(
    "0.1.0",
    "O(N) where N is the number of elements",
    "Replace a key by a collection of these elements, or remove it when there is none",
)
.merges("Replaces what it saw; concurrent writes survive beside it.")];

/// Adds the writes of a collection's elements, as they follow on the kind's name; gives how many there are.
type Form = fn(&mut Keyspace<'_>, Elements<'_>, &mut Writes) -> Result<usize, Reply>;

/// The kinds of collections that can be stored.
const FORMS: &[(&str, Form)] = &[
    ("SET", members),
    ("HASH", pairs),
    ("ZSET", scored),
    ("LIST", stored),
];

/// What a collection is made of.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    /// The key to write to.
    pub(super) key: &'a [u8],
    /// The elements, in the kind's own form.
    pub(super) words: Args<'a>,
}

fn store(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (key, kind, words) = (args[1], args[2], &args[3..]);
    let named = |form: &&(&str, Form)| kind.eq_ignore_ascii_case(form.0.as_bytes());
    let (_, form) = FORMS.iter().find(named).ok_or_else(syntax_error)?;
    let mut writes = keys.view(key).removal(key);
    let stored = form(keys, Elements { key, words }, &mut writes)?;
    keys.commit(writes)?;
    Ok(count(stored))
}

/// `SET member…`
fn members(
    _: &mut Keyspace<'_>,
    elements: Elements<'_>,
    writes: &mut Writes,
) -> Result<usize, Reply> {
    let before = writes.len();
    writes.extend(distinct(elements.words).map(|member| Write::Set {
        cell: CellId::new(elements.key, Kind::Set, member),
        value: Value::default(),
        deadline: Deadline::NEVER,
    }));
    Ok(writes.len() - before)
}

/// `HASH field value…`, each field once.
fn pairs(
    _: &mut Keyspace<'_>,
    elements: Elements<'_>,
    writes: &mut Writes,
) -> Result<usize, Reply> {
    if !elements.words.len().is_multiple_of(2) {
        return Err(syntax_error());
    }
    let pairs = elements.words.chunks_exact(2);
    writes.extend(pairs.map(|pair| Write::Set {
        cell: CellId::new(elements.key, Kind::Hash, pair[0]),
        value: pair[1].into(),
        deadline: Deadline::NEVER,
    }));
    Ok(elements.words.len() / 2)
}

/// `ZSET score member…`, each member once.
fn scored(
    _: &mut Keyspace<'_>,
    elements: Elements<'_>,
    writes: &mut Writes,
) -> Result<usize, Reply> {
    if !elements.words.len().is_multiple_of(2) {
        return Err(syntax_error());
    }
    for pair in elements.words.chunks_exact(2) {
        writes.push(Write::Set {
            cell: CellId::new(elements.key, Kind::SortedSet, pair[1]),
            value: parse_score(pair[0])?.to_value(),
            deadline: Deadline::NEVER,
        });
    }
    Ok(elements.words.len() / 2)
}
