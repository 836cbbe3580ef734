//! Scrubbing: every replica held here is counted again now and then, and at once when a member with the same context
//! tells another digest. What is damaged is located by comparing with the other members, and repaired by what they hold.
//!
//! Who is right: the members that agree when they are more; else the one whose own count is sound. Two that are both
//! sound and differ cannot be told apart: that is reported and left as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use evenkeel_core::causality::Context;
use evenkeel_core::codec::Reader;
use evenkeel_core::id::{NodeId, PartitionId};
use evenkeel_core::partition::{BUCKETS, Partition, Unsettled};
use evenkeel_core::types::Key;
use evenkeel_resp::Reply;
use parking_lot::Mutex;

use super::Node;
use super::convergence::join_all;
use crate::metrics::bump;

/// How often it is looked whether something is due.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// A partition that an alarm was about is looked at again no sooner than this after the last time.
const ALARM_REST: Duration = Duration::from_secs(5);
/// How long a member may take to answer.
const ASK_TIMEOUT: Duration = Duration::from_millis(2_500);
/// Keys that an event under way may touch are looked at again this many times.
const ATTEMPTS: usize = 5;
/// Between two of these.
const BETWEEN: Duration = Duration::from_millis(200);
/// Partitions that are looked at side by side when all are.
const SIDE_BY_SIDE: usize = 16;
/// Buckets of which the keys are asked for at once.
const BUCKETS_AT_ONCE: usize = 32;
/// Keys of one partition that are repaired at once. More damage than this needs an operator.
const KEYS_MAX: usize = 1_000;

/// What a node knows of its scrubbing.
#[derive(Debug, Default)]
pub(crate) struct Scrubber {
    /// Partitions of which a member told another digest.
    alarms: Mutex<BTreeSet<PartitionId>>,
    /// When the last whole round ended, in seconds since the Unix epoch; 0: none yet.
    pub(crate) ended_at: AtomicU64,
}

/// What came of looking at one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scrubbed {
    /// Whether something was not as it should be.
    pub(crate) damaged: bool,
    /// Keys repaired, and the member that they were taken from.
    pub(crate) repaired: Vec<(Key, NodeId)>,
    /// Keys that differ and of which nobody can tell which one is right, or that could not be compared in time.
    pub(crate) unresolved: BTreeSet<Key>,
    /// Members that did not answer.
    pub(crate) unreachable: bool,
}

/// What a member says of its keys.
struct Told {
    member: NodeId,
    context: Context,
    is_sound: bool,
    unsettled: Unsettled,
}

/// Scrubs as long as the node runs: one partition after the other, each within the configured time.
pub(crate) async fn run(node: Arc<Node>) -> std::io::Result<()> {
    let mut rested: BTreeMap<PartitionId, Instant> = BTreeMap::new();
    let mut round = node.held().collect::<Vec<_>>().into_iter();
    let mut next = Instant::now() + node.scrub_pause();
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let alarms = std::mem::take(&mut *node.scrubber.alarms.lock());
        for partition in alarms {
            let last = rested.get(&partition);
            if last.is_some_and(|last| last.elapsed() < ALARM_REST) {
                node.scrubber.alarms.lock().insert(partition);
                continue;
            }
            node.scrub(partition).await;
            rested.insert(partition, Instant::now());
        }
        if node.config.scrub_hours == 0 || Instant::now() < next {
            continue;
        }
        if let Some(partition) = round.next() {
            node.scrub(partition).await;
        } else {
            node.scrub_round_ended();
            round = node.held().collect::<Vec<_>>().into_iter();
        }
        next = Instant::now() + node.scrub_pause();
    }
}

impl Node {
    /// A member with the same context has told another digest.
    pub(super) fn scrub_soon(&self, partition: PartitionId) {
        self.scrubber.alarms.lock().insert(partition);
    }

