//! What is known of a command before it runs: its name, arity, keys and where it runs.

use std::ops::Range;

use bytes::Bytes;
use evenkeel_resp::Reply;

use super::keyspace::Keyspace;
use super::number::parse_integer;
use super::wait::Blocking;
use super::{Args, ok};

/// How a command is run.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// On the partition of its one key.
    OnKey(fn(&mut Keyspace<'_>, Args<'_>) -> Reply),
    /// Once per key, on that key's partition, in order.
    OnEachKey {
        /// Gets the command's name, the key and what follows it until the next one.
        each: fn(&mut Keyspace<'_>, Args<'_>) -> Reply,
        /// How the replies become one.
        fold: Fold,
    },
    /// With all of its arguments on every partition.
    OnEveryPartition {
        /// Gets the arguments as sent.
        each: fn(&mut Keyspace<'_>, Args<'_>) -> Reply,
        /// How the replies become one.
        fold: Fold,
    },
    /// In rounds of commands on one key each, on whatever partitions: see [`Round`].
    Rounds(fn(Args<'_>, &[Vec<Reply>]) -> Round),
    /// In rounds, and while their reply is null, the shell waits and runs them again. Where nothing may block, as
    /// [`Self::Rounds`].
    Blocking(Blocking),
    /// By the shell, which walks the partitions: [`super::ScanRequest`] and [`Keyspace::scan`].
    Scan,
    /// By the shell, by name: connections, server, cluster and what is Evenkeel's own.
    Shell,
}

/// What a command over several keys does next, decided from its arguments and the replies of all rounds so far.
///
/// The calls are ordinary commands of one key each ([`Run::OnKey`]), inner ones included; the shell runs each where
/// its key lives, in order. When all keys are of one partition that is held here, all rounds run under its lock and
/// leave as one batch; otherwise they are not atomic. A step is a pure function: it is called again with more replies.
#[derive(Clone, PartialEq, Debug)]
pub enum Round {
    /// Run these; their replies are the next round's, in order, errors included.
    Calls(Vec<Vec<Bytes>>),
    /// The reply to the client.
    Done(Reply),
}

/// How the replies of several runs become one. An error among them is the reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fold {
    /// The sum of integers.
    Sum,
    /// An array of the replies, in order.
    Array,
    /// One array of all elements.
    Concat,
    /// `OK`.
    Ok,
    /// The first that is not null. The shell begins with a partition drawn at random and may stop there.
    First,
}

impl Fold {
    /// The one reply.
    #[must_use]
    pub fn fold(self, replies: Vec<Reply>) -> Reply {
        if let Some(error) = replies
            .iter()
            .find(|reply| matches!(reply, Reply::Error(_)))
        {
            return error.clone();
        }
        match self {
            Self::Sum => Reply::Integer(replies.iter().fold(0, |sum: i64, reply| match reply {
                Reply::Integer(n) => sum.saturating_add(*n),
                _ => sum,
            })),
            Self::Array => Reply::Array(replies),
            Self::Concat => {
                let elements = replies.into_iter().flat_map(|reply| match reply {
                    Reply::Array(elements) => elements,
                    other => vec![other],
                });
                Reply::Array(elements.collect())
            }
            Self::Ok => ok(),
            Self::First => {
                let mut found = replies.into_iter().filter(|reply| *reply != Reply::Null);
                found.next().unwrap_or(Reply::Null)
            }
        }
    }
}

/// A property, by Redis' name in COMMAND.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flag {
    /// May change data.
    Write,
    /// Never changes data.
    Readonly,
    /// Takes memory: refused when there is none left.
    Denyoom,
    /// For operators.
    Admin,
    /// Not from scripts.
    Noscript,
    /// Also while data is loaded.
    Loading,
    /// Also while cut off.
    Stale,
    /// Takes constant or logarithmic time.
    Fast,
    /// May wait for keys to change.
    Blocking,
    /// Where its keys are depends on the arguments.
    Movablekeys,
    /// Before authentication.
    NoAuth,
    /// Also while a script hangs.
    AllowBusy,
    /// A part of other commands: run as a call of [`Run::Rounds`] and between nodes, refused to clients.
    Inner,
    /// About channels and who listens.
    Pubsub,
    /// Not in the log of slow commands.
    SkipSlowlog,
}

