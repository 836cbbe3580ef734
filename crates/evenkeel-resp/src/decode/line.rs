//! Lines and the numbers on them, shared by both decoders.
//!
//! Invariant: a [`LineScan`] looks at each byte once. It remembers how far it
//! has searched, so a line that arrives byte by byte costs as much as a whole
//! one. Whether a line is too long depends on the line alone, never on how it
//! was cut into reads.

/// Why there is no line, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineFault {
    /// More bytes without an end than allowed.
    TooLong,
    /// A CR without its LF.
    LoneCr,
}

/// How far the line that starts at the caller's position has been searched.
#[derive(Debug, Default)]
pub(super) struct LineScan {
    scanned: usize,
}

impl LineScan {
    /// The length of the text before CR LF, once both are there.
    pub(super) fn crlf(
        &mut self,
        bytes: &[u8],
        text_bytes_max: usize,
    ) -> Result<Option<usize>, LineFault> {
        let Some(end) = self.find(b'\r', bytes, text_bytes_max)? else {
            return Ok(None);
        };
        match bytes.get(end + 1) {
            None => {
                self.scanned = end;
                Ok(None)
            }
            Some(b'\n') => Ok(Some(end)),
            Some(_) => Err(LineFault::LoneCr),
        }
    }

    /// The index of the LF that ends an inline request, once it is there.
    pub(super) fn lf(
        &mut self,
        bytes: &[u8],
        text_bytes_max: usize,
    ) -> Result<Option<usize>, LineFault> {
        self.find(b'\n', bytes, text_bytes_max)
    }

    fn find(
        &mut self,
        end: u8,
        bytes: &[u8],
        index_max: usize,
    ) -> Result<Option<usize>, LineFault> {
        let fresh = bytes.get(self.scanned..).unwrap_or_default();
        let index = memchr::memchr(end, fresh).map(|offset| self.scanned + offset);
        if index.unwrap_or(bytes.len()) > index_max {
            return Err(LineFault::TooLong);
        }
        self.scanned = if index.is_some() { 0 } else { bytes.len() };
        Ok(index)
    }
}

/// Digits that [`short_header`] reads: lengths below 10 GB.
const SHORT_DIGITS_MAX: usize = 10;

/// The fast way for what nearly all headers are: the marker, a few digits,
/// CR LF. Answers the number and the bytes it took; `None` sends the caller the
/// general way, which knows whether to wait or to refuse.
#[inline]
pub(super) fn short_header(bytes: &[u8], marker: u8) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte - b'0');
    match bytes {
        // One and two digits without a loop: most lengths, a third of the cost.
        [first, ones @ b'0'..=b'9', b'\r', b'\n', ..] if *first == marker => {
            Some((digit(*ones), 4))
        }
        [
            first,
            tens @ b'1'..=b'9',
            ones @ b'0'..=b'9',
            b'\r',
            b'\n',
            ..,
        ] if *first == marker => Some((digit(*tens) * 10 + digit(*ones), 5)),
        [first, digits @ ..] if *first == marker => short_number(digits),
        _ => None,
    }
}

fn short_number(bytes: &[u8]) -> Option<(usize, usize)> {
    if !matches!(bytes.first(), Some(b'1'..=b'9')) {
        return None;
    }
    let mut number = 0;
    for (index, &byte) in bytes.iter().enumerate().take(SHORT_DIGITS_MAX + 1) {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            number = number * 10 + usize::from(digit);
            continue;
        }
        let is_end = byte == b'\r' && bytes.get(index + 1) == Some(&b'\n');
        // The marker, the digits, CR LF.
        return is_end.then_some((number, 1 + index + 2));
    }
    None
}

/// A number as Redis reads it in headers: no plus, no leading zero, no `-0`,
/// nothing around it.
pub(super) fn strict_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0'] if digits.len() == text.len() => Some(0),
        [b'1'..=b'9', ..] => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_number_is_read_as_redis_reads_it() {
        for (text, number) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("01", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("1e3", None),
        ] {
            assert_eq!(strict_integer(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn the_fast_way_agrees_with_the_general_way_or_steps_aside() {
        for text in [
            "0",
            "7",
            "10",
            "4096",
            "9999999999",
            "00",
            "01",
            "",
            "-1",
            "x",
        ] {
            let general = strict_integer(text.as_bytes()).and_then(|n| usize::try_from(n).ok());
            let fast = short_header(format!("*{text}\r\n").as_bytes(), b'*');
            let expected = general.filter(|_| text.len() <= SHORT_DIGITS_MAX);
            assert_eq!(fast, expected.map(|n| (n, text.len() + 3)), "{text:?}");
        }
        for incomplete in [
            "", "*", "*1", "*1\r", "*12", "*12\r", "*123", "*123\r", "*123\rx",
        ] {
            assert_eq!(short_header(incomplete.as_bytes(), b'*'), None);
        }
        assert_eq!(short_header(b"*1\r\n", b'$'), None);
    }

    #[test]
    fn a_line_is_searched_once_however_it_arrives() {
        let mut scan = LineScan::default();
        let text = b"abc\r\n";
        for cut in 0..text.len() {
            assert_eq!(scan.crlf(&text[..cut], 100), Ok(None));
            assert_eq!(scan.scanned, cut.min(3));
        }
        assert_eq!(scan.crlf(text, 100), Ok(Some(3)));
        assert_eq!(scan.scanned, 0);
    }

    #[test]
    fn a_line_is_too_long_by_its_own_length_and_not_by_its_arrival() {
        assert_eq!(LineScan::default().crlf(b"abc\r\n", 3), Ok(Some(3)));
        assert_eq!(LineScan::default().crlf(b"abc", 3), Ok(None));
        assert_eq!(
            LineScan::default().crlf(b"abcd", 3),
            Err(LineFault::TooLong)
        );
        assert_eq!(
            LineScan::default().crlf(b"abcd\r\n", 3),
            Err(LineFault::TooLong)
        );
    }
}
