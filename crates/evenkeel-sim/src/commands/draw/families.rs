//! What is written, by type.

use super::{Drawer, Family, request};
use crate::commands::Bytes;

impl Drawer<'_> {
    fn field(&mut self) -> Bytes {
        let letter = self.rng.below(self.plan.fields).min(self.rng.below(8));
        vec![b'a' + u8::try_from(letter).unwrap_or(0)]
    }

    fn fields(&mut self) -> Vec<Bytes> {
        let many = self.rng.between(1, self.plan.elements_max);
        (0..many).map(|_| self.field()).collect()
    }

    /// A value that was never written before, or a number.
    fn value(&mut self) -> Bytes {
        if self.rng.chance(250) {
            return self.rng.below(100).to_string().into_bytes();
        }
        if self.plan.fractions && self.rng.chance(100) {
            return self.fraction();
        }
        self.word()
    }

    /// What goes into a text that is there. No digits where fractions or huge numbers are: what came of that would be
    /// a fraction or beyond 64 bits, with sums that are not exact, and the model adds with fewer bits than Redis.
    fn part(&mut self) -> Bytes {
        if self.plan.fractions || self.plan.is_huge() {
            return self.word();
        }
        self.value()
    }

    fn word(&mut self) -> Bytes {
        self.serial += 1;
        format!("v{}", self.serial).into_bytes()
    }

    fn amount(&mut self) -> Bytes {
        let amount = self.rng.between(1, self.plan.amount_max);
        let sign = if self.rng.chance(300) { "-" } else { "" };
        format!("{sign}{amount}").into_bytes()
    }

    /// Quarters: sums are exact whatever the order.
    fn fraction(&mut self) -> Bytes {
        let quarters = i32::try_from(self.rng.below(40)).unwrap_or(0) - 20;
        (f64::from(quarters) / 4.0).to_string().into_bytes()
    }

    pub(super) fn remove(&mut self, key: Bytes, family: Family) -> Vec<Bytes> {
        let name: &[u8] = match family {
            Family::Text | Family::Counter => return request(&[b"DEL", &key]),
            Family::Set if self.rng.chance(200) => return request(&[b"SPOP", &key]),
            Family::Set if self.rng.chance(150) => {
                let (other, member) = (self.other_key(&key, Family::Set), self.field());
                return request(&[b"SMOVE", &key, &other, &member]);
            }
            Family::Set => b"SREM",
            Family::Hash => b"HDEL",
            Family::SortedSet if self.rng.chance(200) => {
                let name = self.rng.pick(&["ZPOPMIN", "ZPOPMAX"]);
                return request(&[name.as_bytes(), &key]);
            }
            Family::SortedSet if self.rng.chance(300) => {
                let rank = self.rng.pick(&["0", "-1", "1"]);
                return request(&[b"ZREMRANGEBYRANK", &key, rank.as_bytes(), rank.as_bytes()]);
            }
            Family::SortedSet if self.rng.chance(200) => {
                return request(&[b"ZREMRANGEBYSCORE", &key, b"-3", b"2.25"]);
            }
            Family::SortedSet => b"ZREM",
            Family::List => return self.shorten(key),
            Family::Sketch => return request(&[b"DEL", &key]),
        };
        let mut args = request(&[name, &key]);
        args.extend(self.fields());
        args
    }

    pub(super) fn text(&mut self, key: Bytes, now_ms: u64) -> Vec<Bytes> {
        let value = self.value();
        match self.rng.below(100) {
            0..=44 => self.plain_set(key, value, now_ms),
            45..=49 => request(&[b"SETNX", &key, &value]),
            50..=54 => request(&[b"GETSET", &key, &value]),
            55..=59 => {
                let ms = self.lifetime_ms().to_string();
                request(&[b"PSETEX", &key, ms.as_bytes(), &value])
            }
            60..=69 => {
                let part = self.part();
                request(&[b"APPEND", &key, &part])
            }
            70..=74 => {
                let value = self.part();
                let offset = self.rng.below(6).to_string();
                request(&[b"SETRANGE", &key, offset.as_bytes(), &value])
            }
            75..=84 => {
                let other = self.other_key(&key, Family::Text);
                let also = self.value();
                request(&[b"MSET", &key, &value, &other, &also])
            }
            85..=92 => self.getex(key, now_ms),
            _ => self.counter(key),
        }
    }

    fn plain_set(&mut self, key: Bytes, value: Bytes, now_ms: u64) -> Vec<Bytes> {
        let mut args = request(&[b"SET", &key, &value]);
        if self.rng.chance(self.plan.deadline_permille) {
            let ms = self.lifetime_ms();
            let (unit, number) = match self.rng.below(10) {
                0..=6 => ("PX", ms),
                7 => ("EX", ms / 1000 + 1),
                8 => ("PXAT", now_ms + ms),
                _ => ("EXAT", (now_ms + ms) / 1000),
            };
            args.extend(request(&[unit.as_bytes(), number.to_string().as_bytes()]));
        } else if self.rng.chance(100) {
            args.push(b"KEEPTTL".to_vec());
        }
        if self.rng.chance(150) {
            args.push(self.rng.pick(&["NX", "XX"]).into());
        }
        if self.rng.chance(100) {
            args.push(b"GET".to_vec());
        }
        args
    }

    fn getex(&mut self, key: Bytes, now_ms: u64) -> Vec<Bytes> {
        let mut args = request(&[b"GETEX", &key]);
        let ms = self.lifetime_ms();
        let (unit, number) = match self.rng.below(4) {
            0 => return args,
            1 => {
                args.push(b"PERSIST".to_vec());
                return args;
            }
            2 => ("PX", ms),
            _ => ("PXAT", now_ms + ms),
        };
        args.extend(request(&[unit.as_bytes(), number.to_string().as_bytes()]));
        args
    }

    pub(super) fn counter(&mut self, key: Bytes) -> Vec<Bytes> {
        let amount = self.amount();
        match self.rng.below(100) {
            0..=19 => request(&[b"INCR", &key]),
            20..=24 => request(&[b"DECR", &key]),
            25..=64 => request(&[b"INCRBY", &key, &amount]),
            65..=74 => request(&[b"DECRBY", &key, &amount]),
            75..=89 if self.plan.fractions => {
                let fraction = self.fraction();
                request(&[b"INCRBYFLOAT", &key, &fraction])
            }
            75..=92 => request(&[b"SET", &key, &amount]),
            93..=96 => request(&[b"GETSET", &key, b"0"]),
            _ => request(&[b"SET", &key, &amount, b"KEEPTTL"]),
        }
    }

    pub(super) fn set(&mut self, key: Bytes) -> Vec<Bytes> {
        let mut args = request(&[b"SADD", &key]);
        args.extend(self.fields());
        args
    }

    /// A score, or what is added to one: sums of such are exact.
    fn score(&mut self) -> Bytes {
        if self.rng.chance(500) {
            return self.fraction();
        }
        let whole = i64::try_from(self.rng.below(2_000)).unwrap_or(0) - 1_000;
        whole.to_string().into_bytes()
    }

    pub(super) fn sorted_set(&mut self, key: Bytes) -> Vec<Bytes> {
        let (score, member) = (self.score(), self.field());
        match self.rng.below(100) {
            0..=39 => {
                let mut args = request(&[b"ZADD", &key]);
                for member in self.fields() {
                    args.push(self.score());
                    args.push(member);
                }
                args
            }
            40..=54 => {
                let option = self.rng.pick(&["NX", "XX", "GT", "LT", "CH"]);
                request(&[b"ZADD", &key, option.as_bytes(), &score, &member])
            }
            55..=59 => request(&[b"ZADD", &key, b"INCR", &score, &member]),
            _ => request(&[b"ZINCRBY", &key, &score, &member]),
        }
    }

    /// An element: seldom one that is there already.
    fn element(&mut self) -> Bytes {
        if self.rng.chance(300) {
            return self.field();
        }
        self.value()
    }

    pub(super) fn list(&mut self, key: Bytes) -> Vec<Bytes> {
        let name = self.rng.pick(&["LPUSH", "RPUSH"]);
        match self.rng.below(100) {
            0..=49 => {
                let mut args = request(&[name.as_bytes(), &key]);
                for _ in 0..self.rng.between(1, self.plan.elements_max) {
                    args.push(self.element());
                }
                args
            }
            50..=59 => {
                let name = self.rng.pick(&["LPUSHX", "RPUSHX"]);
                let element = self.element();
                request(&[name.as_bytes(), &key, &element])
            }
            60..=79 => {
                let side = self.rng.pick(&["BEFORE", "AFTER"]);
                let (pivot, element) = (self.field(), self.element());
                request(&[b"LINSERT", &key, side.as_bytes(), &pivot, &element])
            }
            80..=89 => {
                let index = self.rng.pick(&["0", "-1", "1", "2"]);
                let element = self.element();
                request(&[b"LSET", &key, index.as_bytes(), &element])
            }
            _ => {
                let other = if self.rng.chance(500) {
                    key.clone()
                } else {
                    self.other_key(&key, Family::List)
                };
                if self.rng.chance(200) {
                    return request(&[b"RPOPLPUSH", &key, &other]);
                }
                let (from, to) = (
                    self.rng.pick(&["LEFT", "RIGHT"]),
                    self.rng.pick(&["LEFT", "RIGHT"]),
                );
                request(&[b"LMOVE", &key, &other, from.as_bytes(), to.as_bytes()])
            }
        }
    }

    fn shorten(&mut self, key: Bytes) -> Vec<Bytes> {
        match self.rng.below(100) {
            0..=34 => request(&[b"LPOP", &key]),
            35..=69 => request(&[b"RPOP", &key]),
            70..=84 => {
                let wanted = self.rng.pick(&["0", "1", "-1", "2"]);
                let element = self.field();
                request(&[b"LREM", &key, wanted.as_bytes(), &element])
            }
            _ => {
                let (from, to) =
                    self.rng
                        .pick(&[("0", "3"), ("1", "-1"), ("0", "-2"), ("-3", "-1")]);
                request(&[b"LTRIM", &key, from.as_bytes(), to.as_bytes()])
            }
        }
    }

    pub(super) fn sketch(&mut self, key: Bytes) -> Vec<Bytes> {
        if self.rng.chance(200) {
            let other = self.other_key(&key, Family::Sketch);
            return request(&[b"PFMERGE", &key, &other]);
        }
        let mut args = request(&[b"PFADD", &key]);
        for _ in 0..self.rng.between(0, self.plan.elements_max) {
            args.push(self.rng.below(40).to_string().into_bytes());
        }
        args
    }

    pub(super) fn hash(&mut self, key: Bytes) -> Vec<Bytes> {
        let field = self.field();
        match self.rng.below(100) {
            0..=49 => {
                let mut args = request(&[b"HSET", &key]);
                for field in self.fields() {
                    args.push(field);
                    args.push(self.value());
                }
                args
            }
            50..=54 => {
                let value = self.value();
                request(&[b"HSETNX", &key, &field, &value])
            }
            55..=64 if self.plan.fractions => {
                let fraction = self.fraction();
                request(&[b"HINCRBYFLOAT", &key, &field, &fraction])
            }
            _ => {
                let amount = self.amount();
                request(&[b"HINCRBY", &key, &field, &amount])
            }
        }
    }
}