    fn scrub_pause(&self) -> Duration {
        let held = u32::try_from(self.held().count().max(1)).unwrap_or(u32::MAX);
        Duration::from_secs(self.config.scrub_hours.saturating_mul(3_600)) / held
    }

    fn scrub_round_ended(&self) {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed();
        let seconds = now.map_or(0, |since| since.as_secs());
        self.scrubber.ended_at.store(seconds, Ordering::Relaxed);
        bump(&self.metrics.scrub_rounds);
    }

    /// Scrubs every partition held here now; gives those of which something was to be said.
    pub(crate) async fn scrub_all(&self) -> Vec<(PartitionId, Scrubbed)> {
        self.files.look_soon();
        let all: Vec<PartitionId> = self.held().collect();
        let mut found = Vec::new();
        for together in all.chunks(SIDE_BY_SIDE) {
            let scrubbed = together.iter().map(|partition| self.scrub(*partition));
            let scrubbed = join_all(scrubbed.collect()).await;
            found.extend(together.iter().copied().zip(scrubbed));
        }
        self.scrub_round_ended();
        found.retain(|(_, scrubbed)| scrubbed.damaged);
        found
    }

    /// Counts a partition again and compares it with the other members; repairs what is damaged here.
    async fn scrub(&self, partition: PartitionId) -> Scrubbed {
        let mut result = Scrubbed::default();
        let Some(count) = self.look(partition, Partition::count) else {
            return result;
        };
        let mut is_sound = count.is_sound();
        result.damaged = !is_sound;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(BETWEEN).await;
            }
            let settled = self.compare(partition, is_sound, &mut result).await;
            if !is_sound && settled && result.unresolved.is_empty() {
                // All that is held was compared with what a member holds: only the kept digest can be wrong now.
                self.with(partition, |replica, _, _| replica.recount());
                is_sound = true;
            }
            if settled {
                break;
            }
        }
        self.report(partition, &result);
        result
    }

    /// One comparison with all members. Whether every key could be compared with at least one of them.
    async fn compare(&self, partition: PartitionId, is_sound: bool, result: &mut Scrubbed) -> bool {
        let members = self.topology().replicas(partition);
        let others: Vec<NodeId> = members
            .into_iter()
            .filter(|member| *member != self.me)
            .collect();
        let asked = others
            .iter()
            .map(|member| self.ask_sums(partition, *member));
        let sums: Vec<(Told, Vec<u128>)> = join_all(asked.collect())
            .await
            .into_iter()
            .flatten()
            .collect();
        result.unreachable = sums.len() < others.len();
        let Some(own) = self.look(partition, Partition::bucket_sums) else {
            return true;
        };
        let differs = |bucket: &usize| {
            sums.iter()
                .any(|(_, theirs)| theirs[*bucket] != own[*bucket])
        };
        let mut settled = !sums.is_empty() || (is_sound && others.is_empty());
        result.unresolved.clear();
        let buckets: Vec<u8> = (0..=u8::MAX)
            .filter(|bucket| differs(&usize::from(*bucket)))
            .collect();
        for buckets in buckets.chunks(BUCKETS_AT_ONCE) {
            let asked = sums
                .iter()
                .map(|(told, _)| self.ask_keys(partition, told.member, buckets));
            let told: Vec<(Told, BTreeMap<Key, u128>)> = join_all(asked.collect())
                .await
                .into_iter()
                .flatten()
                .collect();
            settled &= !told.is_empty();
            let found = self.suspects(partition, buckets, is_sound, &told);
            let Some((suspects, all_judged)) = found else {
                settled = false;
                continue;
            };
            // Damage may lie in a key that cannot be compared yet: what is held must not be taken for right.
            settled &= all_judged || is_sound;
            for (key, source) in suspects {
                result.damaged = true;
                let right = match source {
                    Source::Member(member) if result.repaired.len() < KEYS_MAX => self
                        .take_over(partition, &key, member)
                        .await
                        .then_some(member),
                    Source::Member(_) | Source::Nobody => None,
                };
                match right {
                    Some(member) => result.repaired.push((key, member)),
                    None => {
                        settled &= matches!(source, Source::Nobody);
                        result.unresolved.insert(key);
                    }
                }
            }
        }
        settled
    }

    /// The keys of some buckets that are wrong here or nobody knows where, as of now, and whether no other key differs
    /// that cannot be compared yet; `None` while nothing can be said.
    fn suspects(
        &self,
        partition: PartitionId,
        buckets: &[u8],
        is_sound: bool,
        told: &[(Told, BTreeMap<Key, u128>)],
    ) -> Option<(Vec<(Key, Source)>, bool)> {
        self.look(partition, |replica| {
            let own = replica.key_sums(buckets);
            let mut comparable = Vec::new();
            for (told, sums) in told {
                let ours = replica.unsettled(&told.context);
                if ours != Unsettled::All && told.unsettled != Unsettled::All {
                    comparable.push((told, ours, sums));
                }
            }
            if comparable.is_empty() {
                return None;
            }
            let theirs = comparable.iter().flat_map(|(_, _, sums)| sums.keys());
            let keys: BTreeSet<&Key> = own.keys().chain(theirs).collect();
            let mut suspects = Vec::new();
            let mut all_judged = true;
            for key in keys {
                let opinions = comparable
                    .iter()
                    .filter(|(told, ours, _)| !ours.has(key) && !told.unsettled.has(key));
                let opinions: Vec<(&Told, u128)> = opinions
                    .map(|(told, _, sums)| (*told, sums.get(key).copied().unwrap_or(0)))
                    .collect();
                let mine = own.get(key).copied().unwrap_or(0);
                let differs = |sums: &BTreeMap<Key, u128>| sums.get(key) != own.get(key);
                if opinions.is_empty() && comparable.iter().any(|(.., sums)| differs(sums)) {
                    all_judged = false;
                }
                if let Some(source) = judge(mine, is_sound, &opinions) {
                    suspects.push((key.clone(), source));
                }
            }
            Some((suspects, all_judged))
        })?
    }

    /// Takes over what a member holds of a key; tells whether it could be.
    async fn take_over(&self, partition: PartitionId, key: &Key, member: NodeId) -> bool {
        let key_arg = Bytes::copy_from_slice(key);
        let Some((told, Reply::Bulk(frame))) = self
            .ask_scrubbed(partition, member, &["CELLS".into(), key_arg])
            .await
        else {
            return false;
        };
        let replaced = self.with(partition, |replica, _, _| {
            replica.replace_key(key, &frame, &told.unsettled)
        });
        match replaced {
            Some(Ok(replaced)) => replaced,
            Some(Err(error)) => {
                tracing::warn!(%error, from = self.topology().name(member), "what a member holds of a key cannot be read");
                false
            }
            None => false,
        }
    }

    fn report(&self, partition: PartitionId, result: &Scrubbed) {
        if !result.damaged {
            return;
        }
        bump(&self.metrics.scrub_damaged);
        for (key, member) in &result.repaired {
            bump(&self.metrics.scrub_repaired);
            let key = key.escape_ascii().to_string();
            let from = self.topology().name(*member);
            tracing::error!(
                partition = partition.0,
                key,
                from,
                "content was damaged here, and is repaired"
            );
        }
        for key in &result.unresolved {
            bump(&self.metrics.scrub_unresolved);
            let key = key.escape_ascii().to_string();
            tracing::error!(
                partition = partition.0,
                key,
                "members hold different content of the same events, and none can be told to be right; write the key again"
            );
        }
        if result.repaired.is_empty() && result.unresolved.is_empty() {
            let unreachable = result.unreachable;
            tracing::error!(
                partition = partition.0,
                unreachable,
                "the kept digest was not that of the content; no key differs from the members that answered"
            );
        }
    }

    async fn ask_sums(&self, partition: PartitionId, member: NodeId) -> Option<(Told, Vec<u128>)> {
        let (told, reply) = self
            .ask_scrubbed(partition, member, &["SUMS".into()])
            .await?;
        let Reply::Bulk(bytes) = reply else {
            return None;
        };
        let sums: Vec<u128> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|sum| u128::from_le_bytes(*sum))
            .collect();
        (sums.len() == BUCKETS).then_some((told, sums))
    }

    async fn ask_keys(
        &self,
        partition: PartitionId,
        member: NodeId,
        buckets: &[u8],
    ) -> Option<(Told, BTreeMap<Key, u128>)> {
        let asked = ["KEYS".into(), Bytes::copy_from_slice(buckets)];
        let (told, reply) = self.ask_scrubbed(partition, member, &asked).await?;
        let Reply::Array(items) = reply else {
            return None;
        };
        let mut sums = BTreeMap::new();
        for pair in items.chunks(2) {
            let [Reply::Bulk(key), Reply::Bulk(sum)] = pair else {
                return None;
            };
            sums.insert(
                Key::from(&key[..]),
                u128::from_le_bytes(sum[..].try_into().ok()?),
            );
        }
        Some((told, sums))
    }

    /// Asks a member about its replica: see [`answer`].
    async fn ask_scrubbed(
        &self,
        partition: PartitionId,
        member: NodeId,
        what: &[Bytes],
    ) -> Option<(Told, Reply)> {
        let mut context = Vec::new();
        self.context(partition)?.encode(&mut context);
        let mut command = vec![
            Bytes::from_static(b"EK.PARTITION"),
            Bytes::from(partition.0.to_string()),
            Bytes::from_static(b"EK.SCRUBBED"),
            Bytes::from(partition.0.to_string()),
            Bytes::from(context),
        ];
        command.extend_from_slice(what);
        let reply = self.ask_command(member, command, ASK_TIMEOUT).await.ok()?;
        let Reply::Array(parts) = reply else {
            return None;
        };
        let [
            Reply::Bulk(context),
            Reply::Integer(is_sound),
            unsettled,
            content,
        ] = &parts[..]
        else {
            return None;
        };
        let told = Told {
            member,
            context: Context::decode(&mut Reader::new(context)).ok()?,
            is_sound: *is_sound == 1,
            unsettled: unsettled_of(unsettled)?,
        };
        Some((told, content.clone()))
    }
}

