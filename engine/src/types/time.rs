//! Time zones, calendar arithmetic and the text forms of dates and times. Pure.

use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone,
};
use chrono_tz::{OffsetName, Tz};

use crate::error::{Error, ErrorKind, Result};

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in a day.
pub const DAY: i64 = 86_400 * SECOND;
/// The epoch, as the day count of chrono's calendar.
const EPOCH_DAY: i32 = 719_163;

/// A time zone, with the offset last asked for at hand: rows mostly follow in time.
#[derive(Debug, Clone)]
pub struct Zone {
    tz: Tz,
    /// A quarter of an hour and the offset in it, in seconds.
    cached: std::cell::Cell<(i64, i64)>,
}

impl Zone {
    /// The zone of an IANA name.
    ///
    /// # Errors
    /// `InvalidArgument` when there is none.
    pub fn parse(name: &str) -> Result<Self> {
        let tz = match name {
            "UTC" | "+00:00" | "Z" | "" => Tz::UTC,
            name => name.parse().map_err(|_| {
                Error::new(ErrorKind::InvalidArgument, format!("no time zone named '{name}'"))
                    .hint("Use a name such as 'Europe/Berlin' or 'UTC'.")
            })?,
        };
        Ok(Self { tz, cached: std::cell::Cell::new((i64::MIN, 0)) })
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.tz.name()
    }

    /// What must be added to `instant` (microseconds since the epoch) for local time,
    /// in seconds.
    pub fn offset(&self, instant: i64) -> i64 {
        if self.tz == Tz::UTC {
            return 0;
        }
        let seconds = instant.div_euclid(SECOND);
        let quarter = seconds.div_euclid(900);
        let (cached, offset) = self.cached.get();
        if quarter == cached {
            return offset;
        }
        let offset = DateTime::from_timestamp(seconds, 0).map_or(0, |utc| {
            self.tz.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc()
        });
        // Since 1973 clocks only ever changed on a quarter of an hour.
        if seconds > 94_694_400 {
            self.cached.set((quarter, offset.into()));
        }
        offset.into()
    }

    /// How the zone is called at an instant: `CET`, `-03`.
    pub fn abbreviation(&self, instant: i64) -> String {
        let utc = DateTime::from_timestamp(instant.div_euclid(SECOND), 0).unwrap_or_default();
        let offset = self.tz.offset_from_utc_datetime(&utc.naive_utc());
        offset.abbreviation().unwrap_or_default().to_owned()
    }

    /// Local time, as microseconds since the local epoch.
    pub fn to_local(&self, instant: i64) -> i64 {
        instant + self.offset(instant) * SECOND
    }

    /// The instant of a local time. A time that occurs twice is its first occurrence; one that
    /// the clocks skip counts by the clock after the gap, as in ClickHouse.
    pub fn to_instant(&self, local: i64) -> i64 {
        if self.tz == Tz::UTC {
            return local;
        }
        let before = self.offset(local - DAY);
        let guess = local - before * SECOND;
        local - self.offset(guess) * SECOND
    }
}

/// Local microseconds as a calendar date and time; none outside chrono's years.
pub fn civil(local: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(local).map(|utc| utc.naive_utc())
}

/// A calendar date and time as local microseconds.
pub fn local(civil: NaiveDateTime) -> i64 {
    civil.and_utc().timestamp_micros()
}

/// Days since the epoch as a calendar date.
pub fn date(days: i32) -> Option<NaiveDate> {
    NaiveDate::from_num_days_from_ce_opt(days.checked_add(EPOCH_DAY)?)
}

/// A calendar date as days since the epoch.
pub fn days(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_DAY
}

