//! SORT: the elements of a list, a set or a sorted set in the order of their values, or of the values of other keys.
//!
//! In rounds: read the elements, then the keys they are weighed by, then what is shown of those that are left, then
//! store. The keys named by patterns may be anywhere; each is read where it lives.

use std::cmp::Ordering;

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::number::integer;
use super::spec::{Flag, Group, KeySpec, Round, Run, Spec};
use super::{Args, count, syntax_error};
use crate::rdb::{self, Object};

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "sort",
        -2,
        &[Flag::Write, Flag::Denyoom, Flag::Movablekeys],
        KeySpec::SORT,
        Run::Rounds(sort),
    )
    .in_group(Group::Generic, &["dangerous", "list", "set", "sortedset"])
    .docs(
        "1.0.0",
        "O(N+M*log(M)) where N is the number of elements to sort, and M the number of returned elements",
        "Sort the elements in a list, set or sorted set",
    )
    .merges("Replaces of the target what it saw; concurrent writes survive beside it."),
    Spec::new(
        "sort_ro",
        -2,
        &[Flag::Readonly, Flag::Movablekeys],
        KeySpec::SORT_RO,
        Run::Rounds(sort_ro),
    )
    .in_group(Group::Generic, &["dangerous", "list", "set", "sortedset"])
    .docs(
        "7.0.0",
        "O(N+M*log(M)) where N is the number of elements to sort, and M the number of returned elements",
        "Sort the elements in a list, set or sorted set. Read-only variant of SORT.",
    ),
];

/// What is asked for.
struct Request<'a> {
    descending: bool,
    alphabetic: bool,
    offset: i64,
    limit: i64,
    by: Option<&'a [u8]>,
    gets: Vec<&'a [u8]>,
    store: Option<&'a [u8]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    ReadWrite,
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>, access: Access) -> Result<Self, Reply> {
        let mut request = Self {
            descending: false,
            alphabetic: false,
            offset: 0,
            limit: -1,
            by: None,
            gets: Vec::new(),
            store: None,
        };
        let mut rest = &args[2..];
        while let [option, tail @ ..] = rest {
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            rest = match tail {
                tail if is("ASC") => {
                    request.descending = false;
                    tail
                }
                tail if is("DESC") => {
                    request.descending = true;
                    tail
                }
                tail if is("ALPHA") => {
                    request.alphabetic = true;
                    tail
                }
                [offset, limit, tail @ ..] if is("LIMIT") => {
                    request.offset = integer(offset)?;
                    request.limit = integer(limit)?;
                    tail
                }
                [key, tail @ ..] if is("STORE") && access == Access::ReadWrite => {
                    request.store = Some(key);
                    tail
                }
                [pattern, tail @ ..] if is("BY") => {
                    request.by = Some(pattern);
                    tail
                }
                [pattern, tail @ ..] if is("GET") => {
                    request.gets.push(pattern);
                    tail
                }
                _ => return Err(syntax_error()),
            };
        }
        Ok(request)
    }

    /// Whether the order stays as it is: a pattern that names the same for every element.
    fn unsorted(&self, read: &Elements) -> bool {
        let constant = self.by.is_some_and(|pattern| !pattern.contains(&b'*'));
        // A set has no order of its own that could be stored.
        constant && !(read.set && self.store.is_some())
    }

    /// The first and the number of the elements shown, of so many.
    fn page(&self, length: usize) -> (usize, usize) {
        let first = usize::try_from(self.offset.max(0)).unwrap_or(usize::MAX);
        let first = first.min(length);
        let left = length - first;
        let shown = usize::try_from(self.limit).map_or(left, |limit| limit.min(left));
        (first, shown)
    }
}

/// What is sorted.
struct Elements {
    items: Vec<Vec<u8>>,
    set: bool,
}

impl Elements {
    /// From what `EK.DUMP` gave.
    fn of(dumped: &Reply) -> Result<Self, Reply> {
        let payload = match dumped {
            Reply::Array(parts) => match parts.first() {
                Some(Reply::Bulk(payload)) => payload,
                _ => return Err(wrong_type()),
            },
            Reply::Error(_) => return Err(dumped.clone()),
            _ => {
                return Ok(Self {
                    items: Vec::new(),
                    set: false,
                });
            }
        };
        let (items, set) = match rdb::restore(payload) {
            Ok(Object::List(items)) => (items, false),
            Ok(Object::Set(items)) => (items, true),
            Ok(Object::SortedSet(mut members)) => {
                members.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
                (
                    members.into_iter().map(|(member, _)| member).collect(),
                    false,
                )
            }
            Ok(_) | Err(_) => return Err(wrong_type()),
        };
        Ok(Self { items, set })
    }
}

