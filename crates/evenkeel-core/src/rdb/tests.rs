//! Payloads that Redis made, payloads of its older forms that Redis 7.0.15 reads as shown here, and damaged ones.

use proptest::prelude::*;

use super::crc64::crc64;
use super::*;

fn text(text: &str) -> Object {
    Object::String(text.into())
}

fn list(elements: &[&str]) -> Object {
    Object::List(
        elements
            .iter()
            .map(|element| element.as_bytes().into())
            .collect(),
    )
}

fn set(members: &[&str]) -> Object {
    Object::Set(
        members
            .iter()
            .map(|member| member.as_bytes().into())
            .collect(),
    )
}

fn hash(pairs: &[(&str, &str)]) -> Object {
    let pair = |(field, value): &(&str, &str)| (field.as_bytes().into(), value.as_bytes().into());
    Object::Hash(pairs.iter().map(pair).collect())
}

fn zset(members: &[(&str, f64)]) -> Object {
    let pair = |(member, score): &(&str, f64)| (member.as_bytes().into(), *score);
    Object::SortedSet(members.iter().map(pair).collect())
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

/// A value with a right footer.
fn sealed(value: &[u8]) -> Vec<u8> {
    let mut payload = [value, &VERSION.to_le_bytes()].concat();
    payload.extend_from_slice(&crc64(&payload).to_le_bytes());
    payload
}

/// A form: its name, a payload, and what Redis 7.0.15 shows after it has restored that.
type Sample = (&'static str, &'static str, Object);

fn samples() -> Vec<Sample> {
    [strings(), lists(), sets(), pairs()].concat()
}

fn strings() -> Vec<Sample> {
    vec![
        ("string", "00036261720a00e6be4960ee66fd17", text("bar")),
        ("8-bit integer", "00c0ff0a000c937e2485089dc5", text("-1")),
        (
            "16-bit integer",
            "00c139300a009d94ea2793fc08b9",
            text("12345"),
        ),
        (
            "32-bit integer",
            "00c26079feff0a00a1ca8470cc216d9d",
            text("-100000"),
        ),
        (
            "compressed string",
            "00c30a40c802616261e0ba010161620a0024a6e84170c0c68c",
            text(&"ab".repeat(100)),
        ),
    ]
}

fn lists() -> Vec<Sample> {
    vec![
        (
            "list of Redis 7",
            "120102c33740791f7900000009008161020501dffd02c12c02f290eefe04f240420f04f400e40b540002401f00f420044000044009e04678e03c000148ff0a00714e05edd254a1b3",
            list(&[
                "a",
                "5",
                "-3",
                "300",
                "-70000",
                "1000000",
                "10000000000",
                "4611686018427387904",
                &"x".repeat(70),
            ]),
        ),
        (
            "ziplist list of Redis 3",
            "0a4077770000002d000000090000016103f102fd02fe9c03c0b80b04f090eefe05d000ca9a3b06e000f05a2b17ffffff0a404679797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979ff0600f6a519e77cb403aa",
            list(&[
                "a",
                "0",
                "12",
                "-100",
                "3000",
                "-70000",
                "1000000000",
                "-1000000000000",
                &"y".repeat(70),
            ]),
        ),
        (
            "list of Redis 4",
            "0e024077770000002d000000090000016103f102fd02fe9c03c0b80b04f090eefe05d000ca9a3b06e000f05a2b17ffffff0a404679797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979797979ff10100000000a00000001000003656e64ff0800df236bc6caa30764",
            list(&[
                "a",
                "0",
                "12",
                "-100",
                "3000",
                "-70000",
                "1000000000",
                "-1000000000000",
                &"y".repeat(70),
                "end",
            ]),
        ),
        (
            "list with a node of one element",
            "120101036269670a009664b26ffb24a3dc",
            list(&["big"]),
        ),
        (
            "plain list",
            "01020161c0050600d14e1f09059a8704",
            list(&["a", "5"]),
        ),
    ]
}

fn sets() -> Vec<Sample> {
    vec![
        (
            "set of 16-bit integers",
            "0b0e0200000003000000feff010030750a0087dfb6020a9a0a41",
            set(&["-2", "1", "30000"]),
        ),
        (
            "set of 32-bit integers",
            "0b100400000002000000feffffffa08601000a0086774c204bc450c8",
            set(&["-2", "100000"]),
        ),
        (
            "set of 64-bit integers",
            "0b180800000002000000feffffffffffffff0010a5d4e80000000a00f95be35a85d62d44",
            set(&["-2", "1000000000000"]),
        ),
        ("set", "0202016101620a00fe642125eb033d0d", set(&["a", "b"])),
    ]
}

fn pairs() -> Vec<Sample> {
    vec![
        (
            "hash of Redis 7",
            "10121200000004008166020101816702817802ff0a00f2c5d73b5b9bc35a",
            hash(&[("f", "1"), ("g", "x")]),
        ),
        (
            "plain hash",
            "04020166c001016701780a00a050814763041afa",
            hash(&[("f", "1"), ("g", "x")]),
        ),
        (
            "sorted set of Redis 7",
            "111d1d0000000600816e02dffe02816d0283312e3504816f0283696e6604ff0a0084a5264e4530457e",
            zset(&[("n", -2.0), ("m", 1.5), ("o", f64::INFINITY)]),
        ),
        (
            "plain sorted set",
            "0502016f000000000000f07f016d000000000000f83f0a00a3b57bbc591c5908",
            zset(&[("o", f64::INFINITY), ("m", 1.5)]),
        ),
        (
            "hash of Redis 4",
            "0d161600000012000000040000016603f2020167030178ff09007ee6590851a0b5ba",
            hash(&[("f", "1"), ("g", "x")]),
        ),
        (
            "sorted set of Redis 4",
            "0c21210000001b000000060000016e03fefe03016d0303312e3505016f0303696e66ff0900a8166fcfffc06b2b",
            zset(&[("n", -2.0), ("m", 1.5), ("o", f64::INFINITY)]),
        ),
        (
            "sorted set with scores as text",
            "0303016d03312e35016ffe0170ff0700910d435e6d7208e9",
            zset(&[("m", 1.5), ("o", f64::INFINITY), ("p", f64::NEG_INFINITY)]),
        ),
    ]
}

#[test]
fn every_form_that_redis_writes_is_read() {
    for (name, payload, object) in samples() {
        assert_eq!(restore(&bytes(payload)), Ok(object), "{name}");
    }
}

#[test]
fn what_is_written_is_read_again_whatever_its_lengths() {
    for length in [0, 1, 63, 64, 16_383, 16_384, 70_000] {
        let long = "x".repeat(length);
        let many: Vec<String> = (0..length.min(20_000)).map(|n| n.to_string()).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        many.push(&long);
        for object in [
            text(&long),
            list(&many),
            hash(&[("f", &long), (&long, "g")]),
        ] {
            assert_eq!(restore(&dump(&object)).as_ref(), Ok(&object), "{length}");
        }
    }
    for object in [
        set(&["a", ""]),
        zset(&[("a", -0.5), ("", f64::NEG_INFINITY)]),
    ] {
        assert_eq!(restore(&dump(&object)).as_ref(), Ok(&object));
    }
}

#[test]
fn a_changed_bit_a_cut_and_a_newer_version_are_noticed() {
    for (name, payload, _) in samples() {
        let payload = bytes(payload);
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] ^= 0x10;
            assert_eq!(
                restore(&changed),
                Err(RestoreError::Footer),
                "{name}, byte {at}"
            );
            assert_eq!(
                restore(&payload[..at]),
                Err(RestoreError::Footer),
                "{name}, cut at {at}"
            );
        }
    }
    let mut newer = [&[0, 1, b'x'][..], &(VERSION + 1).to_le_bytes()].concat();
    newer.extend_from_slice(&crc64(&newer).to_le_bytes());
    assert_eq!(restore(&newer), Err(RestoreError::Footer));
}

