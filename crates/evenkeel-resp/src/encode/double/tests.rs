//! What C's `printf("%.17g")` and a Redis 7.0.15 server print.

use super::*;

fn text(value: f64) -> String {
    String::from_utf8(format_double(value).as_bytes().to_vec()).unwrap()
}

#[test]
fn doubles_are_printed_as_redis_7_0_prints_them() {
    for (value, expected) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-17.5, "-17.5"),
        (0.1, "0.10000000000000001"),
        (1.0 / 3.0, "0.33333333333333331"),
        (3.25, "3.25"),
        (1e15, "1000000000000000"),
        (999_999_999_999_999.9, "999999999999999.88"),
        (1e16, "10000000000000000"),
        (12_345_678_901_234_567.0, "12345678901234568"),
        (99_999_999_999_999_984.0, "99999999999999984"),
        (1e17, "1e+17"),
        (-1e17, "-1e+17"),
        (123_456_789_012_345_678.0, "1.2345678901234568e+17"),
        (1e22, "1e+22"),
        (1e23, "9.9999999999999992e+22"),
        (1e100, "1e+100"),
        (1e-4, "0.0001"),
        (0.000_123_456_789_012_345_67, "0.00012345678901234567"),
        (1e-5, "1.0000000000000001e-05"),
        (5e-324, "4.9406564584124654e-324"),
        (-2.225_073_858_507_201e-308, "-2.2250738585072009e-308"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::MIN, "-1.7976931348623157e+308"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
        (-f64::NAN, "nan"),
    ] {
        assert_eq!(text(value), expected);
    }
}

#[test]
fn a_tie_at_the_last_digit_goes_to_the_even_one() {
    let power = 2_f64.powi(50);
    assert_eq!(text(power + 0.25), "1125899906842624.2");
    assert_eq!(text(power + 0.75), "1125899906842624.8");
    assert_eq!(text(power * 2.0 - 0.25), "2251799813685247.8");
}

#[test]
fn every_power_of_ten_and_its_neighbours_come_back_unchanged() {
    for exponent in -323..=308 {
        let power: f64 = format!("1e{exponent}").parse().unwrap();
        for value in [power.next_down(), power, power.next_up()] {
            let text = text(value);
            assert_eq!(text.parse::<f64>().unwrap(), value, "{text}");
            assert!(text.len() < TEXT_BYTES_MAX);
        }
    }
}
