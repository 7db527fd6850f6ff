//! Beginnings: of the year, the week, the hour.
//!
//! The beginning of a week or longer is a Date, of a day or shorter a DateTime.

use arrow::array::ArrayRef;
use arrow::datatypes::Date32Type;
use chrono::{Datelike, NaiveDate};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use hedgerow_parser::Span;
use hedgerow_parser::ast::IntervalUnit;

use super::calendar::{self, Locals, constant_unit, monday, month_number, sunday};
use super::zone_argument;
use crate::error::{Error, ErrorKind, Result};
use crate::functions::arguments::Arguments;
use crate::functions::arithmetic::{exactly, two};
use crate::functions::coerce::coerce;
use crate::functions::function::{Arg, Argument, Function, Returns};
use crate::functions::{PlanContext, Typed, call, intervals};
use crate::types::Type;
use crate::types::time::{self, DAY, SECOND, Zone};

macro_rules! to_date {
    ($name:literal, $day:expr, $doc:literal, $result:literal) => {
        Function::scalar($name, &[Arg::Temporal], Returns::Date, |args| {
            let day: fn(i32) -> Option<i32> = $day;
            let locals = Locals::new(args, 0)?;
            Ok(args.primitives::<Date32Type>(|row| day(locals.day(row)?)))
        })
        .doc($doc)
        .examples(&[(concat!($name, "(toDate('2024-05-16'))"), $result)])
    };
}

macro_rules! to_clock {
    ($name:literal, $seconds:expr, $doc:literal, $result:literal) => {
        Function::scalar($name, &[Arg::DateTime], Returns::First, |args| {
            clock(args, $seconds * SECOND)
        })
        .doc($doc)
        .examples(&[(concat!($name, "(toDateTime('2024-05-16 12:34:56'))"), $result)])
    };
}

/// Beginnings and ends of units of time.
pub(in crate::functions) const FUNCTIONS: &[Function] = &[
    to_date!("toStartOfYear", |day| start_of_months(day, 12), "January 1st.", "2024-01-01"),
    to_date!(
        "toStartOfQuarter",
        |day| start_of_months(day, 3),
        "The first day of the quarter.",
        "2024-04-01"
    ),
    to_date!(
        "toStartOfMonth",
        |day| start_of_months(day, 1),
        "The first day of the month.",
        "2024-05-01"
    ),
    to_date!("toMonday", |day| Some(monday(day)), "The Monday of the week.", "2024-05-13"),
    to_date!(
        "toStartOfISOYear",
        start_of_iso_year,
        "The Monday with which the ISO year begins.",
        "2024-01-01"
    ),
    to_date!("toLastDayOfMonth", last_day_of_month, "The last day of the month.", "2024-05-31"),
    Function::scalar("toStartOfWeek", &[Arg::Temporal, Arg::Int], Returns::Date, |args| {
        week_day(args, 0)
    })
    .prepare(project_week)
    .optional(1)
    .doc(
        "The first day of the week. Weeks begin as the project's do, or by a mode: \
         even for Sunday, odd for Monday.",
    )
    .examples(&[
        ("toStartOfWeek(toDate('2024-05-16'), 0)", "2024-05-12"),
        ("toStartOfWeek(toDate('2024-05-16'), 1)", "2024-05-13"),
    ]),
    Function::scalar("toLastDayOfWeek", &[Arg::Temporal, Arg::Int], Returns::Date, |args| {
        week_day(args, 6)
    })
    .prepare(project_week)
    .optional(1)
    .doc("The last day of the week, with weeks as in toStartOfWeek.")
    .examples(&[("toLastDayOfWeek(toDate('2024-05-16'), 1)", "2024-05-19")]),
    Function::scalar("toStartOfDay", &[Arg::DateTime, Arg::Text], Returns::First, |args| {
        let (zone, instants) = (calendar::zone(args, 0)?, args.datetime(0));
        let mut midnight = Memo::default();
        args.datetimes(|row| {
            let Some(instant) = instants.get(row) else { return Ok(None) };
            let day = zone.to_local(instant).div_euclid(DAY);
            Ok(Some(midnight.get(day, || zone.to_instant(day * DAY))))
        })
    })
    .prepare(in_zone)
    .optional(1)
    .doc("Midnight, as a datetime, in the value's or the given zone.")
    .examples(&[("toStartOfDay(toDateTime('2024-05-16 12:34:56'))", "2024-05-16 00:00:00")]),
    to_clock!("toStartOfHour", 3600, "The full hour.", "2024-05-16 12:00:00"),
    to_clock!("toStartOfFifteenMinutes", 900, "The quarter of an hour.", "2024-05-16 12:30:00"),
    to_clock!("toStartOfTenMinutes", 600, "The ten minutes.", "2024-05-16 12:30:00"),
    to_clock!("toStartOfFiveMinutes", 300, "The five minutes.", "2024-05-16 12:30:00"),
    to_clock!("toStartOfMinute", 60, "The full minute.", "2024-05-16 12:34:00"),
    to_clock!("toStartOfSecond", 1, "The full second.", "2024-05-16 12:34:56"),
    to_clock!("timeSlot", 1800, "The half hour.", "2024-05-16 12:30:00"),
    Function::rewrite("toStartOfInterval", &[Arg::DateTime, Arg::Interval], to_start_of_interval)
        .doc(
            "The beginning of the interval of a constant length: years from year 0, months from \
             1900, weeks from Monday, days from the epoch, hours from midnight.",
        )
        .examples(&[
            (
                "toStartOfInterval(toDateTime('2024-03-13 12:34:56'), toIntervalMinute(15))",
                "2024-03-13 12:30:00",
            ),
            (
                "toStartOfInterval(toDateTime('2024-03-13 12:34:56'), toIntervalDay(7))",
                "2024-03-07 00:00:00",
            ),
            (
                "toStartOfInterval(toDateTime('2024-03-13 12:34:56'), toIntervalWeek(2))",
                "2024-03-04",
            ),
        ]),
    START_OF_INTERVAL,
    Function::rewrite("dateTrunc", &[Arg::Text, Arg::Temporal, Arg::Text], date_trunc)
        .aliases(&["date_trunc"])
        .optional(1)
        .doc("The beginning of the named unit; weeks begin on Monday.")
        .examples(&[
            ("dateTrunc('month', toDate('2024-05-16'))", "2024-05-01"),
            ("dateTrunc('hour', toDateTime('2024-05-16 12:34:56'))", "2024-05-16 12:00:00"),
        ]),
];

