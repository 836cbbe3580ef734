//! How often each command ran, how long it took and how it failed: for INFO, LATENCY HISTOGRAM and CONFIG RESETSTAT.
//!
//! Each executor counts in a shard of its own, which only its thread writes: a counter costs a load and a store. A
//! reader sums the shards; what is counted meanwhile it may miss.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use evenkeel_core::command::{CommandId, PLACES, ids};
use parking_lot::Mutex;

/// Buckets per doubling of the time: a percentile is right within a quarter.
const STEPS: usize = 4;
/// Buckets from a microsecond to more than an hour.
const BUCKETS: usize = 34 * STEPS;
/// Codes of errors that are told apart, as in Redis: clients can make up more.
const ERROR_CODES_MAX: usize = 128;

/// A command with its subcommand: the place of its counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Counted(usize);

/// Where the counters of each command begin: its own, then one for each subcommand.
static BASES: LazyLock<[usize; PLACES]> = LazyLock::new(|| {
    let mut bases = [0; PLACES];
    let mut next = 0;
    for id in ids() {
        bases[id.number()] = next;
        next += 1 + id.spec().subcommands.len();
    }
    bases
});

impl Counted {
    pub(super) fn of(id: CommandId, args: &[&[u8]]) -> Self {
        let base = BASES[id.number()];
        let subcommands = id.spec().subcommands;
        let Some(word) = args.get(1).filter(|_| !subcommands.is_empty()) else {
            return Self(base);
        };
        let mut known = subcommands.iter();
        let place = known.position(|known| known.as_bytes().eq_ignore_ascii_case(word));
        Self(place.map_or(base, |place| base + 1 + place))
    }

    /// All of them with their names.
    fn all() -> impl Iterator<Item = (Self, String)> {
        ids().flat_map(|id| {
            let spec = id.spec();
            let base = BASES[id.number()];
            let subcommands = spec.subcommands.iter().enumerate();
            let subcommands = subcommands
                .map(move |(n, sub)| (Self(base + 1 + n), format!("{}|{sub}", spec.name)));
            std::iter::once((Self(base), spec.name.to_owned())).chain(subcommands)
        })
    }

    pub(super) const fn number(self) -> usize {
        self.0
    }

    /// The name of the command with that number.
    pub(super) fn name_of(number: usize) -> String {
        let mut all = Self::all();
        all.find(|(counted, _)| counted.0 == number)
            .map_or_else(String::new, |(_, name)| name)
    }

    fn count() -> usize {
        Self::all().count()
    }
}

/// The counters of one command.
#[derive(Debug)]
struct Counters {
    calls: AtomicU64,
    nanos: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            calls: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

/// The counters that one thread writes.
#[derive(Debug)]
pub(super) struct Shard {
    commands: Vec<OnceLock<Box<Counters>>>,
}

/// Adds without an atomic read-modify-write: only the shard's thread writes.
fn add(counter: &AtomicU64, by: u64) {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(by);
    counter.store(sum, Ordering::Relaxed);
}

fn bucket(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let Some(doublings) = micros.checked_ilog2() else {
        return 0;
    };
    let doublings = doublings as usize;
    // The two bits behind the first one say which quarter of the doubling it is.
    let quarter = if doublings >= 2 {
        (micros >> (doublings - 2)) & 3
    } else {
        (micros << (2 - doublings)) & 3
    };
    let quarter = usize::try_from(quarter).unwrap_or(0);
    (doublings * STEPS + quarter).min(BUCKETS - 1)
}

/// The greatest number of microseconds in a bucket, and a little.
fn upper_micros(bucket: usize) -> f64 {
    let doubling = (1u64 << (bucket / STEPS)) as f64;
    doubling * (1.0 + ((bucket % STEPS) + 1) as f64 / STEPS as f64)
}

impl Shard {
    fn new() -> Self {
        Self {
            commands: (0..Counted::count()).map(|_| OnceLock::new()).collect(),
        }
    }

    fn of(&self, counted: Counted) -> &Counters {
        self.commands[counted.0].get_or_init(Box::default)
    }

    /// A command ran; its distribution is kept only when that is asked for.
    pub(super) fn ran(&self, counted: Counted, took: Duration, tracked: Tracked) {
        let counters = self.of(counted);
        add(&counters.calls, 1);
        add(
            &counters.nanos,
            u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        );
        if tracked == Tracked::Yes {
            add(&counters.buckets[bucket(took)], 1);
        }
    }

    pub(super) fn failed(&self, counted: Counted) {
        add(&self.of(counted).failed, 1);
    }

    pub(super) fn rejected(&self, counted: Counted) {
        add(&self.of(counted).rejected, 1);
    }
}

/// Whether the distribution of times is kept (`latency-tracking`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tracked {
    Yes,
    No,
}

/// The sums over all shards for one command.
#[derive(Clone, Debug, Default)]
pub(super) struct Total {
    pub(super) calls: u64,
    pub(super) micros: u64,
    pub(super) rejected: u64,
    pub(super) failed: u64,
    buckets: Vec<u64>,
}

impl Total {
    /// The time that so many of a hundred calls did not exceed, in microseconds.
    pub(super) fn percentile(&self, percentile: f64) -> f64 {
        let counted = self.tracked();
        let wanted = (counted as f64 * percentile / 100.0).ceil().max(1.0);
        let mut sum = 0;
        for (place, count) in self.buckets.iter().enumerate() {
            sum += count;
            if sum as f64 >= wanted {
                return upper_micros(place);
            }
        }
        0.0
    }

