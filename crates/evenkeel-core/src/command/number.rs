//! Numbers as text, read and written as Redis does.

use evenkeel_resp::Reply;

use super::long_double;

/// The longest text of a 64-bit integer.
const INTEGER_BYTES_MAX: usize = 20;
/// The longest text that is tried as a float.
const FLOAT_BYTES_MAX: usize = 5 * 1024;
/// How many digits behind the first are tried, which is as many as 64 bits have.
const FRACTION_DIGITS_MAX: usize = 17;

/// Reads an integer in its one canonical form: no sign `+`, no leading zero, no space.
pub(super) fn parse_integer(text: &[u8]) -> Option<i64> {
    if text.len() > INTEGER_BYTES_MAX {
        return None;
    }
    let digits = match text {
        b"0" => return Some(0),
        [b'-', digits @ ..] => digits,
        digits => digits,
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads an integer argument.
pub(super) fn integer(text: &[u8]) -> Result<i64, Reply> {
    parse_integer(text).ok_or_else(not_an_integer)
}

/// Reads a count that cannot be negative.
pub(super) fn positive(text: &[u8]) -> Result<usize, Reply> {
    let count = parse_integer(text).and_then(|count| usize::try_from(count).ok());
    count.ok_or_else(|| Reply::error("ERR value is out of range, must be positive"))
}

pub(super) fn not_an_integer() -> Reply {
    Reply::error("ERR value is not an integer or out of range")
}

/// Reads a float; not a number is none. Infinities are floats, but no sum may become one.
pub(super) fn parse_float(text: &[u8]) -> Option<f64> {
    if text.len() > FLOAT_BYTES_MAX {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

/// Reads a float argument.
pub(super) fn float(text: &[u8]) -> Result<f64, Reply> {
    parse_float(text).ok_or_else(|| Reply::error("ERR value is not a valid float"))
}

/// A float that was added up, and the greatest magnitude on the way: its rounding error is in proportion to that.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Sum {
    pub(super) value: f64,
    scale: f64,
}

impl Sum {
    pub(super) const fn new(value: f64) -> Self {
        Self {
            value,
            scale: value.abs(),
        }
    }

    pub(super) fn plus(self, amount: f64) -> Self {
        let value = self.value + amount;
        Self {
            value,
            scale: self.scale.max(amount.abs()).max(value.abs()),
        }
    }

    /// The text Redis would show, which adds up with longer floats: the fewest digits within the rounding error, as
    /// such a float prints them.
    pub(super) fn text(self) -> String {
        let error = self.scale * f64::EPSILON;
        let near = (0..=FRACTION_DIGITS_MAX).find_map(|digits| {
            let text = format!("{:.digits$e}", self.value);
            let rounded: f64 = text.parse().ok()?;
            ((rounded - self.value).abs() <= error).then_some(text)
        });
        let text = near.unwrap_or_else(|| format!("{:e}", self.value));
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let fraction = mantissa
            .split_once('.')
            .map_or(0, |(_, digits)| digits.len());
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let exponent = exponent.saturating_sub(i32::try_from(fraction).unwrap_or(0));
        let shown = long_double::shown(mantissa, exponent);
        if self.value < 0.0 && shown != "0" {
            format!("-{shown}")
        } else {
            shown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_an_integer() {
        for (text, value) in [
            ("0", 0),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), Some(value));
        }
        for text in [
            "",
            "-",
            "-0",
            "+1",
            "01",
            " 1",
            "1 ",
            "1.0",
            "9223372036854775808",
            "0x1",
        ] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn sums_of_floats_read_as_redis_shows_them() {
        assert_eq!(Sum::new(0.1).plus(0.2).text(), "0.3");
        assert_eq!(Sum::new(1.0).plus(-1.1).text(), "-0.1");
        assert_eq!(Sum::new(10.5).plus(0.1).text(), "10.6");
        assert_eq!(Sum::new(17_179_869_184.0).plus(1.5).text(), "17179869185.5");
        assert_eq!(Sum::new(5.0e3).plus(2.0e2).text(), "5200");
        assert_eq!(Sum::new(0.0).plus(1e-20).text(), "0");
        assert_eq!(Sum::new(-0.0).plus(-0.0).text(), "0");
        assert_eq!(Sum::new(1e21).plus(1.0).text(), "1000000000000000000000");
        assert_eq!(Sum::new(3.25).plus(0.0).text(), "3.25");
    }
}
