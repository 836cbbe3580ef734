//! A key as a whole: what it holds as one value, and a batch that puts such a value in its place.

use super::keyspace::{Keyspace, Writes};
use super::string::{Lifetime, overwrite, text_of};
use super::view::{View, set_deadline};
use crate::partition::Write;
use crate::rdb::Object;
use crate::types::{CellId, Deadline, Field, Kind, Score, Value};

/// The fields of a collection with what their cells hold.
type Cells = Vec<(Vec<u8>, Vec<u8>)>;

/// Why a value cannot travel: its type has no form here yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NoForm;

/// What a key shows; `None` without the key.
pub(super) fn object_of(view: View<'_>) -> Result<Option<Object>, NoForm> {
    let Some(kind) = view.kind() else {
        return Ok(None);
    };
    let object = match kind {
        Kind::String | Kind::HyperLogLog => Object::String(text_of(&view).into_owned()),
        Kind::Set => {
            let members = view.cells(Kind::Set);
            Object::Set(members.map(|(member, _)| member.to_vec()).collect())
        }
        Kind::Hash => {
            let pairs = view.cells(Kind::Hash).map(|(field, cell)| {
                let content = view.content_of(cell);
                let value = content.map_or_else(Vec::new, |content| content.text().into_owned());
                (field.to_vec(), value)
            });
            Object::Hash(pairs.collect())
        }
        Kind::SortedSet => {
            let ranking = view.ranking();
            let members = ranking
                .iter()
                .map(|(member, score)| (member.to_vec(), score.number()));
            Object::SortedSet(members.collect())
        }
        Kind::List => {
            let elements = view.cells(Kind::List).map(|(_, cell)| {
                let content = view.content_of(cell);
                content.map_or_else(Vec::new, |content| content.text().into_owned())
            });
            Object::List(elements.collect())
        }
        Kind::Deadline | Kind::Stream => return Err(NoForm),
    };
    Ok(Some(object))
}

/// Puts a value in the place of all that a key held, under a new deadline or none.
pub(super) fn replace_whole(
    keys: &Keyspace<'_>,
    key: &[u8],
    object: Object,
    deadline: Deadline,
) -> Writes {
    let view = keys.view(key);
    let lifetime = if deadline == Deadline::NEVER {
        Lifetime::Unlimited
    } else {
        Lifetime::Until(deadline)
    };
    let (kind, cells): (Kind, Cells) = match object {
        Object::String(text) => return overwrite(view, key, &text, lifetime),
        Object::Set(members) => {
            let cells = members.into_iter().map(|member| (member, Vec::new()));
            (Kind::Set, cells.collect())
        }
        Object::Hash(pairs) => (Kind::Hash, pairs),
        Object::SortedSet(members) => {
            let cells = members.into_iter().map(|(member, number)| {
                let score = Score::new(number).unwrap_or(Score::ZERO);
                (member, score.to_value().into_vec())
            });
            (Kind::SortedSet, cells.collect())
        }
        Object::List(elements) => {
            let mut positions = keys.positions();
            let mut last: Option<Field> = None;
            let cells = elements.into_iter().map(|element| {
                let position = positions.behind(last.as_deref());
                let field = position.to_vec();
                last = Some(position);
                (field, element)
            });
            (Kind::List, cells.collect())
        }
    };
    let mut writes = view.removal(key);
    if deadline.has_passed(view.wall()) {
        return writes;
    }
    writes.extend(cells.into_iter().map(|(field, value)| Write::Set {
        cell: CellId::new(key, kind, &field),
        value: Value::from(value),
        deadline,
    }));
    if deadline != Deadline::NEVER {
        writes.push(set_deadline(key, deadline));
    }
    writes
}
