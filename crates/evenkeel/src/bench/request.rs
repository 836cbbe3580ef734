//! Requests as bytes: each command is encoded once, a request is a copy with its key filled in.
//!
//! Invariant: like the key, everything else in a request is a pure function of the seed and the
//! request's number.

use evenkeel_resp::encode_command;

use super::command::{Command, Mix};
use super::keys::{Draws, Keys};

/// Digits of a member of a set and of a field of a hash.
const MEMBER_DIGITS: usize = 8;
/// How far values may begin apart in [`Requests::noise`]; a server that compresses must not be
/// flattered by equal values.
const NOISE_SHIFT_BITS: u32 = 12;
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

/// What requests are made of, apart from the command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) seed: u64,
    /// Bytes of a key, from [`key_bytes_min`] on.
    pub(super) key_bytes: usize,
    pub(super) value_bytes: usize,
    /// Different members of a set, fields of a hash; above zero.
    pub(super) members: u64,
}

/// Members that [`MEMBER_DIGITS`] can tell apart.
pub(super) const MEMBERS_MAX: u64 = 100_000_000;

/// The shortest keys that tell `keys` keys apart for every command in the mix.
pub(super) fn key_bytes_min(mix: &Mix, keys: u64) -> usize {
    let prefix = mix.commands().map(|command| key_prefix(command).len());
    let digits = keys.saturating_sub(1).max(1).ilog10() as usize + 1;
    prefix.max().unwrap_or(0) + digits
}

/// Commands that need different types have keys of their own; SET and GET share theirs.
fn key_prefix(command: Command) -> &'static str {
    match command {
        Command::Set | Command::Get => "key:",
        Command::Incr => "count:",
        Command::Sadd => "set:",
        Command::Hset => "hash:",
    }
}

/// Turns numbers into requests.
#[derive(Debug)]
pub(super) struct Requests {
    mix: Mix,
    keys: Keys,
    shape: Shape,
    templates: [Template; Command::ALL.len()],
    noise: Vec<u8>,
}

impl Requests {
    pub(super) fn new(mix: Mix, keys: Keys, shape: Shape) -> Self {
        let mut draws = Draws::new(shape.seed, u64::MAX);
        let noise = (0..shape.value_bytes + (1 << NOISE_SHIFT_BITS)).map(|_| letter(draws.next()));
        Self {
            noise: noise.collect(),
            templates: Command::ALL.map(|command| Template::new(command, shape)),
            mix,
            keys,
            shape,
        }
    }

    /// Appends request `ordinal` and says which command it is.
    pub(super) fn encode(&self, ordinal: u64, out: &mut Vec<u8>) -> Command {
        let mut draws = Draws::new(self.shape.seed, ordinal);
        let command = self.mix.at(draws.below(self.mix.weight()));
        let key = self.keys.pick(ordinal, &mut draws);
        let template = &self.templates[command.index()];
        let start = out.len();
        out.extend_from_slice(&template.head);
        let written = &mut out[start..];
        fill_digits(&mut written[template.key.clone()], key);
        if let Some(member) = template.member.clone() {
            fill_digits(&mut written[member], draws.below(self.shape.members));
        }
        if template.has_value {
            let shift = (draws.next() >> (64 - NOISE_SHIFT_BITS)) as usize;
            out.extend_from_slice(&self.noise[shift..shift + self.shape.value_bytes]);
            out.extend_from_slice(b"\r\n");
        }
        command
    }
}

/// One command with zeros for digits, up to where a value begins.
#[derive(Debug)]
struct Template {
    head: Vec<u8>,
    /// Where the digits of the key are in `head`.
    key: std::ops::Range<usize>,
    member: Option<std::ops::Range<usize>>,
    /// Whether the value, which is always last, and CR LF follow.
    has_value: bool,
}

impl Template {
    fn new(command: Command, shape: Shape) -> Self {
        let prefix = key_prefix(command);
        let key_digits = shape.key_bytes.saturating_sub(prefix.len());
        let key = format!("{prefix}{}", "0".repeat(key_digits));
        let member = format!("m:{}", "0".repeat(MEMBER_DIGITS));
        let value = "v".repeat(shape.value_bytes);
        let (args, has_value) = match command {
            Command::Set => (vec!["SET", &key, &value], true),
            Command::Get => (vec!["GET", &key], false),
            Command::Incr => (vec!["INCR", &key], false),
            Command::Sadd => (vec!["SADD", &key, &member], false),
            Command::Hset => (vec!["HSET", &key, &member, &value], true),
        };
        let mut head = Vec::new();
        encode_command(&mut head, &args[..2]);
        let key_end = head.len() - 2;
        let member = (args.get(2) == Some(&member.as_str())).then(|| {
            let mut upto = Vec::new();
            encode_command(&mut upto, &args[..3]);
            upto.len() - 2 - MEMBER_DIGITS..upto.len() - 2
        });
        head.clear();
        encode_command(&mut head, &args);
        if has_value {
            head.truncate(head.len() - 2 - shape.value_bytes);
        }
        Self {
            head,
            key: key_end - key_digits..key_end,
            member,
            has_value,
        }
    }
}