/// A date some months and days later or earlier; a day that the month lacks becomes its last.
pub fn shift_date(date: NaiveDate, months: i32, days: i32) -> Option<NaiveDate> {
    let steps = Months::new(months.unsigned_abs());
    let date =
        if months < 0 { date.checked_sub_months(steps)? } else { date.checked_add_months(steps)? };
    let steps = Days::new(days.unsigned_abs().into());
    if days < 0 { date.checked_sub_days(steps) } else { date.checked_add_days(steps) }
}

/// Reads a date: `2024-03-10`, `2024/3/10`, `20240310`; a time after it is ignored when it is
/// well-formed.
pub fn parse_date(text: &str) -> Option<i32> {
    let mut reader = Reader::new(text.trim());
    let date = reader.date(Order::DayFirst)?;
    if !reader.is_empty() {
        reader.separator()?;
        reader.time()?;
        reader.zone_suffix()?;
    }
    Some(days(date))
}

/// How `10/03/2024` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    DayFirst,
    MonthFirst,
}

/// Reads a date and time, to the microsecond: ISO 8601 with `T` or a blank, with or without
/// seconds, fraction and offset; `2024-03-10` alone; `20240310123000`; `10/03/2024 12:30`;
/// `10 Mar 2024`; seconds or milliseconds since the epoch. Without an offset it is local time
/// in `zone`.
pub fn parse_datetime(text: &str, zone: &Zone, order: Order) -> Option<i64> {
    let text = text.trim();
    if let Some(instant) = parse_epoch(text) {
        return Some(instant);
    }
    let mut reader = Reader::new(after_weekday(text));
    let date = reader.date(order)?;
    let mut time = NaiveTime::MIN;
    let mut offset = None;
    if !reader.is_empty() {
        if reader.compact {
            time = reader.compact_time()?;
        } else {
            reader.separator()?;
            time = reader.time()?;
        }
        offset = reader.zone_suffix()?;
    }
    let local = local(date.and_time(time));
    Some(match offset {
        Some(seconds) => local - seconds * SECOND,
        None => zone.to_instant(local),
    })
}

/// The text without `Sat, ` at its beginning.
fn after_weekday(text: &str) -> &str {
    match text.split_once(", ") {
        Some((day, rest)) if day.len() == 3 && day.bytes().all(|b| b.is_ascii_alphabetic()) => rest,
        _ => text,
    }
}

/// `1710072000`, `1710072000.5`, `1710072000123`.
fn parse_epoch(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let number: i64 = whole.parse().ok()?;
    match whole.len() {
        9 | 10 => Some(number * SECOND + fraction_micros(fraction)),
        12 | 13 if fraction.is_empty() => Some(number * 1000),
        15 | 16 if fraction.is_empty() => Some(number),
        _ => None,
    }
}

/// The first six digits after the point.
fn fraction_micros(digits: &str) -> i64 {
    let six = digits.bytes().chain(std::iter::repeat(b'0')).take(6);
    six.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0'))
}

/// Reads the pieces of a date and time from the front of a text.
struct Reader<'a> {
    rest: &'a str,
    /// The date was written without separators.
    compact: bool,
}

impl<'a> Reader<'a> {
    fn new(rest: &'a str) -> Self {
        Self { rest, compact: false }
    }

    fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn eat(&mut self, accept: impl Fn(char) -> bool) -> Option<char> {
        let first = self.rest.chars().next().filter(|c| accept(*c))?;
        self.rest = &self.rest[first.len_utf8()..];
        Some(first)
    }

    /// Between `min` and `max` digits.
    fn digits(&mut self, min: usize, max: usize) -> Option<(u32, usize)> {
        let length = self.rest.bytes().take(max).take_while(u8::is_ascii_digit).count();
        if length < min {
            return None;
        }
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some((digits.parse().ok()?, length))
    }

    fn number(&mut self, max: usize) -> Option<u32> {
        self.digits(1, max).map(|(number, _)| number)
    }

