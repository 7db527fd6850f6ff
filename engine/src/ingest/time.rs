//! Timestamps as senders write them.

use std::ops::Range;

/// Reads a timestamp as microseconds since the epoch.
///
/// Takes ISO 8601 with `T` or a space, with or without seconds, fraction and zone (no zone is
/// UTC), a bare date (midnight UTC), and Unix time as a number in seconds, milliseconds,
/// microseconds or nanoseconds, told apart by its size. Digits beyond microseconds are cut off.
/// None for times outside of [`YEARS`], too.
pub(super) fn parse_timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    let bytes = text.as_bytes();
    let micros = match bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-' {
        true => parse_iso(bytes),
        false => parse_unix(text),
    };
    micros.filter(|micros| YEARS.contains(micros))
}

const MICROS: i64 = 1_000_000;
/// The years 1 to 9999 in UTC: what ISO 8601, the log and other readers of the files can say.
pub(super) const YEARS: Range<i64> = -62_135_596_800 * MICROS..253_402_300_800 * MICROS;

fn parse_iso(bytes: &[u8]) -> Option<i64> {
    let (date, mut rest) = bytes.split_at(10);
    let days = days_from_civil(number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?)?;
    let midnight = days * 86_400;
    let Some((b'T' | b't' | b' ', time)) = rest.split_first() else {
        return rest.is_empty().then_some(midnight * MICROS);
    };
    rest = time;
    let (hour, minute) = (number(rest.get(..2)?)?, number(rest.get(3..5)?)?);
    if rest[2] != b':' || hour > 23 || minute > 59 {
        return None;
    }
    rest = &rest[5..];
    let mut second = 0;
    let mut micros = 0;
    if rest.first() == Some(&b':') {
        second = number(rest.get(1..3)?)?;
        rest = &rest[3..];
        if let Some((b'.' | b',', fraction)) = rest.split_first() {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            micros = fraction_micros(&fraction[..digits])?;
            rest = &fraction[digits..];
        }
    }
    // 60 is a leap second: the first moment of the next minute.
    if second > 60 {
        return None;
    }
    let offset = zone_seconds(rest.trim_ascii())?;
    let seconds = midnight + hour * 3600 + minute * 60 + second - offset;
    Some(seconds * MICROS + micros)
}

/// The first six digits of a fraction.
fn fraction_micros(digits: &[u8]) -> Option<i64> {
    let kept = &digits[..digits.len().min(6)];
    let missing = u32::try_from(6 - kept.len()).ok()?;
    Some(number(kept)? * 10_i64.pow(missing))
}

fn zone_seconds(zone: &[u8]) -> Option<i64> {
    let (sign, rest) = match zone {
        b"" | b"Z" | b"z" | b"UTC" | b"GMT" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest.len() {
        2 => (number(rest)?, 0),
        4 => (number(&rest[..2])?, number(&rest[2..])?),
        5 if rest[2] == b':' => (number(&rest[..2])?, number(&rest[3..])?),
        _ => return None,
    };
    (hours <= 18 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let date = chrono::NaiveDate::from_ymd_opt(
        i32::try_from(year).ok()?,
        u32::try_from(month).ok()?,
        u32::try_from(day).ok()?,
    )?;
    (year > 0).then(|| i64::from(date.to_epoch_days()))
}

fn parse_unix(text: &str) -> Option<i64> {
    let value: f64 = text.parse().ok()?;
    let micros_per_unit = match value.abs() {
        size if size < 1e11 => 1e6,
        size if size < 1e14 => 1e3,
        size if size < 1e17 => 1.0,
        size if size < 1e20 => 1e-3,
        _ => return None,
    };
    match text.parse::<i64>() {
        // Exact where a float would round.
        Ok(whole) if micros_per_unit < 1.0 => Some(whole.div_euclid(1000)),
        Ok(whole) => whole.checked_mul(micros_per_unit as i64),
        Err(_) => Some((value * micros_per_unit).round() as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_timestamp;

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(parse_timestamp(text), expected, "{text}");
    }

    // Expected values: `date -u -d TEXT +%s`.
    #[test]
    fn iso() {
        check("2015-09-11T00:46:58.771Z", Some(1_441_932_418_771_000));
        check("2024-03-13 10:21:14", Some(1_710_325_274_000_000));
        check("2024-03-13T10:21:14.123456789+02:00", Some(1_710_318_074_123_456));
        check("2024-03-13T10:21:14,5-0530", Some(1_710_345_074_500_000));
        check("2024-03-13 10:21:14 UTC", Some(1_710_325_274_000_000));
        check("2024-03-13T10:21", Some(1_710_325_260_000_000));
        check("2024-03-13", Some(1_710_288_000_000_000));
        check("1969-12-31T23:59:59.999999Z", Some(-1));
        check("0001-01-01T00:00:00Z", Some(-62_135_596_800_000_000));
        check("9999-12-31T23:59:59.999999Z", Some(253_402_300_799_999_999));
        check("2016-12-31T23:59:60Z", Some(1_483_228_800_000_000));
    }

    #[test]
    fn unix() {
        check("1710325274", Some(1_710_325_274_000_000));
        check("1710325274.25", Some(1_710_325_274_250_000));
        check("1710325274123", Some(1_710_325_274_123_000));
        check("1710325274123456", Some(1_710_325_274_123_456));
        check("1710325274123456789", Some(1_710_325_274_123_456));
        check("0", Some(0));
        check("-1.5", Some(-1_500_000));
    }

    #[test]
    fn unreadable() {
        for text in [
            "",
            "yesterday",
            "2024-13-01",
            "2024-02-30",
            "2024-03-13T24:00:00Z",
            "0000-01-01",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:00:00-01:00",
            "-70000000000",
            "2024-03-13T10:21:14.Z",
            "2024-03-13T10:21:61Z",
            "2024-03-13T10:21:14+2",
            "2024-03-13T10-21",
            "2024-03-13X10:21:14",
            "NaN",
            "inf",
            "1e300",
            "2024-03-13Tä",
        ] {
            check(text, None);
        }
    }
}