/// The last answer: rows mostly follow in time.
#[derive(Default)]
struct Memo(Option<(i64, i64)>);

impl Memo {
    fn get(&mut self, key: i64, compute: impl FnOnce() -> i64) -> i64 {
        match self.0 {
            Some((known, value)) if known == key => value,
            _ => {
                let value = compute();
                self.0 = Some((key, value));
                value
            }
        }
    }
}

fn in_zone(cx: &dyn PlanContext, _: Span, args: &mut Vec<Typed>) -> Result<()> {
    if args.len() == 2 {
        let zone = zone_argument(cx, args.pop().as_ref())?;
        let value = args.remove(0);
        args.push(coerce(value, &Type::DateTime(zone.name().into()), zone.name())?);
    }
    Ok(())
}

fn project_week(cx: &dyn PlanContext, span: Span, args: &mut Vec<Typed>) -> Result<()> {
    if args.len() == 1 {
        args.push(Typed::int(i64::from(cx.week_starts_monday()), span));
    }
    Ok(())
}

fn week_day(args: &Arguments<'_>, offset: i32) -> Result<ArrayRef> {
    let (locals, modes) = (Locals::new(args, 0)?, args.int(1));
    Ok(args.primitives::<Date32Type>(|row| {
        let day = locals.day(row)?;
        let first = if modes.get(row)? & 1 == 0 { sunday(day) } else { monday(day) };
        Some(first + offset)
    }))
}

/// The first day of a group of months, counted from January of year 0.
fn start_of_months(day: i32, months: i64) -> Option<i32> {
    let number = month_number(time::date(day)?);
    month_start(number - number.rem_euclid(months))
}

fn month_start(number: i64) -> Option<i32> {
    let year = i32::try_from(number.div_euclid(12)).ok()?;
    NaiveDate::from_ymd_opt(year, number.rem_euclid(12) as u32 + 1, 1).map(time::days)
}

fn start_of_iso_year(day: i32) -> Option<i32> {
    let year = time::date(day)?.iso_week().year();
    // January 4th is always in the first ISO week.
    NaiveDate::from_ymd_opt(year, 1, 4).map(|date| monday(time::days(date)))
}

fn last_day_of_month(day: i32) -> Option<i32> {
    month_start(month_number(time::date(day)?) + 1).map(|next| next - 1)
}

fn clock(args: &Arguments<'_>, length: i64) -> Result<ArrayRef> {
    let (zone, instants) = (calendar::zone(args, 0)?, args.datetime(0));
    args.datetimes(|row| {
        Ok(instants.get(row).map(|instant| start_of_clock(instant, length, &zone)))
    })
}

/// The beginning of a part of the day. It counts from the instant, not from local time, so that
/// the two hours that look alike when the clocks go back stay apart.
fn start_of_clock(instant: i64, length: i64, zone: &Zone) -> i64 {
    let offset = zone.offset(instant) * SECOND;
    let whole_hours = offset % (3600 * SECOND) == 0;
    if whole_hours && length <= 3600 * SECOND {
        return instant - instant.rem_euclid(length);
    }
    let of_day = (instant + offset).rem_euclid(DAY);
    instant - of_day.rem_euclid(length)
}

