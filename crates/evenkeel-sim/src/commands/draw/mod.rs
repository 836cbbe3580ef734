//! The commands that clients send: few keys, few fields, so that they collide; how few is drawn per seed.

mod families;

use evenkeel_core::command::lookup;

use super::value::Bytes;
use crate::rng::{Rng, Stream};

/// What clients do with a key, mostly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Family {
    Text,
    Counter,
    Set,
    Hash,
    SortedSet,
    List,
    Sketch,
}

impl Family {
    const ALL: [Self; 7] = [
        Self::Text,
        Self::Counter,
        Self::Set,
        Self::Hash,
        Self::SortedSet,
        Self::List,
        Self::Sketch,
    ];
    /// What a key of sketches is used for by mistake: nothing that takes its form for a text.
    const NO_TEXTS: [Self; 4] = [Self::Set, Self::Hash, Self::SortedSet, Self::List];
}

/// The greatest amount that is added at a time in most seeds.
const AMOUNT_SMALL_MAX: u64 = 100;

/// What a seed draws for its commands.
#[derive(Clone, Debug)]
pub(crate) struct CommandPlan {
    /// By key: its family.
    keys: Vec<Family>,
    /// How many different fields and members there are.
    fields: u64,
    /// How many elements a command has at most.
    elements_max: u64,
    /// How often a command is of another family than its key.
    mixed_permille: u64,
    /// How often a command only reads.
    read_permille: u64,
    /// How often a command is about deadlines, or takes one along.
    deadline_permille: u64,
    /// The shortest and the longest time to live.
    lifetime_ms: (u64, u64),
    /// How often a command removes.
    removal_permille: u64,
    /// How often it removes whole keys, or all of them.
    key_removal_permille: u64,
    /// The greatest amount that is added at a time.
    amount_max: u64,
    /// Whether fractions are added.
    fractions: bool,
    /// How often several commands run as one batch.
    pub(crate) transaction_permille: u64,
    /// How often a conditional command goes to the home rather than running where the client is.
    pub(crate) home_permille: u64,
    /// Time between two looks for expired keys.
    pub(crate) expiry_us: u64,
    /// How many keys one look removes at most.
    pub(crate) expiry_limit: usize,
}

impl CommandPlan {
    /// The plan of a seed.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed, Stream::Commands);
        let mut families: Vec<Family> = Vec::new();
        let first = rng.pick(&Family::ALL);
        for family in Family::ALL {
            if family == first || rng.chance(500) {
                families.push(family);
            }
        }
        let keys = (0..rng.between(1, 6))
            .map(|_| rng.pick(&families))
            .collect();
        let huge = rng.chance(250);
        let shortest = rng.spread(50, 5_000);
        Self {
            keys,
            fields: rng.between(1, 8),
            elements_max: rng.spread(1, 6),
            mixed_permille: if rng.chance(400) {
                0
            } else {
                rng.spread(10, 300)
            },
            read_permille: rng.between(20, 150),
            deadline_permille: if rng.chance(250) {
                0
            } else {
                rng.spread(20, 400)
            },
            lifetime_ms: (shortest, rng.spread(shortest, 40_000)),
            removal_permille: rng.spread(30, 400),
            key_removal_permille: rng.spread(20, 400),
            // Up to the last number there is: two nodes that add at once easily go beyond it together.
            amount_max: if huge {
                (1 << 63) - 1
            } else {
                rng.spread(1, AMOUNT_SMALL_MAX)
            },
            fractions: rng.chance(500) && !huge,
            transaction_permille: rng.pick(&[0, 50, 300]),
            home_permille: rng.pick(&[0, 500, 1000]),
            expiry_us: rng.spread(200_000, 3_000_000),
            expiry_limit: rng.index(8) + 1,
        }
    }

    /// Whether two amounts may add up to more than 64 bits hold.
    const fn is_huge(&self) -> bool {
        self.amount_max > AMOUNT_SMALL_MAX
    }

    /// The keys that clients use.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Bytes> {
        (0..self.keys.len()).map(key)
    }
}

fn key(number: usize) -> Bytes {
    format!("k{number}").into_bytes()
}

/// Draws one command after the other.
#[derive(Debug)]
pub(crate) struct Drawer<'a> {
    plan: &'a CommandPlan,
    rng: &'a mut Rng,
    /// Makes written values differ.
    serial: u64,
}

impl<'a> Drawer<'a> {
    pub(crate) const fn new(plan: &'a CommandPlan, rng: &'a mut Rng, serial: u64) -> Self {
        Self { plan, rng, serial }
    }

