//! LCS: the longest common subsequence of two strings, by the table of all prefixes.

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::number::integer;
use super::spec::{Flag, Group, KeySpec, Round, Run, Spec};
use super::{Args, Outcome, count, reply, syntax_error};
use crate::limits::VALUE_BYTES_MAX;

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] =
    &[
        Spec::new("lcs", -3, &[Flag::Readonly], KeySpec::TWO, Run::Rounds(lcs))
            .in_group(Group::String, &["string"])
            .docs(
                "7.0.0",
                "O(N*M) where N and M are the lengths of s1 and s2, respectively",
                "Find longest common substring",
            ),
    ];

/// What is asked for.
#[derive(Default)]
struct Options {
    length: bool,
    ranges: bool,
    with_lengths: bool,
    length_min: usize,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Self, Reply> {
        let mut options = Self::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let is = |name: &str| arg.eq_ignore_ascii_case(name.as_bytes());
            if is("IDX") {
                options.ranges = true;
            } else if is("LEN") {
                options.length = true;
            } else if is("WITHMATCHLEN") {
                options.with_lengths = true;
            } else if is("MINMATCHLEN") {
                let min = integer(rest.next().ok_or_else(syntax_error)?)?;
                options.length_min = usize::try_from(min.max(0)).unwrap_or(usize::MAX);
            } else {
                return Err(syntax_error());
            }
        }
        if options.length && options.ranges {
            return Err(Reply::error(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

fn lcs(args: Args<'_>, answers: &[Vec<Reply>]) -> Round {
    match answers {
        [] => Round::Calls(
            args[1..3]
                .iter()
                .map(|key| vec![Bytes::from_static(b"GET"), Bytes::copy_from_slice(key)])
                .collect(),
        ),
        [read, ..] => Round::Done(reply(compare(args, read))),
    }
}

fn compare(args: Args<'_>, read: &[Reply]) -> Outcome {
    let text = |reply: &Reply| match reply {
        Reply::Bulk(text) => Ok(text.clone()),
        Reply::Error(line) if line.as_bytes().starts_with(b"WRONGTYPE") => Err(Reply::error(
            "ERR The specified keys must contain string values",
        )),
        error @ Reply::Error(_) => Err(error.clone()),
        _ => Ok(Bytes::new()),
    };
    let (a, b) = (text(&read[0])?, text(&read[1])?);
    let options = Options::parse(&args[3..])?;
    let table = Table::of(&a, &b)?;
    if options.length {
        return Ok(count(table.length()));
    }
    let walk = table.walk();
    if !options.ranges {
        return Ok(Reply::bulk(walk.common));
    }
    let range =
        |from: usize, length: usize| Reply::Array(vec![count(from), count(from + length - 1)]);
    let shown = walk
        .ranges
        .iter()
        .filter(|r| r.length >= options.length_min);
    let shown = shown.map(|found| {
        let mut parts = vec![range(found.a, found.length), range(found.b, found.length)];
        if options.with_lengths {
            parts.push(count(found.length));
        }
        Reply::Array(parts)
    });
    Ok(Reply::Map(vec![
        (Reply::bulk("matches"), Reply::Array(shown.collect())),
        (Reply::bulk("len"), count(table.length())),
    ]))
}

/// The length of the longest common subsequence of every prefix of `a` with every prefix of `b`.
struct Table<'a> {
    a: &'a [u8],
    b: &'a [u8],
    lengths: Vec<u32>,
}

/// A run that both strings share: where it begins in each, and its length.
struct Match {
    a: usize,
    b: usize,
    length: usize,
}

/// What the way back through the table finds.
struct Walk {
    common: Vec<u8>,
    /// From the last to the first.
    ranges: Vec<Match>,
}

impl<'a> Table<'a> {
    /// Refused when it would take more than a value may have.
    fn of(a: &'a [u8], b: &'a [u8]) -> Result<Self, Reply> {
        let cells = (a.len() + 1).saturating_mul(b.len() + 1);
        if cells.saturating_mul(size_of::<u32>()) > VALUE_BYTES_MAX {
            return Err(Reply::error(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ));
        }
        let mut table = Self {
            a,
            b,
            lengths: vec![0; cells],
        };
        for (i, x) in a.iter().enumerate() {
            for (j, y) in b.iter().enumerate() {
                let length = if x == y {
                    table.at(i, j) + 1
                } else {
                    table.at(i, j + 1).max(table.at(i + 1, j))
                };
                table.lengths[(i + 1) * (b.len() + 1) + j + 1] = length;
            }
        }
        Ok(table)
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.lengths[i * (self.b.len() + 1) + j]
    }

    fn length(&self) -> usize {
        usize::try_from(self.at(self.a.len(), self.b.len())).unwrap_or(usize::MAX)
    }

    /// From the ends to the beginnings; where both ways are as good, back in `b`.
    fn walk(&self) -> Walk {
        let mut walk = Walk {
            common: Vec::new(),
            ranges: Vec::new(),
        };
        let (mut i, mut j) = (self.a.len(), self.b.len());
        let mut open: Option<Match> = None;
        while i > 0 && j > 0 {
            if self.a[i - 1] == self.b[j - 1] {
                walk.common.push(self.a[i - 1]);
                (i, j) = (i - 1, j - 1);
                // Every step between two matches closes the one before.
                let length = open.map_or(0, |before| before.length) + 1;
                open = Some(Match { a: i, b: j, length });
            } else {
                walk.ranges.extend(open.take());
                if self.at(i - 1, j) > self.at(i, j - 1) {
                    i -= 1;
                } else {
                    j -= 1;
                }
            }
        }
        walk.ranges.extend(open);
        walk.common.reverse();
        walk
    }
}
