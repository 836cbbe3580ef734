//! Scene 2: the network splits, both sides go on writing, it heals, and everything is merged by its type.

use std::time::Duration;

use anyhow::Result;
use evenkeel_resp::Reply;

use super::cluster::{Cluster, shown};
use super::screen::{Screen, ms};
use crate::cli::divergence::matrix;
use crate::cli::talk::Dig as _;

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// Between the writes of two nodes: several steps of the clock by which the later one of concurrent writes is shown, or
/// writes of the same millisecond would be decided by the nodes' names for this start.
const APART: Duration = Duration::from_millis(10);

/// What everybody has before the cut.
const BEFORE: [&str; 4] = [
    "SET motto calm",
    "INCRBY visits 100",
    "SADD cart apples bread",
    "SET draft old",
];

/// What is written while C is cut off: where, what, and how many events that is.
const MEANWHILE: [(usize, &str, u64); 17] = [
    (A, "SET motto steady", 1),
    (A, "INCR visits", 1),
    (A, "INCR visits", 1),
    (A, "INCR visits", 1),
    (A, "SREM cart apples bread", 2),
    (A, "SADD cart eggs", 1),
    (B, "INCR visits", 1),
    (B, "INCR visits", 1),
    (B, "INCR visits", 1),
    (B, "INCR visits", 1),
    (B, "DEL draft", 1),
    (C, "SET motto onwards", 1),
    (C, "INCR visits", 1),
    (C, "INCR visits", 1),
    (C, "INCR visits", 1),
    (C, "SADD cart bread", 1),
    (C, "SADD cart milk", 1),
];

/// The keys, and how they are read.
const READS: [(&str, &str); 4] = [
    ("motto", "GET motto"),
    ("visits", "GET visits"),
    ("cart", "SMEMBERS cart"),
    ("draft", "GET draft"),
];

pub(super) fn play(cluster: &mut Cluster, screen: &mut Screen) -> Result<()> {
    screen.title(
        "2. Cut C off, write on both sides, heal",
        "Nobody waits and nobody is refused while the network is split. Afterwards the type of the data decides what\nbecomes of both sides' writes: counters add up, sets keep what was added, deletes stay.",
    )?;
    for command in BEFORE {
        cluster.run(A, command)?;
    }
    cluster.settle()?;
    cluster.cut_off(C)?;
    cluster.until("A, B and C notice the cut", |cluster| {
        let [_, _, of_c] = cluster.lags()?;
        Ok(of_c.iter().all(|lag| !lag.linked))
    })?;
    screen.note("C is cut off. Written meanwhile:")?;
    let (answered, slowest) = write(cluster, screen)?;
    screen.claim(
        &format!(
            "both sides answered all {answered} writes, though cut off; the slowest took {:.1} ms",
            ms(slowest)
        ),
        answered == MEANWHILE.len(),
    )?;
    apart(cluster, screen)?;
    cluster.heal()?;
    screen.note("The network heals.")?;
    cluster.until("all nodes show the same values", |cluster| {
        Ok(read(cluster)?
            .iter()
            .all(|(_, values)| values.iter().all(|value| *value == values[A])))
    })?;
    together(cluster, screen)
}

fn write(cluster: &mut Cluster, screen: &Screen) -> Result<(usize, Duration)> {
    let mut answered = 0;
    let mut slowest = Duration::ZERO;
    for (node, name) in super::cluster::NAMES.iter().enumerate() {
        let mut said: Vec<String> = Vec::new();
        for (_, command, _) in MEANWHILE.iter().filter(|write| write.0 == node) {
            // An error or no answer ends the story here.
            slowest = slowest.max(cluster.timed(node, command)?);
            answered += 1;
            match said.last_mut() {
                Some(last) if last.starts_with(command) => last.push('+'),
                _ => said.push((*command).to_owned()),
            }
        }
        let said = said.iter().map(|text| {
            let times = text.matches('+').count() + 1;
            match times {
                1 => text.clone(),
                _ => format!("{} (x{times})", text.trim_end_matches('+')),
            }
        });
        let said: Vec<String> = said.collect();
        screen.note(&format!("  on {name}: {}", said.join(", ")))?;
        std::thread::sleep(APART);
    }
    Ok((answered, slowest))
}