fn fill_digits(slot: &mut [u8], mut number: u64) {
    for digit in slot.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
}

fn letter(drawn: u64) -> u8 {
    LETTERS[(drawn % 64) as usize]
}

#[cfg(test)]
mod tests {
    use super::super::keys::Distribution;
    use super::*;

    const SHAPE: Shape = Shape {
        seed: 1,
        key_bytes: 12,
        value_bytes: 5,
        members: 1,
    };

    fn requests(mix: &str, shape: Shape) -> Requests {
        let keys = Keys::new(Distribution::Sequential, 1000, 1.0);
        Requests::new(mix.parse().unwrap(), keys, shape)
    }

    fn encoded(mix: &str, shape: Shape, ordinal: u64) -> String {
        let mut out = Vec::new();
        requests(mix, shape).encode(ordinal, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_without_values_are_the_encoded_command() {
        assert_eq!(
            encoded("get", SHAPE, 42),
            "*2\r\n$3\r\nGET\r\n$12\r\nkey:00000042\r\n"
        );
        assert_eq!(
            encoded("incr", SHAPE, 7),
            "*2\r\n$4\r\nINCR\r\n$12\r\ncount:000007\r\n"
        );
        assert_eq!(
            encoded("sadd", SHAPE, 999),
            "*3\r\n$4\r\nSADD\r\n$12\r\nset:00000999\r\n$10\r\nm:00000000\r\n"
        );
    }

    #[test]
    fn values_have_their_length_and_differ() {
        let head = "*3\r\n$3\r\nSET\r\n$12\r\nkey:00000003\r\n$5\r\n";
        let first = encoded("set", SHAPE, 3);
        let value = first.strip_prefix(head).unwrap();
        assert_eq!(value.trim_end().len(), 5);
        assert!(value.ends_with("\r\n"));
        let next = encoded("set", SHAPE, 1003);
        assert!(next.starts_with(head));
        assert_ne!(first, next);
        let head = "*4\r\n$4\r\nHSET\r\n$12\r\nhash:0000003\r\n$10\r\nm:00000000\r\n$5\r\n";
        assert!(encoded("hset", SHAPE, 3).starts_with(head));
    }

    #[test]
    fn an_empty_value_is_sent_as_one() {
        let shape = Shape {
            value_bytes: 0,
            ..SHAPE
        };
        assert_eq!(
            encoded("set", shape, 3),
            "*3\r\n$3\r\nSET\r\n$12\r\nkey:00000003\r\n$0\r\n\r\n"
        );
    }

    #[test]
    fn members_come_from_their_range() {
        let shape = Shape {
            members: 3,
            ..SHAPE
        };
        let requests = requests("sadd", shape);
        let mut seen = [false; 3];
        for ordinal in 0..100 {
            let mut out = Vec::new();
            requests.encode(ordinal, &mut out);
            let text = String::from_utf8(out).unwrap();
            let (_, member) = text.trim_end().rsplit_once("m:").unwrap();
            seen[member.parse::<usize>().unwrap()] = true;
        }
        assert_eq!(seen, [true; 3]);
    }

    #[test]
    fn a_mix_sends_its_commands_in_proportion() {
        let requests = requests("set:1,get:9", SHAPE);
        let mut out = Vec::new();
        let sets = (0..10_000)
            .filter(|&ordinal| {
                out.clear();
                requests.encode(ordinal, &mut out) == Command::Set
            })
            .count();
        // 1000 with a standard deviation of 30.
        assert!((850..1150).contains(&sets), "{sets}");
    }

    #[test]
    fn the_shortest_key_holds_the_highest_number() {
        let min = |mix: &str, keys| key_bytes_min(&mix.parse().unwrap(), keys);
        assert_eq!(min("set", 1), 5);
        assert_eq!(min("get", 10), 5);
        assert_eq!(min("get", 11), 6);
        assert_eq!(min("set,incr", 1_000_000), 12);
    }
}
