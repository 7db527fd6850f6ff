//! PostgreSQL's functions of times and intervals.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Date32Type, IntervalMonthDayNano, IntervalMonthDayNanoType};
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use hedgerow_parser::Span;

use super::numbers::Template;
use super::template::{self, Piece};
use super::write::{interval_to_char, time_to_char};
use super::{read, word_of};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::arguments::Arguments;
use crate::functions::arithmetic::two;
use crate::functions::conversions::display::Display;
use crate::functions::dates::calendar::Locals;
use crate::functions::function::{Arg, Argument, Function, Returns};
use crate::functions::{PlanContext, Typed, call};
use crate::types::Type;
use crate::types::time::{self, DAY, SECOND, Zone};

/// Times, intervals and templates.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    Function::rewrite("postgresDateTrunc", &[Arg::Text, Arg::Any, Arg::Text], date_trunc)
        .optional(1)
        .doc("PostgreSQL's date_trunc: the beginning of the named unit, always as a datetime.")
        .examples(&[
            ("postgresDateTrunc('MONTH', toDate('2024-05-16'))", "2024-05-01 00:00:00"),
            ("postgresDateTrunc('century', toDate('2024-05-16'))", "2001-01-01 00:00:00"),
        ]),
    Function::rewrite("postgresAge", &[Arg::DateTime, Arg::DateTime], |cx, span, mut args| {
        if args.len() == 1 {
            let today = call(cx, span, "today", Vec::new())?;
            args.insert(0, cx.coerce(today, &Type::DateTime(cx.timezone().into()))?);
        }
        call(cx, span, "__age", args)
    })
    .optional(1)
    .doc("PostgreSQL's age: what lies between two times in years, months, days and hours; of one \
          time, until today.")
    .examples(&[(
        "postgresAge(toDateTime('2024-03-05 00:00:00'), toDateTime('2023-01-20 00:00:00'))",
        "1 year 1 month 16 days",
    )]),
    Function::scalar("__age", &[Arg::DateTime, Arg::DateTime], Returns::Interval, |args| {
        let (later, earlier) = (Locals::new(args, 0)?, Locals::new(args, 1)?);
        Ok(args.primitives::<IntervalMonthDayNanoType>(|row| {
            Some(age(later.civil(row)?, earlier.civil(row)?))
        }))
    })
    .doc("What lies between two times on the calendar."),
    Function::scalar("__difference", &[Arg::DateTime, Arg::DateTime], Returns::Interval, |args| {
        let (later, earlier) = (args.datetime(0), args.datetime(1));
        args.try_primitives::<IntervalMonthDayNanoType>(|row| {
            let (Some(later), Some(earlier)) = (later.get(row), earlier.get(row)) else {
                return Ok(None);
            };
            let micros = later.checked_sub(earlier).ok_or_else(too_long)?;
            let days = i32::try_from(micros / DAY).map_err(|_| too_long())?;
            Ok(Some(IntervalMonthDayNano::new(0, days, micros % DAY * 1000)))
        })
    })
    .doc("What lies between two times, in days and hours."),
    Function::scalar(
        "__scaledInterval",
        &[Arg::Interval, Arg::Float, Arg::Bool],
        Returns::Interval,
        scaled_rows,
    )
    .doc("An interval times a number, or divided by it."),
    Function::rewrite("postgresToChar", &[Arg::Any, Arg::Text], to_char)
        .doc("PostgreSQL's to_char: a time, interval or number by a template.")
        .examples(&[
            ("postgresToChar(toDateTime('2024-03-05 07:08:09'), 'YYYY-MM-DD HH24:MI')", "2024-03-05 07:08"),
            ("postgresToChar(1234.5, 'FM9,999.00')", "1,234.50"),
        ]),
    Function::scalar("__timeToChar", &[Arg::DateTime, Arg::Text], Returns::Text, time_to_char)
        .nulls(crate::functions::function::Nulls::Introduce)
        .doc("A time by a template."),
    Function::scalar("__intervalToChar", &[Arg::Interval, Arg::Text], Returns::Text, interval_to_char)
        .nulls(crate::functions::function::Nulls::Introduce)
        .doc("An interval by a template."),
    Function::scalar("__numberToChar", &[Arg::Number, Arg::Text], Returns::Text, number_to_char)
        .doc("A number by a template."),
    Function::scalar("to_number", &[Arg::Text, Arg::Text], Returns::Float, |args| {
        let (texts, templates) = (args.text(0), args.text(1));
        args.try_primitives::<arrow::datatypes::Float64Type>(|row| {
            let (Some(text), Some(template)) = (texts.get(row), templates.get(row)) else {
                return Ok(None);
            };
            let digits = Template::parse(template)?.read(text)?;
            Ok(digits.parse().ok())
        })
    })
    .doc("The number that a text is by a template.")
    .examples(&[("to_number('12,454.8-', '99G999D9S')", "-12454.8")]),
    Function::rewrite("postgresToTimestamp", &[Arg::Any, Arg::Text], to_timestamp)
        .optional(1)
        .doc("PostgreSQL's to_timestamp: a text by a template, or seconds since the epoch.")
        .examples(&[
            ("postgresToTimestamp('05 Mar 2024', 'DD Mon YYYY')", "2024-03-05 00:00:00"),
            ("postgresToTimestamp(1.5)", "1970-01-01 00:00:01.500000"),
        ]),
    Function::scalar(
        "__timeOfSeconds",
        &[Arg::Float, Arg::Text],
        Returns::Derived(|args| zone_at(args, 1)),
        |args| {
            let seconds = args.float(0);
            args.datetimes(|row| {
                let Some(seconds) = seconds.get(row) else { return Ok(None) };
                let micros = (seconds * 1e6).round();
                if micros.is_nan() || micros.abs() > 9e18 {
                    let message = format!("no time is {seconds} seconds from the epoch");
                    return Err(Error::new(ErrorKind::OutOfRange, message));
                }
                Ok(Some(micros as i64))
            })
        },
    )
    .doc("The time so many seconds after the epoch."),
    Function::scalar(
        "__readTime",
        &[Arg::Text, Arg::Text, Arg::Text],
        Returns::Derived(zone_of_third),
        read_times,
    )
    .doc("A text as a time, by a template."),
    Function::rewrite("postgresToDate", &[Arg::Any, Arg::Text], |cx, span, args| {
        call(cx, span, if args.len() == 1 { "toDate" } else { "__readDate" }, args)
    })
    .optional(1)
    .doc("PostgreSQL's to_date: a text by a template.")
    .examples(&[("postgresToDate('05.03.2024', 'DD.MM.YYYY')", "2024-03-05")]),
    Function::scalar("__readDate", &[Arg::Text, Arg::Text], Returns::Date, |args| {
        let texts = args.text(0);
        let mut templates = Templates::new(args);
        args.try_primitives::<Date32Type>(|row| {
            let (Some(text), Some(pieces)) = (texts.get(row), templates.get(row)?) else {
                return Ok(None);
            };
            Ok(Some(time::days(read::read(pieces, text)?.date)))
        })
    })
    .doc("A text as a date, by a template."),
    Function::scalar(
        "postgresMakeDate",
        &[Arg::Int, Arg::Int, Arg::Int],
        Returns::Date,
        |args| {
            let (years, months, days) = (args.int(0), args.int(1), args.int(2));
            args.try_primitives::<Date32Type>(|row| {
                let (Some(year), Some(month), Some(day)) =
                    (years.get(row), months.get(row), days.get(row))
                else {
                    return Ok(None);
                };
                date(year, month, day).map(|date| Some(time::days(date)))
            })
        },
    )
    .doc("PostgreSQL's make_date: an error when there is no such date.")
    .examples(&[("postgresMakeDate(2024, 2, 29)", "2024-02-29")]),
    Function::scalar(
        "make_timestamp",
        &[Arg::Int, Arg::Int, Arg::Int, Arg::Int, Arg::Int, Arg::Float, Arg::Text],
        Returns::Derived(zone_of_last),
        make_timestamp,
    )
    .aliases(&["make_timestamptz"])
    .prepare(|cx, span, args| {
        if args.len() == 6 {
            args.push(Typed::text(cx.timezone(), span));
        }
        Ok(())
    })
    .optional(1)
    .doc("The time of year, month, day, hour, minute and second, in a zone.")
    .examples(&[("make_timestamp(2024, 3, 5, 7, 8, 9.5)", "2024-03-05 07:08:09.500000")]),
    Function::scalar(
        "postgresMakeInterval",
        &[Arg::Int, Arg::Int, Arg::Int, Arg::Int, Arg::Int, Arg::Int, Arg::Float],
        Returns::Interval,
        make_interval,
    )
    .doc("PostgreSQL's make_interval: years, months, weeks, days, hours, minutes, seconds.")
    .examples(&[("postgresMakeInterval(1, 2, 3, 4, 5, 6, 7)", "1 year 2 months 25 days 05:06:07")]),
    Function::scalar("justify_days", &[Arg::Interval], Returns::Interval, |args| {
        justified(args, days_to_months)
    })
    .doc("The interval with every 30 days as a month.")
    .examples(&[("justify_days(toIntervalDay(35))", "1 month 5 days")]),
    Function::scalar("justify_hours", &[Arg::Interval], Returns::Interval, |args| {
        justified(args, hours_to_days)
    })
    .doc("The interval with every 24 hours as a day.")
    .examples(&[("justify_hours(toIntervalHour(27))", "1 day 03:00:00")]),
    Function::scalar("justify_interval", &[Arg::Interval], Returns::Interval, |args| {
        justified(args, |interval| one_sign(days_to_months(hours_to_days(interval)?)?))
    })
    .doc("The interval with hours as days and days as months, all of one sign.")
    .examples(&[(
        "justify_interval(toIntervalMonth(1) - toIntervalHour(1))",
        "29 days 23:00:00",
    )]),
    Function::scalar(
        "date_bin",
        &[Arg::Interval, Arg::DateTime, Arg::DateTime],
        Returns::Derived(|args| {
            Ok(args.get(1).map_or_else(Type::utc, |argument| argument.ty.clone()))
        }),
        |args| {
            let (strides, times, origins) = (args.interval(0), args.datetime(1), args.datetime(2));
            args.datetimes(|row| {
                let (Some(stride), Some(time), Some(origin)) =
                    (strides.get(row), times.get(row), origins.get(row))
                else {
                    return Ok(None);
                };
                let length = i64::from(stride.days) * DAY + stride.nanoseconds / 1000;
                if stride.months != 0 || length <= 0 {
                    let message = "the length of a bin must be positive and without months";
                    return Err(Error::new(ErrorKind::InvalidArgument, message));
                }
                let since = time.checked_sub(origin).ok_or_else(too_long)?;
                Ok(Some(time - since.rem_euclid(length)))
            })
        },
    )
    .doc("The beginning of the bin of a time: bins have a length and begin at an origin.")
    .examples(&[(
        "date_bin(toIntervalMinute(15), toDateTime('2024-03-05 07:38:09'), toDateTime('2001-01-01 00:00:00'))",
        "2024-03-05 07:30:00",
    )]),
    Function::rewrite("statement_timestamp", &[], |cx, span, _| call(cx, span, "now", Vec::new()))
        .aliases(&["transaction_timestamp", "clock_timestamp"])
        .doc("The time at which the query began.")
        .examples(&[("statement_timestamp() = now()", "true")]),
    Function::rewrite("date", &[Arg::Any], |cx, span, args| call(cx, span, "toDate", args))
        .doc("The date of a time or text.")
        .examples(&[("date(toDateTime('2024-03-05 07:08:09'))", "2024-03-05")]),
];

