//! Scene 1: a write to one node is answered at once, the nodes differ for a while, then they do not.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::cluster::{Cluster, shown};
use super::screen::{Screen, ms};

/// Tries to see the nodes differ, should the delays drawn be too short to look in between.
const TRIES_MAX: usize = 5;
/// How long the write may take to reach everybody: several times the longest delay.
const SPREAD_MAX: Duration = Duration::from_secs(5);
/// How often the nodes are read.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

pub(super) fn play(cluster: &mut Cluster, screen: &mut Screen) -> Result<()> {
    screen.title(
        "1. Write to one node, and all get it",
        "A node answers a write by itself and tells the others afterwards. So for a moment the nodes differ;\nthen they do not, without anybody doing anything.",
    )?;
    for _ in 0..TRIES_MAX {
        let seen = watch(cluster, screen)?;
        if seen.differed {
            screen.claim(
                &format!(
                    "A answered after {:.1} ms; B and C were read later than that and still had 5",
                    ms(seen.answered)
                ),
                seen.differed,
            )?;
            return screen.claim(
                &format!(
                    "{:.2} s later all three had 10, by themselves",
                    seen.converged.as_secs_f64()
                ),
                seen.converged < SPREAD_MAX,
            );
        }
        screen.note("the delays were too short to see the nodes differ; once more")?;
    }
    bail!("the nodes were never seen to differ in {TRIES_MAX} tries")
}

/// What was seen of one write.
struct Seen {
    /// How long the answer took.
    answered: Duration,
    /// Whether A had the new value while B and C had the old one.
    differed: bool,
    /// When all three were seen with the new value.
    converged: Duration,
}

fn watch(cluster: &mut Cluster, screen: &Screen) -> Result<Seen> {
    cluster.run(0, "SET balance 5")?;
    let fives = five_ten([5, 5, 5]);
    cluster.until("5 is everywhere", |cluster| Ok(values(cluster)? == fives))?;
    let before = values(cluster)?;
    screen.note("SET balance 5, then wait until everybody has it")?;
    screen.claim("all three have 5", before == fives)?;
    screen.note("SET balance 10 on A, then read all three, again and again")?;
    screen.values_head()?;
    let started = Instant::now();
    let answered = cluster.timed(0, "SET balance 10")?;
    // A was read first, and values only go from 5 to 10 here: what is read one after the other was true at one time.
    let mut last = None;
    let mut differed = false;
    while last != Some(five_ten([10, 10, 10])) {
        if started.elapsed() > SPREAD_MAX {
            bail!("a write to A reaches B and C within {SPREAD_MAX:?}");
        }
        let now = values(cluster)?;
        if last.as_ref() != Some(&now) {
            screen.values("balance", started.elapsed(), &now)?;
        }
        differed |= now == five_ten([10, 5, 5]);
        last = Some(now);
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(Seen {
        answered,
        differed,
        converged: started.elapsed(),
    })
}

fn values(cluster: &mut Cluster) -> Result<[String; 3]> {
    Ok(cluster.on_each("GET balance")?.map(|reply| shown(&reply)))
}

fn five_ten(values: [u32; 3]) -> [String; 3] {
    values.map(|value| value.to_string())
}
