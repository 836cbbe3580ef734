//! Inline requests: a line typed by hand, cut into arguments by the quoting
//! rules of `redis-cli` and `redis.conf` (`sdssplitargs`).
//!
//! Also knows a line of HTTP when it sees one: a browser made to post to this
//! port must not have the body run as commands.

/// The line ends inside quotes, or a closing quote is not followed by a space.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unbalanced;

/// C's `isspace`, which parts arguments.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// What ends an argument outside quotes: two less than what parts them.
fn ends_bare(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The next argument of `rest`, unquoted and appended to `out`; `None` at the
/// end of the line. `rest` moves past it.
pub(super) fn next_argument(rest: &mut &[u8], out: &mut Vec<u8>) -> Option<Result<(), Unbalanced>> {
    *rest = skip_spaces(rest);
    if rest.is_empty() {
        return None;
    }
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'"' | b'\'' => {
                *rest = after;
                return Some(quoted(byte, rest, out));
            }
            _ if ends_bare(byte) => break,
            _ => {
                out.push(byte);
                *rest = after;
            }
        }
    }
    Some(Ok(()))
}

/// The rest of an argument, from inside its quotes to its end.
fn quoted(quote: u8, rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Unbalanced> {
    loop {
        let (byte, after) = match (quote, *rest) {
            (_, []) => return Err(Unbalanced),
            (_, [byte, after @ ..]) if *byte == quote => {
                *rest = after;
                return match after.first() {
                    Some(&next) if !is_space(next) => Err(Unbalanced),
                    _ => Ok(()),
                };
            }
            (b'\'', [b'\\', b'\'', after @ ..]) => (b'\'', after),
            (b'"', [b'\\', b'x', high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), after)
            }
            (b'"', [b'\\', escaped, after @ ..]) => (unescape(*escaped), after),
            (_, [byte, after @ ..]) => (*byte, after),
        };
        out.push(byte);
        *rest = after;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// The value of a digit that the caller has checked.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|&&byte| is_space(byte)).count();
    text.get(spaces..).unwrap_or_default()
}

/// Whether a request line is HTTP: what Redis looks for (`post`, `host:`), and
/// any method with a version behind it.
pub(super) fn is_http<'a>(mut arguments: impl Iterator<Item = &'a [u8]>) -> bool {
    let Some(first) = arguments.next() else {
        return false;
    };
    if first.eq_ignore_ascii_case(b"post") || first.eq_ignore_ascii_case(b"host:") {
        return true;
    }
    HTTP_METHODS.contains(&first)
        && arguments
            .nth(1)
            .is_some_and(|version| version.starts_with(b"HTTP/"))
}

/// Case counts in HTTP. `GET a HTTP/1.1` is no loss: `GET` takes one argument.
const HTTP_METHODS: [&[u8]; 8] = [
    b"GET", b"HEAD", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Result<Vec<Vec<u8>>, Unbalanced> {
        let mut rest = line.as_bytes();
        let mut arguments = Vec::new();
        let mut unquoted = Vec::new();
        while let Some(found) = next_argument(&mut rest, &mut unquoted) {
            found?;
            arguments.push(std::mem::take(&mut unquoted));
        }
        Ok(arguments)
    }

    /// Expected values taken from a Redis 7.0.15 server.
    #[test]
    fn a_line_is_split_as_redis_splits_it() {
        for (line, arguments) in [
            ("", &[][..]),
            (" \t\u{b}\u{c}\r ", &[]),
            ("PING", &[&b"PING"[..]]),
            ("  SET  k\tv ", &[b"SET", b"k", b"v"]),
            (r#"ECHO """#, &[b"ECHO", b""]),
            ("ECHO '' ", &[b"ECHO", b""]),
            (r#"ECHO foo"bar baz""#, &[b"ECHO", b"foobar baz"]),
            (r#"ECHO "\x41\n\q\"""#, &[b"ECHO", b"A\nq\""]),
            (r#"ECHO "\xfF\x4""#, &[b"ECHO", b"\xffx4"]),
            (r"ECHO 'a\'b\n'", &[b"ECHO", b"a'b\\n"]),
            ("ECHO a\u{b}b", &[b"ECHO", b"a\x0bb"]),
            ("ECHO a\rb", &[b"ECHO", b"a", b"b"]),
            ("ECHO \"a\"\u{b}b", &[b"ECHO", b"a", b"b"]),
        ] {
            let expected: Vec<_> = arguments.iter().map(|part| part.to_vec()).collect();
            assert_eq!(split(line), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn open_quotes_and_text_behind_a_closing_quote_are_refused() {
        for line in [
            "\"",
            "'",
            "ECHO \"a",
            "ECHO 'a",
            "\"a\"b",
            "'a'b",
            "\"a\"\"b\"",
            "\"a\\",
            "\"a\\\"",
        ] {
            assert_eq!(split(line), Err(Unbalanced), "{line:?}");
        }
    }

    #[test]
    fn http_is_told_from_commands_that_share_its_words() {
        let is_http = |line: &str| is_http(line.split(' ').map(str::as_bytes));
        for line in [
            "POST / HTTP/1.1",
            "post x",
            "Host: localhost",
            "GET / HTTP/1.1",
            "PUT /k HTTP/1.0",
            "OPTIONS * HTTP/1.1",
        ] {
            assert!(is_http(line), "{line:?}");
        }
        for line in [
            "GET k",
            "GET / HTTP",
            "SET k HTTP/1.1",
            "PUT k",
            "POSTS",
            "HOST k",
        ] {
            assert!(!is_http(line), "{line:?}");
        }
    }
}
