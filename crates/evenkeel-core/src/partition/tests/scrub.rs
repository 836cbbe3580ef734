//! Damage is found, located by comparing with the members, and repaired by what they hold.

use super::net::{Net, incr, sadd, set};
use crate::observation::Observation;
use crate::partition::{BUCKETS, Partition, Unsettled, Write};
use crate::types::{CellId, Deadline, Kind};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

fn hset(key: &str, field: &str, value: &str) -> Write {
    Write::Set {
        cell: CellId::new(key.as_bytes(), Kind::Hash, field.as_bytes()),
        value: value.as_bytes().into(),
        deadline: Deadline::NEVER,
    }
}

/// Three members that hold the same: strings, sets, hashes and counters.
fn filled() -> Net {
    let mut net = Net::new(3);
    for n in 0..40 {
        net.write(n % 3, set(&format!("string:{n}"), "value"));
        net.write(
            n % 3,
            hset(&format!("hash:{}", n % 4), &n.to_string(), "value"),
        );
        net.write(n % 3, sadd(&format!("set:{}", n % 4), &n.to_string()));
        net.write(n % 3, incr("count", 1));
    }
    let long = "a value that is too long to lie beside its key ".repeat(40);
    net.write(A, set("long", &long));
    net.converge();
    net
}

/// The keys that differ at two members although nothing is missing on either side.
fn differing(net: &Net, at: usize, other: usize) -> Vec<String> {
    let (ours, theirs) = (&net.parts[at], &net.parts[other]);
    let lacking = |one: &Partition, other: &Partition| one.unsettled(other.replica().context());
    let unsettled = [lacking(ours, theirs), lacking(theirs, ours)];
    let (mine, others) = (ours.bucket_sums(), theirs.bucket_sums());
    let buckets = (0..BUCKETS).filter(|bucket| mine[*bucket] != others[*bucket]);
    let mut found = Vec::new();
    for bucket in buckets {
        let of = u8::try_from(bucket).unwrap();
        let (mine, others) = (ours.key_sums(&[of]), theirs.key_sums(&[of]));
        let keys = mine.keys().chain(others.keys());
        found.extend(
            keys.filter(|key| mine.get(*key) != others.get(*key))
                .filter(|key| !unsettled.iter().any(|some| some.has(key)))
                .map(|key| String::from_utf8(key.to_vec()).unwrap()),
        );
    }
    found.sort();
    found.dedup();
    found
}

fn repair(net: &mut Net, at: usize, from: usize, key: &str) -> bool {
    let frame = net.parts[from].key_frame(key.as_bytes());
    let theirs = net.parts[from].unsettled(net.parts[at].replica().context());
    net.parts[at]
        .replace_key(key.as_bytes(), &frame, &theirs)
        .unwrap()
}

#[test]
fn a_changed_byte_of_any_type_is_found_located_and_repaired() {
    for key in ["string:7", "hash:1", "set:2", "long"] {
        let mut net = filled();
        assert!(net.parts[B].damage(key.as_bytes()));
        assert!(!net.parts[B].count().is_sound(), "{key}");
        assert!(net.parts[A].count().is_sound());
        assert_eq!(differing(&net, B, A), [key]);
        assert_eq!(differing(&net, A, C), Vec::<String>::new());
        assert!(repair(&mut net, B, C, key));
        net.parts[B].recount();
        assert!(net.parts[B].count().is_sound());
        assert_eq!(differing(&net, B, A), Vec::<String>::new());
        net.check_equal();
        net.write(B, set(key, "over it"));
        net.converge();
    }
}

#[test]
fn what_was_damaged_and_then_overwritten_needs_a_new_count_only() {
    let mut net = filled();
    assert!(net.parts[B].damage(b"string:7"));
    net.write(A, set("string:7", "other"));
    for _ in 0..5 {
        net.wait(300);
        net.deliver_all();
    }
    assert!(!net.parts[B].count().is_sound());
    assert_eq!(differing(&net, B, A), Vec::<String>::new());
    net.parts[B].recount();
    let alarm = |seen: &Observation| matches!(seen, Observation::DigestMismatch { .. });
    assert!(net.observed(B, alarm) > 0, "the adverts raise an alarm");
    net.observed.clear();
    net.check_equal();
}

#[test]
fn a_key_that_either_side_lacks_events_of_is_left_alone() {
    for (writer, unsettled_at) in [(A, A), (B, B)] {
        let mut net = filled();
        assert!(net.parts[B].damage(b"string:7"));
        net.write(writer, set("string:7", "newer"));
        net.write(writer, set("string:8", "newer"));
        net.lose_all();
        let other = if unsettled_at == A { B } else { A };
        let unsettled = net.parts[unsettled_at].unsettled(net.parts[other].replica().context());
        assert!(unsettled.has(b"string:7") && !unsettled.has(b"string:9"));
        assert_eq!(differing(&net, B, A), Vec::<String>::new());
        assert!(!repair(&mut net, B, A, "string:7"), "written at {writer}");
    }
}

#[test]
fn while_a_delete_of_all_keys_is_missing_nothing_is_compared() {
    let mut net = filled();
    let all = crate::types::Range::all();
    net.write_all(A, vec![Write::Clear { range: all }]);
    net.lose_all();
    let context = net.parts[B].replica().context();
    assert_eq!(net.parts[A].unsettled(context), Unsettled::All);
    assert_eq!(
        net.parts[A].unsettled(net.parts[A].replica().context()),
        Unsettled::Keys([].into())
    );
}

#[test]
fn a_repaired_key_keeps_what_it_knows_of_events_that_have_not_arrived() {
    let mut net = Net::new(3);
    // C removes what only A and C have: B hears of the removal first.
    net.write(A, sadd("set", "early"));
    net.deltas(A, C);
    net.lose_to(B);
    net.write(C, super::net::srem("set", "early"));
    net.deltas(C, B);
    net.write(B, sadd("set", "other"));
    net.lose_all();
    let before = net.parts[B]
        .replica()
        .overlay(&super::net::member("set", "early"));
    assert!(!before.is_empty());
    let frame = net.parts[B].key_frame(b"set");
    let nothing = Unsettled::Keys([].into());
    assert!(net.parts[B].replace_key(b"set", &frame, &nothing).unwrap());
    net.parts[B].recount();
    assert_eq!(
        net.parts[B]
            .replica()
            .overlay(&super::net::member("set", "early")),
        before
    );
    net.converge();
    assert_eq!(net.members(B, "set"), ["other"]);
}

#[test]
fn a_frame_about_another_key_or_of_another_kind_is_refused() {
    let mut net = filled();
    let frame = net.parts[A].key_frame(b"string:7");
    let nothing = Unsettled::Keys([].into());
    assert!(
        net.parts[B]
            .replace_key(b"string:8", &frame, &nothing)
            .is_err()
    );
    assert!(
        net.parts[B]
            .replace_key(b"string:7", &frame[..frame.len() - 1], &nothing)
            .is_err()
    );
    let advert = net.frame_of(A, &crate::message::Message::AdvertRequest);
    assert!(
        net.parts[B]
            .replace_key(b"string:7", &advert, &nothing)
            .is_err()
    );
    net.check_equal();
}
