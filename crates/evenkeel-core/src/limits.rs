//! Every bound of the core in one place: what it bounds, why that much, what happens when it is reached.

use crate::time::Duration;

/// How far a remote stamp may move the own clock beyond the wall clock, in milliseconds. Beyond it: counted, not followed.
pub const SKEW_MAX_MS: u64 = 500;
/// How far ahead the clock's bound is reserved in the log, in milliseconds: one small record per that time, and below
/// [`SKEW_MAX_MS`], so that a quick restart is no alarm.
pub const HLC_RESERVE_MS: u64 = 400;

/// The longest key, in bytes. Longer: the request is refused.
pub const KEY_BYTES_MAX: usize = 64 << 10;
/// The longest field (hash field, set member, list position), in bytes. Longer: the request is refused.
pub const FIELD_BYTES_MAX: usize = 512 << 10;
/// The longest value, in bytes. Longer: the request is refused.
pub const VALUE_BYTES_MAX: usize = 512 << 20;
/// The longest frame between members, in bytes. A peer that announces more is disconnected.
pub const FRAME_BYTES_MAX: usize = VALUE_BYTES_MAX + (16 << 20);

/// Events of one batch. More: the request is refused, nothing was written.
pub const BATCH_EVENTS_MAX: usize = 1 << 20;
/// Elements that one command draws with repetition. More: the request is refused.
pub const DRAWN_MAX: usize = 1 << 20;
/// Events of a batch to which another command's changes may be added. Over it: the batch is closed and the next
/// command begins a new one, so that a transaction of that size arrives in parts, each whole.
pub const JOINED_EVENTS_MAX: usize = BATCH_EVENTS_MAX / 2;
/// The same in bytes: a frame that one transaction makes for each peer, and that is held in memory until it is sent.
pub const JOINED_BYTES_MAX: usize = 64 << 20;
/// Conflicts told one by one of what one frame brought. More: counted only.
pub const CONFLICTS_PER_INPUT_MAX: usize = 256;
/// Bytes of a value that a conflict tells. The rest is cut off; its length is told.
pub const CONFLICT_VALUE_BYTES_MAX: usize = 256;
/// Resets listed by one range delete, in bytes. More: it is split by sub-ranges (replication.md 7.4).
pub const RANGE_RESETS_BYTES_MAX: usize = 1 << 20;

/// Bytes of units in one anti-entropy answer; the requester asks again for what is left. One unit always fits.
pub const SYNC_ANSWER_BYTES: usize = 256 << 10;
/// Bytes of one snapshot chunk. One cell always fits.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 << 10;
/// Snapshots that one replica serves at a time. More: the asker is told to try elsewhere or later.
pub const SNAPSHOTS_SERVED_MAX: usize = 2;
/// Entries of the dot index of a partition. Over it the oldest go, and whoever misses them gets a snapshot
/// (replication.md 2.5). Half a million events over 256 partitions: what a member may miss before its repair costs whole
/// partitions, and what its absence may cost the others in memory, some 50 MB.
pub const INDEX_ENTRIES_MAX: usize = 2_000;
/// Spans of arrival times of one actor's events in a partition, 24 bytes each. Over it the older ones are told less
/// finely: never as younger than they are.
pub const ARRIVAL_SPANS_MAX: usize = 256;
/// Events that come within this time have one arrival time: how exact ages and delays are.
pub const ARRIVAL_RESOLUTION: Duration = Duration::from_millis(1);
/// Chains of its own that a replica outside the members has in one counter: each increment begins another. Over it the
/// replica mints under an actor whose chains grow, as members do: what is left of those after the counter was deleted
/// stays, some 20 bytes each, since nobody tells when they are complete.
pub const GUEST_CHAINS_MAX: usize = 32;
/// Requests that wait for acknowledgements, reads or freshness. Over it: refused as overloaded.
pub const PENDING_MAX: usize = 64 << 10;