/// With a right checksum the value itself must be held against what it says.
#[test]
fn damage_behind_a_right_checksum_makes_an_error_or_another_value_and_never_a_panic() {
    for (_, payload, _) in samples() {
        let payload = bytes(payload);
        let value = &payload[..payload.len() - FOOTER_BYTES];
        for at in 0..value.len() {
            for change in [0x01, 0x02, 0x10, 0x40, 0x80, 0xff] {
                let mut changed = value.to_vec();
                changed[at] ^= change;
                let _ = restore(&sealed(&changed));
            }
            assert!(restore(&sealed(&value[..at])).is_err());
        }
        assert!(restore(&sealed(&[value, b"x"].concat())).is_err());
    }
}

#[test]
fn lengths_that_the_input_cannot_hold_are_refused_before_room_is_made_for_them() {
    let huge = [0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    for kind in 0..=20 {
        assert!(
            restore(&sealed(&[&[kind][..], &huge].concat())).is_err(),
            "{kind}"
        );
        assert!(restore(&sealed(&[kind])).is_err(), "{kind}");
    }
    // Four packed bytes that claim to become a gigabyte.
    let claim = [0x00, 0xc3, 0x04, 0x80, 0x40, 0, 0, 0, 1, 2, 3, 4];
    assert!(restore(&sealed(&claim)).is_err());
}

#[test]
fn empty_collections_names_twice_and_scores_that_are_no_number_are_refused() {
    for value in [
        &b"\x01\x00"[..],
        b"\x02\x00",
        b"\x04\x00",
        b"\x05\x00",
        b"\x02\x02\x01a\x01a",
        b"\x04\x02\x01a\x01x\x01a\x01y",
        b"\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f",
        b"\x03\x01\x01a\xfd",
        b"\x03\x01\x01a\x03one",
        b"\x06\x00",
        b"\x0f\x00",
    ] {
        let refused = matches!(restore(&sealed(value)), Err(RestoreError::Format(_)));
        assert!(refused, "{}", value.escape_ascii());
    }
}

proptest! {
    #[test]
    fn any_bytes_under_a_right_checksum_are_a_value_or_an_error(
        kind in 0..20_u8,
        rest in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        if let Ok(object) = restore(&sealed(&[&[kind][..], &rest].concat())) {
            prop_assert_eq!(restore(&dump(&object)), Ok(object));
        }
    }
}