/// Where what is right is to be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Member(NodeId),
    /// Nobody can tell.
    Nobody,
}

/// Whether a key is wrong here, and who has it right. Members that are known to be wrong repair themselves.
fn judge(mine: u128, is_sound: bool, opinions: &[(&Told, u128)]) -> Option<Source> {
    let against: Vec<&(&Told, u128)> = opinions.iter().filter(|(_, sum)| *sum != mine).collect();
    if against.is_empty() {
        return None;
    }
    let votes = |sum: u128| opinions.iter().filter(|(_, other)| *other == sum).count();
    let with_me = 1 + votes(mine);
    let most = against
        .iter()
        .rev()
        .max_by_key(|(told, sum)| (votes(*sum), told.is_sound))?;
    let sound = against.iter().find(|(told, _)| told.is_sound);
    if votes(most.1) > with_me {
        return Some(Source::Member(most.0.member));
    }
    if with_me > votes(most.1) {
        return None;
    }
    match (is_sound, sound) {
        (false, Some((told, _))) => Some(Source::Member(told.member)),
        (true, None) => None,
        (true, Some(_)) | (false, None) => Some(Source::Nobody),
    }
}

/// The answer to `EK.SCRUBBED partition context SUMS|KEYS buckets|CELLS key`, between nodes: this replica's context,
/// whether its count is sound, the keys that the asker lacks events of (null: any may be), and what was asked for.
pub(crate) fn answer(node: &Node, partition: PartitionId, args: &[&[u8]]) -> Reply {
    let unreadable = || Reply::error("ERR EK.SCRUBBED cannot be read ; the nodes' versions differ");
    let Some(theirs) = args
        .first()
        .and_then(|context| Context::decode(&mut Reader::new(context)).ok())
    else {
        return unreadable();
    };
    let told = node.look(partition, |replica| {
        let content = match args.get(1..)? {
            [b"SUMS"] => {
                let sums = replica.bucket_sums().into_iter();
                Reply::bulk(sums.flat_map(u128::to_le_bytes).collect::<Vec<u8>>())
            }
            [b"KEYS", buckets] => {
                let sums = replica.key_sums(buckets).into_iter();
                let pairs = sums.flat_map(|(key, sum)| {
                    [
                        Reply::bulk(Vec::from(key)),
                        Reply::bulk(sum.to_le_bytes().to_vec()),
                    ]
                });
                Reply::Array(pairs.collect())
            }
            [b"CELLS", key] => Reply::Bulk(replica.key_frame(key)),
            _ => return None,
        };
        let mut context = Vec::new();
        replica.replica().context().encode(&mut context);
        let unsettled = match replica.unsettled(&theirs) {
            Unsettled::All => Reply::Null,
            Unsettled::Keys(keys) => Reply::Array(
                keys.into_iter()
                    .map(|key| Reply::bulk(Vec::from(key)))
                    .collect(),
            ),
        };
        Some(Reply::Array(vec![
            Reply::bulk(context),
            Reply::Integer(i64::from(replica.count().is_sound())),
            unsettled,
            content,
        ]))
    });
    told.flatten().unwrap_or_else(unreadable)
}

