//! Hashes.

use std::collections::BTreeMap;

use evenkeel_resp::Reply;

use super::{Model, Outcome, Value, bulk, count, integer, ok, real, truth, whole, wrong_type};
use crate::commands::Bytes;

type Fields = BTreeMap<Bytes, Bytes>;

pub(super) fn run(model: &mut Model<'_>, name: &str, args: &[Bytes]) -> Option<Outcome> {
    let read = || fields(model, &args[1]);
    Some(match name {
        "hget" => read().map(|held| value(&held, &args[2])),
        "hmget" => read().map(|held| {
            let values = args[2..].iter().map(|field| value(&held, field));
            Reply::Array(values.collect())
        }),
        "hgetall" => read().map(|held| {
            let pairs = held.iter().map(|(field, value)| (bulk(field), bulk(value)));
            Reply::Map(pairs.collect())
        }),
        "hkeys" => read().map(|held| Reply::Array(held.keys().map(|key| bulk(key)).collect())),
        "hvals" => read().map(|held| Reply::Array(held.values().map(|v| bulk(v)).collect())),
        "hlen" => read().map(|held| count(held.len())),
        "hexists" => read().map(|held| truth(held.contains_key(&args[2]))),
        "hstrlen" => read().map(|held| count(held.get(&args[2]).map_or(0, Vec::len))),
        "hset" | "hmset" | "hsetnx" | "hdel" | "hincrby" | "hincrbyfloat" => {
            write(model, name, args)
        }
        _ => return None,
    })
}

fn fields(model: &Model<'_>, key: &[u8]) -> Result<Fields, Reply> {
    match model.value(key) {
        None => Ok(Fields::new()),
        Some(Value::Hash(fields)) => Ok(fields.clone()),
        Some(_) => Err(wrong_type()),
    }
}

fn value(held: &Fields, field: &[u8]) -> Reply {
    held.get(field).map_or(Reply::Null, |value| bulk(value))
}

fn write(model: &mut Model<'_>, name: &str, args: &[Bytes]) -> Outcome {
    // What is no number is refused before a wrong type is seen, but for floats.
    let by = match name {
        "hincrby" => integer(&args[3])?,
        _ => 0,
    };
    let mut held = fields(model, &args[1])?;
    let before = held.len();
    let reply = match name {
        "hset" | "hmset" => {
            for pair in args[2..].chunks_exact(2) {
                held.insert(pair[0].clone(), pair[1].clone());
            }
            if name == "hset" {
                count(held.len() - before)
            } else {
                ok()
            }
        }
        "hsetnx" => {
            let new = !held.contains_key(&args[2]);
            held.entry(args[2].clone())
                .or_insert_with(|| args[3].clone());
            truth(new)
        }
        "hdel" => {
            args[2..].iter().for_each(|field| {
                held.remove(field);
            });
            count(before - held.len())
        }
        "hincrby" => {
            let number = match held.get(&args[2]) {
                Some(text) => {
                    whole(text).ok_or_else(|| Reply::error("ERR hash value is not an integer"))?
                }
                None => 0,
            };
            let sum = number.checked_add(by);
            let sum =
                sum.ok_or_else(|| Reply::error("ERR increment or decrement would overflow"))?;
            held.insert(args[2].clone(), sum.to_string().into_bytes());
            Reply::Integer(sum)
        }
        _ => {
            let number = match held.get(&args[2]) {
                Some(text) => {
                    real(text).ok_or_else(|| Reply::error("ERR hash value is not a float"))?
                }
                None => 0.0,
            };
            let by =
                real(&args[3]).ok_or_else(|| Reply::error("ERR value is not a valid float"))?;
            let sum = (number + by).to_string().into_bytes();
            held.insert(args[2].clone(), sum.clone());
            Reply::bulk(sum)
        }
    };
    model.store(&args[1], Value::Hash(held));
    Ok(reply)
}
