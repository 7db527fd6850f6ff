//! Parts of dates and times.

use arrow::array::ArrayRef;
use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use hedgerow_parser::Span;

use super::calendar::Locals;
use super::zone_argument;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::arguments::Arguments;
use crate::functions::arithmetic::two;
use crate::functions::coerce::coerce;
use crate::functions::function::{Arg, Function, Returns};
use crate::functions::{PlanContext, Typed, call};
use crate::types::Type;
use crate::types::time::{self, SECOND};

macro_rules! date_part {
    ($name:literal, $aliases:expr, $part:expr, $doc:literal, $result:literal) => {
        Function::scalar($name, &[Arg::Temporal], Returns::Int, |args| {
            let part: fn(NaiveDate) -> i64 = $part;
            let locals = Locals::new(args, 0)?;
            Ok(args.ints(|row| locals.date(row).map(part)))
        })
        .aliases($aliases)
        .doc($doc)
        .examples(&[(concat!($name, "(toDateTime('2024-03-10 12:34:56'))"), $result)])
    };
}

macro_rules! time_part {
    ($name:literal, $aliases:expr, $part:expr, $doc:literal, $result:literal) => {
        Function::scalar($name, &[Arg::DateTime], Returns::Int, |args| {
            let part: fn(NaiveDateTime) -> i64 = $part;
            let locals = Locals::new(args, 0)?;
            Ok(args.ints(|row| locals.civil(row).map(part)))
        })
        .aliases($aliases)
        .doc($doc)
        .examples(&[(concat!($name, "(toDateTime('2024-03-10 12:34:56'))"), $result)])
    };
}

