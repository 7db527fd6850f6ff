//! Dates and times: the clock, their parts, and moving them.
//!
//! Whatever asks for a part or a beginning does so on the calendar of the value's time zone.

pub mod calendar;
pub mod difference;
pub mod format;
pub mod parts;
pub(super) mod series;
pub mod truncate;

use arrow::array::ArrayRef;
use arrow::datatypes::Date32Type;
use datafusion::common::config::ConfigOptions;
use datafusion::functions::datetime::now::NowFunc;
use datafusion::logical_expr::{ExprSchemable, Operator, ScalarUDF};
use hedgerow_parser::Span;

use super::arguments::Arguments;
use super::arithmetic::{exactly, two};
use super::coerce::{cast, coerce};
use super::function::{Arg, Function, Nulls, Returns};
use super::{PlanContext, Typed, intervals};
use crate::error::{Error, ErrorKind, Result};
use crate::types::Type;
use crate::types::time::{self, Zone};

macro_rules! shift {
    ($name:literal, $interval:literal, $back:literal, $doc:literal, $example:literal, $result:literal) => {
        Function::rewrite($name, &[Arg::Temporal, Arg::Int], |cx, span, args| {
            let [value, count] = two(args)?;
            let amount = super::call(cx, span, $interval, vec![count])?;
            moved(cx, value, amount, $back, span)
        })
        .doc($doc)
        .examples(&[($example, $result)])
    };
}