    pub(crate) const fn chance(&mut self, permille: u64) -> bool {
        self.rng.chance(permille)
    }

    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.rng.below(end)
    }

    /// The next command, of those that the product has. Without `room`, none that needs new cells for its elements.
    pub(crate) fn draw(&mut self, now_ms: u64, room: bool) -> Vec<Bytes> {
        loop {
            let args = self.candidate(now_ms);
            if lookup(&args[0]).is_some() && (room || !needs_room(&args[0])) {
                return args;
            }
        }
    }

    fn candidate(&mut self, now_ms: u64) -> Vec<Bytes> {
        let number = self.key_number();
        let own = self.plan.keys[number];
        let family = match own {
            _ if !self.rng.chance(self.plan.mixed_permille) => own,
            Family::Sketch => self.rng.pick(&Family::NO_TEXTS),
            _ => match self.rng.pick(&Family::ALL) {
                Family::Sketch => Family::Text,
                other => other,
            },
        };
        let key = key(number);
        if self.rng.chance(self.plan.read_permille) {
            return self.read(key, family);
        }
        if self.rng.chance(self.plan.deadline_permille) {
            return self.deadline(key, now_ms);
        }
        if self.rng.chance(self.plan.removal_permille) {
            if self.rng.chance(self.plan.key_removal_permille) {
                return self.remove_keys(key, own);
            }
            return self.remove(key, family);
        }
        match family {
            Family::Text => self.text(key, now_ms),
            Family::Counter => self.counter(key),
            Family::Set => self.set(key),
            Family::Hash => self.hash(key),
            Family::SortedSet => self.sorted_set(key),
            Family::List => self.list(key),
            Family::Sketch => self.sketch(key),
        }
    }

    /// Low numbers more often: the smaller of two draws.
    fn key_number(&mut self) -> usize {
        let keys = self.plan.keys.len();
        self.rng.index(keys).min(self.rng.index(keys))
    }

    /// Another key, or the same, for a command on two. Sketches keep to themselves.
    fn other_key(&mut self, own: &[u8], family: Family) -> Bytes {
        let sketch = family == Family::Sketch;
        let drawn = self.key_number();
        let mut near = (0..self.plan.keys.len()).map(|step| (drawn + step) % self.plan.keys.len());
        let fits = |number: &usize| (self.plan.keys[*number] == Family::Sketch) == sketch;
        near.find(fits).map_or_else(|| own.to_vec(), key)
    }

    fn read(&mut self, key: Bytes, family: Family) -> Vec<Bytes> {
        let general = ["TYPE", "EXISTS", "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"];
        let own: &[&str] = match family {
            Family::Text | Family::Counter => &["GET", "STRLEN"],
            Family::Set => &["SMEMBERS", "SCARD"],
            Family::Hash => &["HGETALL", "HLEN", "HKEYS", "HVALS"],
            Family::SortedSet => &["ZCARD"],
            Family::List => &["LLEN"],
            Family::Sketch => &["PFCOUNT"],
        };
        let name = if self.rng.chance(400) {
            self.rng.pick(&general)
        } else {
            self.rng.pick(own)
        };
        request(&[name.as_bytes(), &key])
    }

    /// EXPIRE and its like.
    fn deadline(&mut self, key: Bytes, now_ms: u64) -> Vec<Bytes> {
        if self.rng.chance(200) {
            return request(&[b"PERSIST", &key]);
        }
        let ms = self.lifetime_ms();
        let (name, number) = match self.rng.below(10) {
            0..=5 => ("PEXPIRE", ms),
            6 => ("EXPIRE", ms / 1000),
            7 => ("EXPIREAT", (now_ms + ms) / 1000),
            8 => ("PEXPIREAT", now_ms + ms),
            // Long ago: the same as a removal.
            _ => ("PEXPIREAT", 1 + self.rng.below(1000)),
        };
        let mut args = request(&[name.as_bytes(), &key, number.to_string().as_bytes()]);
        if self.rng.chance(200) {
            args.push(self.rng.pick(&["NX", "XX", "GT", "LT"]).into());
        }
        args
    }

    fn lifetime_ms(&mut self) -> u64 {
        let (shortest, longest) = self.plan.lifetime_ms;
        self.rng.between(shortest, longest.max(shortest))
    }

    fn remove_keys(&mut self, key: Bytes, family: Family) -> Vec<Bytes> {
        let other = self.other_key(&key, family);
        match self.rng.below(100) {
            0..=49 => request(&[b"DEL", &key]),
            50..=59 => request(&[b"UNLINK", &key]),
            60..=69 => request(&[b"DEL", &key, &other]),
            70..=74 if family != Family::Sketch => request(&[b"GETDEL", &key]),
            75..=80 => request(&[b"RENAME", &key, &other]),
            81..=83 => request(&[b"RENAMENX", &key, &other]),
            84..=86 => request(&[b"COPY", &key, &other]),
            87..=89 => request(&[b"COPY", &key, &other, b"REPLACE"]),
            _ => request(&[b"FLUSHALL"]),
        }
    }
}

/// A request from its words.
fn request(words: &[&[u8]]) -> Vec<Bytes> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// Whether each element that the command writes is a cell of its own, or may be.
const fn needs_room(name: &[u8]) -> bool {
    matches!(
        name,
        b"LPUSH"
            | b"RPUSH"
            | b"LPUSHX"
            | b"RPUSHX"
            | b"LINSERT"
            | b"LMOVE"
            | b"RPOPLPUSH"
            | b"RENAME"
            | b"RENAMENX"
            | b"COPY"
            | b"PFADD"
            | b"PFMERGE"
    )
}