fn unsettled_of(reply: &Reply) -> Option<Unsettled> {
    let Reply::Array(items) = reply else {
        return matches!(reply, Reply::Null).then_some(Unsettled::All);
    };
    let key = |item: &Reply| match item {
        Reply::Bulk(key) => Some(Key::from(&key[..])),
        _ => None,
    };
    items
        .iter()
        .map(key)
        .collect::<Option<_>>()
        .map(Unsettled::Keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(member: u32, is_sound: bool) -> Told {
        Told {
            member: NodeId(member),
            context: Context::default(),
            is_sound,
            unsettled: Unsettled::All,
        }
    }

    /// What comes of my sum 1, sound or not, and the others' sums, `!` where they are not sound.
    fn judged(is_sound: bool, others: &[&str]) -> Option<Source> {
        let all: Vec<(Told, u128)> = (1..)
            .zip(others)
            .map(|(member, text)| {
                let sum = text.trim_end_matches('!').parse().unwrap();
                (told(member, !text.ends_with('!')), sum)
            })
            .collect();
        let opinions: Vec<(&Told, u128)> = all.iter().map(|(told, sum)| (told, *sum)).collect();
        judge(1, is_sound, &opinions)
    }

    #[test]
    fn the_majority_is_right_then_the_sound_one_and_two_sound_ones_cannot_be_told_apart() {
        let member = |number| Some(Source::Member(NodeId(number)));
        assert_eq!(judged(true, &["1", "1"]), None);
        assert_eq!(judged(true, &["2", "2"]), member(1));
        assert_eq!(judged(false, &["1", "2"]), None);
        assert_eq!(judged(true, &["1", "2"]), None);
        assert_eq!(judged(false, &["2"]), member(1));
        assert_eq!(judged(true, &["2!"]), None);
        assert_eq!(judged(true, &["2"]), Some(Source::Nobody));
        assert_eq!(judged(false, &["2!"]), Some(Source::Nobody));
        assert_eq!(judged(false, &["2!", "3"]), member(2));
        assert_eq!(judged(true, &["2", "3"]), Some(Source::Nobody));
        assert_eq!(judged(true, &[]), None);
    }
}
