//! Commands that draw elements at random, and what they share: how many to draw, and which.
//!
//! Cells have no numbers, so drawing walks to what was drawn: one walk for all elements of a command.

use evenkeel_resp::Reply;

use super::hash::shown;
use super::keyspace::Keyspace;
use super::number::{integer, not_an_integer, positive};
use super::random::Random;
use super::set::remove_fields;
use super::spec::{Conditional, Flag, Group, KeySpec, Run, Spec};
use super::view::View;
use super::{Args, Outcome, reply, syntax_error};
use crate::limits::DRAWN_MAX;
use crate::types::{Cell, Kind};

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "spop",
        -2,
        &[Flag::Write, Flag::Fast],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(spop(keys, args))),
    )
    .in_group(Group::Set, &["set"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of members in the set",
        "Remove and return one or multiple random members from a set",
    )
    .merges(
        "Removes what it saw. Decided at the home, so that a member is popped once; two homes under a partition \
         may pop the same one.",
    )
    .conditional(Conditional::Always),
    Spec::new(
        "srandmember",
        -2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(srandmember(keys, args))),
    )
    .in_group(Group::Set, &["set"])
    .docs(
        "1.0.0",
        "O(N) where N is the number of members in the set, plus the count asked for",
        "Get one or multiple random members from a set",
    ),
    Spec::new(
        "hrandfield",
        -2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(hrandfield(keys, args))),
    )
    .in_group(Group::Hash, &["hash"])
    .docs(
        "6.2.0",
        "O(N) where N is the number of fields in the hash, plus the count asked for",
        "Get one or multiple random fields from a hash",
    ),
];

/// How many elements to draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    /// Different ones.
    Distinct(usize),
    /// Each anew from all of them.
    Repeated(usize),
}

impl Wanted {
    /// Reads a count: below zero the same element may come again.
    pub(super) fn parse(count: &[u8]) -> Result<Self, Reply> {
        let count = integer(count)?;
        let Ok(magnitude) = usize::try_from(count.unsigned_abs()) else {
            return Err(not_an_integer());
        };
        if count == i64::MIN {
            return Err(Reply::error(format!(
                "ERR value is out of range, value must between {} and {}",
                -i64::MAX,
                i64::MAX
            )));
        }
        if count >= 0 {
            return Ok(Self::Distinct(magnitude));
        }
        if magnitude > DRAWN_MAX {
            return Err(Reply::error(format!(
                "ERR value is out of range, at most {DRAWN_MAX} elements are drawn with repetition"
            )));
        }
        Ok(Self::Repeated(magnitude))
    }

    /// The places of what is drawn among so many elements.
    pub(super) fn places(self, random: &mut Random, of: usize) -> Vec<usize> {
        match self {
            Self::Distinct(wanted) => random.distinct_below(wanted, of),
            Self::Repeated(_) if of == 0 => Vec::new(),
            Self::Repeated(wanted) => (0..wanted).map(|_| random.below(of)).collect(),
        }
    }
}

/// Draws from the visible cells of one kind.
pub(super) fn draw<'a>(
    view: View<'a>,
    kind: Kind,
    wanted: Wanted,
    random: &mut Random,
) -> Vec<(&'a [u8], &'a Cell)> {
    let places = wanted.places(random, view.count(kind));
    if places.len() == 1 {
        return view.cells(kind).nth(places[0]).into_iter().collect();
    }
    let mut ascending = places.clone();
    ascending.sort_unstable();
    ascending.dedup();
    let mut cells = view.cells(kind).enumerate();
    let at = |place: &usize| cells.find(|(at, _)| at == place).map(|(_, cell)| cell);
    let found: Vec<_> = ascending.iter().filter_map(at).collect();
    let drawn = places.iter().map(|place| {
        let at = ascending.binary_search(place);
        at.ok().and_then(|at| found.get(at).copied())
    });
    drawn.flatten().collect()
}

fn bulks<'a>(drawn: impl IntoIterator<Item = (&'a [u8], &'a Cell)>) -> Vec<Reply> {
    let elements = drawn.into_iter();
    elements
        .map(|(member, _)| Reply::bulk(member.to_vec()))
        .collect()
}

fn spop(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let wanted = match args {
        [_, _] => 1,
        [_, _, count] => positive(count)?,
        _ => return Err(syntax_error()),
    };
    let mut random = keys.random();
    let view = keys.view(args[1]).expect(Kind::Set)?;
    let drawn = draw(view, Kind::Set, Wanted::Distinct(wanted), &mut random);
    let drawn = bulks(drawn);
    let members = drawn.iter().filter_map(|member| match member {
        Reply::Bulk(bytes) => Some(&bytes[..]),
        _ => None,
    });
    let removal: Vec<&[u8]> = args[..2].iter().copied().chain(members).collect();
    remove_fields(keys, &removal, Kind::Set)?;
    if args.len() == 2 {
        return Ok(drawn.into_iter().next().unwrap_or(Reply::Null));
    }
    Ok(Reply::Set(drawn))
}

fn srandmember(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let wanted = match args {
        [_, _] => Wanted::Distinct(1),
        [_, _, count] => Wanted::parse(count)?,
        _ => return Err(syntax_error()),
    };
    let mut random = keys.random();
    let view = keys.view(args[1]).expect(Kind::Set)?;
    let drawn = bulks(draw(view, Kind::Set, wanted, &mut random));
    if args.len() == 2 {
        return Ok(drawn.into_iter().next().unwrap_or(Reply::Null));
    }
    Ok(Reply::Array(drawn))
}

fn hrandfield(keys: &mut Keyspace<'_>, args: Args<'_>) -> Outcome {
    let wanted = match args {
        [_, _] => Wanted::Distinct(1),
        [_, _, count, ..] => Wanted::parse(count)?,
        _ => return Err(syntax_error()),
    };
    let with_values = with_option(args, b"WITHVALUES")?;
    let mut random = keys.random();
    let view = keys.view(args[1]).expect(Kind::Hash)?;
    let drawn = draw(view, Kind::Hash, wanted, &mut random);
    if args.len() == 2 {
        return Ok(bulks(drawn).into_iter().next().unwrap_or(Reply::Null));
    }
    if !with_values {
        return Ok(Reply::Array(bulks(drawn)));
    }
    let pairs = drawn.into_iter();
    Ok(Reply::Pairs(
        pairs
            .map(|(field, cell)| (Reply::bulk(field.to_vec()), shown(view, cell)))
            .collect(),
    ))
}

/// Whether the option that asks for more than the names stands behind the count, which must then be half as large.
pub(super) fn with_option(args: Args<'_>, option: &[u8]) -> Result<bool, Reply> {
    match args {
        [_, _] | [_, _, _] => Ok(false),
        [_, _, count, word] if word.eq_ignore_ascii_case(option) => {
            if integer(count)?.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
                return Err(Reply::error("ERR value is out of range"));
            }
            Ok(true)
        }
        _ => Err(syntax_error()),
    }
}