/// The clock, and moving dates and times.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::rewrite("now", &[Arg::Text], |cx, span, args| now(cx, span, args))
        .aliases(&["now64"])
        .any_case()
        .optional(1)
        .doc("The time at which the query began, to the microsecond, in the given zone.")
        .examples(&[("now() > toDateTime('2024-01-01')", "true")]),
    Function::rewrite("current_timestamp", &[], now)
        .doc("The time at which the query began.")
        .examples(&[("current_timestamp() = now()", "true")]),
    Function::rewrite("today", &[], |cx, span, _| today(cx, span, 0))
        .aliases(&["current_date"])
        .doc("The date in UTC at which the query began.")
        .examples(&[("today() > toDate('2024-01-01')", "true")]),
    Function::rewrite("yesterday", &[], |cx, span, _| today(cx, span, -1))
        .doc("The day before today().")
        .examples(&[("today() - yesterday()", "1")]),
    PLUS_INTERVAL,
    MINUS_INTERVAL,
    shift!(
        "addSeconds",
        "toIntervalSecond",
        false,
        "Moves forward by seconds.",
        "addSeconds(toDateTime('2024-01-01 00:00:00'), 1)",
        "2024-01-01 00:00:01"
    ),
    shift!(
        "addMinutes",
        "toIntervalMinute",
        false,
        "Moves forward by minutes.",
        "addMinutes(toDateTime('2024-01-01 00:00:00'), 1)",
        "2024-01-01 00:01:00"
    ),
    shift!(
        "addHours",
        "toIntervalHour",
        false,
        "Moves forward by hours.",
        "addHours(toDateTime('2024-01-01 00:00:00'), 1)",
        "2024-01-01 01:00:00"
    ),
    shift!(
        "addDays",
        "toIntervalDay",
        false,
        "Moves forward by days, keeping the local time.",
        "addDays(toDate('2024-01-31'), 1)",
        "2024-02-01"
    ),
    shift!(
        "addWeeks",
        "toIntervalWeek",
        false,
        "Moves forward by weeks.",
        "addWeeks(toDate('2024-01-01'), 1)",
        "2024-01-08"
    ),
    shift!(
        "addMonths",
        "toIntervalMonth",
        false,
        "Moves forward by months; a day that the month lacks becomes its last.",
        "addMonths(toDate('2024-03-31'), -1)",
        "2024-02-29"
    ),
    shift!(
        "addQuarters",
        "toIntervalQuarter",
        false,
        "Moves forward by quarters.",
        "addQuarters(toDate('2024-01-01'), 1)",
        "2024-04-01"
    ),
    shift!(
        "addYears",
        "toIntervalYear",
        false,
        "Moves forward by years.",
        "addYears(toDate('2024-02-29'), 1)",
        "2025-02-28"
    ),
    shift!(
        "subtractSeconds",
        "toIntervalSecond",
        true,
        "Moves back by seconds.",
        "subtractSeconds(toDateTime('2024-01-01 00:00:01'), 1)",
        "2024-01-01 00:00:00"
    ),
    shift!(
        "subtractMinutes",
        "toIntervalMinute",
        true,
        "Moves back by minutes.",
        "subtractMinutes(toDateTime('2024-01-01 00:01:00'), 1)",
        "2024-01-01 00:00:00"
    ),
    shift!(
        "subtractHours",
        "toIntervalHour",
        true,
        "Moves back by hours.",
        "subtractHours(toDateTime('2024-01-01 01:00:00'), 1)",
        "2024-01-01 00:00:00"
    ),
    shift!(
        "subtractDays",
        "toIntervalDay",
        true,
        "Moves back by days, keeping the local time.",
        "subtractDays(toDate('2024-03-01'), 1)",
        "2024-02-29"
    ),
    shift!(
        "subtractWeeks",
        "toIntervalWeek",
        true,
        "Moves back by weeks.",
        "subtractWeeks(toDate('2024-01-08'), 1)",
        "2024-01-01"
    ),
    shift!(
        "subtractMonths",
        "toIntervalMonth",
        true,
        "Moves back by months.",
        "subtractMonths(toDate('2024-03-31'), 1)",
        "2024-02-29"
    ),
    shift!(
        "subtractQuarters",
        "toIntervalQuarter",
        true,
        "Moves back by quarters.",
        "subtractQuarters(toDate('2024-04-01'), 1)",
        "2024-01-01"
    ),
    shift!(
        "subtractYears",
        "toIntervalYear",
        true,
        "Moves back by years.",
        "subtractYears(toDate('2024-02-29'), 1)",
        "2023-02-28"
    ),
    Function::rewrite("dateAdd", &[Arg::Any, Arg::Any, Arg::Any], |cx, span, args| {
        add(cx, span, args, false)
    })
    .aliases(&["date_add", "timeStampAdd"])
    .optional(1)
    .doc("Moves forward: (unit, count, date) or (date, interval).")
    .examples(&[
        ("dateAdd('month', 1, toDate('2024-01-31'))", "2024-02-29"),
        ("dateAdd(toDate('2024-01-31'), toIntervalDay(1))", "2024-02-01"),
    ]),
    Function::rewrite("dateSub", &[Arg::Any, Arg::Any, Arg::Any], |cx, span, args| {
        add(cx, span, args, true)
    })
    .aliases(&["date_sub", "date_subtract", "timeStampSub"])
    .optional(1)
    .doc("Moves back: (unit, count, date) or (date, interval).")
    .examples(&[("dateSub('day', 1, toDate('2024-03-01'))", "2024-02-29")]),
    Function::rewrite("toTimeZone", &[Arg::DateTime, Arg::Text], to_time_zone)
        .optional(1)
        .doc("The same instant, shown in another zone, by default the project's.")
        .examples(&[(
            "toTimeZone(toDateTime('2024-01-01 00:00:00'), 'Asia/Tokyo')",
            "2024-01-01 09:00:00",
        )]),
    Function::rewrite("timezone", &[Arg::Text, Arg::DateTime], |cx, span, args| {
        let [zone, value] = two(args)?;
        to_time_zone(cx, span, vec![value, zone])
    })
    .doc("toTimeZone with its arguments the other way round.")
    .examples(&[(
        "timezone('Asia/Tokyo', toDateTime('2024-01-01 00:00:00'))",
        "2024-01-01 09:00:00",
    )]),
    Function::rewrite("timeZoneOf", &[Arg::DateTime], |_, span, args| {
        let zone = args.first().map(|value| &value.ty);
        match zone {
            Some(Type::DateTime(zone)) => Ok(Typed::text(zone.as_ref(), span)),
            _ => Err(Error::internal("arguments were not converted")),
        }
    })
    .aliases(&["timezoneOf"])
    .doc("The name of the zone in which a datetime is shown.")
    .examples(&[("timeZoneOf(toTimeZone(now(), 'Asia/Tokyo'))", "Asia/Tokyo")]),
    Function::scalar("timeZoneOffset", &[Arg::DateTime], Returns::Int, |args| {
        let (zone, instants) = (calendar::zone(args, 0)?, args.datetime(0));
        Ok(args.ints(|row| Some(zone.offset(instants.get(row)?))))
    })
    .aliases(&["timezoneOffset"])
    .doc("What local time is ahead of UTC, in seconds.")
    .examples(&[("timeZoneOffset(toDateTime('2024-07-01 00:00:00', 'Europe/Berlin'))", "7200")]),
    Function::scalar("makeDate", &[Arg::Int, Arg::Int, Arg::Int], Returns::Date, make_date)
        .nulls(Nulls::Introduce)
        .aliases(&["make_date"])
        .doc("The date of a year, month and day; NULL when there is none.")
        .examples(&[("makeDate(2024, 2, 29)", "2024-02-29"), ("makeDate(2023, 2, 29)", "NULL")]),
];

