//! The request decoder against what a Redis 7.0.15 server does, and against
//! itself however the stream is cut.

use bytes::BytesMut;
use evenkeel_resp::{
    Decoded, Limits, Protocol, ReplyWriter, RequestDecoder, RequestError, Trust, encode_command,
};
use proptest::prelude::*;

/// All that a stream amounts to: requests, then perhaps an error.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    requests: Vec<Vec<Vec<u8>>>,
    error: Option<RequestError>,
    /// Bytes left over, the start of a request.
    pending: usize,
}

/// Feeds a stream in the given pieces, as a server does.
fn decode<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = RequestDecoder::new(limits);
    let mut outcome = Outcome::default();
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let consumed = match decoder.decode(&buffer) {
                Ok(Decoded::Request(request)) => {
                    let args: Vec<_> = request.args().map(<[u8]>::to_vec).collect();
                    assert_eq!(args.len(), request.len());
                    assert_eq!(request.name(), args[0]);
                    for (index, arg) in args.iter().enumerate() {
                        assert_eq!(request.arg(index), Some(arg.as_slice()));
                        if let Some(range) = request.range(index) {
                            assert_eq!(&buffer[range], arg);
                        }
                    }
                    assert_eq!(request.arg(args.len()), None);
                    outcome.requests.push(args);
                    request.consumed()
                }
                Ok(Decoded::Incomplete { consumed }) => {
                    buffer.drain(..consumed);
                    break;
                }
                Err(error) => {
                    outcome.error = Some(error);
                    assert!(decoder.decode(&buffer).is_err(), "an error is final");
                    return outcome;
                }
            };
            buffer.drain(..consumed);
        }
    }
    outcome.pending = buffer.len();
    outcome
}

fn whole(input: &[u8]) -> Outcome {
    decode(Limits::authenticated(), [input])
}

/// The bytes that go out before the connection is closed.
fn answer(error: RequestError) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(reply) = error.to_reply() {
        ReplyWriter::new(&mut out, Protocol::Resp2).reply(&reply);
    }
    out
}

fn refusal(limits: Limits, input: &[u8]) -> String {
    let error = decode(limits, [input]).error;
    String::from_utf8_lossy(&error.map(answer).unwrap_or_default()).into_owned()
}

fn args(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn pipelined_requests_of_both_forms_come_out_in_order() {
    let outcome =
        whole(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nSET k \"a b\"\r\n*1\r\n$0\r\n\r\n*1\r\n$4\r\nPI");
    assert_eq!(
        outcome.requests,
        [args(&["GET", "k"]), args(&["SET", "k", "a b"]), args(&[""])]
    );
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.pending, b"*1\r\n$4\r\nPI".len());
}

#[test]
fn arguments_hold_any_bytes() {
    let outcome = whole(b"*2\r\n$4\r\n\r\n*1\r\n$2\r\n\0\xff\r\n");
    assert_eq!(outcome.requests, [vec![b"\r\n*1".to_vec(), vec![0, 255]]]);
}

#[test]
fn empty_requests_are_skipped_and_leave_nothing_buffered() {
    let outcome = whole(b"*0\r\n*-1\r\n*-5\r\n\n\r\n \t\r\nPING\n*0\r\n\r\n");
    assert_eq!(outcome.requests, [args(&["PING"])]);
    assert_eq!((outcome.error, outcome.pending), (None, 0));
}