impl Flag {
    /// The name in COMMAND's reply.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Readonly => "readonly",
            Self::Denyoom => "denyoom",
            Self::Admin => "admin",
            Self::Noscript => "noscript",
            Self::Loading => "loading",
            Self::Stale => "stale",
            Self::Fast => "fast",
            Self::Blocking => "blocking",
            Self::Movablekeys => "movablekeys",
            Self::NoAuth => "no_auth",
            Self::AllowBusy => "allow_busy",
            Self::Inner => "inner",
            Self::Pubsub => "pubsub",
            Self::SkipSlowlog => "skip_slowlog",
        }
    }
}

/// Where the keys are among the arguments, the name counted as 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySpec {
    /// The first key; 0: there is none.
    pub first: usize,
    /// The last one; from the end when negative.
    pub last: isize,
    /// From one key to the next.
    pub step: usize,
    /// The argument that says how many more keys follow it; 0: none does.
    pub counted_at: usize,
    /// Words behind which one more key stands, and from where on they are looked for; of several the last counts.
    pub behind: Option<(usize, &'static [&'static str])>,
    /// Options behind the keys with a pattern each that names further keys, known only when it runs.
    pub patterns: &'static [&'static str],
}

impl KeySpec {
    /// The first argument, and the target of SORT, which may name keys by patterns.
    pub const SORT: Self = Self {
        behind: Some((2, &["STORE"])),
        ..Self::SORT_RO
    };
    /// The first argument of SORT_RO, which may name keys by patterns.
    pub const SORT_RO: Self = Self {
        patterns: &["BY", "GET"],
        ..Self::ONE
    };
    /// The second argument.
    pub const SECOND: Self = Self::new(2, 2, 1);
    /// Every argument from the second on.
    pub const FROM_SECOND: Self = Self::new(2, -1, 1);
    /// The third argument.
    pub const THIRD: Self = Self::new(3, 3, 1);
    /// No key.
    pub const NONE: Self = Self::new(0, 0, 0);
    /// The first argument.
    pub const ONE: Self = Self::new(1, 1, 1);
    /// Every argument.
    pub const ALL: Self = Self::new(1, -1, 1);
    /// Every other argument.
    pub const PAIRS: Self = Self::new(1, -1, 2);
    /// The first two arguments.
    pub const TWO: Self = Self::new(1, 2, 1);
    /// Every argument but the last.
    pub const ALL_BUT_LAST: Self = Self::new(1, -2, 1);

    const fn new(first: usize, last: isize, step: usize) -> Self {
        Self {
            first,
            last,
            step,
            counted_at: 0,
            behind: None,
            patterns: &[],
        }
    }

    /// Whether a request reads keys that only its run finds out.
    #[must_use]
    pub fn finds_more(&self, args: Args<'_>) -> bool {
        let is_pattern = |arg: &&[u8]| self.patterns.iter().any(|name| is_word(arg, name));
        !self.patterns.is_empty() && args.iter().skip(self.first + 1).any(is_pattern)
    }

    /// As many as this argument says, right behind it.
    pub(super) const fn counted(at: usize) -> Self {
        Self {
            counted_at: at,
            ..Self::NONE
        }
    }

    /// The first argument, and as many as this argument says right behind it.
    pub(super) const fn one_and_counted(at: usize) -> Self {
        Self {
            counted_at: at,
            ..Self::ONE
        }
    }

    /// The first argument, and what stands behind one of these words, which are looked for from an argument on.
    pub(super) const fn one_and_behind(from: usize, words: &'static [&'static str]) -> Self {
        Self {
            behind: Some((from, words)),
            ..Self::ONE
        }
    }
}

