//! Prints the cost of decoding and encoding in nanoseconds:
//! `cargo run --release -p evenkeel-resp --example timing`.
#![expect(clippy::print_stdout, reason = "figures are its purpose")]

use std::hint::black_box;
use std::time::Instant;

use evenkeel_resp::{Decoded, Limits, Protocol, ReplyWriter, RequestDecoder, encode_command};

const PIPELINED: usize = 16;
const ROUNDS: usize = 200_000;

fn main() {
    let mut decoder = RequestDecoder::new(Limits::authenticated());
    for value_bytes in [10, 100, 1000] {
        let value = "v".repeat(value_bytes);
        let mut input = Vec::new();
        for index in 0..PIPELINED {
            let key = format!("key:{index:018}");
            encode_command(&mut input, &["SET", &key, &value]);
        }
        let decode = best_of_five(|| decode_all(&mut decoder, &input));
        println!("decode SET, {value_bytes} B value: {decode:.1} ns");
    }
    let mut line = Vec::new();
    for _ in 0..PIPELINED {
        line.extend_from_slice(b"SET key:000000000000000001 vvvvvvvvvv\r\n");
    }
    let inline = best_of_five(|| decode_all(&mut decoder, &line));
    println!("decode inline SET: {inline:.1} ns");
    let mut out = Vec::with_capacity(4096);
    let bulk = best_of_five(|| {
        out.clear();
        let mut reply = ReplyWriter::new(&mut out, Protocol::Resp2);
        for _ in 0..PIPELINED {
            reply.bulk(black_box(&[b'v'; 100]));
        }
    });
    println!("encode bulk of 100 B: {bulk:.1} ns");
    let double = best_of_five(|| {
        out.clear();
        let mut reply = ReplyWriter::new(&mut out, Protocol::Resp3);
        for _ in 0..PIPELINED {
            reply.double(black_box(0.1));
        }
    });
    println!("encode double 0.1: {double:.1} ns");
}

/// Nanoseconds for each of the pipelined items, in the best of five runs.
fn best_of_five(mut run: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            run();
        }
        let each = begun.elapsed().as_secs_f64() * 1e9 / (ROUNDS * PIPELINED) as f64;
        best = best.min(each);
    }
    best
}

fn decode_all(decoder: &mut RequestDecoder, input: &[u8]) {
    let mut rest = black_box(input);
    while let Ok(Decoded::Request(request)) = decoder.decode(rest) {
        black_box(request.args().map(<[u8]>::len).sum::<usize>());
        rest = rest.get(request.consumed()..).unwrap_or_default();
    }
}