/// Each pair was sent to a Redis 7.0.15 server.
#[test]
fn refusals_have_the_words_of_redis() {
    let longest = |first: &str| [first, &"1".repeat(65536)].concat();
    for (input, words) in [
        ("*2147483648\r\n", "invalid multibulk length"),
        ("*+1\r\n", "invalid multibulk length"),
        ("*01\r\n", "invalid multibulk length"),
        ("*\r\n", "invalid multibulk length"),
        ("*-0\r\n", "invalid multibulk length"),
        ("*1\r\n*1\r\n", "expected '$', got '*'"),
        ("*1\r\n:1\r\n", "expected '$', got ':'"),
        ("*1\r\n\r\n", "expected '$', got ' '"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$536870913\r\n", "invalid bulk length"),
        ("*1\r\n$abc\r\n", "invalid bulk length"),
        ("*1\r\n$\r\n", "invalid bulk length"),
        (&longest("*"), "too big mbulk count string"),
        (&longest("*1\r\n$"), "too big bulk count string"),
        (&longest("x"), "too big inline request"),
        ("ECHO \"a\r\n", "unbalanced quotes in request"),
        ("ECHO 'a'b\r\n", "unbalanced quotes in request"),
    ] {
        let expected = format!("-ERR Protocol error: {words}\r\n");
        assert_eq!(refusal(Limits::authenticated(), input.as_bytes()), expected);
    }
}

#[test]
fn the_byte_in_place_of_a_bulk_string_is_echoed_raw() {
    let error = whole(b"*1\r\n\xff\r\n").error.map(answer);
    let expected = b"-ERR Protocol error: expected '$', got '\xff'\r\n";
    assert_eq!(error.as_deref(), Some(expected.as_slice()));
}

#[test]
fn a_wrong_length_is_refused_before_the_request_runs() {
    for input in [
        &b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n"[..],
        b"*1\r\n$3\r\nPING\r\n",
        b"*1\rx$4\r\nPING\r\n",
        b"*1\r\n$4\r\rPING\r\n",
    ] {
        let outcome = whole(input);
        assert_eq!(outcome.error, Some(RequestError::ExpectedCrlf));
        assert_eq!(outcome.requests.len(), 0);
    }
}

#[test]
fn limits_bind_at_their_value_and_not_below() {
    let limits = Limits {
        bulk_bytes_max: 4,
        args_max: 2,
        inline_bytes_max: 16,
        request_bytes_max: 24,
        trust: Trust::Authenticated,
    };
    let error = |input: &str| decode(limits, [input.as_bytes()]).error;
    assert_eq!(error("*2\r\n$4\r\nabcd\r\n$4\r\nefgh\r\n"), None);
    assert_eq!(error("*1\r\n$5\r\n"), Some(RequestError::InvalidBulkLength));
    assert_eq!(error("*3\r\n"), Some(RequestError::InvalidMultibulkLength));
    assert_eq!(error("ab cd\r\n"), None);
    assert_eq!(
        error("a b c\r\n"),
        Some(RequestError::InvalidMultibulkLength)
    );
    assert_eq!(error("123456789012345\r\n"), None);
    assert_eq!(
        error("1234567890123456\r\n"),
        Some(RequestError::TooBigInline)
    );
    let tight = Limits {
        request_bytes_max: 23,
        ..limits
    };
    let input = b"*2\r\n$4\r\nabcd\r\n$4\r\nefgh\r\n";
    assert_eq!(
        decode(tight, [&input[..]]).error,
        Some(RequestError::TooBigRequest)
    );
}

#[test]
fn a_stranger_gets_less_and_is_told_so() {
    let limits = Limits::unauthenticated();
    for (input, words) in [
        ("*11\r\n", "unauthenticated multibulk length"),
        ("*1\r\n$16385\r\n", "unauthenticated bulk length"),
        (
            "a b c d e f g h i j k\r\n",
            "unauthenticated multibulk length",
        ),
    ] {
        let expected = format!("-ERR Protocol error: {words}\r\n");
        assert_eq!(refusal(limits, input.as_bytes()), expected);
    }
    let mut login = Vec::new();
    encode_command(
        &mut login,
        &["HELLO", "3", "AUTH", "user", &"x".repeat(16384)],
    );
    assert_eq!(decode(limits, [login.as_slice()]).requests.len(), 1);
    let mut flood = b"*10\r\n".to_vec();
    flood.extend(
        [b"$16384\r\n".as_slice(), &b"x".repeat(16384), b"\r\n"]
            .concat()
            .repeat(4),
    );
    assert_eq!(
        decode(limits, [flood.as_slice()]).error,
        Some(RequestError::TooBigRequest)
    );
}

#[test]
fn a_login_lifts_the_limits_from_the_next_request_on() {
    let mut decoder = RequestDecoder::new(Limits::unauthenticated());
    assert!(decoder.decode(b"*11\r\n").is_err());
    decoder.set_limits(Limits::authenticated());
    assert!(matches!(
        decoder.decode(b"*11\r\n"),
        Ok(Decoded::Incomplete { consumed: 0 })
    ));
}

#[test]
fn http_is_cut_off_without_an_answer_or_a_command_run() {
    for input in [
        "POST / HTTP/1.1\r\nHost: x\r\n\r\nFLUSHALL\r\n",
        "Host: localhost:6379\r\nFLUSHALL\r\n",
        "\r\nGET /?FLUSHALL HTTP/1.1\r\nFLUSHALL\r\n",
    ] {
        let outcome = whole(input.as_bytes());
        assert_eq!(outcome.error, Some(RequestError::CrossProtocol), "{input}");
        assert_eq!(outcome.requests.len(), 0);
        assert_eq!(outcome.error.map(answer), Some(Vec::new()));
    }
}

/// Pieces of the protocol, right and wrong, so that garbage gets far.
fn shreds() -> impl Strategy<Value = Vec<u8>> {
    let shred = prop_oneof![
        4 => proptest::collection::vec("[a-z \"'\\\\]{0,6}", 1..4).prop_map(|args| {
            let mut out = Vec::new();
            encode_command(&mut out, &args);
            out
        }),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"*0\r\n".to_vec()),
        1 => Just(b"*2\r\n".to_vec()),
        1 => Just(b"$3\r\nabc\r\n".to_vec()),
        1 => Just(b"$00".to_vec()),
        1 => Just(b"GET k 'v\"'\n".to_vec()),
        1 => Just(b"SET \"\\x41\" \"b c\"\r\n".to_vec()),
        1 => Just(b"*12345678901234\r\n".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(shred, 0..8).prop_map(|shreds| shreds.concat())
}

/// Small enough that random streams run into all of them.
fn small_limits() -> impl Strategy<Value = Limits> {
    let trust = prop_oneof![Just(Trust::Authenticated), Just(Trust::Unauthenticated)];
    (3..20_usize, 1..5_usize, 13..40_usize, 13..60_usize, trust).prop_map(
        |(bulk_bytes_max, args_max, inline_bytes_max, request_bytes_max, trust)| Limits {
            bulk_bytes_max,
            args_max,
            inline_bytes_max,
            request_bytes_max,
            trust,
        },
    )
}

proptest! {
    #[test]
    fn a_stream_means_the_same_however_it_is_cut(
        input in shreds(),
        limits in prop_oneof![Just(Limits::authenticated()), small_limits()],
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = decode(limits, [input.as_slice()]);
        prop_assert_eq!(&decode(limits, input.chunks(1)), &whole);
        prop_assert_eq!(&decode(limits, input.chunks(7)), &whole);
        let (head, tail) = input.split_at(cut.index(input.len() + 1));
        prop_assert_eq!(&decode(limits, [head, tail]), &whole);
    }

    #[test]
    fn what_a_client_encodes_the_server_reads(
        commands in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6), 0..6),
    ) {
        let mut input = BytesMut::new();
        for command in &commands {
            encode_command(&mut input, command);
        }
        let outcome = whole(&input);
        prop_assert_eq!(outcome, Outcome { requests: commands, ..Outcome::default() });
    }

    #[test]
    fn quoted_arguments_of_an_inline_request_hold_any_bytes(
        args in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..6),
    ) {
        let quote = |arg: &Vec<u8>| {
            let hex: Vec<_> = arg.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("\"{}\"", hex.concat())
        };
        let line: Vec<_> = args.iter().map(quote).collect();
        let outcome = whole(format!("{}\r\n", line.join(" ")).as_bytes());
        if outcome.error != Some(RequestError::CrossProtocol) {
            prop_assert_eq!(outcome.requests, vec![args]);
        }
    }

    #[test]
    fn garbage_never_panics(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        let outcome = whole(&input);
        prop_assert!(outcome.pending <= input.len());
    }
}
