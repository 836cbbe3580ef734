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
            Family::Set => b"SREM",
            Family::Hash => b"HDEL",
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
            60..=69 => request(&[b"APPEND", &key, &value]),
            70..=74 => {
                let offset = self.rng.below(6).to_string();
                request(&[b"SETRANGE", &key, offset.as_bytes(), &value])
            }
            75..=84 => {
                let other = self.other_key();
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