/// `__toStartOfInterval(datetime, count, unit)`: an interval has lost whether its days were weeks.
const START_OF_INTERVAL: Function = Function::scalar(
    "__toStartOfInterval",
    &[Arg::DateTime, Arg::Int, Arg::Text],
    Returns::Derived(|args| match interval_unit(args)? {
        IntervalUnit::Second | IntervalUnit::Minute | IntervalUnit::Hour | IntervalUnit::Day => {
            Returns::First.resolve(args)
        }
        _ => Ok(Type::Date),
    }),
    start_of_interval,
)
.doc("The beginning of the interval of a constant count and unit.");

fn interval_unit(args: &[Argument<'_>]) -> Result<IntervalUnit> {
    let unit = args.get(2).and_then(|unit| unit.constant?.try_as_str().flatten());
    intervals::unit(unit.ok_or_else(|| Error::internal("the unit of an interval is constant"))?)
}

fn to_start_of_interval(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    let [value, interval] = two(args)?;
    let (count, unit) = count_and_unit(&interval.expr).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            "the interval of toStartOfInterval must be constant, positive and of one unit",
        )
        .at(interval.span)
    })?;
    let (count, unit) = (Typed::int(count, interval.span), Typed::text(unit, interval.span));
    START_OF_INTERVAL.call(cx, span, vec![], vec![value, count, unit])
}

/// What `toIntervalX(constant)`, or an interval constant, says; none unless it is positive.
fn count_and_unit(expr: &Expr) -> Option<(i64, &str)> {
    let (count, unit) = match expr {
        Expr::ScalarFunction(call) => {
            let [Expr::Literal(ScalarValue::Int64(Some(count)), _)] = call.args.as_slice() else {
                return None;
            };
            (*count, call.func.name().strip_prefix("toInterval")?)
        }
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(length)), _) => {
            match (length.months, length.days, length.nanoseconds) {
                (months, 0, 0) => (months.into(), "month"),
                (0, days, 0) => (days.into(), "day"),
                (0, 0, nanos) if nanos % 1_000_000_000 == 0 => (nanos / 1_000_000_000, "second"),
                _ => return None,
            }
        }
        _ => return None,
    };
    (count > 0).then_some((count, unit))
}

fn start_of_interval(args: &Arguments<'_>) -> Result<ArrayRef> {
    let locals = Locals::new(args, 0)?;
    let (Some(count), Some(unit)) = (args.int(1).constant(), args.text(2).constant()) else {
        return Err(Error::internal("the interval is constant by its type"));
    };
    let too_long = || Error::new(ErrorKind::OutOfRange, format!("interval of {count} is too long"));
    let multiple = |of: i64| count.checked_mul(of).ok_or_else(too_long);
    let months = |months: i64, origin: i64| {
        args.primitives::<Date32Type>(|row| {
            let number = month_number(locals.date(row)?);
            month_start(number - (number - origin).rem_euclid(months))
        })
    };
    let of_day =
        |seconds: i64| clock(args, multiple(seconds)?.checked_mul(SECOND).ok_or_else(too_long)?);
    Ok(match intervals::unit(unit)? {
        IntervalUnit::Year => months(multiple(12)?, 0),
        IntervalUnit::Quarter => months(multiple(3)?, 1900 * 12),
        IntervalUnit::Month => months(count, 1900 * 12),
        IntervalUnit::Week => {
            let length = i32::try_from(multiple(7)?).map_err(|_| too_long())?;
            // The epoch was a Thursday; day 4 the first Monday.
            let start = |day: i32| day - (day - 4).rem_euclid(length);
            args.primitives::<Date32Type>(|row| locals.day(row).map(start))
        }
        IntervalUnit::Day => {
            let (zone, instants) = (calendar::zone(args, 0)?, args.datetime(0));
            return args.datetimes(|row| {
                let Some(instant) = instants.get(row) else { return Ok(None) };
                let day = zone.to_local(instant).div_euclid(DAY);
                Ok(Some(zone.to_instant((day - day.rem_euclid(count)) * DAY)))
            });
        }
        IntervalUnit::Hour => return of_day(3600),
        IntervalUnit::Minute => return of_day(60),
        IntervalUnit::Second => return of_day(1),
    })
}

fn date_trunc(cx: &dyn PlanContext, span: Span, mut args: Vec<Typed>) -> Result<Typed> {
    if args.len() == 3 {
        let zone = zone_argument(cx, args.pop().as_ref())?;
        let value = args.remove(1);
        args.push(coerce(value, &Type::DateTime(zone.name().into()), zone.name())?);
    }
    let [unit, value] = exactly(args)?;
    let function = match constant_unit(&unit)? {
        IntervalUnit::Second => "toStartOfSecond",
        IntervalUnit::Minute => "toStartOfMinute",
        IntervalUnit::Hour => "toStartOfHour",
        IntervalUnit::Day => "toStartOfDay",
        IntervalUnit::Week => "toMonday",
        IntervalUnit::Month => "toStartOfMonth",
        IntervalUnit::Quarter => "toStartOfQuarter",
        IntervalUnit::Year => "toStartOfYear",
    };
    call(cx, span, function, vec![value])
}
