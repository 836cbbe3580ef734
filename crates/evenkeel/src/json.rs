//! Replies as JSON.

use evenkeel_resp::Reply;
use serde_json::Value;

/// A reply as JSON: maps become objects, bytes become text; what is no text is escaped.
#[must_use]
pub fn to_json(reply: &Reply) -> Value {
    match reply {
        Reply::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| (name(key), to_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
            items.iter().map(to_json).collect()
        }
        Reply::Pairs(pairs) => pairs
            .iter()
            .map(|(key, value)| Value::from(vec![to_json(key), to_json(value)]))
            .collect(),
        Reply::Integer(number) => (*number).into(),
        Reply::Double(number) | Reply::Decimal(number) => (*number).into(),
        Reply::Boolean(yes) => (*yes).into(),
        Reply::Bulk(bytes) => text(bytes).into(),
        Reply::Simple(line) | Reply::Error(line) | Reply::BigNumber(line) => {
            text(line.as_bytes()).into()
        }
        Reply::Verbatim { text: bytes, .. } => text(bytes).into(),
        Reply::Null | Reply::NullArray => Value::Null,
        Reply::Attribute { reply, .. } => to_json(reply),
    }
}

/// The name of a field. Objects have only text for that.
fn name(key: &Reply) -> String {
    match to_json(key) {
        Value::String(name) => name,
        other => other.to_string(),
    }
}

fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.escape_ascii().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_becomes_an_object_and_bytes_that_are_no_text_are_escaped() {
        let field = |name: &'static str, value| (Reply::bulk(name.as_bytes()), value);
        let reply = Reply::Map(vec![
            field("ok", Reply::Boolean(true)),
            field("none", Reply::Null),
            field("raw", Reply::bulk(&b"\xff"[..])),
            field(
                "list",
                Reply::Array(vec![Reply::bulk(&b"x"[..]), Reply::Integer(2)]),
            ),
            (Reply::Integer(7), Reply::Integer(8)),
        ]);
        let expected = serde_json::json!({
            "ok": true, "none": null, "raw": "\\xff", "list": ["x", 2], "7": 8
        });
        assert_eq!(to_json(&reply), expected);
    }
}
