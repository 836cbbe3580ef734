//! What is done at the ends: pushes and pops.

use evenkeel_resp::Reply;

use super::{Args, Cow, End, Field, Keyspace, Kind, List, Writes, put};
use crate::command::number::positive;
use crate::command::spec::wrong_arity;
use crate::command::store::Elements;
use crate::command::string::bulk;
use crate::command::{Outcome, count};
use crate::types::{Deadline, Positions};

/// Adds elements at an end, each beyond the one before. `last` is the position there.
fn pushed(
    (key, values): (&[u8], Args<'_>),
    (end, mut last): (End, Option<Field>),
    deadline: Deadline,
    mut positions: Positions,
) -> Writes {
    let push = |value: &&[u8]| {
        let position = match end {
            End::Left => positions.before(last.as_deref()),
            End::Right => positions.behind(last.as_deref()),
        };
        last = Some(position.clone());
        put(key, position, value, deadline)
    };
    values.iter().map(push).collect()
}

/// LPUSH, RPUSH.
pub(super) fn push(keys: &mut Keyspace<'_>, args: Args<'_>, end: End) -> Outcome {
    let (key, values) = (args[1], &args[2..]);
    let list = List::of(keys, key)?;
    let mut writes = list.view.ground(key, Kind::List);
    writes.extend(pushed(
        (key, values),
        (end, list.end(end).map(Field::from)),
        list.view.deadline(),
        keys.positions(),
    ));
    let length = list.length + values.len();
    keys.commit(writes)?;
    Ok(count(length))
}

/// LPUSHX, RPUSHX.
pub(super) fn push_existing(keys: &mut Keyspace<'_>, args: Args<'_>, end: End) -> Outcome {
    if List::of(keys, args[1])?.length == 0 {
        return Ok(Reply::Integer(0));
    }
    push(keys, args, end)
}

/// `EK.STORE key LIST element…`: the elements of a new list.
pub(in crate::command) fn stored(
    keys: &mut Keyspace<'_>,
    elements: Elements<'_>,
    writes: &mut Writes,
) -> Result<usize, Reply> {
    let Elements { key, words } = elements;
    let new = (End::Right, None);
    writes.extend(pushed((key, words), new, Deadline::NEVER, keys.positions()));
    Ok(words.len())
}

/// Takes so many elements from an end, the outermost first.
fn take(
    keys: &mut Keyspace<'_>,
    key: &[u8],
    (end, count): (End, usize),
) -> Result<Vec<Reply>, Reply> {
    let list = List::of(keys, key)?;
    let taken: Vec<_> = list.from(end).take(count).collect();
    let texts = taken.iter().map(|(_, cell)| bulk(list.text(cell)));
    let replies = texts.collect();
    let gone: Vec<&[u8]> = taken.iter().map(|(position, _)| *position).collect();
    if !gone.is_empty() {
        let writes = list.without(key, &gone);
        keys.commit(writes)?;
    }
    Ok(replies)
}

/// LPOP, RPOP.
pub(super) fn pop(keys: &mut Keyspace<'_>, args: Args<'_>, end: End) -> Outcome {
    let wanted = match args {
        [_, _] => None,
        [_, _, wanted] => Some(positive(wanted)?),
        _ => return Err(wrong_arity(&end.pop().to_ascii_lowercase())),
    };
    let exists = List::of(keys, args[1])?.length > 0;
    match wanted {
        None => {
            let mut taken = take(keys, args[1], (end, 1))?;
            Ok(taken.pop().unwrap_or(Reply::Null))
        }
        Some(_) if !exists => Ok(Reply::NullArray),
        Some(wanted) => take(keys, args[1], (end, wanted)).map(Reply::Array),
    }
}

/// EK.LROTATE: moves an element within one list, from one end to an end, as one batch.
pub(super) fn rotate(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (key, from, to) = (args[1], End::of(args[2])?, End::of(args[3])?);
    let list = List::of(keys, key)?;
    let Some((position, cell)) = list.from(from).next() else {
        return Ok(Reply::Null);
    };
    let value: Cow<'_, [u8]> = list.text(cell);
    let reply = bulk(Cow::Borrowed(&value));
    if from == to || list.length == 1 {
        return Ok(reply);
    }
    let mut writes = list.taken(key, &[position]);
    let place = (to, list.end(to).map(Field::from));
    writes.extend(pushed(
        (key, &[&value]),
        place,
        list.view.deadline(),
        keys.positions(),
    ));
    keys.commit(writes)?;
    Ok(reply)
}
