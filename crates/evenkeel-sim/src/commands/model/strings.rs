//! Strings and counters.

use evenkeel_resp::Reply;

use super::{
    Model, NEVER, Outcome, Value, bulk, count, integer, is, keys, no_integer, ok, real, syntax,
    truth, whole, wrong_type,
};
use crate::commands::Bytes;

pub(super) fn run(model: &mut Model<'_>, name: &str, args: &[Bytes]) -> Option<Outcome> {
    Some(match name {
        "get" => read(model, &args[1]),
        "strlen" => text(model, &args[1]).map(|text| count(text.unwrap_or_default().len())),
        "getrange" => getrange(model, args),
        "set" => set(model, args),
        "setnx" => setnx(model, args),
        "setex" => until(model, &args[1], (&args[3], &args[2], 1000), "setex"),
        "psetex" => until(model, &args[1], (&args[3], &args[2], 1), "psetex"),
        "getset" => getset(model, args),
        "getdel" => getdel(model, args),
        "getex" => getex(model, args),
        "mset" => mset(model, args),
        "mget" => Ok(Reply::Array(
            args[1..]
                .iter()
                .map(|key| read(model, key).unwrap_or(Reply::Null))
                .collect(),
        )),
        "append" => append(model, args),
        "setrange" => setrange(model, args),
        "incr" => add(model, &args[1], 1),
        "decr" => add(model, &args[1], -1),
        "incrby" => integer(&args[2]).and_then(|by| add(model, &args[1], by)),
        "decrby" => integer(&args[2]).and_then(|by| match by.checked_neg() {
            Some(by) => add(model, &args[1], by),
            None => Err(Reply::error("ERR decrement would overflow")),
        }),
        "incrbyfloat" => add_float(model, args),
        _ => return None,
    })
}

fn text(model: &Model<'_>, key: &[u8]) -> Result<Option<Bytes>, Reply> {
    match model.value(key) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong_type()),
    }
}

fn read(model: &Model<'_>, key: &[u8]) -> Outcome {
    Ok(text(model, key)?.map_or(Reply::Null, Reply::bulk))
}

fn getrange(model: &Model<'_>, args: &[Bytes]) -> Outcome {
    let (from, to) = (integer(&args[2])?, integer(&args[3])?);
    let text = text(model, &args[1])?.unwrap_or_default();
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let place = |at: i64| if at < 0 { (length + at).max(0) } else { at };
    let part: Bytes = (0..length)
        .zip(&text)
        .filter(|(at, _)| (place(from)..=place(to)).contains(at))
        .map(|(_, byte)| *byte)
        .collect();
    Ok(bulk(if from < 0 && to < 0 && from > to {
        b""
    } else {
        &part
    }))
}

fn set(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let (key, value) = (&args[1], &args[2]);
    let (mut deadline, mut keep, mut get) = (NEVER, false, false);
    let mut wants = None;
    let mut rest = args[3..].iter();
    while let Some(option) = rest.next() {
        match option.to_ascii_uppercase().as_slice() {
            b"NX" => wants = Some(false),
            b"XX" => wants = Some(true),
            b"GET" => get = true,
            b"KEEPTTL" => keep = true,
            unit => {
                let number = integer(rest.next().ok_or_else(syntax)?)?;
                deadline = keys::absolute(model, (unit, number), "set")?;
            }
        }
    }
    let before = if get { read(model, key)? } else { ok() };
    let held = model.keys.get(key);
    if wants.is_some_and(|wanted| wanted != held.is_some()) {
        return Ok(if get { before } else { Reply::Null });
    }
    if keep {
        deadline = held.map_or(NEVER, |shown| shown.deadline);
    }
    model.replace(key, Value::Text(value.clone()), deadline);
    Ok(before)
}

fn setnx(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let new = !model.keys.contains_key(&args[1]);
    if new {
        model.replace(&args[1], Value::Text(args[2].clone()), NEVER);
    }
    Ok(truth(new))
}

fn until(
    model: &mut Model<'_>,
    key: &[u8],
    (value, time, unit_ms): (&[u8], &[u8], i64),
    name: &str,
) -> Outcome {
    let unit: &[u8] = if unit_ms == 1 { b"PX" } else { b"EX" };
    let deadline = keys::absolute(model, (unit, integer(time)?), name)?;
    model.replace(key, Value::Text(value.to_vec()), deadline);
    Ok(ok())
}

fn getset(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let before = read(model, &args[1])?;
    model.replace(&args[1], Value::Text(args[2].clone()), NEVER);
    Ok(before)
}

fn getdel(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let before = read(model, &args[1])?;
    model.keys.remove(&args[1]);
    Ok(before)
}

fn getex(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let before = read(model, &args[1])?;
    let deadline = match &args[2..] {
        [option] if is(option, "PERSIST") => Some(NEVER),
        [unit, number] => {
            let unit = unit.to_ascii_uppercase();
            // Redis looks at the time only when there is a key.
            match model.keys.contains_key(&args[1]) {
                true => Some(keys::absolute(
                    model,
                    (unit.as_slice(), integer(number)?),
                    "getex",
                )?),
                false => None,
            }
        }
        _ => None,
    };
    if let Some(deadline) = deadline {
        keys::set_deadline(model, &args[1], deadline);
    }
    Ok(before)
}

fn mset(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    for pair in args[1..].chunks_exact(2) {
        model.replace(&pair[0], Value::Text(pair[1].clone()), NEVER);
    }
    Ok(ok())
}

fn append(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let mut whole = text(model, &args[1])?.unwrap_or_default();
    whole.extend_from_slice(&args[2]);
    let length = whole.len();
    model.store(&args[1], Value::Text(whole));
    Ok(count(length))
}

fn setrange(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let offset = usize::try_from(integer(&args[2])?);
    let offset = offset.map_err(|_| Reply::error("ERR offset is out of range"))?;
    let mut whole = text(model, &args[1])?.unwrap_or_default();
    if args[3].is_empty() {
        return Ok(count(whole.len()));
    }
    let end = offset + args[3].len();
    if whole.len() < end {
        whole.resize(end, 0);
    }
    whole[offset..end].copy_from_slice(&args[3]);
    let length = whole.len();
    model.store(&args[1], Value::Text(whole));
    Ok(count(length))
}

fn add(model: &mut Model<'_>, key: &[u8], by: i64) -> Outcome {
    let before = match text(model, key)? {
        Some(text) => whole(&text).ok_or_else(no_integer)?,
        None => 0,
    };
    let after = before.checked_add(by);
    let after = after.ok_or_else(|| Reply::error("ERR increment or decrement would overflow"))?;
    model.store(key, Value::Text(after.to_string().into_bytes()));
    Ok(Reply::Integer(after))
}

fn add_float(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let no_float = || Reply::error("ERR value is not a valid float");
    let before = match text(model, &args[1])? {
        Some(text) => real(&text).ok_or_else(no_float)?,
        None => 0.0,
    };
    let after = before + real(&args[2]).ok_or_else(no_float)?;
    let after = after.to_string().into_bytes();
    model.store(&args[1], Value::Text(after.clone()));
    Ok(Reply::bulk(after))
}
