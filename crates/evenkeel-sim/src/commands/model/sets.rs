//! Sets.

use std::collections::BTreeSet;

use evenkeel_resp::Reply;

use super::{Model, Outcome, Value, bulk, count, truth, wrong_type};
use crate::commands::Bytes;

pub(super) fn run(model: &mut Model<'_>, name: &str, args: &[Bytes]) -> Option<Outcome> {
    let known = [
        "sadd",
        "srem",
        "spop",
        "smembers",
        "scard",
        "sismember",
        "smismember",
    ];
    if name == "smove" {
        return Some(shift(model, &args[1], &args[2], &args[3]));
    }
    known.contains(&name).then(|| on_members(model, name, args))
}

fn shift(model: &mut Model<'_>, from: &[u8], to: &[u8], member: &[u8]) -> Outcome {
    let mut source = members(model, from)?;
    if source.is_empty() {
        return Ok(truth(false));
    }
    let mut target = members(model, to)?;
    let moves = source.remove(member);
    if moves && from != to {
        target.insert(member.to_vec());
        model.store(to, Value::Set(target));
        model.store(from, Value::Set(source));
    }
    Ok(truth(moves))
}

fn members(model: &Model<'_>, key: &[u8]) -> Result<BTreeSet<Bytes>, Reply> {
    match model.value(key) {
        None => Ok(BTreeSet::new()),
        Some(Value::Set(members)) => Ok(members.clone()),
        Some(_) => Err(wrong_type()),
    }
}

fn on_members(model: &mut Model<'_>, name: &str, args: &[Bytes]) -> Outcome {
    let mut held = members(model, &args[1])?;
    let before = held.len();
    Ok(match name {
        "sadd" => {
            held.extend(args[2..].iter().cloned());
            let added = held.len() - before;
            model.store(&args[1], Value::Set(held));
            count(added)
        }
        "srem" => {
            args[2..].iter().for_each(|member| {
                held.remove(member);
            });
            let removed = before - held.len();
            model.store(&args[1], Value::Set(held));
            count(removed)
        }
        "spop" => {
            let chosen = match model.given {
                Some(Reply::Bulk(member)) if held.contains(&member[..]) => member.to_vec(),
                _ => match held.first() {
                    Some(member) => member.clone(),
                    None => return Ok(Reply::Null),
                },
            };
            held.remove(&chosen);
            model.store(&args[1], Value::Set(held));
            bulk(&chosen)
        }
        "smembers" => Reply::Set(held.iter().map(|member| bulk(member)).collect()),
        "scard" => count(before),
        "sismember" => truth(held.contains(&args[2])),
        _ => {
            let found = args[2..].iter().map(|member| truth(held.contains(member)));
            Reply::Array(found.collect())
        }
    })
}
