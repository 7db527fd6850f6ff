//! Values as PostgreSQL prints them.

use chrono_tz::Tz;

use super::calendar::{
    MICROS_PER_DAY, MICROS_PER_SECOND, civil, offset_seconds, write_fraction, write_time,
};
use super::{Value, json, put};

/// Appends a value; times are shown in `zone`. NULL appends nothing: the protocols have their own
/// ways to say it.
pub fn write_value(out: &mut String, value: &Value<'_>, zone: Tz) {
    match value {
        Value::Null => {}
        Value::Bool(value) => out.push(if *value { 't' } else { 'f' }),
        Value::Int(value) => put!(out, "{value}"),
        Value::UInt(value) => put!(out, "{value}"),
        Value::Float32(value) => write_float(out, &format!("{value:e}"), 6),
        Value::Float64(value) => write_float(out, &format!("{value:e}"), 15),
        Value::Decimal(digits, scale) => write_decimal(out, *digits, *scale),
        Value::Text(text) | Value::Json(text) => out.push_str(text),
        Value::Uuid(bytes) => write_uuid(out, bytes),
        Value::Date(days) => {
            let era = write_date(out, i64::from(*days));
            out.push_str(era);
        }
        Value::DateTime(micros) => write_datetime(out, *micros, zone),
        Value::Interval { months, days, nanos } => write_interval(out, *months, *days, *nanos),
        Value::Array(items, range) if items.is_flat() => {
            out.push('{');
            for (at, row) in range.clone().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_element(out, &items.value(row), zone);
            }
            out.push('}');
        }
        nested @ (Value::Array(..) | Value::Tuple(..) | Value::Map(..)) => {
            json::write_value(out, nested);
        }
    }
}

/// An array element, quoted where the array syntax would otherwise misread it.
fn write_element(out: &mut String, element: &Value<'_>, zone: Tz) {
    if matches!(element, Value::Null) {
        out.push_str("NULL");
        return;
    }
    let start = out.len();
    write_value(out, element, zone);
    let text = &out[start..];
    let special = |c: char| matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_ascii_whitespace();
    if !text.is_empty() && !text.eq_ignore_ascii_case("null") && !text.contains(special) {
        return;
    }
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    out.truncate(start);
    put!(out, "\"{escaped}\"");
}

/// Appends the shortest digits that read back as the same float, given in `d.dde±x` form;
/// exponents below -4, or from `fixed_digits_max` on, stay exponents.
fn write_float(out: &mut String, scientific: &str, fixed_digits_max: i32) {
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        out.push_str(match scientific {
            "inf" => "Infinity",
            "-inf" => "-Infinity",
            _ => "NaN",
        });
        return;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if !(-4..fixed_digits_max).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        put!(out, "{mantissa}e{sign}{:02}", exponent.unsigned_abs());
        return;
    }
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if mantissa.starts_with('-') {
        out.push('-');
    }
    match usize::try_from(exponent) {
        Ok(whole) if digits.len() <= whole + 1 => {
            out.push_str(&digits);
            out.push_str(&"0".repeat(whole + 1 - digits.len()));
        }
        Ok(whole) => put!(out, "{}.{}", &digits[..=whole], &digits[whole + 1..]),
        Err(_) => {
            let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
            put!(out, "0.{zeros}{digits}");
        }
    }
}

/// Appends a date, and returns what follows it and its time: years before 1 count down from 1 BC.
fn write_date(out: &mut String, days: i64) -> &'static str {
    let (year, month, day) = civil(days);
    let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    put!(out, "{year:04}-{month:02}-{day:02}");
    era
}

/// Appends a time as in `2026-11-13 10:00:00+00`: minutes of the offset only where it has some.
fn write_datetime(out: &mut String, micros: i64, zone: Tz) {
    let offset = offset_seconds(zone, micros);
    let local = micros.saturating_add(i64::from(offset) * MICROS_PER_SECOND);
    let era = write_date(out, local.div_euclid(MICROS_PER_DAY));
    out.push(' ');
    write_time(out, local.rem_euclid(MICROS_PER_DAY));
    let sign = if offset < 0 { '-' } else { '+' };
    let offset = offset.unsigned_abs();
    put!(out, "{sign}{:02}", offset / 3_600);
    if !offset.is_multiple_of(3_600) {
        put!(out, ":{:02}", offset / 60 % 60);
    }
    if !offset.is_multiple_of(60) {
        put!(out, ":{:02}", offset % 60);
    }
    out.push_str(era);
}

