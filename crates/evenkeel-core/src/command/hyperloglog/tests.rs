//! Sketches as such: against what Redis 7.0.15 counts and writes, and against damage.

use proptest::prelude::*;

use super::sketch::*;

fn sketch_of(elements: std::ops::Range<usize>) -> Sketch {
    let mut sketch = Sketch::empty();
    for n in elements {
        let (index, run) = place(format!("element:{n}").as_bytes());
        sketch.raise(index, run);
    }
    sketch
}

#[test]
fn as_many_are_counted_as_redis_counts() {
    let counted = [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 3),
        (10, 10),
        (100, 99),
        (500, 502),
        (1_000, 997),
        (2_000, 2_004),
        (5_000, 5_005),
        (20_000, 19_986),
        (60_000, 59_628),
        (150_000, 148_311),
    ];
    for (added, count) in counted {
        assert_eq!(sketch_of(0..added).count(), count, "{added}");
    }
}

#[test]
fn a_small_sketch_is_written_as_redis_writes_it() {
    let mut sketch = Sketch::empty();
    for element in [b"a", b"b", b"c"] {
        let (index, run) = place(element);
        sketch.raise(index, run);
    }
    let redis = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x60\xf3\x80\x50\xb1\x84\x4b\xfb\x80\x42\x5a";
    assert_eq!(sketch.encode(), redis);
    let runs = runs(redis).unwrap();
    let zeros: usize = runs
        .iter()
        .filter(|run| run.value == 0)
        .map(|run| run.length)
        .sum();
    assert_eq!((zeros, runs.len()), (REGISTERS - 3, 7));
}

#[test]
fn a_sketch_becomes_dense_when_sparse_would_be_too_long_or_cannot_hold_a_value() {
    assert!(runs(&sketch_of(0..1_000).encode()).is_some());
    let long = sketch_of(0..2_000).encode();
    assert_eq!((runs(&long).is_none(), long.len()), (true, 12_304));
    let mut great = Sketch::empty();
    great.raise(5, 32);
    assert!(runs(&great.encode()).is_some());
    great.raise(5, 33);
    assert!(runs(&great.encode()).is_none());
    // A sketch that was dense stays so.
    let mut merged = Sketch::empty();
    merged.merge(&Sketch::parse(&great.encode()).unwrap());
    assert!(runs(&merged.encode()).is_none());
}

#[test]
fn what_is_no_sketch_and_what_is_a_damaged_one_are_told_apart() {
    let sparse = sketch_of(0..3).encode();
    let dense = sketch_of(0..2_000).encode();
    let changed = |text: &[u8], at: usize, byte: u8| {
        let mut text = text.to_vec();
        text[at] = byte;
        text
    };
    for text in [
        b"bar".to_vec(),
        changed(&sparse, 0, b'0'),
        changed(&sparse, 4, b'x'),
        changed(&sparse, 4, 0),
        dense[..dense.len() - 1].to_vec(),
        [&dense[..], b"x"].concat(),
    ] {
        assert_eq!(Sketch::parse(&text), Err(Unreadable::NoSketch));
    }
    for text in [
        [&sparse[..], b"hello"].concat(),
        sparse[..sparse.len() - 1].to_vec(),
        changed(&sparse, 17, 0xff),
        changed(&dense, 4, 1),
    ] {
        assert_eq!(Sketch::parse(&text), Err(Unreadable::Corrupt));
    }
}

#[test]
fn the_self_test_passes() {
    assert_eq!(
        super::selftest::selftest(),
        evenkeel_resp::Reply::simple("OK")
    );
}

proptest! {
    #[test]
    fn registers_are_read_as_they_were_written(
        raised in proptest::collection::vec((0..REGISTERS, 1..=RUN_MAX), 0..2_000)
    ) {
        let mut sketch = Sketch::empty();
        for (index, run) in raised {
            sketch.raise(index, run);
        }
        let read = Sketch::parse(&sketch.encode()).unwrap();
        prop_assert_eq!(read.registers(), sketch.registers());
        let mut dense = sketch.clone();
        dense.make_dense();
        let read = Sketch::parse(&dense.encode()).unwrap();
        prop_assert_eq!(read.registers(), sketch.registers());
    }

    #[test]
    fn any_bytes_are_a_sketch_or_none_and_never_a_panic(
        form in 0..3_u8, body in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        let header = [b'H', b'Y', b'L', b'L', form, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        if let Ok(sketch) = Sketch::parse(&[&header[..], &body].concat()) {
            sketch.count();
        }
    }
}