fn too_long() -> Error {
    Error::new(ErrorKind::OutOfRange, "the interval is too long")
}

fn date(year: i64, month: i64, day: i64) -> Result<NaiveDate> {
    let part = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    let year_number = i32::try_from(year).unwrap_or(i32::MAX);
    NaiveDate::from_ymd_opt(year_number, part(month), part(day)).ok_or_else(|| {
        let message = format!("there is no date {year}-{month:02}-{day:02}");
        Error::new(ErrorKind::InvalidDateTime, message)
    })
}

/// What arithmetic needs of a date that PostgreSQL truncates to a unit HogQL has no name for.
fn date_trunc(cx: &dyn PlanContext, span: Span, mut args: Vec<Typed>) -> Result<Typed> {
    if matches!(args[0].expr, datafusion::logical_expr::Expr::Placeholder(_)) {
        // The unit is a parameter without a value yet; the result is a time whatever it is.
        args[0] = cx.coerce(args[0].clone(), &Type::String)?;
        return Typed::null(Type::DateTime(cx.timezone().into()), span);
    }
    let unit = word_of(&args[0], "the unit")?;
    if args[1].ty == Type::Interval {
        return Err(Error::unsupported("date_trunc of an interval is not supported")
            .at(args[1].span)
            .hint("Take a part of it: EXTRACT(day FROM interval)."));
    }
    let zone: Arc<str> = cx.timezone().into();
    if !args[1].ty.is_temporal() {
        args[1] = cx.coerce(args[1].clone(), &Type::DateTime(Arc::clone(&zone)))?;
    }
    let value = args[1].clone();
    let int = |number: i64| Typed::int(number, span);
    let years = match unit.trim_end_matches('s') {
        "decade" => Some((10, 0)),
        "century" | "centurie" => Some((100, 1)),
        "millennium" | "millennia" => Some((1000, 1)),
        _ => None,
    };
    let truncated = if let Some((length, first)) = years {
        let year = call(cx, span, "toYear", vec![value])?;
        let since = call(cx, span, "minus", vec![year, int(first)])?;
        let index = call(cx, span, "intDiv", vec![since, int(length)])?;
        let begun = call(cx, span, "multiply", vec![index, int(length)])?;
        let year = call(cx, span, "plus", vec![begun, int(first)])?;
        call(cx, span, "makeDate", vec![year, int(1), int(1)])?
    } else if let "millisecond" | "microsecond" = unit.trim_end_matches('s') {
        let value = cx.coerce(value, &Type::DateTime(Arc::clone(&zone)))?;
        if unit.starts_with("micro") {
            return Ok(value);
        }
        let micros = call(cx, span, "toUnixTimestamp64Micro", vec![value])?;
        let millis = call(cx, span, "intDiv", vec![micros, int(1000)])?;
        call(cx, span, "fromUnixTimestamp64Milli", vec![millis])?
    } else {
        call(cx, span, "dateTrunc", args)?
    };
    match &truncated.ty {
        Type::DateTime(_) => Ok(truncated),
        _ => cx.coerce(truncated, &Type::DateTime(zone)),
    }
}

