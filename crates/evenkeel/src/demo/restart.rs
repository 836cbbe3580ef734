//! Scene 3: a node is killed under load, nobody notices; it starts again and gets exactly what it missed.

use std::time::Duration;

use anyhow::{Result, bail};

use super::cluster::{Cluster, DELAY_MS_MAX};
use super::load::{Load, Written};
use super::screen::{Screen, ms};
use crate::cli::divergence::matrix;
use crate::cli::talk::Dig as _;

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// How long clients write before the kill, and how long after it.
const WRITE_BEFORE: Duration = Duration::from_millis(1_200);
const WRITE_AFTER: Duration = Duration::from_millis(1_200);
/// Cells that a node has received by anti-entropy since its start.
const RECEIVED: &str = "evenkeel_sync_units_total";
/// Times that the scene is played, should B get data before it could be asked what it had kept.
const TRIES_MAX: usize = 3;

pub(super) fn play(cluster: &mut Cluster, screen: &mut Screen) -> Result<()> {
    screen.title(
        "3. Kill B under load, start it again",
        "A node that dies is no event for clients of the others: there is nothing to elect and nothing to fail over.\nWhen it is back it asks for what it lacks, and for nothing else.",
    )?;
    for _ in 0..TRIES_MAX {
        if once(cluster, screen)? {
            return Ok(());
        }
        screen.note(
            "B had data from the others before it could be asked what it had kept; once more",
        )?;
    }
    bail!("B could not be asked what it had kept in {TRIES_MAX} tries")
}

fn once(cluster: &mut Cluster, screen: &Screen) -> Result<bool> {
    let base = keys(cluster, A)?;
    let (at_kill, written) = kill_under_load(cluster, screen)?;
    screen.claim(
        &format!(
            "{} of {} writes were acknowledged, {} of them after the kill; the slowest took {:.1} ms",
            written.acknowledged,
            written.acknowledged + written.failed,
            written.acknowledged - at_kill,
            ms(written.slowest)
        ),
        written.failed == 0 && written.acknowledged > at_kill,
    )?;
    // The longest delay, so that B can be asked for what it kept before anything can have come.
    cluster.delay(A, DELAY_MS_MAX, DELAY_MS_MAX)?;
    cluster.delay(C, DELAY_MS_MAX, DELAY_MS_MAX)?;
    cluster.start_node(B)?;
    let kept = keys(cluster, B)?.saturating_sub(base);
    if cluster.metric(B, RECEIVED)? != 0 {
        cluster.delay_all()?;
        cluster.await_converged(A)?;
        return Ok(false);
    }
    cluster.delay_all()?;
    let missed = written.acknowledged.saturating_sub(kept);
    screen.note(&format!(
        "B is started again; its own disk gave it back {kept} of the {}, so it missed {missed}",
        written.acknowledged
    ))?;
    let wanted = base + written.acknowledged;
    cluster.until("B has every key", |cluster| Ok(keys(cluster, B)? == wanted))?;
    caught_up(cluster, screen, wanted, missed)?;
    Ok(true)
}

fn kill_under_load(cluster: &mut Cluster, screen: &Screen) -> Result<(u64, Written)> {
    let load = Load::start(&[cluster.address(A), cluster.address(C)])?;
    screen.note("two clients write without a pause, one on A, one on C")?;
    std::thread::sleep(WRITE_BEFORE);
    cluster.kill(B)?;
    let at_kill = load.so_far();
    screen.note(&format!("kill -9 B, after {at_kill} writes"))?;
    std::thread::sleep(WRITE_AFTER);
    Ok((at_kill, load.finish()?))
}

fn caught_up(cluster: &mut Cluster, screen: &Screen, wanted: u64, missed: u64) -> Result<()> {
    let reply = cluster.at_full_speed(|cluster| {
        cluster.await_converged(A)?;
        cluster.divergence(B)
    })?;
    let received = cluster.metric(B, RECEIVED)?;
    screen.claim(
        &format!(
            "B received {received} values from the others: exactly what it missed, nothing twice"
        ),
        received == missed && missed > 0,
    )?;
    let counts = [keys(cluster, A)?, keys(cluster, B)?, keys(cluster, C)?];
    screen.keys(
        "caught up",
        &[("keys", counts.map(|count| count.to_string()))],
    )?;
    screen.claim(
        &format!("every node has all {wanted} keys: nothing acknowledged was lost"),
        counts == [wanted; 3],
    )?;
    screen.divergence(&matrix(&reply, "   "), evenkeel::json::to_json(&reply))?;
    screen.claim(
        "no node lacks a single event of another",
        reply.field("converged").is_true(),
    )
}

fn keys(cluster: &mut Cluster, node: usize) -> Result<u64> {
    let count = cluster.run(node, "DBSIZE")?.number().unwrap_or_default();
    Ok(u64::try_from(count)?)
}
