//! Memory: the decoder's scratch follows the bytes received.

use proptest::prelude::*;

use super::*;

/// Bytes that the decoder holds besides the caller's buffer.
fn held(decoder: &RequestDecoder) -> usize {
    decoder.args.capacity() * size_of::<Span>() + decoder.unquoted.capacity()
}

/// An array grows by doubling, 8 bytes for each argument of 6 bytes or more
/// (of 2, inline), and an idle connection keeps a little.
fn held_max(received: usize) -> usize {
    const RETAINED: usize = RETAINED_ARGS_MAX * size_of::<Span>() + RETAINED_INLINE_BYTES_MAX;
    10 * received + RETAINED
}

fn run(decoder: &mut RequestDecoder, mut input: &[u8]) -> Result<usize, RequestError> {
    let mut requests = 0;
    loop {
        match decoder.decode(input)? {
            Decoded::Incomplete { .. } => return Ok(requests),
            Decoded::Request(request) => {
                requests += 1;
                input = &input[request.consumed()..];
            }
        }
    }
}

#[test]
fn declared_counts_and_lengths_hold_no_memory() {
    let generous = Limits {
        bulk_bytes_max: usize::MAX,
        args_max: usize::MAX,
        inline_bytes_max: usize::MAX,
        request_bytes_max: usize::MAX,
        trust: Trust::Authenticated,
    };
    for input in [
        "*2147483647\r\n",
        "*9223372036854775807\r\n",
        "*1000000\r\n$536870912\r\n",
        "*2147483647\r\n$1\r\na\r\n$4294000000\r\n",
    ] {
        let mut decoder = RequestDecoder::new(generous);
        assert_eq!(run(&mut decoder, input.as_bytes()), Ok(0), "{input:?}");
        assert!(held(&decoder) <= 64, "{input:?}: {}", held(&decoder));
    }
    let mut decoder = RequestDecoder::new(generous);
    let beyond = b"*1\r\n$9223372036854775807\r\n";
    assert_eq!(run(&mut decoder, beyond), Err(RequestError::TooBigRequest));
}

#[test]
fn a_large_request_leaves_little_behind() {
    let mut input = b"*100000\r\n".to_vec();
    input.extend(b"$0\r\n\r\n".repeat(100_000));
    let mut decoder = RequestDecoder::default();
    assert_eq!(run(&mut decoder, &input), Ok(1));
    let line = [b"ECHO ".as_slice(), &b"x".repeat(60_000), b"\r\n"].concat();
    assert_eq!(run(&mut decoder, &line), Ok(1));
    assert_eq!(run(&mut decoder, b"PING\r\n"), Ok(1));
    assert!(held(&decoder) <= held_max(0), "{}", held(&decoder));
}

#[test]
fn a_line_is_not_searched_again_as_its_bytes_arrive() {
    let line = [b'a'; 1000];
    let mut decoder = RequestDecoder::default();
    for received in 1..=line.len() {
        assert_eq!(run(&mut decoder, &line[..received]), Ok(0));
        assert_eq!(
            format!("{:?}", decoder.line),
            format!("LineScan {{ scanned: {received} }}")
        );
    }
}

#[test]
fn arguments_are_not_parsed_again_as_the_rest_arrives() {
    let input = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n";
    let mut decoder = RequestDecoder::default();
    let mut position = 0;
    for received in 1..input.len() {
        assert_eq!(run(&mut decoder, &input[..received]), Ok(0));
        assert!(decoder.position >= position);
        position = decoder.position;
    }
    assert_eq!(decoder.args.len(), 2);
    assert_eq!(position, input.len() - b"value\r\n".len());
}

proptest! {
    #[test]
    fn memory_follows_the_bytes_received(input in proptest::collection::vec(
        prop_oneof![
            Just(b"*".to_vec()), Just(b"$".to_vec()), Just(b"\r\n".to_vec()), Just(b"*3\r\n".to_vec()),
            Just(b"$0\r\n\r\n".to_vec()), Just(b"*2147483647\r\n".to_vec()), Just(b"a ".to_vec()),
            Just(b"\"\" ".to_vec()), Just(b"*1000000\r\n".to_vec()), Just(b"$1\r\nk\r\n".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..20),
        ], 0..100,
    )) {
        let input = input.concat();
        let mut decoder = RequestDecoder::default();
        let _ = run(&mut decoder, &input);
        prop_assert!(held(&decoder) <= held_max(input.len()));
    }
}
