//! Sorted sets.

use std::collections::BTreeMap;

use evenkeel_resp::Reply;

use super::{Model, Outcome, Value, bulk, count, integer, is, real, wrong_type};
use crate::commands::Bytes;

type Scores = BTreeMap<Bytes, f64>;

pub(super) fn run(model: &mut Model<'_>, name: &str, args: &[Bytes]) -> Option<Outcome> {
    Some(match name {
        "zadd" => add(model, args),
        "zincrby" => increment(model, &args[1], (&args[2], &args[3]), &[]),
        "zrem" => scores(model, &args[1]).map(|mut held| {
            let before = held.len();
            args[2..].iter().for_each(|member| {
                held.remove(member);
            });
            let removed = before - held.len();
            model.store(&args[1], Value::SortedSet(held));
            count(removed)
        }),
        "zpopmin" | "zpopmax" => pop(model, &args[1], name == "zpopmax"),
        "zremrangebyrank" => remove_ranks(model, args),
        "zremrangebyscore" => remove_scores(model, args),
        "zcard" => scores(model, &args[1]).map(|held| count(held.len())),
        "zscore" => scores(model, &args[1]).map(|held| score(held.get(&args[2]))),
        "zrank" | "zrevrank" => scores(model, &args[1]).map(|held| {
            let mut order = ranked(&held);
            if name == "zrevrank" {
                order.reverse();
            }
            let rank = order.iter().position(|(member, _)| *member == args[2]);
            rank.map_or(Reply::Null, count)
        }),
        "zcount" => scores(model, &args[1]).map(|held| {
            let inside = held.values().filter(|score| between(args, **score));
            count(inside.count())
        }),
        "zrange" => range(model, args),
        _ => return None,
    })
}

fn scores(model: &Model<'_>, key: &[u8]) -> Result<Scores, Reply> {
    match model.value(key) {
        None => Ok(Scores::new()),
        Some(Value::SortedSet(scores)) => Ok(scores.clone()),
        Some(_) => Err(wrong_type()),
    }
}

fn score(score: Option<&f64>) -> Reply {
    score.map_or(Reply::Null, |score| Reply::Double(*score))
}

/// By score, then by name.
fn ranked(held: &Scores) -> Vec<(Bytes, f64)> {
    let mut order: Vec<(Bytes, f64)> = held.iter().map(|(m, s)| (m.clone(), *s)).collect();
    order.sort_by(|(a, x), (b, y)| x.total_cmp(y).then_with(|| a.cmp(b)));
    order
}

fn number(text: &[u8]) -> Result<f64, Reply> {
    real(text).ok_or_else(|| Reply::error("ERR value is not a valid float"))
}

fn between(args: &[Bytes], score: f64) -> bool {
    let border = |at: usize| real(&args[at]).unwrap_or(0.0);
    (border(2)..=border(3)).contains(&score)
}

fn may(options: &[Bytes], current: Option<f64>, wanted: f64) -> bool {
    let has = |name| options.iter().any(|option| is(option, name));
    match current {
        None => !has("XX"),
        Some(current) => {
            let refused =
                has("NX") || (has("GT") && wanted <= current) || (has("LT") && wanted >= current);
            !refused
        }
    }
}

fn add(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let options = args[2..].iter().take_while(|arg| real(arg).is_none());
    let (options, pairs) = args[2..].split_at(options.count());
    if options.iter().any(|option| is(option, "INCR")) {
        return increment(model, &args[1], (&pairs[0], &pairs[1]), options);
    }
    let mut held = scores(model, &args[1])?;
    let (mut added, mut changed) = (0, 0);
    for pair in pairs.chunks_exact(2) {
        let wanted = number(&pair[0])?;
        let current = held.get(&pair[1]).copied();
        if !may(options, current, wanted) {
            continue;
        }
        added += usize::from(current.is_none());
        changed += usize::from(current.is_none_or(|current| current != wanted));
        held.insert(pair[1].clone(), wanted);
    }
    model.store(&args[1], Value::SortedSet(held));
    let all = options.iter().any(|option| is(option, "CH"));
    Ok(count(if all { changed } else { added }))
}

fn increment(
    model: &mut Model<'_>,
    key: &[u8],
    (by, member): (&[u8], &[u8]),
    options: &[Bytes],
) -> Outcome {
    let by = number(by)?;
    let mut held = scores(model, key)?;
    let current = held.get(member).copied();
    let sum = current.unwrap_or(0.0) + by;
    if !may(options, current, sum) {
        return Ok(Reply::Null);
    }
    held.insert(member.to_vec(), sum);
    model.store(key, Value::SortedSet(held));
    Ok(Reply::Double(sum))
}

/// The ranks from `start` to `stop`, counted from the end when negative.
pub(super) fn span(args: &[Bytes], length: usize) -> Result<std::ops::Range<usize>, Reply> {
    let (start, stop) = (integer(&args[2])?, integer(&args[3])?);
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let place = |at: i64| if at < 0 { at + length } else { at };
    let from = place(start).max(0).min(length);
    let to = (place(stop) + 1).clamp(from, length.max(from));
    let index = |at: i64| usize::try_from(at).unwrap_or(0);
    Ok(index(from)..index(to))
}

fn remove_ranks(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let mut held = scores(model, &args[1])?;
    let order = ranked(&held);
    let gone = &order[span(args, order.len())?];
    gone.iter().for_each(|(member, _)| {
        held.remove(member);
    });
    model.store(&args[1], Value::SortedSet(held));
    Ok(count(gone.len()))
}

fn pop(model: &mut Model<'_>, key: &[u8], highest: bool) -> Outcome {
    let mut held = scores(model, key)?;
    let mut order = ranked(&held);
    if highest {
        order.reverse();
    }
    let popped = order.first().map(|(member, score)| {
        held.remove(member);
        vec![bulk(member), Reply::Double(*score)]
    });
    model.store(key, Value::SortedSet(held));
    Ok(Reply::Array(popped.unwrap_or_default()))
}

fn remove_scores(model: &mut Model<'_>, args: &[Bytes]) -> Outcome {
    let mut held = scores(model, &args[1])?;
    let before = held.len();
    held.retain(|_, score| !between(args, *score));
    let removed = before - held.len();
    model.store(&args[1], Value::SortedSet(held));
    Ok(count(removed))
}

fn range(model: &Model<'_>, args: &[Bytes]) -> Outcome {
    let mut order = ranked(&scores(model, &args[1])?);
    let options = &args[4..];
    if options.iter().any(|option| is(option, "REV")) {
        order.reverse();
    }
    let part = order[span(args, order.len())?].iter();
    if options.iter().any(|option| is(option, "WITHSCORES")) {
        let pairs = part.map(|(member, score)| (bulk(member), Reply::Double(*score)));
        return Ok(Reply::Pairs(pairs.collect()));
    }
    Ok(Reply::Array(part.map(|(member, _)| bulk(member)).collect()))
}
