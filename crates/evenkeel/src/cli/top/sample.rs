//! One look at the cluster: each node is asked on a connection of its own, all side by side.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use evenkeel_resp::Reply;

use crate::cli::talk::{Dig as _, Talk};

/// How long a node may take to answer; longer than a node waits for another that is silent, twice.
const ANSWER_WITHIN: Duration = Duration::from_secs(6);
/// Entries of each node's SLOWLOG.
const SLOW_PER_NODE: &str = "16";

/// What was seen.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) asked: String,
    pub(super) cluster: String,
    pub(super) nodes: Vec<NodeLook>,
    /// The reply of EK.DIVERGENCE.
    pub(super) divergence: Reply,
    /// The slowest first.
    pub(super) slow: Vec<Slow>,
    /// Why there is no newer look.
    pub(super) stale: Option<String>,
}

/// One node.
#[derive(Clone, Default, Debug)]
pub(super) struct NodeLook {
    pub(super) name: String,
    pub(super) client: String,
    /// The fields of INFO; `None` when it did not answer.
    pub(super) info: Option<BTreeMap<String, String>>,
}

/// A slow command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Slow {
    pub(super) node: String,
    pub(super) at_seconds: i64,
    pub(super) micros: i64,
    pub(super) command: String,
}

impl NodeLook {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.info.as_ref()?.get(name).map(String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.field(name)?.parse().ok()
    }

    /// Keys, those included that have expired and are not removed yet.
    pub(super) fn keys(&self) -> Option<u64> {
        self.info.as_ref()?;
        let keys = self
            .field("db0")
            .and_then(|facts| facts.split(',').next()?.strip_prefix("keys="));
        keys.map_or(Some(0), |keys| keys.parse().ok())
    }

    /// The most events that one of its peers lacks, by its last advert.
    pub(super) fn lag(&self) -> Option<u64> {
        let info = self.info.as_ref()?;
        let peers = info.iter().filter(|(name, _)| name.starts_with("peer_"));
        let lacks = peers.filter_map(|(_, facts)| {
            let mut facts = facts.split(',');
            facts
                .find_map(|fact| fact.strip_prefix("lacks_events="))?
                .parse()
                .ok()
        });
        Some(lacks.max().unwrap_or(0))
    }
}

/// The connections that looks are taken over.
pub(super) struct Watch {
    asked: String,
    talk: Option<Talk>,
    nodes: BTreeMap<String, Talk>,
}

impl Watch {
    pub(super) fn open(asked: &str) -> Result<Self> {
        Ok(Self {
            asked: asked.to_owned(),
            talk: Some(Talk::open(asked)?),
            nodes: BTreeMap::new(),
        })
    }

    /// Asks everybody. A node that does not answer is asked anew the next time.
    pub(super) fn look(&mut self) -> Result<Look> {
        let mut talk = match self.talk.take() {
            Some(talk) => talk,
            None => Talk::open(&self.asked)?,
        };
        talk.answer_within(ANSWER_WITHIN)?;
        let topology = talk.run(&["EK.TOPOLOGY"])?;
        let divergence = talk.run(&["EK.DIVERGENCE"])?;
        self.talk = Some(talk);
        let nodes: Vec<(String, String)> = topology
            .field("nodes")
            .items()
            .iter()
            .map(|node| {
                let text = |name| node.field(name).text().unwrap_or_default();
                (text("name"), text("client"))
            })
            .collect();
        let asked = nodes.into_iter().map(|(name, client)| {
            let talk = self.nodes.remove(&name);
            std::thread::spawn(move || ask(name, client, talk))
        });
        let asked: Vec<_> = asked.collect();
        let mut look = Look {
            asked: self.asked.clone(),
            cluster: topology.field("cluster").text().unwrap_or_default(),
            nodes: Vec::new(),
            divergence,
            slow: Vec::new(),
            stale: None,
        };
        for answer in asked.into_iter().filter_map(|asked| asked.join().ok()) {
            if let Some(talk) = answer.talk {
                self.nodes.insert(answer.node.name.clone(), talk);
            }
            look.slow.extend(answer.slow);
            look.nodes.push(answer.node);
        }
        look.slow.sort_by_key(|slow| std::cmp::Reverse(slow.micros));
        Ok(look)
    }
}

struct Answer {
    node: NodeLook,
    slow: Vec<Slow>,
    /// The connection, if it still holds.
    talk: Option<Talk>,
}

fn ask(name: String, client: String, talk: Option<Talk>) -> Answer {
    let asked = || -> Result<(Talk, Reply, Reply)> {
        let mut talk = match talk {
            Some(talk) => talk,
            None => Talk::open(&client)?,
        };
        talk.answer_within(ANSWER_WITHIN)?;
        let info = talk.run(&["INFO", "everything"])?;
        let slow = talk.run(&["SLOWLOG", "GET", SLOW_PER_NODE])?;
        Ok((talk, info, slow))
    };
    match asked() {
        Err(_) => Answer {
            node: NodeLook {
                name,
                client,
                info: None,
            },
            slow: Vec::new(),
            talk: None,
        },
        Ok((talk, info, slow)) => Answer {
            slow: slow
                .items()
                .iter()
                .filter_map(|one| slow_of(&name, one))
                .collect(),
            node: NodeLook {
                name,
                client,
                info: Some(fields(&info)),
            },
            talk: Some(talk),
        },
    }
}

fn fields(info: &Reply) -> BTreeMap<String, String> {
    let text = match info {
        Reply::Verbatim { text, .. } | Reply::Bulk(text) => String::from_utf8_lossy(text),
        _ => return BTreeMap::new(),
    };
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn slow_of(node: &str, entry: &Reply) -> Option<Slow> {
    let [_, at, micros, words, ..] = entry.items() else {
        return None;
    };
    let words = words.items().iter().filter_map(Reply::text);
    Some(Slow {
        node: node.to_owned(),
        at_seconds: at.number()?,
        micros: micros.number()?,
        command: words.collect::<Vec<_>>().join(" "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read_from_its_info() {
        let info = Reply::bulk(
            &b"# Keyspace\r\ndb0:keys=7,expires=0,avg_ttl=0\r\npeer_B:link=up,lacks_events=3,has_more_events=0\r\npeer_C:link=down,lacks_events=12,has_more_events=0\r\nuptime_in_seconds:5\r\n"[..],
        );
        let node = NodeLook {
            info: Some(fields(&info)),
            ..NodeLook::default()
        };
        assert_eq!(node.keys(), Some(7));
        assert_eq!(node.lag(), Some(12));
        assert_eq!(node.number("uptime_in_seconds"), Some(5));
        let silent = NodeLook::default();
        assert_eq!((silent.keys(), silent.lag()), (None, None));
    }

    #[test]
    fn a_slow_command_is_read_from_slowlog_and_nothing_else_is() {
        let words = ["SORT", "big"].map(|word| Reply::bulk(word.as_bytes()));
        let entry = Reply::Array(vec![
            Reply::Integer(4),
            Reply::Integer(1_700_000_000),
            Reply::Integer(15_000),
            Reply::Array(words.to_vec()),
            Reply::bulk(&b"127.0.0.1:5"[..]),
            Reply::bulk(&b""[..]),
        ]);
        let slow = slow_of("A", &entry).unwrap();
        assert_eq!((slow.micros, &slow.command[..]), (15_000, "SORT big"));
        assert_eq!(slow_of("A", &Reply::Null), None);
    }
}
