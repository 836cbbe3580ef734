//! Random commands on a node and on a real Redis: the same replies, error texts included, in both protocols.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use evenkeel_resp::Reply;
use tempfile::TempDir;

use crate::client::{Client, show};
use crate::node::Plan;
use crate::support::{eventually, free_port, long, skip};

/// What stands for a word in a template, and what it may become. Words that end in a star are rarely right.
const WORDS: &[(&str, &[&str])] = &[
    (
        "z",
        &["z1", "z2", "z3", "z1", "z2", "z3", "set", "text", "none"],
    ),
    ("lex", &["lex", "lex", "lex", "lex", "absent", "text"]),
    (
        "places",
        &["places", "places", "places", "places", "none", "text"],
    ),
    ("to", &["z2", "z3", "to"]),
    (
        "m",
        &[
            "a",
            "b",
            "c",
            "d",
            "e",
            "f",
            "g",
            "hh",
            "a-rather-long-name",
            "",
        ],
    ),
    (
        "s",
        &[
            "1", "2", "3", "4", "5", "-1", "0", "2.5", "0.125", "1e3", "inf", "-inf", "1e300",
            "nan", "x", "1e999", "",
        ],
    ),
    ("by", &["1", "2", "-1", "0.5", "0.25", "-3", "x"]),
    (
        "b",
        &[
            "-inf", "+inf", "0", "1", "2", "(1", "(3", "2.5", "-1", "(inf", "", "x", "1e999",
        ],
    ),
    ("l", &["-", "+", "[a", "(a", "[c", "(e", "[hh", "[", "x"]),
    ("i", &["0", "1", "2", "-1", "-2", "5", "-100", "100", "x"]),
    ("n", &["0", "1", "2", "3", "10", "-1", "x"]),
    (
        "add",
        &[
            "NX", "XX", "GT", "LT", "CH", "INCR", "nx gt", "XX CH", "GT CH", "NX XX", "XX INCR",
        ],
    ),
    (
        "some",
        &[
            "",
            "",
            "WITHSCORES",
            "LIMIT 0 2",
            "LIMIT 1 -1",
            "LIMIT -1 3",
            "LIMIT 1",
        ],
    ),
    ("rev", &["", "", "REV"]),
    (
        "weigh",
        &[
            "",
            "",
            "WEIGHTS 2 0.5",
            "WEIGHTS 1 -1",
            "WEIGHTS inf 0",
            "WEIGHTS 1",
            "AGGREGATE MIN",
            "aggregate max",
            "AGGREGATE avg",
        ],
    ),
    ("with", &["", "WITHSCORES"]),
    ("op", &["ZUNION", "ZINTER", "ZDIFF"]),
    (
        "end",
        &[
            "MIN",
            "max",
            "MIN COUNT 2",
            "MAX COUNT 9",
            "MIN COUNT 0",
            "MID",
        ],
    ),
    (
        "lon",
        &[
            "13.361389",
            "15.087269",
            "12.75",
            "17.24151",
            "-122.4",
            "179.99",
            "181",
            "x",
        ],
    ),
    (
        "lat",
        &[
            "38.115556",
            "37.502669",
            "38.78",
            "36.9",
            "37.7",
            "-85.05",
            "86",
        ],
    ),
    ("town", &["Palermo", "Catania", "edge", "far", "nowhere"]),
    (
        "far",
        &[
            "10 km", "200 km", "300000 m", "5000 mi", "0 ft", "-1 m", "x km", "1 x",
        ],
    ),
    (
        "from",
        &[
            "FROMMEMBER Palermo",
            "FROMMEMBER nowhere",
            "FROMLONLAT 15 37",
            "FROMLONLAT 13 38",
            "",
        ],
    ),
    (
        "area",
        &[
            "BYRADIUS 200 km",
            "BYRADIUS 3000 mi",
            "BYBOX 400 300 km",
            "BYBOX 10 -1 m",
            "",
        ],
    ),
    (
        "order",
        &[
            "ASC",
            "DESC",
            "ASC COUNT 1",
            "DESC COUNT 2",
            "ASC COUNT 2 ANY",
            "ASC ANY",
            "COUNT 0",
        ],
    ),
    (
        "show",
        &["", "WITHDIST", "WITHCOORD WITHHASH", "withdist withcoord"],
    ),
];

