//! Hashes.

use super::*;

#[test]
fn fields_are_written_and_read() {
    Node::alone().check(&[
        ("HSET h a 1 b 2", "2"),
        ("HSET h a 3 c 4", "1"),
        ("HMSET h d 5", "+OK"),
        ("HSETNX h a 9", "0"),
        ("HSETNX h e 9", "1"),
        ("HSET h f 1 f 2", "1"),
        ("HGET h f", "'2'"),
        ("HGET h z", "nil"),
        ("HGET nosuch z", "nil"),
        ("HMGET h a z b", "['3' nil '2']"),
        ("HMGET nosuch a", "[nil]"),
        ("HLEN h", "6"),
        ("HEXISTS h a", "1"),
        ("HEXISTS h z", "0"),
        ("HSTRLEN h a", "1"),
        ("HSTRLEN h z", "0"),
        ("HDEL h d e f z", "3"),
        ("HGETALL h", "{'a'='3' 'b'='2' 'c'='4'}"),
        ("HKEYS h", "['a' 'b' 'c']"),
        ("HVALS h", "['3' '2' '4']"),
        ("HGETALL nosuch", "{}"),
        ("TYPE h", "+hash"),
        (
            "HSET h a",
            "ERR wrong number of arguments for 'hset' command",
        ),
        (
            "HSET h a 1 b",
            "ERR wrong number of arguments for 'hset' command",
        ),
        (
            "HMSET h a 1 b",
            "ERR wrong number of arguments for 'hmset' command",
        ),
    ]);
}

#[test]
fn fields_count_like_strings_and_have_errors_of_their_own() {
    Node::alone().check(&[
        ("HINCRBY h n 5", "5"),
        ("HSET h n 10", "0"),
        ("HINCRBY h n -3", "7"),
        ("HGET h n", "'7'"),
        ("HINCRBYFLOAT h n 0.5", "'7.5'"),
        ("HINCRBY h n 1", "ERR hash value is not an integer"),
        ("HSET h t abc", "1"),
        ("HINCRBYFLOAT h t 1", "ERR hash value is not a float"),
        ("HINCRBYFLOAT h n x", "ERR value is not a valid float"),
        ("HINCRBYFLOAT h n inf", "ERR value is NaN or Infinity"),
        (
            "HINCRBY h n x",
            "ERR value is not an integer or out of range",
        ),
        ("HSET h max 9223372036854775807", "1"),
        (
            "HINCRBY h max 1",
            "ERR increment or decrement would overflow",
        ),
        ("HDEL h n", "1"),
        ("HINCRBY h n 1", "1"),
    ]);
}

#[test]
fn a_hash_goes_with_its_last_field() {
    let mut node = Node::alone();
    node.check(&[
        ("HSET h a 1", "1"),
        ("HINCRBY h n 1", "1"),
        ("EXPIRE h 10", "1"),
        ("HDEL h a n", "2"),
        ("EXISTS h", "0"),
        ("DBSIZE", "0"),
        ("HSET h a 1", "1"),
        ("TTL h", "-1"),
    ]);
}

#[test]
fn hash_commands_refuse_other_types() {
    let mut node = Node::alone();
    node.run("SET k v");
    for command in [
        "HSET k f v",
        "HMSET k f v",
        "HSETNX k f v",
        "HGET k f",
        "HMGET k f",
        "HDEL k f",
        "HGETALL k",
        "HKEYS k",
        "HVALS k",
        "HLEN k",
        "HEXISTS k f",
        "HSTRLEN k f",
        "HINCRBY k f 1",
        "HINCRBYFLOAT k f 1",
    ] {
        assert!(node.run(command).starts_with("WRONGTYPE "), "{command}");
    }
}

#[test]
fn a_whole_number_of_more_digits_than_a_float_holds_is_added_exactly() {
    Node::alone().check(&[
        (
            "HINCRBYFLOAT h n 9223372036854775807",
            "'9223372036854775807'",
        ),
        ("HINCRBYFLOAT h n -1", "'9223372036854775806'"),
        (
            "HINCRBYFLOAT h m -9223372036854775808",
            "'-9223372036854775808'",
        ),
        ("INCRBYFLOAT s 9007199254740993", "'9007199254740993'"),
    ]);
}