/// As PostgreSQL counts it: whole years, months and days back from the later time, the days of
/// a month being those of the earlier one's.
fn age(a: NaiveDateTime, b: NaiveDateTime) -> IntervalMonthDayNano {
    let (later, earlier, sign) = if a >= b { (a, b, 1) } else { (b, a, -1) };
    let micros_of_day = |time: NaiveDateTime| {
        i64::from(time.num_seconds_from_midnight()) * SECOND
            + i64::from(time.nanosecond() % 1_000_000_000) / 1000
    };
    let mut micros = micros_of_day(later) - micros_of_day(earlier);
    let mut days = later.day() as i32 - earlier.day() as i32;
    let mut months =
        (later.year() - earlier.year()) * 12 + later.month() as i32 - earlier.month() as i32;
    if micros < 0 {
        micros += DAY;
        days -= 1;
    }
    while days < 0 {
        // Of `a - b` with a before b, PostgreSQL takes the month of a, which is the earlier.
        days += days_of_month(earlier.year(), earlier.month());
        months -= 1;
    }
    IntervalMonthDayNano::new(sign * months, sign * days, i64::from(sign) * micros * 1000)
}

fn days_of_month(year: i32, month: u32) -> i32 {
    let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let first = |(year, month)| NaiveDate::from_ymd_opt(year, month, 1);
    match (first((year, month)), first(next)) {
        (Some(first), Some(next)) => (next - first).num_days() as i32,
        _ => 30,
    }
}