const TEMPLATES: &[&str] = &[
    "ZADD {z} {s} {m}",
    "ZADD {z} {s} {m} {s} {m}",
    "ZADD {z} {s} {m} {s} {m} {s} {m}",
    "ZADD {z} {add} {s} {m}",
    "ZADD {z} {add} {s} {m} {s} {m}",
    "ZADD {z} {s}",
    "ZADD lex 0 {m} 0 {m}",
    "ZINCRBY {z} {by} {m}",
    "ZREM {z} {m} {m}",
    "ZSCORE {z} {m}",
    "ZMSCORE {z} {m} {m}",
    "ZCARD {z}",
    "ZCOUNT {z} {b} {b}",
    "ZLEXCOUNT {lex} {l} {l}",
    "ZRANK {z} {m}",
    "ZREVRANK {z} {m}",
    "ZRANGE {z} {i} {i} {rev} {some}",
    "ZRANGE {z} {b} {b} BYSCORE {rev} {some}",
    "ZRANGE {lex} {l} {l} bylex {rev} {some}",
    "ZREVRANGE {z} {i} {i} {with}",
    "ZRANGEBYSCORE {z} {b} {b} {some}",
    "ZREVRANGEBYSCORE {z} {b} {b} {some}",
    "ZRANGEBYLEX {lex} {l} {l}",
    "ZREVRANGEBYLEX {lex} {l} {l}",
    "ZRANGESTORE {to} {z} {b} {b} BYSCORE {rev}",
    "ZRANGESTORE {to} {z} {i} {i} {some}",
    "ZREMRANGEBYRANK {z} {i} {n}",
    "ZREMRANGEBYSCORE {z} {b} (1",
    "ZREMRANGEBYLEX lex {l} {l}",
    "ZPOPMIN {z}",
    "ZPOPMAX {z} {n}",
    "ZMPOP 2 {z} {z} {end}",
    "ZMPOP {n} {z} {end}",
    "{op} 2 {z} {z} {weigh} {with}",
    "{op} {n} {z} {z}",
    "{op}STORE {to} 2 {z} {z} {weigh}",
    "ZINTERCARD 2 {z} {z}",
    "ZINTERCARD 2 {z} {z} LIMIT {n}",
    "SADD set {m}",
    "SREM set {m}",
    "SET text v",
    "TYPE {z}",
    "DEL {to}",
    "GEOADD places {lon} {lat} {town}",
    "GEOADD places {add} {lon} {lat} {town}",
    "GEOPOS {places} {town} {town}",
    "GEOHASH {places} {town}",
    "GEODIST {places} {town} {town} km",
    "GEOSEARCH {places} {from} {area} {order} {show}",
    "GEOSEARCHSTORE {to} {places} {from} {area} {order}",
    "GEORADIUS {places} {lon} {lat} {far} {order} {show}",
    "GEORADIUS {places} {lon} {lat} {far} ASC STORE {to}",
    "GEORADIUSBYMEMBER {places} {town} {far} {order} {show}",
    "GEORADIUSBYMEMBER_RO {places} {town} {far} {order}",
];

/// The same numbers in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        of[usize::try_from(drawn).unwrap() % of.len()]
    }

    /// A command, word by word.
    fn command(&mut self) -> Vec<String> {
        let mut command = Vec::new();
        for word in self.pick(TEMPLATES).split(' ') {
            let Some((name, rest)) = word.strip_prefix('{').and_then(|word| word.split_once('}'))
            else {
                command.push(word.to_owned());
                continue;
            };
            let (_, choices) = WORDS.iter().find(|(known, _)| *known == name).unwrap();
            let chosen = self.pick(choices);
            if chosen.is_empty() && matches!(name, "m" | "s" | "b") {
                // An empty word, not none.
                command.push(String::new());
            }
            let words = chosen.split(' ').filter(|word| !word.is_empty());
            command.extend(words.map(|word| format!("{word}{rest}")));
        }
        command
    }
}

/// A Redis of its own, ended with the test.
struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a Redis 7.0; none where there is none.
fn start_redis(dir: &TempDir) -> Option<(Redis, Client)> {
    let port = free_port();
    let started = Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let redis = Redis(started.ok()?);
    let address = format!("127.0.0.1:{port}");
    let mut client = eventually(Duration::from_secs(20), "Redis listens", || {
        Client::try_new(&address).ok()
    });
    let is_known = client.run("INFO server").contains("redis_version:7.0.");
    is_known.then_some((redis, client))
}

