//! PUBSUB: who listens, over the whole cluster. Each linked peer is asked; one that does not answer in time does not
//! count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel_core::command::glob_match;
use evenkeel_resp::Reply;

use super::hub::Space;
use crate::client::run::{Args, Outcome, owned};
use crate::client::server::{help, number, unknown_subcommand};
use crate::client::session::Session;
use crate::node::Node;

/// A peer's answer is waited for this long.
const ASK_TIMEOUT: Duration = Duration::from_millis(1_000);

const HELP: &[&str] = &[
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
];

/// What is asked.
enum Question {
    /// The names that somebody listens to, and that match.
    Names(Space),
    /// How many different patterns there are.
    CountPatterns,
    /// How many listen to each of these names.
    Count(Space),
}

impl Question {
    fn of(args: Args<'_>) -> Option<Self> {
        let sub = args[1].to_ascii_lowercase();
        Some(match (&sub[..], args.len()) {
            (b"channels", 2 | 3) => Self::Names(Space::Channels),
            (b"shardchannels", 2 | 3) => Self::Names(Space::Shards),
            (b"numpat", 2) => Self::CountPatterns,
            (b"numsub", _) => Self::Count(Space::Channels),
            (b"shardnumsub", _) => Self::Count(Space::Shards),
            _ => return None,
        })
    }

    /// The answer of one node. For the number of patterns it names them, since two nodes may have the same one.
    fn here(&self, node: &Node, args: Args<'_>) -> Reply {
        let hub = &node.front.hub;
        match self {
            Self::Names(space) => {
                let pattern = args.get(2).copied();
                let mut names = hub.names(*space);
                names.retain(|name| pattern.is_none_or(|pattern| glob_match(pattern, name)));
                Reply::Array(names.into_iter().map(Reply::Bulk).collect())
            }
            Self::CountPatterns => {
                let names = hub.names(Space::Patterns);
                Reply::Array(names.into_iter().map(Reply::Bulk).collect())
            }
            Self::Count(space) => {
                let counts = args[2..].iter().map(|name| number(hub.count(*space, name)));
                Reply::Array(counts.collect())
            }
        }
    }

    /// One reply of the answers of several nodes.
    fn fold(&self, answers: Vec<Reply>, args: &[Bytes]) -> Reply {
        let items = answers.into_iter().filter_map(|answer| match answer {
            Reply::Array(items) => Some(items),
            _ => None,
        });
        match self {
            Self::Names(_) => {
                let names = names(items.flatten());
                Reply::Array(names.into_iter().map(Reply::Bulk).collect())
            }
            Self::CountPatterns => number(names(items.flatten()).len()),
            Self::Count(_) => {
                let mut sums: BTreeMap<usize, i64> = BTreeMap::new();
                for (place, item) in items.flat_map(|items| items.into_iter().enumerate()) {
                    if let Reply::Integer(count) = item {
                        let sum = sums.entry(place).or_default();
                        *sum = sum.saturating_add(count);
                    }
                }
                let pairs = args.iter().skip(2).enumerate().flat_map(|(place, name)| {
                    let sum = sums.get(&place).copied().unwrap_or(0);
                    [Reply::Bulk(name.clone()), Reply::Integer(sum)]
                });
                Reply::Array(pairs.collect())
            }
        }
    }
}

fn names(items: impl Iterator<Item = Reply>) -> BTreeSet<Bytes> {
    items
        .filter_map(|item| match item {
            Reply::Bulk(name) => Some(name),
            _ => None,
        })
        .collect()
}

/// `PUBSUB subcommand …`.
pub(in crate::client) fn run(session: &Session, args: Args<'_>) -> Outcome {
    let Some(question) = Question::of(args) else {
        if args[1].eq_ignore_ascii_case(b"help") && args.len() == 2 {
            return Outcome::Now(help("PUBSUB", HELP));
        }
        return Outcome::Now(unknown_subcommand("PUBSUB", args[1]));
    };
    let here = question.here(&session.node, args);
    let args = owned(args);
    if session.node.is_alone() {
        return Outcome::Now(question.fold(vec![here], &args));
    }
    let node = Arc::clone(&session.node);
    Outcome::Later(Box::pin(async move {
        let mut answers = vec![here];
        answers.extend(node.ask_linked(&args, ASK_TIMEOUT).await);
        question.fold(answers, &args)
    }))
}

/// What another node asks of this one.
pub(in crate::client) fn run_inner(node: &Node, args: Args<'_>) -> Reply {
    match Question::of(args) {
        Some(question) => question.here(node, args),
        None => unknown_subcommand("PUBSUB", args[1]),
    }
}
