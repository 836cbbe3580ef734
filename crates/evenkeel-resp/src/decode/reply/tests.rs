//! Memory: what a half-received reply holds follows the bytes received.

use proptest::prelude::*;

use super::*;

/// Bytes held by the values of the aggregates that are not complete.
fn held(decoder: &ReplyDecoder) -> usize {
    let capacities = decoder.open.iter().map(|open| open.elements.capacity());
    capacities.sum::<usize>() * size_of::<Reply>()
}

/// The shortest element takes 3 bytes and becomes a [`Reply`], in arrays that
/// grow by doubling; each open aggregate has made a little room ahead.
fn held_max(received: usize, depth_max: usize) -> usize {
    let ahead = depth_max * ELEMENTS_RESERVED_MAX;
    (2 * received / ELEMENT_BYTES_MIN + ahead) * size_of::<Reply>()
}

#[test]
fn a_reply_value_is_small() {
    // The figure in the documentation of `ReplyLimits::reply_bytes_max`.
    assert!(2 * size_of::<Reply>() / ELEMENT_BYTES_MIN < 32);
}

proptest! {
    #[test]
    fn memory_follows_the_bytes_received(headers in proptest::collection::vec(
        ("[*%~>|$]", 0..400_000_000_usize), 0..40,
    ), nulls in 0..100_usize) {
        let lines = headers.iter().map(|(kind, count)| format!("{kind}{count}\r\n"));
        let stream = lines.collect::<String>() + &"_\r\n".repeat(nulls);
        let mut input = BytesMut::from(stream.as_str());
        let limits = ReplyLimits { reply_bytes_max: usize::MAX, ..ReplyLimits::default() };
        let mut decoder = ReplyDecoder::new(limits);
        while let Ok(Some(_)) = decoder.decode(&mut input) {}
        prop_assert!(held(&decoder) <= held_max(stream.len(), limits.depth_max));
    }
}
