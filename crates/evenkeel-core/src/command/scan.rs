//! SCAN: walks a partition's keys in the order of a hash, so that a cursor is a number.
//!
//! Invariant: the order is the same in every run, whatever is added or removed meanwhile, and all keys of one hash
//! value come together; so a key that is there throughout a scan is returned.

use std::collections::BinaryHeap;

use evenkeel_resp::Reply;
use xxhash_rust::xxh3::xxh3_64;

use super::keyspace::Keyspace;
use super::number::integer;
use super::view::{View, type_name};
use super::{Args, glob_match, syntax_error};
use crate::types::Key;

/// Bits of the hash; the other 8 of a cursor are the shell's, for the partition.
const HASH_BITS: u32 = 56;
/// Keys looked at when the client does not say how many.
const COUNT_DEFAULT: usize = 10;

/// Which of the keys looked at are returned.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ScanFilter<'a> {
    /// Those whose name matches.
    pub pattern: Option<&'a [u8]>,
    /// Those that show this type, by TYPE's name in any case.
    pub type_name: Option<&'a [u8]>,
}

/// A SCAN as sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScanRequest<'a> {
    /// Where to go on.
    pub cursor: u64,
    /// How many keys to look at, about.
    pub count: usize,
    /// Which of them to return.
    pub filter: ScanFilter<'a>,
}

impl<'a> ScanRequest<'a> {
    /// Parses the arguments of SCAN.
    ///
    /// # Errors
    /// With Redis' texts.
    pub fn parse(args: Args<'a>) -> Result<Self, Reply> {
        let mut request = Self {
            cursor: parse_cursor(args[1])?,
            count: COUNT_DEFAULT,
            filter: ScanFilter::default(),
        };
        let mut rest = args[2..].iter();
        while let Some(option) = rest.next() {
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            let value = rest.next().ok_or_else(syntax_error)?;
            if is("COUNT") {
                let count = usize::try_from(integer(value)?).unwrap_or(0);
                if count == 0 {
                    return Err(syntax_error());
                }
                request.count = count;
            } else if is("MATCH") {
                request.filter.pattern = Some(value);
            } else if is("TYPE") {
                request.filter.type_name = Some(value);
            } else {
                return Err(syntax_error());
            }
        }
        Ok(request)
    }
}

/// Reads a cursor as C does: nothing is 0, and a negative number counts from the end.
fn parse_cursor(text: &[u8]) -> Result<u64, Reply> {
    if text.is_empty() {
        return Ok(0);
    }
    let text = std::str::from_utf8(text).unwrap_or_default();
    let negative = || text.parse().map(i64::cast_unsigned);
    text.parse()
        .or_else(|_| negative())
        .map_err(|_| Reply::error("ERR invalid cursor"))
}

/// A part of a scan.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ScanPage {
    /// Where to go on; `None` when the partition is done.
    pub next: Option<u64>,
    /// The keys that passed the filter.
    pub keys: Vec<Key>,
}

impl Keyspace<'_> {
    /// The visible keys from the hash `from` on, about `count` of them looked at.
    ///
    /// Looks once at the name of every key of the partition: an index would take as much memory as the names.
    #[must_use]
    pub fn scan(&self, from: u64, count: usize, filter: ScanFilter<'_>) -> ScanPage {
        let wanted = count.max(1);
        // The first `count` hashes and one more, which is where the next page begins.
        let mut first: BinaryHeap<(u64, &[u8])> = BinaryHeap::new();
        for (key, _) in self.replica().keys() {
            let place = (hash(key), key);
            if place.0 < from {
                continue;
            }
            if first.len() <= wanted {
                first.push(place);
            } else if first.peek().is_some_and(|last| place < *last) {
                first.pop();
                first.push(place);
            }
        }
        let page = first.into_sorted_vec();
        let next = (page.len() > wanted).then(|| page[wanted].0);
        let is_split = next.is_some() && next == page.first().map(|place| place.0);
        if let Some(next) = next.filter(|_| is_split) {
            // More keys of one hash value than a page has: they come together all the same.
            let keys = self.replica().keys().map(|(key, _)| key);
            let keys = keys.filter(|key| hash(key) == next);
            return ScanPage {
                next: Some(next + 1),
                keys: keys
                    .filter(|key| self.passes(key, filter))
                    .map(Key::from)
                    .collect(),
            };
        }
        let keys = page
            .into_iter()
            .filter(|place| next.is_none_or(|next| place.0 < next))
            .map(|place| place.1);
        ScanPage {
            next,
            keys: keys
                .filter(|key| self.passes(key, filter))
                .map(Key::from)
                .collect(),
        }
    }

    fn passes(&self, key: &[u8], filter: ScanFilter<'_>) -> bool {
        let Some(kind) = View::of(self.replica().key(key), self.now().wall).kind() else {
            return false;
        };
        let named = |name: &[u8]| name.eq_ignore_ascii_case(type_name(kind).as_bytes());
        filter.type_name.is_none_or(named)
            && filter
                .pattern
                .is_none_or(|pattern| glob_match(pattern, key))
    }
}

fn hash(key: &[u8]) -> u64 {
    xxh3_64(key) >> (u64::BITS - HASH_BITS)
}
