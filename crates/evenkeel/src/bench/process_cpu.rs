//! CPU time that processes have used, all their threads included, from Linux's `/proc`.
//!
//! Invariant: a difference is only taken between two looks at the same process; a number that
//! was given to another process meanwhile is found by its start time.

use std::{fs, io};

/// CPU time of one process so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Usage {
    /// User and system time, in ticks.
    ticks: u64,
    /// When the process began, in ticks since boot.
    started: u64,
}

/// The CPU time of some processes at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    usages: Vec<(u32, Usage)>,
}

impl Sample {
    /// Looks at all processes now.
    ///
    /// # Errors
    /// One of them does not exist, or this system has no `/proc`.
    pub(super) fn take(pids: &[u32]) -> anyhow::Result<Self> {
        let usages = pids.iter().map(|&pid| Ok((pid, usage(pid)?)));
        Ok(Self {
            usages: usages.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Microseconds that they used together since `earlier`.
    ///
    /// # Errors
    /// One of them is another process now.
    pub(super) fn us_since(&self, earlier: &Self) -> anyhow::Result<u64> {
        let ticks = self.ticks_since(earlier)?;
        Ok(ticks.saturating_mul(1_000_000) / rustix::param::clock_ticks_per_second().max(1))
    }

    fn ticks_since(&self, earlier: &Self) -> anyhow::Result<u64> {
        let mut ticks = 0;
        for ((pid, now), (_, then)) in self.usages.iter().zip(&earlier.usages) {
            if now.started != then.started {
                anyhow::bail!("process {pid} was restarted during the run");
            }
            ticks += now.ticks.saturating_sub(then.ticks);
        }
        Ok(ticks)
    }
}

fn usage(pid: u32) -> anyhow::Result<Usage> {
    let path = format!("/proc/{pid}/stat");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            anyhow::bail!("no process {pid} (its CPU time is read from {path})")
        }
        Err(error) => anyhow::bail!("cannot read {path}: {error}"),
    };
    parse(&text).ok_or_else(|| anyhow::anyhow!("{path} is not as expected"))
}

/// Reads a line of proc(5): fields 14, 15 and 22. The name of the program, field 2, may hold
/// spaces and parentheses, so counting begins behind the last of them.
fn parse(stat: &str) -> Option<Usage> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = behind_name.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Usage {
        ticks: field(14)? + field(15)?,
        started: field(22)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (odd) name 7) S 1 4242 4242 0 -1 4194560 1520 0 3 0 \
        1234 766 5 6 20 0 5 0 98765 73416704 2941 18446744073709551615 1 1\n";

    fn sample(ticks: u64, started: u64) -> Sample {
        Sample {
            usages: vec![(7, Usage { ticks, started }), (8, Usage { ticks, started })],
        }
    }

    #[test]
    fn user_and_system_time_are_read_whatever_the_program_is_called() {
        let expected = Usage {
            ticks: 2000,
            started: 98765,
        };
        assert_eq!(parse(STAT), Some(expected));
    }

    #[test]
    fn a_cut_line_is_no_usage() {
        for end in 0..STAT.len() - 60 {
            assert_eq!(parse(&STAT[..end]), None, "{end}");
        }
    }

    #[test]
    fn the_difference_is_summed_over_the_processes() {
        assert_eq!(sample(150, 1).ticks_since(&sample(100, 1)).unwrap(), 100);
    }

    #[test]
    fn a_process_that_took_over_a_number_is_not_mistaken_for_the_old_one() {
        let error = sample(150, 2).us_since(&sample(100, 1)).unwrap_err();
        assert_eq!(error.to_string(), "process 7 was restarted during the run");
    }
}