/// Refused by name here, so of no form.
const REFUSED: [&str; 10] = [
    "failover",
    "migrate",
    "module",
    "move",
    "psync",
    "replconf",
    "replicaof",
    "slaveof",
    "swapdb",
    "sync",
];

#[test]
fn commands_tell_where_their_keys_are_and_what_becomes_of_them_as_redis_does() {
    let dir = TempDir::new().unwrap();
    let Some((_redis, mut theirs)) = start_redis(&dir) else {
        return skip(
            "commands_tell_where_their_keys_are_and_what_becomes_of_them_as_redis_does",
            "there is no redis-server 7.0",
        );
    };
    let node = Plan::new("A", dir.path()).start();
    let mut ours = node.client();
    let Reply::Array(names) = ours.raw(&["COMMAND", "LIST"]) else {
        panic!("no list");
    };
    let mut compared = 0;
    for name in names.iter().map(show) {
        if name.contains('|') && !name.starts_with("object") && !name.starts_with("memory") {
            continue;
        }
        let (theirs, ours) = (keys_told(&mut theirs, &name), keys_told(&mut ours, &name));
        if theirs.is_some() && !REFUSED.contains(&&name[..]) {
            assert_eq!(ours, theirs, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 200, "only {compared} were compared");
    for request in [
        "SET k v",
        "SET k v GET",
        "LMOVE a b LEFT RIGHT",
        "BITFIELD k GET u4 0",
        "BITFIELD k SET u4 0 1",
        "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
        "MSET a 1 b 2",
        "SORT l STORE d",
        "COPY a b",
        "XYZ",
        "SET k",
        "PING",
        "BITOP AND d a b",
        "GEORADIUS g 1 2 3 m STORE d",
        "ZINTERCARD 2 a b",
        "BLPOP a b 0",
        "MEMORY USAGE k",
    ] {
        for sub in ["GETKEYS", "GETKEYSANDFLAGS"] {
            let request = format!("COMMAND {sub} {request}");
            assert_eq!(
                sorted_flags(&ours.raw(&words(&request))),
                sorted_flags(&theirs.raw(&words(&request))),
                "{request}"
            );
        }
    }
}

fn words(request: &str) -> Vec<&str> {
    request.split(' ').collect()
}

/// Where the keys of a command are and their flags, as COMMAND INFO tells; none of a command that is not known.
fn keys_told(client: &mut Client, name: &str) -> Option<Vec<String>> {
    let Reply::Array(infos) = client.raw(&["COMMAND", "INFO", name]) else {
        panic!("no info of {name}");
    };
    let Reply::Array(info) = &infos[0] else {
        return None;
    };
    let places = info[3..6].iter().map(show);
    Some(places.chain([sorted_flags(&info[8])]).collect())
}

/// A reply in one line, but for notes to people and for the order of flags, which are a set.
fn sorted_flags(reply: &Reply) -> String {
    match reply {
        Reply::Array(items) => {
            let mut items: Vec<String> = items.iter().map(sorted_flags).collect();
            if items.first().is_some_and(|name| name == "notes") {
                items.drain(..2);
            }
            if items.iter().all(|item| {
                [
                    "RO",
                    "RW",
                    "OW",
                    "RM",
                    "access",
                    "update",
                    "insert",
                    "delete",
                    "not_key",
                    "incomplete",
                    "variable_flags",
                ]
                .contains(&&item[..])
            }) {
                items.sort();
            }
            format!("[{}]", items.join(" "))
        }
        other => show(other),
    }
}

#[test]
fn sorted_sets_and_places_answer_as_redis_does() {
    let dir = TempDir::new().unwrap();
    let Some((_redis, mut theirs)) = start_redis(&dir) else {
        return skip(
            "sorted_sets_and_places_answer_as_redis_does",
            "there is no redis-server 7.0",
        );
    };
    let node = Plan::new("A", dir.path()).start();
    let mut ours = node.client();
    let commands = if long() { 100_000 } else { 4_000 };
    let mut dice = Dice(0x5eed);
    for protocol in ["2", "3"] {
        for client in [&mut theirs, &mut ours] {
            client.raw(&["HELLO", protocol]);
            client.raw(&["FLUSHALL"]);
        }
        for number in 0..commands / 2 {
            let command = dice.command();
            let (expected, reply) = (theirs.raw(&command), ours.raw(&command));
            assert_eq!(
                reply,
                expected,
                "{number}, RESP{protocol}: {}",
                command.join(" ")
            );
        }
    }
}