    fn date(&mut self, order: Order) -> Option<NaiveDate> {
        let leading = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        match leading {
            8 | 14 => {
                self.compact = leading == 14;
                let (year, month, day) = (self.number(4)?, self.number(2)?, self.number(2)?);
                NaiveDate::from_ymd_opt(year as i32, month, day)
            }
            4 => {
                let year = self.number(4)?;
                let separator = self.eat(|c| matches!(c, '-' | '/' | '.'))?;
                let month = self.number(2)?;
                let day = match self.eat(|c| c == separator) {
                    Some(_) => self.number(2)?,
                    None if self.is_empty() => 1,
                    None => return None,
                };
                NaiveDate::from_ymd_opt(year as i32, month, day)
            }
            1 | 2 => {
                let first = self.number(2)?;
                let separator = self.eat(|c| matches!(c, '-' | '/' | '.' | ' '))?;
                if let Some(month) = self.month_name() {
                    self.eat(|c| c == separator)?;
                    return NaiveDate::from_ymd_opt(self.number(4)? as i32, month, first);
                }
                let second = self.number(2)?;
                self.eat(|c| c == separator && c != ' ')?;
                let (year, _) = self.digits(4, 4)?;
                let (day, month) = match order {
                    Order::DayFirst => (first, second),
                    Order::MonthFirst => (second, first),
                };
                NaiveDate::from_ymd_opt(year as i32, month, day)
            }
            0 => {
                let month = self.month_name()?;
                self.eat(|c| c == ' ')?;
                let day = self.number(2)?;
                self.eat(|c| c == ',');
                self.eat(|c| c == ' ')?;
                NaiveDate::from_ymd_opt(self.digits(4, 4)?.0 as i32, month, day)
            }
            _ => None,
        }
    }

    fn month_name(&mut self) -> Option<u32> {
        const NAMES: [&str; 12] =
            ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        let length = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let word = self.rest.get(..length)?.to_ascii_lowercase();
        let month = NAMES.iter().position(|name| word.starts_with(name))?;
        self.rest = &self.rest[length..];
        Some(month as u32 + 1)
    }

    fn separator(&mut self) -> Option<()> {
        if self.eat(|c| c == 'T' || c == 't').is_some() {
            return Some(());
        }
        self.eat(|c| c == ' ')?;
        self.rest = self.rest.trim_start();
        Some(())
    }

    /// `12:30`, `12:30:15`, `12:30:15.123456`.
    fn time(&mut self) -> Option<NaiveTime> {
        let hour = self.number(2)?;
        self.eat(|c| c == ':')?;
        let minute = self.digits(2, 2)?.0;
        let mut second = 0;
        let mut micros = 0;
        if self.eat(|c| c == ':').is_some() {
            second = self.digits(2, 2)?.0;
            if self.eat(|c| c == '.' || c == ',').is_some() {
                let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
                let (digits, rest) = self.rest.split_at(length);
                micros = if digits.is_empty() { return None } else { fraction_micros(digits) };
                self.rest = rest;
            }
        }
        let hour = self.half_of_day(hour)?;
        NaiveTime::from_hms_micro_opt(hour, minute, second, u32::try_from(micros).ok()?)
    }

    /// The hour with `AM` or `PM` considered, if one follows.
    fn half_of_day(&mut self, hour: u32) -> Option<u32> {
        let rest = self.rest.trim_start();
        let afternoon = match rest.get(..2).map(str::to_ascii_uppercase).as_deref() {
            Some("AM") => false,
            Some("PM") => true,
            _ => return Some(hour),
        };
        self.rest = &rest[2..];
        (1..=12).contains(&hour).then_some(hour % 12 + if afternoon { 12 } else { 0 })
    }

    fn compact_time(&mut self) -> Option<NaiveTime> {
        NaiveTime::from_hms_opt(self.digits(2, 2)?.0, self.digits(2, 2)?.0, self.digits(2, 2)?.0)
    }