/// A chapter of the documentation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// Strings and counters.
    String,
    /// Strings as rows of bits.
    Bitmap,
    /// Sketches of sets.
    HyperLogLog,
    /// Sets.
    Set,
    /// Hashes.
    Hash,
    /// Lists.
    List,
    /// Sorted sets.
    SortedSet,
    /// Places on earth, kept in sorted sets.
    Geo,
    /// Any key.
    Generic,
    /// Channels.
    Pubsub,
    /// Transactions.
    Transactions,
    /// Scripts and functions.
    Scripting,
    /// The connection itself.
    Connection,
    /// The server.
    Server,
    /// The cluster.
    Cluster,
    /// What Redis does not have.
    Evenkeel,
}

impl Group {
    /// The name in COMMAND DOCS.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Bitmap => "bitmap",
            Self::HyperLogLog => "hyperloglog",
            Self::Set => "set",
            Self::Hash => "hash",
            Self::List => "list",
            Self::SortedSet => "sorted-set",
            Self::Geo => "geo",
            Self::Generic => "generic",
            Self::Pubsub => "pubsub",
            Self::Transactions => "transactions",
            Self::Scripting => "scripting",
            Self::Connection => "connection",
            Self::Server => "server",
            Self::Cluster => "cluster",
            Self::Evenkeel => "evenkeel",
        }
    }
}

/// A command of the table.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its name, in lower case.
    pub name: &'static str,
    /// How many arguments it takes, the name included; at least that many when negative.
    pub arity: i32,
    /// Its properties.
    pub flags: &'static [Flag],
    /// Where its keys are.
    pub keys: KeySpec,
    /// The access categories that do not follow from the flags, without `@`; see [`Self::all_categories`].
    pub categories: &'static [&'static str],
    /// Its chapter.
    pub group: Group,
    /// The version that brought it: of Redis, or of Evenkeel for its own.
    pub since: &'static str,
    /// What its time grows with.
    pub complexity: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What becomes of concurrent runs, in one line; empty where there is nothing to merge.
    pub merge: &'static str,
    /// Whether it decides by what it reads, and so goes to the partition's home; see [`needs_home`].
    pub conditional: Conditional,
    /// How it is run.
    pub run: Run,
    /// Its subcommands, in lower case.
    pub subcommands: &'static [&'static str],
}

/// Whether a command decides by what it reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conditional {
    /// It does not: concurrent runs merge.
    Never,
    /// It always does.
    Always,
    /// With one of these options, which stand behind so many arguments.
    With(usize, &'static [&'static str]),
}

impl Spec {
    /// A command without documentation yet.
    pub(super) const fn new(
        name: &'static str,
        arity: i32,
        flags: &'static [Flag],
        keys: KeySpec,
        run: Run,
    ) -> Self {
        Self {
            name,
            arity,
            flags,
            keys,
            categories: &[],
            group: Group::Generic,
            since: "",
            complexity: "",
            summary: "",
            merge: "",
            conditional: Conditional::Never,
            run,
            subcommands: &[],
        }
    }

    pub(super) const fn docs(
        mut self,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Self {
        self.since = since;
        self.complexity = complexity;
        self.summary = summary;
        self
    }

    pub(super) const fn in_group(
        mut self,
        group: Group,
        categories: &'static [&'static str],
    ) -> Self {
        self.group = group;
        self.categories = categories;
        self
    }

    pub(super) const fn merges(mut self, merge: &'static str) -> Self {
        self.merge = merge;
        self
    }

    pub(super) const fn conditional(mut self, conditional: Conditional) -> Self {
        self.conditional = conditional;
        self
    }

    pub(super) const fn with_subcommands(mut self, subcommands: &'static [&'static str]) -> Self {
        self.subcommands = subcommands;
        self
    }

    /// Whether it has a property.
    #[must_use]
    pub fn is(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    /// Every access category, without `@`, as COMMAND INFO lists them.
    pub fn all_categories(&self) -> impl Iterator<Item = &'static str> {
        let implied = [
            (self.is(Flag::Write), "write"),
            (self.is(Flag::Readonly), "read"),
            (self.is(Flag::Admin), "admin"),
            (self.is(Flag::Admin), "dangerous"),
            (self.is(Flag::Pubsub), "pubsub"),
            (self.is(Flag::Blocking), "blocking"),
        ];
        let pace = if self.is(Flag::Fast) { "fast" } else { "slow" };
        let implied = implied
            .into_iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, name)| name);
        implied.chain(self.categories.iter().copied()).chain([pace])
    }
}