fn wrong_type() -> Reply {
    Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

/// The call that reads what a pattern names for an element: `*` stands for it, `key->field` for a field of a hash.
/// `None` where the pattern names nothing.
fn read_call(pattern: &[u8], element: &[u8]) -> Option<Vec<Bytes>> {
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let behind = &pattern[star + 1..];
    let arrow = behind.array_windows().position(|pair| pair == b"->");
    let (tail, field) = match arrow {
        Some(at) if behind.len() > at + 2 => (&behind[..at], Some(&behind[at + 2..])),
        _ => (behind, None),
    };
    let key = Bytes::from([&pattern[..star], element, tail].concat());
    Some(match field {
        Some(field) => vec![
            Bytes::from_static(b"HGET"),
            key,
            Bytes::copy_from_slice(field),
        ],
        None => vec![Bytes::from_static(b"GET"), key],
    })
}

/// What a call has read; keys of another type name nothing.
fn read_text(reply: &Reply) -> Option<&[u8]> {
    match reply {
        Reply::Bulk(text) => Some(text),
        _ => None,
    }
}

/// As `strtod` reads it, whole: blanks in front are skipped, nothing at all is 0.
fn weight(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.trim_ascii_start();
    if text.is_empty() {
        return Some(0.0);
    }
    let number: f64 = text.parse().ok()?;
    let spelled = text.bytes().any(|byte| byte == b'n' || byte == b'N');
    // Out of range, unless it says infinity.
    (!number.is_nan() && (number.is_finite() || spelled)).then_some(number)
}

/// The elements in the order asked for. `read` has what they are weighed by where that is not themselves.
fn sorted<'a>(
    request: &Request<'_>,
    elements: &'a Elements,
    read: Option<&[Reply]>,
) -> Result<Vec<&'a [u8]>, Reply> {
    let items = elements.items.iter().map(|item| &item[..]);
    if request.unsorted(elements) {
        let mut items: Vec<&[u8]> = items.collect();
        if request.descending && !elements.set {
            items.reverse();
        }
        return Ok(items);
    }
    let constant = request.by.is_some_and(|pattern| !pattern.contains(&b'*'));
    let alphabetic = request.alphabetic || constant;
    let by = |at: usize, item: &'a [u8]| match read {
        Some(read) => read.get(at).and_then(read_text).map(<[u8]>::to_vec),
        None => Some(item.to_vec()),
    };
    let mut weighed = Vec::with_capacity(elements.items.len());
    for (at, item) in items.enumerate() {
        let text = by(at, item);
        let number = match &text {
            Some(text) if !alphabetic => weight(text).ok_or_else(|| {
                Reply::error("ERR One or more scores can't be converted into double")
            })?,
            _ => 0.0,
        };
        weighed.push((item, text, number));
    }
    weighed.sort_by(|a, b| {
        let order = if alphabetic {
            a.1.cmp(&b.1)
        } else {
            a.2.partial_cmp(&b.2)
                .unwrap_or(Ordering::Equal)
                .then_with(|| a.0.cmp(b.0))
        };
        if request.descending {
            order.reverse()
        } else {
            order
        }
    });
    Ok(weighed.into_iter().map(|(item, ..)| item).collect())
}

fn sort(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    step(args, answers, Access::ReadWrite).unwrap_or_else(Round::Done)
}

fn sort_ro(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    step(args, answers, Access::Read).unwrap_or_else(Round::Done)
}

fn step(args: Args<'_>, answers: &[Vec<Reply>], access: Access) -> Result<Round, Reply> {
    let request = Request::parse(args, access)?;
    let Some((dumped, mut rest)) = answers.split_first() else {
        let read = [&b"EK.DUMP"[..], args[1]].map(Bytes::copy_from_slice);
        return Ok(Round::Calls(vec![read.to_vec()]));
    };
    let elements = Elements::of(&dumped[0])?;
    let mut weights = None;
    if let Some(pattern) = request.by.filter(|pattern| pattern.contains(&b'*'))
        && !elements.items.is_empty()
    {
        let Some((read, tail)) = rest.split_first() else {
            let calls = elements.items.iter();
            return Ok(Round::Calls(
                calls.filter_map(|item| read_call(pattern, item)).collect(),
            ));
        };
        (weights, rest) = (Some(&read[..]), tail);
    }
    let order = sorted(&request, &elements, weights)?;
    let (first, shown) = request.page(order.len());
    let page = &order[first..first + shown];
    let asks = |pattern: &[u8]| pattern != b"#" && pattern.contains(&b'*');
    let mut read = &[][..];
    if !page.is_empty() && request.gets.iter().any(|pattern| asks(pattern)) {
        let Some((found, tail)) = rest.split_first() else {
            let named = page.iter().flat_map(|item| {
                let patterns = request.gets.iter().filter(|pattern| asks(pattern));
                patterns.filter_map(|pattern| read_call(pattern, item))
            });
            return Ok(Round::Calls(named.collect()));
        };
        (read, rest) = (found, tail);
    }
    let mut read = read.iter();
    let mut result: Vec<Option<&[u8]>> = Vec::new();
    for item in page {
        if request.gets.is_empty() {
            result.push(Some(item));
        }
        for pattern in &request.gets {
            result.push(match *pattern {
                b"#" => Some(item),
                pattern if asks(pattern) => read.next().and_then(read_text),
                _ => None,
            });
        }
    }
    Ok(finish(&request, &result, rest))
}

/// Shows or stores what was found; a stored list has empty strings where there was nothing.
fn finish(request: &Request<'_>, result: &[Option<&[u8]>], stored: &[Vec<Reply>]) -> Round {
    let Some(target) = request.store else {
        let shown = result
            .iter()
            .map(|text| text.map_or(Reply::Null, |text| Reply::bulk(text.to_vec())));
        return Round::Done(Reply::Array(shown.collect()));
    };
    if let Some(stored) = stored.first() {
        return Round::Done(match &stored[0] {
            error @ Reply::Error(_) => error.clone(),
            _ => count(result.len()),
        });
    }
    let head = [&b"EK.STORE"[..], target, b"LIST"];
    let elements = result.iter().map(|text| text.unwrap_or_default());
    let words = head.into_iter().chain(elements);
    Round::Calls(vec![words.map(Bytes::copy_from_slice).collect()])
}
