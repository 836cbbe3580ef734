//! Times as people read them: UTC, to the millisecond.

/// As in `2026-11-27T15:20:50.991Z` (ISO 8601).
#[must_use]
pub fn iso(ms: i64) -> String {
    written(ms, "T", "Z")
}

/// As in `2026-11-27 15:20:50.991`.
#[must_use]
pub fn readable(ms: i64) -> String {
    written(ms, " ", "")
}

/// Milliseconds since 1970 as a date and time (Howard Hinnant's civil_from_days).
fn written(ms: i64, between: &str, end: &str) -> String {
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, millis) = (of_day / 1000, of_day % 1000);
    format!(
        "{year:04}-{month:02}-{day:02}{between}{:02}:{:02}:{:02}.{millis:03}{end}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days_and_before_1970() {
        assert_eq!(readable(0), "1970-01-01 00:00:00.000");
        assert_eq!(readable(951_782_400_000), "2000-02-29 00:00:00.000");
        assert_eq!(readable(1_735_689_599_999), "2024-12-31 23:59:59.999");
        assert_eq!(readable(-1), "1969-12-31 23:59:59.999");
        assert_eq!(iso(1_795_392_598_264), "2026-11-23T00:09:58.264Z");
        // The greatest time that a stamp can hold, and the greatest there is.
        assert_eq!(iso((1 << 48) - 1), "10889-08-02T05:31:50.655Z");
        assert!(iso(i64::MAX).ends_with('Z'));
    }
}
