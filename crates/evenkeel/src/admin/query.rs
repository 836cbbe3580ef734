//! The query of a URL, as bytes: a key is not always text.

use bytes::Bytes;
use percent_encoding::percent_decode;

/// The value of a parameter, decoded; `None` when it is not there.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<Bytes> {
    let pairs = query?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(found, _)| *found == name)?;
    let spaced: Vec<u8> = value
        .bytes()
        .map(|byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    Some(percent_decode(&spaced).collect::<Vec<u8>>().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_may_hold_any_byte() {
        let query = Some("a=1&key=caf%C3%A9+%2B%00&empty=&bare");
        assert_eq!(parameter(query, "key").unwrap(), &b"caf\xc3\xa9 +\0"[..]);
        assert_eq!(parameter(query, "empty").unwrap(), &b""[..]);
        assert_eq!(parameter(query, "bare").unwrap(), &b""[..]);
        assert_eq!(parameter(query, "other"), None);
        assert_eq!(parameter(None, "key"), None);
    }
}
