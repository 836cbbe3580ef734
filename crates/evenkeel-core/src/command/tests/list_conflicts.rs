//! Lists: what two replicas show after both wrote without having heard of each other.

use super::*;

/// The elements, after both replicas have shown the same.
fn agreed(pair: &mut Pair) -> String {
    let shown = {
        pair.exchange();
        pair.a.run("LRANGE l 0 -1")
    };
    pair.agree(&[("LRANGE l 0 -1", &shown)]);
    shown
}

#[test]
fn concurrent_pushes_are_all_kept_in_the_same_order_and_batches_are_not_interleaved() {
    let mut pair = Pair::after(&["RPUSH l x"]);
    for _ in 0..2 {
        pair.a.run("RPUSH l 1 2 3");
        pair.b.run("RPUSH l a b c");
        pair.a.run("LPUSH l 3 2 1");
        pair.b.run("LPUSH l c b a");
    }
    let shown = agreed(&mut pair);
    assert_eq!(shown.matches("'1' '2' '3'").count(), 4, "{shown}");
    assert_eq!(shown.matches("'a' 'b' 'c'").count(), 4, "{shown}");
}

#[test]
fn pushes_to_a_list_that_neither_has_are_not_interleaved() {
    let mut pair = Pair::new();
    pair.a.run("LPUSH l 3 2 1");
    pair.b.run("LPUSH l c b a");
    pair.a.run("RPUSH l 4");
    pair.b.run("RPUSH l d");
    let shown = agreed(&mut pair);
    assert!(shown.contains("'1' '2' '3'"), "{shown}");
    assert!(shown.contains("'a' 'b' 'c'"), "{shown}");
}

#[test]
fn elements_inserted_at_one_place_by_both_are_all_kept_there_and_stay_together() {
    let mut pair = Pair::after(&["RPUSH l x z"]);
    for (a, b) in [("1", "a"), ("2", "b"), ("3", "c")] {
        pair.a.run(&format!("LINSERT l BEFORE z {a}"));
        pair.b.run(&format!("LINSERT l BEFORE z {b}"));
    }
    let shown = agreed(&mut pair);
    assert!(shown.starts_with("['x' "), "{shown}");
    assert!(shown.ends_with(" 'z']"), "{shown}");
    assert!(shown.contains("'1' '2' '3'"), "{shown}");
    assert!(shown.contains("'a' 'b' 'c'"), "{shown}");
}

#[test]
fn elements_inserted_behind_one_element_by_both_stay_together() {
    let mut pair = Pair::after(&["RPUSH l x z"]);
    for (a, b) in [("3", "c"), ("2", "b"), ("1", "a")] {
        pair.a.run(&format!("LINSERT l AFTER x {a}"));
        pair.b.run(&format!("LINSERT l AFTER x {b}"));
    }
    let shown = agreed(&mut pair);
    assert!(shown.contains("'1' '2' '3'"), "{shown}");
    assert!(shown.contains("'a' 'b' 'c'"), "{shown}");
}

#[test]
fn an_insertion_next_to_an_element_that_the_other_removes_is_kept_in_its_place() {
    let mut pair = Pair::after(&["RPUSH l 1 2 3"]);
    pair.a.run("LREM l 0 2");
    pair.b.run("LINSERT l AFTER 2 x");
    pair.agree(&[("LRANGE l 0 -1", "['1' 'x' '3']")]);
}

#[test]
fn removals_of_equal_elements_take_what_each_saw() {
    let mut pair = Pair::after(&["RPUSH l a b a"]);
    pair.a.run("LREM l 1 a");
    pair.b.run("LREM l -1 a");
    pair.agree(&[("LRANGE l 0 -1", "['b']")]);
    pair.a.run("LREM l 0 b");
    pair.b.run("RPUSH l b");
    pair.agree(&[("LRANGE l 0 -1", "['b']")]);
}

#[test]
fn an_element_popped_on_both_sides_of_a_cut_is_given_out_twice_and_gone_once() {
    let mut pair = Pair::after(&["RPUSH l a b c"]);
    assert_eq!(pair.a.run("LPOP l"), "'a'");
    assert_eq!(pair.b.run("LPOP l"), "'a'");
    pair.agree(&[("LRANGE l 0 -1", "['b' 'c']")]);
}

#[test]
fn of_two_elements_set_at_one_index_the_newest_is_shown() {
    let mut pair = Pair::after(&["RPUSH l x y"]);
    pair.b.pass(1);
    pair.b.run("LSET l 0 b");
    pair.a.run("LSET l 0 a");
    pair.agree(&[("LRANGE l 0 -1", "['b' 'y']"), ("LLEN l", "2")]);
    pair.a.run("LSET l 0 c");
    pair.agree(&[("LRANGE l 0 -1", "['c' 'y']")]);
}

#[test]
fn an_element_that_was_set_survives_a_concurrent_pop_in_its_place() {
    let mut pair = Pair::after(&["RPUSH l x y"]);
    assert_eq!(pair.a.run("LPOP l"), "'x'");
    pair.b.run("LSET l 0 z");
    pair.agree(&[("LRANGE l 0 -1", "['z' 'y']")]);
}

#[test]
fn pushes_survive_a_removal_of_the_key_that_had_not_seen_them() {
    let mut pair = Pair::after(&["RPUSH l x y"]);
    pair.a.run("DEL l");
    pair.b.run("LPUSH l z");
    pair.agree(&[("LRANGE l 0 -1", "['z']")]);
}

#[test]
fn pushes_into_a_run_that_the_other_trims_survive() {
    let elements: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let mut pair = Pair::after(&[&format!("RPUSH l {}", elements.join(" "))]);
    pair.a.run("LTRIM l 600 -1");
    pair.b.run("LINSERT l BEFORE 300 x");
    pair.b.run("LPUSH l first");
    pair.agree(&[("LLEN l", "402"), ("LRANGE l 0 2", "['first' 'x' '600']")]);
}

#[test]
fn a_list_that_both_rotate_keeps_every_element() {
    let mut pair = Pair::after(&["RPUSH l a b c"]);
    pair.a.run("RPOPLPUSH l l");
    pair.b.run("LMOVE l l LEFT RIGHT");
    let shown = agreed(&mut pair);
    for element in ["'a'", "'b'", "'c'"] {
        assert!(shown.contains(element), "{shown}");
    }
}