/// Whether a request goes to the partition's home first (data-types.md, conditional commands).
#[must_use]
pub fn needs_home(spec: &Spec, args: Args<'_>) -> bool {
    match spec.conditional {
        Conditional::Never => false,
        Conditional::Always => true,
        Conditional::With(behind, options) => args.iter().skip(behind).any(|arg| {
            options
                .iter()
                .any(|option| arg.eq_ignore_ascii_case(option.as_bytes()))
        }),
    }
}

/// Refuses a request with too few or too many arguments.
///
/// # Errors
/// With Redis' text.
pub fn check_arity(spec: &Spec, args: Args<'_>) -> Result<(), Reply> {
    let wanted = spec.arity.unsigned_abs() as usize;
    let fits = if spec.arity < 0 {
        args.len() >= wanted
    } else {
        args.len() == wanted
    };
    if fits {
        Ok(())
    } else {
        Err(wrong_arity(spec.name))
    }
}

pub(super) fn wrong_arity(name: &str) -> Reply {
    Reply::error(format!(
        "ERR wrong number of arguments for '{name}' command"
    ))
}

/// The positions of the keys in a request whose arity is right.
///
/// # Errors
/// When what belongs to the last key is missing, or there are fewer keys than the arguments say.
pub fn keys_of(spec: &Spec, args: Args<'_>) -> Result<Vec<usize>, Reply> {
    let KeySpec {
        first,
        last,
        step,
        counted_at,
        behind,
        patterns: _,
    } = spec.keys;
    let mut keys = Vec::new();
    if first > 0 {
        let end = match usize::try_from(last) {
            Ok(last) => last + 1,
            Err(_) => (args.len() + 1).saturating_sub(last.unsigned_abs()),
        };
        let end = end.min(args.len());
        if last < 0 && end.saturating_sub(first) % step != 0 {
            return Err(wrong_arity(spec.name));
        }
        keys.extend((first..end).step_by(step));
    }
    if counted_at > 0 {
        keys.extend(counted_keys(args, counted_at).into_iter().flatten());
    }
    keys.extend(behind.and_then(|(from, words)| key_behind(args, from, words)));
    Ok(keys)
}

/// The key behind the last of these words.
fn key_behind(args: Args<'_>, from: usize, words: &[&str]) -> Option<usize> {
    let mut found = None;
    let mut at = from;
    while at + 1 < args.len() {
        let is = |word: &&str| args[at].eq_ignore_ascii_case(word.as_bytes());
        if words.iter().any(is) {
            at += 1;
            found = Some(at);
        }
        at += 1;
    }
    found
}

fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// The keys behind the argument that counts them, when they are all there. The command itself says what is wrong.
fn counted_keys(args: Args<'_>, at: usize) -> Option<Range<usize>> {
    let count = args.get(at).and_then(|count| parse_integer(count))?;
    let count = usize::try_from(count).ok().filter(|count| *count > 0)?;
    (count < args.len() - at).then(|| at + 1..at + 1 + count)
}

/// The error for a name that is not in the table, as Redis words it.
#[must_use]
pub fn unknown(args: Args<'_>) -> Reply {
    const SHOWN_BYTES_MAX: usize = 128;
    let shown = |arg: &[u8], room: usize| -> Vec<u8> {
        let text = arg.iter().take_while(|byte| **byte != 0);
        text.take(room).copied().collect()
    };
    let mut text = b"ERR unknown command '".to_vec();
    let name = args.first().copied().unwrap_or_default();
    text.extend(shown(name, SHOWN_BYTES_MAX));
    text.extend_from_slice(b"', with args beginning with: ");
    let mut beginning = Vec::new();
    for arg in args.iter().skip(1) {
        if beginning.len() >= SHOWN_BYTES_MAX {
            break;
        }
        let room = SHOWN_BYTES_MAX - beginning.len();
        beginning.push(b'\'');
        beginning.extend(shown(arg, room));
        beginning.extend_from_slice(b"' ");
    }
    text.extend(beginning);
    Reply::error(text)
}
