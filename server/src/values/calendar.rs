//! Dates and times as text, for every value that fits: no calendar library covers the whole range.

use chrono::{DateTime, Offset};
use chrono_tz::Tz;

use super::put;

pub(crate) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Year, month, day of a number of days since 1970-01-01, in the proleptic Gregorian calendar.
///
/// Counts from 0000-03-01, so that the leap day comes last in a year, in eras of 400 years.
pub(crate) fn civil(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

/// Writes `HH:MM:SS` and, unless it is zero, the fraction without trailing zeros.
pub(crate) fn write_time(out: &mut String, micros_of_day: i64) {
    let seconds = micros_of_day / MICROS_PER_SECOND;
    put!(out, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    write_fraction(out, micros_of_day % MICROS_PER_SECOND);
}

/// Writes `.` and the microseconds without trailing zeros; nothing for zero.
pub(crate) fn write_fraction(out: &mut String, micros: i64) {
    if micros != 0 {
        let digits = format!("{micros:06}");
        put!(out, ".{}", digits.trim_end_matches('0'));
    }
}

/// Writes an ISO 8601 date; years outside 0..=9999 carry a sign, as ISO wants.
pub(crate) fn write_iso_date(out: &mut String, days: i64) {
    let (year, month, day) = civil(days);
    match year {
        0..=9999 => put!(out, "{year:04}-{month:02}-{day:02}"),
        _ => put!(out, "{year:+05}-{month:02}-{day:02}"),
    }
}

/// Writes an ISO 8601 time in UTC, ending in `Z`.
pub(crate) fn write_iso_datetime(out: &mut String, micros: i64) {
    write_iso_date(out, micros.div_euclid(MICROS_PER_DAY));
    out.push('T');
    write_time(out, micros.rem_euclid(MICROS_PER_DAY));
    out.push('Z');
}

/// Seconds that `zone` is ahead of UTC at that time; zero beyond the zone tables' range.
pub(crate) fn offset_seconds(zone: Tz, micros: i64) -> i32 {
    DateTime::from_timestamp_micros(micros)
        .map_or(0, |time| time.with_timezone(&zone).offset().fix().local_minus_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_days() {
        // Days counted with Python's date.toordinal() - 719163.
        for (days, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (20_770, "2026-11-13"),
            (-719_162, "0001-01-01"),
            (2_932_896, "9999-12-31"),
        ] {
            let mut text = String::new();
            write_iso_date(&mut text, days);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn times_keep_only_the_digits_they_need() {
        for (micros, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (1_500_000, "1970-01-01T00:00:01.5Z"),
        ] {
            let mut text = String::new();
            write_iso_datetime(&mut text, micros);
            assert_eq!(text, expected);
        }
    }
}
