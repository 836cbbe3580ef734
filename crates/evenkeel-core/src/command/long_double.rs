//! A decimal number as Redis shows it: rounded to the 64 bits of an x87 long double, then printed with 17 digits behind
//! the point, so that `1000.1` reads `1000.09999999999999998`.
//!
//! In whole numbers, without floats: both roundings are exact, half to even.

use std::cmp::Ordering;

/// How many digits behind the point are printed.
const FRACTION_DIGITS: usize = 17;
const MANTISSA_BITS: i64 = 64;

/// The text for `digits * 10^exponent`, without a sign; trailing zeros are left out.
pub(super) fn shown(digits: &str, exponent: i32) -> String {
    let mut over = Natural::from_digits(digits);
    let mut under = Natural::from_digits("1");
    for _ in 0..exponent.unsigned_abs() {
        if exponent > 0 {
            over.times_plus(10, 0);
        } else {
            under.times_plus(10, 0);
        }
    }
    if over.is_zero() {
        return "0".into();
    }
    let (mantissa, power) = quotient(over, under);
    if power >= 0 {
        let mut whole = Natural::from_u64(mantissa);
        whole.shift_left(power.unsigned_abs());
        return whole.into_digits();
    }
    let scaled = shift_right(u128::from(mantissa) * 10_u128.pow(17), power.unsigned_abs());
    let text = format!("{scaled:0>width$}", width = FRACTION_DIGITS + 1);
    let (whole, fraction) = text.split_at(text.len() - FRACTION_DIGITS);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        whole.into()
    } else {
        format!("{whole}.{fraction}")
    }
}

/// `over / under` as 64 bits times a power of two.
fn quotient(mut over: Natural, mut under: Natural) -> (u64, i64) {
    // Such that under <= over < 2 * under.
    let mut power = over.bits() - under.bits();
    match power.cmp(&0) {
        Ordering::Greater => under.shift_left(power.unsigned_abs()),
        Ordering::Less => over.shift_left(power.unsigned_abs()),
        Ordering::Equal => {}
    }
    if over.compare(&under) == Ordering::Less {
        over.shift_left(1);
        power -= 1;
    }
    let mut mantissa = 0_u64;
    for _ in 0..MANTISSA_BITS {
        mantissa <<= 1;
        if over.compare(&under) != Ordering::Less {
            over.subtract(&under);
            mantissa |= 1;
        }
        over.shift_left(1);
    }
    let up = match over.compare(&under) {
        Ordering::Less => false,
        Ordering::Equal => mantissa & 1 == 1,
        Ordering::Greater => true,
    };
    let power = power - (MANTISSA_BITS - 1);
    match mantissa.checked_add(u64::from(up)) {
        Some(mantissa) => (mantissa, power),
        None => (1 << 63, power + 1),
    }
}

/// `value / 2^bits`, rounded half to even.
fn shift_right(value: u128, bits: u64) -> u128 {
    let Some(bits) = u32::try_from(bits).ok().filter(|bits| *bits < u128::BITS) else {
        return 0;
    };
    let rest = value & ((1 << bits) - 1);
    let half = 1 << (bits - 1);
    let shifted = value >> bits;
    let up = rest > half || (rest == half && shifted & 1 == 1);
    shifted + u128::from(up)
}

/// A whole number of any size: 32 bits a place, the lowest first, the highest not 0.
#[derive(Clone, Debug)]
struct Natural(Vec<u32>);

impl Natural {
    fn from_u64(value: u64) -> Self {
        let mut number = Self(Vec::new());
        number.times_plus(1, value >> 32);
        number.shift_left(32);
        number.times_plus(1, value & 0xffff_ffff);
        number
    }

    fn from_digits(digits: &str) -> Self {
        let mut number = Self(Vec::new());
        for digit in digits.bytes().filter(u8::is_ascii_digit) {
            number.times_plus(10, u64::from(digit - b'0'));
        }
        number
    }

    const fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// Multiplies by a small number and adds one below 2^32.
    fn times_plus(&mut self, factor: u64, plus: u64) {
        let mut carry = plus;
        for place in &mut self.0 {
            let product = u64::from(*place) * factor + carry;
            *place = low(product);
            carry = product >> 32;
        }
        if carry > 0 {
            self.0.push(low(carry));
        }
    }

    fn bits(&self) -> i64 {
        let top = self.0.last().map_or(0, |top| 32 - top.leading_zeros());
        let below = self.0.len().saturating_sub(1) * 32;
        i64::try_from(below).unwrap_or(i64::MAX) + i64::from(top)
    }

    fn shift_left(&mut self, bits: u64) {
        if self.is_zero() {
            return;
        }
        self.times_plus(1 << (bits % 32), 0);
        let places = usize::try_from(bits / 32).unwrap_or(0);
        self.0.splice(0..0, std::iter::repeat_n(0, places));
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_length = self.0.len().cmp(&other.0.len());
        by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// Subtracts what is not greater.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (at, place) in self.0.iter_mut().enumerate() {
            let taken = other.0.get(at).copied().unwrap_or(0);
            let (once, under) = place.overflowing_sub(taken);
            let (twice, again) = once.overflowing_sub(u32::from(borrow));
            *place = twice;
            borrow = under || again;
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn into_digits(mut self) -> String {
        const NINE_DIGITS: u64 = 1_000_000_000;
        let mut groups = Vec::new();
        while !self.is_zero() {
            let mut rest = 0;
            for place in self.0.iter_mut().rev() {
                let value = rest << 32 | u64::from(*place);
                *place = low(value / NINE_DIGITS);
                rest = value % NINE_DIGITS;
            }
            groups.push(rest);
            while self.0.last() == Some(&0) {
                self.0.pop();
            }
        }
        let mut groups = groups.iter().rev();
        let first = groups.next().map_or_else(|| "0".into(), u64::to_string);
        groups.fold(first, |text, group| format!("{text}{group:09}"))
    }
}

/// The low half.
fn low(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_redis_shows_them() {
        for (digits, exponent, text) in [
            ("10001", -1, "1000.09999999999999998"),
            ("100000314", -2, "1000003.13999999999998636"),
            ("1001", -1, "100.1"),
            ("314", -2, "3.14"),
            ("5", -1, "0.5"),
            ("1", -20, "0"),
            ("0", 0, "0"),
            ("12", 2, "1200"),
            ("1", 30, "1000000000000000000024696061952"),
            ("9223372036854775807", 0, "9223372036854775807"),
            ("18446744073709551617", 0, "18446744073709551616"),
        ] {
            assert_eq!(shown(digits, exponent), text, "{digits}e{exponent}");
        }
    }
}