fn scaled_rows(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (intervals, factors, divides) = (args.interval(0), args.float(1), args.bool(2));
    args.try_primitives::<IntervalMonthDayNanoType>(|row| {
        let (Some(interval), Some(factor)) = (intervals.get(row), factors.get(row)) else {
            return Ok(None);
        };
        let divides = divides.get(row) == Some(true);
        if divides && factor == 0.0 {
            return Err(Error::new(ErrorKind::DivisionByZero, "division by zero"));
        }
        let scale = |value: f64| if divides { value / factor } else { value * factor };
        scaled(interval, scale).map(Some)
    })
}

/// Fractions of months become days, of which a month has 30; fractions of days become hours.
fn scaled(
    interval: IntervalMonthDayNano,
    scale: impl Fn(f64) -> f64,
) -> Result<IntervalMonthDayNano> {
    let whole = |value: f64| {
        let fits = value.is_finite() && value.abs() <= f64::from(i32::MAX);
        if fits { Ok(value as i32) } else { Err(too_long()) }
    };
    let months = scale(interval.months.into());
    let days = scale(interval.days.into());
    // To the microsecond, so that 0.1 months are 3 days.
    let rest = ((months - months.trunc()) * 30.0 * 1e6).round() / 1e6;
    let seconds = (days - days.trunc()) + (rest - rest.trunc());
    let micros = scale(interval.nanoseconds as f64 / 1000.0) + seconds * DAY as f64;
    if !micros.is_finite() || micros.abs() >= i64::MAX as f64 / 1000.0 {
        return Err(too_long());
    }
    Ok(IntervalMonthDayNano::new(
        whole(months.trunc())?,
        whole(days.trunc() + rest.trunc())?,
        micros.round() as i64 * 1000,
    ))
}

