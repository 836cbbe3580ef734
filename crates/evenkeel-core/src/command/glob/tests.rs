//! What matches what. The cases were compared with a Redis 7.0.15.

use super::*;

fn check(pattern: &str, matching: &[&str], others: &[&str]) {
    for text in matching {
        assert!(
            glob_match(pattern.as_bytes(), text.as_bytes()),
            "{pattern} {text}"
        );
    }
    for text in others {
        assert!(
            !glob_match(pattern.as_bytes(), text.as_bytes()),
            "{pattern} {text}"
        );
    }
}

#[test]
fn stars_and_question_marks_stand_for_bytes() {
    check("*", &["", "a", "abc"], &[]);
    check("a*c", &["ac", "abc", "abcc"], &["a", "acb"]);
    check("*a*b*", &["ab", "xaxbx"], &["ba", "a"]);
    check("h?llo", &["hello", "hallo"], &["hllo", "heello"]);
    check("", &[""], &["a"]);
    check("a**", &["a", "ab"], &["b"]);
}

#[test]
fn classes_have_ranges_negation_and_escapes() {
    check("h[ae]llo", &["hello", "hallo"], &["hillo", "hllo"]);
    check("[^a]x", &["bx"], &["ax", "x"]);
    check("[a-c]", &["a", "b", "c"], &["d", "-"]);
    check("[c-a]", &["b"], &["d"]);
    // The range takes the bracket.
    check("[a-]", &["a", "^", "]"], &["b", "-"]);
    check("[\\]]", &["]"], &["\\"]);
    check("[]", &[], &["a", "]"]);
    check("[^]", &["a", "]"], &[]);
}

#[test]
fn a_class_without_end_ends_with_the_pattern() {
    check("[ab", &["a", "b"], &["c", "[ab"]);
    check("[", &[], &["[", "a"]);
    check("[^a", &["b"], &["a"]);
    check("[a-", &["a", "-"], &["b"]);
}

#[test]
fn a_backslash_takes_the_next_byte_as_it_is() {
    check("a\\*", &["a*"], &["ab", "a\\*"]);
    check("\\[a]", &["[a]"], &["a"]);
    check("a\\", &["a\\"], &["a"]);
}

#[test]
fn the_empty_text_matches_only_nothing_and_one_star() {
    check("*", &[""], &[]);
    check("**", &["a"], &[""]);
    check("?", &[], &[""]);
}

#[test]
fn many_stars_over_a_long_text_take_no_exponential_time() {
    let pattern = [b"a*".repeat(200), b"b".to_vec()].concat();
    assert!(!glob_match(&pattern, &[b'a'; 20_000]));
}