/// Appends an interval as in `1 year 2 mons 3 days 04:05:06.7`. Finer than microseconds is cut.
pub fn write_interval(out: &mut String, months: i32, days: i32, nanos: i64) {
    let start = out.len();
    let mut after_negative = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        let space = if out.len() > start { " " } else { "" };
        let plus = if after_negative && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        put!(out, "{space}{plus}{value} {unit}{plural}");
        after_negative = value < 0;
    }
    let micros = nanos / 1_000;
    if micros == 0 && out.len() > start {
        return;
    }
    let space = if out.len() > start { " " } else { "" };
    let sign = match micros {
        ..0 => "-",
        _ if after_negative => "+",
        _ => "",
    };
    let micros = micros.unsigned_abs();
    let seconds = micros / 1_000_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    put!(out, "{space}{sign}{hours:02}:{minutes:02}:{seconds:02}");
    write_fraction(out, (micros % 1_000_000) as i64);
}

/// Appends a UUID in lower case with hyphens.
pub fn write_uuid(out: &mut String, bytes: &[u8; 16]) {
    for (at, byte) in bytes.iter().enumerate() {
        let hyphen = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        put!(out, "{hyphen}{byte:02x}");
    }
}

/// Appends all digits of a decimal, keeping its scale.
pub fn write_decimal(out: &mut String, digits: i128, scale: i8) {
    let sign = if digits < 0 { "-" } else { "" };
    let mut text = digits.unsigned_abs().to_string();
    match usize::try_from(scale) {
        Ok(0) => put!(out, "{sign}{text}"),
        Ok(scale) => {
            if text.len() <= scale {
                text.insert_str(0, &"0".repeat(scale + 1 - text.len()));
            }
            let (whole, fraction) = text.split_at(text.len() - scale);
            put!(out, "{sign}{whole}.{fraction}");
        }
        Err(_) if digits == 0 => out.push('0'),
        Err(_) => {
            let zeros = "0".repeat(usize::from(scale.unsigned_abs()));
            put!(out, "{sign}{text}{zeros}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &Value<'_>, zone: Tz, expected: &str) {
        let mut out = String::new();
        write_value(&mut out, value, zone);
        assert_eq!(out, expected);
    }

    // Expected texts are PostgreSQL 15's own output.
    #[test]
    fn floats() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (100.0, "100"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1.234_567_890_123_456_8e17, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-1e300, "-1e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            check(&Value::Float64(value), Tz::UTC, expected);
        }
        check(&Value::Float32(0.1), Tz::UTC, "0.1");
        check(&Value::Float32(1e6), Tz::UTC, "1e+06");
        check(&Value::Float32(123_456.0), Tz::UTC, "123456");
    }

    #[test]
    fn times_follow_the_zone() {
        let micros = 1_794_564_000_000_000; // 2026-11-13 10:00:00 UTC
        for (zone, expected) in [
            (Tz::UTC, "2026-11-13 10:00:00+00"),
            (Tz::Asia__Kolkata, "2026-11-13 15:30:00+05:30"),
            (Tz::America__New_York, "2026-11-13 05:00:00-05"),
        ] {
            check(&Value::DateTime(micros), zone, expected);
        }
        check(
            &Value::DateTime(-62_135_596_800_000_001),
            Tz::UTC,
            "0001-12-31 23:59:59.999999+00 BC",
        );
        check(&Value::Date(-719_163), Tz::UTC, "0001-12-31 BC");
    }

    #[test]
    fn intervals() {
        for (months, days, nanos, expected) in [
            (0, 0, 0, "00:00:00"),
            (1, 2, 11_045_500_000_000, "1 mon 2 days 03:04:05.5"),
            (14, 1, 0, "1 year 2 mons 1 day"),
            (-1, 2, 0, "-1 mons +2 days"),
            (0, -1, 3_600_000_000_000, "-1 days +01:00:00"),
            (0, 0, -90_000_000_000, "-00:01:30"),
            (0, 0, 90_000_000_000_000, "25:00:00"),
        ] {
            check(&Value::Interval { months, days, nanos }, Tz::UTC, expected);
        }
    }

    #[test]
    fn decimals_keep_their_scale() {
        for (digits, scale, expected) in [
            (0, 2, "0.00"),
            (-5, 2, "-0.05"),
            (123_456, 3, "123.456"),
            (12, 0, "12"),
            (12, -2, "1200"),
            (i128::MAX, 0, "170141183460469231731687303715884105727"),
        ] {
            check(&Value::Decimal(digits, scale), Tz::UTC, expected);
        }
    }
}