fn to_char(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    let [value, template] = two(args)?;
    let function = match &value.ty {
        Type::Interval => "__intervalToChar",
        Type::Bool => "",
        ty if ty.is_numeric() => "__numberToChar",
        ty if ty.is_temporal() || ty.is_text() || *ty == Type::Null => "__timeToChar",
        _ => "",
    };
    if function.is_empty() {
        let message = format!("to_char takes a time, interval or number, found {}", value.ty);
        return Err(Error::new(ErrorKind::TypeMismatch, message).at(value.span));
    }
    call(cx, span, function, vec![value, template])
}

fn number_to_char(args: &Arguments<'_>) -> Result<ArrayRef> {
    let values = args.expanded(0)?;
    let digits = Display::new(&values, &args.types[0])?;
    let templates = args.text(1);
    let constant = templates.constant().map(Template::parse).transpose()?;
    let mut number = String::new();
    args.texts(|row, out| {
        let Some(template) = templates.get(row) else { return Ok(None) };
        number.clear();
        if !digits.write(row, &mut number) {
            return Ok(None);
        }
        if number.contains('e') {
            // The display of very large and very small floats.
            number = number.parse::<f64>().map_or_else(|_| number.clone(), |f| format!("{f}"));
        }
        match &constant {
            Some(template) => template.write(&number, out),
            None => Template::parse(template)?.write(&number, out),
        }
        Ok(Some(()))
    })
}

