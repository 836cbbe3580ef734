//! Doubles as text, byte for byte as Redis 7.0 prints them: C's `%.17g`.
//!
//! 17 significant digits carry every double there and back. Trailing zeros are
//! dropped; an exponent appears below 1e-4 and from 1e17 on. So 0.1 is
//! `0.10000000000000001`: clients compare such text, which is why the shorter
//! form of Redis 7.2 was not taken. Infinities are `inf` and `-inf`, NaN of
//! either sign `nan`.

use std::fmt::{self, Write};

/// Digits that `%.17g` keeps.
const DIGITS_MAX: usize = 17;
/// The longest text is `-1.2345678901234567e-308`.
const TEXT_BYTES_MAX: usize = 32;

/// The text of a double, held in place.
#[derive(Clone, Copy)]
pub struct DoubleText {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl DoubleText {
    const EMPTY: Self = Self {
        bytes: [0; TEXT_BYTES_MAX],
        length: 0,
    };

    /// The text, ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn push(&mut self, text: &[u8]) {
        let end = self.length + text.len();
        if let Some(free) = self.bytes.get_mut(self.length..end) {
            free.copy_from_slice(text);
            self.length = end;
        } else {
            debug_assert!(false, "a double took more than {TEXT_BYTES_MAX} bytes");
        }
    }
}

impl Write for DoubleText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for DoubleText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.as_bytes().escape_ascii())
    }
}

/// Formats as Redis does in `ZSCORE` and in RESP3 doubles.
#[must_use]
pub fn format_double(value: f64) -> DoubleText {
    let mut text = DoubleText::EMPTY;
    if value.is_nan() {
        text.push(b"nan");
    } else if value.is_infinite() {
        text.push(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if let Some(integer) = small_integer(value) {
        write_infallibly(&mut text, format_args!("{integer}"));
    } else {
        format_finite(value, &mut text);
    }
    text
}

/// Formats as Redis does in `GEOPOS`: C's `%.17f` without zeros at the end.
#[must_use]
pub fn format_decimal(value: f64) -> String {
    if !value.is_finite() {
        return String::from_utf8_lossy(format_double(value).as_bytes()).into_owned();
    }
    let mut text = format!("{value:.DIGITS_MAX$}");
    text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    if text == "-0" { "0".into() } else { text }
}

/// Integers that take no exponent, the usual scores, the short way.
fn small_integer(value: f64) -> Option<i64> {
    const EXACT: f64 = 1e15;
    let is_negative_zero = value == 0.0 && value.is_sign_negative();
    if value.abs() >= EXACT || value.fract() != 0.0 || is_negative_zero {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "integral and below 1e15")]
    Some(value as i64)
}

fn format_finite(value: f64, text: &mut DoubleText) {
    let mut scientific = DoubleText::EMPTY;
    write_infallibly(
        &mut scientific,
        format_args!("{:.*e}", DIGITS_MAX - 1, value.abs()),
    );
    let (digits, exponent) = digits_and_exponent(&scientific);
    let digits = digits.as_bytes();
    let kept = digits.len() - trailing_zeros(digits);
    let digits = digits.get(..kept.max(1)).unwrap_or_default();
    if value.is_sign_negative() {
        text.push(b"-");
    }
    match usize::try_from(exponent) {
        Ok(integral) if integral < DIGITS_MAX => {
            push_point(digits, integral + 1, text);
        }
        Err(_) if exponent >= -4 => {
            text.push(b"0.");
            for _ in exponent..-1 {
                text.push(b"0");
            }
            text.push(digits);
        }
        _ => {
            push_point(digits, 1, text);
            let sign = if exponent < 0 { '-' } else { '+' };
            write_infallibly(text, format_args!("e{sign}{:02}", exponent.unsigned_abs()));
        }
    }
}

/// The digits with a point behind the first `integral` of them, zeros filled
/// in up to there and no point at the end.
fn push_point(digits: &[u8], integral: usize, text: &mut DoubleText) {
    let (before, after) = digits.split_at_checked(integral).unwrap_or((digits, &[]));
    text.push(before);
    for _ in before.len()..integral {
        text.push(b"0");
    }
    if !after.is_empty() {
        text.push(b".");
        text.push(after);
    }
}

/// Takes `d.ddde-12` apart; the digits come without the point.
fn digits_and_exponent(scientific: &DoubleText) -> (DoubleText, i32) {
    let mut digits = DoubleText::EMPTY;
    let mut parts = scientific.as_bytes().split(|&byte| byte == b'e');
    for part in parts.next().unwrap_or_default().split(|&b| b == b'.') {
        digits.push(part);
    }
    let exponent = parts.next().and_then(|text| std::str::from_utf8(text).ok());
    (
        digits,
        exponent.and_then(|text| text.parse().ok()).unwrap_or(0),
    )
}

fn trailing_zeros(digits: &[u8]) -> usize {
    digits
        .iter()
        .rev()
        .take_while(|&&digit| digit == b'0')
        .count()
}

/// [`DoubleText`] has room for every double and never answers an error.
fn write_infallibly(text: &mut DoubleText, arguments: fmt::Arguments<'_>) {
    let written = text.write_fmt(arguments);
    debug_assert!(written.is_ok(), "writing to memory failed");
}

#[cfg(test)]
mod tests;