/// `__plusInterval(date or datetime, interval)`.
const PLUS_INTERVAL: Function =
    Function::scalar("__plusInterval", &[Arg::Temporal, Arg::Interval], Returns::First, |args| {
        moved_rows(args, 1)
    })
    .doc("Moves forward by an interval, on the calendar of the value's zone.");

const MINUS_INTERVAL: Function =
    Function::scalar("__minusInterval", &[Arg::Temporal, Arg::Interval], Returns::First, |args| {
        moved_rows(args, -1)
    })
    .doc("Moves back by an interval, on the calendar of the value's zone.");

/// The zone of an optional argument, by default the project's.
pub(super) fn zone_argument(cx: &dyn PlanContext, zone: Option<&Typed>) -> Result<Zone> {
    let Some(zone) = zone else { return Zone::parse(cx.timezone()) };
    let name = zone.as_text().ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, "the time zone must be a constant").at(zone.span)
    })?;
    Zone::parse(name).map_err(|error| error.at(zone.span))
}

fn now(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    let zone = zone_argument(cx, args.first())?;
    let mut config = ConfigOptions::default();
    config.execution.time_zone = Some("+00:00".to_owned());
    let now = ScalarUDF::from(NowFunc::new_with_config(&config)).call(vec![]);
    let ty = Type::DateTime(zone.name().into());
    Ok(Typed::new(now.cast_to(&ty.to_arrow(), cx.schema())?, ty, span))
}

fn today(cx: &dyn PlanContext, span: Span, days: i64) -> Result<Typed> {
    let now = now(cx, span, vec![Typed::text("UTC", span)])?;
    let today = cast(now, &Type::Date, false, cx.timezone())?;
    if days == 0 {
        return Ok(today);
    }
    moved(cx, today, Typed::int(days, span), false, span)
}

fn to_time_zone(cx: &dyn PlanContext, span: Span, args: Vec<Typed>) -> Result<Typed> {
    let mut args = args.into_iter();
    let value = args.next().ok_or_else(|| Error::internal("arguments were not counted"))?;
    let zone = zone_argument(cx, args.next().as_ref())?;
    let shown = coerce(value, &Type::DateTime(zone.name().into()), zone.name())?;
    Ok(Typed { span, ..shown })
}

