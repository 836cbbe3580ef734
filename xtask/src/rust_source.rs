//! Rust text with what a rule must not look at blanked out.
//!
//! One job: tell code from comments, literals and unit tests, without a parser.
//! Invariants: each view has the same lines as the original, so line numbers agree; only
//! bytes inside comments or literals are replaced, each by a space.

/// The views of one Rust file.
#[derive(Debug)]
pub(crate) struct RustSource {
    /// Comments and literals blanked.
    code: String,
    /// Literals blanked, comments kept.
    prose: String,
    /// Index of the line where the unit tests begin (the number of lines if there are none).
    tests_from: usize,
}

impl RustSource {
    /// Splits `text` into its views.
    pub(crate) fn new(text: &str) -> Self {
        let (code, prose) = blank(text);
        let tests_from = find_tests(&code);
        Self {
            code,
            prose,
            tests_from,
        }
    }

    /// Code lines with their numbers, comments and literals blanked.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        numbered(&self.code)
    }

    /// As [`Self::code_lines`], up to the unit tests.
    pub(crate) fn code_lines_outside_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code_lines().take(self.tests_from)
    }

    /// Code and comment lines with their numbers, literals blanked.
    pub(crate) fn prose_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        numbered(&self.prose)
    }

    /// How many lines come before the unit tests.
    pub(crate) fn lines_outside_tests(&self) -> usize {
        self.tests_from
    }
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

/// Whether the file holds only tests: `tests.rs`, or anything below a folder `tests/`.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.split('/')
        .any(|part| part == "tests" || part == "tests.rs")
}

/// The line of `#[cfg(test)]` before `mod tests {`; unit tests come last in a file.
fn find_tests(code: &str) -> usize {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let opens_tests = |from: usize| {
        lines[from..]
            .iter()
            .find(|line| !line.is_empty() && !line.starts_with("#["))
            .is_some_and(|line| line.starts_with("mod tests {"))
    };
    lines
        .iter()
        .enumerate()
        .position(|(index, line)| line.starts_with("#[cfg(test)]") && opens_tests(index + 1))
        .unwrap_or(lines.len())
}

/// What starts at one byte of Rust text, with its length in bytes.
enum Token {
    Code(usize),
    Comment(usize),
    Literal(usize),
}

fn blank(text: &str) -> (String, String) {
    let (mut code, mut prose) = (String::new(), String::new());
    let mut rest = text;
    while !rest.is_empty() {
        let (length, keep_code, keep_prose) = match token(rest) {
            Token::Code(length) => (length, true, true),
            Token::Comment(length) => (length, false, true),
            Token::Literal(length) => (length, false, false),
        };
        let (now, later) = rest.split_at(length);
        copy(now, keep_code, &mut code);
        copy(now, keep_prose, &mut prose);
        rest = later;
    }
    (code, prose)
}

fn copy(text: &str, keep: bool, into: &mut String) {
    if keep {
        into.push_str(text);
    } else {
        into.extend(text.chars().map(|c| if c == '\n' { c } else { ' ' }));
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn token(rest: &str) -> Token {
    if rest.starts_with("//") {
        return Token::Comment(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Token::Comment(block_comment(rest));
    }
    if let Some(length) = string(rest) {
        return Token::Literal(length);
    }
    if rest.starts_with('\'')
        && let Some(length) = character(rest)
    {
        return Token::Literal(length);
    }
    // A word is taken whole, so that its last letter is never read as a literal's prefix.
    let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let one = rest.chars().next().map_or(0, char::len_utf8);
    Token::Code(word.max(one))
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let tail = &rest.as_bytes()[at..];
        if tail.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of a string literal (plain, byte, C or raw) at the start of `rest`.
fn string(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        let tail = rest.strip_prefix(prefix);
        tail.is_some_and(|tail| tail.trim_start_matches('#').starts_with('"'))
    })?;
    let tail = &rest[prefix.len()..];
    let hashes = tail.len() - tail.trim_start_matches('#').len();
    let body = prefix.len() + hashes + 1;
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        let found = rest[body..].find(&end);
        return Some(found.map_or(rest.len(), |at| body + at + end.len()));
    }
    if hashes > 0 {
        return None;
    }
    let mut escaped = false;
    for (at, c) in rest[body..].char_indices() {
        match c {
            '"' if !escaped => return Some(body + at + 1),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Some(rest.len())
}

/// The length of a character literal at the start of `rest`; `None` for a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next();
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    chars
        .next()
        .and_then(|(at, c)| (c == '\'').then_some(at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        RustSource::new(text).code
    }

    #[test]
    fn comments_and_literals_are_blanked_and_code_stays() {
        assert_eq!(code("let a = \"x\\\"y\"; // z"), "let a =       ;     ");
        assert_eq!(code("a /* b /* c */ d */ e"), "a                   e");
        assert_eq!(
            code("f(r#\"a\"b\"#, 'x', b\"q\")"),
            "f(        ,    ,     )"
        );
        assert_eq!(code("fn f<'a>(x: &'a str)"), "fn f<'a>(x: &'a str)");
        assert_eq!(code(r"m('\'', '\\', '\u{41}')"), "m(    ,     ,         )");
    }

    #[test]
    fn a_literal_over_two_lines_keeps_the_line_count() {
        assert_eq!(code("a(\"x\ny\");\nb"), "a(  \n  );\nb");
    }

    #[test]
    fn prose_keeps_comments_but_no_literals() {
        let source = RustSource::new("a(\"b\"); // c");
        assert_eq!(source.prose, "a(   ); // c");
    }

    #[test]
    fn unit_tests_begin_at_their_cfg_attribute() {
        let text = "a\n#[cfg(test)]\n#[rustfmt::skip]\nmod tests {\n}\n";
        assert_eq!(RustSource::new(text).lines_outside_tests(), 1);
        assert_eq!(
            RustSource::new("#[cfg(test)]\nuse a;\nb\n").lines_outside_tests(),
            3
        );
        let quoted = "a(\"\n#[cfg(test)]\nmod tests {\n\");\n";
        assert_eq!(RustSource::new(quoted).lines_outside_tests(), 4);
    }

    #[test]
    fn test_files_are_known_by_their_path() {
        assert!(is_test_file("crates/a/tests/it/main.rs"));
        assert!(is_test_file("crates/a/src/types/tests.rs"));
        assert!(!is_test_file("crates/a/src/latests.rs"));
    }
}