fn to_timestamp(cx: &dyn PlanContext, span: Span, mut args: Vec<Typed>) -> Result<Typed> {
    if args.len() == 2 {
        args.push(Typed::text(cx.timezone(), span));
        return call(cx, span, "__readTime", args);
    }
    let seconds = args.pop().ok_or_else(|| Error::internal("arguments were not counted"))?;
    if seconds.ty.is_integer() {
        return call(cx, span, "fromUnixTimestamp", vec![seconds]);
    }
    if seconds.ty.is_text() || seconds.ty.is_temporal() {
        let message = format!("to_timestamp of {} needs a template", seconds.ty);
        return Err(Error::new(ErrorKind::TypeMismatch, message)
            .at(seconds.span)
            .hint("Write to_timestamp(text, 'YYYY-MM-DD HH24:MI:SS')."));
    }
    call(cx, span, "__timeOfSeconds", vec![seconds, Typed::text(cx.timezone(), span)])
}

fn zone_of_third(args: &[Argument<'_>]) -> Result<Type> {
    zone_at(args, 2)
}

fn zone_of_last(args: &[Argument<'_>]) -> Result<Type> {
    zone_at(args, 6)
}

fn zone_at(args: &[Argument<'_>], index: usize) -> Result<Type> {
    let zone = args.get(index).and_then(|zone| zone.constant?.try_as_str().flatten());
    let zone = zone.ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "the time zone must be a constant text")
    })?;
    Ok(Type::DateTime(Zone::parse(zone)?.name().into()))
}

/// The zone of the result.
fn zone_of_result(args: &Arguments<'_>) -> Result<Zone> {
    match args.returns {
        Type::DateTime(zone) => Zone::parse(zone),
        _ => Err(Error::internal("the result is no datetime")),
    }
}

/// The templates of the second argument, parsed only when they change.
struct Templates<'a> {
    args: &'a Arguments<'a>,
    parsed: Option<(String, Vec<Piece>)>,
}

impl<'a> Templates<'a> {
    fn new(args: &'a Arguments<'_>) -> Self {
        Self { args, parsed: None }
    }

    fn get(&mut self, row: usize) -> Result<Option<&[Piece]>> {
        let templates = self.args.text(1);
        let Some(template) = templates.get(row) else { return Ok(None) };
        if self.parsed.as_ref().is_none_or(|(known, _)| known != template) {
            self.parsed = Some((template.to_owned(), template::parse(template)?));
        }
        Ok(self.parsed.as_ref().map(|(_, pieces)| pieces.as_slice()))
    }
}

fn read_times(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (texts, zone) = (args.text(0), zone_of_result(args)?);
    let mut templates = Templates::new(args);
    args.datetimes(|row| {
        let (Some(text), Some(pieces)) = (texts.get(row), templates.get(row)?) else {
            return Ok(None);
        };
        let read = read::read(pieces, text)?;
        let local = time::local(read.date.and_time(read.time));
        Ok(Some(match read.offset {
            Some(seconds) => local - seconds * SECOND,
            None => zone.to_instant(local),
        }))
    })
}

fn make_timestamp(args: &Arguments<'_>) -> Result<ArrayRef> {
    let zone = zone_of_result(args)?;
    let ints = [0, 1, 2, 3, 4].map(|index| args.int(index));
    let seconds = args.float(5);
    args.datetimes(|row| {
        let values = ints.map(|column| column.get(row));
        let ([Some(year), Some(month), Some(day), Some(hour), Some(minute)], Some(second)) =
            (values, seconds.get(row))
        else {
            return Ok(None);
        };
        let clock = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        let micros = (second.fract() * 1e6).round();
        let whole = if (0.0..60.0).contains(&second) { second as u32 } else { u32::MAX };
        let time = NaiveTime::from_hms_micro_opt(clock(hour), clock(minute), whole, micros as u32);
        let time = time.ok_or_else(|| {
            let message = format!("there is no time {hour:02}:{minute:02}:{second}");
            Error::new(ErrorKind::InvalidDateTime, message)
        })?;
        let local = time::local(date(year, month, day)?.and_time(time));
        Ok(Some(zone.to_instant(local)))
    })
}