/// A date or time moved by an interval, or by a number of days or seconds.
///
/// # Errors
/// `TypeMismatch`, naming both types, when `amount` is something else.
pub(super) fn moved(
    cx: &dyn PlanContext,
    value: Typed,
    amount: Typed,
    back: bool,
    span: Span,
) -> Result<Typed> {
    let amount = match &amount.ty {
        Type::Interval => amount,
        ty if ty.is_integer() || *ty == Type::Null => {
            let unit = if value.ty == Type::Date { "toIntervalDay" } else { "toIntervalSecond" };
            super::call(cx, span, unit, vec![amount])?
        }
        ty => {
            let op = if back { Operator::Minus } else { Operator::Plus };
            return Err(Error::new(
                ErrorKind::TypeMismatch,
                format!("operator {op} cannot be applied to {} and {ty}", value.ty),
            )
            .hint("Add an interval, such as INTERVAL 1 DAY."));
        }
    };
    let to_instant = value.ty == Type::Date && intervals::has_time(&amount.expr);
    let value =
        if to_instant { cx.coerce(value, &Type::DateTime(cx.timezone().into()))? } else { value };
    let function = if back { &MINUS_INTERVAL } else { &PLUS_INTERVAL };
    function.call(cx, span, vec![], vec![value, amount])
}

fn add(cx: &dyn PlanContext, span: Span, args: Vec<Typed>, back: bool) -> Result<Typed> {
    if args.len() == 2 {
        let [value, amount] = two(args)?;
        return moved(cx, temporal(cx, value)?, amount, back, span);
    }
    let [unit, count, value] = exactly(args)?;
    let unit = calendar::constant_unit(&unit)?;
    let amount = intervals::of_unit(cx, count, unit, span)?;
    moved(cx, temporal(cx, value)?, amount, back, span)
}

/// Text constants are datetimes.
fn temporal(cx: &dyn PlanContext, value: Typed) -> Result<Typed> {
    if value.ty == Type::Date {
        return Ok(value);
    }
    let ty = match &value.ty {
        ty @ Type::DateTime(_) => ty.clone(),
        _ => Type::DateTime(cx.timezone().into()),
    };
    cx.coerce(value, &ty)
}

fn moved_rows(args: &Arguments<'_>, sign: i32) -> Result<ArrayRef> {
    let amounts = args.interval(1);
    let out_of_range = || Error::new(ErrorKind::OutOfRange, "date out of range");
    if args.types[0] == Type::Date {
        let dates = args.date(0);
        return args.try_primitives::<Date32Type>(|row| {
            let (Some(day), Some(by)) = (dates.get(row), amounts.get(row)) else {
                return Ok(None);
            };
            if by.months == 0 {
                return day.checked_add(sign * by.days).map(Some).ok_or_else(out_of_range);
            }
            let date = time::date(day).ok_or_else(out_of_range)?;
            let date = time::shift_date(date, sign * by.months, sign * by.days);
            Ok(Some(time::days(date.ok_or_else(out_of_range)?)))
        });
    }
    let (zone, instants) = (calendar::zone(args, 0)?, args.datetime(0));
    args.datetimes(|row| {
        let (Some(instant), Some(by)) = (instants.get(row), amounts.get(row)) else {
            return Ok(None);
        };
        let instant = if (by.months, by.days) == (0, 0) {
            instant
        } else {
            let local = time::civil(zone.to_local(instant)).ok_or_else(out_of_range)?;
            let date = time::shift_date(local.date(), sign * by.months, sign * by.days);
            zone.to_instant(time::local(date.ok_or_else(out_of_range)?.and_time(local.time())))
        };
        let micros = i64::from(sign) * (by.nanoseconds / 1000);
        instant.checked_add(micros).map(Some).ok_or_else(out_of_range)
    })
}

fn make_date(args: &Arguments<'_>) -> Result<ArrayRef> {
    let (years, months, days) = (args.int(0), args.int(1), args.int(2));
    Ok(args.primitives::<Date32Type>(|row| {
        let year = i32::try_from(years.get(row)?).ok()?;
        let month = u32::try_from(months.get(row)?).ok()?;
        let day = u32::try_from(days.get(row)?).ok()?;
        chrono::NaiveDate::from_ymd_opt(year, month, day).map(time::days)
    }))
}
