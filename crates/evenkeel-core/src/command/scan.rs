//! SCAN: walks a partition's keys, page by page.

use evenkeel_resp::Reply;

use super::keyspace::Keyspace;
use super::number::integer;
use super::view::{View, type_name};
use super::{Args, glob_match, syntax_error};
use crate::partition::KeyCells;
use crate::types::Key;

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
            let value = rest.next().ok_or_else(syntax_error)?;
            if option.eq_ignore_ascii_case(b"TYPE") {
                request.filter.type_name = Some(value);
            } else {
                request.set(option, value)?;
            }
        }
        Ok(request)
    }

    /// Parses the arguments of HSCAN and its like, from the cursor on.
    pub(super) fn parse_within(cursor: u64, options: Args<'a>) -> Result<Self, Reply> {
        let mut request = Self {
            cursor,
            count: COUNT_DEFAULT,
            filter: ScanFilter::default(),
        };
        let mut rest = options.iter();
        while let Some(option) = rest.next() {
            request.set(option, rest.next().ok_or_else(syntax_error)?)?;
        }
        Ok(request)
    }

    fn set(&mut self, option: &[u8], value: &'a [u8]) -> Result<(), Reply> {
        if option.eq_ignore_ascii_case(b"COUNT") {
            self.count = usize::try_from(integer(value)?).unwrap_or(0);
            return if self.count == 0 {
                Err(syntax_error())
            } else {
                Ok(())
            };
        }
        if option.eq_ignore_ascii_case(b"MATCH") {
            self.filter.pattern = Some(value);
            return Ok(());
        }
        Err(syntax_error())
    }
}

/// Reads a cursor as C does: nothing is 0, and a negative number counts from the end.
pub(super) fn parse_cursor(text: &[u8]) -> Result<u64, Reply> {
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
    /// How many keys were looked at.
    pub looked_at: usize,
    /// The keys that passed the filter.
    pub keys: Vec<Key>,
}

impl Keyspace<'_> {
    /// The visible keys from the cursor `from` on, about `count` of them looked at.
    #[must_use]
    pub fn scan(&self, from: u64, count: usize, filter: ScanFilter<'_>) -> ScanPage {
        let (held, next) = self.replica().walk(from, count);
        let looked_at = held.len();
        let shown = held
            .into_iter()
            .filter(|(key, cells)| self.passes(key, *cells, filter));
        ScanPage {
            next,
            looked_at,
            keys: shown.map(|(key, _)| Key::from(key)).collect(),
        }
    }

    fn passes(&self, key: &[u8], cells: KeyCells<'_>, filter: ScanFilter<'_>) -> bool {
        let Some(kind) = View::of(Some(cells), self.now().wall).kind() else {
            return false;
        };
        let named = |name: &[u8]| name.eq_ignore_ascii_case(type_name(kind).as_bytes());
        filter.type_name.is_none_or(named)
            && filter
                .pattern
                .is_none_or(|pattern| glob_match(pattern, key))
    }
}