fn read(cluster: &mut Cluster) -> Result<[(&'static str, [String; 3]); 4]> {
    let mut keys = READS.map(|(key, _)| (key, <[String; 3]>::default()));
    for ((_, values), (_, command)) in keys.iter_mut().zip(READS) {
        *values = cluster.on_each(command)?.map(|reply| shown(&reply));
    }
    Ok(keys)
}

/// Shows the nodes while they cannot agree.
fn apart(cluster: &mut Cluster, screen: &Screen) -> Result<()> {
    cluster.until("A and B, on the same side, agree", |cluster| {
        Ok(read(cluster)?
            .iter()
            .all(|(_, values)| values[A] == values[B]))
    })?;
    let keys = read(cluster)?;
    screen.keys("while cut off", &keys)?;
    screen.claim(
        "every key differs between the two sides",
        keys.iter().all(|(_, values)| values[A] != values[C]),
    )?;
    let events = |side: &[usize]| -> u64 {
        let writes = MEANWHILE.iter().filter(|write| side.contains(&write.0));
        writes.map(|write| write.2).sum()
    };
    let (theirs, own) = (events(&[A, B]), events(&[C]));
    let reply = cluster.run(A, "EK.DIVERGENCE")?;
    let [of_a, _, of_c] = cluster.lags()?;
    let lacks = |lags: &[super::cluster::Lag], peer: &str| {
        let lag = lags.iter().find(|lag| lag.peer == peer);
        lag.map_or(0, |lag| lag.lacks)
    };
    screen.divergence(&matrix(&reply, "   "), evenkeel::json::to_json(&reply))?;
    screen.claim(
        "A sees that it cannot reach C ('?') and says so instead of guessing",
        reply.field("unreachable").is_true() && !reply.field("converged").is_true(),
    )?;
    screen.claim(
        &format!("A counts exactly what C lacks: {theirs} events; C counts what A lacks: {own}"),
        lacks(&of_a, "C") == theirs && lacks(&of_c, "A") == own,
    )
}

/// Checks what has become of everything.
fn together(cluster: &mut Cluster, screen: &Screen) -> Result<()> {
    let keys = read(cluster)?;
    screen.keys("healed", &keys)?;
    let all = |key: &str, wanted: &str| {
        let found = keys.iter().find(|(name, _)| *name == key);
        found.is_some_and(|(_, values)| values.iter().all(|value| value == wanted))
    };
    screen.claim(
        "visits: 100 + 3 on A + 4 on B + 3 on C = 110, not one lost or counted twice",
        all("visits", "110"),
    )?;
    screen.claim(
        "draft: deleted on B while C still had it; it did not come back",
        all("draft", "-"),
    )?;
    screen.claim(
        "cart: apples stay removed; bread stays, for C added it again without having seen the removal",
        all("cart", "bread eggs milk"),
    )?;
    screen.claim(
        "motto: two truly concurrent writes, so the later one is shown, everywhere",
        all("motto", "onwards"),
    )?;
    let (inspected, reply) = cluster.at_full_speed(|cluster| {
        cluster.await_converged(A)?;
        let inspected = cluster.ask_about_all(A, "EK.INSPECT motto", |reply| {
            let replicas = reply.field("replicas").items();
            !replicas.iter().all(|one| one.field("reachable").is_true())
        })?;
        Ok((inspected, cluster.divergence(A)?))
    })?;
    screen.inspection(evenkeel::json::to_json(&inspected))?;
    screen.claim(
        "and the one that lost is not gone: EK.INSPECT shows it on every node",
        shows_both(&inspected),
    )?;
    screen.divergence(&matrix(&reply, "   "), evenkeel::json::to_json(&reply))?;
    screen.claim(
        "no node lacks a single event of another",
        reply.field("converged").is_true(),
    )
}

fn shows_both(inspected: &Reply) -> bool {
    let replicas = inspected.field("replicas").items();
    let both = |replica: &Reply| {
        let cells = replica.field("cells").items();
        let versions = cells.iter().flat_map(|cell| cell.field("versions").items());
        let values: Vec<Option<String>> = versions
            .map(|version| version.field("value").text())
            .collect();
        ["steady", "onwards"]
            .iter()
            .all(|wanted| values.iter().any(|value| value.as_deref() == Some(*wanted)))
    };
    replicas.len() == 3 && replicas.iter().all(both)
}
