//! HSCAN, SSCAN and ZSCAN: walks the elements of one key, page by page.
//!
//! A page takes one look at every element, so that no cursor can become stale; a large collection is therefore cut
//! into at most [`PAGES_MAX`] pages, however small a page the client asks for.

use evenkeel_resp::{Reply, format_double};
use xxhash_rust::xxh3::xxh3_64;

use super::hash::shown;
use super::keyspace::Keyspace;
use super::page::page;
use super::scan::{ScanRequest, parse_cursor};
use super::spec::{Flag, Group, KeySpec, Run, Spec};
use super::view::View;
use super::{Args, Outcome, glob_match, reply};
use crate::types::{Cell, Kind, Score};

/// A collection of no more elements comes in one page, as Redis does with its compact encodings.
const WHOLE_MAX: usize = 128;
/// The most pages that a collection is cut into.
const PAGES_MAX: usize = 64;

const COMPLEXITY: &str = "O(N) for every call where N is the number of elements in the collection, at most 64 calls \
    for a complete iteration unless elements are added meanwhile";

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "sscan",
        -3,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(sscan(keys, args))),
    )
    .in_group(Group::Set, &["set"])
    .docs("2.8.0", COMPLEXITY, "Incrementally iterate Set elements"),
    Spec::new(
        "hscan",
        -3,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hscan(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs(
        "2.8.0",
        COMPLEXITY,
        "Incrementally iterate hash fields and associated values",
    ),
    Spec::new(
        "zscan",
        -3,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(zscan(keys, args))),
    )
    .in_group(Group::SortedSet, &["sortedset"])
    .docs(
        "2.8.0",
        COMPLEXITY,
        "Incrementally iterate sorted sets elements and associated scores",
    ),
];

fn sscan(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    scan_elements(keys, args, Kind::Set, |_, _| None)
}

fn hscan(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    scan_elements(keys, args, Kind::Hash, |view, cell| Some(shown(view, cell)))
}

fn zscan(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    scan_elements(keys, args, Kind::SortedSet, |view, cell| {
        let score = Score::of(cell, view.judged_at())?;
        let text = format_double(score.number());
        Some(Reply::bulk(text.as_bytes().to_vec()))
    })
}

/// Answers `<command> key cursor [MATCH pattern] [COUNT count]`: each element's name, and behind it what `value` gives.
pub(super) fn scan_elements(
    keys: &mut Keyspace<'_>,
    args: Args<'_>,
    kind: Kind,
    value: fn(View<'_>, &Cell) -> Option<Reply>,
) -> Outcome {
    let cursor = parse_cursor(args[2])?;
    let view = keys.view(args[1]).expect(kind)?;
    let held = view.count(kind);
    if held == 0 {
        // Redis looks at the options only where there is something to look for.
        return Ok(answer(0, Vec::new()));
    }
    let request = ScanRequest::parse_within(cursor, &args[3..])?;
    let wanted = if held <= WHOLE_MAX {
        held
    } else {
        request.count.max(held.div_ceil(PAGES_MAX))
    };
    let fields = || view.cells(kind).map(|(field, _)| (place(field), field));
    let (mut fields, next) = page(fields, cursor, wanted);
    if kind == Kind::SortedSet && held <= WHOLE_MAX {
        rank(view, &mut fields);
    }
    let mut found = Vec::new();
    for field in fields {
        let passes = |pattern| glob_match(pattern, field);
        if request.filter.pattern.is_none_or(passes)
            && let Some(cell) = view.cell(kind, field)
        {
            found.push(Reply::bulk(field.to_vec()));
            found.extend(value(view, &cell.to_cell()));
        }
    }
    Ok(answer(next.unwrap_or(0), found))
}

/// Brings members into the order of their scores, in which Redis keeps a sorted set of this size.
fn rank(view: View<'_>, members: &mut [&[u8]]) {
    members.sort_by_cached_key(|member| {
        let cell = view.cell(Kind::SortedSet, member);
        let score = cell.and_then(|cell| Score::of(&cell.to_cell(), view.judged_at()));
        (score, *member)
    });
}

fn answer(next: u64, found: Vec<Reply>) -> Reply {
    Reply::Array(vec![Reply::bulk(next.to_string()), Reply::Array(found)])
}

/// An element's place in the order; never 0, which as a cursor means the end.
fn place(field: &[u8]) -> u64 {
    xxh3_64(field).max(1)
}
