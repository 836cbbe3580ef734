//! What is done anywhere in a list: looking, setting, inserting, removing.

use evenkeel_resp::Reply;

use super::{Args, CellId, End, Field, Keyspace, Kind, List, Write, Writes, put};
use crate::command::number::integer;
use crate::command::string::bulk;
use crate::command::{Outcome, count, ok, syntax_error};
use crate::types::Range;

/// A side of LTRIM is one range delete from so many elements on.
const CLEAR_ELEMENTS_MIN: usize = 256;
/// And when what goes is at least this part of the list: a range delete looks at the whole key.
const CLEAR_PART_MIN: usize = 4;

pub(super) fn len(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    Ok(count(List::of(keys, args[1])?.length))
}

pub(super) fn range(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (start, stop) = (integer(args[2])?, integer(args[3])?);
    let list = List::of(keys, args[1])?;
    let (start, count) = list.span(start, stop);
    let elements = list.slice(start, count).into_iter();
    Ok(Reply::Array(
        elements.map(|(_, cell)| bulk(list.text(cell))).collect(),
    ))
}

pub(super) fn index(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let list = List::of(keys, args[1])?;
    if list.length == 0 {
        return Ok(Reply::Null);
    }
    let place = list.place(integer(args[2])?);
    let element = place.and_then(|place| list.at(place));
    Ok(element.map_or(Reply::Null, |(_, cell)| bulk(list.text(cell))))
}

pub(super) fn set(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let key = args[1];
    let list = List::of(keys, key)?;
    if list.length == 0 {
        return Err(Reply::error("ERR no such key"));
    }
    let place = list.place(integer(args[2])?);
    let Some((position, _)) = place.and_then(|place| list.at(place)) else {
        return Err(Reply::error("ERR index out of range"));
    };
    let mut writes = list.view.ground(key, Kind::List);
    writes.push(put(key, position.into(), args[3], list.view.deadline()));
    keys.commit(writes)?;
    Ok(ok())
}

pub(super) fn insert(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (key, pivot) = (args[1], args[3]);
    let behind = if args[2].eq_ignore_ascii_case(b"AFTER") {
        true
    } else if args[2].eq_ignore_ascii_case(b"BEFORE") {
        false
    } else {
        return Err(syntax_error());
    };
    let list = List::of(keys, key)?;
    if list.length == 0 {
        return Ok(Reply::Integer(0));
    }
    let mut elements = list.elements();
    let mut left = None;
    let found = elements.find(|(position, cell)| {
        let is_pivot = *list.text(cell) == *pivot;
        if !is_pivot {
            left = Some(*position);
        }
        is_pivot
    });
    let Some((pivot, _)) = found else {
        return Ok(Reply::Integer(-1));
    };
    let right = elements.next().map(|(position, _)| position);
    drop(elements);
    let mut positions = keys.positions();
    let position: Field = if behind {
        positions.between(Some(pivot), right)
    } else {
        positions.between(left, Some(pivot))
    };
    let mut writes = list.view.ground(key, Kind::List);
    writes.push(put(key, position, args[4], list.view.deadline()));
    let length = list.length + 1;
    keys.commit(writes)?;
    Ok(count(length))
}

pub(super) fn remove(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (key, value) = (args[1], args[3]);
    let wanted = integer(args[2])?;
    let most = match wanted {
        0 => usize::MAX,
        _ => usize::try_from(wanted.unsigned_abs()).unwrap_or(usize::MAX),
    };
    let end = if wanted < 0 { End::Right } else { End::Left };
    let list = List::of(keys, key)?;
    let gone = list
        .from(end)
        .filter(|(_, cell)| *list.text(cell) == *value);
    let gone: Vec<&[u8]> = gone.map(|(position, _)| position).take(most).collect();
    let removed = gone.len();
    if removed > 0 {
        let writes = list.without(key, &gone);
        keys.commit(writes)?;
    }
    Ok(count(removed))
}