    /// Nothing, `Z`, ` UTC`, `+02`, `+0200`, `+02:00`, and then the end. Outer none: malformed.
    #[expect(clippy::option_option, reason = "malformed and absent are two different answers")]
    fn zone_suffix(&mut self) -> Option<Option<i64>> {
        let suffix = self.rest.trim_start();
        if suffix.is_empty() {
            return Some(None);
        }
        if ["Z", "UTC", "GMT"].iter().any(|utc| suffix.eq_ignore_ascii_case(utc)) {
            return Some(Some(0));
        }
        self.rest = suffix;
        let sign = if self.eat(|c| c == '+' || c == '-')? == '-' { -1 } else { 1 };
        let hours = self.number(2)?;
        self.eat(|c| c == ':');
        let minutes = if self.is_empty() { 0 } else { self.digits(2, 2)?.0 };
        let valid = self.is_empty() && hours <= 15 && minutes < 60;
        valid.then(|| Some(sign * i64::from(hours * 3600 + minutes * 60)))
    }
}

/// `2024-03-10`.
pub fn write_date(days: i32, out: &mut String) {
    use std::fmt::Write as _;
    if let Some(date) = date(days) {
        let _ = write!(out, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day());
    }
}

/// `2024-03-10 12:30:15`, local time, with microseconds where there are any.
pub fn write_datetime(local: i64, out: &mut String) {
    use std::fmt::Write as _;
    let day = local.div_euclid(DAY);
    write_date(i32::try_from(day).unwrap_or(i32::MAX), out);
    let time = local.rem_euclid(DAY);
    let (seconds, micros) = (time / SECOND, time % SECOND);
    let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
    let _ = write!(out, " {hour:02}:{minute:02}:{:02}", seconds % 60);
    if micros != 0 {
        let _ = write!(out, ".{micros:06}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, zone: &str, expected: Option<i64>) {
        let zone = Zone::parse(zone).unwrap();
        assert_eq!(parse_datetime(text, &zone, Order::DayFirst), expected, "{text}");
    }

    /// Expected instants come from `date -d … +%s`.
    #[test]
    fn datetimes_are_read() {
        let noon = Some(1_710_072_000 * SECOND);
        check("2024-03-10 12:00:00", "UTC", noon);
        check("2024-03-10T12:00:00Z", "America/New_York", noon);
        check("2024-03-10T12:00", "UTC", noon);
        check("2024-03-10 13:00:00", "Europe/Berlin", noon);
        check("2024-03-10 14:00:00+02:00", "Europe/Berlin", noon);
        check("20240310120000", "UTC", noon);
        check("10/03/2024 12:00:00", "UTC", noon);
        check("10 Mar 2024 12:00:00", "UTC", noon);
        check("Mar 10, 2024 12:00:00", "UTC", noon);
        check("2024-03-10 12:00:00 PM", "UTC", noon);
        check("Sun, 10 Mar 2024 12:00:00 GMT", "Europe/Berlin", noon);
        check("2024-03", "UTC", Some(1_709_251_200 * SECOND));
        check("1710072000", "Europe/Berlin", noon);
        check("1710072000000", "UTC", noon);
        check("2024-03-10 12:00:00.25", "UTC", noon.map(|noon| noon + 250_000));
        for bad in
            ["", "2024-13-01", "2024-02-30", "2024-03-10 25:00:00", "yesterday", "2024-03-10x"]
        {
            check(bad, "UTC", None);
        }
    }

    #[test]
    fn skipped_and_repeated_hours_have_one_instant() {
        // New York, 2024: 02:00 to 03:00 is skipped on March 10, 01:00 to 02:00 comes twice on
        // November 3.
        check("2024-03-10 02:30:00", "America/New_York", Some(1_710_052_200 * SECOND));
        check("2024-11-03 01:30:00", "America/New_York", Some(1_730_611_800 * SECOND));
        check("2024-11-03 02:30:00", "America/New_York", Some(1_730_619_000 * SECOND));
    }
}
