//! Keys of any type: existence, deadlines, removal.

use evenkeel_resp::Reply;

use super::{Model, NEVER, Outcome, bulk, count, integer, is, ok, truth};
use crate::commands::Bytes;

pub(super) fn run(model: &mut Model<'_>, name: &str, args: &[Bytes]) -> Option<Outcome> {
    Some(Ok(match name {
        "exists" | "touch" => {
            let found = args[1..].iter().filter(|key| model.keys.contains_key(*key));
            count(found.count())
        }
        "type" => Reply::simple(
            model
                .value(&args[1])
                .map_or("none", |value| value.type_name()),
        ),
        "del" | "unlink" => {
            let found = args[1..].iter();
            let found = found.filter(|key| model.keys.remove(*key).is_some());
            count(found.count())
        }
        "flushall" | "flushdb" => {
            model.keys.clear();
            ok()
        }
        "dbsize" => count(model.keys.len()),
        "keys" => Reply::Array(model.keys.keys().map(|key| bulk(key)).collect()),
        "persist" => {
            let shown = model.keys.get_mut(&args[1]);
            let held = shown.filter(|shown| shown.deadline != NEVER);
            truth(held.map(|shown| shown.deadline = NEVER).is_some())
        }
        "rename" | "renamenx" => return Some(rename(model, name, args)),
        "copy" if args[1] == args[2] => {
            let same = "ERR source and destination objects are the same";
            return Some(Err(Reply::error(same)));
        }
        "copy" => {
            let replace = args[3..].iter().any(|option| is(option, "REPLACE"));
            let free = replace || !model.keys.contains_key(&args[2]);
            let found = model.keys.get(&args[1]).filter(|_| free).cloned();
            truth(
                found
                    .map(|shown| model.keys.insert(args[2].clone(), shown))
                    .is_some(),
            )
        }
        "expire" | "pexpire" | "expireat" | "pexpireat" => return Some(expire(model, name, args)),
        "ttl" | "pttl" | "expiretime" | "pexpiretime" => lifetime(model, name, &args[1]),
        _ => return None,
    }))
}

/// The deadline that a number in a unit means, which must be above 0.
pub(super) fn absolute(
    model: &Model<'_>,
    (unit, number): (&[u8], i64),
    name: &str,
) -> Result<u64, Reply> {
    let invalid = || Reply::error(format!("ERR invalid expire time in '{name}' command"));
    if number <= 0 {
        return Err(invalid());
    }
    let ms = deadline_of(model, unit, number).ok_or_else(invalid)?;
    u64::try_from(ms).map_err(|_| invalid())
}

fn deadline_of(model: &Model<'_>, unit: &[u8], number: i64) -> Option<i64> {
    let number = if unit.starts_with(b"EX") {
        number.checked_mul(1000)?
    } else {
        number
    };
    if unit.ends_with(b"AT") {
        Some(number)
    } else {
        number.checked_add(i64::try_from(model.now_ms).ok()?)
    }
}

/// Gives a key another deadline; one that has passed removes it.
pub(super) fn set_deadline(model: &mut Model<'_>, key: &[u8], deadline: u64) {
    if model.passed(deadline) {
        model.keys.remove(key);
    } else if let Some(shown) = model.keys.get_mut(key) {
        shown.deadline = deadline;
    }
}

fn rename(model: &mut Model<'_>, name: &str, args: &[Bytes]) -> Outcome {
    let Some(shown) = model.keys.get(&args[1]).cloned() else {
        return Err(Reply::error("ERR no such key"));
    };
    let (nx, same) = (name == "renamenx", args[1] == args[2]);
    if nx && model.keys.contains_key(&args[2]) {
        return Ok(truth(false));
    }
    if !same {
        model.keys.remove(&args[1]);
        model.keys.insert(args[2].clone(), shown);
    }
    Ok(if nx { truth(true) } else { ok() })
}

fn expire(model: &mut Model<'_>, name: &str, args: &[Bytes]) -> Outcome {
    let number = integer(&args[2])?;
    let unit: &[u8] = match name {
        "expire" => b"EX",
        "pexpire" => b"PX",
        "expireat" => b"EXAT",
        _ => b"PXAT",
    };
    let ms = deadline_of(model, unit, number);
    let ms =
        ms.ok_or_else(|| Reply::error(format!("ERR invalid expire time in '{name}' command")))?;
    let next = u64::try_from(ms).unwrap_or(0);
    let Some(shown) = model.keys.get(&args[1]) else {
        return Ok(truth(false));
    };
    let now = shown.deadline;
    let refused = args[3..].iter().any(|option| {
        (is(option, "NX") && now != NEVER)
            || (is(option, "XX") && now == NEVER)
            || (is(option, "GT") && next <= now)
            || (is(option, "LT") && next >= now)
    });
    if !refused {
        set_deadline(model, &args[1], next);
    }
    Ok(truth(!refused))
}

fn lifetime(model: &Model<'_>, name: &str, key: &[u8]) -> Reply {
    let Some(shown) = model.keys.get(key) else {
        return Reply::Integer(-2);
    };
    if shown.deadline == NEVER {
        return Reply::Integer(-1);
    }
    let left = shown.deadline.saturating_sub(model.now_ms);
    let seconds = |ms: u64| ms.saturating_add(500) / 1000;
    let number = match name {
        "ttl" => seconds(left),
        "pttl" => left,
        "expiretime" => seconds(shown.deadline),
        _ => shown.deadline,
    };
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