fn make_interval(args: &Arguments<'_>) -> Result<ArrayRef> {
    let ints = [0, 1, 2, 3, 4, 5].map(|index| args.int(index));
    let seconds = args.float(6);
    args.try_primitives::<IntervalMonthDayNanoType>(|row| {
        let parts = ints.map(|column| column.get(row));
        let (
            [Some(years), Some(months), Some(weeks), Some(days), Some(hours), Some(minutes)],
            Some(seconds),
        ) = (parts, seconds.get(row))
        else {
            return Ok(None);
        };
        let sum = |count: i64, factor: i64, more: i64| {
            let sum = count.checked_mul(factor)?.checked_add(more)?;
            i32::try_from(sum).ok()
        };
        let clock = hours.checked_mul(60).and_then(|total| total.checked_add(minutes));
        let micros = clock.and_then(|minutes| minutes.checked_mul(60 * SECOND));
        let fraction = (seconds * 1e6).round();
        let fraction = (fraction.abs() < 9e15).then_some(fraction as i64);
        let nanos = micros.zip(fraction).and_then(|(a, b)| a.checked_add(b)?.checked_mul(1000));
        match (sum(years, 12, months), sum(weeks, 7, days), nanos) {
            (Some(months), Some(days), Some(nanos)) => {
                Ok(Some(IntervalMonthDayNano::new(months, days, nanos)))
            }
            _ => Err(too_long()),
        }
    })
}

fn justified(
    args: &Arguments<'_>,
    justify: fn(IntervalMonthDayNano) -> Option<IntervalMonthDayNano>,
) -> Result<ArrayRef> {
    let intervals = args.interval(0);
    args.try_primitives::<IntervalMonthDayNanoType>(|row| match intervals.get(row) {
        Some(interval) => justify(interval).ok_or_else(too_long).map(Some),
        None => Ok(None),
    })
}

fn days_to_months(interval: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    let months = interval.months.checked_add(interval.days / 30)?;
    Some(settled(
        IntervalMonthDayNano::new(months, interval.days % 30, interval.nanoseconds),
        false,
    ))
}

fn hours_to_days(interval: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    let day = DAY * 1000;
    let days = interval.days.checked_add((interval.nanoseconds / day) as i32)?;
    Some(settled(
        IntervalMonthDayNano::new(interval.months, days, interval.nanoseconds % day),
        true,
    ))
}

/// Days and hours, or months and days, brought to one sign.
fn settled(mut interval: IntervalMonthDayNano, hours: bool) -> IntervalMonthDayNano {
    let day = DAY * 1000;
    if hours && interval.days > 0 && interval.nanoseconds < 0 {
        interval.nanoseconds += day;
        interval.days -= 1;
    } else if hours && interval.days < 0 && interval.nanoseconds > 0 {
        interval.nanoseconds -= day;
        interval.days += 1;
    } else if !hours && interval.months > 0 && interval.days < 0 {
        interval.days += 30;
        interval.months -= 1;
    } else if !hours && interval.months < 0 && interval.days > 0 {
        interval.days -= 30;
        interval.months += 1;
    }
    interval
}

fn one_sign(mut interval: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    let below = interval.days < 0 || (interval.days == 0 && interval.nanoseconds < 0);
    let above = interval.days > 0 || (interval.days == 0 && interval.nanoseconds > 0);
    if interval.months > 0 && below {
        interval.days += 30;
        interval.months -= 1;
    } else if interval.months < 0 && above {
        interval.days -= 30;
        interval.months += 1;
    }
    Some(settled(interval, true))
}