/// Parts of dates and times.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    date_part!("toYear", &["YEAR", "year"], |d| d.year().into(), "The year.", "2024"),
    date_part!(
        "toQuarter",
        &["QUARTER", "quarter"],
        |d| quarter(d).into(),
        "The quarter, 1 to 4.",
        "1"
    ),
    date_part!("toMonth", &["MONTH", "month"], |d| d.month().into(), "The month, 1 to 12.", "3"),
    date_part!(
        "toDayOfMonth",
        &["DAYOFMONTH", "dayOfMonth"],
        |d| d.day().into(),
        "The day of the month, 1 to 31.",
        "10"
    ),
    date_part!(
        "toDayOfYear",
        &["DAYOFYEAR", "dayOfYear"],
        |d| d.ordinal().into(),
        "The day of the year, 1 to 366.",
        "70"
    ),
    date_part!(
        "toISOWeek",
        &[],
        |d| d.iso_week().week().into(),
        "The week by ISO 8601, 1 to 53.",
        "10"
    ),
    date_part!(
        "toISOYear",
        &[],
        |d| d.iso_week().year().into(),
        "The year to which the ISO week belongs.",
        "2024"
    ),
    date_part!(
        "toYYYYMM",
        &[],
        |d| i64::from(d.year()) * 100 + i64::from(d.month()),
        "Year and month as one number.",
        "202403"
    ),
    date_part!(
        "toYYYYMMDD",
        &[],
        |d| i64::from(d.year()) * 10_000 + i64::from(d.month() * 100 + d.day()),
        "Year, month and day as one number.",
        "20240310"
    ),
    time_part!("toHour", &["HOUR", "hour"], |t| t.hour().into(), "The hour, 0 to 23.", "12"),
    time_part!(
        "toMinute",
        &["MINUTE", "minute"],
        |t| t.minute().into(),
        "The minute, 0 to 59.",
        "34"
    ),
    time_part!(
        "toSecond",
        &["SECOND", "second"],
        |t| t.second().into(),
        "The second, 0 to 59.",
        "56"
    ),
    time_part!(
        "toMillisecond",
        &["MILLISECOND"],
        |t| (t.nanosecond() / 1_000_000).into(),
        "The milliseconds within the second.",
        "0"
    ),
    time_part!(
        "toYYYYMMDDhhmmss",
        &[],
        |t| {
            let date = i64::from(t.year()) * 10_000 + i64::from(t.month() * 100 + t.day());
            date * 1_000_000 + i64::from(t.hour() * 10_000 + t.minute() * 100 + t.second())
        },
        "Date and time as one number.",
        "20240310123456"
    ),
    Function::scalar("toDayOfWeek", &[Arg::Temporal, Arg::Int], Returns::Int, day_of_week)
        .aliases(&["DAYOFWEEK", "dayOfWeek"])
        .optional(1)
        .doc(
            "The day of the week. Modes: 0 Monday 1 to Sunday 7, 1 Monday 0 to Sunday 6, \
             2 Sunday 0 to Saturday 6, 3 Sunday 1 to Saturday 7.",
        )
        .examples(&[
            ("toDayOfWeek(toDate('2024-03-10'))", "7"),
            ("toDayOfWeek(toDate('2024-03-10'), 2)", "0"),
        ]),
    Function::scalar("toWeek", &[Arg::Temporal, Arg::Int], Returns::Int, |args| {
        weeks(args, |date, mode| week(date, mode).1)
    })
    .aliases(&["WEEK", "week"])
    .optional(1)
    .doc("The week of the year, by MySQL's modes 0 to 7; by default weeks begin on Sunday.")
    .examples(&[("toWeek(toDate('2024-01-01'))", "0"), ("toWeek(toDate('2024-12-31'), 3)", "1")]),
    Function::scalar("toYearWeek", &[Arg::Temporal, Arg::Int], Returns::Int, |args| {
        weeks(args, |date, mode| {
            let (year, week) = week(date, mode | 2);
            year * 100 + week
        })
    })
    .aliases(&["YEARWEEK", "yearweek"])
    .optional(1)
    .doc("Year and week as one number, by MySQL's modes.")
    .examples(&[("toYearWeek(toDate('2024-01-01'))", "202353")]),
    Function::scalar("toUnixTimestamp", &[Arg::DateTime, Arg::Text], Returns::Int, |args| {
        let instants = args.datetime(0);
        Ok(args.ints(|row| Some(instants.get(row)?.div_euclid(SECOND))))
    })
    .prepare(read_in_zone)
    .optional(1)
    .doc("Seconds since the epoch; a text constant is read in the given zone.")
    .examples(&[("toUnixTimestamp(toDateTime('2024-01-01 00:00:00'))", "1704067200")]),
    Function::scalar("toUnixTimestamp64Milli", &[Arg::DateTime], Returns::Int, |args| {
        let instants = args.datetime(0);
        Ok(args.ints(|row| Some(instants.get(row)?.div_euclid(1000))))
    })
    .doc("Milliseconds since the epoch.")
    .examples(&[("toUnixTimestamp64Milli(toDateTime('2024-01-01 00:00:00'))", "1704067200000")]),
    Function::scalar("toUnixTimestamp64Micro", &[Arg::DateTime], Returns::Int, |args| {
        let instants = args.datetime(0);
        Ok(args.ints(|row| instants.get(row)))
    })
    .doc("Microseconds since the epoch.")
    .examples(&[("toUnixTimestamp64Micro(toDateTime('2024-01-01 00:00:00'))", "1704067200000000")]),
    Function::rewrite("date_part", &[Arg::Text, Arg::Temporal], date_part)
        .doc("A part by its name: year, quarter, month, day, hour, minute, second, dow, doy.")
        .examples(&[
            ("date_part('month', toDate('2024-03-10'))", "3"),
            ("date_part('dow', toDate('2024-03-10'))", "7"),
        ]),
    Function::scalar("dateName", &[Arg::Text, Arg::Temporal], Returns::Text, date_name)
        .doc("A part as text: month and weekday by their English names.")
        .examples(&[
            ("dateName('weekday', toDate('2024-03-10'))", "Sunday"),
            ("dateName('year', toDate('2024-03-10'))", "2024"),
        ]),
    Function::scalar("monthName", &[Arg::Temporal], Returns::Text, |args| {
        let locals = Locals::new(args, 0)?;
        Ok(args.strs(|row| Some(MONTHS[locals.date(row)?.month0() as usize])))
    })
    .doc("The English name of the month.")
    .examples(&[("monthName(toDate('2024-03-10'))", "March")]),
];

/// English names of the months.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// English names of the days, from Monday.
pub const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// 1 to 4.
pub fn quarter(date: NaiveDate) -> u32 {
    date.month0() / 3 + 1
}

fn read_in_zone(cx: &dyn PlanContext, _: Span, args: &mut Vec<Typed>) -> Result<()> {
    if args.len() == 2 {
        let zone = zone_argument(cx, args.pop().as_ref())?;
        let value = args.remove(0);
        args.push(coerce(value, &Type::DateTime(zone.name().into()), zone.name())?);
    }
    Ok(())
}