/// An advert goes to every member this long after the one that told of a change, and then after twice the time each,
/// up to [`ADVERT_INTERVAL_MAX`]: repeated for members that missed it, seldom enough that idle partitions are quiet.
pub const ADVERT_INTERVAL: Duration = Duration::from_millis(1_000);
/// The longest time between two adverts: how late a gap is noticed when several in a row were lost on a live link.
pub const ADVERT_INTERVAL_MAX: Duration = Duration::from_millis(16_000);
/// After a change the next advert goes this soon: how fresh the divergence figures are.
pub const ADVERT_AFTER_CHANGE: Duration = Duration::from_millis(250);
/// How long a gap shown by an advert may close by itself (deltas on another link) before it is asked for.
pub const SYNC_GRACE: Duration = Duration::from_millis(100);
/// An unanswered request is given up after this long, and another member is asked; doubled per failure in a row.
pub const SYNC_TIMEOUT: Duration = Duration::from_millis(2_000);
/// A member that lacks no more events than this costs little: it need not wait its turn.
pub const SYNC_SMALL_MAX: u64 = 1_000;
/// The longest time-out of an anti-entropy request.
pub const SYNC_TIMEOUT_MAX: Duration = Duration::from_millis(16_000);
/// A snapshot nobody fetches any more is dropped after this long.
pub const SNAPSHOT_IDLE: Duration = Duration::from_millis(30_000);
/// Garbage collection runs at most this often.
pub const COLLECT_INTERVAL: Duration = Duration::from_millis(1_000);

/// Partitions of the key space, of 64 slots each: the unit of placement. Part of every document and never changed.
pub const PARTITIONS: u16 = 256;
/// Replicas of a partition in each datacentre, unless a cluster says otherwise.
pub const REPLICAS: u8 = 3;
/// The most replicas a datacentre may be told to have. More: refused.
pub const CLUSTER_REPLICAS_MAX: u8 = 7;
/// Nodes that a document knows, those that are gone too. More: no further one is admitted.
pub const CLUSTER_NODES_MAX: usize = 4_096;
/// The longest name, address, zone or datacentre, in bytes. Longer: refused.
pub const CLUSTER_TEXT_BYTES_MAX: usize = 255;
/// The greatest weight of a node. More: refused.
pub const CLUSTER_WEIGHT_MAX: u32 = 10_000;
/// The most voters: two of five may fail. More would only make changes slower.
pub const CLUSTER_VOTERS_MAX: usize = 5;
/// The clock of the control plane: elections, repetitions and the leader's work are counted in these.
pub const CLUSTER_TICK: Duration = Duration::from_millis(100);
/// Ticks of one round of heartbeats between voters. A leader that fails is replaced after two or three of them.
pub const CLUSTER_ELECTION_TICKS: u64 = 5;
/// Ticks after which a vote that was not answered is sent again.
pub const CLUSTER_RESEND_TICKS: u64 = 10;
/// Every node tells every other its epoch this often: how soon a node that was away has the newest document.
pub const CLUSTER_HELLO: Duration = Duration::from_millis(1_000);
/// A proposal or a request for a document is sent again after this long.
pub const CLUSTER_RETRY: Duration = Duration::from_millis(500);
/// Voters that were heard within this time count for "a quorum answers"; a leader, for being known.
pub const CLUSTER_FRESH: Duration = Duration::from_millis(3_000);
/// A voter whose link is down for so long is replaced if another node is up: longer than a restart, much shorter
/// than the wait for a second failure.
pub const CLUSTER_VOTER_AWAY: Duration = Duration::from_millis(60_000);
/// Decisions of one configuration of voters. Then the same voters begin a new one with an empty log.
pub const CLUSTER_LOG_MAX: usize = 128;
/// Decisions not taken yet. More: a proposal waits at the node that made it.
pub const CLUSTER_LOG_OPEN_MAX: usize = 2 * CLUSTER_LOG_MAX;
/// Outcomes that a node remembers, to answer a proposal that is repeated. Older: judged by what the document says.
pub const CLUSTER_OUTCOMES_MAX: usize = 512;
/// Proposals that wait for their outcome at one node. More: refused.
pub const CLUSTER_PENDING_MAX: usize = 1_024;

const _: () = assert!(
    ADVERT_AFTER_CHANGE.0 < ADVERT_INTERVAL.0,
    "a change must be told sooner than nothing"
);
const _: () = assert!(
    SYNC_ANSWER_BYTES < FRAME_BYTES_MAX,
    "an answer must fit a frame"
);