pub(super) fn trim(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let (start, stop) = (integer(args[2])?, integer(args[3])?);
    let key = args[1];
    let list = List::of(keys, key)?;
    let (start, kept) = list.span(start, stop);
    let gone = list.length - kept;
    if gone == 0 {
        return Ok(ok());
    }
    let (Some((first, _)), Some((last, _))) = (
        list.at(start).filter(|_| kept > 0),
        list.at((start + kept).saturating_sub(1)),
    ) else {
        let writes = list.view.removal(key);
        keys.commit(writes)?;
        return Ok(ok());
    };
    let mut writes = list.view.ground(key, Kind::List);
    let sides = [
        (start, End::Left, (Field::default(), Some(first.into()))),
        (
            gone - start,
            End::Right,
            ([last, &[0]].concat().into(), None),
        ),
    ];
    for (count, end, (from, to)) in sides {
        let range = Range::Fields {
            key: key.into(),
            kind: Kind::List,
            from,
            to,
        };
        trim_side(list, (key, end, count), range, &mut writes);
    }
    list.view.hold_deadline(key, &mut writes);
    keys.commit(writes)?;
    Ok(ok())
}

/// Takes so many elements at an end away: one by one, or as the range they fill.
fn trim_side(
    list: List<'_>,
    (key, end, count): (&[u8], End, usize),
    range: Range,
    writes: &mut Writes,
) {
    if count >= CLEAR_ELEMENTS_MIN && count >= list.length / CLEAR_PART_MIN {
        writes.push(Write::Clear { range });
        return;
    }
    let gone = list.from(end).take(count);
    writes.extend(gone.map(|(position, _)| Write::Remove {
        cell: CellId::new(key, Kind::List, position),
    }));
}

/// The options of LPOS.
struct Search {
    end: End,
    /// Matches passed over.
    skipped: usize,
    /// How many places are wanted; `None`: one, not as an array.
    count: Option<usize>,
    compared_max: usize,
}

impl Search {
    fn parse(mut options: Args<'_>) -> Result<Self, Reply> {
        let mut search = Self {
            end: End::Left,
            skipped: 0,
            count: None,
            compared_max: usize::MAX,
        };
        while let [option, rest @ ..] = options {
            let [value, rest @ ..] = rest else {
                return Err(syntax_error());
            };
            if option.eq_ignore_ascii_case(b"RANK") {
                search.rank(integer(value)?)?;
            } else if option.eq_ignore_ascii_case(b"COUNT") {
                search.count = Some(all_or(value, "ERR COUNT can't be negative")?);
            } else if option.eq_ignore_ascii_case(b"MAXLEN") {
                search.compared_max = all_or(value, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(syntax_error());
            }
            options = rest;
        }
        Ok(search)
    }

    fn rank(&mut self, rank: i64) -> Result<(), Reply> {
        if rank == 0 {
            return Err(Reply::error(
                "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
            ));
        }
        self.end = if rank < 0 { End::Right } else { End::Left };
        self.skipped = usize::try_from(rank.unsigned_abs() - 1).unwrap_or(usize::MAX);
        Ok(())
    }
}

/// A number, 0 for no limit.
fn all_or(value: &[u8], refusal: &str) -> Result<usize, Reply> {
    let number = integer(value)
        .ok()
        .and_then(|number| usize::try_from(number).ok());
    match number {
        Some(0) => Ok(usize::MAX),
        Some(number) => Ok(number),
        None => Err(Reply::error(refusal.to_owned())),
    }
}

pub(super) fn places(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let search = Search::parse(&args[3..])?;
    let list = List::of(keys, args[1])?;
    let mut found = list
        .from(search.end)
        .take(search.compared_max)
        .enumerate()
        .filter(|(_, (_, cell))| *list.text(cell) == *args[2])
        .skip(search.skipped)
        .map(|(at, _)| match search.end {
            End::Left => count(at),
            End::Right => count(list.length - 1 - at),
        });
    Ok(match search.count {
        Some(wanted) => Reply::Array(found.take(wanted).collect()),
        None => found.next().unwrap_or(Reply::Null),
    })
}
