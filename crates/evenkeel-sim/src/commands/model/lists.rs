//! Lists.

use evenkeel_resp::Reply;

use super::sorted_sets::span;
use super::{Model, Outcome, Value, bulk, count, integer, is, ok, wrong_type};
use crate::commands::Bytes;

pub(super) fn run(model: &mut Model<'_>, name: &str, args: &[Bytes]) -> Option<Outcome> {
    Some(match name {
        "lpush" | "rpush" | "lpushx" | "rpushx" => push(model, name, args),
        "lpop" | "rpop" => pop(model, &args[1], name == "lpop"),
        "linsert" => insert(model, args),
        "lset" => set(model, args),
        "lrem" => remove(model, args),
        "ltrim" => elements(model, &args[1]).and_then(|held| {
            let kept = held[span(args, held.len())?].to_vec();
            model.store(&args[1], Value::List(kept));
            Ok(ok())
        }),
        "lmove" => shift(
            model,
            (&args[1], is(&args[3], "LEFT")),
            (&args[2], is(&args[4], "LEFT")),
        ),
        "rpoplpush" => shift(model, (&args[1], false), (&args[2], true)),
        "llen" => elements(model, &args[1]).map(|held| count(held.len())),
        "lrange" => elements(model, &args[1]).and_then(|held| {
            let part = held[span(args, held.len())?].iter();
            Ok(Reply::Array(part.map(|element| bulk(element)).collect()))
        }),
        "lindex" => elements(model, &args[1]).and_then(|held| {
            let found = place(&args[2], held.len())?;
            Ok(found.map_or(Reply::Null, |at| bulk(&held[at])))
        }),
        _ => return None,
    })
}

fn elements(model: &Model<'_>, key: &[u8]) -> Result<Vec<Bytes>, Reply> {
    match model.value(key) {
        None => Ok(Vec::new()),
        Some(Value::List(elements)) => Ok(elements.clone()),
        Some(_) => Err(wrong_type()),
    }
}

fn place(index: &[u8], length: usize) -> Result<Option<usize>, Reply> {
    let index = integer(index)?;
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let at = if index < 0 { index + length } else { index };
    Ok((0..length)
        .contains(&at)
        .then(|| usize::try_from(at).unwrap_or(0)))
}

fn push(model: &mut Model<'_>, name: &str, args: &[Bytes]) -> Outcome {
    let mut held = elements(model, &args[1])?;
    if name.ends_with('x') && held.is_empty() {
        return Ok(count(0));
    }
    for value in &args[2..] {
        if name.starts_with('l') {
            held.insert(0, value.clone());
        } else {
            held.push(value.clone());
        }
    }
    let length = held.len();
    model.store(&args[1], Value::List(held));
    Ok(count(length))
}

fn pop(model: &mut Model<'_>, key: &[u8], left: bool) -> Outcome {
    let mut held = elements(model, key)?;
    if held.is_empty() {
        return Ok(Reply::Null);
    }
    let taken = held.remove(if left { 0 } else { held.len() - 1 });
    model.store(key, Value::List(held));
    Ok(bulk(&taken))
}

fn insert(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let mut held = elements(model, &args[1])?;
    if held.is_empty() {
        return Ok(count(0));
    }
    let Some(pivot) = held.iter().position(|element| *element == args[3]) else {
        return Ok(Reply::Integer(-1));
    };
    let at = pivot + usize::from(is(&args[2], "AFTER"));
    held.insert(at, args[4].clone());
    let length = held.len();
    model.store(&args[1], Value::List(held));
    Ok(count(length))
}

fn set(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let mut held = elements(model, &args[1])?;
    if held.is_empty() {
        return Err(Reply::error("ERR no such key"));
    }
    let Some(at) = place(&args[2], held.len())? else {
        return Err(Reply::error("ERR index out of range"));
    };
    held[at].clone_from(&args[3]);
    model.store(&args[1], Value::List(held));
    Ok(ok())
}

fn remove(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let wanted = integer(&args[2])?;
    let mut held = elements(model, &args[1])?;
    let mut left = match wanted {
        0 => usize::MAX,
        some => usize::try_from(some.unsigned_abs()).unwrap_or(usize::MAX),
    };
    let before = held.len();
    if wanted < 0 {
        held.reverse();
    }
    held.retain(|element| {
        let goes = *element == args[3] && left > 0;
        left -= usize::from(goes);
        !goes
    });
    if wanted < 0 {
        held.reverse();
    }
    let removed = before - held.len();
    model.store(&args[1], Value::List(held));
    Ok(count(removed))
}

fn shift(
    model: &mut Model<'_>,
    (from, from_left): (&[u8], bool),
    (to, to_left): (&[u8], bool),
) -> Outcome {
    if elements(model, from)?.is_empty() {
        return Ok(Reply::Null);
    }
    elements(model, to)?;
    if from == to {
        let mut held = elements(model, from)?;
        let moved = held.remove(if from_left { 0 } else { held.len() - 1 });
        held.insert(if to_left { 0 } else { held.len() }, moved.clone());
        model.store(from, Value::List(held));
        return Ok(bulk(&moved));
    }
    let moved = pop(model, from, from_left)?;
    if let Reply::Bulk(element) = &moved {
        let mut held = elements(model, to)?;
        let at = if to_left { 0 } else { held.len() };
        held.insert(at, element.to_vec());
        model.store(to, Value::List(held));
    }
    Ok(moved)
}