    /// Calls whose time is known.
    pub(super) fn tracked(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How many calls took at most so many microseconds, at each doubling at which there are more.
    pub(super) fn histogram(&self) -> Vec<(u64, u64)> {
        let mut sum = 0;
        let mut steps = Vec::new();
        for (doubling, counts) in self.buckets.chunks(STEPS).enumerate() {
            let count: u64 = counts.iter().sum();
            if count > 0 {
                sum += count;
                steps.push((2u64 << doubling, sum));
            }
        }
        steps
    }
}

/// Everything that is counted on a node about commands.
#[derive(Debug, Default)]
pub(super) struct Stats {
    shards: Mutex<Vec<Arc<Shard>>>,
    /// What was counted before the last CONFIG RESETSTAT: shards are never written by others.
    before: Mutex<BTreeMap<usize, Total>>,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Stats {
    /// A shard for one thread.
    pub(super) fn shard(&self) -> Arc<Shard> {
        let shard = Arc::new(Shard::new());
        self.shards.lock().push(Arc::clone(&shard));
        shard
    }

    fn sum(&self, counted: Counted) -> Total {
        let mut total = Total::default();
        for shard in self.shards.lock().iter() {
            let Some(counters) = shard.commands[counted.0].get() else {
                continue;
            };
            let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            total.calls += load(&counters.calls);
            total.micros += load(&counters.nanos);
            total.rejected += load(&counters.rejected);
            total.failed += load(&counters.failed);
            total.buckets.resize(BUCKETS, 0);
            for (sum, bucket) in total.buckets.iter_mut().zip(&counters.buckets) {
                *sum += load(bucket);
            }
        }
        total
    }

    /// What a command has done since the last reset; its time still in nanoseconds.
    fn since_reset(&self, counted: Counted) -> Total {
        let mut total = self.sum(counted);
        if let Some(before) = self.before.lock().get(&counted.0) {
            total.calls = total.calls.saturating_sub(before.calls);
            total.micros = total.micros.saturating_sub(before.micros);
            total.rejected = total.rejected.saturating_sub(before.rejected);
            total.failed = total.failed.saturating_sub(before.failed);
            for (sum, old) in total.buckets.iter_mut().zip(&before.buckets) {
                *sum = sum.saturating_sub(*old);
            }
        }
        total
    }

    /// Every command that ran or was refused since the last reset.
    pub(super) fn totals(&self) -> Vec<(String, Total)> {
        let totals = Counted::all().map(|(counted, name)| (name, self.since_reset(counted)));
        totals
            .filter(|(_, total)| total.calls + total.rejected > 0)
            .map(|(name, mut total)| {
                total.micros /= 1000;
                (name, total)
            })
            .collect()
    }

    /// An error reply went out; its first word is its code.
    pub(super) fn error(&self, text: &[u8]) {
        let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        let code = String::from_utf8_lossy(code).into_owned();
        let mut errors = self.errors.lock();
        if errors.len() < ERROR_CODES_MAX || errors.contains_key(&code) {
            *errors.entry(code).or_default() += 1;
        }
    }

    /// How often each error code was answered.
    pub(super) fn errors(&self) -> Vec<(String, u64)> {
        let errors = self.errors.lock();
        errors
            .iter()
            .map(|(code, count)| (code.clone(), *count))
            .collect()
    }

    /// Begins anew.
    pub(super) fn reset(&self) {
        let sums = Counted::all().map(|(counted, _)| (counted.0, self.sum(counted)));
        *self.before.lock() = sums
            .filter(|(_, total)| total.calls + total.rejected > 0)
            .collect();
        self.errors.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_core::command::lookup_id;

    use super::*;

    fn counted(words: &[&str]) -> Counted {
        let args: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        Counted::of(lookup_id(args[0]).unwrap(), &args)
    }

    #[test]
    fn commands_and_subcommands_are_counted_apart() {
        for (words, name) in [
            (&["get", "k"][..], "get"),
            (&["CLIENT", "List"], "client|list"),
            (&["client", "nosuch"], "client"),
            (&["client"], "client"),
        ] {
            assert_eq!(Counted::name_of(counted(words).number()), name);
        }
    }

    #[test]
    fn a_bucket_holds_what_is_within_a_quarter_of_its_upper_end() {
        for micros in [1u64, 2, 3, 4, 5, 7, 8, 100, 1000, 12_345, 1_000_000] {
            let upper = upper_micros(bucket(Duration::from_micros(micros)));
            let micros = micros as f64;
            assert!(
                upper > micros && upper <= micros * 1.25 + 1.0,
                "{micros} {upper}"
            );
        }
    }

    #[test]
    fn a_reset_forgets_without_touching_the_shards() {
        let stats = Stats::default();
        let shard = stats.shard();
        let get = counted(&["get"]);
        shard.ran(get, Duration::from_micros(3), Tracked::Yes);
        shard.rejected(get);
        stats.error(b"ERR no");
        assert_eq!(stats.totals()[0].1.calls, 1);
        stats.reset();
        assert!(stats.totals().is_empty() && stats.errors().is_empty());
        shard.ran(get, Duration::from_micros(3), Tracked::No);
        let (name, total) = stats.totals().remove(0);
        assert_eq!((name.as_str(), total.calls, total.tracked()), ("get", 1, 0));
    }
}
