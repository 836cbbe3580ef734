//! Patterns of KEYS, SCAN and their like, as Redis matches them.
//!
//! `*`, `?`, `[a-z]`, `[^a]` and `\` work on bytes. Invariant: the time is at most the product of both lengths,
//! whatever the pattern: only the last `*` is ever tried again.

/// Whether `text` as a whole matches `pattern`.
#[must_use]
pub fn glob_match(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        // Redis lets no other pattern match it, `**` neither.
        return matches!(pattern, b"" | b"*");
    }
    let (mut pattern, mut text) = (pattern, text);
    // Where to go on when what follows the last star does not match: one byte later.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match pattern.split_first() {
            Some((b'*', behind)) => {
                if behind.is_empty() {
                    return true;
                }
                pattern = behind;
                retry = Some((behind, text));
                continue;
            }
            None if text.is_empty() => return true,
            Some(_) => {
                if let Some((byte, rest)) = text.split_first()
                    && let Some(behind) = match_one(pattern, *byte)
                {
                    (pattern, text) = (behind, rest);
                    continue;
                }
            }
            None => {}
        }
        match retry {
            Some((behind, [_, rest @ ..])) => {
                (pattern, text) = (behind, rest);
                retry = Some((behind, rest));
            }
            _ => return false,
        }
    }
}

/// Matches one byte against the first element of a pattern that is not empty; gives what follows the element.
fn match_one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', behind @ ..] => Some(behind),
        [b'[', class @ ..] => match_class(class, byte),
        [b'\\', literal, behind @ ..] | [literal, behind @ ..] => {
            (*literal == byte).then_some(behind)
        }
        [] => None,
    }
}

/// Matches one byte against a class, whose `[` is gone. A class without end ends with the pattern.
fn match_class(class: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut class) = match class {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        class = match class {
            [b'\\', literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
            [b']', rest @ ..] => {
                class = rest;
                break;
            }
            [] => break,
            [from, b'-', to, rest @ ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                rest
            }
            [literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
        };
    }
    (found != negated).then_some(class)
}

#[cfg(test)]
mod tests;
