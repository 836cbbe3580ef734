//! One Redis, naively: a request against a database in plain form. Behaviour and texts are those of Redis 7.0.15.

mod hashes;
mod keys;
mod lists;
mod sets;
mod sketches;
mod sorted_sets;
mod strings;

use evenkeel_resp::Reply;

pub(crate) use sketches::decode as sketch_registers;

use super::value::{Bytes, Database, NEVER, Shown, Value};

/// A reply, or the error that ends the command.
type Outcome = Result<Reply, Reply>;

/// A database at an instant.
#[derive(Debug)]
struct Model<'a> {
    keys: &'a mut Database,
    now_ms: u64,
    given: Option<&'a Reply>,
}

/// What a request is answered, and done to the database. Where chance decides, the choice is the one that was given,
/// if it is a possible one. Requests that the model does not know are the generator's mistake.
pub(crate) fn answer(
    keys: &mut Database,
    (args, given): (&[Bytes], Option<&Reply>),
    now_ms: u64,
) -> Reply {
    let mut model = Model {
        keys,
        now_ms,
        given,
    };
    let name = args[0].to_ascii_lowercase();
    let name = String::from_utf8_lossy(&name);
    let outcome = None
        .or_else(|| strings::run(&mut model, &name, args))
        .or_else(|| keys::run(&mut model, &name, args))
        .or_else(|| sets::run(&mut model, &name, args))
        .or_else(|| hashes::run(&mut model, &name, args))
        .or_else(|| sorted_sets::run(&mut model, &name, args))
        .or_else(|| lists::run(&mut model, &name, args))
        .or_else(|| sketches::run(&mut model, &name, args));
    match outcome {
        Some(Ok(reply) | Err(reply)) => reply,
        None => Reply::error(format!("the model knows no {name}")),
    }
}

/// Whether a reply is the one that was wanted, in whatever order unordered ones come.
pub(crate) fn looks_alike(args: &[Bytes], want: &Reply, have: &Reply) -> bool {
    if want == have {
        return true;
    }
    let name = args[0].to_ascii_lowercase();
    let unordered = matches!(&name[..], b"keys" | b"hkeys" | b"hvals");
    match (want, have) {
        (Reply::Set(want), Reply::Set(have)) => sorted(want) == sorted(have),
        (Reply::Array(want), Reply::Array(have)) if unordered => sorted(want) == sorted(have),
        (Reply::Map(want), Reply::Map(have)) => sorted(want) == sorted(have),
        _ => false,
    }
}

fn sorted<T: std::fmt::Debug>(items: &[T]) -> Vec<String> {
    let mut texts: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
    texts.sort_unstable();
    texts
}

impl Model<'_> {
    fn passed(&self, deadline: u64) -> bool {
        deadline != NEVER && deadline <= self.now_ms
    }

    /// The value of a key, if it exists.
    fn value(&self, key: &[u8]) -> Option<&Value> {
        self.keys.get(key).map(|shown| &shown.value)
    }

    /// Puts a value in the place of another, which leaves its deadline; nothing is what an empty one leaves.
    fn store(&mut self, key: &[u8], value: Value) {
        if value.is_empty() {
            self.keys.remove(key);
            return;
        }
        match self.keys.get_mut(key) {
            Some(shown) => shown.value = value,
            None => {
                self.keys.insert(key.to_vec(), fresh(value, NEVER));
            }
        }
    }

    /// Puts a value in the place of whatever there was; none when its deadline has passed.
    fn replace(&mut self, key: &[u8], value: Value, deadline: u64) {
        if self.passed(deadline) || value.is_empty() {
            self.keys.remove(key);
        } else {
            self.keys.insert(key.to_vec(), fresh(value, deadline));
        }
    }
}

const fn fresh(value: Value, deadline: u64) -> Shown {
    Shown {
        value,
        deadline,
        carried: false,
        clamped: false,
    }
}

fn wrong_type() -> Reply {
    Reply::error("WRONGTYPE Operation against a key holding the wrong kind of value")
}

fn syntax() -> Reply {
    Reply::error("ERR syntax error")
}

fn no_integer() -> Reply {
    Reply::error("ERR value is not an integer or out of range")
}

fn ok() -> Reply {
    Reply::simple("OK")
}

fn bulk(bytes: &[u8]) -> Reply {
    Reply::bulk(bytes.to_vec())
}

fn count(n: usize) -> Reply {
    Reply::Integer(i64::try_from(n).unwrap_or(i64::MAX))
}

const fn truth(holds: bool) -> Reply {
    Reply::Integer(holds as i64)
}

/// A whole number in its one canonical form.
pub(crate) fn whole(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn integer(text: &[u8]) -> Result<i64, Reply> {
    whole(text).ok_or_else(no_integer)
}

/// A number with a fraction; clients send plain decimals only.
pub(crate) fn real(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn is(arg: &[u8], name: &str) -> bool {
    arg.eq_ignore_ascii_case(name.as_bytes())
}