fn day_of_week(args: &Arguments<'_>) -> Result<ArrayRef> {
    let locals = Locals::new(args, 0)?;
    let modes = (args.count() > 1).then(|| args.int(1));
    Ok(args.ints(|row| {
        let weekday = locals.date(row)?.weekday();
        let mode = modes.map_or(Some(0), |modes| modes.get(row))?;
        Some(i64::from(match mode & 3 {
            0 => weekday.number_from_monday(),
            1 => weekday.num_days_from_monday(),
            2 => weekday.num_days_from_sunday(),
            _ => weekday.number_from_sunday(),
        }))
    }))
}

fn weeks(args: &Arguments<'_>, compute: fn(NaiveDate, i64) -> i64) -> Result<ArrayRef> {
    let locals = Locals::new(args, 0)?;
    let modes = (args.count() > 1).then(|| args.int(1));
    Ok(args.ints(|row| {
        let mode = modes.map_or(Some(0), |modes| modes.get(row))?;
        Some(compute(locals.date(row)?, mode))
    }))
}

/// The year and week of a date by the modes of MySQL's WEEK(): bit 0, weeks begin on Monday;
/// bit 1, days before the first week belong to the last week of the year before, not to week 0;
/// bit 2, the first week is the first full one, turned around for weeks from Sunday.
fn week(date: NaiveDate, mode: i64) -> (i64, i64) {
    let monday_first = mode & 1 != 0;
    let mut with_year = mode & 2 != 0;
    let full_week_first = (mode & 4 != 0) == monday_first;
    let starts_late = |weekday: i64| if full_week_first { weekday != 0 } else { weekday >= 4 };
    let day = i64::from(time::days(date));
    let mut year = i64::from(date.year());
    let mut first_day = day - i64::from(date.ordinal0());
    // The epoch was a Thursday.
    let mut weekday = (first_day + if monday_first { 3 } else { 4 }).rem_euclid(7);
    if i64::from(date.ordinal0()) < 7 - weekday {
        if !with_year && starts_late(weekday) {
            return (year, 0);
        }
        with_year = true;
        year -= 1;
        first_day -= days_in_year(year);
        weekday = (weekday - days_in_year(year)).rem_euclid(7);
    }
    let from_first_week =
        if starts_late(weekday) { first_day + 7 - weekday } else { first_day - weekday };
    let days = day - from_first_week;
    if with_year && days >= 52 * 7 && !starts_late((weekday + days_in_year(year)) % 7) {
        return (year + 1, 1);
    }
    (year, days / 7 + 1)
}

fn days_in_year(year: i64) -> i64 {
    let leap = NaiveDate::from_ymd_opt(year as i32, 2, 29).is_some();
    365 + i64::from(leap)
}

fn date_part(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    let [part, value] = two(args)?;
    let name = part.as_text().ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "the part must be a constant text").at(part.span)
    })?;
    let function = match name.to_ascii_lowercase().as_str() {
        "year" => "toYear",
        "quarter" => "toQuarter",
        "month" => "toMonth",
        "week" => "toISOWeek",
        "day" => "toDayOfMonth",
        "dow" | "isodow" => "toDayOfWeek",
        "doy" => "toDayOfYear",
        "hour" => "toHour",
        "minute" => "toMinute",
        "second" => "toSecond",
        "epoch" => "toUnixTimestamp",
        _ => return Typed::null(Type::Int64, span),
    };
    call(cx, span, function, vec![value])
}

fn date_name(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (parts, locals) = (args.text(0), Locals::new(args, 1)?);
    args.texts(|row, out| {
        let (Some(part), Some(time)) = (parts.get(row), locals.civil(row)) else {
            return Ok(None);
        };
        let name = match part.to_ascii_lowercase().as_str() {
            "month" => MONTHS[time.month0() as usize].to_owned(),
            "weekday" => WEEKDAYS[time.weekday().num_days_from_monday() as usize].to_owned(),
            "year" => time.year().to_string(),
            "quarter" => quarter(time.date()).to_string(),
            "dayofyear" => time.ordinal().to_string(),
            "day" => time.day().to_string(),
            "week" => time.iso_week().week().to_string(),
            "hour" => time.hour().to_string(),
            "minute" => time.minute().to_string(),
            "second" => time.second().to_string(),
            _ => {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!("no part of a date named '{part}'"),
                ));
            }
        };
        out.push_str(&name);
        Ok(Some(()))
    })
}
