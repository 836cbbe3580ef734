//! What a set and a hash must show as a function of what happened and who had seen what: written without cells,
//! versions or chains, to check the commands against. Exhaustive for two replicas and short histories.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use super::replicas::Replicas;

/// One thing that a client did: the command, and the events that its replica had seen.
struct Did {
    command: &'static str,
    seen: BTreeSet<usize>,
}

/// All that happened, oldest first, which is also the order of the stamps.
#[derive(Default)]
struct History(Vec<Did>);

impl History {
    /// The events for which `is` holds, and which none for which `ends` holds had seen.
    fn left<'a>(
        &'a self,
        is: impl Fn(&str) -> bool + 'a,
        ends: impl Fn(&str) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Did> {
        let ended = move |event: usize| {
            let mut later = self.0.iter();
            later.any(|did| ends(did.command) && did.seen.contains(&event))
        };
        let events = self.0.iter().enumerate();
        let left = events.filter(move |(event, did)| is(did.command) && !ended(*event));
        left.map(|(_, did)| did)
    }

    /// A member is there when an addition is that no removal had seen. An addition takes the place of those that it
    /// had seen, so who removes it removes them too.
    fn members(&self) -> String {
        let there = ["x", "y"].into_iter().filter(|member| {
            let adds = move |command: &str| command == format!("SADD k {member}");
            let ends = move |command: &str| {
                adds(command) || command == "DEL k" || command == format!("SREM k {member}")
            };
            self.left(adds, ends).next().is_some()
        });
        let there: Vec<String> = there.map(|member| format!("'{member}'")).collect();
        format!("{{{}}}", there.join(" "))
    }

    /// A field shows the newest value that no write, removal or reset had seen, and every such increment.
    fn field(&self) -> String {
        let sets = |command: &str| command.starts_with("HSET");
        let adds = |command: &str| command.starts_with("HINCRBY");
        let ends = |command: &str| sets(command) || command == "HDEL k f" || command == "DEL k";
        let number = |did: &Did| -> i64 {
            let word = did.command.split(' ').next_back();
            word.and_then(|word| word.parse().ok()).unwrap()
        };
        let value = self.left(sets, ends).last().map(number);
        let added: Vec<i64> = self.left(adds, ends).map(number).collect();
        if value.is_none() && added.is_empty() {
            return "nil".to_owned();
        }
        format!("'{}'", value.unwrap_or(0) + added.iter().sum::<i64>())
    }
}

const SET: &[&str] = &["SADD k x", "SADD k y", "SREM k x", "DEL k"];
const HASH: &[&str] = &["HSET k f 10", "HINCRBY k f 3", "HDEL k f", "DEL k"];

/// One step: a replica and a command, or an exchange between two.
#[derive(Clone, Copy, Debug)]
enum Step {
    Run(usize, &'static str),
    Exchange(usize, usize),
}

/// Lets it happen on replicas and in the history; gives what all show in the end, and what they must.
fn play(count: u32, steps: &[Step], read: &str) -> (Vec<String>, History) {
    let mut replicas = Replicas::new(count);
    let mut history = History::default();
    let mut seen = vec![BTreeSet::new(); count as usize];
    let mut own = seen.clone();
    for step in steps {
        match *step {
            Step::Run(at, command) => {
                replicas.run(at, command);
                let event = history.0.len();
                history.0.push(Did {
                    command,
                    seen: seen[at].clone(),
                });
                seen[at].insert(event);
                own[at].insert(event);
            }
            Step::Exchange(a, b) => {
                replicas.exchange(&[a, b]);
                // A replica sends what it wrote itself, not what it has heard.
                seen[a] = &seen[a] | &own[b];
                seen[b] = &seen[b] | &own[a];
            }
        }
    }
    replicas.heal();
    let shown = replicas.nodes.iter_mut().map(|node| node.run(read));
    (shown.collect(), history)
}

fn check_all(commands: &[&'static str], read: &str, must: fn(&History) -> String) {
    const LENGTH: u32 = 4;
    let mut symbols = vec![Step::Exchange(0, 1)];
    for at in 0..2 {
        symbols.extend(commands.iter().map(|command| Step::Run(at, command)));
    }
    for number in 0..symbols.len().pow(LENGTH) {
        let steps: Vec<Step> = (0..LENGTH)
            .map(|place| symbols[number / symbols.len().pow(place) % symbols.len()])
            .collect();
        let (shown, history) = play(2, &steps, read);
        assert_eq!(shown, vec![must(&history); 2], "{steps:?}");
    }
}

#[test]
fn after_every_short_history_a_set_shows_what_no_removal_had_seen() {
    check_all(SET, "SMEMBERS k", History::members);
}

#[test]
fn after_every_short_history_a_field_shows_what_no_write_or_removal_had_seen() {
    check_all(HASH, "HGET k f", History::field);
}

/// Steps of three replicas: what removes may arrive before what it removes.
fn steps(commands: &'static [&'static str]) -> impl Strategy<Value = Vec<Step>> {
    let run = (0..3_usize, select(commands)).prop_map(|(at, command)| Step::Run(at, command));
    let pairs = &[(0, 1), (1, 2), (0, 2)][..];
    let exchange = select(pairs).prop_map(|(a, b)| Step::Exchange(a, b));
    proptest::collection::vec(prop_oneof![3 => run, 1 => exchange], 0..14)
}

proptest! {
    #[test]
    fn after_any_history_of_three_replicas_a_set_shows_what_no_removal_had_seen(steps in steps(SET)) {
        let (shown, history) = play(3, &steps, "SMEMBERS k");
        prop_assert_eq!(shown, vec![history.members(); 3]);
    }

    #[test]
    fn after_any_history_of_three_replicas_a_field_shows_what_no_write_or_removal_had_seen(
        steps in steps(HASH)
    ) {
        let (shown, history) = play(3, &steps, "HGET k f");
        prop_assert_eq!(shown, vec![history.field(); 3]);
    }
}
