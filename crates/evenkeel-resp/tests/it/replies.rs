//! Replies: golden bytes in both protocols, round trips, hostile servers.

use bytes::{Bytes, BytesMut};
use evenkeel_resp::{Line, Protocol, Reply, ReplyDecoder, ReplyError, ReplyLimits, ReplyWriter};
use proptest::prelude::*;

fn encode(reply: &Reply, protocol: Protocol) -> Vec<u8> {
    let mut out = Vec::new();
    ReplyWriter::new(&mut out, protocol).reply(reply);
    out
}

/// All replies of a stream that comes in pieces, and the error that ends it.
fn decode<'a>(
    limits: ReplyLimits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Reply>, Option<ReplyError>) {
    let mut decoder = ReplyDecoder::new(limits);
    let mut replies = Vec::new();
    let mut buffer = BytesMut::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

fn decode_one(input: &[u8]) -> Result<Option<Reply>, ReplyError> {
    match decode(ReplyLimits::default(), [input]) {
        (_, Some(error)) => Err(error),
        (mut replies, None) => Ok(replies.pop()),
    }
}

fn integers(values: &[i64]) -> Vec<Reply> {
    values.iter().copied().map(Reply::Integer).collect()
}

/// A reply with its bytes in RESP2 and in RESP3.
type Golden = (Reply, &'static str, &'static str);

fn golden_aggregates() -> Vec<Golden> {
    let map = vec![
        (Reply::Integer(1), Reply::Boolean(true)),
        (Reply::bulk("k"), Reply::Null),
    ];
    let attribute = Reply::Attribute {
        attributes: vec![(Reply::simple("ttl"), Reply::Integer(90))],
        reply: Box::new(Reply::bulk("v")),
    };
    let array = vec![Reply::Array(integers(&[1])), Reply::Double(0.1)];
    vec![
        (Reply::Array(vec![]), "*0\r\n", "*0\r\n"),
        (
            Reply::Array(array),
            "*2\r\n*1\r\n:1\r\n$19\r\n0.10000000000000001\r\n",
            "*2\r\n*1\r\n:1\r\n,0.10000000000000001\r\n",
        ),
        (
            Reply::Map(map),
            "*4\r\n:1\r\n:1\r\n$1\r\nk\r\n$-1\r\n",
            "%2\r\n:1\r\n#t\r\n$1\r\nk\r\n_\r\n",
        ),
        (
            Reply::Pairs(vec![(Reply::bulk("k"), Reply::Double(1.5))]),
            "*2\r\n$1\r\nk\r\n$3\r\n1.5\r\n",
            "*1\r\n*2\r\n$1\r\nk\r\n,1.5\r\n",
        ),
        (
            Reply::Set(integers(&[0, 1])),
            "*2\r\n:0\r\n:1\r\n",
            "~2\r\n:0\r\n:1\r\n",
        ),
        (
            Reply::Push(vec![Reply::bulk("message"), Reply::Integer(1)]),
            "*2\r\n$7\r\nmessage\r\n:1\r\n",
            ">2\r\n$7\r\nmessage\r\n:1\r\n",
        ),
        (attribute, "$1\r\nv\r\n", "|1\r\n+ttl\r\n:90\r\n$1\r\nv\r\n"),
    ]
}

fn golden_scalars() -> Vec<Golden> {
    let verbatim = Reply::Verbatim {
        format: *b"txt",
        text: Bytes::from("a\nb"),
    };
    vec![
        (Reply::simple("OK"), "+OK\r\n", "+OK\r\n"),
        (Reply::error("ERR no"), "-ERR no\r\n", "-ERR no\r\n"),
        (Reply::Integer(0), ":0\r\n", ":0\r\n"),
        (Reply::Integer(-42), ":-42\r\n", ":-42\r\n"),
        (
            Reply::Integer(i64::MIN),
            ":-9223372036854775808\r\n",
            ":-9223372036854775808\r\n",
        ),
        (
            Reply::Integer(i64::MAX),
            ":9223372036854775807\r\n",
            ":9223372036854775807\r\n",
        ),
        (Reply::bulk(""), "$0\r\n\r\n", "$0\r\n\r\n"),
        (
            Reply::Decimal(13.361_389_338_970_184),
            "$20\r\n13.36138933897018433\r\n",
            ",13.36138933897018433\r\n",
        ),
        (Reply::Decimal(-0.0), "$1\r\n0\r\n", ",0\r\n"),
        (
            Reply::bulk("a\r\nb"),
            "$4\r\na\r\nb\r\n",
            "$4\r\na\r\nb\r\n",
        ),
        (Reply::Null, "$-1\r\n", "_\r\n"),
        (Reply::Double(3.25), "$4\r\n3.25\r\n", ",3.25\r\n"),
        (Reply::Double(f64::INFINITY), "$3\r\ninf\r\n", ",inf\r\n"),
        (
            Reply::Double(f64::NEG_INFINITY),
            "$4\r\n-inf\r\n",
            ",-inf\r\n",
        ),
        (Reply::Boolean(true), ":1\r\n", "#t\r\n"),
        (Reply::Boolean(false), ":0\r\n", "#f\r\n"),
        (
            Reply::BigNumber(Line::new("-12345678901234567890")),
            "$21\r\n-12345678901234567890\r\n",
            "(-12345678901234567890\r\n",
        ),
        (verbatim, "$3\r\na\nb\r\n", "=7\r\ntxt:a\nb\r\n"),
    ]
}

#[test]
fn each_kind_of_reply_has_its_bytes_in_both_protocols() {
    for (reply, resp2, resp3) in golden_scalars().into_iter().chain(golden_aggregates()) {
        let text = |protocol| String::from_utf8(encode(&reply, protocol)).unwrap();
        assert_eq!(text(Protocol::Resp2), resp2, "{reply:?}");
        assert_eq!(text(Protocol::Resp3), resp3, "{reply:?}");
        let peers = encode(&reply, Protocol::Peer);
        assert_eq!(decode_one(&peers), Ok(Some(reply)));
    }
}

#[test]
fn what_has_no_kind_of_its_own_is_still_well_formed() {
    assert_eq!(encode(&Reply::NullArray, Protocol::Resp2), b"*-1\r\n");
    assert_eq!(encode(&Reply::NullArray, Protocol::Resp3), b"_\r\n");
    assert_eq!(
        encode(&Reply::Double(f64::NAN), Protocol::Resp3),
        b",nan\r\n"
    );
    assert_eq!(
        encode(&Reply::Double(-f64::NAN), Protocol::Resp2),
        b"$3\r\nnan\r\n"
    );
}

#[test]
fn a_line_break_in_a_status_or_error_does_not_forge_a_reply() {
    let reply = Reply::error("ERR key 'a\r\n+OK\r\n' is odd");
    assert_eq!(
        encode(&reply, Protocol::Resp2),
        b"-ERR key 'a  +OK  ' is odd\r\n"
    );
    let mut out = BytesMut::new();
    let mut writer = ReplyWriter::new(&mut out, Protocol::Resp3);
    writer.error("ERR a\nb");
    writer.simple("c\rd");
    writer.big_number("1\r\n2");
    assert_eq!(out, "-ERR a b\r\n+c d\r\n(1  2\r\n");
}

#[test]
fn replies_of_either_protocol_are_understood() {
    for (input, reply) in [
        ("$-1\r\n", Reply::Null),
        ("*-1\r\n", Reply::NullArray),
        (":+7\r\n", Reply::Integer(7)),
        ("!8\r\nERR a\r\nb\r\n", Reply::error("ERR a  b")),
        (",1.5e3\r\n", Reply::Double(1500.0)),
        ("+\r\n", Reply::simple("")),
        ("%0\r\n", Reply::Map(vec![])),
        ("~0\r\n", Reply::Set(vec![])),
    ] {
        assert_eq!(decode_one(input.as_bytes()), Ok(Some(reply)), "{input:?}");
    }
}

#[test]
fn broken_replies_are_refused_by_what_is_wrong_with_them() {
    use ReplyError::{ExpectedCrlf, InvalidLength, InvalidValue, TooBigReply, UnknownKind};
    for (input, error) in [
        ("HTTP/1.1 400", UnknownKind { got: b'H' }),
        ("\r\n", UnknownKind { got: b'\r' }),
        ("$-2\r\n", InvalidLength { kind: b'$' }),
        ("$x\r\n", InvalidLength { kind: b'$' }),
        ("$?\r\n", InvalidLength { kind: b'$' }),
        ("*?\r\n", InvalidLength { kind: b'*' }),
        ("%-1\r\n", InvalidLength { kind: b'%' }),
        (":\r\n", InvalidValue { kind: b':' }),
        (":9223372036854775808\r\n", InvalidValue { kind: b':' }),
        ("#x\r\n", InvalidValue { kind: b'#' }),
        ("_x\r\n", InvalidValue { kind: b'_' }),
        (",x\r\n", InvalidValue { kind: b',' }),
        ("(1.5\r\n", InvalidValue { kind: b'(' }),
        ("(-\r\n", InvalidValue { kind: b'(' }),
        ("=3\r\nabc\r\n", InvalidValue { kind: b'=' }),
        ("=4\r\nabcd\r\n", InvalidValue { kind: b'=' }),
        ("$1\r\nabc", ExpectedCrlf),
        ("+a\rb\r\n", ExpectedCrlf),
        ("*9223372036854775807\r\n", TooBigReply),
        ("%4611686018427387904\r\n", TooBigReply),
        ("$9223372036854775807\r\n", TooBigReply),
    ] {
        assert_eq!(decode_one(input.as_bytes()), Err(error), "{input:?}");
    }
}

#[test]
fn two_hundred_thousand_nested_arrays_are_an_error_and_not_a_crash() {
    for header in ["*1\r\n", "%1\r\n", "~1\r\n", ">1\r\n", "|1\r\n", "|0\r\n"] {
        let input = header.repeat(200_000);
        assert_eq!(decode_one(input.as_bytes()), Err(ReplyError::TooDeep));
    }
}

#[test]
fn nesting_is_allowed_to_its_limit() {
    let nested = |depth| ["*1\r\n".repeat(depth), ":1\r\n".to_owned()].concat();
    let depth_max = ReplyLimits::default().depth_max;
    assert!(matches!(
        decode_one(nested(depth_max).as_bytes()),
        Ok(Some(_))
    ));
    assert_eq!(
        decode_one(nested(depth_max + 1).as_bytes()),
        Err(ReplyError::TooDeep)
    );
}

#[test]
fn a_reply_is_bounded_by_what_it_declares_and_by_what_comes() {
    let limits = ReplyLimits {
        reply_bytes_max: 30,
        line_bytes_max: 10,
        ..ReplyLimits::default()
    };
    let error = |input: &str| decode(limits, [input.as_bytes()]).1;
    assert_eq!(error(&"+0123456789\r\n".repeat(9)), None);
    assert_eq!(error("+0123456789a"), Some(ReplyError::TooBigLine));
    assert_eq!(error("$23\r\n01234567890123456789012\r\n"), None);
    assert_eq!(error("$24\r\n"), Some(ReplyError::TooBigReply));
    assert_eq!(error("*9\r\n"), Some(ReplyError::TooBigReply));
    assert_eq!(error("*3\r\n+01234567\r\n+01234567\r\n"), None);
    assert_eq!(
        error("*3\r\n+01234567\r\n+01234567\r\n+01\r\n"),
        Some(ReplyError::TooBigReply)
    );
}

fn replies() -> impl Strategy<Value = Reply> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    let leaf = prop_oneof![
        bytes().prop_map(Reply::simple),
        bytes().prop_map(Reply::error),
        any::<i64>().prop_map(Reply::Integer),
        bytes().prop_map(Reply::bulk),
        Just(Reply::Null),
        any::<f64>()
            .prop_filter("NaN is unequal to itself", |value| !value.is_nan())
            .prop_map(Reply::Double),
        any::<bool>().prop_map(Reply::Boolean),
        "-?[0-9]{1,40}".prop_map(|digits| Reply::BigNumber(Line::new(digits))),
        (any::<[u8; 3]>(), bytes()).prop_map(|(format, text)| Reply::Verbatim {
            format,
            text: text.into(),
        }),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let many = || proptest::collection::vec(inner.clone(), 0..5);
        let pairs = || proptest::collection::vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            many().prop_map(Reply::Array),
            many().prop_map(Reply::Set),
            many().prop_map(Reply::Push),
            pairs().prop_map(Reply::Map),
            (pairs(), inner.clone()).prop_map(|(attributes, reply)| Reply::Attribute {
                attributes,
                reply: Box::new(reply),
            }),
        ]
    })
}

/// Those of [`replies`], and around them what only nodes say to each other.
fn peer_replies() -> impl Strategy<Value = Reply> {
    let pairs = proptest::collection::vec((replies(), replies()), 0..4).prop_map(Reply::Pairs);
    let decimal = (-200.0..200.0).prop_map(Reply::Decimal);
    let leaf = prop_oneof![replies(), pairs, Just(Reply::NullArray), decimal];
    prop_oneof![
        leaf.clone(),
        proptest::collection::vec(leaf, 0..3).prop_map(Reply::Array)
    ]
}

proptest! {
    #[test]
    fn replies_between_nodes_survive_however_the_stream_is_cut(
        sent in proptest::collection::vec(peer_replies(), 1..4),
        size in 1..9_usize,
    ) {
        let stream: Vec<u8> = sent.iter().flat_map(|reply| encode(reply, Protocol::Peer)).collect();
        let limits = ReplyLimits::default();
        prop_assert_eq!(decode(limits, stream.chunks(size)), (sent, None));
    }

    #[test]
    fn replies_survive_resp3_however_the_stream_is_cut(
        sent in proptest::collection::vec(replies(), 1..4),
        size in 1..9_usize,
    ) {
        let stream: Vec<u8> = sent.iter().flat_map(|reply| encode(reply, Protocol::Resp3)).collect();
        let limits = ReplyLimits::default();
        prop_assert_eq!(decode(limits, [stream.as_slice()]), (sent.clone(), None));
        prop_assert_eq!(decode(limits, stream.chunks(size)), (sent, None));
    }

    #[test]
    fn one_reply_stays_one_reply_in_resp2(sent in peer_replies()) {
        let stream = encode(&sent, Protocol::Resp2);
        let (received, error) = decode(ReplyLimits::default(), [stream.as_slice()]);
        prop_assert_eq!((received.len(), error), (1, None));
        prop_assert_eq!(encode(&received[0], Protocol::Resp2), stream);
    }

    #[test]
    fn garbage_never_panics_and_ends_the_same_however_it_is_cut(
        shreds in proptest::collection::vec(prop_oneof![
            replies().prop_map(|reply| encode(&reply, Protocol::Resp3)),
            "[-+:$*_,#(=!%~>|][0-9tf]{0,3}(\r\n)?".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 0..10),
        ], 0..6),
        reply_bytes_max in prop_oneof![Just(1 << 20), 0..60_usize],
        depth_max in 0..4_usize,
    ) {
        let stream = shreds.concat();
        let limits = ReplyLimits { reply_bytes_max, line_bytes_max: 24, depth_max };
        let whole = decode(limits, [stream.as_slice()]);
        prop_assert_eq!(decode(limits, stream.chunks(1)), whole);
    }
}
